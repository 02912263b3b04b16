/* The deadline heap against a sorted model, under random sets and cancels. */
#include "ipsecd/ike/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define TIMERS 200

static uint32_t rng = 12345;

static uint32_t next_random(void)
{
	rng = rng * 1664525 + 1013904223;
	return rng >> 8;
}

static mono_time model_first(const struct timer *timers)
{
	mono_time first = MONO_NEVER;

	for (unsigned i = 0; i < TIMERS; i++)
		if (timer_armed(&timers[i]) && timers[i].at < first)
			first = timers[i].at;
	return first;
}

static void test_model(void **state)
{
	struct timer_heap h = {0};
	struct timer timers[TIMERS];

	(void)state;
	assert_true(timer_heap_reserve(&h, TIMERS));
	for (unsigned i = 0; i < TIMERS; i++)
		timer_init(&timers[i], NULL, &timers[i]);
	assert_null(timer_first(&h));
	for (unsigned round = 0; round < 20000; round++) {
		struct timer *t = &timers[next_random() % TIMERS];

		if (next_random() % 3)
			timer_set(&h, t, next_random() % 1000);
		else
			timer_cancel(&h, t);
		if (model_first(timers) == MONO_NEVER)
			assert_null(timer_first(&h));
		else
			assert_int_equal(timer_first(&h)->at, model_first(timers));
	}
	for (unsigned i = 0; i < TIMERS; i++)
		timer_set(&h, &timers[i], MONO_NEVER);
	assert_null(timer_first(&h));
	timer_heap_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
