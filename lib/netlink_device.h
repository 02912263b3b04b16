/* rtnetlink for tunnel devices of the kernel: vti, vti6 and xfrm interfaces are made,
 * changed, read back and removed. Builders and parsers are pure, as in netlink.h; the
 * calls below send what they build over a struct netlink. */
#ifndef DETOUR_NETLINK_DEVICE_H
#define DETOUR_NETLINK_DEVICE_H

#include "lib/netlink.h"

#define NETLINK_ALIAS_MAX 255

enum netlink_device_kind {
	NETLINK_DEVICE_OTHER,
	NETLINK_DEVICE_VTI,  /* IPv4 outside */
	NETLINK_DEVICE_VTI6, /* IPv6 outside */
	NETLINK_DEVICE_XFRM,
};

struct netlink_device {
	enum netlink_device_kind kind;
	char name[IF_NAMESIZE];
	struct addr local, remote;	   /* vti*: outer; family 0: any */
	uint32_t ikey, okey;		   /* vti* */
	uint32_t if_id;			   /* xfrm */
	int link;			   /* lower device, 0: none */
	char alias[NETLINK_ALIAS_MAX + 1]; /* "" none */
};

const char *netlink_device_kind_name(enum netlink_device_kind k); /* "vti", ... "" */

/* RTM_NEWLINK, exclusive: fails with -EEXIST where the name or (vti) the endpoints are taken.
 * Down; linkmode and operstate DORMANT where `dormant`. */
struct nlmsghdr *netlink_build_device_add(void *buf, size_t size, const struct netlink_device *d,
					  bool dormant);
/* New endpoints or keys of a vti that is there; ifindex and name stay. */
struct nlmsghdr *netlink_build_device_change(void *buf, size_t size, int ifindex,
					     const struct netlink_device *d);
struct nlmsghdr *netlink_build_link_del(void *buf, size_t size, int ifindex);
struct nlmsghdr *netlink_build_link_alias(void *buf, size_t size, int ifindex, const char *alias);
/* From any RTM_NEWLINK: kind OTHER for what is none of the three. false: malformed, or
 * another message. */
bool netlink_parse_device(const struct nlmsghdr *h, struct netlink_device *out);

/* 0 or -errno; netlink_strerror has words. */
int netlink_device_add(struct netlink *nl, const struct netlink_device *d, bool dormant,
		       int *ifindex);
int netlink_device_change(struct netlink *nl, int ifindex, const struct netlink_device *d);
int netlink_link_del(struct netlink *nl, int ifindex);
int netlink_link_set_alias(struct netlink *nl, int ifindex, const char *alias);
int netlink_device_get(struct netlink *nl, int ifindex, struct netlink_device *out);
/* Calls back for every link of this namespace. */
int netlink_device_list(struct netlink *nl,
			void (*cb)(void *ctx, const struct netlink_link *link,
				   const struct netlink_device *device),
			void *ctx);

#endif
