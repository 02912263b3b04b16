/* What others do to the kernel plane's devices: set up or down, removed, made; their
 * addresses. Owns the
 * rtnetlink monitor. The operator's up or down is obeyed; operstate is ours. */
#include "ipsecd/dataplane/kernel.h"

#include "lib/netlink.h"

#include <errno.h>
#include <linux/if.h>
#include <utlist.h>

/* ---- one device ---- */

bool kernel_link_refresh(struct kernel_tunnel *t)
{
	struct dataplane *d = t->plane;
	bool up, was = t->info.admin_up;
	struct netlink_link link;
	int e = netlink_link_get(d->route, t->vti.ifindex, &link);

	if (e == -ENODEV) {
		kernel_device_detach(t);
		t->vti = (struct vti){0};
	}
	if (e)
		return e == -ENODEV;
	up = (link.flags & IFF_UP) != 0;
	if (up && link.operstate != (t->info.link_up ? IF_OPER_UP : IF_OPER_DORMANT))
		device_set_link(d->route, t->vti.ifindex, t->info.link_up);
	kernel_device_mtu_is(t, (uint16_t)link.mtu);
	t->info.admin_up = up;
	if (up && !was)
		kernel_tunnel_announce(t);
	return up != was;
}

static void mark_dirty(struct kernel_tunnel *t)
{
	if (t->dirty)
		return;
	t->dirty = true;
	DL_APPEND2(t->plane->dirty, t, dirty_prev, dirty_next);
}

void kernel_link_forget(struct kernel_tunnel *t)
{
	if (!t->dirty)
		return;
	t->dirty = false;
	DL_DELETE2(t->plane->dirty, t, dirty_prev, dirty_next);
}

/* A device with the keys of a tunnel that has none: a script or an operator made it. */
static void appeared(struct dataplane *d, const struct netlink_link *link)
{
	struct netlink_device device;
	struct kernel_tunnel *t;
	struct vti_wish wish;
	struct xfrm_tag tag;
	char why[sizeof(d->error)];

	if (netlink_device_get(d->route, link->ifindex, &device) != 0 ||
	    device.kind == NETLINK_DEVICE_OTHER)
		return;
	tag = vti_is_vti(&device)
		      ? (struct xfrm_tag){.mark = {.value = device.okey, .mask = UINT32_MAX}}
		      : (struct xfrm_tag){.if_id = device.if_id};
	t = kernel_tunnel_by_tag(d, &tag, true);
	if (!t || t->present)
		return;
	wish = kernel_tunnel_wish(t);
	if (vti_take(&t->vti, d->route, link->ifindex, &wish, why, sizeof(why)) != 0) {
		kernel_say(t, LOG_LEVEL_WARN, "%s", why);
		return;
	}
	if (kernel_device_attach(t) != DATAPLANE_OK || kernel_tunnel_follow(t) != DATAPLANE_OK ||
	    kernel_device_fill(t) != DATAPLANE_OK)
		kernel_say(t, LOG_LEVEL_WARN, "%s", d->error);
	if (!t->present)
		return;
	kernel_tunnel_keep(t);
	kernel_tunnel_note(d, t, DUE_DEVICE);
}

/* ---- the monitor ---- */

static void link_changed(void *ctx, const struct netlink_link *link)
{
	struct dataplane *d = ctx;
	struct kernel_tunnel *t;

	HASH_FIND(by_ifindex, d->by_ifindex, &link->ifindex, sizeof(link->ifindex), t);
	if (t)
		mark_dirty(t);
	else if (!link->removed)
		appeared(d, link);
}

static void addr_changed(void *ctx, const struct netlink_addr *addr)
{
	struct dataplane *d = ctx;
	struct kernel_tunnel *t;

	HASH_FIND(by_ifindex, d->by_ifindex, &addr->ifindex, sizeof(addr->ifindex), t);
	if (t)
		device_addr_changed(d->route, &t->config, addr, d->host.log);
}

static void take_new(void *ctx, const struct netlink_link *link,
		     const struct netlink_device *device)
{
	if (device->kind != NETLINK_DEVICE_OTHER)
		link_changed(ctx, link);
}

static void changes_lost(void *ctx)
{
	struct dataplane *d = ctx;
	struct kernel_tunnel *t, *next;

	HASH_ITER (by_ifindex, d->by_ifindex, t, next)
		mark_dirty(t);
	netlink_device_list(d->route, take_new, d);
}

static void on_changes(struct ev_loop *loop, ev_io *w, int revents)
{
	struct dataplane *d = w->data;
	int e = netlink_monitor_read(d->links);

	(void)revents;
	if (e) {
		log_to(d->host.log, LOG_LEVEL_ERROR, "knl", "",
		       "rtnetlink: %s; what others do to devices is not seen any more",
		       strerror(-e));
		ev_io_stop(loop, w);
	}
	while (d->dirty) {
		struct kernel_tunnel *t = d->dirty;

		kernel_link_forget(t);
		if (t->present && kernel_link_refresh(t)) {
			kernel_tunnel_keep(t);
			kernel_tunnel_note(d, t, DUE_DEVICE);
		}
	}
	kernel_report(d);
}

bool kernel_links_open(struct dataplane *d)
{
	struct netlink_monitor_host host = {
		.link = link_changed, .addr = addr_changed, .lost = changes_lost, .ctx = d};

	d->links = netlink_monitor_open(&host);
	if (!d->links)
		return false;
	ev_io_init(&d->links_readable, on_changes, netlink_monitor_fd(d->links), EV_READ);
	d->links_readable.data = d;
	ev_io_start(d->host.loop, &d->links_readable);
	return true;
}
