/* The TUN device: owns its descriptor and what is set on the link besides. The
 * interface is IFF_TUN | IFF_NO_PI, one packet a read; a vnet header and offloads
 * would begin here and in tun_read and tun_write. */
#include "ipsecd/dataplane/tun.h"

#include "lib/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TUN_DEVICE "/dev/net/tun"

/* RFC 2863 operational states and Linux's link modes; <linux/if.h> has them as enums. */
#define OPER_UP	     IF_OPER_UP
#define OPER_DORMANT IF_OPER_DORMANT

bool tun_probe(char *why, size_t size)
{
	int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		snprintf(why, size, "%s: %s", TUN_DEVICE, strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

/* A kernel without this knob, or /proc/sys read-only in a container, is no reason to
 * go without the device. */
static void set_sysctl(const char *family, const char *device, const char *knob, const char *value)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, device, knob);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = write(fd, value, strlen(value));
	(void)n;
	close(fd);
}

static void set_sysctls(const char *name)
{
	/* Traffic may come back by another tunnel than it left by: loose (RFC 3704 2.4). */
	set_sysctl("ipv4", name, "rp_filter", "2");
	/* An address must not go when another of its subnet does. */
	set_sysctl("ipv4", name, "promote_secondaries", "1");
	set_sysctl("ipv6", name, "accept_dad", "0");
	set_sysctl("ipv6", name, "router_solicitations", "0");
	set_sysctl("ipv6", name, "accept_ra", "0");
	/* IPv6 addresses outlive the operator's `ip link set down`, as IPv4's do. */
	set_sysctl("ipv6", name, "keep_addr_on_down", "1");
}

static int create_device(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | (short)IFF_TUN_EXCL};
	int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC), e;

	if (fd < 0)
		return -errno;
	memcpy(request.ifr_name, name, IF_NAMESIZE);
	e = ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : errno;
	/* The kernel fills in patterns ("x%d"): such a name is not what was asked for. */
	if (e == 0 && strncmp(request.ifr_name, name, IF_NAMESIZE) != 0)
		e = EINVAL;
	if (e == 0)
		return fd;
	close(fd);
	return -e;
}

/* Before the device is up for the first time, so that nobody ever sees it as UP. */
static int prepare_link(struct tun *t, struct netlink *nl)
{
	struct netlink_link link;
	int e = netlink_link_find(nl, t->name, &link);

	if (e)
		return e;
	t->ifindex = link.ifindex;
	set_sysctls(t->name);
	return netlink_link_change(nl, t->ifindex,
				   &(struct netlink_link_change){.set_linkmode = true,
								 .linkmode = IF_LINK_MODE_DORMANT,
								 .set_operstate = true,
								 .operstate = OPER_DORMANT});
}

int tun_open(struct tun *t, struct netlink *nl, const char *name)
{
	struct netlink_link there;
	int e;

	*t = (struct tun){.fd = -1};
	if (netlink_link_find(nl, name, &there) == 0)
		return -EEXIST;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->fd = create_device(t->name);
	if (t->fd < 0)
		return t->fd == -EBUSY ? -EEXIST : t->fd;
	e = prepare_link(t, nl);
	if (e)
		tun_close(t);
	return e;
}

void tun_close(struct tun *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

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
static void remove_addrs(const struct tun *t, struct netlink *nl, const struct tunnel_config *from,
			 const struct tunnel_config *to, bool clashing)
{
	for (unsigned i = 0; i < from->n_addrs; i++) {
		const struct prefix *p = &from->addrs[i];

		if (!find_prefix(to, p) && (!clashing || has_addr(to, &p->addr)))
			netlink_addr_remove(nl, t->ifindex, p);
	}
}

int tun_set_addrs(const struct tun *t, struct netlink *nl, const struct tunnel_config *from,
		  const struct tunnel_config *to, const struct prefix **at)
{
	remove_addrs(t, nl, from, to, true);
	for (unsigned i = 0; i < to->n_addrs; i++) {
		int e = netlink_addr_add(nl, t->ifindex, &to->addrs[i]);

		if (e == 0)
			continue;
		*at = &to->addrs[i];
		/* Back to `from`. */
		for (unsigned undo = 0; undo < i; undo++)
			if (!find_prefix(from, &to->addrs[undo]))
				netlink_addr_remove(nl, t->ifindex, &to->addrs[undo]);
		for (unsigned undo = 0; undo < from->n_addrs; undo++)
			netlink_addr_add(nl, t->ifindex, &from->addrs[undo]);
		return e;
	}
	remove_addrs(t, nl, from, to, false);
	return 0;
}

int tun_set_link(const struct tun *t, struct netlink *nl, bool up)
{
	return netlink_link_change(
		nl, t->ifindex,
		&(struct netlink_link_change){.set_linkmode = true,
					      .linkmode = IF_LINK_MODE_DORMANT,
					      .set_operstate = true,
					      .operstate = up ? OPER_UP : OPER_DORMANT});
}

/* ---- packets ---- */

int tun_read(const struct tun *t, uint8_t *out, size_t size)
{
	ssize_t n;

	do
		n = read(t->fd, out, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

bool tun_write(const struct tun *t, const uint8_t *packet, size_t len)
{
	ssize_t n;

	do
		n = write(t->fd, packet, len);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}
