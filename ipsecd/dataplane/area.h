/* What a data plane must not forget when it is killed: tunnels and CHILD_SAs with their keys,
 * sequence numbers, windows and counters, in memory that outlives the process. They live there,
 * not as copies: whatever instruction was the last one, the next process goes on from it.
 *
 * The memory comes in chunks that never move, so that counters can be used where they lie. A
 * slot holds one tunnel or one CHILD_SA; chunks have slots of one of a few sizes. One that was
 * being filled when its writer was killed is recognised and dropped; what changes in the life of a
 * slot is written to a second place and becomes valid with one store. Freed slots are cleansed.
 * Pure: no clock, no descriptor, no log.
 *
 * Host byte order and this build's structures: another version's memory is refused. Not
 * thread-safe, but the live parts are whoever's the SA is. */
#ifndef DETOUR_AREA_H
#define DETOUR_AREA_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/dataplane/replay.h"

#define AREA_VERSION	3
#define AREA_CHUNK	65536u
#define AREA_CHUNKS_MAX 16384u /* 1 GB */
#define AREA_CACHE_LINE 64

enum { LIVE_IN = 1, LIVE_OUT = 2 };

/* The part of a CHILD_SA that packets change. Flags are bytes, 0 or 1. The window is as long as the
 * CHILD_SA's is. */
struct sa_live {
	/* Last number used; advanced before a packet is sealed with it. The kernel plane: while
	 * `remaking`, the number from which the outbound state goes on. */
	_Alignas(AREA_CACHE_LINE) uint64_t seq_out;
	/* What limits in bytes count: to so many the cipher was applied, padding, AGGFRAG's headers
	 * and what was not sent in the end included. The kernel plane has its own count. */
	uint64_t ciphered_in, ciphered_out;
	/* The kernel plane: what states have counted that are no more. */
	_Alignas(AREA_CACHE_LINE) struct dataplane_child_stats stats;
	/* These were told, and are told no more. */
	uint8_t soft_reported, hard_reported, used_reported;
	uint8_t installed; /* kernel plane: both states were there */
	uint8_t remaking;  /* kernel plane: LIVE_IN, LIVE_OUT: that state is being made again */
	struct replay replay;
};

/* The next sequence number, of `most` that there are; which nobody else gets, no other thread and,
 * when we die right behind it, no other process. 0: there is none left (RFC 4303 3.3.3). */
static inline uint64_t sa_live_next(struct sa_live *l, uint64_t most)
{
	uint64_t last = __atomic_load_n(&l->seq_out, __ATOMIC_RELAXED);

	do {
		if (last >= most)
			return 0;
	} while (!__atomic_compare_exchange_n(&l->seq_out, &last, last + 1, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	return last + 1;
}

struct area_tunnel {
	uint32_t id;
	int ifindex; /* 0: somebody had removed the device, or it was not made to the end */
	bool link_up, admin_up;
	struct tunnel_config config;
};

/* What a CHILD_SA is to the kernel plane; the others have 0. */
struct area_numbers {
	uint32_t reqid, priority;
};

/* Gives chunk n (AREA_CHUNK bytes, aligned to a cache line), which is zeroes where it was never
 * given before and stays where it is while the area is open. NULL: no memory. Chunks are asked
 * for in the order of n, each once. */
struct area_host {
	void *(*chunk)(void *ctx, unsigned n);
	void *ctx;
};

struct sa_area;
struct area_slot;

/* An area in the host's memory, with what is there; host NULL: in memory of this process alone.
 * NULL: it is another version's or something else, and nothing was changed, or there is no
 * memory; `why` has the words. */
struct sa_area *area_open(const struct area_host *host, char *why, size_t size);
/* Leaves the host's memory as it is. */
void area_close(struct sa_area *a);
/* Slots that were dropped by area_open. */
unsigned area_dropped(const struct sa_area *a);
/* How many tunnels and CHILD_SAs there are. */
unsigned area_tunnels(const struct sa_area *a);
unsigned area_children(const struct sa_area *a);

/* In the order in which they were put. The callback may free the slot that it is given. false:
 * no memory, and none was called. */
bool area_each_tunnel(struct sa_area *a, void (*cb)(void *ctx, struct area_slot *s), void *ctx);
bool area_each_child(struct sa_area *a, void (*cb)(void *ctx, struct area_slot *s), void *ctx);

/* NULL: no memory. */
struct area_slot *area_tunnel_put(struct sa_area *a, const struct area_tunnel *t);
void area_tunnel_set(struct area_slot *s, const struct area_tunnel *t);
void area_tunnel_get(const struct area_slot *s, struct area_tunnel *out);

/* A CHILD_SA of this tunnel; its live part is zeroes. */
struct area_slot *area_child_put(struct sa_area *a, const struct area_slot *tunnel,
				 const struct child_sa *child, const struct area_numbers *numbers);
/* outbound, udp_encap and the endpoints. */
void area_child_set(struct area_slot *s, const struct child_sa *child);
/* With keys (child_sa_cleanse), and `tunnel` the id that its tunnel has now. */
void area_child_get(const struct area_slot *s, struct child_sa *out, struct area_numbers *numbers);
struct sa_live *area_child_live(struct area_slot *s);
/* Selectors and keys where they lie: nobody changes them, and they are cleansed with the slot. */
struct area_child_parts {
	const struct ts *local_ts, *remote_ts;
	uint8_t n_local_ts, n_remote_ts;
	struct area_keys {
		struct span encr, integ;
	} in, out;
};

struct area_child_parts area_child_parts(const struct area_slot *s);
/* The same SA: SPIs, algorithms and keys. */
bool area_child_is(const struct area_slot *s, const struct child_sa *child);

void area_slot_free(struct area_slot *s); /* NULL allowed */

#endif
