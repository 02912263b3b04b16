/* Facts are gathered from the engine's outputs, the tunnels and the kernel, and handed to
 * updown.c, vips.c and routes.c, which know what to make of them. */
#include "ipsecd/effects.h"
#include "ipsecd/leftovers.h"
#include "ipsecd/means.h"
#include "ipsecd/net/source.h"
#include "ipsecd/routes.h"
#include "ipsecd/updown.h"
#include "ipsecd/vips.h"

#include <stdlib.h>

struct effects {
	struct effects_host host;
	struct scripts *scripts; /* NULL: somebody else runs them */
	struct script_runner runner;
	struct updown *updown;
	struct vips *vips;
	struct routes *routes;
	bool settled;
	char bound[IF_NAMESIZE]; /* the setting bind-device */
};

/* ---- scripts ---- */

static const char *script_of(const struct effects *e, const struct ike_child_info *child)
{
	const struct conn *conn = ike_engine_conn_named(e->host.engine, child->conn);
	const struct child_config *config = conn ? conn_child(conn, child->name) : NULL;

	return config ? config->updown : NULL;
}

/* The device by which the peer is reached. */
static const char *outer_device(const struct effects *e, const struct ike_path *path,
				char name[IF_NAMESIZE])
{
	struct netlink *nl = e->host.netlink;
	struct netlink_route route;
	struct netlink_link link = {0};

	if ((e->bound[0] && netlink_link_find(nl, e->bound, &link) != 0) ||
	    netlink_route_by(nl, &path->remote.addr, &path->local.addr, link.ifindex, &route) !=
		    0 ||
	    netlink_link_get(nl, route.ifindex, &link) != 0)
		link.name[0] = '\0';
	memcpy(name, link.name, IF_NAMESIZE);
	return name;
}

static void child_up(struct effects *e, const struct ike_sa_info *ike,
		     const struct ike_child_info *child, bool resumed)
{
	const char *script = script_of(e, child), *path = getenv("PATH");
	char interface[IF_NAMESIZE];
	struct updown_facts facts = {.ike = ike, .child = child, .path = path ? path : SCRIPT_PATH};
	struct tunnel_view view;

	if ((!script && !resumed) || !tunnels_view(e->host.tunnels, child->conn, &view))
		return;
	facts.interface = outer_device(e, &ike->path, interface);
	facts.device = tunnel_view_device(&view);
	facts.mark_in = view.info.mark_in.value ? view.info.mark_in : view.config->mark_in;
	facts.mark_out = view.info.mark_out.value ? view.info.mark_out : view.config->mark_out;
	facts.if_id_in = view.info.if_id_in ? view.info.if_id_in : view.config->if_id_in;
	facts.if_id_out = view.info.if_id_out ? view.info.if_id_out : view.config->if_id_out;
	updown_child_up(e->updown, script, &facts);
}

void effects_child_resumed(struct effects *e, const struct ike_sa_info *ike,
			   const struct ike_child_info *child)
{
	child_up(e, ike, child, true);
}

void effects_told(struct effects *e, struct updown_told *told)
{
	updown_know(e->updown, told);
}

void effects_resumed(struct effects *e)
{
	updown_resumed(e->updown);
}

/* ---- routes ---- */

static int set_route(void *ctx, const struct netlink_route *r, bool add)
{
	const struct effects *e = ctx;

	return e->host.means->act->route(e->host.means, r, add);
}

static int set_rule(void *ctx, const struct netlink_rule *r, bool add)
{
	const struct effects *e = ctx;

	return e->host.means->act->rule(e->host.means, r, add);
}

struct source_query {
	const struct ts_list *local;
	uint8_t family;
};

static bool link_local(const struct addr *a)
{
	return a->family == AF_INET
		       ? a->bytes[0] == 127 || (a->bytes[0] == 169 && a->bytes[1] == 254)
		       : a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static bool inside(void *ctx, const struct addr *a)
{
	const struct source_query *q = ctx;

	return a->family == q->family && !link_local(a) && ts_list_match(q->local, a, 0, 0);
}

/* Any address is inside of such a selector: that says nothing of which one is meant. */
static bool selects_all(const struct source_query *q)
{
	struct prefix p;

	for (unsigned i = 0; i < q->local->n; i++) {
		if (q->local->ts[i].family == q->family && ts_to_prefix(&q->local->ts[i], &p) &&
		    p.len == 0)
			return true;
	}
	return false;
}

/* The peer accepts what lies inside our selectors: a virtual address, one of the device, one
 * of the machine. Family 0: the kernel's choice. */
static struct addr source_for(const struct effects *e, const struct child_sa *child,
			      const struct tunnel_config *config, uint8_t family)
{
	struct source_query q = {.local = &child->local_ts, .family = family};
	const struct addr *vip = vips_of(e->vips, child->tunnel, family);
	struct source_addrs *own;
	struct addr found = {0};

	if (vip && inside(&q, vip))
		return *vip;
	for (unsigned i = 0; i < config->n_addrs; i++) {
		if (inside(&q, &config->addrs[i].addr))
			return config->addrs[i].addr;
	}
	/* The machine's are many: they are asked for only where routes are made. */
	if (selects_all(&q) || !routes_on(e->routes))
		return found;
	own = source_addrs_read_by(e->host.netlink);
	source_addrs_find(own, inside, &q, &found);
	source_addrs_free(own);
	return found;
}

void effects_conn(struct effects *e, const struct conn *conn, uint32_t tunnel)
{
	routes_conn(e->routes, tunnel, conn);
}

void effects_conn_gone(struct effects *e, uint32_t tunnel)
{
	routes_conn_gone(e->routes, tunnel);
}

void effects_resolved(struct effects *e, const struct addr *a)
{
	if (routes_on(e->routes))
		routes_outside(e->routes, a);
}

void effects_child_install(struct effects *e, const struct child_sa *child)
{
	const char *conn = tunnels_conn(e->host.tunnels, child->tunnel);
	struct addr sources[2] = {0};
	struct tunnel_view view;

	if (conn && tunnels_view(e->host.tunnels, conn, &view)) {
		sources[0] = source_for(e, child, view.config, AF_INET);
		sources[1] = source_for(e, child, view.config, AF_INET6);
	}
	routes_child(e->routes, child->id, child->tunnel, &child->remote_ts, &child->remote.addr,
		     sources);
}

void effects_child_update(struct effects *e, const struct child_sa *child)
{
	routes_child_moved(e->routes, child->id, &child->remote.addr);
}

void effects_child_remove(struct effects *e, uint64_t child)
{
	routes_child_gone(e->routes, child);
}

void effects_device(struct effects *e, uint32_t tunnel)
{
	routes_restore(e->routes, tunnel);
}

bool effects_ours(const struct effects *e, int ifindex, const struct addr *a)
{
	return tunnels_have_device(e->host.tunnels, ifindex) || (a && vips_have(e->vips, a));
}

/* Routes through a device whose link is up lead somewhere: SAs of the former process pass
 * packets until ours are there. */
static void note_inheriting(void *ctx, const struct tunnel_view *view)
{
	struct netlink_route *route = ctx;

	if (route->ifindex && view->state == TUNNEL_UP && view->info.ifindex == route->ifindex &&
	    view->info.inherited)
		route->ifindex = -1;
}

static bool keep(void *ctx, const struct netlink_route *route)
{
	const struct effects *e = ctx;
	struct netlink_route r = *route;

	tunnels_each(e->host.tunnels, note_inheriting, &r);
	return r.ifindex == -1 || (routes_on(e->routes) && routes_has(e->routes, route));
}

static bool keep_rule(void *ctx, const struct netlink_rule *rule)
{
	const struct effects *e = ctx;

	return routes_has_rule(e->routes, rule);
}

static int remove_route(void *ctx, const struct netlink_route *r)
{
	return set_route(ctx, r, false);
}

static int remove_rule(void *ctx, const struct netlink_rule *r)
{
	return set_rule(ctx, r, false);
}

static struct leftovers_host leftovers(struct effects *e)
{
	return (struct leftovers_host){.netlink = e->host.netlink,
				       .keep = keep,
				       .keep_rule = keep_rule,
				       .remove_route = remove_route,
				       .remove_rule = remove_rule,
				       .ctx = e};
}

static void remove_leftovers(struct effects *e)
{
	const struct leftovers_host host = leftovers(e);
	unsigned n = leftovers_remove_routes(&host);

	if (!n)
		return;
	log_to(e->host.log, LOG_LEVEL_NOTICE, "net", "", "%u routes of a former process removed",
	       n);
	routes_settle(e->routes); /* those had taken the room of ours, if they were too many */
}

void effects_link(struct effects *e, const struct tunnel_view *view, bool up)
{
	routes_link(e->routes, view->id, up ? view->info.ifindex : 0);
	if (!up && e->settled && view->info.inherited)
		remove_leftovers(e);
}

void effects_settled(struct effects *e)
{
	const struct leftovers_host host = leftovers(e);

	e->settled = true;
	if (leftovers_remove_rules(&host))
		routes_restore_rules(e->routes);
	remove_leftovers(e);
}

/* ---- what comes in ---- */

void effects_settings(struct effects *e, const struct settings *settings)
{
	memcpy(e->bound, settings->bind_device, sizeof(e->bound));
	updown_set_timeout(e->updown, settings->updown_timeout);
	vips_configure(e->vips, settings);
	routes_configure(e->routes, settings);
}

void effects_vips(struct effects *e, const struct ike_output *out)
{
	_Static_assert(IKE_TUNNEL_VIPS_MAX + CONN_IF_ADDRS_MAX <= TUNNEL_ADDRS_MAX, "room");
	vips_set(e->vips, out->tunnel, out->vips, out->n_vips);
}

void effects_event(struct effects *e, const struct ike_output *out)
{
	/* CHILD_SAs for single resources count as the general one does: whichever is the last
	 * carries what the script, and routes, are there for. */
	if (out->event == IKE_EVENT_CHILD_UP)
		child_up(e, &out->ike, &out->sa, false);
	else if (out->event == IKE_EVENT_CHILD_REKEYED)
		updown_child_rekeyed(e->updown, out->sa_old.child_sa, out->sa.child_sa);
	else if (out->event == IKE_EVENT_CHILD_DOWN)
		updown_child_down(e->updown, out->sa.child_sa);
}

bool effects_end(struct effects *e)
{
	updown_end(e->updown);
	return e->runner.left(e->runner.ctx) > 0;
}

/* ---- life ---- */

struct effects *effects_new(const struct effects_host *host)
{
	struct routes_host routes = {.route = set_route, .rule = set_rule, .log = host->log};
	const struct scripts_host scripts = {
		.loop = host->loop, .log = host->log, .idle = host->idle, .ctx = host->ctx};
	struct effects *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->host = *host;
	e->scripts = host->runner ? NULL : scripts_new(&scripts);
	e->runner = host->runner ? *host->runner : scripts_runner(e->scripts);
	e->updown = host->runner || e->scripts ? updown_new(&e->runner, &host->keeper) : NULL;
	e->vips = vips_new(host->means, host->tunnels, host->log);
	routes.ctx = e;
	e->routes = routes_new(&routes);
	if (e->vips && e->updown && e->routes)
		return e;
	effects_free(e);
	return NULL;
}

void effects_free(struct effects *e)
{
	if (!e)
		return;
	routes_free(e->routes, e->host.persistent);
	vips_free(e->vips);
	updown_free(e->updown);
	scripts_free(e->scripts);
	free(e);
}
