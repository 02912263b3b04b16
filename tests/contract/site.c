/* Namespaces with a way out, for tests of the kernel plane. */
#include "tests/contract/site.h"

#include "lib/buf.h"
#include "lib/netlink_route.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PORT_NATT 4500

/* ---- namespaces ---- */

int site_namespace(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int site_enter(const struct site *x)
{
	int was = site_namespace();

	assert_true(was >= 0);
	assert_int_equal(setns(x->ns, CLONE_NEWNET), 0);
	kernel_netlink_use(x->netlink);
	return was;
}

void site_leave(int was)
{
	assert_int_equal(setns(was, CLONE_NEWNET), 0);
	close(was);
}

/* ---- the way out ---- */

static int under_open(void)
{
	struct ifreq request = {.ifr_name = "under", .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

static int udp_open(const struct prefix *own)
{
	struct endpoint e = {.addr = own->addr, .port = PORT_NATT};
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&e, &sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sa, len), 0);
	return fd;
}

void site_open(struct site *x, const char *address)
{
	struct netlink_link link;
	struct prefix own;

	assert_true(prefix_parse(address, &own));
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	x->ns = site_namespace();
	x->netlink = netlink_open();
	assert_non_null(x->netlink);
	kernel_netlink_use(x->netlink);
	assert_int_equal(netlink_link_set_up(x->netlink, 1, true), 0);
	kernel_ipv6(false); /* nothing but ESP is to come out of it */
	x->under = under_open();
	kernel_ipv6(true);
	link = kernel_link("under");
	assert_int_equal(netlink_link_set_up(x->netlink, link.ifindex, true), 0);
	assert_int_equal(netlink_addr_add(x->netlink, link.ifindex, &own), 0);
	x->udp = udp_open(&own);
	x->loop = ev_loop_new(0);
}

void site_close(struct site *x)
{
	netlink_close(x->netlink);
	close(x->under);
	close(x->udp);
	close(x->ns);
	ev_loop_destroy(x->loop);
	*x = (struct site){0};
}

/* An IPv4 packet of the way out: ESP, or UDP with ESP inside, is what the plane sent. */
static void take_sent(struct side *s, const uint8_t *ip, size_t len)
{
	struct packet *p = &s->sent[s->n_sent];
	size_t head = (size_t)(ip[0] & 15) * 4;

	if (len < head + 8 || ip[0] >> 4 != 4)
		return;
	*p = (struct packet){.from.addr.family = AF_INET, .to.addr.family = AF_INET};
	memcpy(p->from.addr.bytes, ip + 12, 4);
	memcpy(p->to.addr.bytes, ip + 16, 4);
	if (ip[9] == IPPROTO_UDP) {
		p->from.port = be16_get(ip + head);
		p->to.port = be16_get(ip + head + 2);
		head += 8;
	} else if (ip[9] != IPPROTO_ESP) {
		return;
	}
	p->len = len - head;
	assert_true(p->len <= PACKET_MAX);
	memcpy(p->data, ip + head, p->len);
	assert_true(++s->n_sent < QUEUE_MAX);
}

void site_collect(struct site *x)
{
	uint8_t buf[PACKET_MAX + 128];
	ssize_t n;

	while ((n = read(x->under, buf, sizeof(buf))) > 0)
		if (x->side)
			take_sent(x->side, buf, (size_t)n);
}

/* What the kernel does not take from the socket, ipsecd does. */
static void read_socket(struct site *x)
{
	static const struct endpoint nobody;
	uint8_t buf[PACKET_MAX];
	ssize_t n;

	while ((n = recv(x->udp, buf, sizeof(buf), 0)) >= 0)
		dataplane_kernel.esp_input(x->plane, 0, &nobody, &nobody, 0, buf, (size_t)n,
					   (size_t)n, mono_now());
}

void site_pump(struct site *x)
{
	for (unsigned i = 0; i < 3; i++)
		ev_run(x->loop, EVRUN_NOWAIT);
	read_socket(x);
	site_collect(x);
}

void site_route(struct site *x, const char *to, int ifindex)
{
	struct netlink_route r = {.ifindex = ifindex,
				  .blackhole = ifindex == 0,
				  .table = RT_TABLE_MAIN,
				  .protocol = RTPROT_STATIC};

	assert_true(prefix_parse(to, &r.dst));
	assert_int_equal(netlink_route_add(x->netlink, &r), 0);
}

static void ip_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += be16_get(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	be16_set(ip + 10, (uint16_t) ~(sum + (sum >> 16)));
}

void site_input(struct site *x, const struct endpoint *local, const struct endpoint *remote,
		struct span esp)
{
	uint8_t ip[PACKET_MAX + 28] = {
		0x45, [8] = 64, [9] = local->port ? IPPROTO_UDP : IPPROTO_ESP};
	size_t head = local->port ? 28 : 20;

	be16_set(ip + 2, (uint16_t)(head + esp.len));
	memcpy(ip + 12, remote->addr.bytes, 4);
	memcpy(ip + 16, local->addr.bytes, 4);
	ip_checksum(ip);
	be16_set(ip + 20, remote->port);
	be16_set(ip + 22, local->port);
	be16_set(ip + 24, (uint16_t)(8 + esp.len));
	memcpy(ip + head, esp.ptr, esp.len);
	assert_int_equal(write(x->under, ip, head + esp.len), head + esp.len);
}
