/* Framing of vici packets: a u32 length in network order, then as many bytes. Owns one
 * growing buffer per stream; knows neither sockets nor messages. */
#include "lib/vici_stream.h"

#include <stdlib.h>

#define HEAD_LEN   4
#define FIRST_CAP  4096
#define KEEP_CAP   65536 /* an empty stream does not hold on to more */
#define STREAM_MAX (HEAD_LEN + VICI_PACKET_MAX)

void vici_stream_init(struct vici_stream *s)
{
	*s = (struct vici_stream){0};
}

void vici_stream_free(struct vici_stream *s)
{
	if (s->data)
		explicit_bzero(s->data, s->cap);
	free(s->data);
	vici_stream_init(s);
}

static void drop_given(struct vici_stream *s)
{
	if (!s->given)
		return;
	explicit_bzero(s->data + s->start, s->given);
	s->start += s->given;
	s->given = 0;
	if (s->start != s->end)
		return;
	s->start = s->end = 0;
	if (s->cap > KEEP_CAP)
		vici_stream_free(s);
}

/* How large the packet at the front is with its length field, as far as known. */
static size_t front_size(const struct vici_stream *s)
{
	if (s->end - s->start < HEAD_LEN)
		return HEAD_LEN;
	return HEAD_LEN + (size_t)be32_get(s->data + s->start);
}

/* To the front of a buffer of at least `want` bytes; the old place is cleansed. */
static bool move_front(struct vici_stream *s, size_t want)
{
	size_t used = s->end - s->start, cap = s->cap ? s->cap : FIRST_CAP;
	uint8_t *data;

	while (cap < want)
		cap *= 2;
	if (cap == s->cap) {
		memmove(s->data, s->data + s->start, used);
		explicit_bzero(s->data + used, s->end - used);
	} else {
		data = malloc(cap);
		if (!data)
			return false;
		if (used)
			memcpy(data, s->data + s->start, used);
		vici_stream_free(s);
		s->data = data;
		s->cap = cap;
	}
	s->start = 0;
	s->end = used;
	return true;
}

uint8_t *vici_stream_space(struct vici_stream *s, size_t *room)
{
	size_t want;

	drop_given(s);
	want = front_size(s);
	*room = 0;
	if (want > STREAM_MAX)
		return NULL;
	if (s->end == s->cap || s->cap - s->start < want) {
		if (!move_front(s, want))
			return NULL;
	}
	*room = s->cap - s->end;
	return *room ? s->data + s->end : NULL;
}

void vici_stream_wrote(struct vici_stream *s, size_t n)
{
	s->end += n;
}

enum vici_stream_state vici_stream_next(struct vici_stream *s, struct span *packet)
{
	size_t size;

	drop_given(s);
	if (s->end - s->start < HEAD_LEN)
		return VICI_STREAM_MORE;
	size = front_size(s);
	if (size > STREAM_MAX)
		return VICI_STREAM_TOO_LONG;
	if (s->end - s->start < size)
		return VICI_STREAM_MORE;
	*packet = span_of(s->data + s->start + HEAD_LEN, size - HEAD_LEN);
	s->given = size;
	return VICI_STREAM_PACKET;
}
