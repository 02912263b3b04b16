/* Pools in memory. An identity keeps its address when it goes, until all others are taken; then
 * that of whoever is away for longest goes to someone else. Addresses are given in their
 * order. What was never given takes no memory, however large the pool. */
#ifndef DETOUR_MEMORY_H
#define DETOUR_MEMORY_H

#include "ipsecd/pool/pool.h"

/* Leases that one pool remembers; beyond it the oldest that are not in use go. */
#define MEMORY_LEASES_MAX 65536

struct memory_lease {
	struct addr addr;
	const struct id *identity;
	unsigned online; /* how many requests hold it */
};

struct memory_pool_view {
	const char *name;
	struct addr base, first, last; /* base: as it was written */
	uint64_t size;		       /* UINT64_MAX: that many or more */
	unsigned online, offline;
	bool named; /* by memory_pool_define */
};

extern const struct pool_ops pool_memory;

struct pool_backend *memory_new(const struct pool_host *host); /* NULL: no memory */

/* A pool with a name, as text like "10.3.0.0/24". One of the same name and the same addresses
 * only gets other name servers; one with other addresses is replaced if nobody has a lease.
 * Else false and why. */
bool memory_pool_define(struct pool_backend *b, const char *name, const char *addrs,
			const struct addr *dns, uint8_t n_dns, char *why, size_t size);
bool memory_pool_undefine(struct pool_backend *b, const char *name, char *why, size_t size);
/* Pools that are known by their range come with the first reference to them. In a row: begin, each
 * reference that exists, end: those that nobody named are gone when they have no leases. */
void memory_review_begin(struct pool_backend *b);
void memory_review_ref(struct pool_backend *b, const struct pool_ref *ref);
void memory_review_end(struct pool_backend *b);

/* The n-th pool by age; false behind the last. */
bool memory_pool_at(const struct pool_backend *b, unsigned n, struct memory_pool_view *out);
/* The leases of the n-th pool, in the order in which they were given. */
void memory_each_lease(const struct pool_backend *b, unsigned n,
		       void (*cb)(void *ctx, const struct memory_lease *lease), void *ctx);

#endif
