/* The kernel's IPsec over NETLINK_XFRM: states and policies are set, removed and listed by
 * messages of xfrm_msg.h, one round trip each; sockets of IKE are exempted; the namespace's
 * drop statistics are read. Keeps nothing but what it is handed. Errors are negative errno
 * values, netlink_strerror has words. */
#ifndef DETOUR_XFRM_H
#define DETOUR_XFRM_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/dataplane/xfrm_msg.h"

struct netlink;

int xfrm_state_add(struct netlink *nl, const struct xfrm_state *s);
/* Ports of the encapsulation, limits: of a state that is there. */
int xfrm_state_update(struct netlink *nl, const struct xfrm_state *s);
int xfrm_state_remove(struct netlink *nl, const struct addr *dst, uint32_t spi,
		      const struct xfrm_tag *tag);
/* -ESRCH: none. */
int xfrm_state_read(struct netlink *nl, const struct addr *dst, uint32_t spi,
		    const struct xfrm_tag *tag, struct xfrm_state_info *out);
int xfrm_state_list(struct netlink *nl, void (*cb)(void *ctx, const struct xfrm_state_info *s),
		    void *ctx);
/* May outbound states be for one processor? Tried with nothing made. */
bool xfrm_has_cpus(struct netlink *nl);
/* Ends the state that an acquire left, so that the next packet makes an acquire again. */
int xfrm_larval_remove(struct netlink *nl, const struct xfrm_policy *acquired, uint32_t spi);

/* Adds, or replaces the one of the same direction, selectors and tag. */
int xfrm_policy_set(struct netlink *nl, const struct xfrm_policy *p);
int xfrm_policy_remove(struct netlink *nl, const struct xfrm_policy *p);
int xfrm_policy_list(struct netlink *nl, void (*cb)(void *ctx, const struct xfrm_policy *p),
		     void *ctx);

/* The datagrams of this UDP socket pass every policy. */
bool xfrm_socket_bypass(int fd, uint8_t family);
/* ESP that comes by this UDP socket is the kernel's (RFC 3948). */
bool xfrm_socket_encap(int fd);

/* Drops of this namespace since it was made, by the seam's counters. `fd`: /proc/net/xfrm_stat. */
int xfrm_stat_open(void); /* -1: the kernel has none */
void xfrm_stat_read(int fd, uint64_t drops[DROP_COUNTERS]);

#endif
