/* Zebra's side: one session for every route type, the interfaces as zebra sees them, and
 * its confirmations. */
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/device_users.h"
#include "routed-bridge/frr_version.h"

#include <stdio.h>

#define SWEEP_AFTER  2.0 /* seconds of a session; leftovers go when all is known, ... */
#define SWEEP_ROUNDS 5	 /* ... or after so many times that */

struct zebra *bridge_session(const struct bridge *b, enum zapi_route_type type, uint16_t instance)
{
	for (unsigned i = 0; i < b->n_sessions; i++) {
		if (zebra_is(b->sessions[i], type, instance))
			return b->sessions[i];
	}
	return NULL;
}

static void plan_sweep(struct bridge *b)
{
	b->sweep_rounds = 0;
	ev_timer_again(b->loop, &b->sweep);
}

/* ---- events ---- */

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
	bridge_kernel_leave(b, "zebra has them");
	bridge_kernel_tidy(b);
	if (type == ZAPI_TYPE_NHRP && frr_daemon_runs(b->config->vty_dir, "nhrpd"))
		log_to(b->log, LOG_LEVEL_WARN, "zebra", text,
		       "nhrpd runs and has the type nhrp, too: when one of the two ends, zebra "
		       "removes the routes of both; use 'type table N'");
	routes_session(b->routes, type, instance, true);
	bridge_settle(b);
	bridge_settings_look(b);
	plan_sweep(b);
}

/* What did not come with the list is gone; a zebra that is busy has not said so yet. */
static void forget_doubted(struct bridge *b)
{
	if (bridge_kernel_writes(b) || !interfaces_forget_doubted(b->interfaces))
		return;
	tunnels_touch(b->tunnels, "zebra does not have its device any more");
	bridge_reconcile(b);
}

static void on_zebra_listed(void *ctx, struct zebra *z)
{
	struct bridge *b = ctx;

	if (z == b->sessions[0])
		forget_doubted(b);
}

/* A zebra without any address that gives a router id (IPv6 alone, 169.254.0.0/16) never says that
 * it has told of all, and a daemon that is away nothing at all. */
static bool all_known(struct bridge *b)
{
	return (zebra_listed(b->sessions[0]) && b->tunnels_known) ||
	       ++b->sweep_rounds >= SWEEP_ROUNDS;
}

/* What a killed zebra left in the kernel, the next one of FRR 10.3 takes for a living route
 * of our type (8.4 removes it): withdraw what is configured and claimed by no tunnel. */
static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge *b = timer->data;

	(void)events;
	if (b->n_sessions && !all_known(b))
		return;
	ev_timer_stop(loop, timer);
	if (b->n_sessions)
		forget_doubted(b);
	for (size_t i = 0; i < b->config->n_sections; i++) {
		const struct bridge_section *s = &b->config->sections[i];
		struct zapi_route route = {.type = s->options.type,
					   .instance = s->options.instance};
		struct zebra *z = bridge_session(b, route.type, route.instance);

		if (s->options.vrf[0] &&
		    !interfaces_vrf_find(b->interfaces, s->options.vrf, &route.vrf))
			continue;
		route.table = bridge_table_of(b, &s->options, route.vrf);
		for (size_t k = 0; z && k < s->n_prefixes; k++) {
			route.prefix = s->prefixes[k];
			if (!routes_claimed(b->routes, &route))
				zebra_route_delete(z, &route);
		}
	}
	bridge_settle(b);
}

struct interface_change {
	struct bridge *b;
	const char *cause;
};

static void touch_user(void *ctx, const char *conn)
{
	struct interface_change *change = ctx;

	if (bridge_config_match(change->b->config, conn))
		tunnels_touch_one(change->b->tunnels, conn, change->cause);
}

static void on_zebra_lost(void *ctx, struct zebra *z)
{
	struct bridge *b = ctx;
	enum zapi_route_type type;
	uint16_t instance;

	zebra_type(z, &type, &instance);
	bridge_fib_session(b, type, instance);
	routes_session(b->routes, type, instance, false);
	if (z != b->sessions[0] || bridge_kernel_writes(b))
		return;
	interfaces_forget(b->interfaces);
	tunnels_touch(b->tunnels, "zebra is gone");
	bridge_reconcile(b);
}

void bridge_interface_report(struct bridge *b, enum zapi_command command,
			     const struct zapi_interface *report)
{
	const struct interface *i = interfaces_update(b->interfaces, command, report);
	char cause[64];
	struct interface_change change = {b, cause};

	if (!i)
		return;
	snprintf(cause, sizeof(cause), "%s %s", i->name,
		 i->operative ? "is operative"
		 : i->present ? "is not operative"
			      : "is deleted");
	log_to(b->log, LOG_LEVEL_DEBUG, bridge_kernel_writes(b) ? "kernel" : "zebra", "",
	       "%s: %s, ifindex %u, generation %u, VRF %u", zapi_command_name(command), cause,
	       i->ifindex, i->generation, i->vrf);
	device_users_each(b->users, i->name, touch_user, &change);
	bridge_reconcile(b);
}

void bridge_vrf_report(struct bridge *b, uint32_t id, const struct zapi_vrf *vrf)
{
	if (!vrf)
		interfaces_vrf_delete(b->interfaces, id);
	else if (!interfaces_vrf_add(b->interfaces, id, vrf))
		return;
	else
		log_to(b->log, LOG_LEVEL_DEBUG, "route", vrf->name, "VRF %u, table %u", id,
		       vrf->table);
	tunnels_touch(b->tunnels, vrf ? "a VRF came" : "a VRF is gone");
	bridge_reconcile(b);
}

static void on_zebra_interface(void *ctx, enum zapi_command command,
			       const struct zapi_interface *report)
{
	if (!bridge_kernel_writes(ctx))
		bridge_interface_report(ctx, command, report);
}

static void on_zebra_vrf(void *ctx, uint32_t id, const struct zapi_vrf *vrf)
{
	if (!bridge_kernel_writes(ctx))
		bridge_vrf_report(ctx, id, vrf);
}

/* FRR of another version is there: it learns the routes from the kernel. */
static void on_zebra_unknown(void *ctx, const char *version)
{
	struct bridge *b = ctx;
	char cause[256];

	snprintf(cause, sizeof(cause),
		 "%s/zebra.vty says FRR %s, and this program knows the zserv protocol of FRR %s",
		 b->config->vty_dir, version, zapi_versions_known());
	bridge_kernel_enter(b, LOG_LEVEL_WARN, cause);
}

static void on_zebra_notify(void *ctx, struct zebra *z, const struct zapi_notify *notify)
{
	struct bridge *b = ctx;
	struct zapi_notify n = *notify;
	enum zapi_route_type type;
	uint16_t instance;

	zebra_type(z, &type, &instance);
	/* A route that names no table was given the VRF's. */
	if (n.table == interfaces_vrf_table(b->interfaces, n.vrf))
		n.table = 0;
	routes_notify(b->routes, type, instance, &n, mono_now());
	bridge_fib_note(b, z, &n);
	bridge_confirmed(b);
}

/* ---- sessions ---- */

static bool config_uses(const struct bridge_config *c, const struct zebra *z)
{
	for (size_t i = 0; i < c->n_sections && c->zebra; i++) {
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
	bridge_fib_session(b, type, instance);
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

	if (bridge_session(b, o->type, o->instance))
		return;
	z = zebra_new(&b->zebra_host, &c);
	if (z)
		b->sessions[b->n_sessions++] = z;
	else
		log_to(b->log, LOG_LEVEL_ERROR, "zebra", "", "out of memory");
}

/* One session for every type that the file names. */
void bridge_fit_sessions(struct bridge *b, bool keep)
{
	bool watched = keep && b->n_sessions && config_uses(b->config, b->sessions[0]);

	/* The kernel has them before zebra takes its own away. */
	if (!b->config->zebra)
		bridge_kernel_enter(b, LOG_LEVEL_NOTICE, "'zebra no'");
	for (unsigned i = b->n_sessions; i-- > 0;) {
		if (!keep || !config_uses(b->config, b->sessions[i]))
			close_session(b, i);
	}
	for (size_t i = 0; i < b->config->n_sections && b->config->zebra; i++)
		open_session(b, &b->config->sections[i].options);
	if (b->n_sessions == 0 || watched)
		return;
	/* Another session watches the interfaces from here on: one that is ready is told of all of
	 * them. */
	if (!bridge_kernel_writes(b) && keep && zebra_ready(b->sessions[0])) {
		interfaces_doubt(b->interfaces);
		plan_sweep(b);
	} else if (!bridge_kernel_writes(b)) {
		interfaces_forget(b->interfaces);
	}
	zebra_subscribe(b->sessions[0]);
}

void bridge_zebra_init(struct bridge *b)
{
	b->zebra_host = (struct zebra_host){
		.may_connect = on_may_connect,
		.ready = on_zebra_ready,
		.lost = on_zebra_lost,
		.unknown = on_zebra_unknown,
		.listed = on_zebra_listed,
		.interface = on_zebra_interface,
		.vrf = on_zebra_vrf,
		.notify = on_zebra_notify,
		.ctx = b,
		.log = b->log,
		.loop = b->loop,
	};
	ev_timer_init(&b->sweep, on_sweep, 0., SWEEP_AFTER);
	b->sweep.data = b;
}
