/* The planner's table of devices and addresses. */
#include "routed-bridge/repair_links.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

struct repair_local {
	struct addr own;
	struct repair_address *addresses; /* those that are there before the former ones */
	UT_hash_handle hh;
};

/* ---- addresses ---- */

static struct repair_local *find_local(const struct repair_links *t, const struct addr *own)
{
	struct repair_local *e;

	HASH_FIND(hh, t->locals, own, sizeof(*own), e);
	return e;
}

static struct repair_local *find_or_add_local(struct repair_links *t, const struct addr *own)
{
	struct repair_local *e = find_local(t, own);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->own = *own;
	HASH_ADD(hh, t->locals, own, sizeof(e->own), e);
	return e;
}

static void drop_address(struct repair_links *t, struct repair_address *a)
{
	struct repair_local *local = a->local;

	DL_DELETE(a->link->addresses, a);
	DL_DELETE2(local->addresses, a, sprev, snext);
	free(a);
	if (local->addresses)
		return;
	HASH_DEL(t->locals, local);
	free(local);
}

static void drop_addresses(struct repair_links *t, struct repair_link *l)
{
	while (l->addresses)
		drop_address(t, l->addresses);
}

static void make_former(struct repair_address *a)
{
	if (a->former)
		return;
	a->former = true;
	DL_DELETE2(a->local->addresses, a, sprev, snext);
	DL_APPEND2(a->local->addresses, a, sprev, snext);
}

static struct repair_address *find_address(const struct repair_link *l,
					   const struct zapi_address *a)
{
	struct repair_address *e;

	DL_FOREACH (l->addresses, e) {
		if (prefix_equal(&e->own, &a->prefix) && addr_equal(&e->peer, &a->peer))
			return e;
	}
	return NULL;
}

/* The device has new ones: the former ones are not its own any more. */
static void drop_former(struct repair_links *t, struct repair_link *l, uint8_t family)
{
	struct repair_address *e, *next;

	DL_FOREACH_SAFE (l->addresses, e, next) {
		if (e->former && e->own.addr.family == family)
			drop_address(t, e);
	}
}

static void add_address(struct repair_links *t, struct repair_link *l, const struct zapi_address *a)
{
	struct repair_local *local = find_or_add_local(t, &a->prefix.addr);
	struct repair_address *e = local ? calloc(1, sizeof(*e)) : NULL;

	if (e) {
		*e = (struct repair_address){
			.own = a->prefix, .peer = a->peer, .link = l, .local = local};
		DL_PREPEND(l->addresses, e);
		DL_PREPEND2(local->addresses, e, sprev, snext);
	} else if (local && !local->addresses) {
		HASH_DEL(t->locals, local);
		free(local);
	}
}

void repair_links_address(struct repair_links *t, const struct zapi_address *a, bool present)
{
	struct repair_link *l = repair_links_find(t, a->ifindex);
	struct repair_address *e;

	if (!l)
		return;
	if (present)
		drop_former(t, l, a->prefix.addr.family);
	e = find_address(l, a);
	if (e && !present)
		make_former(e);
	else if (!e && present)
		add_address(t, l, a);
}

/* ---- links ---- */

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

static void set_gone(struct repair_links *t, struct repair_link *l, bool gone)
{
	if (l->gone == gone)
		return;
	l->gone = gone;
	if (gone)
		DL_APPEND2(t->gone, l, gprev, gnext);
	else
		DL_DELETE2(t->gone, l, gprev, gnext);
	t->n_gone += gone;
	t->n_gone -= !gone;
}

struct repair_link *repair_links_report(struct repair_links *t, const struct zapi_interface *i,
					bool present)
{
	const uint64_t needed = IFF_UP | IFF_RUNNING;
	struct repair_link *l = repair_links_add(t, i->name);
	struct repair_address *a;

	if (!l)
		return NULL;
	if (present && l->gone)
		drop_addresses(t, l);
	if (present)
		set_ifindex(t, l, i->ifindex);
	DL_FOREACH (l->addresses, a) {
		if (!present)
			make_former(a);
	}
	l->known = true;
	set_gone(t, l, !present);
	l->operative = present && (i->flags & needed) == needed;
	return l;
}

void repair_links_forget(struct repair_links *t, struct repair_link *l)
{
	set_gone(t, l, false);
	l->known = l->operative = false;
	drop_addresses(t, l);
}

void repair_links_drop(struct repair_links *t, struct repair_link *l)
{
	repair_links_forget(t, l);
	if (l->ifindex)
		HASH_DELETE(by_ifindex, t->indexes, l);
	HASH_DELETE(by_name, t->names, l);
	free(l);
}

struct repair_link *repair_links_of(struct repair_links *t, const struct addr *own)
{
	const struct repair_local *local = find_local(t, own);
	const struct repair_address *a, *first = local ? local->addresses : NULL;
	bool all = addr_is_link_local(own);

	DL_FOREACH2 (first, a, snext) {
		if (a->former != first->former && !all)
			break;
		if (a->link != first->link)
			return NULL;
	}
	return first ? first->link : NULL;
}

bool repair_link_reaches(const struct repair_link *l, const struct addr *to)
{
	const struct repair_address *a;

	DL_FOREACH (l->addresses, a) {
		struct prefix net = {.addr = a->peer.family ? a->peer : a->own.addr,
				     .len = a->own.len};

		if (!a->former && net.addr.family == to->family && prefix_contains(&net, to))
			return true;
	}
	return false;
}

bool repair_link_usable(const struct repair_link *l)
{
	return (!l->known || l->operative) && !l->dead;
}
