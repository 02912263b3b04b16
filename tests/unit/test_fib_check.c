/* What zebra confirmed against what the kernel has: when a route is told again, and when no more.
 */
#include "routed-bridge/fib_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TABLE 254

static struct zapi_route route_of(const char *prefix, const char *devices)
{
	struct zapi_route r = {.type = ZAPI_TYPE_NHRP};

	assert_true(prefix_parse(prefix, &r.prefix));
	for (; *devices; devices++)
		r.nexthops[r.n_nexthops++].ifindex = (uint32_t)(*devices - '0');
	return r;
}

/* The kernel's: one nexthop stands in the route itself. */
static struct netlink_route found_of(const char *prefix, const char *devices)
{
	struct netlink_route r = {.table = TABLE};

	assert_true(prefix_parse(prefix, &r.dst));
	if (strlen(devices) == 1)
		r.ifindex = devices[0] - '0';
	else
		for (; *devices; devices++)
			r.nexthops[r.n_nexthops++].ifindex = *devices - '0';
	return r;
}

static void count_renewal(void *ctx, const struct zapi_route *route, unsigned renewal)
{
	unsigned *last = ctx;

	assert_true(route->n_nexthops > 1);
	*last = renewal;
}

/* "_" nothing to look for, "." nothing to say, "r2" told again as it lacks 2, "L2" no longer. */
static void look(struct fib_check *f, const char *devices, bool complete, char *said)
{
	struct netlink_route r = found_of("10.2.0.0/24", devices);
	struct fib_verdict v;
	struct fib_place p;
	unsigned renewal = 0;

	if (!fib_check_begin(f)) {
		strcat(said, "_");
		return;
	}
	assert_true(fib_check_next(f, &p));
	assert_int_equal(p.table, TABLE);
	if (*devices)
		fib_check_seen(f, &p, &r);
	v = fib_check_done(f, &p, complete, count_renewal, &renewal);
	assert_false(fib_check_next(f, &p));
	assert_int_equal(renewal != 0, v.renewed);
	if (v.example)
		sprintf(said + strlen(said), "%c%u", v.renewed ? 'r' : 'L', v.ifindex);
	else
		strcat(said, ".");
}

/* "+12" told over 1 and 2, "-" withdrawn, "x" the session went; "i", "b", "f" zebra's notes;
 * "=12" the kernel has it so, "=0" without saying how, "=" not at all, "?" cannot say. */
static void step(struct fib_check *f, const char *word, char *said)
{
	static const struct {
		char letter;
		enum zapi_note note;
	} notes[] = {{'i', ZAPI_NOTE_INSTALLED},
		     {'b', ZAPI_NOTE_BETTER_ADMIN_WON},
		     {'f', ZAPI_NOTE_FAIL_INSTALL},
		     {'r', ZAPI_NOTE_REMOVED}};
	struct zapi_route r = route_of("10.2.0.0/24", word[0] == '+' ? word + 1 : "");

	if (word[0] == '+')
		fib_check_told(f, &r, TABLE);
	else if (word[0] == '-')
		fib_check_withdrawn(f, &r, TABLE);
	else if (word[0] == 'x')
		fib_check_session(f, ZAPI_TYPE_NHRP, 0);
	else if (word[0] == '=' || word[0] == '?')
		look(f, word + 1, word[0] == '=', said);
	for (unsigned i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		if (word[0] == notes[i].letter)
			fib_check_note(f, &r, TABLE, notes[i].note);
	}
}

#define IN_VAIN	   "+12 i =1 =1 +12 i =1 =1 +12 i =1 =1 +12 i =1 =1 +12 i =1 =1 "
#define FOUR_OF_IT ".r2.r2.r2.r2.L2"

static void what_is_told_again(void **state)
{
	static const struct {
		const char *what, *script, *said;
	} cases[] = {
		{"all are there", "+12 i =12 =1", "._"},
		{"one is not, at two looks", "+12 i =1 =1 =1", ".r2_"},
		{"the first is not", "+123 i =23 =23", ".r1"},
		{"one is not there yet", "+12 i =1 =12 =1", ".._"},
		{"none is", "+12 i = =", ".r1"},
		{"not even the route", "+12 i =3 =3", ".r1"},
		{"by its object's number alone", "+12 i =0 =0", "._"},
		{"there are more than ours", "+12 i =123", "."},
		{"told again, it is there", "+12 i =1 =1 +12 i =12 =", ".r2._"},
		{"news in between", "+12 i =1 i =1 =1", "..r2"},
		{"told anew in between", "+12 i =1 +12 =1 i =1 =1", "._.r2"},
		{"zebra says nothing yet", "+12 =1 =1", "__"},
		{"zebra prefers another's", "+12 b = =", "__"},
		{"zebra prefers another's later", "+12 i =1 b =1 =1", ".__"},
		{"and ours again", "+12 i =12 b = i =1 =1", "._.r2"},
		{"zebra could not install it", "+12 f = =", "__"},
		{"zebra removed it", "+12 i r = =", "__"},
		{"confirmed without being told", "i = =", "__"},
		{"confirmed once more", "+12 i =12 i =1 =1", "..r2"},
		{"one nexthop is no group", "+1 i = =", "__"},
		{"one is left", "+12 i =1 +1 i = =", ".__"},
		{"withdrawn", "+12 i - = =", "__"},
		{"zebra went", "+12 i =1 x = =", ".__"},
		{"the kernel cannot say", "+12 i ? =", "._"},
		{"it is of no use", IN_VAIN "=1", FOUR_OF_IT "_"},
		{"of no use for others, too", IN_VAIN "+13 i =1 =1 +13 i =1 =1 =1",
		 FOUR_OF_IT ".r3.L3_"},
		{"until one time it is", IN_VAIN "+13 i =1 =1 +13 i =13 " IN_VAIN,
		 FOUR_OF_IT ".r3." FOUR_OF_IT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fib_check *f = fib_check_new();
		char script[256], said[128] = "", *word, *rest = script;

		snprintf(script, sizeof(script), "%s", cases[i].script);
		while ((word = strtok_r(rest, " ", &rest)))
			step(f, word, said);
		if (strcmp(said, cases[i].said) != 0)
			fail_msg("%s: %s, not %s", cases[i].what, said, cases[i].said);
		fib_check_free(f);
	}
}

static void what_is_counted(void **state)
{
	struct fib_check *f = fib_check_new();
	char said[64] = "", script[] = IN_VAIN, *word, *rest = script;

	(void)state;
	while ((word = strtok_r(rest, " ", &rest)))
		step(f, word, said);
	assert_int_equal(fib_check_count(f).renewed, 4);
	assert_int_equal(fib_check_count(f).lacking, 1);
	step(f, "i", said);
	assert_int_equal(fib_check_count(f).lacking, 0);
	step(f, "=12", said);
	assert_int_equal(fib_check_count(f).lacking, 0);
	fib_check_free(f);
}

static void tables_types_and_families_are_apart(void **state)
{
	struct fib_check *f = fib_check_new();
	struct zapi_route a = route_of("10.2.0.0/24", "12"), b = a, c = a, d = a;
	struct netlink_route found = found_of("10.2.0.0/24", "12");
	unsigned renewal, places[2] = {0};
	struct fib_place p;

	(void)state;
	b.type = ZAPI_TYPE_TABLE;
	b.instance = 7;
	d.prefix = route_of("2001:db8::/48", "").prefix;
	fib_check_told(f, &a, TABLE);
	fib_check_told(f, &b, TABLE);
	fib_check_told(f, &c, 1001);
	fib_check_told(f, &d, TABLE);
	fib_check_told(f, &d, 0);
	assert_false(fib_check_note(f, &d, 0, ZAPI_NOTE_INSTALLED));
	assert_true(fib_check_note(f, &a, TABLE, ZAPI_NOTE_INSTALLED));
	fib_check_note(f, &b, TABLE, ZAPI_NOTE_INSTALLED);
	fib_check_note(f, &c, 1001, ZAPI_NOTE_INSTALLED);
	fib_check_note(f, &d, TABLE, ZAPI_NOTE_INSTALLED);
	for (unsigned round = 0; round < 2; round++) {
		assert_true(fib_check_begin(f));
		while (fib_check_next(f, &p)) {
			places[round]++;
			if (p.type == ZAPI_TYPE_NHRP && p.family == AF_INET && p.table == TABLE)
				fib_check_seen(f, &p, &found);
			fib_check_done(f, &p, true, count_renewal, &renewal);
		}
	}
	assert_int_equal(places[0], 4);
	assert_int_equal(places[1], 3);
	assert_int_equal(fib_check_count(f).renewed, 3);
	fib_check_free(f);
}

/* Of many that share a broken group, all get the same weights, which is one new group. */
static void many_routes(void **state)
{
	struct fib_check *f = fib_check_new();
	struct zapi_route r = route_of("10.0.0.0/32", "12");
	struct fib_verdict v = {0};
	unsigned renewal = 0;
	struct fib_place p;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		r.prefix.addr.bytes[2] = (uint8_t)(i >> 8);
		r.prefix.addr.bytes[3] = (uint8_t)i;
		fib_check_told(f, &r, TABLE);
		fib_check_note(f, &r, TABLE, ZAPI_NOTE_INSTALLED);
	}
	for (unsigned round = 0; round < 2; round++) {
		assert_true(fib_check_begin(f));
		assert_true(fib_check_next(f, &p));
		v = fib_check_done(f, &p, true, count_renewal, &renewal);
		assert_false(fib_check_next(f, &p));
	}
	assert_int_equal(v.renewed, 10000);
	assert_int_equal(renewal, 1);
	assert_false(fib_check_begin(f));
	fib_check_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told_again),
		cmocka_unit_test(what_is_counted),
		cmocka_unit_test(tables_types_and_families_are_apart),
		cmocka_unit_test(many_routes),
	};

	return cmocka_run_group_tests_name("fib check", tests, NULL, NULL);
}
