/* CHILD_SAs for single resources (RFC 9611) between two engines: one by one beside the general one,
 * as many as both have; rekeyed and deleted each for itself; nothing is lost, and nobody asks for
 * ever, whatever the network, a peer that knows nothing of it, or a kill does. */
#include "tests/sim/sim_parts.h"
#include "tests/sim/sim_test.h"
#include "ipsecd/ike/core.h"
#include "ipsecd/wire/message.h"

static void load(struct sim *s, unsigned node, unsigned resources, bool starts)
{
	struct conn *conn = sim_conn(s, node, 1 - node, 0);

	conn->children[0].resources = (uint16_t)resources;
	if (starts)
		conn->children[0].start_action = ACTION_START;
	sim_load(s, node, conn, 1);
}

/* `starts`: bits 1, 2. */
static struct sim *loaded(uint64_t seed, unsigned a, unsigned b, unsigned starts)
{
	struct ike_settings settings = {.resources = 3, .publish = true};
	struct sim *s = sim_new(seed, 2, &crypto_null, &settings);

	load(s, 0, a, starts & 1);
	load(s, 1, b, starts & 2);
	return s;
}

static const struct child_sa *of(const struct sim *s, unsigned node, uint32_t resource)
{
	const struct sim_child *c, *last = NULL;

	DL_FOREACH (s->nodes[node].order, c)
		if (c->sa.resource == resource && c->sa.outbound)
			last = c;
	return last ? &last->sa : NULL;
}

/* One for each at both ends, and the general one; their SPIs say whose they are. */
static void assert_each(const struct sim *s, uint32_t n)
{
	assert_agreed(s, n + 1);
	for (unsigned node = 0; node < 2; node++) {
		assert_non_null(of(s, node, 0));
		for (uint32_t r = 1; r <= n; r++) {
			assert_non_null(of(s, node, r));
			assert_int_equal(of(s, node, r)->spi_in & 0xff, r - 1);
			assert_true(ts_list_equal(&of(s, node, r)->local_ts,
						  &of(s, node, 0)->local_ts));
		}
		assert_null(of(s, node, n + 1));
	}
}

static void as_many_as_both_have(void **state)
{
	static const unsigned rows[][3] = {
		{4, 4, 4}, {1, 1, 1}, {4, 2, 2},    {2, 4, 2}, {CHILD_RESOURCES_AUTO, 4, 3},
		{4, 0, 0}, {0, 4, 0}, {64, 64, 64},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = loaded(1 + i, rows[i][0], rows[i][1], 1);
		unsigned asked;

		sim_run(s, 20 * MONO_S);
		assert_each(s, rows[i][2]);
		asked = s->nodes[0].requests[2];
		assert_in_range(asked, rows[i][2], rows[i][2] + 1);
		assert_int_equal(
			ike_engine_counters(s->nodes[0].engine)->notify_in[NOTIFY_TS_MAX_QUEUE],
			asked - rows[i][2]);
		sim_run(s, 60 * MONO_S); /* who was refused does not ask again */
		assert_int_equal(s->nodes[0].requests[2], asked);
		assert_int_equal(s->nodes[1].requests[2], 0);
		sim_free(s);
	}
}

/* What the configuration wants is neither offered nor taken up where the plane can't. */
static void a_plane_without(void **state)
{
	struct ike_settings settings = {.resources = 3, .resources_none = true};
	struct sim *s = sim_new(99, 2, &crypto_null, &settings);

	(void)state;
	load(s, 0, 3, true);
	load(s, 1, 3, false);
	sim_run(s, 20 * MONO_S);
	assert_each(s, 0);
	assert_int_equal(s->nodes[0].requests[2], 0);
	sim_free(s);
}

/* Both ends begin at once: one IKE_SA stays, and what it has is whole. */
static void both_start(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct sim *s = loaded(100 + seed, 3, 3, 3);
		struct sim_link like = {.latency = (seed % 5) * 7 * MONO_MS, .jitter = MONO_MS};

		sim_all_links(s, &like);
		sim_run(s, 20 * MONO_S);
		assert_agreed_within(s, 4, 40 * MONO_S);
		assert_each(s, 3);
		sim_free(s);
	}
}

static struct sim *established(uint64_t seed)
{
	struct sim *s = loaded(seed, 3, 3, 1);

	sim_run(s, 5 * MONO_S);
	assert_each(s, 3);
	return s;
}

static unsigned rekeys(const struct sim *s)
{
	return s->nodes[0].events[IKE_EVENT_CHILD_REKEYED];
}

/* Of all, by either end, by both, with the IKE_SA's: each keeps its resource. */
static void rekeyed_each(void **state)
{
	(void)state;
	for (unsigned who = 1; who <= 3; who++) {
		struct sim *s = established(200 + who);

		sim_traffic(s, 2 * MONO_MS);
		for (unsigned n = 0; n < 3; n++) {
			unsigned before = rekeys(s);

			for (unsigned node = 0; node < 2; node++)
				if (who >> node & 1)
					sim_command(s, node, IKE_COMMAND_REKEY,
						    node ? "to0-0" : "to1-0", "net");
			sim_run(s, 20 * MONO_S);
			assert_each(s, 3);
			assert_true(rekeys(s) >= before + 4);
			sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", NULL);
			sim_run(s, 10 * MONO_S);
			assert_each(s, 3);
		}
		assert_nothing_lost(s);
		sim_free(s);
	}
}

static void expire(struct sim *s, unsigned node, uint32_t resource)
{
	sim_child_event(s, node, of(s, node, resource)->id, IKE_CHILD_HARD_EXPIRE);
}

/* One goes alone. Nobody makes it again at once; the general one's rekey does. */
static void one_goes_alone(void **state)
{
	(void)state;
	for (unsigned node = 0; node < 2; node++) {
		struct sim *s = established(300 + node);

		expire(s, node, 2);
		sim_run(s, 20 * MONO_S);
		assert_agreed(s, 3);
		assert_null(of(s, 0, 2));
		sim_child_event(s, 0, of(s, 0, 0)->id, IKE_CHILD_SOFT_EXPIRE);
		sim_run(s, 10 * MONO_S);
		assert_each(s, 3);
		sim_free(s);
	}
}

/* An end that has none any more (another plane) refuses them. Where every input has an engine of
 * its own that one has the settings of the simulation. */
static void nothing_more_by_another_plane(void **state)
{
	struct sim *s = established(305);

	(void)state;
	if (!sim_restores()) {
		s->nodes[1].engine->settings.resources_none = true;
		expire(s, 0, 2);
		sim_run(s, 5 * MONO_S);
		sim_child_event(s, 0, of(s, 0, 0)->id, IKE_CHILD_SOFT_EXPIRE);
		sim_run(s, 10 * MONO_S);
		assert_agreed(s, 3);
		assert_null(of(s, 0, 2));
		assert_int_equal(
			ike_engine_counters(s->nodes[0].engine)->notify_in[NOTIFY_TS_MAX_QUEUE], 1);
	}
	sim_free(s);
}

/* A reload that wants fewer, or none, by either end: those beyond go, the general one stays,
 * nothing is lost, and who has more does not get them again by a rekey. */
static void fewer_by_a_reload(void **state)
{
	static const unsigned less[] = {0, 1, 2};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct sim *s = established(380 + i);
		unsigned node = i & 1, n = less[i / 2];

		sim_traffic(s, 2 * MONO_MS);
		load(s, node, n, !node);
		sim_run(s, 20 * MONO_S);
		assert_each(s, n);
		for (unsigned by = 0; by < 2; by++) {
			sim_command(s, by, IKE_COMMAND_REKEY, by ? "to0-0" : "to1-0", "net");
			sim_run(s, 20 * MONO_S);
			assert_each(s, n);
		}
		assert_nothing_lost(s);
		assert_int_equal(sim_look(s, node, NULL).ike_established, 1);
		sim_free(s);
	}
}

/* ... while they are made, or rekeyed. */
static void fewer_meanwhile(void **state)
{
	static const struct sim_link like = {.latency = 5 * MONO_MS};

	(void)state;
	for (unsigned i = 0; i < 4 * 60; i++) {
		struct sim *s = i & 2 ? established(1600 + i) : loaded(1600 + i, 3, 3, 1);
		unsigned node = i & 1;

		sim_all_links(s, &like);
		if (i & 2)
			sim_command(s, i >> 2 & 1, IKE_COMMAND_REKEY,
				    i >> 2 & 1 ? "to0-0" : "to1-0", "net");
		sim_run(s, (i & 2 ? 0 : 20) * MONO_MS + i / 4 * 2 * MONO_MS);
		load(s, node, 1, !node);
		sim_run(s, 30 * MONO_S);
		assert_each(s, 1);
		sim_free(s);
	}
}

/* The general one goes and comes again: the others stay as they are. */
static void the_general_one_goes(void **state)
{
	struct sim *s = established(310);
	uint64_t id = of(s, 0, 2)->id;

	(void)state;
	expire(s, 0, 0);
	sim_run(s, 20 * MONO_S);
	assert_each(s, 3);
	assert_true(of(s, 0, 2)->id == id);
	sim_free(s);
}

static void reauthenticated(void **state)
{
	struct sim *s = established(320);

	(void)state;
	sim_traffic(s, 2 * MONO_MS);
	sim_reauth(s, 0, "to1-0");
	sim_run(s, 30 * MONO_S);
	assert_each(s, 3);
	assert_nothing_lost(s);
	sim_free(s);
}

/* Taken down by name, all of it goes, and comes again. */
static void terminated_by_name(void **state)
{
	struct sim *s = established(330);

	(void)state;
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", "net");
	sim_run(s, 10 * MONO_S);
	assert_int_equal(sim_look(s, 0, NULL).children, 0);
	assert_int_equal(sim_look(s, 1, NULL).children, 0);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, 10 * MONO_S);
	assert_each(s, 3);
	sim_free(s);
}

/* One of them, whether it sends or not, once it is that old. */
static const struct child_sa *made(const struct sim *s, unsigned node, uint32_t resource,
				   mono_time age)
{
	const struct sim_child *c;

	DL_FOREACH (s->nodes[node].order, c)
		if (c->sa.resource == resource && c->installed + age <= s->now)
			return &c->sa;
	return NULL;
}

/* A peer that deletes each of them, at once or some time later: it is asked for each once. */
static void a_peer_that_deletes(void **state)
{
	static const struct sim_link like = {.latency = 10 * MONO_MS};

	(void)state;
	for (unsigned age = 0; age <= 100; age += 4) {
		struct sim *s = loaded(340 + age, 3, 3, 1);

		sim_all_links(s, &like);
		for (unsigned i = 0; i < 3000; i++) {
			sim_run(s, MONO_MS);
			for (uint32_t r = 1; r <= 3; r++) {
				const struct child_sa *c = made(s, 1, r, age * MONO_MS);

				if (c)
					sim_child_event(s, 1, c->id, IKE_CHILD_HARD_EXPIRE);
			}
		}
		assert_in_range(s->nodes[0].requests[2], 1, 3);
		sim_run(s, 5 * MONO_S);
		assert_each(s, 0);
		sim_free(s);
	}
}

/* `n` children with selectors of their own, each with as many as can be. */
static void load_children(struct sim *s, unsigned node, unsigned n)
{
	static const char *const names[] = {"net", "net1", "net2"};
	struct conn *conn = sim_conn(s, node, 1 - node, 0);

	for (unsigned i = 0; i < n; i++) {
		struct conn *like = sim_conn(s, node, 1 - node, i);
		struct child_config *c = i ? conn_add_child(conn, names[i]) : &conn->children[0];

		assert_non_null(c);
		c->local_ts = like->children[0].local_ts;
		c->remote_ts = like->children[0].remote_ts;
		c->resources = CHILD_RESOURCES_MAX;
		c->start_action = node ? ACTION_NONE : ACTION_START;
		conn_free(like);
	}
	sim_load(s, node, conn, 1);
}

/* Half of the places of an IKE_SA are for rekeys. */
static void more_than_there_is_room_for(void **state)
{
	struct sim *s = sim_new(360, 2, &crypto_null, NULL);

	(void)state;
	load_children(s, 0, 3);
	load_children(s, 1, 3);
	sim_run(s, 60 * MONO_S);
	assert_agreed(s, 128);
	for (unsigned i = 0; i < 2; i++) {
		sim_command(s, i, IKE_COMMAND_REKEY, i ? "to0-0" : "to1-0", "net");
		sim_run(s, 60 * MONO_S);
		assert_agreed(s, 128);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(ike_engine_counters(s->nodes[i].engine)
					 ->notify_out[NOTIFY_NO_ADDITIONAL_SAS],
				 0);
	sim_free(s);
}

static void load_overlapping(struct sim *s, unsigned node, bool wide_first)
{
	struct conn *conn = sim_conn(s, node, 1 - node, 0);
	struct child_config *other = conn_add_child(conn, "other"), *wide;

	assert_non_null(other);
	other->local_ts = conn->children[0].local_ts;
	other->remote_ts = conn->children[0].remote_ts;
	wide = wide_first ? &conn->children[0] : other;
	assert_true(ts_parse(node ? "172.17.0.0/16" : "172.16.0.0/16", &wide->local_ts.ts[0]));
	assert_true(ts_parse(node ? "172.16.0.0/16" : "172.17.0.0/16", &wide->remote_ts.ts[0]));
	for (unsigned i = 0; i < 2; i++) {
		conn->children[i].resources = 2;
		conn->children[i].start_action = node ? ACTION_NONE : ACTION_START;
	}
	sim_load(s, node, conn, 1);
}

static unsigned general_ones(const struct sim *s, unsigned node)
{
	const struct sim_child *c;
	unsigned n = 0;

	DL_FOREACH (s->nodes[node].order, c)
		n += !c->sa.resource;
	return n;
}

/* Selectors inside those of another child: each has its general one and those for resources. */
static void children_that_overlap(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct sim *s = sim_new(365 + i, 2, &crypto_null, NULL);

		load_overlapping(s, 0, i & 1);
		load_overlapping(s, 1, i & 2);
		sim_run(s, 30 * MONO_S);
		assert_agreed(s, 6);
		assert_int_equal(s->nodes[0].requests[2], 5);
		assert_int_equal(general_ones(s, 0), 2);
		assert_int_equal(general_ones(s, 1), 2);
		sim_free(s);
	}
}

/* Whose answer is lost: it is there, and packets go by the general one. */
static void the_answer_is_lost(void **state)
{
	struct sim *s = loaded(370, 1, 1, 1);

	(void)state;
	s->links[1][0].drop_exchange = 36;
	s->links[1][0].drop_responses = true;
	s->links[1][0].drop_next = 2;
	while (!made(s, 1, 1, 0) && s->now < 10 * MONO_S)
		sim_run(s, MONO_MS);
	assert_non_null(made(s, 1, 1, 0));
	sim_traffic(s, 2 * MONO_MS);
	sim_run(s, 100 * MONO_MS);
	assert_null(made(s, 0, 1, 0));
	assert_false(made(s, 1, 1, 0)->outbound);
	sim_run(s, 20 * MONO_S);
	assert_each(s, 1);
	assert_nothing_lost(s);
	sim_free(s);
}

/* The IKE_SA is rekeyed by either end, or both, at any moment while they are made. */
static void the_ike_sa_is_rekeyed_meanwhile(void **state)
{
	static const struct sim_link links[] = {
		{.latency = 5 * MONO_MS},
		{.latency = 5 * MONO_MS, .jitter = 20 * MONO_MS, .loss = 100},
	};

	(void)state;
	for (unsigned i = 0; i < 3 * 2 * 80; i++) {
		struct sim *s = loaded(1000 + i, 3, 3, 1);
		unsigned who = i % 3 + 1;

		sim_all_links(s, &links[i / 3 % 2]);
		sim_run(s, (20 + i / 6) * MONO_MS);
		for (unsigned node = 0; node < 2; node++)
			if (who >> node & 1)
				sim_command(s, node, IKE_COMMAND_REKEY, node ? "to0-0" : "to1-0",
					    NULL);
		sim_run(s, 20 * MONO_S);
		assert_each(s, 3);
		sim_free(s);
	}
}

/* Loss, duplicates, other orders, and rekeys by both meanwhile. */
static void on_a_bad_network(void **state)
{
	static const struct sim_link bad = {.latency = 15 * MONO_MS,
					    .jitter = 20 * MONO_MS,
					    .loss = 150,
					    .duplicate = 100,
					    .reorder = 100};
	static const struct sim_link good = {.latency = MONO_MS};

	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct sim *s = loaded(400 + seed, 3, 3, 1 + seed % 3);

		sim_all_links(s, &bad);
		for (unsigned n = 0; n < 6; n++) {
			sim_run(s, (2 + n * seed % 5) * MONO_S);
			sim_command(s, n & 1, IKE_COMMAND_REKEY, n & 1 ? "to0-0" : "to1-0",
				    n % 3 == 2 ? NULL : "net");
		}
		sim_all_links(s, &good);
		sim_run(s, 120 * MONO_S);
		/* What was lost to a refusal or a collision comes with a rekey. */
		for (unsigned node = 0; node < 2; node++) {
			sim_command(s, node, IKE_COMMAND_REKEY, node ? "to0-0" : "to1-0", "net");
			sim_run(s, 60 * MONO_S);
		}
		assert_holds(s);
		assert_non_null(of(s, 0, 0));
		assert_int_equal(sim_look(s, 0, NULL).children, sim_look(s, 1, NULL).children);
		assert_in_range(sim_look(s, 0, NULL).children, 1, 4);
		sim_free(s);
	}
}

/* kill -9 of either engine at any step: the next goes on where it was. Where every input has an
 * engine of its own that is what all of these do. */
static void killed_on_the_way(void **state)
{
	unsigned steps = sim_restores() ? 0 : 30;

	(void)state;
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned step = 1; step <= steps; step++) {
			struct sim *s = loaded(500 + step, 3, 3, 1);

			sim_kill(s, node, step, 50 * MONO_MS);
			sim_run(s, 30 * MONO_S);
			assert_int_equal(s->nodes[node].deaths, 1);
			assert_each(s, 3);
			sim_free(s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_as_both_have),
		cmocka_unit_test(a_plane_without),
		cmocka_unit_test(both_start),
		cmocka_unit_test(rekeyed_each),
		cmocka_unit_test(one_goes_alone),
		cmocka_unit_test(fewer_by_a_reload),
		cmocka_unit_test(fewer_meanwhile),
		cmocka_unit_test(the_general_one_goes),
		cmocka_unit_test(nothing_more_by_another_plane),
		cmocka_unit_test(reauthenticated),
		cmocka_unit_test(terminated_by_name),
		cmocka_unit_test(a_peer_that_deletes),
		cmocka_unit_test(more_than_there_is_room_for),
		cmocka_unit_test(children_that_overlap),
		cmocka_unit_test(the_answer_is_lost),
		cmocka_unit_test(the_ike_sa_is_rekeyed_meanwhile),
		cmocka_unit_test(on_a_bad_network),
		cmocka_unit_test(killed_on_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
