/* kill -9 of a daemon whose data plane goes on, and a new start: the peer takes the new SAs into
 * use only when the restarted end surely has them, and receives by the old ones for a while. */
#include "tests/sim/sim_test.h"

static void load(struct sim *s, unsigned node, unsigned starts)
{
	struct conn *conn = sim_conn(s, node, 1 - node, 0);
	struct child_config *second = conn_add_child(conn, "second");

	second->local_ts.n = second->remote_ts.n = 1;
	assert_true(ts_parse(node ? "192.168.2.0/24" : "192.168.1.0/24", &second->local_ts.ts[0]));
	assert_true(ts_parse(node ? "192.168.1.0/24" : "192.168.2.0/24", &second->remote_ts.ts[0]));
	if (starts >> node & 1)
		conn->children[0].start_action = conn->children[1].start_action = ACTION_START;
	sim_load(s, node, conn, 1);
}

static struct sim *running(uint64_t seed, unsigned starts)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	load(s, 0, starts);
	load(s, 1, starts);
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 2);
	sim_traffic(s, 2 * MONO_MS);
	sim_run(s, 100 * MONO_MS);
	return s;
}

static void restart(struct sim *s, unsigned node, mono_time away, unsigned starts)
{
	sim_restart(s, node);
	sim_run(s, away);
	load(s, node, starts);
}

/* The newly started end begins. */
static void test_restart(void **state)
{
	(void)state;
	for (unsigned node = 0; node < 2; node++) {
		for (mono_time away = 0; away <= 2 * MONO_S; away += 400 * MONO_MS) {
			struct sim *s = running(1 + node, 3);

			restart(s, node, away, 3);
			sim_run(s, 12 * MONO_S);
			assert_agreed(s, 2);
			assert_int_equal(s->nodes[1 - node].last_reason, IKE_REASON_REPLACED);
			assert_nothing_lost(s);
			sim_free(s);
		}
	}
}

/* Only one end begins by itself, and it is the other one that was restarted and has traffic
 * alone to live on: nothing is lost until the peer asks for something. */
static void test_restart_of_one_that_waits(void **state)
{
	struct sim *s = running(3, 1);

	(void)state;
	restart(s, 1, MONO_S, 1);
	sim_run(s, 20 * MONO_S);
	assert_nothing_lost(s);
	sim_free(s);
}

/* Both at the same time, in all distances. */
static void test_both_restart(void **state)
{
	(void)state;
	for (mono_time d = 0; d <= 100 * MONO_MS; d += 5 * MONO_MS) {
		struct sim *s = running(100 + d / MONO_MS, 3);

		sim_restart(s, 0);
		sim_restart(s, 1);
		sim_run(s, 300 * MONO_MS);
		load(s, 0, 3);
		sim_run(s, d);
		load(s, 1, 3);
		sim_run(s, 20 * MONO_S);
		assert_agreed(s, 2);
		assert_nothing_lost(s);
		sim_free(s);
	}
}

/* The first answers get lost: the peer does not take into use what the restarted end has not. */
static void test_lost_answers(void **state)
{
	(void)state;
	for (unsigned lost = 1; lost <= 4; lost++) {
		for (uint8_t type = 34; type <= 37; type++) {
			struct sim *s = running(200 + lost * 10 + type, 3);

			s->links[1][0].drop_exchange = type;
			s->links[1][0].drop_responses = true;
			s->links[1][0].drop_next = lost;
			restart(s, 0, 50 * MONO_MS, 3);
			sim_run(s, 40 * MONO_S);
			assert_agreed(s, 2);
			assert_nothing_lost(s);
			sim_free(s);
		}
	}
}

/* Again and again, at random, over links that lose IKE messages; not so many that an answer is
 * not there within the patience (take_over_wait) that we have with a peer that lost its SAs. */
static void test_restarts_lose_nothing(void **state)
{
	const struct sim_link bad = {.latency = 5 * MONO_MS,
				     .jitter = 60 * MONO_MS,
				     .loss = 80,
				     .duplicate = 150,
				     .reorder = 150,
				     .spare_esp = true};

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed += sim_stride()) {
		struct sim *s = running(seed, 3);
		uint64_t rng = seed;

		sim_all_links(s, &bad);
		for (unsigned i = 0; i < 6; i++) {
			rng = rng * 6364136223846793005ULL + 1442695040888963407ULL;
			restart(s, rng >> 33 & 1, (rng >> 36) % 500 * MONO_MS, 3);
			sim_run(s, 300 * MONO_MS + (rng >> 44) % 20000 * MONO_MS);
		}
		sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS});
		sim_run(s, 2 * MONO_S);
		assert_nothing_lost(s);
		assert_agreed_within(s, 2, 120 * MONO_S);
		sim_free(s);
	}
}

/* The peer's plane has lost its SAs as well (a reboot): it is up again as quickly as ever. */
static void test_reboot(void **state)
{
	struct sim *s = running(7, 3);

	(void)state;
	sim_traffic(s, 0);
	sim_run(s, MONO_S);
	restart(s, 0, 0, 3);
	sim_run(s, 200 * MONO_MS);
	assert_holds(s);
	assert_true(sim_newest_child(s, 0)->sa.outbound);
	assert_true(sim_newest_child(s, 1)->sa.outbound);
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 2);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_of_one_that_waits),
		cmocka_unit_test(test_both_restart),
		cmocka_unit_test(test_lost_answers),
		cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_restarts_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
