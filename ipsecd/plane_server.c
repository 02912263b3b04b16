/* Requests of ike: each is checked (ipc/check.c), looked at against what there is, carried out and
 * answered. Refusals are in the log: an ike that asks for them is broken or somebody else's. */
#include "ipsecd/plane_server_parts.h"
#include "ipsecd/ipc/check.h"
#include "ipsecd/routes.h"
#include "lib/netlink_route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENTS_WAIT_MAX (IPC_BACKLOG_MAX / 2) /* bytes, of some 20,000 */

_Static_assert(IPC_OUR_ROUTES == ROUTES_PROTOCOL, "what plane lets pass is what ike asks for");

/* ---- answers ---- */

void plane_answer(struct plane_server *s, const struct ipc_message *m, const void *body, size_t len)
{
	struct span part = span_of(body, len);

	if (m->serial)
		ipc_send(s->link, IPC_ANSWER, m->serial, &part, 1, NULL, 0);
}

static struct ipc_done done_of(int error, const char *words)
{
	struct ipc_done d = {.error = error};

	if (error)
		snprintf(d.words, sizeof(d.words), "%s", words);
	return d;
}

struct ipc_done plane_done(struct plane_server *s, enum dataplane_error e)
{
	return done_of((int)e, e == DATAPLANE_NO_MEMORY ? "out of memory"
							: s->host.ops->last_error(s->plane));
}

/* What may go wrong with an honest ike, too. */
void plane_note_failure(struct plane_server *s, const struct ipc_message *m,
			const struct ipc_done *d)
{
	char what[IPC_WORDS];

	if (d->error && log_limit_pass(&s->failures, mono_now()))
		log_to(s->host.log, LOG_LEVEL_INFO, "tun", "", "not done for ike: %s: %s",
		       ipc_describe(m->verb, m->body, what, sizeof(what)), d->words);
}

void plane_answer_done(struct plane_server *s, const struct ipc_message *m, enum dataplane_error e)
{
	struct ipc_done d = plane_done(s, e);

	plane_note_failure(s, m, &d);
	plane_answer(s, m, &d, sizeof(d));
}

void plane_refuse(struct plane_server *s, const struct ipc_message *m, int error, const char *why)
{
	struct ipc_done d = done_of(error, why);
	char what[IPC_WORDS];

	if (log_limit_pass(&s->refusals, mono_now()))
		log_to(s->host.log, LOG_LEVEL_WARN, "tun", "", "refused to ike: %s: %s",
		       ipc_describe(m->verb, m->body, what, sizeof(what)), why);
	if (m->verb == IPC_TUNNEL_CREATE || m->verb == IPC_TUNNEL_UPDATE ||
	    m->verb == IPC_TUNNEL_LINK) {
		struct ipc_made made;

		memset(&made, 0, sizeof(made));
		made.done = d;
		plane_answer(s, m, &made, sizeof(made));
		return;
	}
	plane_answer(s, m, &d, sizeof(d));
}

/* ---- requests: the plane ---- */

static void on_hello(struct plane_server *s, const struct ipc_message *m)
{
	const struct dataplane_ops *ops = s->host.ops;
	struct ipc_plane p;

	memset(&p, 0, sizeof(p));
	snprintf(p.name, sizeof(p.name), "%s", ops->name);
	snprintf(p.why, sizeof(p.why), "%s", s->host.why);
	snprintf(p.offloads, sizeof(p.offloads), "%s", s->udp ? udp_offloads(s->udp) : "");
	p.encap_better = ops->encap_better;
	p.resources = ops->resources(s->plane);
	p.plain = ops->plain;
	p.persistent = ops->persistent;
	p.aggfrag = ops->aggfrag;
	p.asks_supports = ops->supports != NULL;
	plane_answer(s, m, &p, sizeof(p));
}

/* An ike that is busy has no need of all that come again, and would lose its link by them. */
static void send_event(struct plane_server *s, const struct dataplane_event *e)
{
	struct dataplane_event copy;
	struct span part = span_of(&copy, sizeof(copy));

	memset(&copy, 0, sizeof(copy));
	copy.kind = e->kind;
	copy.child = e->child;
	copy.tunnel = e->tunnel;
	copy.remote = e->remote;
	copy.local = e->local;
	copy.spi = e->spi;
	copy.admin_up = e->admin_up;
	copy.present = e->present;
	if (s->link && (ipc_backlog(s->link) < EVENTS_WAIT_MAX || !ipc_event_comes_again(e->kind)))
		ipc_send(s->link, IPC_EVENT, 0, &part, 1, NULL, 0);
}

/* What was told to a former ike, or to nobody. */
static void tell_again(struct plane_server *s, const struct served_child *c)
{
	struct dataplane_event e = {.child = c->id, .tunnel = c->tunnel->id};

	e.kind = DATAPLANE_CHILD_SOFT_EXPIRE;
	if (c->soft)
		send_event(s, &e);
	e.kind = DATAPLANE_CHILD_HARD_EXPIRE;
	if (c->hard)
		send_event(s, &e);
	e.kind = DATAPLANE_CHILD_USED_NEW;
	if (c->used && !c->outbound)
		send_event(s, &e);
}

static void on_child_install(struct plane_server *s, const struct ipc_message *m)
{
	struct child_sa sa;
	enum dataplane_error e;

	memcpy(&sa, m->body.ptr, sizeof(sa));
	if (served_has_room_child(&s->served, sa.id)) {
		e = served_install(&s->served, &sa);
		plane_answer_done(s, m, e);
		if (e == DATAPLANE_OK)
			tell_again(s, served_child(&s->served, sa.id));
	} else {
		plane_refuse(s, m, DATAPLANE_NO_MEMORY,
			     "there are as many CHILD_SAs as there may be");
	}
	child_sa_cleanse(&sa);
	explicit_bzero((void *)(uintptr_t)m->body.ptr, m->body.len);
}

static void on_child_update(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_child_update u;
	struct child_sa sa = {0};

	memcpy(&u, m->body.ptr, sizeof(u));
	sa.id = u.child;
	sa.skip_out = u.skip_out;
	sa.outbound = u.outbound;
	sa.udp_encap = u.udp_encap;
	sa.local = u.local;
	sa.remote = u.remote;
	plane_answer_done(s, m, served_child_update(&s->served, &sa));
}

static void on_child_remove(struct plane_server *s, const struct ipc_message *m)
{
	uint64_t child;

	memcpy(&child, m->body.ptr, sizeof(child));
	plane_answer_done(s, m, served_child_remove(&s->served, child));
}

static void on_child_stats(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_stats stats[IPC_STATS_MAX];
	size_t n = m->body.len / sizeof(uint64_t);

	memset(stats, 0, n * sizeof(stats[0]));
	for (size_t i = 0; i < n; i++) {
		memcpy(&stats[i].child, m->body.ptr + i * sizeof(uint64_t), sizeof(uint64_t));
		stats[i].there =
			s->host.ops->child_stats(s->plane, stats[i].child, &stats[i].stats);
	}
	plane_answer(s, m, stats, n * sizeof(stats[0]));
}

static void on_settled(struct plane_server *s, const struct ipc_message *m)
{
	(void)m;
	served_settle(&s->served);
	plane_addrs_settle(s->addrs);
}

static void on_supports(struct plane_server *s, const struct ipc_message *m)
{
	const struct dataplane_ops *ops = s->host.ops;
	struct ipc_suite q;
	struct ipc_done d;
	bool ok;

	memcpy(&q, m->body.ptr, sizeof(q));
	ok = !ops->supports || ops->supports(s->plane, q.encr_id, q.key_bits, q.integ_id, q.esn);
	d = plane_done(s, ok ? DATAPLANE_OK : DATAPLANE_UNSUPPORTED);
	plane_answer(s, m, &d, sizeof(d)); /* a question, not a failure */
}

static void on_counters(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_counters c = {0};

	memcpy(c.drops, s->host.ops->counters(s->plane), sizeof(c.drops));
	_Static_assert(sizeof(c.net) == sizeof(struct udp_counters), "all of them, in their order");
	if (s->udp)
		memcpy(c.net, udp_counters(s->udp), sizeof(c.net));
	plane_answer(s, m, &c, sizeof(c));
}

static void on_changes(struct plane_server *s, const struct ipc_message *m)
{
	const struct dataplane_ops *ops = s->host.ops;
	uint64_t n = ops->changes ? ops->changes(s->plane) : 0;

	plane_answer(s, m, &n, sizeof(n));
}

/* ---- requests: the network ---- */

static void ike_passed(struct plane_server *s, const struct endpoint *remote, mono_time now)
{
	if (s->plane && s->host.ops->ike_passed)
		s->host.ops->ike_passed(s->plane, remote, now);
}

static void on_send_ike(struct plane_server *s, const struct ipc_message *m)
{
	struct span datagram = span_of(m->body.ptr + sizeof(struct ipc_path),
				       m->body.len - sizeof(struct ipc_path));
	struct ipc_path p;

	memcpy(&p, m->body.ptr, sizeof(p));
	ike_passed(s, &p.remote, mono_now());
	if (s->udp && !udp_send_ike(s->udp, &p.local, &p.remote, datagram))
		plane_server_send_failed(s, &p.local, &p.remote, errno, false);
}

static void on_send_keepalive(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_path p;

	memcpy(&p, m->body.ptr, sizeof(p));
	if (s->udp)
		udp_send_keepalive(s->udp, &p.local, &p.remote);
}

/* -ENOSPC is ours: an honest ike does not get so far. */
static void answer_kernel(struct plane_server *s, const struct ipc_message *m, int e)
{
	struct ipc_done d = done_of(e, e ? netlink_strerror(s->host.netlink, e) : "");

	if (e == -ENOSPC)
		plane_refuse(s, m, e, "there are as many of ours as there may be");
	else
		plane_answer(s, m, &d, sizeof(d));
}

static void on_route(struct plane_server *s, const struct ipc_message *m)
{
	struct netlink_route r = {0};
	struct ipc_route q;
	bool taken;
	int e;

	memcpy(&q, m->body.ptr, sizeof(q));
	r.dst = q.dst;
	r.source = q.source;
	r.ifindex = q.ifindex;
	r.table = q.table;
	r.metric = q.metric;
	r.protocol = q.protocol;
	r.blackhole = q.kind == IPC_ROUTE_BLACKHOLE;
	r.throws = q.kind == IPC_ROUTE_THROW;
	if (q.add && r.ifindex && !served_ifindex(&s->served, r.ifindex)) {
		plane_refuse(s, m, -EPERM, "a route through a device that is no tunnel's");
		return;
	}
	e = plane_routes_set(&s->routes, &r, q.add, &taken);
	if (taken)
		plane_refuse(s, m, e, "a route is there, which is not ours");
	else
		answer_kernel(s, m, e);
}

static void on_rule(struct plane_server *s, const struct ipc_message *m)
{
	struct netlink_rule r = {0};
	struct ipc_rule q;

	memcpy(&q, m->body.ptr, sizeof(q));
	r.family = q.family;
	r.table = q.table;
	r.priority = q.priority;
	r.protocol = q.protocol;
	memcpy(r.iif, q.iif, sizeof(r.iif));
	answer_kernel(s, m, plane_rules_set(s->host.netlink, &r, q.add));
}

static void on_address(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_address q;

	memcpy(&q, m->body.ptr, sizeof(q));
	if (q.add)
		answer_kernel(s, m, plane_addrs_add(s->addrs, q.device, &q.prefix));
	else if (plane_addrs_has(s->addrs, q.device, &q.prefix))
		answer_kernel(s, m, plane_addrs_remove(s->addrs, q.device, &q.prefix));
	else
		plane_refuse(s, m, -EPERM, "removing an address that is not ours");
}

static void on_bind(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_device q;
	struct ipc_done d = {0};

	memcpy(&q, m->body.ptr, sizeof(q));
	if (s->udp && !udp_bind(s->udp, q.device))
		d = done_of(-errno, strerror(errno));
	else if (s->host.ops->bound)
		s->host.ops->bound(s->plane, q.device);
	plane_answer(s, m, &d, sizeof(d));
}

static void on_workers(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_workers w;

	memcpy(&w, m->body.ptr, sizeof(w));
	w.most = 0;
	w.threads = s->host.workers ? s->host.workers(s->host.ctx, w.threads, &w.most) : 0;
	plane_answer(s, m, &w, sizeof(w));
}

/* ---- the link ---- */

static void (*const handlers[])(struct plane_server *s, const struct ipc_message *m) = {
	[IPC_PLANE_HELLO] = on_hello,
	[IPC_TUNNEL_CREATE] = plane_on_tunnel,
	[IPC_TUNNEL_UPDATE] = plane_on_tunnel,
	[IPC_TUNNEL_REMOVE] = plane_on_tunnel_remove,
	[IPC_TUNNEL_LINK] = plane_on_tunnel_link,
	[IPC_TUNNEL_INFO] = plane_on_tunnel_info,
	[IPC_TUNNEL_DISINHERIT] = plane_on_tunnel_disinherit,
	[IPC_CHILD_INSTALL] = on_child_install,
	[IPC_CHILD_UPDATE] = on_child_update,
	[IPC_CHILD_REMOVE] = on_child_remove,
	[IPC_CHILD_STATS] = on_child_stats,
	[IPC_SETTLED] = on_settled,
	[IPC_SUPPORTS] = on_supports,
	[IPC_COUNTERS] = on_counters,
	[IPC_SEND_IKE] = on_send_ike,
	[IPC_SEND_KEEPALIVE] = on_send_keepalive,
	[IPC_ROUTE] = on_route,
	[IPC_RULE] = on_rule,
	[IPC_ADDRESS] = on_address,
	[IPC_BIND] = on_bind,
	[IPC_WORKERS] = on_workers,
	[IPC_CHANGES] = on_changes,
};

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	struct plane_server *s = ctx;
	const char *why;

	(void)link;
	if (m->verb != IPC_TUNNEL_CREATE)
		plane_finish_begun(s);
	if (m->verb >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[m->verb])
		why = "no such request";
	else if (m->n_fds)
		why = "with descriptors, of which none belongs there";
	else
		why = ipc_check(m->verb, m->body);
	if (why)
		plane_refuse(s, m, DATAPLANE_UNSUPPORTED, why);
	else
		handlers[m->verb](s, m);
}

static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	struct plane_server *s = ctx;

	log_to(s->host.log, LOG_LEVEL_INFO, "tun", "",
	       "the link to ike is closed: %s; packets go on passing", why);
	ipc_link_free(link);
	if (s->link == link)
		s->link = NULL;
}

void plane_server_link(struct plane_server *s, int fd)
{
	const struct ipc_host host = {.message = on_message,
				      .closed = on_closed,
				      .ctx = s,
				      .gather = true,
				      .gathered = plane_finish_begun,
				      .behind = s->host.behind};

	/* What a killed ike sent last (an answer to a peer, a DELETE) is done before the next one
	 * claims what it knows. */
	ipc_link_drain(s->link);
	ipc_link_free(s->link);
	s->link = ipc_link_new(s->host.loop, fd, &host);
	served_unclaim(&s->served);
	plane_addrs_unclaim(s->addrs);
}

/* ---- what is told ---- */

void plane_server_event(void *ctx, const struct dataplane_event *e)
{
	struct plane_server *s = ctx;
	struct served_child *c = NULL;

	if (e->kind == DATAPLANE_DEVICE_CHANGED) {
		served_ipc_info(&s->served, e->tunnel); /* the device may have another number */
	} else if (e->kind != DATAPLANE_ACQUIRE && e->kind != DATAPLANE_INHERITED_GONE) {
		c = served_child(&s->served, e->child);
	}
	if (c) {
		c->soft |= e->kind == DATAPLANE_CHILD_SOFT_EXPIRE;
		c->hard |= e->kind == DATAPLANE_CHILD_HARD_EXPIRE;
		c->used |= e->kind == DATAPLANE_CHILD_USED_NEW;
	}
	if (!c || c->claimed)
		send_event(s, e);
}

static void on_inherited_gone(void *ctx, uint32_t tunnel)
{
	const struct dataplane_event e = {.kind = DATAPLANE_INHERITED_GONE, .tunnel = tunnel};
	struct plane_server *s = ctx;
	struct dataplane_tunnel_info info;

	if (s->host.ops->tunnel_info(s->plane, tunnel, &info) && info.inherited == 0)
		send_event(s, &e);
}

/* Lost where ike does not keep up, as any datagram may be. */
void plane_server_ike(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		      struct span datagram, mono_time now)
{
	struct plane_server *s = ctx;
	struct ipc_path p;
	struct span parts[] = {span_of(&p, sizeof(p)), datagram};

	memset(&p, 0, sizeof(p));
	p.local = *local;
	p.remote = *remote;
	if (s->link && ipc_offer(s->link, IPC_IKE, parts, 2))
		ike_passed(s, remote, now);
}

void plane_server_send_failed(struct plane_server *s, const struct endpoint *local,
			      const struct endpoint *remote, int error, bool esp)
{
	struct ipc_send_failed f;
	struct span part = span_of(&f, sizeof(f));

	memset(&f, 0, sizeof(f));
	f.path.local = *local;
	f.path.remote = *remote;
	f.error = error;
	f.esp = esp;
	if (s->link)
		ipc_offer(s->link, IPC_SEND_FAILED, &part, 1);
}

/* ---- life ---- */

struct plane_server *plane_server_new(const struct plane_server_host *host)
{
	struct plane_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->addrs = plane_addrs_new(host->netlink, host->memory, host->log);
	if (!s->addrs) {
		free(s);
		return NULL;
	}
	s->host = *host;
	s->refusals.burst = s->failures.burst = 10;
	s->routes = (struct plane_routes){
		.netlink = host->netlink,
		.is_tunnel = served_ifindex,
		.ctx = &s->served,
		.now = mono_now,
	};
	s->served = (struct served){.ops = host->ops,
				    .most_tunnels = host->most_tunnels,
				    .most_children = host->most_children,
				    .inherited_gone = on_inherited_gone,
				    .ctx = s};
	return s;
}

void plane_server_use(struct plane_server *s, struct dataplane *plane, struct udp *udp)
{
	s->plane = s->served.plane = plane;
	s->udp = udp;
}

void plane_server_free(struct plane_server *s)
{
	if (!s)
		return;
	ipc_link_free(s->link);
	served_free(&s->served);
	plane_routes_free(&s->routes);
	plane_addrs_free(s->addrs);
	free(s);
}
