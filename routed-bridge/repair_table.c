/* Best routes by prefix and by their nexthops. */
#include "routed-bridge/repair_parts.h"

#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

void repair_copy_hops(struct repair_hops *to, const struct zapi_nexthop *hops, unsigned n)
{
	memset(to, 0, sizeof(*to));
	to->n = (uint8_t)(n < ZAPI_NEXTHOPS_MAX ? n : ZAPI_NEXTHOPS_MAX);
	for (unsigned i = 0; i < to->n; i++) {
		to->hop[i].ifindex = hops[i].ifindex;
		to->hop[i].gateway = hops[i].gateway;
		to->hop[i].weight = hops[i].weight;
		to->hop[i].onlink = hops[i].onlink;
	}
}

/* ---- sets of nexthops ---- */

static size_t key_size(const struct repair_hops *hops)
{
	return offsetof(struct repair_hops, hop) + hops->n * sizeof(hops->hop[0]);
}

static struct repair_uses *find_uses(const struct repair *r, uint32_t ifindex)
{
	struct repair_uses *u;

	HASH_FIND(hh, r->uses, &ifindex, sizeof(ifindex), u);
	return u;
}

struct repair_use *repair_uses_of(const struct repair *r, uint32_t ifindex)
{
	const struct repair_uses *u = find_uses(r, ifindex);

	return u ? u->first : NULL;
}

static bool is_used(const struct repair_group *g, uint32_t ifindex)
{
	for (unsigned i = 0; i < g->n_uses; i++) {
		if (g->uses[i].ifindex == ifindex)
			return true;
	}
	return false;
}

static bool use(struct repair *r, struct repair_group *g, uint32_t ifindex)
{
	struct repair_uses *u = find_uses(r, ifindex);
	struct repair_use *e = &g->uses[g->n_uses];

	if (!u) {
		u = calloc(1, sizeof(*u));
		if (!u)
			return false;
		u->ifindex = ifindex;
		HASH_ADD(hh, r->uses, ifindex, sizeof(u->ifindex), u);
	}
	*e = (struct repair_use){.group = g, .ifindex = ifindex};
	DL_APPEND(u->first, e);
	g->n_uses++;
	return true;
}

static void free_group(struct repair *r, struct repair_group *g)
{
	for (unsigned i = 0; i < g->n_uses; i++) {
		struct repair_uses *u = find_uses(r, g->uses[i].ifindex);

		DL_DELETE(u->first, &g->uses[i]);
		if (u->first)
			continue;
		HASH_DEL(r->uses, u);
		free(u);
	}
	free(g->uses);
	free(g);
}

static bool use_all(struct repair *r, struct repair_group *g)
{
	g->uses = calloc(g->hops.n + 1u, sizeof(*g->uses));
	for (unsigned i = 0; g->uses && i < g->hops.n; i++) {
		uint32_t ifindex = g->hops.hop[i].ifindex;

		if (!is_used(g, ifindex) && !use(r, g, ifindex))
			return false;
	}
	return g->uses;
}

static struct repair_group *find_or_add_group(struct repair *r, const struct zapi_route *route)
{
	struct repair_hops hops;
	struct repair_group *g;

	repair_copy_hops(&hops, route->nexthops, route->n_nexthops);
	HASH_FIND(hh, r->groups, &hops, key_size(&hops), g);
	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->hops = hops;
	if (!use_all(r, g)) {
		free_group(r, g);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, r->groups, &g->hops, key_size(&g->hops), g);
	return g;
}

static void leave_group(struct repair *r, struct repair_best *b)
{
	struct repair_group *g = b->group;

	DL_DELETE(g->bests, b);
	b->group = NULL;
	if (g->bests)
		return;
	HASH_DEL(r->groups, g);
	free_group(r, g);
}

/* ---- best routes ---- */

struct repair_best *repair_find(const struct repair *r, const struct prefix *prefix)
{
	struct repair_best *b;

	HASH_FIND(hh, r->bests, prefix, sizeof(*prefix), b);
	return b;
}

/* Those that nobody has a path to are not looked at whenever a device is there again. */
static void note_hope(struct repair *r, struct repair_best *b)
{
	bool hopeful = (b->helpless || b->lost) && (r->turning || paths_of(r->paths, &b->prefix));

	if (b->hopeful == hopeful)
		return;
	b->hopeful = hopeful;
	if (hopeful)
		DL_APPEND2(r->hopeful, b, hprev, hnext);
	else
		DL_DELETE2(r->hopeful, b, hprev, hnext);
}

void repair_set_helpless(struct repair *r, struct repair_best *b, bool helpless)
{
	r->stats.helpless += helpless;
	r->stats.helpless -= b->helpless;
	b->helpless = helpless;
	note_hope(r, b);
}

void repair_drop(struct repair *r, struct repair_best *b)
{
	repair_turn_forget(r, b);
	repair_found(r, b);
	repair_set_helpless(r, b, false);
	r->stats.known--;
	if (b->group)
		leave_group(r, b);
	HASH_DEL(r->bests, b);
	free(b);
}

static struct repair_best *add_best(struct repair *r, const struct prefix *prefix)
{
	struct repair_best *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->prefix = *prefix;
	HASH_ADD(hh, r->bests, prefix, sizeof(b->prefix), b);
	r->stats.known++;
	return b;
}

struct repair_best *repair_put(struct repair *r, const struct zapi_route *route)
{
	struct repair_best *b = repair_find(r, &route->prefix);
	struct repair_group *g = find_or_add_group(r, route);

	if (g && !b)
		b = add_best(r, &route->prefix);
	if (g && b && b->group != g) {
		if (b->group)
			leave_group(r, b);
		DL_APPEND(g->bests, b);
		b->group = g;
		b->path_seen = b->path_gone = false;
	}
	if (!g || !b) {
		if (g && !g->bests) {
			HASH_DEL(r->groups, g);
			free_group(r, g);
		}
		return NULL;
	}
	for (unsigned i = 0; i < g->hops.n; i++)
		repair_seen_remember(r, &g->hops.hop[i]);
	b->type = (uint8_t)route->type;
	repair_found(r, b);
	return b;
}

void repair_lose(struct repair *r, struct repair_best *b, mono_time now)
{
	if (b->lost)
		return;
	b->lost = true;
	b->lost_at = now;
	DL_APPEND2(r->lost, b, lprev, lnext);
	note_hope(r, b);
}

void repair_found(struct repair *r, struct repair_best *b)
{
	if (b->lost)
		DL_DELETE2(r->lost, b, lprev, lnext);
	b->lost = false;
	note_hope(r, b);
}

void repair_clear(struct repair *r)
{
	struct repair_best *b, *next;

	HASH_ITER (hh, r->bests, b, next)
		repair_drop(r, b);
	repair_seen_clear(r);
}
