/* The sessions of the BFD data plane: found by discriminator or addresses, driven by
 * deadlines. Sans-I/O: bfdd's messages, datagrams and the time go in; datagrams and changes
 * come out.
 *
 * A session has an owner, the connection to bfdd that it came by. When the connection ends,
 * its sessions go on without one for a while: a bfdd that was restarted gives them anew, with
 * other discriminators, and takes them over as they are (RFC 5880 6.3: a discriminator may
 * change during a session), so that no peer notices. A bfdd numbers its sessions the same way
 * each time, so the number of one may have been another's before. */
#ifndef DETOUR_BFD_TABLE_H
#define DETOUR_BFD_TABLE_H

#include "routed-bridge/bfd_due.h"
#include "routed-bridge/bfd_session.h"
#include "routed-bridge/bfd_stats.h"
#include "routed-bridge/bfddp.h"

#include "lib/hash.h"

#define BFD_NO_OWNER	(-1)
#define BFD_ORPHAN_TIME (30 * MONO_S)

/* Plain bytes, without padding: hashed as they are. */
struct bfd_key {
	struct addr peer, local;  /* local: as bfdd gave it, maybe 0.0.0.0 or :: */
	char ifname[IF_NAMESIZE]; /* "": any */
	uint8_t multihop;
};

/* Read by everybody, written by bfd_table.c; io, dirty and told belong to the caller. */
struct bfd_peer {
	struct bfd_session session;
	struct bfd_key key;
	uint32_t ifindex; /* where packets come from; at first as bfdd gave it */
	uint8_t min_ttl;
	int owner;
	mono_time orphan_until;
	uint32_t former[2]; /* discriminators that the peer may still send back; 0: none */
	uint64_t in_packets, in_bytes, out_packets, out_bytes;
	void *io;
	bool untold; /* to the bridge */
	/* ---- bfd_table.c's own */
	bool in_changes;
	struct bfd_peer *next_change;
	struct bfd_due send, expire;
	UT_hash_handle by_discriminator, by_key;
};

struct bfd_table;

struct bfd_arrival {
	const char *ifname; /* of the socket; "": it serves all */
	uint32_t ifindex;   /* of the packet; 0: unknown */
	struct addr from, to;
	bool multihop; /* came to BFD_PORT_MULTI */
	uint8_t ttl;
	struct span payload;
};

enum bfd_put { BFD_PUT_NEW, BFD_PUT_CHANGED, BFD_PUT_SAME, BFD_PUT_TAKEN_OVER, BFD_PUT_NO_MEMORY };

struct bfd_table *bfd_table_new(uint32_t seed); /* NULL: out of memory */
void bfd_table_free(struct bfd_table *t);

/* bfdd's ADD: *out is the session, unless there is no memory. */
enum bfd_put bfd_table_put(struct bfd_table *t, const struct bfddp_session *from, int owner,
			   mono_time now, struct bfd_peer **out);
struct bfd_peer *bfd_table_find(struct bfd_table *t, uint32_t discriminator); /* NULL: none */
void bfd_table_remove(struct bfd_table *t, struct bfd_peer *p);
/* The owner is gone. */
void bfd_table_orphan(struct bfd_table *t, int owner, mono_time now);
/* One whose time without an owner is over; NULL: none. */
struct bfd_peer *bfd_table_lost(struct bfd_table *t, mono_time now);
struct bfd_peer *bfd_table_first(const struct bfd_table *t);
struct bfd_peer *bfd_table_next(const struct bfd_peer *p);

/* A datagram. What is not taken is counted by reason. */
enum bfd_drop bfd_table_receive(struct bfd_table *t, const struct bfd_arrival *a, mono_time now);
/* The next packet that is due, as bytes: *b has room for BFD_PACKET_SIZE. NULL: none. */
struct bfd_peer *bfd_table_send(struct bfd_table *t, struct buf *b, mono_time now);
/* Judges silences (bfd_session_judge). After bfd_table_receive was given all there is.
 * witness (may be NULL): what the session's device says; false: it knows nothing. */
typedef bool bfd_witness_of(void *ctx, const struct bfd_peer *p, struct bfd_witness *out);
void bfd_table_expire(struct bfd_table *t, mono_time late, bfd_witness_of *witness, void *ctx,
		      mono_time now);
/* When there is something to send or to judge. */
mono_time bfd_table_deadline(const struct bfd_table *t);
/* To AdminDown: the end is announced (RFC 5880 6.8.16). */
void bfd_table_shut_one(struct bfd_table *t, struct bfd_peer *p);
void bfd_table_shut(struct bfd_table *t);
/* Every session's last packet is due once more. */
void bfd_table_repeat(struct bfd_table *t);

/* The next session that observers should look at, each once after any number of changes. */
struct bfd_peer *bfd_table_changed(struct bfd_table *t);

/* sessions, up, packets, drops, detections, graces; the other members are the caller's. */
struct bfd_stats *bfd_table_stats(struct bfd_table *t);

#endif
