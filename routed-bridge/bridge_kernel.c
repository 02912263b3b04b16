/* Without zebra: by `zebra no`, or because FRR's version is not known, the routes go to the
 * kernel, and the kernel tells about the devices. Another routing daemon (BIRD, an FRR of
 * another version) learns them from there. */
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/kernel_routes.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#define SWEEP_AFTER  2.0 /* seconds; leftovers go when all routes that are wanted are there, ... */
#define SWEEP_ROUNDS 5	 /* ... or after so many times that */

struct bridge_kernel {
	struct bridge *b;
	struct kernel_routes *routes;
	struct netlink *netlink;
	struct netlink_monitor *monitor; /* NULL: zebra has the routes */
	struct netlink_monitor *removals;
	ev_io readable, removals_readable;
	ev_timer sweep;
	unsigned rounds;
};

bool bridge_kernel_writes(const struct bridge *b)
{
	return b->kernel && b->kernel->monitor;
}

/* ---- devices ---- */

/* A VRF device is a VRF, whose id is its ifindex, as with zebra. */
static void take_vrf(struct bridge *b, const struct netlink_link *link)
{
	struct zapi_vrf vrf = {.table = link->vrf_table};

	memcpy(vrf.name, link->name, sizeof(link->name));
	bridge_vrf_report(b, (uint32_t)link->ifindex, link->removed ? NULL : &vrf);
}

/* The kernel tells of the new name alone. */
static void take_rename(struct bridge *b, const struct zapi_interface *report)
{
	const struct interface *former = interfaces_at(b->interfaces, report->ifindex);
	struct zapi_interface gone = *report;

	if (!former || strcmp(former->name, report->name) == 0)
		return;
	memcpy(gone.name, former->name, sizeof(former->name));
	gone.vrf = former->vrf;
	bridge_interface_report(b, ZAPI_INTERFACE_DELETE, &gone);
}

/* IFF_RUNNING is operstate UP or UNKNOWN. */
static void take_link(void *ctx, const struct netlink_link *link)
{
	struct bridge_kernel *k = ctx;
	struct zapi_interface report = {
		.ifindex = (uint32_t)link->ifindex,
		.link_detect = true,
		.flags = link->flags,
	};
	const struct interface *known;

	if (!link->name[0])
		return;
	if (strcmp(link->kind, "vrf") == 0)
		take_vrf(k->b, link);
	memcpy(report.name, link->name, sizeof(report.name));
	if (link->master > 0 && interfaces_vrf_present(k->b->interfaces, (uint32_t)link->master))
		report.vrf = (uint32_t)link->master;
	take_rename(k->b, &report);
	known = interfaces_find(k->b->interfaces, report.name);
	/* The kernel takes the routes of a device that changes its VRF away. */
	if (known && known->present && (known->vrf != report.vrf || link->removed))
		bridge_interface_report(k->b, ZAPI_INTERFACE_DELETE, &report);
	if (!link->removed)
		bridge_interface_report(k->b, ZAPI_INTERFACE_ADD, &report);
}

/* VRFs first, so that their devices are known to be in one. */
static void take_only_vrf(void *ctx, const struct netlink_link *link)
{
	struct bridge_kernel *k = ctx;

	if (strcmp(link->kind, "vrf") == 0)
		take_vrf(k->b, link);
}

static bool list_links(struct bridge_kernel *k)
{
	int e = netlink_link_list(k->netlink, take_only_vrf, k);

	if (e == 0)
		e = netlink_link_list(k->netlink, take_link, k);
	if (e < 0)
		log_to(k->b->log, LOG_LEVEL_ERROR, "kernel", "", "devices: %s",
		       netlink_strerror(k->netlink, e));
	return e == 0;
}

/* The kernel may have taken routes away meanwhile: all are written anew, but for those of devices
 * that went, of which the list says nothing. */
static void on_lost(void *ctx)
{
	struct bridge_kernel *k = ctx;

	log_to(k->b->log, LOG_LEVEL_NOTICE, "kernel", "", "events were lost: looking anew");
	interfaces_doubt(k->b->interfaces);
	if (list_links(k))
		interfaces_forget_doubted(k->b->interfaces);
	tunnels_touch(k->b->tunnels, "events were lost");
	bridge_reconcile(k->b);
	routes_session(k->b->routes, BRIDGE_KERNEL_TYPE, 0, true);
	bridge_settle(k->b);
}

/* Somebody took it away (networkd does with foreign routes, an operator may), or the kernel with
 * its device, whose own message follows: it is tried again a little later. */
static void on_route(void *ctx, const struct nlmsghdr *h)
{
	struct bridge_kernel *k = ctx;
	struct netlink_route gone;
	struct zapi_notify n;

	if (h->nlmsg_type != RTM_DELROUTE || !netlink_parse_route(h, &gone) ||
	    !kernel_routes_lost(k->routes, &gone, h->nlmsg_pid, &n))
		return;
	routes_notify(k->b->routes, BRIDGE_KERNEL_TYPE, 0, &n, mono_now());
	bridge_confirmed(k->b);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct bridge_kernel *k = io->data;
	int e = netlink_monitor_read(io == &k->readable ? k->monitor : k->removals);

	(void)events;
	if (e == 0)
		return;
	log_to(k->b->log, LOG_LEVEL_ERROR, "kernel", "", "events: %s", strerror(-e));
	ev_io_stop(loop, io);
}

/* ---- leftovers ---- */

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge_kernel *k = timer->data;
	unsigned n;

	struct routes_count count = routes_count(k->b->routes);
	bool settled = k->b->tunnels_known && count.installed + count.shadowed == count.wanted;

	(void)events;
	if (!settled && ++k->rounds < SWEEP_ROUNDS)
		return;
	ev_timer_stop(loop, timer);
	n = kernel_routes_sweep(k->routes);
	if (n)
		log_to(k->b->log, LOG_LEVEL_NOTICE, "kernel", "", "%u left-over routes removed", n);
	if (!k->monitor)
		bridge_kernel_end(k->b);
}

static void plan_sweep(struct bridge_kernel *k)
{
	k->rounds = 0;
	ev_timer_again(k->b->loop, &k->sweep);
}

/* ---- life ---- */

static struct bridge_kernel *kernel_new(struct bridge *b, char *why, size_t size)
{
	struct bridge_kernel *k = calloc(1, sizeof(*k));

	if (!k) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	k->b = b;
	k->routes = kernel_routes_new(b->log, why, size);
	if (!k->routes) {
		free(k);
		return NULL;
	}
	ev_timer_init(&k->sweep, on_sweep, 0., SWEEP_AFTER);
	ev_io_init(&k->readable, on_readable, -1, EV_READ);
	ev_io_init(&k->removals_readable, on_readable, -1, EV_READ);
	k->sweep.data = k->readable.data = k->removals_readable.data = k;
	return k;
}

/* What a killed bridge left in the kernel goes as soon as zebra has its routes. */
void bridge_kernel_init(struct bridge *b)
{
	char why[128];

	b->kernel = kernel_new(b, why, sizeof(why));
	if (b->kernel && !kernel_routes_leftover(b->kernel->routes))
		bridge_kernel_end(b);
}

void bridge_kernel_tidy(struct bridge *b)
{
	if (!b->kernel || b->kernel->monitor || ev_is_active(&b->kernel->sweep))
		return;
	kernel_routes_abandon(b->kernel->routes);
	plan_sweep(b->kernel);
}

static void unwatch(struct bridge_kernel *k)
{
	if (!k->monitor)
		return;
	ev_io_stop(k->b->loop, &k->readable);
	ev_io_stop(k->b->loop, &k->removals_readable);
	netlink_monitor_close(k->monitor);
	netlink_monitor_close(k->removals);
	netlink_close(k->netlink);
	k->monitor = k->removals = NULL;
	k->netlink = NULL;
}

static bool open_sockets(struct bridge_kernel *k)
{
	static const unsigned groups[] = {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0};
	struct netlink_monitor_host host = {.link = take_link, .lost = on_lost, .ctx = k};

	k->netlink = netlink_open();
	if (k->netlink)
		k->monitor = netlink_monitor_open(&host);
	if (k->monitor)
		k->removals =
			netlink_monitor_open_protocol(NETLINK_ROUTE, groups, on_route, on_lost, k);
	return k->removals;
}

static bool watch(struct bridge_kernel *k, char *why, size_t size)
{
	if (!open_sockets(k)) {
		snprintf(why, size, "rtnetlink: %s", strerror(errno));
		if (k->monitor)
			netlink_monitor_close(k->monitor);
		if (k->netlink)
			netlink_close(k->netlink);
		k->monitor = NULL;
		k->netlink = NULL;
		return false;
	}
	ev_io_set(&k->readable, netlink_monitor_fd(k->monitor), EV_READ);
	ev_io_set(&k->removals_readable, netlink_monitor_fd(k->removals), EV_READ);
	ev_io_start(k->b->loop, &k->readable);
	ev_io_start(k->b->loop, &k->removals_readable);
	return true;
}

void bridge_kernel_enter(struct bridge *b, enum log_level level, const char *cause)
{
	char why[128] = "";

	if (bridge_kernel_writes(b))
		return;
	if (!b->kernel)
		b->kernel = kernel_new(b, why, sizeof(why));
	if (!b->kernel || !watch(b->kernel, why, sizeof(why))) {
		if (!b->kernel_refused)
			log_to(b->log, LOG_LEVEL_ERROR, "kernel", "",
			       "no routes to zebra (%s), and none to the kernel: %s", cause, why);
		b->kernel_refused = true;
		return;
	}
	b->kernel_refused = false;
	log_to(b->log, level, "kernel", "", "routes go to the kernel, protocol %d: %s",
	       KERNEL_ROUTES_PROTOCOL, cause);
	interfaces_forget(b->interfaces);
	routes_session(b->routes, BRIDGE_KERNEL_TYPE, 0, true);
	list_links(b->kernel);
	tunnels_touch(b->tunnels, "routes go to the kernel");
	bridge_reconcile(b);
	plan_sweep(b->kernel);
}

void bridge_kernel_leave(struct bridge *b, const char *cause)
{
	if (!bridge_kernel_writes(b))
		return;
	log_to(b->log, LOG_LEVEL_NOTICE, "kernel", "", "routes no longer go to the kernel: %s",
	       cause);
	unwatch(b->kernel);
	kernel_routes_abandon(b->kernel->routes);
	plan_sweep(b->kernel);
	interfaces_forget(b->interfaces);
	routes_session(b->routes, BRIDGE_KERNEL_TYPE, 0, false);
	tunnels_touch(b->tunnels, cause);
	bridge_reconcile(b);
}

void bridge_kernel_end(struct bridge *b)
{
	struct bridge_kernel *k = b->kernel;

	if (!k)
		return;
	unwatch(k);
	ev_timer_stop(b->loop, &k->sweep);
	kernel_routes_free(k->routes);
	free(k);
	b->kernel = NULL;
}

/* ---- routes ---- */

void bridge_kernel_act(struct bridge *b, const struct route_action *a)
{
	const struct zapi_route *r = &a->route;
	uint32_t table = r->table ? r->table : interfaces_vrf_table(b->interfaces, r->vrf);
	struct zapi_notify n = {.prefix = r->prefix, .vrf = r->vrf, .table = r->table};

	if (a->kind == ROUTE_ACTION_DELETE) {
		kernel_routes_delete(b->kernel->routes, r, table);
		return;
	}
	n.note = table ? kernel_routes_add(b->kernel->routes, r, table) : ZAPI_NOTE_FAIL_INSTALL;
	routes_notify(b->routes, BRIDGE_KERNEL_TYPE, 0, &n, mono_now());
}
