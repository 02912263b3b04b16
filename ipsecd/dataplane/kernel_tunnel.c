/* Tunnels of the kernel plane: the verbs, and which tunnel has which tags. */
#include "ipsecd/dataplane/kernel.h"

#include "lib/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* ---- finding ---- */

struct kernel_tunnel *kernel_tunnel_find(const struct dataplane *d, uint32_t id)
{
	struct kernel_tunnel *t;

	HASH_FIND(by_id, d->by_id, &id, sizeof(id), t);
	return t;
}

struct kernel_tunnel *kernel_tunnel_by_tag(const struct dataplane *d, const struct xfrm_tag *tag,
					   bool out)
{
	struct kernel_tunnel *t;

	if (out)
		HASH_FIND(by_out, d->by_out, tag, sizeof(*tag), t);
	else
		HASH_FIND(by_in, d->by_in, tag, sizeof(*tag), t);
	return t;
}

static struct kernel_tunnel *tunnel_for(struct dataplane *d, uint32_t id, enum dataplane_error *e)
{
	struct kernel_tunnel *t = kernel_tunnel_find(d, id);

	*e = t ? DATAPLANE_OK : kernel_fail(d, DATAPLANE_NOT_FOUND, "no tunnel %u", id);
	return t;
}

/* ---- tags ---- */

static void set_tags(struct kernel_tunnel *t, const struct netlink_device *v)
{
	const struct tunnel_config *c = &t->config;
	struct dataplane_tunnel_info *info = &t->info;

	if (v->kind == NETLINK_DEVICE_XFRM) {
		t->in = t->out = (struct xfrm_tag){.if_id = v->if_id};
	} else {
		t->in = kernel_mark_tag(v->ikey, c->mark_in.value ? c->mark_in.mask : 0);
		t->out = kernel_mark_tag(v->okey, c->mark_out.value ? c->mark_out.mask : 0);
	}
	info->mark_in = t->in.mark;
	info->mark_out = t->out.mark;
	info->if_id_in = t->in.if_id;
	info->if_id_out = t->out.if_id;
}

/* By its tags the tunnel's packets are told from others'. */
static enum dataplane_error claim_tags(struct kernel_tunnel *t)
{
	struct dataplane *d = t->plane;
	struct kernel_tunnel *other = kernel_tunnel_by_tag(d, &t->out, true);

	if (!other)
		other = kernel_tunnel_by_tag(d, &t->in, false);
	if (other)
		return kernel_fail(d, DATAPLANE_EXISTS, "%s: tunnel %s has this %s already",
				   t->config.name, other->config.name,
				   t->out.if_id ? "if_id" : "mark");
	HASH_ADD(by_out, d->by_out, out, sizeof(t->out), t);
	if (t->by_out.tbl)
		HASH_ADD(by_in, d->by_in, in, sizeof(t->in), t);
	if (t->by_out.tbl && t->by_in.tbl)
		return DATAPLANE_OK;
	return kernel_fail(d, DATAPLANE_NO_MEMORY, "out of memory");
}

static void unclaim_tags(struct kernel_tunnel *t)
{
	if (t->by_in.tbl)
		HASH_DELETE(by_in, t->plane->by_in, t);
	if (t->by_out.tbl)
		HASH_DELETE(by_out, t->plane->by_out, t);
	memset(&t->by_in, 0, sizeof(t->by_in));
	memset(&t->by_out, 0, sizeof(t->by_out));
}

/* ---- the verbs ---- */

static enum dataplane_error check_config(struct dataplane *d, const struct tunnel_config *c)
{
	struct kernel_tunnel *other;

	if (c->if_id_in != c->if_id_out && (c->if_id_in || c->if_id_out))
		return kernel_fail(d, DATAPLANE_UNSUPPORTED,
				   "%s: an xfrm interface has one if_id for both directions",
				   c->name);
	HASH_FIND(by_name, d->by_name, c->name, strlen(c->name), other);
	if (other)
		return kernel_fail(d, DATAPLANE_EXISTS, "device %s serves tunnel %u already",
				   c->name, other->id);
	return DATAPLANE_OK;
}

static enum dataplane_error tunnel_insert(struct dataplane *d, struct kernel_tunnel *t)
{
	HASH_ADD(by_id, d->by_id, id, sizeof(t->id), t);
	if (!t->by_id.tbl)
		return kernel_fail(d, DATAPLANE_NO_MEMORY, "out of memory");
	HASH_ADD_KEYPTR(by_name, d->by_name, t->config.name, strlen(t->config.name), t);
	if (t->by_name.tbl)
		return DATAPLANE_OK;
	HASH_DELETE(by_id, d->by_id, t);
	return kernel_fail(d, DATAPLANE_NO_MEMORY, "out of memory");
}

enum dataplane_error kernel_tunnel_obtain(struct kernel_tunnel *t)
{
	struct netlink_device expected = kernel_device_expected(t);
	enum dataplane_error e = kernel_device_obtain(t);

	if (e != DATAPLANE_OK)
		return e;
	set_tags(t, t->present ? &t->vti.device : &expected);
	return claim_tags(t);
}

/* Base policies before the device is up: nothing passes that no SA takes. */
static enum dataplane_error tunnel_setup(struct kernel_tunnel *t)
{
	enum dataplane_error e = kernel_tunnel_obtain(t);
	int error;

	if (e != DATAPLANE_OK)
		return e;
	kernel_inherit_claim(t->plane, t);
	kernel_inherit(t);
	error = kernel_policy_base(t);
	if (error)
		return kernel_fail(t->plane, DATAPLANE_SYSTEM, "%s: policy: %s", t->config.name,
				   netlink_strerror(t->plane->xfrm, error));
	t->info.link_up = t->present && t->info.inherited && t->vti.oper_up;
	return t->present ? kernel_device_fill(t) : DATAPLANE_OK;
}

enum dataplane_error kernel_tunnel_new(struct dataplane *d, uint32_t id,
				       const struct tunnel_config *config,
				       struct kernel_tunnel **out)
{
	enum dataplane_error e = check_config(d, config);
	struct kernel_tunnel *t;

	if (e != DATAPLANE_OK)
		return e;
	t = calloc(1, sizeof(*t));
	if (!t)
		return kernel_fail(d, DATAPLANE_NO_MEMORY, "out of memory");
	t->plane = d;
	t->id = id;
	t->config = *config;
	t->claimed = true;
	t->last_priority = PRIORITY_BASE;
	t->info.kind = "";
	e = tunnel_insert(d, t);
	if (e == DATAPLANE_OK)
		*out = t;
	else
		free(t);
	return e;
}

enum dataplane_error kernel_tunnel_create(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config)
{
	char words[sizeof(d->error)];
	enum dataplane_error e;
	struct kernel_tunnel *t = kernel_tunnel_claim(d, id, config, &e);

	if (t || e != DATAPLANE_OK)
		return e;
	e = kernel_tunnel_new(d, id, config, &t);
	if (e != DATAPLANE_OK)
		return e;
	/* The slot first: whatever is made for it is found by it, wherever we end. */
	e = kernel_tunnel_keep(t);
	if (e == DATAPLANE_OK)
		e = tunnel_setup(t);
	if (e == DATAPLANE_OK)
		return kernel_tunnel_keep(t);
	memcpy(words, d->error, sizeof(words));
	kernel_tunnel_free(d, t, false);
	memcpy(d->error, words, sizeof(words));
	return e;
}

/* The device goes first: with it go its routes, and nothing comes that could leak. */
void kernel_tunnel_free(struct dataplane *d, struct kernel_tunnel *t, bool keep_device)
{
	bool had = t->present;

	kernel_link_forget(t);
	if (!keep_device) {
		kernel_device_detach(t);
		vti_release(&t->vti, d->route);
	} else if (had) {
		device_set_link(d->route, t->vti.ifindex, false);
	}
	while (t->newest)
		kernel_child_free(d, t->newest);
	kernel_disinherit(t);
	kernel_tunnel_unnote(d, t);
	if (keep_device)
		kernel_policy_free(t);
	else
		kernel_policy_remove_all(t);
	kernel_device_detach(t);
	unclaim_tags(t);
	HASH_DELETE(by_id, d->by_id, t);
	HASH_DELETE(by_name, d->by_name, t);
	area_slot_free(t->slot);
	free(t);
}

/* Keys of the configuration that are others than those in use: the device takes them, and
 * every state is made again. */
static enum dataplane_error retag(struct kernel_tunnel *t)
{
	struct vti_wish wish = kernel_tunnel_wish(t);
	struct netlink_device to = t->vti.device;
	enum dataplane_error e;
	struct kernel_child *c;
	int error;

	if (!t->present || !vti_is_vti(&to))
		return DATAPLANE_OK;
	to.ikey = wish.ikey ? wish.ikey : to.ikey;
	to.okey = wish.okey ? wish.okey : to.okey;
	if (to.ikey == t->vti.device.ikey && to.okey == t->vti.device.okey)
		return DATAPLANE_OK;
	if (t->vti.owner == VTI_ADOPTED)
		return kernel_fail(t->plane, DATAPLANE_UNSUPPORTED,
				   "%s was made by somebody else, with another key",
				   t->vti.device.name);
	error = netlink_device_change(t->plane->route, t->vti.ifindex, &to);
	if (error)
		return kernel_device_failed(t, "keys", error);
	t->vti.device = to;
	kernel_disinherit(t);
	unclaim_tags(t);
	set_tags(t, &to);
	e = claim_tags(t);
	DL_FOREACH (t->newest, c)
		if (e == DATAPLANE_OK)
			e = kernel_child_retag(c);
	if (e == DATAPLANE_OK && kernel_policy_base(t) != 0)
		e = kernel_fail(t->plane, DATAPLANE_SYSTEM, "%s: policies", t->config.name);
	return e;
}

static enum dataplane_error check_update(struct kernel_tunnel *t, const struct tunnel_config *to)
{
	bool xfrm = t->vti.device.kind == NETLINK_DEVICE_XFRM;

	if (strcmp(t->config.name, to->name) != 0)
		return kernel_fail(t->plane, DATAPLANE_UNSUPPORTED,
				   "a device keeps its name (%s, not %s)", t->config.name,
				   to->name);
	if (t->present && ((to->kind == DEVICE_VTI && xfrm) || (to->kind == DEVICE_XFRM && !xfrm) ||
			   (xfrm && to->if_id_out && to->if_id_out != t->out.if_id)))
		return kernel_fail(t->plane, DATAPLANE_UNSUPPORTED,
				   "%s: another kind or if_id is another device: unload the "
				   "connection first",
				   t->config.name);
	return DATAPLANE_OK;
}

static enum dataplane_error apply_update(struct kernel_tunnel *t, const struct tunnel_config *old)
{
	enum dataplane_error e = kernel_device_set_addrs(t, old, &t->config);
	int error;

	if (e == DATAPLANE_OK)
		e = retag(t);
	if (e == DATAPLANE_OK)
		e = kernel_tunnel_follow(t);
	if (e != DATAPLANE_OK)
		return e;
	kernel_tunnel_announce(t); /* also those that somebody removed */
	error = kernel_device_set_mtu(t);
	return error ? kernel_device_mtu_failed(t, error) : DATAPLANE_OK;
}

enum dataplane_error kernel_tunnel_update(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config)
{
	struct tunnel_config old;
	enum dataplane_error e;
	struct kernel_tunnel *t = tunnel_for(d, id, &e);

	if (t)
		e = check_update(t, config);
	if (e != DATAPLANE_OK)
		return e;
	old = t->config;
	t->config = *config; /* the same bytes where the table has its key */
	e = t->present ? apply_update(t, &old) : kernel_device_again(t);
	if (e != DATAPLANE_OK && t->present)
		t->config = old;
	kernel_tunnel_keep(t);
	return e;
}

enum dataplane_error kernel_tunnel_remove(struct dataplane *d, uint32_t id)
{
	enum dataplane_error e;
	struct kernel_tunnel *t = tunnel_for(d, id, &e);

	if (t)
		kernel_tunnel_free(d, t, false);
	return e;
}

enum dataplane_error kernel_tunnel_set_link(struct dataplane *d, uint32_t id, bool up)
{
	enum dataplane_error e;
	struct kernel_tunnel *t = tunnel_for(d, id, &e);
	bool was;
	int error;

	if (!t)
		return e;
	was = t->info.link_up;
	t->info.link_up = up;
	kernel_tunnel_keep(t);
	if (!t->present && t->config.external)
		return DATAPLANE_OK; /* it will be so when somebody makes it */
	if (!t->present)
		return kernel_fail(d, DATAPLANE_SYSTEM, "%s: the device is gone", t->config.name);
	if (up && !was) {
		kernel_tunnel_announce(t);
		t->announce = DEVICE_ANNOUNCE_TICKS;
	}
	error = device_set_link(d->route, t->vti.ifindex, up);
	return error ? kernel_device_failed(t, "operstate", error) : DATAPLANE_OK;
}

bool kernel_tunnel_info(struct dataplane *d, uint32_t id, struct dataplane_tunnel_info *out)
{
	const struct kernel_tunnel *t = kernel_tunnel_find(d, id);

	if (!t)
		return false;
	*out = t->info;
	return true;
}
