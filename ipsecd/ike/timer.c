/* The deadline heap. Knows nothing of what the timers are for. */
#include "ipsecd/ike/timer.h"

#include <stdlib.h>

static void place(struct timer_heap *h, size_t slot, struct timer *t)
{
	h->slots[slot] = t;
	t->slot = (uint32_t)slot;
}

static void sift_up(struct timer_heap *h, size_t slot)
{
	struct timer *t = h->slots[slot];

	while (slot > 1 && h->slots[slot / 2]->at > t->at) {
		place(h, slot, h->slots[slot / 2]);
		slot /= 2;
	}
	place(h, slot, t);
}

static void sift_down(struct timer_heap *h, size_t slot)
{
	struct timer *t = h->slots[slot];

	for (;;) {
		size_t child = slot * 2;

		if (child > h->n)
			break;
		if (child < h->n && h->slots[child + 1]->at < h->slots[child]->at)
			child++;
		if (h->slots[child]->at >= t->at)
			break;
		place(h, slot, h->slots[child]);
		slot = child;
	}
	place(h, slot, t);
}

void timer_cancel(struct timer_heap *h, struct timer *t)
{
	size_t slot = t->slot;
	struct timer *last;

	if (!slot)
		return;
	t->slot = 0;
	last = h->slots[h->n--];
	if (last == t)
		return;
	place(h, slot, last);
	sift_up(h, slot);
	sift_down(h, last->slot);
}

void timer_set(struct timer_heap *h, struct timer *t, mono_time at)
{
	timer_cancel(h, t);
	if (at == MONO_NEVER)
		return;
	t->at = at;
	h->n++;
	place(h, h->n, t);
	sift_up(h, h->n);
}

struct timer *timer_first(const struct timer_heap *h)
{
	return h->n ? h->slots[1] : NULL;
}

bool timer_heap_reserve(struct timer_heap *h, size_t n)
{
	size_t want = h->reserved + n + 1;

	if (want > UINT32_MAX)
		return false;
	if (want > h->cap) {
		size_t cap = want * 2;
		struct timer **slots = realloc(h->slots, cap * sizeof(*slots));

		if (!slots)
			return false;
		h->slots = slots;
		h->cap = cap;
	}
	h->reserved += n;
	return true;
}

void timer_heap_release(struct timer_heap *h, size_t n)
{
	h->reserved -= n;
}

void timer_heap_free(struct timer_heap *h)
{
	free(h->slots);
	*h = (struct timer_heap){0};
}
