/* Routes and rules that a former process of ours left in the kernel: by ROUTES_PROTOCOL they
 * are told from others'. */
#ifndef DETOUR_LEFTOVERS_H
#define DETOUR_LEFTOVERS_H

#include "lib/netlink_route.h"

#include <stdbool.h>

struct leftovers_host {
	struct netlink *netlink;				    /* lists them */
	bool (*keep)(void *ctx, const struct netlink_route *route); /* NULL: none */
	bool (*keep_rule)(void *ctx, const struct netlink_rule *rule);
	/* 0: it is gone. NULL: by `netlink`. */
	int (*remove_route)(void *ctx, const struct netlink_route *route);
	int (*remove_rule)(void *ctx, const struct netlink_rule *rule);
	void *ctx;
};

/* Removes all but those that are to be kept; returns how many. */
unsigned leftovers_remove_routes(const struct leftovers_host *host);
unsigned leftovers_remove_rules(const struct leftovers_host *host);

#endif
