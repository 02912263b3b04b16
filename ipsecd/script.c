/* Scripts: a queue for each line, a process group for each that runs.
 *
 * Owns the queues, the processes, their output pipes and deadlines. Knows nothing of what
 * the scripts are for. A job that ends makes room; its line goes behind the others. */
#include "ipsecd/script.h"
#include "lib/mono.h"
#include "lib/text.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#define KILL_SECONDS 2. /* between SIGTERM and SIGKILL */
#define LINE_MAX_LEN 256
#define LINES_BURST  20 /* of one script's output to the log, in a second */

struct job {
	struct scripts *owner;
	struct line *line;
	char *name, *what, *command, **env;
	uint64_t number;
	double timeout;
	pid_t pid;  /* 0: waits */
	int output; /* -1: closed */
	bool timed_out;
	char text[LINE_MAX_LEN], last[LINE_MAX_LEN]; /* begun; the last whole one */
	size_t len;
	struct log_limit limit;
	unsigned left_out;
	ev_child ended;
	ev_io readable;
	ev_timer deadline;
	struct job *prev, *next;
};

struct line {
	uint32_t id;
	struct job *jobs; /* the first one runs, or waits for room */
	struct line *prev, *next;
	UT_hash_handle hh;
};

struct scripts {
	struct scripts_host host;
	struct line *lines, *waiting; /* waiting: lines whose first job does not run */
	unsigned running;
	size_t left;
};

static void say(const struct job *j, enum log_level level, const char *text)
{
	log_to(j->owner->host.log, level, "job", j->name, "%s: %s", j->what, text);
}

/* ---- output ---- */

static void end_line(struct job *j)
{
	j->text[j->len] = '\0';
	if (j->len == 0)
		return;
	memcpy(j->last, j->text, j->len + 1);
	j->len = 0;
	if (log_limit_pass(&j->limit, mono_now()))
		say(j, LOG_LEVEL_INFO, j->last);
	else
		j->left_out++;
}

static void take_output(struct job *j, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = data[i];

		if (c == '\n') {
			end_line(j);
			continue;
		}
		if (j->len == LINE_MAX_LEN - 1)
			end_line(j);
		j->text[j->len] = text_is_control(j->len ? j->text[j->len - 1] : 0, c) ? ' ' : c;
		j->len++;
	}
}

static void close_output(struct job *j)
{
	if (j->output < 0)
		return;
	ev_io_stop(j->owner->host.loop, &j->readable);
	close(j->output);
	j->output = -1;
	end_line(j);
}

/* At most this much in one turn of the loop: a flood takes its turns like everything else. */
static void read_output(struct job *j, unsigned rounds)
{
	char data[4096];

	while (j->output >= 0 && rounds-- > 0) {
		ssize_t n = TEMP_FAILURE_RETRY(read(j->output, data, sizeof(data)));

		if (n > 0)
			take_output(j, data, (size_t)n);
		else if (n < 0 && errno == EAGAIN)
			return;
		else
			close_output(j);
	}
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	read_output(w->data, 1);
}

/* ---- the queue ---- */

static void strings_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static void job_free(struct job *j)
{
	struct ev_loop *loop = j->owner->host.loop;

	close_output(j);
	ev_child_stop(loop, &j->ended);
	ev_timer_stop(loop, &j->deadline);
	free(j->name);
	free(j->what);
	free(j->command);
	strings_free(j->env);
	free(j);
}

/* Its line's next one takes its turn behind the other lines. */
static void job_remove(struct job *j)
{
	struct scripts *s = j->owner;
	struct line *line = j->line;
	uint64_t number = j->number;

	DL_DELETE(line->jobs, j);
	if (j->pid)
		s->running--;
	s->left--;
	job_free(j);
	if (line->jobs) {
		DL_APPEND(s->waiting, line);
	} else {
		HASH_DEL(s->lines, line);
		free(line);
	}
	if (number && s->host.ended)
		s->host.ended(s->host.ctx, number);
}

static void start_waiting(struct scripts *s);

/* ---- a process ---- */

static void tell_end(struct job *j, int status)
{
	char how[64], text[LINE_MAX_LEN + 192];

	if (j->left_out) {
		snprintf(how, sizeof(how), "%u more lines of output", j->left_out);
		say(j, LOG_LEVEL_INFO, how);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !j->timed_out)
		return;
	if (j->timed_out)
		snprintf(how, sizeof(how), "took longer than %.0f s and was killed", j->timeout);
	else if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "ended by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof(how), "failed with exit status %d", WEXITSTATUS(status));
	snprintf(text, sizeof(text), "'%.64s' %s%s%s", j->command, how, j->last[0] ? ": " : "",
		 j->last);
	say(j, LOG_LEVEL_WARN, text);
}

static void on_ended(struct ev_loop *loop, ev_child *w, int revents)
{
	struct job *j = w->data;
	struct scripts *s = j->owner;

	(void)loop;
	(void)revents;
	read_output(j, 16); /* what is there; somebody it left behind may hold the pipe */
	close_output(j);
	if (j->timed_out)
		kill(-j->pid, SIGKILL); /* what ignored SIGTERM */
	tell_end(j, w->rstatus);
	job_remove(j);
	start_waiting(s);
	if (s->left == 0 && s->host.idle)
		s->host.idle(s->host.ctx);
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct job *j = w->data;

	(void)revents;
	kill(-j->pid, j->timed_out ? SIGKILL : SIGTERM);
	if (j->timed_out)
		return;
	j->timed_out = true;
	ev_timer_set(w, KILL_SECONDS, 0.);
	ev_timer_start(loop, w);
}

/* A group of its own, so that its own children end with it; signals as a shell expects them;
 * nothing of ours open. */
static int spawn(struct job *j, int out)
{
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, j->command, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int e;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	e = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!e)
		e = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (!e)
		e = posix_spawn_file_actions_adddup2(&actions, out, 2);
	if (!e)
		e = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	if (!e)
		e = posix_spawn_file_actions_addchdir_np(&actions, "/");
	if (!e)
		e = posix_spawn(&j->pid, "/bin/sh", &actions, &attr, argv, j->env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return e;
}

static void watch(struct job *j)
{
	struct ev_loop *loop = j->owner->host.loop;

	ev_io_set(&j->readable, j->output, EV_READ);
	ev_io_start(loop, &j->readable);
	ev_child_set(&j->ended, j->pid, 0);
	ev_child_start(loop, &j->ended);
	ev_now_update(loop);
	ev_timer_set(&j->deadline, j->timeout, 0.);
	ev_timer_start(loop, &j->deadline);
}

/* false: no process; the reason is in the log. */
static bool job_start(struct job *j)
{
	char text[96];
	int ends[2], e;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		e = errno;
	} else {
		e = spawn(j, ends[1]);
		close(ends[1]);
		j->output = ends[0];
	}
	if (e) {
		j->pid = 0;
		snprintf(text, sizeof(text), "not run: %s", strerror(e));
		say(j, LOG_LEVEL_ERROR, text);
		return false;
	}
	fcntl(j->output, F_SETFL, O_NONBLOCK);
	j->owner->running++;
	watch(j);
	return true;
}

static void start_waiting(struct scripts *s)
{
	while (s->waiting && s->running < SCRIPTS_AT_ONCE) {
		struct line *line = s->waiting;

		DL_DELETE(s->waiting, line);
		if (!job_start(line->jobs))
			job_remove(line->jobs);
	}
}

/* ---- life ---- */

struct scripts *scripts_new(const struct scripts_host *host)
{
	struct scripts *s = calloc(1, sizeof(*s));

	if (s)
		s->host = *host;
	return s;
}

void scripts_free(struct scripts *s)
{
	struct line *line, *next_line;
	struct job *j, *next;

	if (!s)
		return;
	HASH_ITER (hh, s->lines, line, next_line) {
		DL_FOREACH_SAFE (line->jobs, j, next) {
			if (j->pid)
				kill(-j->pid, SIGKILL);
			DL_DELETE(line->jobs, j);
			job_free(j);
		}
		HASH_DEL(s->lines, line);
		free(line);
	}
	free(s);
}

static char **strings_copy(char *const *list)
{
	size_t n = 0;
	char **copy;

	while (list[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i]) {
			strings_free(copy);
			return NULL;
		}
	}
	return copy;
}

static struct job *job_new(struct scripts *s, const struct script *script)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	*j = (struct job){.owner = s,
			  .output = -1,
			  .number = script->job,
			  .timeout = script->timeout,
			  .limit = {.burst = LINES_BURST}};
	ev_init(&j->readable, on_readable);
	ev_init(&j->ended, on_ended);
	ev_init(&j->deadline, on_deadline);
	j->readable.data = j->ended.data = j->deadline.data = j;
	j->name = strdup(script->name);
	j->what = strdup(script->what);
	j->command = strdup(script->command);
	j->env = strings_copy(script->env);
	if (j->name && j->what && j->command && j->env)
		return j;
	job_free(j);
	return NULL;
}

static struct line *line_of(struct scripts *s, uint32_t id)
{
	struct line *line;

	HASH_FIND(hh, s->lines, &id, sizeof(id), line);
	if (line)
		return line;
	line = calloc(1, sizeof(*line));
	if (!line)
		return NULL;
	line->id = id;
	HASH_ADD(hh, s->lines, id, sizeof(line->id), line);
	return line;
}

bool scripts_run(struct scripts *s, const struct script *script)
{
	struct job *j = job_new(s, script);
	struct line *line = j ? line_of(s, script->line) : NULL;

	if (!line) {
		if (j)
			job_free(j);
		log_to(s->host.log, LOG_LEVEL_ERROR, "job", script->name, "%s: not run: no memory",
		       script->what);
		return false;
	}
	j->line = line;
	if (!line->jobs)
		DL_APPEND(s->waiting, line);
	DL_APPEND(line->jobs, j);
	s->left++;
	start_waiting(s);
	return true;
}

size_t scripts_left(const struct scripts *s)
{
	return s->left;
}

static bool run_here(void *ctx, const struct script *script)
{
	return scripts_run(ctx, script);
}

static size_t left_here(void *ctx)
{
	return scripts_left(ctx);
}

struct script_runner scripts_runner(struct scripts *s)
{
	return (struct script_runner){run_here, left_here, s};
}
