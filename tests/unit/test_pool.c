/* Pools in memory: who gets which address, again, and when there are none left. */
#include "ipsecd/pool/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct pool_answer last;
static unsigned answers;

static void on_answer(void *ctx, const struct pool_answer *answer)
{
	(void)ctx;
	last = *answer;
	answers++;
}

struct fixture {
	struct pool_backend *b;
	uint64_t next;
	unsigned n_refs;
	struct pool_ref refs[POOL_REFS_MAX];
	bool many; /* identities may be several peers */
};

static void open_pools(struct fixture *f, const char *const *refs)
{
	struct pool_host host = {.answer = on_answer};

	*f = (struct fixture){.b = memory_new(&host)};
	for (; *refs; refs++) {
		if (!pool_ref_parse(*refs, &f->refs[f->n_refs++]))
			fail_msg("not a pool: %s", *refs);
	}
}

#define OPEN(f, ...) open_pools(f, (const char *const[]){__VA_ARGS__, NULL})

static void close_pools(struct fixture *f)
{
	pool_memory.free(f->b);
	for (unsigned i = 0; i < f->n_refs; i++)
		pool_ref_clear(&f->refs[i]);
}

/* Asks for up to two addresses, "" for none; the answer as "a b", "-" where there is none. */
static uint64_t ask(struct fixture *f, const char *who, const char *a, const char *b,
		    const char *expected)
{
	const char *wanted[] = {a, b};
	struct pool_request r = {
		.id = ++f->next, .sole = !f->many, .n_pools = (uint8_t)f->n_refs, .pools = f->refs};
	char got[2 * ADDR_TEXT] = "", text[ADDR_TEXT];
	unsigned before = answers;

	assert_true(id_parse(who, &r.identity));
	for (unsigned i = 0; i < 2; i++) {
		if (*wanted[i])
			assert_true(vip_parse(wanted[i], &r.wanted[r.n++]));
	}
	pool_memory.request(f->b, &r);
	assert_int_equal(answers, before + 1);
	assert_int_equal(last.id, r.id);
	for (unsigned i = 0; i < r.n; i++) {
		strcat(got, i ? " " : "");
		strcat(got, last.addrs[i].family ? addr_format(&last.addrs[i], text) : "-");
	}
	assert_string_equal(got, expected);
	return r.id;
}

static uint64_t ask4(struct fixture *f, const char *who, const char *expected)
{
	return ask(f, who, "%config4", "", expected);
}

static void give_back(struct fixture *f, uint64_t id)
{
	pool_memory.release(f->b, id);
}

static void assert_pool(struct fixture *f, unsigned n, const char *name, uint64_t size,
			unsigned online, unsigned offline)
{
	struct memory_pool_view v;

	assert_true(memory_pool_at(f->b, n, &v));
	assert_string_equal(v.name, name);
	assert_int_equal(v.size, size);
	assert_int_equal(v.online, online);
	assert_int_equal(v.offline, offline);
}

static void addresses_come_in_order(void **state)
{
	struct fixture f;

	(void)state;
	OPEN(&f, "10.3.0.0/29");
	ask4(&f, "carol", "10.3.0.1");
	ask4(&f, "dave", "10.3.0.2");
	ask4(&f, "eve", "10.3.0.3");
	assert_pool(&f, 0, "10.3.0.0/29", 6, 3, 0);
	close_pools(&f);
}

static void an_identity_gets_its_address_again(void **state)
{
	struct fixture f;
	uint64_t carol, dave;

	(void)state;
	OPEN(&f, "10.3.0.0/24");
	carol = ask4(&f, "carol", "10.3.0.1");
	dave = ask4(&f, "dave", "10.3.0.2");
	give_back(&f, carol);
	give_back(&f, dave);
	assert_pool(&f, 0, "10.3.0.0/24", 254, 0, 2);
	ask4(&f, "eve", "10.3.0.3");
	ask4(&f, "DAVE", "10.3.0.2");
	ask4(&f, "carol", "10.3.0.1");
	assert_pool(&f, 0, "10.3.0.0/24", 254, 3, 0);
	close_pools(&f);
}

static void reauthentication_keeps_the_address(void **state)
{
	struct fixture f;
	uint64_t first, second;

	(void)state;
	OPEN(&f, "10.3.0.0/24");
	first = ask4(&f, "carol", "10.3.0.1");
	second = ask4(&f, "carol", "10.3.0.1");
	assert_pool(&f, 0, "10.3.0.0/24", 254, 1, 0);
	give_back(&f, first);
	assert_pool(&f, 0, "10.3.0.0/24", 254, 1, 0);
	ask4(&f, "dave", "10.3.0.2");
	give_back(&f, second);
	give_back(&f, second); /* once is enough */
	assert_pool(&f, 0, "10.3.0.0/24", 254, 1, 1);
	close_pools(&f);
}

/* unique=never: several peers of one identity; one that names its address is the same peer. */
static void peers_of_one_identity_get_different_addresses(void **state)
{
	struct fixture f;
	uint64_t first;

	(void)state;
	OPEN(&f, "10.3.0.0/24");
	f.many = true;
	first = ask4(&f, "carol", "10.3.0.1");
	ask4(&f, "carol", "10.3.0.2");
	ask(&f, "carol", "10.3.0.1", "", "10.3.0.1");
	give_back(&f, first);
	ask4(&f, "carol", "10.3.0.3"); /* .1 is in use by the other one still */
	close_pools(&f);
}

static void one_peer_may_have_several(void **state)
{
	struct fixture f;
	uint64_t id;

	(void)state;
	OPEN(&f, "10.3.0.0/24", "2001:db8::/120");
	id = ask(&f, "carol", "%config4", "%config6", "10.3.0.1 2001:db8::1");
	give_back(&f, id);
	assert_pool(&f, 0, "10.3.0.0/24", 254, 0, 1);
	assert_pool(&f, 1, "2001:db8::/120", 254, 0, 1);
	ask(&f, "dave", "%config4", "%config4", "10.3.0.2 10.3.0.3");
	ask(&f, "carol", "%config6", "%config4", "2001:db8::1 10.3.0.1");
	close_pools(&f);
}

static void a_wish_is_granted_if_it_is_free(void **state)
{
	struct fixture f;

	(void)state;
	OPEN(&f, "10.3.0.0/24");
	ask(&f, "carol", "10.3.0.2", "", "10.3.0.2");
	ask(&f, "dave", "10.3.0.2", "", "10.3.0.1");
	ask(&f, "eve", "10.4.0.1", "", "10.3.0.3"); /* .2 was given out of order */
	ask(&f, "frank", "10.3.0.0", "", "10.3.0.4");
	ask(&f, "grace", "10.3.0.255", "", "10.3.0.5");
	close_pools(&f);
}

static void a_full_pool_sends_to_the_next_one(void **state)
{
	struct fixture f;

	(void)state;
	OPEN(&f, "10.3.0.0/30", "10.3.1.0/30");
	ask4(&f, "a", "10.3.0.1");
	ask4(&f, "b", "10.3.0.2");
	ask4(&f, "c", "10.3.1.1");
	ask4(&f, "d", "10.3.1.2");
	ask4(&f, "e", "-");
	ask(&f, "e", "%config6", "", "-");
	assert_pool(&f, 0, "10.3.0.0/30", 2, 2, 0);
	assert_pool(&f, 1, "10.3.1.0/30", 2, 2, 0);
	close_pools(&f);
}

/* Nobody loses the address while there is a fresh one anywhere; then who is away for longest. */
static void the_oldest_lease_is_taken_over(void **state)
{
	struct fixture f;
	uint64_t a, b;

	(void)state;
	OPEN(&f, "10.3.0.0/30", "10.3.1.0/31");
	a = ask4(&f, "a", "10.3.0.1");
	b = ask4(&f, "b", "10.3.0.2");
	give_back(&f, b);
	give_back(&f, a);
	ask4(&f, "c", "10.3.1.0");
	ask4(&f, "d", "10.3.1.1");
	ask4(&f, "e", "10.3.0.2"); /* b went first */
	ask4(&f, "b", "10.3.0.1");
	ask4(&f, "a", "-");
	close_pools(&f);
}

static void clients_may_choose(void **state)
{
	struct fixture f;
	uint64_t id;

	(void)state;
	OPEN(&f, "%config");
	id = ask(&f, "carol", "10.9.9.9", "2001:db8::9", "10.9.9.9 2001:db8::9");
	ask(&f, "dave", "10.9.9.9", "", "-");
	ask(&f, "dave", "%config4", "", "-");
	ask(&f, "dave", "224.0.0.5", "ff02::5", "- -"); /* not everything */
	ask(&f, "dave", "127.0.0.1", "::1", "- -");
	ask(&f, "dave", "255.255.255.255", "0.0.0.1", "- -");
	give_back(&f, id);
	ask(&f, "dave", "10.9.9.9", "", "10.9.9.9");
	ask(&f, "carol", "10.9.9.9", "", "-");
	close_pools(&f);
	OPEN(&f, "%config4");
	ask(&f, "carol", "10.9.9.9", "2001:db8::9", "10.9.9.9 -");
	close_pools(&f);
}

static void pools_have_names(void **state)
{
	struct addr dns[2] = {{.family = AF_INET, .bytes = {10, 3, 1, 1}},
			      {.family = AF_INET, .bytes = {10, 3, 1, 2}}};
	struct fixture f;
	char why[160];
	uint64_t id;

	(void)state;
	OPEN(&f, "%rw");
	ask4(&f, "carol", "-");
	assert_false(memory_pool_define(f.b, "rw", "10.3.0.0/33", dns, 0, why, sizeof(why)));
	assert_non_null(strstr(why, "10.3.0.0/33"));
	assert_true(memory_pool_define(f.b, "rw", "10.3.0.0/24", dns, 2, why, sizeof(why)));
	assert_pool(&f, 0, "rw", 254, 0, 0);
	id = ask4(&f, "carol", "10.3.0.1");
	assert_int_equal(last.n_dns, 2);
	assert_memory_equal(last.dns, dns, sizeof(dns));
	/* in use: name servers may change, addresses may not */
	assert_true(memory_pool_define(f.b, "rw", "10.3.0.0/24", dns, 1, why, sizeof(why)));
	assert_false(memory_pool_define(f.b, "rw", "10.4.0.0/24", dns, 1, why, sizeof(why)));
	assert_string_equal(why, "pool rw: 1 addresses are in use, it can't be replaced");
	assert_false(memory_pool_undefine(f.b, "rw", why, sizeof(why)));
	assert_string_equal(why, "pool rw: 1 addresses are in use, it can't be unloaded");
	ask4(&f, "dave", "10.3.0.2");
	assert_int_equal(last.n_dns, 1);
	give_back(&f, id);
	give_back(&f, f.next);
	assert_true(memory_pool_define(f.b, "rw", "10.4.0.0/24", dns, 0, why, sizeof(why)));
	ask4(&f, "carol", "10.4.0.1");
	give_back(&f, f.next);
	assert_true(memory_pool_undefine(f.b, "rw", why, sizeof(why)));
	assert_false(memory_pool_undefine(f.b, "rw", why, sizeof(why)));
	assert_string_equal(why, "pool rw: not found");
	close_pools(&f);
}

static void pools_are_shared_by_definition(void **state)
{
	struct fixture f;
	struct pool_ref other;
	struct memory_pool_view v;
	uint64_t id;

	(void)state;
	OPEN(&f, "10.3.0.0/24");
	assert_true(pool_ref_parse("10.3.0.0/24", &other));
	id = ask4(&f, "carol", "10.3.0.1");
	pool_ref_clear(&f.refs[0]);
	f.refs[0] = other;
	ask4(&f, "dave", "10.3.0.2");
	assert_false(memory_pool_at(f.b, 1, &v));
	give_back(&f, f.next);
	memory_review_begin(f.b);
	memory_review_end(f.b);
	assert_true(memory_pool_at(f.b, 0, &v)); /* carol is there */
	give_back(&f, id);
	memory_review_begin(f.b);
	memory_review_ref(f.b, &f.refs[0]);
	memory_review_end(f.b);
	assert_pool(&f, 0, "10.3.0.0/24", 254, 0, 2);
	memory_review_begin(f.b);
	memory_review_end(f.b);
	assert_false(memory_pool_at(f.b, 0, &v));
	close_pools(&f);
}

/* Where ranges overlap, an address is one peer's nevertheless. */
static void overlapping_pools_share_their_addresses(void **state)
{
	struct fixture range, client;
	uint64_t carol;

	(void)state;
	OPEN(&range, "10.3.0.0/30");
	client = range;
	assert_true(pool_ref_parse("%config", &client.refs[0]));
	carol = ask4(&range, "carol", "10.3.0.1");
	client.next = 100;
	ask(&client, "mallory", "10.3.0.1", "", "-");
	ask(&client, "dave", "10.3.0.2", "", "10.3.0.2");
	ask4(&range, "eve", "-");
	give_back(&range, carol);
	ask(&client, "mallory", "10.3.0.1", "", "10.3.0.1");
	ask4(&range, "carol", "-"); /* somebody has it, though it was hers */
	give_back(&client, 102);
	ask4(&range, "eve", "10.3.0.2");
	pool_ref_clear(&client.refs[0]);
	assert_true(pool_ref_parse("10.3.0.1-10.3.0.4", &client.refs[0]));
	ask4(&client, "frank", "10.3.0.3");
	ask4(&client, "carol", "10.3.0.4");
	give_back(&client, 103);
	pool_ref_clear(&client.refs[0]);
	close_pools(&range);
}

/* Who names another address each time does not push others out of the memory. */
static void one_identity_is_not_remembered_without_end(void **state)
{
	struct fixture f;
	char text[ADDR_TEXT];
	uint64_t carol;

	(void)state;
	OPEN(&f, "10.3.0.0/27");
	carol = ask4(&f, "carol", "10.3.0.1");
	give_back(&f, carol);
	for (unsigned i = 2; i <= 30; i++) {
		snprintf(text, sizeof(text), "10.3.0.%u", i);
		give_back(&f, ask(&f, "mallory", text, "", text));
	}
	assert_pool(&f, 0, "10.3.0.0/27", 30, 0, 1 + VIPS_MAX);
	ask4(&f, "dave", "10.3.0.2");
	ask4(&f, "carol", "10.3.0.1");
	ask4(&f, "mallory", "10.3.0.27");
	close_pools(&f);
}

/* What one identity wishes for and leaves again is there for others: also before an address that
 * was given since. */
static void what_is_not_kept_is_given_again(void **state)
{
	static const char *const wishes[] = {"10.3.0.1", "10.3.0.2", "10.3.0.3", "10.3.0.4",
					     "10.3.0.6", "10.3.0.7", "10.3.0.8", "10.3.0.9"};
	struct fixture f;

	(void)state;
	OPEN(&f, "10.3.0.1-10.3.0.9");
	for (unsigned i = 0; i < 8; i++) {
		if (i == 4)
			ask4(&f, "dave", "10.3.0.5");
		give_back(&f, ask(&f, "carol", wishes[i], "", wishes[i]));
	}
	assert_pool(&f, 0, "10.3.0.1-10.3.0.9", 9, 1, 4);
	ask4(&f, "eve", "10.3.0.1");
	ask4(&f, "frank", "10.3.0.2");
	ask4(&f, "grace", "10.3.0.3");
	ask4(&f, "heidi", "10.3.0.4");
	ask4(&f, "ivan", "10.3.0.6"); /* nothing else is left: carol is away for longest */
	assert_pool(&f, 0, "10.3.0.1-10.3.0.9", 9, 6, 3);
	close_pools(&f);
}

static void huge_pools_are_cheap(void **state)
{
	struct fixture f;
	struct memory_pool_view v;

	(void)state;
	OPEN(&f, "2001:db8::/32", "0.0.0.1-255.255.255.255");
	ask(&f, "carol", "%config6", "%config4", "2001:db8::1 0.0.0.1");
	assert_true(memory_pool_at(f.b, 0, &v));
	assert_int_equal(v.size, UINT64_MAX);
	assert_true(memory_pool_at(f.b, 1, &v));
	assert_int_equal(v.size, UINT32_MAX);
	ask(&f, "dave", "2001:db8:ffff:ffff::7", "", "2001:db8:ffff:ffff::7");
	close_pools(&f);
}

static void more_identities_than_are_remembered(void **state)
{
	struct memory_pool_view v;
	struct pool_request r;
	struct fixture f;
	char who[32];

	(void)state;
	OPEN(&f, "10.0.0.0/8");
	for (unsigned i = 0; i < MEMORY_LEASES_MAX + 10; i++) {
		r = (struct pool_request){
			.id = i + 1, .n = 1, .n_pools = 1, .pools = f.refs, .sole = true};
		snprintf(who, sizeof(who), "peer%u", i);
		assert_true(id_parse(who, &r.identity) && vip_parse("%config4", &r.wanted[0]));
		pool_memory.request(f.b, &r);
		assert_int_equal(last.addrs[0].family, AF_INET);
		pool_memory.release(f.b, r.id);
	}
	assert_true(memory_pool_at(f.b, 0, &v));
	assert_int_equal(v.offline, MEMORY_LEASES_MAX);
	close_pools(&f);
}

static void note_lease(void *ctx, const struct memory_lease *lease)
{
	char *text = ctx, addr[ADDR_TEXT], id[ID_TEXT];

	snprintf(text + strlen(text), 200, "%s %s %u;", addr_format(&lease->addr, addr),
		 id_format(lease->identity, id), lease->online);
}

static void leases_are_listed(void **state)
{
	struct fixture f;
	char text[800] = "";
	uint64_t id;

	(void)state;
	OPEN(&f, "10.3.0.0/24");
	id = ask4(&f, "carol@example.org", "10.3.0.1");
	ask4(&f, "dave@example.org", "10.3.0.2");
	give_back(&f, id);
	memory_each_lease(f.b, 0, note_lease, text);
	assert_string_equal(text, "10.3.0.1 carol@example.org 0;10.3.0.2 dave@example.org 1;");
	memory_each_lease(f.b, 1, note_lease, text);
	close_pools(&f);
}

/* At random: no address in use by two, and books that balance. */
static void nobody_shares(void **state)
{
	struct {
		uint64_t id;
		unsigned who;
		struct addr addr;
	} held[64] = {{0}};
	struct memory_pool_view v;
	struct pool_request r;
	struct fixture f;
	unsigned n_held = 0;
	uint32_t seed = 1;
	char who[32];

	(void)state;
	OPEN(&f, "10.3.0.0/28", "10.3.1.0/29");
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i;

		seed = seed * 1664525u + 1013904223u;
		i = seed >> 16 & 63;
		if (held[i].id) {
			pool_memory.release(f.b, held[i].id);
			held[i].id = 0;
			n_held--;
			continue;
		}
		held[i].who = seed >> 24 & 31;
		r = (struct pool_request){.id = step + 1,
					  .sole = seed & 0x100,
					  .n = 1,
					  .n_pools = 2,
					  .pools = f.refs};
		snprintf(who, sizeof(who), "peer%u", held[i].who);
		assert_true(id_parse(who, &r.identity) && vip_parse("%config4", &r.wanted[0]));
		if (seed & 0x200)
			r.wanted[0] = (struct addr){AF_INET, {10, 3, 0, seed >> 10 & 15}};
		pool_memory.request(f.b, &r);
		if (!last.addrs[0].family) {
			pool_memory.release(f.b, r.id);
			continue;
		}
		for (unsigned j = 0; j < 64; j++)
			if (held[j].id && addr_equal(&held[j].addr, &last.addrs[0]))
				assert_int_equal(held[j].who, held[i].who);
		held[i].id = r.id;
		held[i].addr = last.addrs[0];
		n_held++;
	}
	for (unsigned i = 0; i < 64; i++)
		if (held[i].id)
			pool_memory.release(f.b, held[i].id);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(memory_pool_at(f.b, i, &v));
		assert_int_equal(v.online, 0);
		assert_int_equal(v.offline, v.size);
	}
	assert_true(n_held <= 64);
	close_pools(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_come_in_order),
		cmocka_unit_test(an_identity_gets_its_address_again),
		cmocka_unit_test(reauthentication_keeps_the_address),
		cmocka_unit_test(peers_of_one_identity_get_different_addresses),
		cmocka_unit_test(one_peer_may_have_several),
		cmocka_unit_test(a_wish_is_granted_if_it_is_free),
		cmocka_unit_test(a_full_pool_sends_to_the_next_one),
		cmocka_unit_test(the_oldest_lease_is_taken_over),
		cmocka_unit_test(clients_may_choose),
		cmocka_unit_test(pools_have_names),
		cmocka_unit_test(pools_are_shared_by_definition),
		cmocka_unit_test(overlapping_pools_share_their_addresses),
		cmocka_unit_test(one_identity_is_not_remembered_without_end),
		cmocka_unit_test(what_is_not_kept_is_given_again),
		cmocka_unit_test(huge_pools_are_cheap),
		cmocka_unit_test(more_identities_than_are_remembered),
		cmocka_unit_test(leases_are_listed),
		cmocka_unit_test(nobody_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
