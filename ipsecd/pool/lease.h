/* The inside of the pools in memory: leases of one pool, by address and by identity, and the ways
 * to choose one. */
#ifndef DETOUR_LEASE_H
#define DETOUR_LEASE_H

#include "ipsecd/pool/memory.h"
#include "lib/hash.h"

#include <utlist.h>

/* An address that is or was given to somebody. */
struct lease {
	UT_hash_handle hh; /* by address */
	struct addr addr;
	struct id identity;
	unsigned online;
	struct lease *away_prev, *away_next; /* online 0: of pool->away */
	struct lease *id_prev, *id_next;     /* the same identity's others, oldest first */
	struct pool *pool;
};

/* All leases of one identity in one pool. */
struct holder {
	UT_hash_handle hh; /* by identity */
	struct id identity;
	struct lease *leases; /* utlist by id_prev, id_next */
};

struct pool {
	struct pool *prev, *next;
	char *name;
	bool named, client, seen;
	struct addr base; /* as it was written: the network's address, or the first of a range */
	struct addr first, last;
	uint64_t size;
	struct addr fresh;	/* all before it have a lease; family 0: all have one */
	struct lease *leases;	/* uthash, in the order of giving */
	struct holder *holders; /* uthash */
	struct lease *away;	/* utlist: those not in use, who is away for longest first */
	unsigned n_online;
	uint8_t n_dns;
	struct addr dns[VIP_DNS_MAX];
};

/* What a request holds. */
struct grant {
	UT_hash_handle hh; /* by request */
	uint64_t id;
	bool sole;
	uint8_t n;
	struct lease *leases[VIPS_MAX];
};

struct choice {
	const struct pool_request *request;
	const struct id *identity;
	const struct grant *grant; /* what this request has already */
	const struct addr *wanted;
	const struct pool *all; /* ranges may overlap */
};

/* last - first + 1; UINT64_MAX: that many or more */
uint64_t range_size(const struct addr *first, const struct addr *last);

/* Each looks for an address for this identity; NULL: there is none. */
typedef struct lease *taker(struct pool *p, const struct choice *c);
taker lease_wished; /* the address that is wished for, if it is free or this identity's */
taker lease_own;    /* what this identity has or had */
taker lease_fresh;  /* what is kept for nobody */
taker lease_old;    /* somebody else's, who is away */

void lease_drop(struct pool *p, struct lease *l);
/* Of the addresses that the identity of l does not use at present, only the VIPS_MAX last ones are
 * kept for it. */
void lease_forget_surplus(struct pool *p, const struct lease *l);

#endif
