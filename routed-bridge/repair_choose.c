/* Which way around: the loop-free alternatives of a prefix, and the best of them. */
#include "routed-bridge/repair_parts.h"

#include <utlist.h>

#define LOCAL_PREF_DEFAULT 100 /* RFC 4271 5.1.5 leaves the degree of preference to us */
#define RECURSION_MAX	   3

/* ---- nexthops and links ---- */

/* The nexthop's own way, where it is no neighbour: the host route to it. */
static const struct zapi_nexthop *hop_to(const struct repair *r, const struct addr *gateway)
{
	struct prefix host;
	const struct repair_best *b;

	memset(&host, 0, sizeof(host));
	host.addr = *gateway;
	host.len = (uint8_t)(addr_size(gateway->family) * 8);
	b = repair_find(r, &host);
	return b && !b->lost && b->group->hops.n == 1 ? &b->group->hops.hop[0] : NULL;
}

struct repair_link *repair_hop_link(struct repair *r, const struct zapi_nexthop *hop)
{
	for (unsigned i = 0; hop && i < RECURSION_MAX; i++) {
		if (hop->ifindex)
			return repair_links_find(&r->links, hop->ifindex);
		hop = hop_to(r, &hop->gateway);
	}
	return NULL;
}

bool repair_hops_equal(const struct repair_hops *a, const struct repair_hops *b)
{
	for (unsigned i = 0; i < a->n && a->n == b->n; i++) {
		if (a->hop[i].ifindex != b->hop[i].ifindex ||
		    !addr_equal(&a->hop[i].gateway, &b->hop[i].gateway))
			return false;
	}
	return a->n == b->n;
}

static bool hop_usable(struct repair *r, const struct zapi_nexthop *hop)
{
	const struct repair_link *l = repair_hop_link(r, hop);

	return !l || repair_link_usable(l);
}

bool repair_hops_usable(struct repair *r, const struct repair_hops *hops)
{
	for (unsigned i = 0; i < hops->n; i++) {
		if (!hop_usable(r, &hops->hop[i]))
			return false;
	}
	return true;
}

/* ---- the paths of the best route ---- */

static bool is_path_of(struct repair *r, const struct path *path, const struct zapi_nexthop *hop)
{
	const struct path_attrs *a = path->attrs;

	if (!hop->gateway.family)
		return hop->ifindex &&
		       repair_links_of(&r->links, &path->peer->local) == repair_hop_link(r, hop);
	return addr_equal(&hop->gateway, &a->nexthop) ||
	       addr_equal(&hop->gateway, &a->nexthop_local);
}

const struct path *repair_find_path(struct repair *r, const struct repair_best *b,
				    const struct zapi_nexthop *hop)
{
	const struct path *path;

	LL_FOREACH (paths_of(r->paths, &b->prefix), path) {
		if (repair_peer_counts(path->peer) && is_path_of(r, path, hop))
			return path;
	}
	return NULL;
}

static uint64_t as_bit(uint32_t as)
{
	return UINT64_C(1) << ((as * UINT32_C(2654435761)) >> 26);
}

/* The origin may stand there several times. */
static uint64_t transit_of(const struct path_attrs *a)
{
	uint32_t origin = a->n_as ? a->as_path[a->n_as - 1] : 0;
	uint64_t bits = 0;

	for (unsigned i = 0; i < a->n_as; i++) {
		if (a->as_path[i] != origin)
			bits |= as_bit(a->as_path[i]);
	}
	return bits;
}

void repair_look_at_paths(struct repair *r, struct repair_best *b)
{
	bool all = b->type == ZAPI_TYPE_BGP;
	const struct path *path;

	for (unsigned i = 0; i < b->group->hops.n && all; i++) {
		path = repair_find_path(r, b, &b->group->hops.hop[i]);
		all = path;
		if (path && i == 0) {
			b->group->peer = path->peer->key;
			b->group->as = path->peer->as;
			b->transit = transit_of(path->attrs);
		}
	}
	b->path_seen = b->path_seen || all;
	b->path_gone = b->path_seen && !all;
}

static bool hop_alive(struct repair *r, const struct repair_best *b, const struct zapi_nexthop *hop)
{
	return hop_usable(r, hop) &&
	       (b->type != ZAPI_TYPE_BGP ||
		(!repair_hop_lost(r, hop) && (!b->path_gone || repair_find_path(r, b, hop))));
}

bool repair_alive(struct repair *r, const struct repair_best *b)
{
	for (unsigned i = 0; i < b->group->hops.n; i++) {
		if (!hop_alive(r, b, &b->group->hops.hop[i]))
			return false;
	}
	return !b->path_gone;
}

/* ---- alternatives ---- */

/* The nexthop of a path that a neighbour announced, if its device is known and usable. A
 * nexthop beside the neighbour on the same link is what the neighbour itself would take. */
static bool hop_of_path(struct repair *r, const struct path *path, struct zapi_nexthop *out)
{
	const struct path_attrs *a = path->attrs;
	const struct repair_link *l = repair_session_link(r, path->peer, &a->nexthop_local);
	const struct zapi_nexthop *host;

	memset(out, 0, sizeof(*out));
	if (l && l->gone)
		l = NULL;
	if (l && a->nexthop_local.family) {
		out->gateway = a->nexthop_local;
	} else if (l && a->nexthop.family && repair_link_reaches(l, &a->nexthop)) {
		out->gateway = a->nexthop;
	} else {
		host = a->nexthop.family ? hop_to(r, &a->nexthop) : NULL;
		if (!host || !host->ifindex)
			return false;
		out->gateway = host->gateway;
		out->onlink = host->onlink;
		l = repair_links_find(&r->links, host->ifindex);
	}
	out->ifindex = l ? l->ifindex : 0;
	return l && l->known && out->ifindex && repair_link_usable(l);
}

/* What C announced is C's own best path, and without our AS in it C does not go through us. */
static bool loop_free(const struct path *path)
{
	return path->peer->up && repair_peer_counts(path->peer) && path_external(path) &&
	       !path_has_as(path, path->peer->local_as);
}

/* The neighbour of the best route withdrew its path, and lives. (One whose session ended has
 * said nothing of the way behind it.) */
static bool withdrawn(struct repair *r, const struct repair_best *b)
{
	const struct path_peer *peer = b->path_gone ? paths_peer(r->paths, &b->group->peer) : NULL;

	return peer && peer->up;
}

/* Something on a way that was withdrawn has failed, nobody knows where, and others hear of it
 * later than we: a path that shares more of that way than its origin may be out of date, and
 * lead round. Bits may coincide, which costs an alternative and nothing else. */
static bool apart(const struct repair_best *b, const struct path *path)
{
	return !path_has_as(path, b->group->as) && !(transit_of(path->attrs) & b->transit);
}

static int64_t local_pref(const struct path_attrs *a)
{
	return a->has_local_pref ? a->local_pref : LOCAL_PREF_DEFAULT;
}

/* As bgpd will decide (RFC 4271 9.1.2.2), so that packets need not move again: < 0 when x is
 * better. */
static int64_t path_order(const struct path *x, const struct path *y)
{
	const struct path_attrs *a = x->attrs, *b = y->attrs;

	if (local_pref(a) != local_pref(b))
		return local_pref(b) - local_pref(a);
	if (a->as_length != b->as_length)
		return a->as_length - b->as_length;
	if (a->origin != b->origin)
		return a->origin - b->origin;
	if (a->n_as && b->n_as && a->as_path[0] == b->as_path[0] && a->med != b->med)
		return (int64_t)a->med - b->med;
	if (x->peer->key.id != y->peer->key.id)
		return (int64_t)x->peer->key.id - y->peer->key.id;
	return addr_compare(&x->peer->key.addr, &y->peer->key.addr);
}

static bool choose_path(struct repair *r, const struct repair_best *b, struct repair_hops *out)
{
	const struct path *path, *best = NULL;
	bool out_of_date = withdrawn(r, b);
	struct zapi_nexthop hop;

	LL_FOREACH (paths_of(r->paths, &b->prefix), path) {
		if (!loop_free(path) || (best && path_order(path, best) >= 0) ||
		    (out_of_date && !apart(b, path)) || !hop_of_path(r, path, &hop))
			continue;
		best = path;
		repair_copy_hops(out, &hop, 1);
	}
	return best;
}

bool repair_choose_without(struct repair *r, const struct repair_best *b,
			   const struct repair_neighbour *n, struct repair_hops *out)
{
	const struct path *path, *best = NULL;
	struct zapi_nexthop hop;

	LL_FOREACH (paths_of(r->paths, &b->prefix), path) {
		if (!loop_free(path) || path_has_as(path, n->as) ||
		    (best && path_order(path, best) >= 0) || !hop_of_path(r, path, &hop) ||
		    hop.ifindex == n->ifindex)
			continue;
		best = path;
		repair_copy_hops(out, &hop, 1);
	}
	return best;
}

bool repair_choose(struct repair *r, const struct repair_best *b, struct repair_hops *out)
{
	const struct repair_hops *hops = &b->group->hops;
	struct zapi_nexthop left[ZAPI_NEXTHOPS_MAX];
	unsigned n = 0;

	/* Of several ways, those that are left: bgpd uses them already. */
	for (unsigned i = 0; i < hops->n && !b->lost; i++) {
		if (hops->hop[i].ifindex && hop_alive(r, b, &hops->hop[i]))
			left[n++] = hops->hop[i];
	}
	if (n == 0)
		return choose_path(r, b, out) || repair_choose_turn(r, b, out);
	repair_copy_hops(out, left, n);
	return true;
}
