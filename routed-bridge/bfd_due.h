/* A queue of deadlines: a binary heap of what its members embed. Pure. */
#ifndef DETOUR_BFD_DUE_H
#define DETOUR_BFD_DUE_H

#include "lib/mono.h"

#include <stdbool.h>
#include <stddef.h>

struct bfd_due {
	mono_time at;
	size_t slot; /* 1..; 0: not in the queue */
};

struct bfd_queue {
	struct bfd_due **heap; /* from index 1 */
	size_t n, cap;
};

/* Room for n members in all; false: out of memory. */
bool bfd_queue_reserve(struct bfd_queue *q, size_t n);
/* In, out (MONO_NEVER) or elsewhere. There must be room for a new one. */
void bfd_queue_set(struct bfd_queue *q, struct bfd_due *due, mono_time at);
/* The earliest; NULL: empty. */
struct bfd_due *bfd_queue_first(const struct bfd_queue *q);
void bfd_queue_free(struct bfd_queue *q);

#endif
