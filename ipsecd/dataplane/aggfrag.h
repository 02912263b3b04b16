/* AGGFRAG (RFC 9347): inner packets on their way outwards are one stream of bytes, and each ESP
 * packet carries the next piece of it, a payload, with the place where the first packet in it
 * begins. Inwards payloads are put in order by their ESP sequence numbers and cut into packets
 * again. Pure: sizes, numbers and the time are given. aggfrag_pack.c packs, aggfrag_open.c opens,
 * aggfrag_rate.c says when a payload is due; forward_aggfrag.c puts them into the packet paths.
 *
 *	sub-type | reserved | BlockOffset (16) | [congestion control, sub-type 1] | data blocks
 *
 * A data block is an IPv4 or IPv6 packet, or padding up to the end (first four bits 0). */
#ifndef DETOUR_AGGFRAG_H
#define DETOUR_AGGFRAG_H

#include "ipsecd/model/aggfrag.h"
#include "lib/mono.h"

#define AGGFRAG_HEADER_LEN    4
#define AGGFRAG_CC_HEADER_LEN 24 /* RFC 9347 6.1.2 */
#define AGGFRAG_PACKET_MAX    65535
#define AGGFRAG_PAYLOAD_MIN   64 /* whatever a path is said to hold */

/* ---- packing ---- */

/* Zeroed is empty. */
struct aggfrag_pack {
	uint8_t *bytes; /* those that wait are the `used` from `head` on */
	size_t room, head, used;
	size_t rest; /* so many of them are the end of a packet that has begun to leave */
	bool whole;  /* packets are not cut */
};

/* Where a packet of `len` bytes is to be written; NULL: more than `limit` bytes would wait, or
 * out of memory. */
uint8_t *aggfrag_pack_place(struct aggfrag_pack *p, size_t len, size_t limit);
/* It is there. false: it is no packet of this length, and is not taken. */
bool aggfrag_pack_put(struct aggfrag_pack *p, size_t len);
/* Length of the next payload of at most `size` bytes; with nothing to send that of a header. */
size_t aggfrag_pack_peek(const struct aggfrag_pack *p, size_t size);
/* The next payload into `out`, which has `size` bytes; filled up with padding (RFC 9347 6.1.3.3)
 * to them where `fill`. Returns its length; *data: of the bytes of packets in it. */
size_t aggfrag_pack_take(struct aggfrag_pack *p, uint8_t *out, size_t size, bool fill,
			 size_t *data);
/* Of uncut packets the one that is next: it is longer than a payload, and can't leave. */
bool aggfrag_pack_stuck(const struct aggfrag_pack *p, size_t size);
void aggfrag_pack_drop(struct aggfrag_pack *p); /* that one */
/* The first that waits, where none has begun to leave; empty: none waits. Valid until it is
 * dropped. */
struct span aggfrag_pack_first(const struct aggfrag_pack *p);
/* How many wait, one that has begun to leave included. */
unsigned aggfrag_pack_count(const struct aggfrag_pack *p);
/* Those that have not begun to leave go behind those of `to`, as far as they fit. Returns how many
 * did not. What is left is the rest of the one that has. */
unsigned aggfrag_pack_move(struct aggfrag_pack *p, struct aggfrag_pack *to, size_t limit);
void aggfrag_pack_free(struct aggfrag_pack *p);

/* ---- opening ---- */

enum aggfrag_count {
	AGGFRAG_LOST,	   /* payloads that did not come in time */
	AGGFRAG_LATE,	   /* that came after they were given up: only their whole packets count */
	AGGFRAG_FRAGMENTS, /* packets of which a part was lost */
	AGGFRAG_MALFORMED, /* payloads that are none, or not whole; what can be read is delivered */
	AGGFRAG_COUNTS,
};

/* A whole packet, as long as its header says, of which nothing else was checked. `stays`: it lies
 * in the payload that was given to aggfrag_open_input; else it is gone after the call. */
typedef void aggfrag_out(void *ctx, uint8_t *packet, size_t len, bool stays);

struct aggfrag_held {
	uint64_t seq;
	uint8_t *bytes;
	size_t len;
};

struct aggfrag_open {
	unsigned window;	   /* payloads behind a missing one */
	mono_time drop_time;	   /* and how long they wait for it */
	uint64_t next;		   /* the sequence number that is next; 0: any */
	mono_time since;	   /* the one that is next is missing */
	struct aggfrag_held *held; /* by number; `window` + 1 of them, allocated with the first */
	unsigned n_held;
	size_t held_bytes;
	uint8_t *part; /* of a packet that is not whole yet */
	size_t part_room, have, need;
	uint64_t counts[AGGFRAG_COUNTS];
};

void aggfrag_open_init(struct aggfrag_open *o, unsigned window, mono_time drop_time);
/* The payload of the ESP packet with this number, which comes once (replay.h). */
void aggfrag_open_input(struct aggfrag_open *o, uint64_t seq, uint8_t *payload, size_t len,
			mono_time now, aggfrag_out *out, void *ctx);
/* Payloads that waited long enough are taken without the missing ones. When it is wanted next, or
 * MONO_NEVER. */
mono_time aggfrag_open_expire(struct aggfrag_open *o, mono_time now, aggfrag_out *out, void *ctx);
mono_time aggfrag_open_due(const struct aggfrag_open *o);
void aggfrag_open_free(struct aggfrag_open *o);

/* ---- constant rate ---- */

#define AGGFRAG_BURST 64 /* payloads at once, when the clock was late */

struct aggfrag_rate {
	mono_time interval; /* between payloads; 0: there is no rate */
	mono_time next;	    /* 0: begin now */
	uint64_t missed;    /* payloads that were due and not sent */
};

/* `outer`: bytes of an outer packet. What is due already stays due. */
void aggfrag_rate_set(struct aggfrag_rate *r, const struct aggfrag_params *p, size_t outer);
/* How many payloads are to be sent now. */
unsigned aggfrag_rate_due(struct aggfrag_rate *r, mono_time now);
/* How many bytes of packets may wait. Without a rate p->max_queue means nothing. */
size_t aggfrag_rate_queue(const struct aggfrag_rate *r, const struct aggfrag_params *p,
			  size_t size);

#endif
