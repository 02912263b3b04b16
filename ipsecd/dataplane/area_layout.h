/* Inside the area: its layout, which is the same for all processes of one build. area.c has the
 * chunks and which slots are free, area_slot.c what is in a slot. */
#ifndef DETOUR_AREA_LAYOUT_H
#define DETOUR_AREA_LAYOUT_H

#include "ipsecd/dataplane/area.h"

enum slot_state { SLOT_FREE, SLOT_BUSY, SLOT_TUNNEL, SLOT_CHILD };

struct tunnel_version {
	uint64_t check;
	struct area_tunnel tunnel;
};

struct child_version {
	uint64_t check;
	struct {
		struct endpoint local, remote;
		uint8_t outbound, udp_encap;
	} now;
};

struct tunnel_body {
	struct tunnel_version versions[2];
};

struct child_body {
	struct sa_live live;
	struct child_version versions[2];
	struct {
		uint64_t tunnel; /* the serial of its slot */
		uint32_t tunnel_index;
		struct area_numbers numbers;
		struct child_sa sa;
	} fixed;
	uint64_t check; /* of `fixed` and the slot's serial */
};

/* In the area. */
struct slot {
	uint32_t state;	  /* enum slot_state; written last */
	uint32_t current; /* which version is valid */
	uint64_t serial;  /* never given twice */
	_Alignas(AREA_CACHE_LINE) union {
		struct tunnel_body tunnel;
		struct child_body child;
	} body;
};

struct header {
	uint64_t magic; /* written last */
	uint32_t version, slot_size, live_size, child_size, tunnel_size, chunk_size;
	uint32_t chunks; /* that have been given */
};

#define SLOTS ((AREA_CHUNK - AREA_CACHE_LINE) / sizeof(struct slot)) /* of a chunk */

_Static_assert(sizeof(struct header) <= AREA_CACHE_LINE, "the header has one line");
_Static_assert(sizeof(struct slot) % AREA_CACHE_LINE == 0, "slots begin lines");

/* In this process: one slot. */
struct area_slot {
	struct slot *slot;
	struct sa_area *area;
	uint32_t index;
	struct area_slot *next_free;
};

struct sa_area {
	struct area_host host;
	struct header *header;
	void **chunks; /* of the host, or malloc's */
	struct area_slot **slots;
	unsigned n_chunks, dropped, counts[SLOT_CHILD + 1];
	uint64_t last_serial;
	struct area_slot *free;
};

/* A killed process leaves its stores in program order: all that is needed against it is that
 * the compiler keeps that order, too. */
static inline void area_barrier(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void area_set32(uint32_t *where, uint32_t value)
{
	area_barrier();
	__atomic_store_n(where, value, __ATOMIC_RELEASE);
	area_barrier();
}

/* ---- area.c ---- */

struct area_slot *area_slot_at(const struct sa_area *a, uint32_t index);
/* One that is free, SLOT_BUSY now, with its serial; NULL: no memory. */
struct area_slot *area_slot_take(struct sa_area *a);
void area_slot_filled(struct area_slot *s, enum slot_state kind);

/* ---- area_slot.c ---- */

/* Is what a former process left in this slot whole? Its `current` is one of the two afterwards. */
bool area_slot_good(struct slot *s);

#endif
