/* rtnetlink calls for routes and rules: each builds one message (netlink_route_message.c)
 * and sends it (netlink.c). */
#include "lib/netlink_route.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#define SMALL 1024 /* a route with all its nexthops */

int netlink_route_add(struct netlink *nl, const struct netlink_route *r)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));

	return netlink_request(nl, netlink_build_route(buf, sizeof(buf), r, true));
}

/* Routes go with their device. */
int netlink_route_remove(struct netlink *nl, const struct netlink_route *r)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	int e = netlink_request(nl, netlink_build_route(buf, sizeof(buf), r, false));

	return e == -ESRCH || e == -ENODEV ? 0 : e;
}

int netlink_rule_add(struct netlink *nl, const struct netlink_rule *r)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	int e = netlink_request(nl, netlink_build_rule(buf, sizeof(buf), r, true));

	return e == -EEXIST ? 0 : e;
}

int netlink_rule_remove(struct netlink *nl, const struct netlink_rule *r)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	int e = netlink_request(nl, netlink_build_rule(buf, sizeof(buf), r, false));

	return e == -ENOENT ? 0 : e;
}

struct one_route {
	struct netlink_route *out;
	bool found;
};

static void take_one(void *ctx, const struct nlmsghdr *h)
{
	struct one_route *one = ctx;

	if (!one->found)
		one->found = netlink_parse_route(h, one->out);
}

int netlink_route_by(struct netlink *nl, const struct addr *dst, const struct addr *src,
		     int ifindex, struct netlink_route *out)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	struct one_route one = {.out = out};
	struct nlmsghdr *h = netlink_build_route_get(buf, sizeof(buf), dst, src, 0);
	int e;

	if (h && ifindex && !mnl_attr_put_u32_check(h, sizeof(buf), RTA_OIF, (uint32_t)ifindex))
		return -EMSGSIZE;
	e = netlink_query(nl, h, take_one, &one);
	return e == 0 && !one.found ? -ENETUNREACH : e;
}

int netlink_route_towards(struct netlink *nl, const struct addr *dst, const struct addr *src,
			  struct netlink_route *out)
{
	return netlink_route_by(nl, dst, src, 0, out);
}

uint32_t netlink_path_mtu(struct netlink *nl, const struct addr *dst, const struct addr *src,
			  int ifindex)
{
	struct netlink_route route;
	struct netlink_link link;

	if (netlink_route_by(nl, dst, src, ifindex, &route) != 0 || route.blackhole)
		return 0;
	if (route.mtu)
		return route.mtu;
	return netlink_link_get(nl, route.ifindex, &link) == 0 ? link.mtu : 0;
}

struct route_list {
	void (*cb)(void *ctx, const struct netlink_route *route);
	void *ctx;
};

static void take_each(void *ctx, const struct nlmsghdr *h)
{
	const struct route_list *list = ctx;
	struct netlink_route route;

	if (netlink_parse_route(h, &route))
		list->cb(list->ctx, &route);
}

int netlink_route_list(struct netlink *nl, uint8_t family,
		       void (*cb)(void *ctx, const struct netlink_route *route), void *ctx)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	struct route_list list = {.cb = cb, .ctx = ctx};

	return netlink_query(nl, netlink_build_route_dump(buf, sizeof(buf), family), take_each,
			     &list);
}

int netlink_route_list_of(struct netlink *nl, uint8_t family, uint32_t table, uint8_t protocol,
			  void (*cb)(void *ctx, const struct netlink_route *route), void *ctx)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	struct route_list list = {.cb = cb, .ctx = ctx};
	struct nlmsghdr *h = netlink_build_route_dump(buf, sizeof(buf), family);
	int e;

	if (!h || !mnl_attr_put_u32_check(h, sizeof(buf), RTA_TABLE, table))
		return -EMSGSIZE;
	((struct rtmsg *)mnl_nlmsg_get_payload(h))->rtm_protocol = protocol;
	e = netlink_query(nl, h, take_each, &list);
	return e == -ENOENT ? 0 : e; /* no such table */
}

struct rule_list {
	void (*cb)(void *ctx, const struct netlink_rule *rule);
	void *ctx;
};

static void take_rule(void *ctx, const struct nlmsghdr *h)
{
	const struct rule_list *list = ctx;
	struct netlink_rule rule;

	if (netlink_parse_rule(h, &rule))
		list->cb(list->ctx, &rule);
}

int netlink_rule_list(struct netlink *nl, uint8_t family,
		      void (*cb)(void *ctx, const struct netlink_rule *rule), void *ctx)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	struct rule_list list = {.cb = cb, .ctx = ctx};

	return netlink_query(nl, netlink_build_rule_dump(buf, sizeof(buf), family), take_rule,
			     &list);
}
