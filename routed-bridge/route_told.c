/* Claims become a route. */
#include "routed-bridge/route_told.h"

#include <stdio.h>

bool route_claims_equal(const struct route_claim *a, const struct route_claim *b)
{
	return a->route.distance == b->route.distance && a->route.metric == b->route.metric;
}

static void put(struct route_told *told, unsigned at, const struct route_claim *claim)
{
	told->route.nexthops[at] = claim->route.nexthops[0];
	told->generation[at] = claim->generation;
	memcpy(told->interface[at], claim->interface, IF_NAMESIZE);
}

void route_told_start(struct route_told *told, const struct route_claim *best)
{
	*told = (struct route_told){.route = best->route};
	told->route.n_nexthops = 1;
	put(told, 0, best);
}

void route_told_join(struct route_told *told, const struct route_claim *claim)
{
	unsigned n = told->route.n_nexthops;

	for (unsigned i = 0; i < n; i++) {
		if (told->route.nexthops[i].ifindex == claim->route.nexthops[0].ifindex)
			return;
	}
	if (n == ZAPI_NEXTHOPS_MAX)
		return;
	put(told, n, claim);
	told->route.n_nexthops++;
}

/* The kernel takes several IPv6 nexthops only with gateways. A tunnel device resolves none, so
 * that any link-local address serves, except one that the device itself has. */
static void put_gateways(struct zapi_route *r)
{
	static const struct addr anyone = {
		.family = AF_INET6,
		.bytes = {0xfe, 0x80, [8] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}};

	for (unsigned i = 0; i < r->n_nexthops; i++) {
		if (!r->nexthops[i].gateway.family) {
			r->nexthops[i].gateway = anyone;
			r->nexthops[i].onlink = true;
		}
	}
}

void route_told_finish(struct route_told *told)
{
	struct zapi_route *r = &told->route;
	bool weighted = false;

	if (r->n_nexthops > 1 && r->prefix.addr.family == AF_INET6)
		put_gateways(r);

	for (unsigned i = 0; i < r->n_nexthops; i++)
		weighted = weighted || r->nexthops[i].weight;
	for (unsigned i = 0; i < r->n_nexthops; i++) {
		if (r->n_nexthops == 1)
			r->nexthops[i].weight = 0;
		else if (weighted && !r->nexthops[i].weight)
			r->nexthops[i].weight = 1;
	}
}

static bool has_device(const struct zapi_route *r, const struct zapi_nexthop *n)
{
	for (unsigned i = 0; i < r->n_nexthops; i++) {
		if (r->nexthops[i].ifindex == n->ifindex)
			return true;
	}
	return false;
}

void route_told_follow(struct route_told *told, const struct route_told *last)
{
	struct zapi_route *r = &told->route;

	for (unsigned i = 0; i < r->n_nexthops; i++) {
		if (!has_device(&last->route, &r->nexthops[i]))
			return;
	}
	if (r->n_nexthops < last->route.n_nexthops) {
		zapi_route_vary(r, &last->route);
	} else {
		r->variant = last->route.variant;
		r->renewed = last->route.renewed;
	}
}

static bool same_nexthop(const struct zapi_nexthop *a, const struct zapi_nexthop *b)
{
	return a->vrf == b->vrf && a->ifindex == b->ifindex && a->weight == b->weight &&
	       a->onlink == b->onlink && addr_equal(&a->gateway, &b->gateway);
}

bool route_told_same(const struct route_told *a, const struct route_told *b)
{
	const struct zapi_route *x = &a->route, *y = &b->route;

	for (unsigned i = 0; i < x->n_nexthops && x->n_nexthops == y->n_nexthops; i++) {
		if (!same_nexthop(&x->nexthops[i], &y->nexthops[i]) ||
		    a->generation[i] != b->generation[i] ||
		    strcmp(a->interface[i], b->interface[i]) != 0)
			return false;
	}
	return x->n_nexthops == y->n_nexthops && x->distance == y->distance &&
	       x->metric == y->metric && x->tag == y->tag && x->mtu == y->mtu;
}

bool route_told_remade(const struct route_told *a, const struct route_told *b)
{
	for (unsigned i = 0; i < a->route.n_nexthops; i++) {
		for (unsigned k = 0; k < b->route.n_nexthops; k++) {
			if (strcmp(a->interface[i], b->interface[k]) == 0 &&
			    a->generation[i] != b->generation[k])
				return true;
		}
	}
	return false;
}

const char *route_told_devices(const struct route_told *told, char *text)
{
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < told->route.n_nexthops; i++)
		n += (size_t)snprintf(text + n, ROUTE_TOLD_TEXT - n, "%s%s", i ? "," : "",
				      told->interface[i]);
	return text;
}
