/* Bytes of a vici socket to packets and back: pure and incremental, for blocking and
 * non-blocking sockets and any event loop.
 *	space = vici_stream_space(s, &room); n = recv(fd, space, room, 0);
 *	vici_stream_wrote(s, n);
 *	while (vici_stream_next(s, &packet) == VICI_STREAM_PACKET) vici_packet_parse(packet, ...)
 * Packets may carry secrets: every byte is cleansed once it was read. */
#ifndef DETOUR_VICI_STREAM_H
#define DETOUR_VICI_STREAM_H

#include "lib/vici_codec.h"

struct vici_stream {
	uint8_t *data; /* owned; grows as needed up to one packet of the longest size */
	size_t start, end, cap;
	size_t given; /* bytes of the packet that the last next() gave away */
};

enum vici_stream_state {
	VICI_STREAM_MORE,     /* no whole packet yet */
	VICI_STREAM_PACKET,   /* one: without its length field */
	VICI_STREAM_TOO_LONG, /* the peer announced more than VICI_PACKET_MAX: close */
};

void vici_stream_init(struct vici_stream *s);
void vici_stream_free(struct vici_stream *s);
/* Where to put received bytes and how many fit; NULL when out of memory or when the
 * packets that are there were not taken out first. Ends the packet given before. */
uint8_t *vici_stream_space(struct vici_stream *s, size_t *room);
void vici_stream_wrote(struct vici_stream *s, size_t n);
/* The packet is valid until the next call with this stream. */
enum vici_stream_state vici_stream_next(struct vici_stream *s, struct span *packet);

#endif
