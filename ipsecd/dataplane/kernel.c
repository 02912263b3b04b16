/* The kernel's data plane: ESP by XFRM states and policies over NETLINK_XFRM, a vti or an xfrm
 * interface per tunnel. This file has the table of verbs, opening and closing, sockets and the
 * tick; kernel.h says what is where, docs/dataplane.md has the rules. */
#include "ipsecd/dataplane/kernel.h"

#include "ipsecd/dataplane/mss.h"
#include "lib/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum dataplane_error kernel_fail(struct dataplane *d, enum dataplane_error e, const char *format,
				 ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(d->error, sizeof(d->error), format, args);
	va_end(args);
	return e;
}

void kernel_say(const struct kernel_tunnel *t, enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_to_v(t->plane->host.log, level, "knl", t->config.name, format, args);
	va_end(args);
}

/* ---- opening and closing ---- */

static void kernel_close(struct dataplane *d)
{
	struct kernel_tunnel *t, *next;

	HASH_ITER (by_id, d->by_id, t, next)
		kernel_tunnel_free(d, t, true);
	mss_close(d->mss);
	kernel_found_free(d);
	if (d->own_area)
		area_close(d->area);
	kernel_abilities_free(d);
	ev_io_stop(d->host.loop, &d->links_readable);
	ev_io_stop(d->host.loop, &d->events_readable);
	netlink_monitor_close(d->links);
	netlink_monitor_close(d->events);
	netlink_close(d->route);
	netlink_close(d->xfrm);
	if (d->stat_fd >= 0)
		close(d->stat_fd);
	free(d);
}

/* The monitors before the first look, so that nothing is missed between. */
static bool open_sockets(struct dataplane *d)
{
	int e;

	d->route = netlink_open();
	d->xfrm = netlink_open_protocol(NETLINK_XFRM);
	if (!d->route || !d->xfrm || !kernel_links_open(d) || !kernel_events_open(d)) {
		log_to(d->host.log, LOG_LEVEL_ERROR, "knl", "", "netlink: %s", strerror(errno));
		return false;
	}
	d->processors = kernel_processors(d->xfrm);
	e = kernel_found_load(d);
	if (e)
		log_to(d->host.log, LOG_LEVEL_ERROR, "knl", "", "states and policies: %s",
		       netlink_strerror(d->xfrm, e));
	return e == 0;
}

static struct dataplane *kernel_open(const struct dataplane_host *host)
{
	struct dataplane *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->host = *host;
	d->stat_fd = xfrm_stat_open();
	xfrm_stat_read(d->stat_fd, d->stat_start);
	d->mss = mss_open(host->log);
	d->own_area = !host->area;
	d->area = d->own_area ? area_open(NULL, d->error, sizeof(d->error)) : host->area;
	if (d->mss && d->area && open_sockets(d)) {
		kernel_restore(d);
		return d;
	}
	kernel_close(d);
	return NULL;
}

/* ---- sockets ---- */

static bool kernel_ike_socket(struct dataplane *d, int fd, uint8_t family, bool natt)
{
	if (!xfrm_socket_bypass(fd, family)) {
		kernel_fail(d, DATAPLANE_SYSTEM, "policies of an IKE socket: %s", strerror(errno));
		return false;
	}
	if (natt && !xfrm_socket_encap(fd)) {
		kernel_fail(d, DATAPLANE_SYSTEM, "ESP in UDP on an IKE socket: %s",
			    strerror(errno));
		return false;
	}
	return true;
}

/* The kernel takes all ESP from the socket; what comes this way is too short to be any. */
static void kernel_esp_input(struct dataplane *d, unsigned lane, const struct endpoint *local,
			     const struct endpoint *remote, uint8_t tos, uint8_t *packets,
			     size_t len, size_t size, mono_time now)
{
	(void)lane;
	(void)local;
	(void)remote;
	(void)tos;
	(void)packets;
	(void)now;
	d->drops_own[DROP_MALFORMED] += len > size ? (len + size - 1) / size : 1;
}

static void kernel_esp_flush(struct dataplane *d, unsigned lane, mono_time now)
{
	(void)d;
	(void)lane;
	(void)now;
}

/* ---- time, counters ---- */

static void kernel_tick(struct dataplane *d, mono_time now)
{
	struct kernel_tunnel *t, *next;

	kernel_look(d, now);
	HASH_ITER (by_id, d->by_id, t, next)
		kernel_tunnel_tick(t, now);
	mss_tick(d->mss);
	kernel_report(d);
}

static const uint64_t *kernel_counters(struct dataplane *d)
{
	xfrm_stat_read(d->stat_fd, d->drops);
	for (unsigned i = 0; i < DROP_COUNTERS; i++)
		d->drops[i] += d->drops_own[i] - d->stat_start[i];
	return d->drops;
}

static const char *kernel_last_error(struct dataplane *d)
{
	return d->error;
}

static void kernel_tunnel_disinherit(struct dataplane *d, uint32_t id)
{
	struct kernel_tunnel *t = kernel_tunnel_find(d, id);

	if (!t)
		return;
	kernel_disinherit(t);
	if (!d->telling)
		kernel_report(d);
}

/* What is of tunnels and CHILD_SAs first, then what is of none. */
static void settled(struct dataplane *d)
{
	kernel_claims_settled(d);
	kernel_settled(d);
}

const struct dataplane_ops dataplane_kernel = {
	.name = "kernel",
	.persistent = true,
	.probe = kernel_probe,
	.open = kernel_open,
	.close = kernel_close,
	.flush = kernel_flush,
	.unsettle = kernel_unsettle,
	.settled = settled,
	.supports = kernel_supports,
	.resources = kernel_resources,
	.ike_socket = kernel_ike_socket,
	.tunnel_create = kernel_tunnel_create,
	.tunnel_update = kernel_tunnel_update,
	.tunnel_remove = kernel_tunnel_remove,
	.tunnel_set_link = kernel_tunnel_set_link,
	.tunnel_info = kernel_tunnel_info,
	.tunnel_disinherit = kernel_tunnel_disinherit,
	.child_install = kernel_child_install,
	.child_update = kernel_child_update,
	.child_remove = kernel_child_remove,
	.child_stats = kernel_child_stats,
	.esp_input = kernel_esp_input,
	.esp_flush = kernel_esp_flush,
	.tick = kernel_tick,
	.counters = kernel_counters,
	.last_error = kernel_last_error,
};
