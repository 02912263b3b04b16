/* Repairs that a killed zebra left in the kernel. The next one does not remove them: the
 * kernel's protocol of the type `table`, "zebra", does not tell whose they are. IPv4's go when
 * BGP's own take their place; IPv6's would stay beside them. FRR 10 takes them for routes of
 * the kernel's, which are better than all others, and puts back what is removed there. */
#ifndef DETOUR_BRIDGE_LEFTOVER_H
#define DETOUR_BRIDGE_LEFTOVER_H

#include "lib/addr.h"

struct zebra;

struct bridge_leftovers {
	size_t n, size;
	struct prefix *prefixes;
};

void bridge_leftovers_add(struct bridge_leftovers *l, const struct prefix *prefix);
/* Tells a new zebra, before it is given any routes, that they are not the kernel's. They stay
 * in the list: what is removed before it knows comes back. */
void bridge_leftovers_disown(const struct bridge_leftovers *l, struct zebra *z);
/* There is a repair for the prefix now: it is no leftover. */
void bridge_leftovers_keep(struct bridge_leftovers *l, const struct prefix *prefix);
/* Removes their routes from the kernel and forgets them. A moment later, or at the end. */
void bridge_leftovers_remove(struct bridge_leftovers *l);

#endif
