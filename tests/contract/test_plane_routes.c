/* Routes and addresses that plane sets for ike, in the kernel of a namespace: an ike in other hands
 * takes nobody's place, and takes nobody's away. */
#include "ipsecd/plane_addrs.h"
#include "ipsecd/plane_routes.h"
#include "ipsecd/routes.h"
#include "tests/contract/kernel.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LO 1

static int tunnels; /* 1: lo is one, as it were */

static bool is_tunnel(const void *ctx, int ifindex)
{
	(void)ctx;
	return tunnels && ifindex == LO;
}

static mono_time clock_now = 5 * MONO_S;

static mono_time now(void)
{
	return clock_now;
}

static struct plane_routes plane(void)
{
	return (struct plane_routes){
		.netlink = kernel_netlink(), .is_tunnel = is_tunnel, .now = now};
}

static struct netlink_route route_to(const char *dst, uint32_t metric)
{
	struct netlink_route r = {.ifindex = LO,
				  .table = RT_TABLE_MAIN,
				  .metric = metric,
				  .protocol = ROUTES_PROTOCOL};

	assert_true(prefix_parse(dst, &r.dst));
	return r;
}

static struct netlink_route others(const char *dst, uint32_t metric)
{
	struct netlink_route r = route_to(dst, metric);

	r.protocol = RTPROT_STATIC;
	return r;
}

struct seen {
	struct prefix dst;
	unsigned ours, others;
};

static void see(void *ctx, const struct netlink_route *r)
{
	struct seen *s = ctx;

	if (r->table != RT_TABLE_MAIN || !prefix_equal(&r->dst, &s->dst))
		return;
	s->ours += r->protocol == ROUTES_PROTOCOL;
	s->others += r->protocol == RTPROT_STATIC;
}

static void expect(const char *dst, unsigned ours, unsigned of_others)
{
	struct seen s = {.ours = 0};

	assert_true(prefix_parse(dst, &s.dst));
	assert_int_equal(netlink_route_list(kernel_netlink(), s.dst.addr.family, see, &s), 0);
	assert_int_equal(s.ours, ours);
	assert_int_equal(s.others, of_others);
}

static void set(struct plane_routes *p, struct netlink_route r, bool add, int error, bool taken)
{
	bool got;

	assert_int_equal(plane_routes_set(p, &r, add, &got), error);
	assert_int_equal(got, taken);
}

static void another_one(const char *dst, uint32_t metric)
{
	struct plane_routes p = plane();
	struct netlink_route r = route_to(dst, metric), o = others(dst, metric);

	assert_int_equal(netlink_route_add(kernel_netlink(), &o), 0);
	set(&p, r, true, -EEXIST, true);
	expect(dst, 0, 1);
	set(&p, r, false, 0, false); /* ours, which is not there */
	expect(dst, 0, 1);
	r.blackhole = true;
	r.ifindex = 0;
	set(&p, r, true, -EEXIST, true);
	expect(dst, 0, 1);
	assert_int_equal(netlink_route_remove(kernel_netlink(), &o), 0);
	set(&p, r, true, 0, false);
	expect(dst, 1, 0);
	set(&p, r, false, 0, false);
	expect(dst, 0, 0);
	plane_routes_free(&p);
}

static void not_in_anothers_place(void **state)
{
	(void)state;
	another_one("0.0.0.0/0", 0);
	another_one("10.1.0.0/16", 0);
	another_one("10.1.0.0/16", 1024);
	another_one("fd00:1::/64", 0); /* 1024, as the kernel has it */
	another_one("fd00:1::/64", 77);
}

/* Those of our own may be set again, by this plane and by the next one. */
static void our_own(const char *dst)
{
	struct plane_routes first = plane(), next = plane();
	struct netlink_route r = route_to(dst, 1024);

	set(&first, r, true, 0, false);
	set(&first, r, true, 0, false);
	plane_routes_free(&first);
	expect(dst, 1, 0);
	set(&next, r, true, 0, false);
	set(&next, r, true, 0, false);
	expect(dst, 1, 0);
	set(&next, r, false, 0, false);
	set(&next, r, false, 0, false);
	expect(dst, 0, 0);
	plane_routes_free(&next);
}

static void our_own_again(void **state)
{
	(void)state;
	our_own("10.2.0.0/16");
	our_own("fd00:2::/64");
}

/* Ours was taken away, and the operator has put his own there. */
static void replaced(const char *dst, bool by_next)
{
	struct plane_routes p = plane();
	struct netlink_route r = route_to(dst, 1024), o = others(dst, 1024);

	set(&p, r, true, 0, false);
	if (by_next)
		set(&p, r, true, 0, false);
	clock_now += 2 * MONO_S;
	assert_int_equal(netlink_route_remove(kernel_netlink(), &r), 0);
	assert_int_equal(netlink_route_add(kernel_netlink(), &o), 0);
	set(&p, r, true, -EEXIST, true);
	expect(dst, 0, 1);
	set(&p, r, false, 0, false);
	expect(dst, 0, 1);
	assert_int_equal(netlink_route_remove(kernel_netlink(), &o), 0);
	set(&p, r, true, 0, false);
	expect(dst, 1, 0);
	set(&p, r, false, 0, false);
	plane_routes_free(&p);
}

static void in_the_place_of_ours(void **state)
{
	(void)state;
	replaced("10.5.0.0/16", false);
	replaced("fd00:5::/64", false);
	replaced("10.5.0.0/16", true);
	replaced("fd00:5::/64", true);
}

/* What leads into a tunnel is there for our sake. */
static void by_a_tunnel(void **state)
{
	struct netlink_route o = others("10.3.0.0/16", 0);
	struct plane_routes p = plane();

	(void)state;
	tunnels = 1;
	assert_int_equal(netlink_route_add(kernel_netlink(), &o), 0);
	set(&p, route_to("10.3.0.0/16", 0), true, 0, false);
	expect("10.3.0.0/16", 1, 0);
	set(&p, route_to("10.3.0.0/16", 0), false, 0, false);
	tunnels = 0;
	plane_routes_free(&p);
}

/* A place in another table, or with another metric, is another place. */
static void beside_anothers(void **state)
{
	struct netlink_route o = others("10.4.0.0/16", 5), r = route_to("10.4.0.0/16", 6);
	struct plane_routes p = plane();

	(void)state;
	assert_int_equal(netlink_route_add(kernel_netlink(), &o), 0);
	set(&p, r, true, 0, false);
	expect("10.4.0.0/16", 1, 1);
	set(&p, r, false, 0, false);
	r = route_to("10.4.0.0/16", 5);
	r.table = 220;
	set(&p, r, true, 0, false);
	expect("10.4.0.0/16", 0, 1);
	set(&p, r, false, 0, false);
	assert_int_equal(netlink_route_remove(kernel_netlink(), &o), 0);
	plane_routes_free(&p);
}

/* ---- rules ---- */

static void see_rule(void *ctx, const struct netlink_rule *r)
{
	struct seen *s = ctx;

	s->ours += r->protocol == ROUTES_PROTOCOL;
	s->others += r->protocol == RTPROT_STATIC;
}

static void expect_rules(uint8_t family, unsigned ours, unsigned of_others)
{
	struct seen s = {.ours = 0};

	assert_int_equal(netlink_rule_list(kernel_netlink(), family, see_rule, &s), 0);
	assert_int_equal(s.ours, ours);
	assert_int_equal(s.others, of_others);
}

/* Each is looked at for every packet: an ike in other hands gets a few, and an operator's don't
 * count. */
static void so_many_rules(uint8_t family)
{
	struct netlink *nl = kernel_netlink();
	struct netlink_rule r = {.family = family, .table = 220, .protocol = ROUTES_PROTOCOL};
	struct netlink_rule o = {.family = family, .table = 7, .protocol = RTPROT_STATIC};

	for (o.priority = 500; o.priority < 520; o.priority++)
		assert_int_equal(netlink_rule_add(nl, &o), 0);
	for (r.priority = 1; r.priority <= PLANE_RULES_MAX; r.priority++) {
		assert_int_equal(plane_rules_set(nl, &r, true), 0);
		assert_int_equal(plane_rules_set(nl, &r, true), 0);
	}
	expect_rules(family, PLANE_RULES_MAX, 20);
	assert_int_equal(plane_rules_set(nl, &r, true), -ENOSPC);
	r.priority = 1; /* it is there */
	assert_int_equal(plane_rules_set(nl, &r, true), 0);
	r.table = 221;
	assert_int_equal(plane_rules_set(nl, &r, true), -ENOSPC);
	r.table = 220;
	snprintf(r.iif, sizeof(r.iif), "lo");
	assert_int_equal(plane_rules_set(nl, &r, true), -ENOSPC);
	memset(r.iif, 0, sizeof(r.iif));
	assert_int_equal(plane_rules_set(nl, &r, false), 0);
	assert_int_equal(plane_rules_set(nl, &r, false), 0);
	r.priority = 99;
	assert_int_equal(plane_rules_set(nl, &r, true), 0);
	expect_rules(family, PLANE_RULES_MAX, 20);
	for (r.priority = 1; r.priority < 100; r.priority++)
		assert_int_equal(plane_rules_set(nl, &r, false), 0);
	for (o.priority = 500; o.priority < 520; o.priority++)
		assert_int_equal(netlink_rule_remove(nl, &o), 0);
	expect_rules(family, 0, 0);
}

static void no_more_rules_than(void **state)
{
	(void)state;
	so_many_rules(AF_INET);
	so_many_rules(AF_INET6);
}

/* ---- addresses ---- */

static int memory_fd = -1; /* what outlives a plane */

static struct plane_addrs *plane_with_memory(void)
{
	struct memfd m;
	char why[160];

	if (memory_fd < 0)
		memory_fd = memfd_create("addresses", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(memfd_map(&m, dup(memory_fd), PLANE_ADDRS_MEMORY, why, sizeof(why)));
	return plane_addrs_new(kernel_netlink(), &m, NULL);
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, &p));
	return p;
}

static void count(void *ctx, const struct netlink_addr *a)
{
	struct seen *s = ctx;

	if (!prefix_equal(&a->prefix, &s->dst))
		return;
	s->ours += a->protocol == ROUTES_PROTOCOL;
	s->others += a->protocol != ROUTES_PROTOCOL;
}

static void expect_addr(const struct prefix *p, unsigned ours, unsigned of_others)
{
	struct seen s = {.dst = *p};

	assert_int_equal(netlink_addr_list(kernel_netlink(), LO, count, &s), 0);
	assert_int_equal(s.ours, ours);
	assert_int_equal(s.others, of_others);
}

static void an_address(const char *text)
{
	struct plane_addrs *a = plane_addrs_new(kernel_netlink(), NULL, NULL), *next;
	struct netlink *nl = kernel_netlink();
	struct prefix p = prefix(text);

	assert_int_equal(netlink_addr_add(nl, LO, &p), 0);
	assert_int_equal(plane_addrs_add(a, "lo", &p), 0);
	assert_false(plane_addrs_has(a, "lo", &p));
	assert_true(plane_addrs_remove(a, "lo", &p) < 0);
	expect_addr(&p, 0, 1);
	assert_int_equal(netlink_addr_remove(nl, LO, &p), 0);
	assert_int_equal(plane_addrs_add(a, "lo", &p), 0);
	assert_int_equal(plane_addrs_add(a, "lo", &p), 0);
	assert_true(plane_addrs_has(a, "lo", &p));
	assert_false(plane_addrs_has(a, "dummy0", &p));
	expect_addr(&p, 1, 0);
	next = plane_addrs_new(nl, NULL, NULL); /* which the kernel tells whose it is */
	assert_int_equal(plane_addrs_add(next, "lo", &p), 0);
	assert_true(plane_addrs_has(next, "lo", &p));
	assert_int_equal(plane_addrs_remove(next, "lo", &p), 0);
	expect_addr(&p, 0, 0);
	assert_int_equal(plane_addrs_add(a, "nothing", &p), -ENODEV);
	assert_false(plane_addrs_has(a, "nothing", &p));
	plane_addrs_free(a);
	plane_addrs_free(next);
}

static void addresses_of_others(void **state)
{
	struct plane_addrs *a = plane_addrs_new(kernel_netlink(), NULL, NULL);
	struct prefix wide = prefix("fd00:7::7/64"), host = prefix("fd00:7::7/128");

	(void)state;
	an_address("198.51.100.7/32");
	an_address("fd00:7::7/128");
	assert_int_equal(netlink_addr_add(kernel_netlink(), LO, &wide), 0);
	assert_int_equal(plane_addrs_add(a, "lo", &host), 0); /* which is there already */
	assert_false(plane_addrs_has(a, "lo", &host));
	expect_addr(&wide, 0, 1);
	assert_int_equal(netlink_addr_remove(kernel_netlink(), LO, &wide), 0);
	plane_addrs_free(a);
}

/* A kernel that does not tell whose an address is. */
static void without_the_kernels_word(const char *text)
{
	struct plane_addrs *a = plane_with_memory();
	struct prefix p = prefix(text);

	assert_int_equal(plane_addrs_add(a, "lo", &p), 0);
	plane_addrs_free(a);
	assert_int_equal(netlink_addr_add(kernel_netlink(), LO, &p), 0);
	expect_addr(&p, 0, 1);
	a = plane_with_memory();
	assert_true(plane_addrs_has(a, "lo", &p));
	assert_int_equal(plane_addrs_add(a, "lo", &p), 0);
	assert_int_equal(plane_addrs_remove(a, "lo", &p), 0);
	expect_addr(&p, 0, 0);
	plane_addrs_free(a);
	a = plane_with_memory();
	assert_false(plane_addrs_has(a, "lo", &p));
	plane_addrs_free(a);
}

static void our_addresses_outlive_a_plane(void **state)
{
	(void)state;
	without_the_kernels_word("198.51.100.8/32");
	without_the_kernels_word("fd00:7::8/128");
}

/* Somebody took it away meanwhile: what comes in its place is not ours. */
static void an_address_that_went_is_not_ours(void **state)
{
	struct prefix p = prefix("198.51.100.9/32");
	struct plane_addrs *a = plane_with_memory();

	(void)state;
	assert_int_equal(plane_addrs_add(a, "lo", &p), 0);
	plane_addrs_free(a);
	assert_int_equal(netlink_addr_remove(kernel_netlink(), LO, &p), 0);
	a = plane_with_memory();
	assert_false(plane_addrs_has(a, "lo", &p));
	assert_int_equal(netlink_addr_add(kernel_netlink(), LO, &p), 0);
	assert_int_equal(plane_addrs_add(a, "lo", &p), 0);
	assert_true(plane_addrs_remove(a, "lo", &p) < 0);
	expect_addr(&p, 0, 1);
	assert_int_equal(netlink_addr_remove(kernel_netlink(), LO, &p), 0);
	plane_addrs_free(a);
}

int __wrap_netlink_addr_add_new(struct netlink *nl, int ifindex, const struct prefix *prefix,
				uint8_t protocol);
int __real_netlink_addr_add_new(struct netlink *nl, int ifindex, const struct prefix *prefix,
				uint8_t protocol);

static enum { LIVES, DIES_BEFORE, DIES_BEHIND } fate;

int __wrap_netlink_addr_add_new(struct netlink *nl, int ifindex, const struct prefix *prefix,
				uint8_t protocol)
{
	int e;

	if (fate == DIES_BEFORE)
		raise(SIGKILL);
	e = __real_netlink_addr_add_new(nl, ifindex, prefix, protocol);
	if (fate == DIES_BEHIND)
		raise(SIGKILL);
	return e;
}

/* false: it was killed. */
static bool another_plane_adds(const struct prefix *p)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(plane_addrs_add(plane_with_memory(), "lo", p) != 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFEXITED(status);
}

static void killed_amid_it(const char *text)
{
	struct prefix p = prefix(text);
	struct plane_addrs *a;

	plane_addrs_free(plane_with_memory()); /* memory that those to be killed have, too */
	assert_int_equal(netlink_addr_add(kernel_netlink(), LO, &p), 0);
	for (fate = LIVES; fate <= DIES_BEHIND; fate++) { /* an operator's stays an operator's */
		another_plane_adds(&p);
		a = plane_with_memory();
		assert_false(plane_addrs_has(a, "lo", &p));
		plane_addrs_settle(a);
		expect_addr(&p, 0, 1);
		plane_addrs_free(a);
	}
	assert_int_equal(netlink_addr_remove(kernel_netlink(), LO, &p), 0);
	fate = DIES_BEFORE;
	assert_false(another_plane_adds(&p));
	a = plane_with_memory();
	assert_false(plane_addrs_has(a, "lo", &p));
	plane_addrs_free(a);
	fate = DIES_BEHIND;
	assert_false(another_plane_adds(&p));
	fate = LIVES;
	a = plane_with_memory();
	assert_true(plane_addrs_has(a, "lo", &p));
	plane_addrs_settle(a);
	expect_addr(&p, 0, 0);
	plane_addrs_free(a);
}

static void killed_between_memory_and_kernel(void **state)
{
	(void)state;
	killed_amid_it("198.51.100.11/32");
	killed_amid_it("fd00:7::11/128");
}

static void what_the_next_ike_does_not_want_goes(void **state)
{
	struct prefix wanted = prefix("198.51.100.10/32"), other = prefix("fd00:7::10/128");
	struct plane_addrs *a = plane_with_memory();

	(void)state;
	assert_int_equal(plane_addrs_add(a, "lo", &wanted), 0);
	assert_int_equal(plane_addrs_add(a, "lo", &other), 0);
	plane_addrs_free(a);
	a = plane_with_memory();
	plane_addrs_unclaim(a);
	assert_int_equal(plane_addrs_add(a, "lo", &wanted), 0);
	plane_addrs_settle(a);
	expect_addr(&wanted, 1, 0);
	expect_addr(&other, 0, 0);
	plane_addrs_unclaim(a);
	plane_addrs_settle(a);
	expect_addr(&wanted, 0, 0);
	plane_addrs_free(a);
	close(memory_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_in_anothers_place),
		cmocka_unit_test(our_own_again),
		cmocka_unit_test(by_a_tunnel),
		cmocka_unit_test(beside_anothers),
		cmocka_unit_test(in_the_place_of_ours),
		cmocka_unit_test(no_more_rules_than),
		cmocka_unit_test(addresses_of_others),
		cmocka_unit_test(our_addresses_outlive_a_plane),
		cmocka_unit_test(an_address_that_went_is_not_ours),
		cmocka_unit_test(killed_between_memory_and_kernel),
		cmocka_unit_test(what_the_next_ike_does_not_want_goes),
	};

	kernel_namespace("test_plane_routes");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
