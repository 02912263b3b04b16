/* Tunnels: devices per conn, and link state counted per CHILD_SA object.
 *
 * Owns: which tunnels exist, their ids, which CHILD_SAs each has. Single writer of a
 * tunnel's state: tunnel_set_state. Knows neither IKE nor how a plane works. */
#include "ipsecd/tunnel_parts.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const state_names[] = {"down", "up", "draining"};

struct tunnels *tunnels_new(const struct dataplane_ops *ops, struct dataplane *plane,
			    const struct tunnels_host *host)
{
	struct tunnels *t = calloc(1, sizeof(*t));

	if (t)
		*t = (struct tunnels){.ops = ops, .plane = plane, .host = *host};
	return t;
}

/* A settle that looked at every tunnel after every datagram would cost more than the
 * datagram: only what an output changed is looked at. */
static void touch(struct tunnels *t, struct tunnel *tunnel)
{
	if (tunnel->touched)
		return;
	tunnel->touched = true;
	LL_PREPEND2(t->touched, tunnel, next_touched);
}

void tunnel_set_ifindex(struct tunnels *t, struct tunnel *tunnel, int ifindex)
{
	if (tunnel->ifindex)
		HASH_DELETE(hh_ifindex, t->by_ifindex, tunnel);
	tunnel->ifindex = ifindex;
	if (ifindex)
		HASH_ADD(hh_ifindex, t->by_ifindex, ifindex, sizeof(tunnel->ifindex), tunnel);
}

static void forget(struct tunnels *t, struct tunnel *tunnel)
{
	tunnel_set_ifindex(t, tunnel, 0);
	if (tunnel->touched)
		LL_DELETE2(t->touched, tunnel, next_touched);
	if (tunnel->conn)
		HASH_DELETE(hh_conn, t->by_conn, tunnel);
	else
		DL_DELETE(t->condemned, tunnel);
	HASH_DEL(t->by_id, tunnel);
	tunnel_addrs_forget(t, tunnel);
	free(tunnel->conn);
	free(tunnel);
}

static const struct table_shape by_id = TABLE_SHAPE(struct tunnel_child, in_ids, id);

static void child_free(struct tunnels *t, struct tunnel_child *child)
{
	DL_DELETE(child->tunnel->children, child);
	child->tunnel->draining -= child->draining;
	table_remove(&t->children, &by_id, child);
	free(child);
}

void tunnels_free(struct tunnels *t)
{
	struct tunnel_child *child, *next_child;
	struct tunnel *tunnel, *next;

	if (!t)
		return;
	for (child = table_first(&t->children, &by_id); child; child = next_child) {
		next_child = table_next(&t->children, &by_id, child);
		free(child);
	}
	table_free(&t->children);
	HASH_ITER (hh, t->by_id, tunnel, next)
		forget(t, tunnel);
	table_free(&t->addrs);
	tunnels_restored(t);
	free(t);
}

static struct tunnel *find(const struct tunnels *t, const char *conn)
{
	struct tunnel *tunnel;

	HASH_FIND(hh_conn, t->by_conn, conn, strlen(conn), tunnel);
	return tunnel;
}

void tunnel_view_of(const struct tunnels *t, const struct tunnel *tunnel, struct tunnel_view *out)
{
	*out = (struct tunnel_view){
		.id = tunnel->id,
		.conn = tunnel->conn ? tunnel->conn : "",
		.config = &tunnel->config,
		.state = tunnel->state,
		.usable = tunnel->usable,
		.shut = tunnel->shut,
	};
	t->ops->tunnel_info(t->plane, tunnel->id, &out->info);
}

const char *tunnel_view_device(const struct tunnel_view *v)
{
	return v->info.name[0] ? v->info.name : v->config->name;
}

/* The only writer of a tunnel's state and of its link. Routing is told of a loss before
 * the device shows it, and of an arrival after. */
void tunnel_set_state(struct tunnels *t, struct tunnel *tunnel, enum tunnel_state state,
		      const char *reason)
{
	bool was_up = tunnel->state == TUNNEL_UP, up = state == TUNNEL_UP;
	struct tunnel_view view;

	if (tunnel->state == state)
		return;
	tunnel_view_of(t, tunnel, &view);
	log_to(t->host.log, LOG_LEVEL_NOTICE, "tun", tunnel->conn, "%s: %s -> %s (%s)",
	       tunnel_view_device(&view), state_names[tunnel->state], state_names[state], reason);
	tunnel->state = view.state = state;
	if (was_up == up)
		return;
	if (!up)
		t->host.link(t->host.ctx, &view, false, reason);
	if (t->ops->tunnel_set_link(t->plane, tunnel->id, up) != DATAPLANE_OK)
		log_to(t->host.log, LOG_LEVEL_ERROR, "tun", tunnel->conn,
		       "%s: setting the link %s failed: %s", tunnel_view_device(&view),
		       up ? "up" : "dormant", t->ops->last_error(t->plane));
	if (up) {
		tunnel_view_of(t, tunnel, &view);
		t->host.link(t->host.ctx, &view, true, reason);
	}
}

/* Which CHILD_SAs are to go is known by object: one that comes later, from a peer that
 * wants the tunnel up, brings the link up when they are gone. */
static void mark_draining(struct tunnel *tunnel, bool draining)
{
	struct tunnel_child *child;

	tunnel->draining = 0;
	DL_FOREACH (tunnel->children, child) {
		child->draining = draining;
		tunnel->draining += draining;
	}
}

struct tunnel *tunnel_by_id(const struct tunnels *t, uint32_t id)
{
	struct tunnel *tunnel;

	HASH_FIND(hh, t->by_id, &id, sizeof(id), tunnel);
	return tunnel;
}

void tunnel_count(struct tunnels *t, struct tunnel *tunnel, bool *counted, bool usable)
{
	touch(t, tunnel);
	if (*counted == usable)
		return;
	*counted = usable;
	tunnel->usable += usable ? 1 : (unsigned)-1;
}

/* ---- devices ---- */

/* By the id that the plane knows it by, if a former process had it. */
static void take_expected(struct tunnels *t, struct tunnel *tunnel)
{
	struct tunnel_expected *e;

	HASH_FIND_STR(t->expected, tunnel->conn, e);
	if (!e || tunnel_by_id(t, e->id))
		return;
	tunnel->id = e->id;
	tunnel->n_vips = e->n_vips;
	memcpy(tunnel->vips, e->vips, sizeof(e->vips));
}

/* Not yet known by its conn's name, as the next one. */
static struct tunnel *create(struct tunnels *t, const struct conn *conn, char *why, size_t size)
{
	struct tunnel *tunnel = calloc(1, sizeof(*tunnel));

	if (tunnel)
		tunnel->conn = strdup(conn->name);
	if (!tunnel || !tunnel->conn) {
		free(tunnel);
		snprintf(why, size, "out of memory");
		return NULL;
	}
	take_expected(t, tunnel);
	if (!tunnel->id)
		tunnel->id = ++t->last_id;
	if (!tunnel_make_device(t, tunnel, &conn->tunnel, why, size)) {
		free(tunnel->conn);
		free(tunnel);
		return NULL;
	}
	HASH_ADD(hh, t->by_id, id, sizeof(tunnel->id), tunnel);
	tunnel_inherit(t, tunnel);
	return tunnel;
}

/* The device of a conn that is gone, while its CHILD_SAs are being deleted: the same
 * device serves a conn that wants one of that name (unloaded and loaded again, renamed). */
static struct tunnel *adopt(struct tunnels *t, struct tunnel *tunnel, const struct conn *conn,
			    char *why, size_t size)
{
	char *name = strdup(conn->name);

	if (!name) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	if (!tunnel_change_device(t, tunnel, &conn->tunnel, why, size)) {
		free(name);
		return NULL;
	}
	DL_DELETE(t->condemned, tunnel);
	tunnel->conn = name;
	mark_draining(tunnel, true);
	if (tunnel->usable)
		tunnel_set_state(t, tunnel, TUNNEL_DRAINING,
				 "SAs of the former connection are left");
	return tunnel;
}

static struct tunnel *obtain(struct tunnels *t, const struct conn *conn, char *why, size_t size)
{
	struct tunnel *tunnel;

	DL_FOREACH (t->condemned, tunnel) {
		if (strcmp(tunnel->config.name, conn->tunnel.name) == 0)
			return adopt(t, tunnel, conn, why, size);
	}
	return create(t, conn, why, size);
}

static void remove_device(struct tunnels *t, struct tunnel *tunnel)
{
	t->ops->tunnel_remove(t->plane, tunnel->id);
	forget(t, tunnel);
}

/* Devices of conns that are gone go now, not when their CHILD_SAs are deleted. */
static void remove_condemned(struct tunnels *t)
{
	struct tunnel *tunnel, *next;

	DL_FOREACH_SAFE (t->condemned, tunnel, next) {
		while (tunnel->children)
			child_free(t, tunnel->children);
		remove_device(t, tunnel);
	}
}

/* The kernel has one vti for a pair of endpoints: under another name, the new one can be made
 * only when the old one is gone. */
static bool in_the_way(const struct tunnels *t, const struct tunnel *old,
		       const struct tunnel_config *config)
{
	struct tunnel_view view;

	tunnel_view_of(t, old, &view);
	return view.info.kind && strncmp(view.info.kind, "vti", 3) == 0 && config->remote.family &&
	       addr_equal(&old->config.local, &config->local) &&
	       addr_equal(&old->config.remote, &config->remote);
}

static struct tunnel *create_instead(struct tunnels *t, struct tunnel *old, const struct conn *conn,
				     char *why, size_t size)
{
	struct tunnel *tunnel;

	tunnel_take_device(t, old);
	tunnel = create(t, conn, why, size);
	if (!tunnel)
		tunnel_return_device(t, old);
	return tunnel;
}

/* Another device name is another device; the old one goes when it is there, where both can be. */
static struct tunnel *obtain_another(struct tunnels *t, struct tunnel *old, const struct conn *conn,
				     char *why, size_t size)
{
	struct tunnel *tunnel = obtain(t, conn, why, size);

	if (!tunnel && t->condemned) {
		remove_condemned(t);
		tunnel = create(t, conn, why, size);
	}
	if (!tunnel && old && in_the_way(t, old, &conn->tunnel))
		tunnel = create_instead(t, old, conn, why, size);
	return tunnel;
}

bool tunnels_ensure(struct tunnels *t, const struct conn *conn, uint32_t *id, char *why,
		    size_t size)
{
	struct tunnel *old = find(t, conn->name), *tunnel = old;

	if (old && strcmp(old->config.name, conn->tunnel.name) == 0) {
		if (!tunnel_is_as_made(t, old, &conn->tunnel) &&
		    !tunnel_change_device(t, old, &conn->tunnel, why, size))
			return false;
	} else {
		tunnel = obtain_another(t, old, conn, why, size);
		if (!tunnel)
			return false;
		if (old)
			tunnels_condemn(t, conn->name);
		HASH_ADD_KEYPTR(hh_conn, t->by_conn, tunnel->conn, strlen(tunnel->conn), tunnel);
	}
	*id = tunnel->id;
	return true;
}

void tunnels_device_changed(struct tunnels *t, const struct dataplane_event *event)
{
	struct tunnel *tunnel = tunnel_by_id(t, event->tunnel);
	struct tunnel_view view;

	if (!tunnel)
		return;
	tunnel_view_of(t, tunnel, &view);
	/* Where a script makes the device, that is how it has to be. */
	log_to(t->host.log, tunnel->config.external ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARN, "tun",
	       view.conn, "%s: the device was %s", tunnel_view_device(&view),
	       !event->present			      ? "removed by someone else"
	       : view.info.ifindex != tunnel->ifindex ? "made by someone else and is taken over"
	       : event->admin_up		      ? "set up by someone else"
						      : "set down by someone else");
	tunnel_note_device(t, tunnel);
}

void tunnels_inherited_gone(struct tunnels *t, uint32_t id)
{
	struct tunnel *tunnel = tunnel_by_id(t, id);

	if (tunnel)
		tunnel_count(t, tunnel, &tunnel->inherited, false);
}

void tunnels_disinherit(struct tunnels *t, const char *conn)
{
	struct tunnel *tunnel = find(t, conn);

	if (!tunnel || !tunnel->inherited)
		return;
	tunnel_count(t, tunnel, &tunnel->inherited, false);
	if (t->ops->tunnel_disinherit)
		t->ops->tunnel_disinherit(t->plane, tunnel->id);
}

void tunnels_settled(struct tunnels *t)
{
	struct tunnel *tunnel, *next;
	struct tunnel_view view;

	HASH_ITER (hh, t->by_id, tunnel, next) {
		tunnel_view_of(t, tunnel, &view);
		if (tunnel->state != TUNNEL_UP && view.info.link_up)
			t->ops->tunnel_set_link(t->plane, tunnel->id, false);
	}
}

void tunnels_condemn(struct tunnels *t, const char *conn)
{
	struct tunnel *tunnel = find(t, conn);

	if (!tunnel)
		return;
	tunnel_set_state(t, tunnel, TUNNEL_DOWN, "no longer configured");
	HASH_DELETE(hh_conn, t->by_conn, tunnel);
	free(tunnel->conn);
	tunnel->conn = NULL;
	DL_APPEND(t->condemned, tunnel);
	if (!tunnel->children)
		remove_device(t, tunnel);
}

/* ---- CHILD_SAs ---- */

/* One of ours that sends has the inheritance's place: that must not keep a link up when
 * ours is deleted. */
static void child_count(struct tunnels *t, struct tunnel_child *child, bool outbound)
{
	tunnel_count(t, child->tunnel, &child->outbound, outbound);
	if (outbound)
		tunnel_count(t, child->tunnel, &child->tunnel->inherited, false);
}

static struct tunnel_child *child_of(const struct tunnels *t, uint64_t id)
{
	return table_find(&t->children, &by_id, &id);
}

bool tunnels_child_install(struct tunnels *t, const struct child_sa *sa)
{
	struct tunnel *tunnel = tunnel_by_id(t, sa->tunnel);
	struct tunnel_child *child;

	if (!tunnel || t->ops->child_install(t->plane, sa) != DATAPLANE_OK) {
		log_to(t->host.log, sa->resumed ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR, "tun",
		       tunnel ? tunnel->conn : "", "installing CHILD_SA %08x/%08x failed: %s",
		       sa->spi_in, sa->spi_out,
		       tunnel ? t->ops->last_error(t->plane) : "its tunnel is gone");
		return false;
	}
	child = table_make(&t->children, &by_id, sizeof(*child), &sa->id);
	if (!child) {
		t->ops->child_remove(t->plane, sa->id);
		return false;
	}
	child->tunnel = tunnel;
	DL_APPEND(tunnel->children, child);
	child_count(t, child, sa->outbound);
	return true;
}

void tunnels_child_update(struct tunnels *t, const struct child_sa *sa)
{
	struct tunnel_child *child = child_of(t, sa->id);
	enum dataplane_error e;

	if (!child)
		return;
	e = t->ops->child_update(t->plane, sa);
	if (e != DATAPLANE_OK)
		log_to(t->host.log, LOG_LEVEL_ERROR, "tun", child->tunnel->conn,
		       "updating a CHILD_SA failed: %s", t->ops->last_error(t->plane));
	child_count(t, child, sa->outbound && e != DATAPLANE_NOT_FOUND);
}

void tunnels_child_remove(struct tunnels *t, uint64_t id)
{
	struct tunnel_child *child = child_of(t, id);

	if (!child)
		return;
	t->ops->child_remove(t->plane, id);
	child_count(t, child, false);
	child_free(t, child);
}

static void settle(struct tunnels *t, struct tunnel *tunnel, const char *reason)
{
	if (!tunnel->conn) {
		if (!tunnel->children)
			remove_device(t, tunnel);
	} else if (tunnel->usable == 0) {
		tunnel_set_state(t, tunnel, TUNNEL_DOWN, reason);
	} else if (tunnel->state == TUNNEL_DOWN ||
		   (tunnel->state == TUNNEL_DRAINING && tunnel->draining == 0)) {
		tunnel_set_state(t, tunnel, TUNNEL_UP, reason);
	}
}

void tunnels_settle(struct tunnels *t, const char *reason)
{
	while (t->touched) {
		struct tunnel *tunnel = t->touched;

		LL_DELETE2(t->touched, tunnel, next_touched);
		tunnel->touched = false;
		settle(t, tunnel, reason);
	}
}

/* ---- drain ---- */

bool tunnels_drain(struct tunnels *t, const char *conn, const char *reason)
{
	struct tunnel *tunnel = find(t, conn);

	if (!tunnel || tunnel->state != TUNNEL_UP)
		return false;
	mark_draining(tunnel, true);
	tunnel_set_state(t, tunnel, TUNNEL_DRAINING, reason);
	return true;
}

void tunnels_drain_end(struct tunnels *t, const char *conn, const char *reason)
{
	struct tunnel *tunnel = find(t, conn);

	if (!tunnel || tunnel->state != TUNNEL_DRAINING)
		return;
	mark_draining(tunnel, false);
	tunnel_set_state(t, tunnel, tunnel->usable ? TUNNEL_UP : TUNNEL_DOWN, reason);
}

/* ---- views ---- */

bool tunnels_view(const struct tunnels *t, const char *conn, struct tunnel_view *out)
{
	struct tunnel *tunnel = find(t, conn);

	if (tunnel)
		tunnel_view_of(t, tunnel, out);
	return tunnel != NULL;
}

bool tunnels_have_device(const struct tunnels *t, int ifindex)
{
	struct tunnel *tunnel;

	HASH_FIND(hh_ifindex, t->by_ifindex, &ifindex, sizeof(ifindex), tunnel);
	return tunnel != NULL;
}

const char *tunnels_conn(const struct tunnels *t, uint32_t id)
{
	struct tunnel *tunnel = tunnel_by_id(t, id);

	return tunnel ? tunnel->conn : NULL;
}

bool tunnels_child_stats(const struct tunnels *t, uint64_t child, struct dataplane_child_stats *out)
{
	return t->ops->child_stats(t->plane, child, out);
}

unsigned tunnels_up(const struct tunnels *t)
{
	struct tunnel *tunnel, *next;
	unsigned n = 0;

	HASH_ITER (hh, t->by_id, tunnel, next)
		n += tunnel->state == TUNNEL_UP;
	return n;
}

void tunnels_each(const struct tunnels *t, void (*cb)(void *ctx, const struct tunnel_view *tunnel),
		  void *ctx)
{
	struct tunnel *tunnel, *next;
	struct tunnel_view view;

	HASH_ITER (hh, t->by_id, tunnel, next) {
		tunnel_view_of(t, tunnel, &view);
		cb(ctx, &view);
	}
}
