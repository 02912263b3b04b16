/* Time as the engine, the tables and the tests see it: nanoseconds on a
 * monotonic scale that the caller chooses (CLOCK_MONOTONIC in daemons, virtual
 * time in tests). Only shells read a clock. */
#ifndef DETOUR_MONO_H
#define DETOUR_MONO_H

#include <stdint.h>

typedef uint64_t mono_time;

#define MONO_NEVER UINT64_MAX
#define MONO_MS	   ((mono_time)1000000)
#define MONO_S	   ((mono_time)1000000000)

/* CLOCK_MONOTONIC. */
mono_time mono_now(void);

#endif
