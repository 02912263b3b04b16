/* What zebra confirmed is looked for in the kernel, a moment later (fib_check.h): one dump of the
 * routes of a type in a table, and only when one with several nexthops was confirmed. */
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/fib_check.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_AFTER 0.3 /* seconds, and as often while there is something to look for */

struct bridge_fib {
	struct bridge *b;
	struct fib_check *check;
	struct netlink *netlink; /* NULL: not needed yet */
	bool useless;		 /* no kernel with groups of nexthops */
	ev_timer look;
};

/* RTPROT_* of a route type, as zebra has it in the kernel. */
static uint8_t protocol_of(enum zapi_route_type type)
{
	static const uint8_t protocols[ZAPI_TYPES] = {
		[ZAPI_TYPE_NHRP] = 191,		  [ZAPI_TYPE_TABLE] = RTPROT_ZEBRA,
		[ZAPI_TYPE_BABEL] = RTPROT_BABEL, [ZAPI_TYPE_OPENFABRIC] = 197,
		[ZAPI_TYPE_SHARP] = 194,
	};

	return type < ZAPI_TYPES ? protocols[type] : 0;
}

static uint32_t table_of(const struct bridge *b, uint32_t vrf, uint32_t table)
{
	return table ? table : interfaces_vrf_table(b->interfaces, vrf);
}

/* ---- what is told ---- */

void bridge_fib_told(struct bridge *b, const struct route_action *a)
{
	uint32_t table = table_of(b, a->route.vrf, a->route.table);

	if (!b->fib)
		return;
	if (a->kind == ROUTE_ACTION_ADD)
		fib_check_told(b->fib->check, &a->route, table);
	else
		fib_check_withdrawn(b->fib->check, &a->route, table);
}

void bridge_fib_note(struct bridge *b, const struct zebra *z, const struct zapi_notify *n)
{
	struct zapi_route about = {.prefix = n->prefix};
	struct bridge_fib *f = b->fib;

	if (!f)
		return;
	zebra_type(z, &about.type, &about.instance);
	if (fib_check_note(f->check, &about, table_of(b, n->vrf, n->table), n->note) &&
	    !f->useless && !ev_is_active(&f->look))
		ev_timer_again(b->loop, &f->look);
}

void bridge_fib_session(struct bridge *b, enum zapi_route_type type, uint16_t instance)
{
	if (b->fib)
		fib_check_session(b->fib->check, type, instance);
}

/* ---- a look ---- */

struct dump {
	struct fib_check *check;
	struct fib_place place;
};

static void see(void *ctx, const struct netlink_route *route)
{
	const struct dump *d = ctx;

	/* Older kernels tell of all routes. */
	if (route->table == d->place.table && route->protocol == protocol_of(d->place.type))
		fib_check_seen(d->check, &d->place, route);
}

static void renew(void *ctx, const struct zapi_route *route, unsigned renewal)
{
	const struct bridge *b = ctx;

	routes_renew(b->routes, route, renewal);
}

static void tell(const struct bridge *b, const struct fib_verdict *v)
{
	char prefix[PREFIX_TEXT], device[IF_NAMESIZE], more[32] = "";
	unsigned n = v->renewed ? v->renewed : v->lacking;

	if (!n)
		return;
	if (n > 1)
		snprintf(more, sizeof(more), " and %u more", n - 1);
	if (!if_indextoname(v->ifindex, device))
		snprintf(device, sizeof(device), "device %u", v->ifindex);
	log_to(b->log, v->renewed ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARN, "route", "",
	       "%s%s: zebra has confirmed it, and the kernel's has no nexthop by %s: %s",
	       prefix_format(&v->example->prefix, prefix), more, device,
	       v->renewed ? "told again with other weights" : "telling zebra again has not helped");
}

static void look_at(struct bridge_fib *f, const struct fib_place *place)
{
	struct dump d = {.check = f->check, .place = *place};
	int e = netlink_route_list_of(f->netlink, place->family, place->table,
				      protocol_of(place->type), see, &d);
	struct fib_verdict v = fib_check_done(f->check, place, e == 0, renew, f->b);

	if (e < 0)
		log_to(f->b->log, LOG_LEVEL_WARN, "kernel", "", "routes of table %u: %s",
		       place->table, netlink_strerror(f->netlink, e));
	tell(f->b, &v);
}

/* Kernels that cannot tell of one table alone (before 4.20) have no groups of nexthops. */
static bool open_netlink(struct bridge_fib *f)
{
	if (!f->netlink)
		f->netlink = netlink_open();
	if (!f->netlink)
		return false;
	f->useless = !netlink_set_strict(f->netlink, true);
	return !f->useless;
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge_fib *f = timer->data;
	struct fib_place place;

	(void)events;
	if (!fib_check_begin(f->check) || !open_netlink(f)) {
		ev_timer_stop(loop, timer);
		return;
	}
	while (fib_check_next(f->check, &place))
		look_at(f, &place);
	bridge_settle(f->b);
}

struct fib_check_count bridge_fib_count(const struct bridge *b)
{
	return b->fib ? fib_check_count(b->fib->check) : (struct fib_check_count){0};
}

/* ---- life ---- */

void bridge_fib_init(struct bridge *b)
{
	struct bridge_fib *f = calloc(1, sizeof(*f));

	if (!f)
		return;
	f->b = b;
	f->check = fib_check_new();
	if (!f->check) {
		free(f);
		return;
	}
	ev_timer_init(&f->look, on_look, 0., LOOK_AFTER);
	f->look.data = f;
	b->fib = f;
}

void bridge_fib_end(struct bridge *b)
{
	struct bridge_fib *f = b->fib;

	if (!f)
		return;
	ev_timer_stop(b->loop, &f->look);
	if (f->netlink)
		netlink_close(f->netlink);
	fib_check_free(f->check);
	free(f);
	b->fib = NULL;
}
