/* Pauses between the deaths of a process and its next start. */
#include "ipsecd/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_first_death_costs_no_pause(void **state)
{
	struct backoff b = {0};

	(void)state;
	assert_int_equal(backoff_died(&b, 0, 1, BACKOFF_MAX), 0);
}

static void test_pauses_double_up_to_the_limit(void **state)
{
	static const unsigned expected[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
	struct backoff b = {0};

	(void)state;
	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(backoff_died(&b, 5 * MONO_S, 6 * MONO_S, BACKOFF_MAX),
				 expected[i] * MONO_MS);
	for (unsigned i = 0; i < 1000; i++)
		backoff_died(&b, 0, 1, BACKOFF_MAX);
	assert_int_equal(backoff_died(&b, 0, 1, BACKOFF_MAX), BACKOFF_MAX);
}

static void test_a_long_life_forgives(void **state)
{
	struct backoff b = {0};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		backoff_died(&b, 0, 1, BACKOFF_MAX);
	assert_int_equal(backoff_died(&b, MONO_S, MONO_S + BACKOFF_HEALTH, BACKOFF_MAX), 0);
	assert_int_equal(backoff_died(&b, 0, BACKOFF_HEALTH - 1, BACKOFF_MAX), BACKOFF_FIRST);
}

static void test_limit_of_nothing(void **state)
{
	struct backoff b = {0};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(backoff_died(&b, 0, 1, 0), 0);
	assert_int_equal(b.deaths, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_death_costs_no_pause),
		cmocka_unit_test(test_pauses_double_up_to_the_limit),
		cmocka_unit_test(test_a_long_life_forgives),
		cmocka_unit_test(test_limit_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
