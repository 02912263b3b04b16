/* An address is written down before it is set, so that one which a killed plane has set is known
 * for ours; one that was written down and is not in the kernel is forgotten by the next. What is
 * there already is not written down at all. */
#include "ipsecd/plane_addrs.h"
#include "ipsecd/routes.h"
#include "ipsecd/state/store.h"
#include "lib/hash.h"

#include <errno.h>
#include <stdlib.h>

#define KIND 1 /* of the records, and the format's version */

/* As it is in the store, too. */
struct key {
	char device[IF_NAMESIZE]; /* zeros behind its end */
	struct prefix prefix;
};

struct plane_addr {
	struct key key;
	uint64_t id;
	bool claimed, seen;
	UT_hash_handle hh;
};

struct plane_addrs {
	struct netlink *netlink;
	const struct log_sink *log;
	struct memfd memory;
	struct store *store; /* NULL: nothing outlives us */
	struct plane_addr *all;
	uint64_t last_id;
};

static struct key key_of(const char *device, const struct prefix *prefix)
{
	struct key k;

	memset(&k, 0, sizeof(k));
	memcpy(k.device, device, strnlen(device, sizeof(k.device) - 1));
	k.prefix = *prefix;
	return k;
}

static struct plane_addr *find(const struct plane_addrs *p, const struct key *k)
{
	struct plane_addr *a;

	HASH_FIND(hh, p->all, k, sizeof(*k), a);
	return a;
}

/* NULL: no memory. */
static struct plane_addr *insert(struct plane_addrs *p, const struct key *k, uint64_t id)
{
	struct plane_addr *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->key = *k;
	a->id = id;
	HASH_ADD(hh, p->all, key, sizeof(a->key), a);
	if (a->hh.tbl)
		return a;
	free(a);
	return NULL;
}

/* ---- what outlives us ---- */

static bool grow(void *ctx, size_t size, void **memory, size_t *now)
{
	struct memfd *m = ctx;

	if (!memfd_grow(m, size))
		return false;
	*memory = m->memory;
	*now = m->size;
	return true;
}

static void give_up(struct plane_addrs *p, const char *why)
{
	log_to(p->log, LOG_LEVEL_WARN, "tun", "",
	       "which addresses are ours will not outlive this process: %s", why);
	store_close(p->store);
	p->store = NULL;
}

static void commit(struct plane_addrs *p)
{
	if (p->store && !store_commit(p->store))
		give_up(p, "out of memory");
}

static void write_down(struct plane_addrs *p, const struct plane_addr *a)
{
	if (p->store)
		store_put(p->store, (struct store_key){KIND, a->id},
			  span_of(&a->key, sizeof(a->key)));
	commit(p);
}

static void forget(struct plane_addrs *p, struct plane_addr *a)
{
	if (p->store)
		store_remove(p->store, (struct store_key){KIND, a->id});
	commit(p);
	HASH_DEL(p->all, a);
	free(a);
}

static bool take(void *ctx, struct store_key key, struct span value)
{
	struct plane_addrs *p = ctx;
	struct key k;

	if (key.id > p->last_id)
		p->last_id = key.id;
	if (value.len != sizeof(k))
		return true;
	memcpy(&k, value.ptr, sizeof(k));
	k.device[sizeof(k.device) - 1] = '\0';
	return find(p, &k) || insert(p, &k, key.id);
}

/* In the kernel, and nobody else's as far as that says. */
static void see(void *ctx, const struct netlink_addr *addr)
{
	struct plane_addrs *p = ctx;
	struct netlink_link link;
	struct plane_addr *a;
	struct key k;

	if ((addr->protocol && addr->protocol != ROUTES_PROTOCOL) ||
	    netlink_link_get(p->netlink, addr->ifindex, &link) != 0)
		return;
	k = key_of(link.name, &addr->prefix);
	a = find(p, &k);
	if (a)
		a->seen = true;
}

static void look(struct plane_addrs *p)
{
	struct plane_addr *a, *next;

	if (!p->all || netlink_addr_list(p->netlink, 0, see, p) != 0)
		return;
	HASH_ITER (hh, p->all, a, next) {
		if (!a->seen)
			forget(p, a);
	}
}

static bool open_store(struct plane_addrs *p, char *why, size_t size)
{
	const struct store_host host = {.grow = grow, .ctx = &p->memory};

	return store_open(p->memory.memory, p->memory.size, &host, &p->store, why, size);
}

static void restore(struct plane_addrs *p)
{
	char why[160];

	if (!open_store(p, why, sizeof(why))) {
		log_to(p->log, LOG_LEVEL_WARN, "tun", "",
		       "which addresses a former process had set is lost: %s", why);
		store_erase(p->memory.memory, p->memory.size);
		if (!open_store(p, why, sizeof(why))) {
			give_up(p, why);
			return;
		}
	}
	store_each(p->store, KIND, KIND, take, p);
	look(p);
}

/* ---- the verbs ---- */

bool plane_addrs_has(const struct plane_addrs *p, const char *device, const struct prefix *prefix)
{
	const struct key k = key_of(device, prefix);

	return find(p, &k);
}

struct search {
	const struct prefix *prefix;
	bool ours, others;
};

/* The kernel has an IPv6 address once, whatever its length. */
static void look_whose(void *ctx, const struct netlink_addr *a)
{
	struct search *s = ctx;
	bool same = a->prefix.addr.family == AF_INET6
			    ? addr_equal(&a->prefix.addr, &s->prefix->addr)
			    : prefix_equal(&a->prefix, s->prefix);

	s->ours |= same && a->protocol == ROUTES_PROTOCOL;
	s->others |= same && a->protocol != ROUTES_PROTOCOL;
}

/* One that somebody sets behind our look is his. */
static int add_new(struct plane_addrs *p, int ifindex, const struct key *k, bool ours)
{
	struct plane_addr *a;
	int e;

	if (HASH_COUNT(p->all) >= PLANE_ADDRS_MAX)
		return -ENOSPC;
	a = insert(p, k, p->last_id + 1);
	if (!a)
		return -ENOMEM;
	p->last_id++;
	a->claimed = true;
	write_down(p, a);
	e = ours ? netlink_addr_add_as(p->netlink, ifindex, &k->prefix, ROUTES_PROTOCOL)
		 : netlink_addr_add_new(p->netlink, ifindex, &k->prefix, ROUTES_PROTOCOL);
	if (e)
		forget(p, a);
	return e == -EEXIST ? 0 : e;
}

int plane_addrs_add(struct plane_addrs *p, const char *device, const struct prefix *prefix)
{
	const struct key k = key_of(device, prefix);
	struct plane_addr *a = find(p, &k);
	struct search s = {.prefix = prefix};
	struct netlink_link link;
	int e = netlink_link_find(p->netlink, k.device, &link);

	if (e)
		return e;
	if (a) {
		a->claimed = true;
		return netlink_addr_add_as(p->netlink, link.ifindex, prefix, ROUTES_PROTOCOL);
	}
	e = netlink_addr_list(p->netlink, link.ifindex, look_whose, &s);
	if (e || s.others)
		return e;
	return add_new(p, link.ifindex, &k, s.ours);
}

static int remove_one(struct plane_addrs *p, struct plane_addr *a)
{
	struct netlink_link link;
	int e = netlink_link_find(p->netlink, a->key.device, &link);

	if (e == 0)
		e = netlink_addr_remove(p->netlink, link.ifindex, &a->key.prefix);
	forget(p, a);
	return e;
}

int plane_addrs_remove(struct plane_addrs *p, const char *device, const struct prefix *prefix)
{
	const struct key k = key_of(device, prefix);
	struct plane_addr *a = find(p, &k);

	return a ? remove_one(p, a) : -EADDRNOTAVAIL;
}

void plane_addrs_unclaim(struct plane_addrs *p)
{
	for (struct plane_addr *a = p->all; a; a = a->hh.next)
		a->claimed = false;
}

void plane_addrs_settle(struct plane_addrs *p)
{
	struct plane_addr *a, *next;
	char text[PREFIX_TEXT];

	HASH_ITER (hh, p->all, a, next) {
		if (a->claimed)
			continue;
		log_to(p->log, LOG_LEVEL_NOTICE, "tun", "",
		       "address %s on %s was of a former process and is nobody's now: removed",
		       prefix_format(&a->key.prefix, text), a->key.device);
		remove_one(p, a);
	}
}

/* ---- life ---- */

struct plane_addrs *plane_addrs_new(struct netlink *nl, const struct memfd *memory,
				    const struct log_sink *log)
{
	struct plane_addrs *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct plane_addrs){.netlink = nl, .log = log, .memory.fd = -1};
	if (memory) {
		p->memory = *memory;
		restore(p);
	}
	return p;
}

void plane_addrs_free(struct plane_addrs *p)
{
	struct plane_addr *a, *next;

	if (!p)
		return;
	store_close(p->store);
	HASH_ITER (hh, p->all, a, next) {
		HASH_DEL(p->all, a);
		free(a);
	}
	if (p->memory.memory)
		memfd_close(&p->memory);
	free(p);
}
