/* Which pools a query means, and the way to them and back. */
#include "ipsecd/pools.h"

#include <stdio.h>
#include <stdlib.h>

struct pools {
	struct pools_host host;
	struct pool_backend *memory;
	const struct ike_lease_info *held; /* during pools_hold */
	bool due;			   /* pools_review */
};

/* An address that is not to be had again (its pool is another one by now) stays the peer's; it
 * is only not ours to give. */
static void hold_answered(const struct pools *p, const struct pool_answer *answer)
{
	char text[ADDR_TEXT];

	for (unsigned i = 0; i < p->held->n; i++) {
		if (!addr_equal(&answer->addrs[i], &p->held->addrs[i]))
			log_to(p->host.log, LOG_LEVEL_WARN, "pool", p->held->conn->name,
			       "%s of a peer is in none of its pools any more",
			       addr_format(&p->held->addrs[i], text));
	}
}

static void on_answer(void *ctx, const struct pool_answer *answer)
{
	struct ike_lease lease = {.n_dns = answer->n_dns};
	struct pools *p = ctx;

	if (p->held) {
		hold_answered(p, answer);
		return;
	}
	memcpy(lease.addrs, answer->addrs, sizeof(lease.addrs));
	memcpy(lease.dns, answer->dns, sizeof(lease.dns));
	p->host.answer(p->host.ctx, answer->id, &lease);
}

struct pools *pools_new(const struct pools_host *host)
{
	struct pools *p = calloc(1, sizeof(*p));
	struct pool_host own = {.ctx = p, .answer = on_answer};

	if (!p)
		return NULL;
	p->host = *host;
	p->memory = memory_new(&own);
	if (p->memory)
		return p;
	free(p);
	return NULL;
}

static void review(struct pools *p)
{
	const struct conn *conn;

	if (!p->due)
		return;
	p->due = false;
	memory_review_begin(p->memory);
	for (unsigned n = 0; (conn = ike_engine_conn(p->host.engine, n)) != NULL; n++) {
		for (unsigned i = 0; i < conn->n_pools; i++)
			memory_review_ref(p->memory, &conn->pools[i]);
	}
	memory_review_end(p->memory);
}

void pools_free(struct pools *p)
{
	if (!p)
		return;
	pool_memory.free(p->memory);
	free(p);
}

struct pool_backend *pools_memory(struct pools *p)
{
	review(p);
	return p->memory;
}

/* ---- names ---- */

static bool loaded(const struct pools *p, const char *name)
{
	struct memory_pool_view v;

	for (unsigned i = 0; memory_pool_at(p->memory, i, &v); i++) {
		if (v.named && strcmp(v.name, name) == 0)
			return true;
	}
	return false;
}

struct refs {
	unsigned n;
	struct pool_ref list[POOL_REFS_MAX]; /* borrowed names */
};

static void add(struct refs *refs, const struct pool_ref *ref)
{
	if (refs->n < POOL_REFS_MAX)
		refs->list[refs->n++] = *ref;
}

/* A name is that of a pool that was loaded, else of a connection and of all its ranges. */
static void add_named(struct pools *p, const char *conn_name, const struct pool_ref *ref,
		      struct refs *refs)
{
	const struct conn *conn;
	unsigned before = refs->n;

	if (loaded(p, ref->name)) {
		add(refs, ref);
		return;
	}
	conn = ike_engine_conn_named(p->host.engine, ref->name);
	for (unsigned i = 0; conn && i < conn->n_pools; i++) {
		if (conn->pools[i].kind == POOL_RANGE)
			add(refs, &conn->pools[i]);
	}
	if (refs->n == before)
		log_to(p->host.log, LOG_LEVEL_WARN, "pool", conn_name,
		       "no pool and no connection with a pool is called '%s'", ref->name);
}

static void request(struct pools *p, const char *conn, const struct pool_ref *pools, unsigned n,
		    struct pool_request *r)
{
	struct refs refs = {0};

	for (unsigned i = 0; i < n; i++) {
		if (pools[i].kind == POOL_NAMED)
			add_named(p, conn, &pools[i], &refs);
		else
			add(&refs, &pools[i]);
	}
	review(p);
	r->pools = refs.list;
	r->n_pools = (uint8_t)refs.n;
	pool_memory.request(p->memory, r);
}

void pools_query(struct pools *p, const struct ike_output *query)
{
	const struct ike_lease_query *q = &query->lease_query;
	struct pool_request r = {
		.id = query->query, .identity = q->identity, .sole = q->sole, .n = q->n};

	memcpy(r.wanted, q->wanted, sizeof(r.wanted));
	request(p, query->conn, q->pools, q->n_pools, &r);
}

void pools_hold(struct pools *p, const struct ike_lease_info *lease)
{
	struct pool_request r = {.id = lease->query, .identity = *lease->identity, .sole = true};

	for (; r.n < lease->n && r.n < VIPS_MAX; r.n++)
		r.wanted[r.n] = lease->addrs[r.n];
	p->held = lease;
	request(p, lease->conn->name, lease->conn->pools, lease->conn->n_pools, &r);
	p->held = NULL;
}

void pools_release(struct pools *p, uint64_t query)
{
	pool_memory.release(p->memory, query);
}

/* When somebody looks next: with thousands of connections a reload would do little else. */
void pools_review(struct pools *p)
{
	p->due = true;
}

static bool label_of(const struct conn *conn, const char *range, char *text, size_t size)
{
	unsigned nth = 0;

	for (unsigned i = 0; i < conn->n_pools; i++) {
		if (conn->pools[i].kind != POOL_RANGE)
			continue;
		nth++;
		if (strcmp(conn->pools[i].name, range) != 0)
			continue;
		if (nth == 1)
			snprintf(text, size, "%s", conn->name);
		else
			snprintf(text, size, "%s-%u", conn->name, nth);
		return true;
	}
	return false;
}

const char *pools_label(const struct pools *p, const struct memory_pool_view *v, char *text,
			size_t size)
{
	const struct conn *conn;

	snprintf(text, size, "%s", v->name);
	for (unsigned n = 0; !v->named; n++) {
		conn = ike_engine_conn(p->host.engine, n);
		if (!conn || label_of(conn, v->name, text, size))
			break;
	}
	return text;
}
