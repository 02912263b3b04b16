/* What the processes tell the supervisor. Each may be in an attacker's hands: lengths are checked,
 * texts cleaned, lines counted, and what may be kept is limited. */
#include "ipsecd/ipc/name.h"
#include "ipsecd/supervise_parts.h"
#include "lib/notify.h"
#include "lib/text.h"

#include <stdio.h>
#include <unistd.h>

#define LINES_PER_SECOND 5000
#define LINES_OF_STDERR	 200 /* a second */
#define BLOCKS_OF_STDERR 16  /* at once: what a pipe holds */
#define NOTICES		 20  /* to the service manager, a second */
#define REFUSALS	 10  /* told in a second */
#define TEXT_MAX	 1024

static const char *word(const struct process *p)
{
	return role_words[p->child->role];
}

/* ---- log ---- */

static bool may_log(struct process *p)
{
	p->limit.burst = LINES_PER_SECOND;
	if (!log_limit_pass(&p->limit, mono_now())) {
		p->lost_lines++;
		return false;
	}
	if (p->lost_lines)
		log_to(p->supervisor->log, LOG_LEVEL_WARN, "job", "",
		       "%u lines of %s are left out: more than %d a second", p->lost_lines, word(p),
		       LINES_PER_SECOND);
	p->lost_lines = 0;
	return true;
}

static void on_log(struct process *p, struct ipc_message *m)
{
	const struct log_sink *log = p->supervisor->log;
	char subsystem[sizeof(((struct ipc_log *)0)->subsystem)], name[IPC_NAME_MAX];
	char text[TEXT_MAX];
	struct ipc_log head;

	if (m->body.len < sizeof(head) || !may_log(p))
		return;
	memcpy(&head, m->body.ptr, sizeof(head));
	text_clean(subsystem, sizeof(subsystem), head.subsystem,
		   strnlen(head.subsystem, sizeof(head.subsystem)));
	text_clean(name, sizeof(name), head.name, strnlen(head.name, sizeof(head.name)));
	text_clean(text, sizeof(text), m->body.ptr + sizeof(head), m->body.len - sizeof(head));
	if (head.level > LOG_LEVEL_DEBUG)
		head.level = LOG_LEVEL_ERROR;
	text_clean(p->last, sizeof(p->last), text, strlen(text));
	if (head.level <= log->level)
		log->write(log->ctx, (enum log_level)head.level, subsystem, name, text);
}

/* ---- what is kept ---- */

/* What each may keep: ike nothing. A descriptor that is kept outlives the process, so that
 * one of a link would hide its death. */
static bool may_keep(enum ipc_role role, const char *name)
{
	static const char *const names[IPC_ROLES][8] = {
		[IPC_ROLE_PLANE] = {"addresses", "area", "guard", "udp4-", "udp6-", "esp", "tun:"},
		[IPC_ROLE_HELPER] = {"vault"},
	};

	for (const char *const *n = names[role]; *n; n++) {
		if (strncmp(name, *n, strlen(*n)) == 0)
			return true;
	}
	return false;
}

static void refuse(struct process *p, const char *what, const char *name)
{
	char text[IPC_NAME_MAX];

	text_clean(text, sizeof(text), name, strlen(name));
	if (may_log(p))
		log_to(p->supervisor->log, LOG_LEVEL_ERROR, "job", "", "%s wants '%s' %s, refused",
		       word(p), text, what);
}

static void on_keep(struct process *p, struct ipc_message *m)
{
	const struct ipc_name *name = ipc_name(m);
	int fd;

	if (!name || m->n_fds != 1) {
		refuse(p, "kept", "something without a name or a descriptor");
		return;
	}
	if (!may_keep(p->child->role, name->name)) {
		refuse(p, "kept", name->name);
		return;
	}
	fd = m->fds[0];
	m->fds[0] = -1;
	if (!supervise_keep(p->supervisor, p->child->role, name->name, fd) && may_log(p))
		log_to(p->supervisor->log, LOG_LEVEL_ERROR, "job", "",
		       "%s: '%s' is not kept: too many, or no memory", word(p), name->name);
}

static void on_drop(struct process *p, struct ipc_message *m)
{
	const struct ipc_name *name = ipc_name(m);

	if (!name || !may_keep(p->child->role, name->name))
		refuse(p, "dropped", name ? name->name : "something without a name");
	else
		supervise_drop(p->supervisor, p->child->role, name->name);
}

/* ---- state ---- */

/* The service manager reads for all services. */
static bool may_notify(struct process *p)
{
	p->notices.burst = NOTICES;
	return log_limit_pass(&p->notices, mono_now());
}

static void on_ready(struct process *p, struct ipc_message *m)
{
	(void)m;
	if (p->ready && p->child->role == IPC_ROLE_IKE && may_notify(p))
		notify_send("READY=1"); /* a reload is done */
	p->ready = true;
	supervise_step(p->supervisor);
}

static void on_failed(struct process *p, struct ipc_message *m)
{
	char text[TEXT_MAX];

	text_clean(text, sizeof(text), m->body.ptr, m->body.len);
	p->failed = true;
	text_clean(p->last, sizeof(p->last), text, strlen(text));
	if (may_log(p))
		log_to(p->supervisor->log, LOG_LEVEL_ERROR, "job", "", "%s can't start: %s",
		       word(p), text);
}

static void on_status(struct process *p, struct ipc_message *m)
{
	char text[TEXT_MAX];

	if (!may_notify(p))
		return;
	text_clean(text, sizeof(text), m->body.ptr, m->body.len);
	supervise_status(p->supervisor, text);
}

static void on_keep_on_stop(struct process *p, struct ipc_message *m)
{
	struct ipc_keep_on_stop k;

	if (m->body.len != sizeof(k)) {
		refuse(p, "kept on stop", "a time of another length");
		return;
	}
	memcpy(&k, m->body.ptr, sizeof(k));
	p->supervisor->keep_seconds = k.seconds;
}

static void on_unlinked(struct process *p, struct ipc_message *m)
{
	const struct ipc_name *name = p->child->role == IPC_ROLE_IKE ? ipc_name(m) : NULL;

	for (unsigned i = 0; name && i < IPC_ROLES; i++) {
		if (i != IPC_ROLE_IKE && strcmp(name->name, role_words[i]) == 0)
			child_relink(&p->supervisor->children[i]);
	}
}

/* Its loop turns. Of IPC_ENDED what counts is the end that follows. */
static void on_alive(struct process *p, struct ipc_message *m)
{
	(void)m;
	p->unanswered = 0;
}

static void (*const handlers[])(struct process *p, struct ipc_message *m) = {
	[IPC_READY] = on_ready,
	[IPC_FAILED] = on_failed,
	[IPC_LOG] = on_log,
	[IPC_KEEP] = on_keep,
	[IPC_DROP] = on_drop,
	[IPC_STATUS] = on_status,
	[IPC_ENDED] = on_alive,
	[IPC_PONG] = on_alive,
	[IPC_KEEP_ON_STOP] = on_keep_on_stop,
	[IPC_UNLINKED] = on_unlinked,
};

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	struct process *p = ctx;
	const char *wrong = NULL;

	(void)link;
	if (m->n_fds && m->verb != IPC_KEEP)
		wrong = "with descriptors, of which none belongs there";
	else if (m->verb < sizeof(handlers) / sizeof(handlers[0]) && handlers[m->verb])
		handlers[m->verb](p, m);
	else if (!supervise_run_script(p, m))
		wrong = "which it may not";
	p->refusals.burst = REFUSALS;
	if (wrong && log_limit_pass(&p->refusals, mono_now()))
		log_to(p->supervisor->log, LOG_LEVEL_ERROR, "job", "",
		       "%s asks for %u (%zu bytes), %s", word(p), m->verb, m->body.len, wrong);
}

static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	struct process *p = ctx;

	(void)link;
	if (strcmp(why, IPC_PEER_ENDED) != 0)
		log_to(p->supervisor->log, LOG_LEVEL_ERROR, "job", "", "%s: its link is broken: %s",
		       word(p), why);
	process_closed(p);
}

struct ipc_link *process_link(struct process *p, int fd)
{
	const struct ipc_host host = {.message = on_message, .closed = on_closed, .ctx = p};

	return ipc_link_new(p->supervisor->loop, fd, &host);
}

/* ---- what it writes to its standard error: abort messages, sanitizers ---- */

static void tell_stderr(struct process *p)
{
	char text[LAST_LINE_MAX];

	p->says.burst = LINES_OF_STDERR;
	text_clean(text, sizeof(text), p->stderr_line, p->stderr_len);
	p->stderr_len = 0;
	if (!text[0])
		return;
	if (!log_limit_pass(&p->says, mono_now())) {
		p->lost_says++;
		return;
	}
	if (p->lost_says)
		log_to(p->supervisor->log, LOG_LEVEL_WARN, "job", "",
		       "%u lines that %s said are left out: more than %d a second", p->lost_says,
		       word(p), LINES_OF_STDERR);
	p->lost_says = 0;
	snprintf(p->last, sizeof(p->last), "%s", text);
	log_to(p->supervisor->log, LOG_LEVEL_ERROR, "job", "", "%s says: %s", word(p), text);
}

/* One that writes on and on, or has closed it, takes its turns like everything else. */
void process_drain_stderr(struct process *p)
{
	char block[4096];

	for (unsigned round = 0; p->stderr_fd >= 0 && round < BLOCKS_OF_STDERR; round++) {
		ssize_t n = read(p->stderr_fd, block, sizeof(block));

		if (n == 0)
			ev_io_stop(p->supervisor->loop, &p->stderr_readable);
		if (n <= 0)
			return;
		for (ssize_t i = 0; i < n; i++) {
			if (block[i] != '\n')
				p->stderr_line[p->stderr_len++] = block[i];
			if (block[i] == '\n' || p->stderr_len == sizeof(p->stderr_line))
				tell_stderr(p);
		}
	}
}

static void on_stderr(struct ev_loop *loop, ev_io *w, int revents)
{
	struct process *p = w->data;

	(void)revents;
	process_drain_stderr(p);
	if (p->exited)
		ev_io_stop(loop, w);
}

void process_watch_stderr(struct process *p, int fd)
{
	p->stderr_fd = fd;
	ev_io_init(&p->stderr_readable, on_stderr, fd, EV_READ);
	p->stderr_readable.data = p;
	ev_io_start(p->supervisor->loop, &p->stderr_readable);
}
