/* Namespaces, packet sockets and links for tests on real devices. */
#include "tests/contract/kernel.h"

#include "lib/netlink_device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct netlink *netlink;

void kernel_ipv6(bool on)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, on ? "0" : "1", 1) != 1)
		perror("disable_ipv6");
	close(fd);
}

void kernel_namespace(const char *program)
{
	if (unshare(CLONE_NEWNET) != 0) {
		fprintf(stderr,
			"%s: needs root: a network namespace of its own can't be made: %s\n",
			program, strerror(errno));
		exit(1);
	}
	netlink = netlink_open();
	if (!netlink || netlink_link_set_up(netlink, 1, true) != 0) {
		fprintf(stderr, "%s: rtnetlink: %s\n", program, strerror(errno));
		exit(1);
	}
	kernel_ipv6(false); /* MLD and router solicitations would be counted, too */
}

void kernel_netlink_use(struct netlink *nl)
{
	netlink = nl;
}

struct netlink *kernel_netlink(void)
{
	return netlink;
}

enum device_kind kernel_device_kind(void)
{
	const char *word = getenv("DEVICE_KIND");

	if (!word)
		return DEVICE_AUTO;
	return strcmp(word, "xfrm") == 0 ? DEVICE_XFRM : DEVICE_VTI;
}

bool kernel_has_vti(void)
{
	struct netlink_device d = {.kind = NETLINK_DEVICE_VTI,
				   .name = "has-vti",
				   .ikey = 1,
				   .okey = 1,
				   .remote = {AF_INET, {240, 1}}};
	struct netlink *nl = netlink_open();
	int ifindex, e = nl ? netlink_device_add(nl, &d, true, &ifindex) : -ENOMEM;

	if (e == 0)
		netlink_link_del(nl, ifindex);
	netlink_close(nl);
	return e == 0;
}

struct netlink_link kernel_link(const char *device)
{
	struct netlink_link link;

	assert_int_equal(netlink_link_find(netlink, device, &link), 0);
	return link;
}

static struct sockaddr_ll address_of(const char *device, uint16_t protocol)
{
	return (struct sockaddr_ll){
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = kernel_link(device).ifindex,
	};
}

int kernel_tap(const char *device)
{
	struct sockaddr_ll sll = address_of(device, ETH_P_ALL);
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sll, sizeof(sll)), 0);
	return fd;
}

void kernel_inject(int tap, const char *device, struct span packet)
{
	bool ipv6 = packet.len > 0 && packet.ptr[0] >> 4 == 6;
	struct sockaddr_ll sll = address_of(device, ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	ssize_t n =
		sendto(tap, packet.ptr, packet.len, 0, (const struct sockaddr *)&sll, sizeof(sll));

	assert_int_equal(n, packet.len);
}

size_t kernel_received(int tap, uint8_t *out, size_t size)
{
	ssize_t n = recv(tap, out, size, 0);

	return n > 0 ? (size_t)n : 0;
}
