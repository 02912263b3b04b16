/* A series of attempts for each doubt: after 0.5, 2, 8 and 32 s. Behind it further doubts
 * wait up to 10 minutes; and tables that take long are not asked for more than a twentieth
 * of the time. */
#include "routed-bridge/bmp_resync.h"

#define FIRST	   (MONO_S / 2)
#define SERIES	   4 /* attempts that follow by themselves */
#define LEVEL_MAX  6
#define QUIET_MAX  (600 * MONO_S)
#define COST_SHARE 20

void bmp_resync_init(struct bmp_resync *r)
{
	*r = (struct bmp_resync){.at = MONO_NEVER};
}

static mono_time delay(const struct bmp_resync *r)
{
	mono_time d = FIRST << (2 * r->level);

	if (d > QUIET_MAX)
		d = QUIET_MAX;
	return d > COST_SHARE * r->cost ? d : COST_SHARE * r->cost;
}

void bmp_resync_doubt(struct bmp_resync *r, mono_time now)
{
	mono_time at = now + FIRST;

	if (r->at == MONO_NEVER)
		r->at = at > r->quiet ? at : r->quiet;
}

void bmp_resync_begun(struct bmp_resync *r)
{
	r->at = MONO_NEVER;
}

void bmp_resync_done(struct bmp_resync *r, bool found, mono_time took, mono_time now)
{
	r->cost = took;
	if (found)
		r->level = 1; /* and others may follow soon */
	else if (r->level < LEVEL_MAX)
		r->level++;
	if (r->level < SERIES)
		r->at = now + delay(r);
	r->quiet = now + delay(r);
}
