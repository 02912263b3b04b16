/* Pauses between a death and the next start. */
#include "ipsecd/backoff.h"

mono_time backoff_died(struct backoff *b, mono_time started, mono_time died, mono_time max)
{
	mono_time pause = BACKOFF_FIRST;

	if (died - started >= BACKOFF_HEALTH)
		b->deaths = 0;
	if (b->deaths++ == 0)
		return 0;
	for (unsigned i = 2; i < b->deaths && pause < max; i++)
		pause *= 2;
	return pause < max ? pause : max;
}
