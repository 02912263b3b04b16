/* ESP packets that came before their SA: a peer may send by a new CHILD_SA before its IKE answer
 * has been through the daemon. For a short time after IKE went to or came from an endpoint, its
 * packets with unknown SPIs are kept, in their order, until the SA is there or their time is
 * up. Nothing here is authentic, so all of it is bounded: endpoints, and packets and bytes of one
 * and of all. No clock; allocates what it keeps. */
#ifndef DETOUR_HELD_H
#define DETOUR_HELD_H

#include "lib/addr.h"
#include "lib/mono.h"

#define HELD_AFTER_IKE	  MONO_S	  /* how long after IKE an endpoint's packets are kept */
#define HELD_TIME	  (100 * MONO_MS) /* how long each of them is */
#define HELD_PEERS	  256
#define HELD_PEER_PACKETS 128
#define HELD_PACKETS	  512
#define HELD_PEER_BYTES	  ((size_t)192 << 10)
#define HELD_BYTES	  ((size_t)768 << 10)

struct held_peer {
	struct endpoint remote;
	mono_time until; /* packets that come before it are kept */
	unsigned packets;
	size_t bytes;
};

struct held_packet {
	struct held_packet *prev, *next;
	struct held_peer *peer;
	struct endpoint local, remote;
	mono_time until;
	uint8_t tos; /* of the outer header */
	size_t len;
	uint8_t bytes[];
};

/* All zero: nothing is held. */
struct held {
	struct held_peer peers[HELD_PEERS]; /* by their endpoint, hashed */
	struct held_packet *packets;	    /* oldest first */
	unsigned n;
	size_t bytes;
};

/* IKE went to or came from this endpoint. */
void held_ike(struct held *h, const struct endpoint *remote, mono_time now);
/* Keeps a copy of an ESP packet (from the SPI on, at least its header); false: it is not for
 * keeping. */
bool held_add(struct held *h, const struct endpoint *local, const struct endpoint *remote,
	      uint8_t tos, const uint8_t *packet, size_t len, mono_time now);
/* The oldest with this SPI that came in time, and the oldest whose time is up: the caller's to free
 * from then on. NULL: there is none. */
struct held_packet *held_take(struct held *h, uint32_t spi, mono_time now);
struct held_packet *held_expired(struct held *h, mono_time now);
mono_time held_due(const struct held *h); /* of held_expired; MONO_NEVER: nothing is held */
void held_free(struct held *h);

#endif
