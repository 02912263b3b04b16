/* A tunnel's device: made, changed, made anew, and the addresses that it has beside the
 * configured ones. What the plane refuses is said in words of the plane. */
#include "ipsecd/tunnel_parts.h"

#include <stdio.h>

/* A device that somebody removed is as it was: a reload makes it again, for the same SAs. */
static bool is_shut(const struct tunnel *tunnel, const struct tunnel_view *view)
{
	if (!view->info.ifindex)
		return tunnel->shut;
	return !tunnel->config.external && !view->info.admin_up;
}

/* A device that came after the link was UP (made by a script, or again): whoever routes has
 * to know it. */
void tunnel_note_device(struct tunnels *t, struct tunnel *tunnel)
{
	struct tunnel_view view;
	int was = tunnel->ifindex;

	tunnel_view_of(t, tunnel, &view);
	tunnel_set_ifindex(t, tunnel, view.info.ifindex);
	if (view.info.ifindex && view.info.ifindex != was && tunnel->state == TUNNEL_UP)
		t->host.link(t->host.ctx, &view, true, "the device is there");
	if (is_shut(tunnel, &view) == tunnel->shut || !tunnel->conn)
		return;
	tunnel->shut = !tunnel->shut;
	t->host.shut(t->host.ctx, tunnel->conn, tunnel->shut);
}

static bool has_addr(const struct tunnel_config *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->n_addrs; i++) {
		if (addr_equal(&c->addrs[i].addr, a))
			return true;
	}
	return false;
}

/* What the plane gets: the configuration and the virtual addresses. */
static struct tunnel_config whole(const struct tunnel *tunnel, const struct tunnel_config *config)
{
	struct tunnel_config c = *config;

	for (unsigned i = 0; i < tunnel->n_vips && c.n_addrs < TUNNEL_ADDRS_MAX; i++) {
		const struct addr *a = &tunnel->vips[i];

		if (!has_addr(&c, a))
			c.addrs[c.n_addrs++] = (struct prefix){
				.addr = *a, .len = (uint8_t)(addr_size(a->family) * 8)};
	}
	return c;
}

bool tunnel_make_device(struct tunnels *t, struct tunnel *tunnel,
			const struct tunnel_config *config, char *why, size_t size)
{
	const struct tunnel_config all = whole(tunnel, config);

	t->as_made = 0;
	if (t->ops->tunnel_create(t->plane, tunnel->id, &all) != DATAPLANE_OK) {
		snprintf(why, size, "%s", t->ops->last_error(t->plane));
		return false;
	}
	tunnel->config = *config;
	tunnel_addrs_note(t, tunnel);
	return true;
}

/* The link of a device that is handed over with its SAs stays as it was. */
void tunnel_inherit(struct tunnels *t, struct tunnel *tunnel)
{
	struct tunnel_view view;

	tunnel_view_of(t, tunnel, &view);
	tunnel_set_ifindex(t, tunnel, view.info.ifindex);
	tunnel->shut = is_shut(tunnel, &view);
	if (t->restoring && view.info.link_up) {
		/* As it was; whether it stays so is what the CHILD_SAs decide that come now. */
		tunnel->state = view.state = TUNNEL_UP;
		tunnel_count(t, tunnel, &tunnel->inherited, view.info.inherited);
		t->host.link(t->host.ctx, &view, true, "as before");
		return;
	}
	if (!view.info.inherited || !view.info.link_up)
		return;
	tunnel_count(t, tunnel, &tunnel->inherited, true);
	tunnel_set_state(t, tunnel, TUNNEL_UP, "SAs of a former process still pass packets");
}

void tunnel_take_device(struct tunnels *t, struct tunnel *tunnel)
{
	struct tunnel_child *child;

	t->as_made = 0;
	tunnel_set_state(t, tunnel, TUNNEL_DOWN, "the device is made anew");
	tunnel_count(t, tunnel, &tunnel->inherited, false);
	DL_FOREACH (tunnel->children, child)
		tunnel_count(t, tunnel, &child->outbound, false);
	t->ops->tunnel_remove(t->plane, tunnel->id);
}

void tunnel_return_device(struct tunnels *t, struct tunnel *tunnel)
{
	const struct tunnel_config old = tunnel->config;
	struct tunnel_child *child;
	char why[128];

	if (!tunnel_make_device(t, tunnel, &old, why, sizeof(why)))
		log_to(t->host.log, LOG_LEVEL_ERROR, "tun", tunnel->conn ? tunnel->conn : "",
		       "%s: the device can't be had back: %s", old.name, why);
	DL_FOREACH (tunnel->children, child)
		t->host.child_lost(t->host.ctx, child->id);
}

/* Another kind or other keys make it another device, though the name is the same: its
 * CHILD_SAs go with it. A refused one leaves the old device, with nothing in it. */
static bool remake(struct tunnels *t, struct tunnel *tunnel, const struct tunnel_config *config,
		   char *why, size_t size)
{
	tunnel_take_device(t, tunnel);
	if (tunnel_make_device(t, tunnel, config, why, size)) {
		tunnel_note_device(t, tunnel);
		return true;
	}
	tunnel_return_device(t, tunnel);
	return false;
}

bool tunnel_change_device(struct tunnels *t, struct tunnel *tunnel,
			  const struct tunnel_config *config, char *why, size_t size)
{
	const struct tunnel_config all = whole(tunnel, config);

	t->as_made = 0;
	if (!tunnel_config_same_device(&tunnel->config, config))
		return remake(t, tunnel, config, why, size);
	if (t->ops->tunnel_update(t->plane, tunnel->id, &all) != DATAPLANE_OK) {
		snprintf(why, size, "%s", t->ops->last_error(t->plane));
		return false;
	}
	tunnel->config = *config;
	tunnel_addrs_note(t, tunnel);
	tunnel_note_device(t, tunnel);
	return true;
}

/* Neither we nor others have anything to change: who watches the device is not told of it. */
bool tunnel_is_as_made(const struct tunnels *t, const struct tunnel *tunnel,
		       const struct tunnel_config *config)
{
	struct tunnel_view view;

	if (!tunnel_config_equal(&tunnel->config, config))
		return false;
	tunnel_view_of(t, tunnel, &view);
	return view.info.as_made && view.info.ifindex == tunnel->ifindex;
}

bool tunnels_mend(struct tunnels *t, const struct conn *conn, bool *done, char *why, size_t size)
{
	const struct tunnel *tunnel;
	uint32_t id;

	HASH_FIND(hh_conn, t->by_conn, conn->name, strlen(conn->name), tunnel);
	*done = !tunnel || !tunnel_is_as_made(t, tunnel, &conn->tunnel);
	return !*done || tunnels_ensure(t, conn, &id, why, size);
}

/* Who changes devices now is seen at the end, or told of by another number: it is the one from
 * before the first look that counts. */
bool tunnels_mend_begin(struct tunnels *t)
{
	t->looking = t->ops->changes ? t->ops->changes(t->plane) : 0;
	return !t->looking || t->looking != t->as_made;
}

void tunnels_mend_end(struct tunnels *t, bool all)
{
	t->as_made = all ? t->looking : 0;
}

void tunnels_set_vips(struct tunnels *t, uint32_t id, const struct addr *vips, unsigned n)
{
	struct tunnel *tunnel = tunnel_by_id(t, id);
	char why[256];

	if (!tunnel)
		return;
	tunnel->n_vips = (uint8_t)(n < TUNNEL_ADDRS_MAX ? n : TUNNEL_ADDRS_MAX);
	memcpy(tunnel->vips, vips, tunnel->n_vips * sizeof(*vips));
	if (tunnel->config.n_addrs + n > TUNNEL_ADDRS_MAX)
		log_to(t->host.log, LOG_LEVEL_WARN, "tun", tunnel->conn ? tunnel->conn : "",
		       "%u virtual addresses are more than the device has room for", n);
	if (!tunnel_change_device(t, tunnel, &tunnel->config, why, sizeof(why)))
		log_to(t->host.log, LOG_LEVEL_ERROR, "tun", tunnel->conn ? tunnel->conn : "",
		       "virtual addresses: %s", why);
}
