/* The set of routes that are in the kernel by us, and the calls that change it. */
#include "routed-bridge/kernel_routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>
#include <uthash.h>

#define METRIC_LAST 0xff000000u

/* What the kernel knows a route by. Hashed as bytes: key_of zeroes the padding. */
struct key {
	struct prefix dst;
	uint32_t table, metric;
};

struct entry {
	struct key key;
	struct netlink_route route; /* as it was written, or found */
	uint32_t vrf, table;	    /* of the claim: table 0 is the VRF's */
	bool left_over;
	UT_hash_handle hh;
};

/* The metric that a route of ours has now. */
struct current {
	struct key key; /* metric 0 */
	uint32_t metric;
	UT_hash_handle hh;
};

struct kernel_routes {
	const struct log_sink *log;
	struct netlink *netlink;
	struct entry *entries;
	struct current *currents;
	unsigned left_over;
	int lock;
};

static struct key key_of(const struct netlink_route *r)
{
	struct key k;

	memset(&k, 0, sizeof(k));
	k.dst = prefix_mask(&r->dst);
	k.table = r->table;
	k.metric = r->metric;
	return k;
}

static void put_nexthops(const struct zapi_route *route, struct netlink_route *out)
{
	for (unsigned i = 0; i < route->n_nexthops; i++) {
		const struct zapi_nexthop *n = &route->nexthops[i];

		out->nexthops[i] = (struct netlink_nexthop){
			.ifindex = (int)n->ifindex,
			.gateway = n->gateway,
			.weight = (uint16_t)n->weight,
			.onlink = n->onlink,
		};
	}
	out->n_nexthops = route->n_nexthops;
}

void kernel_route_of(const struct zapi_route *route, uint32_t table, struct netlink_route *out)
{
	uint64_t metric = (uint64_t)route->distance + route->metric;
	const struct zapi_nexthop *first = &route->nexthops[0];

	*out = (struct netlink_route){
		.dst = route->prefix,
		.table = table,
		.metric = metric > UINT32_MAX ? UINT32_MAX : (uint32_t)metric,
		.protocol = KERNEL_ROUTES_PROTOCOL,
		.mtu = route->mtu,
	};
	/* IPv6 stores 0 as 1024. */
	if (out->metric == 0)
		out->metric = 1;
	if (route->n_nexthops == 1 && !first->ifindex && !first->gateway.family)
		out->blackhole = true;
	else
		put_nexthops(route, out);
}

/* ---- the set ---- */

static struct entry *find(const struct kernel_routes *k, const struct key *key)
{
	struct entry *e;

	HASH_FIND(hh, k->entries, key, sizeof(*key), e);
	return e;
}

static void note(struct kernel_routes *k, const struct netlink_route *route, bool left_over)
{
	struct key key = key_of(route);
	struct entry *e = find(k, &key);

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return;
		e->key = key;
		HASH_ADD(hh, k->entries, key, sizeof(e->key), e);
	}
	k->left_over += left_over;
	k->left_over -= e->left_over;
	e->route = *route;
	e->left_over = left_over;
}

static void forget(struct kernel_routes *k, struct entry *e)
{
	k->left_over -= e->left_over;
	HASH_DEL(k->entries, e);
	free(e);
}

static struct current *find_current(const struct kernel_routes *k, const struct key *key)
{
	struct key any = *key;
	struct current *c;

	any.metric = 0;
	HASH_FIND(hh, k->currents, &any, sizeof(any), c);
	return c;
}

static void forget_current(struct kernel_routes *k, struct current *c)
{
	HASH_DEL(k->currents, c);
	free(c);
}

static void take_own(void *ctx, const struct netlink_route *route)
{
	struct netlink_route r = *route;

	if (r.protocol != KERNEL_ROUTES_PROTOCOL)
		return;
	if (r.ifindex) {
		r.n_nexthops = 1;
		r.nexthops[0] = (struct netlink_nexthop){
			.ifindex = r.ifindex, .gateway = r.gateway, .onlink = r.gateway.family};
		r.ifindex = 0;
	}
	note(ctx, &r, true);
}

/* Abstract names are a network namespace's own, as its routes are, and go with the process. */
static int lock_namespace(void)
{
	static const char name[] = "\0detour/routed-bridge/kernel-routes";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, name, sizeof(name) - 1);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, len) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

struct kernel_routes *kernel_routes_new(const struct log_sink *log, char *why, size_t size)
{
	struct kernel_routes *k = calloc(1, sizeof(*k));

	if (!k) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	k->log = log;
	k->lock = lock_namespace();
	if (k->lock < 0)
		snprintf(why, size, "%s",
			 errno == EADDRINUSE ? "another routed-bridge writes them"
					     : strerror(errno));
	else if (!(k->netlink = netlink_open()))
		snprintf(why, size, "rtnetlink: %s", strerror(errno));
	if (!k->netlink) {
		kernel_routes_free(k);
		return NULL;
	}
	netlink_route_list(k->netlink, AF_INET, take_own, k);
	netlink_route_list(k->netlink, AF_INET6, take_own, k);
	return k;
}

void kernel_routes_free(struct kernel_routes *k)
{
	struct current *c, *next_current;
	struct entry *e, *next;

	if (!k)
		return;
	HASH_ITER (hh, k->entries, e, next)
		forget(k, e);
	HASH_ITER (hh, k->currents, c, next_current)
		forget_current(k, c);
	if (k->netlink)
		netlink_close(k->netlink);
	if (k->lock >= 0)
		close(k->lock);
	free(k);
}

/* ---- changes ---- */

static void remove_route(struct kernel_routes *k, struct entry *e)
{
	struct netlink_route r = {
		.dst = e->key.dst,
		.table = e->key.table,
		.metric = e->key.metric,
		.blackhole = e->route.blackhole,
		.protocol = KERNEL_ROUTES_PROTOCOL,
	};
	char text[PREFIX_TEXT];
	int error = netlink_route_remove(k->netlink, &r);

	if (error < 0)
		log_to(k->log, LOG_LEVEL_WARN, "kernel", "", "%s metric %u table %u stays: %s",
		       prefix_format(&r.dst, text), r.metric, r.table,
		       netlink_strerror(k->netlink, error));
	forget(k, e);
}

/* With another metric it is another route for the kernel: the former one goes when this is
 * there. */
static void set_current(struct kernel_routes *k, const struct key *key)
{
	struct current *c = find_current(k, key);
	struct key former = *key;
	struct entry *e;

	if (c && c->metric == key->metric)
		return;
	if (c) {
		former.metric = c->metric;
		e = find(k, &former);
		if (e)
			remove_route(k, e);
	} else {
		c = calloc(1, sizeof(*c));
		if (!c)
			return;
		c->key = *key;
		c->key.metric = 0;
		HASH_ADD(hh, k->currents, key, sizeof(c->key), c);
	}
	c->metric = key->metric;
}

static void remember_claim(struct kernel_routes *k, const struct key *key,
			   const struct zapi_route *route)
{
	struct entry *e = find(k, key);

	if (!e)
		return;
	e->vrf = route->vrf;
	e->table = route->table;
}

enum zapi_note kernel_routes_add(struct kernel_routes *k, const struct zapi_route *route,
				 uint32_t table)
{
	struct netlink_route r;
	struct key key;
	char text[PREFIX_TEXT];
	int e;

	kernel_route_of(route, table, &r);
	key = key_of(&r);
	r.exclusive = !find(k, &key);
	e = netlink_route_add(k->netlink, &r);
	if (e == 0) {
		note(k, &r, false);
		remember_claim(k, &key, route);
		set_current(k, &key);
		return ZAPI_NOTE_INSTALLED;
	}
	log_to(k->log, LOG_LEVEL_WARN, "kernel", "", "%s metric %u table %u: %s",
	       prefix_format(&r.dst, text), r.metric, table,
	       e == -EEXIST ? "somebody else's route is there" : netlink_strerror(k->netlink, e));
	return ZAPI_NOTE_FAIL_INSTALL;
}

void kernel_routes_delete(struct kernel_routes *k, const struct zapi_route *route, uint32_t table)
{
	struct current *c;
	struct netlink_route r;
	struct entry *e;
	struct key key;

	kernel_route_of(route, table, &r);
	key = key_of(&r);
	e = find(k, &key);
	if (e)
		remove_route(k, e);
	c = find_current(k, &key);
	if (c)
		forget_current(k, c);
}

bool kernel_routes_lost(struct kernel_routes *k, const struct netlink_route *gone, uint32_t port,
			struct zapi_notify *out)
{
	struct key key = key_of(gone);
	struct entry *e = NULL;

	if (gone->protocol == KERNEL_ROUTES_PROTOCOL && port != netlink_port(k->netlink))
		e = find(k, &key);
	if (!e || e->left_over)
		return false;
	*out = (struct zapi_notify){
		.note = ZAPI_NOTE_REMOVED,
		.prefix = gone->dst,
		.vrf = e->vrf,
		.table = e->table,
	};
	return true;
}

/* The copy comes first, so that packets find a way all the time. */
static void put_last(struct kernel_routes *k, struct entry *e)
{
	struct netlink_route r = e->route;

	r.metric = METRIC_LAST;
	if (e->key.metric == METRIC_LAST || (!r.n_nexthops && !r.blackhole))
		return;
	if (netlink_route_add(k->netlink, &r) < 0)
		return;
	note(k, &r, true);
	remove_route(k, e);
}

void kernel_routes_abandon(struct kernel_routes *k)
{
	struct current *c, *next_current;
	struct entry *e, *next;

	HASH_ITER (hh, k->currents, c, next_current)
		forget_current(k, c);
	HASH_ITER (hh, k->entries, e, next)
		e->left_over = true;
	k->left_over = HASH_COUNT(k->entries);
	HASH_ITER (hh, k->entries, e, next)
		put_last(k, e);
}

unsigned kernel_routes_leftover(const struct kernel_routes *k)
{
	return k->left_over;
}

unsigned kernel_routes_sweep(struct kernel_routes *k)
{
	unsigned n = k->left_over;
	struct entry *e, *next;

	HASH_ITER (hh, k->entries, e, next) {
		if (e->left_over)
			remove_route(k, e);
	}
	return n;
}
