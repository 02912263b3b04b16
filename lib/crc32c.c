/* CRC-32C by tables, eight bytes a step, or by SSE 4.2. */
#include "lib/crc32c.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t by_bytes(const struct crc32c *c, uint32_t sum, const uint8_t *p, size_t n)
{
	while (n--)
		sum = sum >> 8 ^ c->table[0][(sum ^ *p++) & 0xff];
	return sum;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

static uint32_t by_tables(const struct crc32c *c, uint32_t sum, const uint8_t *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t v = load(p) ^ sum;

		sum = 0;
		for (unsigned i = 0; i < CRC32C_SLICES; i++)
			sum ^= c->table[CRC32C_SLICES - 1 - i][v >> 8 * i & 0xff];
	}
	return by_bytes(c, sum, p, n);
}

#else
#define by_tables by_bytes
#endif

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t by_processor(const struct crc32c *c, uint32_t sum,
							       const uint8_t *p, size_t n)
{
	uint64_t wide = sum;

	for (; n >= 8; n -= 8, p += 8)
		wide = __builtin_ia32_crc32di(wide, load(p));
	return by_bytes(c, (uint32_t)wide, p, n);
}

static void choose(struct crc32c *c)
{
	if (__builtin_cpu_supports("sse4.2"))
		c->run = by_processor;
}

#else

static void choose(struct crc32c *c)
{
	(void)c;
}

#endif

void crc32c_init_portable(struct crc32c *c)
{
	c->run = by_tables;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;

		for (unsigned bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
		c->table[0][i] = v;
	}
	for (unsigned s = 1; s < CRC32C_SLICES; s++) {
		for (unsigned i = 0; i < 256; i++)
			c->table[s][i] =
				c->table[s - 1][i] >> 8 ^ c->table[0][c->table[s - 1][i] & 0xff];
	}
}

void crc32c_init(struct crc32c *c)
{
	crc32c_init_portable(c);
	choose(c);
}

uint32_t crc32c(const struct crc32c *c, uint32_t sum, const void *p, size_t n)
{
	return ~c->run(c, ~sum, p, n);
}
