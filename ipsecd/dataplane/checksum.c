/* Sums 64 bits at a time into 128, so that no carry has to be looked at; four sums at once, for
 * one would wait for itself. */
#include "ipsecd/dataplane/checksum.h"

__extension__ typedef unsigned __int128 wide;

static uint64_t load(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

static uint64_t narrow(wide sum)
{
	return (uint64_t)(sum >> 64) + (uint32_t)(sum >> 32) + (uint32_t)sum;
}

/* Less than 8 bytes, as if zeros stood behind them. */
static uint64_t rest(const uint8_t *p, size_t n)
{
	uint8_t word[8] = {0};

	memcpy(word, p, n);
	return load(word);
}

uint64_t checksum_add(uint64_t sum, const uint8_t *p, size_t n)
{
	wide a = sum, b = 0;

	for (; n >= 64; p += 64, n -= 64) {
		a += load(p);
		b += load(p + 8);
		a += load(p + 16);
		b += load(p + 24);
		a += load(p + 32);
		b += load(p + 40);
		a += load(p + 48);
		b += load(p + 56);
	}
	for (; n >= 8; p += 8, n -= 8)
		a += load(p);
	a += rest(p, n);
	return narrow(a) + narrow(b);
}

uint64_t checksum_copy(uint64_t sum, uint8_t *to, const uint8_t *from, size_t n)
{
	memcpy(to, from, n);
	return checksum_add(sum, to, n);
}
