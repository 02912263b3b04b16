/* Hints from ICMP, the underlay's links and addresses, and sends that fail. Which device an
 * IKE_SA goes over has to be known before the route is gone: it is asked when the IKE_SA comes,
 * and again from time to time. */
#include "ipsecd/early.h"
#include "ipsecd/net/icmp.h"
#include "lib/netlink_route.h"
#include "lib/table.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>

#define LOOKS_PER_TICK 64
#define FAILED_PAUSE   .05 /* sends that fail come in thousands */

struct sa_path {
	uint32_t id; /* of the IKE_SA */
	uint64_t spi_i, spi_r;
	struct ike_path path;
	int ifindex;	/* 0: no route */
	unsigned round; /* when it was looked up */
	struct table_link in_ids;
};

/* One that IKE_SAs go over: links of all others, and there may be thousands of tunnels, come and
 * go without a look at the paths. */
struct underlay {
	int ifindex;
	unsigned n_paths;
	struct table_link in_underlays;
};

static const struct table_shape by_id = TABLE_SHAPE(struct sa_path, in_ids, id);
static const struct table_shape by_ifindex = TABLE_SHAPE(struct underlay, in_underlays, ifindex);

struct early {
	struct early_host host;
	bool on;
	struct netlink *netlink;
	struct icmp *icmp;
	int icmp_error; /* errno: why there is none */
	struct table paths, underlays;
	unsigned round;
	int by;			/* early_bind */
	struct ike_hint failed; /* to be told by the timer */
	bool pending;
	ev_timer tell;
	ev_tstamp told;
};

static void hint(struct early *e, const struct ike_hint *h)
{
	if (e->on)
		e->host.hint(e->host.ctx, h);
}

/* ---- ICMP ---- */

static void on_unreachable(void *ctx, const struct icmp_quote *q)
{
	static const enum ike_suspicion kinds[] = {
		[ICMP_NET] = IKE_SUSPECT_ICMP_NET,
		[ICMP_HOST] = IKE_SUSPECT_ICMP_HOST,
		[ICMP_PORT] = IKE_SUSPECT_ICMP_PORT,
		[ICMP_PROHIBITED] = IKE_SUSPECT_ICMP_PROHIBITED,
	};
	const struct ike_hint h = {.what = kinds[q->kind],
				   .path = {q->from, q->to},
				   .esp_spi = q->esp_spi,
				   .spi_i = q->spi_i,
				   .spi_r = q->spi_r};

	hint(ctx, &h);
}

static void open_icmp(struct early *e)
{
	const struct icmp_host host = {.unreachable = on_unreachable, .ctx = e, .log = e->host.log};

	e->icmp = icmp_open(e->host.loop, &host);
	e->icmp_error = e->icmp ? 0 : errno;
}

/* ---- underlay ---- */

static struct sa_path *find(const struct early *e, uint32_t id)
{
	return table_find(&e->paths, &by_id, &id);
}

static void leave(struct early *e, struct sa_path *p)
{
	struct underlay *u = table_find(&e->underlays, &by_ifindex, &p->ifindex);

	p->ifindex = 0;
	if (!u || --u->n_paths)
		return;
	table_remove(&e->underlays, &by_ifindex, u);
	free(u);
}

static void join(struct early *e, struct sa_path *p, int ifindex)
{
	struct underlay *u = table_find(&e->underlays, &by_ifindex, &ifindex);

	if (!u)
		u = table_make(&e->underlays, &by_ifindex, sizeof(*u), &ifindex);
	if (!u)
		return; /* as if it had no route */
	u->n_paths++;
	p->ifindex = ifindex;
}

static void forget(struct early *e, uint32_t id)
{
	struct sa_path *p = find(e, id);

	if (!p)
		return;
	leave(e, p);
	table_remove(&e->paths, &by_id, p);
	free(p);
}

/* true: there was a route, and now there is none. */
static bool look(struct early *e, struct sa_path *p)
{
	struct netlink_route route;
	int was = p->ifindex;

	p->round = e->round;
	leave(e, p);
	if (e->by >= 0 &&
	    netlink_route_by(e->netlink, &p->path.remote.addr, &p->path.local.addr, e->by,
			     &route) == 0 &&
	    !route.blackhole)
		join(e, p, route.ifindex);
	return was && !p->ifindex;
}

static void learn(struct early *e, const struct ike_sa_info *ike)
{
	struct sa_path *p = find(e, ike->id);

	if (!p) {
		p = table_make(&e->paths, &by_id, sizeof(*p), &ike->id);
		if (!p)
			return;
	}
	p->spi_i = ike->spi_i;
	p->spi_r = ike->spi_r;
	p->path = ike->path;
	look(e, p);
}

void early_resumed(struct early *e, const struct ike_sa_info *ike)
{
	learn(e, ike);
}

void early_event(struct early *e, const struct ike_output *out)
{
	if (!out->have_ike)
		return;
	switch (out->event) {
	case IKE_EVENT_IKE_REKEYED:
		forget(e, out->ike_old.id);
		learn(e, &out->ike);
		break;
	case IKE_EVENT_IKE_UP:
	case IKE_EVENT_IKE_MOVED:
		learn(e, &out->ike);
		break;
	case IKE_EVENT_IKE_DOWN:
		forget(e, out->ike.id);
		break;
	case IKE_EVENT_SUSPECT:
		if (out->ok && find(e, out->ike.id)) /* perhaps by another device now */
			learn(e, &out->ike);
		break;
	default:
		break;
	}
}

static void suspect_path(struct early *e, const struct sa_path *p, enum ike_suspicion what)
{
	const struct ike_hint h = {
		.what = what, .ike_id = p->id, .spi_i = p->spi_i, .spi_r = p->spi_r};

	hint(e, &h);
}

/* The engine's event may come back to early_event from inside: first the list, then the hints. */
static void suspect_marked(struct early *e, enum ike_suspicion what, const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct sa_path *p = find(e, ids[i]);

		if (p)
			suspect_path(e, p, what);
	}
}

void early_link_lost(struct early *e, int ifindex)
{
	const struct underlay *u = table_find(&e->underlays, &by_ifindex, &ifindex);
	struct sa_path *p;
	size_t n = 0;
	uint32_t *ids;

	if (!u)
		return;
	ids = calloc(u->n_paths, sizeof(*ids));
	TABLE_EACH (&e->paths, &by_id, p)
		if (ids && p->ifindex == ifindex)
			ids[n++] = p->id;
	suspect_marked(e, IKE_SUSPECT_CARRIER, ids, n);
	free(ids);
}

void early_addr_lost(struct early *e, const struct addr *a)
{
	const struct ike_hint h = {.what = IKE_SUSPECT_ADDRESS, .path.local.addr = *a};
	struct sa_path *p;

	TABLE_EACH (&e->paths, &by_id, p) {
		if (addr_equal(&p->path.local.addr, a)) {
			hint(e, &h);
			return;
		}
	}
}

void early_bind(struct early *e, int ifindex)
{
	e->by = ifindex;
}

void early_tick(struct early *e)
{
	uint32_t ids[LOOKS_PER_TICK];
	struct sa_path *p;
	size_t n = 0, looks = 0;

	TABLE_EACH (&e->paths, &by_id, p) {
		if (p->round == e->round)
			continue;
		if (looks++ == LOOKS_PER_TICK)
			break;
		if (look(e, p))
			ids[n++] = p->id;
	}
	if (looks <= LOOKS_PER_TICK)
		e->round++;
	suspect_marked(e, IKE_SUSPECT_NO_ROUTE, ids, n);
}

/* ---- sends ---- */

static void on_tell(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct early *e = w->data;

	(void)revents;
	e->pending = false;
	e->told = ev_now(loop);
	hint(e, &e->failed);
}

void early_send_failed(struct early *e, const struct endpoint *local, const struct endpoint *remote,
		       int error)
{
	if (e->pending || !e->on ||
	    (error != ENETUNREACH && error != EHOSTUNREACH && error != ENETDOWN &&
	     error != EADDRNOTAVAIL && error != EINVAL))
		return;
	if (ev_now(e->host.loop) - e->told < FAILED_PAUSE && e->told <= ev_now(e->host.loop))
		return;
	e->pending = true;
	e->failed = (struct ike_hint){.what = IKE_SUSPECT_NO_ROUTE, .path = {*local, *remote}};
	ev_timer_set(&e->tell, 0., 0.);
	ev_timer_start(e->host.loop, &e->tell);
}

/* ---- life ---- */

struct early *early_new(const struct early_host *host)
{
	struct early *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->host = *host;
	ev_timer_init(&e->tell, on_tell, 0., 0.);
	e->tell.data = e;
	e->netlink = netlink_open();
	if (!e->netlink) {
		early_free(e);
		return NULL;
	}
	/* Now, whether the settings want it or not: later we may not be allowed to. */
	open_icmp(e);
	return e;
}

void early_set(struct early *e, bool on)
{
	if (e->on == on)
		return;
	e->on = on;
	icmp_listen(e->icmp, on);
	if (on && !e->icmp)
		log_to(e->host.log, LOG_LEVEL_WARN, "net", "",
		       "raw ICMP sockets: %s; that a peer is unreachable is seen later%s",
		       strerror(e->icmp_error),
		       e->icmp_error == EPERM ? " (CAP_NET_RAW is missing)" : "");
}

void early_free(struct early *e)
{
	struct sa_path *p, *next;

	if (!e)
		return;
	ev_timer_stop(e->host.loop, &e->tell);
	for (p = table_first(&e->paths, &by_id); p; p = next) {
		next = table_next(&e->paths, &by_id, p);
		leave(e, p);
		free(p);
	}
	table_free(&e->paths);
	table_free(&e->underlays);
	icmp_close(e->icmp);
	netlink_close(e->netlink);
	free(e);
}

const struct icmp_counters *early_icmp_counters(const struct early *e)
{
	static const struct icmp_counters none;

	return e->icmp ? icmp_counters(e->icmp) : &none;
}
