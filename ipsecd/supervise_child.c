/* Processes: how they start, how they come to know each other, and what follows when one dies. */
#include "ipsecd/ipc/name.h"
#include "ipsecd/crash_secret.h"
#include "ipsecd/role.h"
#include "ipsecd/supervise_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINK_FD		     3
#define START_DEATHS_MAX     5	/* in a row before anything worked: it never will */
#define POISONED_DEATHS	     5	/* in a row after it worked: what it was given may be why */
#define TRIAL_DEATHS	     2	/* less than cost ike the SAs that it reads (restore.c) */
#define LEFTOVER_SECONDS     2. /* for what it said last to be read */
#define ALONE_PAUSE	     (MONO_S / 5) /* for another process to be there */
#define RELINK_INTERVAL	     (MONO_S / 2)
#define MFD_NOEXEC_SEAL_FLAG 0x0008U /* Linux 6.3 */

const char *const role_words[IPC_ROLES + 2] = {
	[IPC_ROLE_PLANE] = "plane",
	[IPC_ROLE_IKE] = "ike",
	[IPC_ROLE_HELPER] = "helper",
	[OWNER_SELF] = "self",
};

/* What each role works on, empty at first. */
static const char *const state_names[IPC_ROLES] = {
	[IPC_ROLE_PLANE] = "area",
	[IPC_ROLE_IKE] = "engine",
	[IPC_ROLE_HELPER] = "vault",
};

/* Who talks with whom. */
static const enum ipc_role pairs[][2] = {
	{IPC_ROLE_PLANE, IPC_ROLE_IKE},
	{IPC_ROLE_IKE, IPC_ROLE_HELPER},
};

static const char *word(const struct process *p)
{
	return role_words[p->child->role];
}

/* ---- starting ---- */

/* What the new process is to know, as words. */
static void build_argv(const struct child *c, char *role, size_t size,
		       const char *argv[OPTIONS_WORDS_MAX + 3])
{
	unsigned n = 0;

	snprintf(role, size, "--role=%s", role_words[c->role]);
	argv[n++] = "ipsecd";
	argv[n++] = role;
	n += options_words(c->supervisor->options, argv + n);
	argv[n] = NULL;
}

/* What a role writes there comes as lines of its own, marked and counted: nobody forges others, or
 * has our terminal. And whoever waits for the end of the streams that the command had sees it. */
static void leave_streams(int err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(err, STDERR_FILENO);
	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
}

/* In the child, between fork and exec. */
static _Noreturn void become(const struct child *c, pid_t parent, int link, int err,
			     const char *const *argv)
{
	leave_streams(err);
	if (link == LINK_FD)
		fcntl(link, F_SETFD, 0);
	else
		dup2(link, LINK_FD);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (c->killed)
		setenv(ROLE_KILLED, "1", 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it died before that */
	execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
	_exit(127);
}

static pid_t start(const struct child *c, int link, int err)
{
	pid_t parent = getpid(), pid;
	const char *argv[OPTIONS_WORDS_MAX + 3];
	char role[32];

	build_argv(c, role, sizeof(role), argv);
	pid = fork();
	if (pid == 0)
		become(c, parent, link, err, argv);
	return pid;
}

static void on_exit_of(struct ev_loop *loop, ev_child *w, int revents);
static void on_leftover(struct ev_loop *loop, ev_timer *w, int revents);

void process_watch(struct process *p, pid_t pid)
{
	p->pid = pid;
	p->started = mono_now();
	ev_child_init(&p->exit, on_exit_of, pid, 0);
	p->exit.data = p;
	ev_timer_init(&p->leftover, on_leftover, LEFTOVER_SECONDS, 0.);
	p->leftover.data = p;
	ev_child_start(p->supervisor->loop, &p->exit);
}

struct process *process_spawn(struct child *c)
{
	struct supervisor *s = c->supervisor;
	struct process *p = calloc(1, sizeof(*p));
	int link[2] = {-1, -1}, err[2] = {-1, -1};
	pid_t pid = -1;

	if (!p)
		return NULL;
	p->supervisor = s;
	p->child = c;
	p->generation = s->generation;
	p->stderr_fd = -1;
	if (ipc_pair(link) && pipe2(err, O_CLOEXEC | O_NONBLOCK) == 0)
		pid = start(c, link[1], err[1]);
	if (pid < 0)
		log_to(s->log, LOG_LEVEL_ERROR, "job", "", "starting %s: %s", role_words[c->role],
		       strerror(errno));
	if (link[1] >= 0)
		close(link[1]);
	if (err[1] >= 0)
		close(err[1]);
	if (pid > 0) {
		process_watch(p, pid);
		process_watch_stderr(p, err[0]);
		p->link = process_link(p, link[0]);
		if (p->link)
			return p;
		kill(pid, SIGKILL);
		process_free(p);
		return NULL;
	}
	if (link[0] >= 0)
		close(link[0]);
	if (err[0] >= 0)
		close(err[0]);
	free(p);
	return NULL;
}

void process_free(struct process *p)
{
	if (!p)
		return;
	ev_child_stop(p->supervisor->loop, &p->exit);
	ev_timer_stop(p->supervisor->loop, &p->leftover);
	if (p->stderr_fd >= 0) {
		ev_io_stop(p->supervisor->loop, &p->stderr_readable);
		close(p->stderr_fd);
	}
	ipc_link_free(p->link);
	free(p);
}

/* ---- beginning ---- */

/* A new connection between two that run; the one that is not begun yet has it before its start.
 * false: one of them does not run, or there is none to be had. */
static bool connect_pair(struct supervisor *s, enum ipc_role a, enum ipc_role b)
{
	struct process *one = s->children[a].now, *other = s->children[b].now;
	char name[IPC_NAME_MAX];
	int fds[2];

	/* Programs of two generations may not understand each other. */
	if (!one || !other || !one->link || !other->link || one->generation != other->generation)
		return false;
	if (!ipc_pair(fds)) {
		log_to(s->log, LOG_LEVEL_ERROR, "job", "", "connecting %s with %s: %s",
		       role_words[a], role_words[b], strerror(errno));
		return false;
	}
	snprintf(name, sizeof(name), "link:%s", role_words[b]);
	ipc_send_name(one->link, IPC_GIVE, name, fds[0]);
	snprintf(name, sizeof(name), "link:%s", role_words[a]);
	ipc_send_name(other->link, IPC_GIVE, name, fds[1]);
	close(fds[0]);
	close(fds[1]);
	return true;
}

/* One that is just being started has a link by that. */
void child_relink(struct child *c)
{
	struct supervisor *s = c->supervisor;
	mono_time now = mono_now();

	if (!c->now || !c->now->begun || (c->relinked && now - c->relinked < RELINK_INTERVAL))
		return;
	c->relinked = now;
	if (connect_pair(s, IPC_ROLE_IKE, c->role))
		log_to(s->log, LOG_LEVEL_WARN, "job", "",
		       "the link between ike and %s broke: they have a new one",
		       role_words[c->role]);
}

static void make_state(struct supervisor *s, enum ipc_role role)
{
	const char *name = state_names[role];
	int fd;

	if (keep_find(s->keep, role, name) >= 0)
		return;
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL_FLAG);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		log_to(s->log, LOG_LEVEL_ERROR, "job", "", "memory for %s: %s", name,
		       strerror(errno));
	else
		supervise_keep(s, role, name, fd);
}

/* Where there can be no file, it is memory and lasts as long as the supervisor. */
static void make_crash_secret(struct supervisor *s)
{
	char why[320];
	int fd;

	if (keep_find(s->keep, IPC_ROLE_IKE, CRASH_SECRET) >= 0)
		return;
	fd = crash_secret_open(s->options->crash_secret, why, sizeof(why));
	if (why[0])
		log_to(s->log, LOG_LEVEL_WARN, "job", "", CRASH_SECRET_LOST, why);
	if (fd >= 0)
		supervise_keep(s, IPC_ROLE_IKE, CRASH_SECRET, fd);
}

static void give(void *ctx, unsigned owner, const char *name, int fd)
{
	struct process *p = ctx;
	bool vici =
		owner == OWNER_SELF && p->child->role == IPC_ROLE_IKE && strcmp(name, "vici") == 0;

	if (owner == p->child->role || vici)
		ipc_send_name(p->link, IPC_GIVE, name, fd);
}

void process_begin(struct process *p)
{
	struct supervisor *s = p->supervisor;

	p->child->now = p;
	make_state(s, p->child->role);
	if (p->child->role == IPC_ROLE_IKE)
		make_crash_secret(s);
	keep_each(s->keep, give, p);
	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (pairs[i][0] == p->child->role || pairs[i][1] == p->child->role)
			connect_pair(s, pairs[i][0], pairs[i][1]);
	}
	p->begun = true;
	p->started = mono_now();
	ipc_send(p->link, IPC_START, 0, NULL, 0, NULL, 0);
	supervise_tell(s);
}

static void on_restart(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	child_start(w->data);
}

static void start_in(struct child *c, mono_time pause)
{
	struct ev_loop *loop = c->supervisor->loop;

	ev_timer_stop(loop, &c->restart);
	ev_now_update(loop);
	ev_timer_init(&c->restart, on_restart, (double)pause / (double)MONO_S, 0.);
	c->restart.data = c;
	ev_timer_start(loop, &c->restart);
}

void child_start(struct child *c)
{
	struct process *p;

	if (c->now || c->supervisor->phase == PHASE_STOPPING)
		return;
	p = c->next ? c->next : process_spawn(c);
	c->next = NULL;
	if (p)
		process_begin(p);
	else
		start_in(c, MONO_S);
}

/* ---- ending ---- */

void process_stop(struct process *p, bool keep)
{
	struct ipc_stop stop = {.keep = keep};
	struct span body = span_of(&stop, sizeof(stop));

	if (!p || p->stopping)
		return;
	p->stopping = true;
	ipc_send(p->link, IPC_STOP, 0, &body, 1, NULL, 0);
}

void process_kill(struct process *p, int signal_number)
{
	if (p && !p->exited)
		kill(p->pid, signal_number);
}

/* The other one is gone, or does not answer: that is dealt with where it is seen. */
static bool is_alone(const struct process *p)
{
	return WIFEXITED(p->status) && WEXITSTATUS(p->status) == ROLE_ALONE;
}

/* From wait's status: "killed by SIGSEGV". */
static const char *describe(const struct process *p, char *text, size_t size)
{
	const char *abbreviation =
		WIFSIGNALED(p->status) ? sigabbrev_np(WTERMSIG(p->status)) : NULL;

	if (p->hung)
		snprintf(text, size, "did not answer any more");
	else if (is_alone(p))
		snprintf(text, size, "can't work without another process");
	else if (abbreviation)
		snprintf(text, size, "killed by SIG%s", abbreviation);
	else if (WIFSIGNALED(p->status))
		snprintf(text, size, "killed by signal %d", WTERMSIG(p->status));
	else if (WEXITSTATUS(p->status) == 127)
		snprintf(text, size, "could not be executed");
	else
		snprintf(text, size, "ended with status %d", WEXITSTATUS(p->status));
	return text;
}

/* Killed again and again with what it was given: perhaps that is the reason. Keys without their
 * counters must not be used, so the plane's area takes ike's knowledge of the SAs along. */
static void forget_state(struct child *c)
{
	struct supervisor *s = c->supervisor;

	log_to(s->log, LOG_LEVEL_ERROR, "job", "",
	       "%s dies again and again: it is started without what its predecessors knew",
	       role_words[c->role]);
	supervise_drop(s, c->role, state_names[c->role]);
	if (c->role != IPC_ROLE_PLANE)
		return;
	supervise_drop(s, IPC_ROLE_IKE, state_names[IPC_ROLE_IKE]);
	process_kill(s->children[IPC_ROLE_IKE].now, SIGKILL);
}

static void tell_death(const struct child *c, const struct process *p, mono_time pause)
{
	char when[64] = "starting it again at once";

	if (pause)
		snprintf(when, sizeof(when), "starting it again in %.1f s",
			 (double)pause / (double)MONO_S);
	log_to(c->supervisor->log, LOG_LEVEL_ERROR, "job", "", "%s (pid %ld) %s%s%s; %s", word(p),
	       (long)p->pid, c->last_death, p->last[0] ? "; last: " : "", p->last, when);
}

/* It can't start, and said so or left with a status: nobody starts it again. */
static bool never_works(const struct child *c, const struct process *p)
{
	bool status = WIFEXITED(p->status) && WEXITSTATUS(p->status) != 0;

	return !is_alone(p) && (c->supervisor->phase == PHASE_STARTING || c->supervisor->former) &&
	       (p->failed || status || c->backoff.deaths >= START_DEATHS_MAX);
}

/* SIGKILL comes from others: an operator, a test, the kernel without memory. */
static bool own_fault(const struct process *p)
{
	bool killed = WIFSIGNALED(p->status) && WTERMSIG(p->status) == SIGKILL;

	return p->hung || !(killed || is_alone(p));
}

/* The program that is about to take over from another one. */
static bool fails_its_trial(const struct child *c, const struct process *p)
{
	return c->supervisor->replacing && c->supervisor->former_program >= 0 && own_fault(p) &&
	       (p->failed || c->backoff.deaths >= TRIAL_DEATHS);
}

/* Somebody can't start, and all end when it has gone. */
static bool a_start_failed(const struct supervisor *s)
{
	if (s->phase != PHASE_STARTING)
		return false;
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		if (s->children[i].now && s->children[i].now->failed)
			return true;
	}
	return false;
}

static void died(struct child *c, struct process *p)
{
	struct supervisor *s = c->supervisor;
	mono_time max = (mono_time)(s->options->restart_pause * (double)MONO_S), pause;

	describe(p, c->last_death, sizeof(c->last_death));
	pause = is_alone(p) ? ALONE_PAUSE : backoff_died(&c->backoff, p->started, mono_now(), max);
	if (never_works(c, p)) {
		if (!p->failed) /* else it has said why */
			log_to(s->log, LOG_LEVEL_ERROR, "job", "", "%s (pid %ld) %s; ending",
			       word(p), (long)p->pid, c->last_death);
		supervise_stop(s, false,
			       WIFEXITED(p->status) && WEXITSTATUS(p->status)
				       ? WEXITSTATUS(p->status)
				       : 1);
		return;
	}
	if (is_alone(p) && a_start_failed(s)) {
		start_in(c, pause); /* unless it ends with that one, which has said why */
		return;
	}
	c->restarts++;
	c->killed = !own_fault(p);
	tell_death(c, p, pause);
	if (fails_its_trial(c, p))
		upgrade_go_back(s);
	if (c->backoff.deaths > 1 && c->backoff.deaths % POISONED_DEATHS == 0 && own_fault(p))
		forget_state(c);
	if (pause)
		start_in(c, pause);
	else
		child_start(c);
}

static void end_of(struct child *c, struct process *p)
{
	if (p->stopping)
		child_start(c);
	else
		died(c, p);
}

static void gone(struct process *p)
{
	struct child *c = p->child;
	struct supervisor *s = p->supervisor;

	process_drain_stderr(p);
	if (c->next == p) {
		c->next = NULL;
	} else if (c->now == p) {
		c->now = NULL;
		if (s->phase == PHASE_STOPPING)
			;
		else if (s->handing_over)
			takeover_gone(c);
		else if (p->generation != s->generation)
			replace_gone(c);
		else
			end_of(c, p);
	}
	process_free(p);
	supervise_tell(s);
	supervise_step(s);
}

void process_closed(struct process *p)
{
	p->closed = true;
	process_kill(p, SIGKILL); /* it closed or broke the link, and is of no use */
	if (p->exited)
		gone(p);
}

static void on_exit_of(struct ev_loop *loop, ev_child *w, int revents)
{
	struct process *p = w->data;

	(void)revents;
	ev_child_stop(loop, w);
	p->exited = true;
	p->status = w->rstatus;
	if (p->closed)
		gone(p);
	else
		ev_timer_start(loop, &p->leftover);
}

/* It gave its end of the link to somebody before it died. */
static void on_leftover(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct process *p = w->data;

	(void)loop;
	(void)revents;
	p->closed = true;
	gone(p);
}
