/* What ike has asked for, across the lives of several: adopted where it is the same, made anew
 * where it is not. */
#include "ipsecd/plane_served.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

struct served_tunnel *served_tunnel(const struct served *s, uint32_t id)
{
	struct served_tunnel *t;

	HASH_FIND(hh, s->tunnels, &id, sizeof(id), t);
	return t;
}

struct served_child *served_child(const struct served *s, uint64_t id)
{
	struct served_child *c;

	HASH_FIND(hh, s->children, &id, sizeof(id), c);
	return c;
}

bool served_ifindex(const void *served, int ifindex)
{
	const struct served *s = served;
	const struct served_tunnel *t;

	for (t = s->tunnels; t; t = t->hh.next) {
		if (t->ifindex && t->ifindex == ifindex)
			return true;
	}
	return false;
}

/* ---- the inheritance ---- */

static bool inherits(const struct served_child *c)
{
	return !c->claimed && c->outbound;
}

static void count(struct served *s, struct served_tunnel *t, bool was, bool is)
{
	if (was == is)
		return;
	t->n_inherited += is ? 1 : (unsigned)-1;
	if (t->n_inherited == 0)
		s->inherited_gone(s->ctx, t->id);
}

static void forget_child(struct served *s, struct served_child *c)
{
	struct served_tunnel *t = c->tunnel;
	bool was = inherits(c);

	DL_DELETE(t->children, c);
	HASH_DEL(s->children, c);
	free(c);
	count(s, t, was, false);
}

static void drop_child(struct served *s, struct served_child *c)
{
	s->ops->child_remove(s->plane, c->id);
	forget_child(s, c);
}

static void drop_name(struct served *s, struct served_tunnel *t)
{
	if (t->hh_name.tbl)
		HASH_DELETE(hh_name, s->tunnels_by_name, t);
	t->hh_name.tbl = NULL;
}

/* The plane's are gone with the device. */
static void forget_tunnel(struct served *s, struct served_tunnel *t)
{
	while (t->children)
		forget_child(s, t->children);
	HASH_DEL(s->tunnels, t);
	drop_name(s, t);
	free(t);
}

void served_unclaim(struct served *s)
{
	struct served_tunnel *t;

	s->settled = false;
	if (s->ops->unsettle)
		s->ops->unsettle(s->plane);
	for (t = s->tunnels; t; t = t->hh.next) {
		struct served_child *c;

		t->claimed = false;
		t->n_inherited = 0;
		DL_FOREACH (t->children, c) {
			c->claimed = false;
			t->n_inherited += inherits(c);
		}
	}
}

void served_free(struct served *s)
{
	struct served_tunnel *t, *next;

	s->inherited_gone = NULL;
	HASH_ITER (hh, s->tunnels, t, next) {
		struct served_child *c, *after;

		DL_FOREACH_SAFE (t->children, c, after) {
			HASH_DEL(s->children, c);
			free(c);
		}
		HASH_DEL(s->tunnels, t);
		drop_name(s, t);
		free(t);
	}
}

/* ---- tunnels ---- */

static void note(struct served *s, struct served_tunnel *t, const struct tunnel_config *config)
{
	struct dataplane_tunnel_info info;

	drop_name(s, t);
	t->config = *config;
	HASH_ADD(hh_name, s->tunnels_by_name, config.name, strlen(t->config.name), t);
	t->claimed = true;
	if (s->ops->tunnel_info(s->plane, t->id, &info))
		t->ifindex = info.ifindex;
}

static struct served_tunnel *find_name(const struct served *s, const char *name)
{
	struct served_tunnel *t;

	HASH_FIND(hh_name, s->tunnels_by_name, name, strlen(name), t);
	return t;
}

static struct served_tunnel *set_id(struct served *s, struct served_tunnel *t, uint32_t id)
{
	if (t->hh.tbl)
		HASH_DEL(s->tunnels, t);
	t->id = id;
	HASH_ADD(hh, s->tunnels, id, sizeof(t->id), t);
	if (t->hh.tbl)
		return t;
	while (t->children)
		forget_child(s, t->children);
	drop_name(s, t);
	free(t);
	return NULL;
}

/* As the plane does it: a device goes on under another number, and what had that one before is
 * another device that nobody has claimed. */
static struct served_tunnel *entry_for(struct served *s, const struct ipc_tunnel *wanted)
{
	struct served_tunnel *t = served_tunnel(s, wanted->tunnel);

	if (t && strcmp(t->config.name, wanted->config.name) == 0)
		return t;
	if (t)
		forget_tunnel(s, t);
	t = find_name(s, wanted->config.name);
	if (!t)
		t = calloc(1, sizeof(*t));
	return t ? set_id(s, t, wanted->tunnel) : NULL;
}

bool served_has_room(const struct served *s, const struct ipc_tunnel *wanted)
{
	unsigned most = s->most_tunnels ? s->most_tunnels : SERVED_TUNNELS_MAX;

	return HASH_COUNT(s->tunnels) < most || served_tunnel(s, wanted->tunnel) ||
	       find_name(s, wanted->config.name);
}

bool served_has_room_child(const struct served *s, uint64_t id)
{
	unsigned most = s->most_children ? s->most_children : SERVED_CHILDREN_MAX;

	return HASH_COUNT(s->children) < most || served_child(s, id);
}

enum dataplane_error served_begin(struct served *s, const struct ipc_tunnel *wanted)
{
	const struct dataplane_ops *ops = s->ops;
	enum dataplane_error e = (ops->tunnel_begin ? ops->tunnel_begin : ops->tunnel_create)(
		s->plane, wanted->tunnel, &wanted->config);
	struct served_tunnel *t;

	if (e != DATAPLANE_OK)
		return e;
	t = entry_for(s, wanted);
	if (!t) {
		s->ops->tunnel_remove(s->plane, wanted->tunnel);
		return DATAPLANE_NO_MEMORY;
	}
	note(s, t, &wanted->config);
	return DATAPLANE_OK;
}

enum dataplane_error served_finish(struct served *s, uint32_t id)
{
	struct served_tunnel *t = served_tunnel(s, id);
	enum dataplane_error e =
		s->ops->tunnel_finish ? s->ops->tunnel_finish(s->plane, id) : DATAPLANE_OK;

	if (e != DATAPLANE_OK && t)
		forget_tunnel(s, t);
	return e;
}

enum dataplane_error served_update(struct served *s, const struct ipc_tunnel *wanted)
{
	struct served_tunnel *t = served_tunnel(s, wanted->tunnel);
	enum dataplane_error e = s->ops->tunnel_update(s->plane, wanted->tunnel, &wanted->config);

	if (e == DATAPLANE_OK && t)
		note(s, t, &wanted->config);
	return e;
}

enum dataplane_error served_remove(struct served *s, uint32_t id)
{
	struct served_tunnel *t = served_tunnel(s, id);
	enum dataplane_error e = s->ops->tunnel_remove(s->plane, id);

	if (t)
		forget_tunnel(s, t);
	return e;
}

bool served_info(struct served *s, uint32_t id, struct dataplane_tunnel_info *out)
{
	struct served_tunnel *t = served_tunnel(s, id);

	if (!s->ops->tunnel_info(s->plane, id, out))
		return false;
	if (t) {
		t->ifindex = out->ifindex;
		out->inherited += t->n_inherited;
	}
	return true;
}

struct ipc_info served_ipc_info(struct served *s, uint32_t tunnel)
{
	struct dataplane_tunnel_info i;
	struct ipc_info out;

	memset(&out, 0, sizeof(out));
	out.tunnel = tunnel;
	if (!served_info(s, tunnel, &i))
		return out;
	out.there = 1;
	out.link_up = i.link_up;
	out.admin_up = i.admin_up;
	out.as_made = i.as_made;
	out.offloads = (uint8_t)i.offloads;
	memcpy(out.name, i.name, sizeof(out.name));
	snprintf(out.kind, sizeof(out.kind), "%s", i.kind ? i.kind : "");
	out.ifindex = i.ifindex;
	out.mtu = i.mtu;
	out.mark_in = i.mark_in;
	out.mark_out = i.mark_out;
	out.if_id_in = i.if_id_in;
	out.if_id_out = i.if_id_out;
	out.inherited = i.inherited;
	return out;
}

void served_disinherit(struct served *s, uint32_t id)
{
	struct served_tunnel *t = served_tunnel(s, id);
	struct served_child *c, *next;

	if (t) {
		DL_FOREACH_SAFE (t->children, c, next) {
			if (!c->claimed)
				drop_child(s, c);
		}
	}
	if (s->ops->tunnel_disinherit)
		s->ops->tunnel_disinherit(s->plane, id);
}

/* ---- CHILD_SAs ---- */

static void claim(struct served *s, struct served_child *c, bool outbound)
{
	bool was = inherits(c);

	c->claimed = true;
	c->outbound = outbound;
	count(s, c->tunnel, was, false);
}

static struct served_child *new_child(struct served *s, const struct child_sa *sa)
{
	struct served_tunnel *t = served_tunnel(s, sa->tunnel);
	struct served_child *c = t ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	*c = (struct served_child){
		.id = sa->id, .tunnel = t, .spi_in = sa->spi_in, .spi_out = sa->spi_out};
	HASH_ADD(hh, s->children, id, sizeof(c->id), c);
	if (!c->hh.tbl) {
		free(c);
		return NULL;
	}
	DL_APPEND(t->children, c);
	return c;
}

static bool is_other(const struct served_child *c, const struct child_sa *sa)
{
	return c->tunnel->id != sa->tunnel || c->spi_in != sa->spi_in || c->spi_out != sa->spi_out;
}

/* An ike that knows nothing of the former one's may give the same numbers again. */
enum dataplane_error served_install(struct served *s, const struct child_sa *sa)
{
	struct served_child *c = served_child(s, sa->id);
	enum dataplane_error e;

	if (c && !c->claimed && is_other(c, sa)) {
		drop_child(s, c);
		c = NULL;
	}
	e = s->ops->child_install(s->plane, sa);
	if (e == DATAPLANE_EXISTS && !c && !s->settled &&
	    s->ops->child_remove(s->plane, sa->id) == DATAPLANE_OK)
		e = s->ops->child_install(s->plane, sa);
	if (e != DATAPLANE_OK)
		return e;
	if (!c)
		c = new_child(s, sa);
	if (!c) {
		s->ops->child_remove(s->plane, sa->id);
		return DATAPLANE_NO_MEMORY;
	}
	claim(s, c, sa->outbound);
	return DATAPLANE_OK;
}

enum dataplane_error served_child_update(struct served *s, const struct child_sa *sa)
{
	struct served_child *c = served_child(s, sa->id);
	enum dataplane_error e = s->ops->child_update(s->plane, sa);

	if (e == DATAPLANE_OK && c)
		claim(s, c, sa->outbound);
	return e;
}

enum dataplane_error served_child_remove(struct served *s, uint64_t id)
{
	struct served_child *c = served_child(s, id);
	enum dataplane_error e = s->ops->child_remove(s->plane, id);

	if (c)
		forget_child(s, c);
	return e;
}

/* ---- what nobody wants ---- */

void served_settle(struct served *s)
{
	struct served_tunnel *t, *next;
	struct served_child *c, *next_child;

	s->settled = true;
	if (s->ops->settled)
		s->ops->settled(s->plane);
	HASH_ITER (hh, s->children, c, next_child) {
		if (!c->claimed)
			forget_child(s, c);
	}
	HASH_ITER (hh, s->tunnels, t, next) {
		if (!t->claimed)
			forget_tunnel(s, t);
	}
}
