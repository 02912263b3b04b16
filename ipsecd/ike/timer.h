/* Deadlines of the engine: a binary heap over timers that live inside their owners
 * (IKE_SA, CHILD_SA, conn). Setting, cancelling and taking the earliest cost
 * O(log n), so that the cost of an event does not grow with the number of SAs. */
#ifndef DETOUR_TIMER_H
#define DETOUR_TIMER_H

#include "lib/mono.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ike_engine;

typedef void timer_fire(struct ike_engine *e, void *owner);

/* Small: an idle SA pair has eleven of them. */
struct timer {
	mono_time at;
	timer_fire *fire;
	uint32_t slot;	 /* 1-based place in the heap; 0: not armed */
	uint32_t offset; /* of it in its owner */
};

struct timer_heap {
	struct timer **slots; /* slots[0] unused */
	size_t n, cap, reserved;
};

/* t is part of *owner. */
static inline void timer_init(struct timer *t, timer_fire *fire, void *owner)
{
	*t = (struct timer){.fire = fire, .offset = (uint32_t)((char *)t - (char *)owner)};
}

static inline void *timer_owner(struct timer *t)
{
	return (char *)t - t->offset;
}

static inline bool timer_armed(const struct timer *t)
{
	return t->slot != 0;
}

/* Arms or moves t. MONO_NEVER cancels. Room in the heap is reserved by timer_heap_reserve
 * when owners are created, so that this can't fail. */
void timer_set(struct timer_heap *h, struct timer *t, mono_time at);
void timer_cancel(struct timer_heap *h, struct timer *t);
/* The earliest armed timer or NULL. */
struct timer *timer_first(const struct timer_heap *h);
/* Makes room for n more timers; false when out of memory. */
bool timer_heap_reserve(struct timer_heap *h, size_t n);
void timer_heap_release(struct timer_heap *h, size_t n); /* owners with n timers went */
void timer_heap_free(struct timer_heap *h);

#endif
