/* U-turns, for networks where the way around begins with a neighbour whose own best route
 * leads back through us (a ring). Two halves, and every site does both:
 *
 *  - a turn: where the best route of a prefix leads through a neighbour's AS, packets for it
 *    that come in from that neighbour are not sent back to it. They take the best path without
 *    that AS, or are dropped if there is none; main's routes are not changed by that;
 *  - a repair without an alternative of its own may therefore go to a neighbour that announced
 *    nothing for the prefix: one with a best route that does not lead through us would have
 *    announced it, so that this one's does, and it turns the packets.
 *
 * No loop: the turning neighbour's path is the best path of the one behind it, and contains
 * neither of the two ASes. This presumes one AS a site and eBGP (RFC 4271 9.1.2: a path with
 * the own AS is not taken), and that the neighbour turns: it is for networks of ours. */
#include "routed-bridge/repair_parts.h"

#include <stdlib.h>
#include <utlist.h>

/* ---- neighbours ---- */

static bool is_neighbour(const struct path_peer *peer)
{
	return peer->up && repair_peer_counts(peer) && peer->as && peer->local_as &&
	       peer->as != peer->local_as;
}

static int by_as(const void *a, const void *b)
{
	const struct repair_neighbour *x = a, *y = b;

	return (x->as > y->as) - (x->as < y->as);
}

static void find_neighbours(struct repair *r)
{
	const struct path_peer *peer = NULL;
	struct repair_link *l;

	r->n_neighbours = 0;
	while ((peer = paths_peer_next(r->paths, peer))) {
		l = is_neighbour(peer) ? repair_session_link(r, peer, &peer->key.addr) : NULL;
		if (!l || !l->ifindex || l->gone || r->n_neighbours == REPAIR_NEIGHBOURS_MAX)
			continue;
		r->neighbours[r->n_neighbours++] =
			(struct repair_neighbour){.as = peer->as, .ifindex = l->ifindex};
	}
	qsort(r->neighbours, r->n_neighbours, sizeof(r->neighbours[0]), by_as);
}

/* The first neighbour of the AS, or where it would stand. */
static unsigned neighbour_at(const struct repair *r, uint32_t as)
{
	unsigned low = 0, high = r->n_neighbours;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (r->neighbours[middle].as < as)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- turns ---- */

static void change(struct repair *r, const struct prefix *prefix, const struct repair_turn *t,
		   bool add)
{
	struct repair_turn_change *c = calloc(1, sizeof(*c));

	if (!c) {
		log_to(r->log, LOG_LEVEL_ERROR, "repair", "", "out of memory: a U-turn is missing");
		return;
	}
	c->action = (struct repair_action){.add = add,
					   .again = add && !t->fresh,
					   .prefix = *prefix,
					   .from = t->from,
					   .hops = t->via};
	DL_APPEND(r->turn_changes, c);
	r->stats.turns += add && t->fresh;
	r->stats.turns -= !add;
}

static void want(struct repair *r, struct repair_best *b, const struct repair_neighbour *n)
{
	struct repair_hops via = {0};
	struct repair_turn *t;

	LL_FOREACH (b->turns, t) {
		if (t->from == n->ifindex)
			break;
	}
	if (t && t->keep)
		return; /* on the paths of several nexthops */
	repair_choose_without(r, b, n, &via);
	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t)
			return;
		t->from = n->ifindex;
		t->fresh = true;
		LL_PREPEND(b->turns, t);
	}
	t->keep = true;
	if (!t->fresh && repair_hops_equal(&t->via, &via))
		return;
	t->via = via;
	change(r, &b->prefix, t, true);
	t->fresh = false;
}

static void want_all(struct repair *r, struct repair_best *b, const struct path *path)
{
	for (unsigned i = 0; i < path->attrs->n_as; i++) {
		uint32_t as = path->attrs->as_path[i];
		unsigned n = neighbour_at(r, as);

		for (; n < r->n_neighbours && r->neighbours[n].as == as; n++)
			want(r, b, &r->neighbours[n]);
	}
}

static void want_none(struct repair_best *b)
{
	struct repair_turn *t;

	LL_FOREACH (b->turns, t)
		t->keep = false;
}

static void drop_unwanted(struct repair *r, struct repair_best *b)
{
	struct repair_turn *t, *next;

	LL_FOREACH_SAFE (b->turns, t, next) {
		if (t->keep)
			continue;
		change(r, &b->prefix, t, false);
		LL_DELETE(b->turns, t);
		free(t);
	}
}

void repair_turn_look(struct repair *r, struct repair_best *b)
{
	bool all = r->turning && !b->lost && b->type == ZAPI_TYPE_BGP;
	const struct path *path;

	/* The path has just gone: BGP has not said what comes, and packets are still on the way. */
	if (all && b->path_gone)
		return;
	want_none(b);
	for (unsigned i = 0; i < b->group->hops.n && all; i++) {
		path = repair_find_path(r, b, &b->group->hops.hop[i]);
		if (path)
			want_all(r, b, path);
	}
	drop_unwanted(r, b);
}

void repair_turn_forget(struct repair *r, struct repair_best *b)
{
	want_none(b);
	drop_unwanted(r, b);
}

/* ---- all of them ---- */

static void look_at_all(struct repair *r)
{
	struct repair_best *b, *next;

	find_neighbours(r);
	HASH_ITER (hh, r->bests, b, next) {
		if (b->group)
			repair_turn_look(r, b);
	}
}

void repair_turns(struct repair *r, bool on)
{
	struct repair_best *b, *next;

	if (r->turning == on)
		return;
	r->turning = on;
	HASH_ITER (hh, r->bests, b, next)
		repair_set_helpless(r, b, b->helpless);
	look_at_all(r);
}

void repair_peers(struct repair *r)
{
	r->turns_stale = r->turning;
}

void repair_turns_refresh(struct repair *r, mono_time now)
{
	if (r->turns_stale && r->turns_due == MONO_NEVER)
		r->turns_due = now + REPAIR_TURNS_PAUSE;
	r->turns_stale = false;
	if (now < r->turns_due)
		return;
	r->turns_due = MONO_NEVER;
	look_at_all(r);
}

bool repair_turn_next(struct repair *r, struct repair_action *out)
{
	struct repair_turn_change *c = r->turn_changes;

	if (!c)
		return false;
	*out = c->action;
	DL_DELETE(r->turn_changes, c);
	free(c);
	return true;
}

void repair_turns_clear(struct repair *r)
{
	struct repair_action ignored;

	while (repair_turn_next(r, &ignored))
		;
	r->stats.turns = 0;
	r->turns_due = MONO_NEVER;
	r->n_neighbours = 0;
}

/* ---- the other half ---- */

static bool announces(struct repair *r, const struct repair_best *b, const struct path_peer *peer)
{
	const struct path *path;

	LL_FOREACH (paths_of(r->paths, &b->prefix), path) {
		if (path->peer == peer)
			return true;
	}
	return false;
}

/* Silence tells something while nothing moves: when the own tunnel has just died. Later, or
 * when a path was withdrawn, it may mean that the neighbour is at a loss itself; then only a
 * neighbour that was chosen before may be kept. */
static bool silence_tells(const struct repair_best *b, const struct path_peer *peer)
{
	if (!b->route)
		return !b->path_gone && !b->lost;
	return addr_equal(&b->route->via.hop[0].gateway, &peer->key.addr);
}

bool repair_choose_turn(struct repair *r, const struct repair_best *b, struct repair_hops *out)
{
	const struct path_peer *peer = NULL, *best = NULL;
	const struct repair_link *l;
	struct zapi_nexthop hop;

	while (r->turning && (peer = paths_peer_next(r->paths, peer))) {
		l = is_neighbour(peer) ? repair_session_link(r, peer, &peer->key.addr) : NULL;
		if (!l || !l->known || !repair_link_usable(l) || announces(r, b, peer) ||
		    !silence_tells(b, peer) || (best && best->key.id <= peer->key.id))
			continue;
		best = peer;
		hop = (struct zapi_nexthop){.ifindex = l->ifindex, .gateway = peer->key.addr};
		repair_copy_hops(out, &hop, 1);
	}
	return best;
}
