/* The index of conns by peer address. Owns the slots; the links belong to the conns. */
#include "ipsecd/ike/conn_index.h"

#include <stdlib.h>
#include <utlist.h>

static void link_loose(struct conn_index *index, struct conn_entry *entry, struct conn_link *link)
{
	*link = (struct conn_link){.entry = entry, .linked = true};
	DL_APPEND(index->loose, link);
}

static struct conn_slot *slot_of(const struct conn_index *index, const struct addr *a)
{
	struct conn_slot *slot;

	HASH_FIND(hh, index->slots, a, sizeof(*a), slot);
	return slot;
}

static struct conn_slot *slot_make(struct conn_index *index, const struct addr *a)
{
	struct conn_slot *slot = slot_of(index, a);

	if (slot)
		return slot;
	slot = calloc(1, sizeof(*slot));
	if (!slot)
		return NULL;
	slot->addr = *a;
	HASH_ADD(hh, index->slots, addr, sizeof(slot->addr), slot);
	if (slot->hh.tbl)
		return slot;
	free(slot);
	return NULL;
}

static bool all_plain(const struct conn *c)
{
	for (uint8_t i = 0; i < c->n_remote; i++)
		if (c->remote[i].kind != HOST_ADDR)
			return false;
	return c->n_remote > 0;
}

static bool link_slot(struct conn_index *index, struct conn_entry *entry, const struct addr *a,
		      struct conn_link *link)
{
	struct conn_slot *slot = slot_make(index, a);

	if (!slot)
		return false;
	*link = (struct conn_link){.entry = entry, .slot = slot, .linked = true};
	DL_APPEND(slot->links, link);
	return true;
}

static bool named_before(const struct conn *c, uint8_t n)
{
	for (uint8_t i = 0; i < n; i++)
		if (addr_equal(&c->remote[i].addr, &c->remote[n].addr))
			return true;
	return false;
}

void conn_index_add(struct conn_index *index, struct conn_entry *entry, const struct conn *conn,
		    struct conn_link *links)
{
	bool ok = all_plain(conn);

	for (uint8_t i = 0; ok && i < conn->n_remote; i++)
		if (!named_before(conn, i))
			ok = link_slot(index, entry, &conn->remote[i].addr, &links[i]);
	if (ok)
		return;
	conn_index_remove(index, links);
	link_loose(index, entry, &links[0]);
}

static void unlink_one(struct conn_index *index, struct conn_link *link)
{
	struct conn_slot *slot = link->slot;

	if (!slot) {
		DL_DELETE(index->loose, link);
		return;
	}
	DL_DELETE(slot->links, link);
	if (slot->links)
		return;
	HASH_DEL(index->slots, slot);
	free(slot);
}

void conn_index_remove(struct conn_index *index, struct conn_link *links)
{
	for (unsigned i = 0; i < CONN_ADDRS_MAX; i++) {
		if (links[i].linked)
			unlink_one(index, &links[i]);
		links[i] = (struct conn_link){0};
	}
}

struct conn_cursor conn_index_at(const struct conn_index *index, const struct addr *peer)
{
	const struct conn_slot *slot = slot_of(index, peer);

	return (struct conn_cursor){.exact = slot ? slot->links : NULL, .loose = index->loose};
}

struct conn_entry *conn_cursor_next(struct conn_cursor *c)
{
	const struct conn_link **at = c->exact ? &c->exact : &c->loose;
	const struct conn_link *link = *at;

	if (!link)
		return NULL;
	*at = link->next;
	return link->entry;
}
