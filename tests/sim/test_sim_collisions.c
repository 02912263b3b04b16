/* What happens when both ends start something at once, at every distance in time that
 * matters, with and without lost answers: both ends must agree on what is left. */
#include "tests/sim/sim_test.h"
#include "tests/sim/sim_parts.h"

#include <stdio.h>

enum action { NOTHING, REKEY_CHILD, REKEY_IKE, CREATE, DELETE_CHILD, DELETE_IKE, ACTIONS };

static const char *const action_names[ACTIONS] = {"nothing", "rekey child",  "rekey IKE",
						  "create",  "delete child", "delete IKE"};

static struct sim *established(uint64_t seed, bool second)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);
		struct child_config *more;

		more = second ? conn_add_child(conn, "second") : NULL;
		if (more) {
			more->local_ts.n = more->remote_ts.n = 1;
			ts_parse(i ? "192.168.2.0/24" : "192.168.1.0/24", &more->local_ts.ts[0]);
			ts_parse(i ? "192.168.1.0/24" : "192.168.2.0/24", &more->remote_ts.ts[0]);
		}
		sim_load(s, i, conn, 1);
	}
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	return s;
}

static void act(struct sim *s, unsigned node, enum action action)
{
	const char *conn = node ? "to0-0" : "to1-0";

	switch (action) {
	case REKEY_CHILD:
		sim_command(s, node, IKE_COMMAND_REKEY, conn, "net");
		break;
	case REKEY_IKE:
		sim_command(s, node, IKE_COMMAND_REKEY, conn, NULL);
		break;
	case CREATE:
		sim_command(s, node, IKE_COMMAND_INITIATE, conn, "second");
		break;
	case DELETE_CHILD:
		sim_command(s, node, IKE_COMMAND_TERMINATE, conn, "net");
		break;
	case DELETE_IKE:
		sim_hold(s, node, conn);
		break;
	case NOTHING:
	case ACTIONS:
		break;
	}
}

static void check_left(struct sim *s, enum action a, enum action b, mono_time distance)
{
	struct sim_view views[2] = {sim_look(s, 0, NULL), sim_look(s, 1, NULL)};
	unsigned children = 1;
	char why[160] = "";
	bool ok;

	if (a == CREATE || b == CREATE)
		children++;
	if (a == DELETE_CHILD || b == DELETE_CHILD)
		children--;
	if (a == DELETE_IKE || b == DELETE_IKE)
		/* An end that still wants it may be knocking, but is not let in. */
		ok = !views[0].ike_established && !views[1].ike_established && !s->nodes[0].plane &&
		     !s->nodes[1].plane;
	else
		ok = sim_agree(s, 0, 1, children, why);
	if (s->violation[0] || !ok)
		fail_msg("seed %llu, node0 %s, node1 %s %llu ms later: %s%s (%u/%u IKE_SAs)",
			 (unsigned long long)s->seed, action_names[a], action_names[b],
			 (unsigned long long)(distance / MONO_MS), s->violation, why, views[0].ike,
			 views[1].ike);
}

static void cross(uint64_t seed, enum action a, enum action b, mono_time distance, unsigned lost)
{
	struct sim *s = established(seed, true);

	for (unsigned i = 0; i < 2; i++) {
		s->links[i][1 - i].drop_exchange = 36;
		s->links[i][1 - i].drop_responses = true;
		s->links[i][1 - i].drop_next = lost >> i & 1;
	}
	act(s, 0, a);
	sim_run(s, distance);
	act(s, 1, b);
	sim_run(s, 100 * MONO_S);
	check_left(s, a, b, distance);
	sim_free(s);
}

static void test_everything_crosses_everything(void **state)
{
	uint64_t seed = 1000;

	(void)state;
	for (enum action a = NOTHING; a < ACTIONS; a++) {
		for (enum action b = NOTHING; b < ACTIONS; b++) {
			/* Latency is 10 ms; at 5 ms requests cross, later they don't. */
			for (mono_time d = 0; d <= 45 * MONO_MS; d += 5 * MONO_MS) {
				for (unsigned lost = 0; lost < 4; lost++)
					cross(seed++, a, b, d, lost);
			}
		}
	}
}

/* Under traffic, and over enough seeds that either end wins. */
static void test_simultaneous_child_rekey(void **state)
{
	unsigned redundant = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct sim *s = established(seed, false);

		sim_traffic(s, 2 * MONO_MS);
		sim_run(s, 50 * MONO_MS);
		act(s, 0, REKEY_CHILD);
		act(s, 1, REKEY_CHILD);
		sim_run(s, 8 * MONO_S);
		assert_agreed(s, 1);
		assert_int_equal(s->nodes[0].installs, 3); /* the old one and two new */
		assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_REKEYED], 1);
		assert_int_equal(s->nodes[1].events[IKE_EVENT_CHILD_REKEYED], 1);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_DOWN], 0);
		redundant += s->nodes[0].requests[3] < s->nodes[1].requests[3];
		assert_nothing_lost(s);
		sim_free(s);
	}
	(void)redundant;
}

static void test_simultaneous_ike_rekey(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct sim *s = established(seed, false);
		struct sim_view before = sim_look(s, 0, NULL);

		sim_traffic(s, 2 * MONO_MS);
		act(s, 0, REKEY_IKE);
		act(s, 1, REKEY_IKE);
		sim_run(s, 3 * MONO_S);
		assert_agreed(s, 1);
		assert_true(sim_look(s, 0, NULL).spi_i != before.spi_i);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_REKEYED], 1);
		assert_int_equal(s->nodes[1].events[IKE_EVENT_IKE_REKEYED], 1);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 0);
		assert_nothing_lost(s);
		sim_free(s);
	}
}

/* The answer to the loser's request comes late: whoever deletes the old IKE_SA before that makes
 * the peer forget its own rekey (RFC 7296 2.25.2), and keeps an IKE_SA that nobody else has. */
static void test_simultaneous_ike_rekey_late_answer(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct sim *s = established(seed, false);
		struct sim_link *link = &s->links[seed & 1][~seed & 1];

		sim_traffic(s, 2 * MONO_MS);
		link->drop_exchange = 36;
		link->drop_responses = true;
		link->drop_next = 1;
		act(s, 0, REKEY_IKE);
		act(s, 1, REKEY_IKE);
		assert_agreed_within(s, 1, 5 * MONO_S);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_REKEYED], 1);
		assert_int_equal(s->nodes[1].events[IKE_EVENT_IKE_REKEYED], 1);
		sim_run(s, 100 * MONO_S);
		assert_agreed(s, 1);
		assert_nothing_lost(s);
		sim_free(s);
	}
}

static void test_simultaneous_initiation(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

		s->links[0][1].latency = (seed % 7) * 5 * MONO_MS + MONO_MS;
		s->links[1][0].latency = (seed % 5) * 9 * MONO_MS + MONO_MS;
		sim_pair(s, 3);
		sim_run(s, 20 * MONO_S);
		assert_agreed(s, 1);
		sim_free(s);
	}
}

/* The same child is missing at both ends, and both ask for it. */
static void test_simultaneous_create(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct sim *s = established(seed, true);

		act(s, 0, CREATE);
		act(s, 1, CREATE);
		sim_run(s, 5 * MONO_S);
		assert_agreed(s, 2);
		sim_free(s);
	}
}

/* The peer's rekey is answered and the answer is lost: what we made is not there at the peer yet,
 * a rekey of it now could only be refused (CHILD_SA_NOT_FOUND or TEMPORARY_FAILURE). */
static void test_rekey_waits_for_the_peer(void **state)
{
	struct sim *s = established(8, false);
	uint64_t old = sim_look(s, 1, NULL).child_id;
	unsigned before = s->nodes[1].requests[2];
	uint64_t tag;

	(void)state;
	sim_traffic(s, 2 * MONO_MS);
	s->links[1][0].drop_exchange = 36;
	s->links[1][0].drop_responses = true;
	s->links[1][0].drop_next = 1;
	act(s, 0, REKEY_CHILD);
	sim_run(s, 50 * MONO_MS);
	assert_true(sim_look(s, 1, NULL).child_id != old);
	tag = sim_command(s, 1, IKE_COMMAND_REKEY, "to0-0", "net");
	sim_run(s, 100 * MONO_MS);
	assert_int_equal(s->nodes[1].requests[2], before);
	assert_null(sim_done(s, 1, tag));
	sim_run(s, 2 * MONO_S);
	assert_int_equal(s->nodes[1].requests[2], before + 1);
	assert_true(sim_done(s, 1, tag) && sim_done(s, 1, tag)->ok);
	sim_run(s, 8 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_CHILD_REKEYED], 2);
	assert_nothing_lost(s);
	sim_free(s);
}

/* A peer that never shows that it has it is asked all the same. */
static void test_rekey_waits_not_for_ever(void **state)
{
	struct sim *s = established(9, false);
	unsigned before;

	(void)state;
	s->links[0][1].drop_exchange = 37; /* node 0's DELETE of the old one */
	s->links[0][1].drop_next = 1000;
	act(s, 0, REKEY_CHILD);
	sim_run(s, 100 * MONO_MS);
	before = s->nodes[1].requests[2];
	act(s, 1, REKEY_CHILD);
	sim_run(s, 4 * MONO_S);
	assert_int_equal(s->nodes[1].requests[2], before);
	sim_run(s, 8 * MONO_S);
	assert_true(s->nodes[1].requests[2] > before);
	assert_holds(s);
	sim_free(s);
}

/* The peer has lost the CHILD_SA: CHILD_SA_NOT_FOUND, and a new one from scratch
 * (RFC 7296 2.25). */
static void test_child_not_found(void **state)
{
	struct sim *s = established(7, false);
	uint64_t id = sim_look(s, 1, NULL).child_id;

	(void)state;
	/* Node 1's deletes get lost while its CHILD_SA goes by force. */
	s->links[1][0].cut = true;
	sim_plane_remove(&s->nodes[1], id);
	sim_child_event(s, 1, id, IKE_CHILD_INSTALL_FAILED);
	sim_run(s, 100 * MONO_MS);
	s->links[1][0].cut = false;
	act(s, 0, REKEY_CHILD);
	sim_run(s, 30 * MONO_S);
	assert_holds(s);
	assert_true(sim_look(s, 0, NULL).children_installed ==
		    sim_look(s, 1, NULL).children_installed);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simultaneous_child_rekey),
		cmocka_unit_test(test_simultaneous_ike_rekey),
		cmocka_unit_test(test_simultaneous_ike_rekey_late_answer),
		cmocka_unit_test(test_simultaneous_initiation),
		cmocka_unit_test(test_simultaneous_create),
		cmocka_unit_test(test_rekey_waits_for_the_peer),
		cmocka_unit_test(test_rekey_waits_not_for_ever),
		cmocka_unit_test(test_child_not_found),
		cmocka_unit_test(test_everything_crosses_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
