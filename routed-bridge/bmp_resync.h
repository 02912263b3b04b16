/* When to have bgpd tell its table again. bgpd (8.4 to 10.3) tells a path whose next hop is
 * not resolved yet as a withdrawal, and says nothing when it is. Paths that our policy
 * refuses look the same, so a withdrawal of what was not there is a doubt, no more: the
 * table is asked for again soon, then less and less often while that finds nothing. Pure. */
#ifndef DETOUR_BMP_RESYNC_H
#define DETOUR_BMP_RESYNC_H

#include "lib/mono.h"

#include <stdbool.h>

struct bmp_resync {
	unsigned level;	 /* attempts that found nothing */
	mono_time at;	 /* MONO_NEVER: not planned */
	mono_time quiet; /* no doubt is acted on before */
	mono_time cost;	 /* how long the last table took */
};

void bmp_resync_init(struct bmp_resync *r);
/* Doubts came up. */
void bmp_resync_doubt(struct bmp_resync *r, mono_time now);
/* The time `at` is there: the table is asked for. */
void bmp_resync_begun(struct bmp_resync *r);
/* The table came, and took so long; found: it had paths that were not known. */
void bmp_resync_done(struct bmp_resync *r, bool found, mono_time took, mono_time now);

#endif
