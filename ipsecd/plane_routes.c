/* A place is prefix, table and metric: the kernel has one route there. Whose it is, it says only in
 * a list of all, which is read when a place is taken and not known for ours, or known from so long
 * ago that somebody may have taken ours away and put his own there. */
#include "ipsecd/plane_routes.h"
#include "ipsecd/routes.h"

#include <errno.h>
#include <stdlib.h>

#define METRIC_OF_IPV6 1024   /* that the kernel takes for none */
#define BELIEVED_FOR   MONO_S /* what a list said: an ike that begins sets thousands again */

struct place {
	struct prefix dst;
	uint32_t table, metric;
};

struct plane_route {
	struct place place;
	UT_hash_handle hh;
};

static struct place place_of(const struct netlink_route *r)
{
	struct place at;

	memset(&at, 0, sizeof(at)); /* it is compared as memory */
	at.dst = prefix_mask(&r->dst);
	at.table = r->table;
	at.metric = r->metric || r->dst.addr.family == AF_INET ? r->metric : METRIC_OF_IPV6;
	return at;
}

static struct plane_route *find(const struct plane_routes *p, const struct place *at)
{
	struct plane_route *found;

	HASH_FIND(hh, p->ours, at, sizeof(*at), found);
	return found;
}

static void remember(struct plane_routes *p, const struct place *at)
{
	struct plane_route *r = find(p, at) ? NULL : calloc(1, sizeof(*r));

	if (!r)
		return;
	r->place = *at;
	HASH_ADD(hh, p->ours, place, sizeof(r->place), r);
	if (!r->hh.tbl)
		free(r);
}

static void forget(struct plane_routes *p, struct plane_route *r)
{
	HASH_DEL(p->ours, r);
	free(r);
}

/* ---- places that are taken ---- */

struct search {
	struct plane_routes *routes;
	struct place at;
	bool taken;
};

static void look(void *ctx, const struct netlink_route *r)
{
	const struct place at = place_of(r);
	struct search *s = ctx;

	if (r->protocol == ROUTES_PROTOCOL)
		remember(s->routes, &at);
	else if (memcmp(&at, &s->at, sizeof(at)) == 0)
		s->taken |= !s->routes->is_tunnel(s->routes->ctx, r->ifindex);
}

static void forget_family(struct plane_routes *p, uint8_t family)
{
	struct plane_route *r, *next;

	HASH_ITER (hh, p->ours, r, next) {
		if (r->place.dst.addr.family == family)
			forget(p, r);
	}
}

static mono_time *listed(struct plane_routes *p, uint8_t family)
{
	return &p->listed[family == AF_INET6];
}

/* The place is taken: by whom? */
static int look_who(struct plane_routes *p, const struct place *at, bool *taken)
{
	struct search s = {.routes = p, .at = *at};
	uint8_t family = at->dst.addr.family;
	mono_time *when = listed(p, family);
	int e;

	if (find(p, at) && *when && p->now() - *when < BELIEVED_FOR)
		return 0;
	forget_family(p, family);
	e = netlink_route_list(p->netlink, family, look, &s);
	*when = e ? 0 : p->now();
	*taken = s.taken && !find(p, at);
	return e;
}

static int add(struct plane_routes *p, const struct netlink_route *wanted, const struct place *at,
	       bool *taken)
{
	struct netlink_route r = *wanted;
	int e;

	if (!find(p, at) && HASH_COUNT(p->ours) >= PLANE_ROUTES_MAX)
		return -ENOSPC;
	r.exclusive = true;
	e = netlink_route_add(p->netlink, &r);
	if (e != -EEXIST)
		return e;
	e = look_who(p, at, taken);
	if (e || *taken)
		return e ? e : -EEXIST;
	r.exclusive = false;
	return netlink_route_add(p->netlink, &r);
}

/* ---- the verb ---- */

int plane_routes_set(struct plane_routes *p, const struct netlink_route *r, bool wanted,
		     bool *taken)
{
	const struct place at = place_of(r);
	struct plane_route *known;
	int e;

	*taken = false;
	e = wanted ? add(p, r, &at, taken) : netlink_route_remove(p->netlink, r);
	known = find(p, &at);
	if (e == 0 && wanted)
		remember(p, &at);
	else if (e == 0 && known)
		forget(p, known);
	return e;
}

void plane_routes_free(struct plane_routes *p)
{
	struct plane_route *r, *next;

	HASH_ITER (hh, p->ours, r, next)
		forget(p, r);
}

/* ---- rules ---- */

struct rules_seen {
	const struct netlink_rule *wanted;
	unsigned ours;
	bool there;
};

static void see_rule(void *ctx, const struct netlink_rule *r)
{
	struct rules_seen *s = ctx;

	if (r->protocol != ROUTES_PROTOCOL || r->family != s->wanted->family)
		return;
	s->ours++;
	s->there |= r->table == s->wanted->table && r->priority == s->wanted->priority &&
		    strcmp(r->iif, s->wanted->iif) == 0;
}

/* The kernel knows which there are, also those of planes before us. */
int plane_rules_set(struct netlink *nl, const struct netlink_rule *r, bool add)
{
	struct rules_seen seen = {.wanted = r};
	int e;

	if (!add)
		return netlink_rule_remove(nl, r);
	e = netlink_rule_list(nl, r->family, see_rule, &seen);
	if (e)
		return e;
	if (!seen.there && seen.ours >= PLANE_RULES_MAX)
		return -ENOSPC;
	return netlink_rule_add(nl, r);
}
