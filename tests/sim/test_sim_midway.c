/* What comes in the middle of an exchange: a data plane that refuses, a command that takes down
 * what is being made, a reload that takes out what was asked for. No end may be left with
 * what the other one has not. */
#include "tests/sim/sim_parts.h"
#include "tests/sim/sim_test.h"
#include "ipsecd/ike/conns.h"

#include <stdlib.h>

#define WAIT	 (2 * MONO_S)
#define HALF_WAY (5 * MONO_MS) /* a request is on its way: latency is 10 ms */

static struct conn *make_conn(struct sim *s, unsigned node, bool net, bool second)
{
	struct conn *c = sim_conn(s, node, 1 - node, 0);
	struct child_config *more;

	c->children[0].start_action = node || !net ? ACTION_NONE : ACTION_START;
	if (!second)
		return c;
	if (net) {
		more = conn_add_child(c, "second");
	} else {
		more = &c->children[0];
		free(more->name);
		more->name = strdup("second");
	}
	more->local_ts.n = more->remote_ts.n = 1;
	assert_true(ts_parse(node ? "192.168.2.0/24" : "192.168.1.0/24", &more->local_ts.ts[0]));
	assert_true(ts_parse(node ? "192.168.1.0/24" : "192.168.2.0/24", &more->remote_ts.ts[0]));
	return c;
}

static struct sim *start(uint64_t seed, mono_time run)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	sim_load(s, 1, make_conn(s, 1, true, true), 1);
	sim_load(s, 0, make_conn(s, 0, true, true), 1);
	sim_run(s, run);
	return s;
}

static struct sim *up(uint64_t seed)
{
	struct sim *s = start(seed, WAIT);

	assert_agreed(s, 1);
	return s;
}

static unsigned downs(const struct sim *s)
{
	return s->nodes[0].events[IKE_EVENT_CHILD_DOWN] + s->nodes[1].events[IKE_EVENT_CHILD_DOWN];
}

/* ---- commands that undo each other ---- */

/* The request for a child waits in the queue when the child is taken down or out: whoever asked
 * for it is told. */
static void test_initiate_undone_in_the_queue(void **state)
{
	(void)state;
	for (unsigned reload = 0; reload < 2; reload++) {
		struct sim *s = up(90 + reload);
		uint64_t tag;

		sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", NULL);
		tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");
		if (reload)
			sim_load(s, 0, make_conn(s, 0, true, false), 1);
		else
			sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", "second");
		sim_run(s, WAIT);
		assert_non_null(sim_done(s, 0, tag));
		assert_false(sim_done(s, 0, tag)->ok);
		sim_run(s, 10 * MONO_S);
		assert_agreed(s, 1);
		sim_free(s);
	}
}

/* ---- the data plane refuses ---- */

/* A reauthentication, too. A responder's answer to IKE_AUTH can't be taken back: what is sent until
 * its DELETE comes is lost. */
static void test_refused_install_of_a_reauthentication(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct sim *s = up(70 + i);

		sim_traffic(s, 5 * MONO_MS);
		s->nodes[i / 2].refuse_install = true;
		sim_reauth(s, i % 2, i % 2 ? "to0-0" : "to1-0");
		sim_run(s, 30 * MONO_S);
		assert_false(s->nodes[i / 2].refuse_install);
		assert_agreed(s, 1);
		if (i / 2 == i % 2)
			assert_nothing_lost(s);
		for (unsigned n = 0; n < 2; n++)
			assert_true(s->nodes[n].esp_unknown <= 10 && !s->nodes[n].esp_no_sa);
		sim_free(s);
	}
}

/* Make before break: a rekey that can't be installed, at either end, leaves the old one at work. */
static void test_refused_install_of_a_rekey(void **state)
{
	(void)state;
	for (unsigned refuses = 0; refuses < 2; refuses++) {
		for (unsigned rekeys = 0; rekeys < 2; rekeys++) {
			struct sim *s = up(10 + 2 * refuses + rekeys);
			uint32_t spi = sim_look(s, 0, NULL).spi_in;

			sim_traffic(s, 5 * MONO_MS);
			s->nodes[refuses].refuse_install = true;
			sim_command(s, rekeys, IKE_COMMAND_REKEY, NULL, "net");
			sim_run(s, WAIT);
			assert_false(s->nodes[refuses].refuse_install);
			assert_agreed(s, 1);
			assert_int_equal(sim_look(s, 0, NULL).spi_in, spi);
			sim_run(s, 60 * MONO_S); /* tried again */
			assert_agreed(s, 1);
			assert_int_not_equal(sim_look(s, 0, NULL).spi_in, spi);
			assert_int_equal(downs(s), 0);
			assert_nothing_lost(s);
			sim_free(s);
		}
	}
}

/* Both rekey at once, and one of the new ones can't be installed. */
static void test_refused_install_in_a_collision(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct sim *s = up(seed);

		sim_traffic(s, 5 * MONO_MS);
		sim_command(s, 0, IKE_COMMAND_REKEY, NULL, "net");
		sim_command(s, 1, IKE_COMMAND_REKEY, NULL, "net");
		if (seed & 1)
			sim_run(s, 12 * MONO_MS); /* the first ones are installed */
		s->nodes[seed >> 1 & 1].refuse_install = true;
		sim_run(s, 90 * MONO_S);
		assert_agreed(s, 1);
		sim_free(s);
	}
}

/* The responder has not said yes before it knows. */
static void test_refused_install_of_another(void **state)
{
	struct sim *s = up(50);
	uint64_t tag;

	(void)state;
	s->nodes[1].refuse_install = true;
	tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");
	sim_run(s, 200 * MONO_MS);
	assert_false(sim_done(s, 0, tag)->ok);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].installs, 1);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_UP], 1);
	sim_free(s);
}

/* A data plane that refuses each one: asked again for ever, but not each second. */
static void test_refused_installs_back_off(void **state)
{
	struct sim *s = start(51, 0);

	(void)state;
	for (unsigned i = 0; i < 6000; i++) {
		s->nodes[0].refuse_install = true;
		sim_run(s, 100 * MONO_MS);
	}
	assert_holds(s);
	assert_in_range(s->nodes[0].requests[2], 8, 25);
	s->nodes[0].refuse_install = false;
	assert_agreed_within(s, 1, 120 * MONO_S);
	sim_free(s);
}

/* ---- a command takes it down ---- */

/* Nobody starts it again. */
static struct sim *established_only(uint64_t seed)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	for (unsigned i = 0; i < 2; i++) {
		struct conn *c = make_conn(s, i, true, true);

		c->children[0].start_action = ACTION_NONE;
		sim_load(s, i, c, 1);
	}
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	return s;
}

static void first_id(void *ctx, const struct ike_sa_info *ike, const struct ike_child_info *child)
{
	uint32_t *id = ctx;

	(void)ike;
	if (child && !*id)
		*id = child->id;
}

static uint32_t first_child(const struct sim *s)
{
	uint32_t id = 0;

	ike_engine_each_sa(s->nodes[0].engine, first_id, &id);
	return id;
}

static void test_terminated_while_it_is_made(void **state)
{
	struct sim *s = up(60);
	uint64_t tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");

	(void)state;
	sim_run(s, HALF_WAY);
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", "second");
	sim_run(s, WAIT);
	assert_non_null(sim_done(s, 0, tag));
	assert_false(sim_done(s, 0, tag)->ok);
	assert_agreed(s, 1);
	sim_run(s, 120 * MONO_S);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_terminated_while_it_is_rekeyed(void **state)
{
	struct sim *s = up(61);

	(void)state;
	sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");
	sim_run(s, HALF_WAY);
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", "net");
	sim_run(s, 120 * MONO_S);
	assert_agreed(s, 0);
	assert_int_equal(downs(s), 2);
	sim_free(s);
}

static uint64_t terminate_by_id(struct sim *s, uint32_t id, bool force, bool successors)
{
	struct ike_command c = {.kind = IKE_COMMAND_TERMINATE,
				.tag = ++s->next_tag,
				.select = {.child_id = id},
				.force = force,
				.successors = successors,
				.reset_retry = true};
	const char *error;

	assert_true(ike_engine_command(s->nodes[0].engine, &c, &error, s->now));
	sim_drain(s, 0);
	return c.tag;
}

/* An id holds nothing back: what a rekey under way makes goes with what it was to replace. */
static void test_terminated_by_id_while_it_is_rekeyed(void **state)
{
	static const char *const what[] = {"net", NULL};

	(void)state;
	for (unsigned i = 0; i < 4 * 2 * 2 * 12; i++) {
		unsigned who = i % 4; /* bits: node 0 and node 1 rekey */
		bool force = i / 4 % 2;
		mono_time at = i / 16 * 5 * MONO_MS;
		struct sim *s = established_only(800 + i);
		uint32_t id = first_child(s);
		uint64_t tag;

		if (who & 1)
			sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", what[i / 8 % 2]);
		if (who & 2)
			sim_command(s, 1, IKE_COMMAND_REKEY, "to0-0", what[i / 8 % 2]);
		sim_run(s, at);
		tag = terminate_by_id(s, id, force, true);
		sim_run(s, 20 * MONO_S);
		if (!sim_done(s, 0, tag))
			fail_msg("no answer: %u", i);
		if (sim_look(s, 0, NULL).children || sim_look(s, 1, NULL).children)
			fail_msg("seed %llu, who %u, %s%s %llu ms later: %u and %u CHILD_SAs",
				 (unsigned long long)s->seed, who,
				 what[i / 8 % 2] ? "child" : "IKE", force ? ", force" : "",
				 (unsigned long long)(at / MONO_MS), sim_look(s, 0, NULL).children,
				 sim_look(s, 1, NULL).children);
		assert_agreed(s, 0);
		sim_free(s);
	}
}

static void test_terminated_in_auth(void **state)
{
	struct sim *s = start(62, 35 * MONO_MS);

	(void)state;
	assert_int_equal(s->nodes[1].installs, 1); /* the answer is on its way */
	assert_int_equal(s->nodes[0].installs, 0);
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", "net");
	sim_run(s, 120 * MONO_S);
	assert_agreed(s, 0);
	sim_free(s);
}

/* The whole IKE_SA: the peer has it already and is told so. */
static void test_ended_in_auth(void **state)
{
	struct ike_command commands[] = {
		{.kind = IKE_COMMAND_TERMINATE, .select = {.ike = "to1-0"}, .tag = 1000},
		{.kind = IKE_COMMAND_UNLOAD_CONN, .name = "to1-0"},
		{.kind = IKE_COMMAND_SHUTDOWN},
		{.kind = IKE_COMMAND_LOAD_CONN, .tunnel = 1},
	};
	const char *error;

	(void)state;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct sim *s = start(63 + i, 35 * MONO_MS);

		if (commands[i].kind == IKE_COMMAND_LOAD_CONN) {
			commands[i].conn = make_conn(s, 0, true, true);
			commands[i].conn->encap = true;
		}
		assert_int_equal(s->nodes[1].installs, 1);
		assert_true(ike_engine_command(s->nodes[0].engine, &commands[i], &error, s->now));
		sim_drain(s, 0);
		sim_run(s, MONO_S);
		assert_holds(s);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 0);
		if (commands[i].kind == IKE_COMMAND_LOAD_CONN) {
			assert_agreed(s, 1);
			assert_int_equal(s->nodes[1].installs, 2);
		} else {
			assert_int_equal(sim_look(s, 0, NULL).ike, 0);
			assert_int_equal(sim_look(s, 1, NULL).ike, 0);
			assert_null(s->nodes[1].plane);
		}
		if (commands[i].kind == IKE_COMMAND_TERMINATE)
			assert_true(sim_done(s, 0, 1000)->ok);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_SHUTDOWN_DONE],
				 commands[i].kind == IKE_COMMAND_SHUTDOWN);
		sim_free(s);
	}
}

/* The same with an answer that never comes, or is a refusal: it ends without a word. */
static void test_ended_in_auth_without_answer(void **state)
{
	(void)state;
	for (unsigned refused = 0; refused < 2; refused++) {
		struct sim *s = start(68 + refused, 25 * MONO_MS);
		const char *error;
		uint64_t tag;

		s->links[0][1].cut = !refused;
		if (refused) {
			struct ike_command c = {.kind = IKE_COMMAND_UNLOAD_SECRET, .name = "all"};

			assert_true(ike_engine_command(s->nodes[1].engine, &c, &error, s->now));
		}
		tag = sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", NULL);
		sim_run(s, 60 * MONO_S);
		assert_holds(s);
		assert_non_null(sim_done(s, 0, tag));
		assert_int_equal(sim_look(s, 0, NULL).ike, 0);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 0);
		assert_int_equal(s->nodes[0].requests[0], 1);
		sim_free(s);
	}
}

/* ---- a reload takes it out ---- */

static void test_unconfigured_while_it_is_made(void **state)
{
	struct sim *s = up(70);
	uint64_t tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");

	(void)state;
	sim_run(s, HALF_WAY);
	sim_load(s, 0, make_conn(s, 0, true, false), 1);
	sim_run(s, WAIT);
	assert_non_null(sim_done(s, 0, tag));
	assert_false(sim_done(s, 0, tag)->ok);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_unconfigured_while_it_is_rekeyed(void **state)
{
	struct sim *s = up(71);

	(void)state;
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");
	sim_run(s, WAIT);
	assert_agreed(s, 2);
	sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "second");
	sim_run(s, HALF_WAY);
	sim_load(s, 0, make_conn(s, 0, true, false), 1);
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_unconfigured_in_auth(void **state)
{
	struct sim *s = start(72, 35 * MONO_MS);

	(void)state;
	assert_int_equal(s->nodes[1].installs, 1);
	sim_load(s, 0, make_conn(s, 0, false, true), 1);
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 0);
	sim_free(s);
}

/* The last child goes while the peer's name is being looked up. */
static void test_no_child_when_the_name_is_known(void **state)
{
	struct sim *s = sim_new(73, 2, &crypto_null, NULL);
	struct ike_engine *e = s->nodes[0].engine;
	const char *error;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *c = make_conn(s, 0, true, false);
		struct ike_command load = {.kind = IKE_COMMAND_LOAD_CONN, .conn = c, .tunnel = 1};

		c->remote[0] = (struct host){.kind = HOST_NAME, .name = strdup("10.2.0.0")};
		if (i)
			free(c->children[--c->n_children].name);
		assert_true(ike_engine_command(e, &load, &error, s->now));
	}
	sim_drain(s, 0);
	sim_run(s, WAIT);
	assert_holds(s);
	assert_int_equal(s->nodes[0].requests[0], 0);
	sim_free(s);
}

/* ---- the peer moves ---- */

/* Its NAT takes another port while we rekey the IKE_SA: the new one goes there. */
static void test_moved_while_rekeyed(void **state)
{
	struct sim *s = sim_new(80, 2, &crypto_null, NULL);
	struct conn *ours, *theirs;
	struct ike_sa *sa;

	(void)state;
	sim_put_nat(s, 0, 60 * MONO_S);
	ours = make_conn(s, 1, true, true);
	theirs = make_conn(s, 0, true, true);
	ours->remote[0] = (struct host){.kind = HOST_ANY};
	sim_load(s, 1, ours, 1);
	sim_load(s, 0, theirs, 1);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	s->links[0][1].drop_exchange = 36;
	s->links[0][1].drop_responses = true;
	s->links[0][1].drop_next = 1;
	sim_command(s, 1, IKE_COMMAND_REKEY, NULL, NULL);
	sim_run(s, 100 * MONO_MS);
	sim_nat_forget(s, 0);
	sim_traffic(s, 50 * MONO_MS); /* ESP shows the new port */
	sim_run(s, 600 * MONO_MS);
	assert_agreed(s, 1);
	sa = s->nodes[1].engine->sas;
	assert_int_equal(s->nodes[1].events[IKE_EVENT_IKE_REKEYED], 1);
	assert_int_equal(sa->path.remote.port, s->nodes[0].nat.next_port - 1);
	assert_true(endpoint_equal(&sa->path.remote, &sim_newest_child(s, 1)->sa.remote));
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_initiate_undone_in_the_queue),
		cmocka_unit_test(test_refused_install_of_a_reauthentication),
		cmocka_unit_test(test_refused_install_of_a_rekey),
		cmocka_unit_test(test_refused_install_in_a_collision),
		cmocka_unit_test(test_refused_install_of_another),
		cmocka_unit_test(test_refused_installs_back_off),
		cmocka_unit_test(test_terminated_while_it_is_made),
		cmocka_unit_test(test_terminated_while_it_is_rekeyed),
		cmocka_unit_test(test_terminated_by_id_while_it_is_rekeyed),
		cmocka_unit_test(test_terminated_in_auth),
		cmocka_unit_test(test_ended_in_auth),
		cmocka_unit_test(test_ended_in_auth_without_answer),
		cmocka_unit_test(test_unconfigured_while_it_is_made),
		cmocka_unit_test(test_unconfigured_while_it_is_rekeyed),
		cmocka_unit_test(test_unconfigured_in_auth),
		cmocka_unit_test(test_no_child_when_the_name_is_known),
		cmocka_unit_test(test_moved_while_rekeyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
