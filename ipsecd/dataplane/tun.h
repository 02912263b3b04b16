/* One TUN device: /dev/net/tun for the packets, rtnetlink for the link. It lives as
 * long as a copy of its descriptor does. Knows no SA and no tunnel; errors are negative errno
 * values, with the kernel's words in netlink_strerror when the call was rtnetlink's. */
#ifndef DETOUR_TUN_H
#define DETOUR_TUN_H

#include "ipsecd/dataplane/dataplane.h"

#include <sys/uio.h>

struct netlink;

struct tun {
	int fd;	      /* -1: closed; of a device of several queues the first one */
	int up;	      /* where is written: `fd`, or a queue of its own */
	bool several; /* it may have more than one queue */
	bool made;    /* by tun_open */
	int ifindex;
	uint32_t ring;	   /* device_fill: packets that each queue holds; 0: as the kernel has it */
	unsigned offloads; /* enum dataplane_offload */
	char name[IF_NAMESIZE];
};

bool tun_probe(char *why, size_t size);
/* Creates the device, with what offloads the kernel has, down; device_fill makes the rest of it.
 * `several`: so that it may have more than one queue, which costs the kernel memory. -EEXIST: there
 * is a device of this name, whoever made it. */
int tun_open(struct tun *t, struct netlink *nl, const char *name, bool several);
/* The device of this descriptor, which somebody kept for us: as it is. On failure the descriptor
 * is closed; -ENODEV: the device is gone. */
int tun_adopt(struct tun *t, struct netlink *nl, const char *name, int fd);
void tun_close(struct tun *t);
/* One queue more: its descriptor, for reading, or -errno. The kernel spreads flows over the queues
 * that there are. */
int tun_queue(const struct tun *t, struct netlink *nl);
/* From here on is written to a queue that nothing comes by: the kernel has packets of a flow follow
 * to the queue by which the other direction is written, and where they are read shall stay as it
 * is. 0 or -errno. */
int tun_write_apart(struct tun *t, struct netlink *nl);

/* Bytes of the vnet header before each packet that is read: 0 without OFFLOAD_VNET. */
size_t tun_head(const struct tun *t);
/* One packet or super-packet from a queue of a device: its length with tun_head, or -EAGAIN, or
 * another error. */
int tun_read(int fd, uint8_t *out, size_t size);
/* iov[0]: a vnet header, which is left out where the device has none. From any thread. */
bool tun_write(const struct tun *t, const struct iovec *iov, size_t n);

#endif
