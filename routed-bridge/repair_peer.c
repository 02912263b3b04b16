/* Neighbours that bgpd lost. Their paths are withdrawn at the same time, which is looked at
 * prefix by prefix; but BMP may not have told of all of them yet (a session that ends soon
 * after it began), and the end of the session is reason enough: what BGP has over it is
 * dead, until the session is there again. */
#include "routed-bridge/repair_parts.h"

#include <stdlib.h>
#include <utlist.h>

/* A neighbour is known by its address, a link-local one with its device. Where routes have
 * link-local nexthops of a neighbour with a global address, by the device alone, if nobody else
 * is there. */
struct repair_down {
	struct repair_down_key {
		struct addr peer;
		uint32_t ifindex;
	} key;
	struct path_peer_key peer; /* who went */
	UT_hash_handle hh;
};

/* The address is NULL for a device alone. */
static struct repair_down_key key_of(const struct addr *a, uint32_t ifindex)
{
	struct repair_down_key k;

	memset(&k, 0, sizeof(k));
	if (a)
		k.peer = *a;
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

/* Under what the neighbour that the nexthop is may have been lost. */
static unsigned keys_of_hop(const struct zapi_nexthop *hop, struct repair_down_key keys[2])
{
	if (!addr_is_link_local(&hop->gateway)) {
		keys[0] = key_of(&hop->gateway, 0);
		return 1;
	}
	keys[0] = key_of(&hop->gateway, hop->ifindex);
	keys[1] = key_of(NULL, hop->ifindex);
	return 2;
}

bool repair_hop_lost(const struct repair *r, const struct zapi_nexthop *hop)
{
	struct repair_down_key keys[2];
	unsigned n = r->down ? keys_of_hop(hop, keys) : 0;

	for (unsigned i = 0; i < n; i++) {
		if (find(r, &keys[i]))
			return true;
	}
	return false;
}

static bool hop_has(const struct zapi_nexthop *hop, const struct repair_down_key *keys, unsigned n)
{
	struct repair_down_key own[2];
	unsigned n_own = keys_of_hop(hop, own);

	for (unsigned i = 0; i < n_own; i++) {
		if (is_among(&own[i], keys, n))
			return true;
	}
	return false;
}

/* Whether a nexthop of the group is one of these neighbours. */
static bool group_has(const struct repair_group *g, const struct repair_down_key *keys, unsigned n)
{
	for (unsigned i = 0; i < g->hops.n; i++) {
		if (hop_has(&g->hops.hop[i], keys, n))
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

/* Whether a session of IPv6 is left on the link: its nexthops are alive. */
static bool someone_left_on(struct repair *r, const struct repair_link *l)
{
	const struct path_peer *p = NULL;

	while ((p = paths_peer_next(r->paths, p))) {
		if (p->up && p->key.addr.family == AF_INET6 && repair_peer_counts(p) &&
		    repair_session_link(r, p, &p->key.addr) == l)
			return true;
	}
	return false;
}

/* The device alone comes last. */
static unsigned keys_of_peer(const struct path_peer *peer, const struct repair_link *l,
			     struct repair_down_key keys[2])
{
	unsigned n = 0;

	if (!addr_is_link_local(&peer->key.addr))
		keys[n++] = key_of(&peer->key.addr, 0);
	else if (l)
		keys[n++] = key_of(&peer->key.addr, l->ifindex);
	if (l && peer->key.addr.family == AF_INET6)
		keys[n++] = key_of(NULL, l->ifindex);
	return n;
}

void repair_peer(struct repair *r, const struct path_peer *peer, mono_time now)
{
	const struct repair_link *l = repair_links_of(&r->links, &peer->local);
	struct repair_down_key keys[2];
	unsigned n = keys_of_peer(peer, l, keys);

	if (!repair_peer_counts(peer))
		return;
	if (peer->up) {
		clear(r, keys, n, &peer->key);
		return;
	}
	if (n == 2 && someone_left_on(r, l))
		n--;
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
