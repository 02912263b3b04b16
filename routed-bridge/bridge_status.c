/* The bridge's state as one JSON document, for --status and whoever connects to the control
 * socket. docs/routed-bridge.md describes it: members are added, never renamed. */
#include "routed-bridge/bfd_link.h"
#include "routed-bridge/bridge_watch.h"
#include "routed-bridge/fib_check.h"
#include "routed-bridge/repair.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#define FORMAT	   1
#define ROUTES_MAX 20000 /* of the table; the counts have all */

static double since(mono_time then)
{
	mono_time now = mono_now();

	return now > then ? (double)((now - then) / MONO_MS) / 1000. : 0;
}

/* Names may have any bytes; JSON has UTF-8. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);
	char copy[512];
	size_t n;

	if (j)
		return j;
	for (n = 0; s[n] && n < sizeof(copy) - 1; n++)
		copy[n] = (char)((unsigned char)s[n] < 0x80 ? s[n] : '?');
	copy[n] = '\0';
	return json_string(copy);
}

/* ---- sessions ---- */

static json_t *ike(const struct bridge *b)
{
	struct vici_status s = vici_status(b->vici);

	return json_pack("{s:o,s:b,s:f,s:I,s:I,s:o}", "socket", text(s.socket), "connected",
			 s.listed, "since", since(s.since), "connects", (json_int_t)s.connects,
			 "malformed", (json_int_t)s.malformed, "complaint", text(s.complaint));
}

static json_t *session(const struct zebra *z, const char *use)
{
	struct zebra_status s = zebra_status(z);

	return json_pack("{s:o,s:s,s:b,s:o,s:f,s:I,s:I,s:o}", "type", text(s.name), "use", use,
			 "connected", s.ready, "frr", text(s.frr), "since", since(s.since),
			 "connects", (json_int_t)s.connects, "ignored", (json_int_t)s.ignored,
			 "complaint", text(s.complaint));
}

static json_t *zebra(const struct bridge *b)
{
	const struct zebra *repairs = bridge_repair_session(b);
	json_t *list = json_array();

	for (unsigned i = 0; i < b->n_sessions; i++)
		json_array_append_new(list, session(b->sessions[i], "routes"));
	if (repairs)
		json_array_append_new(list, session(repairs, "repairs"));
	return list;
}

/* ---- BFD and repair ---- */

static void put_bfd(void *list, const struct bfd_link_session *s)
{
	char peer[ADDR_TEXT];

	json_array_append_new(list,
			      json_pack("{s:s,s:o,s:s,s:I,s:I,s:I,s:b}", "peer",
					addr_format(&s->peer, peer), "interface", text(s->ifname),
					"state", bfd_state_name(s->state), "transmit-us",
					(json_int_t)s->tx, "detect-us", (json_int_t)s->detect,
					"hold-us", (json_int_t)s->patience, "silent", s->bearing));
}

static json_t *bfd(const struct bridge *b)
{
	const struct bfd_stats *n = bridge_bfd_stats(b);
	json_t *list;

	if (!n)
		return json_null();
	list = json_array();
	bridge_bfd_each(b, put_bfd, list);
	return json_pack("{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:o}", "bfdd", n->connections != 0,
			 "real-time", n->real_time != 0, "up", (json_int_t)n->up, "detections",
			 (json_int_t)n->detections, "borne", (json_int_t)n->borne, "late",
			 (json_int_t)n->late, "late-worst-us", (json_int_t)n->late_worst,
			 "sessions", list);
}

static json_t *repair(const struct bridge *b)
{
	struct repair_stats n;
	json_int_t begun = 0, ended = 0;

	if (!bridge_repair_stats(b, &n))
		return json_null();
	for (unsigned i = 0; i < REPAIR_CAUSES; i++)
		begun += (json_int_t)n.begun[i];
	for (unsigned i = 0; i < REPAIR_ENDS; i++)
		ended += (json_int_t)n.ended[i];
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "turns", (json_int_t)n.turns,
			 "active", (json_int_t)n.active, "installed", (json_int_t)n.installed,
			 "watched", (json_int_t)n.known, "helpless", (json_int_t)n.helpless,
			 "begun", begun, "ended", ended, "refused", (json_int_t)n.refused);
}

/* What bgpd's peers announced, and who told it. */
static json_t *paths(const struct bridge *b)
{
	struct bridge_paths_state s = bridge_paths_state(b);
	json_t *bmp = json_null();

	if (s.bmp_configured)
		bmp = json_pack("{s:b,s:b,s:o,s:b,s:I,s:I,s:I,s:I}", "listening", s.bmp.listening,
				"connected", s.bmp.connected, "speaker", text(s.bmp.speaker),
				"complete", s.bmp.synced, "connections",
				(json_int_t)s.bmp.connections, "refused", (json_int_t)s.bmp.refused,
				"asked-again", (json_int_t)s.bmp.resyncs, "faults",
				(json_int_t)s.bmp.feed.faults);
	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:o}", "source", s.source, "paths",
			 (json_int_t)s.count.paths, "prefixes", (json_int_t)s.count.prefixes,
			 "peers", (json_int_t)s.count.peers, "peers-up",
			 (json_int_t)s.count.peers_up, "polls", (json_int_t)s.polls, "bmp", bmp);
}

static void put_quality(void *list, const struct quality_stats *q)
{
	const struct quality_view *v = &q->view;
	char target[ADDR_TEXT];

	json_array_append_new(
		list,
		json_pack("{s:o,s:o,s:s,s:b,s:b,s:s,s:f,s:o,s:f,s:f,s:f,s:I,s:I,s:I}", "conn",
			  text(q->conn), "interface", text(q->interface), "target",
			  q->target.family ? addr_format(&q->target, target) : "", "running",
			  q->running, "steered", q->steered, "state", quality_state_name(v->state),
			  "since", since(v->since), "why", text(v->why), "rtt-ms",
			  (double)v->rtt / 1e6, "jitter-ms", (double)v->jitter / 1e6,
			  "loss-percent", v->loss / 10., "sent", (json_int_t)v->sent, "answered",
			  (json_int_t)v->answered, "lost", (json_int_t)v->lost));
}

static json_t *quality(const struct bridge *b)
{
	json_t *list = json_array();

	bridge_quality_each(b, put_quality, list);
	return list;
}

/* ---- tunnels and routes ---- */

static json_t *tunnel(const struct watched_tunnel *t)
{
	return json_pack(
		"{s:o,s:b,s:b,s:b,s:f,s:o,s:i,s:o,s:o,s:o,s:b,s:i,s:I,s:I,s:{s:i,s:i,s:i,s:i}}",
		"conn", text(t->conn), "loaded", t->loaded, "expected", t->section != NULL, "up",
		t->loaded && t->view.up, "since", since(t->since), "cause",
		text(t->loaded && t->cause[0] ? t->cause : t->view.cause), "child-sas",
		(int)t->view.children, "peer", text(t->view.peer_host), "peer-id",
		text(t->view.peer_id), "interface", text(t->device), "operative",
		t->interface && t->interface->operative, "ifindex",
		t->interface ? (int)t->interface->ifindex : 0, "ups", (json_int_t)t->ups, "downs",
		(json_int_t)t->downs, "routes", "wanted", (int)t->wanted, "installed",
		(int)t->installed, "shadowed", (int)t->shadowed, "failed", (int)t->failed);
}

static json_t *tunnels(const struct bridge_watch *w)
{
	json_t *list = json_array();

	for (const struct watched_tunnel *t = w->tunnels; t; t = t->hh.next)
		json_array_append_new(list, tunnel(t));
	return list;
}

static const char *type_of(const struct zapi_route *r, char text[24])
{
	return r->type == BRIDGE_KERNEL_TYPE ? "kernel"
					     : bridge_type_format(r->type, r->instance, text);
}

static void put_route(void *list, const struct route_view *v)
{
	const struct zapi_route *r = v->route;
	char prefix[PREFIX_TEXT], type[24];

	if (json_array_size(list) == ROUTES_MAX)
		return;
	json_array_append_new(list, json_pack("{s:s,s:s,s:o,s:o,s:s,s:i,s:I,s:I,s:I,s:I,s:i,s:i}",
					      "prefix", prefix_format(&r->prefix, prefix), "type",
					      type_of(r, type), "conn", text(v->conn), "interface",
					      text(v->interface), "state", v->state, "distance",
					      (int)r->distance, "metric", (json_int_t)r->metric,
					      "tag", (json_int_t)r->tag, "vrf", (json_int_t)r->vrf,
					      "table", (json_int_t)r->table, "claims",
					      (int)v->claims, "attempts", (int)v->attempts));
}

static json_t *routes(const struct bridge *b)
{
	struct routes_count n = routes_count(b->routes);
	struct fib_check_count fib = bridge_fib_count(b);
	json_t *list = json_array();

	routes_each(b->routes, put_route, list);
	return json_pack("{s:s,s:i,s:i,s:i,s:i,s:i,s:I,s:o}", "in",
			 bridge_kernel_writes(b) ? "kernel" : "zebra", "wanted", (int)n.wanted,
			 "installed", (int)n.installed, "shadowed", (int)n.shadowed, "failed",
			 (int)n.failed, "lacking", (int)fib.lacking, "renewed",
			 (json_int_t)fib.renewed, "table", list);
}

static void put_warning(void *list, const char *line)
{
	json_array_append_new(list, text(line));
}

char *bridge_status_document(void *watch)
{
	struct bridge_watch *w = watch;
	json_t *all, *warnings = json_array();
	char *document;

	bridge_watch_look(w);
	bridge_watch_warnings(w, put_warning, warnings);
	all = json_pack("{s:i,s:s,s:i,s:f,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "format",
			FORMAT, "version", DETOUR_VERSION, "pid", (int)getpid(), "uptime",
			since(w->started), "reloads", (json_int_t)w->reloads, "ike", ike(w->b),
			"zebra", zebra(w->b), "bfd", bfd(w->b), "repair", repair(w->b), "paths",
			paths(w->b), "quality", quality(w->b), "tunnels", tunnels(w), "routes",
			routes(w->b), "warnings", warnings);
	document = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	json_decref(all);
	return document;
}
