/* So many TUN devices as ipsecd sets them up, and nothing else: what the kernel takes for them.
 * For `make bench`, a yardstick; not tested, not installed.
 *
 *	bare_devices COUNT
 *
 * Prints the seconds, and removes the devices: as a group, for the kernel takes minutes to remove
 * them one by one, as their descriptors are closed. */
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BATCH	   32
#define COUNT_MAX  60000
#define GROUP	   0x6465
#define MTU	   1400
#define DORMANT	   5 /* RFC 2863's; IF_OPER_DORMANT of <linux/if.h> */
#define OFFLOADS   (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define FIRST_ADDR 0x0a000000U /* 10.0.0.0: a /31 each */

static struct mnl_socket *rtnl;
static _Alignas(8) char batch[BATCH * 512];
static size_t batch_len;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bare_devices: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- rtnetlink ---- */

static struct nlmsghdr *message(uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(batch + batch_len);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return h;
}

static void done(const struct nlmsghdr *h)
{
	batch_len += MNL_ALIGN(h->nlmsg_len);
}

/* Only what is refused is answered. */
static void send_batch(void)
{
	_Alignas(8) char answer[8192];

	if (batch_len && mnl_socket_sendto(rtnl, batch, batch_len) < 0)
		die("sending to rtnetlink");
	batch_len = 0;
	if (recv(mnl_socket_get_fd(rtnl), answer, sizeof(answer), MSG_DONTWAIT) > 0) {
		const struct nlmsgerr *refusal = mnl_nlmsg_get_payload((struct nlmsghdr *)answer);

		errno = -refusal->error;
		die("rtnetlink");
	}
}

static struct nlmsghdr *link_message(uint16_t type, int ifindex, unsigned flags)
{
	struct nlmsghdr *h = message(type, 0);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof(*link));

	link->ifi_index = ifindex;
	link->ifi_flags = link->ifi_change = flags;
	return h;
}

static void add_address(int ifindex, uint32_t address)
{
	struct nlmsghdr *h = message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
	struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof(*a));

	*a = (struct ifaddrmsg){
		.ifa_family = AF_INET, .ifa_prefixlen = 31, .ifa_index = (unsigned)ifindex};
	mnl_attr_put_u32(h, IFA_LOCAL, __builtin_bswap32(address));
	mnl_attr_put_u32(h, IFA_ADDRESS, __builtin_bswap32(address));
	done(h);
}

static void add_qdisc(int ifindex)
{
	struct nlmsghdr *h = message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE);
	struct tcmsg *t = mnl_nlmsg_put_extra_header(h, sizeof(*t));

	t->tcm_ifindex = ifindex;
	t->tcm_parent = TC_H_ROOT;
	mnl_attr_put_strz(h, TCA_KIND, "noqueue");
	done(h);
}

static void set_up(int ifindex, uint32_t address)
{
	struct nlmsghdr *h = link_message(RTM_NEWLINK, ifindex, 0);

	mnl_attr_put_u32(h, IFLA_GROUP, GROUP);
	mnl_attr_put_u8(h, IFLA_LINKMODE, 1);
	mnl_attr_put_u8(h, IFLA_OPERSTATE, DORMANT);
	done(h);
	add_address(ifindex, address);
	add_qdisc(ifindex);
	h = link_message(RTM_NEWLINK, ifindex, IFF_UP);
	mnl_attr_put_u32(h, IFLA_MTU, MTU);
	done(h);
}

/* ---- devices ---- */

static void set_file(const char *name, const char *knob, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name, knob);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die(path);
	close(fd);
}

static void make_device(int control, unsigned n)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "bare%u", n);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
		die("making a TUN device");
	if (ioctl(fd, TUNSETOFFLOAD, OFFLOADS) != 0)
		die("TUNSETOFFLOAD");
	if (ioctl(control, SIOCGIFINDEX, &request) != 0)
		die("SIOCGIFINDEX");
	set_file(request.ifr_name, "accept_ra", "0");
	set_file(request.ifr_name, "keep_addr_on_down", "1");
	set_up(request.ifr_ifindex, FIRST_ADDR + 2 * n);
}

static void remove_devices(void)
{
	struct nlmsghdr *h = link_message(RTM_DELLINK, 0, 0);

	mnl_attr_put_u32(h, IFLA_GROUP, GROUP);
	done(h);
	send_batch();
}

int main(int argc, char **argv)
{
	unsigned count = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
	struct rlimit files;
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	double begun;

	if (count == 0 || count > COUNT_MAX) {
		fprintf(stderr, "usage: bare_devices COUNT (1 to %d)\n", COUNT_MAX);
		return 2;
	}
	rtnl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!rtnl || control < 0 || getrlimit(RLIMIT_NOFILE, &files) != 0)
		die("beginning");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		die("RLIMIT_NOFILE");
	begun = seconds();
	for (unsigned n = 0; n < count; n++) {
		make_device(control, n);
		if (n % BATCH == BATCH - 1)
			send_batch();
	}
	send_batch();
	printf("%.3f\n", seconds() - begun);
	remove_devices();
	return 0;
}
