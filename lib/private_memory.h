/* Memory that holds secrets: not in a core dump, not in swap. */
#ifndef DETOUR_PRIVATE_MEMORY_H
#define DETOUR_PRIVATE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Marks the pages from `start` on, which is the start of one: of a mapping of one's own, private or
 * shared. They are left out of core dumps and stay in memory, as far as RLIMIT_MEMLOCK allows;
 * until they are unmapped. false: errno says what could not be done; the other is done. */
bool private_memory_mark(void *start, size_t len);

#endif
