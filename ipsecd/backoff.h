/* How long a process of ours that died is not started again. Pure. */
#ifndef DETOUR_BACKOFF_H
#define DETOUR_BACKOFF_H

#include "lib/mono.h"

#include <stdbool.h>

#define BACKOFF_FIRST  (100 * MONO_MS)
#define BACKOFF_MAX    (10 * MONO_S)
#define BACKOFF_HEALTH (10 * MONO_S) /* who lives as long dies anew, not again */

struct backoff {
	unsigned deaths; /* in a row, each within BACKOFF_HEALTH of its start */
};

/* The pause before the next start: none at first, then BACKOFF_FIRST, doubled with each death
 * that follows, up to `max`. */
mono_time backoff_died(struct backoff *b, mono_time started, mono_time died, mono_time max);

#endif
