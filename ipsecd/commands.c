/* What clients (vici) and configuration files ask of the daemon, as engine commands.
 *
 * Order matters in two places: a conn's device exists before the engine may install
 * CHILD_SAs for it, and a tunnel that is taken down drains before its SAs go. */
#include "ipsecd/net/changes.h"
#include "ipsecd/net/icmp.h"
#include "ipsecd/shell.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- commands of clients and files ---- */

static void settings(void *ctx, const struct settings *settings)
{
	struct daemon *d = ctx;

	effects_settings(d->effects, settings);
	meters_settings(d->meters, settings);
	publish_settings(d->publish, settings);
	publish_reloading(d->publish, true); /* more of the files' follows */
	network_bind(d, settings->bind_device);
	network_workers(d, settings->workers);
	early_set(d->early, settings->early_detection);
	ike_engine_early_detection(d->engine, settings->early_detection);
	ike_engine_quick_crash(d->engine, settings->quick_crash_detection,
			       d->crash_secret_there ? d->crash_secret : NULL);
	if (d->setup.settings)
		d->setup.settings(d->setup.ctx, settings);
}

static bool prepare_conn(void *ctx, struct conn *conn, char *why, size_t size)
{
	struct daemon *d = ctx;

	conn_fix_tunnel_ends(conn);
	return offer_limit(&d->offer, conn, why, size);
}

static void expect_conn(void *ctx, struct conn *conn)
{
	struct daemon *d = ctx;
	char why[256];

	if (prepare_conn(d, conn, why, sizeof(why)))
		tunnels_prepare(d->tunnels, conn);
}

static void expected(void *ctx)
{
	const struct daemon *d = ctx;

	tunnels_prepared(d->tunnels);
}

static uint32_t tunnel_of(const struct daemon *d, const char *conn)
{
	struct tunnel_view view;

	return tunnels_view(d->tunnels, conn, &view) ? view.id : 0;
}

/* The engine refused a conn: what follows from it is that of the one before, or nothing. */
static void effects_of_loaded(struct daemon *d, uint32_t tunnel)
{
	const char *name = tunnels_conn(d->tunnels, tunnel);
	const struct conn *conn = name ? ike_engine_conn_named(d->engine, name) : NULL;

	if (conn) {
		effects_conn(d->effects, conn, tunnel);
		publish_conn(d->publish, conn, tunnel);
	} else {
		effects_conn_gone(d->effects, tunnel);
		if (name)
			publish_conn_gone(d->publish, name);
	}
}

/* SAs of a former process still send there; an operator set it down. */
static void tell_device(const struct daemon *d, struct ike_command *c)
{
	struct tunnel_view view;

	if (!tunnels_view(d->tunnels, c->conn->name, &view))
		return;
	c->inherited = view.info.inherited && !d->restoring;
	c->down = view.shut;
}

static bool load_conn(void *ctx, struct conn *conn, char *why, size_t size)
{
	struct daemon *d = ctx;
	struct ike_command c = {
		.kind = IKE_COMMAND_LOAD_CONN, .conn = conn, .restoring = d->restoring};
	const char *error = "";
	uint32_t before = tunnel_of(d, conn->name);

	if (!prepare_conn(d, conn, why, size) ||
	    !tunnels_ensure(d->tunnels, conn, &c.tunnel, why, size)) {
		conn_free(conn);
		shell_pump(d); /* a device that is gone with its CHILD_SAs */
		return false;
	}
	if (before && before != c.tunnel)
		effects_conn_gone(d->effects, before);
	effects_conn(d->effects, conn, c.tunnel);
	publish_conn(d->publish, conn, c.tunnel);
	if (!d->restoring)
		offer_say_unused(&d->offer, conn);
	tell_device(d, &c);
	if (shell_command(d, &c, &error)) {
		pools_review(d->pools);
		return true;
	}
	effects_of_loaded(d, c.tunnel);
	shell_publish(d);
	snprintf(why, size, "%s", error);
	return false;
}

static const char *addr_owner(void *ctx, const struct conn *conn, struct addr *addr)
{
	const struct daemon *d = ctx;

	return tunnels_addr_owner(d->tunnels, conn, addr);
}

static bool mend_conn(void *ctx, const struct conn *conn, char *why, size_t size)
{
	struct daemon *d = ctx;
	bool done, ok = tunnels_mend(d->tunnels, conn, &done, why, size);

	shell_alive(d);
	if (done)
		shell_pump(d); /* a device that is there again */
	return ok;
}

static bool mend_begin(void *ctx)
{
	const struct daemon *d = ctx;

	return tunnels_mend_begin(d->tunnels);
}

static void mend_end(void *ctx, bool all)
{
	const struct daemon *d = ctx;

	tunnels_mend_end(d->tunnels, all);
}

static bool unload_conn(void *ctx, const char *name, const char **error)
{
	struct ike_command c = {.kind = IKE_COMMAND_UNLOAD_CONN, .name = name};
	struct daemon *d = ctx;

	if (!ike_engine_conn_named(d->engine, name)) {
		*error = "no such connection";
		return false;
	}
	effects_conn_gone(d->effects, tunnel_of(d, name));
	tunnels_condemn(d->tunnels, name);
	publish_conn_gone(d->publish, name);
	if (!shell_command(d, &c, error))
		return false;
	meters_conn_gone(d->meters, name);
	pools_review(d->pools);
	return true;
}

/* Someone wants it up: a drain under way is called off. */
static void call_off_drains(struct daemon *d, const struct ike_select *select)
{
	const struct conn *conn;

	for (unsigned n = 0; (conn = ike_engine_conn(d->engine, n)) != NULL; n++) {
		if ((!select->ike || strcmp(select->ike, conn->name) == 0) &&
		    (!select->child || conn_child(conn, select->child)))
			drains_call_off(d->drains, conn->name);
	}
}

static bool initiate(void *ctx, const struct ike_select *select, uint64_t tag, const char **error)
{
	struct ike_command c = {.kind = IKE_COMMAND_INITIATE, .select = *select, .tag = tag};
	const struct daemon *d = ctx;

	if (d->stopping) { /* the drain under way is the daemon's own end */
		*error = "shutting down";
		return false;
	}
	call_off_drains(ctx, select);
	return shell_command(ctx, &c, error);
}

static bool rekey(void *ctx, const struct ike_select *select, bool reauth, uint64_t tag,
		  const char **error)
{
	struct ike_command c = {
		.kind = IKE_COMMAND_REKEY, .select = *select, .reauth = reauth, .tag = tag};

	return shell_command(ctx, &c, error);
}

static bool terminate(void *ctx, const struct ike_select *select, bool force, bool hold,
		      uint64_t tag, const char **error)
{
	/* A name means the connection, which we don't start again by ourselves; an id means
	 * one SA (nhrpd deletes duplicates so), whose connection goes on. */
	struct ike_command c = {.kind = IKE_COMMAND_TERMINATE,
				.select = *select,
				.tag = tag,
				.force = force,
				.hold = hold,
				.reset_retry = !select->ike && !select->child};
	struct daemon *d = ctx;

	return (!force && drains_start(d->drains, &c)) || shell_command(d, &c, error);
}

static void tell_done(struct daemon *d, uint64_t tag, bool ok, const char *detail)
{
	struct ike_output *done = calloc(1, sizeof(*done));

	if (!done)
		return;
	done->kind = IKE_OUTPUT_EVENT;
	done->event = IKE_EVENT_COMMAND_DONE;
	done->tag = tag;
	done->ok = ok;
	done->reason = IKE_REASON_COMMAND;
	snprintf(done->reason_detail, sizeof(done->reason_detail), "%s", detail);
	control_event(d->control, done);
	free(done);
}

static void drain_over(void *ctx, const struct ike_command *c)
{
	const char *error = "";

	if (!shell_command(ctx, c, &error) && c->tag)
		tell_done(ctx, c->tag, false, error);
}

static void drain_called_off(void *ctx, uint64_t tag)
{
	if (tag)
		tell_done(ctx, tag, false, "called off: initiated again meanwhile");
}

/* ---- the helper ---- */

/* Which end of a conn is ours depends on the machine's addresses. */
static bool read_files(void *ctx, bool whole, char *why, size_t size)
{
	struct daemon *d = ctx;

	d->moved |= !d->changes || changes_moved(d->changes);
	return helper_client_read(d->helper, whole || d->moved, why, size);
}

static void files_read(void *ctx, bool ok, struct config *config, struct config_errors *errors)
{
	struct daemon *d = ctx;

	d->moved &= !ok; /* else it was read whole */
	reload_read(d->reload, ok, config, errors);
}

static void files_unread(void *ctx, const char *why)
{
	const struct daemon *d = ctx;

	reload_unread(d->reload, why);
}

static void read_again(struct daemon *d, enum log_level level, const char *why)
{
	if (!d->stopping)
		reload_again(d->reload, level, why, mono_now());
}

void commands_tick(struct daemon *d)
{
	if (!d->stopping)
		reload_tick(d->reload, mono_now());
}

/* Those of vici clients are theirs to load again. */
static void secret_forgotten(void *ctx)
{
	struct daemon *d = ctx;

	if (commands_holds_secrets(d))
		read_again(d, LOG_LEVEL_WARN, "the helper lost secrets");
}

static void reading_untaken(void *ctx)
{
	read_again(ctx, LOG_LEVEL_INFO,
		   "the helper before may have left secrets that were replaced");
}

struct helper_client_host commands_helper_host(struct daemon *d)
{
	return (struct helper_client_host){.loop = d->loop,
					   .log = d->log,
					   .resolved = network_resolved,
					   .loaded = files_read,
					   .unread = files_unread,
					   .idle = shell_scripts_idle,
					   .forgotten = secret_forgotten,
					   .untaken = reading_untaken,
					   .ctx = d};
}

/* ---- what clients see ---- */

static mono_time now(void *ctx)
{
	(void)ctx;
	return mono_now();
}

void commands_describe(const struct tunnel_view *view, struct control_tunnel *out)
{
	*out = (struct control_tunnel){
		.ifindex = view->info.ifindex,
		.mtu = view->info.mtu,
		.up = view->state == TUNNEL_UP,
		.draining = view->state == TUNNEL_DRAINING,
		.admin_up = view->info.admin_up,
		.external = view->config->external,
		.kind = view->info.kind,
		.offloads = dataplane_offload_words(view->info.offloads),
		.mark_in = view->info.mark_in,
		.mark_out = view->info.mark_out,
		.if_id_in = view->info.if_id_in,
		.if_id_out = view->info.if_id_out,
	};
	snprintf(out->interface, sizeof(out->interface), "%s", tunnel_view_device(view));
}

static bool tunnel(void *ctx, const char *conn, struct control_tunnel *out)
{
	struct tunnel_view view;
	struct daemon *d = ctx;

	if (!tunnels_view(d->tunnels, conn, &view))
		return false;
	commands_describe(&view, out);
	return true;
}

static bool child_stats(void *ctx, uint64_t child, struct dataplane_child_stats *out)
{
	struct daemon *d = ctx;

	return tunnels_child_stats(d->tunnels, child, out);
}

static const uint64_t *plane_counters(void *ctx)
{
	struct daemon *d = ctx;

	return d->ops->counters(d->plane);
}

static struct udp_counters socket_counters(const struct daemon *d)
{
	struct udp_counters n;

	d->means->act->net_counters(d->means, &n);
	return n;
}

static unsigned net_counters(void *ctx, struct control_counter out[CONTROL_NET_COUNTERS_MAX])
{
	const struct daemon *d = ctx;
	const struct udp_counters n = socket_counters(d);
	const struct icmp_counters *icmp = early_icmp_counters(d->early);
	const struct control_counter all[] = {
		{"udp-received", n.received},	     {"udp-sent", n.sent},
		{"udp-send-failed", n.send_failed},  {"udp-drop-truncated", n.truncated},
		{"udp-drop-runt", n.runt},	     {"udp-keepalives", n.keepalives},
		{"udp-drop-overflow", n.overflowed}, {"udp-too-big", n.too_big},
		{"icmp-received", icmp->received},   {"icmp-refused", icmp->refused},
	};

	_Static_assert(sizeof(all) <= CONTROL_NET_COUNTERS_MAX * sizeof(*out), "too many");
	memcpy(out, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

/* ---- the callbacks, for the modules that call them ---- */

/* One process has nothing to tell of others. */
static bool process(void *ctx, unsigned n, struct control_process *out)
{
	static const char *const roles[IPC_ROLES] = {
		[IPC_ROLE_PLANE] = "plane", [IPC_ROLE_IKE] = "ike", [IPC_ROLE_HELPER] = "helper"};
	const struct daemon *d = ctx;
	const struct ipc_processes *all = d->processes;

	*out = (struct control_process){0};
	if (!all || n > IPC_ROLES)
		return false;
	if (n == 0) {
		out->role = "supervisor";
		out->pid = all->supervisor;
		out->upgrades = all->upgrades;
		return true;
	}
	out->role = roles[n - 1];
	out->pid = all->role[n - 1].pid;
	out->restarts = all->role[n - 1].restarts;
	snprintf(out->last_death, sizeof(out->last_death), "%s", all->role[n - 1].last_death);
	return true;
}

struct control_host commands_control_host(struct daemon *d)
{
	return (struct control_host){
		.ctx = d,
		.loop = d->loop,
		.engine = d->engine,
		.log = log_default(), /* not the tee: a line about a client must not go to it */
		.plane = d->ops->name,
		.plane_why = d->means->why,
		.plane_offloads = d->means->offloads,
		.plane_workers = &d->means->workers,
		.now = now,
		.tunnel = tunnel,
		.child_stats = child_stats,
		.plane_counters = plane_counters,
		.net_counters = net_counters,
		.send_error = network_send_error,
		.process = process,
		.initiate = initiate,
		.rekey = rekey,
		.terminate = terminate,
		.load_conn = load_conn,
		.addr_owner = addr_owner,
		.unload_conn = unload_conn,
		.load_secret = commands_load_client_secret,
		.unload_secret = commands_unload_client_secret,
		.reload = commands_reload,
		.reload_failure = commands_reload_failure,
		.refused = commands_refused,
		.pool = commands_pool,
		.leases = commands_leases,
		.load_pool = commands_load_pool,
		.unload_pool = commands_unload_pool,
	};
}

struct reload_host commands_reload_host(struct daemon *d)
{
	return (struct reload_host){
		.settings = settings,
		.prepare_conn = prepare_conn,
		.expect_conn = expect_conn,
		.expected = expected,
		.load_conn = load_conn,
		.unload_conn = unload_conn,
		.mend_conn = mend_conn,
		.mend_begin = mend_begin,
		.mend_end = mend_end,
		.load_secret = commands_load_secret,
		.unload_secret = commands_unload_secret,
		.read = d->helper ? read_files : NULL,
		.done = commands_reloaded,
		.ctx = d,
		.engine = d->engine,
		.log = d->log,
	};
}

struct drains_host commands_drains_host(struct daemon *d)
{
	return (struct drains_host){
		.terminate = drain_over, .called_off = drain_called_off, .ctx = d};
}
