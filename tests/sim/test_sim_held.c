/* Secrets whose bytes another process holds: AUTH is the same, and where that process does not
 * answer for a while, IKE_AUTH waits instead of failing. */
#include "tests/sim/sim_test.h"

static struct sim *held_pair(uint64_t seed, unsigned refused_by, unsigned n)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	s->held_secrets = true;
	if (n)
		s->nodes[refused_by].refuse_macs = n;
	sim_pair(s, 1);
	return s;
}

static void test_held(void **state)
{
	struct sim *s = held_pair(1, 0, 0);

	(void)state;
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].macs, 2);
	assert_int_equal(s->nodes[1].macs, 2);
	sim_free(s);
}

/* One end has the bytes, the other has not: the octets are the same. */
static void test_half_held(void **state)
{
	struct sim *s = sim_new(2, 2, &crypto_null, NULL);

	(void)state;
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	s->held_secrets = true;
	sim_pair(s, 1);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[1].macs, 0);
	assert_int_equal(s->nodes[0].macs, 2);
	sim_free(s);
}

/* The responder can't verify, or can't sign: it says nothing, and the initiator's retransmission
 * is the next try of the same IKE_SA. */
static void test_responder_waits(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 4; n++) {
		struct sim *s = held_pair(10 + n, 1, n);

		sim_run(s, 12 * MONO_S);
		assert_agreed(s, 1);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 0);
		assert_int_equal(s->nodes[1].events[IKE_EVENT_FAILED], 0);
		assert_int_equal(s->nodes[0].requests[0], 1); /* one IKE_SA_INIT */
		sim_free(s);
	}
}

static bool half_way(struct sim *s)
{
	return s->nodes[0].macs == 1;
}

/* The initiator can't verify: its request stays in flight, and the answer comes again. */
static void test_initiator_waits(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 4; n++) {
		struct sim *s = held_pair(20 + n, 0, 0);

		assert_true(sim_run_until(s, half_way, 2 * MONO_S));
		s->nodes[0].refuse_macs = n;
		sim_run(s, 12 * MONO_S);
		assert_agreed(s, 1);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 0);
		assert_int_equal(s->nodes[0].requests[0], 1);
		sim_free(s);
	}
}

/* It could not sign: IKE_SA_INIT waits. */
static void test_initiator_not_ready(void **state)
{
	struct sim *s = held_pair(25, 0, 0);

	(void)state;
	s->nodes[0].not_ready = 3;
	sim_run(s, 12 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 0);
	assert_int_equal(s->nodes[0].requests[0], 4);
	sim_free(s);
}

/* It can't sign after all: the attempt fails, and the next one comes soon. */
static void test_initiator_again(void **state)
{
	struct sim *s = held_pair(30, 0, 1);

	(void)state;
	sim_run(s, 5 * MONO_S);
	assert_int_equal(sim_look(s, 0, NULL).children_installed, 1);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 1);
	sim_run(s, 40 * MONO_S); /* the peer's half of the first one has gone */
	assert_agreed(s, 1);
	sim_free(s);
}

/* Nobody ever answers: no state is left behind, and it is no authentication failure. */
static void test_never(void **state)
{
	struct sim *s = held_pair(40, 1, 100000);

	(void)state;
	sim_run(s, 60 * MONO_S);
	assert_holds(s);
	assert_int_equal(ike_engine_counters(s->nodes[1].engine)->auth_failed, 0);
	assert_int_equal(sim_look(s, 1, NULL).ike_established, 0);
	assert_true(ike_engine_counters(s->nodes[1].engine)->half_open <= 2);
	s->nodes[1].refuse_macs = 0;
	assert_agreed_within(s, 1, 90 * MONO_S);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_half_held),
		cmocka_unit_test(test_responder_waits),
		cmocka_unit_test(test_initiator_waits),
		cmocka_unit_test(test_initiator_not_ready),
		cmocka_unit_test(test_initiator_again),
		cmocka_unit_test(test_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
