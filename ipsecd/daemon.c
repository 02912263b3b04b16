/* The shell: one libev loop that moves inputs and outputs between the modules.
 *
 * With commands.c (what clients and files ask for) the only one that knows every module.
 * It holds no protocol and no policy: inputs go into the engine with the time, and after each one
 * `shell_pump` has what changed kept for a process after this one, carries out what comes back, in
 * order, lets the tunnels settle their links once, and arms one timer. */
#include "ipsecd/crash_secret.h"
#include "ipsecd/net/changes.h"
#include "ipsecd/net/resolve.h"
#include "ipsecd/restore.h"
#include "ipsecd/shell.h"
#include "lib/notify.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define TICK_SECONDS	 1.
#define SCRIPTS_SECONDS	 15. /* nor scripts that do not end */
#define SETTLE_SECONDS	 10. /* in which vici clients may load what is theirs */
#define SHUTDOWN_SECONDS 4.  /* peers that do not answer are not waited for longer */

/* ---- outputs of the engine ---- */

static void out_send(struct daemon *d, const struct ike_output *out)
{
	send_errors_sent(&d->send_errors, &out->path.remote.addr, mono_now());
	d->means->act->send_ike(d->means, &out->path.local, &out->path.remote, out->datagram);
}

static void out_keepalive(struct daemon *d, const struct ike_output *out)
{
	d->means->act->send_keepalive(d->means, &out->path.local, &out->path.remote);
}

static void out_child_install(struct daemon *d, const struct ike_output *out)
{
	d->out.child.resumed = out->resumed;
	if (tunnels_child_install(d->tunnels, &out->child)) {
		effects_child_install(d->effects, &out->child);
		meters_child_installed(d->meters, out->child.id,
				       tunnels_conn(d->tunnels, out->child.tunnel));
	} else {
		ike_engine_child_event(d->engine, out->child.id, IKE_CHILD_INSTALL_FAILED, NULL,
				       mono_now());
	}
}

static void out_child_update(struct daemon *d, const struct ike_output *out)
{
	tunnels_child_update(d->tunnels, &out->child);
	effects_child_update(d->effects, &out->child);
}

static void out_child_remove(struct daemon *d, const struct ike_output *out)
{
	meters_child_removed(d->meters, out->child.id);
	tunnels_child_remove(d->tunnels, out->child.id);
	effects_child_remove(d->effects, out->child.id);
}

static void out_query(struct daemon *d, const struct ike_output *out)
{
	int family = out->path.remote.addr.family;

	if (d->helper)
		helper_client_resolve(d->helper, out->query, out->name, family);
	else
		resolver_query(d->resolver, out->query, out->name, family);
}

static void out_vips(struct daemon *d, const struct ike_output *out)
{
	publish_vips(d->publish, out->tunnel, out->vips, out->n_vips);
	effects_vips(d->effects, out);
}

/* A peer that does not answer has no SA for what a former process of ours left behind. */
static void peer_failed(struct daemon *d, const struct ike_output *out)
{
	if (out->conn &&
	    (out->reason == IKE_REASON_NO_ANSWER || out->reason == IKE_REASON_PEER_DEAD))
		tunnels_disinherit(d->tunnels, out->conn);
}

/* The SAs are gone; scripts that undo what others did get some time yet. */
static void end(struct daemon *d)
{
	d->ending = true;
	ev_timer_stop(d->loop, &d->shutdown);
	if (!effects_end(d->effects)) {
		d->setup.ended(d->setup.ctx);
		return;
	}
	ev_timer_set(&d->shutdown, SCRIPTS_SECONDS, 0.);
	ev_timer_start(d->loop, &d->shutdown);
}

void shell_scripts_idle(void *ctx)
{
	struct daemon *d = ctx;

	if (d->ending)
		d->setup.ended(d->setup.ctx);
}

static void out_lease_query(struct daemon *d, const struct ike_output *out)
{
	pools_query(d->pools, out);
}

static void out_lease_release(struct daemon *d, const struct ike_output *out)
{
	pools_release(d->pools, out->query);
}

static void out_event(struct daemon *d, const struct ike_output *out)
{
	if (out->event == IKE_EVENT_FAILED)
		peer_failed(d, out);
	if (out->event == IKE_EVENT_CHILD_UP)
		snprintf(d->cause, sizeof(d->cause), "CHILD_SA established");
	else if (out->event == IKE_EVENT_CHILD_DOWN || out->event == IKE_EVENT_IKE_DOWN)
		snprintf(d->cause, sizeof(d->cause), "%s", ike_reason_text(out->reason));
	effects_event(d->effects, out);
	meters_event(d->meters, out);
	early_event(d->early, out);
	if (out->event == IKE_EVENT_SHUTDOWN_DONE) {
		end(d);
		return;
	}
	control_event(d->control, out);
}

static void (*const carry_out[])(struct daemon *d, const struct ike_output *out) = {
	[IKE_OUTPUT_SEND] = out_send,
	[IKE_OUTPUT_KEEPALIVE] = out_keepalive,
	[IKE_OUTPUT_CHILD_INSTALL] = out_child_install,
	[IKE_OUTPUT_CHILD_UPDATE] = out_child_update,
	[IKE_OUTPUT_CHILD_REMOVE] = out_child_remove,
	[IKE_OUTPUT_QUERY_RESOLVE] = out_query,
	[IKE_OUTPUT_QUERY_LEASE] = out_lease_query,
	[IKE_OUTPUT_LEASE_RELEASE] = out_lease_release,
	[IKE_OUTPUT_VIPS] = out_vips,
	[IKE_OUTPUT_EVENT] = out_event,
};

void shell_publish(struct daemon *d)
{
	publish_run(d->publish, d->engine, d->reload);
}

/* After every input. Carrying an output out may be an input of its own (a failed
 * install, a name that needs no look-up): the outer round takes its outputs too. */
void shell_pump(struct daemon *d)
{
	if (d->pumping || d->restoring)
		return;
	d->pumping = true;
	for (;;) {
		shell_alive(d);
		shell_publish(d); /* what others will know of us, a process after us has to know */
		if (!ike_engine_next(d->engine, &d->out))
			break;
		carry_out[d->out.kind](d, &d->out);
	}
	explicit_bzero(&d->out, sizeof(d->out)); /* installs carry keys */
	tunnels_settle(d->tunnels, d->cause[0] ? d->cause : "SAs changed");
	d->cause[0] = '\0';
	d->pumping = false;
	shell_time_arm(d);
}

/* ---- inputs: data plane ---- */

static void on_hint(void *ctx, const struct ike_hint *hint)
{
	struct daemon *d = ctx;

	ike_engine_hint(d->engine, hint, mono_now());
	shell_pump(d);
}

static void on_child_lost(void *ctx, uint64_t child)
{
	struct daemon *d = ctx;

	ike_engine_child_event(d->engine, child, IKE_CHILD_HARD_EXPIRE, NULL, mono_now());
}

static void on_alive(void *ctx)
{
	shell_alive(ctx);
}

static void on_ike(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		   struct span datagram, mono_time now)
{
	struct ike_path path = {*local, *remote};
	struct daemon *d = ctx;

	ike_engine_datagram(d->engine, &path, datagram, now);
	shell_pump(d);
}

/* The caller pumps. */
static void on_shut(void *ctx, const char *conn, bool shut)
{
	const struct ike_command c = {.kind = IKE_COMMAND_DEVICE, .name = conn, .down = shut};
	struct daemon *d = ctx;
	const char *error;

	ike_engine_command(d->engine, &c, &error, mono_now());
}

static void on_plane_event(void *ctx, const struct dataplane_event *event)
{
	static const enum ike_child_event kinds[] = {
		[DATAPLANE_CHILD_ALIVE] = IKE_CHILD_ALIVE,
		[DATAPLANE_CHILD_USED_NEW] = IKE_CHILD_USED_NEW,
		[DATAPLANE_CHILD_SOFT_EXPIRE] = IKE_CHILD_SOFT_EXPIRE,
		[DATAPLANE_CHILD_HARD_EXPIRE] = IKE_CHILD_HARD_EXPIRE,
		[DATAPLANE_CHILD_PEER_MOVED] = IKE_CHILD_PEER_MOVED,
		[DATAPLANE_ACQUIRE] = IKE_CHILD_ACQUIRE,
	};
	struct ike_path path = {.remote = event->remote};
	struct daemon *d = ctx;

	if (event->kind == DATAPLANE_DEVICE_CHANGED) {
		tunnels_device_changed(d->tunnels, event);
		effects_device(d->effects, event->tunnel);
		shell_pump(d);
		return;
	}
	if (event->kind == DATAPLANE_ESP_UNKNOWN) {
		path.local = event->local;
		ike_engine_esp_unknown(d->engine, &path, event->spi, mono_now());
		shell_pump(d);
		return;
	}
	if (event->kind == DATAPLANE_INHERITED_GONE) {
		tunnels_inherited_gone(d->tunnels, event->tunnel);
		shell_pump(d);
		return;
	}
	ike_engine_child_event(d->engine,
			       event->kind == DATAPLANE_ACQUIRE ? event->tunnel : event->child,
			       kinds[event->kind], &path, mono_now());
	shell_pump(d);
}

/* ---- inputs: ticks and signals ---- */

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)revents;
	d->ops->tick(d->plane, mono_now());
	early_tick(d->early);
	commands_tick(d);
	notify_send("WATCHDOG=1");
}

static void on_shutdown(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)revents;
	if (d->ending) {
		log_to(d->log, LOG_LEVEL_WARN, "job", "", "scripts did not end in time, ending");
		d->setup.ended(d->setup.ctx);
		return;
	}
	log_to(d->log, LOG_LEVEL_NOTICE, "ike", "", "peers did not answer in time, ending");
	end(d);
}

static void settle(struct daemon *d)
{
	if (d->ops->settled)
		d->ops->settled(d->plane);
	tunnels_settled(d->tunnels);
	effects_settled(d->effects);
}

static void on_settle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)revents;
	settle(d);
}

bool shell_command(struct daemon *d, const struct ike_command *c, const char **error)
{
	bool ok = ike_engine_command(d->engine, c, error, mono_now());

	shell_pump(d);
	return ok;
}

void shell_stop(struct daemon *d)
{
	const struct ike_command terminate = {.kind = IKE_COMMAND_SHUTDOWN};
	const char *error;

	if (d->stopping) {
		d->setup.ended(d->setup.ctx);
		return;
	}
	d->stopping = true;
	notify_send("STOPPING=1");
	log_to(d->log, LOG_LEVEL_NOTICE, "ike", "", "ending: draining %u tunnels",
	       tunnels_up(d->tunnels));
	ev_timer_start(d->loop, &d->shutdown);
	if (!drains_start(d->drains, &terminate))
		shell_command(d, &terminate, &error);
}

/* ---- links and log lines, for clients ---- */

static void on_link(void *ctx, const struct tunnel_view *view, bool up, const char *reason)
{
	struct control_tunnel told;
	struct daemon *d = ctx;

	effects_link(d->effects, view, up);
	if (d->restoring) /* for everybody else nothing changes */
		return;
	meters_link(d->meters, view->conn, up);
	commands_describe(view, &told);
	control_link(d->control, view->conn, &told, up, reason);
}

static void tee(void *ctx, enum log_level level, const char *subsystem, const char *name,
		const char *text)
{
	struct log_sink *own = log_default();
	struct daemon *d = ctx;

	own->write(own->ctx, level, subsystem, name, text);
	control_log(d->control, level, subsystem, name, text);
}

/* ---- life ---- */

static bool fail(struct daemon *d, const char *what, const char *why)
{
	log_to(d->log, LOG_LEVEL_ERROR, "ike", "", "%s: %s", what, why);
	return false;
}

static bool open_plane(struct daemon *d)
{
	const struct means_host host = {.event = on_plane_event,
					.ike = on_ike,
					.send_failed = network_send_failed,
					.child = shell_child,
					.alive = on_alive,
					.ctx = d,
					.log = d->log,
					.loop = d->loop};
	const struct tunnels_host tunnels_host = {.link = on_link,
						  .shut = on_shut,
						  .child_lost = on_child_lost,
						  .ctx = d,
						  .log = d->log};
	char why[640];

	d->netlink = netlink_open();
	if (!d->netlink)
		return fail(d, "rtnetlink", strerror(errno));
	d->means = d->setup.open_means(d->setup.ctx, &host, why, sizeof(why));
	if (!d->means)
		return fail(d, "can't start", why);
	d->ops = d->means->ops;
	d->plane = d->means->plane;
	d->offer = (struct offer){.ops = d->ops, .plane = d->plane, .log = d->log};
	d->tunnels = tunnels_new(d->ops, d->plane, &tunnels_host);
	return d->tunnels || fail(d, "tunnels", "out of memory");
}

/* Perhaps inside of shell_pump, which then goes on with what comes of it. */
static void on_lease(void *ctx, uint64_t query, const struct ike_lease *lease)
{
	struct daemon *d = ctx;

	ike_engine_lease(d->engine, query, lease, mono_now());
	shell_pump(d);
}

static bool open_helper(struct daemon *d)
{
	const struct helper_client_host host = commands_helper_host(d);

	if (!d->setup.open_helper)
		return true;
	d->helper = d->setup.open_helper(d->setup.ctx, &host);
	return d->helper || fail(d, "the link to the helper", "out of memory");
}

/* What per-resource-sas=auto is. Userspace sends by one of them; the peer may send by each. */
static unsigned processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n > CHILD_RESOURCES_MAX ? CHILD_RESOURCES_MAX : (unsigned)n;
}

static bool open_engine(struct daemon *d)
{
	const struct ike_env env = {.crypto = &crypto_openssl,
				    .random = crypto_random,
				    .log = d->log,
				    .psk_mac = d->helper ? helper_client_mac : NULL,
				    .psk_ready = d->helper ? helper_client_ready : NULL,
				    .psk_ctx = d->helper};
	struct ike_settings settings = {.encap_default = d->ops->encap_better,
					.resources = processors(),
					.resources_none = !d->ops->resources(d->plane),
					.skips_numbers = true,
					.aggfrag = d->ops->aggfrag,
					.publish = d->publish != NULL};
	const struct drains_host host = commands_drains_host(d);
	struct pools_host pools = {.ctx = d, .answer = on_lease, .log = d->log};

	crypto_random(NULL, &settings.half_open_seed, sizeof(settings.half_open_seed));
	pools.engine = d->engine = ike_engine_new(&env, &settings);
	if (d->engine)
		ike_engine_loading(d->engine, true); /* until shell_started */
	d->pools = d->engine ? pools_new(&pools) : NULL;
	if (d->pools)
		d->drains = drains_new(d->loop, d->engine, d->tunnels, &host);
	return d->drains || fail(d, "the engine", "out of memory");
}

static bool open_effects(struct daemon *d)
{
	const struct script_runner runner = helper_client_runner(d->helper);
	const struct effects_host host = {.loop = d->loop,
					  .log = d->log,
					  .engine = d->engine,
					  .tunnels = d->tunnels,
					  .means = d->means,
					  .netlink = d->netlink,
					  .persistent = d->ops->persistent,
					  .runner = d->helper ? &runner : NULL,
					  .keeper = publish_updown(d->publish),
					  .idle = shell_scripts_idle,
					  .ctx = d};
	const struct early_host early = {.hint = on_hint, .ctx = d, .log = d->log, .loop = d->loop};

	d->effects = effects_new(&host);
	d->early = d->effects ? early_new(&early) : NULL;
	return d->early || fail(d, "scripts and routes", "no memory or no rtnetlink");
}

static bool open_network(struct daemon *d, char *why, size_t size)
{
	return network_open(d, why, size) || fail(d, "the network", why);
}

static bool open_control(struct daemon *d, char *why, size_t size)
{
	const struct control_host host = commands_control_host(d);
	const struct reload_host files = commands_reload_host(d);

	d->control = d->setup.vici >= 0
			     ? control_serve(d->setup.vici, d->options->vici, &host, why, size)
			     : control_open(d->options->vici, &host, why, size);
	if (!d->control)
		return fail(d, "the control socket", why);
	d->reload = reload_new(d->options, &files);
	return d->reload || fail(d, "reload", "out of memory");
}

static bool open_meters(struct daemon *d)
{
	const struct meters_host host = {.control = commands_control_host(d),
					 .clients = control_counters(d->control),
					 .reload = d->reload};

	d->meters = meters_new(&host);
	return d->meters || fail(d, "metrics", "out of memory");
}

static void start_watchers(struct daemon *d)
{
	ev_timer_init(&d->tick, on_tick, TICK_SECONDS, TICK_SECONDS);
	ev_timer_init(&d->shutdown, on_shutdown, SHUTDOWN_SECONDS, 0.);
	ev_timer_init(&d->settle, on_settle, SETTLE_SECONDS, 0.);
	d->tick.data = d->shutdown.data = d->settle.data = d;
	shell_time_open(d);
	ev_timer_start(d->loop, &d->tick);
}

static void stop_watchers(struct daemon *d)
{
	shell_time_close(d);
	ev_timer_stop(d->loop, &d->tick);
	ev_timer_stop(d->loop, &d->shutdown);
	ev_timer_stop(d->loop, &d->settle);
}

static void take_crash_secret(struct daemon *d)
{
	int fd = d->setup.crash_secret;

	d->crash_secret_there = fd >= 0 && crash_secret_read(fd, d->crash_secret);
	if (fd >= 0)
		close(fd);
}

bool shell_open(struct daemon *d, const struct shell_setup *setup)
{
	char why[256];

	*d = (struct daemon){.setup = *setup, .options = setup->options, .loop = setup->loop};
	d->sink = (struct log_sink){.write = tee, .ctx = d, .level = setup->options->log_level};
	d->log = &d->sink;
	take_crash_secret(d);
	start_watchers(d);
	if (setup->state >= 0)
		d->publish = publish_open(setup->state, d->log);
	return open_plane(d) && open_helper(d) && open_engine(d) && open_effects(d) &&
	       open_network(d, why, sizeof(why)) && open_control(d, why, sizeof(why)) &&
	       open_meters(d);
}

void shell_close(struct daemon *d)
{
	stop_watchers(d);
	meters_free(d->meters);
	d->meters = NULL;
	reload_free(d->reload);
	changes_close(d->changes);
	effects_free(d->effects);
	early_free(d->early);
	drains_free(d->drains);
	ike_engine_free(d->engine);
	d->engine = NULL;
	pools_free(d->pools);
	tunnels_free(d->tunnels);
	if (d->means)
		d->means->act->close(d->means);
	resolver_free(d->resolver);
	helper_client_free(d->helper);
	netlink_close(d->netlink);
	explicit_bzero(d->crash_secret, sizeof(d->crash_secret));
	control_close(d->control); /* with its lock: until then nobody may flush */
	d->control = NULL;
	publish_close(d->publish, d->stopping);
}

void shell_started(struct daemon *d, bool ok)
{
	d->running = true;
	ike_engine_loading(d->engine, false);
	if (!ok) {
		d->setup.started(d->setup.ctx, false);
		return;
	}
	log_to(d->log, LOG_LEVEL_NOTICE, "ike", "", "ipsecd " DETOUR_VERSION " runs");
	d->setup.started(d->setup.ctx, true);
	ev_timer_start(d->loop, &d->settle);
}

void shell_start(struct daemon *d)
{
	bool again = false;

	if (!restore_run(d, &again)) {
		reload_run(d->reload, 0);
		return;
	}
	settle(d); /* all that is wanted is there */
	shell_started(d, true);
	if (again)
		reload_run(d->reload, 0);
}
