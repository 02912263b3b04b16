/* The tunnels as metrics: one look at all of them, then family by family.
 *
 * Labels are bounded by the configuration: a conn's name, its peer, its device; and reasons,
 * which are a fixed list of words. */
#include "ipsecd/meters_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the look ---- */

struct look {
	struct meters *m;
	mono_time now;
};

/* Its identity if there is one, else its address or name. */
static void format_peer(const struct conn *conn, char text[ID_TEXT])
{
	const struct host *h = conn->n_remote ? &conn->remote[0] : NULL;

	if (conn->remote_id.type != ID_ANY)
		id_format(&conn->remote_id, text);
	else if (h && h->kind == HOST_ADDR)
		addr_format(&h->addr, text);
	else if (h && h->kind == HOST_PREFIX)
		prefix_format(&h->prefix, text);
	else
		snprintf(text, ID_TEXT, "%s", h && h->kind == HOST_NAME ? h->name : "%any");
}

static const char *peer_of(const struct meter *t)
{
	return t->look->peer ? t->look->peer : "";
}

static void see_conn(void *ctx, const struct ike_conn_info *info)
{
	struct look *look = ctx;
	struct meter *t = meters_of(look->m, info->conn->name);
	struct meter_look *found = t && !t->look ? calloc(1, sizeof(*found)) : NULL;
	char peer[ID_TEXT];

	if (!found)
		return;
	t->look = found;
	found->info = *info;
	format_peer(info->conn, peer);
	found->peer = strdup(peer);
	found->have_tunnel =
		look->m->host.control.tunnel(look->m->host.control.ctx, t->conn, &found->tunnel);
}

static void nearer(mono_time *at, mono_time other)
{
	if (other && other != MONO_NEVER && (!*at || other < *at))
		*at = other;
}

static bool usable(const char *state)
{
	static const char *const states[] = {"ESTABLISHED", "INSTALLED", "REKEYING"};

	for (unsigned i = 0; i < sizeof(states) / sizeof(*states); i++) {
		if (strcmp(state, states[i]) == 0)
			return true;
	}
	return false;
}

static void see_sa(void *ctx, const struct ike_sa_info *ike, const struct ike_child_info *child)
{
	const struct look *look = ctx;
	struct meter_look *found;
	struct meter *t;

	HASH_FIND_STR(look->m->tunnels, ike->conn, t);
	found = t ? t->look : NULL;
	if (!found || !usable(child ? child->state : ike->state))
		return;
	if (child) {
		found->child_sas++;
		nearer(&found->child_rekey_at, child->rekey_at);
		nearer(&found->child_ends_at, child->expires_at);
	} else {
		found->ike_sas++;
		nearer(&found->ike_rekey_at, ike->rekey_at);
		nearer(&found->ike_rekey_at, ike->reauth_at);
	}
}

#define RISE(field) t->shown.field = sum.field > t->shown.field ? sum.field : t->shown.field

/* What a data plane forgot, with an SA that somebody else removed, does not make a counter
 * fall: that would look like a restart. */
static void add_up(struct meter *t)
{
	struct meter_traffic sum = t->ended;

	meters_traffic_add(&sum, &t->look->live);
	RISE(bytes_in);
	RISE(bytes_out);
	RISE(packets_in);
	RISE(packets_out);
	RISE(drop_replay);
	RISE(drop_icv);
}

static void see_all(struct meters *m, mono_time now)
{
	struct look look = {.m = m, .now = now};
	struct meter_child *c;
	struct meter *t;

	ike_engine_each_conn(m->host.control.engine, see_conn, &look);
	ike_engine_each_sa(m->host.control.engine, see_sa, &look);
	TABLE_EACH (&m->children, &meters_by_id, c) {
		meters_child_read(m, c);
		if (c->meter->look)
			meters_traffic_add(&c->meter->look->live, &c->last);
	}
	for (t = m->tunnels; t; t = t->hh.next) {
		if (t->look)
			add_up(t);
	}
}

/* ---- what is told of one ---- */

static bool is_up(const struct meter *t)
{
	const struct meter_look *l = t->look;

	return l->have_tunnel && l->tunnel.up && l->tunnel.admin_up && l->tunnel.ifindex;
}

/* Words of a fixed list. */
static const char *down_reason(const struct meter *t)
{
	const struct meter_look *l = t->look;

	if (!l->have_tunnel || !l->tunnel.ifindex)
		return l->have_tunnel && l->tunnel.external ? "its script has made no device"
							    : "there is no device";
	if (l->info.held)
		return "taken down by command";
	if (l->tunnel.draining)
		return "draining";
	if (!l->tunnel.admin_up)
		return "the device was set down";
	if (l->info.reason != IKE_REASON_NONE)
		return ike_reason_text(l->info.reason);
	return l->info.expected ? "not up yet" : "not started";
}

static const char *start_of(const struct conn *conn)
{
	const char *word = "add";

	for (uint16_t i = 0; i < conn->n_children; i++) {
		if (conn->children[i].start_action == ACTION_START)
			return "start";
		if (conn->children[i].start_action == ACTION_TRAP)
			word = "route";
	}
	return word;
}

/* ---- simple families: one number a tunnel, or none ---- */

static bool until(mono_time at, mono_time now, double *out)
{
	*out = at > now ? (double)(at - now) / (double)MONO_S : 0;
	return at != 0;
}

static bool value_expected(const struct meter *t, mono_time now, double *out)
{
	(void)now;
	*out = t->look->info.expected;
	return true;
}

static bool value_up(const struct meter *t, mono_time now, double *out)
{
	(void)now;
	*out = is_up(t);
	return true;
}

static bool value_next_attempt(const struct meter *t, mono_time now, double *out)
{
	return until(is_up(t) ? 0 : t->look->info.next_attempt, now, out);
}

static bool value_since(const struct meter *t, mono_time now, double *out)
{
	*out = (double)(now - t->link_changed) / (double)MONO_S;
	return t->link_changed && now >= t->link_changed;
}

static bool value_ike_sas(const struct meter *t, mono_time now, double *out)
{
	(void)now;
	*out = t->look->ike_sas;
	return true;
}

static bool value_child_sas(const struct meter *t, mono_time now, double *out)
{
	(void)now;
	*out = t->look->child_sas;
	return true;
}

static bool value_ike_rekey(const struct meter *t, mono_time now, double *out)
{
	return until(t->look->ike_rekey_at, now, out);
}

static bool value_child_rekey(const struct meter *t, mono_time now, double *out)
{
	return until(t->look->child_rekey_at, now, out);
}

static bool value_child_end(const struct meter *t, mono_time now, double *out)
{
	return until(t->look->child_ends_at, now, out);
}

static bool value_failures(const struct meter *t, mono_time now, double *out)
{
	(void)now;
	*out = (double)t->failures;
	return true;
}

#define VALUE_OF_TRAFFIC(field)                                                      \
	static bool value_##field(const struct meter *t, mono_time now, double *out) \
	{                                                                            \
		(void)now;                                                           \
		*out = (double)t->shown.field;                                       \
		return true;                                                         \
	}

VALUE_OF_TRAFFIC(bytes_in)
VALUE_OF_TRAFFIC(bytes_out)
VALUE_OF_TRAFFIC(packets_in)
VALUE_OF_TRAFFIC(packets_out)

static const struct family {
	enum metrics_type type;
	const char *name, *help;
	bool (*value)(const struct meter *t, mono_time now, double *out);
} families[] = {
	{METRICS_GAUGE, "ipsecd_tunnel_expected",
	 "1: it should be up (auto=start, initiated, or traffic wants it), and no command took it "
	 "down.",
	 value_expected},
	{METRICS_GAUGE, "ipsecd_tunnel_up", "1: the link is up, packets can pass.", value_up},
	{METRICS_GAUGE, "ipsecd_tunnel_next_attempt_seconds",
	 "Time to the next attempt, where one is planned.", value_next_attempt},
	{METRICS_GAUGE, "ipsecd_tunnel_link_age_seconds",
	 "Time since the link came up or went down.", value_since},
	{METRICS_GAUGE, "ipsecd_tunnel_ike_sas", "IKE_SAs that are established.", value_ike_sas},
	{METRICS_GAUGE, "ipsecd_tunnel_child_sas",
	 "CHILD_SAs that are installed, without those "
	 "that were replaced.",
	 value_child_sas},
	{METRICS_GAUGE, "ipsecd_tunnel_ike_rekey_seconds",
	 "Time until an IKE_SA is rekeyed or authenticated again.", value_ike_rekey},
	{METRICS_GAUGE, "ipsecd_tunnel_child_rekey_seconds",
	 "Time until the first of the CHILD_SAs is rekeyed.", value_child_rekey},
	{METRICS_GAUGE, "ipsecd_tunnel_child_lifetime_seconds",
	 "Time until the first of the CHILD_SAs ends, unless it is rekeyed.", value_child_end},
	{METRICS_COUNTER, "ipsecd_tunnel_failures_total", "Attempts that failed.", value_failures},
	{METRICS_COUNTER, "ipsecd_tunnel_receive_bytes_total",
	 "Bytes of inner packets received, over all CHILD_SAs.", value_bytes_in},
	{METRICS_COUNTER, "ipsecd_tunnel_transmit_bytes_total",
	 "Bytes of inner packets sent, over all CHILD_SAs.", value_bytes_out},
	{METRICS_COUNTER, "ipsecd_tunnel_receive_packets_total", "Packets received.",
	 value_packets_in},
	{METRICS_COUNTER, "ipsecd_tunnel_transmit_packets_total", "Packets sent.",
	 value_packets_out},
};

/* Calls for each that is told in detail. */
#define EACH(m, t, n)                                                              \
	for (t = (m)->tunnels, n = 0; t && n < METERS_TUNNELS_MAX; t = t->hh.next) \
		if (t->look && ++n)

static void write_simple(const struct meters *m, struct metrics *out, const struct family *f,
			 mono_time now)
{
	const struct meter *t;
	double value;
	unsigned n;

	metrics_family(out, f->type, f->name, f->help);
	EACH(m, t, n)
	{
		if (f->value(t, now, &value))
			metrics_real(out, value, "conn", t->conn, "peer", peer_of(t), NULL);
	}
}

/* ---- families with a label of their own ---- */

static void write_info(const struct meters *m, struct metrics *out)
{
	const struct meter_look *l;
	const struct meter *t;
	unsigned n;

	metrics_family(out, METRICS_GAUGE, "ipsecd_tunnel_info",
		       "1; what the connection is: its device and its kind, auto=.");
	EACH(m, t, n)
	{
		l = t->look;
		metrics_uint(out, 1, "conn", t->conn, "peer", peer_of(t), "interface",
			     l->have_tunnel ? l->tunnel.interface : l->info.conn->tunnel.name,
			     "kind", l->have_tunnel ? l->tunnel.kind : NULL, "offloads",
			     l->have_tunnel ? l->tunnel.offloads : NULL, "auto",
			     start_of(l->info.conn), NULL);
	}
	metrics_family(out, METRICS_GAUGE, "ipsecd_tunnel_down_reason",
		       "1 for each tunnel that is not up: why.");
	EACH(m, t, n)
	{
		if (!is_up(t))
			metrics_uint(out, 1, "conn", t->conn, "peer", peer_of(t), "reason",
				     down_reason(t), NULL);
	}
}

static void write_pair(const struct meters *m, struct metrics *out, const char *label,
		       const char *const words[2], uint64_t (*value)(const struct meter *t, bool b))
{
	const struct meter *t;
	unsigned n;

	EACH(m, t, n)
	{
		for (unsigned i = 0; i < 2; i++)
			metrics_uint(out, value(t, i != 0), "conn", t->conn, "peer", peer_of(t),
				     label, words[i], NULL);
	}
}

static uint64_t drops(const struct meter *t, bool icv)
{
	return icv ? t->shown.drop_icv : t->shown.drop_replay;
}

static uint64_t rekeys(const struct meter *t, bool child)
{
	return child ? t->rekeys_child : t->rekeys_ike;
}

static uint64_t changes(const struct meter *t, bool up)
{
	return up ? t->link_up : t->link_down;
}

static void write_pairs(const struct meters *m, struct metrics *out)
{
	metrics_family(out, METRICS_COUNTER, "ipsecd_tunnel_receive_drops_total",
		       "Packets received and dropped by the replay window or the integrity check.");
	write_pair(m, out, "reason", (const char *const[]){"replay", "integrity"}, drops);
	metrics_family(out, METRICS_COUNTER, "ipsecd_tunnel_rekeys_total",
		       "SAs that were replaced by rekeying, whoever began it.");
	write_pair(m, out, "sa", (const char *const[]){"ike", "child"}, rekeys);
	metrics_family(out, METRICS_COUNTER, "ipsecd_tunnel_link_changes_total",
		       "How often the link went down and came up.");
	write_pair(m, out, "to", (const char *const[]){"down", "up"}, changes);
}

/* ---- sums ---- */

static void write_sums(const struct meters *m, struct metrics *out)
{
	unsigned configured = 0, expected = 0, up = 0, missing = 0;

	for (const struct meter *t = m->tunnels; t; t = t->hh.next) {
		configured += t->look != NULL;
		expected += t->look && t->look->info.expected;
		up += t->look && is_up(t);
		missing += t->look && t->look->info.expected && !is_up(t);
	}
	metrics_family(out, METRICS_GAUGE, "ipsecd_tunnels_configured",
		       "Connections that are loaded; each has a tunnel.");
	metrics_uint(out, configured, NULL);
	metrics_family(out, METRICS_GAUGE, "ipsecd_tunnels_expected",
		       "Tunnels that should be up: see ipsecd_tunnel_expected.");
	metrics_uint(out, expected, NULL);
	metrics_family(out, METRICS_GAUGE, "ipsecd_tunnels_up", "Tunnels that are up.");
	metrics_uint(out, up, NULL);
	metrics_family(out, METRICS_GAUGE, "ipsecd_tunnels_missing",
		       "Tunnels that should be up and are not.");
	metrics_uint(out, missing, NULL);
	metrics_family(out, METRICS_GAUGE, "ipsecd_tunnels_without_detail",
		       "Tunnels beyond those that have samples of their own.");
	metrics_uint(out, configured > METERS_TUNNELS_MAX ? configured - METERS_TUNNELS_MAX : 0,
		     NULL);
}

static void forget_looks(struct meters *m)
{
	for (struct meter *t = m->tunnels; t; t = t->hh.next) {
		if (t->look)
			free(t->look->peer);
		free(t->look);
		t->look = NULL;
	}
}

void meters_write_tunnels(struct meters *m, struct metrics *out, mono_time now)
{
	see_all(m, now);
	write_sums(m, out);
	write_info(m, out);
	for (unsigned i = 0; i < sizeof(families) / sizeof(*families); i++)
		write_simple(m, out, &families[i], now);
	write_pairs(m, out);
	forget_looks(m);
}
