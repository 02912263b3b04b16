/* Leases of one pool: whose an address is, and which one somebody gets. */
#include "ipsecd/pool/lease.h"

#include <stdlib.h>

/* ---- addresses ---- */

/* last - first + 1 */
uint64_t range_size(const struct addr *first, const struct addr *last)
{
	size_t n = addr_size(first->family);
	uint64_t distance = 0;
	unsigned borrow = 0;
	bool large = false;

	for (size_t i = n; i-- > 0;) {
		int d = last->bytes[i] - first->bytes[i] - (int)borrow;
		size_t place = n - 1 - i;

		borrow = d < 0;
		d += borrow ? 256 : 0;
		if (place < 8)
			distance |= (uint64_t)d << 8 * place;
		else
			large |= d != 0;
	}
	return large || distance == UINT64_MAX ? UINT64_MAX : distance + 1;
}

static bool within(const struct pool *p, const struct addr *a)
{
	return a->family == p->first.family && addr_compare(&p->first, a) <= 0 &&
	       addr_compare(a, &p->last) <= 0;
}

/* To the next address of the pool; family 0 behind the last. */
static void advance(const struct pool *p, struct addr *a)
{
	if (addr_equal(a, &p->last)) {
		*a = (struct addr){0};
		return;
	}
	for (size_t i = addr_size(a->family); i-- > 0;) {
		if (++a->bytes[i])
			return;
	}
}

/* ---- leases ---- */

static struct lease *lease_at(const struct pool *p, const struct addr *a)
{
	struct lease *l;

	HASH_FIND(hh, p->leases, a, sizeof(*a), l);
	return l;
}

/* Identities are compared as bytes: unused ones are zero. */
static struct holder *holder_of(const struct pool *p, const struct id *identity)
{
	struct holder *h;

	HASH_FIND(hh, p->holders, identity, sizeof(*identity), h);
	return h;
}

static struct holder *holder_make(struct pool *p, const struct id *identity)
{
	struct holder *h = holder_of(p, identity);

	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	memcpy(&h->identity, identity, sizeof(*identity));
	HASH_ADD(hh, p->holders, identity, sizeof(h->identity), h);
	if (h->hh.tbl)
		return h;
	free(h);
	return NULL;
}

static void holder_leave(struct pool *p, struct lease *l)
{
	struct holder *h = holder_of(p, &l->identity);

	DL_DELETE2(h->leases, l, id_prev, id_next);
	if (h->leases)
		return;
	HASH_DELETE(hh, p->holders, h);
	free(h);
}

static bool give_to(struct pool *p, struct lease *l, const struct id *identity)
{
	struct holder *h = holder_make(p, identity);

	if (!h)
		return false;
	memcpy(&l->identity, identity, sizeof(*identity));
	DL_APPEND2(h->leases, l, id_prev, id_next);
	return true;
}

static struct lease *lease_new(struct pool *p, const struct addr *a, const struct id *identity)
{
	struct lease *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->addr = *a;
	l->pool = p;
	HASH_ADD(hh, p->leases, addr, sizeof(l->addr), l);
	if (!l->hh.tbl) {
		free(l);
		return NULL;
	}
	if (give_to(p, l, identity)) {
		DL_APPEND2(p->away, l, away_prev, away_next);
		return l;
	}
	HASH_DELETE(hh, p->leases, l);
	free(l);
	return NULL;
}

void lease_drop(struct pool *p, struct lease *l)
{
	if (!l->online)
		DL_DELETE2(p->away, l, away_prev, away_next);
	holder_leave(p, l);
	HASH_DELETE(hh, p->leases, l);
	free(l);
}

/* Nobody has this address any more: lease_fresh begins no later than here. It passes over what has
 * a lease, once for each address that is let go. */
static void let_go(struct pool *p, const struct addr *a)
{
	if (!p->fresh.family || addr_compare(a, &p->fresh) < 0)
		p->fresh = *a;
}

void lease_forget_surplus(struct pool *p, const struct lease *l)
{
	const struct holder *h = holder_of(p, &l->identity);
	struct lease *other, *next;
	unsigned n = 0;

	DL_FOREACH2 (h->leases, other, id_next)
		n += !other->online;
	DL_FOREACH_SAFE2 (h->leases, other, next, id_next) {
		if (n <= VIPS_MAX)
			return;
		if (other->online || other == l)
			continue;
		n--;
		let_go(p, &other->addr);
		lease_drop(p, other);
	}
}

/* ---- choosing ---- */

/* Somebody has this address from a pool that overlaps with p. */
static bool taken(const struct choice *c, const struct pool *p, const struct addr *a)
{
	const struct pool *other;
	const struct lease *l;

	DL_FOREACH (c->all, other) {
		l = other == p ? NULL : lease_at(other, a);
		if (l && l->online &&
		    !(c->request->sole &&
		      memcmp(&l->identity, c->identity, sizeof(l->identity)) == 0))
			return true;
	}
	return false;
}

static bool granted(const struct grant *g, const struct lease *l)
{
	for (uint8_t i = 0; i < g->n; i++) {
		if (g->leases[i] == l)
			return true;
	}
	return false;
}

/* Nobody else has it, and this request does not have it yet. */
static bool may_have(const struct choice *c, const struct lease *l)
{
	return !granted(c->grant, l) && !taken(c, l->pool, &l->addr) &&
	       memcmp(&l->identity, c->identity, sizeof(l->identity)) == 0;
}

/* The address that is wished for, if it is free or this identity's. */
struct lease *lease_wished(struct pool *p, const struct choice *c)
{
	struct lease *l;

	if (!vip_usable(c->wanted) || !within(p, c->wanted))
		return NULL;
	l = lease_at(p, c->wanted);
	if (l)
		return may_have(c, l) ? l : NULL;
	if (HASH_CNT(hh, p->leases) >= MEMORY_LEASES_MAX || taken(c, p, c->wanted))
		return NULL;
	return lease_new(p, c->wanted, c->identity);
}

/* What this identity has or had. One that is away may have it again, one that is here only if it
 * is the same peer. */
struct lease *lease_own(struct pool *p, const struct choice *c)
{
	struct holder *h = holder_of(p, c->identity);
	struct lease *l, *away = NULL;

	if (!h)
		return NULL;
	DL_FOREACH2 (h->leases, l, id_next) {
		if (!may_have(c, l))
			continue;
		if (l->online && c->request->sole)
			return l;
		if (!l->online && !away)
			away = l;
	}
	return away;
}

struct lease *lease_fresh(struct pool *p, const struct choice *c)
{
	struct addr a;

	while (p->fresh.family && lease_at(p, &p->fresh))
		advance(p, &p->fresh);
	a = p->fresh;
	while (a.family && (lease_at(p, &a) || taken(c, p, &a))) /* those may be free later */
		advance(p, &a);
	if (!a.family || HASH_CNT(hh, p->leases) >= MEMORY_LEASES_MAX)
		return NULL;
	return lease_new(p, &a, c->identity);
}

/* Somebody else's, who is away. */
struct lease *lease_old(struct pool *p, const struct choice *c)
{
	struct lease *l = within(p, c->wanted) ? lease_at(p, c->wanted) : NULL;
	struct addr addr;

	if (!l || l->online || taken(c, p, &l->addr))
		l = p->away;
	while (l && taken(c, p, &l->addr))
		l = l->away_next;
	if (!l)
		return NULL;
	addr = l->addr;
	lease_drop(p, l);
	l = lease_new(p, &addr, c->identity);
	if (!l)
		let_go(p, &addr);
	return l;
}
