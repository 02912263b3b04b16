/* Sums 32 bits at a time in lanes of 64, so that no carry has to be looked at. Lanes are the
 * compiler's vectors, which it makes out of what the machine has. */
#include "ipsecd/dataplane/checksum.h"

typedef uint64_t lanes __attribute__((vector_size(16)));

enum { BLOCK = 4 * sizeof(lanes) };

struct sums {
	lanes low[2], high[2]; /* two of each, for one would wait for itself */
};

static inline void add_block(struct sums *s, const lanes in[4])
{
	const lanes mask = {UINT32_MAX, UINT32_MAX};

	s->low[0] += in[0] & mask;
	s->high[0] += in[0] >> 32;
	s->low[1] += in[1] & mask;
	s->high[1] += in[1] >> 32;
	s->low[0] += in[2] & mask;
	s->high[0] += in[2] >> 32;
	s->low[1] += in[3] & mask;
	s->high[1] += in[3] >> 32;
}

static inline uint64_t narrow(uint64_t sum)
{
	return (sum >> 32) + (uint32_t)sum;
}

static inline uint64_t total(const struct sums *s)
{
	lanes low = s->low[0] + s->low[1], high = s->high[0] + s->high[1];

	return narrow(low[0]) + narrow(low[1]) + narrow(high[0]) + narrow(high[1]);
}

/* Less than a block. */
static inline uint64_t add_rest(uint64_t sum, const uint8_t *p, size_t n)
{
	uint64_t word;
	uint32_t half;
	uint16_t quarter;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&word, p, 8);
		sum += (word >> 32) + (uint32_t)word;
	}
	if (n & 4) {
		memcpy(&half, p, 4);
		sum += half;
		p += 4;
	}
	if (n & 2) {
		memcpy(&quarter, p, 2);
		sum += quarter;
		p += 2;
	}
	if (n & 1) /* as if a zero stood behind it */
		sum += checksum_word((const uint8_t[]){*p, 0});
	return narrow(sum);
}

uint64_t checksum_add(uint64_t sum, const uint8_t *p, size_t n)
{
	struct sums s = {{{0}}, {{0}}};
	lanes in[4];

	if (n < BLOCK)
		return add_rest(sum, p, n);
	for (; n >= BLOCK; p += BLOCK, n -= BLOCK) {
		memcpy(in, p, BLOCK);
		add_block(&s, in);
	}
	return add_rest(sum + total(&s), p, n);
}
