/* Tunnels: devices per conn, and link state counted per CHILD_SA object.
 *
 * Owns: which tunnels exist, their ids, which CHILD_SAs each has. Single writer of a
 * tunnel's state: set_state. Knows neither IKE nor how a plane works. */
#include "ipsecd/tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

struct tunnel {
	uint32_t id;
	char *conn; /* NULL once condemned: the name may be taken by a new tunnel */
	struct tunnel_config config; /* as configured */
	uint8_t n_vips;
	struct addr vips[TUNNEL_ADDRS_MAX];
	enum tunnel_state state;
	struct tunnel_child *children;
	unsigned usable;
	bool inherited;	   /* counted in `usable`: SAs of a former process still send */
	int ifindex;	   /* when last looked at */
	unsigned draining; /* CHILD_SAs that were there when the drain began */
	bool touched;	   /* stands in tunnels.touched until the next settle */
	struct tunnel *next_touched;
	struct tunnel *prev, *next; /* among the condemned */
	UT_hash_handle hh, hh_conn;
};

struct tunnel_child {
	uint64_t id;
	struct tunnel *tunnel;
	bool outbound, draining;
	struct tunnel_child *prev, *next; /* of the tunnel */
	UT_hash_handle hh;
};

struct tunnels {
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	struct tunnels_host host;
	struct tunnel *by_id, *by_conn; /* condemned tunnels are in the first only */
	struct tunnel *touched, *condemned;
	struct tunnel_child *children;
	uint32_t last_id;
};

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

static void forget(struct tunnels *t, struct tunnel *tunnel)
{
	if (tunnel->touched)
		LL_DELETE2(t->touched, tunnel, next_touched);
	if (tunnel->conn)
		HASH_DELETE(hh_conn, t->by_conn, tunnel);
	else
		DL_DELETE(t->condemned, tunnel);
	HASH_DEL(t->by_id, tunnel);
	free(tunnel->conn);
	free(tunnel);
}

void tunnels_free(struct tunnels *t)
{
	struct tunnel_child *child, *next_child;
	struct tunnel *tunnel, *next;

	if (!t)
		return;
	HASH_ITER (hh, t->children, child, next_child) {
		HASH_DEL(t->children, child);
		free(child);
	}
	HASH_ITER (hh, t->by_id, tunnel, next)
		forget(t, tunnel);
	free(t);
}

static struct tunnel *find(const struct tunnels *t, const char *conn)
{
	struct tunnel *tunnel;

	HASH_FIND(hh_conn, t->by_conn, conn, strlen(conn), tunnel);
	return tunnel;
}

static void view_of(const struct tunnels *t, const struct tunnel *tunnel, struct tunnel_view *out)
{
	*out = (struct tunnel_view){
		.id = tunnel->id,
		.conn = tunnel->conn ? tunnel->conn : "",
		.config = &tunnel->config,
		.state = tunnel->state,
		.usable = tunnel->usable,
	};
	t->ops->tunnel_info(t->plane, tunnel->id, &out->info);
}

const char *tunnel_view_device(const struct tunnel_view *v)
{
	return v->info.name[0] ? v->info.name : v->config->name;
}

/* The only writer of a tunnel's state and of its link. Routing is told of a loss before
 * the device shows it, and of an arrival after. */
static void set_state(struct tunnels *t, struct tunnel *tunnel, enum tunnel_state state,
		      const char *reason)
{
	bool was_up = tunnel->state == TUNNEL_UP, up = state == TUNNEL_UP;
	struct tunnel_view view;

	if (tunnel->state == state)
		return;
	view_of(t, tunnel, &view);
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
		view_of(t, tunnel, &view);
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

static struct tunnel *by_id(const struct tunnels *t, uint32_t id)
{
	struct tunnel *tunnel;

	HASH_FIND(hh, t->by_id, &id, sizeof(id), tunnel);
	return tunnel;
}

static void count(struct tunnels *t, struct tunnel *tunnel, bool *counted, bool usable)
{
	touch(t, tunnel);
	if (*counted == usable)
		return;
	*counted = usable;
	tunnel->usable += usable ? 1 : (unsigned)-1;
}

/* ---- devices ---- */

/* A device that came after the link was UP (made by a script, or again): whoever routes has
 * to know it. */
static void note_device(struct tunnels *t, struct tunnel *tunnel)
{
	struct tunnel_view view;
	int was = tunnel->ifindex;

	view_of(t, tunnel, &view);
	tunnel->ifindex = view.info.ifindex;
	if (view.info.ifindex && view.info.ifindex != was && tunnel->state == TUNNEL_UP)
		t->host.link(t->host.ctx, &view, true, "the device is there");
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

static bool make_device(struct tunnels *t, struct tunnel *tunnel,
			const struct tunnel_config *config, char *why, size_t size)
{
	const struct tunnel_config all = whole(tunnel, config);

	if (t->ops->tunnel_create(t->plane, tunnel->id, &all) != DATAPLANE_OK) {
		snprintf(why, size, "%s", t->ops->last_error(t->plane));
		return false;
	}
	tunnel->config = *config;
	return true;
}

/* The link of a device that is handed over with its SAs stays as it was. */
static void inherit(struct tunnels *t, struct tunnel *tunnel)
{
	struct tunnel_view view;

	view_of(t, tunnel, &view);
	tunnel->ifindex = view.info.ifindex;
	if (!view.info.inherited || !view.info.link_up)
		return;
	count(t, tunnel, &tunnel->inherited, true);
	set_state(t, tunnel, TUNNEL_UP, "SAs of a former process still pass packets");
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
	tunnel->id = ++t->last_id;
	if (!make_device(t, tunnel, &conn->tunnel, why, size)) {
		free(tunnel->conn);
		free(tunnel);
		return NULL;
	}
	HASH_ADD(hh, t->by_id, id, sizeof(tunnel->id), tunnel);
	inherit(t, tunnel);
	return tunnel;
}

/* Another kind or other keys make it another device, though the name is the same: its
 * CHILD_SAs go with it. A refused one leaves the old device, with nothing in it. */
static bool remake(struct tunnels *t, struct tunnel *tunnel, const struct tunnel_config *config,
		   char *why, size_t size)
{
	const struct tunnel_config old = tunnel->config;
	struct tunnel_child *child;
	char again[128];

	set_state(t, tunnel, TUNNEL_DOWN, "the device is made anew");
	count(t, tunnel, &tunnel->inherited, false);
	DL_FOREACH (tunnel->children, child)
		count(t, tunnel, &child->outbound, false);
	t->ops->tunnel_remove(t->plane, tunnel->id);
	if (make_device(t, tunnel, config, why, size)) {
		note_device(t, tunnel);
		return true;
	}
	if (!make_device(t, tunnel, &old, again, sizeof(again)))
		log_to(t->host.log, LOG_LEVEL_ERROR, "tun", tunnel->conn ? tunnel->conn : "",
		       "%s: the device can't be had back: %s", old.name, again);
	DL_FOREACH (tunnel->children, child)
		t->host.child_lost(t->host.ctx, child->id);
	return false;
}

static bool change(struct tunnels *t, struct tunnel *tunnel, const struct tunnel_config *config,
		   char *why, size_t size)
{
	const struct tunnel_config all = whole(tunnel, config);

	if (!tunnel_config_same_device(&tunnel->config, config))
		return remake(t, tunnel, config, why, size);
	if (t->ops->tunnel_update(t->plane, tunnel->id, &all) != DATAPLANE_OK) {
		snprintf(why, size, "%s", t->ops->last_error(t->plane));
		return false;
	}
	tunnel->config = *config;
	note_device(t, tunnel);
	return true;
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
	if (!change(t, tunnel, &conn->tunnel, why, size)) {
		free(name);
		return NULL;
	}
	DL_DELETE(t->condemned, tunnel);
	tunnel->conn = name;
	mark_draining(tunnel, true);
	if (tunnel->usable)
		set_state(t, tunnel, TUNNEL_DRAINING, "SAs of the former connection are left");
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

bool tunnels_ensure(struct tunnels *t, const struct conn *conn, uint32_t *id, char *why,
		    size_t size)
{
	struct tunnel *old = find(t, conn->name), *tunnel = old;

	if (old && strcmp(old->config.name, conn->tunnel.name) == 0) {
		if (!change(t, old, &conn->tunnel, why, size))
			return false;
	} else {
		/* Another device name is another device; the old one goes when it is there. */
		tunnel = obtain(t, conn, why, size);
		if (!tunnel)
			return false;
		if (old)
			tunnels_condemn(t, conn->name);
		HASH_ADD_KEYPTR(hh_conn, t->by_conn, tunnel->conn, strlen(tunnel->conn), tunnel);
	}
	*id = tunnel->id;
	return true;
}

static void remove_device(struct tunnels *t, struct tunnel *tunnel)
{
	t->ops->tunnel_remove(t->plane, tunnel->id);
	forget(t, tunnel);
}

void tunnels_device_changed(struct tunnels *t, const struct dataplane_event *event)
{
	struct tunnel *tunnel = by_id(t, event->tunnel);
	struct tunnel_view view;

	if (!tunnel)
		return;
	view_of(t, tunnel, &view);
	log_to(t->host.log, LOG_LEVEL_WARN, "tun", view.conn,
	       "%s: the device was %s by someone else", tunnel_view_device(&view),
	       !event->present			      ? "removed"
	       : view.info.ifindex != tunnel->ifindex ? "made"
	       : event->admin_up		      ? "set up"
						      : "set down");
	note_device(t, tunnel);
}

void tunnels_set_vips(struct tunnels *t, uint32_t id, const struct addr *vips, unsigned n)
{
	struct tunnel *tunnel = by_id(t, id);
	char why[256];

	if (!tunnel)
		return;
	tunnel->n_vips = (uint8_t)(n < TUNNEL_ADDRS_MAX ? n : TUNNEL_ADDRS_MAX);
	memcpy(tunnel->vips, vips, tunnel->n_vips * sizeof(*vips));
	if (tunnel->config.n_addrs + n > TUNNEL_ADDRS_MAX)
		log_to(t->host.log, LOG_LEVEL_WARN, "tun", tunnel->conn ? tunnel->conn : "",
		       "%u virtual addresses are more than the device has room for", n);
	if (!change(t, tunnel, &tunnel->config, why, sizeof(why)))
		log_to(t->host.log, LOG_LEVEL_ERROR, "tun", tunnel->conn ? tunnel->conn : "",
		       "virtual addresses: %s", why);
}

void tunnels_inherited_gone(struct tunnels *t, uint32_t id)
{
	struct tunnel *tunnel = by_id(t, id);

	if (tunnel)
		count(t, tunnel, &tunnel->inherited, false);
}

void tunnels_disinherit(struct tunnels *t, const char *conn)
{
	struct tunnel *tunnel = find(t, conn);

	if (!tunnel || !tunnel->inherited)
		return;
	count(t, tunnel, &tunnel->inherited, false);
	if (t->ops->tunnel_disinherit)
		t->ops->tunnel_disinherit(t->plane, tunnel->id);
}

void tunnels_condemn(struct tunnels *t, const char *conn)
{
	struct tunnel *tunnel = find(t, conn);

	if (!tunnel)
		return;
	set_state(t, tunnel, TUNNEL_DOWN, "no longer configured");
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
	count(t, child->tunnel, &child->outbound, outbound);
	if (outbound)
		count(t, child->tunnel, &child->tunnel->inherited, false);
}

static struct tunnel_child *child_of(const struct tunnels *t, uint64_t id)
{
	struct tunnel_child *child;

	HASH_FIND(hh, t->children, &id, sizeof(id), child);
	return child;
}

bool tunnels_child_install(struct tunnels *t, const struct child_sa *sa)
{
	struct tunnel *tunnel = by_id(t, sa->tunnel);
	struct tunnel_child *child;

	if (!tunnel || t->ops->child_install(t->plane, sa) != DATAPLANE_OK) {
		log_to(t->host.log, LOG_LEVEL_ERROR, "tun", tunnel ? tunnel->conn : "",
		       "installing CHILD_SA %08x/%08x failed: %s", sa->spi_in, sa->spi_out,
		       tunnel ? t->ops->last_error(t->plane) : "its tunnel is gone");
		return false;
	}
	child = calloc(1, sizeof(*child));
	if (!child) {
		t->ops->child_remove(t->plane, sa->id);
		return false;
	}
	child->id = sa->id;
	child->tunnel = tunnel;
	DL_APPEND(tunnel->children, child);
	child_count(t, child, sa->outbound);
	HASH_ADD(hh, t->children, id, sizeof(child->id), child);
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
	DL_DELETE(child->tunnel->children, child);
	child->tunnel->draining -= child->draining;
	HASH_DEL(t->children, child);
	free(child);
}

static void settle(struct tunnels *t, struct tunnel *tunnel, const char *reason)
{
	if (!tunnel->conn) {
		if (!tunnel->children)
			remove_device(t, tunnel);
	} else if (tunnel->usable == 0) {
		set_state(t, tunnel, TUNNEL_DOWN, reason);
	} else if (tunnel->state == TUNNEL_DOWN ||
		   (tunnel->state == TUNNEL_DRAINING && tunnel->draining == 0)) {
		set_state(t, tunnel, TUNNEL_UP, reason);
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
	set_state(t, tunnel, TUNNEL_DRAINING, reason);
	return true;
}

void tunnels_drain_end(struct tunnels *t, const char *conn, const char *reason)
{
	struct tunnel *tunnel = find(t, conn);

	if (!tunnel || tunnel->state != TUNNEL_DRAINING)
		return;
	mark_draining(tunnel, false);
	set_state(t, tunnel, tunnel->usable ? TUNNEL_UP : TUNNEL_DOWN, reason);
}

/* ---- views ---- */

bool tunnels_view(const struct tunnels *t, const char *conn, struct tunnel_view *out)
{
	struct tunnel *tunnel = find(t, conn);

	if (tunnel)
		view_of(t, tunnel, out);
	return tunnel != NULL;
}

const char *tunnels_conn(const struct tunnels *t, uint32_t id)
{
	struct tunnel *tunnel = by_id(t, id);

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
		view_of(t, tunnel, &view);
		cb(ctx, &view);
	}
}
