/* The data-plane protocol of FRR's bfdd (`bfdd --dplaneaddr`): bfdd hands its sessions to a
 * data plane and is told what becomes of them. Pure codec: no allocation, no socket, no log.
 * Values are in host order; intervals are microseconds. The same in FRR 8.4 to 10.x. */
#ifndef DETOUR_BFDDP_H
#define DETOUR_BFDDP_H

#include "lib/addr.h"
#include "lib/buf.h"

#include <net/if.h>

#define BFDDP_HEADER_SIZE  8
#define BFDDP_SESSION_SIZE (BFDDP_HEADER_SIZE + 132) /* an ADD or DELETE on the wire */
#define BFDDP_MESSAGE_MAX  1024

enum bfddp_type {
	BFDDP_ECHO_REQUEST,
	BFDDP_ECHO_REPLY,
	BFDDP_ADD_SESSION, /* or change it */
	BFDDP_DELETE_SESSION,
	BFDDP_STATE_CHANGE,
	BFDDP_REQUEST_COUNTERS,
	BFDDP_COUNTERS,
	BFDDP_TYPES, /* also: a number without a name here */
};

enum bfddp_session_flag {
	BFDDP_MULTIHOP = 1 << 0,
	BFDDP_DEMAND = 1 << 1,
	BFDDP_CBIT = 1 << 2,
	BFDDP_ECHO = 1 << 3,
	BFDDP_IPV6 = 1 << 4,
	BFDDP_PASSIVE = 1 << 5,
	BFDDP_SHUTDOWN = 1 << 6,
};

struct bfddp_session {
	uint32_t flags;
	struct addr local, peer; /* local may be 0.0.0.0 or ::, the kernel's choice */
	uint32_t discriminator;	 /* ours; unique in one bfdd */
	uint32_t min_tx, min_rx, min_echo_tx, min_echo_rx;
	uint32_t hold; /* milliseconds before the first packet */
	uint8_t min_ttl;
	uint8_t multiplier;
	uint32_t ifindex;	  /* 0: none */
	char ifname[IF_NAMESIZE]; /* "": none */
};

enum bfddp_remote_flag {
	BFDDP_REMOTE_CPI = 1,
	BFDDP_REMOTE_DEMAND = 2,
	BFDDP_REMOTE_MULTIPOINT = 4
};

struct bfddp_state {
	uint32_t discriminator, remote_discriminator;
	uint32_t remote_flags;
	uint32_t remote_min_tx, remote_min_rx, remote_min_echo_rx;
	uint8_t state; /* of the session: what bfdd shows and tells its clients */
	uint8_t diag;  /* the remote one */
	uint8_t remote_multiplier;
};

struct bfddp_counters {
	uint32_t discriminator;
	uint64_t in_bytes, in_packets, out_bytes, out_packets;
	uint64_t echo_in_bytes, echo_in_packets, echo_out_bytes, echo_out_packets;
};

struct bfddp_echo {
	uint64_t dplane_time, bfdd_time; /* the sender's own clock, microseconds */
};

struct bfddp_message {
	enum bfddp_type type;
	uint16_t number; /* of the type, as on the wire */
	uint16_t id;	 /* pairs an answer with its question; 0: none */
	size_t size;	 /* what of the input it took */
	union {
		struct bfddp_echo echo;
		struct bfddp_session session;
		struct bfddp_state state;
		struct bfddp_counters counters;
		uint32_t discriminator; /* REQUEST_COUNTERS */
	};
};

enum bfddp_error {
	BFDDP_OK,
	BFDDP_MORE, /* not an error: the message is not complete yet */
	BFDDP_BAD_VERSION,
	BFDDP_BAD_LENGTH,
	/* From here on the message is complete and bad: out->size tells where the next begins. */
	BFDDP_TRUNCATED,
	BFDDP_BAD_DISCRIMINATOR,
	BFDDP_BAD_MULTIPLIER,
	BFDDP_BAD_PEER,
	BFDDP_BAD_NAME,
	BFDDP_BAD_STATE,
};

const char *bfddp_strerror(enum bfddp_error e);

/* The first message of a stream; one of an unknown type has BFDDP_TYPES and no content.
 * *offset (may be NULL) tells where an error is. */
enum bfddp_error bfddp_parse(struct span in, struct bfddp_message *out, size_t *offset);

/* Appends a whole message. Only the content of its type is looked at; size and number are
 * not. */
void bfddp_encode(struct buf *b, const struct bfddp_message *m);

#endif
