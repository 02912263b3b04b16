/* A node's address pools: the ones in memory, answering at once, late or never, and the books on
 * leases: each query has its own number and is released at most once. */
#include "tests/sim/sim_parts.h"

#include <stdlib.h>

struct sim_lease {
	UT_hash_handle hh;
	uint64_t id;
	bool released, answered;
	mono_time at;
	struct ike_lease lease;
};

static void on_answer(void *ctx, const struct pool_answer *answer)
{
	struct sim_lease *l;
	struct sim_node *n = ctx;

	HASH_FIND(hh, n->leases, &answer->id, sizeof(answer->id), l);
	if (!l)
		abort();
	memcpy(l->lease.addrs, answer->addrs, sizeof(l->lease.addrs));
	l->lease.n_dns = answer->n_dns;
	memcpy(l->lease.dns, answer->dns, sizeof(l->lease.dns));
}

void sim_pool_query(struct sim_node *n, const struct ike_output *o)
{
	const struct ike_lease_query *q = &o->lease_query;
	const struct pool_host host = {.ctx = n, .answer = on_answer};
	struct pool_request r = {.id = o->query,
				 .identity = q->identity,
				 .sole = q->sole,
				 .n = q->n,
				 .n_pools = q->n_pools,
				 .pools = q->pools};
	struct sim_lease *l;

	HASH_FIND(hh, n->leases, &r.id, sizeof(r.id), l);
	if (l) { /* by the next process */
		l->answered = false;
		sim_pool_answer(n);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!n->pools)
		n->pools = memory_new(&host);
	if (!l || !n->pools)
		abort();
	l->id = o->query;
	l->at = n->lease_delay == MONO_NEVER ? MONO_NEVER : n->sim->now + n->lease_delay;
	HASH_ADD(hh, n->leases, id, sizeof(l->id), l);
	n->lease_queries++;
	memcpy(r.wanted, q->wanted, sizeof(r.wanted));
	r.n_pools = n->no_leases ? 0 : r.n_pools;
	pool_memory.request(n->pools, &r);
	sim_pool_answer(n);
}

void sim_pool_release(struct sim_node *n, uint64_t id)
{
	struct sim_lease *l;

	HASH_FIND(hh, n->leases, &id, sizeof(id), l);
	n->lease_releases++;
	if (!l || l->released) {
		sim_fail(n->sim, "node%u: lease %llx is released %s", n->index,
			 (unsigned long long)id, l ? "twice" : "and was never asked for");
		return;
	}
	l->released = true;
	pool_memory.release(n->pools, id);
}

mono_time sim_pool_deadline(const struct sim_node *n)
{
	mono_time at = MONO_NEVER;

	for (const struct sim_lease *l = n->leases; l; l = l->hh.next) {
		if (!l->answered && !l->released && l->at < at)
			at = l->at;
	}
	return at;
}

void sim_pool_answer(struct sim_node *n)
{
	for (struct sim_lease *l = n->leases; l; l = l->hh.next) {
		if (l->answered || l->released || l->at > n->sim->now)
			continue;
		l->answered = true;
		ike_engine_lease(n->engine, l->id, &l->lease, n->sim->now);
	}
}

void sim_pool_forget(struct sim *s, unsigned node)
{
	struct sim_node *n = &s->nodes[node];

	sim_pool_free(n);
	n->pools = NULL;
	n->lease_queries = n->lease_releases = 0;
}

void sim_pool_free(struct sim_node *n)
{
	struct sim_lease *l, *next;

	HASH_ITER (hh, n->leases, l, next) {
		HASH_DELETE(hh, n->leases, l);
		free(l);
	}
	pool_memory.free(n->pools);
}
