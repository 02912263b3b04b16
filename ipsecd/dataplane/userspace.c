/* The userspace data plane: a TUN device per tunnel over the packet paths of forward.h,
 * driven by the host's event loop. This file has the table of verbs, opening and closing and
 * the tick. Must not know IKE, configuration files or UDP. docs/dataplane.md has the rules. */
#include "ipsecd/dataplane/userspace.h"

#include "ipsecd/dataplane/mss.h"
#include "lib/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct tunnel *tunnel_find(const struct dataplane *d, uint32_t id)
{
	return (struct tunnel *)forward_tunnel_find(&d->forward, id);
}

/* ---- the plane ---- */

/* The device goes first: a slot without one is made good, one without a slot is not. */
static void tunnel_free(struct dataplane *d, struct tunnel *t)
{
	userspace_device_forget(t);
	userspace_device_detach(t);
	forward_hold(&d->forward, true);
	userspace_lanes_forget(d, t);
	forward_tunnel_remove(&d->forward, &t->forward);
	forward_hold(&d->forward, false);
	free(t);
}

/* NULL with *e. */
static struct tunnel *tunnel_new(struct dataplane *d, uint32_t id,
				 const struct tunnel_config *config, enum dataplane_error *e)
{
	struct tunnel *t = calloc(1, sizeof(*t));

	if (!t) {
		*e = forward_fail(&d->forward, DATAPLANE_NO_MEMORY, "out of memory");
		return NULL;
	}
	t->plane = d;
	t->config = *config;
	t->info.kind = "tun";
	memcpy(t->info.name, config->name, sizeof(t->info.name));
	*e = forward_tunnel_add(&d->forward, &t->forward, id, t->config.name);
	if (*e == DATAPLANE_OK)
		return t;
	free(t);
	return NULL;
}

enum dataplane_error userspace_keep(struct tunnel *t)
{
	const struct area_tunnel as = {.id = t->forward.id,
				       .ifindex = t->info.ifindex,
				       .link_up = t->info.link_up,
				       .admin_up = t->info.admin_up,
				       .config = t->config};

	return forward_tunnel_keep(&t->plane->forward, &t->forward, &as);
}

/* ---- what a former process left ---- */

static void restore_tunnel(void *ctx, struct area_slot *slot)
{
	struct dataplane *d = ctx;
	enum dataplane_error e;
	struct area_tunnel as;
	struct tunnel *t;

	area_tunnel_get(slot, &as);
	t = tunnel_new(d, as.id, &as.config, &e);
	if (!t) {
		log_to(d->forward.host.log, LOG_LEVEL_ERROR, "knl", as.config.name,
		       "a tunnel of the former process can't go on: %s", d->forward.error);
		area_slot_free(slot);
		return;
	}
	t->forward.slot = slot;
	t->forward.claimed = false;
	userspace_device_restore(t, &as);
	userspace_keep(t);
}

static void restore(struct dataplane *d)
{
	struct sa_area *area = d->forward.area;
	const struct log_sink *log = d->forward.host.log;

	if (area_dropped(area))
		log_to(log, LOG_LEVEL_NOTICE, "knl", "",
		       "%u entries of the former process were not whole and are dropped",
		       area_dropped(area));
	if (!area_each_tunnel(area, restore_tunnel, d))
		log_to(log, LOG_LEVEL_ERROR, "knl", "",
		       "out of memory: the tunnels of the former process can't go on");
	forward_restore(&d->forward);
	if (area_tunnels(area))
		log_to(log, LOG_LEVEL_NOTICE, "knl", "",
		       "going on with %u tunnels and %u CHILD_SAs of the former process",
		       area_tunnels(area), area_children(area));
}

static void userspace_close(struct dataplane *d);

static struct dataplane *userspace_open(const struct dataplane_host *host)
{
	struct dataplane *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	forward_init(&d->forward, host, userspace_write);
	d->netlink = netlink_open();
	d->mss = mss_open(host->log);
	userspace_packets_open(d);
	if (!userspace_lanes_open(d) || !d->netlink || !d->mss || !userspace_changes_open(d)) {
		log_to(host->log, LOG_LEVEL_ERROR, "knl", "", "opening the plane: %s",
		       strerror(errno));
		userspace_close(d);
		return NULL;
	}
	if (host->area)
		restore(d);
	userspace_set_clock(d);
	return d;
}

static void userspace_close(struct dataplane *d)
{
	while (d->forward.tunnels)
		tunnel_free(d, (struct tunnel *)d->forward.tunnels);
	ev_io_stop(d->forward.host.loop, &d->changes);
	userspace_going_free(d);
	userspace_packets_close(d);
	userspace_lanes_close(d);
	mss_close(d->mss);
	netlink_monitor_close(d->monitor);
	netlink_close(d->netlink);
	forward_release(&d->forward);
	free(d);
}

/* ---- the verbs ---- */

/* Lanes have the name for their log. */
static void set_config(struct tunnel *t, const struct tunnel_config *config)
{
	forward_hold(&t->plane->forward, true);
	t->config = *config;
	forward_hold(&t->plane->forward, false);
}

static enum dataplane_error apply_update(struct tunnel *t, const struct tunnel_config *config)
{
	struct tunnel_config old = t->config;
	enum dataplane_error e;
	int error;

	set_config(t, config);
	if (!t->present)
		return userspace_device_create(t);
	e = userspace_device_set_addrs(t, &old, config);
	if (e != DATAPLANE_OK) {
		set_config(t, &old);
		return e;
	}
	userspace_device_announce(t); /* also those that somebody removed */
	error = userspace_device_set_mtu(t);
	t->info.as_made = error == 0 && !t->plane->blind;
	t->plane->n_changes += !t->info.as_made;
	return error ? userspace_failed(t->plane, t, "MTU", error) : DATAPLANE_OK;
}

static enum dataplane_error update(struct tunnel *t, const struct tunnel_config *config)
{
	enum dataplane_error e = apply_update(t, config);

	userspace_keep(t);
	return e;
}

static enum dataplane_error make_device(struct tunnel *t, bool later)
{
	enum dataplane_error e;

	t->plane->later = later;
	e = userspace_device_create(t);
	t->plane->later = false;
	return e;
}

static enum dataplane_error create(struct dataplane *d, uint32_t id,
				   const struct tunnel_config *config, bool later)
{
	enum dataplane_error e;
	struct tunnel *t = (struct tunnel *)forward_tunnel_claim(&d->forward, id, config->name, &e);

	if (t)
		return t->present && tunnel_config_equal(&t->config, config) ? DATAPLANE_OK
									     : update(t, config);
	if (e == DATAPLANE_OK)
		t = tunnel_new(d, id, config, &e);
	if (!t)
		return e;
	/* The slot first: what becomes of the device is made good then, wherever we end. */
	e = userspace_keep(t);
	if (e == DATAPLANE_OK)
		e = make_device(t, later);
	if (e == DATAPLANE_OK && !t->unfinished)
		e = userspace_keep(t);
	if (e != DATAPLANE_OK)
		tunnel_free(d, t);
	return e;
}

static enum dataplane_error userspace_tunnel_create(struct dataplane *d, uint32_t id,
						    const struct tunnel_config *config)
{
	return create(d, id, config, false);
}

static enum dataplane_error userspace_tunnel_begin(struct dataplane *d, uint32_t id,
						   const struct tunnel_config *config)
{
	return create(d, id, config, true);
}

static struct tunnel *tunnel_for(struct dataplane *d, uint32_t id, enum dataplane_error *e)
{
	struct tunnel *t = tunnel_find(d, id);

	*e = t ? DATAPLANE_OK : forward_fail(&d->forward, DATAPLANE_NOT_FOUND, "no tunnel %u", id);
	return t;
}

static enum dataplane_error userspace_tunnel_finish(struct dataplane *d, uint32_t id)
{
	enum dataplane_error e;
	struct tunnel *t = tunnel_for(d, id, &e);

	if (!t || !t->unfinished)
		return e;
	e = userspace_device_finish(t);
	if (e == DATAPLANE_OK)
		e = userspace_keep(t);
	if (e != DATAPLANE_OK)
		tunnel_free(d, t);
	return e;
}

static enum dataplane_error userspace_tunnel_update(struct dataplane *d, uint32_t id,
						    const struct tunnel_config *config)
{
	enum dataplane_error e;
	struct tunnel *t = tunnel_for(d, id, &e);

	if (!t)
		return e;
	if (strcmp(t->config.name, config->name) != 0)
		return forward_fail(&d->forward, DATAPLANE_UNSUPPORTED,
				    "a device keeps its name (%s, not %s)", t->config.name,
				    config->name);
	return update(t, config);
}

static enum dataplane_error userspace_tunnel_remove(struct dataplane *d, uint32_t id)
{
	enum dataplane_error e;
	struct tunnel *t = tunnel_for(d, id, &e);

	if (t)
		tunnel_free(d, t);
	return e;
}

static enum dataplane_error userspace_tunnel_set_link(struct dataplane *d, uint32_t id, bool up)
{
	enum dataplane_error e;
	struct tunnel *t = tunnel_for(d, id, &e);
	bool was;
	int error;

	if (!t)
		return e;
	was = t->info.link_up;
	t->info.link_up = up;
	userspace_keep(t);
	if (!t->present)
		return forward_fail(&d->forward, DATAPLANE_SYSTEM, "%s: the device is gone",
				    t->config.name);
	if (up && !was) {
		userspace_device_announce(t);
		t->announce = DEVICE_ANNOUNCE_TICKS;
	}
	error = device_set_link(d->netlink, t->tun.ifindex, up);
	return error ? userspace_failed(d, t, "operstate", error) : DATAPLANE_OK;
}

static uint64_t userspace_tunnel_changes(struct dataplane *d)
{
	return d->blind ? 0 : d->n_changes + 1;
}

static bool userspace_tunnel_info(struct dataplane *d, uint32_t id,
				  struct dataplane_tunnel_info *out)
{
	const struct tunnel *t = tunnel_find(d, id);

	if (!t)
		return false;
	*out = t->info;
	return true;
}

static enum dataplane_error userspace_child_install(struct dataplane *d,
						    const struct child_sa *child)
{
	enum dataplane_error e;

	/* What came before it passes before what comes by other lanes. */
	forward_hold(&d->forward, true);
	userspace_take_passed(d);
	e = forward_child_install(&d->forward, child);
	if (e == DATAPLANE_OK)
		userspace_pass_held(d, child->spi_in);
	forward_hold(&d->forward, false);
	if (e == DATAPLANE_OK)
		userspace_device_mtu_follows(tunnel_find(d, child->tunnel));
	userspace_set_clock(d);
	return e;
}

static enum dataplane_error userspace_child_update(struct dataplane *d,
						   const struct child_sa *child)
{
	enum dataplane_error e = forward_child_update(&d->forward, child);

	if (e == DATAPLANE_OK)
		userspace_device_mtu_follows(
			tunnel_find(d, sadb_by_id(&d->forward.sadb, child->id)->child.tunnel));
	userspace_set_clock(d);
	return e;
}

static enum dataplane_error userspace_child_remove(struct dataplane *d, uint64_t child)
{
	const struct sa *sa = sadb_by_id(&d->forward.sadb, child);
	uint32_t tunnel = sa ? sa->child.tunnel : 0;
	enum dataplane_error e = forward_child_remove(&d->forward, child);

	if (e == DATAPLANE_OK)
		userspace_device_mtu_follows(tunnel_find(d, tunnel));
	return e;
}

static bool userspace_child_stats(struct dataplane *d, uint64_t child,
				  struct dataplane_child_stats *out)
{
	return forward_child_stats(&d->forward, child, out);
}

static void userspace_ike_passed(struct dataplane *d, const struct endpoint *remote, mono_time now)
{
	forward_ike_passed(&d->forward, remote, now);
}

static void userspace_tick(struct dataplane *d, mono_time now)
{
	unsigned announce = DEVICE_ANNOUNCE_MOST;
	struct tunnel *t, *next;

	forward_tick(&d->forward, now);
	userspace_set_clock(d);
	mss_tick(d->mss);
	HASH_ITER (by_ifindex, d->by_ifindex, t, next)
		userspace_device_tick(t, now, &announce);
	userspace_device_not_told(d, "", netlink_send_held(d->netlink));
}

static void userspace_path_changed(struct dataplane *d, const struct addr *remote, uint32_t mtu)
{
	struct tunnel *t, *next;

	HASH_ITER (by_ifindex, d->by_ifindex, t, next) {
		if (forward_tunnel_reaches(&t->forward, remote))
			userspace_device_path_changed(t, mtu);
	}
}

/* Devices go with the process; after a kill the MSS clamp stays. */
static bool userspace_flush(const struct log_sink *log, char *why, size_t size)
{
	(void)log;
	return mss_flush(why, size);
}

static void userspace_unsettle(struct dataplane *d)
{
	forward_unsettle(&d->forward);
}

/* A link without a CHILD_SA is not UP, whoever set it. */
static void settle_tunnel(struct dataplane *d, struct tunnel *t)
{
	if (!t->forward.claimed) {
		log_to(d->forward.host.log, LOG_LEVEL_NOTICE, "knl", t->config.name,
		       "device %s was of a former process and is nobody's now: removed",
		       t->config.name);
		tunnel_free(d, t);
		return;
	}
	userspace_device_mtu_follows(t);
	if (!t->forward.newest && t->info.link_up)
		userspace_tunnel_set_link(d, t->forward.id, false);
}

static void userspace_settled(struct dataplane *d)
{
	struct forward_tunnel *t, *next;

	forward_settled(&d->forward);
	HASH_ITER (hh, d->forward.tunnels, t, next)
		settle_tunnel(d, (struct tunnel *)t);
	mss_settled(d->mss);
}

/* Where their device is missing the sockets are bound to lo, so that nothing leaves: the paths are
 * those of before. */
static void userspace_bound(struct dataplane *d, const char *device)
{
	struct tunnel *t, *next;

	if (strcmp(device, "lo") == 0 || strncmp(device, d->bound, sizeof(d->bound)) == 0)
		return;
	snprintf(d->bound, sizeof(d->bound), "%s", device);
	HASH_ITER (by_ifindex, d->by_ifindex, t, next)
		t->path_at = mono_now() - DEVICE_MTU_PERIOD; /* with the next tick */
}

static const char *userspace_last_error(struct dataplane *d)
{
	return d->forward.error;
}

static bool userspace_resources(struct dataplane *d)
{
	(void)d;
	return true;
}

const struct dataplane_ops dataplane_userspace = {
	.name = "userspace",
	.encap_better = true,
	.resources = userspace_resources,
	.plain = true,
	.aggfrag = true,
	.probe = tun_probe,
	.open = userspace_open,
	.close = userspace_close,
	.flush = userspace_flush,
	.unsettle = userspace_unsettle,
	.settled = userspace_settled,
	.tunnel_create = userspace_tunnel_create,
	.tunnel_begin = userspace_tunnel_begin,
	.tunnel_finish = userspace_tunnel_finish,
	.tunnel_update = userspace_tunnel_update,
	.tunnel_remove = userspace_tunnel_remove,
	.tunnel_set_link = userspace_tunnel_set_link,
	.tunnel_info = userspace_tunnel_info,
	.changes = userspace_tunnel_changes,
	.child_install = userspace_child_install,
	.child_update = userspace_child_update,
	.child_remove = userspace_child_remove,
	.child_stats = userspace_child_stats,
	.esp_input = userspace_esp_input,
	.esp_flush = userspace_esp_flush,
	.add_worker = userspace_add_worker,
	.ike_passed = userspace_ike_passed,
	.path_changed = userspace_path_changed,
	.bound = userspace_bound,
	.tick = userspace_tick,
	.counters = userspace_counters,
	.last_error = userspace_last_error,
};
