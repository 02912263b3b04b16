/* bgpd's JSON into the table of paths; the answers are those of 8.4.4, shortened. */
#include "routed-bridge/bgp_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char neighbors[] =
	"\n{\"ac\":{\"bgpNeighborAddr\":\"fe80::2c9e:46ff:fe1e:f22a\",\"remoteAs\":65003,"
	"\"localAs\":65001,\"remoteRouterId\":\"3.3.3.3\",\"bgpState\":\"Established\","
	"\"hostLocal\":\"fe80::6093:baff:fe5f:a866\"},"
	"\"10.9.0.1\":{\"remoteAs\":65002,\"localAs\":65001,\"remoteRouterId\":\"2.2.2.2\","
	"\"bgpState\":\"Established\",\"hostLocal\":\"10.9.0.0\"},"
	"\"10.9.0.9\":{\"remoteAs\":65009,\"localAs\":65001,\"bgpState\":\"Active\"},"
	"\"odd\":7}\n";

static const char routes[] =
	"\n{\"vrfId\":0,\"routerId\":\"1.1.1.1\",\"routes\":{"
	"\"10.1.0.0/24\":[{\"weight\":32768,\"peerId\":\"(unspec)\",\"path\":\"\","
	"\"origin\":\"IGP\",\"nexthops\":[{\"ip\":\"0.0.0.0\",\"used\":true}]}],"
	"\"10.2.0.0/24\":["
	"{\"valid\":true,\"peerId\":\"fe80::2c9e:46ff:fe1e:f22a\",\"path\":\"65003 65002\","
	"\"origin\":\"incomplete\",\"nexthops\":["
	"{\"ip\":\"fe80::2c9e:46ff:fe1e:f22a\",\"scope\":\"global\",\"used\":true},"
	"{\"ip\":\"fe80::2c9e:46ff:fe1e:f22a\",\"scope\":\"link-local\"}]},"
	"{\"valid\":true,\"bestpath\":true,\"metric\":42,\"locPrf\":200,\"peerId\":\"10.9.0.1\","
	"\"path\":\"65002\",\"origin\":\"IGP\",\"nexthops\":[{\"ip\":\"10.9.0.1\"}]}],"
	"\"10.3.0.0/24\":[{\"peerId\":\"10.9.0.1\",\"path\":\"65002\",\"origin\":\"IGP\"}],"
	"\"10.4.0.0/24\":[{\"valid\":true,\"peerId\":\"10.9.0.9\",\"path\":\"65009\"}],"
	"\"2001:db8::/32\":[{\"valid\":true,\"peerId\":\"10.9.0.1\",\"path\":\"65002\"}],"
	"\"no prefix\":[]}}\n";

static const struct path *path_from(const struct paths *p, const char *text, uint32_t as)
{
	const struct path *path;
	struct prefix prefix;

	assert_true(prefix_parse(text, &prefix));
	for (path = paths_of(p, &prefix); path && path->peer->as != as; path = path->next)
		;
	return path;
}

static void an_answer_becomes_paths(void **state)
{
	struct paths *p = paths_new();
	const struct path *path;
	char text[ADDR_TEXT];

	(void)state;
	assert_true(bgp_json_neighbors(p, span_str(neighbors)));
	assert_int_equal(paths_count(p).peers_up, 2);
	assert_true(bgp_json_routes(p, span_str(routes), AF_INET));
	assert_int_equal(paths_count(p).paths, 2);
	path = path_from(p, "10.2.0.0/24", 65002);
	assert_non_null(path);
	assert_true(path->attrs->has_med && path->attrs->has_local_pref);
	assert_int_equal(path->attrs->med, 42);
	assert_int_equal(path->attrs->local_pref, 200);
	assert_int_equal(path->attrs->origin, PATH_ORIGIN_IGP);
	assert_int_equal(path->peer->key.id, 0x02020202);
	assert_string_equal(addr_format(&path->peer->local, text), "10.9.0.0");
	assert_string_equal(addr_format(&path->attrs->nexthop, text), "10.9.0.1");
	path = path_from(p, "10.2.0.0/24", 65003);
	assert_non_null(path);
	assert_int_equal(path->attrs->nexthop.family, 0);
	assert_string_equal(addr_format(&path->attrs->nexthop_local, text),
			    "fe80::2c9e:46ff:fe1e:f22a");
	assert_int_equal(path->attrs->n_as, 2);
	assert_false(path->attrs->has_med);
	assert_int_equal(path->attrs->origin, PATH_ORIGIN_INCOMPLETE);
	paths_free(p);
}

static void what_is_no_answer(void **state)
{
	static const char *const texts[] = {
		"", "% Unknown command", "[]", "{\"routes\":7}", "{\"warning\":\"no BGP\"}", "{"};
	struct paths *p = paths_new();

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(bgp_json_routes(p, span_str(texts[i]), AF_INET));
	assert_false(bgp_json_neighbors(p, span_str("% BGP instance not found")));
	assert_true(bgp_json_routes(p, span_str("{}"), AF_INET));
	assert_true(bgp_json_neighbors(p, span_str("{}")));
	paths_free(p);
}

static void as_paths(void **state)
{
	static const struct {
		const char *text;
		unsigned n, length;
	} rows[] = {
		{"", 0, 0},
		{"65003 65002", 2, 2},
		{"65003 {1,2,3}", 4, 2},
		{"(65001 65002) 10 [7 8]", 5, 1},
		{"1.10 4294967295", 2, 2},
	};
	static const char *const bad[] = {"x",		"1,2",	   "{1",      "1}",    "{1)",
					  "4294967296", "1.65536", "65536.1", "1.2.3", "-1"};
	uint32_t list[8];
	struct path_attrs a;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(bgp_json_as_path(rows[i].text, list, 8, &a));
		assert_int_equal(a.n_as, rows[i].n);
		assert_int_equal(a.as_length, rows[i].length);
	}
	assert_int_equal(list[0], 65546); /* asdot */
	assert_int_equal(list[1], UINT32_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(bgp_json_as_path(bad[i], list, 8, &a));
	assert_false(bgp_json_as_path("1 2 3 4 5 6 7 8 9", list, 8, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_becomes_paths),
		cmocka_unit_test(what_is_no_answer),
		cmocka_unit_test(as_paths),
	};

	return cmocka_run_group_tests_name("bgp_json", tests, NULL, NULL);
}
