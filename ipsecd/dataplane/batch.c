/* Runs of ESP packets: owns where one ends and the next begins. */
#include "ipsecd/dataplane/batch.h"

uint8_t *batch_place(struct batch *b, size_t len)
{
	/* Whether it begins a run shows only when it is there. */
	if (b->used + len > sizeof(b->data) || b->n == ESP_RUNS)
		return NULL;
	return b->data + b->used;
}

static bool fits(const struct batch *b, const struct sa *sa, uint8_t tos, bool df, size_t len)
{
	const struct batch_cost *cost = &b->costs[b->n - 1];
	const struct esp_run *r = &b->runs[b->n - 1];

	return !b->closed && cost->sa == sa && r->tos == tos && r->df == df && len <= r->size &&
	       cost->packets < ESP_RUN_PACKETS && r->esps.len + len <= ESP_RUN_BYTES;
}

void batch_add(struct batch *b, struct sa *sa, uint8_t tos, bool df, size_t len, size_t inner)
{
	struct batch_cost *cost;
	struct esp_run *r;

	if (b->n == 0 || !fits(b, sa, tos, df, len)) {
		b->runs[b->n] = (struct esp_run){.from = &sa->child.local,
						 .to = &sa->child.remote,
						 .esps = span_of(b->data + b->used, 0),
						 .size = len,
						 .tos = tos,
						 .df = df};
		b->costs[b->n] = (struct batch_cost){.sa = sa};
		b->n++;
	}
	r = &b->runs[b->n - 1];
	cost = &b->costs[b->n - 1];
	b->closed = len < r->size;
	r->esps.len += len;
	cost->packets++;
	cost->bytes += inner;
	b->used += len;
}

void batch_clear(struct batch *b)
{
	b->n = 0;
	b->used = 0;
	b->closed = false;
}
