/* Which data plane this machine gets. */
#ifndef DETOUR_PLANE_H
#define DETOUR_PLANE_H

#include "ipsecd/dataplane/dataplane.h"

/* `wanted`: auto, kernel or userspace. Tries, and logs what was taken. `why` says why this one,
 * or, when the answer is NULL, why none. */
const struct dataplane_ops *plane_choose(const char *wanted, const struct log_sink *log, char *why,
					 size_t size);
/* Removes what is ours and outlives a process, of every plane. false: `why`. */
bool plane_flush(const struct log_sink *log, char *why, size_t size);

#endif
