/* Means in this process: the plane, the sockets and rtnetlink themselves. */
#include "ipsecd/esp_udp.h"
#include "ipsecd/flush.h"
#include "ipsecd/means.h"
#include "ipsecd/plane.h"
#include "ipsecd/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct local {
	struct means means;
	struct means_host host;
	int guard; /* flush_guard(), of a plane that outlives us; -1: none */
	struct udp *udp;
	struct netlink *netlink;
};

static struct local *local_of(struct means *m)
{
	return (struct local *)m;
}

static void ike_passed(const struct local *l, const struct endpoint *remote, mono_time now)
{
	const struct means *m = &l->means;

	if (m->ops->ike_passed)
		m->ops->ike_passed(m->plane, remote, now);
}

/* ---- what comes in ---- */

static void send_failed(void *ctx, const struct esp_run *run, int error)
{
	struct local *l = ctx;

	l->host.send_failed(l->host.ctx, run->from, run->to, error, true);
}

static void send_esp(void *ctx, struct esp_run *runs, size_t n)
{
	struct local *l = ctx;

	esp_udp_send(l->udp, runs, n, send_failed, l);
}

static void on_event(void *ctx, const struct dataplane_event *event)
{
	struct local *l = ctx;

	l->host.event(l->host.ctx, event);
}

static void on_ike(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		   struct span datagram, mono_time now)
{
	struct local *l = ctx;

	ike_passed(l, remote, now);
	l->host.ike(l->host.ctx, local, remote, datagram, now);
}

static void on_esp(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		   uint8_t tos, uint8_t *packets, size_t len, size_t size, mono_time now)
{
	struct local *l = ctx;

	l->means.ops->esp_input(l->means.plane, 0, local, remote, tos, packets, len, size, now);
}

static void on_esp_end(void *ctx, mono_time now)
{
	struct local *l = ctx;

	l->means.ops->esp_flush(l->means.plane, 0, now);
}

static void on_too_big(void *ctx, const struct addr *to, uint32_t mtu)
{
	struct local *l = ctx;

	if (l->means.ops->path_changed)
		l->means.ops->path_changed(l->means.plane, to, mtu);
}

/* ---- what the shell does ---- */

static void act_send_ike(struct means *m, const struct endpoint *local,
			 const struct endpoint *remote, struct span datagram)
{
	struct local *l = local_of(m);

	ike_passed(l, remote, mono_now());
	if (!udp_send_ike(l->udp, local, remote, datagram))
		l->host.send_failed(l->host.ctx, local, remote, errno, false);
}

static void act_send_keepalive(struct means *m, const struct endpoint *local,
			       const struct endpoint *remote)
{
	udp_send_keepalive(local_of(m)->udp, local, remote);
}

static void act_net_counters(struct means *m, struct udp_counters *out)
{
	*out = *udp_counters(local_of(m)->udp);
}

static int act_bind(struct means *m, const char *device)
{
	if (!udp_bind(local_of(m)->udp, device))
		return -errno;
	if (m->ops->bound)
		m->ops->bound(m->plane, device);
	return 0;
}

/* The thread that does packets here does everything. */
static bool act_workers(struct means *m, unsigned wanted)
{
	(void)wanted;
	m->workers = m->workers_most = m->ops->add_worker ? 1 : 0;
	return true;
}

static int act_route(struct means *m, const struct netlink_route *r, bool add)
{
	struct netlink *nl = local_of(m)->netlink;

	return add ? netlink_route_add(nl, r) : netlink_route_remove(nl, r);
}

static int act_rule(struct means *m, const struct netlink_rule *r, bool add)
{
	struct netlink *nl = local_of(m)->netlink;

	return add ? netlink_rule_add(nl, r) : netlink_rule_remove(nl, r);
}

static int act_address(struct means *m, const char *device, const struct prefix *p, bool add)
{
	struct netlink *nl = local_of(m)->netlink;
	struct netlink_link link;
	int e = netlink_link_find(nl, device, &link);

	if (e)
		return e;
	return add ? netlink_addr_add(nl, link.ifindex, p)
		   : netlink_addr_remove(nl, link.ifindex, p);
}

static const char *act_words(const struct means *m, int error)
{
	return netlink_strerror(((const struct local *)m)->netlink, error);
}

static void act_close(struct means *m)
{
	struct local *l = local_of(m);

	if (m->plane)
		m->ops->close(m->plane);
	if (l->guard >= 0)
		close(l->guard);
	udp_close(l->udp);
	netlink_close(l->netlink);
	free(l);
}

static const struct means_act acts = {
	.send_ike = act_send_ike,
	.send_keepalive = act_send_keepalive,
	.net_counters = act_net_counters,
	.bind = act_bind,
	.workers = act_workers,
	.route = act_route,
	.rule = act_rule,
	.address = act_address,
	.words = act_words,
	.close = act_close,
};

/* ---- opening ---- */

static bool open_plane(struct local *l, const char *plane, char *why, size_t size)
{
	struct means *m = &l->means;
	const struct dataplane_host host = {
		.send_esp = send_esp,
		.event = on_event,
		.ctx = l,
		.crypto = &crypto_openssl,
		.random = crypto_random,
		.log = l->host.log,
		.loop = l->host.loop,
	};

	m->ops = plane_choose(plane, l->host.log, m->why, sizeof(m->why));
	if (!m->ops) {
		snprintf(why, size, "no data plane: %s", m->why);
		return false;
	}
	if (m->ops->flush)
		l->guard = flush_guard();
	m->plane = m->ops->open(&host);
	if (!m->plane)
		snprintf(why, size, "opening the data plane: %s", m->ops->name);
	return m->plane != NULL;
}

static void give_socket(void *ctx, int fd, uint8_t family, uint16_t port)
{
	struct local *l = ctx;
	const struct means *m = &l->means;

	if (!m->ops->ike_socket(m->plane, fd, family, port == UDP_PORT_NATT))
		log_to(l->host.log, LOG_LEVEL_WARN, "net", "", "UDP port %u (%s): %s", port,
		       family == AF_INET ? "IPv4" : "IPv6", m->ops->last_error(m->plane));
}

static bool open_sockets(struct local *l, char *why, size_t size)
{
	const struct udp_host host = {.ike = on_ike,
				      .esp = on_esp,
				      .esp_end = on_esp_end,
				      .too_big = on_too_big,
				      .ctx = l,
				      .log = l->host.log,
				      .esp_here = !l->means.ops->ike_socket};
	char reason[200];

	l->netlink = netlink_open();
	if (!l->netlink) {
		snprintf(why, size, "rtnetlink: %s", strerror(errno));
		return false;
	}
	l->udp = udp_open(l->host.loop, &host, reason, sizeof(reason));
	if (!l->udp) {
		snprintf(why, size, "opening sockets: %s", reason);
		return false;
	}
	snprintf(l->means.offloads, sizeof(l->means.offloads), "%s", udp_offloads(l->udp));
	if (l->means.ops->ike_socket)
		udp_each_socket(l->udp, give_socket, l);
	return true;
}

struct means *means_local_open(const struct means_host *host, const char *plane, char *why,
			       size_t size)
{
	struct local *l = calloc(1, sizeof(*l));

	if (!l) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	l->means.act = &acts;
	l->host = *host;
	l->guard = -1;
	if (open_plane(l, plane, why, size) && open_sockets(l, why, size))
		return &l->means;
	act_close(&l->means);
	return NULL;
}
