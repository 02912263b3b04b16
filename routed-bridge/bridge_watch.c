/* Tunnels as they are seen from outside: since when, how often, with how many routes; the two
 * doors through which that is asked, the control socket and the metrics' port. */
#include "routed-bridge/bridge_watch.h"
#include "routed-bridge/fib_check.h"

#include <stdio.h>
#include <stdlib.h>

#define EBGP_DISTANCE 20 /* FRR's default */

static void forget(struct bridge_watch *w, struct watched_tunnel *t)
{
	HASH_DEL(w->tunnels, t);
	free(t->conn);
	free(t);
}

static struct watched_tunnel *find_or_add(struct bridge_watch *w, const char *conn)
{
	struct watched_tunnel *t;

	HASH_FIND_STR(w->tunnels, conn, t);
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (t)
		t->conn = strdup(conn);
	if (!t || !t->conn) {
		free(t);
		return NULL;
	}
	t->since = mono_now();
	HASH_ADD_KEYPTR(hh, w->tunnels, t->conn, strlen(t->conn), t);
	return t;
}

void bridge_watch_tunnel(struct bridge *b, const struct tunnel_view *tunnel)
{
	struct watched_tunnel *t = b->watch ? find_or_add(b->watch, tunnel->conn) : NULL;
	const struct bridge_section *s = bridge_config_match(b->config, tunnel->conn);

	if (!t)
		return;
	if (tunnel->dropped && (!s || s->glob)) {
		forget(b->watch, t); /* the file does not name it, either */
		return;
	}
	if (t->up == tunnel->up)
		return;
	t->up = tunnel->up;
	t->since = mono_now();
	t->ups += t->up;
	t->downs += !t->up;
	snprintf(t->cause, sizeof(t->cause), "%s", tunnel->cause);
}

/* ---- the look ---- */

static void see_tunnel(void *ctx, const struct tunnel_view *view)
{
	struct bridge_watch *w = ctx;
	struct watched_tunnel *t = view->loaded ? find_or_add(w, view->conn) : NULL;

	if (!t)
		return;
	t->seen = t->loaded = true;
	t->view = *view;
	t->section = bridge_config_match(w->b->config, view->conn);
}

/* A name of the file that the IKE daemon has not, or not yet. */
static void see_section(struct bridge_watch *w, const struct bridge_section *s)
{
	struct watched_tunnel *t = s->glob ? NULL : find_or_add(w, s->pattern);

	if (!t || t->seen)
		return;
	t->seen = true;
	t->loaded = false;
	t->section = s;
	t->view = (struct tunnel_view){.conn = t->conn,
				       .interface = "",
				       .cause = vici_status(w->b->vici).listed
							? "the IKE daemon has no such connection"
							: "no word from the IKE daemon",
				       .peer_host = "",
				       .peer_id = ""};
}

static void see_route(void *ctx, const struct route_view *route)
{
	struct bridge_watch *w = ctx;
	struct watched_tunnel *t;

	HASH_FIND_STR(w->tunnels, route->conn, t);
	if (!t)
		return;
	t->wanted++;
	t->installed += strcmp(route->state, "installed") == 0;
	t->shadowed += strcmp(route->state, "shadowed") == 0;
	t->failed += strcmp(route->state, "failed") == 0;
}

static int by_name(const struct watched_tunnel *a, const struct watched_tunnel *b)
{
	return strcmp(a->conn, b->conn);
}

void bridge_watch_look(struct bridge_watch *w)
{
	struct watched_tunnel *t, *next;

	for (t = w->tunnels; t; t = t->hh.next) {
		t->seen = false;
		t->wanted = t->installed = t->shadowed = t->failed = 0;
	}
	tunnels_each_view(w->b->tunnels, see_tunnel, w);
	for (size_t i = 0; i < w->b->config->n_sections; i++)
		see_section(w, &w->b->config->sections[i]);
	routes_each(w->b->routes, see_route, w);
	HASH_ITER (hh, w->tunnels, t, next) {
		if (!t->seen) {
			forget(w, t);
			continue;
		}
		t->device = t->section ? bridge_interface_of(t->section, t->conn, t->view.interface)
				       : t->view.interface;
		t->interface = interfaces_find(w->b->interfaces, t->device);
	}
	HASH_SORT(w->tunnels, by_name);
}

/* ---- warnings ---- */

struct complaint {
	void (*cb)(void *ctx, const char *text);
	void *ctx;
};

static void __attribute__((format(printf, 2, 3)))
warn(const struct complaint *c, const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->cb(c->ctx, text);
}

static void warn_of_sessions(const struct bridge *b, const struct complaint *c)
{
	struct vici_status ike = vici_status(b->vici);

	if (!ike.listed)
		warn(c, "no word from the IKE daemon: %s",
		     ike.complaint[0] ? ike.complaint : "connecting");
	for (unsigned i = 0; i < b->n_sessions; i++) {
		struct zebra_status z = zebra_status(b->sessions[i]);

		if (!z.ready)
			warn(c, "no session with zebra (%s): %s", z.name,
			     z.complaint[0] ? z.complaint : "connecting");
	}
}

static void warn_of_repair(const struct bridge_config *config, const struct complaint *c)
{
	if (!config->repair.on)
		return;
	if (!config->zebra)
		warn(c, "'repair yes' needs zebra, and there is 'zebra no': nothing is repaired");
	if (config->repair.distance >= EBGP_DISTANCE)
		warn(c,
		     "'repair-distance %u': zebra prefers eBGP's routes, which have %u, and "
		     "repairs "
		     "nothing that they lead to",
		     config->repair.distance, EBGP_DISTANCE);
}

void bridge_watch_warnings(const struct bridge_watch *w, void (*cb)(void *ctx, const char *text),
			   void *ctx)
{
	const struct complaint c = {cb, ctx};
	struct routes_count n = routes_count(w->b->routes);
	unsigned lacking = bridge_fib_count(w->b).lacking;
	bool listed = vici_status(w->b->vici).listed;

	warn_of_sessions(w->b, &c);
	warn_of_repair(w->b->config, &c);
	if (n.failed)
		warn(&c, "zebra could not install %u routes; they are tried again", n.failed);
	if (lacking)
		warn(&c,
		     "%u routes lack a nexthop in the kernel, though zebra has confirmed them and "
		     "was told again",
		     lacking);
	for (const struct watched_tunnel *t = w->tunnels; t; t = t->hh.next) {
		if (!t->loaded && listed)
			warn(&c, "%s: the file names it, and the IKE daemon has no such connection",
			     t->conn);
		else if (t->section && t->up && !t->interface)
			warn(&c, "%s: zebra has no interface %s", t->conn, t->device);
		else if (t->interface && t->interface->present && !t->interface->link_detect)
			warn(&c, "%s: %s has 'no link-detect', so that FRR will not notice its end",
			     t->conn, t->device);
	}
	bridge_settings_each(w->b, cb, ctx);
}

/* ---- life ---- */

static void fit_control(struct bridge_watch *w)
{
	const char *path = w->b->config->control;
	const struct control_host host = {
		.document = bridge_status_document, .ctx = w, .loop = w->b->loop, .log = w->b->log};

	if (w->control && strcmp(control_path(w->control), path) == 0)
		return;
	control_free(w->control);
	w->control = path[0] ? control_new(&host, path) : NULL;
}

static struct bridge_watch *begin(struct bridge *b)
{
	struct bridge_watch *w = calloc(1, sizeof(*w));
	const struct metrics_http_host host = {
		.write = bridge_metrics_write, .ctx = w, .loop = b->loop, .log = b->log};

	if (!w)
		return NULL;
	w->b = b;
	w->started = mono_now();
	w->http = metrics_http_new(&host);
	return w;
}

void bridge_watch_fit(struct bridge *b)
{
	char text[ENDPOINT_TEXT];

	if (b->watch)
		b->watch->reloads++;
	else
		b->watch = begin(b);
	if (!b->watch)
		return;
	fit_control(b->watch);
	if (b->config->metrics.addr.family && !addr_is_loopback(&b->config->metrics.addr))
		log_to(b->log, LOG_LEVEL_WARN, "config", "",
		       "metrics: whoever reaches %s can read the names and states of all tunnels; "
		       "nobody is asked for a password",
		       endpoint_format_url(&b->config->metrics, text));
	if (b->watch->http)
		metrics_http_listen(b->watch->http, &b->config->metrics);
}

void bridge_watch_end(struct bridge *b)
{
	struct watched_tunnel *t, *next;
	struct bridge_watch *w = b->watch;

	if (!w)
		return;
	b->watch = NULL;
	control_free(w->control);
	metrics_http_free(w->http);
	HASH_ITER (hh, w->tunnels, t, next)
		forget(w, t);
	free(w);
}
