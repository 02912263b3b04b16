/* The supervisor's own socket: one line a packet, with descriptors beside it; for root alone. Not
 * vici: who asks there asks ike, and ike may not order a program to be run. */
#include "lib/accept.h"
#include "lib/line_socket.h"
#include "ipsecd/supervise_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#define ASKERS_MAX 8
#define BACKLOG	   8

struct asker {
	struct asker *prev, *next;
	struct supervisor *supervisor;
	int fd;
	ev_io readable;
};

/* ---- one who asks ---- */

bool asker_say(struct asker *a, int fd, const char *format, ...)
{
	char line[LINE_SOCKET_MAX];
	va_list args;

	if (!a)
		return false;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return line_send(a->fd, line, fd);
}

int asker_fd(const struct asker *a)
{
	return a ? a->fd : -1;
}

void asker_free(struct asker *a)
{
	struct supervisor *s;

	if (!a)
		return;
	s = a->supervisor;
	ev_io_stop(s->loop, &a->readable);
	close(a->fd);
	DL_DELETE(s->askers, a);
	if (s->asker == a)
		s->asker = NULL;
	upgrade_asker_gone(s, a);
	if (s->heir == a) {
		s->heir = NULL;
		takeover_heir_gone(s);
	}
	free(a);
}

/* "upgrade [force] [PATH]" */
static void ask_upgrade(struct supervisor *s, struct asker *a, const char *line)
{
	bool force = strncmp(line, " force", 6) == 0;

	line += force ? 6 : 0;
	upgrade_begin(s, a, *line == ' ' && line[1] ? line + 1 : s->binary, force);
}

static void obey(struct asker *a, const char *line)
{
	struct supervisor *s = a->supervisor;

	if (strncmp(line, "upgrade", 7) == 0)
		ask_upgrade(s, a, line + 7);
	else if (strcmp(line, TAKEOVER_WORD) == 0)
		takeover_ask(s, a);
	else if (s->heir == a)
		takeover_command(s, a, line);
	else
		asker_say(a, -1, "error the running ipsecd does not know '%.64s'", line);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct asker *a = w->data;
	char line[LINE_SOCKET_MAX];
	int fd, n = line_receive(a->fd, line, sizeof(line), &fd);

	(void)loop;
	(void)revents;
	if (fd >= 0)
		close(fd);
	if (n > 0)
		obey(a, line);
	else if (n < 0)
		asker_free(a);
}

struct asker *asker_new(struct supervisor *s, int fd)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (!a) {
		close(fd);
		return NULL;
	}
	a->supervisor = s;
	a->fd = fd;
	ev_io_init(&a->readable, on_readable, fd, EV_READ);
	a->readable.data = a;
	ev_io_start(s->loop, &a->readable);
	DL_APPEND(s->askers, a);
	return a;
}

/* ---- the socket ---- */

static bool may_ask(const struct supervisor *s, int fd)
{
	const struct asker *a;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	unsigned n = 0;

	DL_COUNT(s->askers, a, n);
	return n < ASKERS_MAX && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       peer.uid == 0; /* not our own user, which the roles have, too */
}

static void on_knock_pause(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;

	(void)revents;
	ev_io_start(loop, &s->knock);
}

/* Who asks waits in the queue; we must not look at him all the time. */
static void pause_knocking(struct supervisor *s, const char *why)
{
	log_to(s->log, LOG_LEVEL_ERROR, "job", "", "can't accept who asks the supervisor: %s", why);
	ev_io_stop(s->loop, &s->knock);
	ev_timer_set(&s->knock_pause, ACCEPT_PAUSE, 0.);
	ev_timer_start(s->loop, &s->knock_pause);
}

static void on_knock(struct ev_loop *loop, ev_io *w, int revents)
{
	struct supervisor *s = w->data;
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)loop;
	(void)revents;
	if (fd < 0) {
		if (accept_ran_short(errno))
			pause_knocking(s, strerror(errno));
		return;
	}
	if (may_ask(s, fd))
		asker_new(s, fd);
	else
		close(fd);
}

void socket_watch(struct supervisor *s)
{
	int fd = keep_find(s->keep, OWNER_SELF, "socket");

	if (fd < 0)
		return;
	ev_io_init(&s->knock, on_knock, fd, EV_READ);
	ev_init(&s->knock_pause, on_knock_pause);
	s->knock.data = s->knock_pause.data = s;
	ev_io_start(s->loop, &s->knock);
}

/* Without it there is no upgrade, and all else works. The lock is ours: what has the name is a
 * dead one's. */
void socket_open(struct supervisor *s)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = -1;

	errno = ENAMETOOLONG;
	if (line_path(s->options->vici, un.sun_path, sizeof(un.sun_path)) &&
	    (unlink(un.sun_path) == 0 || errno == ENOENT))
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0 &&
	    chmod(un.sun_path, 0600) == 0 && listen(fd, BACKLOG) == 0) {
		if (supervise_keep(s, OWNER_SELF, "socket", fd))
			return;
		fd = -1; /* closed */
	}
	log_to(s->log, LOG_LEVEL_WARN, "job", "", "%s.supervisor: %s; no upgrade and no takeover",
	       s->options->vici, strerror(errno));
	if (fd >= 0)
		close(fd);
}

void socket_close(struct supervisor *s)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct asker *a, *next;

	DL_FOREACH_SAFE (s->askers, a, next)
		asker_free(a);
	ev_io_stop(s->loop, &s->knock);
	ev_timer_stop(s->loop, &s->knock_pause);
	if (!s->left && !s->keeping && keep_find(s->keep, OWNER_SELF, "socket") >= 0 &&
	    line_path(s->options->vici, path, sizeof(path)))
		unlink(path);
}
