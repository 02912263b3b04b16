/* The anti-replay window: a ring of 64-bit words over the sequence number space, one
 * word longer than the window, so that moving forward clears whole words (the idea of
 * RFC 6479) and a step costs the same for 64 and for 4096 packets. Owns no clock and
 * no counters; RFC 4303 3.4.3 and Appendix A. */
#include "ipsecd/dataplane/replay.h"

#include <string.h>

static unsigned size_of(uint16_t window)
{
	if (window < REPLAY_WINDOW_MIN)
		return REPLAY_WINDOW_MIN;
	return window < REPLAY_WINDOW_MAX ? window : REPLAY_WINDOW_MAX;
}

static unsigned words_of(unsigned size)
{
	return (size + 63) / 64 + 1;
}

size_t replay_bytes(uint16_t window)
{
	return sizeof(struct replay) + words_of(size_of(window)) * sizeof(uint64_t);
}

static void configure(struct replay *r, uint16_t window, bool esn)
{
	r->size = (uint16_t)size_of(window);
	r->words = (uint16_t)words_of(r->size);
	r->esn = esn;
	r->enforce = window != 0;
}

void replay_init(struct replay *r, uint16_t window, bool esn)
{
	memset(r, 0, replay_bytes(window));
	configure(r, window, esn);
}

uint64_t replay_infer(const struct replay *r, uint32_t low)
{
	uint32_t top_low = (uint32_t)r->top, top_high = (uint32_t)(r->top >> 32);
	uint32_t bottom = top_low - r->size + 1; /* modulo 2^32, as Appendix A2.2 has it */
	uint32_t high;

	if (!r->esn)
		return low;
	if (top_low >= (uint32_t)r->size - 1) {
		/* RFC 4303 A2.2, case A: the window lies within one subspace. */
		if (low < bottom && top_high == UINT32_MAX)
			return 0;
		high = low >= bottom ? top_high : top_high + 1;
	} else {
		/* Case B: the window spans two subspaces. */
		if (low >= bottom && top_high == 0)
			return 0;
		high = low >= bottom ? top_high - 1 : top_high;
	}
	return (uint64_t)high << 32 | low;
}

bool replay_check(const struct replay *r, uint64_t seq)
{
	if (!r->enforce)
		return seq != 0 || !r->esn;
	if (seq == 0) /* RFC 4303 3.3.3: the first packet of an SA has 1 */
		return false;
	if (seq > r->top)
		return true;
	if (r->top - seq >= r->size)
		return false;
	return !(r->bits[seq / 64 % r->words] >> (seq % 64) & 1);
}

static void commit(struct replay *r, uint64_t seq)
{
	uint64_t word = seq / 64, top_word = r->top / 64;

	if (seq > r->top) {
		/* Each word on the way is cleared; a longer jump clears the whole ring. */
		for (unsigned n = 0; top_word < word && n < r->words; n++)
			r->bits[++top_word % r->words] = 0;
		/* Not before the words are clear: stale bits would be of later numbers. */
		__atomic_store_n(&r->top, seq, __ATOMIC_RELEASE);
	}
	if (r->top - seq < r->size)
		r->bits[word % r->words] |= UINT64_C(1) << (seq % 64);
}

/* Doing it a second time changes nothing more, wherever the first one ended. */
void replay_commit(struct replay *r, uint64_t seq)
{
	__atomic_store_n(&r->pending, seq, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	commit(r, seq);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&r->pending, 0, __ATOMIC_RELAXED);
}

void replay_resume(struct replay *r, uint16_t window, bool esn)
{
	configure(r, window, esn);
	if (r->pending)
		replay_commit(r, r->pending);
}
