/* Whether the kernel's FIB has all nexthops of the routes that zebra confirmed. zebra 8.4 keeps a
 * group of nexthops that no route uses for 180 s and takes it up again, though the kernel has taken
 * one from it when its device went down: the route is confirmed, and one of its ways stays unused.
 * A route that lacks a nexthop at two looks, without news in between, is told again with other
 * weights, which zebra makes another group of. One nexthop alone is no group: zebra has that put
 * anew when its device comes.
 *
 * Pure: what zebra was told, what it confirmed, and what the kernel has, place by place, come in;
 * routes to be renewed come out. */
#ifndef DETOUR_FIB_CHECK_H
#define DETOUR_FIB_CHECK_H

#include "lib/netlink_route.h"
#include "routed-bridge/zapi.h"

struct fib_check;

/* What one dump of the kernel's has. */
struct fib_place {
	enum zapi_route_type type;
	uint16_t instance;
	uint8_t family;
	uint32_t table; /* the kernel's */
};

struct fib_check *fib_check_new(void); /* NULL when out of memory */
void fib_check_free(struct fib_check *f);

/* An ADD. `table`, here as below, is the kernel's, of the route or else of its VRF; a route
 * without one (0) is not looked at. */
void fib_check_told(struct fib_check *f, const struct zapi_route *route, uint32_t table);
void fib_check_withdrawn(struct fib_check *f, const struct zapi_route *route, uint32_t table);
/* zebra has forgotten all of the session's. */
void fib_check_session(struct fib_check *f, enum zapi_route_type type, uint16_t instance);
/* What zebra says of the route, whose prefix, type and instance count. Whether there is something
 * to look for now. */
bool fib_check_note(struct fib_check *f, const struct zapi_route *route, uint32_t table,
		    enum zapi_note note);

/* ---- one look: begin; for each place next, seen, done ---- */

/* false: there is nothing to look for. */
bool fib_check_begin(struct fib_check *f);
/* A place that was not looked at yet; false when all were. */
bool fib_check_next(const struct fib_check *f, struct fib_place *out);
void fib_check_seen(struct fib_check *f, const struct fib_place *place,
		    const struct netlink_route *route);

/* Of one place. */
struct fib_verdict {
	unsigned renewed, lacking;	  /* told again; no longer, as it was of no use */
	const struct zapi_route *example; /* of either; valid during the call */
	uint32_t ifindex;		  /* that the example lacks */
};

/* The whole of the place was seen (complete), or it is not known. Calls back for each route that is
 * to be told again as that renewal (zapi_route_renew). */
struct fib_verdict fib_check_done(struct fib_check *f, const struct fib_place *place, bool complete,
				  void (*renew)(void *ctx, const struct zapi_route *route,
						unsigned renewal),
				  void *ctx);

struct fib_check_count {
	uint64_t renewed; /* so far */
	unsigned lacking; /* routes that were told again in vain */
};

struct fib_check_count fib_check_count(const struct fib_check *f);

#endif
