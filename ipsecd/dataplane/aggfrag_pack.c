/* Inner packets into payloads: owns the stream of bytes that waits and where packets end in it. */
#include "ipsecd/dataplane/aggfrag.h"

#include "lib/buf.h"

#include <stdlib.h>

#define ROOM_MIN ((size_t)4096)
/* A packet of which less than its shortest header would fit begins in the next payload: the
 * receiver then reads its length from the piece it begins with. */
#define BEGINNING 20

static size_t packet_len(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? be16_get(packet + 2) : (size_t)be16_get(packet + 4) + 40;
}

static void *moved_to(const struct aggfrag_pack *p, uint8_t *to)
{
	if (p->used)
		memmove(to, p->bytes + p->head, p->used);
	return to;
}

static bool grow(struct aggfrag_pack *p, size_t needed)
{
	size_t room = p->room ? p->room : ROOM_MIN;
	uint8_t *bytes;

	/* Twice what waits, so that bytes are moved to the front seldom. */
	while (room < 2 * needed)
		room *= 2;
	bytes = malloc(room);
	if (!bytes)
		return false;
	moved_to(p, bytes);
	free(p->bytes);
	p->bytes = bytes;
	p->room = room;
	p->head = 0;
	return true;
}

uint8_t *aggfrag_pack_place(struct aggfrag_pack *p, size_t len, size_t limit)
{
	if (len > AGGFRAG_PACKET_MAX || p->used + len > limit)
		return NULL;
	if (p->head + p->used + len > p->room) {
		if (2 * (p->used + len) > p->room && !grow(p, p->used + len))
			return NULL;
		moved_to(p, p->bytes);
		p->head = 0;
	}
	return p->bytes + p->head + p->used;
}

bool aggfrag_pack_put(struct aggfrag_pack *p, size_t len)
{
	const uint8_t *packet = p->bytes + p->head + p->used;

	if (len < BEGINNING || (packet[0] >> 4 != 4 && (packet[0] >> 4 != 6 || len < 40)) ||
	    packet_len(packet) != len)
		return false;
	p->used += len;
	return true;
}

/* What the next payload has of the stream, with room for `room` bytes; *rest: of the packet that
 * it ends with, what is left for later ones. */
static size_t piece(const struct aggfrag_pack *p, size_t room, size_t *rest)
{
	size_t end = p->rest, begin = 0;

	while (end < room && end < p->used) {
		begin = end;
		end += packet_len(p->bytes + p->head + begin);
	}
	*rest = 0;
	if (end <= room)
		return end;
	if (begin >= p->rest && end > p->rest && (p->whole || room - begin < BEGINNING))
		return begin; /* it stays for the next one as a whole */
	*rest = end - room;
	return room;
}

static size_t room_of(size_t size)
{
	return size > AGGFRAG_HEADER_LEN ? size - AGGFRAG_HEADER_LEN : 0;
}

size_t aggfrag_pack_peek(const struct aggfrag_pack *p, size_t size)
{
	size_t rest;

	return AGGFRAG_HEADER_LEN + piece(p, room_of(size), &rest);
}

/* RFC 9347 6.1.1: BlockOffset counts what comes before the first packet that begins here, or in
 * one of the payloads behind this one. */
size_t aggfrag_pack_take(struct aggfrag_pack *p, uint8_t *out, size_t size, bool fill, size_t *data)
{
	size_t rest, n = piece(p, room_of(size), &rest), len = AGGFRAG_HEADER_LEN + n;

	be16_set(out, 0);
	be16_set(out + 2, (uint16_t)p->rest);
	if (n)
		memcpy(out + AGGFRAG_HEADER_LEN, p->bytes + p->head, n);
	p->head += n;
	p->used -= n;
	p->rest = rest;
	if (!p->used)
		p->head = 0;
	*data = n;
	if (!fill)
		return len;
	memset(out + len, 0, size - len);
	return size;
}

bool aggfrag_pack_stuck(const struct aggfrag_pack *p, size_t size)
{
	return p->whole && p->used && !p->rest && packet_len(p->bytes + p->head) > room_of(size);
}

void aggfrag_pack_drop(struct aggfrag_pack *p)
{
	size_t len = packet_len(p->bytes + p->head);

	p->head += len;
	p->used -= len;
}

struct span aggfrag_pack_first(const struct aggfrag_pack *p)
{
	const uint8_t *packet = p->bytes + p->head;

	return p->used ? span_of(packet, packet_len(packet)) : span_of(NULL, 0);
}

unsigned aggfrag_pack_count(const struct aggfrag_pack *p)
{
	unsigned n = p->rest != 0;

	for (size_t at = p->rest; at < p->used; n++)
		at += packet_len(p->bytes + p->head + at);
	return n;
}

unsigned aggfrag_pack_move(struct aggfrag_pack *p, struct aggfrag_pack *to, size_t limit)
{
	unsigned lost = 0;

	for (size_t at = p->rest; at < p->used;) {
		const uint8_t *packet = p->bytes + p->head + at;
		size_t len = packet_len(packet);
		uint8_t *place = aggfrag_pack_place(to, len, limit);

		if (place) {
			memcpy(place, packet, len);
			aggfrag_pack_put(to, len);
		} else {
			lost++;
		}
		at += len;
	}
	p->used = p->rest;
	return lost;
}

void aggfrag_pack_free(struct aggfrag_pack *p)
{
	free(p->bytes);
	*p = (struct aggfrag_pack){.whole = p->whole};
}
