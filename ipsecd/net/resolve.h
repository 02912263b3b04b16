/* Names to addresses without blocking (c-ares on the libev loop). */
#ifndef DETOUR_RESOLVE_H
#define DETOUR_RESOLVE_H

#include "lib/addr.h"

#define RESOLVE_MAX 8

struct ev_loop;
struct resolver;

/* n == 0: the name has no address now; `why` says so in words. */
typedef void resolve_done(void *ctx, uint64_t query, unsigned n, const struct addr *addrs,
			  const char *why);

struct resolver *resolver_new(struct ev_loop *loop, resolve_done *done, void *ctx);
void resolver_free(struct resolver *r); /* open queries end without a call */
/* family 0: either. The answer comes by `done`, for numeric addresses before the return. */
void resolver_query(struct resolver *r, uint64_t query, const char *name, int family);

#endif
