/* Leftovers: looked up by protocol in every table, and removed one by one. */
#include "ipsecd/leftovers.h"
#include "ipsecd/routes.h"

struct removal {
	struct netlink *nl;
	bool (*keep)(void *ctx, const struct netlink_route *route);
	void *ctx;
	unsigned n;
};

static void remove_route(void *ctx, const struct netlink_route *route)
{
	struct removal *r = ctx;

	if (route->protocol == ROUTES_PROTOCOL && !(r->keep && r->keep(r->ctx, route)))
		r->n += netlink_route_remove(r->nl, route) == 0;
}

static void remove_rule(void *ctx, const struct netlink_rule *rule)
{
	struct removal *r = ctx;

	if (rule->protocol == ROUTES_PROTOCOL)
		r->n += netlink_rule_remove(r->nl, rule) == 0;
}

unsigned leftovers_remove_routes(struct netlink *nl,
				 bool (*keep)(void *ctx, const struct netlink_route *route),
				 void *ctx)
{
	struct removal r = {.nl = nl, .keep = keep, .ctx = ctx};

	netlink_route_list(nl, AF_INET, remove_route, &r);
	netlink_route_list(nl, AF_INET6, remove_route, &r);
	return r.n;
}

unsigned leftovers_remove_rules(struct netlink *nl)
{
	struct removal r = {.nl = nl};

	netlink_rule_list(nl, AF_INET, remove_rule, &r);
	netlink_rule_list(nl, AF_INET6, remove_rule, &r);
	return r.n;
}
