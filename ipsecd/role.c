/* The supervised side: descriptor 3 is the link to the supervisor, which gives what there is and
 * then says that it begins. */
#include "ipsecd/role.h"
#include "ipsecd/ipc/name.h"
#include "lib/hash.h"
#include "lib/mono.h"

#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SUPERVISOR_FD 3
#define LOG_WAITS_MAX ((size_t)1 << 20) /* bytes of lines that the supervisor has not read */
#define LAST_WORDS_MS 1000
#define LINK_PREFIX   "link:"

struct given {
	char name[IPC_NAME_MAX];
	int fd;
	UT_hash_handle hh; /* in the order in which they came */
};

struct role {
	struct ev_loop *loop;
	struct ipc_link *link;
	const struct role_host *host; /* NULL until role_run */
	struct given *given;
	struct ipc_processes processes;
	bool have_processes, begun, working, ending;
	int status;
	unsigned lost_lines;
	mono_time said_alive;
};

/* ---- log ---- */

static bool send_line(struct role *r, enum log_level level, const char *subsystem, const char *name,
		      const char *text)
{
	struct ipc_log head = {.level = (uint8_t)level};
	struct span parts[] = {span_of(&head, sizeof(head)), span_str(text)};

	snprintf(head.subsystem, sizeof(head.subsystem), "%s", subsystem);
	snprintf(head.name, sizeof(head.name), "%s", name);
	return ipc_backlog(r->link) < LOG_WAITS_MAX &&
	       ipc_send(r->link, IPC_LOG, 0, parts, 2, NULL, 0);
}

static void write_line(void *ctx, enum log_level level, const char *subsystem, const char *name,
		       const char *text)
{
	struct role *r = ctx;
	char lost[64];

	if (r->lost_lines && ipc_backlog(r->link) < LOG_WAITS_MAX / 2) {
		snprintf(lost, sizeof(lost), "%u log lines were lost here", r->lost_lines);
		if (send_line(r, LOG_LEVEL_WARN, "job", "", lost))
			r->lost_lines = 0;
	}
	r->lost_lines += !send_line(r, level, subsystem, name, text);
}

/* ---- what is given ---- */

static struct given *find(const struct role *r, const char *name)
{
	struct given *g;

	HASH_FIND_STR(r->given, name, g);
	return g;
}

static int take(struct role *r, struct given *g)
{
	int fd = g->fd;

	HASH_DEL(r->given, g);
	free(g);
	return fd;
}

static void store(struct role *r, const char *name, int fd)
{
	struct given *g = find(r, name);

	if (g) {
		close(g->fd);
		g->fd = fd;
		return;
	}
	g = calloc(1, sizeof(*g));
	if (!g) {
		close(fd);
		return;
	}
	g->fd = fd;
	snprintf(g->name, sizeof(g->name), "%s", name);
	HASH_ADD_STR(r->given, name, g);
	if (g->hh.tbl)
		return;
	close(g->fd);
	free(g);
}

/* A link that comes later replaces one whose other end is gone. */
static void give(struct role *r, struct ipc_message *m)
{
	const struct ipc_name *name = ipc_name(m);
	int fd;

	if (!name || m->n_fds != 1)
		return;
	fd = m->fds[0];
	m->fds[0] = -1;
	if (r->working && strncmp(name->name, LINK_PREFIX, strlen(LINK_PREFIX)) == 0)
		r->host->link(r->host->ctx, name->name + strlen(LINK_PREFIX), fd);
	else
		store(r, name->name, fd);
}

static void hand_links(struct role *r)
{
	struct given *g, *next;

	HASH_ITER (hh, r->given, g, next) {
		char peer[IPC_NAME_MAX];

		if (strncmp(g->name, LINK_PREFIX, strlen(LINK_PREFIX)) != 0)
			continue;
		snprintf(peer, sizeof(peer), "%s", g->name + strlen(LINK_PREFIX));
		r->host->link(r->host->ctx, peer, take(r, g));
	}
}

int role_take(struct role *r, const char *name)
{
	struct given *g = find(r, name);

	return g ? take(r, g) : -1;
}

void role_each(struct role *r, const char *prefix, void (*cb)(void *ctx, const char *name, int fd),
	       void *ctx)
{
	struct given *g, *next;

	HASH_ITER (hh, r->given, g, next) {
		if (strncmp(g->name, prefix, strlen(prefix)) == 0)
			cb(ctx, g->name, g->fd);
	}
}

/* ---- messages ---- */

static void take_processes(struct role *r, const struct ipc_message *m)
{
	if (m->body.len != sizeof(r->processes))
		return;
	memcpy(&r->processes, m->body.ptr, sizeof(r->processes));
	r->have_processes = true;
	if (r->working && r->host->processes)
		r->host->processes(r->host->ctx, &r->processes);
}

static void stop(struct role *r, const struct ipc_message *m)
{
	struct ipc_stop s = {0};

	if (m->body.len == sizeof(s))
		memcpy(&s, m->body.ptr, sizeof(s));
	if (r->working)
		r->host->stop(r->host->ctx, s.keep);
	else
		_exit(0); /* nothing was begun */
}

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	struct role *r = ctx;

	switch (m->verb) {
	case IPC_GIVE:
		give(r, m);
		break;
	case IPC_START:
		r->begun = true;
		ev_break(r->loop, EVBREAK_ONE);
		break;
	case IPC_RELOAD:
		if (r->working && r->host->reload)
			r->host->reload(r->host->ctx);
		break;
	case IPC_STOP:
		stop(r, m);
		break;
	case IPC_PING:
		ipc_send(link, IPC_PONG, m->serial, NULL, 0, NULL, 0);
		break;
	case IPC_PROCESSES:
		take_processes(r, m);
		break;
	default:
		if (r->working && r->host->message)
			r->host->message(r->host->ctx, link, m);
		break;
	}
}

/* Without a supervisor nobody may go on: the next one starts processes of its own. */
static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	(void)ctx;
	(void)link;
	(void)why;
	_exit(1);
}

/* ---- life ---- */

static bool is_link(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

/* Signals of a terminal or of a service manager reach all of us: the supervisor decides. */
static void leave_signals(void)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_IGN);
}

struct role *role_begin(const struct options *options, struct ev_loop *loop)
{
	struct ipc_host host = {.message = on_message, .closed = on_closed};
	struct role *r;

	if (!is_link(SUPERVISOR_FD)) {
		fprintf(stderr, "ipsecd: --role is for the supervisor's use: start `ipsecd`\n");
		return NULL;
	}
	leave_signals();
	fcntl(SUPERVISOR_FD, F_SETFD, FD_CLOEXEC);
	r = calloc(1, sizeof(*r));
	host.ctx = r;
	if (!r)
		return NULL;
	r->loop = loop;
	r->link = ipc_link_new(loop, SUPERVISOR_FD, &host);
	if (!r->link) {
		free(r);
		return NULL;
	}
	*log_default() =
		(struct log_sink){.write = write_line, .ctx = r, .level = options->log_level};
	while (!r->begun)
		ev_run(loop, 0);
	return r;
}

int role_run(struct role *r, const struct role_host *host)
{
	char why[512] = "";

	r->host = host;
	hand_links(r);
	r->working = true;
	if (!host->start(host->ctx, why, sizeof(why))) {
		struct span text = span_str(why);

		ipc_send(r->link, IPC_FAILED, 0, &text, 1, NULL, 0);
		ipc_flush(r->link, LAST_WORDS_MS);
		return 1;
	}
	if (r->have_processes && host->processes)
		host->processes(host->ctx, &r->processes);
	while (!r->ending)
		ev_run(r->loop, 0);
	ipc_flush(r->link, LAST_WORDS_MS);
	return r->status;
}

void role_keep(struct role *r, const char *name, int fd)
{
	ipc_send_name(r->link, IPC_KEEP, name, fd);
}

void role_keep_later(struct role *r, const char *name, int fd)
{
	ipc_send_name_later(r->link, IPC_KEEP, name, fd);
}

void role_drop(struct role *r, const char *name)
{
	ipc_send_name(r->link, IPC_DROP, name, -1);
}

void role_ready(struct role *r)
{
	ipc_send(r->link, IPC_READY, 0, NULL, 0, NULL, 0);
}

void role_alive(struct role *r)
{
	mono_time now = mono_now();

	if (now - r->said_alive < MONO_S)
		return;
	r->said_alive = now;
	ipc_send(r->link, IPC_PONG, 0, NULL, 0, NULL, 0);
}

void role_unlinked(struct role *r, const char *peer)
{
	ipc_send_name(r->link, IPC_UNLINKED, peer, -1);
}

void role_status(struct role *r, const char *text)
{
	struct span body = span_str(text);

	ipc_send(r->link, IPC_STATUS, 0, &body, 1, NULL, 0);
}

void role_end(struct role *r, int status)
{
	if (r->ending)
		return;
	r->ending = true;
	r->status = status;
	ipc_send(r->link, IPC_ENDED, 0, NULL, 0, NULL, 0);
	ev_break(r->loop, EVBREAK_ALL);
}

struct ipc_link *role_supervisor(struct role *r)
{
	return r->link;
}
