/* The monotonic clock. For shells: what is pure is given the time. */
#include "lib/mono.h"

#include <time.h>

mono_time mono_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (mono_time)t.tv_sec * MONO_S + (mono_time)t.tv_nsec;
}
