/* The TUN device: owns its descriptors and what is set on the link besides. The interface is
 * IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, and IFF_MULTI_QUEUE where that is asked for, one packet or
 * super-packet a read or write; what of that a kernel lacks is left out, step by step. */
#include "ipsecd/dataplane/tun.h"

#include "ipsecd/dataplane/vnet.h"
#include "lib/netlink.h"

#include <errno.h>
#include <fcntl.h>
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

/* ---- offloads ---- */

static bool set_offloads(struct tun *t, unsigned flags, unsigned offloads)
{
	if (ioctl(t->fd, TUNSETOFFLOAD, flags) != 0)
		return false;
	t->offloads |= offloads;
	return true;
}

/* The device has a vnet header: what it may put into it. One that was kept is asked again, for
 * nobody can read what was set. */
static void negotiate(struct tun *t)
{
	const unsigned checksum = TUN_F_CSUM, tso = checksum | TUN_F_TSO4 | TUN_F_TSO6;
	t->offloads = OFFLOAD_VNET;
	if (!set_offloads(t, tso | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
			  OFFLOAD_CHECKSUM | OFFLOAD_TSO | OFFLOAD_USO) &&
	    !set_offloads(t, tso | TUN_F_TSO_ECN, OFFLOAD_CHECKSUM | OFFLOAD_TSO) &&
	    !set_offloads(t, tso, OFFLOAD_CHECKSUM | OFFLOAD_TSO))
		set_offloads(t, checksum, OFFLOAD_CHECKSUM);
}

/* ---- making and taking ---- */

static int set_interface(int fd, struct ifreq *request, short flags)
{
	request->ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (short)IFF_TUN_EXCL | flags);
	return ioctl(fd, TUNSETIFF, request) == 0 ? 0 : errno;
}

/* errno; 0: `fd` is the device. */
static int create_device(int fd, const char *name, bool *several, bool *vnet)
{
	struct ifreq request = {0};
	int e = EINVAL;

	memcpy(request.ifr_name, name, IF_NAMESIZE);
	if (*several)
		e = set_interface(fd, &request, IFF_VNET_HDR | IFF_MULTI_QUEUE);
	*several = e == 0;
	if (e == EINVAL)
		e = set_interface(fd, &request, IFF_VNET_HDR);
	*vnet = e == 0;
	if (e == EINVAL)
		e = set_interface(fd, &request, 0);
	/* The kernel fills in patterns ("x%d"): such a name is not what was asked for. */
	if (e == 0 && strncmp(request.ifr_name, name, IF_NAMESIZE) != 0)
		e = EINVAL;
	return e;
}

static int open_descriptor(void)
{
	int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int tun_open(struct tun *t, struct netlink *nl, const char *name, bool several)
{
	bool vnet;
	int e;

	*t = (struct tun){.fd = -1, .up = -1, .several = several};
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->fd = open_descriptor();
	if (t->fd < 0)
		return t->fd;
	t->up = t->fd;
	e = -create_device(t->fd, t->name, &t->several, &vnet);
	if (e == 0 && vnet)
		negotiate(t);
	if (e == 0) {
		t->ifindex = netlink_ifindex(nl, t->name);
		e = t->ifindex < 0 ? t->ifindex : 0;
	}
	t->made = e == 0;
	if (e)
		tun_close(t);
	return e == -EBUSY ? -EEXIST : e;
}

int tun_adopt(struct tun *t, struct netlink *nl, const char *name, int fd)
{
	struct ifreq request = {0};
	int e = 0;

	*t = (struct tun){.fd = fd, .up = fd};
	snprintf(t->name, sizeof(t->name), "%s", name);
	if (ioctl(fd, TUNGETIFF, &request) != 0)
		e = errno == EBADFD ? -ENODEV : -errno;
	if (e == 0) { /* by the name that it has now */
		t->ifindex = netlink_ifindex(nl, request.ifr_name);
		e = t->ifindex < 0 ? t->ifindex : 0;
	}
	if (e) {
		tun_close(t);
		return e;
	}
	t->several = (request.ifr_flags & IFF_MULTI_QUEUE) != 0;
	if (request.ifr_flags & IFF_VNET_HDR)
		negotiate(t);
	return 0;
}

void tun_close(struct tun *t)
{
	if (t->up >= 0 && t->up != t->fd)
		close(t->up);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = t->up = -1;
}

/* ---- queues ---- */

/* By the name that the device has now, and with the flags that it has: the kernel takes them over
 * for the whole device. */
static int join(const struct tun *t, int fd)
{
	struct ifreq request = {0};

	if (ioctl(t->fd, TUNGETIFF, &request) != 0)
		return errno == EBADFD ? -ENODEV : -errno;
	request.ifr_flags &= IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	return ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : -errno;
}

/* A device that was removed in this moment would have been made anew. */
static int is_same(const struct tun *t, struct netlink *nl, int fd)
{
	struct ifreq request = {0};

	if (ioctl(fd, TUNGETIFF, &request) != 0)
		return -errno;
	return netlink_ifindex(nl, request.ifr_name) == t->ifindex ? 0 : -ENODEV;
}

int tun_queue(const struct tun *t, struct netlink *nl)
{
	int fd, e;

	if (!t->several)
		return -EOPNOTSUPP;
	fd = open_descriptor();
	if (fd < 0)
		return fd;
	e = join(t, fd);
	if (e == 0)
		e = is_same(t, nl, fd);
	if (e == 0)
		return fd;
	close(fd);
	return e;
}

int tun_write_apart(struct tun *t, struct netlink *nl)
{
	struct ifreq request = {.ifr_flags = IFF_DETACH_QUEUE};
	int fd = tun_queue(t, nl);

	if (fd < 0)
		return fd;
	if (ioctl(fd, TUNSETQUEUE, &request) != 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	t->up = fd;
	return 0;
}

/* ---- packets ---- */

size_t tun_head(const struct tun *t)
{
	return t->offloads & OFFLOAD_VNET ? sizeof(struct virtio_net_hdr) : 0;
}

int tun_read(int fd, uint8_t *out, size_t size)
{
	ssize_t n;

	do
		n = read(fd, out, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

bool tun_write(const struct tun *t, const struct iovec *iov, size_t n)
{
	size_t skip = tun_head(t) ? 0 : 1;
	ssize_t written;

	do
		written = writev(t->up, iov + skip, (int)(n - skip));
	while (written < 0 && errno == EINTR);
	return written > 0; /* a TUN takes all or nothing */
}
