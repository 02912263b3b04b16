/* The MSS clamp on real packets: two TUN devices in a namespace that forwards between them.
 * A SYN goes in on one side and comes out on the other with its MSS as it should be, and is
 * what it was otherwise. */
#include "ipsecd/dataplane/device.h"
#include "ipsecd/dataplane/mss.h"
#include "ipsecd/dataplane/mss_nft.h"
#include "ipsecd/dataplane/tun.h"
#include "ipsecd/dataplane/vnet.h"
#include "lib/buf.h"
#include "lib/netlink_route.h"
#include "tests/contract/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define IPV4 20
#define IPV6 40
#define TCP  24 /* with the MSS option */
#define SYN  0x02
#define ACK  0x10
#define RST  0x04

static struct tun lan, tunnel;
static unsigned n_said;
static char last_said[512];

static void say(void *ctx, enum log_level level, const char *subsystem, const char *name,
		const char *text)
{
	(void)ctx;
	(void)level;
	(void)subsystem;
	n_said++;
	snprintf(last_said, sizeof(last_said), "%s: %s", name, text);
}

static const struct log_sink sink = {.write = say, .level = LOG_LEVEL_DEBUG};

/* ---- the world ---- */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void open_device(struct tun *t, const char *name, const char *net4, const char *net6)
{
	struct netlink *nl = kernel_netlink();
	const char *const nets[] = {net4, net6};

	assert_int_equal(tun_open(t, nl, name, false), 0);
	device_sysctl_set("ipv6", name, "disable_ipv6", "0");
	device_sysctl_set("ipv4", name, "rp_filter", "0");
	assert_int_equal(netlink_link_set_up(nl, t->ifindex, true), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct netlink_route r = {
			.ifindex = t->ifindex, .table = RT_TABLE_MAIN, .protocol = RTPROT_STATIC};

		assert_true(prefix_parse(nets[i], &r.dst));
		assert_int_equal(netlink_route_add(nl, &r), 0);
	}
}

static void open_world(void)
{
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0");
	write_file("/proc/sys/net/ipv4/ip_forward", "1");
	write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	device_sysctl_set("ipv4", "all", "rp_filter", "0");
	open_device(&lan, "lan", "10.1.0.0/16", "fd01::/16");
	open_device(&tunnel, "tun-ab", "10.2.0.0/16", "fd02::/16");
}

/* ---- packets ---- */

static void put_addr(uint8_t *p, const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	memcpy(p, a.bytes, addr_size(a.family));
}

static void put_tcp(uint8_t *p, uint8_t flags, uint16_t mss)
{
	be16_set(p, 1024);
	be16_set(p + 2, 80);
	p[12] = TCP / 4 << 4;
	p[13] = flags;
	p[20] = 2; /* maximum segment size (RFC 9293 3.7.1) */
	p[21] = 4;
	be16_set(p + 22, mss);
}

static uint16_t ip_checksum(const uint8_t *p)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IPV4; i += 2)
		sum += be16_get(p + i);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

static size_t make_packet(uint8_t *p, bool ipv6, bool to_tunnel, uint8_t flags, uint16_t mss)
{
	size_t head = ipv6 ? IPV6 : IPV4;

	memset(p, 0, head + TCP);
	if (ipv6) {
		p[0] = 0x60;
		be16_set(p + 4, TCP);
		p[6] = IPPROTO_TCP;
		p[7] = 64;
		put_addr(p + 8, to_tunnel ? "fd01::1" : "fd02::1");
		put_addr(p + 24, to_tunnel ? "fd02::1" : "fd01::1");
	} else {
		p[0] = 0x45;
		be16_set(p + 2, IPV4 + TCP);
		p[8] = 64;
		p[9] = IPPROTO_TCP;
		put_addr(p + 12, to_tunnel ? "10.1.0.1" : "10.2.0.1");
		put_addr(p + 16, to_tunnel ? "10.2.0.1" : "10.1.0.1");
		be16_set(p + 10, ip_checksum(p));
	}
	put_tcp(p + head, flags, mss);
	return head + TCP;
}

/* Others' packets (router solicitations) are passed over. */
static uint16_t received_mss(const struct tun *t, bool ipv6)
{
	size_t head = ipv6 ? IPV6 : IPV4;
	uint8_t read[2048], *p = read + tun_head(t);

	for (;;) {
		struct pollfd fd = {.fd = t->fd, .events = POLLIN};
		int len;

		if (poll(&fd, 1, 10000) != 1)
			fail_msg("nothing was forwarded to %s", t->name);
		len = tun_read(t->fd, read, sizeof(read)) - (int)tun_head(t);
		if (len == (int)(head + TCP) && p[ipv6 ? 6 : 9] == IPPROTO_TCP)
			return be16_get(p + head + 22);
	}
}

static uint16_t forwarded(bool ipv6, bool to_tunnel, uint8_t flags, uint16_t mss)
{
	static struct virtio_net_hdr vnet;
	uint8_t p[IPV6 + TCP];
	const struct iovec iov[] = {{&vnet, sizeof(vnet)},
				    {p, make_packet(p, ipv6, to_tunnel, flags, mss)}};

	assert_true(tun_write(to_tunnel ? &lan : &tunnel, iov, 2));
	return received_mss(to_tunnel ? &tunnel : &lan, ipv6);
}

/* Both directions, SYN and SYN+ACK. */
static void assert_clamped(bool ipv6, uint16_t mss)
{
	assert_int_equal(forwarded(ipv6, true, SYN, 8960), mss);
	assert_int_equal(forwarded(ipv6, false, SYN, 8960), mss);
	assert_int_equal(forwarded(ipv6, true, SYN | ACK, 8960), mss);
	assert_int_equal(forwarded(ipv6, false, SYN | ACK, 8960), mss);
}

static void assert_untouched(void)
{
	assert_clamped(false, 8960);
	assert_clamped(true, 8960);
}

/* ---- the table, as another program sees it ---- */

struct seen {
	unsigned n;
	uint16_t mss;
};

static void see_element(void *ctx, const char *device, uint16_t mss)
{
	struct seen *seen = ctx;

	(void)device;
	seen->n++;
	seen->mss = mss;
}

static void see(void *ctx, const struct nlmsghdr *h)
{
	assert_true(mss_parse_elements(h, see_element, ctx));
}

/* -ENOENT: there is no table. */
static int look_at(enum mss_map map, struct seen *seen)
{
	static uint8_t buf[MSS_BATCH_SIZE] __attribute__((aligned(8)));
	struct netlink *nl = netlink_open_protocol(NETLINK_NETFILTER);
	int e;

	assert_non_null(nl);
	*seen = (struct seen){0};
	e = netlink_query(nl, mss_build_dump(buf, map), see, seen);
	netlink_close(nl);
	return e;
}

static void assert_no_table(void)
{
	struct seen seen;

	assert_int_equal(look_at(MSS_IPV4, &seen), -ENOENT);
}

static void remove_table(void)
{
	char why[128];

	assert_true(mss_flush(why, sizeof(why)));
}

/* ---- tests ---- */

static void a_number(void **state)
{
	struct mss *m = mss_open(&sink);

	(void)state;
	assert_untouched();
	assert_true(mss_set(m, "tun-ab", 1300, 1438));
	assert_clamped(false, 1300);
	assert_clamped(true, 1300);
	assert_int_equal(forwarded(false, true, SYN, 536), 536); /* never raised */
	assert_int_equal(forwarded(false, true, ACK, 8960), 8960);
	assert_int_equal(forwarded(false, true, RST | SYN, 8960), 8960);
	assert_true(mss_set(m, "tun-ab", 1200, 1438));
	assert_clamped(false, 1200);
	assert_true(mss_set(m, "tun-ab", 0, 1438));
	assert_untouched();
	assert_no_table();
	mss_close(m);
	assert_int_equal(n_said, 0);
}

static void following_the_mtu(void **state)
{
	struct mss *m = mss_open(&sink);

	(void)state;
	assert_true(mss_set(m, "tun-ab", TUNNEL_MSS_AUTO, 0)); /* not known yet */
	assert_no_table();
	assert_true(mss_set(m, "tun-ab", TUNNEL_MSS_AUTO, 1438));
	assert_clamped(false, 1398);
	assert_clamped(true, 1378);
	assert_true(mss_set(m, "tun-ab", TUNNEL_MSS_AUTO, 1390));
	assert_clamped(false, 1350);
	assert_clamped(true, 1330);
	assert_true(mss_set(m, "tun-ab", TUNNEL_MSS_AUTO, 10)); /* absurd */
	assert_clamped(false, 48);
	mss_close(m);
	assert_untouched();
	assert_no_table();
}

/* Only connections through the device; others of the table stay when one goes. */
static void a_device_each(void **state)
{
	struct mss *m = mss_open(&sink);

	(void)state;
	assert_true(mss_set(m, "other", 600, 1438));
	assert_untouched();
	assert_true(mss_set(m, "tun-ab", 1300, 1438));
	assert_true(mss_clear(m, "other"));
	assert_true(mss_clear(m, "other"));
	assert_true(mss_clear(m, "never"));
	assert_clamped(false, 1300);
	assert_true(mss_set(m, "lan", 1250, 1500)); /* between two of ours: the smaller */
	assert_clamped(false, 1250);
	assert_false(mss_set(m, "a-name-that-is-too-long", 1300, 1438));
	n_said = 0;
	mss_close(m);
	assert_no_table();
}

/* A process that was killed leaves its table: the next one has it, once. */
static void after_a_kill(void **state)
{
	struct mss *old = mss_open(&sink), *m;
	struct seen seen;

	(void)state;
	assert_true(mss_set(old, "tun-ab", 1300, 1438));
	assert_true(mss_set(old, "gone", 1300, 1438));
	m = mss_open(&sink);
	assert_clamped(false, 1300);
	assert_true(mss_set(m, "tun-ab", 1300, 1438));
	assert_int_equal(look_at(MSS_IPV4, &seen), 0);
	assert_int_equal(seen.n, 2);
	assert_true(mss_set(m, "tun-ab", 1299, 1438));
	assert_clamped(false, 1299);
	mss_settled(m);
	assert_int_equal(look_at(MSS_IPV4, &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.mss, 1299);
	mss_close(m);
	assert_no_table();
	mss_close(old); /* finds nothing of its own, and says nothing */
	assert_no_table();
	assert_int_equal(n_said, 0);
}

static void what_others_remove_comes_back(void **state)
{
	struct mss *m = mss_open(&sink);

	(void)state;
	assert_true(mss_set(m, "tun-ab", 1300, 1438));
	assert_true(mss_set(m, "other", 1300, 1438));
	remove_table(); /* as a firewall's reload does */
	assert_untouched();
	for (unsigned i = 0; i < 10; i++)
		mss_tick(m);
	assert_clamped(false, 1300);
	remove_table();
	assert_true(mss_set(m, "tun-ab", 1290, 1438)); /* before that is noticed */
	assert_clamped(false, 1290);
	remove_table();
	assert_true(mss_clear(m, "other"));
	mss_close(m);
	assert_no_table();
	assert_int_equal(n_said, 0);
}

static void flushing(void **state)
{
	struct mss *m = mss_open(&sink);
	char why[128];

	(void)state;
	assert_true(mss_set(m, "tun-ab", 1300, 1438));
	assert_true(mss_flush(why, sizeof(why)));
	assert_no_table();
	assert_true(mss_flush(why, sizeof(why)));
	mss_close(m);
	mss_close(NULL);
	assert_untouched();
	assert_int_equal(n_said, 0);
}

static void elements_of_noise(void **state)
{
	struct seen seen = {0};
	uint32_t n;

	(void)state;
	srandom(8);
	for (unsigned i = 0; i < 50000; i++) {
		size_t len = NLMSG_HDRLEN + (size_t)random() % 32 * 4;
		struct nlmsghdr *h = malloc(len);

		assert_non_null(h);
		for (size_t k = 0; k < len; k++)
			((uint8_t *)h)[k] = (uint8_t)(random() % (i % 2 ? 256 : 16));
		h->nlmsg_len = (uint32_t)len;
		h->nlmsg_type = (uint16_t)(10 << 8 | (i % 3 ? 12 : 15));
		mss_parse_elements(h, see_element, &seen);
		mss_parse_generation(h, &n);
		free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number),
		cmocka_unit_test(following_the_mtu),
		cmocka_unit_test(a_device_each),
		cmocka_unit_test(after_a_kill),
		cmocka_unit_test(what_others_remove_comes_back),
		cmocka_unit_test(flushing),
		cmocka_unit_test(elements_of_noise),
	};

	kernel_namespace("test_mss");
	open_world();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
