/* Bad networks over many seeds: whatever was lost, doubled, late, out of order or
 * damaged, in the end there is exactly one IKE_SA with one CHILD_SA, the same at both
 * ends. And many tunnels in one engine. */
#include "tests/sim/sim_test.h"
#include "tests/sim/sim_parts.h"

#include "lib/words.h"

#include <stdio.h>
#include <stdlib.h>

#define TUNNELS 1000u

/* A number from the environment: SIM_SEEDS asks for more seeds, or for less, SIM_FIRST for
 * the seed to begin with. */
static uint64_t from_environment(const char *name, uint64_t normal)
{
	const char *text = getenv(name);
	uint64_t n;

	if (text && words_parse_number(text, 10000000, &n))
		return n;
	return sim_restores() && normal > 1 ? normal / 8 : normal; /* each takes longer */
}

static void load_short_lived(struct sim *s)
{
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		conn->rekey_time = 100 * MONO_S;
		conn->over_time = 60 * MONO_S;
		conn->rand_time = 30 * MONO_S;
		conn->children[0].rekey_time = 35 * MONO_S;
		conn->children[0].life_time = 60 * MONO_S;
		conn->children[0].rand_time = 10 * MONO_S;
		conn->children[0].start_action = ACTION_START;
		conn->children[0].close_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
}

static void chaos(uint64_t seed)
{
	const struct sim_link bad = {.latency = 5 * MONO_MS,
				     .jitter = 60 * MONO_MS,
				     .loss = 300,
				     .duplicate = 150,
				     .reorder = 150,
				     .corrupt = 20};
	const struct sim_link good = {.latency = 10 * MONO_MS};
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	sim_all_links(s, &bad);
	load_short_lived(s);
	sim_run(s, 240 * MONO_S);
	sim_all_links(s, &good);
	sim_run(s, 40 * MONO_S);
	assert_agreed_within(s, 1, 120 * MONO_S);
	sim_free(s);
}

static void test_chaos(void **state)
{
	uint64_t last = from_environment("SIM_SEEDS", 1000);

	(void)state;
	for (uint64_t seed = from_environment("SIM_FIRST", 1); seed <= last; seed++)
		chaos(seed);
}

/* Commands and events of the data plane at random moments at either end. */
static void disturb(struct sim *s, uint64_t *rng)
{
	uint64_t r = *rng = *rng * 6364136223846793005ULL + 1442695040888963407ULL;
	unsigned node = r >> 33 & 1;
	const char *conn = node ? "to0-0" : "to1-0";
	struct sim_child *c = sim_newest_child(s, node);

	switch (r >> 40 & 7) {
	case 0:
	case 1:
		sim_command(s, node, IKE_COMMAND_REKEY, conn, NULL);
		break;
	case 2:
	case 3:
		sim_command(s, node, IKE_COMMAND_REKEY, conn, "net");
		break;
	case 4:
		sim_command(s, 0, IKE_COMMAND_REKEY, NULL, NULL);
		sim_command(s, 1, IKE_COMMAND_REKEY, NULL, "net");
		break;
	case 5:
		sim_command(s, 0, IKE_COMMAND_REKEY, NULL, "net");
		sim_command(s, 1, IKE_COMMAND_REKEY, NULL, "net");
		break;
	case 6:
		sim_command(s, 0, IKE_COMMAND_REKEY, NULL, NULL);
		sim_command(s, 1, IKE_COMMAND_REKEY, NULL, NULL);
		break;
	case 7:
		if (c)
			sim_child_event(s, node, c->sa.id, IKE_CHILD_SOFT_EXPIRE);
		break;
	}
	sim_run(s, r % 4000 * MONO_MS);
}

/* Rekeys of all kinds, crossing each other, over links that lose and mix up IKE messages:
 * no packet of the tunnel is lost, unless a peer was given up as dead. */
static void test_rekeys_lose_nothing(void **state)
{
	const struct sim_link bad = {.latency = 5 * MONO_MS,
				     .jitter = 60 * MONO_MS,
				     .loss = 150,
				     .duplicate = 150,
				     .reorder = 150,
				     .spare_esp = true};
	uint64_t last = from_environment("SIM_SEEDS", 300), untouched = 0;

	(void)state;
	for (uint64_t seed = from_environment("SIM_FIRST", 1); seed <= last; seed++) {
		struct sim *s = sim_established(seed);
		uint64_t rng = seed;

		sim_all_links(s, &bad);
		sim_traffic(s, 7 * MONO_MS);
		for (unsigned i = 0; i < 12; i++)
			disturb(s, &rng);
		sim_traffic(s, 0);
		sim_run(s, 2 * MONO_S); /* what is on its way arrives */
		assert_holds(s);
		if (!s->nodes[0].events[IKE_EVENT_IKE_DOWN] &&
		    !s->nodes[1].events[IKE_EVENT_IKE_DOWN]) {
			assert_nothing_lost(s);
			untouched++;
		}
		sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS});
		sim_run(s, 40 * MONO_S);
		assert_agreed_within(s, 1, 120 * MONO_S);
		sim_free(s);
	}
	assert_true(untouched > last / 2);
}

/* Behind a NAT that forgets; the peer knows no address of ours. */
static void test_forgetful_nat(void **state)
{
	const struct sim_link bad = {
		.latency = 5 * MONO_MS, .jitter = 60 * MONO_MS, .loss = 200, .reorder = 100};
	uint64_t last = from_environment("SIM_SEEDS", 200);

	(void)state;
	for (uint64_t seed = from_environment("SIM_FIRST", 1); seed <= last; seed++) {
		struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

		sim_put_nat(s, 0, 45 * MONO_S);
		for (unsigned i = 0; i < 2; i++) {
			struct conn *conn = sim_conn(s, i, 1 - i, 0);

			conn->children[0].rekey_time = 50 * MONO_S;
			conn->children[0].rand_time = 20 * MONO_S;
			if (i == 0)
				conn->children[0].start_action = ACTION_START;
			else
				conn->remote[0] = (struct host){.kind = HOST_ANY};
			sim_load(s, i, conn, 1);
		}
		sim_all_links(s, &bad);
		if (seed & 1)
			sim_traffic(s, 500 * MONO_MS);
		for (unsigned i = 0; i < 8; i++) {
			sim_run(s, (10 + seed * (i + 7) % 40) * MONO_S);
			sim_nat_forget(s, 0);
		}
		sim_traffic(s, 0);
		sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS});
		sim_run(s, 60 * MONO_S);
		assert_agreed_within(s, 1, 120 * MONO_S);
		sim_free(s);
	}
}

static bool all_up(struct sim *s)
{
	return ike_engine_counters(s->nodes[0].engine)->child_sas >= TUNNELS &&
	       ike_engine_counters(s->nodes[1].engine)->child_sas >= TUNNELS;
}

static void check_tunnels(struct sim *s)
{
	assert_holds(s);
	for (unsigned i = 0; i < 2; i++) {
		struct sim_view v = sim_look(s, i, NULL);

		assert_int_equal(v.ike, TUNNELS);
		assert_int_equal(v.ike_established, TUNNELS);
		assert_int_equal(v.children_installed, TUNNELS);
		assert_int_equal(HASH_CNT(hh, s->nodes[i].plane), TUNNELS);
	}
}

/* A thousand peers of one engine, all at once (COOKIEs come into play), rekeyed all at
 * once, and each taken for itself. */
static void test_thousand_tunnels(void **state)
{
	struct sim *s = sim_new(4711, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned n = 0; n < TUNNELS; n++)
		sim_load(s, 1, sim_conn(s, 1, 0, n), n + 1);
	for (unsigned n = 0; n < TUNNELS; n++) {
		struct conn *conn = sim_conn(s, 0, 1, n);

		conn->children[0].start_action = ACTION_START;
		sim_load(s, 0, conn, n + 1);
	}
	assert_true(sim_run_until(s, all_up, 60 * MONO_S));
	sim_run(s, MONO_S);
	check_tunnels(s);
	sim_command(s, 0, IKE_COMMAND_REKEY, NULL, NULL);
	sim_run(s, 10 * MONO_S);
	check_tunnels(s);
	for (unsigned n = 0; n < TUNNELS; n += 10) {
		char name[32];

		snprintf(name, sizeof(name), "to0-%u", n);
		sim_command(s, 1, IKE_COMMAND_REKEY, name, "net");
	}
	sim_run(s, 10 * MONO_S);
	check_tunnels(s);
	sim_command(s, 1, IKE_COMMAND_SHUTDOWN, NULL, NULL);
	sim_run(s, 5 * MONO_S);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_SHUTDOWN_DONE], 1);
	assert_int_equal(sim_look(s, 1, NULL).ike, 0);
	assert_null(s->nodes[1].plane);
	assert_holds(s);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thousand_tunnels),
		cmocka_unit_test(test_rekeys_lose_nothing),
		cmocka_unit_test(test_chaos),
		cmocka_unit_test(test_forgetful_nat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
