/* Path quality for Prometheus: each value in its unit, each tunnel in each family. */
#include "lib/metrics.h"
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/quality.h"
#include "tests/support/metrics_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct quality_stats *given;
static size_t n_given;

void bridge_quality_each(const struct bridge *b,
			 void (*call)(void *ctx, const struct quality_stats *s), void *ctx)
{
	(void)b;
	for (size_t i = 0; i < n_given; i++)
		call(ctx, &given[i]);
}

static void expect(const struct quality_stats *stats, size_t n, const char *text)
{
	struct metrics m = {.limit = METRICS_BYTES};

	given = stats;
	n_given = n;
	bridge_metrics_quality(NULL, &m);
	assert_false(m.failed);
	metrics_check(m.text, m.len);
	assert_int_equal(m.len, strlen(text));
	assert_memory_equal(m.text, text, m.len);
	metrics_free(&m);
}

static void values_and_units(void **state)
{
	static const struct quality_stats stats[] = {
		{.conn = "a-b",
		 .interface = "tun-ab",
		 .running = true,
		 .steered = true,
		 .view = {.state = QUALITY_DEGRADED,
			  .rtt = 12500 * (mono_time)1000, /* 12.5 ms */
			  .jitter = 750 * (mono_time)1000,
			  .loss = 25, /* per mille */
			  .sent = 1000,
			  .answered = 970,
			  .lost = 25,
			  .late = 5}},
		{.conn = "a-c", .interface = "", .view = {.state = QUALITY_UNKNOWN}},
	};

	(void)state;
	expect(stats, 2,
	       "# HELP routed_bridge_quality_state Path quality: 0 unknown, 1 good, 2 degraded, "
	       "3 bad.\n"
	       "# TYPE routed_bridge_quality_state gauge\n"
	       "routed_bridge_quality_state{conn=\"a-b\",interface=\"tun-ab\"} 2\n"
	       "routed_bridge_quality_state{conn=\"a-c\",interface=\"\"} 0\n"
	       "# HELP routed_bridge_quality_steered 1: its routes have another metric or tag for "
	       "that.\n"
	       "# TYPE routed_bridge_quality_steered gauge\n"
	       "routed_bridge_quality_steered{conn=\"a-b\",interface=\"tun-ab\"} 1\n"
	       "routed_bridge_quality_steered{conn=\"a-c\",interface=\"\"} 0\n"
	       "# HELP routed_bridge_quality_rtt_seconds Round-trip time, smoothed.\n"
	       "# TYPE routed_bridge_quality_rtt_seconds gauge\n"
	       "routed_bridge_quality_rtt_seconds{conn=\"a-b\",interface=\"tun-ab\"} 0.0125\n"
	       "routed_bridge_quality_rtt_seconds{conn=\"a-c\",interface=\"\"} 0\n"
	       "# HELP routed_bridge_quality_jitter_seconds Jitter, smoothed.\n"
	       "# TYPE routed_bridge_quality_jitter_seconds gauge\n"
	       "routed_bridge_quality_jitter_seconds{conn=\"a-b\",interface=\"tun-ab\"} 0.00075\n"
	       "routed_bridge_quality_jitter_seconds{conn=\"a-c\",interface=\"\"} 0\n"
	       "# HELP routed_bridge_quality_loss_ratio Loss, from 0 to 1.\n"
	       "# TYPE routed_bridge_quality_loss_ratio gauge\n"
	       "routed_bridge_quality_loss_ratio{conn=\"a-b\",interface=\"tun-ab\"} 0.025\n"
	       "routed_bridge_quality_loss_ratio{conn=\"a-c\",interface=\"\"} 0\n"
	       "# HELP routed_bridge_quality_probes_total Probes of the path.\n"
	       "# TYPE routed_bridge_quality_probes_total counter\n"
	       "routed_bridge_quality_probes_total{conn=\"a-b\",interface=\"tun-ab\","
	       "event=\"sent\"} 1000\n"
	       "routed_bridge_quality_probes_total{conn=\"a-b\",interface=\"tun-ab\","
	       "event=\"answered\"} 970\n"
	       "routed_bridge_quality_probes_total{conn=\"a-b\",interface=\"tun-ab\","
	       "event=\"lost\"} 25\n"
	       "routed_bridge_quality_probes_total{conn=\"a-b\",interface=\"tun-ab\","
	       "event=\"late\"} 5\n"
	       "routed_bridge_quality_probes_total{conn=\"a-c\",interface=\"\",event=\"sent\"} 0\n"
	       "routed_bridge_quality_probes_total{conn=\"a-c\",interface=\"\","
	       "event=\"answered\"} 0\n"
	       "routed_bridge_quality_probes_total{conn=\"a-c\",interface=\"\",event=\"lost\"} 0\n"
	       "routed_bridge_quality_probes_total{conn=\"a-c\",interface=\"\","
	       "event=\"late\"} 0\n");
}

/* Every state by its number; a loss of everything is 1. */
static void states_and_limits(void **state)
{
	struct metrics m;

	(void)state;
	for (unsigned s = 0; s < QUALITY_STATES; s++) {
		struct quality_stats one = {
			.conn = "c", .interface = "i", .view = {.state = s, .loss = 1000}};
		char wanted[96];

		given = &one;
		n_given = 1;
		m = (struct metrics){.limit = METRICS_BYTES};
		bridge_metrics_quality(NULL, &m);
		metrics_check(m.text, m.len);
		snprintf(wanted, sizeof(wanted),
			 "routed_bridge_quality_state{conn=\"c\",interface=\"i\"} %u\n", s);
		assert_non_null(memmem(m.text, m.len, wanted, strlen(wanted)));
		assert_non_null(memmem(m.text, m.len, "loss_ratio{conn=\"c\",interface=\"i\"} 1\n",
				       strlen("loss_ratio{conn=\"c\",interface=\"i\"} 1\n")));
		metrics_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_and_units),
		cmocka_unit_test(states_and_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
