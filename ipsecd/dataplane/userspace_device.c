/* The TUN device of a tunnel of the userspace plane: owns what is set on it, and hears from
 * rtnetlink what others do to it. */
#include "ipsecd/dataplane/userspace.h"

#include "ipsecd/dataplane/mss.h"
#include "lib/netlink_device.h"

#include <errno.h>
#include <linux/if.h>
#include <stdio.h>
#include <utlist.h>

#define PATH_PAUSE (100 * MONO_MS)
/* What a queue of a device holds while plane waits for a processor: the kernel's 500 are 1.5 ms of
 * 64 byte packets at a rate that plane can take. Each costs the kernel 8 bytes, full or not, so
 * that of very many devices the later ones do with 500. */
#define RING	     2000
#define RING_DEVICES 1000 /* of one queue each; of several accordingly fewer */

static void say(const struct tunnel *t, enum log_level level, const char *text)
{
	log_to(t->plane->forward.host.log, level, "knl", t->config.name, "%s", text);
}

enum dataplane_error userspace_failed(struct dataplane *d, const struct tunnel *t, const char *what,
				      int error)
{
	return forward_fail(&d->forward, DATAPLANE_SYSTEM, "%s: %s: %s", t->config.name, what,
			    netlink_strerror(d->netlink, error));
}

struct narrowest {
	struct dataplane *plane;
	uint16_t path;
};

/* Where there is no route at the moment, nothing is sent either. */
static uint16_t path_mtu(void *ctx, const struct addr *local, const struct addr *remote)
{
	struct narrowest *n = ctx;
	struct netlink *nl = n->plane->netlink;
	int by = n->plane->bound[0] ? netlink_ifindex(nl, n->plane->bound) : 0;
	uint16_t mtu = by < 0 ? 0 : device_path_mtu(nl, local, remote, by);

	if (mtu == 0)
		mtu = DEVICE_PATH_MTU;
	if (n->path == 0 || mtu < n->path)
		n->path = mtu;
	return mtu;
}

/* RFC 4301 8.2: what the path holds. Not below what IPv6 needs: on such a path the outer packets
 * are fragmented (RFC 4459 3.1), which net/udp leaves possible. */
static uint16_t computed_mtu(struct tunnel *t)
{
	struct narrowest n = {.plane = t->plane};
	uint16_t mtu = forward_tunnel_mtu(&t->forward, path_mtu, &n);

	if (n.path && t->path && n.path != t->path)
		log_to(t->plane->forward.host.log, LOG_LEVEL_NOTICE, "knl", t->config.name,
		       "the path to the peer holds packets of %u bytes now, not of %u", n.path,
		       t->path);
	if (n.path)
		t->path = n.path;
	t->path_at = mono_now();
	return mtu && mtu < DEVICE_MTU_MIN ? DEVICE_MTU_MIN : mtu;
}

/* With a fixed MTU only what AGGFRAG's payloads hold. */
static bool follows_path(const struct tunnel *t)
{
	return !t->config.mtu || forward_tunnel_aggfrag(&t->forward);
}

static uint16_t wanted_mtu(struct tunnel *t)
{
	uint16_t mtu;

	if (!follows_path(t))
		return t->config.mtu;
	mtu = computed_mtu(t);
	if (t->config.mtu)
		return t->config.mtu;
	return mtu ? mtu : t->info.mtu ? t->info.mtu : DEVICE_MTU_NO_SA;
}

/* A tunnel works without it; the log has why. */
static void clamp_mss(struct tunnel *t)
{
	mss_set(t->plane->mss, t->config.name, t->config.mss, t->info.mtu);
}

static int set_mtu(struct tunnel *t, uint16_t mtu)
{
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

int userspace_device_set_mtu(struct tunnel *t)
{
	return set_mtu(t, wanted_mtu(t));
}

/* Takes what that returned where the change itself must not fail for it. */
void userspace_device_mtu_follows(struct tunnel *t)
{
	uint16_t mtu = wanted_mtu(t);
	char text[96];
	int e = set_mtu(t, mtu);

	if (e == 0)
		return;
	snprintf(text, sizeof(text), "MTU %u refused: %s", mtu,
		 netlink_strerror(t->plane->netlink, e));
	say(t, LOG_LEVEL_WARN, text);
}

/* ICMP messages may be forged: the kernel's route says what is believed of them, and it is not
 * asked for each. */
void userspace_device_path_changed(struct tunnel *t, uint32_t mtu)
{
	mono_time now = mono_now();

	if (!follows_path(t) || (mtu && t->path && mtu >= t->path))
		return;
	if (now - t->path_at >= PATH_PAUSE)
		userspace_device_mtu_follows(t);
	else
		t->path_at = now - DEVICE_MTU_PERIOD; /* with the next tick */
}

void userspace_device_not_told(struct dataplane *d, const char *name, int error)
{
	if (error)
		log_to(d->forward.host.log, LOG_LEVEL_WARN, "knl", name,
		       "addresses could not be told again: %s", strerror(-error));
}

/* With those of other devices: for each that is set alone the kernel looks at all that there are.
 */
static void tell_addrs(struct tunnel *t)
{
	struct dataplane *d = t->plane;

	netlink_hold(d->netlink, true);
	userspace_device_not_told(d, t->config.name,
				  device_tell_addrs(d->netlink, t->tun.ifindex, &t->config));
	netlink_hold(d->netlink, false);
}

void userspace_device_tick(struct tunnel *t, mono_time now, unsigned *announce)
{
	if (t->announce && *announce) {
		(*announce)--;
		t->announce--;
		tell_addrs(t);
	}
	if (t->forward.newest && follows_path(t) && now - t->path_at >= DEVICE_MTU_PERIOD)
		userspace_device_mtu_follows(t);
}

static enum dataplane_error address_failed(struct tunnel *t, const struct prefix *at, int error)
{
	char what[32 + PREFIX_TEXT], text[PREFIX_TEXT];

	snprintf(what, sizeof(what), "address %s", prefix_format(at, text));
	return userspace_failed(t->plane, t, what, error);
}

enum dataplane_error userspace_device_set_addrs(struct tunnel *t, const struct tunnel_config *from,
						const struct tunnel_config *to)
{
	struct dataplane *d = t->plane;
	const struct prefix *at = NULL;
	int e = device_set_addrs(d->netlink, t->tun.ifindex, from, to, &at);

	return e ? address_failed(t, at, e) : DATAPLANE_OK;
}

/* zebra 8.x reads links and addresses in two threads and forgets the address of a link
 * that it has not seen yet (FRR issue 13288); BGP over the tunnel then never starts. An
 * address that is set anew is told anew, and changes nothing for who knows it. */
void userspace_device_announce(struct tunnel *t)
{
	static const struct tunnel_config nothing;

	if (t->present && userspace_device_set_addrs(t, &nothing, &t->config) != DATAPLANE_OK)
		say(t, LOG_LEVEL_WARN, t->plane->forward.error);
}

static void unmade(struct tunnel *t)
{
	t->info.as_made = false;
	t->plane->n_changes++;
}

static void device_attach(struct tunnel *t)
{
	struct dataplane *d = t->plane;

	userspace_queues_open(t);
	forward_hold(&d->forward, true);
	t->present = true;
	t->info.ifindex = t->tun.ifindex;
	d->n_changes++;
	t->info.offloads = t->tun.offloads;
	t->forward.may_join = t->tun.offloads & OFFLOAD_VNET ? COALESCE_TCP : 0;
	if (t->tun.offloads & OFFLOAD_USO)
		t->forward.may_join |= COALESCE_UDP;
	HASH_ADD(by_ifindex, d->by_ifindex, tun.ifindex, sizeof(t->tun.ifindex), t);
	userspace_queues_read(t);
	forward_hold(&d->forward, false);
}

/* ---- there and not there ---- */

static void finished(struct tunnel *t)
{
	struct dataplane *d = t->plane;

	d->n_unfinished -= t->unfinished;
	t->unfinished = false;
	if (d->n_unfinished == 0)
		d->refused = false;
}

void userspace_device_detach(struct tunnel *t)
{
	struct dataplane *d = t->plane;

	finished(t);
	if (!t->present)
		return;
	forward_hold(&d->forward, true);
	t->present = false;
	if (d->asked == t)
		d->asked = NULL;
	userspace_queues_stop(t);
	forward_hold(&d->forward, false);
	t->info.admin_up = false;
	unmade(t);
	t->info.ifindex = 0;
	t->info.offloads = 0;
	userspace_queues_close(t);
	HASH_DELETE(by_ifindex, d->by_ifindex, t);
	mss_clear(d->mss, t->config.name);
	if (d->forward.host.drop_tun) {
		userspace_going_add(d, t->tun.ifindex);
		d->forward.host.drop_tun(d->forward.host.ctx, t->config.name);
	}
	tun_close(&t->tun);
}

/* Once for all devices: it is the kernel that has none. */
static void qdisc_refused(struct tunnel *t, int error)
{
	struct dataplane *d = t->plane;

	if (error == 0 || d->qdisc_refused)
		return;
	d->qdisc_refused = true;
	log_to(d->forward.host.log, LOG_LEVEL_INFO, "knl", t->config.name,
	       "no qdisc \"noqueue\" for TUN devices (%s): they have the system's default",
	       strerror(-error));
}

/* A kernel that refuses the qdisc would be asked for each device twice. */
static int ask_for_all(struct tunnel *t, uint16_t mtu, struct device_refused *refused)
{
	struct dataplane *d = t->plane;
	bool later = d->later && !d->qdisc_refused;
	int error;

	netlink_hold(d->netlink, later);
	error = device_fill(d->netlink, &t->tun, &t->config, mtu, d->plain, refused);
	netlink_hold(d->netlink, false);
	d->plain |= refused->first != 0;
	t->unfinished = later && !error;
	d->n_unfinished += t->unfinished;
	return error;
}

static enum dataplane_error fill(struct tunnel *t)
{
	struct dataplane *d = t->plane;
	uint16_t mtu = wanted_mtu(t);
	struct device_refused refused;
	char what[32];
	int error = ask_for_all(t, mtu, &refused);

	if (error && refused.addr)
		return address_failed(t, refused.addr, error);
	qdisc_refused(t, refused.qdisc);
	snprintf(what, sizeof(what), "setting it up, MTU %u", mtu);
	if (error)
		return userspace_failed(d, t, what, error);
	t->info.mtu = mtu;
	clamp_mss(t);
	t->info.admin_up = true;
	t->info.as_made = !d->blind;
	t->announce = DEVICE_ANNOUNCE_TICKS;
	if (t->info.link_up) /* made again in the life of its CHILD_SAs */
		error = device_set_link(d->netlink, t->tun.ifindex, true);
	return error ? userspace_failed(d, t, "operstate", error) : DATAPLANE_OK;
}

static uint32_t ring_of_next(const struct dataplane *d)
{
	return HASH_CNT(by_ifindex, d->by_ifindex) * d->n_lanes < RING_DEVICES ? RING : 0;
}

static int kept(const struct tunnel *t)
{
	const struct dataplane_host *host = &t->plane->forward.host;

	return host->kept_tun ? host->kept_tun(host->ctx, t->config.name) : -1;
}

static int make_tun(struct tunnel *t)
{
	const struct dataplane_host *host = &t->plane->forward.host;
	bool several = t->plane->n_lanes > 1;
	int e = tun_open(&t->tun, t->plane->netlink, t->config.name, several);

	if (e != -EMFILE || !host->keep_now)
		return e;
	host->keep_now(host->ctx);
	return tun_open(&t->tun, t->plane->netlink, t->config.name, several);
}

/* One that was kept is of a tunnel whose state was lost. */
static int device_open(struct tunnel *t)
{
	const struct dataplane_host *host = &t->plane->forward.host;
	struct netlink *nl = t->plane->netlink;
	int fd = kept(t), e;

	if (fd >= 0 && tun_adopt(&t->tun, nl, t->config.name, fd) == 0) {
		e = device_set_link(nl, t->tun.ifindex, false);
		if (e)
			tun_close(&t->tun);
		return e;
	}
	e = make_tun(t);
	if (e == -EEXIST && userspace_going_end(t->plane, t->config.name))
		e = make_tun(t);
	t->tun.ring = ring_of_next(t->plane);
	if (e == 0 && host->keep_tun)
		host->keep_tun(host->ctx, t->config.name, t->tun.fd);
	return e;
}

enum dataplane_error userspace_device_create(struct tunnel *t)
{
	struct dataplane *d = t->plane;
	int error = device_open(t);
	enum dataplane_error e;

	if (error == -EEXIST)
		return forward_fail(&d->forward, DATAPLANE_EXISTS,
				    "device %s exists already and is not ours: remove it, or "
				    "give the tunnel another name",
				    t->config.name);
	if (error)
		return userspace_failed(d, t, "creating the TUN device", error);
	device_attach(t);
	e = fill(t);
	if (e != DATAPLANE_OK)
		userspace_device_detach(t);
	return e;
}

/* Whose it is that was refused: each is asked for again, by itself. */
enum dataplane_error userspace_device_finish(struct tunnel *t)
{
	struct dataplane *d = t->plane;
	enum dataplane_error e = DATAPLANE_OK;
	bool refused;

	if (!t->unfinished)
		return e;
	d->refused |= netlink_send_held(d->netlink) != 0;
	refused = d->refused;
	finished(t);
	if (refused)
		e = fill(t);
	if (e != DATAPLANE_OK)
		userspace_device_detach(t);
	return e;
}

/* ---- changes that others make ---- */

static void mark_dirty(struct tunnel *t)
{
	if (t->dirty)
		return;
	t->dirty = true;
	DL_APPEND2(t->plane->dirty, t, dirty_prev, dirty_next);
}

void userspace_device_forget(struct tunnel *t)
{
	if (!t->dirty)
		return;
	t->dirty = false;
	DL_DELETE2(t->plane->dirty, t, dirty_prev, dirty_next);
}

static void tell_device(struct tunnel *t)
{
	struct dataplane_event event = {
		.kind = DATAPLANE_DEVICE_CHANGED,
		.tunnel = t->forward.id,
		.admin_up = t->info.admin_up,
		.present = t->present,
	};
	const struct dataplane_host *host = &t->plane->forward.host;

	t->untold = false;
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
	int ifindex = t->tun.ifindex, e = netlink_link_get(d->netlink, ifindex, &link);

	if (e == -ENODEV) {
		userspace_device_detach(t);
		userspace_going_take(d, ifindex); /* it has gone already */
	}
	if (e)
		return e == -ENODEV;
	up = (link.flags & IFF_UP) != 0;
	if (up && link.operstate != (t->info.link_up ? IF_OPER_UP : IF_OPER_DORMANT))
		device_set_link(d->netlink, t->tun.ifindex, t->info.link_up);
	if (t->info.mtu != (uint16_t)link.mtu) {
		unmade(t);
		t->info.mtu = (uint16_t)link.mtu;
		clamp_mss(t);
	}
	t->info.admin_up = up;
	if (up && !was)
		userspace_device_announce(t);
	return up != was;
}

/* Changes of our own are told, too, and what we made of it is what the last of them says: the
 * kernel is not asked for each. What one before it said is over. */
static bool is_as_known(const struct tunnel *t, const struct netlink_link *link)
{
	bool up = (link->flags & IFF_UP) != 0;

	return !link->removed && !t->untold && up == t->info.admin_up &&
	       t->info.mtu == (uint16_t)link->mtu &&
	       (!up || link->operstate == (t->info.link_up ? IF_OPER_UP : IF_OPER_DORMANT));
}

static void link_changed(void *ctx, const struct netlink_link *link)
{
	struct dataplane *d = ctx;
	struct tunnel *t;

	if (link->removed)
		userspace_going_take(d, link->ifindex);
	HASH_FIND(by_ifindex, d->by_ifindex, &link->ifindex, sizeof(link->ifindex), t);
	if (!t)
		return;
	if (is_as_known(t, link))
		userspace_device_forget(t);
	else
		mark_dirty(t);
}

static void addr_changed(void *ctx, const struct netlink_addr *addr)
{
	struct dataplane *d = ctx;
	struct tunnel *t;

	HASH_FIND(by_ifindex, d->by_ifindex, &addr->ifindex, sizeof(addr->ifindex), t);
	if (t && device_addr_changed(d->netlink, &t->config, addr, d->forward.host.log))
		unmade(t);
}

static void changes_lost(void *ctx)
{
	struct dataplane *d = ctx;
	struct tunnel *t, *next;

	HASH_ITER (by_ifindex, d->by_ifindex, t, next) {
		unmade(t);
		mark_dirty(t);
	}
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
		d->blind = true;
		changes_lost(d);
	}
	/* One by one off the list: the listener may create and remove tunnels. */
	while (d->dirty) {
		struct tunnel *t = d->dirty;

		userspace_device_forget(t);
		if (t->untold || (t->present && device_refresh(t))) {
			userspace_keep(t);
			tell_device(t);
		}
	}
}

bool userspace_changes_open(struct dataplane *d)
{
	struct netlink_monitor_host monitor = {
		.link = link_changed, .addr = addr_changed, .lost = changes_lost, .ctx = d};

	d->monitor = netlink_monitor_open(&monitor);
	if (!d->monitor)
		return false;
	ev_io_init(&d->changes, on_changes, netlink_monitor_fd(d->monitor), EV_READ);
	d->changes.data = d;
	ev_io_start(d->forward.host.loop, &d->changes);
	return true;
}

/* ---- the device of a former process ---- */

/* Told from the loop: who opens the plane does not listen yet. */
static void tell_later(struct tunnel *t)
{
	t->untold = true;
	mark_dirty(t);
	ev_feed_event(t->plane->forward.host.loop, &t->plane->changes, EV_READ);
}

/* Its maker was killed before it was done: that it is down is nobody's will. Without a device
 * whoever asks for it again hears why there is none. */
static void finish(struct tunnel *t)
{
	if (fill(t) == DATAPLANE_OK)
		return;
	say(t, LOG_LEVEL_ERROR, t->plane->forward.error);
	userspace_device_detach(t);
}

/* What others did to it meanwhile is obeyed and told as ever; nothing else is touched. */
void userspace_device_restore(struct tunnel *t, const struct area_tunnel *as)
{
	struct dataplane *d = t->plane;
	int fd = kept(t);

	t->info.link_up = as->link_up;
	t->info.admin_up = as->admin_up;
	if (fd >= 0 && tun_adopt(&t->tun, d->netlink, t->config.name, fd) == 0) {
		device_attach(t);
		if (!as->ifindex)
			finish(t);
		else if (device_refresh(t))
			tell_later(t);
	} else if (fd >= 0) {
		t->info.admin_up = false;
		tell_later(t);
	} else if (as->ifindex && userspace_device_create(t) != DATAPLANE_OK) {
		say(t, LOG_LEVEL_ERROR, d->forward.error);
	}
}
