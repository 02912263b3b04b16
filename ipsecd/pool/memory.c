/* Pools in memory: what requests hold, where they look, and which pools there are. */
#include "ipsecd/pool/lease.h"

#include <stdio.h>
#include <stdlib.h>

struct pool_backend {
	struct pool_host host;
	struct pool *pools; /* utlist, oldest first */
	struct grant *grants;
};

/* ---- choosing ---- */

/* One way after the other, each over all pools: who is full sends to the next pool before it
 * takes somebody's address away. */
static struct lease *choose(struct pool *const *pools, unsigned n, const struct choice *c)
{
	static taker *const ways[] = {lease_wished, lease_own, lease_fresh, lease_old};

	for (unsigned way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		for (unsigned i = 0; i < n; i++) {
			struct lease *l = NULL;

			if (pools[i]->first.family != c->wanted->family)
				continue;
			if (!pools[i]->client || ways[way] == lease_wished)
				l = ways[way](pools[i], c);
			if (l)
				return l;
		}
	}
	return NULL;
}

/* ---- pools ---- */

static struct pool *pool_find(const struct pool_backend *b, const char *name, bool named)
{
	struct pool *p;

	DL_FOREACH (b->pools, p) {
		if (p->named == named && strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

/* `text`: the range as it was written. */
static struct pool *pool_new(struct pool_backend *b, const char *name, const char *text,
			     const struct addr *first, const struct addr *last)
{
	struct pool *p = calloc(1, sizeof(*p));
	struct prefix network;

	if (!p)
		return NULL;
	p->name = strdup(name);
	if (!p->name) {
		free(p);
		return NULL;
	}
	p->first = p->fresh = *first;
	p->last = *last;
	p->base = prefix_parse(text, &network) ? network.addr : *first;
	p->size = range_size(first, last);
	DL_APPEND(b->pools, p);
	return p;
}

/* Grants may point to its leases: only for pools without any that is online, or at the end. */
static void pool_free(struct pool_backend *b, struct pool *p)
{
	struct lease *l, *next;

	HASH_ITER (hh, p->leases, l, next) {
		if (l->online)
			DL_APPEND2(p->away, l, away_prev, away_next);
		l->online = 0;
		lease_drop(p, l);
	}
	DL_DELETE(b->pools, p);
	free(p->name);
	free(p);
}

/* All addresses of a family: what clients may choose from. */
static struct pool *client_pool(struct pool_backend *b, uint8_t family)
{
	static const char *const names[] = {"%config4", "%config6"};
	const char *name = names[family == AF_INET6];
	struct addr first = {.family = family}, last = {.family = family};
	struct pool *p = pool_find(b, name, false);

	if (p)
		return p;
	memset(last.bytes, 0xff, addr_size(family));
	p = pool_new(b, name, "", &first, &last);
	if (p)
		p->client = true;
	return p;
}

static struct pool *pool_of(struct pool_backend *b, const struct pool_ref *ref, uint8_t family)
{
	struct pool *p;

	switch (ref->kind) {
	case POOL_NAMED:
		return pool_find(b, ref->name, true);
	case POOL_RANGE:
		p = pool_find(b, ref->name, false);
		return p ? p : pool_new(b, ref->name, ref->name, &ref->first, &ref->last);
	case POOL_CLIENT:
		return ref->first.family && ref->first.family != family ? NULL
									: client_pool(b, family);
	}
	return NULL;
}

static unsigned pools_of(struct pool_backend *b, const struct pool_request *r, uint8_t family,
			 struct pool **out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_pools && n < POOL_REFS_MAX; i++) {
		struct pool *p = pool_of(b, &r->pools[i], family);

		if (p)
			out[n++] = p;
	}
	return n;
}

/* ---- the seam ---- */

static void hold(struct grant *g, struct lease *l)
{
	struct pool *p = l->pool;

	if (l->online++ == 0) {
		DL_DELETE2(p->away, l, away_prev, away_next);
		p->n_online++;
	}
	g->leases[g->n++] = l;
}

static void add_dns(struct pool_answer *answer, const struct pool *p)
{
	for (uint8_t i = 0; i < p->n_dns && answer->n_dns < VIP_DNS_MAX; i++) {
		if (!addrs_have(answer->dns, answer->n_dns, &p->dns[i]))
			answer->dns[answer->n_dns++] = p->dns[i];
	}
}

static struct grant *grant_new(struct pool_backend *b, uint64_t id)
{
	struct grant *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->id = id;
	HASH_ADD(hh, b->grants, id, sizeof(g->id), g);
	if (g->hh.tbl)
		return g;
	free(g);
	return NULL;
}

/* As bytes to compare: names are the same in any case (id_equal). */
static void identity_key(const struct id *id, struct id *key)
{
	memset(key, 0, sizeof(*key));
	key->type = id->type;
	key->len = id->len;
	for (uint8_t i = 0; i < id->len; i++) {
		bool name = id->type == ID_FQDN || id->type == ID_RFC822_ADDR;
		bool upper = id->data[i] >= 'A' && id->data[i] <= 'Z';

		key->data[i] = (uint8_t)(name && upper ? id->data[i] + 'a' - 'A' : id->data[i]);
	}
}

static void memory_request(struct pool_backend *b, const struct pool_request *r)
{
	struct pool_answer answer = {.id = r->id};
	struct id identity;
	struct grant *g = grant_new(b, r->id);
	struct pool *pools[POOL_REFS_MAX];

	identity_key(&r->identity, &identity);
	if (g)
		g->sole = r->sole;
	for (uint8_t i = 0; g && i < r->n && i < VIPS_MAX; i++) {
		struct choice c = {.request = r,
				   .identity = &identity,
				   .grant = g,
				   .wanted = &r->wanted[i],
				   .all = b->pools};
		unsigned n = pools_of(b, r, r->wanted[i].family, pools);
		struct lease *l = choose(pools, n, &c);

		if (!l)
			continue;
		hold(g, l);
		answer.addrs[i] = l->addr;
		add_dns(&answer, l->pool);
	}
	b->host.answer(b->host.ctx, &answer);
}

static void memory_release(struct pool_backend *b, uint64_t id)
{
	struct grant *g;

	HASH_FIND(hh, b->grants, &id, sizeof(id), g);
	if (!g)
		return;
	for (uint8_t i = 0; i < g->n; i++) {
		struct lease *l = g->leases[i];
		struct pool *p = l->pool;

		if (--l->online)
			continue;
		p->n_online--;
		DL_APPEND2(p->away, l, away_prev, away_next);
		if (p->client)
			lease_drop(p, l);
		else if (g->sole)
			lease_forget_surplus(p, l);
	}
	HASH_DELETE(hh, b->grants, g);
	free(g);
}

static void memory_free(struct pool_backend *b)
{
	struct grant *g, *next_grant;
	struct pool *p, *next;

	if (!b)
		return;
	HASH_ITER (hh, b->grants, g, next_grant) {
		HASH_DELETE(hh, b->grants, g);
		free(g);
	}
	DL_FOREACH_SAFE (b->pools, p, next)
		pool_free(b, p);
	free(b);
}

const struct pool_ops pool_memory = {
	.name = "memory",
	.request = memory_request,
	.release = memory_release,
	.free = memory_free,
};

struct pool_backend *memory_new(const struct pool_host *host)
{
	struct pool_backend *b = calloc(1, sizeof(*b));

	if (b)
		b->host = *host;
	return b;
}

/* ---- definitions ---- */

static bool fail(char *why, size_t size, const char *name, const char *reason)
{
	snprintf(why, size, "pool %.200s: %s", name, reason);
	return false;
}

static bool in_use(const struct pool *p, char *why, size_t size, const char *what)
{
	if (!p->n_online)
		return false;
	snprintf(why, size, "pool %.200s: %u addresses are in use, it can't be %s", p->name,
		 p->n_online, what);
	return true;
}

bool memory_pool_define(struct pool_backend *b, const char *name, const char *addrs,
			const struct addr *dns, uint8_t n_dns, char *why, size_t size)
{
	struct pool *p = pool_find(b, name, true);
	struct addr first, last;

	if (!pool_range_parse(addrs, &first, &last) || addr_is_any(&first)) {
		snprintf(
			why, size,
			"pool %.200s: '%.100s' is not possible; expected a prefix (10.3.0.0/24) or "
			"a range (10.3.0.1-10.3.0.9)",
			name, addrs);
		return false;
	}
	if (p && (!addr_equal(&p->first, &first) || !addr_equal(&p->last, &last))) {
		if (in_use(p, why, size, "replaced"))
			return false;
		pool_free(b, p);
		p = NULL;
	}
	if (!p)
		p = pool_new(b, name, addrs, &first, &last);
	if (!p)
		return fail(why, size, name, "out of memory");
	p->named = true;
	p->n_dns = n_dns < VIP_DNS_MAX ? n_dns : VIP_DNS_MAX;
	memcpy(p->dns, dns, p->n_dns * sizeof(*dns));
	return true;
}

bool memory_pool_undefine(struct pool_backend *b, const char *name, char *why, size_t size)
{
	struct pool *p = pool_find(b, name, true);

	if (!p)
		return fail(why, size, name, "not found");
	if (in_use(p, why, size, "unloaded"))
		return false;
	pool_free(b, p);
	return true;
}

void memory_review_begin(struct pool_backend *b)
{
	struct pool *p;

	DL_FOREACH (b->pools, p)
		p->seen = false;
}

void memory_review_ref(struct pool_backend *b, const struct pool_ref *ref)
{
	struct pool *p = ref->kind == POOL_RANGE ? pool_of(b, ref, 0) : NULL;

	if (p)
		p->seen = true;
}

void memory_review_end(struct pool_backend *b)
{
	struct pool *p, *next;

	DL_FOREACH_SAFE (b->pools, p, next) {
		if (!p->seen && !p->named && !p->n_online)
			pool_free(b, p);
	}
}

/* ---- views ---- */

static const struct pool *pool_nth(const struct pool_backend *b, unsigned n)
{
	const struct pool *p;

	DL_FOREACH (b->pools, p) {
		if (n-- == 0)
			return p;
	}
	return NULL;
}

bool memory_pool_at(const struct pool_backend *b, unsigned n, struct memory_pool_view *out)
{
	const struct pool *p = pool_nth(b, n);

	if (!p)
		return false;
	*out = (struct memory_pool_view){
		.name = p->name,
		.base = p->base,
		.first = p->first,
		.last = p->last,
		.size = p->size,
		.online = p->n_online,
		.offline = HASH_CNT(hh, p->leases) - p->n_online,
		.named = p->named,
	};
	return true;
}

void memory_each_lease(const struct pool_backend *b, unsigned n,
		       void (*cb)(void *ctx, const struct memory_lease *lease), void *ctx)
{
	const struct pool *p = pool_nth(b, n);

	for (struct lease *l = p ? p->leases : NULL; l; l = l->hh.next) {
		struct memory_lease view = {
			.addr = l->addr, .identity = &l->identity, .online = l->online};

		cb(ctx, &view);
	}
}
