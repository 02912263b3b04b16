/* Routes and rules that a former process of ours left in the kernel: by ROUTES_PROTOCOL they
 * are told from others'. */
#ifndef DETOUR_LEFTOVERS_H
#define DETOUR_LEFTOVERS_H

#include "lib/netlink_route.h"

#include <stdbool.h>

/* Removes all but those that `keep` wants to stay (NULL: all of them); returns how many. */
unsigned leftovers_remove_routes(struct netlink *nl,
				 bool (*keep)(void *ctx, const struct netlink_route *route),
				 void *ctx);
unsigned leftovers_remove_rules(struct netlink *nl);

#endif
