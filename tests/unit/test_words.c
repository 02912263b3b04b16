/* Words that people type: numbers, times and sizes at their limits; the nearest word. */
#include "lib/words.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		mono_time want; /* 0: refused */
	} cases[] = {
		{"30", 30 * MONO_S},
		{"30s", 30 * MONO_S},
		{"200ms", 200 * MONO_MS},
		{"5m", 300 * MONO_S},
		{"3h", 10800 * MONO_S},
		{"1d", 86400 * MONO_S},
		{"10000d", 10000 * 86400 * MONO_S},
		/* No time from now may overflow. */
		{"10001d", 0},
		{"18446744073s", 0},
		{"99999999999999999999", 0},
		{"", 0},
		{"s", 0},
		{"-1", 0},
		{"+1", 0},
		{" 1", 0},
		{"1 s", 0},
		{"1x", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mono_time t = 0;

		if (words_parse_duration(cases[i].text, &t) != (cases[i].want != 0) ||
		    t != cases[i].want)
			fail_msg("'%s' gives %llu", cases[i].text, (unsigned long long)t);
	}
}

static void test_numbers(void **state)
{
	uint64_t n = 0;

	(void)state;
	assert_true(words_parse_number("0x2a", 255, &n));
	assert_int_equal(n, 42);
	assert_true(words_parse_number("255", 255, &n));
	assert_int_equal(n, 255);
	assert_false(words_parse_number("256", 255, &n));
	assert_false(words_parse_number("99999999999999999999", UINT64_MAX, &n));
	assert_false(words_parse_number("0x", 255, &n));
	assert_false(words_parse_number("-1", UINT64_MAX, &n));
	assert_false(words_parse_number("1 ", 255, &n));
	assert_int_equal(n, 255);
}

static void test_sizes(void **state)
{
	uint64_t n = 0;

	(void)state;
	assert_true(words_parse_size("1000", &n));
	assert_int_equal(n, 1000);
	assert_true(words_parse_size("64K", &n));
	assert_int_equal(n, 65536);
	assert_true(words_parse_size("1G", &n));
	assert_int_equal(n, 1 << 30);
	assert_false(words_parse_size("17179869184G", &n)); /* 2^64 */
	assert_false(words_parse_size("99999999999999999999", &n));
	assert_false(words_parse_size("1KB", &n));
	assert_false(words_parse_size("K", &n));
	assert_int_equal(n, 1 << 30);
}

static void test_nearest(void **state)
{
	static const char *const list[] = {"start", "route", "ignore", NULL};

	(void)state;
	assert_string_equal(words_nearest("strat", list), "start");
	assert_string_equal(words_nearest("routes", list), "route");
	assert_null(words_nearest("nothing", list));
	assert_null(words_nearest("", list));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
