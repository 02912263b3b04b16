/* Netlink over libmnl; here rtnetlink's links and addresses, beside it netlink_device.h and
 * netlink_route.h. Three layers, each usable alone:
 *
 *  - builders fill a buffer of the caller with one message, parsers read one back:
 *    pure, so that tests check what would be sent without a kernel;
 *  - struct netlink, a socket for requests: each call sends one message and waits for
 *    the kernel's answer (which is there when send returns). Errors are negative
 *    errno values, netlink_strerror gives the kernel's own words when it had some;
 *  - struct netlink_monitor, a non-blocking socket that is told of changes.
 *
 * All of it works in the network namespace in which the socket was opened. Not
 * thread-safe; open one per thread. */
#ifndef DETOUR_NETLINK_H
#define DETOUR_NETLINK_H

#include "lib/addr.h"

#include <linux/netlink.h>
#include <net/if.h>

#define NETLINK_BUFFER 8192 /* enough for any message built or asked for here */

/* ---- messages ---- */

struct netlink_link {
	int ifindex;
	char name[IF_NAMESIZE];
	char kind[16];	   /* "tun", "veth", ...; "" for hardware and lo */
	unsigned flags;	   /* IFF_UP, IFF_LOWER_UP, ... */
	uint8_t operstate; /* IF_OPER_* (RFC 2863) */
	uint8_t linkmode;  /* IF_LINK_MODE_* */
	uint32_t mtu;
	int master;	    /* ifindex of the bridge or VRF that it belongs to; 0: none */
	uint32_t vrf_table; /* of a VRF device; else 0 */
	bool removed;	    /* RTM_DELLINK */
};

struct netlink_addr {
	int ifindex;
	struct prefix prefix; /* the own address, with host bits */
	uint8_t scope;
	uint32_t flags;	  /* IFA_F_* */
	uint8_t protocol; /* of who added it, 0: it did not say */
	bool removed;	  /* RTM_DELADDR */
};

/* What to change of a link; fields whose `set_` is false are left out of the message. */
struct netlink_link_change {
	bool set_up, up;
	bool set_mtu;
	uint32_t mtu;
	bool set_linkmode;
	uint8_t linkmode;
	bool set_operstate;
	uint8_t operstate;
	bool set_txqlen;
	uint32_t txqlen; /* packets */
	bool set_ipv4;	 /* what /proc/sys/net/ipv4/conf/DEVICE has, too */
	uint32_t rp_filter, promote_secondaries;
};

/* Builders write into `buf` (size bytes, aligned as malloc does) and return the
 * message, or NULL when it does not fit. */
/* What each of them begins with: a header of this type and flags (NLM_F_REQUEST is implied),
 * and `extra` zero bytes of the family's own header behind it. */
struct nlmsghdr *netlink_build_start(void *buf, size_t size, size_t extra, uint16_t type,
				     uint16_t flags);
struct nlmsghdr *netlink_build_link_change(void *buf, size_t size, int ifindex,
					   const struct netlink_link_change *change);
/* The root qdisc of a link, in the place of whichever it has. */
struct nlmsghdr *netlink_build_qdisc(void *buf, size_t size, int ifindex, const char *kind);
/* By ifindex, or by name when ifindex is 0; both empty: a dump of all. */
struct nlmsghdr *netlink_build_link_get(void *buf, size_t size, int ifindex, const char *name);
/* add: replaces one that is there already; IPv6 without duplicate address detection. */
struct nlmsghdr *netlink_build_addr(void *buf, size_t size, int ifindex,
				    const struct prefix *prefix, bool add);
/* ifindex: of the one link (netlink_set_strict); 0: all. */
struct nlmsghdr *netlink_build_addr_dump(void *buf, size_t size, int ifindex);

/* false: another kind of message, or a malformed one. */
bool netlink_parse_link(const struct nlmsghdr *h, struct netlink_link *out);
bool netlink_parse_addr(const struct nlmsghdr *h, struct netlink_addr *out);

/* ---- requests ---- */

struct netlink;

struct netlink *netlink_open(void); /* rtnetlink; NULL: errno says why */
/* Any family's (NETLINK_XFRM, NETLINK_NETFILTER): requests and answers work the same way. */
struct netlink *netlink_open_protocol(int protocol);
/* Whether the kernel takes what a dump asks for at its word, and tells that alone (since Linux
 * 4.20); false: it cannot. Off at first. */
bool netlink_set_strict(struct netlink *nl, bool on);
void netlink_close(struct netlink *nl);
/* What changes that this socket makes are told with, to monitors (nlmsg_pid). */
uint32_t netlink_port(const struct netlink *nl);
/* Sends a built message and waits for the acknowledgement: 0 or -errno. */
int netlink_request(struct netlink *nl, struct nlmsghdr *h);
/* Sends a built get or dump; `cb` sees each answer once all of them are there: a dump that
 * changed while it was read is read again before (-EAGAIN when it never stood still), and
 * `cb` may ask for more on the same socket. Nothing is told of an answer that ended in an
 * error. 0 or -errno. */
int netlink_query(struct netlink *nl, struct nlmsghdr *h,
		  void (*cb)(void *ctx, const struct nlmsghdr *answer), void *ctx);
/* Sends messages that lie one behind the other, together: a transaction where the family has
 * them (nf_tables), which answers them all before this returns. The first error, or 0. */
int netlink_batch(struct netlink *nl, void *messages, size_t len);
/* The same for families that carry each out by itself; *at counts the messages before the one
 * that was refused. */
int netlink_batch_at(struct netlink *nl, void *messages, size_t len, unsigned *at);
/* While this is on, what these two are given waits and counts as done. It goes out, several of them
 * together, where no more fits, before anything else is asked, and by netlink_send_held. */
void netlink_hold(struct netlink *nl, bool on);
/* The first error of what waited since the last call, whenever it went out, or 0. */
int netlink_send_held(struct netlink *nl);
/* Words for what the last call of this socket returned. */
const char *netlink_strerror(const struct netlink *nl, int error);

/* Of the link of this name, or -errno; without a message of a kilobyte and more. */
int netlink_ifindex(const struct netlink *nl, const char *name);
/* -ENODEV when there is none. */
int netlink_link_get(struct netlink *nl, int ifindex, struct netlink_link *out);
int netlink_link_find(struct netlink *nl, const char *name, struct netlink_link *out);
int netlink_link_list(struct netlink *nl, void (*cb)(void *ctx, const struct netlink_link *link),
		      void *ctx);
int netlink_link_change(struct netlink *nl, int ifindex, const struct netlink_link_change *change);
int netlink_link_set_up(struct netlink *nl, int ifindex, bool up);
int netlink_link_set_mtu(struct netlink *nl, int ifindex, uint32_t mtu);
int netlink_link_set_linkmode(struct netlink *nl, int ifindex, uint8_t linkmode);
int netlink_link_set_operstate(struct netlink *nl, int ifindex, uint8_t operstate);
int netlink_addr_add(struct netlink *nl, int ifindex, const struct prefix *prefix);
/* The same, with the protocol (RTPROT_*) that netlink_addr_list tells; Linux before 5.18 forgets
 * it. */
int netlink_addr_add_as(struct netlink *nl, int ifindex, const struct prefix *prefix,
			uint8_t protocol);
/* The same, -EEXIST where it is there already; IPv6: with whatever length. */
int netlink_addr_add_new(struct netlink *nl, int ifindex, const struct prefix *prefix,
			 uint8_t protocol);
int netlink_addr_remove(struct netlink *nl, int ifindex, const struct prefix *prefix);
/* Calls back for each address of the link (of all links when ifindex is 0). */
int netlink_addr_list(struct netlink *nl, int ifindex,
		      void (*cb)(void *ctx, const struct netlink_addr *addr), void *ctx);

/* ---- changes ---- */

struct netlink_monitor;

struct netlink_monitor_host {
	void (*link)(void *ctx, const struct netlink_link *link); /* NULL: not subscribed */
	void (*addr)(void *ctx, const struct netlink_addr *addr); /* NULL: not subscribed */
	/* Messages were lost (the queue was full, or the kernel had no memory for them): look at
	 * everything anew. */
	void (*lost)(void *ctx);
	void *ctx;
};

struct netlink_monitor *netlink_monitor_open(const struct netlink_monitor_host *host);
/* Any family's multicast groups (numbers as the kernel's *NLGRP_*, ended by 0): each
 * message goes to `message`; `lost` may be NULL. */
struct netlink_monitor *netlink_monitor_open_protocol(int protocol, const unsigned *groups,
						      void (*message)(void *ctx,
								      const struct nlmsghdr *h),
						      void (*lost)(void *ctx), void *ctx);
void netlink_monitor_close(struct netlink_monitor *m);
int netlink_monitor_fd(const struct netlink_monitor *m); /* readable: call netlink_monitor_read */
/* Reads until nothing is left. 0 or -errno (the socket is broken). */
int netlink_monitor_read(struct netlink_monitor *m);

#endif
