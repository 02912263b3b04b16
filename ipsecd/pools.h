/* Between the engine, which asks for virtual addresses, and the pools that have them. Pools come
 * from connections (rightsourceip=, pools=) and from vici's load-pool; a connection's name
 * is also the name of its pools. */
#ifndef DETOUR_POOLS_H
#define DETOUR_POOLS_H

#include "ipsecd/ike/engine.h"
#include "ipsecd/pool/memory.h"

struct pools;

struct pools_host {
	void *ctx;
	void (*answer)(void *ctx, uint64_t query, const struct ike_lease *lease);
	const struct ike_engine *engine; /* looked at for conns of that name */
	const struct log_sink *log;
};

struct pools *pools_new(const struct pools_host *host);
void pools_free(struct pools *p);
/* IKE_OUTPUT_QUERY_LEASE, IKE_OUTPUT_LEASE_RELEASE. */
void pools_query(struct pools *p, const struct ike_output *query);
void pools_release(struct pools *p, uint64_t query);
/* What a peer has from a former process of ours: it holds it again, under the same number. */
void pools_hold(struct pools *p, const struct ike_lease_info *lease);
/* Connections came or went: pools that none of them names go, when nobody has an address,
 * before anybody asks for one or looks. */
void pools_review(struct pools *p);
/* What people call a pool: its own name, or that of the first connection with this range (with
 * "-2" behind it for its second range, and so on). Names of ranges have dots, and swanctl reads
 * dots in names as paths. */
const char *pools_label(const struct pools *p, const struct memory_pool_view *v, char *text,
			size_t size);
/* For looking and for load-pool. */
struct pool_backend *pools_memory(struct pools *p);

#endif
