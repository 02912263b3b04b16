/* rtnetlink messages of vti, vti6 and xfrm devices: build and parse, pure. Keys are in
 * network order on the wire, an interface id is not. */
#include "lib/netlink_device.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/rtnetlink.h>

static const char *const kind_names[] = {
	[NETLINK_DEVICE_OTHER] = "",
	[NETLINK_DEVICE_VTI] = "vti",
	[NETLINK_DEVICE_VTI6] = "vti6",
	[NETLINK_DEVICE_XFRM] = "xfrm",
};

const char *netlink_device_kind_name(enum netlink_device_kind k)
{
	return kind_names[k];
}

/* ---- building ---- */

static struct nlmsghdr *start_link(void *buf, size_t size, uint16_t type, uint16_t flags,
				   int ifindex)
{
	struct nlmsghdr *h =
		netlink_build_start(buf, size, sizeof(struct ifinfomsg), type, NLM_F_ACK | flags);
	struct ifinfomsg *ifi;

	if (!h)
		return NULL;
	ifi = mnl_nlmsg_get_payload(h);
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = ifindex;
	return h;
}

/* An address that is not there is left out, and is "any" to the kernel. */
static bool put_addr(struct nlmsghdr *h, size_t size, uint16_t type, uint8_t family,
		     const struct addr *a)
{
	struct span bytes = addr_span(a);

	if (a->family == 0)
		return true;
	return a->family == family && mnl_attr_put_check(h, size, type, bytes.len, bytes.ptr);
}

static bool put_vti(struct nlmsghdr *h, size_t size, const struct netlink_device *d)
{
	uint8_t family = d->kind == NETLINK_DEVICE_VTI ? AF_INET : AF_INET6;

	return (d->link == 0 ||
		mnl_attr_put_u32_check(h, size, IFLA_VTI_LINK, (uint32_t)d->link)) &&
	       mnl_attr_put_u32_check(h, size, IFLA_VTI_IKEY, htonl(d->ikey)) &&
	       mnl_attr_put_u32_check(h, size, IFLA_VTI_OKEY, htonl(d->okey)) &&
	       put_addr(h, size, IFLA_VTI_LOCAL, family, &d->local) &&
	       put_addr(h, size, IFLA_VTI_REMOTE, family, &d->remote);
}

static bool put_xfrm(struct nlmsghdr *h, size_t size, const struct netlink_device *d)
{
	return (d->link == 0 ||
		mnl_attr_put_u32_check(h, size, IFLA_XFRM_LINK, (uint32_t)d->link)) &&
	       mnl_attr_put_u32_check(h, size, IFLA_XFRM_IF_ID, d->if_id);
}

static bool put_info(struct nlmsghdr *h, size_t size, const struct netlink_device *d)
{
	struct nlattr *info, *data;
	bool fits;

	if (d->kind == NETLINK_DEVICE_OTHER)
		return false;
	info = mnl_attr_nest_start_check(h, size, IFLA_LINKINFO);
	if (!info || !mnl_attr_put_strz_check(h, size, IFLA_INFO_KIND, kind_names[d->kind]))
		return false;
	data = mnl_attr_nest_start_check(h, size, IFLA_INFO_DATA);
	if (!data)
		return false;
	fits = d->kind == NETLINK_DEVICE_XFRM ? put_xfrm(h, size, d) : put_vti(h, size, d);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return fits;
}

struct nlmsghdr *netlink_build_device_add(void *buf, size_t size, const struct netlink_device *d,
					  bool dormant)
{
	struct nlmsghdr *h = start_link(buf, size, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);

	if (!h || !mnl_attr_put_strz_check(h, size, IFLA_IFNAME, d->name))
		return NULL;
	/* A vti has no carrier events: its operstate is "unknown", and up, until one is set. */
	if (dormant && (!mnl_attr_put_u8_check(h, size, IFLA_LINKMODE, IF_LINK_MODE_DORMANT) ||
			!mnl_attr_put_u8_check(h, size, IFLA_OPERSTATE, IF_OPER_DORMANT)))
		return NULL;
	return put_info(h, size, d) ? h : NULL;
}

struct nlmsghdr *netlink_build_device_change(void *buf, size_t size, int ifindex,
					     const struct netlink_device *d)
{
	struct nlmsghdr *h = start_link(buf, size, RTM_NEWLINK, 0, ifindex);

	return h && put_info(h, size, d) ? h : NULL;
}

struct nlmsghdr *netlink_build_link_del(void *buf, size_t size, int ifindex)
{
	return start_link(buf, size, RTM_DELLINK, 0, ifindex);
}

struct nlmsghdr *netlink_build_link_alias(void *buf, size_t size, int ifindex, const char *alias)
{
	struct nlmsghdr *h = start_link(buf, size, RTM_NEWLINK, 0, ifindex);

	/* Without the final NUL; of no bytes at all: the alias goes. */
	return h && mnl_attr_put_check(h, size, IFLA_IFALIAS, strlen(alias), alias) ? h : NULL;
}

/* ---- parsing ---- */

static enum netlink_device_kind kind_of(const struct nlattr *attr)
{
	const char *name = mnl_attr_get_payload(attr);
	size_t len = strnlen(name, mnl_attr_get_payload_len(attr));

	for (int k = NETLINK_DEVICE_VTI; k <= NETLINK_DEVICE_XFRM; k++) {
		if (strlen(kind_names[k]) == len && memcmp(kind_names[k], name, len) == 0)
			return k;
	}
	return NETLINK_DEVICE_OTHER;
}

static void take_u32(const struct nlattr *attr, uint32_t *out)
{
	if (mnl_attr_get_payload_len(attr) == sizeof(*out))
		*out = mnl_attr_get_u32(attr);
}

static void take_key(const struct nlattr *attr, uint32_t *out)
{
	take_u32(attr, out);
	*out = ntohl(*out);
}

/* The kernel writes "any" as zeroes. */
static void take_addr(const struct nlattr *attr, uint8_t family, struct addr *out)
{
	struct addr a;

	if (addr_from_bytes(span_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr)),
			    &a) &&
	    a.family == family && !addr_is_any(&a))
		*out = a;
}

static void take_vti(const struct nlattr *attr, struct netlink_device *out)
{
	uint8_t family = out->kind == NETLINK_DEVICE_VTI ? AF_INET : AF_INET6;
	uint32_t link = 0;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_VTI_LINK:
		take_u32(attr, &link);
		out->link = (int)link;
		return;
	case IFLA_VTI_IKEY:
		take_key(attr, &out->ikey);
		return;
	case IFLA_VTI_OKEY:
		take_key(attr, &out->okey);
		return;
	case IFLA_VTI_LOCAL:
		take_addr(attr, family, &out->local);
		return;
	case IFLA_VTI_REMOTE:
		take_addr(attr, family, &out->remote);
		return;
	default:
		return;
	}
}

static void take_xfrm(const struct nlattr *attr, struct netlink_device *out)
{
	uint32_t link = 0;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_XFRM_LINK:
		take_u32(attr, &link);
		out->link = (int)link;
		return;
	case IFLA_XFRM_IF_ID:
		take_u32(attr, &out->if_id);
		return;
	default:
		return;
	}
}

/* The kind decides how the data is read, and may stand behind it. */
static void take_info(const struct nlattr *info, struct netlink_device *out)
{
	const struct nlattr *attr, *data = NULL;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			out->kind = kind_of(attr);
		else if (mnl_attr_get_type(attr) == IFLA_INFO_DATA)
			data = attr;
	}
	if (!data || out->kind == NETLINK_DEVICE_OTHER)
		return;
	mnl_attr_for_each_nested(attr, data)
	{
		if (out->kind == NETLINK_DEVICE_XFRM)
			take_xfrm(attr, out);
		else
			take_vti(attr, out);
	}
}

static void take_text(const struct nlattr *attr, char *out, size_t size)
{
	size_t len = mnl_attr_get_payload_len(attr);

	if (len >= size)
		len = size - 1;
	memcpy(out, mnl_attr_get_payload(attr), len);
	out[len] = 0;
}

bool netlink_parse_device(const struct nlmsghdr *h, struct netlink_device *out)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;

	if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*ifi) || ifi->ifi_family != AF_UNSPEC)
		return false;
	*out = (struct netlink_device){.kind = NETLINK_DEVICE_OTHER};
	mnl_attr_for_each(attr, h, sizeof(*ifi))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			take_text(attr, out->name, sizeof(out->name));
			break;
		case IFLA_IFALIAS:
			take_text(attr, out->alias, sizeof(out->alias));
			break;
		case IFLA_LINKINFO:
			take_info(attr, out);
			break;
		default:
			break;
		}
	}
	return true;
}
