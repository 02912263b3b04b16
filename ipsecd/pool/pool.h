/* Address pools: the seam between those who need virtual addresses and those who have them. A
 * back end may answer at once or later, from memory, a database or a server; whoever asks
 * knows pools by name only.
 *
 * Each request has a number. It is answered once, and released once, when its addresses are
 * not in use any more; a release before the answer withdraws it, and no answer follows. */
#ifndef DETOUR_POOL_H
#define DETOUR_POOL_H

#include "ipsecd/model/id.h"
#include "ipsecd/model/vip.h"

struct pool_request {
	uint64_t id;
	struct id identity; /* the same one gets its old addresses again */
	bool sole;	    /* ... also while they are in use: it is one peer */
	uint8_t n;
	struct addr wanted[VIPS_MAX]; /* any of a family, or this one if possible */
	uint8_t n_pools;
	const struct pool_ref *pools; /* in the order of preference; valid during the call */
};

struct pool_answer {
	uint64_t id;
	struct addr addrs[VIPS_MAX]; /* for wanted[i]; family 0: none */
	uint8_t n_dns;
	struct addr dns[VIP_DNS_MAX]; /* of the pools that gave one */
};

struct pool_host {
	void *ctx;
	void (*answer)(void *ctx, const struct pool_answer *answer);
};

struct pool_backend;

struct pool_ops {
	const char *name;
	void (*request)(struct pool_backend *b, const struct pool_request *request);
	void (*release)(struct pool_backend *b, uint64_t id);
	void (*free)(struct pool_backend *b);
};

#endif
