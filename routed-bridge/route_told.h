/* One route as zebra is told it: made of the claim that is best and of those that are as good,
 * each a nexthop. Plain values, pure. */
#ifndef DETOUR_ROUTE_TOLD_H
#define DETOUR_ROUTE_TOLD_H

#include "routed-bridge/routes.h"

struct route_told {
	struct zapi_route route;
	/* The device of each nexthop of the route. */
	char interface[ZAPI_NEXTHOPS_MAX][IF_NAMESIZE];
	uint32_t generation[ZAPI_NEXTHOPS_MAX];
};

#define ROUTE_TOLD_TEXT (ZAPI_NEXTHOPS_MAX * IF_NAMESIZE)

/* Of equal distance and metric: packets may take either. */
bool route_claims_equal(const struct route_claim *a, const struct route_claim *b);
/* The best claim alone. */
void route_told_start(struct route_told *told, const struct route_claim *best);
/* One more nexthop, unless its device has one already or there are ZAPI_NEXTHOPS_MAX. */
void route_told_join(struct route_told *told, const struct route_claim *claim);
/* When all have joined. A nexthop without a weight has 1 where another has one; a lone one
 * needs none. */
void route_told_finish(struct route_told *told);
/* It takes the place of `last`: another variant when it has lost a nexthop and won none
 * (zapi_route_vary), the same when it has the same nexthops. */
void route_told_follow(struct route_told *told, const struct route_told *last);
bool route_told_same(const struct route_told *a, const struct route_told *b);
/* A device of both was made anew under its name. */
bool route_told_remade(const struct route_told *a, const struct route_told *b);
/* The devices, with commas; `text` has ROUTE_TOLD_TEXT bytes. */
const char *route_told_devices(const struct route_told *told, char *text);

#endif
