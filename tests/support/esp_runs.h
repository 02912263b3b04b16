/* What a test's host does with runs of ESP packets: packet by packet. */
#ifndef DETOUR_TEST_ESP_RUNS_H
#define DETOUR_TEST_ESP_RUNS_H

#include "ipsecd/dataplane/dataplane.h"

/* A run counts as sent when all of it is. */
static inline void
esp_runs_each(struct esp_run *runs, size_t n,
	      bool (*packet)(void *ctx, const struct esp_run *run, struct span esp), void *ctx)
{
	for (struct esp_run *r = runs; r < runs + n; r++) {
		size_t len = r->esps.len;

		r->sent = true;
		for (size_t at = 0; at < len; at += r->size)
			r->sent &= packet(
				ctx, r,
				span_of(r->esps.ptr + at, len - at < r->size ? len - at : r->size));
	}
}

#endif
