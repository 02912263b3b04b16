/* `ipsecd --takeover`: a new process gets everything from the supervisor that runs, and then has
 * it stop one process after the other, in the order of supervise_replace.c. Until the new one says
 * that it is done the old one can go on where it was. */
#include "lib/line_socket.h"
#include "ipsecd/control/control.h"
#include "ipsecd/formats.h"
#include "ipsecd/reload.h"
#include "ipsecd/supervise_parts.h"
#include "lib/unix_socket.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MS 10000

struct former {
	struct supervisor *supervisor;
	int fd;
	ev_io readable;
};

static bool role_named(const char *word, enum ipc_role *role)
{
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		if (strcmp(word, role_words[i]) == 0) {
			*role = (enum ipc_role)i;
			return true;
		}
	}
	return false;
}

/* ---- the old side ---- */

static void say_kept(void *ctx, unsigned owner, const char *name, int fd)
{
	char text[KEEP_TEXT_MAX];

	keep_text(role_words[owner], name, text);
	asker_say(ctx, fd, fd >= 0 ? "keep %s" : "drop %s", text);
}

void takeover_kept(struct supervisor *s, unsigned owner, const char *name, int fd)
{
	if (s->heir)
		say_kept(s->heir, owner, name, fd);
}

void takeover_ask(struct supervisor *s, struct asker *a)
{
	if (s->phase != PHASE_RUNNING || !s->announced || s->replacing || s->upgrade || s->heir) {
		asker_say(a, -1, "error it is starting, ending, or being upgraded");
		return;
	}
	if (script_desk_left(s->scripts)) {
		asker_say(a, -1, "error an updown script runs: try again when it has ended");
		return;
	}
	log_to(s->log, LOG_LEVEL_NOTICE, "job", "", "another process is about to take over");
	s->heir = a;
	asker_say(a, -1, "formats %s", formats_kept());
	asker_say(a, s->lock, "lock");
	asker_say(a, -1, "upgrades %u", s->upgrades);
	for (unsigned i = 0; i < IPC_ROLES; i++)
		asker_say(a, -1, "restarts %s %u", role_words[i], s->children[i].restarts);
	keep_each(s->keep, say_kept, a);
	asker_say(a, -1, "all");
}

static void stop_for_heir(struct supervisor *s, struct child *c)
{
	s->handing_over = true;
	ev_timer_stop(s->loop, &c->restart);
	if (!c->now) {
		asker_say(s->heir, -1, "gone %s", role_words[c->role]);
		return;
	}
	process_stop(c->now, true);
	supervise_arm_limit(s, GIVE_WAY_SECONDS);
}

void takeover_command(struct supervisor *s, struct asker *a, const char *line)
{
	enum ipc_role role;

	if (strncmp(line, "stop ", 5) == 0 && role_named(line + 5, &role)) {
		stop_for_heir(s, &s->children[role]);
	} else if (strcmp(line, "done") == 0 && s->handing_over) {
		log_to(s->log, LOG_LEVEL_NOTICE, "job", "", "another process has taken over");
		s->left = true;
		s->phase = PHASE_STOPPING;
		ev_break(s->loop, EVBREAK_ALL);
	} else {
		asker_say(a, -1, "error what does '%.64s' mean?", line);
	}
}

void takeover_gone(struct child *c)
{
	asker_say(c->supervisor->heir, -1, "gone %s", role_words[c->role]);
}

void takeover_heir_gone(struct supervisor *s)
{
	if (s->phase == PHASE_STOPPING)
		return;
	if (s->handing_over)
		log_to(s->log, LOG_LEVEL_ERROR, "job", "",
		       "the process that was to take over is gone: going on");
	s->handing_over = false;
	for (unsigned i = 0; i < IPC_ROLES; i++)
		child_start(&s->children[i]);
}

/* ---- the new side ---- */

static int connect_to(const char *vici, char *why, size_t size)
{
	char reason[LINE_WHY_MAX];
	int fd = line_connect(vici, reason);

	if (fd >= 0 && line_send(fd, TAKEOVER_WORD, -1))
		return fd;
	snprintf(why, size, "nobody to take over from: %s", fd < 0 ? reason : strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* What is told at first and what may be told later. Takes fd. false: it means nothing here, or
 * can't be kept. */
static bool learn(struct supervisor *s, const char *line, int fd)
{
	char text[KEEP_TEXT_MAX], name[KEEP_NAME_MAX], word[16];
	enum ipc_role role;
	unsigned owner, n;

	if (sscanf(line, "keep %223s", text) == 1 && fd >= 0 &&
	    keep_parse(text, role_words, &owner, name))
		return supervise_keep(s, owner, name, fd);
	if (strcmp(line, "lock") == 0 && fd >= 0 && s->lock < 0) {
		s->lock = fd;
		return true;
	}
	if (fd >= 0)
		close(fd);
	if (sscanf(line, "drop %223s", text) == 1 && keep_parse(text, role_words, &owner, name)) {
		supervise_drop(s, owner, name);
		return true;
	}
	if (sscanf(line, "restarts %15s %u", word, &n) == 2 && role_named(word, &role)) {
		s->children[role].restarts = n;
		return true;
	}
	return sscanf(line, "upgrades %u", &s->upgrades) == 1;
}

/* Waits for a line. */
static bool receive(int socket, char *line, size_t size, int *fd, char *why, size_t why_size)
{
	struct pollfd p = {.fd = socket, .events = POLLIN};

	snprintf(why, why_size, "the running ipsecd does not answer");
	if (poll(&p, 1, ANSWER_MS) != 1 || line_receive(socket, line, size, fd) <= 0)
		return false;
	if (strncmp(line, "error ", 6) == 0)
		snprintf(why, why_size, "the running ipsecd refuses: %.200s", line + 6);
	return strncmp(line, "error ", 6) != 0;
}

static bool receive_all(struct supervisor *s, int socket, char *why, size_t size)
{
	char line[LINE_SOCKET_MAX];
	int fd;

	for (;;) {
		if (!receive(socket, line, sizeof(line), &fd, why, size))
			return false;
		if (strcmp(line, "all") == 0)
			return true;
		if (strncmp(line, "formats ", 8) == 0) {
			if (strcmp(line + 8, formats_kept()) == 0)
				continue;
			snprintf(why, size,
				 "the running ipsecd keeps its state in other formats (%.200s, "
				 "ours: %s)",
				 line + 8, formats_kept());
			return false;
		}
		if (!learn(s, line, fd)) {
			snprintf(why, size,
				 "the running ipsecd tells '%.200s', which can't be kept here",
				 line);
			return false;
		}
	}
}

static void former_free(struct supervisor *s)
{
	struct former *f = s->former;

	s->former = NULL;
	if (!f)
		return;
	ev_io_stop(s->loop, &f->readable);
	close(f->fd);
	free(f);
}

static void gone_elsewhere(struct supervisor *s, const char *word)
{
	enum ipc_role role;

	if (!role_named(word, &role) || !s->children[role].elsewhere)
		return;
	s->children[role].elsewhere = false;
	replace_gone(&s->children[role]);
	supervise_step(s);
}

/* Its processes end with it. */
static void former_died(struct supervisor *s)
{
	former_free(s);
	for (unsigned i = 0; i < IPC_ROLES; i++)
		s->children[i].elsewhere = false;
	supervise_step(s);
}

static void on_former(struct ev_loop *loop, ev_io *w, int revents)
{
	struct former *f = w->data;
	struct supervisor *s = f->supervisor;
	char line[LINE_SOCKET_MAX];
	int fd, n = line_receive(f->fd, line, sizeof(line), &fd);

	(void)loop;
	(void)revents;
	if (n < 0)
		former_died(s);
	else if (n > 0 && strncmp(line, "gone ", 5) == 0)
		gone_elsewhere(s, line + 5);
	else if (n > 0 && !learn(s, line, fd))
		log_to(s->log, LOG_LEVEL_ERROR, "job", "",
		       "the former ipsecd tells '%.200s', which can't be kept here", line);
}

bool takeover_begin(struct supervisor *s, char *why, size_t size)
{
	int fd;

	/* Before anything of the running one's is touched. */
	if (reload_check(s->options) != 0) {
		snprintf(why, size, "errors in the configuration; nothing was taken over");
		s->status = 2;
		return false;
	}
	fd = connect_to(s->options->vici, why, size);
	if (fd < 0)
		return false;
	if (!receive_all(s, fd, why, size)) {
		close(fd);
		s->left = true; /* nothing is ours */
		return false;
	}
	s->former = calloc(1, sizeof(*s->former));
	if (!s->former) {
		close(fd);
		snprintf(why, size, "out of memory");
		s->left = true;
		return false;
	}
	*s->former = (struct former){.supervisor = s, .fd = fd};
	ev_io_init(&s->former->readable, on_former, fd, EV_READ);
	s->former->readable.data = s->former;
	ev_io_start(s->loop, &s->former->readable);
	for (unsigned i = 0; i < IPC_ROLES; i++)
		s->children[i].elsewhere = true;
	return true;
}

void takeover_stop(struct child *c)
{
	char line[32];

	if (c->asked_to_stop)
		return;
	c->asked_to_stop = true;
	snprintf(line, sizeof(line), "stop %s", role_words[c->role]);
	if (c->supervisor->former)
		line_send(c->supervisor->former->fd, line, -1);
}

/* The other one has all of it still, and starts its processes when we are gone: ours go first, and
 * the files stay. */
void takeover_give_up(struct supervisor *s, int status)
{
	log_to(s->log, LOG_LEVEL_ERROR, "job", "",
	       "nothing was taken over: the process that ran before goes on");
	s->left = true;
	s->phase = PHASE_STOPPING;
	s->status = status;
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		ev_timer_stop(s->loop, &s->children[i].restart);
		process_kill(s->children[i].now, SIGKILL);
		process_kill(s->children[i].next, SIGKILL);
	}
	supervise_step(s);
}

void takeover_done(struct supervisor *s)
{
	if (!s->former)
		return;
	control_lock_inherit(s->lock);
	line_send(s->former->fd, "done", -1);
	former_free(s);
}
