/* When BFD's process is started: by a clock that nobody sets. */
#include "routed-bridge/bfd_client.h"
#include "lib/mono.h"

#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- what the file leans on ---- */

static mono_time now = 100 * MONO_S;
static unsigned forks;

mono_time mono_now(void)
{
	return now;
}

pid_t fork(void)
{
	forks++;
	return 1;
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	(void)status;
	(void)options;
	return pid;
}

int bfd_link_connect(const char *path)
{
	(void)path;
	return -1;
}

bool bfd_link_trusts(int fd)
{
	(void)fd;
	return true;
}

int bfd_link_read(int fd, struct bfd_link_message *m)
{
	(void)fd;
	(void)m;
	return 0;
}

bool bfd_link_write(int fd, const struct bfd_link_message *m)
{
	(void)fd;
	(void)m;
	return true;
}

/* ---- tests ---- */

/* It dies as soon as it runs, and the time of day stands still: set back, that is. */
static void started_again(void **state)
{
	struct ev_loop *loop = ev_loop_new(0);
	const struct log_sink quiet = {0};
	const struct bfd_client_host host = {.log = &quiet, .loop = loop};
	struct bfd_client *c = bfd_client_new(&host, "bfdd");

	(void)state;
	ev_run(loop, EVRUN_ONCE);
	assert_int_equal(forks, 1);
	now += MONO_S;
	ev_run(loop, EVRUN_ONCE);
	assert_int_equal(forks, 1);
	now += 2 * MONO_S;
	ev_run(loop, EVRUN_ONCE);
	assert_int_equal(forks, 2);
	bfd_client_free(c, false);
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(started_again),
	};

	return cmocka_run_group_tests_name("bfd_client", tests, NULL, NULL);
}
