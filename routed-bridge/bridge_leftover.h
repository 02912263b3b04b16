/* Repairs that a killed zebra left in the kernel. The next one neither knows nor removes
 * them: the kernel's protocol of the type `table`, "zebra", does not tell whose they are.
 * IPv4's go when BGP's own take their place; IPv6's would stay beside them. */
#ifndef DETOUR_BRIDGE_LEFTOVER_H
#define DETOUR_BRIDGE_LEFTOVER_H

#include "lib/addr.h"

struct bridge_leftovers {
	size_t n, size;
	struct prefix *prefixes;
};

void bridge_leftovers_add(struct bridge_leftovers *l, const struct prefix *prefix);
/* Removes their routes from the kernel and forgets them. To be called when there is a new
 * zebra and before it is given any, or at the end. */
void bridge_leftovers_remove(struct bridge_leftovers *l);

#endif
