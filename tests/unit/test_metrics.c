/* lib/metrics.c: golden text, escapes, histograms, limits; and what it writes passes a strict
 * reader. */
#include "lib/metrics.h"
#include "tests/support/metrics_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void expect(struct metrics *m, const char *text)
{
	assert_false(m->failed);
	metrics_check(m->text, m->len);
	assert_int_equal(m->len, strlen(text));
	assert_memory_equal(m->text, text, m->len);
	metrics_free(m);
}

static void test_golden(void **state)
{
	struct metrics m = {.limit = METRICS_BYTES};

	(void)state;
	metrics_family(&m, METRICS_GAUGE, "up", "Is it \\ up?\nYes.");
	metrics_uint(&m, 1, "conn", "a", "peer", "@b", NULL);
	metrics_uint(&m, UINT64_MAX, "conn", "b", "peer", "", NULL);
	metrics_family(&m, METRICS_COUNTER, "all_total", "All.");
	metrics_real(&m, 0.25, NULL);
	expect(&m, "# HELP up Is it \\\\ up?\\nYes.\n# TYPE up gauge\n"
		   "up{conn=\"a\",peer=\"@b\"} 1\n"
		   "up{conn=\"b\",peer=\"\"} 18446744073709551615\n"
		   "# HELP all_total All.\n# TYPE all_total counter\nall_total 0.25\n");
}

static void test_escapes(void **state)
{
	struct metrics m = {.limit = METRICS_BYTES};

	(void)state;
	metrics_family(&m, METRICS_GAUGE, "x", "x");
	metrics_uint(&m, 0, "v", "a\"b\\c\nd", NULL);
	metrics_uint(&m, 0, "v", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82", NULL);
	/* A lone byte, an overlong '/', half a character, a surrogate, too large. */
	metrics_uint(&m, 0, "v", "\xff \xc0\xaf \xc3 \xed\xa0\x80 \xf5\x80\x80\x80", NULL);
	metrics_uint(&m, 0, "v", NULL, NULL);
	expect(&m, "# HELP x x\n# TYPE x gauge\n"
		   "x{v=\"a\\\"b\\\\c\\nd\"} 0\n"
		   "x{v=\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82\"} 0\n"
		   "x{v=\"? ?? ? ??? ????\"} 0\n"
		   "x{v=\"\"} 0\n");
}

static void test_numbers(void **state)
{
	struct metrics m = {.limit = METRICS_BYTES};

	(void)state;
	metrics_family(&m, METRICS_GAUGE, "x", "x");
	metrics_real(&m, NAN, "v", "0", NULL);
	metrics_real(&m, INFINITY, "v", "1", NULL);
	metrics_real(&m, -INFINITY, "v", "2", NULL);
	metrics_real(&m, 0.1, "v", "3", NULL);
	metrics_real(&m, 1764181234.125, "v", "4", NULL);
	metrics_real(&m, -3e-9, "v", "5", NULL);
	expect(&m, "# HELP x x\n# TYPE x gauge\n"
		   "x{v=\"0\"} NaN\nx{v=\"1\"} +Inf\nx{v=\"2\"} -Inf\nx{v=\"3\"} 0.1\n"
		   "x{v=\"4\"} 1764181234.125\nx{v=\"5\"} -3e-09\n");
}

static void test_histogram(void **state)
{
	static const double bounds[] = {0.01, 0.1, 1};
	struct metrics_histogram h = {.bounds = bounds, .n = 3}, none = h;
	struct metrics m = {.limit = METRICS_BYTES};

	(void)state;
	metrics_observe(&h, 0.01); /* a bound is in its bucket */
	metrics_observe(&h, 0.05);
	metrics_observe(&h, 0.0625);
	metrics_observe(&h, 7);
	metrics_family(&m, METRICS_HISTOGRAM, "h", "h");
	metrics_histogram(&m, &h, "role", "a", NULL);
	metrics_histogram(&m, &none, "role", "b", NULL);
	expect(&m, "# HELP h h\n# TYPE h histogram\n"
		   "h_bucket{role=\"a\",le=\"0.01\"} 1\nh_bucket{role=\"a\",le=\"0.1\"} 3\n"
		   "h_bucket{role=\"a\",le=\"1\"} 3\nh_bucket{role=\"a\",le=\"+Inf\"} 4\n"
		   "h_sum{role=\"a\"} 7.1225\nh_count{role=\"a\"} 4\n"
		   "h_bucket{role=\"b\",le=\"0.01\"} 0\nh_bucket{role=\"b\",le=\"0.1\"} 0\n"
		   "h_bucket{role=\"b\",le=\"1\"} 0\nh_bucket{role=\"b\",le=\"+Inf\"} 0\n"
		   "h_sum{role=\"b\"} 0\nh_count{role=\"b\"} 0\n");
	metrics_family(&m, METRICS_HISTOGRAM, "h", "h");
	metrics_histogram(&m, &none, NULL);
	expect(&m, "# HELP h h\n# TYPE h histogram\n"
		   "h_bucket{le=\"0.01\"} 0\nh_bucket{le=\"0.1\"} 0\nh_bucket{le=\"1\"} 0\n"
		   "h_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n");
}

/* Too much is an error, and never a text that is cut. */
static void test_limit(void **state)
{
	size_t whole = 2 * strlen("# HELP some_metric ") + strlen("Some words of help.\ngauge\n") +
		       10 * strlen("some_metric{label=\"a\"} 0\n");

	(void)state;
	for (size_t limit = 0; limit < whole + 10; limit++) {
		struct metrics m = {.limit = limit};

		metrics_family(&m, METRICS_GAUGE, "some_metric", "Some words of help.");
		for (unsigned i = 0; i < 10; i++)
			metrics_uint(&m, i, "label", (const char[]){(char)('a' + i), 0}, NULL);
		assert_true(m.len <= limit);
		assert_int_equal(m.failed, limit < whole);
		metrics_free(&m);
		assert_null(m.text);
		assert_int_equal(m.limit, limit);
	}
}

static void test_large(void **state)
{
	struct metrics m = {.limit = METRICS_BYTES};
	char name[16] = "conn-";

	(void)state;
	metrics_family(&m, METRICS_GAUGE, "x", "x");
	for (unsigned i = 0; i < 4000; i++) {
		name[5] = (char)('0' + i / 1000);
		name[6] = (char)('0' + i / 100 % 10);
		name[7] = (char)('0' + i / 10 % 10);
		name[8] = (char)('0' + i % 10);
		metrics_uint(&m, i, "conn", name, NULL);
	}
	assert_false(m.failed);
	metrics_check(m.text, m.len);
	metrics_free(&m);
}

/* Whatever bytes a name has: the text stays well-formed. */
static void test_random_labels(void **state)
{
	(void)state;
	srandom(20261126);
	for (unsigned round = 0; round < 2000; round++) {
		struct metrics m = {.limit = METRICS_BYTES};
		char value[24];
		size_t n = (size_t)random() % sizeof(value);

		for (size_t i = 0; i < n; i++)
			value[i] = (char)(random() % 4 ? random() : "\"\\\n{}=,# "[random() % 9]);
		value[n] = '\0';
		metrics_family(&m, METRICS_GAUGE, "x", "x");
		metrics_uint(&m, 1, "v", value, "w", "y", NULL);
		metrics_check(m.text, m.len);
		metrics_free(&m);
	}
}

static void test_process(void **state)
{
	struct metrics m = {.limit = METRICS_BYTES};
	const char *at;

	(void)state;
	metrics_process(&m);
	metrics_check(m.text, m.len);
	metrics_family(&m, METRICS_GAUGE, "x", "x");
	m.text[m.len - 1] = '\0';
	at = strstr(m.text, "\nprocess_resident_memory_bytes ");
	assert_non_null(at);
	assert_true(strtoull(at + 31, NULL, 10) > 100000);
	assert_non_null(strstr(m.text, "\nprocess_open_fds "));
	assert_non_null(strstr(m.text, "\nprocess_start_time_seconds 1"));
	metrics_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	      cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_numbers),	      cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_limit),	      cmocka_unit_test(test_large),
		cmocka_unit_test(test_random_labels), cmocka_unit_test(test_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
