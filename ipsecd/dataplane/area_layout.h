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

/* What a CHILD_SA has beside selectors and keys. */
#define CHILD_HEAD offsetof(struct child_sa, local_ts)

/* Behind it, on a line of its own, is struct sa_live, as long as the window is; then struct
 * child_rest, the selectors, those of this end first, and the keys: in.encr, in.integ, out.encr,
 * out.integ. */
struct child_body {
	uint64_t check; /* of all that never changes, and the slot's serial */
	struct {
		uint64_t tunnel; /* the serial of its slot */
		struct area_numbers numbers;
		uint32_t tunnel_index;
		uint16_t replay_window;
		uint8_t n_local_ts, n_remote_ts;
		struct {
			uint8_t encr, integ;
		} in, out; /* lengths */
	} fixed;
};

struct child_rest {
	struct child_version versions[2];
	uint8_t head[CHILD_HEAD];
};

/* In the area; of a CHILD_SA there is as much as child_body says. */
struct slot {
	_Alignas(AREA_CACHE_LINE) uint32_t state; /* enum slot_state; written last */
	uint32_t current;			  /* which version is valid */
	uint64_t serial;			  /* never given twice */
	union {
		struct tunnel_body tunnel;
		struct child_body child;
	} body;
};

struct header {
	uint64_t magic; /* written last */
	uint32_t version, slot_size, live_size, child_size, tunnel_size, chunk_size;
	uint32_t chunks; /* that have been given */
};

/* The first line of each chunk. */
struct chunk_line {
	uint8_t header[AREA_CACHE_LINE - sizeof(uint32_t)]; /* of the first one: struct header */
	uint32_t slot_lines;				    /* how many lines its slots have */
};

/* The sizes of slots, in lines: of a CHILD_SA as most are, of a tunnel and a CHILD_SA with a longer
 * window or more selectors, and of the longest. */
#define AREA_SIZES	  3
#define AREA_LINES(bytes) (((bytes) + AREA_CACHE_LINE - 1) / AREA_CACHE_LINE)
#define AREA_LINES_CHILD  12
#define AREA_LINES_TUNNEL AREA_LINES(sizeof(struct slot))
#define AREA_LINES_LONGEST                                                                 \
	AREA_LINES(AREA_CACHE_LINE + offsetof(struct sa_live, replay) + REPLAY_BYTES_MAX + \
		   sizeof(struct child_rest) + 2 * TS_LIST_MAX * sizeof(struct ts) +       \
		   2 * sizeof(struct child_keys))

#define CHUNK_LINES (AREA_CHUNK / AREA_CACHE_LINE) /* a slot's index is below this in its chunk */

_Static_assert(sizeof(struct header) <= sizeof(((struct chunk_line *)0)->header),
	       "the header has one line");
_Static_assert(offsetof(struct slot, body) + sizeof(struct child_body) <= AREA_CACHE_LINE,
	       "what packets change begins on the second line");
_Static_assert(sizeof(struct child_rest) ==
		       offsetof(struct child_rest, head) + sizeof(((struct child_rest *)0)->head),
	       "selectors are right behind it");
_Static_assert(AREA_LINES_CHILD < AREA_LINES_TUNNEL && AREA_LINES_TUNNEL < AREA_LINES_LONGEST,
	       "in this order");

/* In this process: one slot. */
struct area_slot {
	struct slot *slot;
	struct sa_area *area;
	uint32_t index; /* chunk * CHUNK_LINES + which of its slots */
	struct area_slot *next_free;
};

struct sa_area {
	struct area_host host;
	struct header *header;
	void **chunks; /* of the host, or malloc's */
	struct area_slot **slots;
	unsigned n_chunks, dropped, counts[SLOT_CHILD + 1];
	uint64_t last_serial;
	struct area_slot *free[AREA_SIZES];
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
/* One of at least so many bytes that is free, SLOT_BUSY now, with its serial; NULL: no memory. */
struct area_slot *area_slot_take(struct sa_area *a, size_t bytes);
void area_slot_filled(struct area_slot *s, enum slot_state kind);

/* ---- area_slot.c ---- */

/* Is what a former process left in this slot of so many bytes whole? Its `current` is one of the
 * two afterwards. */
bool area_slot_good(struct slot *s, size_t bytes);

#endif
