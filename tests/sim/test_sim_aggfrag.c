/* Negotiation of AGGFRAG (RFC 9347 5.1): who wants it, who requires it, who can't; over rekeys and
 * reauthentication. */
#include "tests/sim/sim.h"

#include "tests/support/crypto_null.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A node's wish: enum aggfrag_mode, and whether its packets may be cut. */
static void load(struct sim *s, unsigned node, uint8_t mode, bool dont_frag)
{
	struct conn *c = sim_conn(s, node, 1 - node, 0);

	c->children[0].flags.aggfrag =
		(struct aggfrag_params){.mode = mode, .dont_frag = dont_frag, .reorder_window = 5};
	c->children[0].start_action = node == 0 ? ACTION_START : ACTION_NONE;
	sim_load(s, node, c, 0);
}

static struct sim *pair(uint64_t seed, uint8_t ours, bool our_whole, uint8_t theirs,
			bool their_whole)
{
	const struct ike_settings settings = {.aggfrag = true};
	struct sim *s = sim_new(seed, 2, &crypto_null, &settings);

	load(s, 1, theirs, their_whole);
	load(s, 0, ours, our_whole);
	sim_run(s, 3 * MONO_S);
	assert_string_equal(s->violation, "");
	return s;
}

static const struct aggfrag_params *params(const struct sim *s, unsigned node)
{
	return &sim_newest_child(s, node)->sa.flags.aggfrag;
}

static void agree(const struct sim *s, uint8_t ours, uint8_t theirs)
{
	char why[160];

	if (!sim_agree(s, 0, 1, 1, why))
		fail_msg("%s", why);
	assert_int_equal(params(s, 0)->mode, ours);
	assert_int_equal(params(s, 1)->mode, theirs);
	assert_string_equal(s->violation, "");
}

static void test_both_want_it(void **state)
{
	struct sim *s = pair(1, AGGFRAG_YES, false, AGGFRAG_REQUIRE, false);

	(void)state;
	agree(s, AGGFRAG_YES, AGGFRAG_REQUIRE);
	assert_false(params(s, 0)->dont_frag || params(s, 1)->dont_frag);
	assert_int_equal(params(s, 0)->reorder_window, 5);
	for (unsigned node = 0; node < 2; node++) {
		uint64_t was = sim_newest_child(s, 1)->sa.id;

		sim_command(s, node, IKE_COMMAND_REKEY, node ? "to0-0" : "to1-0", "net");
		sim_run(s, 10 * MONO_S);
		assert_int_not_equal(sim_newest_child(s, 1)->sa.id, was);
		agree(s, AGGFRAG_YES, AGGFRAG_REQUIRE);
	}
	sim_reauth(s, 0, "to1-0");
	sim_run(s, 20 * MONO_S);
	agree(s, AGGFRAG_YES, AGGFRAG_REQUIRE);
	sim_free(s);
}

/* RFC 9347 6.1.4: D concerns what its sender takes; what we don't cut is our own business. */
static void test_whole_packets(void **state)
{
	struct sim *s = pair(2, AGGFRAG_YES, true, AGGFRAG_YES, false);

	(void)state;
	agree(s, AGGFRAG_YES, AGGFRAG_YES);
	assert_true(params(s, 0)->dont_frag);
	assert_true(params(s, 1)->dont_frag);
	sim_free(s);
	s = pair(3, AGGFRAG_YES, false, AGGFRAG_YES, true);
	assert_true(params(s, 0)->dont_frag);
	assert_true(params(s, 1)->dont_frag);
	sim_free(s);
}

static void test_one_wants_it(void **state)
{
	struct sim *s = pair(4, AGGFRAG_YES, false, AGGFRAG_NO, false);

	(void)state;
	agree(s, AGGFRAG_NO, AGGFRAG_NO);
	sim_free(s);
	s = pair(5, AGGFRAG_NO, false, AGGFRAG_YES, false);
	agree(s, AGGFRAG_NO, AGGFRAG_NO);
	sim_free(s);
}

/* RFC 9347 5.1: the initiator deletes it; a responder does not make it. */
static void test_one_requires_it(void **state)
{
	struct sim *s = pair(6, AGGFRAG_REQUIRE, false, AGGFRAG_NO, false);

	(void)state;
	assert_int_equal(sim_look(s, 0, NULL).children_installed, 0);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_NO_PROPOSAL);
	sim_run(s, 2 * MONO_S);
	assert_int_equal(sim_look(s, 1, NULL).children_installed, 0);
	sim_free(s);
	s = pair(7, AGGFRAG_NO, false, AGGFRAG_REQUIRE, false);
	assert_int_equal(sim_look(s, 0, NULL).children_installed, 0);
	assert_int_equal(sim_look(s, 1, NULL).children_installed, 0);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_CHILD_UP], 0);
	sim_free(s);
}

/* A data plane without it: nothing is offered, whatever the configurations want. */
static void test_no_plane(void **state)
{
	struct sim *s = sim_new(8, 2, &crypto_null, NULL);

	(void)state;
	load(s, 1, AGGFRAG_YES, false);
	load(s, 0, AGGFRAG_YES, false);
	sim_run(s, 3 * MONO_S);
	agree(s, AGGFRAG_NO, AGGFRAG_NO);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_want_it), cmocka_unit_test(test_whole_packets),
		cmocka_unit_test(test_one_wants_it), cmocka_unit_test(test_one_requires_it),
		cmocka_unit_test(test_no_plane),
	};

	return cmocka_run_group_tests_name("aggfrag", tests, NULL, NULL);
}
