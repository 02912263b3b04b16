/* Which routes are wanted, and which of them the kernel has.
 *
 * A place in the table (prefix and metric) has claims, of conns and of CHILD_SAs; the best
 * one decides what stands there: an exception before a route, the older before the newer.
 * Single writer of a place: routes_settle_place. */
#include "ipsecd/routes_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#define PREFIXES_MAX 64 /* of one selector */
#define OUTSIDE_MAX  64

static const struct table_shape by_key = TABLE_SHAPE(struct place, in_places, key);
static const struct table_shape by_id = TABLE_SHAPE(struct owner, in_owners, id);

/* ---- places ---- */

const struct claim *routes_best(const struct routes *r, const struct place *p)
{
	const struct claim *c, *found = NULL;

	DL_FOREACH (p->claims, c) {
		if (c->kind == CLAIM_THROW)
			return c;
		if (!found && (c->kind != CLAIM_VIA || routes_ifindex(r, c->tunnel)))
			found = c;
	}
	return found;
}

static bool standing_equal(const struct standing *a, const struct standing *b)
{
	return addr_equal(&a->source, &b->source) && a->ifindex == b->ifindex &&
	       a->table == b->table && a->blackhole == b->blackhole && a->throws == b->throws;
}

static struct netlink_route route_of(const struct place *p)
{
	return (struct netlink_route){.dst = p->key.dst,
				      .metric = p->key.metric,
				      .source = p->sourceless ? (struct addr){0} : p->as.source,
				      .ifindex = p->as.ifindex,
				      .table = p->as.table,
				      .blackhole = p->as.blackhole,
				      .throws = p->as.throws,
				      .protocol = ROUTES_PROTOCOL};
}

/* A device that was removed or set down, which the log has already, takes its routes along; they
 * are set again when it is back. */
static void complain(const struct routes *r, const struct netlink_route *route, int error)
{
	bool gone = route->ifindex && (error == -ENODEV || error == -ENETDOWN);
	char text[PREFIX_TEXT];

	log_to(r->host.log, gone ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, "net", "",
	       "route to %s in table %u: %s", prefix_format(&route->dst, text), route->table,
	       strerror(-error));
}

static void uninstall(const struct routes *r, struct place *p)
{
	const struct netlink_route route = route_of(p);
	int e;

	if (!p->installed)
		return;
	p->installed = false;
	e = r->host.route(r->host.ctx, &route, false);
	if (e)
		complain(r, &route, e);
}

/* A source that is not (or not yet) an address of this machine is refused: the kernel's
 * choice will do. */
static void install(const struct routes *r, struct place *p, const struct standing *as)
{
	struct netlink_route route;
	int e;

	p->as = *as;
	p->sourceless = false;
	route = route_of(p);
	e = r->host.route(r->host.ctx, &route, true);
	if (e == -EINVAL && route.source.family) {
		p->sourceless = true;
		route.source = (struct addr){0};
		e = r->host.route(r->host.ctx, &route, true);
	}
	p->installed = e == 0;
	if (e)
		complain(r, &route, e);
}

void routes_settle_place(struct routes *r, struct place *p)
{
	const struct claim *c = r->on ? routes_best(r, p) : NULL;
	struct standing wanted = {.table = r->table};

	if (c) {
		wanted.blackhole = c->kind == CLAIM_BLACKHOLE;
		wanted.throws = c->kind == CLAIM_THROW;
		if (c->kind == CLAIM_VIA) {
			wanted.ifindex = routes_ifindex(r, c->tunnel);
			wanted.source = c->source;
		}
		if (p->installed && standing_equal(&wanted, &p->as))
			return;
	}
	uninstall(r, p);
	if (c)
		install(r, p, &wanted);
}

/* ---- claims ---- */

static struct place_key key_of(const struct prefix *dst, uint32_t metric)
{
	struct place_key key;

	memset(&key, 0, sizeof(key)); /* padding, too: it is hashed as bytes */
	key.dst.addr = dst->addr;
	key.dst.len = dst->len;
	key.metric = metric;
	return key;
}

static struct place *place_at(struct routes *r, const struct prefix *dst, uint32_t metric)
{
	struct place_key key = key_of(dst, metric);
	struct place *p = table_find(&r->places, &by_key, &key);

	return p ? p : table_make(&r->places, &by_key, sizeof(*p), &key);
}

static void claim(struct routes *r, struct owner *o, enum claim_kind kind, const struct prefix *dst,
		  const struct addr *source)
{
	struct claim *c = calloc(1, sizeof(*c));
	struct place *p =
		c ? place_at(r, dst,
			     kind == CLAIM_BLACKHOLE ? ROUTES_METRIC_BLACKHOLE : ROUTES_METRIC)
		  : NULL;

	if (!p) {
		free(c);
		complain(r, &(struct netlink_route){.dst = *dst, .table = r->table}, -ENOMEM);
		return;
	}
	*c = (struct claim){.kind = kind, .tunnel = o->tunnel, .place = p};
	if (source)
		c->source = *source;
	DL_APPEND(p->claims, c);
	LL_APPEND2(o->claims, c, owner_next);
	routes_settle_place(r, p);
}

static void claim_host(struct routes *r, struct owner *o, const struct addr *a)
{
	struct prefix p = {.addr = *a, .len = (uint8_t)(addr_size(a->family) * 8)};

	if (a->family && !addr_is_any(a))
		claim(r, o, CLAIM_THROW, &p, NULL);
}

static void unclaim(struct routes *r, struct owner *o, struct claim *c)
{
	struct place *p = c->place;

	DL_DELETE(p->claims, c);
	LL_DELETE2(o->claims, c, owner_next);
	free(c);
	routes_settle_place(r, p);
	if (!p->claims) {
		table_remove(&r->places, &by_key, p);
		free(p);
	}
}

static void unclaim_all(struct routes *r, struct owner *o, bool exceptions_only)
{
	struct claim *c, *next;

	LL_FOREACH_SAFE2 (o->claims, c, next, owner_next) {
		if (!exceptions_only || c->kind == CLAIM_THROW)
			unclaim(r, o, c);
	}
}

static struct owner *owner_of(struct table *set, uint64_t id, bool make)
{
	struct owner *o = table_find(set, &by_id, &id);

	return o || !make ? o : table_make(set, &by_id, sizeof(*o), &id);
}

static void owner_end(struct routes *r, struct owner *o)
{
	if (!o)
		return;
	unclaim_all(r, o, false);
	free(o);
}

static void owner_drop(struct routes *r, struct table *set, uint64_t id)
{
	struct owner *o = owner_of(set, id, false);

	if (!o)
		return;
	table_remove(set, &by_id, o);
	owner_end(r, o);
}

/* ---- conns ---- */

/* What is ours inside a wider network of the peer's stays where it is. */
static void except_own(struct routes *r, struct owner *o, const struct prefix *own,
		       const struct ts_list *remote)
{
	struct prefix wide[PREFIXES_MAX];

	for (unsigned i = 0; i < remote->n; i++) {
		unsigned n = ts_prefixes(&remote->ts[i], wide, PREFIXES_MAX);

		for (unsigned j = 0; j < n && j < PREFIXES_MAX; j++) {
			if (wide[j].len < own->len && prefix_contains(&wide[j], &own->addr)) {
				claim(r, o, CLAIM_THROW, own, NULL);
				return;
			}
		}
	}
}

typedef void each_prefix(struct routes *r, struct owner *o, const struct prefix *p,
			 const void *arg);

static void for_each(struct routes *r, struct owner *o, const struct ts_list *list, each_prefix *cb,
		     const void *arg)
{
	struct prefix prefixes[PREFIXES_MAX];
	char text[TS_TEXT];

	for (unsigned i = 0; i < list->n; i++) {
		unsigned n = ts_prefixes(&list->ts[i], prefixes, PREFIXES_MAX);

		if (n > PREFIXES_MAX) {
			log_to(r->host.log, LOG_LEVEL_ERROR, "net", "",
			       "selector %s is %u prefixes: no route for all of them",
			       ts_format(&list->ts[i], text), n);
			n = PREFIXES_MAX;
		}
		for (unsigned j = 0; j < n; j++)
			cb(r, o, &prefixes[j], arg);
	}
}

static void claim_own(struct routes *r, struct owner *o, const struct prefix *p, const void *remote)
{
	except_own(r, o, p, remote);
}

static void claim_blackhole(struct routes *r, struct owner *o, const struct prefix *p,
			    const void *arg)
{
	(void)arg;
	if (p->len || o->peer.family)
		claim(r, o, CLAIM_BLACKHOLE, p, NULL);
}

/* The claims of before go last: what both have stands there all the time. */
void routes_conn(struct routes *r, uint32_t tunnel, const struct conn *conn)
{
	struct owner *before = owner_of(&r->conns, tunnel, false), *o;

	if (before)
		table_remove(&r->conns, &by_id, before);
	o = owner_of(&r->conns, tunnel, true);
	if (o) {
		o->tunnel = tunnel;
		o->peer = conn->tunnel.remote;
		claim_host(r, o, &o->peer); /* before what might hold it */
	}
	for (uint16_t i = 0; o && i < conn->n_children; i++) {
		const struct child_config *child = &conn->children[i];

		for_each(r, o, &child->local_ts, claim_own, &child->remote_ts);
		for_each(r, o, &child->remote_ts, claim_blackhole, NULL);
	}
	owner_end(r, before);
}

void routes_conn_gone(struct routes *r, uint32_t tunnel)
{
	owner_drop(r, &r->conns, tunnel);
}

/* ---- CHILD_SAs ---- */

static void claim_via(struct routes *r, struct owner *o, const struct prefix *p, const void *source)
{
	const struct addr *sources = source;

	claim(r, o, CLAIM_VIA, p, &sources[p->addr.family == AF_INET6]);
}

void routes_child(struct routes *r, uint64_t child, uint32_t tunnel, const struct ts_list *remote,
		  const struct addr *peer, const struct addr source[2])
{
	struct owner *o;

	routes_child_gone(r, child);
	o = owner_of(&r->children, child, true);
	if (!o)
		return;
	o->tunnel = tunnel;
	o->peer = *peer;
	if (!routes_links_join(r, o)) {
		owner_drop(r, &r->children, child);
		return;
	}
	claim_host(r, o, peer);
	for_each(r, o, remote, claim_via, source);
}

void routes_child_moved(struct routes *r, uint64_t child, const struct addr *peer)
{
	struct owner *o = owner_of(&r->children, child, false);

	if (!o || addr_equal(&o->peer, peer))
		return;
	unclaim_all(r, o, true);
	o->peer = *peer;
	claim_host(r, o, peer);
}

void routes_child_gone(struct routes *r, uint64_t child)
{
	struct owner *o = owner_of(&r->children, child, false);

	if (o)
		routes_links_leave(r, o);
	owner_drop(r, &r->children, child);
}

void routes_outside(struct routes *r, const struct addr *a)
{
	const struct claim *c;

	LL_FOREACH2 (r->outside.claims, c, owner_next) {
		if (addr_equal(&c->place->key.dst.addr, a))
			return;
	}
	if (r->n_outside == OUTSIDE_MAX)
		unclaim(r, &r->outside, r->outside.claims); /* the oldest */
	else
		r->n_outside++;
	claim_host(r, &r->outside, a);
}

/* ---- life ---- */

static void set_rules(struct routes *r, bool add)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	for (unsigned i = 0; r->on && r->priority && i < 2; i++) {
		struct netlink_rule rule = {.family = families[i],
					    .table = r->table,
					    .priority = r->priority,
					    .protocol = ROUTES_PROTOCOL};
		int e = r->host.rule(r->host.ctx, &rule, add);

		if (e && e != -EAFNOSUPPORT)
			log_to(r->host.log, LOG_LEVEL_ERROR, "net", "", "rule %u for table %u: %s",
			       rule.priority, rule.table, strerror(-e));
	}
}

void routes_settle(struct routes *r)
{
	struct place *p;

	TABLE_EACH (&r->places, &by_key, p)
		routes_settle_place(r, p);
}

void routes_configure(struct routes *r, const struct settings *s)
{
	if (r->on == s->install_routes && r->table == s->routing_table &&
	    r->priority == s->routing_table_prio)
		return;
	set_rules(r, false);
	if (r->table != s->routing_table) {
		r->on = false;
		routes_settle(r);
	}
	r->on = s->install_routes;
	r->table = s->routing_table;
	r->priority = s->routing_table_prio;
	routes_settle(r);
	set_rules(r, true);
}

bool routes_on(const struct routes *r)
{
	return r->on;
}

bool routes_has(const struct routes *r, const struct netlink_route *route)
{
	struct place_key key = key_of(&route->dst, route->metric);
	const struct place *p = table_find(&r->places, &by_key, &key);

	return p && p->installed && p->as.table == route->table &&
	       p->as.blackhole == route->blackhole && p->as.throws == route->throws &&
	       (!p->as.ifindex || p->as.ifindex == route->ifindex);
}

bool routes_has_rule(const struct routes *r, const struct netlink_rule *rule)
{
	return r->on && r->priority == rule->priority && r->table == rule->table && !rule->iif[0];
}

void routes_restore_rules(struct routes *r)
{
	set_rules(r, true);
}

struct routes *routes_new(const struct routes_host *host)
{
	struct routes *r = calloc(1, sizeof(*r));

	if (r)
		r->host = *host;
	return r;
}

/* Without the kernel being told: they stay as they are. */
static void forget_kept(struct routes *r)
{
	struct place *p;

	TABLE_EACH (&r->places, &by_key, p) {
		if (!p->as.ifindex)
			p->installed = false;
	}
	r->priority = 0;
}

/* The table with them: to take them out one by one would look through its empty buckets each time.
 */
static void end_owners(struct routes *r, struct table *set)
{
	struct owner *o, *next;

	for (o = table_first(set, &by_id); o; o = next) {
		next = table_next(set, &by_id, o);
		owner_end(r, o);
	}
	table_free(set);
}

void routes_free(struct routes *r, bool keep)
{
	if (!r)
		return;
	routes_links_down(r);
	routes_settle(r); /* what was beneath a route comes to light */
	if (keep)
		forget_kept(r);
	set_rules(r, false);
	r->on = false;
	end_owners(r, &r->children);
	end_owners(r, &r->conns);
	unclaim_all(r, &r->outside, false);
	routes_links_free(r);
	table_free(&r->places);
	free(r);
}
