/* Glue with one rule: a tunnel's routes are claimed while the tunnel is up and zebra calls
 * its interface operative, and at no other time. Every input (vici event, interface
 * message, configuration) ends in `reconcile` of the tunnels it may concern, and every
 * change of claims ends in `settle`, which tells zebra. Order is kept by that: a
 * link-updown that announces the link's end is turned into ROUTE_DELETEs before the next
 * event is read. */
#include "routed-bridge/bridge.h"
#include "routed-bridge/frr_version.h"
#include "routed-bridge/interfaces.h"
#include "routed-bridge/lock.h"
#include "routed-bridge/routes.h"
#include "routed-bridge/tunnels.h"
#include "routed-bridge/vici.h"
#include "routed-bridge/zebra.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#define VICI_HOLD	 10.0 /* seconds without the daemon before its tunnels count as down */
#define SWEEP_AFTER	 2.0  /* seconds of a session until tunnels and interfaces are known */
#define DRAIN_TIMEOUT_MS 1000

struct bridge {
	struct ev_loop *loop;
	const struct log_sink *log;
	struct bridge_config *config;
	struct lock lock;
	struct interfaces *interfaces;
	struct tunnels *tunnels;
	struct routes *routes;
	struct vici *vici;
	struct vici_host vici_host;
	struct zebra_host zebra_host;
	struct zebra *sessions[BRIDGE_SESSIONS_MAX]; /* the first one watches the interfaces */
	unsigned n_sessions;
	ev_timer retry;	    /* routes_deadline */
	ev_timer vici_hold; /* runs while the daemon is away */
	ev_timer sweep;	    /* leftovers of an earlier zebra */
	struct routes_count last_count;
};

/* ---- zebra is told ---- */

static struct zebra *session_for(const struct bridge *b, enum zapi_route_type type,
				 uint16_t instance)
{
	for (unsigned i = 0; i < b->n_sessions; i++) {
		if (zebra_is(b->sessions[i], type, instance))
			return b->sessions[i];
	}
	return NULL;
}

static void log_balance(struct bridge *b)
{
	struct routes_count n = routes_count(b->routes);

	if (memcmp(&n, &b->last_count, sizeof(n)) == 0)
		return;
	b->last_count = n;
	if (n.installed + n.shadowed == n.wanted)
		log_to(b->log, LOG_LEVEL_INFO, "route", "", "wanted %u, installed %u, shadowed %u",
		       n.wanted, n.installed, n.shadowed);
}

static void arm_retry(struct bridge *b)
{
	mono_time at = routes_deadline(b->routes), now = mono_now();

	ev_timer_stop(b->loop, &b->retry);
	if (at == MONO_NEVER)
		return;
	ev_timer_set(&b->retry, at > now ? (double)(at - now) / 1e9 : 0., 0.);
	ev_timer_start(b->loop, &b->retry);
}

static void settle(struct bridge *b)
{
	struct route_action a;
	struct zebra *z;

	while (routes_next(b->routes, &a, mono_now())) {
		z = session_for(b, a.route.type, a.route.instance);
		if (!z)
			continue;
		if (a.kind == ROUTE_ACTION_ADD)
			zebra_route_add(z, &a.route);
		else
			zebra_route_delete(z, &a.route);
	}
	for (unsigned i = 0; i < b->n_sessions; i++)
		zebra_push(b->sessions[i]);
	log_balance(b);
	arm_retry(b);
}

/* ---- tunnels to claims ---- */

/* The file's word, else the daemon's, else the device is named like the connection. */
static const char *interface_of(const struct bridge_section *section, const char *conn,
				const char *named)
{
	if (section->interface[0])
		return section->interface;
	return named[0] ? named : conn;
}

static void put_claim(struct route_claim *c, const struct bridge_options *o,
		      const struct interface *i, const struct prefix *prefix)
{
	*c = (struct route_claim){
		.route =
			{
				.type = o->type,
				.instance = o->instance,
				.prefix = *prefix,
				.nexthop.ifindex = i->ifindex,
				.distance = o->distance,
				.metric = o->metric,
				.tag = o->tag,
			},
		.generation = i->generation,
	};
	memcpy(c->interface, i->name, sizeof(c->interface));
}

/* A selector of everything is how routed tunnels are negotiated; as a route it would carry
 * the tunnel's own packets into the tunnel. */
static bool selector_wanted(const struct bridge_section *s, const struct prefix *selector)
{
	if (!s->options.selectors || selector->len == 0)
		return false;
	for (size_t i = 0; i < s->n_prefixes; i++) {
		if (prefix_equal(&s->prefixes[i], selector))
			return false;
	}
	return true;
}

/* What the tunnel claims now; the caller frees it. *n is 0 for nothing. */
static struct route_claim *claims_of(const struct bridge_section *s,
				     const struct tunnel_view *tunnel, const struct interface *i,
				     size_t *n)
{
	struct route_claim *claims =
		calloc(s->n_prefixes + tunnel->n_selectors + 1, sizeof(*claims));

	*n = 0;
	if (!claims)
		return NULL;
	for (size_t k = 0; k < s->n_prefixes; k++)
		put_claim(&claims[(*n)++], &s->options, i, &s->prefixes[k]);
	for (size_t k = 0; k < tunnel->n_selectors; k++) {
		if (selector_wanted(s, &tunnel->selectors[k]))
			put_claim(&claims[(*n)++], &s->options, i, &tunnel->selectors[k]);
	}
	return claims;
}

static void reconcile(struct bridge *b, const struct tunnel_view *tunnel, const char *cause)
{
	const struct bridge_section *s = bridge_config_match(b->config, tunnel->conn);
	const struct interface *i = NULL;
	struct route_claim *claims = NULL;
	size_t n = 0;

	if (s && tunnel->up)
		i = interfaces_find(b->interfaces,
				    interface_of(s, tunnel->conn, tunnel->interface));
	if (i && i->operative)
		claims = claims_of(s, tunnel, i, &n);
	if (!routes_set(b->routes, tunnel->conn, claims, n, cause))
		log_to(b->log, LOG_LEVEL_ERROR, "route", tunnel->conn,
		       "out of memory: some of its routes are missing");
	free(claims);
}

static void reconcile_changed(struct bridge *b)
{
	struct tunnel_view tunnel;

	while (tunnels_changed(b->tunnels, &tunnel)) {
		log_to(b->log, LOG_LEVEL_DEBUG, "tunnel", tunnel.conn, "%s: %s",
		       tunnel.up ? "up" : "down", tunnel.cause);
		reconcile(b, &tunnel, tunnel.cause);
	}
	settle(b);
}

/* ---- events of the IKE daemon ---- */

static void on_vici_connected(void *ctx)
{
	struct bridge *b = ctx;

	tunnels_connected(b->tunnels);
}

static void on_list_begin(void *ctx)
{
	struct bridge *b = ctx;

	tunnels_list_begin(b->tunnels);
}

static void on_list_end(void *ctx)
{
	struct bridge *b = ctx;

	ev_timer_stop(b->loop, &b->vici_hold);
	tunnels_list_end(b->tunnels);
	reconcile_changed(b);
}

static bool is_listing(struct span name)
{
	return span_equal(name, span_str("list-sa")) || span_equal(name, span_str("list-conn"));
}

static void on_vici_event(void *ctx, struct span name, struct span body)
{
	struct bridge *b = ctx;

	tunnels_event(b->tunnels, name, body);
	if (is_listing(name))
		return; /* many in a row: settled together */
	reconcile_changed(b);
	vici_relist(b->vici);
}

static void on_batch_end(void *ctx)
{
	reconcile_changed(ctx);
}

/* The daemon may just restart, and its tunnels may pass on meanwhile (the interface tells,
 * and withdraws them at once if not): wait a little. */
static void on_vici_lost(void *ctx)
{
	struct bridge *b = ctx;

	if (!ev_is_active(&b->vici_hold)) {
		ev_timer_set(&b->vici_hold, VICI_HOLD, 0.);
		ev_timer_start(b->loop, &b->vici_hold);
	}
}

static void on_vici_hold(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge *b = timer->data;

	(void)loop;
	(void)events;
	log_to(b->log, LOG_LEVEL_WARN, "vici", "",
	       "no word from the IKE daemon for %.0f s: its tunnels count as down", VICI_HOLD);
	tunnels_forget(b->tunnels, "the IKE daemon is gone");
	reconcile_changed(b);
}

/* ---- events of zebra ---- */

static bool on_may_connect(void *ctx, char *why, size_t size)
{
	struct bridge *b = ctx;

	return lock_acquire(&b->lock, why, size) == LOCK_HELD;
}

static void on_zebra_ready(void *ctx, struct zebra *z)
{
	struct bridge *b = ctx;
	enum zapi_route_type type;
	uint16_t instance;
	char text[24];

	zebra_type(z, &type, &instance);
	bridge_type_format(type, instance, text);
	log_to(b->log, LOG_LEVEL_NOTICE, "zebra", text, "connected");
	if (type == ZAPI_TYPE_NHRP && frr_daemon_runs(b->config->vty_dir, "nhrpd"))
		log_to(b->log, LOG_LEVEL_WARN, "zebra", text,
		       "nhrpd runs and has the type nhrp, too: when one of the two ends, zebra "
		       "removes the routes of both; use 'type table N'");
	routes_session(b->routes, type, instance, true);
	settle(b);
	ev_timer_again(b->loop, &b->sweep);
}

/* What a killed zebra left in the kernel, the next one of FRR 10.3 takes for a living route
 * of our type (8.4 removes it): withdraw what is configured and claimed by no tunnel. */
static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge *b = timer->data;

	(void)events;
	ev_timer_stop(loop, timer);
	for (size_t i = 0; i < b->config->n_sections; i++) {
		const struct bridge_section *s = &b->config->sections[i];
		struct zapi_route route = {.type = s->options.type,
					   .instance = s->options.instance};
		struct zebra *z = session_for(b, route.type, route.instance);

		for (size_t k = 0; z && k < s->n_prefixes; k++) {
			route.prefix = s->prefixes[k];
			if (!routes_claimed(b->routes, &route))
				zebra_route_delete(z, &route);
		}
	}
	settle(b);
}

struct interface_change {
	struct bridge *b;
	const struct interface *interface;
	const char *cause;
	bool used;
};

static void touch_user(void *ctx, const char *conn, const char *named)
{
	struct interface_change *change = ctx;
	const struct bridge_section *s = bridge_config_match(change->b->config, conn);

	if (!s || strcmp(interface_of(s, conn, named), change->interface->name) != 0)
		return;
	tunnels_touch_one(change->b->tunnels, conn, change->cause);
	change->used = true;
}

static void on_zebra_lost(void *ctx, struct zebra *z)
{
	struct bridge *b = ctx;
	enum zapi_route_type type;
	uint16_t instance;

	zebra_type(z, &type, &instance);
	routes_session(b->routes, type, instance, false);
	if (z != b->sessions[0])
		return;
	interfaces_forget(b->interfaces);
	tunnels_touch(b->tunnels, "zebra is gone");
	reconcile_changed(b);
}

static void on_zebra_interface(void *ctx, enum zapi_command command,
			       const struct zapi_interface *report)
{
	struct bridge *b = ctx;
	const struct interface *i = interfaces_update(b->interfaces, command, report);
	struct interface_change change = {.b = b, .interface = i};
	char cause[64];

	if (!i)
		return;
	snprintf(cause, sizeof(cause), "%s %s", i->name,
		 i->operative ? "is operative"
		 : i->present ? "is not operative"
			      : "is deleted");
	log_to(b->log, LOG_LEVEL_DEBUG, "zebra", "", "%s: %s, ifindex %u, generation %u",
	       zapi_command_name(command), cause, i->ifindex, i->generation);
	change.cause = cause;
	tunnels_each(b->tunnels, touch_user, &change);
	if (change.used && i->present && !i->link_detect)
		log_to(b->log, LOG_LEVEL_WARN, "zebra", "",
		       "%s has 'no link-detect': FRR will not notice when the tunnel goes down",
		       i->name);
	reconcile_changed(b);
}

static void on_zebra_notify(void *ctx, struct zebra *z, const struct zapi_notify *notify)
{
	struct bridge *b = ctx;
	enum zapi_route_type type;
	uint16_t instance;

	zebra_type(z, &type, &instance);
	routes_notify(b->routes, type, instance, notify, mono_now());
	log_balance(b);
	arm_retry(b);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge *b = timer->data;

	(void)loop;
	(void)events;
	routes_expire(b->routes, mono_now());
	settle(b);
}

/* ---- configuration ---- */

static bool config_uses(const struct bridge_config *c, const struct zebra *z)
{
	for (size_t i = 0; i < c->n_sections; i++) {
		if (zebra_is(z, c->sections[i].options.type, c->sections[i].options.instance))
			return true;
	}
	return false;
}

static void close_session(struct bridge *b, unsigned n)
{
	enum zapi_route_type type;
	uint16_t instance;

	zebra_type(b->sessions[n], &type, &instance);
	zebra_free(b->sessions[n]);
	b->n_sessions--;
	memmove(&b->sessions[n], &b->sessions[n + 1], (b->n_sessions - n) * sizeof(b->sessions[0]));
	routes_session(b->routes, type, instance, false);
}

static void open_session(struct bridge *b, const struct bridge_options *o)
{
	char name[24];
	struct zebra_config c = {
		.name = bridge_type_format(o->type, o->instance, name),
		.socket = b->config->zserv,
		.vty_dir = b->config->vty_dir,
		.type = o->type,
		.instance = o->instance,
	};
	struct zebra *z;

	if (session_for(b, o->type, o->instance))
		return;
	z = zebra_new(&b->zebra_host, &c);
	if (z)
		b->sessions[b->n_sessions++] = z;
	else
		log_to(b->log, LOG_LEVEL_ERROR, "zebra", "", "out of memory");
}

/* One session for every type that the file names. */
static void fit_sessions(struct bridge *b, bool keep)
{
	bool watched = keep && b->n_sessions && config_uses(b->config, b->sessions[0]);

	for (unsigned i = b->n_sessions; i-- > 0;) {
		if (!keep || !config_uses(b->config, b->sessions[i]))
			close_session(b, i);
	}
	for (size_t i = 0; i < b->config->n_sections; i++)
		open_session(b, &b->config->sections[i].options);
	if (b->n_sessions == 0 || watched)
		return;
	/* Another session watches the interfaces from here on. */
	interfaces_forget(b->interfaces);
	zebra_subscribe(b->sessions[0]);
}

void bridge_reload(struct bridge *b, struct bridge_config *config)
{
	struct bridge_config *old = b->config;
	bool same_zebra = strcmp(old->zserv, config->zserv) == 0 &&
			  strcmp(old->vty_dir, config->vty_dir) == 0;

	b->config = config;
	if (!same_zebra) {
		lock_release(&b->lock);
		lock_init(&b->lock, config->zserv);
	}
	fit_sessions(b, same_zebra);
	if (strcmp(old->vici, config->vici) != 0) {
		vici_free(b->vici);
		b->vici = vici_new(&b->vici_host, config->vici);
		on_vici_lost(b);
	}
	bridge_config_free(old);
	tunnels_touch(b->tunnels, "the configuration changed");
	reconcile_changed(b);
}

/* ---- life ---- */

static void set_hosts(struct bridge *b)
{
	b->vici_host = (struct vici_host){
		.connected = on_vici_connected,
		.list_begin = on_list_begin,
		.event = on_vici_event,
		.list_end = on_list_end,
		.batch_end = on_batch_end,
		.lost = on_vici_lost,
		.ctx = b,
		.log = b->log,
		.loop = b->loop,
	};
	b->zebra_host = (struct zebra_host){
		.may_connect = on_may_connect,
		.ready = on_zebra_ready,
		.lost = on_zebra_lost,
		.interface = on_zebra_interface,
		.notify = on_zebra_notify,
		.ctx = b,
		.log = b->log,
		.loop = b->loop,
	};
	ev_timer_init(&b->retry, on_retry, 0., 0.);
	ev_timer_init(&b->vici_hold, on_vici_hold, 0., 0.);
	ev_timer_init(&b->sweep, on_sweep, 0., SWEEP_AFTER);
	b->retry.data = b->vici_hold.data = b->sweep.data = b;
}

static void release(struct bridge *b)
{
	for (unsigned i = 0; i < b->n_sessions; i++)
		zebra_free(b->sessions[i]);
	vici_free(b->vici);
	ev_timer_stop(b->loop, &b->retry);
	ev_timer_stop(b->loop, &b->vici_hold);
	ev_timer_stop(b->loop, &b->sweep);
	routes_free(b->routes);
	tunnels_free(b->tunnels);
	interfaces_free(b->interfaces);
	lock_release(&b->lock);
	bridge_config_free(b->config);
	free(b);
}

struct bridge *bridge_new(struct ev_loop *loop, const struct log_sink *log,
			  struct bridge_config *config, char *why, size_t size)
{
	struct bridge *b = calloc(1, sizeof(*b));

	if (!b) {
		snprintf(why, size, "out of memory");
		bridge_config_free(config);
		return NULL;
	}
	b->loop = loop;
	b->log = log;
	b->config = config;
	set_hosts(b);
	lock_init(&b->lock, config->zserv);
	b->interfaces = interfaces_new();
	b->tunnels = tunnels_new();
	b->routes = routes_new(log);
	snprintf(why, size, "out of memory");
	if (b->interfaces && b->tunnels && b->routes &&
	    lock_acquire(&b->lock, why, size) != LOCK_BUSY)
		b->vici = vici_new(&b->vici_host, config->vici);
	if (!b->vici) {
		release(b);
		return NULL;
	}
	fit_sessions(b, true);
	return b;
}

void bridge_free(struct bridge *b)
{
	tunnels_forget(b->tunnels, "routed-bridge ends");
	reconcile_changed(b);
	for (unsigned i = 0; i < b->n_sessions; i++) {
		if (zebra_ready(b->sessions[i]) && !zebra_drain(b->sessions[i], DRAIN_TIMEOUT_MS))
			log_to(b->log, LOG_LEVEL_WARN, "zebra", "",
			       "zebra took not every withdrawal; it removes the rest by itself");
	}
	release(b);
}
