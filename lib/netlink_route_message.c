/* rtnetlink messages of routes and rules: build and parse, pure. */
#include "lib/netlink_route.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

/* ---- building ---- */

static bool put_addr(struct nlmsghdr *h, size_t size, uint16_t type, const struct addr *a)
{
	struct span bytes = addr_span(a);

	return bytes.len && mnl_attr_put_check(h, size, type, bytes.len, bytes.ptr);
}

/* IPv4 routes without a gateway are of link scope, and are removed whatever theirs is. */
static uint8_t scope_of(const struct netlink_route *r, bool add)
{
	if (r->dst.addr.family == AF_INET6)
		return RT_SCOPE_UNIVERSE;
	if (!add)
		return RT_SCOPE_NOWHERE;
	if (r->blackhole || r->throws || (r->n_nexthops && r->nexthops[0].gateway.family))
		return RT_SCOPE_UNIVERSE;
	return RT_SCOPE_LINK;
}

static bool put_gateway(struct nlmsghdr *h, size_t size, uint8_t family, const struct addr *a)
{
	uint8_t via[2 + sizeof(a->bytes)] = {0};
	uint16_t other = a->family;

	if (!a->family || a->family == family)
		return !a->family || put_addr(h, size, RTA_GATEWAY, a);
	memcpy(via, &other, sizeof(other));
	memcpy(via + sizeof(other), a->bytes, addr_size(a->family));
	return mnl_attr_put_check(h, size, RTA_VIA, sizeof(other) + addr_size(a->family), via);
}

/* A struct rtnexthop with its attributes behind it, whose length is known last. */
static bool put_rtnexthop(struct nlmsghdr *h, size_t size, uint8_t family,
			  const struct netlink_nexthop *n)
{
	struct rtnexthop *nh = mnl_nlmsg_get_payload_tail(h);

	if (h->nlmsg_len + sizeof(*nh) > size)
		return false;
	*nh = (struct rtnexthop){
		.rtnh_flags = n->onlink ? RTNH_F_ONLINK : 0,
		.rtnh_hops = n->weight ? (uint8_t)(n->weight - 1) : 0,
		.rtnh_ifindex = n->ifindex,
	};
	h->nlmsg_len += (uint32_t)sizeof(*nh);
	if (!put_gateway(h, size, family, &n->gateway))
		return false;
	nh->rtnh_len = (uint16_t)((uint8_t *)mnl_nlmsg_get_payload_tail(h) - (uint8_t *)nh);
	return true;
}

/* One nexthop stands in the route itself. */
static bool put_nexthops(struct nlmsghdr *h, size_t size, const struct netlink_route *r)
{
	const struct netlink_nexthop *first = &r->nexthops[0];
	struct rtmsg *rtm = mnl_nlmsg_get_payload(h);
	uint8_t family = r->dst.addr.family;
	struct nlattr *nest;

	if (r->n_nexthops == 1) {
		rtm->rtm_flags |= first->onlink ? RTNH_F_ONLINK : 0;
		return mnl_attr_put_u32_check(h, size, RTA_OIF, (uint32_t)first->ifindex) &&
		       put_gateway(h, size, family, &first->gateway);
	}
	nest = mnl_attr_nest_start_check(h, size, RTA_MULTIPATH);
	for (unsigned i = 0; nest && i < r->n_nexthops; i++) {
		if (!put_rtnexthop(h, size, family, &r->nexthops[i]))
			return false;
	}
	if (nest)
		mnl_attr_nest_end(h, nest);
	return nest != NULL;
}

static bool put_mtu(struct nlmsghdr *h, size_t size, uint32_t mtu)
{
	struct nlattr *nest = mnl_attr_nest_start_check(h, size, RTA_METRICS);

	if (!nest || !mnl_attr_put_u32_check(h, size, RTAX_MTU, mtu))
		return false;
	mnl_attr_nest_end(h, nest);
	return true;
}

struct nlmsghdr *netlink_build_route(void *buf, size_t size, const struct netlink_route *r,
				     bool add)
{
	uint16_t flags = !add		? NLM_F_ACK
			 : r->exclusive ? NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
					: NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct rtmsg),
						 add ? RTM_NEWROUTE : RTM_DELROUTE, flags);
	struct prefix dst = prefix_mask(&r->dst);
	struct rtmsg *rtm;

	if (!h)
		return NULL;
	rtm = mnl_nlmsg_get_payload(h);
	rtm->rtm_family = dst.addr.family;
	rtm->rtm_dst_len = dst.len;
	rtm->rtm_table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC;
	rtm->rtm_protocol = r->protocol;
	rtm->rtm_scope = scope_of(r, add);
	rtm->rtm_type = r->blackhole ? RTN_BLACKHOLE : r->throws ? RTN_THROW : RTN_UNICAST;
	if (!put_addr(h, size, RTA_DST, &dst.addr) ||
	    !mnl_attr_put_u32_check(h, size, RTA_TABLE, r->table))
		return NULL;
	if (r->ifindex && !mnl_attr_put_u32_check(h, size, RTA_OIF, (uint32_t)r->ifindex))
		return NULL;
	if (r->metric && !mnl_attr_put_u32_check(h, size, RTA_PRIORITY, r->metric))
		return NULL;
	if (r->source.family && !put_addr(h, size, RTA_PREFSRC, &r->source))
		return NULL;
	if (add && r->n_nexthops && !put_nexthops(h, size, r))
		return NULL;
	if (add && r->mtu && !put_mtu(h, size, r->mtu))
		return NULL;
	return h;
}

struct nlmsghdr *netlink_build_route_get(void *buf, size_t size, const struct addr *dst,
					 const struct addr *src, uint32_t mark)
{
	struct nlmsghdr *h =
		netlink_build_start(buf, size, sizeof(struct rtmsg), RTM_GETROUTE, NLM_F_ACK);
	struct rtmsg *rtm;

	if (!h)
		return NULL;
	rtm = mnl_nlmsg_get_payload(h);
	rtm->rtm_family = dst->family;
	rtm->rtm_dst_len = (uint8_t)(addr_size(dst->family) * 8);
	rtm->rtm_flags = RTM_F_LOOKUP_TABLE;
	if (!put_addr(h, size, RTA_DST, dst))
		return NULL;
	if (src->family) {
		rtm->rtm_src_len = rtm->rtm_dst_len;
		if (src->family != dst->family || !put_addr(h, size, RTA_SRC, src))
			return NULL;
	}
	if (mark && !mnl_attr_put_u32_check(h, size, RTA_MARK, mark))
		return NULL;
	return h;
}

struct nlmsghdr *netlink_build_route_dump(void *buf, size_t size, uint8_t family)
{
	struct nlmsghdr *h =
		netlink_build_start(buf, size, sizeof(struct rtmsg), RTM_GETROUTE, NLM_F_DUMP);

	if (h)
		((struct rtmsg *)mnl_nlmsg_get_payload(h))->rtm_family = family;
	return h;
}

struct nlmsghdr *netlink_build_rule(void *buf, size_t size, const struct netlink_rule *r, bool add)
{
	uint16_t flags = add ? NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL : NLM_F_ACK;
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct fib_rule_hdr),
						 add ? RTM_NEWRULE : RTM_DELRULE, flags);
	struct fib_rule_hdr *rule;

	if (!h)
		return NULL;
	rule = mnl_nlmsg_get_payload(h);
	rule->family = r->family;
	rule->action = FR_ACT_TO_TBL;
	rule->table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC;
	if (!mnl_attr_put_u32_check(h, size, FRA_TABLE, r->table) ||
	    !mnl_attr_put_u32_check(h, size, FRA_PRIORITY, r->priority))
		return NULL;
	if (r->protocol && !mnl_attr_put_u8_check(h, size, FRA_PROTOCOL, r->protocol))
		return NULL;
	if (r->iif[0] && !mnl_attr_put_strz_check(h, size, FRA_IIFNAME, r->iif))
		return NULL;
	return h;
}

struct nlmsghdr *netlink_build_rule_dump(void *buf, size_t size, uint8_t family)
{
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct fib_rule_hdr),
						 RTM_GETRULE, NLM_F_DUMP);

	if (h)
		((struct fib_rule_hdr *)mnl_nlmsg_get_payload(h))->family = family;
	return h;
}

/* ---- parsing ---- */

static void take_u32(const struct nlattr *attr, uint32_t *out)
{
	if (mnl_attr_get_payload_len(attr) == sizeof(*out))
		*out = mnl_attr_get_u32(attr);
}

static void take_addr(struct span bytes, struct addr *out)
{
	struct addr a;

	if (addr_from_bytes(bytes, &a))
		*out = a;
}

static void take_metrics(const struct nlattr *metrics, uint32_t *mtu)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, metrics)
	{
		if (mnl_attr_get_type(attr) == RTAX_MTU)
			take_u32(attr, mtu);
	}
}

/* A gateway of the other family: two bytes of family, then the address. */
static void take_via(struct span bytes, struct addr *out)
{
	if (bytes.len > sizeof(uint16_t))
		take_addr(span_of(bytes.ptr + sizeof(uint16_t), bytes.len - sizeof(uint16_t)), out);
}

static void take_nexthop(struct netlink_nexthop *out, const struct rtnexthop *nh, struct span attrs)
{
	const void *first = attrs.ptr;
	const struct nlattr *attr;

	*out = (struct netlink_nexthop){
		.ifindex = nh->rtnh_ifindex,
		.weight = (uint16_t)(nh->rtnh_hops + 1),
		.onlink = nh->rtnh_flags & RTNH_F_ONLINK,
	};
	mnl_attr_for_each_payload(first, attrs.len)
	{
		struct span bytes =
			span_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));

		if (mnl_attr_get_type(attr) == RTA_GATEWAY)
			take_addr(bytes, &out->gateway);
		else if (mnl_attr_get_type(attr) == RTA_VIA)
			take_via(bytes, &out->gateway);
	}
}

/* Each nexthop is a struct rtnexthop with its attributes behind it. */
static void take_multipath(struct netlink_route *out, struct span in)
{
	struct rtnexthop nh;
	size_t len;

	while (in.len >= sizeof(nh) && out->n_nexthops < NETLINK_NEXTHOPS_MAX) {
		memcpy(&nh, in.ptr, sizeof(nh));
		if (nh.rtnh_len < sizeof(nh) || nh.rtnh_len > in.len)
			return;
		take_nexthop(&out->nexthops[out->n_nexthops++], &nh,
			     span_of(in.ptr + sizeof(nh), nh.rtnh_len - sizeof(nh)));
		len = (size_t)RTNH_ALIGN(nh.rtnh_len);
		if (len >= in.len)
			return;
		in = span_of(in.ptr + len, in.len - len);
	}
}

static void take_route_attr(struct netlink_route *out, const struct nlattr *attr)
{
	struct span bytes = span_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	uint32_t ifindex = 0;

	switch (mnl_attr_get_type(attr)) {
	case RTA_DST:
		take_addr(bytes, &out->dst.addr);
		return;
	case RTA_PREFSRC:
		take_addr(bytes, &out->source);
		return;
	case RTA_GATEWAY:
		take_addr(bytes, &out->gateway);
		return;
	case RTA_VIA:
		take_via(bytes, &out->gateway);
		return;
	case RTA_OIF:
		take_u32(attr, &ifindex);
		out->ifindex = (int)ifindex;
		return;
	case RTA_TABLE:
		take_u32(attr, &out->table);
		return;
	case RTA_PRIORITY:
		take_u32(attr, &out->metric);
		return;
	case RTA_MULTIPATH:
		take_multipath(out, bytes);
		return;
	case RTA_METRICS:
		take_metrics(attr, &out->mtu);
		return;
	default:
		return;
	}
}

bool netlink_parse_route(const struct nlmsghdr *h, struct netlink_route *out)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;

	if ((h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*rtm))
		return false;
	*out = (struct netlink_route){
		.dst = {.addr = {.family = rtm->rtm_family}, .len = rtm->rtm_dst_len},
		.table = rtm->rtm_table,
		.protocol = rtm->rtm_protocol,
		.blackhole = rtm->rtm_type == RTN_BLACKHOLE,
		.throws = rtm->rtm_type == RTN_THROW,
	};
	mnl_attr_for_each(attr, h, sizeof(*rtm)) take_route_attr(out, attr);
	/* Other families (multicast routing's own, MPLS) have other attributes. */
	return addr_size(rtm->rtm_family) && out->dst.addr.family == rtm->rtm_family &&
	       out->dst.len <= addr_size(rtm->rtm_family) * 8;
}

bool netlink_parse_rule(const struct nlmsghdr *h, struct netlink_rule *out)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;

	if ((h->nlmsg_type != RTM_NEWRULE && h->nlmsg_type != RTM_DELRULE) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*rule) || !addr_size(rule->family))
		return false;
	*out = (struct netlink_rule){.family = rule->family, .table = rule->table};
	mnl_attr_for_each(attr, h, sizeof(*rule))
	{
		if (mnl_attr_get_type(attr) == FRA_TABLE)
			take_u32(attr, &out->table);
		else if (mnl_attr_get_type(attr) == FRA_PRIORITY)
			take_u32(attr, &out->priority);
		else if (mnl_attr_get_type(attr) == FRA_PROTOCOL &&
			 mnl_attr_get_payload_len(attr) == 1)
			out->protocol = mnl_attr_get_u8(attr);
		else if (mnl_attr_get_type(attr) == FRA_IIFNAME &&
			 mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
			snprintf(out->iif, sizeof(out->iif), "%s", mnl_attr_get_str(attr));
	}
	return true;
}
