/* Pieces, each with how many zeros are before it and how many bytes it has: two numbers of 16 bits.
 */
#include "lib/sparse.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 4u /* bytes of the two numbers: so many zeros, or less, end no piece */

/* From `at` on: the next piece. false: zeros to the end. */
static bool next_piece(const uint8_t *p, size_t n, size_t at, size_t *from, size_t *to)
{
	size_t zeros = 0;

	while (at < n && !p[at])
		at++;
	*from = *to = at;
	for (; at < n && zeros <= HEAD; at++) {
		zeros = p[at] ? 0 : zeros + 1;
		if (p[at])
			*to = at + 1;
	}
	return *from < n;
}

static void put(uint8_t *out, size_t v)
{
	out[0] = (uint8_t)v;
	out[1] = (uint8_t)(v >> 8);
}

static size_t take(const uint8_t *in)
{
	return in[0] | (size_t)in[1] << 8;
}

struct sparse *sparse_new(const void *p, size_t n)
{
	const uint8_t *bytes = p;
	size_t from, to, len = 0, at = 0, end = 0;
	struct sparse *s;

	if (n > SPARSE_MAX)
		return NULL;
	for (; next_piece(bytes, n, at, &from, &to); at = to)
		len += HEAD + to - from;
	s = malloc(sizeof(*s) + len);
	if (!s)
		return NULL;
	s->len = (uint32_t)len;
	for (len = 0; next_piece(bytes, n, end, &from, &to); end = to) {
		put(s->bytes + len, from - end);
		put(s->bytes + len + 2, to - from);
		memcpy(s->bytes + len + HEAD, bytes + from, to - from);
		len += HEAD + to - from;
	}
	return s;
}

void sparse_get(const struct sparse *s, void *p, size_t n)
{
	uint8_t *out = p;
	size_t at = 0, piece;

	memset(p, 0, n);
	for (size_t i = 0; i < s->len; i += HEAD + piece) {
		at += take(s->bytes + i);
		piece = take(s->bytes + i + 2);
		if (at + piece > n)
			return;
		memcpy(out + at, s->bytes + i + HEAD, piece);
		at += piece;
	}
}

void sparse_free(struct sparse *s)
{
	if (s)
		explicit_bzero(s, sizeof(*s) + s->len);
	free(s);
}
