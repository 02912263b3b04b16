/* The daemon as a whole in metrics: its version and plane, IKE's and the plane's counters,
 * sockets, pools, clients, configuration. Every label here has a fixed list of values. */
#include "ipsecd/meters_parts.h"
#include "ipsecd/wire/message.h"

#include <stdio.h>

static void write_build(const struct meters *m, struct metrics *out)
{
	metrics_family(out, METRICS_GAUGE, "ipsecd_build_info",
		       "1; the version, the data plane in use and why it is this one.");
	metrics_uint(out, 1, "version", DETOUR_VERSION, "plane", m->host.control.plane, "plane_why",
		     m->host.control.plane_why, NULL);
	if (m->host.control.plane_workers)
		metrics_gauge(out, "ipsecd_workers",
			      "Threads that carry packets; 0: the kernel does.",
			      *m->host.control.plane_workers);
}

/* ---- IKE ---- */

/* "ike-init-in-req", as vici's counters are called, in the RFC's words; false for other
 * counters. */
static bool message_labels(const char *name, const char **exchange, const char **direction,
			   const char **kind)
{
	static const char *const names[][2] = {{"ike-init-", "IKE_SA_INIT"},
					       {"ike-auth-", "IKE_AUTH"},
					       {"create-child-", "CREATE_CHILD_SA"},
					       {"info-", "INFORMATIONAL"}};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t n = strlen(names[i][0]);

		if (strncmp(name, names[i][0], n) != 0)
			continue;
		*exchange = names[i][1];
		*direction = strncmp(name + n, "in-", 3) == 0 ? "in" : "out";
		*kind = strstr(name + n, "-req") ? "request" : "response";
		return true;
	}
	return false;
}

#define COUNTER_ROW(field, text) {text, n->field},

/* Those whose names begin so, with the rest of the name as a label. */
static void write_prefixed(const struct control_counter *all, unsigned n, const char *prefix,
			   const char *label, struct metrics *out)
{
	for (unsigned i = 0; i < n; i++) {
		if (strncmp(all[i].name, prefix, strlen(prefix)) == 0)
			metrics_uint(out, all[i].value, label, all[i].name + strlen(prefix), NULL);
	}
}

static void write_messages(const struct ike_counters *n, struct metrics *out)
{
	const struct control_counter all[] = {IKE_COUNTERS(COUNTER_ROW)};
	const char *exchange, *direction, *kind;

	metrics_family(out, METRICS_COUNTER, "ipsecd_ike_messages_total",
		       "IKE messages without repetitions; incoming ones once they are understood.");
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (message_labels(all[i].name, &exchange, &direction, &kind))
			metrics_uint(out, all[i].value, "exchange", exchange, "direction",
				     direction, "kind", kind, NULL);
	}
	metrics_family(out, METRICS_COUNTER, "ipsecd_ike_drops_total",
		       "IKE datagrams that were dropped.");
	write_prefixed(all, sizeof(all) / sizeof(*all), "drop-", "reason", out);
	metrics_family(out, METRICS_COUNTER, "ipsecd_suspicions_total",
		       "Hints that a peer is out of reach, by what they were; foreign and "
		       "too-often: not followed; cleared: the peer answered.");
	write_prefixed(all, sizeof(all) / sizeof(*all), "suspect-", "event", out);
}

static void write_notifies(const uint64_t counters[IKE_NOTIFIES], const char *direction,
			   struct metrics *out)
{
	char text[32];

	for (uint16_t type = 1; type < IKE_NOTIFIES; type++) {
		const char *name = wire_notify_name(type, text);

		/* Types without a name stay out until one was seen. */
		if (name != text || counters[type])
			metrics_uint(out, counters[type], "type", name, "direction", direction,
				     NULL);
	}
	metrics_uint(out, counters[0], "type", "other", "direction", direction, NULL);
}

static void write_reasons(const uint64_t counters[IKE_REASONS], const char *sa, struct metrics *out)
{
	for (unsigned r = IKE_REASON_NONE + 1; r < IKE_REASONS; r++)
		metrics_uint(out, counters[r], "sa", sa, "reason",
			     ike_reason_text((enum ike_reason)r), NULL);
}

static void write_failures(const struct meters *m, struct metrics *out)
{
	metrics_family(out, METRICS_COUNTER, "ipsecd_ike_failures_total",
		       "Attempts to bring an SA up that failed, ours and those of peers.");
	for (unsigned r = IKE_REASON_NONE + 1; r < IKE_REASONS; r++)
		metrics_uint(out, m->failed[r], "reason", ike_reason_text((enum ike_reason)r),
			     NULL);
	metrics_family(out, METRICS_COUNTER, "ipsecd_sa_ends_total", "SAs that ended, and why.");
	write_reasons(m->ike_ended, "ike", out);
	write_reasons(m->child_ended, "child", out);
}

static void write_rekeys(const struct ike_counters *n, struct metrics *out)
{
	metrics_family(out, METRICS_COUNTER, "ipsecd_ike_rekeys_total",
		       "IKE_SAs rekeyed, by our role in it.");
	metrics_uint(out, n->ike_rekey_init, "role", "initiator", NULL);
	metrics_uint(out, n->ike_rekey_resp, "role", "responder", NULL);
	metrics_counter(out, "ipsecd_child_rekeys_total", "CHILD_SAs rekeyed, whoever began it.",
			n->child_rekey);
	metrics_family(out, METRICS_COUNTER, "ipsecd_ike_retransmits_total",
		       "Messages that we sent again, and that peers sent us again.");
	metrics_uint(out, n->retransmits_sent, "direction", "out", NULL);
	metrics_uint(out, n->retransmits_seen, "direction", "in", NULL);
	metrics_counter(out, "ipsecd_peers_dead_total", "Peers that did not answer any more.",
			n->peers_dead);
	metrics_counter(out, "ipsecd_authentication_failures_total",
			"IKE_AUTH that failed at either end.", n->auth_failed);
}

static void write_ike(const struct meters *m, struct metrics *out)
{
	const struct ike_counters *n = ike_engine_counters(m->host.control.engine);

	metrics_gauge(out, "ipsecd_ike_sas", "IKE_SAs in any state.", n->ike_sas);
	metrics_gauge(out, "ipsecd_ike_sas_half_open",
		      "IKE_SAs of peers that have not authenticated yet.", n->half_open);
	metrics_gauge(out, "ipsecd_child_sas", "CHILD_SAs in any state.", n->child_sas);
	write_messages(n, out);
	metrics_family(out, METRICS_COUNTER, "ipsecd_ike_error_notifies_total",
		       "Error notifies by type, told by peers (in) and to them (out).");
	write_notifies(n->notify_in, "in", out);
	write_notifies(n->notify_out, "out", out);
	write_failures(m, out);
	write_rekeys(n, out);
	metrics_family(out, METRICS_HISTOGRAM, "ipsecd_handshake_seconds",
		       "From the first message of an IKE_SA to its being established.");
	metrics_histogram(out, &m->handshake[ROLE_OF_INITIATOR], "role", "initiator", NULL);
	metrics_histogram(out, &m->handshake[ROLE_OF_RESPONDER], "role", "responder", NULL);
}

/* ---- around it ---- */

static void write_drops(const struct meters *m, struct metrics *out)
{
	const struct control_host *host = &m->host.control;
	const uint64_t *drops = host->plane_counters(host->ctx);

	if (!drops)
		return;
	metrics_family(out, METRICS_COUNTER, "ipsecd_esp_drops_total",
		       "Packets that the data plane dropped.");
	for (unsigned i = 0; i < DROP_COUNTERS; i++)
		metrics_uint(out, drops[i], "reason",
			     dataplane_counter_name((enum dataplane_counter)i) + strlen("drop-"),
			     NULL);
	metrics_counter(out, "ipsecd_esp_held_total",
			"Packets that came before their CHILD_SA was installed, and passed then.",
			drops[ESP_HELD]);
	metrics_family(out, METRICS_COUNTER, "ipsecd_aggfrag_payloads_total",
		       "ESP packets of IP-TFS (RFC 9347), by what became of them.");
	for (unsigned i = AGGFRAG_GAPS; i < DATAPLANE_COUNTERS; i++)
		metrics_uint(out, drops[i], "event",
			     dataplane_counter_name((enum dataplane_counter)i) + strlen("aggfrag-"),
			     NULL);
}

static void write_udp(const struct meters *m, struct metrics *out)
{
	const struct control_host *host = &m->host.control;
	struct control_counter all[CONTROL_NET_COUNTERS_MAX];
	unsigned n = host->net_counters(host->ctx, all);

	metrics_family(out, METRICS_COUNTER, "ipsecd_udp_datagrams_total",
		       "Datagrams of ports 500 and 4500, by what became of them.");
	write_prefixed(all, n, "udp-", "event", out);
	metrics_family(out, METRICS_COUNTER, "ipsecd_icmp_unreachable_total",
		       "ICMP messages about packets of ours, and those that quote none of them.");
	write_prefixed(all, n, "icmp-", "event", out);
}

static void write_pool(const struct meters *m, struct metrics *out, const char *name,
		       const char *help, unsigned which)
{
	const struct control_host *host = &m->host.control;
	struct control_pool pool;

	metrics_family(out, METRICS_GAUGE, name, help);
	for (unsigned n = 0; host->pool(host->ctx, n, &pool); n++) {
		const uint64_t values[] = {pool.size, pool.online, pool.offline};

		metrics_uint(out, values[which], "pool", pool.name, NULL);
	}
}

static void write_clients(const struct meters *m, struct metrics *out)
{
	const struct control_counters *n = m->host.clients;
	const struct reload_counters *r = reload_counters(m->host.reload);

	metrics_counter(out, "ipsecd_vici_connections_total", "Connections to the control socket.",
			n->clients);
	metrics_counter(out, "ipsecd_vici_commands_total", "Their commands.", n->commands);
	metrics_counter(out, "ipsecd_vici_events_total", "Events that they were told.", n->events);
	metrics_family(out, METRICS_COUNTER, "ipsecd_vici_clients_dropped_total",
		       "Clients that were disconnected.");
	metrics_uint(out, n->dropped_slow, "reason", "slow", NULL);
	metrics_uint(out, n->dropped_malformed, "reason", "malformed", NULL);
	metrics_family(out, METRICS_COUNTER, "ipsecd_config_reloads_total",
		       "Readings of the configuration files, the first one included.");
	metrics_uint(out, r->succeeded, "result", "success", NULL);
	metrics_uint(out, r->failed, "result", "failure", NULL);
	metrics_gauge(out, "ipsecd_config_last_reload_successful",
		      "0: errors in the files, so that nothing was changed, or connections or "
		      "secrets that were refused.",
		      r->last_ok);
	metrics_gauge(out, "ipsecd_config_last_reload_success_timestamp_seconds",
		      "When the configuration in force was read, in seconds since the epoch.",
		      (uint64_t)r->at);
}

static void write_processes(const struct meters *m, struct metrics *out)
{
	const struct control_host *host = &m->host.control;
	struct control_process p;

	if (!host->process(host->ctx, 0, &p))
		return;
	metrics_counter(out, "ipsecd_upgrades_total",
			"Programs that took over from the one before, by upgrade or --takeover.",
			p.upgrades);
	metrics_family(out, METRICS_COUNTER, "ipsecd_process_restarts_total",
		       "Processes that were started again after one that died.");
	for (unsigned i = 1; host->process(host->ctx, i, &p); i++)
		metrics_uint(out, p.restarts, "role", p.role, NULL);
}

void meters_write_daemon(const struct meters *m, struct metrics *out)
{
	write_build(m, out);
	write_ike(m, out);
	write_drops(m, out);
	write_udp(m, out);
	write_pool(m, out, "ipsecd_pool_addresses", "Addresses of a pool.", 0);
	write_pool(m, out, "ipsecd_pool_online", "Those that a peer has.", 1);
	write_pool(m, out, "ipsecd_pool_offline", "Those that are kept for one that is away.", 2);
	write_clients(m, out);
	write_processes(m, out);
}
