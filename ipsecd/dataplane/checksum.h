/* The Internet checksum (RFC 1071). Sums are kept in the machine's byte order, as RFC 1071 2(B)
 * allows: what is read and written is memory, and a number is brought into network order
 * before it is added. Pure. */
#ifndef DETOUR_CHECKSUM_H
#define DETOUR_CHECKSUM_H

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The sum of n bytes added to `sum`. All calls but the last of one sum have an even n. What is
 * given and returned has room for millions of numbers to be added with +. */
uint64_t checksum_add(uint64_t sum, const uint8_t *p, size_t n);

static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}

/* The 16 bits at p, and a number of the host's, as summands. */
static inline uint64_t checksum_word(const uint8_t *p)
{
	uint16_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

static inline uint64_t checksum_number(size_t n)
{
	return htonl((uint32_t)n);
}

static inline void checksum_set(uint8_t *p, uint16_t folded)
{
	memcpy(p, &folded, sizeof(folded));
}

#endif
