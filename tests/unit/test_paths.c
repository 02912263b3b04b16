/* The table of paths: feeding, asking, changes, resynchronisation; a model under random
 * calls. */
#include "routed-bridge/paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct path_peer peer(unsigned n)
{
	struct path_peer p = {.key = {.id = n}, .as = 65000 + n, .local_as = 65000};
	char text[ADDR_TEXT];

	snprintf(text, sizeof(text), "10.9.%u.1", n);
	assert_true(addr_parse(text, &p.key.addr));
	assert_true(addr_parse("10.9.0.0", &p.local));
	return p;
}

static struct path_peer_key key(unsigned n)
{
	return peer(n).key;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, &p));
	return p;
}

static const uint32_t as_path[] = {65001, 65002, 65003};

/* The path of peer n, `more` ASes behind it. */
static struct path_attrs attrs(unsigned n, unsigned more)
{
	struct path_attrs a = {.as_path = as_path, .n_as = (uint16_t)(1 + more)};

	a.as_length = a.n_as;
	a.nexthop = key(n).addr;
	return a;
}

static bool announce(struct paths *p, unsigned n, const char *to, unsigned more)
{
	struct path_peer_key k = key(n);
	struct path_attrs a = attrs(n, more);
	struct prefix where = prefix(to);

	return paths_announce(p, &k, &where, &a);
}

static void withdraw(struct paths *p, unsigned n, const char *to)
{
	struct path_peer_key k = key(n);
	struct prefix where = prefix(to);

	paths_withdraw(p, &k, &where);
}

static void up(struct paths *p, unsigned n)
{
	struct path_peer who = peer(n);

	assert_true(paths_peer_up(p, &who));
}

static void down(struct paths *p, unsigned n, const char *reason)
{
	struct path_peer_key k = key(n);

	paths_peer_down(p, &k, reason);
}

static unsigned count(const struct paths *p, const char *to)
{
	struct prefix where = prefix(to);
	unsigned n = 0;

	for (const struct path *path = paths_of(p, &where); path; path = path->next)
		n++;
	return n;
}

static void expect_prefix(struct paths *p, const char *to)
{
	struct prefix where = prefix(to);
	struct path_change change;

	assert_true(paths_change(p, &change));
	assert_int_equal(change.kind, PATH_CHANGE_PREFIX);
	assert_true(prefix_equal(&change.prefix, &where));
}

static void expect_nothing(struct paths *p)
{
	struct path_change change;

	assert_false(paths_change(p, &change));
}

static void alternatives_of_a_prefix(void **state)
{
	struct paths *p = paths_new();
	struct prefix where = prefix("10.2.0.0/24");
	const struct path *path;
	const struct path_peer unknown = {.key = key(2), .as = 65002}; /* which AS is ours */

	(void)state;
	up(p, 1);
	up(p, 2);
	assert_true(announce(p, 1, "10.2.0.0/24", 0));
	assert_true(announce(p, 2, "10.2.0.0/24", 1));
	assert_true(announce(p, 2, "2001:db8::/32", 1));
	assert_int_equal(count(p, "10.2.0.0/24"), 2);
	assert_int_equal(count(p, "2001:db8::/32"), 1);
	assert_int_equal(count(p, "10.2.0.0/25"), 0);
	for (path = paths_of(p, &where); path->peer->as != 65002; path = path->next)
		;
	assert_true(path_external(path));
	assert_true(paths_peer_up(p, &unknown));
	assert_false(path_external(path)); /* it may be iBGP */
	up(p, 2);
	assert_true(path_has_as(path, 65002));
	assert_false(path_has_as(path, 65003));
	assert_int_equal(paths_count(p).prefixes, 2);
	assert_int_equal(paths_count(p).paths, 3);
	assert_int_equal(paths_count(p).attrs, 2); /* one set for two prefixes */
	withdraw(p, 1, "10.2.0.0/24");
	withdraw(p, 1, "10.2.0.0/24");
	assert_int_equal(count(p, "10.2.0.0/24"), 1);
	assert_int_equal(paths_count(p).attrs, 1);
	paths_free(p);
}

static void changes_are_told_once(void **state)
{
	struct paths *p = paths_new();
	struct path_change change;

	(void)state;
	up(p, 1);
	announce(p, 1, "10.2.0.0/24", 0);
	announce(p, 1, "10.2.0.0/24", 1);
	assert_true(paths_change(p, &change));
	assert_int_equal(change.kind, PATH_CHANGE_PEER_UP);
	assert_int_equal(change.peer->as, 65001);
	expect_prefix(p, "10.2.0.0/24");
	expect_nothing(p);
	up(p, 1);
	announce(p, 1, "10.2.0.0/24", 1);
	expect_nothing(p);
	withdraw(p, 1, "10.2.0.0/24");
	expect_prefix(p, "10.2.0.0/24");
	expect_nothing(p);
	paths_free(p);
}

static void a_peer_that_goes_comes_before_its_prefixes(void **state)
{
	struct paths *p = paths_new();
	struct path_change change;

	(void)state;
	up(p, 1);
	announce(p, 1, "10.2.0.0/24", 0);
	announce(p, 1, "10.3.0.0/24", 0);
	paths_changes_drop(p);
	down(p, 1, "hold time is over");
	assert_true(paths_change(p, &change));
	assert_int_equal(change.kind, PATH_CHANGE_PEER_DOWN);
	assert_string_equal(change.peer->reason, "hold time is over");
	assert_int_equal(change.peer->n_paths, 0);
	expect_prefix(p, "10.2.0.0/24");
	expect_prefix(p, "10.3.0.0/24");
	expect_nothing(p);
	assert_int_equal(paths_count(p).prefixes, 0);
	assert_false(announce(p, 1, "10.2.0.0/24", 0));
	down(p, 1, "again");
	down(p, 7, "unknown");
	expect_nothing(p);
	paths_free(p);
}

static void a_resynchronisation_does_not_flicker(void **state)
{
	struct paths *p = paths_new();
	struct path_peer_key k = key(1);
	struct path_change change;

	(void)state;
	up(p, 1);
	up(p, 2);
	announce(p, 1, "10.2.0.0/24", 0);
	announce(p, 1, "10.3.0.0/24", 0);
	announce(p, 1, "2001:db8::/32", 0);
	announce(p, 2, "10.2.0.0/24", 0);
	paths_changes_drop(p);
	paths_resync_begin(p);
	up(p, 1);
	announce(p, 1, "10.2.0.0/24", 0);
	expect_nothing(p);
	paths_resync_family(p, &k, AF_INET); /* 10.3.0.0/24 was not told again */
	expect_prefix(p, "10.3.0.0/24");
	expect_nothing(p);
	assert_int_equal(count(p, "2001:db8::/32"), 1);
	paths_resync_end(p, "not there any more");
	assert_true(paths_change(p, &change));
	assert_int_equal(change.kind, PATH_CHANGE_PEER_DOWN);
	assert_int_equal(change.peer->as, 65002);
	assert_int_equal(count(p, "10.2.0.0/24"), 1);
	assert_int_equal(count(p, "2001:db8::/32"), 0);
	paths_free(p);
}

static void peers_with_one_address_differ(void **state)
{
	struct paths *p = paths_new();
	struct path_peer one = peer(1), other = peer(1);
	struct path_attrs a = attrs(1, 0);
	struct prefix where = prefix("10.2.0.0/24");

	(void)state;
	other.key.id = 99;
	assert_true(paths_peer_up(p, &one));
	assert_true(paths_peer_up(p, &other));
	assert_true(paths_announce(p, &one.key, &where, &a));
	assert_true(paths_announce(p, &other.key, &where, &a));
	assert_int_equal(count(p, "10.2.0.0/24"), 2);
	paths_peer_down(p, &one.key, "");
	assert_int_equal(count(p, "10.2.0.0/24"), 1);
	assert_int_equal(paths_count(p).peers_up, 1);
	paths_free(p);
}

static void limits_hold(void **state)
{
	struct paths *p = paths_new();
	struct path_peer who = peer(1);
	struct path_attrs a = attrs(1, 0);
	struct prefix where = prefix("10.2.0.0/24");
	uint32_t *many = calloc(PATHS_AS_MAX + 1, sizeof(*many));

	(void)state;
	for (unsigned i = 0; i < PATHS_PEERS_MAX; i++) {
		who.key.id = i;
		assert_true(paths_peer_up(p, &who));
	}
	who.key.id = PATHS_PEERS_MAX;
	assert_false(paths_peer_up(p, &who));
	who.key.id = 3;
	assert_true(paths_announce(p, &who.key, &where, &a));
	a.as_path = many;
	a.n_as = PATHS_AS_MAX + 1;
	assert_false(paths_announce(p, &who.key, &where, &a));
	assert_int_equal(count(p, "10.2.0.0/24"), 0); /* the former path is not what it says now */
	paths_changes_drop(p);
	paths_peer_down(p, &who.key, "");
	paths_changes_drop(p);
	who.key.id = PATHS_PEERS_MAX;
	assert_true(paths_peer_up(p, &who)); /* in the place of the one that is down */
	free(many);
	paths_free(p);
}

/* ---- a model: one byte for each peer and prefix ---- */

#define PEERS	 4
#define PREFIXES 16
#define STEPS	 20000

struct model {
	bool up[PEERS];
	uint8_t path[PEERS][PREFIXES]; /* 0: none, else 1 + ASes behind the peer's */
	uint8_t seen[PREFIXES][PEERS]; /* as the follower of changes knows it */
};

static const char *nth(unsigned i)
{
	static char text[PREFIX_TEXT];

	snprintf(text, sizeof(text), i % 2 ? "10.%u.0.0/16" : "2001:db8:%x::/48", i);
	return text;
}

static void step(struct paths *p, struct model *m)
{
	unsigned who = (unsigned)rand() % PEERS, where = (unsigned)rand() % PREFIXES;
	unsigned more = (unsigned)rand() % 3;

	switch (rand() % 16) {
	case 0:
		down(p, who + 1, "as it goes");
		m->up[who] = false;
		memset(m->path[who], 0, PREFIXES);
		break;
	case 1:
	case 2:
		up(p, who + 1);
		m->up[who] = true;
		break;
	case 3:
	case 4:
	case 5:
	case 6:
		withdraw(p, who + 1, nth(where));
		m->path[who][where] = 0;
		break;
	default:
		assert_int_equal(announce(p, who + 1, nth(where), more), m->up[who]);
		if (m->up[who])
			m->path[who][where] = (uint8_t)(1 + more);
	}
}

static void follow(struct paths *p, struct model *m, bool all)
{
	struct path_change change;
	unsigned where;

	while (paths_change(p, &change)) {
		if (change.kind != PATH_CHANGE_PREFIX)
			continue;
		where = change.prefix.addr.bytes[change.prefix.addr.family == AF_INET ? 1 : 5];
		memset(m->seen[where], 0, PEERS);
		for (const struct path *path = paths_of(p, &change.prefix); path; path = path->next)
			m->seen[where][path->peer->key.id - 1] = (uint8_t)path->attrs->n_as;
		if (!all)
			return;
	}
}

static void random_calls_agree_with_a_model(void **state)
{
	struct paths *p = paths_new();
	struct model m = {0};

	(void)state;
	srand(4);
	for (unsigned i = 0; i < STEPS; i++) {
		step(p, &m);
		follow(p, &m, i % 50 == 0);
		if (i % 50)
			continue;
		for (unsigned a = 0; a < PEERS; a++) {
			for (unsigned b = 0; b < PREFIXES; b++)
				assert_int_equal(m.seen[b][a], m.path[a][b]);
		}
	}
	paths_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alternatives_of_a_prefix),
		cmocka_unit_test(changes_are_told_once),
		cmocka_unit_test(a_peer_that_goes_comes_before_its_prefixes),
		cmocka_unit_test(a_resynchronisation_does_not_flicker),
		cmocka_unit_test(peers_with_one_address_differ),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(random_calls_agree_with_a_model),
	};

	return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
