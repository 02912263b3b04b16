/* BFD control packets (RFC 5880 4.1) as plain values. Pure. Intervals are microseconds;
 * everything is in host order. Authentication is not supported: such packets are refused,
 * and none is made. */
#ifndef DETOUR_BFD_PACKET_H
#define DETOUR_BFD_PACKET_H

#include "lib/buf.h"

#define BFD_PACKET_SIZE 24
#define BFD_PORT	3784  /* RFC 5881 4: one hop */
#define BFD_PORT_MULTI	4784  /* RFC 5883 5: several hops */
#define BFD_SOURCE_MIN	49152 /* RFC 5881 4: source ports */
#define BFD_SOURCE_MAX	65535
#define BFD_TTL		255 /* RFC 5881 5: sent so, and on one hop received so */

/* RFC 5880 4.1, Sta */
enum bfd_state { BFD_ADMIN_DOWN, BFD_DOWN, BFD_INIT, BFD_UP };

/* RFC 5880 4.1, Diag; others may come from a peer */
enum bfd_diag {
	BFD_DIAG_NONE,
	BFD_DIAG_EXPIRED,
	BFD_DIAG_ECHO_FAILED,
	BFD_DIAG_NEIGHBOR_DOWN,
	BFD_DIAG_FORWARDING_RESET,
	BFD_DIAG_PATH_DOWN,
	BFD_DIAG_CONCATENATED_DOWN,
	BFD_DIAG_ADMIN_DOWN,
	BFD_DIAG_REVERSE_DOWN,
};

const char *bfd_state_name(unsigned state);
const char *bfd_diag_name(unsigned diag); /* "reserved" for unassigned ones */

struct bfd_packet {
	enum bfd_state state;
	uint8_t diag; /* 0..31 */
	uint8_t multiplier;
	bool poll, final;
	bool independent; /* C: forwarding does not need the control plane */
	bool demand;
	uint32_t mine, yours; /* discriminators, as the sender names them */
	uint32_t min_tx, min_rx, min_echo_rx;
};

/* Why a packet is not taken. The first ones are the parser's, the rest are found by whoever
 * knows the sessions. BFD_TAKEN is none. */
enum bfd_drop {
	BFD_TAKEN,
	BFD_DROP_SHORT,
	BFD_DROP_VERSION,
	BFD_DROP_LENGTH,
	BFD_DROP_MULTIPLIER,
	BFD_DROP_MULTIPOINT,
	BFD_DROP_MY_DISCRIMINATOR,
	BFD_DROP_YOUR_DISCRIMINATOR,
	BFD_DROP_AUTHENTICATED,
	BFD_DROP_TTL,
	BFD_DROP_NO_SESSION,
	BFD_DROP_SOURCE,
	BFD_DROPS,
};

/* A short sentence, and a word for metrics. */
const char *bfd_drop_text(enum bfd_drop d);
const char *bfd_drop_word(enum bfd_drop d);

/* A datagram's payload. *out is untouched unless BFD_TAKEN; *offset (may be NULL) tells the
 * byte that is wrong. */
enum bfd_drop bfd_packet_parse(struct span in, struct bfd_packet *out, size_t *offset);
/* Appends BFD_PACKET_SIZE bytes: version 1, A and M clear. */
void bfd_packet_encode(struct buf *b, const struct bfd_packet *p);

#endif
