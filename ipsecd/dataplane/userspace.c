/* The userspace data plane: a TUN device per tunnel over the packet paths of forward.h,
 * driven by the host's event loop. Owns the devices, the rtnetlink sockets and the
 * buffer in which outbound packets are sealed; the only file here that reads the clock.
 * Must not know IKE, configuration files or UDP. docs/dataplane.md has the rules. */
#include "ipsecd/dataplane/device.h"
#include "ipsecd/dataplane/forward.h"
#include "ipsecd/dataplane/mss.h"
#include "ipsecd/dataplane/tun.h"
#include "lib/netlink.h"

#include <errno.h>
#include <ev.h>
#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#define BATCH	 64    /* packets of one device in one wakeup */
#define READ_MAX 65535 /* a TUN device's largest packet */

struct tunnel {
	struct forward_tunnel forward; /* first: forward hands it back */
	struct dataplane *plane;
	struct tunnel_config config;
	struct tun tun;
	struct dataplane_tunnel_info info;	/* as told to the kernel, or heard from it */
	bool present;				/* the device is there */
	bool dirty;				/* the monitor told of it: look at it anew */
	struct tunnel *dirty_prev, *dirty_next; /* dataplane.dirty */
	unsigned announce;			/* ticks in which the addresses are told again */
	ev_io readable;
	UT_hash_handle by_ifindex;
};

struct dataplane {
	struct forward forward;
	struct netlink *netlink;
	struct netlink_monitor *monitor;
	struct mss *mss;
	ev_io changes;
	struct tunnel *by_ifindex, *dirty;
	uint8_t out[ESP_HEADROOM + READ_MAX + ESP_TAILROOM];
};

static void say(const struct tunnel *t, enum log_level level, const char *text)
{
	log_to(t->plane->forward.host.log, level, "knl", t->config.name, "%s", text);
}

static struct tunnel *tunnel_find(const struct dataplane *d, uint32_t id)
{
	return (struct tunnel *)forward_tunnel_find(&d->forward, id);
}

/* ---- packets ---- */

static bool write_packet(struct forward_tunnel *f, const uint8_t *packet, size_t len)
{
	const struct tunnel *t = (const struct tunnel *)f;

	return t->present && tun_write(&t->tun, packet, len);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct tunnel *t = w->data;
	struct dataplane *d = t->plane;
	mono_time now = mono_now();

	(void)revents;
	for (unsigned n = 0; n < BATCH; n++) {
		int len = tun_read(&t->tun, d->out + ESP_HEADROOM, READ_MAX);

		if (len > 0) {
			forward_output(&d->forward, &t->forward, d->out + ESP_HEADROOM, (size_t)len,
				       now);
			continue;
		}
		if (len != -EAGAIN)
			ev_io_stop(loop, w); /* the device is gone; the monitor tells the rest */
		break;
	}
	forward_report(&d->forward, now);
}

/* ---- the device ---- */

static enum dataplane_error system_failed(struct dataplane *d, const struct tunnel *t,
					  const char *what, int error)
{
	return forward_fail(&d->forward, DATAPLANE_SYSTEM, "%s: %s: %s", t->config.name, what,
			    netlink_strerror(d->netlink, error));
}

static uint16_t wanted_mtu(const struct tunnel *t)
{
	uint16_t mtu = forward_tunnel_mtu(&t->forward, DEVICE_PATH_MTU);

	if (t->config.mtu)
		return t->config.mtu;
	return mtu ? mtu : t->info.mtu ? t->info.mtu : DEVICE_MTU_NO_SA;
}

/* A tunnel works without it; the log has why. */
static void clamp_mss(struct tunnel *t)
{
	mss_set(t->plane->mss, t->config.name, t->config.mss, t->info.mtu);
}

static int set_mtu(struct tunnel *t)
{
	uint16_t mtu = wanted_mtu(t);
	int e = 0;

	if (!t->present)
		return 0;
	if (mtu != t->info.mtu)
		e = netlink_link_set_mtu(t->plane->netlink, t->tun.ifindex, mtu);
	if (e)
		return e;
	t->info.mtu = mtu;
	clamp_mss(t);
	return 0;
}

/* Takes what set_mtu returned where the change itself must not fail for it. */
static void mtu_follows(struct tunnel *t)
{
	char text[96];
	int e = set_mtu(t);

	if (e == 0)
		return;
	snprintf(text, sizeof(text), "MTU %u refused: %s", wanted_mtu(t),
		 netlink_strerror(t->plane->netlink, e));
	say(t, LOG_LEVEL_WARN, text);
}

static enum dataplane_error set_addrs(struct tunnel *t, const struct tunnel_config *from,
				      const struct tunnel_config *to)
{
	struct dataplane *d = t->plane;
	const struct prefix *at = NULL;
	char what[32 + PREFIX_TEXT], text[PREFIX_TEXT];
	int e = device_set_addrs(d->netlink, t->tun.ifindex, from, to, &at);

	if (e == 0)
		return DATAPLANE_OK;
	snprintf(what, sizeof(what), "address %s", prefix_format(at, text));
	return system_failed(d, t, what, e);
}

/* zebra 8.x reads links and addresses in two threads and forgets the address of a link
 * that it has not seen yet (FRR issue 13288); BGP over the tunnel then never starts. An
 * address that is set anew is told anew, and changes nothing for who knows it. */
static void addrs_announce(struct tunnel *t)
{
	static const struct tunnel_config nothing;

	if (t->present && set_addrs(t, &nothing, &t->config) != DATAPLANE_OK)
		say(t, LOG_LEVEL_WARN, t->plane->forward.error);
}

static void device_attach(struct tunnel *t)
{
	struct dataplane *d = t->plane;

	t->present = true;
	t->info.ifindex = t->tun.ifindex;
	HASH_ADD(by_ifindex, d->by_ifindex, tun.ifindex, sizeof(t->tun.ifindex), t);
	ev_io_init(&t->readable, on_readable, t->tun.fd, EV_READ);
	t->readable.data = t;
	ev_io_start(d->forward.host.loop, &t->readable);
}

static void device_detach(struct tunnel *t)
{
	struct dataplane *d = t->plane;

	if (!t->present)
		return;
	t->present = false;
	t->info.admin_up = false;
	t->info.ifindex = 0;
	ev_io_stop(d->forward.host.loop, &t->readable);
	HASH_DELETE(by_ifindex, d->by_ifindex, t);
	mss_clear(d->mss, t->config.name);
	tun_close(&t->tun);
}

static enum dataplane_error device_fill(struct tunnel *t)
{
	static const struct tunnel_config nothing;
	struct dataplane *d = t->plane;
	enum dataplane_error e = set_addrs(t, &nothing, &t->config);
	int error;

	if (e != DATAPLANE_OK)
		return e;
	t->info.mtu = 0; /* a new device: whatever it was before is to be set */
	error = set_mtu(t);
	if (error)
		return system_failed(d, t, "MTU", error);
	error = netlink_link_set_up(d->netlink, t->tun.ifindex, true);
	if (error)
		return system_failed(d, t, "setting it up", error);
	t->info.admin_up = true;
	t->announce = DEVICE_ANNOUNCE_TICKS;
	if (t->info.link_up) /* made again in the life of its CHILD_SAs */
		error = device_set_link(d->netlink, t->tun.ifindex, true);
	return error ? system_failed(d, t, "operstate", error) : DATAPLANE_OK;
}

static enum dataplane_error device_create(struct tunnel *t)
{
	struct dataplane *d = t->plane;
	int error = tun_open(&t->tun, d->netlink, t->config.name);
	enum dataplane_error e;

	if (error == -EEXIST)
		return forward_fail(&d->forward, DATAPLANE_EXISTS,
				    "device %s exists already and is not ours: remove it, or "
				    "give the tunnel another name",
				    t->config.name);
	if (error)
		return system_failed(d, t, "creating the TUN device", error);
	device_attach(t);
	e = device_fill(t);
	if (e != DATAPLANE_OK)
		device_detach(t);
	return e;
}

/* ---- changes that others make ---- */

static void tell_device(struct tunnel *t)
{
	struct dataplane_event event = {
		.kind = DATAPLANE_DEVICE_CHANGED,
		.tunnel = t->forward.id,
		.admin_up = t->info.admin_up,
		.present = t->present,
	};
	const struct dataplane_host *host = &t->plane->forward.host;

	say(t, LOG_LEVEL_NOTICE,
	    !t->present	       ? "somebody removed the device"
	    : t->info.admin_up ? "somebody set the device up"
			       : "somebody set the device down");
	host->event(host->ctx, &event);
}

/* The operator's up or down is obeyed; operstate is ours, and is put right when the
 * kernel (carrier events) or somebody else changed it. true: something to tell. */
static bool device_refresh(struct tunnel *t)
{
	struct dataplane *d = t->plane;
	struct netlink_link link;
	bool up, was = t->info.admin_up;
	int e = netlink_link_get(d->netlink, t->tun.ifindex, &link);

	if (e == -ENODEV)
		device_detach(t);
	if (e)
		return e == -ENODEV;
	up = (link.flags & IFF_UP) != 0;
	if (up && link.operstate != (t->info.link_up ? IF_OPER_UP : IF_OPER_DORMANT))
		device_set_link(d->netlink, t->tun.ifindex, t->info.link_up);
	if (t->info.mtu != (uint16_t)link.mtu) {
		t->info.mtu = (uint16_t)link.mtu;
		clamp_mss(t);
	}
	t->info.admin_up = up;
	if (up && !was)
		addrs_announce(t);
	return up != was;
}

static void mark_dirty(struct tunnel *t)
{
	if (t->dirty)
		return;
	t->dirty = true;
	DL_APPEND2(t->plane->dirty, t, dirty_prev, dirty_next);
}

static void unmark_dirty(struct tunnel *t)
{
	if (!t->dirty)
		return;
	t->dirty = false;
	DL_DELETE2(t->plane->dirty, t, dirty_prev, dirty_next);
}

static void on_changes(struct ev_loop *loop, ev_io *w, int revents)
{
	struct dataplane *d = w->data;
	int e = netlink_monitor_read(d->monitor);

	(void)revents;
	if (e) {
		log_to(d->forward.host.log, LOG_LEVEL_ERROR, "knl", "",
		       "rtnetlink: %s; what others do to devices is not seen any more",
		       strerror(-e));
		ev_io_stop(loop, w);
	}
	/* One by one off the list: the listener may create and remove tunnels. */
	while (d->dirty) {
		struct tunnel *t = d->dirty;

		unmark_dirty(t);
		if (t->present && device_refresh(t))
			tell_device(t);
	}
}

static void link_changed(void *ctx, const struct netlink_link *link)
{
	struct dataplane *d = ctx;
	struct tunnel *t;

	HASH_FIND(by_ifindex, d->by_ifindex, &link->ifindex, sizeof(link->ifindex), t);
	if (t)
		mark_dirty(t);
}

static void addr_changed(void *ctx, const struct netlink_addr *addr)
{
	struct dataplane *d = ctx;
	struct tunnel *t;

	HASH_FIND(by_ifindex, d->by_ifindex, &addr->ifindex, sizeof(addr->ifindex), t);
	if (t)
		device_addr_changed(d->netlink, &t->config, addr, d->forward.host.log);
}

static void changes_lost(void *ctx)
{
	struct dataplane *d = ctx;
	struct tunnel *t, *next;

	HASH_ITER (by_ifindex, d->by_ifindex, t, next)
		mark_dirty(t);
}

/* ---- the plane ---- */

static void userspace_close(struct dataplane *d);

static struct dataplane *userspace_open(const struct dataplane_host *host)
{
	struct netlink_monitor_host monitor = {
		.link = link_changed, .addr = addr_changed, .lost = changes_lost};
	struct dataplane *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	forward_init(&d->forward, host, write_packet);
	d->forward.room = READ_MAX;
	monitor.ctx = d;
	d->netlink = netlink_open();
	d->monitor = netlink_monitor_open(&monitor);
	d->mss = mss_open(host->log);
	if (!d->netlink || !d->monitor || !d->mss) {
		log_to(host->log, LOG_LEVEL_ERROR, "knl", "", "rtnetlink: %s", strerror(errno));
		userspace_close(d);
		return NULL;
	}
	ev_io_init(&d->changes, on_changes, netlink_monitor_fd(d->monitor), EV_READ);
	d->changes.data = d;
	ev_io_start(host->loop, &d->changes);
	return d;
}

static void tunnel_free(struct dataplane *d, struct tunnel *t)
{
	forward_tunnel_remove(&d->forward, &t->forward);
	unmark_dirty(t);
	device_detach(t);
	free(t);
}

static void userspace_close(struct dataplane *d)
{
	while (d->forward.tunnels)
		tunnel_free(d, (struct tunnel *)d->forward.tunnels);
	ev_io_stop(d->forward.host.loop, &d->changes);
	mss_close(d->mss);
	netlink_monitor_close(d->monitor);
	netlink_close(d->netlink);
	free(d);
}

/* ---- the verbs ---- */

static enum dataplane_error userspace_tunnel_create(struct dataplane *d, uint32_t id,
						    const struct tunnel_config *config)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	enum dataplane_error e;

	if (!t)
		return forward_fail(&d->forward, DATAPLANE_NO_MEMORY, "out of memory");
	t->plane = d;
	t->config = *config;
	t->info.kind = "tun";
	memcpy(t->info.name, config->name, sizeof(t->info.name));
	e = forward_tunnel_add(&d->forward, &t->forward, id, t->config.name);
	if (e != DATAPLANE_OK) {
		free(t);
		return e;
	}
	e = device_create(t);
	if (e != DATAPLANE_OK)
		tunnel_free(d, t);
	return e;
}

static struct tunnel *tunnel_for(struct dataplane *d, uint32_t id, enum dataplane_error *e)
{
	struct tunnel *t = tunnel_find(d, id);

	*e = t ? DATAPLANE_OK : forward_fail(&d->forward, DATAPLANE_NOT_FOUND, "no tunnel %u", id);
	return t;
}

static enum dataplane_error userspace_tunnel_update(struct dataplane *d, uint32_t id,
						    const struct tunnel_config *config)
{
	struct tunnel_config old;
	enum dataplane_error e;
	struct tunnel *t = tunnel_for(d, id, &e);
	int error;

	if (!t)
		return e;
	if (strcmp(t->config.name, config->name) != 0)
		return forward_fail(&d->forward, DATAPLANE_UNSUPPORTED,
				    "a device keeps its name (%s, not %s)", t->config.name,
				    config->name);
	old = t->config;
	t->config = *config;
	if (!t->present)
		return device_create(t);
	e = set_addrs(t, &old, config);
	if (e != DATAPLANE_OK) {
		t->config = old;
		return e;
	}
	addrs_announce(t); /* also those that somebody removed */
	error = set_mtu(t);
	return error ? system_failed(d, t, "MTU", error) : DATAPLANE_OK;
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
	int error;

	if (!t)
		return e;
	t->info.link_up = up;
	if (!t->present)
		return forward_fail(&d->forward, DATAPLANE_SYSTEM, "%s: the device is gone",
				    t->config.name);
	if (up) {
		addrs_announce(t);
		t->announce = DEVICE_ANNOUNCE_TICKS;
	}
	error = device_set_link(d->netlink, t->tun.ifindex, up);
	return error ? system_failed(d, t, "operstate", error) : DATAPLANE_OK;
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
	enum dataplane_error e = forward_child_install(&d->forward, child);

	if (e == DATAPLANE_OK)
		mtu_follows(tunnel_find(d, child->tunnel));
	return e;
}

static enum dataplane_error userspace_child_update(struct dataplane *d,
						   const struct child_sa *child)
{
	enum dataplane_error e = forward_child_update(&d->forward, child);

	if (e == DATAPLANE_OK)
		mtu_follows(tunnel_find(d, sadb_by_id(&d->forward.sadb, child->id)->child.tunnel));
	return e;
}

static enum dataplane_error userspace_child_remove(struct dataplane *d, uint64_t child)
{
	const struct sa *sa = sadb_by_id(&d->forward.sadb, child);
	uint32_t tunnel = sa ? sa->child.tunnel : 0;
	enum dataplane_error e = forward_child_remove(&d->forward, child);

	if (e == DATAPLANE_OK)
		mtu_follows(tunnel_find(d, tunnel));
	return e;
}

static bool userspace_child_stats(struct dataplane *d, uint64_t child,
				  struct dataplane_child_stats *out)
{
	return forward_child_stats(&d->forward, child, out);
}

static void userspace_esp_input(struct dataplane *d, const struct endpoint *local,
				const struct endpoint *remote, uint8_t *packet, size_t len,
				mono_time now)
{
	(void)local; /* an inbound SA is its SPI (RFC 4301 4.1: enough for unicast) */
	forward_input(&d->forward, remote, packet, len, now);
}

static void userspace_tick(struct dataplane *d, mono_time now)
{
	struct tunnel *t, *next;

	forward_tick(&d->forward, now);
	mss_tick(d->mss);
	HASH_ITER (by_ifindex, d->by_ifindex, t, next) {
		if (t->announce) {
			t->announce--;
			addrs_announce(t);
		}
	}
}

/* Devices go with the process; after a kill the MSS clamp stays. */
static bool userspace_flush(const struct log_sink *log, char *why, size_t size)
{
	(void)log;
	return mss_flush(why, size);
}

static void userspace_settled(struct dataplane *d)
{
	mss_settled(d->mss);
}

static const uint64_t *userspace_counters(struct dataplane *d)
{
	return d->forward.drops;
}

static const char *userspace_last_error(struct dataplane *d)
{
	return d->forward.error;
}

const struct dataplane_ops dataplane_userspace = {
	.name = "userspace",
	.encap_only = true,
	.plain = true,
	.probe = tun_probe,
	.open = userspace_open,
	.close = userspace_close,
	.flush = userspace_flush,
	.settled = userspace_settled,
	.tunnel_create = userspace_tunnel_create,
	.tunnel_update = userspace_tunnel_update,
	.tunnel_remove = userspace_tunnel_remove,
	.tunnel_set_link = userspace_tunnel_set_link,
	.tunnel_info = userspace_tunnel_info,
	.child_install = userspace_child_install,
	.child_update = userspace_child_update,
	.child_remove = userspace_child_remove,
	.child_stats = userspace_child_stats,
	.esp_input = userspace_esp_input,
	.tick = userspace_tick,
	.counters = userspace_counters,
	.last_error = userspace_last_error,
};
