/* Fuzzes the reading of rtnetlink messages (links, addresses, tunnel devices, routes, rules):
 * a stream of them, as a socket gives it. What is read has terminated names and prefixes that
 * fit their family. */
#include "lib/netlink_device.h"
#include "lib/netlink_route.h"

#include <libmnl/libmnl.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_device(const struct nlmsghdr *h)
{
	struct netlink_device d;
	struct netlink_route route;
	struct netlink_rule rule;

	if (netlink_parse_device(h, &d) &&
	    (!memchr(d.name, 0, sizeof(d.name)) || !memchr(d.alias, 0, sizeof(d.alias)) ||
	     (d.local.family && d.remote.family && d.local.family != d.remote.family)))
		abort();
	if (netlink_parse_route(h, &route) && route.dst.len > addr_size(route.dst.addr.family) * 8)
		abort();
	if (netlink_parse_rule(h, &rule) && !addr_size(rule.family))
		abort();
}

static void read_one(const struct nlmsghdr *h)
{
	struct netlink_link link;
	struct netlink_addr addr;
	char text[PREFIX_TEXT];

	read_device(h);

	if (netlink_parse_link(h, &link) &&
	    (!memchr(link.name, 0, sizeof(link.name)) || !memchr(link.kind, 0, sizeof(link.kind))))
		abort();
	if (!netlink_parse_addr(h, &addr))
		return;
	if (addr.prefix.len > addr_size(addr.prefix.addr.family) * 8)
		abort();
	prefix_format(&addr.prefix, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Aligned, and with a guarded end; libmnl reads to the next multiple of four. */
	uint8_t *copy = calloc(1, MNL_ALIGN(size) + 1);
	struct nlmsghdr *h = (struct nlmsghdr *)copy;
	int left = (int)size;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	/* libmnl takes lengths above INT_MAX for negative ones; the kernel sends none. */
	while (left > 0 && mnl_nlmsg_ok(h, left) && h->nlmsg_len <= (unsigned)left) {
		read_one(h);
		h = mnl_nlmsg_next(h, &left);
	}
	free(copy);
	return 0;
}
