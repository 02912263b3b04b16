/* CRC-32C (Castagnoli, RFC 3720 B.4) of memory: finds damage, is no protection against
 * anybody. With the processor's own instruction where there is one. */
#ifndef DETOUR_CRC32C_H
#define DETOUR_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#define CRC32C_SLICES 8

struct crc32c {
	uint32_t (*run)(const struct crc32c *c, uint32_t sum, const uint8_t *p, size_t n);
	uint32_t table[CRC32C_SLICES][256];
};

void crc32c_init(struct crc32c *c);
/* Of n bytes behind those that gave `sum`; 0 to begin with. */
uint32_t crc32c(const struct crc32c *c, uint32_t sum, const void *p, size_t n);
/* For tests: without the processor's instruction. */
void crc32c_init_portable(struct crc32c *c);

#endif
