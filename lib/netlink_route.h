/* rtnetlink for routes and routing rules: what install_routes= needs, and the kernel's
 * answer to "how would you reach this address" (source, device, path MTU). Builders and
 * parsers are pure, as in netlink.h. */
#ifndef DETOUR_NETLINK_ROUTE_H
#define DETOUR_NETLINK_ROUTE_H

#include "lib/netlink.h"

#define NETLINK_NEXTHOPS_MAX 8

struct netlink_nexthop {
	int ifindex;
	struct addr gateway; /* family 0: none; may be of the other family */
	uint16_t weight;     /* 1..256; 0 as 1 */
	bool onlink;
};

struct netlink_route {
	struct prefix dst;
	struct addr source;  /* preferred; family 0: none */
	struct addr gateway; /* parsed only; may be of the other family */
	uint8_t n_nexthops;  /* instead of ifindex; parsed where it has several */
	struct netlink_nexthop nexthops[NETLINK_NEXTHOPS_MAX];
	int ifindex; /* 0: none (blackhole, throws) */
	uint32_t table, metric;
	bool blackhole;
	bool throws;	  /* the next table is asked: no route of this one */
	bool exclusive;	  /* built only: adding fails where one like it is there */
	uint8_t protocol; /* RTPROT_* */
	uint32_t mtu;	  /* 0: the device's */
};

struct netlink_rule {
	uint8_t family;
	uint32_t table, priority;
	uint8_t protocol;      /* RTPROT_*, 0: none */
	char iif[IF_NAMESIZE]; /* "": of packets from everywhere */
};

struct nlmsghdr *netlink_build_route(void *buf, size_t size, const struct netlink_route *r,
				     bool add); /* add: replaces one like it */
struct nlmsghdr *netlink_build_route_get(void *buf, size_t size, const struct addr *dst,
					 const struct addr *src, uint32_t mark);
struct nlmsghdr *netlink_build_route_dump(void *buf, size_t size, uint8_t family);
struct nlmsghdr *netlink_build_rule(void *buf, size_t size, const struct netlink_rule *r, bool add);
struct nlmsghdr *netlink_build_rule_dump(void *buf, size_t size, uint8_t family);
bool netlink_parse_route(const struct nlmsghdr *h, struct netlink_route *out);
bool netlink_parse_rule(const struct nlmsghdr *h, struct netlink_rule *out);

/* 0 or -errno. Adding what is there, or removing what is not, is 0. */
int netlink_route_add(struct netlink *nl, const struct netlink_route *r);
int netlink_route_remove(struct netlink *nl, const struct netlink_route *r);
int netlink_rule_add(struct netlink *nl, const struct netlink_rule *r);
int netlink_rule_remove(struct netlink *nl, const struct netlink_rule *r);
/* The route towards dst; src family 0: any source. */
int netlink_route_towards(struct netlink *nl, const struct addr *dst, const struct addr *src,
			  struct netlink_route *out);
/* The same, by this device or the VRF that it is; 0: any. */
int netlink_route_by(struct netlink *nl, const struct addr *dst, const struct addr *src,
		     int ifindex, struct netlink_route *out);
/* The MTU of that path: the route's metric or cached path MTU, else the device's. 0: no route. */
uint32_t netlink_path_mtu(struct netlink *nl, const struct addr *dst, const struct addr *src,
			  int ifindex);
int netlink_route_list(struct netlink *nl, uint8_t family,
		       void (*cb)(void *ctx, const struct netlink_route *route), void *ctx);

/* Those of one table and protocol alone; needs netlink_set_strict. */
int netlink_route_list_of(struct netlink *nl, uint8_t family, uint32_t table, uint8_t protocol,
			  void (*cb)(void *ctx, const struct netlink_route *route), void *ctx);

int netlink_rule_list(struct netlink *nl, uint8_t family,
		      void (*cb)(void *ctx, const struct netlink_rule *rule), void *ctx);

#endif
