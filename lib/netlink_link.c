/* rtnetlink calls for links and addresses: each builds one message (netlink_message.c) and
 * sends it (netlink.c). */
#include "lib/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>

#include <errno.h>

/* ---- links ---- */

struct one_link {
	struct netlink_link *out;
	bool found;
};

static void take_link(void *ctx, const struct nlmsghdr *h)
{
	struct one_link *one = ctx;

	if (!one->found)
		one->found = netlink_parse_link(h, one->out);
}

static int link_query(struct netlink *nl, int ifindex, const char *name, struct netlink_link *out)
{
	uint8_t buf[256] __attribute__((aligned(8)));
	struct one_link one = {.out = out};
	int e = netlink_query(nl, netlink_build_link_get(buf, sizeof(buf), ifindex, name),
			      take_link, &one);

	return e == 0 && !one.found ? -ENODEV : e;
}

int netlink_link_get(struct netlink *nl, int ifindex, struct netlink_link *out)
{
	return ifindex > 0 ? link_query(nl, ifindex, NULL, out) : -ENODEV;
}

int netlink_link_find(struct netlink *nl, const char *name, struct netlink_link *out)
{
	return name[0] ? link_query(nl, 0, name, out) : -ENODEV;
}

struct link_list {
	void (*cb)(void *ctx, const struct netlink_link *link);
	void *ctx;
};

static void take_each(void *ctx, const struct nlmsghdr *h)
{
	const struct link_list *list = ctx;
	struct netlink_link link;

	if (netlink_parse_link(h, &link))
		list->cb(list->ctx, &link);
}

int netlink_link_list(struct netlink *nl, void (*cb)(void *ctx, const struct netlink_link *link),
		      void *ctx)
{
	uint8_t buf[256] __attribute__((aligned(8)));
	struct link_list list = {.cb = cb, .ctx = ctx};

	return netlink_query(nl, netlink_build_link_get(buf, sizeof(buf), 0, NULL), take_each,
			     &list);
}

int netlink_link_change(struct netlink *nl, int ifindex, const struct netlink_link_change *change)
{
	uint8_t buf[256] __attribute__((aligned(8)));

	return netlink_request(nl, netlink_build_link_change(buf, sizeof(buf), ifindex, change));
}

int netlink_link_set_up(struct netlink *nl, int ifindex, bool up)
{
	return netlink_link_change(nl, ifindex,
				   &(struct netlink_link_change){.set_up = true, .up = up});
}

int netlink_link_set_mtu(struct netlink *nl, int ifindex, uint32_t mtu)
{
	return netlink_link_change(nl, ifindex,
				   &(struct netlink_link_change){.set_mtu = true, .mtu = mtu});
}

int netlink_link_set_linkmode(struct netlink *nl, int ifindex, uint8_t linkmode)
{
	return netlink_link_change(
		nl, ifindex,
		&(struct netlink_link_change){.set_linkmode = true, .linkmode = linkmode});
}

int netlink_link_set_operstate(struct netlink *nl, int ifindex, uint8_t operstate)
{
	return netlink_link_change(
		nl, ifindex,
		&(struct netlink_link_change){.set_operstate = true, .operstate = operstate});
}

/* ---- addresses ---- */

static int addr_request(struct netlink *nl, int ifindex, const struct prefix *prefix, bool add)
{
	uint8_t buf[256] __attribute__((aligned(8)));

	return netlink_request(nl, netlink_build_addr(buf, sizeof(buf), ifindex, prefix, add));
}

int netlink_addr_add(struct netlink *nl, int ifindex, const struct prefix *prefix)
{
	return addr_request(nl, ifindex, prefix, true);
}

static int add_as(struct netlink *nl, int ifindex, const struct prefix *prefix, uint8_t protocol,
		  bool exclusive)
{
	uint8_t buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *h = netlink_build_addr(buf, sizeof(buf), ifindex, prefix, true);

	if (h && exclusive)
		h->nlmsg_flags ^= NLM_F_REPLACE | NLM_F_EXCL;
	if (h && !mnl_attr_put_u8_check(h, sizeof(buf), IFA_PROTO, protocol))
		h = NULL;
	return netlink_request(nl, h);
}

int netlink_addr_add_as(struct netlink *nl, int ifindex, const struct prefix *prefix,
			uint8_t protocol)
{
	return add_as(nl, ifindex, prefix, protocol, false);
}

int netlink_addr_add_new(struct netlink *nl, int ifindex, const struct prefix *prefix,
			 uint8_t protocol)
{
	return add_as(nl, ifindex, prefix, protocol, true);
}

int netlink_addr_remove(struct netlink *nl, int ifindex, const struct prefix *prefix)
{
	return addr_request(nl, ifindex, prefix, false);
}

struct addr_list {
	int ifindex;
	void (*cb)(void *ctx, const struct netlink_addr *addr);
	void *ctx;
};

static void take_addr(void *ctx, const struct nlmsghdr *h)
{
	const struct addr_list *list = ctx;
	struct netlink_addr addr;

	if (netlink_parse_addr(h, &addr) && (list->ifindex == 0 || list->ifindex == addr.ifindex))
		list->cb(list->ctx, &addr);
}

int netlink_addr_list(struct netlink *nl, int ifindex,
		      void (*cb)(void *ctx, const struct netlink_addr *addr), void *ctx)
{
	uint8_t buf[256] __attribute__((aligned(8)));
	struct addr_list list = {.ifindex = ifindex, .cb = cb, .ctx = ctx};
	/* Else the kernel tells all addresses for each one of a thousand devices. */
	bool strict = ifindex && netlink_set_strict(nl, true);
	int e = netlink_query(nl, netlink_build_addr_dump(buf, sizeof(buf), strict ? ifindex : 0),
			      take_addr, &list);

	if (strict)
		netlink_set_strict(nl, false);
	return strict && e == -ENODEV ? 0 : e;
}
