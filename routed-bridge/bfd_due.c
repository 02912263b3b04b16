#include "routed-bridge/bfd_due.h"

#include <stdlib.h>

bool bfd_queue_reserve(struct bfd_queue *q, size_t n)
{
	size_t cap = q->cap ? q->cap : 16;
	struct bfd_due **heap;

	while (cap < n)
		cap *= 2;
	if (cap == q->cap)
		return true;
	heap = realloc(q->heap, (cap + 1) * sizeof(heap[0]));
	if (!heap)
		return false;
	q->heap = heap;
	q->cap = cap;
	return true;
}

static void place(struct bfd_queue *q, struct bfd_due *due, size_t slot)
{
	q->heap[slot] = due;
	due->slot = slot;
}

static void rise(struct bfd_queue *q, struct bfd_due *due, size_t slot)
{
	while (slot > 1 && q->heap[slot / 2]->at > due->at) {
		place(q, q->heap[slot / 2], slot);
		slot /= 2;
	}
	place(q, due, slot);
}

static void sink(struct bfd_queue *q, struct bfd_due *due, size_t slot)
{
	for (size_t child; (child = slot * 2) <= q->n; slot = child) {
		if (child < q->n && q->heap[child + 1]->at < q->heap[child]->at)
			child++;
		if (q->heap[child]->at >= due->at)
			break;
		place(q, q->heap[child], slot);
	}
	place(q, due, slot);
}

static void take_out(struct bfd_queue *q, struct bfd_due *due)
{
	struct bfd_due *last = q->heap[q->n--];
	size_t slot = due->slot;

	due->slot = 0;
	if (last == due)
		return;
	if (slot > 1 && q->heap[slot / 2]->at > last->at)
		rise(q, last, slot);
	else
		sink(q, last, slot);
}

void bfd_queue_set(struct bfd_queue *q, struct bfd_due *due, mono_time at)
{
	mono_time before = due->at;

	if (due->slot && at == before)
		return;
	if (at == MONO_NEVER) {
		if (due->slot)
			take_out(q, due);
		due->at = at;
		return;
	}
	due->at = at;
	if (!due->slot)
		rise(q, due, ++q->n);
	else if (at < before)
		rise(q, due, due->slot);
	else
		sink(q, due, due->slot);
}

struct bfd_due *bfd_queue_first(const struct bfd_queue *q)
{
	return q->n ? q->heap[1] : NULL;
}

void bfd_queue_free(struct bfd_queue *q)
{
	free(q->heap);
	*q = (struct bfd_queue){0};
}
