/* What this machine's own addresses are, and which one it would use towards a peer. */
#ifndef DETOUR_SOURCE_H
#define DETOUR_SOURCE_H

#include "lib/addr.h"

/* An address of any interface of this machine (or network namespace) now. */
bool source_is_local(const struct addr *a);
/* The source address that the kernel's routes give towards `remote`; false: no route. */
bool source_towards(const struct addr *remote, struct addr *out);

#endif
