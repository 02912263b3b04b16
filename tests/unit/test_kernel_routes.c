/* Routes in the kernel's form, and the rtnetlink messages that they become. */
#include "routed-bridge/kernel_routes.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct zapi_route route_to(const char *prefix, unsigned nexthops)
{
	struct zapi_route r = {.distance = 10, .n_nexthops = (uint8_t)nexthops};

	assert_true(prefix_parse(prefix, &r.prefix));
	for (unsigned i = 0; i < nexthops; i++)
		r.nexthops[i].ifindex = 7 + i;
	return r;
}

static void one_device(void **state)
{
	struct zapi_route route = route_to("10.2.0.0/24", 1);
	struct netlink_route r;

	(void)state;
	route.mtu = 1400;
	kernel_route_of(&route, 254, &r);
	assert_int_equal(r.table, 254);
	assert_int_equal(r.metric, 10);
	assert_int_equal(r.mtu, 1400);
	assert_int_equal(r.protocol, KERNEL_ROUTES_PROTOCOL);
	assert_int_equal(r.n_nexthops, 1);
	assert_int_equal(r.nexthops[0].ifindex, 7);
	assert_false(r.blackhole);
}

static void metrics(void **state)
{
	static const struct {
		uint8_t distance;
		uint32_t metric, kernel;
	} cases[] = {
		{10, 0, 10},
		{10, 5, 15},
		{0, 0, 1}, /* 0 would be 1024 for IPv6 */
		{254, UINT32_MAX, UINT32_MAX},
	};
	struct zapi_route route = route_to("10.2.0.0/24", 1);
	struct netlink_route r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		route.distance = cases[i].distance;
		route.metric = cases[i].metric;
		kernel_route_of(&route, 254, &r);
		assert_int_equal(r.metric, cases[i].kernel);
	}
}

static void nothing_is_a_blackhole(void **state)
{
	struct zapi_route route = route_to("10.2.0.0/24", 1);
	struct netlink_route r;

	(void)state;
	route.nexthops[0].ifindex = 0;
	kernel_route_of(&route, 254, &r);
	assert_true(r.blackhole);
	assert_int_equal(r.n_nexthops, 0);
}

static uint8_t buf[1024] __attribute__((aligned(8)));

static const struct nlattr *attr_of(const struct nlmsghdr *h, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, h, sizeof(struct rtmsg))
	{
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}
	return NULL;
}

static void a_multipath_message(void **state)
{
	struct zapi_route route = route_to("10.2.0.0/24", 3);
	const struct rtnexthop *nh;
	const struct nlattr *multipath;
	struct netlink_route r;
	struct nlmsghdr *h;

	(void)state;
	route.nexthops[1].weight = 3;
	assert_true(addr_parse("192.0.2.1", &route.nexthops[2].gateway));
	route.nexthops[2].onlink = true;
	kernel_route_of(&route, 1001, &r);
	h = netlink_build_route(buf, sizeof(buf), &r, true);
	assert_non_null(h);
	assert_null(attr_of(h, RTA_OIF));
	assert_int_equal(mnl_attr_get_u32(attr_of(h, RTA_TABLE)), 1001);
	multipath = attr_of(h, RTA_MULTIPATH);
	assert_non_null(multipath);
	assert_int_equal(mnl_attr_get_payload_len(multipath), 8 + 8 + 16);
	nh = mnl_attr_get_payload(multipath);
	assert_int_equal(nh[0].rtnh_ifindex, 7);
	assert_int_equal(nh[0].rtnh_hops, 0);
	assert_int_equal(nh[1].rtnh_ifindex, 8);
	assert_int_equal(nh[1].rtnh_hops, 2);
	assert_int_equal(nh[2].rtnh_len, 16);
	assert_int_equal(nh[2].rtnh_flags, RTNH_F_ONLINK);
	for (size_t size = 0; size < h->nlmsg_len; size++)
		assert_null(netlink_build_route(buf, size, &r, true));
}

static void messages_of_one_nexthop(void **state)
{
	struct zapi_route route = route_to("10.2.0.0/24", 1);
	const struct rtmsg *rtm;
	struct netlink_route r;
	struct nlmsghdr *h;

	(void)state;
	route.mtu = 1400;
	kernel_route_of(&route, 254, &r);
	h = netlink_build_route(buf, sizeof(buf), &r, true);
	rtm = mnl_nlmsg_get_payload(h);
	assert_int_equal(mnl_attr_get_u32(attr_of(h, RTA_OIF)), 7);
	assert_null(attr_of(h, RTA_GATEWAY));
	assert_int_equal(rtm->rtm_scope, RT_SCOPE_LINK);
	assert_int_equal(h->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
	assert_true(netlink_parse_route(h, &r));
	assert_int_equal(r.mtu, 1400);
	/* An IPv4 prefix by an IPv6 gateway (RFC 8950). */
	assert_true(addr_parse("fe80::1", &route.nexthops[0].gateway));
	kernel_route_of(&route, 254, &r);
	r.exclusive = true;
	h = netlink_build_route(buf, sizeof(buf), &r, true);
	rtm = mnl_nlmsg_get_payload(h);
	assert_int_equal(rtm->rtm_scope, RT_SCOPE_UNIVERSE);
	assert_int_equal(mnl_attr_get_payload_len(attr_of(h, RTA_VIA)), 18);
	assert_int_equal(h->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	assert_true(netlink_parse_route(h, &r));
	assert_int_equal(r.gateway.family, AF_INET6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_device),
		cmocka_unit_test(metrics),
		cmocka_unit_test(nothing_is_a_blackhole),
		cmocka_unit_test(a_multipath_message),
		cmocka_unit_test(messages_of_one_nexthop),
	};

	return cmocka_run_group_tests_name("kernel routes", tests, NULL, NULL);
}
