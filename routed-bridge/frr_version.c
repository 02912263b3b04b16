/* The question `show version` on zebra's vty socket. The vty protocol: a command ends with
 * a NUL; the answer is text, then three NULs and a status byte. The version stands in the
 * first line, so the rest is not waited for. */
#include "routed-bridge/frr_version.h"
#include "lib/unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_TIMEOUT 2.0 /* seconds */

static const char command[] = "show version"; /* sent with its NUL */

/* A decimal number at *s, which moves behind it. */
static bool take_number(const char **s, unsigned *out)
{
	char *end;
	unsigned long n;

	if (**s < '0' || **s > '9')
		return false;
	n = strtoul(*s, &end, 10);
	if (n > 9999)
		return false;
	*out = (unsigned)n;
	*s = end;
	return true;
}

bool frr_version_parse(struct span answer, struct frr_version *out)
{
	static const char lead[] = "FRRouting ";
	struct frr_version v = {0};
	const char *s;
	size_t n = 0;

	if (answer.len <= sizeof(lead) - 1 || memcmp(answer.ptr, lead, sizeof(lead) - 1) != 0)
		return false;
	answer = span_of(answer.ptr + sizeof(lead) - 1, answer.len - (sizeof(lead) - 1));
	while (n < answer.len && answer.ptr[n] > ' ' && answer.ptr[n] < 0x7f)
		n++;
	if (n == 0 || n >= sizeof(v.text))
		return false;
	memcpy(v.text, answer.ptr, n);
	s = v.text;
	if (!take_number(&s, &v.major) || *s++ != '.' || !take_number(&s, &v.minor))
		return false;
	v.unreleased = strstr(s, "-dev") || strstr(s, "-rc");
	*out = v;
	return true;
}

bool frr_daemon_runs(const char *vty_dir, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.vty", vty_dir, name);
	fd = unix_socket_connect(path);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void frr_query_stop(struct frr_query *q)
{
	if (q->fd < 0)
		return;
	ev_io_stop(q->loop, &q->io);
	ev_timer_stop(q->loop, &q->timer);
	close(q->fd);
	q->fd = -1;
}

static void query_fail(struct frr_query *q, const char *reason)
{
	char why[192];

	frr_query_stop(q);
	snprintf(why, sizeof(why), "%s: %s", q->path, reason);
	q->cb(q->ctx, NULL, why);
}

static void query_answered(struct frr_query *q)
{
	struct frr_version v;
	bool ok = frr_version_parse(span_of(q->answer, q->len), &v);

	if (!ok) {
		query_fail(q, "the answer to \"show version\" names no FRRouting version");
		return;
	}
	frr_query_stop(q);
	q->cb(q->ctx, &v, NULL);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct frr_query *q = io->data;
	ssize_t n = recv(q->fd, q->answer + q->len, sizeof(q->answer) - q->len, 0);

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		query_fail(q, strerror(errno));
		return;
	}
	q->len += (size_t)n;
	if (n == 0 || q->len == sizeof(q->answer) || memchr(q->answer, '\n', q->len))
		query_answered(q);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	query_fail(timer->data, "no answer to \"show version\"");
}

void frr_query_init(struct frr_query *q, struct ev_loop *loop, frr_query_cb *cb, void *ctx)
{
	*q = (struct frr_query){.loop = loop, .fd = -1, .cb = cb, .ctx = ctx};
}

void frr_query_start(struct frr_query *q, const char *vty_dir)
{
	frr_query_stop(q);
	q->len = 0;
	snprintf(q->path, sizeof(q->path), "%s/zebra.vty", vty_dir);
	q->fd = unix_socket_connect(q->path);
	if (q->fd < 0) {
		query_fail(q, strerror(errno));
		return;
	}
	ev_io_init(&q->io, on_readable, q->fd, EV_READ);
	ev_timer_init(&q->timer, on_timeout, ANSWER_TIMEOUT, 0.);
	q->io.data = q->timer.data = q;
	ev_io_start(q->loop, &q->io);
	ev_timer_start(q->loop, &q->timer);
	if (send(q->fd, command, sizeof(command), MSG_NOSIGNAL) != (ssize_t)sizeof(command))
		query_fail(q, strerror(errno));
}
