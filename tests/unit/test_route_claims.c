/* routes.c over a table in memory: which route stands where, when, and that nothing is done
 * for what does not change. */
#include "ipsecd/routes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct netlink_route table[128];
static unsigned n_routes, n_rules, calls;
static struct addr foreign; /* a source that the kernel does not take */
static bool full;	    /* there is no room for one more */
static struct routes *routes;

static int set_route(void *ctx, const struct netlink_route *r, bool add)
{
	(void)ctx;
	calls++;
	assert_int_equal(r->protocol, ROUTES_PROTOCOL);
	if (add && foreign.family && addr_equal(&r->source, &foreign))
		return -EINVAL;
	if (add && full)
		return -ENOSPC;
	for (unsigned i = 0; i < n_routes; i++) {
		if (prefix_equal(&table[i].dst, &r->dst) && table[i].metric == r->metric) {
			table[i] = table[--n_routes];
			break;
		}
	}
	if (add)
		table[n_routes++] = *r;
	return 0;
}

static int set_rule(void *ctx, const struct netlink_rule *r, bool add)
{
	(void)ctx;
	assert_int_equal(r->protocol, ROUTES_PROTOCOL);
	n_rules += add ? 1 : (unsigned)-1;
	return 0;
}

/* "throw", "blackhole", "dev 7", "dev 7 src 10.1.0.1" or "" for none. */
static const char *at(const char *dst, uint32_t metric)
{
	static char text[96];
	char source[ADDR_TEXT];
	struct prefix p;

	assert_true(prefix_parse(dst, &p));
	text[0] = '\0';
	for (unsigned i = 0; i < n_routes; i++) {
		const struct netlink_route *r = &table[i];

		if (!prefix_equal(&r->dst, &p) || r->metric != metric)
			continue;
		if (r->throws || r->blackhole)
			return r->throws ? "throw" : "blackhole";
		snprintf(text, sizeof(text), "dev %d%s%s", r->ifindex,
			 r->source.family ? " src " : "",
			 r->source.family ? addr_format(&r->source, source) : "");
	}
	return text;
}

#define assert_at(dst, wanted)	    assert_string_equal(at(dst, ROUTES_METRIC), wanted)
#define assert_beneath(dst, wanted) assert_string_equal(at(dst, ROUTES_METRIC_BLACKHOLE), wanted)

static struct addr addr(const char *text)
{
	struct addr a = {0};

	assert_true(!*text || addr_parse(text, &a));
	return a;
}

static struct ts_list list(const char *a, const char *b)
{
	struct ts_list l = {0};

	assert_true(ts_parse(a, &l.ts[l.n++]));
	if (b)
		assert_true(ts_parse(b, &l.ts[l.n++]));
	return l;
}

static void conn(uint32_t tunnel, const char *local, const char *remote, const char *peer)
{
	struct child_config children[] = {
		{.local_ts = list(local, NULL), .remote_ts = list(remote, NULL)}};
	struct conn c = {.n_children = 1, .children = children};

	c.tunnel.remote = addr(peer);
	routes_conn(routes, tunnel, &c);
}

static void child(uint64_t id, uint32_t tunnel, const char *remote, const char *peer,
		  const char *source)
{
	struct addr sources[2] = {addr(source)}, a = addr(peer);
	struct ts_list peers = list(remote, NULL);

	routes_child(routes, id, tunnel, &peers, &a, sources);
}

static void configure(bool on, uint32_t number, uint32_t priority)
{
	struct settings s = SETTINGS_DEFAULT;

	s.install_routes = on;
	s.routing_table = number;
	s.routing_table_prio = priority;
	routes_configure(routes, &s);
}

static int setup(void **ctx)
{
	const struct routes_host host = {.route = set_route, .rule = set_rule};

	(void)ctx;
	n_routes = n_rules = calls = 0;
	foreign = (struct addr){0};
	full = false;
	routes = routes_new(&host);
	configure(true, 220, 220);
	return 0;
}

static int teardown(void **ctx)
{
	(void)ctx;
	routes_free(routes, false);
	assert_int_equal(n_routes, 0);
	assert_int_equal(n_rules, 0);
	return 0;
}

static void up_and_down(void **ctx)
{
	(void)ctx;
	conn(1, "10.1.0.0/16", "10.2.0.0/16", "192.0.2.2");
	assert_at("192.0.2.2/32", "throw");
	assert_beneath("10.2.0.0/16", "blackhole");
	child(1, 1, "10.2.0.0/16", "192.0.2.2", "10.1.0.1");
	assert_at("10.2.0.0/16", ""); /* not before the link is up */
	routes_link(routes, 1, 7);
	assert_at("10.2.0.0/16", "dev 7 src 10.1.0.1");
	routes_link(routes, 1, 0);
	assert_at("10.2.0.0/16", "");
	assert_beneath("10.2.0.0/16", "blackhole");
	routes_child_gone(routes, 1);
	assert_at("192.0.2.2/32", "throw");
	routes_conn_gone(routes, 1);
	assert_int_equal(n_routes, 0);
}

static void rekey_changes_nothing(void **ctx)
{
	unsigned before;

	(void)ctx;
	child(1, 1, "10.2.0.0/16", "192.0.2.2", "10.1.0.1");
	routes_link(routes, 1, 7);
	before = calls;
	child(2, 1, "10.2.0.0/16", "192.0.2.2", "10.1.0.1");
	routes_child_gone(routes, 1);
	assert_int_equal(calls, before);
	assert_at("10.2.0.0/16", "dev 7 src 10.1.0.1");
	child(3, 1, "10.2.0.0/16", "192.0.2.2", "10.1.0.9"); /* another virtual address */
	routes_child_gone(routes, 2);
	assert_at("10.2.0.0/16", "dev 7 src 10.1.0.9");
}

/* The way to a peer stays outside, whoever's selector holds it. */
static void outer_paths_are_excepted(void **ctx)
{
	(void)ctx;
	conn(1, "%dynamic", "0.0.0.0/0", "192.0.2.2");
	assert_beneath("0.0.0.0/0", "blackhole");
	child(1, 1, "0.0.0.0/0", "192.0.2.2", "");
	child(2, 2, "192.0.2.2/32", "192.0.2.2", ""); /* host to host */
	routes_link(routes, 1, 7);
	routes_link(routes, 2, 8);
	assert_at("0.0.0.0/0", "dev 7");
	assert_at("192.0.2.2/32", "throw");
	child(3, 3, "10.3.0.0/16", "198.51.100.3", "");
	assert_at("198.51.100.3/32", "throw");
	struct addr moved = addr("198.51.100.4");

	routes_child_moved(routes, 3, &moved);
	routes_child_moved(routes, 3, &moved);
	assert_at("198.51.100.3/32", "");
	assert_at("198.51.100.4/32", "throw");
	routes_outside(routes, &moved);
	routes_child_gone(routes, 3);
	assert_at("198.51.100.4/32", "throw");
	for (unsigned i = 0; i < 200; i++) {
		struct addr a = addr("10.9.9.0");

		a.bytes[3] = (uint8_t)i;
		routes_outside(routes, &a);
	}
	assert_at("198.51.100.4/32", ""); /* names that were asked for long ago */
	assert_at("10.9.9.199/32", "throw");
}

/* Where the peer's address is not known beforehand, a blackhole for everything would keep
 * us from ever finding it. */
static void no_blackhole_for_all_without_a_peer(void **ctx)
{
	(void)ctx;
	conn(1, "10.1.0.0/16", "0.0.0.0/0", "");
	assert_beneath("0.0.0.0/0", "");
	conn(1, "10.1.0.0/16", "10.0.0.0/8", "");
	assert_beneath("10.0.0.0/8", "blackhole");
}

static void own_network_inside_theirs(void **ctx)
{
	(void)ctx;
	conn(1, "10.1.0.0/16", "10.0.0.0/8", "192.0.2.2");
	assert_at("10.1.0.0/16", "throw");
	assert_beneath("10.0.0.0/8", "blackhole");
	conn(1, "0.0.0.0/0", "0.0.0.0/0", "192.0.2.2"); /* a reload; any to any */
	assert_at("10.1.0.0/16", "");
	assert_at("0.0.0.0/0", "");
	assert_beneath("10.0.0.0/8", "");
	assert_beneath("0.0.0.0/0", "blackhole");
}

/* Two tunnels to one network: the older one's route, and the other's when that is down. */
static void two_ways(void **ctx)
{
	(void)ctx;
	child(1, 1, "10.2.0.0/16", "192.0.2.2", "");
	child(2, 2, "10.2.0.0/16", "192.0.2.3", "");
	routes_link(routes, 2, 8);
	assert_at("10.2.0.0/16", "dev 8");
	routes_link(routes, 1, 7);
	assert_at("10.2.0.0/16", "dev 7");
	routes_link(routes, 1, 0);
	assert_at("10.2.0.0/16", "dev 8");
	routes_child_gone(routes, 2);
	assert_at("10.2.0.0/16", "");
}

static void device_comes_back(void **ctx)
{
	(void)ctx;
	child(1, 1, "10.2.0.0/16", "192.0.2.2", "");
	routes_link(routes, 1, 7);
	n_routes = 0; /* the kernel forgets the routes of a device that is set down */
	routes_restore(routes, 1);
	assert_at("10.2.0.0/16", "dev 7");
	routes_link(routes, 1, 9); /* made anew */
	assert_at("10.2.0.0/16", "dev 9");
}

/* A link settles the places of its own CHILD_SAs, of whichever are left. */
static void links_know_their_children(void **ctx)
{
	unsigned before;

	(void)ctx;
	child(1, 1, "10.2.0.0/16", "192.0.2.2", "");
	child(2, 1, "10.3.0.0/16", "192.0.2.2", "");
	child(3, 2, "10.4.0.0/16", "192.0.2.3", "");
	child(4, 1, "10.2.0.0/16", "192.0.2.2", "");
	routes_child_gone(routes, 1);
	before = calls;
	routes_link(routes, 1, 7);
	assert_int_equal(calls - before, 2);
	assert_at("10.2.0.0/16", "dev 7");
	assert_at("10.3.0.0/16", "dev 7");
	assert_at("10.4.0.0/16", "");
	child(3, 1, "10.4.0.0/16", "192.0.2.3", ""); /* the same number, another tunnel */
	routes_link(routes, 2, 8);
	assert_at("10.4.0.0/16", "dev 7");
	before = calls;
	routes_restore(routes, 2);
	assert_int_equal(calls, before);
	routes_restore(routes, 1);
	assert_int_equal(calls - before, 3);
	routes_child_gone(routes, 2);
	routes_child_gone(routes, 3);
	routes_child_gone(routes, 4);
	routes_link(routes, 1, 9);
	child(5, 1, "10.5.0.0/16", "192.0.2.2", ""); /* a link that had none any more */
	assert_at("10.5.0.0/16", "dev 9");
	routes_link(routes, 1, 0);
	assert_at("10.5.0.0/16", "");
}

static void refused_source(void **ctx)
{
	unsigned before;

	(void)ctx;
	foreign = addr("10.1.0.1");
	child(1, 1, "10.2.0.0/16", "192.0.2.2", "10.1.0.1");
	routes_link(routes, 1, 7);
	assert_at("10.2.0.0/16", "dev 7");
	before = calls;
	child(2, 1, "10.2.0.0/16", "192.0.2.2", "10.1.0.1");
	assert_int_equal(calls, before); /* not tried at each rekey */
}

static void settings_change(void **ctx)
{
	(void)ctx;
	conn(1, "10.1.0.0/16", "10.2.0.0/16", "192.0.2.2");
	child(1, 1, "10.2.0.0-10.2.0.2", "192.0.2.2", "");
	routes_link(routes, 1, 7);
	assert_int_equal(n_rules, 2);
	configure(true, 300, 0);
	assert_int_equal(n_rules, 0);
	assert_at("10.2.0.0/31", "dev 7");
	assert_at("10.2.0.2/32", "dev 7");
	for (unsigned i = 0; i < n_routes; i++)
		assert_int_equal(table[i].table, 300);
	configure(false, 300, 0);
	assert_int_equal(n_routes, 0);
	configure(true, 220, 220);
	assert_int_equal(n_routes, 4);
	assert_true(routes_has(routes, &table[0]));
	table[0].table = 7;
	assert_false(routes_has(routes, &table[0]));
	table[0].table = 220;
}

/* A reload that changes something else touches nothing; at the end of a daemon whose devices
 * stay, what keeps packets in stays, too. */
static void conn_again_and_kept(void **ctx)
{
	unsigned before;

	(void)ctx;
	conn(1, "10.1.0.0/16", "10.2.0.0/16", "192.0.2.2");
	before = calls;
	conn(1, "10.1.0.0/16", "10.2.0.0/16", "192.0.2.2");
	assert_int_equal(calls, before);
	child(1, 1, "10.2.0.0/16", "192.0.2.2", "");
	routes_link(routes, 1, 7);
	routes_free(routes, true);
	assert_at("10.2.0.0/16", "");
	assert_at("192.0.2.2/32", "throw");
	assert_beneath("10.2.0.0/16", "blackhole");
	assert_int_equal(n_routes, 2);
	assert_int_equal(n_rules, 2);
	setup(ctx);
}

/* Routes of a former process had its room: what they kept out comes when they are gone, and what
 * stands is not touched. */
static void what_had_no_room(void **ctx)
{
	unsigned before;

	(void)ctx;
	conn(1, "10.1.0.0/16", "10.2.0.0/16", "192.0.2.2");
	child(1, 1, "10.2.0.0/16", "192.0.2.2", "");
	full = true;
	routes_link(routes, 1, 7);
	assert_at("10.2.0.0/16", "");
	full = false;
	before = calls;
	routes_settle(routes);
	assert_at("10.2.0.0/16", "dev 7");
	assert_true(calls > before);
	before = calls;
	routes_settle(routes);
	assert_int_equal(calls, before);
}

/* A route is not moved to a tunnel that ends as well. */
static void the_end_takes_all_at_once(void **ctx)
{
	unsigned before;

	(void)ctx;
	conn(1, "10.1.0.0/16", "10.2.0.0/16", "192.0.2.2");
	conn(2, "10.1.0.0/16", "10.2.0.0/16", "192.0.2.2");
	child(1, 1, "10.2.0.0/16", "192.0.2.2", "");
	child(2, 2, "10.2.0.0/16", "192.0.2.2", "");
	routes_link(routes, 1, 7);
	routes_link(routes, 2, 8);
	assert_at("10.2.0.0/16", "dev 7");
	before = calls;
	routes_free(routes, true);
	assert_int_equal(calls - before, 1);
	assert_beneath("10.2.0.0/16", "blackhole");
	setup(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(up_and_down, setup, teardown),
		cmocka_unit_test_setup_teardown(rekey_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(outer_paths_are_excepted, setup, teardown),
		cmocka_unit_test_setup_teardown(no_blackhole_for_all_without_a_peer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(own_network_inside_theirs, setup, teardown),
		cmocka_unit_test_setup_teardown(two_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_takes_all_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_had_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(device_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(links_know_their_children, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_source, setup, teardown),
		cmocka_unit_test_setup_teardown(settings_change, setup, teardown),
		cmocka_unit_test_setup_teardown(conn_again_and_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
