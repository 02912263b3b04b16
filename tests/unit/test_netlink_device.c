/* Messages of tunnel devices, routes and rules are built and read back without a kernel;
 * each is cut at every length, and hostile ones are read without harm. */
#include "lib/netlink_device.h"
#include "lib/netlink_route.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t buf[NETLINK_BUFFER] __attribute__((aligned(8)));

static struct addr addr_of(const char *text)
{
	struct addr a = {0};

	if (text)
		assert_true(addr_parse(text, &a));
	return a;
}

static struct netlink_device device(enum netlink_device_kind kind, const char *local,
				    const char *remote)
{
	struct netlink_device d = {.kind = kind,
				   .local = addr_of(local),
				   .remote = addr_of(remote),
				   .ikey = 0x01020304,
				   .okey = 5,
				   .link = 3};

	if (kind == NETLINK_DEVICE_XFRM)
		d = (struct netlink_device){.kind = kind, .if_id = 0x44000001, .link = 3};
	memcpy(d.name, "to-b", 5);
	return d;
}

/* Padding between members is not compared. */
static void assert_same(const struct netlink_device *a, const struct netlink_device *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->alias, b->alias);
	assert_true(addr_equal(&a->local, &b->local));
	assert_true(addr_equal(&a->remote, &b->remote));
	assert_int_equal(a->ikey, b->ikey);
	assert_int_equal(a->okey, b->okey);
	assert_int_equal(a->if_id, b->if_id);
	assert_int_equal(a->link, b->link);
}

/* Cut at each length, in memory of that length (libmnl reads to the next multiple of four, as
 * long as every socket's buffer is): read without harm, or refused. */
static void cut(const struct nlmsghdr *h)
{
	for (uint32_t len = NLMSG_HDRLEN; len <= h->nlmsg_len; len++) {
		struct nlmsghdr *copy = calloc(1, MNL_ALIGN(len));
		struct netlink_device d;
		struct netlink_route r;
		struct netlink_rule rule;

		assert_non_null(copy);
		memcpy(copy, h, len);
		copy->nlmsg_len = len;
		netlink_parse_device(copy, &d);
		netlink_parse_route(copy, &r);
		netlink_parse_rule(copy, &rule);
		free(copy);
	}
}

static void devices(void **state)
{
	static const struct {
		enum netlink_device_kind kind;
		const char *local, *remote;
	} cases[] = {
		{NETLINK_DEVICE_VTI, "192.0.2.1", "198.51.100.1"},
		{NETLINK_DEVICE_VTI, "192.0.2.1", NULL},
		{NETLINK_DEVICE_VTI, NULL, NULL},
		{NETLINK_DEVICE_VTI6, "2001:db8::1", "2001:db8::2"},
		{NETLINK_DEVICE_VTI6, NULL, "2001:db8::2"},
		{NETLINK_DEVICE_XFRM, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct netlink_device d = device(cases[i].kind, cases[i].local, cases[i].remote),
				      back;
		struct netlink_link link;
		struct nlmsghdr *h = netlink_build_device_add(buf, sizeof(buf), &d, true);
		size_t full;

		assert_non_null(h);
		assert_int_equal(h->nlmsg_flags,
				 NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
		assert_true(netlink_parse_device(h, &back));
		assert_same(&d, &back);
		assert_true(netlink_parse_link(h, &link));
		assert_string_equal(link.kind, netlink_device_kind_name(d.kind));
		assert_int_equal(link.linkmode, IF_LINK_MODE_DORMANT);
		cut(h);
		full = h->nlmsg_len;
		for (size_t size = 0; size < full; size++)
			assert_null(netlink_build_device_add(buf, size, &d, true));
		h = netlink_build_device_change(buf, sizeof(buf), 9, &d);
		assert_int_equal(h->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
		assert_true(netlink_parse_device(h, &back));
		d.name[0] = 0; /* stays what it is */
		assert_same(&d, &back);
	}
}

static void devices_that_cannot_be(void **state)
{
	struct netlink_device d = device(NETLINK_DEVICE_VTI, "2001:db8::1", NULL);

	(void)state;
	assert_null(netlink_build_device_add(buf, sizeof(buf), &d, true));
	d = device(NETLINK_DEVICE_VTI6, NULL, "192.0.2.1");
	assert_null(netlink_build_device_add(buf, sizeof(buf), &d, true));
	d = device(NETLINK_DEVICE_OTHER, NULL, NULL);
	assert_null(netlink_build_device_add(buf, sizeof(buf), &d, true));
}

static void aliases(void **state)
{
	char long_text[NETLINK_ALIAS_MAX + 1];
	const char *const texts[] = {"", "ipsecd:made", long_text};
	struct netlink_device back;

	(void)state;
	memset(long_text, 'x', NETLINK_ALIAS_MAX);
	long_text[NETLINK_ALIAS_MAX] = 0;
	for (size_t i = 0; i < 3; i++) {
		struct nlmsghdr *h = netlink_build_link_alias(buf, sizeof(buf), 7, texts[i]);

		assert_non_null(h);
		assert_true(netlink_parse_device(h, &back));
		assert_string_equal(back.alias, texts[i]);
		cut(h);
	}
	assert_int_equal(netlink_build_link_del(buf, sizeof(buf), 7)->nlmsg_type, RTM_DELLINK);
}

/* What a kernel says of a vti (6.1), with attributes that nobody asked for around it. */
static void a_device_as_the_kernel_tells_it(void **state)
{
	static const uint8_t golden[] __attribute__((aligned(8))) = {
		/* header, ifinfomsg */
		0x74, 0, 0, 0, RTM_NEWLINK, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 3, 9, 0, 0, 0,
		0xd1, 0x10, 0, 0, 0, 0, 0, 0,
		/* IFLA_IFNAME, IFLA_TXQLEN, IFLA_IFALIAS */
		9, 0, IFLA_IFNAME, 0, 'v', 't', 'i', '0', 0, 0, 0, 0, 8, 0, IFLA_TXQLEN, 0, 0xe8, 3,
		0, 0, 7, 0, IFLA_IFALIAS, 0, 'h', 'i', 0, 0,
		/* IFLA_LINKINFO: the kind behind the data */
		56, 0, IFLA_LINKINFO, 0x80, 44, 0, IFLA_INFO_DATA, 0x80, 8, 0, 1, 0, 0, 0, 0, 0, 8,
		0, 2, 0, 0, 0, 0, 12, 8, 0, 3, 0, 0, 0, 0, 13, 8, 0, 4, 0, 192, 0, 2, 1, 8, 0, 5, 0,
		0, 0, 0, 0, 8, 0, IFLA_INFO_KIND, 0, 'v', 't', 'i', 0};
	const struct nlmsghdr *h = (const struct nlmsghdr *)golden;
	struct netlink_device d;
	struct addr local = addr_of("192.0.2.1");

	(void)state;
	assert_int_equal(h->nlmsg_len, sizeof(golden));
	assert_true(netlink_parse_device(h, &d));
	assert_int_equal(d.kind, NETLINK_DEVICE_VTI);
	assert_string_equal(d.name, "vti0");
	assert_string_equal(d.alias, "hi");
	assert_int_equal(d.ikey, 12);
	assert_int_equal(d.okey, 13);
	assert_true(addr_equal(&d.local, &local));
	assert_int_equal(d.remote.family, 0);
	cut(h);
}

/* ---- routes and rules ---- */

static struct netlink_route route_of(const char *dst)
{
	struct netlink_route r = {.ifindex = 9, .table = 220, .metric = 7, .protocol = 99};

	assert_true(prefix_parse(dst, &r.dst));
	return r;
}

static void routes(void **state)
{
	static const char *const texts[] = {"0.0.0.0/0", "10.1.0.0/16", "192.0.2.1/32", "::/0",
					    "fd00::/8"};

	(void)state;
	for (unsigned i = 0; i < 5 * 16; i++) {
		struct netlink_route r = route_of(texts[i % 5]), back;
		struct nlmsghdr *h;
		size_t full;

		if (i / 5 & 1)
			r.source = addr_of(r.dst.addr.family == AF_INET ? "10.9.9.9" : "fd09::9");
		if (i / 5 & 2)
			r.table = 100000;
		if (i / 5 & 4) {
			r.blackhole = !(i / 5 & 8);
			r.throws = !r.blackhole;
			r.ifindex = 0;
		}
		h = netlink_build_route(buf, sizeof(buf), &r, true);
		assert_non_null(h);
		assert_true(netlink_parse_route(h, &back));
		assert_true(prefix_equal(&r.dst, &back.dst));
		assert_true(addr_equal(&r.source, &back.source));
		assert_int_equal(r.ifindex, back.ifindex);
		assert_int_equal(r.table, back.table);
		assert_int_equal(r.metric, back.metric);
		assert_int_equal(r.blackhole, back.blackhole);
		assert_int_equal(r.throws, back.throws);
		assert_int_equal(r.protocol, back.protocol);
		cut(h);
		full = h->nlmsg_len;
		for (size_t size = 0; size < full; size++)
			assert_null(netlink_build_route(buf, size, &r, true));
	}
}

static void host_bits_of_a_route_are_left_out(void **state)
{
	struct netlink_route r = route_of("10.1.2.3/16"), back;
	struct prefix masked = prefix_mask(&r.dst);

	(void)state;
	assert_true(netlink_parse_route(netlink_build_route(buf, sizeof(buf), &r, false), &back));
	assert_true(prefix_equal(&back.dst, &masked));
}

static void a_route_towards_an_address(void **state)
{
	struct addr dst = addr_of("198.51.100.1"), src = addr_of("192.0.2.1"), none = {0};
	struct addr other = addr_of("2001:db8::1");
	struct nlmsghdr *h = netlink_build_route_get(buf, sizeof(buf), &dst, &src, 42);
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(h);

	(void)state;
	assert_int_equal(h->nlmsg_type, RTM_GETROUTE);
	assert_int_equal(rtm->rtm_dst_len, 32);
	assert_int_equal(rtm->rtm_src_len, 32);
	h = netlink_build_route_get(buf, sizeof(buf), &dst, &none, 0);
	rtm = mnl_nlmsg_get_payload(h);
	assert_int_equal(rtm->rtm_src_len, 0);
	assert_null(netlink_build_route_get(buf, sizeof(buf), &dst, &other, 0));
	assert_null(netlink_build_route_get(buf, sizeof(buf), &none, &none, 0));
}

/* An answer with a path MTU, and a gateway of the other family. */
static void the_metrics_of_a_route(void **state)
{
	static const uint8_t via[] = {10, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	struct netlink_route r = route_of("198.51.100.1/32");
	struct nlmsghdr *h = netlink_build_route(buf, sizeof(buf), &r, true);
	struct addr gateway = addr_of("fe80::1");
	struct nlattr *metrics = mnl_attr_nest_start(h, RTA_METRICS);

	(void)state;
	mnl_attr_put_u32(h, RTAX_HOPLIMIT, 3);
	mnl_attr_put_u32(h, RTAX_MTU, 1400);
	mnl_attr_nest_end(h, metrics);
	mnl_attr_put(h, RTA_VIA, sizeof(via), via);
	assert_true(netlink_parse_route(h, &r));
	assert_int_equal(r.mtu, 1400);
	assert_true(addr_equal(&r.gateway, &gateway));
	cut(h);
}

static void several_nexthops(void **state)
{
	static const char *const gateways[][2] = {{"0.0.0.0/0", ""},
						  {"10.1.0.0/16", "192.0.2.1"},
						  {"10.1.0.0/16", "fe80::1"},
						  {"fd00::/8", "fe80::1"}};

	(void)state;
	for (unsigned i = 0; i < 4 * (NETLINK_NEXTHOPS_MAX - 1); i++) {
		struct netlink_route r = route_of(gateways[i % 4][0]), back;

		r.ifindex = 0;
		r.n_nexthops = (uint8_t)(2 + i / 4);
		for (unsigned k = 0; k < r.n_nexthops; k++) {
			r.nexthops[k] =
				(struct netlink_nexthop){.ifindex = (int)k + 1,
							 .weight = (uint16_t)(k ? 256 - k : 1),
							 .onlink = k & 1};
			if (k && gateways[i % 4][1][0])
				r.nexthops[k].gateway = addr_of(gateways[i % 4][1]);
		}
		assert_true(netlink_parse_route(netlink_build_route(buf, sizeof(buf), &r, true),
						&back));
		assert_int_equal(back.n_nexthops, r.n_nexthops);
		assert_int_equal(back.ifindex, 0);
		for (unsigned k = 0; k < r.n_nexthops; k++) {
			assert_int_equal(back.nexthops[k].ifindex, r.nexthops[k].ifindex);
			assert_int_equal(back.nexthops[k].weight, r.nexthops[k].weight);
			assert_int_equal(back.nexthops[k].onlink, r.nexthops[k].onlink);
			assert_true(addr_equal(&back.nexthops[k].gateway, &r.nexthops[k].gateway));
		}
	}
}

/* Of more than there is room for the first; of one that does not fit what was before. */
static void more_nexthops_than_fit(void **state)
{
	struct rtnexthop hops[NETLINK_NEXTHOPS_MAX + 2] = {{0}};
	struct netlink_route r = route_of("10.1.0.0/16"), back;
	struct nlmsghdr *h = netlink_build_route(buf, sizeof(buf), &r, true);

	(void)state;
	for (unsigned i = 0; i < NETLINK_NEXTHOPS_MAX + 2; i++)
		hops[i] =
			(struct rtnexthop){.rtnh_len = sizeof(hops[i]), .rtnh_ifindex = (int)i + 1};
	mnl_attr_put(h, RTA_MULTIPATH, sizeof(hops), hops);
	assert_true(netlink_parse_route(h, &back));
	assert_int_equal(back.n_nexthops, NETLINK_NEXTHOPS_MAX);
	for (unsigned len = 0; len < 20; len++) {
		h = netlink_build_route(buf, sizeof(buf), &r, true);
		hops[2].rtnh_len = (uint16_t)(len < 10 ? len % 8 : 200);
		mnl_attr_put(h, RTA_MULTIPATH, 3 * sizeof(hops[0]) - (len & 1), hops);
		assert_true(netlink_parse_route(h, &back));
		assert_int_equal(back.n_nexthops, 2);
	}
}

static void rules(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct netlink_rule r = {.family = i % 2 ? AF_INET6 : AF_INET,
					 .table = i / 2 ? 100000 : 220,
					 .priority = 220,
					 .protocol = i % 2 ? 68 : 0,
					 .iif = {i > 1 ? 't' : 0}},
				    back;
		struct nlmsghdr *h = netlink_build_rule(buf, sizeof(buf), &r, true);
		size_t full;

		assert_non_null(h);
		assert_true(netlink_parse_rule(h, &back));
		assert_int_equal(back.family, r.family);
		assert_int_equal(back.table, r.table);
		assert_int_equal(back.priority, r.priority);
		assert_int_equal(back.protocol, r.protocol);
		assert_string_equal(back.iif, r.iif);
		cut(h);
		full = h->nlmsg_len;
		for (size_t size = 0; size < full; size++)
			assert_null(netlink_build_rule(buf, size, &r, true));
	}
}

static void hostile_messages(void **state)
{
	static const uint16_t types[] = {RTM_NEWLINK, RTM_NEWROUTE, RTM_NEWRULE};

	(void)state;
	srandom(4);
	for (unsigned n = 0; n < 100000; n++) {
		size_t len = NLMSG_HDRLEN + (size_t)random() % 32 * 4;
		struct nlmsghdr *h = malloc(len);
		struct netlink_device d;
		struct netlink_route r;
		struct netlink_rule rule;

		assert_non_null(h);
		for (size_t i = 0; i < len; i++)
			((uint8_t *)h)[i] = (uint8_t)(random() % (n % 2 ? 256 : 24));
		h->nlmsg_len = (uint32_t)len;
		h->nlmsg_type = types[n % 3];
		netlink_parse_device(h, &d);
		netlink_parse_route(h, &r);
		netlink_parse_rule(h, &rule);
		free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices),
		cmocka_unit_test(devices_that_cannot_be),
		cmocka_unit_test(aliases),
		cmocka_unit_test(a_device_as_the_kernel_tells_it),
		cmocka_unit_test(routes),
		cmocka_unit_test(host_bits_of_a_route_are_left_out),
		cmocka_unit_test(a_route_towards_an_address),
		cmocka_unit_test(the_metrics_of_a_route),
		cmocka_unit_test(several_nexthops),
		cmocka_unit_test(more_nexthops_than_fit),
		cmocka_unit_test(rules),
		cmocka_unit_test(hostile_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
