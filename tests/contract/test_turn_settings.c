/* Settings that are off meanwhile, on the loopback device of a namespace of our own. */
#include "routed-bridge/turn_settings.h"
#include "tests/contract/kernel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static void set(const char *device, const char *setting, const char *value)
{
	char file[96];
	int fd;

	snprintf(file, sizeof(file), "/proc/sys/net/ipv4/conf/%s/%s", device, setting);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

/* "10 2": of lo, send_redirects and rp_filter, then rp_filter of all. */
static const char *now(void)
{
	static const char *const files[] = {"lo/send_redirects", "lo/rp_filter", "all/rp_filter"};
	static char text[4];

	for (unsigned i = 0; i < 3; i++) {
		char file[96];
		int fd;

		snprintf(file, sizeof(file), "/proc/sys/net/ipv4/conf/%s", files[i]);
		fd = open(file, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(read(fd, &text[i], 1), 1);
		close(fd);
	}
	return text;
}

static int begin(void **state)
{
	(void)state;
	set("lo", "send_redirects", "1");
	set("lo", "rp_filter", "1");
	set("all", "rp_filter", "2");
	return 0;
}

static void off_and_back(void **state)
{
	struct turn_settings *t = turn_settings_new(path);

	(void)state;
	assert_null(turn_settings_off(t, "all"));
	assert_null(turn_settings_off(t, "lo"));
	assert_null(turn_settings_off(t, "lo"));
	assert_string_equal(now(), "000");
	turn_settings_back(t, "lo");
	assert_string_equal(now(), "110");
	assert_int_equal(access(path, F_OK), 0);
	assert_null(turn_settings_off(t, "lo"));
	turn_settings_free(t);
	assert_string_equal(now(), "112");
	assert_int_equal(access(path, F_OK), -1);
}

static void after_a_killed_bridge(void **state)
{
	pid_t killed = fork();
	int status;

	(void)state;
	if (killed == 0) {
		struct turn_settings *t = turn_settings_new(path);

		turn_settings_off(t, "all");
		turn_settings_off(t, "lo");
		_exit(0);
	}
	assert_int_equal(waitpid(killed, &status, 0), killed);
	assert_string_equal(now(), "000");
	set("lo", "rp_filter", "2"); /* somebody did */
	turn_settings_free(turn_settings_new(path));
	assert_string_equal(now(), "122");
	assert_int_equal(access(path, F_OK), -1);
}

/* Whoever may write the file gets at nothing else by it. */
static void what_the_file_must_not_do(void **state)
{
	FILE *file = fopen(path, "we");

	(void)state;
	set("lo", "rp_filter", "0");
	fprintf(file, "../conf/lo rp_filter 1\nlo forwarding 1\nlo rp_filter 7\nlo rp_filter");
	fclose(file);
	turn_settings_free(turn_settings_new(path));
	assert_string_equal(now(), "102");
	assert_int_equal(symlink("/etc/hostname", path), 0);
	turn_settings_free(turn_settings_new(path));
	assert_int_equal(access("/etc/hostname", F_OK), 0);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(off_and_back, begin),
		cmocka_unit_test_setup(after_a_killed_bridge, begin),
		cmocka_unit_test_setup(what_the_file_must_not_do, begin),
	};

	snprintf(path, sizeof(path), "/tmp/turn-settings-%d", (int)getpid());
	kernel_namespace("test_turn_settings");
	return cmocka_run_group_tests_name("turn_settings", tests, NULL, NULL);
}
