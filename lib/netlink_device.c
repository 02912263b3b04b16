/* rtnetlink calls for tunnel devices: each builds one message (netlink_device_message.c)
 * and sends it (netlink.c). */
#include "lib/netlink_device.h"

#include <errno.h>

#define SMALL 512 /* a message without an alias */

int netlink_link_set_alias(struct netlink *nl, int ifindex, const char *alias)
{
	uint8_t buf[SMALL + NETLINK_ALIAS_MAX] __attribute__((aligned(8)));

	if (strlen(alias) > NETLINK_ALIAS_MAX)
		return -EINVAL;
	return netlink_request(nl, netlink_build_link_alias(buf, sizeof(buf), ifindex, alias));
}

int netlink_link_del(struct netlink *nl, int ifindex)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));

	return netlink_request(nl, netlink_build_link_del(buf, sizeof(buf), ifindex));
}

/* The kernel tells the new ifindex only since 6.2, and takes no alias with a new link. */
static int find_and_name(struct netlink *nl, const struct netlink_device *d, int *ifindex)
{
	struct netlink_link link;
	int e = netlink_link_find(nl, d->name, &link);

	if (e)
		return e;
	e = d->alias[0] ? netlink_link_set_alias(nl, link.ifindex, d->alias) : 0;
	if (e)
		netlink_link_del(nl, link.ifindex);
	else
		*ifindex = link.ifindex;
	return e;
}

int netlink_device_add(struct netlink *nl, const struct netlink_device *d, bool dormant,
		       int *ifindex)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	int e = netlink_request(nl, netlink_build_device_add(buf, sizeof(buf), d, dormant));

	return e ? e : find_and_name(nl, d, ifindex);
}

int netlink_device_change(struct netlink *nl, int ifindex, const struct netlink_device *d)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));

	return netlink_request(nl, netlink_build_device_change(buf, sizeof(buf), ifindex, d));
}

struct one_device {
	struct netlink_device *out;
	bool found;
};

static void take_one(void *ctx, const struct nlmsghdr *h)
{
	struct one_device *one = ctx;

	if (!one->found)
		one->found = netlink_parse_device(h, one->out);
}

int netlink_device_get(struct netlink *nl, int ifindex, struct netlink_device *out)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	struct one_device one = {.out = out};
	int e;

	if (ifindex <= 0)
		return -ENODEV;
	e = netlink_query(nl, netlink_build_link_get(buf, sizeof(buf), ifindex, NULL), take_one,
			  &one);
	return e == 0 && !one.found ? -ENODEV : e;
}

struct device_list {
	void (*cb)(void *ctx, const struct netlink_link *link, const struct netlink_device *device);
	void *ctx;
};

static void take_each(void *ctx, const struct nlmsghdr *h)
{
	const struct device_list *list = ctx;
	struct netlink_link link;
	struct netlink_device device;

	if (netlink_parse_link(h, &link) && netlink_parse_device(h, &device))
		list->cb(list->ctx, &link, &device);
}

int netlink_device_list(struct netlink *nl,
			void (*cb)(void *ctx, const struct netlink_link *link,
				   const struct netlink_device *device),
			void *ctx)
{
	uint8_t buf[SMALL] __attribute__((aligned(8)));
	struct device_list list = {.cb = cb, .ctx = ctx};

	return netlink_query(nl, netlink_build_link_get(buf, sizeof(buf), 0, NULL), take_each,
			     &list);
}
