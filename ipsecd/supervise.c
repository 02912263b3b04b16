/* The supervisor's life: what it starts with, signals, and the order in which things end. */
#include "ipsecd/supervise.h"
#include "ipsecd/control/control.h"
#include "ipsecd/supervise_parts.h"
#include "lib/notify.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define DRAIN_SECONDS  25. /* ike: peers get 4 s, scripts 15 s; who needs longer hangs */
#define END_SECONDS    5.  /* the others, which wait for nobody */
#define HASTE_SECONDS  1.  /* the same after a second signal */
#define PING_SECONDS   10.
#define UNANSWERED_MAX 6
/* Each tunnel has a descriptor here and in the plane. */
#define DESCRIPTORS 65536

_Static_assert(KEEP_NAME_MAX == IPC_NAME_MAX, "a name is kept as it came");

/* The order of starting: who is needed by the others begins first. */
static const enum ipc_role order[IPC_ROLES] = {IPC_ROLE_HELPER, IPC_ROLE_PLANE, IPC_ROLE_IKE};

/* ---- what is kept ---- */

bool supervise_keep(struct supervisor *s, unsigned owner, const char *name, int fd)
{
	if (!keep_put(s->keep, owner, name, fd))
		return false;
	takeover_kept(s, owner, name, fd);
	systemd_kept(owner, name, fd);
	return true;
}

void supervise_drop(struct supervisor *s, unsigned owner, const char *name)
{
	takeover_kept(s, owner, name, -1);
	systemd_kept(owner, name, -1);
	keep_drop(s->keep, owner, name);
}

/* ---- telling ---- */

void supervise_status(struct supervisor *s, const char *text)
{
	log_to(s->log, LOG_LEVEL_DEBUG, "job", "", "status: %s", text);
	notify_status("%s", text);
}

void supervise_tell(struct supervisor *s)
{
	struct process *ike = s->children[IPC_ROLE_IKE].now;
	struct ipc_processes all = {.supervisor = (int32_t)getpid(), .upgrades = s->upgrades};
	struct span body = span_of(&all, sizeof(all));

	if (!ike || !ike->begun || ike->stopping)
		return;
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		const struct child *c = &s->children[i];

		all.role[i].pid = c->now ? (int32_t)c->now->pid : 0;
		all.role[i].restarts = c->restarts;
		memcpy(all.role[i].last_death, c->last_death, sizeof(c->last_death));
	}
	ipc_send(ike->link, IPC_PROCESSES, 0, &body, 1, NULL, 0);
}

/* ---- ending ---- */

static bool all_gone(const struct supervisor *s)
{
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		if (s->children[i].now || s->children[i].next)
			return false;
	}
	return true;
}

void supervise_arm_limit(struct supervisor *s, double seconds)
{
	ev_timer_stop(s->loop, &s->limit);
	ev_now_update(s->loop);
	ev_timer_set(&s->limit, seconds, 0.);
	ev_timer_start(s->loop, &s->limit);
}

/* ike first: it tells the peers and calls scripts, for which it needs the other two. */
static void stop_step(struct supervisor *s)
{
	struct process *plane = s->children[IPC_ROLE_PLANE].now;
	struct process *helper = s->children[IPC_ROLE_HELPER].now;

	if (all_gone(s)) {
		ev_break(s->loop, EVBREAK_ALL);
		return;
	}
	if (s->children[IPC_ROLE_IKE].now ||
	    ((!plane || plane->stopping) && (!helper || helper->stopping)))
		return;
	process_stop(plane, s->keeping);
	process_stop(helper, s->keeping);
	supervise_arm_limit(s, s->hasty ? HASTE_SECONDS : END_SECONDS);
}

void supervise_stop(struct supervisor *s, bool keep, int status)
{
	if (s->phase == PHASE_STOPPING)
		return;
	if (s->former) {
		takeover_give_up(s, status);
		return;
	}
	s->phase = PHASE_STOPPING;
	s->keeping = keep;
	s->status = status;
	notify_send("STOPPING=1");
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		ev_timer_stop(s->loop, &s->children[i].restart);
		process_kill(s->children[i].next, SIGKILL);
	}
	supervise_arm_limit(s, DRAIN_SECONDS);
	process_stop(s->children[IPC_ROLE_IKE].now, keep);
	stop_step(s);
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		struct process *p = s->children[i].now;

		if (!p || !p->stopping)
			continue;
		log_to(s->log, LOG_LEVEL_WARN, "job", "", "%s (pid %ld) does not end: killed",
		       role_words[i], (long)p->pid);
		process_kill(p, SIGKILL);
	}
}

static void on_term(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct supervisor *s = w->data;

	(void)loop;
	(void)revents;
	if (s->phase != PHASE_STOPPING) {
		supervise_stop(s, s->keep_seconds && notify_on(), 0);
		return;
	}
	s->hasty = true;
	process_kill(s->children[IPC_ROLE_IKE].now, SIGKILL);
	supervise_arm_limit(s, HASTE_SECONDS);
}

static void reload(struct supervisor *s)
{
	struct process *ike = s->children[IPC_ROLE_IKE].now;

	s->reload_due = !ike || !ike->ready || ike->stopping;
	if (s->reload_due)
		return; /* the next one, when it works */
	notify_reloading();
	ipc_send(ike->link, IPC_RELOAD, 0, NULL, 0, NULL, 0);
}

static void on_hangup(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	(void)revents;
	reload(w->data);
}

/* ---- watching ---- */

static void ready(struct supervisor *s)
{
	s->phase = PHASE_RUNNING;
	s->announced = true;
	log_to(s->log, LOG_LEVEL_NOTICE, "job", "",
	       "ipsecd " DETOUR_VERSION " runs: plane %ld, ike %ld, helper %ld",
	       (long)s->children[IPC_ROLE_PLANE].now->pid, (long)s->children[IPC_ROLE_IKE].now->pid,
	       (long)s->children[IPC_ROLE_HELPER].now->pid);
	s->running();
	notify_send("READY=1");
}

void supervise_step(struct supervisor *s)
{
	bool all = true;

	for (unsigned i = 0; i < IPC_ROLES; i++)
		all = all && s->children[i].now && s->children[i].now->ready;
	if (s->phase == PHASE_STOPPING)
		stop_step(s);
	else if (s->replacing)
		replace_step(s);
	else if (all && !s->announced)
		ready(s);
	if (s->announced && s->reload_due && s->phase == PHASE_RUNNING)
		reload(s);
}

/* One that lives but does not turn its loop any more helps nobody. Counted, not timed: when this
 * process itself was stopped for long, the answers are there. */
static void on_ping(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		struct process *p = s->children[i].now;

		if (!p || !p->begun || p->exited)
			continue;
		if (p->unanswered++ >= UNANSWERED_MAX && !p->stopping) {
			p->hung = true;
			process_kill(p, SIGKILL);
		} else {
			ipc_send(p->link, IPC_PING, 0, NULL, 0, NULL, 0);
		}
	}
}

/* ---- life ---- */

static void start_watchers(struct supervisor *s)
{
	ev_signal_init(&s->term, on_term, SIGTERM);
	ev_signal_init(&s->interrupt, on_term, SIGINT);
	ev_signal_init(&s->hangup, on_hangup, SIGHUP);
	ev_timer_init(&s->limit, on_limit, 0., 0.);
	ev_timer_init(&s->ping, on_ping, PING_SECONDS, PING_SECONDS);
	s->term.data = s->interrupt.data = s->hangup.data = s->limit.data = s->ping.data = s;
	ev_signal_start(s->loop, &s->term);
	ev_signal_start(s->loop, &s->interrupt);
	ev_signal_start(s->loop, &s->hangup);
	ev_timer_start(s->loop, &s->ping);
}

static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= DESCRIPTORS)
		return;
	r.rlim_cur = r.rlim_max < DESCRIPTORS ? r.rlim_max : DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &r);
}

static bool open_sockets(struct supervisor *s, char *why, size_t size)
{
	int fd;

	s->lock = control_lock(s->options->vici, why, size);
	if (s->lock < 0)
		return false;
	systemd_take(s);
	if (keep_find(s->keep, OWNER_SELF, "vici") < 0) {
		fd = control_listen(s->options->vici, why, size);
		if (fd < 0 || !supervise_keep(s, OWNER_SELF, "vici", fd))
			return false;
	}
	if (keep_find(s->keep, OWNER_SELF, "socket") < 0)
		socket_open(s);
	socket_watch(s);
	return true;
}

static void start_all(struct supervisor *s)
{
	for (unsigned i = 0; i < IPC_ROLES; i++)
		child_start(&s->children[order[i]]);
}

/* Signals were held back over the exec. */
static void release_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	raise(SIGCHLD); /* who ended meanwhile was not told of */
}

static bool begin(struct supervisor *s, char *why, size_t size)
{
	const struct sandbox sandbox = {
		.role = SANDBOX_SUPERVISOR, .mode = s->options->sandbox, .log = s->log};
	const char *handed = getenv(SUPERVISE_ENV);
	int asker;

	if (!sandbox_enter(&sandbox, why, size))
		return false;
	if (handed) {
		int fd = (int)strtol(handed, NULL, 10);

		unsetenv(SUPERVISE_ENV);
		if (!handover_read(s, fd, &asker, why, size))
			return false;
		release_signals();
		socket_watch(s);
		s->asker = asker >= 0 ? asker_new(s, asker) : NULL;
		replace_begin(s);
	} else if (s->options->takeover) {
		if (!takeover_begin(s, why, size))
			return false;
		socket_watch(s);
		replace_begin(s);
	} else {
		if (!open_sockets(s, why, size))
			return false;
		start_all(s);
	}
	return true;
}

static void close_all(struct supervisor *s)
{
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		ev_timer_stop(s->loop, &s->children[i].restart);
		process_free(s->children[i].now);
		process_free(s->children[i].next);
	}
	upgrade_free(s);
	upgrade_stays(s);
	socket_close(s);
	notify_barrier();
	if (!s->left && !s->keeping && keep_find(s->keep, OWNER_SELF, "vici") >= 0)
		unlink(s->options->vici);
	if (s->left)
		close(s->lock);
	else
		control_unlock(s->options->vici, s->lock);
	script_desk_free(s->scripts);
	keep_free(s->keep);
	free(s->binary);
}

int supervise_run(const struct options *options, void (*running)(void))
{
	struct supervisor s = {.options = options,
			       .loop = ev_default_loop(0),
			       .log = log_default(),
			       .running = running,
			       .keep = keep_new(),
			       .binary = upgrade_own_path(),
			       .lock = -1,
			       .former_program = -1};
	char why[512] = "out of memory";

	for (unsigned i = 0; i < IPC_ROLES; i++)
		s.children[i] = (struct child){.supervisor = &s, .role = (enum ipc_role)i};
	raise_limits();
	start_watchers(&s);
	systemd_watch(&s);
	if (s.keep && supervise_open_scripts(&s) && begin(&s, why, sizeof(why))) {
		ev_run(s.loop, 0);
	} else {
		log_to(s.log, LOG_LEVEL_ERROR, "job", "", "can't start: %s", why);
		s.status = s.status ? s.status : 1;
	}
	close_all(&s);
	return s.status;
}
