/* The queue between the TUN devices and the packets' way out: fair between flows, with CoDel in
 *each (RFC 8290, RFC 8289), over packets and super-packets. A flow that has nothing waiting goes
 *first, so that a ping does not wait behind a stream; a flow that keeps a queue standing is told
 *so, packet by packet; when memory is full, who has the most of it loses the oldest.
 *
 * Pure: the time is given, packets come out when they are asked for. All memory is allocated by
 * fq_new (about 4 MB, of which pages are touched when they are first used), so the queue is
 * bounded in packets and bytes. A packet is read into the queue's own memory: one of up to
 * FQ_SMALL bytes is copied once, larger ones stay where they were read.
 *
 *	n = read(tun, fq_slot(q), FQ_SLOT);
 *	fq_push(q, tunnel, sizeof(vnet), n, now);
 *	...
 *	while (fq_pop(q, now, &packet))
 *		cut_begin(&cut, packet.bytes, ...); if (packet.congested) cut_congested(&cut); ...
 */
#ifndef DETOUR_FQ_H
#define DETOUR_FQ_H

#include "lib/mono.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FQ_SLOT	       (65536 + 64) /* a vnet header and the largest packet */
#define FQ_SMALL       2048
#define FQ_LARGE_SLOTS 44
#define FQ_SMALL_SLOTS 512

#define FQ_TARGET      (5 * MONO_MS)   /* a queue that stands longer than this ... */
#define FQ_INTERVAL    (100 * MONO_MS) /* ... for as long as this is one too many */

struct fq;

struct fq_packet {
	void *owner;
	uint8_t *bytes;	  /* with the `head` bytes that were read before the packet */
	size_t head, len; /* len: of the whole */
	bool congested;	  /* its sender shall be told: one segment is marked or left out (cut.h) */
};

struct fq_counts {
	size_t packets, bytes; /* waiting */
	uint64_t full;	       /* dropped for want of memory */
	uint64_t congested;    /* given out with that mark */
	mono_time longest;     /* that a packet has waited, since fq_new */
};

/* seed: random, so that nobody knows which flows share a bucket. NULL: out of memory. */
struct fq *fq_new(uint64_t seed);
void fq_free(struct fq *q); /* NULL is fine */

/* Where the next packet is to be read, FQ_SLOT bytes; the same until fq_push. */
uint8_t *fq_slot(struct fq *q);
/* Takes what was read there: len bytes, of which the first `head` are not the packet's. */
void fq_push(struct fq *q, void *owner, size_t head, size_t len, mono_time now);
/* Another large packet would cost one of those that wait: better left where it is for a moment,
 * for 64 KB are lost at once. Small ones have room of their own, and lose fairly. */
bool fq_full(const struct fq *q);
/* The next one; its bytes are there until the next call of fq_pop. false: none is waiting. */
bool fq_pop(struct fq *q, mono_time now, struct fq_packet *out);
/* The owner goes away: what waits of it is dropped, uncounted. */
void fq_forget(struct fq *q, const void *owner);
void fq_count(const struct fq *q, struct fq_counts *out);

#endif
