/* Claims and tables that tests of the route table begin with. Include it behind <cmocka.h>. */
#ifndef DETOUR_ROUTE_SAMPLES_H
#define DETOUR_ROUTE_SAMPLES_H

#include "routed-bridge/routes.h"

#include <stdio.h>

static struct route_claim claim(const char *prefix, const char *interface, uint32_t ifindex)
{
	struct route_claim c = {
		.route = {.type = ZAPI_TYPE_NHRP,
			  .n_nexthops = 1,
			  .nexthops = {{.ifindex = ifindex}},
			  .distance = 10},
		.generation = 1,
	};

	assert_true(prefix_parse(prefix, &c.route.prefix));
	snprintf(c.interface, sizeof(c.interface), "%s", interface);
	return c;
}

static struct routes *table_up(void)
{
	struct routes *r = routes_new(NULL);

	routes_session(r, ZAPI_TYPE_NHRP, 0, true);
	return r;
}

#endif
