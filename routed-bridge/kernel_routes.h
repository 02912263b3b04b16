/* Routes in the kernel, for when there is no zebra to give them to: the same routes that zebra
 * would get, by rtnetlink, under a protocol number of our own, by which what a killed bridge
 * left behind is known again. What is not ours is neither replaced nor removed.
 *
 * Blocks for the kernel's answer, which is there at once. One writer for each network
 * namespace: a second one is refused. */
#ifndef DETOUR_KERNEL_ROUTES_H
#define DETOUR_KERNEL_ROUTES_H

#include "lib/log.h"
#include "lib/netlink_route.h"
#include "routed-bridge/zapi.h"

#define KERNEL_ROUTES_PROTOCOL 69 /* RTPROT_*; ipsecd's install_routes has 68 */

struct kernel_routes;

/* Opens and looks for what an earlier bridge left, which counts as left over until it is added
 * again. NULL and the reason. */
struct kernel_routes *kernel_routes_new(const struct log_sink *log, char *why, size_t size);
void kernel_routes_free(struct kernel_routes *k); /* NULL allowed; the routes stay */

/* `table` is the kernel's, of the route or else of its VRF. FAIL_INSTALL is logged with the
 * kernel's words. */
enum zapi_note kernel_routes_add(struct kernel_routes *k, const struct zapi_route *route,
				 uint32_t table);
void kernel_routes_delete(struct kernel_routes *k, const struct zapi_route *route, uint32_t table);
/* The kernel says that this route is gone, by whose doing `port` tells (nlmsg_pid). Whether it is
 * one of ours that should be there; `out` says which, as zebra's REMOVED does. It may be there
 * again already, as messages come late: it stays known as ours. */
bool kernel_routes_lost(struct kernel_routes *k, const struct netlink_route *gone, uint32_t port,
			struct zapi_notify *out);
/* Another has the routes from now on: everything counts as left over, and gets a metric that
 * lets any other route win. An FRR takes its upper byte for the distance and never selects
 * such a route, so that it installs its own before these are swept. */
void kernel_routes_abandon(struct kernel_routes *k);
unsigned kernel_routes_leftover(const struct kernel_routes *k);
/* Removes what is left over; returns how many routes that were. */
unsigned kernel_routes_sweep(struct kernel_routes *k);

/* The kernel's form of a route. Its metric is the distance and the metric together, so that a
 * route of distance 10 is before those of FRR (20) and BIRD (32). Pure. */
void kernel_route_of(const struct zapi_route *route, uint32_t table, struct netlink_route *out);

#endif
