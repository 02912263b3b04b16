/* Addresses, operstate and /proc/sys settings of a tunnel device, for the planes that have
 * devices of the kernel. Keeps no state. */
#include "ipsecd/dataplane/device.h"

#include "lib/log.h"
#include "lib/netlink_route.h"

#include <fcntl.h>
#include <linux/if.h>
#include <stdio.h>
#include <unistd.h>

/* RFC 2863 operational states and Linux's link modes; <linux/if.h> has them as enums. */
#define OPER_UP	     IF_OPER_UP
#define OPER_DORMANT IF_OPER_DORMANT

/* ---- addresses ---- */

static const struct prefix *find_prefix(const struct tunnel_config *c, const struct prefix *p)
{
	for (unsigned i = 0; i < c->n_addrs; i++)
		if (prefix_equal(&c->addrs[i], p))
			return &c->addrs[i];
	return NULL;
}

static bool has_addr(const struct tunnel_config *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->n_addrs; i++)
		if (addr_equal(&c->addrs[i].addr, a))
			return true;
	return false;
}

/* Removes what `from` has and `to` has not. Gone already is as good as removed. With
 * `clashing` only addresses that `to` has under another length: the kernel holds an
 * IPv6 address once, whatever its length. */
static void remove_addrs(struct netlink *nl, int ifindex, const struct tunnel_config *from,
			 const struct tunnel_config *to, bool clashing)
{
	for (unsigned i = 0; i < from->n_addrs; i++) {
		const struct prefix *p = &from->addrs[i];

		if (!find_prefix(to, p) && (!clashing || has_addr(to, &p->addr)))
			netlink_addr_remove(nl, ifindex, p);
	}
}

int device_set_addrs(struct netlink *nl, int ifindex, const struct tunnel_config *from,
		     const struct tunnel_config *to, const struct prefix **at)
{
	remove_addrs(nl, ifindex, from, to, true);
	for (unsigned i = 0; i < to->n_addrs; i++) {
		int e = netlink_addr_add(nl, ifindex, &to->addrs[i]);

		if (e == 0)
			continue;
		*at = &to->addrs[i];
		/* Back to `from`. */
		for (unsigned undo = 0; undo < i; undo++)
			if (!find_prefix(from, &to->addrs[undo]))
				netlink_addr_remove(nl, ifindex, &to->addrs[undo]);
		for (unsigned undo = 0; undo < from->n_addrs; undo++)
			netlink_addr_add(nl, ifindex, &from->addrs[undo]);
		return e;
	}
	remove_addrs(nl, ifindex, from, to, false);
	return 0;
}

static bool marks_equal(const struct mark *a, const struct mark *b)
{
	return a->value == b->value && a->mask == b->mask;
}

bool device_config_equal(const struct tunnel_config *a, const struct tunnel_config *b)
{
	if (strcmp(a->name, b->name) != 0 || a->external != b->external || a->kind != b->kind ||
	    a->mtu != b->mtu || a->mss != b->mss || a->if_id_in != b->if_id_in ||
	    a->if_id_out != b->if_id_out || !marks_equal(&a->mark_in, &b->mark_in) ||
	    !marks_equal(&a->mark_out, &b->mark_out) || !addr_equal(&a->local, &b->local) ||
	    !addr_equal(&a->remote, &b->remote) || a->n_addrs != b->n_addrs)
		return false;
	for (unsigned i = 0; i < a->n_addrs; i++)
		if (!prefix_equal(&a->addrs[i], &b->addrs[i]))
			return false;
	return true;
}

struct lookup {
	const struct prefix *prefix;
	bool found;
};

static void look_at(void *ctx, const struct netlink_addr *addr)
{
	struct lookup *l = ctx;

	l->found = l->found || prefix_equal(&addr->prefix, l->prefix);
}

bool device_addr_changed(struct netlink *nl, const struct tunnel_config *config,
			 const struct netlink_addr *addr, const struct log_sink *log)
{
	struct lookup l = {.prefix = &addr->prefix};
	struct netlink_link link;
	char text[PREFIX_TEXT];

	if (!addr->removed || !find_prefix(config, &addr->prefix))
		return false;
	/* With the device, or set down with it: told otherwise. */
	if (netlink_link_get(nl, addr->ifindex, &link) != 0 || !(link.flags & IFF_UP))
		return false;
	if (netlink_addr_list(nl, addr->ifindex, look_at, &l) != 0 || l.found)
		return false;
	log_to(log, LOG_LEVEL_WARN, "knl", config->name,
	       "%s: somebody removed the address %s; a reload brings it back", link.name,
	       prefix_format(&addr->prefix, text));
	return true;
}

int device_set_link(struct netlink *nl, int ifindex, bool up)
{
	return netlink_link_change(
		nl, ifindex,
		&(struct netlink_link_change){.set_linkmode = true,
					      .linkmode = IF_LINK_MODE_DORMANT,
					      .set_operstate = true,
					      .operstate = up ? OPER_UP : OPER_DORMANT});
}

/* ---- settings ---- */

const struct device_setting device_settings[] = {
	/* Traffic may come back by another tunnel than it left by: loose (RFC 3704 2.4). */
	{"ipv4", "rp_filter", "2"},
	/* An address must not go when another of its subnet does. */
	{"ipv4", "promote_secondaries", "1"},
	{"ipv6", "accept_dad", "0"},
	{"ipv6", "router_solicitations", "0"},
	{"ipv6", "accept_ra", "0"},
	/* IPv6 addresses outlive the operator's `ip link set down`, as IPv4's do. */
	{"ipv6", "keep_addr_on_down", "1"},
};
const unsigned device_n_settings = sizeof(device_settings) / sizeof(*device_settings);

static int open_sysctl(const char *family, const char *device, const char *knob, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, device, knob);
	return open(path, flags | O_CLOEXEC);
}

bool device_sysctl_set(const char *family, const char *device, const char *knob, const char *value)
{
	int fd = open_sysctl(family, device, knob, O_WRONLY);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	close(fd);
	return done;
}

bool device_sysctl_get(const char *family, const char *device, const char *knob, char *value,
		       size_t size)
{
	int fd = open_sysctl(family, device, knob, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, value, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	value[n] = 0;
	value[strcspn(value, "\n")] = 0;
	return true;
}

void device_set_settings(const char *device)
{
	for (unsigned i = 0; i < device_n_settings; i++)
		device_sysctl_set(device_settings[i].family, device, device_settings[i].knob,
				  device_settings[i].value);
}

uint16_t device_path_mtu(struct netlink *nl, const struct addr *local, const struct addr *remote)
{
	uint32_t mtu = netlink_path_mtu(nl, remote, local);

	return mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
}
