/* Neighbours that bgpd lost. Their paths are withdrawn at the same time, which is looked at
 * prefix by prefix; but BMP may not have told of all of them yet (a session that ends soon
 * after it began), and the end of the session is reason enough: what BGP has over it is
 * dead, until the session is there again. */
#include "routed-bridge/repair_parts.h"

#include <stdlib.h>
#include <utlist.h>

/* A neighbour is known by its address, or, where routes have link-local nexthops, by its
 * device. */
struct repair_down {
	struct repair_down_key {
		struct addr peer;
		uint32_t ifindex;
	} key;
	struct path_peer_key peer; /* who went */
	UT_hash_handle hh;
};

static struct repair_down_key by_address(const struct addr *a)
{
	struct repair_down_key k;

	memset(&k, 0, sizeof(k));
	k.peer = *a;
	return k;
}

static struct repair_down_key by_device(uint32_t ifindex)
{
	struct repair_down_key k;

	memset(&k, 0, sizeof(k));
	k.ifindex = ifindex;
	return k;
}

static struct repair_down *find(const struct repair *r, const struct repair_down_key *k)
{
	struct repair_down *d;

	HASH_FIND(hh, r->down, k, sizeof(*k), d);
	return d;
}

static void put(struct repair *r, const struct repair_down_key *k, const struct path_peer_key *peer)
{
	struct repair_down *d = find(r, k) ? NULL : calloc(1, sizeof(*d));

	if (!d)
		return;
	d->key = *k;
	d->peer = *peer;
	HASH_ADD(hh, r->down, key, sizeof(d->key), d);
}

static bool is_peer(const struct path_peer_key *a, const struct path_peer_key *b)
{
	return a->distinguisher == b->distinguisher && a->id == b->id &&
	       addr_equal(&a->addr, &b->addr);
}

static bool is_among(const struct repair_down_key *k, const struct repair_down_key *keys,
		     unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (memcmp(k, &keys[i], sizeof(*k)) == 0)
			return true;
	}
	return false;
}

/* Also under the device that it was lost on: it may come back on another (one that was made
 * anew), or on one that is not told from others by its address any more. */
static void clear(struct repair *r, const struct repair_down_key *keys, unsigned n,
		  const struct path_peer_key *peer)
{
	struct repair_down *d, *next;

	HASH_ITER (hh, r->down, d, next) {
		if (!is_peer(&d->peer, peer) && !is_among(&d->key, keys, n))
			continue;
		HASH_DEL(r->down, d);
		free(d);
	}
}

static struct repair_down_key by_hop(const struct zapi_nexthop *hop)
{
	return addr_is_link_local(&hop->gateway) ? by_device(hop->ifindex)
						 : by_address(&hop->gateway);
}

bool repair_hop_lost(const struct repair *r, const struct zapi_nexthop *hop)
{
	struct repair_down_key k = by_hop(hop);

	return r->down && find(r, &k);
}

/* Whether a nexthop of the group is one of these neighbours. */
static bool group_has(const struct repair_group *g, const struct repair_down_key *keys, unsigned n)
{
	for (unsigned i = 0; i < g->hops.n; i++) {
		struct repair_down_key k = by_hop(&g->hops.hop[i]);

		if (is_among(&k, keys, n))
			return true;
	}
	return false;
}

/* Its own groups alone: when a thousand go, one after the other, each looks at its share. */
static void evaluate_groups_of(struct repair *r, const struct repair_down_key *keys, unsigned n,
			       mono_time now)
{
	struct repair_group *g, *next;
	struct repair_best *b;

	HASH_ITER (hh, r->groups, g, next) {
		if (!group_has(g, keys, n))
			continue;
		DL_FOREACH (g->bests, b) {
			if (b->type == ZAPI_TYPE_BGP)
				repair_evaluate(r, b, REPAIR_BY_PATH, now);
		}
	}
}

void repair_peer(struct repair *r, const struct path_peer *peer, mono_time now)
{
	const struct repair_link *l = repair_links_of(&r->links, &peer->local);
	struct repair_down_key keys[2];
	unsigned n = 0;

	if (!repair_peer_counts(peer))
		return;
	if (!addr_is_link_local(&peer->key.addr))
		keys[n++] = by_address(&peer->key.addr);
	if (l && peer->key.addr.family == AF_INET6)
		keys[n++] = by_device(l->ifindex);
	if (peer->up) {
		clear(r, keys, n, &peer->key);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		put(r, &keys[i], &peer->key);
	evaluate_groups_of(r, keys, n, now);
}

void repair_peers_forget(struct repair *r)
{
	struct repair_down *d, *next;

	HASH_ITER (hh, r->down, d, next) {
		HASH_DEL(r->down, d);
		free(d);
	}
}
