/* `ipsecctl upgrade`: the new binary is asked whether it understands what is kept and the
 * configuration, and only then becomes the program of this process. What was asked is what is
 * executed: one descriptor, not a path that may name another file by then. */
#include "ipsecd/formats.h"
#include "ipsecd/ipc/name.h"
#include "ipsecd/reload.h"
#include "ipsecd/supervise.h"
#include "ipsecd/supervise_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_SECONDS 20.
#define OUTPUT_MAX    4096
#define FLUSH_MS      1000
#define CHECK_WORD    "ipsecd-upgrade "

struct upgrade {
	struct supervisor *supervisor;
	struct asker *asker; /* NULL: it is gone */
	char *path;
	int binary, output;
	bool force, exited, ended;
	int status;
	ev_child exit;
	ev_io readable;
	ev_timer limit;
	size_t len;
	char text[OUTPUT_MAX + 1];
};

bool supervise_is_continued(void)
{
	return getenv(SUPERVISE_ENV);
}

int supervise_check_upgrade(const struct options *options)
{
	printf(CHECK_WORD "%s\n", formats_kept());
	fflush(stdout);
	return reload_check(options);
}

char *upgrade_own_path(void)
{
	static const char deleted[] = " (deleted)";
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	size_t tail = sizeof(deleted) - 1;

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	if ((size_t)n > tail && strcmp(path + n - tail, deleted) == 0)
		path[(size_t)n - tail] = '\0';
	return strdup(path);
}

void upgrade_free(struct supervisor *s)
{
	struct upgrade *u = s->upgrade;

	if (!u)
		return;
	s->upgrade = NULL;
	ev_child_stop(s->loop, &u->exit);
	ev_io_stop(s->loop, &u->readable);
	ev_timer_stop(s->loop, &u->limit);
	close(u->binary);
	if (u->output >= 0)
		close(u->output);
	free(u->path);
	free(u);
}

void upgrade_asker_gone(struct supervisor *s, const struct asker *a)
{
	if (s->upgrade && s->upgrade->asker == a)
		s->upgrade->asker = NULL;
}

static void refuse(struct upgrade *u, const char *why)
{
	struct supervisor *s = u->supervisor;

	log_to(s->log, LOG_LEVEL_ERROR, "job", "", "no upgrade to %s: %s", u->path, why);
	asker_say(u->asker, -1, "error %s: %s", u->path, why);
	upgrade_free(s);
}

/* ---- the next program ---- */

static void build_argv(const struct options *o, const char *argv[OPTIONS_WORDS_MAX + 8],
		       char *pause, size_t size)
{
	unsigned n = 0;

	argv[n++] = "ipsecd";
	argv[n++] = "--split";
	if (o->foreground)
		argv[n++] = "--foreground";
	n += options_words(o, argv + n);
	argv[n++] = "--crash-secret";
	argv[n++] = o->crash_secret;
	snprintf(pause, size, "%g", o->restart_pause);
	argv[n++] = "--restart-pause";
	argv[n++] = pause;
	argv[n] = NULL;
}

/* What is sent is in the sockets, which stay; what waits in memory would be lost. */
static void flush_links(struct supervisor *s)
{
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		if (s->children[i].now)
			ipc_flush(s->children[i].now->link, FLUSH_MS);
	}
}

/* Returns if it can't be. own: see handover_write. */
static void execute(struct supervisor *s, int binary, int asker, int own, char *why, size_t size)
{
	const char *argv[OPTIONS_WORDS_MAX + 8];
	char pause[32], number[16];
	sigset_t all, before;
	int fd;

	build_argv(s->options, argv, pause, sizeof(pause));
	flush_links(s);
	fd = handover_write(s, asker, own);
	snprintf(number, sizeof(number), "%d", fd);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before); /* until it has handlers */
	if (fd >= 0 && setenv(SUPERVISE_ENV, number, 1) == 0)
		fexecve(binary, (char *const *)(uintptr_t)argv, environ);
	snprintf(why, size, "it can't be executed: %s", strerror(errno));
	unsetenv(SUPERVISE_ENV);
	handover_undo(s, asker, fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void become(struct upgrade *u)
{
	struct supervisor *s = u->supervisor;
	int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char why[128];

	log_to(s->log, LOG_LEVEL_NOTICE, "job", "", "upgrade: %s takes over", u->path);
	if (own < 0)
		snprintf(why, sizeof(why), "no way back to this program: %s", strerror(errno));
	else
		execute(s, u->binary, asker_fd(u->asker), own, why, sizeof(why));
	if (own >= 0)
		close(own);
	refuse(u, why);
}

void upgrade_go_back(struct supervisor *s)
{
	char why[128];

	log_to(s->log, LOG_LEVEL_ERROR, "job", "",
	       "upgrade: this program does not work: back to the one before");
	for (unsigned i = 0; i < IPC_ROLES; i++)
		process_kill(s->children[i].next, SIGKILL);
	execute(s, s->former_program, asker_fd(s->asker), -1, why, sizeof(why));
	log_to(s->log, LOG_LEVEL_ERROR, "job", "", "the program before: %s", why);
	upgrade_stays(s);
}

void upgrade_stays(struct supervisor *s)
{
	if (s->former_program >= 0)
		close(s->former_program);
	s->former_program = -1;
}

/* ---- the check ---- */

static const char *first_line(const char *text, char *line, size_t size)
{
	snprintf(line, size, "%.*s", (int)strcspn(text, "\n"), text);
	return line;
}

static void judge(struct upgrade *u)
{
	char line[256], why[512], expected[256];
	const char *rest;

	u->text[u->len] = '\0';
	first_line(u->text, line, sizeof(line));
	snprintf(expected, sizeof(expected), CHECK_WORD "%s", formats_kept());
	rest = strchr(u->text, '\n');
	if (strncmp(line, CHECK_WORD, strlen(CHECK_WORD)) != 0) {
		snprintf(why, sizeof(why), "it is no ipsecd that can take over%s%s",
			 line[0] ? "; it said: " : "", line);
		refuse(u, why);
	} else if (strcmp(line, expected) != 0 && !u->force) {
		snprintf(why, sizeof(why),
			 "it keeps its state in other formats (%.100s, ours: %s): restart ipsecd "
			 "with it, or upgrade with --force, and tunnels are negotiated anew",
			 line + strlen(CHECK_WORD), formats_kept());
		refuse(u, why);
	} else if (!WIFEXITED(u->status) || WEXITSTATUS(u->status) != 0) {
		first_line(rest ? rest + 1 : "", line, sizeof(line));
		snprintf(why, sizeof(why), "it refuses the configuration: %s",
			 line[0] ? line : "it does not say why");
		refuse(u, why);
	} else {
		become(u);
	}
}

static void on_output(struct ev_loop *loop, ev_io *w, int revents)
{
	struct upgrade *u = w->data;
	char more[512];
	ssize_t n = read(u->output, more, sizeof(more));

	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		size_t room = OUTPUT_MAX - u->len, take = (size_t)n < room ? (size_t)n : room;

		memcpy(u->text + u->len, more, take);
		u->len += take;
		return;
	}
	ev_io_stop(loop, w);
	u->ended = true;
	if (u->exited)
		judge(u);
}

static void on_check_exit(struct ev_loop *loop, ev_child *w, int revents)
{
	struct upgrade *u = w->data;

	(void)revents;
	ev_child_stop(loop, w);
	u->exited = true;
	u->status = w->rstatus;
	if (u->ended)
		judge(u);
}

static void on_check_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct upgrade *u = w->data;

	(void)loop;
	(void)revents;
	if (!u->exited)
		kill(u->exit.pid, SIGKILL);
	refuse(u, "it does not answer --check-upgrade in time");
}

/* In the child, between fork and exec. */
static _Noreturn void run_check(const struct upgrade *u, int output)
{
	const char *argv[OPTIONS_WORDS_MAX + 3] = {"ipsecd", "--check-upgrade"};

	argv[2 + options_file_words(u->supervisor->options, argv + 2)] = NULL;
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	fexecve(u->binary, (char *const *)(uintptr_t)argv, environ);
	dprintf(STDOUT_FILENO, "%s\n", strerror(errno));
	_exit(127);
}

static bool start_check(struct upgrade *u)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	u->output = ends[0];
	pid = fork();
	if (pid == 0)
		run_check(u, ends[1]);
	close(ends[1]);
	if (pid < 0)
		return false;
	ev_child_init(&u->exit, on_check_exit, pid, 0);
	ev_io_init(&u->readable, on_output, u->output, EV_READ);
	ev_timer_init(&u->limit, on_check_limit, CHECK_SECONDS, 0.);
	u->exit.data = u->readable.data = u->limit.data = u;
	ev_child_start(u->supervisor->loop, &u->exit);
	ev_io_start(u->supervisor->loop, &u->readable);
	ev_timer_start(u->supervisor->loop, &u->limit);
	return true;
}

/* NULL: nothing speaks against it. */
static const char *hindrance(const struct supervisor *s)
{
	if (s->phase != PHASE_RUNNING || !s->announced)
		return "ipsecd is just starting or ending";
	if (s->replacing || s->upgrade || s->heir)
		return "an upgrade is under way";
	if (script_desk_left(s->scripts)) /* their ends would be heard by nobody */
		return "an updown script runs: try again when it has ended";
	return NULL;
}

void upgrade_begin(struct supervisor *s, struct asker *a, const char *path, bool force)
{
	const char *why = path ? hindrance(s) : "which binary?";
	struct upgrade *u;

	if (why) {
		asker_say(a, -1, "error %s", why);
		return;
	}
	u = calloc(1, sizeof(*u));
	if (!u) {
		asker_say(a, -1, "error out of memory");
		return;
	}
	u->supervisor = s;
	u->asker = a;
	u->force = force;
	u->output = -1;
	u->path = strdup(path);
	u->binary = open(path, O_RDONLY | O_CLOEXEC);
	s->upgrade = u;
	if (!u->path || u->binary < 0 || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ||
	    !start_check(u))
		refuse(u, strerror(errno));
}
