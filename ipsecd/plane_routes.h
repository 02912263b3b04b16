/* Routes and rules that ike has plane set. Routes: never in the place of somebody else's, which
 * would be gone for good when ours goes. A route that leads through a tunnel's device is no
 * other's: the kernel makes such, and operators do, for our sake. */
#ifndef DETOUR_PLANE_ROUTES_H
#define DETOUR_PLANE_ROUTES_H

#include "lib/hash.h"
#include "lib/mono.h"
#include "lib/netlink_route.h"

#define PLANE_ROUTES_MAX 262144
#define PLANE_RULES_MAX	 16 /* of a family: each packet of the machine passes by them */

struct plane_route;

struct plane_routes {
	struct netlink *netlink;
	/* Is the device a tunnel's? */
	bool (*is_tunnel)(const void *ctx, int ifindex);
	const void *ctx;
	mono_time (*now)(void);
	struct plane_route *ours; /* in the kernel, as far as is known: also of planes before us */
	mono_time listed[2];	  /* IPv4, IPv6: when the kernel was asked for all; 0: never */
};

/* 0 or -errno; *taken: the place is another's, and stays so. */
int plane_routes_set(struct plane_routes *p, const struct netlink_route *r, bool add, bool *taken);
void plane_routes_free(struct plane_routes *p); /* what is in the kernel stays */

/* Rules that lead into their table: ike has one of each family, and a former one's. 0 or -errno;
 * -ENOSPC: there are PLANE_RULES_MAX of ours in the family, whoever set them. */
int plane_rules_set(struct netlink *nl, const struct netlink_rule *r, bool add);

#endif
