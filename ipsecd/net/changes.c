/* Changes of addresses and links, gathered: a machine that starts or moves makes many at once.
 * What is lost of them is a change, too. */
#include "ipsecd/net/changes.h"
#include "lib/netlink.h"

#include <ev.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#define GATHER_SECONDS 1.
#define PAUSE_SECONDS  10. /* a machine on which links come and go all the time tells little */

struct changes {
	struct ev_loop *loop;
	struct changes_host host;
	struct netlink_monitor *monitor;
	ev_io readable;
	ev_timer told;
	ev_tstamp last; /* when it was told */
	bool moved;
};

static void note(struct changes *c)
{
	ev_tstamp delay = GATHER_SECONDS, pause;

	if (ev_is_active(&c->told))
		return;
	ev_now_update(c->loop);
	pause = c->last + PAUSE_SECONDS - ev_now(c->loop);
	if (pause > delay && pause <= PAUSE_SECONDS) /* the clock may have been set */
		delay = pause;
	ev_timer_set(&c->told, delay, 0.);
	ev_timer_start(c->loop, &c->told);
}

static void on_addr(void *ctx, const struct netlink_addr *addr)
{
	struct changes *c = ctx;

	bool ours = c->host.ours(c->host.ctx, addr->ifindex, &addr->prefix.addr);

	c->moved |= !ours;
	if (addr->removed)
		c->host.addr_lost(c->host.ctx, &addr->prefix.addr);
	else if (addr->scope == RT_SCOPE_UNIVERSE && !ours)
		note(c);
}

/* A link that comes up without a change of addresses: the cable is in again. */
static void on_link(void *ctx, const struct netlink_link *link)
{
	struct changes *c = ctx;

	if (link->removed || !(link->flags & IFF_RUNNING))
		c->host.link_lost(c->host.ctx, link->ifindex);
	else if (!c->host.ours(c->host.ctx, link->ifindex, NULL))
		note(c);
}

static void on_lost(void *ctx)
{
	struct changes *c = ctx;

	c->moved = true;
	note(c);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct changes *c = w->data;

	(void)revents;
	if (netlink_monitor_read(c->monitor) == 0)
		return;
	ev_io_stop(loop, w);
	note(c);
}

static void on_told(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct changes *c = w->data;

	(void)revents;
	c->last = ev_now(loop);
	c->host.changed(c->host.ctx);
}

struct changes *changes_open(struct ev_loop *loop, const struct changes_host *host)
{
	struct netlink_monitor_host monitor = {.link = on_link, .addr = on_addr, .lost = on_lost};
	struct changes *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->loop = loop;
	c->host = *host;
	monitor.ctx = c;
	c->monitor = netlink_monitor_open(&monitor);
	if (!c->monitor) {
		free(c);
		return NULL;
	}
	ev_timer_init(&c->told, on_told, 0., 0.);
	ev_io_init(&c->readable, on_readable, netlink_monitor_fd(c->monitor), EV_READ);
	c->told.data = c->readable.data = c;
	ev_io_start(loop, &c->readable);
	return c;
}

bool changes_moved(struct changes *c)
{
	bool moved;

	c->moved |= netlink_monitor_read(c->monitor) != 0;
	moved = c->moved;
	c->moved = false;
	return moved;
}

void changes_close(struct changes *c)
{
	if (!c)
		return;
	ev_io_stop(c->loop, &c->readable);
	ev_timer_stop(c->loop, &c->told);
	netlink_monitor_close(c->monitor);
	free(c);
}
