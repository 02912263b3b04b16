/* The security associations of the userspace plane (RFC 4301 4.4.2): one struct sa per
 * CHILD_SA with both directions, found by id, by inbound SPI and, for outbound
 * packets, by tunnel and selectors, newest first. Pure: no clock, socket or device. */
#ifndef DETOUR_SADB_H
#define DETOUR_SADB_H

#include "ipsecd/dataplane/area.h"
#include "ipsecd/dataplane/esp.h"
#include "ipsecd/dataplane/inner.h"
#include "lib/hash.h"

#define SA_CIPHERS (2 * ESP_LANES)

struct forward_tunnel;
struct sa_aggfrag;

/* Events that wait to be reported, and, of other lanes, what the first one is to see to; bit
 * numbers of sa.due. */
enum sa_due {
	DUE_SOFT,
	DUE_HARD,
	DUE_USED_NEW,
	DUE_PEER_MOVED,
	DUE_ALIVE,
	DUE_AGGFRAG, /* payloads wait for one that is missing */
	DUE_KINDS
};

/* What is read of its child_sa; selectors are where they lie in its slot. */
struct sa_child {
	uint64_t id;
	uint32_t tunnel, reqid, spi_in, resource;
	struct endpoint local, remote;
	struct child_flags flags;
	uint64_t life_bytes, life_packets, rekey_bytes, rekey_packets;
	uint16_t encr_id, encr_key_bits, integ_id, replay_window;
	bool esn, udp_encap, outbound;
	uint8_t n_local_ts, n_remote_ts;
	const struct ts *local_ts, *remote_ts;
};

struct sa {
	struct sa_live *live;	       /* in the slot: numbers, window, counters */
	struct forward_tunnel *tunnel; /* whose device it serves; kept by forward */
	struct sa_aggfrag *aggfrag;    /* forward_aggfrag.h; NULL: it carries IP */
	struct esp in, out;	       /* their keys are in the slot */
	struct sa_child child;
	struct area_slot *slot; /* freed with it */
	uint16_t pad_to;	/* inner packets are padded to this length; 0: as they are */
	bool claimed;		/* by whoever speaks to the plane now (dataplane_ops.settled) */
	bool expired_in, expired_out; /* a hard limit of that direction is reached */
	bool soft_reported, hard_reported, used_reported;
	bool heard;			      /* authenticated packets since the last ALIVE */
	struct endpoint moved_to;	      /* what PEER_MOVED reported last, and when */
	unsigned due;			      /* 1 << enum sa_due */
	mono_time alive_reported;	      /* 0: never */
	mono_time moved_reported;	      /* 0: never */
	bool listed;			      /* in forward.due, not only noted */
	struct sa *due_prev, *due_next;	      /* forward.noted, forward.due */
	struct sa *tunnel_prev, *tunnel_next; /* forward_tunnel.newest: sa_next */
	UT_hash_handle by_id;
};

/* By inbound SPI: open addressing, so that lanes read while the first one changes it. */
struct sadb_spis;

/* One thread changes it; others may look SPIs up, and walk lists of SAs, at the same time: what
 * they have found they have until the end of their RCU section (lib/grace.h). */
struct sadb {
	struct sa *by_id;
	struct sadb_spis *spis;
	uint64_t generation; /* changes behind whatever may change a lookup by selectors */
	/* Memory that a lookup may still be in. NULL: there is none at the same time. */
	void (*retire)(void *ctx, void *memory);
	void *ctx;
};

/* Sequence number at which a rekey is asked for, and the last that may be sent:
 * RFC 4303 3.3.3 forbids to cycle. */
uint64_t sa_seq_soft(const struct sa *sa);
/* Passes n outbound sequence numbers over; where there are not so many, all of them. */
void sa_skip(struct sa *sa, uint64_t n);
uint64_t sa_seq_hard(const struct sa *sa);

/* An SA from what was negotiated; copies no key. NULL with *error and, in why (size bytes), the
 * words. */
struct sa *sa_new(const struct child_sa *child, const struct crypto_ops *crypto,
		  enum dataplane_error *error, char *why, size_t size);
/* udp_encap and the endpoints, of which those of bare ESP have no ports. */
void sa_set_path(struct sa *sa, const struct child_sa *path);
/* It lives in this slot of that child_sa, which is its own from here on: at its beginning, or,
 * `resumed`, where another process left it. Packets may pass from here on. */
void sa_attach(struct sa *sa, struct area_slot *slot, bool resumed);
bool sa_is_idle(const struct sa *sa, mono_time since); /* there is something to give up */
/* Takes the contexts of directions that have had no packet since `since`: how many, of at most
 * SA_CIPHERS. They are the caller's to free once no lane can be using them. */
size_t sa_take_idle(struct sa *sa, mono_time since, struct crypto_cipher **out);
void sa_free(struct sa *sa);

bool sadb_insert(struct sadb *db, struct sa *sa); /* false: out of memory */
void sadb_remove(struct sadb *db, struct sa *sa); /* does not free */
struct sa *sadb_by_id(const struct sadb *db, uint64_t id);
struct sa *sadb_by_spi(const struct sadb *db, uint32_t spi);
void sadb_release(struct sadb *db); /* it is empty */

/* Lookups by selectors are to be made anew. */
static inline void sadb_changed(struct sadb *db)
{
	__atomic_store_n(&db->generation, db->generation + 1, __ATOMIC_RELEASE);
}

static inline uint64_t sadb_generation(const struct sadb *db)
{
	return __atomic_load_n(&db->generation, __ATOMIC_ACQUIRE);
}

/* A tunnel's SAs, newest first. */
void sa_list_add(struct sa **newest, struct sa *sa);
void sa_list_remove(struct sa **newest, struct sa *sa);

static inline struct sa *sa_next(struct sa *const *link)
{
	return __atomic_load_n(link, __ATOMIC_ACQUIRE);
}

/* What lanes write and read at the same time, where the order does not matter. */
#define SA_GET(where)	     __atomic_load_n(&(where), __ATOMIC_RELAXED)
#define SA_SET(where, value) __atomic_store_n(&(where), value, __ATOMIC_RELAXED)

/* The newest of the list that sends and whose selectors match, rather one for this resource (RFC
 * 9611; child_sa.resource) than a general one, and that rather than one for another; *any tells
 * whether one sends at all. */
struct sa *sa_select(struct sa *newest, uint32_t resource, const struct inner *packet, bool *any);
/* RFC 4301 5.2: may this packet have come by this SA? */
bool sa_accepts(const struct sa *sa, const struct inner *packet);

#endif
