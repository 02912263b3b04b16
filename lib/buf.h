/* Bounded writer and reader with a sticky error, in network byte order.
 *
 * A writer (struct buf) fills memory that the caller owns; a put that does not
 * fit writes nothing and sets `overflow`, and so does every later put, so that
 * a whole message is built first and tested once. A reader works the same way
 * on a span: a get past the end returns zero and sets `truncated`. */
#ifndef DETOUR_BUF_H
#define DETOUR_BUF_H

#include "lib/span.h"

struct buf {
	uint8_t *data;
	size_t len; /* written so far */
	size_t cap;
	bool overflow;
};

struct buf buf_over(void *memory, size_t cap);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_span(struct buf *b, struct span s);
void buf_put_zero(struct buf *b, size_t n);
/* Gives n bytes to be filled by the caller, or NULL and the overflow mark. */
uint8_t *buf_reserve(struct buf *b, size_t n);
/* Here, since there are a thousand of it in a handshake's records. */
static inline void buf_put_u8(struct buf *b, uint8_t v)
{
	if (b->len < b->cap && !b->overflow)
		b->data[b->len++] = v;
	else
		b->overflow = true;
}
/* Overwrites what was put before; `at` + size must lie below len (else overflow). */
void buf_set_u8(struct buf *b, size_t at, uint8_t v);
void buf_set_u16(struct buf *b, size_t at, uint16_t v);
void buf_set_u32(struct buf *b, size_t at, uint32_t v);
/* What was written; empty after an overflow. */
struct span buf_span(const struct buf *b);

struct reader {
	struct span in;
	size_t pos;
	bool truncated;
};

struct reader reader_over(struct span in);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* n bytes as a span into the input; an empty span and the mark if there are fewer. */
struct span reader_take(struct reader *r, size_t n);
struct span reader_rest(struct reader *r);
size_t reader_left(const struct reader *r);

/* Unaligned big-endian access to memory known to be large enough. */
static inline uint16_t be16_get(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t be64_get(const uint8_t *p)
{
	return (uint64_t)be32_get(p) << 32 | be32_get(p + 4);
}

static inline void be16_set(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void be32_set(uint8_t *p, uint32_t v)
{
	be16_set(p, (uint16_t)(v >> 16));
	be16_set(p + 2, (uint16_t)v);
}

static inline void be64_set(uint8_t *p, uint64_t v)
{
	be32_set(p, (uint32_t)(v >> 32));
	be32_set(p + 4, (uint32_t)v);
}

#endif
