/* Secrets and the index of their owners. Which one serves whom how well is secret_match's. */
#include "ipsecd/ike/secrets.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* One owner of a secret. */
struct secret_key {
	struct secret_key *prev, *next;
	struct secret_node *node;
	struct secret_slot *slot; /* NULL: loose */
	bool linked;
};

struct secret_node {
	UT_hash_handle hh;
	struct secret *secret;
	uint64_t number; /* in order of loading */
	unsigned n_keys;
	struct secret_key keys[];
};

struct secret_slot {
	UT_hash_handle hh;
	struct secret_key *keys; /* utlist */
	size_t len;
	uint8_t name[]; /* of the owner */
};

/* ---- owners ---- */

/* Equal for identities that id_equal takes for equal; more are looked at closely by secret_match.
 */
static size_t name_of(const struct id *id, uint8_t name[1 + ID_DATA_MAX])
{
	name[0] = id->type;
	for (unsigned i = 0; i < id->len; i++) {
		uint8_t c = id->data[i];

		name[1 + i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
	}
	return 1u + id->len;
}

static struct secret_slot *slot_of(const struct secrets *all, const struct id *id)
{
	uint8_t name[1 + ID_DATA_MAX];
	size_t n = name_of(id, name);
	struct secret_slot *slot;

	HASH_FIND(hh, all->by_owner, name, n, slot);
	return slot;
}

static struct secret_slot *slot_make(struct secrets *all, const struct id *id)
{
	struct secret_slot *slot = slot_of(all, id);
	uint8_t name[1 + ID_DATA_MAX];
	size_t n = name_of(id, name);

	if (slot)
		return slot;
	slot = calloc(1, sizeof(*slot) + n);
	if (!slot)
		return NULL;
	slot->len = n;
	memcpy(slot->name, name, n);
	HASH_ADD_KEYPTR(hh, all->by_owner, slot->name, slot->len, slot);
	if (slot->hh.tbl)
		return slot;
	free(slot);
	return NULL;
}

static void key_link(struct secrets *all, struct secret_node *node, struct secret_key *key,
		     const struct id *owner)
{
	key->node = node;
	key->slot = owner && !id_is_pattern(owner) ? slot_make(all, owner) : NULL;
	key->linked = true;
	if (key->slot)
		DL_APPEND(key->slot->keys, key);
	else
		DL_APPEND(all->loose, key);
}

static void key_unlink(struct secrets *all, struct secret_key *key)
{
	if (!key->slot) {
		DL_DELETE(all->loose, key);
		return;
	}
	DL_DELETE(key->slot->keys, key);
	if (key->slot->keys)
		return;
	HASH_DEL(all->by_owner, key->slot);
	free(key->slot);
}

/* ---- life ---- */

static void node_free(struct secrets *all, struct secret_node *node)
{
	HASH_DEL(all->by_unique, node);
	for (unsigned i = 0; i < node->n_keys; i++)
		key_unlink(all, &node->keys[i]);
	free(node);
}

/* NULL: out of memory. */
static struct secret_node *node_new(struct secrets *all, struct secret *s)
{
	unsigned n = s->n_owners ? s->n_owners : 1;
	struct secret_node *node = calloc(1, sizeof(*node) + n * sizeof(node->keys[0]));

	if (!node)
		return NULL;
	node->secret = s;
	HASH_ADD_KEYPTR(hh, all->by_unique, s->unique, strlen(s->unique), node);
	if (!node->hh.tbl) {
		free(node);
		return NULL;
	}
	node->n_keys = n;
	for (unsigned i = 0; i < n; i++)
		key_link(all, node, &node->keys[i], s->n_owners ? &s->owners[i] : NULL);
	return node;
}

static struct secret_node *named(const struct secrets *all, const char *unique)
{
	struct secret_node *node;

	HASH_FIND(hh, all->by_unique, unique, strlen(unique), node);
	return node;
}

const struct secret *secrets_named(const struct secrets *all, const char *unique)
{
	const struct secret_node *node = named(all, unique);

	return node ? node->secret : NULL;
}

static unsigned place_of(const struct secrets *all, const struct secret *s)
{
	unsigned i = 0;

	while (all->list[i] != s)
		i++;
	return i;
}

static bool replace(struct secrets *all, struct secret_node *old, struct secret *s)
{
	struct secret_node *node = node_new(all, s);
	struct secret *before = old->secret;

	if (!node) {
		secret_free(s);
		return false;
	}
	node->number = old->number;
	all->list[place_of(all, before)] = s;
	node_free(all, old);
	secret_free(before);
	return true;
}

/* Room for twice as many as there are, when it is full. */
static bool grow(struct secrets *all)
{
	struct secret **list;

	if (all->n & (all->n - 1))
		return true;
	list = realloc(all->list, (all->n ? 2 * (size_t)all->n : 1) * sizeof(struct secret *));
	if (list)
		all->list = list;
	return list != NULL;
}

bool secrets_put(struct secrets *all, struct secret *secret)
{
	struct secret_node *node = named(all, secret->unique);

	if (node)
		return replace(all, node, secret);
	node = grow(all) ? node_new(all, secret) : NULL;
	if (!node) {
		secret_free(secret);
		return false;
	}
	node->number = ++all->last;
	all->list[all->n++] = secret;
	return true;
}

bool secrets_remove(struct secrets *all, const char *unique)
{
	struct secret_node *node = named(all, unique);
	struct secret *s = node ? node->secret : NULL;
	unsigned at;

	if (!node)
		return false;
	at = place_of(all, s);
	memmove(all->list + at, all->list + at + 1, (--all->n - at) * sizeof(all->list[0]));
	node_free(all, node);
	secret_free(s);
	return true;
}

void secrets_free(struct secrets *all)
{
	struct secret_node *node, *next;

	HASH_ITER (hh, all->by_unique, node, next) {
		secret_free(node->secret);
		node_free(all, node);
	}
	free(all->list);
	*all = (struct secrets){0};
}

/* ---- the choice ---- */

struct best {
	const struct secret_node *node;
	unsigned rank;
};

static void look(const struct secret_node *node, const struct secret_wish *w, struct best *best)
{
	unsigned rank = node->secret->kind != SECRET_IKE
				? 0
				: secret_match(node->secret, w->local, w->remote, w->local_addr,
					       w->remote_addr);

	if (rank < best->rank || rank == 0 ||
	    (rank == best->rank && best->node->number <= node->number))
		return;
	best->node = node;
	best->rank = rank;
}

static void look_all(const struct secret_key *keys, const struct secret_wish *w, struct best *best)
{
	const struct secret_key *key;

	DL_FOREACH (keys, key)
		look(key->node, w, best);
}

static void look_at(const struct secrets *all, const struct id *owner, const struct secret_wish *w,
		    struct best *best)
{
	const struct secret_slot *slot = slot_of(all, owner);

	if (slot)
		look_all(slot->keys, w, best);
}

const struct secret *secrets_find(const struct secrets *all, const struct secret_wish *w)
{
	const struct secret_node *node;
	struct best best = {0};
	struct id host;

	look_at(all, w->remote, w, &best);
	if (w->remote_addr && addr_size(w->remote_addr->family)) {
		id_from_addr(w->remote_addr, &host);
		look_at(all, &host, w, &best);
	}
	look_all(all->loose, w, &best);
	/* Who names the peer ranks above all that don't. */
	if (!secret_names_peer(best.rank)) {
		for (node = all->by_unique; node; node = node->hh.next)
			look(node, w, &best);
	}
	return best.node ? best.node->secret : NULL;
}
