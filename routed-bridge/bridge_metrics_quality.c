/* Path quality for Prometheus. */
#include "lib/metrics.h"
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/quality.h"

struct quality_family {
	struct metrics *out;
	unsigned which;
};

static void put_quality(void *ctx, const struct quality_stats *q)
{
	const struct quality_family *f = ctx;
	const double values[] = {(double)q->view.state, q->steered, (double)q->view.rtt / 1e9,
				 (double)q->view.jitter / 1e9, q->view.loss / 1000.};

	metrics_real(f->out, values[f->which], "conn", q->conn, "interface", q->interface, NULL);
}

static void put_probes(void *ctx, const struct quality_stats *q)
{
	static const char *const events[] = {"sent", "answered", "lost", "late"};
	const uint64_t values[] = {q->view.sent, q->view.answered, q->view.lost, q->view.late};

	for (unsigned i = 0; i < 4; i++)
		metrics_uint(ctx, values[i], "conn", q->conn, "interface", q->interface, "event",
			     events[i], NULL);
}

void bridge_metrics_quality(const struct bridge *b, struct metrics *out)
{
	static const char *const names[][2] = {
		{"routed_bridge_quality_state",
		 "Path quality: 0 unknown, 1 good, 2 degraded, 3 bad."},
		{"routed_bridge_quality_steered",
		 "1: its routes have another metric or tag for that."},
		{"routed_bridge_quality_rtt_seconds", "Round-trip time, smoothed."},
		{"routed_bridge_quality_jitter_seconds", "Jitter, smoothed."},
		{"routed_bridge_quality_loss_ratio", "Loss, from 0 to 1."},
	};
	struct quality_family f = {.out = out};

	for (f.which = 0; f.which < sizeof(names) / sizeof(*names); f.which++) {
		metrics_family(out, METRICS_GAUGE, names[f.which][0], names[f.which][1]);
		bridge_quality_each(b, put_quality, &f);
	}
	metrics_family(out, METRICS_COUNTER, "routed_bridge_quality_probes_total",
		       "Probes of the path.");
	bridge_quality_each(b, put_probes, out);
}
