/* Going to the background: what the one who waits for the command gets to see. */
#include "ipsecd/background.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Plays the command: `serve` is what the daemon does once it is in the background. */
static int status_of(void (*serve)(int out), int out)
{
	pid_t command = fork();
	int status;

	assert_true(command >= 0);
	if (command == 0) {
		if (background_begin())
			serve(out);
		_exit(99);
	}
	assert_int_equal(waitpid(command, &status, 0), command);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void fail_with_2(int out)
{
	(void)out;
	_exit(2);
}

static void crash(int out)
{
	(void)out;
	signal(SIGTERM, SIG_DFL);
	raise(SIGTERM);
}

static void run(int out)
{
	background_running();
	fputs("nobody sees this\n", stderr);
	_exit(write(out, "r", 1) == 1 ? 0 : 1);
}

static void end_at_once(int out)
{
	(void)out;
	background_running();
	_exit(3);
}

static void test_failures_are_told(void **state)
{
	(void)state;
	assert_int_equal(status_of(fail_with_2, -1), 2);
	assert_int_equal(status_of(crash, -1), 1);
}

static void test_the_command_ends_when_the_daemon_runs(void **state)
{
	int ends[2];
	char c = 0;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(status_of(run, ends[1]), 0);
	assert_int_equal(read(ends[0], &c, 1), 1);
	assert_int_equal(c, 'r');
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(status_of(end_at_once, -1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures_are_told),
		cmocka_unit_test(test_the_command_ends_when_the_daemon_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
