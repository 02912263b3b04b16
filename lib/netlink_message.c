/* rtnetlink messages: build and parse, pure. Attributes of known types and lengths are
 * read, all others are passed over (the kernel adds new ones with each version). */
#include "lib/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

struct nlmsghdr *netlink_build_start(void *buf, size_t size, size_t extra, uint16_t type,
				     uint16_t flags)
{
	struct nlmsghdr *h;

	if (size < MNL_ALIGN(sizeof(struct nlmsghdr)) + MNL_ALIGN(extra))
		return NULL;
	h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	mnl_nlmsg_put_extra_header(h, extra);
	return h;
}

static bool put_ipv4(struct nlmsghdr *h, size_t size, const struct netlink_link_change *change)
{
	struct nlattr *families = mnl_attr_nest_start_check(h, size, IFLA_AF_SPEC);
	struct nlattr *family = families ? mnl_attr_nest_start_check(h, size, AF_INET) : NULL;
	struct nlattr *conf = family ? mnl_attr_nest_start_check(h, size, IFLA_INET_CONF) : NULL;

	if (!conf || !mnl_attr_put_u32_check(h, size, IPV4_DEVCONF_RP_FILTER, change->rp_filter) ||
	    !mnl_attr_put_u32_check(h, size, IPV4_DEVCONF_PROMOTE_SECONDARIES,
				    change->promote_secondaries))
		return false;
	mnl_attr_nest_end(h, conf);
	mnl_attr_nest_end(h, family);
	mnl_attr_nest_end(h, families);
	return true;
}

struct nlmsghdr *netlink_build_link_change(void *buf, size_t size, int ifindex,
					   const struct netlink_link_change *change)
{
	struct nlmsghdr *h =
		netlink_build_start(buf, size, sizeof(struct ifinfomsg), RTM_NEWLINK, NLM_F_ACK);
	struct ifinfomsg *ifi;

	if (!h)
		return NULL;
	ifi = mnl_nlmsg_get_payload(h);
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = ifindex;
	if (change->set_up) {
		ifi->ifi_change = IFF_UP;
		ifi->ifi_flags = change->up ? IFF_UP : 0;
	}
	if (change->set_mtu && !mnl_attr_put_u32_check(h, size, IFLA_MTU, change->mtu))
		return NULL;
	/* The kernel takes linkmode before operstate whatever the order here. */
	if (change->set_linkmode &&
	    !mnl_attr_put_u8_check(h, size, IFLA_LINKMODE, change->linkmode))
		return NULL;
	if (change->set_operstate &&
	    !mnl_attr_put_u8_check(h, size, IFLA_OPERSTATE, change->operstate))
		return NULL;
	if (change->set_txqlen && !mnl_attr_put_u32_check(h, size, IFLA_TXQLEN, change->txqlen))
		return NULL;
	return !change->set_ipv4 || put_ipv4(h, size, change) ? h : NULL;
}

struct nlmsghdr *netlink_build_qdisc(void *buf, size_t size, int ifindex, const char *kind)
{
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct tcmsg), RTM_NEWQDISC,
						 NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
	struct tcmsg *tc;

	if (!h)
		return NULL;
	tc = mnl_nlmsg_get_payload(h);
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = TC_H_ROOT;
	return mnl_attr_put_strz_check(h, size, TCA_KIND, kind) ? h : NULL;
}

struct nlmsghdr *netlink_build_link_get(void *buf, size_t size, int ifindex, const char *name)
{
	bool all = ifindex == 0 && !name;
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct ifinfomsg), RTM_GETLINK,
						 all ? NLM_F_DUMP : NLM_F_ACK);
	struct ifinfomsg *ifi;

	if (!h)
		return NULL;
	ifi = mnl_nlmsg_get_payload(h);
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = ifindex;
	if (ifindex == 0 && name && !mnl_attr_put_strz_check(h, size, IFLA_IFNAME, name))
		return NULL;
	return h;
}

struct nlmsghdr *netlink_build_addr(void *buf, size_t size, int ifindex,
				    const struct prefix *prefix, bool add)
{
	uint16_t flags = add ? NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE : NLM_F_ACK;
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct ifaddrmsg),
						 add ? RTM_NEWADDR : RTM_DELADDR, flags);
	struct span bytes = addr_span(&prefix->addr);
	struct ifaddrmsg *ifa;

	if (!h)
		return NULL;
	ifa = mnl_nlmsg_get_payload(h);
	ifa->ifa_family = prefix->addr.family;
	ifa->ifa_prefixlen = prefix->len;
	ifa->ifa_index = (uint32_t)ifindex;
	ifa->ifa_scope = RT_SCOPE_UNIVERSE;
	if (prefix->addr.family == AF_INET6)
		ifa->ifa_flags = IFA_F_NODAD;
	if (!mnl_attr_put_check(h, size, IFA_LOCAL, bytes.len, bytes.ptr) ||
	    !mnl_attr_put_check(h, size, IFA_ADDRESS, bytes.len, bytes.ptr))
		return NULL;
	return h;
}

struct nlmsghdr *netlink_build_addr_dump(void *buf, size_t size, int ifindex)
{
	struct nlmsghdr *h =
		netlink_build_start(buf, size, sizeof(struct ifaddrmsg), RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg *m = h ? mnl_nlmsg_get_payload(h) : NULL;

	if (m)
		m->ifa_index = (unsigned)ifindex;
	return h;
}

/* ---- parsing ---- */

static void copy_text(char *out, size_t size, const struct nlattr *attr)
{
	size_t len = mnl_attr_get_payload_len(attr);

	if (len >= size)
		len = size - 1;
	memcpy(out, mnl_attr_get_payload(attr), len);
	out[len] = 0;
}

static bool is_u8(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) == 1;
}

/* The kind comes before what only it has. */
static void take_info(struct netlink_link *out, const struct nlattr *info)
{
	const struct nlattr *attr, *data;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			copy_text(out->kind, sizeof(out->kind), attr);
		if (mnl_attr_get_type(attr) != IFLA_INFO_DATA || strcmp(out->kind, "vrf") != 0)
			continue;
		mnl_attr_for_each_nested(data, attr)
		{
			if (mnl_attr_get_type(data) == IFLA_VRF_TABLE &&
			    mnl_attr_get_payload_len(data) == 4)
				out->vrf_table = mnl_attr_get_u32(data);
		}
	}
}

static void take_link_attr(struct netlink_link *out, const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		copy_text(out->name, sizeof(out->name), attr);
		return;
	case IFLA_OPERSTATE:
		if (is_u8(attr))
			out->operstate = mnl_attr_get_u8(attr);
		return;
	case IFLA_LINKMODE:
		if (is_u8(attr))
			out->linkmode = mnl_attr_get_u8(attr);
		return;
	case IFLA_MTU:
		if (mnl_attr_get_payload_len(attr) == 4)
			out->mtu = mnl_attr_get_u32(attr);
		return;
	case IFLA_MASTER:
		if (mnl_attr_get_payload_len(attr) == 4)
			out->master = (int)mnl_attr_get_u32(attr);
		return;
	case IFLA_LINKINFO:
		take_info(out, attr);
		return;
	default:
		return;
	}
}

bool netlink_parse_link(const struct nlmsghdr *h, struct netlink_link *out)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;

	if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*ifi))
		return false;
	/* The bridge's own family tells of ports, not of links. */
	if (ifi->ifi_family != AF_UNSPEC)
		return false;
	*out = (struct netlink_link){
		.ifindex = ifi->ifi_index,
		.flags = ifi->ifi_flags,
		.removed = h->nlmsg_type == RTM_DELLINK,
	};
	mnl_attr_for_each(attr, h, sizeof(*ifi)) take_link_attr(out, attr);
	return true;
}

static void take_addr_attr(struct netlink_addr *out, bool *have_local, const struct nlattr *attr)
{
	struct span bytes = span_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));

	switch (mnl_attr_get_type(attr)) {
	case IFA_LOCAL: /* the own address where IFA_ADDRESS is the peer's */
		*have_local = addr_from_bytes(bytes, &out->prefix.addr);
		return;
	case IFA_ADDRESS:
		if (!*have_local)
			addr_from_bytes(bytes, &out->prefix.addr);
		return;
	case IFA_FLAGS:
		if (bytes.len == 4)
			out->flags = mnl_attr_get_u32(attr);
		return;
	case IFA_PROTO:
		if (bytes.len == 1)
			out->protocol = mnl_attr_get_u8(attr);
		return;
	default:
		return;
	}
}

bool netlink_parse_addr(const struct nlmsghdr *h, struct netlink_addr *out)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;
	bool have_local = false;

	if ((h->nlmsg_type != RTM_NEWADDR && h->nlmsg_type != RTM_DELADDR) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*ifa))
		return false;
	*out = (struct netlink_addr){
		.ifindex = (int)ifa->ifa_index,
		.scope = ifa->ifa_scope,
		.flags = ifa->ifa_flags,
		.removed = h->nlmsg_type == RTM_DELADDR,
	};
	mnl_attr_for_each(attr, h, sizeof(*ifa)) take_addr_attr(out, &have_local, attr);
	out->prefix.len = ifa->ifa_prefixlen;
	return out->prefix.addr.family == ifa->ifa_family &&
	       out->prefix.len <= addr_size(ifa->ifa_family) * 8;
}
