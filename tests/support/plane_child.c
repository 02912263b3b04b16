#include "tests/support/plane_child.h"

#include "ipsecd/crypto/crypto.h"
#include "ipsecd/dataplane/area_map.h"
#include "ipsecd/ipc/link.h"
#include "ipsecd/ipc/verbs.h"
#include "ipsecd/plane_server.h"
#include "lib/netlink.h"
#include "tests/support/esp_runs.h"

#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS 20000

enum { LINK = 1000, INPUT, TICK, REFUSE, EVENT, SYNC, CLOSE, SENT };

struct addressed {
	struct endpoint local, remote;
	mono_time now;
};

static void stop(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- the plane's process ---- */

struct inside {
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	struct plane_server *server;
	struct ipc_link *test;
	bool refuse;
};

static bool inside_packet(void *ctx, const struct esp_run *run, struct span esp)
{
	struct inside *x = ctx;
	struct addressed head = {*run->from, *run->to, 0};
	struct span parts[] = {span_of(&head, sizeof(head)), esp};

	return !x->refuse && ipc_send(x->test, SENT, 0, parts, 2, NULL, 0);
}

static void inside_send(void *ctx, struct esp_run *runs, size_t n)
{
	esp_runs_each(runs, n, inside_packet, ctx);
}

static void inside_event(void *ctx, const struct dataplane_event *event)
{
	struct inside *x = ctx;

	plane_server_event(x->server, event);
}

static void inside_input(struct inside *x, const struct ipc_message *m)
{
	size_t len = m->body.len - sizeof(struct addressed);
	uint8_t *packet = malloc(len ? len : 1); /* of its own: overreads are seen */
	struct addressed head;

	memcpy(&head, m->body.ptr, sizeof(head));
	memcpy(packet, m->body.ptr + sizeof(head), len);
	x->ops->esp_input(x->plane, 0, &head.local, &head.remote, 0, packet, len, len, head.now);
	x->ops->esp_flush(x->plane, 0, head.now);
	free(packet);
}

static void inside_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	struct inside *x = ctx;
	struct dataplane_event event;
	mono_time now;

	switch (m->verb) {
	case LINK:
		plane_server_link(x->server, m->fds[0]);
		m->fds[0] = -1;
		break;
	case INPUT:
		inside_input(x, m);
		break;
	case TICK:
		memcpy(&now, m->body.ptr, sizeof(now));
		x->ops->tick(x->plane, now);
		break;
	case REFUSE:
		x->refuse = m->body.ptr[0];
		break;
	case EVENT:
		memcpy(&event, m->body.ptr, sizeof(event));
		plane_server_event(x->server, &event);
		break;
	case CLOSE:
		x->ops->close(x->plane);
		_exit(0);
	}
	ipc_send(link, IPC_ANSWER, m->serial, NULL, 0, NULL, 0);
}

static void inside_closed(void *ctx, struct ipc_link *link, const char *why)
{
	(void)ctx;
	(void)link;
	(void)why;
	_exit(0);
}

static void run(const struct plane_child_host *of, int fd)
{
	const struct dataplane_ops *ops = of->ops;
	int area = of->area;
	static struct area_map map;
	struct ev_loop *loop = ev_loop_new(0);
	struct inside x = {.ops = ops};
	struct dataplane_host host = {.send_esp = inside_send,
				      .event = inside_event,
				      .ctx = &x,
				      .crypto = &crypto_openssl,
				      .random = crypto_random,
				      .loop = loop};
	const struct ipc_host test = {
		.message = inside_message, .closed = inside_closed, .ctx = &x};
	const struct plane_server_host server = {.ops = ops,
						 .why = "the test wants it",
						 .netlink = netlink_open(),
						 .loop = loop,
						 .most_tunnels = of->most_tunnels,
						 .most_children = of->most_children};

	char why[128];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (area && !area_map_open(&map, area, why, sizeof(why)))
		stop(why);
	host.area = map.area;
	x.server = plane_server_new(&server);
	x.test = ipc_link_new(loop, fd, &test);
	x.plane = ops->open(&host);
	if (!x.server || !x.test || !x.plane)
		_exit(1);
	plane_server_use(x.server, x.plane, NULL);
	ev_run(loop, 0);
	_exit(0);
}

/* ---- the test's side ---- */

struct plane_child {
	struct plane_child_host host;
	struct ipc_link *link;
	pid_t pid;
};

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	struct plane_child *p = ctx;
	struct addressed head;

	(void)link;
	memcpy(&head, m->body.ptr, sizeof(head));
	p->host.send_esp(p->host.ctx, &head.local, &head.remote,
			 span_of(m->body.ptr + sizeof(head), m->body.len - sizeof(head)));
}

static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	(void)ctx;
	(void)link;
	(void)why;
}

struct plane_child *plane_child_new(const struct plane_child_host *host)
{
	struct plane_child *p = calloc(1, sizeof(*p));
	const struct ipc_host ends = {.message = on_message, .closed = on_closed, .ctx = p};
	int fds[2];

	if (!p || !ipc_pair(fds))
		stop("a plane for the test");
	p->host = *host;
	fflush(stdout);
	p->pid = fork();
	if (p->pid < 0)
		stop("fork");
	if (p->pid == 0) {
		close(fds[0]);
		run(host, fds[1]);
	}
	close(fds[1]);
	p->link = ipc_link_new(host->loop, fds[0], &ends);
	return p;
}

static void call(struct plane_child *p, uint32_t verb, struct span head, struct span rest, int fd)
{
	struct span parts[] = {head, rest};
	struct ipc_message answer;

	if (!ipc_call(p->link, verb, parts, 2, &fd, fd >= 0, TIMEOUT_MS, &answer)) {
		fprintf(stderr, "the plane's process does not answer\n");
		abort();
	}
	for (unsigned i = 0; i < 4; i++) /* what it told before the answer is there */
		ev_run(p->host.loop, EVRUN_NOWAIT);
}

int plane_child_link(struct plane_child *p)
{
	int fds[2];

	if (!ipc_pair(fds))
		stop("ipc_pair");
	call(p, LINK, (struct span){0}, (struct span){0}, fds[1]);
	close(fds[1]);
	return fds[0];
}

void plane_child_input(struct plane_child *p, const struct endpoint *local,
		       const struct endpoint *remote, struct span packet, mono_time now)
{
	struct addressed head = {*local, *remote, now};

	call(p, INPUT, span_of(&head, sizeof(head)), packet, -1);
}

void plane_child_tick(struct plane_child *p, mono_time now)
{
	call(p, TICK, span_of(&now, sizeof(now)), (struct span){0}, -1);
}

void plane_child_refuse(struct plane_child *p, bool refuse)
{
	uint8_t flag = refuse;

	call(p, REFUSE, span_of(&flag, 1), (struct span){0}, -1);
}

void plane_child_event(struct plane_child *p, const struct dataplane_event *event)
{
	call(p, EVENT, span_of(event, sizeof(*event)), (struct span){0}, -1);
}

void plane_child_sync(struct plane_child *p)
{
	call(p, SYNC, (struct span){0}, (struct span){0}, -1);
}

void plane_child_stand_still(struct plane_child *p, bool still)
{
	kill(p->pid, still ? SIGSTOP : SIGCONT);
}

static void end(struct plane_child *p)
{
	waitpid(p->pid, NULL, 0);
	ipc_link_free(p->link);
	free(p);
}

void plane_child_close(struct plane_child *p)
{
	plane_child_stand_still(p, false);
	ipc_send(p->link, CLOSE, 0, NULL, 0, NULL, 0);
	end(p);
}

void plane_child_kill(struct plane_child *p)
{
	kill(p->pid, SIGKILL);
	end(p);
}
