/* Which device a link-local neighbour is on, by what zebra says of its other prefixes: neighbours'
 * link-local addresses differ, ours need not. A sighting is of a device's link, which is the same
 * one for a device that was made anew under its name, and lasts until that happens: that of a
 * device which was deleted tells that the neighbour is nowhere else. */
#include "routed-bridge/repair_parts.h"

#include <stdlib.h>
#include <utlist.h>

struct repair_gateway {
	struct addr addr;
	struct repair_seen *seen; /* never none */
	UT_hash_handle hh;
};

struct repair_seen {
	struct repair_seen_key {
		struct repair_gateway *gateway;
		struct repair_link *link;
	} key;
	struct repair_seen *prev, *next;   /* of the link */
	struct repair_seen *gprev, *gnext; /* of the gateway */
	UT_hash_handle hh;
};

static struct repair_gateway *find_gateway(const struct repair *r, const struct addr *addr)
{
	struct repair_gateway *g;

	HASH_FIND(hh, r->gateways, addr, sizeof(*addr), g);
	return g;
}

static struct repair_gateway *find_or_add_gateway(struct repair *r, const struct addr *addr)
{
	struct repair_gateway *g = find_gateway(r, addr);

	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->addr = *addr;
	HASH_ADD(hh, r->gateways, addr, sizeof(g->addr), g);
	return g;
}

static void drop_if_unseen(struct repair *r, struct repair_gateway *g)
{
	if (g->seen)
		return;
	HASH_DEL(r->gateways, g);
	free(g);
}

static void add(struct repair *r, const struct repair_seen_key *key)
{
	struct repair_seen *e = calloc(1, sizeof(*e));

	if (!e)
		return;
	e->key = *key;
	HASH_ADD(hh, r->seen, key, sizeof(e->key), e);
	DL_APPEND(key->link->seen, e);
	DL_APPEND2(key->gateway->seen, e, gprev, gnext);
	repair_peers(r); /* a neighbour may be where it was not known to be */
}

void repair_seen_remember(struct repair *r, const struct zapi_nexthop *hop)
{
	struct repair_seen_key key = {0};
	struct repair_seen *e;

	if (!addr_is_link_local(&hop->gateway) || !hop->ifindex)
		return;
	key.link = repair_links_find(&r->links, hop->ifindex);
	key.gateway = key.link ? find_or_add_gateway(r, &hop->gateway) : NULL;
	if (!key.gateway)
		return;
	HASH_FIND(hh, r->seen, &key, sizeof(key), e);
	if (!e)
		add(r, &key);
	drop_if_unseen(r, key.gateway);
}

static void forget(struct repair *r, struct repair_seen *e)
{
	DL_DELETE(e->key.link->seen, e);
	DL_DELETE2(e->key.gateway->seen, e, gprev, gnext);
	drop_if_unseen(r, e->key.gateway);
	HASH_DEL(r->seen, e);
	free(e);
}

void repair_seen_forget(struct repair *r, struct repair_link *l)
{
	while (l->seen)
		forget(r, l->seen);
}

void repair_seen_clear(struct repair *r)
{
	struct repair_seen *e, *next;

	HASH_ITER (hh, r->seen, e, next)
		forget(r, e);
}

/* The only one that is there, or else the only one that was; NULL: none, or several. */
struct repair_link *repair_seen_link(const struct repair *r, const struct addr *gateway)
{
	const struct repair_gateway *g = find_gateway(r, gateway);
	struct repair_link *found[2] = {NULL, NULL};
	unsigned n[2] = {0, 0};
	const struct repair_seen *e;

	DL_FOREACH2 (g ? g->seen : NULL, e, gnext) {
		struct repair_link *l = e->key.link;

		if (!l->ifindex)
			continue; /* another device has taken its place */
		found[l->gone] = l;
		if (++n[l->gone] > 1 && !l->gone)
			return NULL;
	}
	return n[0] ? found[0] : n[1] == 1 ? found[1] : NULL;
}

struct repair_link *repair_session_link(struct repair *r, const struct path_peer *peer,
					const struct addr *neighbour)
{
	struct repair_link *l = repair_links_of(&r->links, &peer->local);

	return l || !addr_is_link_local(neighbour) ? l : repair_seen_link(r, neighbour);
}
