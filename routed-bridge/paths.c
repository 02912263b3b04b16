/* Three tables: peers by key, prefixes by value, attributes by value with a count of the
 * paths that use them. A path hangs in two lists, its prefix's and its peer's. */
#include "routed-bridge/paths.h"
#include "lib/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* Two sets are the same if all bytes behind `a.as_path` are: see intern(). */
struct attrs_node {
	UT_hash_handle hh;
	uint32_t users;
	struct path_attrs a;
	uint32_t as_path[];
};

struct peer_node;
struct prefix_node;

/* `path.next` is the next of the prefix. */
struct path_node {
	struct path path;
	struct prefix_node *prefix;
	struct path_node *prev_of_peer, *next_of_peer;
	uint32_t epoch; /* of the resynchronisation that told it last */
};

struct peer_node {
	struct path_peer peer;
	struct path_node *paths; /* utlist's doubly linked list: its prev is the tail */
	bool queued;
	struct peer_node *prev, *next; /* in the queue of changed ones */
	UT_hash_handle hh;
};

struct prefix_node {
	struct prefix prefix;
	bool queued;
	struct path *paths;
	struct prefix_node *prev, *next; /* in the queue of changed ones */
	UT_hash_handle hh;
};

struct paths {
	struct peer_node *peers;
	struct prefix_node *prefixes;
	struct attrs_node *attrs;
	struct peer_node *changed_peers;
	struct prefix_node *changed_prefixes;
	size_t n_paths, n_prefixes; /* prefixes that have a path */
	uint64_t n_added;
	uint32_t epoch;
};

bool path_external(const struct path *path)
{
	return path->peer->local_as && path->peer->as != path->peer->local_as;
}

bool path_has_as(const struct path *path, uint32_t as)
{
	for (unsigned i = 0; i < path->attrs->n_as; i++) {
		if (path->attrs->as_path[i] == as)
			return true;
	}
	return false;
}

struct paths *paths_new(void)
{
	return calloc(1, sizeof(struct paths));
}

/* ---- attributes ---- */

#define ATTRS_KEY (sizeof(const uint32_t *)) /* of struct path_attrs, the pointer is first */

static size_t attrs_key_len(const struct attrs_node *node)
{
	return offsetof(struct attrs_node, as_path) - offsetof(struct attrs_node, a) - ATTRS_KEY +
	       node->a.n_as * sizeof(node->as_path[0]);
}

static const void *attrs_key(const struct attrs_node *node)
{
	return (const char *)&node->a + ATTRS_KEY;
}

static struct attrs_node *attrs_of(const struct path *path)
{
	return (struct attrs_node *)((char *)(uintptr_t)path->attrs -
				     offsetof(struct attrs_node, a));
}

/* A copy whose padding is zero, so that memcmp compares. */
static struct attrs_node *attrs_copy(const struct path_attrs *a)
{
	struct attrs_node *node = calloc(1, sizeof(*node) + a->n_as * sizeof(node->as_path[0]));

	if (!node)
		return NULL;
	node->a.nexthop = a->nexthop;
	node->a.nexthop_local = a->nexthop_local;
	node->a.med = a->med;
	node->a.local_pref = a->local_pref;
	node->a.n_as = a->n_as;
	node->a.as_length = a->as_length;
	node->a.origin = a->origin;
	node->a.has_med = a->has_med;
	node->a.has_local_pref = a->has_local_pref;
	node->a.as_path = node->as_path;
	if (a->n_as)
		memcpy(node->as_path, a->as_path, a->n_as * sizeof(node->as_path[0]));
	return node;
}

/* The set that equals `a`, with one user more. NULL: out of memory. */
static struct attrs_node *intern(struct paths *p, const struct path_attrs *a)
{
	struct attrs_node *node = attrs_copy(a), *there;

	if (!node)
		return NULL;
	HASH_FIND(hh, p->attrs, attrs_key(node), attrs_key_len(node), there);
	if (there) {
		free(node);
		there->users++;
		return there;
	}
	HASH_ADD_KEYPTR(hh, p->attrs, attrs_key(node), attrs_key_len(node), node);
	if (!node->hh.tbl) {
		free(node);
		return NULL;
	}
	node->users = 1;
	return node;
}

static void unintern(struct paths *p, struct attrs_node *node)
{
	if (--node->users)
		return;
	HASH_DEL(p->attrs, node);
	free(node);
}

/* ---- peers ---- */

/* Without padding, so that memcmp compares. */
static struct path_peer_key clean_key(const struct path_peer_key *key)
{
	struct path_peer_key k;

	memset(&k, 0, sizeof(k));
	k.distinguisher = key->distinguisher;
	k.id = key->id;
	k.addr = key->addr;
	return k;
}

static struct peer_node *find_peer(const struct paths *p, const struct path_peer_key *key)
{
	struct path_peer_key k = clean_key(key);
	struct peer_node *node;

	HASH_FIND(hh, p->peers, &k, sizeof(k), node);
	return node;
}

static void peer_changed(struct paths *p, struct peer_node *node)
{
	if (node->queued)
		return;
	node->queued = true;
	DL_APPEND(p->changed_peers, node);
}

/* Peers that are down make room for others. */
static void drop_peers_that_are_down(struct paths *p)
{
	struct peer_node *node, *next;

	HASH_ITER (hh, p->peers, node, next) {
		if (node->peer.up || node->queued)
			continue;
		HASH_DEL(p->peers, node);
		free(node);
	}
}

static struct peer_node *add_peer(struct paths *p, const struct path_peer_key *key)
{
	struct peer_node *node;

	if (HASH_COUNT(p->peers) >= PATHS_PEERS_MAX)
		drop_peers_that_are_down(p);
	if (HASH_COUNT(p->peers) >= PATHS_PEERS_MAX)
		return NULL;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->peer.key = clean_key(key);
	HASH_ADD(hh, p->peers, peer.key, sizeof(node->peer.key), node);
	if (node->hh.tbl)
		return node;
	free(node);
	return NULL;
}

bool paths_peer_up(struct paths *p, const struct path_peer *peer)
{
	struct peer_node *node = find_peer(p, &peer->key);

	if (!node)
		node = add_peer(p, &peer->key);
	if (!node)
		return false;
	if (!node->peer.up || node->peer.as != peer->as || node->peer.local_as != peer->local_as ||
	    !addr_equal(&node->peer.local, &peer->local))
		peer_changed(p, node);
	node->peer.local = peer->local;
	node->peer.as = peer->as;
	node->peer.local_as = peer->local_as;
	node->peer.up = true;
	node->peer.stale = false;
	return true;
}

/* ---- paths ---- */

static struct prefix_node *find_prefix(const struct paths *p, const struct prefix *prefix)
{
	struct prefix_node *node;

	HASH_FIND(hh, p->prefixes, prefix, sizeof(*prefix), node);
	return node;
}

static struct prefix_node *find_or_add_prefix(struct paths *p, const struct prefix *prefix)
{
	struct prefix_node *node = find_prefix(p, prefix);

	if (node)
		return node;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->prefix = *prefix;
	HASH_ADD(hh, p->prefixes, prefix, sizeof(node->prefix), node);
	if (node->hh.tbl)
		return node;
	free(node);
	return NULL;
}

static void prefix_changed(struct paths *p, struct prefix_node *node)
{
	if (node->queued)
		return;
	node->queued = true;
	DL_APPEND(p->changed_prefixes, node);
}

/* A prefix without paths is kept as long as its change was not taken. */
static void drop_if_unused(struct paths *p, struct prefix_node *node)
{
	if (node->paths || node->queued)
		return;
	HASH_DEL(p->prefixes, node);
	free(node);
}

static struct path_node *find_path(const struct prefix_node *prefix, const struct peer_node *peer)
{
	struct path *path;

	LL_FOREACH (prefix->paths, path) {
		if (path->peer == &peer->peer)
			return (struct path_node *)path;
	}
	return NULL;
}

static void remove_path(struct paths *p, struct peer_node *peer, struct path_node *node)
{
	struct path *path = &node->path;

	LL_DELETE(node->prefix->paths, path);
	p->n_prefixes -= !node->prefix->paths;
	DL_DELETE2(peer->paths, node, prev_of_peer, next_of_peer);
	prefix_changed(p, node->prefix);
	unintern(p, attrs_of(path));
	free(node);
	peer->peer.n_paths--;
	p->n_paths--;
}

static bool add_path(struct paths *p, struct peer_node *peer, struct prefix_node *prefix,
		     struct attrs_node *attrs)
{
	struct path_node *node = p->n_paths < PATHS_MAX ? calloc(1, sizeof(*node)) : NULL;
	struct path *path;

	if (!node)
		return false;
	path = &node->path;
	p->n_prefixes += !prefix->paths;
	node->path.peer = &peer->peer;
	node->path.attrs = &attrs->a;
	node->prefix = prefix;
	node->epoch = p->epoch;
	LL_PREPEND(prefix->paths, path);
	DL_APPEND2(peer->paths, node, prev_of_peer, next_of_peer);
	prefix_changed(p, prefix);
	peer->peer.n_paths++;
	p->n_paths++;
	p->n_added++;
	return true;
}

/* Takes over the caller's use of `attrs`. */
static bool put_path(struct paths *p, struct peer_node *peer, struct prefix_node *prefix,
		     struct attrs_node *attrs)
{
	struct path_node *node = find_path(prefix, peer);

	if (!node) {
		if (add_path(p, peer, prefix, attrs))
			return true;
		unintern(p, attrs);
		drop_if_unused(p, prefix);
		return false;
	}
	node->epoch = p->epoch;
	if (attrs_of(&node->path) != attrs)
		prefix_changed(p, prefix);
	unintern(p, attrs_of(&node->path));
	node->path.attrs = &attrs->a;
	return true;
}

bool paths_announce(struct paths *p, const struct path_peer_key *key, const struct prefix *prefix,
		    const struct path_attrs *attrs)
{
	struct peer_node *peer = find_peer(p, key);
	struct prefix_node *at;
	struct attrs_node *set;

	if (!peer || !peer->peer.up)
		return false;
	set = attrs->n_as <= PATHS_AS_MAX ? intern(p, attrs) : NULL;
	at = set ? find_or_add_prefix(p, prefix) : NULL;
	if (at)
		return put_path(p, peer, at, set);
	if (set)
		unintern(p, set);
	paths_withdraw(p, key, prefix);
	return false;
}

bool paths_withdraw(struct paths *p, const struct path_peer_key *key, const struct prefix *prefix)
{
	struct peer_node *peer = find_peer(p, key);
	struct prefix_node *at = find_prefix(p, prefix);
	struct path_node *node = peer && at ? find_path(at, peer) : NULL;

	if (node)
		remove_path(p, peer, node);
	return node != NULL;
}

static void peer_goes_down(struct paths *p, struct peer_node *peer, const char *reason)
{
	struct path_node *node, *next;

	if (!peer->peer.up)
		return;
	DL_FOREACH_SAFE2 (peer->paths, node, next, next_of_peer) {
		remove_path(p, peer, node);
	}
	peer->peer.up = peer->peer.stale = false;
	snprintf(peer->peer.reason, sizeof(peer->peer.reason), "%s", reason);
	peer_changed(p, peer);
}

void paths_peer_down(struct paths *p, const struct path_peer_key *key, const char *reason)
{
	struct peer_node *peer = find_peer(p, key), *next;

	if (peer)
		peer_goes_down(p, peer, reason);
	if (key->id)
		return;
	HASH_ITER (hh, p->peers, peer, next) {
		if (peer->peer.stale && peer->peer.key.distinguisher == key->distinguisher &&
		    addr_equal(&peer->peer.key.addr, &key->addr))
			peer_goes_down(p, peer, reason);
	}
}

/* ---- resynchronisation ---- */

void paths_resync_begin(struct paths *p)
{
	struct peer_node *peer, *next;

	p->epoch++;
	HASH_ITER (hh, p->peers, peer, next) {
		peer->peer.stale = peer->peer.up;
	}
}

static void sweep(struct paths *p, struct peer_node *peer, uint8_t family)
{
	struct path_node *node, *next;

	DL_FOREACH_SAFE2 (peer->paths, node, next, next_of_peer) {
		if (node->epoch != p->epoch &&
		    (family == 0 || node->prefix->prefix.addr.family == family))
			remove_path(p, peer, node);
	}
}

void paths_resync_family(struct paths *p, const struct path_peer_key *key, uint8_t family)
{
	struct peer_node *peer = find_peer(p, key);

	if (peer)
		sweep(p, peer, family);
}

void paths_resync_peers(struct paths *p, const char *reason)
{
	struct peer_node *peer, *next;

	HASH_ITER (hh, p->peers, peer, next) {
		if (peer->peer.stale)
			peer_goes_down(p, peer, reason);
	}
}

void paths_resync_end(struct paths *p, const char *reason)
{
	struct peer_node *peer, *next;

	paths_resync_peers(p, reason);
	HASH_ITER (hh, p->peers, peer, next) {
		sweep(p, peer, 0);
	}
}

/* ---- asking ---- */

const struct path *paths_of(const struct paths *p, const struct prefix *prefix)
{
	const struct prefix_node *node = find_prefix(p, prefix);

	return node ? node->paths : NULL;
}

const struct path_peer *paths_peer(const struct paths *p, const struct path_peer_key *key)
{
	const struct peer_node *node = find_peer(p, key);

	return node ? &node->peer : NULL;
}

const struct path_peer *paths_peer_next(const struct paths *p, const struct path_peer *after)
{
	const struct peer_node *node =
		after ? ((const struct peer_node *)after)->hh.next : p->peers;

	return node ? &node->peer : NULL;
}

void paths_each_prefix(const struct paths *p,
		       void (*each)(void *ctx, const struct prefix *prefix,
				    const struct path *first),
		       void *ctx)
{
	const struct prefix_node *node, *next;

	HASH_ITER (hh, p->prefixes, node, next) {
		if (node->paths)
			each(ctx, &node->prefix, node->paths);
	}
}

struct paths_count paths_count(const struct paths *p)
{
	struct paths_count n = {
		.prefixes = p->n_prefixes,
		.paths = p->n_paths,
		.attrs = HASH_COUNT(p->attrs),
		.peers = HASH_COUNT(p->peers),
	};
	const struct peer_node *peer, *next_peer;

	HASH_ITER (hh, p->peers, peer, next_peer) {
		n.peers_up += peer->peer.up;
	}
	return n;
}

uint64_t paths_added(const struct paths *p)
{
	return p->n_added;
}

/* ---- changes ---- */

static bool take_peer(struct paths *p, struct path_change *out)
{
	struct peer_node *node = p->changed_peers;

	if (!node)
		return false;
	DL_DELETE(p->changed_peers, node);
	node->queued = false;
	*out = (struct path_change){
		.kind = node->peer.up ? PATH_CHANGE_PEER_UP : PATH_CHANGE_PEER_DOWN,
		.peer = &node->peer,
	};
	return true;
}

bool paths_change(struct paths *p, struct path_change *out)
{
	struct prefix_node *node = p->changed_prefixes;

	if (take_peer(p, out))
		return true;
	if (!node)
		return false;
	DL_DELETE(p->changed_prefixes, node);
	node->queued = false;
	*out = (struct path_change){.kind = PATH_CHANGE_PREFIX, .prefix = node->prefix};
	drop_if_unused(p, node);
	return true;
}

void paths_changes_drop(struct paths *p)
{
	struct path_change change;

	while (paths_change(p, &change))
		;
}

void paths_free(struct paths *p)
{
	struct peer_node *peer, *next;

	if (!p)
		return;
	HASH_ITER (hh, p->peers, peer, next) {
		peer_goes_down(p, peer, "");
	}
	paths_changes_drop(p);
	HASH_ITER (hh, p->peers, peer, next) {
		HASH_DEL(p->peers, peer);
		free(peer);
	}
	free(p);
}
