/* RFC 3948 2: what a datagram of the NAT-T port is, and where each lies when the kernel has put
 * several of one sender into one buffer (UDP_GRO). Pure. */
#ifndef DETOUR_UDP_FRAME_H
#define DETOUR_UDP_FRAME_H

#include "lib/span.h"

#define UDP_MARKER_LEN 4 /* RFC 3948 2.2: the non-ESP marker */

enum udp_frame_kind {
	UDP_FRAME_IKE,	     /* one datagram, without its marker */
	UDP_FRAME_ESP,	     /* as many as lie one behind another: `size` each, the last may be
				shorter */
	UDP_FRAME_KEEPALIVE, /* one */
	UDP_FRAME_RUNT,	     /* one that is shorter than the marker */
};

/* What is left of a buffer. */
struct udp_frames {
	uint8_t *at;
	size_t len, size;
	bool natt;  /* came by the NAT-T port; else all of it is IKE, without markers */
	bool ended; /* an empty datagram is one, too: `len` does not tell */
};

struct udp_frame {
	enum udp_frame_kind kind;
	uint8_t *data;
	size_t len, size;   /* size == len: one datagram */
	unsigned datagrams; /* 0 at the end */
};

/* `size`: of each datagram but the last; 0, or more than `len`: there is one. */
struct udp_frames udp_frames_of(uint8_t *data, size_t len, size_t size, bool natt);
/* The next in order; false: there is none left. */
bool udp_frames_next(struct udp_frames *f, struct udp_frame *out);

#endif
