/* rtnetlink messages are built and read back without a kernel; hostile and truncated
 * ones are read without harm. The transport is tested by the data-plane contract. */
#include "lib/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t buf[NETLINK_BUFFER] __attribute__((aligned(8)));

static void link_change(void **state)
{
	struct netlink_link_change change = {.set_up = true,
					     .up = true,
					     .set_mtu = true,
					     .mtu = 1438,
					     .set_linkmode = true,
					     .linkmode = IF_LINK_MODE_DORMANT,
					     .set_operstate = true,
					     .operstate = IF_OPER_UP,
					     .set_txqlen = true,
					     .txqlen = 2000};
	struct nlmsghdr *h = netlink_build_link_change(buf, sizeof(buf), 7, &change);
	const struct ifinfomsg *ifi;
	const struct nlattr *attr;
	struct netlink_link link;
	uint32_t txqlen = 0;

	(void)state;
	assert_non_null(h);
	ifi = mnl_nlmsg_get_payload(h);
	assert_int_equal(h->nlmsg_type, RTM_NEWLINK);
	assert_int_equal(h->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
	assert_int_equal(ifi->ifi_change, IFF_UP);
	assert_true(netlink_parse_link(h, &link));
	assert_int_equal(link.ifindex, 7);
	assert_int_equal(link.flags, IFF_UP);
	assert_int_equal(link.mtu, 1438);
	assert_int_equal(link.linkmode, IF_LINK_MODE_DORMANT);
	assert_int_equal(link.operstate, IF_OPER_UP);
	assert_false(link.removed);
	mnl_attr_for_each(attr, h, sizeof(*ifi))
	{
		if (mnl_attr_get_type(attr) == IFLA_TXQLEN)
			txqlen = mnl_attr_get_u32(attr);
	}
	assert_int_equal(txqlen, 2000);
}

static void link_change_touches_no_more(void **state)
{
	struct netlink_link_change change = {.set_operstate = true, .operstate = IF_OPER_DORMANT};
	struct nlmsghdr *h = netlink_build_link_change(buf, sizeof(buf), 7, &change);
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);

	(void)state;
	assert_int_equal(ifi->ifi_change, 0);
	assert_int_equal(h->nlmsg_len, NLMSG_HDRLEN + sizeof(*ifi) + 8);
}

static void qdisc(void **state)
{
	struct nlmsghdr *h = netlink_build_qdisc(buf, sizeof(buf), 7, "noqueue");
	const struct tcmsg *tc = mnl_nlmsg_get_payload(h);
	const struct nlattr *kind = mnl_nlmsg_get_payload_offset(h, sizeof(*tc));

	(void)state;
	assert_int_equal(h->nlmsg_type, RTM_NEWQDISC);
	assert_int_equal(h->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
	assert_int_equal(tc->tcm_ifindex, 7);
	assert_int_equal(tc->tcm_parent, TC_H_ROOT);
	assert_int_equal(tc->tcm_handle, 0);
	assert_int_equal(mnl_attr_get_type(kind), TCA_KIND);
	assert_string_equal(mnl_attr_get_str(kind), "noqueue");
	assert_null(netlink_build_qdisc(buf, h->nlmsg_len - 1, 7, "noqueue"));
}

static void link_get(void **state)
{
	struct nlmsghdr *h = netlink_build_link_get(buf, sizeof(buf), 0, "to-b");
	struct netlink_link link;

	(void)state;
	assert_int_equal(h->nlmsg_type, RTM_GETLINK);
	assert_false(h->nlmsg_flags & NLM_F_DUMP);
	h->nlmsg_type = RTM_NEWLINK;
	assert_true(netlink_parse_link(h, &link));
	assert_string_equal(link.name, "to-b");
	h = netlink_build_link_get(buf, sizeof(buf), 0, NULL);
	assert_true((h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP);
}

static void addresses(void **state)
{
	static const char *const texts[] = {"10.9.1.1/30", "192.0.2.1/32", "fd00:9::1/64"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct netlink_addr addr;
		struct prefix prefix;
		struct nlmsghdr *h;

		assert_true(prefix_parse(texts[i], &prefix));
		h = netlink_build_addr(buf, sizeof(buf), 7, &prefix, true);
		assert_int_equal(h->nlmsg_type, RTM_NEWADDR);
		assert_true(netlink_parse_addr(h, &addr));
		assert_true(prefix_equal(&addr.prefix, &prefix));
		assert_int_equal(addr.ifindex, 7);
		assert_int_equal(addr.flags, prefix.addr.family == AF_INET6 ? IFA_F_NODAD : 0);
		h = netlink_build_addr(buf, sizeof(buf), 7, &prefix, false);
		assert_int_equal(h->nlmsg_type, RTM_DELADDR);
		assert_int_equal(h->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
		assert_true(netlink_parse_addr(h, &addr) && addr.removed);
	}
}

static void too_small_a_buffer(void **state)
{
	struct netlink_link_change change = {.set_mtu = true, .set_operstate = true};
	struct prefix prefix;
	size_t full;

	(void)state;
	full = netlink_build_link_change(buf, sizeof(buf), 7, &change)->nlmsg_len;
	for (size_t size = 0; size < full; size++)
		assert_null(netlink_build_link_change(buf, size, 7, &change));
	assert_true(prefix_parse("fd00::1/64", &prefix));
	full = netlink_build_addr(buf, sizeof(buf), 7, &prefix, true)->nlmsg_len;
	for (size_t size = 0; size < full; size++)
		assert_null(netlink_build_addr(buf, size, 7, &prefix, true));
	assert_null(netlink_build_link_get(buf, 16, 0, "x"));
	assert_null(netlink_build_addr_dump(buf, 20, 0));
}

static void hostile_messages(void **state)
{
	struct netlink_link link;
	struct netlink_addr addr;

	(void)state;
	srandom(3);
	for (unsigned n = 0; n < 100000; n++) {
		/* The length is what the buffer holds, so that a sanitizer sees each overread. */
		size_t len = NLMSG_HDRLEN + (size_t)random() % 96;
		struct nlmsghdr *h = malloc(len);

		assert_non_null(h);
		for (size_t i = 0; i < len; i++)
			((uint8_t *)h)[i] = (uint8_t)(random() % (n % 2 ? 256 : 24));
		h->nlmsg_len = (uint32_t)len;
		h->nlmsg_type = n % 2 ? RTM_NEWLINK : RTM_NEWADDR;
		netlink_parse_link(h, &link);
		netlink_parse_addr(h, &addr);
		free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_change),
		cmocka_unit_test(link_change_touches_no_more),
		cmocka_unit_test(qdisc),
		cmocka_unit_test(link_get),
		cmocka_unit_test(addresses),
		cmocka_unit_test(too_small_a_buffer),
		cmocka_unit_test(hostile_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
