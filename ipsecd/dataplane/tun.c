/* The TUN device: owns its descriptor and what is set on the link besides. The interface is
 * IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, one packet or super-packet a read or write; what of that a
 * kernel lacks is left out, step by step. */
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
static int create_device(int fd, const char *name, bool *vnet)
{
	struct ifreq request = {0};
	int e;

	memcpy(request.ifr_name, name, IF_NAMESIZE);
	e = set_interface(fd, &request, IFF_VNET_HDR);
	*vnet = e == 0;
	if (e == EINVAL)
		e = set_interface(fd, &request, 0);
	/* The kernel fills in patterns ("x%d"): such a name is not what was asked for. */
	if (e == 0 && strncmp(request.ifr_name, name, IF_NAMESIZE) != 0)
		e = EINVAL;
	return e;
}

int tun_open(struct tun *t, struct netlink *nl, const char *name)
{
	bool vnet;
	int e;

	*t = (struct tun){.fd = -1};
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	e = -create_device(t->fd, t->name, &vnet);
	if (e == 0 && vnet)
		negotiate(t);
	if (e == 0) {
		t->ifindex = netlink_ifindex(nl, t->name);
		e = t->ifindex < 0 ? t->ifindex : 0;
	}
	if (e)
		tun_close(t);
	return e == -EBUSY ? -EEXIST : e;
}

int tun_adopt(struct tun *t, struct netlink *nl, const char *name, int fd)
{
	struct ifreq request = {0};
	int e = 0;

	*t = (struct tun){.fd = fd};
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
	if (request.ifr_flags & IFF_VNET_HDR)
		negotiate(t);
	return 0;
}

void tun_close(struct tun *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

/* ---- packets ---- */

size_t tun_head(const struct tun *t)
{
	return t->offloads & OFFLOAD_VNET ? sizeof(struct virtio_net_hdr) : 0;
}

int tun_read(const struct tun *t, uint8_t *out, size_t size)
{
	ssize_t n;

	do
		n = read(t->fd, out, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

bool tun_write(const struct tun *t, const struct iovec *iov, size_t n)
{
	size_t skip = tun_head(t) ? 0 : 1;
	ssize_t written;

	do
		written = writev(t->fd, iov + skip, (int)(n - skip));
	while (written < 0 && errno == EINTR);
	return written > 0; /* a TUN takes all or nothing */
}
