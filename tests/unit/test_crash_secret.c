/* The secret's file: made once, the same ever after, and not believed if others could have had it.
 */
#include "ipsecd/crash_secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
	char folder[64], sub[80], path[96];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	snprintf(p->folder, sizeof(p->folder), "/tmp/crash-secret-XXXXXX");
	if (!mkdtemp(p->folder))
		return -1;
	snprintf(p->sub, sizeof(p->sub), "%s/detour", p->folder);
	snprintf(p->path, sizeof(p->path), "%s/secret", p->sub);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	unlink(p->path);
	rmdir(p->sub);
	rmdir(p->folder);
	free(p);
	return 0;
}

/* `good`: out of the file. */
static void take(const struct place *p, bool good, uint8_t out[IKE_QUICK_CRASH_SECRET])
{
	char why[320];
	int fd = crash_secret_open(p->path, why, sizeof(why));

	assert_true(fd >= 0);
	if (good)
		assert_string_equal(why, "");
	else
		assert_non_null(strstr(why, p->path));
	assert_true(crash_secret_read(fd, out));
	assert_true(crash_secret_read(fd, out));
	close(fd);
}

static void test_made_once(void **state)
{
	const struct place *p = *state;
	uint8_t a[IKE_QUICK_CRASH_SECRET], b[IKE_QUICK_CRASH_SECRET] = {0};
	struct stat st;

	take(p, true, a);
	assert_memory_not_equal(a, b, sizeof(a));
	take(p, true, b);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(p->sub, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void test_bad_ones(void **state)
{
	const struct place *p = *state;
	uint8_t file[IKE_QUICK_CRASH_SECRET], a[IKE_QUICK_CRASH_SECRET];

	take(p, true, file);
	chmod(p->path, 0640);
	take(p, false, a);
	assert_memory_not_equal(a, file, sizeof(a));
	chmod(p->path, 0600);
	take(p, true, a);
	assert_memory_equal(a, file, sizeof(a));
	assert_int_equal(truncate(p->path, 31), 0);
	take(p, false, a);
	unlink(p->path);
	assert_int_equal(symlink("/dev/zero", p->path), 0);
	take(p, false, a);
	unlink(p->path);
	assert_int_equal(mkdir(p->path, 0700), 0);
	take(p, false, a);
	rmdir(p->path);
}

/* A folder that can't be made. */
static void test_nowhere(void **state)
{
	const struct place *p = *state;
	struct place none = *p;
	uint8_t a[IKE_QUICK_CRASH_SECRET], b[IKE_QUICK_CRASH_SECRET];

	snprintf(none.path, sizeof(none.path), "%s/no/such", p->sub);
	take(&none, false, a);
	take(&none, false, b);
	assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nowhere, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
