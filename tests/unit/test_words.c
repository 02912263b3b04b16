/* Words that people type: numbers, times and sizes at their limits; the nearest word. And text of
 * others, cleaned. */
#include "lib/text.h"
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
	static const char *const short_ones[] = {"a", "to", NULL};

	(void)state;
	assert_null(words_nearest("b", short_ones));
	assert_null(words_nearest("", short_ones));
	assert_string_equal(words_nearest("A", short_ones), "a");
	assert_string_equal(words_nearest("t0", short_ones), "to");
	assert_string_equal(words_nearest("strat", list), "start");
	assert_string_equal(words_nearest("routes", list), "route");
	assert_string_equal(words_nearest("STRAT", list), "start");
	assert_string_equal(words_nearest("Route", list), "route");
	assert_null(words_nearest("nothing", list));
	assert_null(words_nearest("", list));
}

static void cleaned(const char *text, size_t len, size_t room, const char *want)
{
	char out[64];

	memset(out, 'x', sizeof(out));
	text_clean(out, room, text, len);
	assert_string_equal(out, want);
	assert_int_equal(out[room], 'x');
	assert_int_equal(text_is_clean(text, len), !strchr(want, '?'));
}

/* No line is forged, no terminal played with; what people write in their languages stays. */
static void test_clean_text(void **state)
{
	char in_place[] = "a\tb\xc2\x9b"
			  "31m";

	(void)state;
	cleaned("plain", 5, 32, "plain");
	cleaned("", 0, 1, "");
	cleaned("long", 4, 3, "lo");
	cleaned("a\nb\r\x1b[31m\x7f\0z", 12, 32, "a?b??[31m??z");
	cleaned("Zürich, 東京, Àé", 20, 32, "Zürich, 東京, À\xc3"); /* cut where it was */
	cleaned("\xc2\x9b"
		"31m \xc2\x85.",
		8, 32, "\xc2?31m \xc2?");
	cleaned("\xc2\xa0\xc3\x80\x80", 5, 32, "\xc2\xa0\xc3\x80\x80");
	text_clean(in_place, sizeof(in_place), in_place, sizeof(in_place) - 1);
	assert_string_equal(in_place, "a?b\xc2?31m");
}

static void test_choice(void **state)
{
	static const char *const none[] = {NULL}, *const one[] = {"a", NULL};
	static const char *const two[] = {"a", "b", NULL}, *const three[] = {"a", "b", "c", NULL};
	char text[32], small[8];

	(void)state;
	assert_string_equal(words_choice(none, text, sizeof(text)), "");
	assert_string_equal(words_choice(one, text, sizeof(text)), "a");
	assert_string_equal(words_choice(two, text, sizeof(text)), "a or b");
	assert_string_equal(words_choice(three, text, sizeof(text)), "a, b or c");
	assert_string_equal(words_choice(three, small, sizeof(small)), "a, b or");
}

static void fits(const char *text, const char *want)
{
	char out[13];

	memset(out, 'x', sizeof(out));
	text_fit(out, 12, text);
	assert_string_equal(out, want);
	assert_int_equal(out[12], 'x');
}

static void test_fit_text(void **state)
{
	(void)state;
	fits("", "");
	fits("eleven long", "eleven long");
	fits("twelve is so", "twelve...");
	fits("twelve, that", "twelve,...");
	fits("onelongword of many", "onelongw...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_text), cmocka_unit_test(test_durations),
		cmocka_unit_test(test_numbers),	   cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_nearest),	   cmocka_unit_test(test_fit_text),
		cmocka_unit_test(test_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
