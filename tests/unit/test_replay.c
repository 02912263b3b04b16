/* The anti-replay window against a model that remembers every number, and ESN's
 * inference of the high bits (RFC 4303 3.4.3, Appendix A). */
#include "ipsecd/dataplane/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One at a time. */
static struct replay *window(void)
{
	static _Alignas(struct replay) uint8_t room[REPLAY_BYTES_MAX];

	memset(room, 0xa5, sizeof(room));
	return (struct replay *)room;
}

static bool accept(struct replay *r, uint32_t low)
{
	uint64_t seq = replay_infer(r, low);

	if (!replay_check(r, seq))
		return false;
	replay_commit(r, seq);
	return true;
}

static void in_order_and_duplicates(void **state)
{
	struct replay *r = window();

	(void)state;
	replay_init(r, 64, false);
	assert_false(accept(r, 0));
	for (uint32_t i = 1; i < 1000; i++) {
		assert_true(accept(r, i));
		assert_false(accept(r, i));
	}
	assert_int_equal(r->top, 999);
}

static void window_edges(void **state)
{
	static const uint16_t sizes[] = {64, 100, 128, 1024, 4096};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint16_t w = sizes[i];
		struct replay *r = window();

		replay_init(r, w, false);
		assert_int_equal(r->size, w);
		assert_true(accept(r, 100000));
		assert_false(accept(r, 100000 - w));
		assert_true(accept(r, 100000 - w + 1));
		assert_false(accept(r, 100000 - w + 1));
		assert_true(accept(r, 99999));
		/* One step on: what was the oldest is outside. */
		assert_true(accept(r, 100001));
		assert_false(accept(r, 100001 - w));
	}
}

static void sizes_are_bounded(void **state)
{
	struct replay *r = window();

	(void)state;
	replay_init(r, 1, false);
	assert_int_equal(r->size, 64);
	replay_init(r, 65535, false);
	assert_int_equal(r->size, 4096);
	replay_init(r, 0, false);
	assert_false(r->enforce);
}

static void no_window(void **state)
{
	struct replay *r = window();

	(void)state;
	replay_init(r, 0, false);
	assert_true(accept(r, 7));
	assert_true(accept(r, 7));
	assert_true(accept(r, 1));
	assert_int_equal(r->top, 7);
	/* ESN needs the top for the high bits all the same. */
	replay_init(r, 0, true);
	r->top = UINT64_C(0x1ffffffff);
	assert_true(accept(r, 3));
	assert_true(accept(r, 3));
	assert_int_equal(r->top, UINT64_C(0x200000003));
}

/* The window against a plain list of everything seen. */
static void against_a_model(void **state)
{
	static uint8_t seen[40000];
	static const uint16_t sizes[] = {64, 192, 1000, 4096};

	(void)state;
	srandom(1);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		struct replay *r = window();
		uint32_t top = 0;

		memset(seen, 0, sizeof(seen));
		replay_init(r, sizes[s], false);
		for (unsigned n = 0; n < 30000; n++) {
			uint32_t span = random() % 50 ? 40 : 9000, seq;
			bool good;

			seq = top + (uint32_t)random() % span;
			seq -= (uint32_t)random() % (sizes[s] + 20u);
			if ((int32_t)seq < 0 || seq >= sizeof(seen))
				continue;
			good = seq != 0 && !seen[seq] && (seq > top || top - seq < sizes[s]);
			assert_int_equal(accept(r, seq), good);
			seen[seq] |= good;
			top = good && seq > top ? seq : top;
		}
		assert_int_equal(r->top, top);
	}
}

/* RFC 4303 A2.1: with the whole number known, inference gives it back for everything
 * in the window and up to 2^32 - W above it. */
static void esn_inference(void **state)
{
	static const uint64_t tops[] = {1,
					63,
					64,
					5000,
					0xffffffff - 5000ull,
					0xffffffff,
					0x100000000,
					0x100000001,
					0x10000003e,
					0x10000003f,
					0x100000fff,
					0x123456789abcdef0,
					0xfffffffe00000000,
					0xffffffff00000000 - 1,
					0xffffffff7fffffff};
	static const uint16_t sizes[] = {64, 4096};

	(void)state;
	for (size_t s = 0; s < 2; s++) {
		for (size_t i = 0; i < sizeof(tops) / sizeof(*tops); i++) {
			uint64_t top = tops[i];
			struct replay *r = window();

			replay_init(r, sizes[s], true);
			r->top = top;
			for (uint64_t back = 0; back < sizes[s] && back < top; back++)
				assert_true(replay_infer(r, (uint32_t)(top - back)) == top - back);
			for (uint64_t on = 1; on < UINT32_MAX - sizes[s]; on = on * 3 + 1) {
				if (UINT64_MAX - top < on)
					break;
				assert_true(replay_infer(r, (uint32_t)(top + on)) == top + on);
			}
		}
	}
}

static void esn_rollover(void **state)
{
	struct replay *r = window();

	(void)state;
	replay_init(r, 64, true);
	r->top = 0xfffffff0;
	for (uint64_t seq = 0xfffffff1; seq < 0x100000100; seq++) {
		if (seq % 7 == 0)
			continue;
		assert_true(accept(r, (uint32_t)seq));
		assert_int_equal(r->top, seq);
		assert_false(accept(r, (uint32_t)seq));
	}
	/* Stragglers of the old subspace come home while the window reaches back. */
	replay_init(r, 64, true);
	r->top = 0xfffffff0;
	assert_true(accept(r, 5));
	assert_int_equal(r->top, 0x100000005);
	assert_true(accept(r, 0xfffffff5));
	assert_false(accept(r, 0xfffffff5));
	assert_int_equal(r->top, 0x100000005);
}

/* Nothing lies below number 1 or above 2^64 - 1. */
static void esn_ends(void **state)
{
	struct replay *r = window();

	(void)state;
	replay_init(r, 64, true);
	assert_false(accept(r, 0));
	assert_false(accept(r, 0xfffffff0)); /* would belong to the subspace before the first */
	assert_true(accept(r, 1));
	r->top = UINT64_MAX;
	assert_int_equal(replay_infer(r, 0), 0);
	assert_false(accept(r, 0));
	assert_false(accept(r, 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_and_duplicates),
		cmocka_unit_test(window_edges),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(no_window),
		cmocka_unit_test(against_a_model),
		cmocka_unit_test(esn_inference),
		cmocka_unit_test(esn_rollover),
		cmocka_unit_test(esn_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
