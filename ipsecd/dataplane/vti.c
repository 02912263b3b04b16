/* The kernel's tunnel devices: making, adopting, refusing, giving back. The only place that
 * writes a device's alias and, with device.c, its settings under /proc/sys. */
#include "ipsecd/dataplane/vti.h"

#include "lib/netlink.h"

#include <errno.h>
#include <linux/if.h>
#include <stdio.h>

#define PLACEHOLDERS 16 /* tries */

bool vti_is_vti(const struct netlink_device *d)
{
	return d->kind == NETLINK_DEVICE_VTI || d->kind == NETLINK_DEVICE_VTI6;
}

uint8_t vti_family(const struct netlink_device *d)
{
	return d->kind == NETLINK_DEVICE_VTI	? AF_INET
	       : d->kind == NETLINK_DEVICE_VTI6 ? AF_INET6
						: 0;
}

/* ---- does it fit? ---- */

static uint8_t wanted_family(const struct vti_wish *w)
{
	return w->remote.family ? w->remote.family : w->local.family;
}

static bool kind_fits(const struct netlink_device *d, const struct vti_wish *w, char *why,
		      size_t size)
{
	uint8_t family = wanted_family(w);
	const char *want = w->kind == DEVICE_XFRM	       ? "an xfrm interface"
			   : w->kind == DEVICE_AUTO && !family ? "a vti or an xfrm interface"
			   : family == AF_INET6		       ? "a vti6"
							       : "a vti";

	if (d->kind == NETLINK_DEVICE_XFRM && w->kind != DEVICE_VTI)
		return true;
	if (vti_is_vti(d) && w->kind != DEVICE_XFRM && (!family || family == vti_family(d)))
		return true;
	snprintf(why, size, "it is %s%s, wanted is %s",
		 d->kind == NETLINK_DEVICE_OTHER ? "of another kind" : "a device of kind ",
		 netlink_device_kind_name(d->kind), want);
	return false;
}

static bool key_fits(const char *what, uint32_t has, uint32_t wanted, char *why, size_t size)
{
	if (has != 0 && (wanted == 0 || wanted == has))
		return true;
	if (has == 0)
		snprintf(why, size, "it has no %s", what);
	else
		snprintf(why, size, "its %s is %u, wanted is %u", what, has, wanted);
	return false;
}

static bool endpoint_fits(const char *what, const struct addr *has, const struct addr *wanted,
			  char *why, size_t size)
{
	char a[ADDR_TEXT], b[ADDR_TEXT];

	if (addr_is_any(has) || addr_is_any(wanted) || addr_equal(has, wanted))
		return true;
	snprintf(why, size, "its %s address is %s, wanted is %s", what, addr_format(has, a),
		 addr_format(wanted, b));
	return false;
}

bool vti_fits(const struct netlink_device *d, const struct vti_wish *w, char *why, size_t size)
{
	if (!kind_fits(d, w, why, size))
		return false;
	if (!vti_is_vti(d))
		return key_fits("if_id", d->if_id, w->if_id, why, size);
	return key_fits("ikey", d->ikey, w->ikey, why, size) &&
	       key_fits("okey", d->okey, w->okey, why, size) &&
	       endpoint_fits("local", &d->local, &w->local, why, size) &&
	       endpoint_fits("remote", &d->remote, &w->remote, why, size);
}

/* ---- settings ---- */

/* A vti checks policies itself, with its key; again behind it would find none. An xfrm
 * interface leaves that to the stack behind it. */
static const char *disable_policy(const struct vti *v)
{
	return vti_is_vti(&v->device) ? "1" : "0";
}

/* Where the machine forwards, the device does. */
static const char *forwarding(const char *family)
{
	char all[VTI_VALUE_TEXT];

	return device_sysctl_get(family, "all", "forwarding", all, sizeof(all)) &&
			       strcmp(all, "1") == 0
		       ? "1"
		       : NULL;
}

/* The n-th setting of a tunnel device; value NULL: left as it is. */
static struct device_setting setting(const struct vti *v, unsigned n)
{
	switch (n) {
	case 0:
		return (struct device_setting){"ipv4", "disable_policy", disable_policy(v)};
	case 1:
		return (struct device_setting){"ipv6", "disable_policy", disable_policy(v)};
	case 2:
		return (struct device_setting){"ipv4", "forwarding", forwarding("ipv4")};
	case 3:
		return (struct device_setting){"ipv6", "forwarding", forwarding("ipv6")};
	default:
		break;
	}
	n -= 4;
	return n < device_n_settings ? device_settings[n] : (struct device_setting){0};
}

static void read_settings(struct vti *v)
{
	for (unsigned i = 0; i < VTI_SETTINGS; i++) {
		struct device_setting s = setting(v, i);
		char *old = v->saved.settings[i];

		if (!s.value ||
		    !device_sysctl_get(s.family, v->device.name, s.knob, old, VTI_VALUE_TEXT) ||
		    strcmp(old, s.value) == 0)
			old[0] = 0;
	}
}

static void write_settings(const struct vti *v)
{
	for (unsigned i = 0; i < VTI_SETTINGS; i++) {
		struct device_setting s = setting(v, i);

		if (s.value)
			device_sysctl_set(s.family, v->device.name, s.knob, s.value);
	}
}

static void restore_settings(const struct vti *v)
{
	for (unsigned i = 0; i < VTI_SETTINGS; i++) {
		struct device_setting s = setting(v, i);

		if (s.knob && v->saved.settings[i][0])
			device_sysctl_set(s.family, v->device.name, s.knob, v->saved.settings[i]);
	}
}

/* ---- endpoints ---- */

/* An address that no peer has (RFC 1112 4: reserved; RFC 6666: discarded), so that a vti whose
 * peer is not known yet differs from every other. */
static struct addr placeholder(uint8_t family, uint32_t key)
{
	struct addr a = {.family = family};

	if (family == AF_INET6) {
		a.bytes[0] = 1;
		a.bytes[15] = 1;
		a.bytes[8] = (uint8_t)(key >> 24);
		a.bytes[9] = (uint8_t)(key >> 16);
		a.bytes[10] = (uint8_t)(key >> 8);
		a.bytes[11] = (uint8_t)key;
	} else {
		a.bytes[0] = (uint8_t)(0xf0 | (key >> 24 & 0x07));
		a.bytes[1] = (uint8_t)(key >> 16);
		a.bytes[2] = (uint8_t)(key >> 8);
		a.bytes[3] = (uint8_t)key;
	}
	return a;
}

struct holder {
	const struct netlink_device *of;
	char name[IFNAMSIZ];
};

static void find_holder(void *ctx, const struct netlink_link *link,
			const struct netlink_device *device)
{
	struct holder *h = ctx;

	if (device->kind == h->of->kind && addr_equal(&device->local, &h->of->local) &&
	    addr_equal(&device->remote, &h->of->remote))
		snprintf(h->name, sizeof(h->name), "%s", link->name);
}

static int fail_endpoints(struct netlink *nl, const struct netlink_device *d, int e,
			  const char *what, char *why, size_t size)
{
	char local[ADDR_TEXT], remote[ADDR_TEXT];
	struct holder holder = {.of = d};

	if (e != -EEXIST) {
		snprintf(why, size, "%s: %s", what, netlink_strerror(nl, e));
		return e;
	}
	netlink_device_list(nl, find_holder, &holder);
	snprintf(why, size,
		 "another %s (%s) has the endpoints %s and %s already, and the kernel tells vtis "
		 "apart by them alone: several peers behind one address need "
		 "interface-type=xfrm",
		 netlink_device_kind_name(d->kind),
		 holder.name[0] ? holder.name : "moved to another network namespace",
		 addr_format(&d->local, local), addr_format(&d->remote, remote));
	return e;
}

static int change(struct vti *v, struct netlink *nl, const struct netlink_device *to, char *why,
		  size_t size)
{
	int e = netlink_device_change(nl, v->ifindex, to);

	if (e)
		return fail_endpoints(nl, to, e, "changing the device", why, size);
	v->device = *to;
	return 0;
}

int vti_follow(struct vti *v, struct netlink *nl, const struct addr *local,
	       const struct addr *remote, char *why, size_t size)
{
	struct netlink_device to = v->device;
	int e = -EEXIST;

	if (!vti_is_vti(&v->device) || !v->ifindex)
		return 0;
	if ((remote->family && remote->family != vti_family(&v->device)) ||
	    (local->family && local->family != vti_family(&v->device))) {
		snprintf(why, size,
			 "%s is a %s, and the peer's address is of the other family: "
			 "interface-type=xfrm takes both",
			 v->device.name, netlink_device_kind_name(v->device.kind));
		return -EAFNOSUPPORT;
	}
	to.local = *local;
	to.remote = *remote;
	if (addr_equal(&to.local, &v->device.local) && addr_equal(&to.remote, &v->device.remote))
		return 0;
	if (remote->family)
		return change(v, nl, &to, why, size);
	for (uint32_t n = 0; n < PLACEHOLDERS && e == -EEXIST; n++) {
		to.remote = placeholder(vti_family(&to), to.okey + n);
		e = change(v, nl, &to, why, size);
	}
	return e;
}

/* ---- making ---- */

static int add(struct vti *v, struct netlink *nl)
{
	char alias[NETLINK_ALIAS_MAX + 1];
	int e = netlink_device_add(nl, &v->device, true, &v->ifindex);

	if (e)
		return e;
	v->owner = VTI_MADE;
	vti_alias_format(v, alias);
	e = netlink_link_set_alias(nl, v->ifindex, alias);
	if (e) {
		netlink_link_del(nl, v->ifindex);
		*v = (struct vti){0};
		return e;
	}
	write_settings(v);
	return 0;
}

static int make_vti(struct vti *v, struct netlink *nl, const struct vti_wish *w)
{
	struct netlink_device *d = &v->device;
	uint8_t family = wanted_family(w);
	int e = -EEXIST;

	d->kind = family == AF_INET6 ? NETLINK_DEVICE_VTI6 : NETLINK_DEVICE_VTI;
	d->ikey = w->ikey ? w->ikey : w->key;
	d->okey = w->okey ? w->okey : w->key;
	d->local = w->local;
	d->remote = w->remote;
	if (w->remote.family)
		return add(v, nl);
	for (uint32_t n = 0; n < PLACEHOLDERS && e == -EEXIST; n++) {
		d->remote = placeholder(vti_family(d), d->okey + n);
		e = add(v, nl);
	}
	return e;
}

static int make_xfrm(struct vti *v, struct netlink *nl, const struct vti_wish *w)
{
	v->device.kind = NETLINK_DEVICE_XFRM;
	v->device.if_id = w->if_id ? w->if_id : w->key;
	v->device.local = v->device.remote = (struct addr){0};
	return add(v, nl);
}

static int make(struct vti *v, struct netlink *nl, const struct vti_wish *w, char *why, size_t size)
{
	bool xfrm = w->kind == DEVICE_XFRM || (w->kind == DEVICE_AUTO && w->if_id);
	struct netlink_device d = {0};
	int e;

	*v = (struct vti){0};
	snprintf(d.name, sizeof(d.name), "%s", w->name);
	v->device = d;
	e = xfrm ? make_xfrm(v, nl, w) : make_vti(v, nl, w);
	if (e == -EOPNOTSUPP && w->kind == DEVICE_AUTO && !xfrm) {
		v->device = d;
		e = make_xfrm(v, nl, w);
	}
	if (e == 0)
		return 0;
	d = v->device;
	*v = (struct vti){0};
	if (e == -EOPNOTSUPP) {
		snprintf(why, size, "the kernel has no devices of kind %s",
			 netlink_device_kind_name(d.kind));
		return e;
	}
	if (e == -EEXIST && !vti_is_vti(&d)) {
		snprintf(why, size, "another xfrm interface has if_id %u already", d.if_id);
		return e;
	}
	return fail_endpoints(nl, &d, e, "making the device", why, size);
}

/* ---- taking ---- */

static void save(struct vti *v, const struct netlink_link *link)
{
	v->saved = (struct vti_saved){
		.mtu = link->mtu,
		.linkmode = link->linkmode,
		.up = (link->flags & IFF_UP) != 0,
		.local = v->device.local,
		.remote = v->device.remote,
	};
	snprintf(v->saved.alias, sizeof(v->saved.alias), "%s", v->device.alias);
	read_settings(v);
}

/* Keys and endpoints of one that we made before may be changed to what is wanted now. */
static int refit(struct vti *v, struct netlink *nl, const struct vti_wish *w, char *why,
		 size_t size)
{
	struct netlink_device to = v->device;

	if (w->ikey)
		to.ikey = w->ikey;
	if (w->okey)
		to.okey = w->okey;
	if (w->remote.family) {
		to.local = w->local;
		to.remote = w->remote;
	}
	return change(v, nl, &to, why, size);
}

static int adopt(struct vti *v, struct netlink *nl, const struct netlink_link *link, char *why,
		 size_t size)
{
	char alias[NETLINK_ALIAS_MAX + 1];
	int e;

	v->owner = VTI_ADOPTED;
	save(v, link);
	vti_alias_format(v, alias);
	e = netlink_link_set_alias(nl, v->ifindex, alias);
	if (e)
		snprintf(why, size, "device %s: alias: %s", link->name, netlink_strerror(nl, e));
	return e;
}

static int refuse(const char *name, const char *what, char *why, size_t size)
{
	snprintf(
		why, size,
		"device %s exists already and does not fit: %s. Remove it, give the tunnel another "
		"name, or change one of the two",
		name, what);
	return -EEXIST;
}

static int take(struct vti *v, struct netlink *nl, const struct netlink_link *link,
		const struct vti_wish *w, char *why, size_t size)
{
	char what[160];
	bool ours, fits;
	int e;

	*v = (struct vti){
		.ifindex = link->ifindex,
		.oper_up = link->operstate == IF_OPER_UP,
		.admin_up = (link->flags & IFF_UP) != 0,
	};
	e = netlink_device_get(nl, link->ifindex, &v->device);
	if (e) {
		snprintf(why, size, "device %s: %s", link->name, netlink_strerror(nl, e));
		return e;
	}
	snprintf(v->device.name, sizeof(v->device.name), "%s", link->name);
	ours = vti_alias_parse(v->device.alias, &v->owner, &v->saved);
	v->stays_down = ours && !v->admin_up;
	fits = vti_fits(&v->device, w, what, sizeof(what));
	if (ours && v->owner == VTI_MADE && !fits) {
		if (vti_is_vti(&v->device) && kind_fits(&v->device, w, what, sizeof(what)))
			return refit(v, nl, w, why, size);
		netlink_link_del(nl, v->ifindex);
		return make(v, nl, w, why, size);
	}
	if (!fits)
		return refuse(link->name, what, why, size);
	e = ours ? 0 : adopt(v, nl, link, why, size);
	if (e == 0)
		write_settings(v);
	return e;
}

int vti_take(struct vti *v, struct netlink *nl, int ifindex, const struct vti_wish *w, char *why,
	     size_t size)
{
	struct netlink_link link;
	int e = netlink_link_get(nl, ifindex, &link);

	if (e == 0)
		e = take(v, nl, &link, w, why, size);
	else
		snprintf(why, size, "%s", netlink_strerror(nl, e));
	if (e)
		*v = (struct vti){0};
	return e;
}

int vti_obtain(struct vti *v, struct netlink *nl, const struct vti_wish *w, char *why, size_t size)
{
	struct netlink_link link;
	int e;

	if (netlink_link_find(nl, w->name, &link) == 0)
		e = take(v, nl, &link, w, why, size);
	else if (w->other)
		return vti_take(v, nl, w->other, w, why, size);
	else
		e = make(v, nl, w, why, size);
	if (e)
		*v = (struct vti){0};
	return e;
}

/* ---- giving back ---- */

static void give_back(struct vti *v, struct netlink *nl)
{
	const struct vti_saved *s = &v->saved;
	struct netlink_device to = v->device;

	restore_settings(v);
	to.local = s->local;
	to.remote = s->remote;
	if (vti_is_vti(&to) && (!addr_equal(&to.local, &v->device.local) ||
				!addr_equal(&to.remote, &v->device.remote)))
		netlink_device_change(nl, v->ifindex, &to);
	/* Up before its link mode is: nothing else takes a device out of DORMANT. */
	netlink_link_set_operstate(nl, v->ifindex, IF_OPER_UP);
	netlink_link_change(nl, v->ifindex,
			    &(struct netlink_link_change){.set_linkmode = true,
							  .linkmode = s->linkmode,
							  .set_mtu = s->mtu != 0,
							  .mtu = s->mtu,
							  .set_up = !s->up,
							  .up = s->up});
	netlink_link_set_alias(nl, v->ifindex, s->alias);
}

void vti_release(struct vti *v, struct netlink *nl)
{
	if (v->ifindex && v->owner == VTI_MADE)
		netlink_link_del(nl, v->ifindex);
	else if (v->ifindex && v->owner == VTI_ADOPTED)
		give_back(v, nl);
	*v = (struct vti){0};
}

enum vti_owner vti_reclaim(struct netlink *nl, const struct netlink_link *link,
			   const struct netlink_device *device)
{
	struct vti v = {.ifindex = link->ifindex, .device = *device};
	enum vti_owner owner;

	if (device->kind == NETLINK_DEVICE_OTHER ||
	    !vti_alias_parse(device->alias, &v.owner, &v.saved))
		return VTI_NONE;
	owner = v.owner;
	vti_release(&v, nl);
	return owner;
}
