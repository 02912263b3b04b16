/* The engine's process dies, and another one goes on with its records: nobody may notice. The other
 * programs of the simulation run in that way as a whole (restored.c); here are the comparison with
 * an engine that lives on, kill -9 at every step, and configurations that changed meanwhile. */
#include "tests/sim/sim_test.h"
#include "tests/sim/sim_parts.h"

#include <stdlib.h>

static const struct ike_settings published = {.publish = true};

/* ---- lives ---- */

struct life {
	struct sim *s;
	uint64_t rng;
	bool ends; /* SAs are taken down, too */
};

static unsigned pick(struct life *l, unsigned n)
{
	return (unsigned)(sim_random(&l->rng) % n);
}

static struct sim *make(uint64_t seed, bool addresses, bool names)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, &published);
	struct conn *conns[2] = {sim_conn(s, 0, 1, 0), sim_conn(s, 1, 0, 0)};

	for (unsigned i = 0; i < 2; i++) {
		struct child_config *second = conn_add_child(conns[i], "second");

		second->local_ts.n = second->remote_ts.n = 1;
		assert_true(
			ts_parse(i ? "192.168.2.0/24" : "192.168.1.0/24", &second->local_ts.ts[0]));
		assert_true(ts_parse(i ? "192.168.1.0/24" : "192.168.2.0/24",
				     &second->remote_ts.ts[0]));
		for (unsigned j = 0; j < 2; j++) {
			conns[i]->children[j].start_action = i ? ACTION_NONE : ACTION_START;
			conns[i]->children[j].rekey_time = (20 + 5 * i) * MONO_S;
			conns[i]->children[j].life_time = 60 * MONO_S;
			conns[i]->children[j].rand_time = 5 * MONO_S;
		}
		conns[i]->rekey_time = 45 * MONO_S;
		conns[i]->over_time = 30 * MONO_S;
		conns[i]->rand_time = 10 * MONO_S;
	}
	if (addresses) {
		assert_true(vip_parse("%config4", &conns[0]->vips[conns[0]->n_vips++]));
		assert_true(pool_ref_parse("10.99.0.0/29", &conns[1]->pools[conns[1]->n_pools++]));
		assert_true(ts_parse("%dynamic", &conns[0]->children[0].local_ts.ts[0]));
		assert_true(ts_parse("%dynamic", &conns[1]->children[0].remote_ts.ts[0]));
	}
	if (names)
		conns[0]->remote[0] = (struct host){.kind = HOST_NAME, .name = strdup("10.2.0.0")};
	sim_load(s, 1, conns[1], 1);
	sim_load(s, 0, conns[0], 1);
	return s;
}

static void act(struct life *l)
{
	static const char *const conns[] = {"to1-0", "to0-0"}, *const children[] = {"net",
										    "second"};
	unsigned node = pick(l, 2);
	struct ike_command c = {.select.ike = conns[node]};
	const char *error;

	switch (pick(l, l->ends ? 7 : 4)) {
	case 0:
		c.kind = IKE_COMMAND_REKEY;
		break;
	case 1:
	case 2:
		c.kind = IKE_COMMAND_REKEY;
		c.select.child = children[pick(l, 2)];
		break;
	case 3:
		c.kind = IKE_COMMAND_REKEY;
		c.reauth = true;
		break;
	case 4:
		c.kind = IKE_COMMAND_TERMINATE;
		c.reset_retry = true;
		break;
	case 5:
		c.kind = IKE_COMMAND_TERMINATE;
		c.select.child = children[pick(l, 2)];
		c.reset_retry = true;
		break;
	default:
		c.kind = IKE_COMMAND_INITIATE;
	}
	if (!sim_lives(&l->s->nodes[node]))
		return;
	ike_engine_command(l->s->nodes[node].engine, &c, &error, l->s->now);
	sim_drain(l->s, node);
}

static void bad_links(struct sim *s, unsigned loss)
{
	sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS,
					    .jitter = 30 * MONO_MS,
					    .loss = loss,
					    .duplicate = loss / 3,
					    .reorder = loss / 3,
					    .spare_esp = true});
}

/* ---- as if nothing had happened ---- */

static uint64_t shape_of(uint64_t seed, bool restored)
{
	struct life l = {.rng = seed, .ends = true};
	uint64_t shape;

	sim_restore_always(restored);
	l.s = make(seed, seed & 1, seed & 2);
	sim_restore_always(false);
	l.s->nodes[1].lease_delay = 100 * MONO_MS;
	sim_traffic(l.s, 20 * MONO_MS);
	for (unsigned i = 0; i < 30; i++) {
		if (i % 10 == 0)
			bad_links(l.s, i % 20 ? 30 : 200);
		act(&l);
		sim_run(l.s, pick(&l, 3000) * MONO_MS);
	}
	sim_command(l.s, 0, IKE_COMMAND_SHUTDOWN, NULL, NULL);
	sim_run(l.s, 10 * MONO_S);
	assert_holds(l.s);
	shape = l.s->shape;
	sim_free(l.s);
	return shape;
}

/* The same seed, once with one engine each and once with another one behind every input: the same
 * messages, installs and events at the same times. */
static void test_unnoticed(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		uint64_t one = shape_of(seed, false), many = shape_of(seed, true);

		if (one != many)
			fail_msg("seed %llu goes otherwise with restarts",
				 (unsigned long long)seed);
	}
}

/* ---- kill -9 ---- */

static void assert_survived(struct sim *s, unsigned children)
{
	sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS});
	for (unsigned i = 0; i < 2; i++)
		s->nodes[i].die_after = 0;
	sim_run(s, MONO_S);
	assert_agreed_within(s, children, 150 * MONO_S);
}

/* At every step of a tunnel's beginning and its rekeys. */
static void test_killed_at_every_step(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 8; variant++) {
		unsigned node = variant & 1, last;

		for (unsigned step = last = 0; step <= last; step++) {
			struct sim *s = make(step, variant & 2, variant & 4);

			sim_kill(s, node, step, step % 5 * 50 * MONO_MS);
			sim_run(s, 4 * MONO_S);
			sim_command(s, node, IKE_COMMAND_REKEY, node ? "to0-0" : "to1-0", "net");
			sim_run(s, 2 * MONO_S);
			sim_command(s, 1 - node, IKE_COMMAND_REKEY, node ? "to1-0" : "to0-0", NULL);
			sim_run(s, 2 * MONO_S);
			if (s->nodes[node].deaths)
				last = step + 1;
			assert_survived(s, 2);
			sim_free(s);
		}
		assert_true(last > 30);
	}
}

static void live_with_kills(uint64_t seed, bool ends, unsigned loss)
{
	struct life l = {.rng = seed, .ends = ends, .s = make(seed, seed & 1, seed & 2)};
	unsigned deaths;

	sim_run(l.s, 3 * MONO_S);
	assert_agreed(l.s, 2);
	if (!ends)
		sim_traffic(l.s, 5 * MONO_MS);
	bad_links(l.s, loss);
	for (unsigned i = 0; i < 25; i++) {
		sim_kill(l.s, pick(&l, 2), pick(&l, 8), pick(&l, 300) * MONO_MS);
		act(&l);
		if (pick(&l, 2))
			act(&l);
		sim_run(l.s, pick(&l, 2500) * MONO_MS);
	}
	deaths = l.s->nodes[0].deaths + l.s->nodes[1].deaths;
	assert_true(deaths > 5);
	if (ends) { /* what commands took down, and who began last wants one child alone */
		sim_all_links(l.s, &(struct sim_link){.latency = 10 * MONO_MS});
		l.s->nodes[0].die_after = l.s->nodes[1].die_after = 0;
		sim_run(l.s, 60 * MONO_S);
		sim_command(l.s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
		sim_run(l.s, 2 * MONO_S);
		sim_command(l.s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");
	}
	assert_survived(l.s, 2);
	if (!ends)
		assert_nothing_lost(l.s);
	sim_free(l.s);
}

/* Loss, reordering, rekeys and reauthentications that cross, and kills among them: both ends agree
 * in the end, and not a packet is lost meanwhile. */
static void test_killed_under_traffic(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++)
		live_with_kills(seed, false, seed % 3 * 100);
}

/* The same with SAs that are taken down and come again. */
static void test_killed_again_and_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1000; seed < 1150; seed++)
		live_with_kills(seed, true, seed % 3 * 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unnoticed),
		cmocka_unit_test(test_killed_at_every_step),
		cmocka_unit_test(test_killed_under_traffic),
		cmocka_unit_test(test_killed_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
