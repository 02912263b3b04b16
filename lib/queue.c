/* The bytes that a socket did not take yet. Knows no packets. */
#include "lib/queue.h"

#include <stdlib.h>

#define FIRST_CAP 4096

size_t queue_len(const struct queue *q)
{
	return q->end - q->start;
}

struct span queue_front(const struct queue *q)
{
	return span_of(q->data + q->start, queue_len(q));
}

void queue_free(struct queue *q)
{
	free(q->data);
	*q = (struct queue){0};
}

/* An empty queue gives its memory back, so that one long list is not paid for ever. */
void queue_take(struct queue *q, size_t n)
{
	q->start += n;
	if (q->start == q->end)
		queue_free(q);
}

static bool make_room(struct queue *q, size_t n)
{
	size_t used = queue_len(q), cap = q->cap ? q->cap : FIRST_CAP;
	uint8_t *data;

	if (n <= q->cap - q->end)
		return true;
	if (q->start) {
		memmove(q->data, q->data + q->start, used);
		q->start = 0;
		q->end = used;
	}
	while (cap - used < n)
		cap *= 2;
	if (cap == q->cap)
		return true;
	data = realloc(q->data, cap);
	if (!data)
		return false;
	q->data = data;
	q->cap = cap;
	return true;
}

bool queue_put(struct queue *q, struct span s, size_t limit)
{
	if (s.len > limit || queue_len(q) > limit - s.len || !make_room(q, s.len))
		return false;
	memcpy(q->data + q->end, s.ptr, s.len);
	q->end += s.len;
	return true;
}
