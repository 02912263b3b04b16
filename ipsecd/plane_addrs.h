/* Addresses that ike has plane set on devices of this machine: what was there before stays, and
 * none but these is taken away. Which they are outlives plane, in a memfd that somebody else keeps:
 * the kernel tells whose an address is since Linux 5.18 alone (IFA_PROTO). */
#ifndef DETOUR_PLANE_ADDRS_H
#define DETOUR_PLANE_ADDRS_H

#include "ipsecd/state/memfd.h"
#include "lib/log.h"
#include "lib/netlink.h"

#define PLANE_ADDRS_MAX	   65536
#define PLANE_ADDRS_MEMORY 4096 /* bytes of the memfd at first */

struct plane_addrs;

/* `memory`: taken, with what a former plane had; NULL: nothing outlives us. All of them are
 * unclaimed. NULL: no memory. */
struct plane_addrs *plane_addrs_new(struct netlink *nl, const struct memfd *memory,
				    const struct log_sink *log);
void plane_addrs_free(struct plane_addrs *p); /* what is in the kernel stays */

bool plane_addrs_has(const struct plane_addrs *p, const char *device, const struct prefix *prefix);
/* 0 or -errno. Where it is there already and not ours it stays somebody else's: 0. */
int plane_addrs_add(struct plane_addrs *p, const char *device, const struct prefix *prefix);
/* Only of one that plane_addrs_has. It is not ours any more, whatever this returns. */
int plane_addrs_remove(struct plane_addrs *p, const char *device, const struct prefix *prefix);

/* A new ike: nothing is claimed until it is added again; what is not goes when it has settled. */
void plane_addrs_unclaim(struct plane_addrs *p);
void plane_addrs_settle(struct plane_addrs *p);

#endif
