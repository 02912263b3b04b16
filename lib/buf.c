/* Bounded writer and reader with a sticky error. Knows no protocol. */
#include "lib/buf.h"

struct buf buf_over(void *memory, size_t cap)
{
	return (struct buf){.data = memory, .cap = cap};
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (b->overflow || n > b->cap - b->len) {
		b->overflow = true;
		return NULL;
	}
	b->len += n;
	return b->data + b->len - n;
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	uint8_t *p = buf_reserve(b, 2);

	if (p)
		be16_set(p, v);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	uint8_t *p = buf_reserve(b, 4);

	if (p)
		be32_set(p, v);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	uint8_t *p = buf_reserve(b, 8);

	if (p)
		be64_set(p, v);
}

void buf_put(struct buf *b, const void *src, size_t n)
{
	uint8_t *p = buf_reserve(b, n);

	if (p && n)
		memcpy(p, src, n);
}

void buf_put_span(struct buf *b, struct span s)
{
	buf_put(b, s.ptr, s.len);
}

void buf_put_zero(struct buf *b, size_t n)
{
	uint8_t *p = buf_reserve(b, n);

	if (p && n)
		memset(p, 0, n);
}

static uint8_t *written(struct buf *b, size_t at, size_t n)
{
	if (b->overflow || at > b->len || n > b->len - at) {
		b->overflow = true;
		return NULL;
	}
	return b->data + at;
}

void buf_set_u8(struct buf *b, size_t at, uint8_t v)
{
	uint8_t *p = written(b, at, 1);

	if (p)
		*p = v;
}

void buf_set_u16(struct buf *b, size_t at, uint16_t v)
{
	uint8_t *p = written(b, at, 2);

	if (p)
		be16_set(p, v);
}

void buf_set_u32(struct buf *b, size_t at, uint32_t v)
{
	uint8_t *p = written(b, at, 4);

	if (p)
		be32_set(p, v);
}

struct span buf_span(const struct buf *b)
{
	return b->overflow ? (struct span){0} : span_of(b->data, b->len);
}

struct reader reader_over(struct span in)
{
	/* Arithmetic on a null pointer is undefined, even by 0. */
	return (struct reader){.in = in.ptr ? in : span_of("", 0)};
}

struct span reader_take(struct reader *r, size_t n)
{
	if (r->truncated || n > r->in.len - r->pos) {
		r->truncated = true;
		return (struct span){0};
	}
	r->pos += n;
	return span_of(r->in.ptr + r->pos - n, n);
}

uint8_t reader_u8(struct reader *r)
{
	struct span s = reader_take(r, 1);

	return s.ptr ? s.ptr[0] : 0;
}

uint16_t reader_u16(struct reader *r)
{
	struct span s = reader_take(r, 2);

	return s.ptr ? be16_get(s.ptr) : 0;
}

uint32_t reader_u32(struct reader *r)
{
	struct span s = reader_take(r, 4);

	return s.ptr ? be32_get(s.ptr) : 0;
}

uint64_t reader_u64(struct reader *r)
{
	struct span s = reader_take(r, 8);

	return s.ptr ? be64_get(s.ptr) : 0;
}

struct span reader_rest(struct reader *r)
{
	return reader_take(r, reader_left(r));
}

size_t reader_left(const struct reader *r)
{
	return r->truncated ? 0 : r->in.len - r->pos;
}
