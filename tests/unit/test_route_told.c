/* Routes of several claims: equal ones become one route with several nexthops, those of other
 * tables and VRFs are routes of their own. */
#include "routed-bridge/route_told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/route_samples.h"

static size_t put_action(char *text, size_t size, bool more, const struct route_action *a)
{
	char prefix[PREFIX_TEXT];
	size_t n = (size_t)snprintf(text, size, "%s%c%s", more ? " " : "",
				    a->kind == ROUTE_ACTION_ADD ? '+' : '-',
				    prefix_format(&a->route.prefix, prefix));

	if (a->route.variant)
		n += (size_t)snprintf(text + n, size - n, "%c%u", a->route.renewed ? '!' : '~',
				      a->route.variant);
	if (a->route.table)
		n += (size_t)snprintf(text + n, size - n, "#%u", a->route.table);
	for (unsigned i = 0; i < a->route.n_nexthops; i++) {
		const struct zapi_nexthop *h = &a->route.nexthops[i];

		n += (size_t)snprintf(text + n, size - n, "%c%u", i ? ',' : '@', h->ifindex);
		if (h->weight)
			n += (size_t)snprintf(text + n, size - n, "*%u", h->weight);
	}
	return n;
}

/* "+10.2.0.0/24~2#100@7*1,8*3 -...": all that is to be told now; variant (! of a renewal), table
 * and weights if any. */
static const char *told(struct routes *r, mono_time now)
{
	static char text[512];
	struct route_action a;
	size_t n = 0;

	text[0] = '\0';
	while (routes_next(r, &a, now))
		n += put_action(text + n, sizeof(text) - n, n > 0, &a);
	return text;
}

static void note(struct routes *r, const char *prefix, enum zapi_note n, mono_time now)
{
	struct zapi_notify notify = {.note = n};

	assert_true(prefix_parse(prefix, &notify.prefix));
	routes_notify(r, ZAPI_TYPE_NHRP, 0, &notify, now);
}

static void equal_claims_are_one_route(void **state)
{
	struct routes *r = table_up();
	struct route_claim one = claim("10.2.0.0/24", "tun-1", 1);
	struct route_claim two = claim("10.2.0.0/24", "tun-2", 2);
	struct route_claim worse = claim("10.2.0.0/24", "tun-3", 3);

	(void)state;
	worse.route.metric = 1;
	routes_set(r, "b", &two, 1, "up");
	routes_set(r, "c", &worse, 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@2");
	routes_set(r, "a", &one, 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1,2");
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 0);
	assert_int_equal(routes_count(r).wanted, 1);
	assert_int_equal(routes_count(r).installed, 1);
	two.route.nexthops[0].weight = 3;
	routes_set(r, "b", &two, 1, "weight");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1*1,2*3");
	/* The others stay when one goes; a lone one has no weight. */
	routes_set(r, "a", NULL, 0, "down");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@2");
	/* Both ways over one device are one way. */
	one.route.nexthops[0].ifindex = 2;
	routes_set(r, "a", &one, 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@2");
	routes_set(r, "a", NULL, 0, "down");
	routes_set(r, "b", NULL, 0, "down");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@3");
	routes_free(r);
}

static void several_of_ipv6_have_gateways(void **state)
{
	struct route_claim one = claim("2001:db8::/32", "tun-1", 1);
	struct route_claim two = claim("2001:db8::/32", "tun-2", 2);
	struct route_told told;

	(void)state;
	route_told_start(&told, &one);
	route_told_finish(&told);
	assert_int_equal(told.route.nexthops[0].gateway.family, 0);
	route_told_join(&told, &two);
	route_told_finish(&told);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(told.route.nexthops[i].gateway.family, AF_INET6);
		assert_true(told.route.nexthops[i].onlink);
	}
}

static void too_many_equal_claims(void **state)
{
	struct routes *r = table_up();
	struct route_claim c;
	char name[8];

	(void)state;
	for (unsigned i = 0; i < ZAPI_NEXTHOPS_MAX + 3; i++) {
		snprintf(name, sizeof(name), "c%02u", i);
		c = claim("10.2.0.0/24", name, i + 1);
		routes_set(r, name, &c, 1, "up");
	}
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1,2,3,4,5,6,7,8");
	routes_set(r, "c02", NULL, 0, "down");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1,2,4,5,6,7,8,9");
	routes_free(r);
}

/* A device of several that is made anew: zebra would not see the difference. */
static void one_of_several_is_made_anew(void **state)
{
	struct routes *r = table_up();
	struct route_claim one = claim("10.2.0.0/24", "tun-1", 1);
	struct route_claim two = claim("10.2.0.0/24", "tun-2", 2);

	(void)state;
	routes_set(r, "a", &one, 1, "up");
	routes_set(r, "b", &two, 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1,2");
	two.generation = 2;
	routes_set(r, "b", &two, 1, "anew");
	assert_string_equal(told(r, 0), "-10.2.0.0/24@1,2 +10.2.0.0/24@1,2");
	routes_free(r);
}

/* The same prefix in another table or VRF is another route, confirmed by itself. */
static void tables_and_vrfs_are_apart(void **state)
{
	struct routes *r = table_up();
	struct route_claim main_table = claim("10.2.0.0/24", "tun-1", 1), other = main_table;
	struct zapi_notify n = {.note = ZAPI_NOTE_INSTALLED, .table = 100};

	(void)state;
	other.route.table = 100;
	routes_set(r, "a", &main_table, 1, "up");
	routes_set(r, "b", &other, 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1 +10.2.0.0/24#100@1");
	n.prefix = other.route.prefix;
	routes_notify(r, ZAPI_TYPE_NHRP, 0, &n, 0);
	assert_int_equal(routes_count(r).installed, 1);
	n.vrf = 5;
	n.table = 0;
	routes_notify(r, ZAPI_TYPE_NHRP, 0, &n, 0);
	assert_int_equal(routes_count(r).installed, 1);
	n.vrf = 0;
	routes_notify(r, ZAPI_TYPE_NHRP, 0, &n, 0);
	assert_int_equal(routes_count(r).installed, 2);
	routes_set(r, "b", NULL, 0, "down");
	assert_string_equal(told(r, 0), "-10.2.0.0/24#100@1");
	routes_free(r);
}

static void what_loses_a_nexthop_gets_other_weights(void **state)
{
	struct routes *r = table_up();
	const char *const owners[] = {"a", "b", "c"}, *const devices[] = {"tun-1", "tun-2",
									  "tun-3"};
	struct route_claim c[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		c[i] = claim("10.2.0.0/24", devices[i], i + 1);
		routes_set(r, owners[i], &c[i], 1, "up");
	}
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1,2,3");
	routes_set(r, "b", NULL, 0, "down");
	assert_string_equal(told(r, 0), "+10.2.0.0/24~1@1,3");
	routes_set(r, "c", &c[2], 1, "nothing new");
	assert_string_equal(told(r, 0), "");
	note(r, "10.2.0.0/24", ZAPI_NOTE_FAIL_INSTALL, 0);
	routes_expire(r, MONO_S);
	assert_string_equal(told(r, MONO_S), "+10.2.0.0/24~1@1,3");
	routes_set(r, "a", NULL, 0, "down");
	assert_string_equal(told(r, MONO_S), "+10.2.0.0/24@3");
	routes_set(r, "b", &c[1], 1, "up");
	assert_string_equal(told(r, MONO_S), "+10.2.0.0/24@2,3");
	c[1].route.nexthops[0].weight = c[2].route.nexthops[0].weight = 5;
	routes_set(r, "a", &c[0], 1, "up");
	routes_set(r, "b", &c[1], 1, "weight");
	routes_set(r, "c", &c[2], 1, "weight");
	assert_string_equal(told(r, MONO_S), "+10.2.0.0/24@1*1,2*5,3*5");
	routes_set(r, "a", NULL, 0, "down");
	assert_string_equal(told(r, MONO_S), "+10.2.0.0/24~2@2*5,3*5");
	routes_set(r, "b", NULL, 0, "down");
	assert_string_equal(told(r, MONO_S), "+10.2.0.0/24@3");
	routes_free(r);
}

static void what_the_kernel_lacks_is_told_again(void **state)
{
	struct routes *r = table_up();
	struct route_claim c[] = {claim("10.2.0.0/24", "tun-1", 1),
				  claim("10.2.0.0/24", "tun-2", 2),
				  claim("10.2.0.0/24", "tun-3", 3)};

	(void)state;
	routes_renew(r, &c[0].route, 1); /* nobody's */
	routes_set(r, "a", &c[0], 1, "up");
	routes_set(r, "b", &c[1], 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1,2");
	routes_renew(r, &c[0].route, 1); /* zebra has not confirmed it */
	assert_string_equal(told(r, 0), "");
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 0);
	routes_renew(r, &c[0].route, 1);
	assert_string_equal(told(r, 0), "+10.2.0.0/24!2@1,2");
	assert_int_equal(routes_count(r).installed, 0);
	assert_string_equal(told(r, 0), "");
	/* No answer: the same once more. */
	routes_expire(r, 6 * MONO_S);
	assert_string_equal(told(r, 6 * MONO_S), "+10.2.0.0/24!2@1,2");
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 6 * MONO_S);
	routes_set(r, "b", &c[1], 1, "nothing new");
	assert_string_equal(told(r, 6 * MONO_S), "");
	/* The number of the one that it has: the next. */
	routes_renew(r, &c[0].route, 1);
	assert_string_equal(told(r, 6 * MONO_S), "+10.2.0.0/24!3@1,2");
	routes_set(r, "c", &c[2], 1, "up");
	assert_string_equal(told(r, 6 * MONO_S), "+10.2.0.0/24@1,2,3");
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 6 * MONO_S);
	routes_renew(r, &c[0].route, 0);
	assert_string_equal(told(r, 6 * MONO_S), "+10.2.0.0/24!1@1,2,3");
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 6 * MONO_S);
	/* Withdrawn before it could be told. */
	routes_renew(r, &c[0].route, 2);
	for (unsigned i = 0; i < 3; i++)
		routes_set(r, (const char *[]){"a", "b", "c"}[i], NULL, 0, "down");
	assert_string_equal(told(r, 6 * MONO_S), "-10.2.0.0/24!1@1,2,3");
	routes_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_claims_are_one_route),
		cmocka_unit_test(several_of_ipv6_have_gateways),
		cmocka_unit_test(what_loses_a_nexthop_gets_other_weights),
		cmocka_unit_test(what_the_kernel_lacks_is_told_again),
		cmocka_unit_test(too_many_equal_claims),
		cmocka_unit_test(one_of_several_is_made_anew),
		cmocka_unit_test(tables_and_vrfs_are_apart),
	};

	return cmocka_run_group_tests_name("route told", tests, NULL, NULL);
}
