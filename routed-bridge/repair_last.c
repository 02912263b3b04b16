/* Whether a device is the last way: nothing is won by leaving it. In doubt it is not. */
#include "routed-bridge/repair_parts.h"

#include <utlist.h>

#define PREFIXES_MAX 500 /* looked at; where there are more, one of them may have another way */

static bool leads_over(struct repair *r, const struct repair_hops *hops,
		       const struct repair_link *l)
{
	for (unsigned i = 0; i < hops->n; i++) {
		if (repair_hop_link(r, &hops->hop[i]) == l)
			return true;
	}
	return false;
}

/* Of several equal ways one that lives. */
static bool leads_elsewhere(struct repair *r, const struct repair_hops *hops,
			    const struct repair_link *l)
{
	for (unsigned i = 0; i < hops->n; i++) {
		const struct repair_link *at = repair_hop_link(r, &hops->hop[i]);

		if (at != l && (!at || repair_link_usable(at)))
			return true;
	}
	return false;
}

static bool is_elsewhere(struct repair *r, const struct path_peer *peer,
			 const struct addr *neighbour, const struct repair_link *l)
{
	const struct repair_link *at;

	if (!peer->up || !repair_peer_counts(peer))
		return false;
	at = repair_session_link(r, peer, neighbour);
	return at != l && (!at || repair_link_usable(at));
}

static bool has_peer_elsewhere(struct repair *r, const struct repair_link *l)
{
	const struct path_peer *peer = NULL;

	while ((peer = paths_peer_next(r->paths, peer))) {
		if (is_elsewhere(r, peer, &peer->key.addr, l))
			return true;
	}
	return false;
}

static bool has_path_elsewhere(struct repair *r, const struct repair_best *b,
			       const struct repair_link *l)
{
	const struct path *path;

	LL_FOREACH (paths_of(r->paths, &b->prefix), path) {
		if (is_elsewhere(r, path->peer, &path->attrs->nexthop_local, l))
			return true;
	}
	return false;
}

/* Counts the group's routes of BGP in *n. false: one of them may have another way. */
static bool look_at_group(struct repair *r, const struct repair_group *g,
			  const struct repair_link *l, unsigned *n, bool *seen)
{
	const struct repair_best *b;

	if (leads_elsewhere(r, &g->hops, l))
		return false;
	DL_FOREACH (g->bests, b) {
		if (b->type != ZAPI_TYPE_BGP || b->lost)
			continue;
		*seen = *seen && b->path_seen;
		if (++*n > PREFIXES_MAX || has_path_elsewhere(r, b, l))
			return false;
	}
	return true;
}

bool repair_last_way(struct repair *r, const char *interface, bool *last)
{
	const struct repair_link *l = repair_links_named(&r->links, interface);
	bool other = l && has_peer_elsewhere(r, l), seen = true;
	struct repair_group *g, *next;
	unsigned n = 0;

	*last = false;
	/* Whoever has paths may turn packets round (repair_turn.c). */
	if (!l || (other && r->turning))
		return l != NULL;
	HASH_ITER (hh, r->groups, g, next) {
		if (!leads_over(r, &g->hops, l))
			continue;
		if (!other && g->bests && g->bests->type == ZAPI_TYPE_BGP && g->bests->path_seen &&
		    !leads_elsewhere(r, &g->hops, l)) {
			n++; /* nobody else has anything to say */
			continue;
		}
		if (!look_at_group(r, g, l, &n, &seen))
			return true;
	}
	*last = n && seen;
	return *last;
}
