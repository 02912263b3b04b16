/* Leftovers by rtnetlink. */
#include "routed-bridge/bridge_leftover.h"
#include "lib/netlink_route.h"
#include "routed-bridge/zebra.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>

#define ZEBRA_METRIC 20 /* of all that zebra writes */

void bridge_leftovers_add(struct bridge_leftovers *l, const struct prefix *prefix)
{
	size_t size = l->size ? 2 * l->size : 64;
	struct prefix *list;

	if (l->n == l->size) {
		list = realloc(l->prefixes, size * sizeof(*list));
		if (!list)
			return;
		l->prefixes = list;
		l->size = size;
	}
	l->prefixes[l->n++] = *prefix;
}

void bridge_leftovers_disown(const struct bridge_leftovers *l, struct zebra *z)
{
	for (size_t i = 0; i < l->n; i++) {
		struct zapi_route route = {.type = ZAPI_TYPE_KERNEL, .prefix = l->prefixes[i]};

		zebra_route_delete(z, &route);
	}
}

void bridge_leftovers_keep(struct bridge_leftovers *l, const struct prefix *prefix)
{
	for (size_t i = 0; i < l->n; i++) {
		if (prefix_equal(&l->prefixes[i], prefix)) {
			l->prefixes[i] = l->prefixes[--l->n];
			return;
		}
	}
}

void bridge_leftovers_remove(struct bridge_leftovers *l)
{
	struct netlink *netlink = l->n ? netlink_open() : NULL;

	for (size_t i = 0; netlink && i < l->n; i++) {
		struct netlink_route route = {
			.dst = l->prefixes[i],
			.table = RT_TABLE_MAIN,
			.metric = ZEBRA_METRIC,
			.protocol = RTPROT_ZEBRA,
		};

		netlink_route_remove(netlink, &route);
	}
	if (netlink)
		netlink_close(netlink);
	free(l->prefixes);
	*l = (struct bridge_leftovers){0};
}
