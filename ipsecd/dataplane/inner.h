/* What the data plane must know of a packet inside the tunnel: family, addresses,
 * protocol and ports for the selectors (RFC 4301 4.4.1.1), and its true length. Pure,
 * and safe on hostile bytes: every field is checked against the length at hand. */
#ifndef DETOUR_INNER_H
#define DETOUR_INNER_H

#include "lib/addr.h"

struct inner {
	struct addr src, dst;
	uint8_t protocol; /* last header that was reached */
	/* Host order; 0 where the packet shows none (later fragments, other protocols).
	 * ICMP: type and code in both (RFC 7296 3.13.1). */
	uint16_t src_port, dst_port;
	/* RFC 4301 4.4.1.1: ports that are in another fragment, or behind the end of this one. */
	bool opaque;
	size_t len;	  /* as the IP header says; never more than was given */
	size_t transport; /* where the transport header begins, of what shows one; else its end */
};

enum inner_error { INNER_OK, INNER_EMPTY, INNER_VERSION, INNER_HEADER, INNER_TRUNCATED };

const char *inner_strerror(enum inner_error e);
enum inner_error inner_parse(struct span packet, struct inner *out);
/* RFC 4301 6.2: an ICMP error that `packet` is (`inner`: what was parsed of it) goes the way of an
 * answer to the packet that it quotes, whoever sent it. false: it is none, or quotes too little. */
bool inner_answers(struct span packet, const struct inner *inner, struct inner *out);

#endif
