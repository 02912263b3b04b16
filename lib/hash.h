/* uthash without its exit(): an element that could not be added for lack of memory has a
 * handle whose tbl is NULL, and must not be deleted. Include this, not uthash.h, where a
 * lack of memory must not end the process. */
#ifndef DETOUR_HASH_H
#define DETOUR_HASH_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#endif
