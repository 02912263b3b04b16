/* Virtual addresses in a configuration: what an initiator asks for, and where a responder takes
 * them from. Plain data; the pools themselves are in ipsecd/pool/. */
#ifndef DETOUR_VIP_H
#define DETOUR_VIP_H

#include "lib/addr.h"

#define VIPS_MAX      4 /* virtual addresses of one IKE_SA */
#define VIP_DNS_MAX   4
#define POOL_REFS_MAX 8

enum pool_kind {
	POOL_RANGE,  /* first..last; conns with the same range share one pool */
	POOL_NAMED,  /* "%name": one that was loaded by name, or a conn's ranges */
	POOL_CLIENT, /* "%config": what the peer asks for, if no other peer has it */
};

struct pool_ref {
	enum pool_kind kind;
	char *name;		 /* NAMED: without '%'; RANGE: as written, the pool's name; owned */
	struct addr first, last; /* RANGE; CLIENT: first.family limits it, 0: either family */
};

/* The addresses that "10.3.0.0/24" (without network and broadcast address), "10.3.0.9/24" (from
 * there on), "10.3.0.1-10.3.0.9" or a single address name. */
bool pool_range_parse(const char *text, struct addr *first, struct addr *last);
/* A range, "%config", "%config4", "%config6" (and the %modeconfig and %modecfg of older files),
 * "%name". The name is the caller's to free. false: none of these, or no memory. */
bool pool_ref_parse(const char *text, struct pool_ref *out);
/* Empty for a failed copy: no memory. */
bool pool_ref_copy(struct pool_ref *to, const struct pool_ref *from);
void pool_ref_clear(struct pool_ref *p);
bool pool_ref_equal(const struct pool_ref *a, const struct pool_ref *b);
/* As it is written in a configuration. */
const char *pool_ref_format(const struct pool_ref *p, char *text, size_t size);

/* What to ask a peer for: "%config" (family 0: the outer path's), "%config4", "%config6",
 * "0.0.0.0", "::" (any of that family), or an address. */
bool vip_parse(const char *text, struct addr *out);

/* An address that a host may have inside a tunnel: not any, multicast, broadcast or loopback. */
bool vip_usable(const struct addr *a);

/* n addresses are the same ones in the same order. */
bool addrs_equal(const struct addr *a, unsigned na, const struct addr *b, unsigned nb);
bool addrs_have(const struct addr *list, unsigned n, const struct addr *a);

#endif
