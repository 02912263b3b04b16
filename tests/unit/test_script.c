/* Scripts as operators write them: good ones, and those that fail, hang, flood, or are not
 * there. Each test runs the loop until nothing is left, with a deadline of its own. */
#include "ipsecd/script.h"

#include <ev.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE 60.
#define HANGS	 2. /* seconds: a shell has said its first words by then */

struct fixture {
	struct scripts *scripts;
	struct log_sink sink;
	char dir[32], dir_var[64];
	char *env[3];
	char said[1 << 16];
	bool late;
	ev_timer deadline;
};

static void hear(void *ctx, enum log_level level, const char *subsystem, const char *name,
		 const char *text)
{
	struct fixture *f = ctx;
	size_t at = strlen(f->said);

	(void)subsystem;
	snprintf(f->said + at, sizeof(f->said) - at, "%s[%s] %s\n", log_level_name(level), name,
		 text);
}

static void on_idle(void *ctx)
{
	(void)ctx;
	ev_break(ev_default_loop(0), EVBREAK_ALL);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct fixture *f = w->data;

	(void)revents;
	f->late = true;
	ev_break(loop, EVBREAK_ALL);
}

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct scripts_host host = {
		.loop = ev_default_loop(0), .log = &f->sink, .idle = on_idle, .ctx = f};

	f->sink = (struct log_sink){.write = hear, .ctx = f, .level = LOG_LEVEL_DEBUG};
	snprintf(f->dir, sizeof(f->dir), "/tmp/test-script-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->dir_var, sizeof(f->dir_var), "DIR=%s", f->dir);
	f->env[0] = f->dir_var;
	f->env[1] = strdup("PATH=/usr/bin:/bin");
	f->scripts = scripts_new(&host);
	ev_timer_init(&f->deadline, on_late, DEADLINE, 0.);
	f->deadline.data = f;
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;
	char command[64];

	scripts_free(f->scripts);
	ev_timer_stop(ev_default_loop(0), &f->deadline);
	snprintf(command, sizeof(command), "%s/out", f->dir);
	unlink(command);
	snprintf(command, sizeof(command), "%s/file", f->dir);
	unlink(command);
	assert_int_equal(rmdir(f->dir), 0);
	free(f->env[1]);
	free(f);
	return 0;
}

static void put(struct fixture *f, uint32_t line, const char *command, double timeout)
{
	struct script script = {.line = line,
				.name = "a-b",
				.what = "up-client",
				.command = command,
				.env = f->env,
				.timeout = timeout};

	assert_true(scripts_run(f->scripts, &script));
}

static void run(struct fixture *f)
{
	ev_timer_start(ev_default_loop(0), &f->deadline);
	while (scripts_left(f->scripts) && !f->late)
		ev_run(ev_default_loop(0), 0);
	assert_false(f->late);
}

/* What the scripts wrote into $DIR/out. */
static const char *out(struct fixture *f)
{
	static char text[4096];
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/out", f->dir);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

static void assert_said(const struct fixture *f, const char *what)
{
	if (!strstr(f->said, what))
		fail_msg("'%s' is not in the log:\n%s", what, f->said);
}

static void in_order_within_a_line(void **ctx)
{
	struct fixture *f = *ctx;

	put(f, 1, "sleep 0.2; echo 1 >>$DIR/out", 30);
	put(f, 1, "echo 2 >>$DIR/out", 30);
	put(f, 1, "exit 1", 30); /* does not keep the others from running */
	put(f, 1, "echo 3 >>$DIR/out", 30);
	assert_int_equal(scripts_left(f->scripts), 4);
	run(f);
	assert_string_equal(out(f), "1\n2\n3\n");
	assert_said(f, "warn[a-b] up-client: 'exit 1' failed with exit status 1");
}

/* A line that hangs does not hold up another one; but no more than eight at a time. */
static void lines_beside_each_other(void **ctx)
{
	struct fixture *f = *ctx;

	put(f, 1, "while [ ! -e $DIR/out ]; do sleep 0.05; done", 50);
	put(f, 2, "echo there >$DIR/out", 30);
	run(f);
	assert_string_equal(out(f), "there\n");
	assert_string_equal(f->said, "");
}

/* Everyone holds a lock for a while and counts who is inside. */
static void not_too_many_at_once(void **ctx)
{
	struct fixture *f = *ctx;

	for (uint32_t i = 0; i < 3 * SCRIPTS_AT_ONCE; i++)
		put(f, i, "echo + >>$DIR/out; sleep 0.1; echo - >>$DIR/out", 30);
	run(f);
	assert_string_equal(f->said, "");
	int inside = 0, most = 0, all = 0;

	for (const char *c = out(f); *c; c++) {
		inside += *c == '+' ? 1 : *c == '-' ? -1 : 0;
		most = inside > most ? inside : most;
		all += *c == '+';
	}
	assert_int_equal(all, 3 * SCRIPTS_AT_ONCE);
	assert_int_equal(inside, 0);
	assert_in_range(most, 2, SCRIPTS_AT_ONCE);
}

static void output_goes_to_the_log(void **ctx)
{
	struct fixture *f = *ctx;

	put(f, 1, "echo first; printf 'sec\\033ond' >&2; exit 3", 30);
	run(f);
	assert_said(f, "info[a-b] up-client: first\n");
	assert_said(f, "info[a-b] up-client: sec ond\n");
	assert_said(f, "warn[a-b] up-client: 'echo first; printf 'sec\\033ond' >&2; exit 3' failed "
		       "with exit status 3: sec ond\n");
}

static void nothing_of_ours_inside(void **ctx)
{
	struct fixture *f = *ctx;
	int leak = open("/dev/null", O_RDONLY); /* not even close-on-exec */

	signal(SIGPIPE, SIG_IGN);
	put(f, 1,
	    "ls /proc/self/fd | wc -l >$DIR/out; readlink /proc/self/fd/0 >>$DIR/out; pwd "
	    ">>$DIR/out; grep -q '^SigIgn:.*0000000$' /proc/self/status && echo default >>$DIR/out",
	    30);
	run(f);
	close(leak);
	/* 0, 1, 2 and the folder that ls reads; glibc's own signals 32 and 33 are not looked at. */
	assert_string_equal(out(f), "4\n/dev/null\n/\ndefault\n");
}

/* Dead, or a zombie that init has not taken yet. A killed process goes when it is its turn. */
static const char gone_soon[] =
	"n=0; while grep -q '^State:.[^Z]' /proc/$(cat $DIR/out)/status; do "
	"n=$((n+1)); [ $n -lt 100 ] || { echo alive; break; }; sleep 0.1; done; true";

static void killed_when_it_hangs(void **ctx)
{
	struct fixture *f = *ctx;

	put(f, 1, "echo waiting; sleep 1000 & echo $! >$DIR/out; wait", HANGS);
	put(f, 1, gone_soon, 30);
	run(f);
	assert_said(f, "killed: waiting\n");
	assert_null(strstr(f->said, "alive"));
}

/* Its children ignore SIGTERM, too, and hold its output. */
static void killed_though_it_ignores(void **ctx)
{
	struct fixture *f = *ctx;

	put(f, 1, "trap '' TERM; sleep 1000 & echo $! >$DIR/out; while :; do sleep 1; done", HANGS);
	put(f, 1, "echo next", 30);
	run(f);
	assert_said(f, "was killed");
	assert_said(f, "up-client: next\n");
	put(f, 1, gone_soon, 30);
	run(f);
	assert_null(strstr(f->said, "alive"));
}

static void flood_is_thinned(void **ctx)
{
	struct fixture *f = *ctx;
	unsigned lines = 0;

	put(f, 1, "head -c 3000000 /dev/zero | tr '\\0' 'x'; yes | head -n 100000; exit 1", 50);
	run(f);
	for (const char *c = f->said; *c; c++)
		lines += *c == '\n';
	assert_in_range(lines, 20, 900);
	assert_said(f, "more lines of output");
	assert_said(f, "exit status 1: y\n");
}

/* Who goes to the background with our pipe keeps nothing waiting. */
static void background_child(void **ctx)
{
	struct fixture *f = *ctx;

	put(f, 1, "sleep 30 & echo $! >$DIR/out; echo done", 20);
	run(f);
	assert_said(f, "up-client: done\n");
	kill((pid_t)strtol(out(f), NULL, 10), SIGKILL);
}

static void missing_or_not_executable(void **ctx)
{
	struct fixture *f = *ctx;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/file", f->dir);
	put(f, 1, path, 30);
	run(f);
	assert_said(f, "failed with exit status 127: ");
	assert_said(f, "not found");
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	put(f, 1, path, 30);
	run(f);
	assert_said(f, "failed with exit status 126: ");
}

static void end_kills(void **ctx)
{
	struct fixture *f = *ctx;

	put(f, 1, "echo $$ >$DIR/out; sleep 1000", 1000);
	put(f, 1, "echo never", 30);
	put(f, 2, "while [ ! -s $DIR/out ]; do sleep 0.05; done", 50);
	ev_timer_start(ev_default_loop(0), &f->deadline);
	while (!*out(f) && !f->late)
		ev_run(ev_default_loop(0), EVRUN_ONCE);
	assert_false(f->late);
	scripts_free(f->scripts);
	f->scripts = NULL;
	/* The zombie is ours; a process of that number otherwise is not there. */
	snprintf(f->said, sizeof(f->said), "/proc/%ld/status", strtol(out(f), NULL, 10));
	for (int i = 0; i < 500 && access(f->said, F_OK) == 0; i++) {
		struct timespec t = {.tv_nsec = 10000000};

		ev_run(ev_default_loop(0), EVRUN_NOWAIT);
		nanosleep(&t, NULL);
	}
	assert_int_not_equal(access(f->said, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_order_within_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(lines_beside_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(not_too_many_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(output_goes_to_the_log, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_of_ours_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_when_it_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_though_it_ignores, setup, teardown),
		cmocka_unit_test_setup_teardown(flood_is_thinned, setup, teardown),
		cmocka_unit_test_setup_teardown(background_child, setup, teardown),
		cmocka_unit_test_setup_teardown(missing_or_not_executable, setup, teardown),
		cmocka_unit_test_setup_teardown(end_kills, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
