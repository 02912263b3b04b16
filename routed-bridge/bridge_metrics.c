/* The bridge for Prometheus; docs/metrics.md has the list. Labels are names of the
 * configuration, of devices and of FRR's BFD peers, and words of fixed lists. */
#include "lib/metrics_http.h"
#include "routed-bridge/bfd_link.h"
#include "routed-bridge/bridge_watch.h"
#include "routed-bridge/fib_check.h"
#include "routed-bridge/repair.h"

#define TUNNELS_MAX 5000 /* in detail; sums have all */

/* ---- tunnels ---- */

static void write_sums(const struct bridge_watch *w, struct metrics *out)
{
	unsigned configured = 0, expected = 0, up = 0, missing = 0, without = 0;

	for (const struct watched_tunnel *t = w->tunnels; t; t = t->hh.next) {
		configured++;
		expected += t->section != NULL;
		up += t->view.up;
		missing += t->section && !t->view.up;
		without += configured > TUNNELS_MAX;
	}
	metrics_gauge(out, "routed_bridge_tunnels_configured",
		      "Connections that the IKE daemon has or the file names.", configured);
	metrics_gauge(out, "routed_bridge_tunnels_expected",
		      "Those that have a section in the file.", expected);
	metrics_gauge(out, "routed_bridge_tunnels_up",
		      "Tunnels with a CHILD_SA that can carry packets.", up);
	metrics_gauge(out, "routed_bridge_tunnels_missing", "Expected tunnels that are not up.",
		      missing);
	metrics_gauge(out, "routed_bridge_tunnels_without_detail",
		      "Tunnels beyond those that have samples of their own.", without);
}

static uint64_t is_up(const struct watched_tunnel *t)
{
	return t->view.up;
}

static uint64_t is_expected(const struct watched_tunnel *t)
{
	return t->section != NULL;
}

static uint64_t is_operative(const struct watched_tunnel *t)
{
	return t->interface && t->interface->operative;
}

static uint64_t children(const struct watched_tunnel *t)
{
	return t->view.children;
}

static uint64_t downs(const struct watched_tunnel *t)
{
	return t->downs;
}

static const struct family {
	enum metrics_type type;
	const char *name, *help;
	uint64_t (*value)(const struct watched_tunnel *t);
} families[] = {
	{METRICS_GAUGE, "routed_bridge_tunnel_up", "1: a CHILD_SA can carry packets.", is_up},
	{METRICS_GAUGE, "routed_bridge_tunnel_expected", "1: it has a section in the file.",
	 is_expected},
	{METRICS_GAUGE, "routed_bridge_tunnel_operative",
	 "1: zebra says that its interface is up and running.", is_operative},
	{METRICS_GAUGE, "routed_bridge_tunnel_child_sas", "CHILD_SAs that can carry packets.",
	 children},
	{METRICS_COUNTER, "routed_bridge_tunnel_downs_total", "How often it went down.", downs},
};

static void write_family(const struct bridge_watch *w, struct metrics *out, const struct family *f)
{
	unsigned n = 0;

	metrics_family(out, f->type, f->name, f->help);
	for (const struct watched_tunnel *t = w->tunnels; t && n++ < TUNNELS_MAX; t = t->hh.next)
		metrics_uint(out, f->value(t), "conn", t->conn, "interface", t->device, NULL);
}

static void write_tunnel_routes(const struct bridge_watch *w, struct metrics *out)
{
	static const char *const states[] = {"wanted", "installed", "shadowed", "failed"};
	unsigned n = 0;

	metrics_family(out, METRICS_GAUGE, "routed_bridge_tunnel_routes",
		       "Routes of the tunnel by state.");
	for (const struct watched_tunnel *t = w->tunnels; t && n++ < TUNNELS_MAX; t = t->hh.next) {
		const unsigned values[] = {t->wanted, t->installed, t->shadowed, t->failed};

		for (unsigned i = 0; i < 4; i++)
			metrics_uint(out, values[i], "conn", t->conn, "interface", t->device,
				     "state", states[i], NULL);
	}
}

static void write_routes(const struct bridge *b, struct metrics *out)
{
	struct routes_count n = routes_count(b->routes);
	struct fib_check_count fib = bridge_fib_count(b);

	metrics_gauge(
		out, "routed_bridge_routes_in_kernel",
		"1: they go to the kernel, not to zebra ('zebra no', or an FRR that is not known).",
		bridge_kernel_writes(b));
	metrics_gauge(out, "routed_bridge_routes_wanted", "Prefixes that a tunnel claims.",
		      n.wanted);
	metrics_gauge(out, "routed_bridge_routes_installed",
		      "Those that zebra, or the kernel, confirmed.", n.installed);
	metrics_gauge(out, "routed_bridge_routes_shadowed",
		      "Those for which zebra prefers another protocol's route.", n.shadowed);
	metrics_gauge(out, "routed_bridge_routes_failed",
		      "Those that zebra could not install; they are tried again.", n.failed);
	metrics_gauge(out, "routed_bridge_routes_lacking",
		      "Installed ones of whose nexthops the kernel lacks one, told again in vain.",
		      fib.lacking);
	metrics_counter(
		out, "routed_bridge_routes_renewed_total",
		"Routes told again with other weights, as the kernel lacked one of their nexthops.",
		fib.renewed);
}

/* ---- sessions ---- */

static void each_session(const struct bridge *b, struct metrics *out,
			 void (*put)(struct metrics *out, const struct zebra_status *s))
{
	const struct zebra *repairs = bridge_repair_session(b);
	struct zebra_status s;

	for (unsigned i = 0; i < b->n_sessions; i++) {
		s = zebra_status(b->sessions[i]);
		put(out, &s);
	}
	if (!repairs)
		return;
	s = zebra_status(repairs);
	put(out, &s);
}

static void put_ready(struct metrics *out, const struct zebra_status *s)
{
	metrics_uint(out, s->ready, "type", s->name, "frr", s->frr, NULL);
}

static void put_connects(struct metrics *out, const struct zebra_status *s)
{
	metrics_uint(out, s->connects, "type", s->name, NULL);
}

static void put_ignored(struct metrics *out, const struct zebra_status *s)
{
	metrics_uint(out, s->ignored, "type", s->name, NULL);
}

static void write_sessions(const struct bridge *b, struct metrics *out)
{
	struct vici_status ike = vici_status(b->vici);

	metrics_gauge(out, "routed_bridge_ike_connected", "1: the IKE daemon has listed its SAs.",
		      ike.listed);
	metrics_counter(out, "routed_bridge_ike_connects_total", "How often that came to be.",
			ike.connects);
	metrics_counter(out, "routed_bridge_ike_malformed_total",
			"Packets of the IKE daemon that ended a connection.", ike.malformed);
	metrics_family(out, METRICS_GAUGE, "routed_bridge_zebra_connected",
		       "1: the session with zebra is ready. One for each route type.");
	each_session(b, out, put_ready);
	metrics_family(out, METRICS_COUNTER, "routed_bridge_zebra_connects_total",
		       "How often the session became ready.");
	each_session(b, out, put_connects);
	metrics_family(out, METRICS_COUNTER, "routed_bridge_zebra_ignored_total",
		       "Messages of zebra that made no sense.");
	each_session(b, out, put_ignored);
}

/* ---- paths ---- */

static void write_paths(const struct bridge *b, struct metrics *out)
{
	struct bridge_paths_state s = bridge_paths_state(b);

	metrics_gauge(out, "routed_bridge_paths", "Paths that bgpd's peers announced.",
		      s.count.paths);
	metrics_gauge(out, "routed_bridge_path_prefixes", "Prefixes that they lead to.",
		      s.count.prefixes);
	metrics_gauge(out, "routed_bridge_path_peers_up",
		      "BGP sessions that are up, of those told.", s.count.peers_up);
	metrics_gauge(out, "routed_bridge_bmp_connected", "1: bgpd tells its paths by BMP.",
		      s.bmp.connected);
	metrics_gauge(out, "routed_bridge_bmp_synced", "1: and has told all that it has.",
		      s.bmp.synced);
	metrics_family(out, METRICS_GAUGE, "routed_bridge_bmp_messages",
		       "BMP messages of this connection, or the last one, and what was in them.");
	metrics_uint(out, s.bmp.feed.messages, "event", "received", NULL);
	metrics_uint(out, s.bmp.feed.unknown, "event", "unknown", NULL);
	metrics_uint(out, s.bmp.feed.announced, "event", "announced", NULL);
	metrics_uint(out, s.bmp.feed.withdrawn, "event", "withdrawn", NULL);
	metrics_uint(out, s.bmp.feed.faults, "event", "faulty", NULL);
	metrics_counter(out, "routed_bridge_bmp_connections_total", "Connections that bgpd made.",
			s.bmp.connections);
	metrics_counter(out, "routed_bridge_bmp_asked_again_total",
			"Times that bgpd was made to tell all its paths again, in doubt.",
			s.bmp.resyncs);
	metrics_counter(out, "routed_bridge_path_polls_total",
			"Rounds of questions to bgpd, where it tells nothing by BMP.", s.polls);
}

/* ---- repair ---- */

static void write_histogram(struct metrics *out, const char *name, const char *help,
			    const struct repair_histogram *from)
{
	double bounds[REPAIR_BUCKETS - 1];
	struct metrics_histogram h = {
		.bounds = bounds, .n = REPAIR_BUCKETS - 1, .sum = (double)from->sum_ns / 1e9};

	_Static_assert(REPAIR_BUCKETS - 1 <= METRICS_BUCKETS_MAX, "room");
	for (unsigned i = 0; i < REPAIR_BUCKETS; i++) {
		if (i < REPAIR_BUCKETS - 1)
			bounds[i] = (double)repair_bucket_limits[i] / 1e9;
		h.counts[i] = from->bucket[i];
	}
	metrics_family(out, METRICS_HISTOGRAM, name, help);
	metrics_histogram(out, &h, NULL);
}

static void write_repair(const struct bridge *b, struct metrics *out)
{
	struct repair_stats n = {0};

	metrics_gauge(out, "routed_bridge_repair_enabled", "1: local repair is switched on.",
		      bridge_repair_stats(b, &n));
	metrics_gauge(out, "routed_bridge_repairs_active",
		      "Prefixes that take a way around a dead tunnel now.", n.active);
	metrics_gauge(out, "routed_bridge_repairs_installed", "Those that zebra confirmed.",
		      n.installed);
	metrics_gauge(out, "routed_bridge_repair_turns",
		      "U-turns that are in: packets from a neighbour that are not sent back to it.",
		      n.turns);
	metrics_gauge(out, "routed_bridge_repair_routes_watched",
		      "Best routes that would be repaired if their tunnel died.", n.known);
	metrics_gauge(out, "routed_bridge_repair_routes_helpless",
		      "Those that are dead now, without an alternative.", n.helpless);
	metrics_family(out, METRICS_COUNTER, "routed_bridge_repairs_begun_total",
		       "Repairs by who called the tunnel dead.");
	for (unsigned i = 0; i < REPAIR_CAUSES; i++)
		metrics_uint(out, n.begun[i], "cause", repair_cause_name(i), NULL);
	metrics_family(out, METRICS_COUNTER, "routed_bridge_repairs_ended_total",
		       "Repairs that were taken out, and why.");
	for (unsigned i = 0; i < REPAIR_ENDS; i++)
		metrics_uint(out, n.ended[i], "reason", repair_end_name((enum repair_end_reason)i),
			     NULL);
	metrics_counter(out, "routed_bridge_repairs_refused_total",
			"Repairs that zebra could not install.", n.refused);
	metrics_counter(out, "routed_bridge_repair_questions_total",
			"Questions to zebra whether BGP has converged.", n.questions);
	write_histogram(
		out, "routed_bridge_repair_install_seconds",
		"From the word that a tunnel is dead to zebra's confirmation of the repair.",
		&n.install);
	write_histogram(out, "routed_bridge_repair_duration_seconds",
			"From the word that a tunnel is dead to the end of the repair, which is "
			"BGP's convergence.",
			&n.lasted);
}

/* ---- BFD ---- */

static void put_bfd(void *ctx, const struct bfd_link_session *s)
{
	char peer[ADDR_TEXT], local[ADDR_TEXT];

	metrics_uint(ctx, s->state == BFD_UP, "peer", addr_format(&s->peer, peer), "local",
		     addr_format(&s->local, local), "interface", s->ifname, "multihop",
		     s->multihop ? "yes" : "no", NULL);
}

static void write_bfd_counts(const struct bfd_stats *n, struct metrics *out)
{
	metrics_family(out, METRICS_COUNTER, "routed_bridge_bfd_packets_total", "BFD packets.");
	metrics_uint(out, n->in_packets, "direction", "in", NULL);
	metrics_uint(out, n->out_packets, "direction", "out", NULL);
	metrics_counter(out, "routed_bridge_bfd_send_errors_total",
			"BFD packets that could not be sent.", n->send_errors);
	metrics_family(out, METRICS_COUNTER, "routed_bridge_bfd_drops_total",
		       "BFD packets that were dropped.");
	for (unsigned d = BFD_TAKEN + 1; d < BFD_DROPS; d++)
		metrics_uint(out, n->drops[d], "reason", bfd_drop_word((enum bfd_drop)d), NULL);
	metrics_counter(out, "routed_bridge_bfd_detections_total", "Silences that ended a session.",
			n->detections);
	metrics_counter(out, "routed_bridge_bfd_borne_total",
			"Silences that were borne for a while, for there was no other way.",
			n->borne);
	metrics_counter(out, "routed_bridge_bfd_late_total",
			"Times that BFD's process was woken too late.", n->late);
	metrics_family(out, METRICS_GAUGE, "routed_bridge_bfd_late_worst_seconds",
		       "The longest of these delays.");
	metrics_real(out, (double)n->late_worst / 1e6, NULL);
	metrics_counter(out, "routed_bridge_bfd_refused_total",
			"Messages of bfdd that could not be followed.", n->refused);
}

static void write_bfd(const struct bridge *b, struct metrics *out)
{
	static const struct bfd_stats none;
	const struct bfd_stats *n = bridge_bfd_stats(b);

	metrics_gauge(out, "routed_bridge_bfd_enabled", "1: bfd-dplane is configured.", n != NULL);
	if (!n)
		n = &none;
	metrics_gauge(out, "routed_bridge_bfd_connected", "Connections to bfdd.", n->connections);
	metrics_gauge(out, "routed_bridge_bfd_sessions", "BFD sessions.", n->sessions);
	metrics_gauge(out, "routed_bridge_bfd_sessions_up", "Those that are Up.", n->up);
	metrics_family(out, METRICS_GAUGE, "routed_bridge_bfd_session_up",
		       "1: the session with this peer is Up.");
	bridge_bfd_each(b, put_bfd, out);
	write_bfd_counts(n, out);
}

/* ---- all ---- */

static void count_warning(void *ctx, const char *text)
{
	unsigned *n = ctx;

	(void)text;
	(*n)++;
}

void bridge_metrics_write(void *watch, struct metrics *out)
{
	struct bridge_watch *w = watch;
	unsigned warnings = 0;

	bridge_watch_look(w);
	bridge_watch_warnings(w, count_warning, &warnings);
	metrics_family(out, METRICS_GAUGE, "routed_bridge_build_info", "1; the version.");
	metrics_uint(out, 1, "version", DETOUR_VERSION, NULL);
	write_sums(w, out);
	for (unsigned i = 0; i < sizeof(families) / sizeof(*families); i++)
		write_family(w, out, &families[i]);
	write_tunnel_routes(w, out);
	write_routes(w->b, out);
	write_sessions(w->b, out);
	write_paths(w->b, out);
	write_repair(w->b, out);
	write_bfd(w->b, out);
	bridge_metrics_quality(w->b, out);
	metrics_gauge(out, "routed_bridge_warnings", "Warnings that --status shows.", warnings);
	metrics_counter(out, "routed_bridge_config_reloads_total",
			"Readings of the configuration that took effect behind the first one.",
			w->reloads);
	metrics_process(out);
}
