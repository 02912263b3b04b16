/* A bounded queue of bytes that wait for a socket. */
#ifndef DETOUR_QUEUE_H
#define DETOUR_QUEUE_H

#include "lib/span.h"

struct queue {
	uint8_t *data;
	size_t start, end, cap;
};

/* All of s or, beyond `limit` waiting bytes or without memory, nothing and false. */
bool queue_put(struct queue *q, struct span s, size_t limit);
size_t queue_len(const struct queue *q);
struct span queue_front(const struct queue *q);
void queue_take(struct queue *q, size_t n);
void queue_free(struct queue *q);

#endif
