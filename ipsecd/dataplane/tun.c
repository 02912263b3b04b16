/* The TUN device: owns its descriptor and what is set on the link besides. The
 * interface is IFF_TUN | IFF_NO_PI, one packet a read; a vnet header and offloads
 * would begin here and in tun_read and tun_write. */
#include "ipsecd/dataplane/tun.h"

#include "ipsecd/dataplane/device.h"
#include "lib/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TUN_DEVICE "/dev/net/tun"

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
	device_set_settings(t->name);
	return device_set_link(nl, t->ifindex, false);
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

int tun_adopt(struct tun *t, struct netlink *nl, const char *name, int fd)
{
	struct ifreq request = {0};
	struct netlink_link link;
	int e = 0;

	*t = (struct tun){.fd = fd};
	snprintf(t->name, sizeof(t->name), "%s", name);
	if (ioctl(fd, TUNGETIFF, &request) != 0)
		e = errno == EBADFD ? -ENODEV : -errno;
	if (e == 0) /* by the name that it has now */
		e = netlink_link_find(nl, request.ifr_name, &link);
	if (e == 0)
		t->ifindex = link.ifindex;
	else
		tun_close(t);
	return e;
}

void tun_close(struct tun *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
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
