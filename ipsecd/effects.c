/* Scripts: facts are gathered from the engine's events, the tunnels and the kernel's routes,
 * and handed to updown.c. */
#include "ipsecd/effects.h"
#include "ipsecd/updown.h"
#include "ipsecd/vips.h"
#include "lib/netlink_route.h"

#include <errno.h>
#include <stdlib.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct effects {
	struct effects_host host;
	struct netlink *netlink;
	struct scripts *scripts;
	struct updown *updown;
	struct vips *vips;
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
	struct netlink_route route;

	if (netlink_route_towards(e->netlink, &path->remote.addr, &path->local.addr, &route) != 0 ||
	    !if_indextoname((unsigned)route.ifindex, name))
		name[0] = '\0';
	return name;
}

static void child_up(struct effects *e, const struct ike_output *out)
{
	const char *script = script_of(e, &out->sa), *path = getenv("PATH");
	char interface[IF_NAMESIZE];
	struct updown_facts facts = {
		.ike = &out->ike, .child = &out->sa, .path = path ? path : DEFAULT_PATH};
	struct tunnel_view view;

	if (!script || !tunnels_view(e->host.tunnels, out->sa.conn, &view))
		return;
	facts.interface = outer_device(e, &out->ike.path, interface);
	facts.device = tunnel_view_device(&view);
	facts.mark_in = view.info.mark_in.value ? view.info.mark_in : view.config->mark_in;
	facts.mark_out = view.info.mark_out.value ? view.info.mark_out : view.config->mark_out;
	facts.if_id_in = view.info.if_id_in ? view.info.if_id_in : view.config->if_id_in;
	facts.if_id_out = view.info.if_id_out ? view.info.if_id_out : view.config->if_id_out;
	updown_child_up(e->updown, script, &facts);
}

/* ---- what comes in ---- */

void effects_settings(struct effects *e, const struct settings *settings)
{
	updown_set_timeout(e->updown, settings->updown_timeout);
	vips_configure(e->vips, settings);
}

void effects_vips(struct effects *e, const struct ike_output *out)
{
	_Static_assert(IKE_TUNNEL_VIPS_MAX + CONN_IF_ADDRS_MAX <= TUNNEL_ADDRS_MAX, "room");
	vips_set(e->vips, out->tunnel, out->vips, out->n_vips);
}

void effects_event(struct effects *e, const struct ike_output *out)
{
	if (out->event == IKE_EVENT_CHILD_UP)
		child_up(e, out);
	else if (out->event == IKE_EVENT_CHILD_REKEYED)
		updown_child_rekeyed(e->updown, out->sa_old.child_sa, out->sa.child_sa);
	else if (out->event == IKE_EVENT_CHILD_DOWN)
		updown_child_down(e->updown, out->sa.child_sa);
}

bool effects_end(struct effects *e)
{
	updown_end(e->updown);
	return scripts_left(e->scripts) > 0;
}

/* ---- life ---- */

struct effects *effects_new(const struct effects_host *host)
{
	const struct scripts_host scripts = {
		.loop = host->loop, .log = host->log, .idle = host->idle, .ctx = host->ctx};
	struct effects *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->host = *host;
	e->netlink = netlink_open();
	if (!e->netlink)
		log_to(host->log, LOG_LEVEL_ERROR, "job", "", "rtnetlink: %s", strerror(errno));
	e->scripts = scripts_new(&scripts);
	e->updown = e->scripts ? updown_new(e->scripts) : NULL;
	e->vips = e->netlink ? vips_new(e->netlink, host->tunnels, host->log) : NULL;
	if (e->vips && e->updown)
		return e;
	effects_free(e);
	return NULL;
}

void effects_free(struct effects *e)
{
	if (!e)
		return;
	vips_free(e->vips);
	updown_free(e->updown);
	scripts_free(e->scripts);
	netlink_close(e->netlink);
	free(e);
}
