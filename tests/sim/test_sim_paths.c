/* Which way ESP goes: raw, or in UDP because of a NAT or because one end wants it. Both ends must
 * agree, whatever happens to the IKE_SA, in IPv4 and IPv6. */
#include "tests/sim/sim_test.h"

struct wish {
	bool force[2], v6, nat;
};

static struct sim *with(uint64_t seed, struct wish w)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	if (w.nat)
		sim_put_nat(s, 0, 60 * MONO_S);
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		conn->encap = w.force[i];
		if (w.v6) {
			conn->local[0].addr = sim_addr6(i, 0);
			conn->remote[0].addr = sim_addr6(1 - i, 0);
		}
		if (w.nat && i == 1)
			conn->remote[0] = (struct host){.kind = HOST_ANY};
		if (i == 0)
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	return s;
}

static void assert_encap(const struct sim *s, bool encap)
{
	assert_agreed(s, 1);
	for (unsigned i = 0; i < 2; i++) {
		const struct child_sa *sa = &sim_newest_child(s, i)->sa;

		assert_int_equal(sa->udp_encap, encap);
		assert_int_equal(sa->local.port, encap ? 4500 : 500);
		assert_true(sa->local.addr.family == sa->remote.addr.family);
	}
}

/* Through rekeys of both kinds and reauthentications from both ends, without a lost packet. */
static void live(struct sim *s, bool encap, unsigned reauth_ends)
{
	assert_encap(s, encap);
	sim_traffic(s, 5 * MONO_MS);
	sim_run(s, 100 * MONO_MS);
	for (unsigned i = 0; i < 2; i++) {
		const char *conn = i ? "to0-0" : "to1-0";

		sim_command(s, i, IKE_COMMAND_REKEY, conn, "net");
		sim_run(s, 8 * MONO_S);
		assert_encap(s, encap);
		sim_command(s, i, IKE_COMMAND_REKEY, conn, NULL);
		sim_run(s, 8 * MONO_S);
		assert_encap(s, encap);
		if (i < reauth_ends)
			sim_reauth(s, i, conn);
		sim_run(s, 8 * MONO_S);
		assert_encap(s, encap);
	}
	assert_nothing_lost(s);
}

static void test_wishes(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		for (unsigned force = 0; force < 4; force++) {
			struct wish w = {{force & 1, force & 2}, v6, false};
			struct sim *s = with(1 + force + 10 * v6, w);

			live(s, force != 0, 2);
			sim_free(s);
		}
	}
}

static void test_nat(void **state)
{
	(void)state;
	for (unsigned force = 0; force < 4; force++) {
		struct sim *s = with(30 + force, (struct wish){{force & 1, force & 2}, 0, true});

		live(s, true, 1);
		sim_free(s);
	}
}

/* The mapping changes while the old and the new IKE_SA are there. */
static void test_mapping_changes_in_reauth(void **state)
{
	(void)state;
	for (mono_time d = 0; d <= 100 * MONO_MS; d += 5 * MONO_MS) {
		struct sim *s = with(50 + d / MONO_MS, (struct wish){{false, false}, 0, true});

		sim_traffic(s, 5 * MONO_MS);
		sim_run(s, 100 * MONO_MS);
		sim_reauth(s, 0, "to1-0");
		sim_run(s, d);
		sim_nat_forget(s, 0);
		sim_run(s, 12 * MONO_S);
		sim_traffic(s, 0);
		sim_run(s, MONO_S);
		assert_agreed_within(s, 1, 40 * MONO_S); /* a half-open one from the old port */
		assert_encap(s, true);
		assert_int_equal(s->nodes[0].esp_unknown + s->nodes[1].esp_unknown, 0);
		/* Only what was on its way to the old port is lost. */
		assert_true(s->nodes[0].esp_sent == s->nodes[1].esp_received);
		assert_true(s->nodes[1].esp_sent - s->nodes[0].esp_received <= 10);
		sim_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_nat),
		cmocka_unit_test(test_mapping_changes_in_reauth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
