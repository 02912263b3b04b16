/* The netlink transport against the kernel, in a namespace of its own: long dumps, dumps of
 * what changes meanwhile, requests from inside a dump, monitors that were not read in time. */
#include "lib/netlink_device.h"
#include "lib/netlink_route.h"
#include "tests/contract/kernel.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUTES 3000
#define ADDRS  2000 /* several reads long */
#define LO     1

static struct netlink_route route_number(unsigned n)
{
	struct netlink_route r = {.ifindex = LO, .table = 220, .protocol = RTPROT_STATIC};
	char text[PREFIX_TEXT];

	snprintf(text, sizeof(text), "10.%u.%u.0/24", n >> 8, n & 255);
	assert_true(prefix_parse(text, &r.dst));
	return r;
}

static void count_ours(void *ctx, const struct netlink_route *r)
{
	*(unsigned *)ctx += r->table == 220;
}

static void count_and_remove(void *ctx, const struct netlink_route *r)
{
	if (r->table != 220)
		return;
	assert_int_equal(netlink_route_remove(kernel_netlink(), r), 0);
	count_ours(ctx, r);
}

static void a_dump_of_many_reads(void **state)
{
	struct netlink *nl = kernel_netlink();
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < ROUTES; i++) {
		struct netlink_route r = route_number(i);

		assert_int_equal(netlink_route_add(nl, &r), 0);
		if (i % 100 == 0)
			assert_int_equal(netlink_route_add(nl, &r), 0);
	}
	assert_int_equal(netlink_route_list(nl, AF_INET, count_ours, &n), 0);
	assert_int_equal(n, ROUTES);
	/* Asks for more from inside. */
	n = 0;
	assert_int_equal(netlink_route_list(nl, AF_INET, count_and_remove, &n), 0);
	assert_int_equal(n, ROUTES);
	n = 0;
	assert_int_equal(netlink_route_list(nl, AF_INET, count_ours, &n), 0);
	assert_int_equal(n, 0);
}

static void removing_what_is_not_there(void **state)
{
	struct netlink_route r = route_number(1);
	struct netlink_rule rule = {.family = AF_INET6, .table = 220, .priority = 220};

	(void)state;
	assert_int_equal(netlink_route_remove(kernel_netlink(), &r), 0);
	assert_int_equal(netlink_rule_add(kernel_netlink(), &rule), 0);
	assert_int_equal(netlink_rule_add(kernel_netlink(), &rule), 0);
	assert_int_equal(netlink_rule_remove(kernel_netlink(), &rule), 0);
	assert_int_equal(netlink_rule_remove(kernel_netlink(), &rule), 0);
	assert_int_equal(netlink_link_del(kernel_netlink(), 4711), -ENODEV);
}

/* ---- addresses that come and go while they are listed ---- */

static atomic_bool stop;

static void *churn(void *arg)
{
	struct netlink *nl = arg;
	struct prefix p = {0};

	prefix_parse("10.9.9.9/32", &p);
	while (!stop) {
		netlink_addr_add(nl, LO, &p);
		netlink_addr_remove(nl, LO, &p);
	}
	return NULL;
}

static struct prefix steady_number(unsigned n)
{
	char text[PREFIX_TEXT];
	struct prefix p;

	snprintf(text, sizeof(text), "10.8.%u.%u/32", n >> 8, n & 255);
	assert_true(prefix_parse(text, &p));
	return p;
}

static void count_addr(void *ctx, const struct netlink_addr *addr)
{
	*(unsigned *)ctx += addr->prefix.addr.bytes[1] == 8;
}

static void steady_addrs(bool add)
{
	for (unsigned i = 0; i < ADDRS; i++) {
		struct prefix p = steady_number(i);

		assert_int_equal(
			(add ? netlink_addr_add : netlink_addr_remove)(kernel_netlink(), LO, &p),
			0);
	}
}

/* Each list is of one moment: what stays is in it once, however often the kernel broke off. */
static void a_dump_of_what_changes(void **state)
{
	struct netlink *other = netlink_open();
	pthread_t thread;

	(void)state;
	assert_non_null(other);
	steady_addrs(true);
	assert_int_equal(pthread_create(&thread, NULL, churn, other), 0);
	for (unsigned i = 0; i < 50; i++) {
		unsigned n = 0;
		int e = netlink_addr_list(kernel_netlink(), LO, count_addr, &n);

		assert_true(e == 0 || e == -EAGAIN);
		assert_int_equal(n, e == 0 ? ADDRS : 0);
	}
	stop = true;
	pthread_join(thread, NULL);
	netlink_close(other);
	steady_addrs(false);
}

/* ---- monitors ---- */

struct seen {
	unsigned messages, lost;
};

static void on_message(void *ctx, const struct nlmsghdr *h)
{
	assert_true(h->nlmsg_len >= NLMSG_HDRLEN);
	((struct seen *)ctx)->messages++;
}

static void on_addr(void *ctx, const struct netlink_addr *addr)
{
	(void)addr;
	((struct seen *)ctx)->messages++;
}

static void on_lost(void *ctx)
{
	((struct seen *)ctx)->lost++;
}

static void flap(unsigned times)
{
	struct prefix p;

	assert_true(prefix_parse("10.7.0.1/24", &p));
	for (unsigned i = 0; i < times; i++) {
		assert_int_equal(netlink_addr_add(kernel_netlink(), LO, &p), 0);
		assert_int_equal(netlink_addr_remove(kernel_netlink(), LO, &p), 0);
	}
}

static void a_monitor_that_is_not_read_says_so(void **state)
{
	struct seen seen = {0};
	struct netlink_monitor_host host = {.addr = on_addr, .lost = on_lost, .ctx = &seen};
	struct netlink_monitor *m = netlink_monitor_open(&host);

	(void)state;
	assert_non_null(m);
	flap(500); /* what fits its queue is all told */
	assert_int_equal(netlink_monitor_read(m), 0);
	assert_int_equal(seen.messages, 1000);
	assert_int_equal(seen.lost, 0);
	flap(20000);
	assert_int_equal(netlink_monitor_read(m), 0);
	assert_true(seen.lost > 0);
	seen = (struct seen){0};
	flap(1); /* and it goes on */
	assert_int_equal(netlink_monitor_read(m), 0);
	assert_int_equal(seen.messages, 2);
	assert_int_equal(seen.lost, 0);
	netlink_monitor_close(m);
}

/* In the place of a monitor's: its next read fails by the ICMP error for what it sent. */
static void put_failing_socket(struct netlink_monitor *m)
{
	struct sockaddr_in nobody = {.sin_family = AF_INET,
				     .sin_port = htons(9),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	netlink_link_set_up(kernel_netlink(), LO, true);
	assert_int_equal(connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)), 0);
	assert_int_equal(send(fd, "", 1, 0), 1);
	assert_true(dup2(fd, netlink_monitor_fd(m)) >= 0);
	close(fd);
}

/* What the kernel can't make a message of it reports as an error, once. */
static void an_error_is_a_loss(void **state)
{
	struct seen seen = {0};
	struct netlink_monitor_host host = {.addr = on_addr, .lost = on_lost, .ctx = &seen};
	struct netlink_monitor *m = netlink_monitor_open(&host);
	int pipes[2];

	(void)state;
	assert_non_null(m);
	put_failing_socket(m);
	assert_int_equal(netlink_monitor_read(m), 0);
	assert_int_equal(seen.lost, 1);
	assert_int_equal(netlink_monitor_read(m), 0);
	assert_int_equal(seen.lost, 1);
	assert_int_equal(pipe(pipes), 0);
	assert_true(dup2(pipes[0], netlink_monitor_fd(m)) >= 0);
	assert_int_equal(netlink_monitor_read(m), -ENOTSOCK); /* always */
	assert_true(seen.lost > 1);
	close(pipes[0]);
	close(pipes[1]);
	netlink_monitor_close(m);
}

/* RTNLGRP_NSID .. are below 32, RTNLGRP_MDB 26, RTNLGRP_NEXTHOP 32, RTNLGRP_TUNNEL 35. */
static void groups_above_32(void **state)
{
	static const unsigned groups[] = {RTNLGRP_BRVLAN, RTNLGRP_IPV4_IFADDR, 0};
	static const unsigned nonsense[] = {100000, 0};
	struct seen seen = {0};
	struct netlink_monitor *m =
		netlink_monitor_open_protocol(NETLINK_ROUTE, groups, on_message, NULL, &seen);

	(void)state;
	assert_non_null(m);
	flap(1);
	assert_int_equal(netlink_monitor_read(m), 0);
	assert_int_equal(seen.messages, 2);
	netlink_monitor_close(m);
	assert_null(netlink_monitor_open_protocol(NETLINK_ROUTE, nonsense, on_message, NULL, NULL));
	assert_int_not_equal(errno, 0);
}

/* Another family: the kernel's answers and its words. */
static void xfrm_answers(void **state)
{
	uint8_t buf[512] __attribute__((aligned(8)));
	struct netlink *nl = netlink_open_protocol(NETLINK_XFRM);
	struct seen seen = {0};
	struct nlmsghdr *h;

	(void)state;
	assert_non_null(nl);
	h = netlink_build_start(buf, sizeof(buf), 0, XFRM_MSG_GETPOLICY, NLM_F_DUMP);
	assert_int_equal(netlink_query(nl, h, on_message, &seen), 0);
	assert_int_equal(seen.messages, 0);
	h = netlink_build_start(buf, sizeof(buf), sizeof(struct xfrm_userpolicy_id),
				XFRM_MSG_GETPOLICY, NLM_F_ACK);
	assert_true(netlink_query(nl, h, on_message, &seen) < 0);
	assert_int_equal(seen.messages, 0);
	netlink_close(nl);
	assert_null(netlink_open_protocol(4711));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dump_of_many_reads),
		cmocka_unit_test(removing_what_is_not_there),
		cmocka_unit_test(a_dump_of_what_changes),
		cmocka_unit_test(a_monitor_that_is_not_read_says_so),
		cmocka_unit_test(an_error_is_a_loss),
		cmocka_unit_test(groups_above_32),
		cmocka_unit_test(xfrm_answers),
	};

	kernel_namespace("test_netlink_kernel");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
