/* The bridge's life: everything is made, read anew and taken down here. */
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/device_users.h"

#include <stdio.h>
#include <stdlib.h>

#define DRAIN_TIMEOUT_MS 1000

/* ---- configuration ---- */

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
	bridge_fit_sessions(b, same_zebra);
	if (strcmp(old->vici, config->vici) != 0) {
		vici_free(b->vici);
		b->vici = vici_new(&b->vici_host, config->vici);
		bridge_vici_lost(b);
	}
	bridge_repair_fit(b, old);
	bridge_bfd_fit(b);
	bridge_quality_fit(b);
	if (!same_zebra) {
		bridge_settings_fit(b);
		bridge_silent_fit(b);
	}
	bridge_settings_look(b);
	bridge_watch_fit(b);
	bridge_paths_fit(b, old);
	bridge_describe_fit(b, old);
	bridge_config_free(old);
	tunnels_touch(b->tunnels, "the configuration changed");
	bridge_reconcile(b);
}

/* ---- life ---- */

static void release(struct bridge *b)
{
	bridge_watch_end(b);
	bridge_bfd_end(b);
	bridge_quality_end(b);
	bridge_paths_end(b);
	bridge_repair_end(b);
	bridge_verdicts_forget(b);
	bridge_settings_end(b);
	bridge_silent_end(b);
	bridge_fib_end(b);
	bridge_describe_end(b); /* closes b->netlink, which the others use */
	for (unsigned i = 0; i < b->n_sessions; i++)
		zebra_free(b->sessions[i]);
	vici_free(b->vici);
	bridge_claims_end(b);
	ev_timer_stop(b->loop, &b->vici_hold);
	ev_timer_stop(b->loop, &b->sweep);
	routes_free(b->routes);
	paths_free(b->paths);
	tunnels_free(b->tunnels);
	device_users_free(b->users);
	interfaces_free(b->interfaces);
	bridge_kernel_end(b);
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
	b->ike_silent = true;
	bridge_claims_init(b);
	bridge_vici_init(b);
	bridge_zebra_init(b);
	lock_init(&b->lock, config->zserv);
	b->interfaces = interfaces_new();
	b->tunnels = tunnels_new();
	b->users = device_users_new();
	b->routes = routes_new(log);
	b->paths = paths_new();
	snprintf(why, size, "out of memory");
	if (b->interfaces && b->tunnels && b->users && b->routes && b->paths &&
	    lock_acquire(&b->lock, why, size) != LOCK_BUSY)
		b->vici = vici_new(&b->vici_host, config->vici);
	if (!b->vici) {
		release(b);
		return NULL;
	}
	bridge_kernel_init(b);
	bridge_fib_init(b);
	bridge_fit_sessions(b, true);
	bridge_repair_fit(b, NULL);
	bridge_bfd_fit(b);
	bridge_settings_fit(b);
	bridge_silent_fit(b);
	bridge_watch_fit(b);
	bridge_paths_fit(b, NULL);
	return b;
}

void bridge_free(struct bridge *b)
{
	b->ike_silent = true;
	tunnels_disconnected(b->tunnels);
	tunnels_forget(b->tunnels, "routed-bridge ends");
	bridge_reconcile(b);
	for (unsigned i = 0; i < b->n_sessions; i++) {
		if (zebra_ready(b->sessions[i]) && !zebra_drain(b->sessions[i], DRAIN_TIMEOUT_MS))
			log_to(b->log, LOG_LEVEL_WARN, "zebra", "",
			       "zebra took not every withdrawal; it removes the rest by itself");
	}
	release(b);
}
