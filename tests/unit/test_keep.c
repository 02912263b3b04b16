/* The table of descriptors that outlive processes, and its names as text. */
#include "ipsecd/keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const owners[] = {"plane", "ike", NULL};

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_names_are_of_their_owner(void **state)
{
	struct keep *k = keep_new();
	int a = some_fd(), b = some_fd();

	(void)state;
	assert_true(keep_put(k, 0, "x", a));
	assert_true(keep_put(k, 1, "x", b));
	assert_int_equal(keep_find(k, 0, "x"), a);
	assert_int_equal(keep_find(k, 1, "x"), b);
	assert_int_equal(keep_find(k, 1, "y"), -1);
	assert_int_equal(keep_count(k), 2);
	assert_true(keep_drop(k, 0, "x"));
	assert_false(keep_drop(k, 0, "x"));
	assert_false(is_open(a));
	assert_true(is_open(b));
	keep_free(k);
	assert_false(is_open(b));
}

static void test_a_new_one_takes_the_place(void **state)
{
	struct keep *k = keep_new();
	int a = some_fd(), b = some_fd();

	(void)state;
	assert_true(keep_put(k, 0, "tun:a", a));
	assert_true(keep_put(k, 0, "tun:a", b));
	assert_false(is_open(a));
	assert_int_equal(keep_find(k, 0, "tun:a"), b);
	assert_int_equal(keep_count(k), 1);
	keep_free(k);
}

static void test_bad_names_are_closed(void **state)
{
	char name[KEEP_NAME_MAX + 1];
	struct keep *k = keep_new();
	int fd = some_fd();

	(void)state;
	assert_false(keep_put(k, 0, "", fd));
	assert_false(is_open(fd));
	memset(name, 'n', KEEP_NAME_MAX);
	name[KEEP_NAME_MAX] = '\0';
	fd = some_fd();
	assert_false(keep_put(k, 0, name, fd));
	assert_false(is_open(fd));
	name[KEEP_NAME_MAX - 1] = '\0';
	assert_true(keep_put(k, 0, name, some_fd()));
	keep_free(k);
}

static void test_texts_are_reversible(void **state)
{
	char text[KEEP_TEXT_MAX], name[KEEP_NAME_MAX], worst[KEEP_NAME_MAX];
	unsigned owner = 9;

	(void)state;
	keep_text("plane", "tun:ipsec.0", text);
	assert_string_equal(text, "plane.tun%3Aipsec.0");
	assert_true(keep_parse(text, owners, &owner, name));
	assert_int_equal(owner, 0);
	assert_string_equal(name, "tun:ipsec.0");

	memset(worst, 0xff, sizeof(worst) - 1);
	worst[sizeof(worst) - 1] = '\0';
	keep_text("ike", worst, text);
	assert_null(strchr(text, ':'));
	assert_true(keep_parse(text, owners, &owner, name));
	assert_int_equal(owner, 1);
	assert_string_equal(name, worst);
}

static void test_foreign_texts(void **state)
{
	static const char *const bad[] = {"",	      "plane",	 "plane.",  "plan.x",  "planet.x",
					  "stored",   "ike.%",	 "ike.%4",  "ike.%4g", "ike.%00",
					  "ike.%41x", "ike.a:b", "ike.%3a", "ike.a b", ".x"};
	char name[KEEP_NAME_MAX], text[2 * KEEP_NAME_MAX] = "ike.";
	unsigned owner;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(keep_parse(bad[i], owners, &owner, name));
	memset(text + 4, 'n', KEEP_NAME_MAX);
	assert_false(keep_parse(text, owners, &owner, name));
	text[4 + KEEP_NAME_MAX - 1] = '\0';
	assert_true(keep_parse(text, owners, &owner, name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_of_their_owner),
		cmocka_unit_test(test_a_new_one_takes_the_place),
		cmocka_unit_test(test_bad_names_are_closed),
		cmocka_unit_test(test_texts_are_reversible),
		cmocka_unit_test(test_foreign_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
