/* Assertions of the simulation's tests. */
#ifndef DETOUR_SIM_TEST_H
#define DETOUR_SIM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/sim/sim.h"
#include "tests/support/crypto_null.h"

#define assert_holds(s) assert_string_equal((s)->violation, "")

/* Nodes 0 and 1 agree on one IKE_SA with n CHILD_SAs, now. */
static inline void assert_agreed(const struct sim *s, unsigned n)
{
	char why[160];

	assert_holds(s);
	if (!sim_agree(s, 0, 1, n, why))
		fail_msg("seed %llu: %s", (unsigned long long)s->seed, why);
}

/* ... at a moment within `limit` from now. */
static inline void assert_agreed_within(struct sim *s, unsigned n, mono_time limit)
{
	mono_time end = s->now + limit;
	char why[160];

	while (!sim_agree(s, 0, 1, n, why) && s->now < end && !s->violation[0])
		sim_run(s, 200 * MONO_MS);
	assert_agreed(s, n);
}

/* Two nodes with one conn each, established by node 0; node 1 only answers. */
static inline struct sim *sim_established(uint64_t seed)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	sim_pair(s, 1);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	return s;
}

/* Packets both ways, one every `every`. */
static inline void sim_traffic(struct sim *s, mono_time every)
{
	for (unsigned i = 0; i < s->n_nodes; i++) {
		s->nodes[i].traffic_every = every;
		s->nodes[i].traffic_at = s->now;
	}
}

/* Ends the traffic: every packet since its start arrived. */
static inline void assert_nothing_lost(struct sim *s)
{
	sim_traffic(s, 0);
	sim_run(s, MONO_S);
	for (unsigned i = 0; i < 2; i++) {
		const struct sim_node *n = &s->nodes[i];
		uint64_t received = s->nodes[1 - i].esp_received;

		if (n->esp_unknown || n->esp_no_sa || !n->esp_sent || received != n->esp_sent)
			fail_msg("seed %llu: node%u sent %llu packets, had no CHILD_SA for %llu; "
				 "%llu arrived; %llu came with an unknown SPI",
				 (unsigned long long)s->seed, i, (unsigned long long)n->esp_sent,
				 (unsigned long long)n->esp_no_sa, (unsigned long long)received,
				 (unsigned long long)n->esp_unknown);
	}
}

#endif
