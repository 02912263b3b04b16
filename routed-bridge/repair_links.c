/* The planner's table of devices and addresses. */
#include "routed-bridge/repair_links.h"

#include <stdio.h>
#include <stdlib.h>

struct repair_local {
	struct addr own;
	struct repair_link *link;
	UT_hash_handle hh;
};

static void forget_locals(struct repair_links *t)
{
	struct repair_local *e, *next;

	HASH_ITER (hh, t->locals, e, next) {
		HASH_DEL(t->locals, e);
		free(e);
	}
}

static void drop_addresses(struct repair_links *t, struct repair_link *l)
{
	struct repair_address *a;

	forget_locals(t);
	while ((a = l->addresses)) {
		l->addresses = a->next;
		free(a);
	}
}

void repair_links_clear(struct repair_links *t)
{
	struct repair_link *l, *next;

	HASH_CLEAR(by_ifindex, t->indexes);
	HASH_ITER (by_name, t->names, l, next) {
		HASH_DELETE(by_name, t->names, l);
		drop_addresses(t, l);
		free(l);
	}
}

struct repair_link *repair_links_find(const struct repair_links *t, uint32_t ifindex)
{
	struct repair_link *l;

	HASH_FIND(by_ifindex, t->indexes, &ifindex, sizeof(ifindex), l);
	return l;
}

struct repair_link *repair_links_named(const struct repair_links *t, const char *name)
{
	struct repair_link *l;

	HASH_FIND(by_name, t->names, name, strlen(name), l);
	return l;
}

struct repair_link *repair_links_add(struct repair_links *t, const char *name)
{
	struct repair_link *l = repair_links_named(t, name);

	if (l || strlen(name) >= sizeof(l->name))
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	memcpy(l->name, name, strlen(name));
	l->usable = true;
	HASH_ADD(by_name, t->names, name, strlen(l->name), l);
	return l;
}

static void set_ifindex(struct repair_links *t, struct repair_link *l, uint32_t ifindex)
{
	struct repair_link *former = repair_links_find(t, ifindex);

	if (former == l)
		return;
	if (l->ifindex)
		HASH_DELETE(by_ifindex, t->indexes, l);
	if (former) {
		HASH_DELETE(by_ifindex, t->indexes, former);
		former->ifindex = 0;
		drop_addresses(t, former);
	}
	drop_addresses(t, l);
	l->ifindex = ifindex;
	HASH_ADD(by_ifindex, t->indexes, ifindex, sizeof(l->ifindex), l);
}

struct repair_link *repair_links_report(struct repair_links *t, const struct zapi_interface *i,
					bool present)
{
	const uint64_t needed = IFF_UP | IFF_RUNNING;
	struct repair_link *l = repair_links_add(t, i->name);

	if (!l)
		return NULL;
	if (present)
		set_ifindex(t, l, i->ifindex);
	else
		drop_addresses(t, l);
	l->known = true;
	l->operative = present && (i->flags & needed) == needed;
	return l;
}

void repair_links_address(struct repair_links *t, const struct zapi_address *a, bool present)
{
	struct repair_link *l = repair_links_find(t, a->ifindex);
	struct repair_address *e, **at;

	if (!l)
		return;
	forget_locals(t);
	for (at = &l->addresses; (e = *at); at = &e->next) {
		if (prefix_equal(&e->own, &a->prefix) && addr_equal(&e->peer, &a->peer))
			break;
	}
	if (e && !present) {
		*at = e->next;
		free(e);
	} else if (!e && present && (e = calloc(1, sizeof(*e)))) {
		e->own = a->prefix;
		e->peer = a->peer;
		e->next = l->addresses;
		l->addresses = e;
	}
}

void repair_links_forget(struct repair_links *t)
{
	struct repair_link *l, *next;

	HASH_ITER (by_name, t->names, l, next) {
		l->known = l->operative = false;
		drop_addresses(t, l);
	}
}

static bool has_own(const struct repair_link *l, const struct addr *own)
{
	for (const struct repair_address *a = l->addresses; a; a = a->next) {
		if (addr_equal(&a->own.addr, own))
			return true;
	}
	return false;
}

static struct repair_link *search(const struct repair_links *t, const struct addr *own)
{
	struct repair_link *l, *next, *found = NULL;

	HASH_ITER (by_name, t->names, l, next) {
		if (!has_own(l, own))
			continue;
		if (found)
			return NULL;
		found = l;
	}
	return found;
}

struct repair_link *repair_links_of(struct repair_links *t, const struct addr *own)
{
	struct repair_local *e;

	HASH_FIND(hh, t->locals, own, sizeof(*own), e);
	if (e)
		return e->link;
	e = calloc(1, sizeof(*e));
	if (!e)
		return search(t, own);
	e->own = *own;
	e->link = search(t, own);
	HASH_ADD(hh, t->locals, own, sizeof(e->own), e);
	return e->link;
}

bool repair_link_reaches(const struct repair_link *l, const struct addr *to)
{
	for (const struct repair_address *a = l->addresses; a; a = a->next) {
		struct prefix net = {.addr = a->peer.family ? a->peer : a->own.addr,
				     .len = a->own.len};

		if (net.addr.family == to->family && prefix_contains(&net, to))
			return true;
	}
	return false;
}

bool repair_link_usable(const struct repair_link *l)
{
	return (!l->known || l->operative) && !l->dead;
}
