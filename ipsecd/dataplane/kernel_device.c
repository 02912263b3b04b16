/* The device of a tunnel of the kernel plane: obtaining it, its addresses, its MTU and, of a vti,
 * its endpoints. What others do to devices is kernel_link.c's. */
#include "ipsecd/dataplane/kernel.h"

#include "ipsecd/dataplane/mss.h"
#include "lib/netlink_route.h"

#include <errno.h>
#include <linux/if.h>
#include <stdio.h>
#include <utlist.h>

enum dataplane_error kernel_device_failed(const struct kernel_tunnel *t, const char *what,
					  int error)
{
	return kernel_fail(t->plane, DATAPLANE_SYSTEM, "%s: %s: %s", t->config.name, what,
			   netlink_strerror(t->plane->route, error));
}

/* ---- MTU ---- */

static uint16_t path_mtu(const struct kernel_tunnel *t, const struct child_sa *c)
{
	uint16_t mtu = device_path_mtu(t->plane->route, &c->local.addr, &c->remote.addr, 0);

	return mtu ? mtu : DEVICE_PATH_MTU;
}

/* The least of all CHILD_SAs, for the path to the newest one's peer. 0: there are none. */
static uint16_t computed_mtu(const struct kernel_tunnel *t)
{
	uint16_t path = t->newest ? path_mtu(t, &t->newest->sa) : 0, least = 0;
	const struct kernel_child *k;

	DL_FOREACH (t->newest, k) {
		const struct child_sa *c = &k->sa;
		uint16_t mtu = dataplane_inner_mtu(path, c->remote.addr.family, c->udp_encap,
						   c->encr_id, c->encr_key_bits, c->integ_id);

		if (least == 0 || mtu < least)
			least = mtu;
	}
	return least && least < DEVICE_MTU_MIN ? DEVICE_MTU_MIN : least;
}

static uint16_t wanted_mtu(const struct kernel_tunnel *t)
{
	uint16_t mtu;

	if (t->config.mtu)
		return t->config.mtu;
	mtu = computed_mtu(t);
	return mtu ? mtu : t->info.mtu ? t->info.mtu : DEVICE_MTU_NO_SA;
}

int kernel_device_set_mtu(struct kernel_tunnel *t)
{
	uint16_t mtu = wanted_mtu(t);
	int e = 0;

	if (!t->present)
		return 0;
	if (mtu != t->info.mtu)
		e = netlink_link_set_mtu(t->plane->route, t->vti.ifindex, mtu);
	if (e == 0)
		kernel_device_mtu_is(t, mtu);
	return e;
}

enum dataplane_error kernel_device_mtu_failed(const struct kernel_tunnel *t, int error)
{
	char what[16];

	snprintf(what, sizeof(what), "MTU %u", wanted_mtu(t));
	return kernel_device_failed(t, what, error);
}

/* A tunnel works without the clamp; the log has why. */
void kernel_device_mtu_is(struct kernel_tunnel *t, uint16_t mtu)
{
	t->info.mtu = mtu;
	mss_set(t->plane->mss, t->info.name, t->config.mss, mtu);
}

void kernel_tunnel_mtu_follows(struct kernel_tunnel *t)
{
	int e = kernel_device_set_mtu(t);

	t->mtu_next = mono_now() + DEVICE_MTU_PERIOD;
	if (e)
		kernel_say(t, LOG_LEVEL_WARN, "MTU %u refused: %s", wanted_mtu(t),
			   netlink_strerror(t->plane->route, e));
}

/* ---- addresses ---- */

enum dataplane_error kernel_device_set_addrs(struct kernel_tunnel *t,
					     const struct tunnel_config *from,
					     const struct tunnel_config *to)
{
	struct dataplane *d = t->plane;
	const struct prefix *at = NULL;
	char what[32 + PREFIX_TEXT], text[PREFIX_TEXT];
	int e = device_set_addrs(d->route, t->vti.ifindex, from, to, &at);

	if (e == 0)
		return DATAPLANE_OK;
	snprintf(what, sizeof(what), "address %s", prefix_format(at, text));
	return kernel_device_failed(t, what, e);
}

/* See DEVICE_ANNOUNCE_TICKS. */
void kernel_tunnel_announce(struct kernel_tunnel *t)
{
	static const struct tunnel_config nothing;

	if (t->present && kernel_device_set_addrs(t, &nothing, &t->config) != DATAPLANE_OK)
		kernel_say(t, LOG_LEVEL_WARN, "%s", t->plane->error);
}

/* ---- keys ---- */

/* FNV-1a. Far from the small numbers that people give to marks. */
static uint32_t key_of(const char *name)
{
	uint32_t key = 2166136261u;

	for (; *name; name++)
		key = (key ^ (uint8_t)*name) * 16777619u;
	return key | 0x01000000;
}

struct xfrm_tag kernel_mark_tag(uint32_t key, uint32_t mask)
{
	return (struct xfrm_tag){.mark = {.value = key, .mask = mask ? mask : UINT32_MAX}};
}

/* The first that neither a tunnel has nor, for a device that we make, one that was there when
 * we started. */
static uint32_t free_key(const struct dataplane *d, const char *name, bool external)
{
	uint32_t key = key_of(name);
	struct kernel_key *known;

	for (;; key++) {
		struct xfrm_tag mark = kernel_mark_tag(key, 0), id = {.if_id = key};

		HASH_FIND(hh, d->keys, &key, sizeof(key), known);
		if (key && (!known || external) && !kernel_tunnel_by_tag(d, &mark, true) &&
		    !kernel_tunnel_by_tag(d, &id, true))
			return key;
	}
}

/* ---- the device ---- */

/* What tells a tunnel's device whose name is not ours to give: the keys in use, else the
 * configured ones, else some that follow from the tunnel's name, for its script to take. */
struct netlink_device kernel_device_expected(const struct kernel_tunnel *t)
{
	const struct tunnel_config *c = &t->config;
	uint32_t key;

	if (t->out.if_id)
		return (struct netlink_device){.kind = NETLINK_DEVICE_XFRM, .if_id = t->out.if_id};
	if (t->out.mark.mask)
		return (struct netlink_device){.kind = NETLINK_DEVICE_VTI,
					       .ikey = t->in.mark.value,
					       .okey = t->out.mark.value};
	key = free_key(t->plane, c->name, true);
	if (c->kind == DEVICE_XFRM || (c->kind == DEVICE_AUTO && c->if_id_out))
		return (struct netlink_device){.kind = NETLINK_DEVICE_XFRM,
					       .if_id = c->if_id_out ? c->if_id_out : key};
	return (struct netlink_device){.kind = NETLINK_DEVICE_VTI,
				       .ikey = c->mark_in.value ? c->mark_in.value : key,
				       .okey = c->mark_out.value ? c->mark_out.value : key};
}

struct find_keys {
	struct netlink_device expected;
	int ifindex;
};

static void find_by_keys(void *ctx, const struct netlink_link *link,
			 const struct netlink_device *device)
{
	struct find_keys *f = ctx;
	const struct netlink_device *e = &f->expected;
	bool fits =
		e->kind == NETLINK_DEVICE_XFRM
			? device->kind == e->kind && device->if_id == e->if_id
			: vti_is_vti(device) && device->ikey == e->ikey && device->okey == e->okey;

	if (fits && !f->ifindex)
		f->ifindex = link->ifindex;
}

/* A device with the keys of `mark=` or `if-id=` that somebody made under another name. */
static int device_with_keys(const struct kernel_tunnel *t)
{
	struct find_keys f = {.expected = kernel_device_expected(t)};
	const struct tunnel_config *c = &t->config;

	if (c->external || (c->mark_in.value && c->mark_out.value) || c->if_id_out)
		netlink_device_list(t->plane->route, find_by_keys, &f);
	return f.ifindex;
}

struct vti_wish kernel_tunnel_wish(const struct kernel_tunnel *t)
{
	const struct tunnel_config *c = &t->config;

	return (struct vti_wish){
		.name = c->name,
		.kind = c->kind,
		.ikey = c->mark_in.value,
		.okey = c->mark_out.value,
		.if_id = c->if_id_out,
		.local = c->local,
		.remote = c->remote,
	};
}

enum dataplane_error kernel_device_attach(struct kernel_tunnel *t)
{
	struct dataplane *d = t->plane;
	struct kernel_tunnel *other;

	HASH_FIND(by_ifindex, d->by_ifindex, &t->vti.ifindex, sizeof(t->vti.ifindex), other);
	if (other)
		return kernel_fail(d, DATAPLANE_EXISTS, "device %s serves tunnel %s already",
				   t->vti.device.name, other->config.name);
	HASH_ADD(by_ifindex, d->by_ifindex, vti.ifindex, sizeof(t->vti.ifindex), t);
	if (!t->by_ifindex.tbl)
		return kernel_fail(d, DATAPLANE_NO_MEMORY, "out of memory");
	t->present = true;
	t->info.ifindex = t->vti.ifindex;
	t->info.kind = netlink_device_kind_name(t->vti.device.kind);
	snprintf(t->info.name, sizeof(t->info.name), "%s", t->vti.device.name);
	return DATAPLANE_OK;
}

void kernel_device_detach(struct kernel_tunnel *t)
{
	if (!t->present)
		return;
	mss_clear(t->plane->mss, t->info.name);
	t->present = false;
	t->info.admin_up = false;
	t->info.ifindex = 0;
	HASH_DELETE(by_ifindex, t->plane->by_ifindex, t);
	memset(&t->by_ifindex, 0, sizeof(t->by_ifindex));
}

/* Whatever it was before is to be set, unless there are SAs that it was set for. */
static uint16_t found_mtu(const struct kernel_tunnel *t)
{
	struct netlink_link link;

	if (!t->info.inherited || netlink_link_get(t->plane->route, t->vti.ifindex, &link) != 0)
		return 0;
	return link.mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)link.mtu;
}

/* What an operator set down stays down over our restart. */
enum dataplane_error kernel_device_fill(struct kernel_tunnel *t)
{
	static const struct tunnel_config nothing;
	struct dataplane *d = t->plane;
	enum dataplane_error e = kernel_device_set_addrs(t, &nothing, &t->config);
	int error;

	if (e != DATAPLANE_OK)
		return e;
	t->info.mtu = found_mtu(t);
	error = kernel_device_set_mtu(t);
	if (error)
		return kernel_device_mtu_failed(t, error);
	error = device_set_link(d->route, t->vti.ifindex, t->info.link_up);
	if (error)
		return kernel_device_failed(t, "operstate", error);
	t->info.admin_up = t->vti.admin_up;
	if (!t->vti.stays_down) {
		error = netlink_link_set_up(d->route, t->vti.ifindex, true);
		t->info.admin_up = error == 0;
	}
	t->announce = DEVICE_ANNOUNCE_TICKS;
	return error ? kernel_device_failed(t, "setting it up", error) : DATAPLANE_OK;
}

/* ---- endpoints that a leftover has ---- */

struct displaced {
	struct dataplane *d;
	const struct addr *local, *remote;
	bool any;
};

static void displace(void *ctx, const struct netlink_link *link,
		     const struct netlink_device *device)
{
	struct vti v = {.ifindex = link->ifindex, .device = *device};
	static const struct addr nobody;
	struct displaced *p = ctx;
	struct kernel_tunnel *t;
	char why[160];

	HASH_FIND(by_ifindex, p->d->by_ifindex, &link->ifindex, sizeof(link->ifindex), t);
	if (t || !vti_is_vti(device) || !addr_equal(&device->local, p->local) ||
	    !addr_equal(&device->remote, p->remote) ||
	    !vti_alias_parse(device->alias, &v.owner, &v.saved) || v.owner != VTI_MADE)
		return;
	p->any = vti_follow(&v, p->d->route, p->local, &nobody, why, sizeof(why)) == 0;
	if (p->any)
		log_to(p->d->host.log, LOG_LEVEL_NOTICE, "knl", link->name,
		       "device %s of a former process, now of no tunnel, leaves its endpoints "
		       "to another",
		       link->name);
}

/* A conn or device was renamed between two processes: the one of the former name waits for
 * `settled` with the endpoints that the new one needs. true: it has them no longer. */
static bool displace_leftover(struct dataplane *d, const struct addr *local,
			      const struct addr *remote)
{
	struct displaced p = {.d = d, .local = local, .remote = remote};

	netlink_device_list(d->route, displace, &p);
	return p.any;
}

/* Only for a tunnel without a device. */
enum dataplane_error kernel_device_obtain(struct kernel_tunnel *t)
{
	struct vti_wish wish = kernel_tunnel_wish(t);
	struct dataplane *d = t->plane;
	char why[sizeof(d->error) - 24];
	int e;

	if (t->config.external || !t->config.named)
		wish.other = device_with_keys(t);
	if (t->config.external) {
		if (!wish.other)
			return DATAPLANE_OK; /* somebody will make it */
		e = vti_take(&t->vti, d->route, wish.other, &wish, why, sizeof(why));
	} else {
		/* One that is made again is what it was: SAs have its tags. */
		wish.key = t->out.if_id	      ? t->out.if_id
			   : t->out.mark.mask ? t->out.mark.value
					      : free_key(d, t->config.name, false);
		e = vti_obtain(&t->vti, d->route, &wish, why, sizeof(why));
		if (e == -EEXIST && wish.remote.family &&
		    displace_leftover(d, &wish.local, &wish.remote))
			e = vti_obtain(&t->vti, d->route, &wish, why, sizeof(why));
	}
	if (e)
		return kernel_fail(d, e == -EEXIST ? DATAPLANE_EXISTS : DATAPLANE_SYSTEM, "%s: %s",
				   t->config.name, why);
	return kernel_device_attach(t);
}

/* A device that is made again while there are CHILD_SAs. */
enum dataplane_error kernel_device_again(struct kernel_tunnel *t)
{
	enum dataplane_error e = kernel_device_obtain(t);

	if (e != DATAPLANE_OK || !t->present)
		return e;
	e = kernel_tunnel_follow(t);
	if (e == DATAPLANE_OK)
		e = kernel_device_fill(t);
	if (e != DATAPLANE_OK) {
		kernel_device_detach(t);
		vti_release(&t->vti, t->plane->route);
	}
	return e;
}

/* ---- endpoints ---- */

/* Where a vti rests that has no CHILD_SA. */
static void resting_endpoints(const struct kernel_tunnel *t, struct addr *local,
			      struct addr *remote)
{
	*local = t->config.local;
	*remote = t->config.remote;
	if (t->config.remote.family || t->vti.owner != VTI_ADOPTED)
		return;
	*local = t->vti.saved.local;
	*remote = t->vti.saved.remote;
}

enum dataplane_error kernel_tunnel_follow(struct kernel_tunnel *t)
{
	struct dataplane *d = t->plane;
	struct addr local, remote;
	char why[sizeof(d->error) - 24];
	int e;

	if (!t->present || (!t->newest && t->inherited))
		return DATAPLANE_OK;
	resting_endpoints(t, &local, &remote);
	if (t->newest) {
		local = t->newest->sa.local.addr;
		remote = t->newest->sa.remote.addr;
	}
	e = vti_follow(&t->vti, d->route, &local, &remote, why, sizeof(why));
	if (e == -EEXIST && displace_leftover(d, &local, &remote))
		e = vti_follow(&t->vti, d->route, &local, &remote, why, sizeof(why));
	if (e == 0)
		return DATAPLANE_OK;
	return kernel_fail(d,
			   e == -EEXIST		? DATAPLANE_EXISTS
			   : e == -EAFNOSUPPORT ? DATAPLANE_UNSUPPORTED
						: DATAPLANE_SYSTEM,
			   "%s: %s", t->config.name, why);
}

void kernel_tunnel_step_aside(struct kernel_tunnel *t)
{
	static const struct addr nobody;
	char why[160];

	if (!t->newest)
		vti_follow(&t->vti, t->plane->route, &t->config.local, &nobody, why, sizeof(why));
}

/* ---- time ---- */

void kernel_tunnel_tick(struct kernel_tunnel *t, mono_time now)
{
	if (t->announce) {
		t->announce--;
		kernel_tunnel_announce(t);
	}
	kernel_larval_tick(t, now);
	if (t->newest && !t->config.mtu && now >= t->mtu_next)
		kernel_tunnel_mtu_follows(t);
	if (t->inherit_end && now >= t->inherit_end)
		kernel_disinherit(t);
}
