/* Leftovers: looked up by protocol in every table, and removed one by one. */
#include "ipsecd/leftovers.h"
#include "ipsecd/routes.h"

struct removal {
	const struct leftovers_host *host;
	unsigned n;
};

static void remove_route(void *ctx, const struct netlink_route *route)
{
	struct removal *r = ctx;
	const struct leftovers_host *h = r->host;
	int e;

	if (route->protocol != ROUTES_PROTOCOL || (h->keep && h->keep(h->ctx, route)))
		return;
	e = h->remove_route ? h->remove_route(h->ctx, route)
			    : netlink_route_remove(h->netlink, route);
	r->n += e == 0;
}

static void remove_rule(void *ctx, const struct netlink_rule *rule)
{
	struct removal *r = ctx;
	const struct leftovers_host *h = r->host;
	int e;

	if (rule->protocol != ROUTES_PROTOCOL || (h->keep_rule && h->keep_rule(h->ctx, rule)))
		return;
	e = h->remove_rule ? h->remove_rule(h->ctx, rule) : netlink_rule_remove(h->netlink, rule);
	r->n += e == 0;
}

unsigned leftovers_remove_routes(const struct leftovers_host *host)
{
	struct removal r = {.host = host};

	netlink_route_list(host->netlink, AF_INET, remove_route, &r);
	netlink_route_list(host->netlink, AF_INET6, remove_route, &r);
	return r.n;
}

unsigned leftovers_remove_rules(const struct leftovers_host *host)
{
	struct removal r = {.host = host};

	netlink_rule_list(host->netlink, AF_INET, remove_rule, &r);
	netlink_rule_list(host->netlink, AF_INET6, remove_rule, &r);
	return r.n;
}
