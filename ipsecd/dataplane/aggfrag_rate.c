/* When payloads are due: owns the arithmetic of a constant rate (RFC 9347 2.4.1, 4.1). */
#include "ipsecd/dataplane/aggfrag.h"

#define QUEUE_MIN  ((size_t)64 << 10) /* one super-packet of a sender */
#define QUEUE_MAX  ((size_t)1 << 20)
#define QUEUE_TIME (100 * MONO_MS)

void aggfrag_rate_set(struct aggfrag_rate *r, const struct aggfrag_params *p, size_t outer)
{
	uint64_t bits = (uint64_t)outer * 8;

	if (!p->rate)
		r->interval = 0;
	else if (!p->rate_bits)
		r->interval = MONO_S / p->rate;
	else
		r->interval = bits * MONO_S / p->rate; /* 64 KiB at 8 kbit/s: below 2^50 */
	if (p->rate && !r->interval)
		r->interval = 1;
}

/* After a stop (the process, the machine) the rate goes on as it is, not faster. */
unsigned aggfrag_rate_due(struct aggfrag_rate *r, mono_time now)
{
	uint64_t due;

	if (!r->interval)
		return 0;
	if (!r->next)
		r->next = now;
	if (now < r->next)
		return 0;
	due = (now - r->next) / r->interval + 1;
	r->next += due * r->interval;
	if (due <= AGGFRAG_BURST)
		return (unsigned)due;
	r->missed += due - AGGFRAG_BURST;
	return AGGFRAG_BURST;
}

size_t aggfrag_rate_queue(const struct aggfrag_rate *r, const struct aggfrag_params *p, size_t size)
{
	uint64_t bytes;

	if (p->max_queue && r->interval) /* without a rate nothing waits for its turn */
		return p->max_queue;
	bytes = r->interval ? QUEUE_TIME / r->interval * size : QUEUE_MAX;
	return bytes < QUEUE_MIN ? QUEUE_MIN : bytes > QUEUE_MAX ? QUEUE_MAX : (size_t)bytes;
}
