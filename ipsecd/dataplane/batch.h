/* Outbound ESP packets on their way to the socket: sealed where they lie, one behind another, in
 * runs of one SA and one length (struct esp_run), each of which is one message to the kernel.
 * Pure: who owns it sends it. */
#ifndef DETOUR_BATCH_H
#define DETOUR_BATCH_H

#include "ipsecd/dataplane/sadb.h"

/* The longest run and the few packets that are left of a super-packet behind it. */
#define BATCH_BYTES (80 * 1024)

/* What a run has beside its packets, to be taken back when it is not sent. */
struct batch_cost {
	struct sa *sa;
	uint64_t bytes; /* of inner packets */
	unsigned packets;
};

struct batch {
	struct esp_run runs[ESP_RUNS];
	struct batch_cost costs[ESP_RUNS];
	unsigned n;
	size_t used;
	bool closed; /* the last run takes no more: its last packet was shorter than the others */
	uint8_t data[BATCH_BYTES];
};

/* Where the next ESP packet, of `len` bytes (at most ESP_RUN_BYTES), is to be put; NULL: what is
 * there has to be sent first. */
uint8_t *batch_place(struct batch *b, size_t len);
/* It is there, by `sa` and with this outer header: a run of its own, or a part of the last one.
 * inner: the length that counts. */
void batch_add(struct batch *b, struct sa *sa, uint8_t tos, bool df, size_t len, size_t inner);
void batch_clear(struct batch *b);

#endif
