/* The userspace plane and the kernel it runs on: what goes beyond the contract because
 * no other plane has it. Real devices in a namespace of this program's own; root. */
#include "tests/contract/contract.h"
#include "tests/contract/kernel.h"
#include "ipsecd/crypto/crypto.h"
#include "ipsecd/dataplane/checksum.h"
#include "ipsecd/dataplane/device.h"
#include "ipsecd/dataplane/mss_nft.h"
#include "ipsecd/dataplane/tun.h"
#include "lib/worker.h"
#include "tests/support/esp_runs.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct dataplane_ops *const ops = &dataplane_userspace;
static struct ev_loop *loop;

/* ---- a plane that counts ---- */

struct owner {
	struct dataplane *plane;
	unsigned n_sent, n_changed;
	struct dataplane_event changed;
	int kept; /* a duplicate that waits to be kept; -1: none */
};

static bool send_packet(void *ctx, const struct esp_run *run, struct span esp)
{
	struct owner *h = ctx;

	(void)run;
	(void)esp;
	h->n_sent++;
	return true;
}

static void send_esp(void *ctx, struct esp_run *runs, size_t n)
{
	esp_runs_each(runs, n, send_packet, ctx);
}

static void take_event(void *ctx, const struct dataplane_event *event)
{
	struct owner *h = ctx;

	if (event->kind != DATAPLANE_DEVICE_CHANGED)
		return;
	h->changed = *event;
	h->n_changed++;
}

static unsigned n_addrs_lost, n_qdisc_told, n_queues_told; /* times that the plane said so */

static void log_write(void *ctx, enum log_level level, const char *subsystem, const char *name,
		      const char *text)
{
	(void)ctx;
	(void)level;
	(void)subsystem;
	n_qdisc_told += strstr(text, "noqueue") != NULL;
	n_queues_told += strstr(text, "no queue for worker 1") && strstr(text, "further devices");
	n_addrs_lost += !strcmp(name, "dp-t") && strstr(text, "somebody removed the address");
}

static void open_plane_as(struct owner *h, struct dataplane_host host)
{
	static const struct log_sink log = {.write = log_write, .level = LOG_LEVEL_INFO};

	host.send_esp = send_esp;
	host.event = take_event;
	host.ctx = h;
	host.crypto = &crypto_openssl;
	host.random = crypto_random;
	host.loop = loop;
	host.log = &log;
	*h = (struct owner){.plane = ops->open(&host), .kept = -1};
	assert_non_null(h->plane);
}

static void open_plane(struct owner *h)
{
	open_plane_as(h, (struct dataplane_host){0});
}

static struct tunnel_config config(const char *name, unsigned n, const char *const *addrs)
{
	struct tunnel_config c = {.named = true, .n_addrs = (uint8_t)n};

	snprintf(c.name, sizeof(c.name), "%s", name);
	for (unsigned i = 0; i < n; i++)
		assert_true(prefix_parse(addrs[i], &c.addrs[i]));
	return c;
}

static void create(struct owner *h, uint32_t id, const struct tunnel_config *c)
{
	if (ops->tunnel_create(h->plane, id, c) != DATAPLANE_OK)
		fail_msg("tunnel_create: %s", ops->last_error(h->plane));
}

static void on_timeout(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)revents;
	*(bool *)w->data = true;
	ev_break(l, EVBREAK_ALL);
}

/* Runs the loop until *counter reaches `least`, or says that it did not. */
static void run_until(const unsigned *counter, unsigned least)
{
	bool late = false;
	ev_timer timer;

	ev_timer_init(&timer, on_timeout, 2., 0.);
	timer.data = &late;
	ev_timer_start(loop, &timer);
	while (*counter < least && !late)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &timer);
	assert_false(late);
}

static uint8_t operstate(const char *device)
{
	return kernel_link(device).operstate;
}

/* ---- addresses ---- */

struct list {
	unsigned n;
	char text[16][PREFIX_TEXT];
};

static void take_addr(void *ctx, const struct netlink_addr *addr)
{
	struct list *l = ctx;

	if (addr->scope == 0) /* not link-local */
		prefix_format(&addr->prefix, l->text[l->n++]);
}

static void expect_addrs(const char *device, unsigned n, const char *const *want)
{
	struct list list = {0};

	assert_int_equal(
		netlink_addr_list(kernel_netlink(), kernel_link(device).ifindex, take_addr, &list),
		0);
	assert_int_equal(list.n, n);
	for (unsigned i = 0; i < n; i++) {
		bool found = false;

		for (unsigned j = 0; j < n; j++)
			found = found || strcmp(list.text[j], want[i]) == 0;
		if (!found)
			fail_msg("%s lacks %s", device, want[i]);
	}
}

static void enable_ipv6(const char *value)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, 1), 1);
	close(fd);
}

static void addresses_by_difference(void **state)
{
	const char *const first[] = {"10.9.1.1/30", "10.9.2.1/24", "fd00:9::1/64"};
	const char *const second[] = {"10.9.2.1/24", "10.9.3.1/32", "fd00:9::1/96", "fd00:a::1/64"};
	const char *const with_operators[] = {"10.9.2.1/24", "10.9.3.1/32", "fd00:9::1/96",
					      "fd00:a::1/64", "172.16.0.1/24"};
	const char *const operators_own[] = {"172.16.0.1/24"};
	struct tunnel_config c = config("dp-t", 3, first);
	struct prefix foreign;
	struct owner h;
	int ifindex;

	(void)state;
	enable_ipv6("0");
	open_plane(&h);
	create(&h, 1, &c);
	ifindex = kernel_link("dp-t").ifindex;
	expect_addrs("dp-t", 3, first);
	c = config("dp-t", 4, second);
	assert_int_equal(ops->tunnel_update(h.plane, 1, &c), DATAPLANE_OK);
	expect_addrs("dp-t", 4, second);
	assert_true(prefix_parse("172.16.0.1/24", &foreign));
	assert_int_equal(netlink_addr_add(kernel_netlink(), ifindex, &foreign), 0);
	assert_int_equal(ops->tunnel_update(h.plane, 1, &c), DATAPLANE_OK);
	expect_addrs("dp-t", 5, with_operators);
	c = config("dp-t", 0, NULL);
	assert_int_equal(ops->tunnel_update(h.plane, 1, &c), DATAPLANE_OK);
	expect_addrs("dp-t", 1, operators_own);
	assert_int_equal(kernel_link("dp-t").ifindex, ifindex);
	ops->close(h.plane);
	enable_ipv6("1");
}

static void a_removed_address_is_told(void **state)
{
	const char *const addrs[] = {"10.9.1.1/30", "10.9.2.1/32"};
	struct tunnel_config c = config("dp-t", 2, addrs);
	struct owner h;

	(void)state;
	n_addrs_lost = 0;
	open_plane(&h);
	create(&h, 1, &c);
	assert_int_equal(
		netlink_addr_remove(kernel_netlink(), kernel_link("dp-t").ifindex, &c.addrs[1]), 0);
	run_until(&n_addrs_lost, 1);
	assert_int_equal(ops->tunnel_update(h.plane, 1, &c), DATAPLANE_OK);
	expect_addrs("dp-t", 2, addrs);
	ops->close(h.plane);
}

/* IPv6 addresses go with `ip link set down` unless somebody cares. */
static void addresses_outlive_the_operators_down(void **state)
{
	const char *const addrs[] = {"10.9.1.1/30", "fd00:9::1/64"};
	struct tunnel_config c = config("dp-t", 2, addrs);
	struct owner h;
	int ifindex;

	(void)state;
	enable_ipv6("0");
	open_plane(&h);
	create(&h, 1, &c);
	ifindex = kernel_link("dp-t").ifindex;
	netlink_link_set_up(kernel_netlink(), ifindex, false);
	run_until(&h.n_changed, 1);
	netlink_link_set_up(kernel_netlink(), ifindex, true);
	run_until(&h.n_changed, 2);
	expect_addrs("dp-t", 2, addrs);
	ops->close(h.plane);
	enable_ipv6("1");
}

static void a_refused_address_changes_nothing(void **state)
{
	const char *const good[] = {"10.9.1.1/30"};
	const char *const bad[] = {"10.9.2.1/30", "fd00:9::1/64"}; /* IPv6 is off here */
	struct tunnel_config c = config("dp-t", 1, good);
	struct owner h;

	(void)state;
	open_plane(&h);
	create(&h, 1, &c);
	c = config("dp-t", 2, bad);
	assert_int_equal(ops->tunnel_update(h.plane, 1, &c), DATAPLANE_SYSTEM);
	assert_non_null(strstr(ops->last_error(h.plane), "fd00:9::1/64"));
	expect_addrs("dp-t", 1, good);
	snprintf(c.name, sizeof(c.name), "dp-u");
	assert_int_equal(ops->tunnel_create(h.plane, 2, &c), DATAPLANE_SYSTEM);
	assert_int_equal(netlink_link_find(kernel_netlink(), "dp-u", &(struct netlink_link){0}),
			 -ENODEV);
	ops->close(h.plane);
}

/* ---- devices ---- */

static void a_foreign_device_is_left_alone(void **state)
{
	struct tunnel_config c = config("lo", 0, NULL);
	struct owner h, other;

	(void)state;
	open_plane(&h);
	open_plane(&other);
	assert_int_equal(ops->tunnel_create(h.plane, 1, &c), DATAPLANE_EXISTS);
	assert_non_null(strstr(ops->last_error(h.plane), "lo exists already"));
	c = config("dp-t", 0, NULL);
	create(&other, 1, &c);
	assert_int_equal(ops->tunnel_create(h.plane, 1, &c), DATAPLANE_EXISTS);
	c = config("dp-%d", 0, NULL); /* the kernel would make a number of it */
	assert_int_equal(ops->tunnel_create(h.plane, 1, &c), DATAPLANE_SYSTEM);
	ops->close(h.plane);
	assert_int_equal(kernel_link("dp-t").linkmode, IF_LINK_MODE_DORMANT);
	ops->close(other.plane);
}

static void closing_removes_the_devices(void **state)
{
	struct tunnel_config c = config("dp-t", 0, NULL);
	struct netlink_link link;
	struct owner h;

	(void)state;
	open_plane(&h);
	create(&h, 1, &c);
	assert_string_equal(kernel_link("dp-t").kind, "tun");
	ops->close(h.plane);
	assert_int_equal(netlink_link_find(kernel_netlink(), "dp-t", &link), -ENODEV);
}

static void knob(const char *path, const char *want)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_string_equal(text, want);
}

static void settings_of_the_device(void **state)
{
	struct tunnel_config c = config("dp-t", 0, NULL);
	struct owner h;

	(void)state;
	open_plane(&h);
	create(&h, 1, &c);
	knob("/proc/sys/net/ipv4/conf/dp-t/rp_filter", "2\n");
	knob("/proc/sys/net/ipv4/conf/dp-t/promote_secondaries", "1\n");
	knob("/proc/sys/net/ipv6/conf/dp-t/accept_dad", "-1\n"); /* the kernel's: no ARP there */
	knob("/proc/sys/net/ipv6/conf/dp-t/accept_ra", "0\n");
	knob("/proc/sys/net/ipv6/conf/dp-t/keep_addr_on_down", "1\n");
	ops->close(h.plane);
}

static void take_qdisc(void *ctx, const struct nlmsghdr *answer)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, answer, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(attr) == IFLA_QDISC)
			snprintf(ctx, IFNAMSIZ, "%s", mnl_attr_get_str(attr));
	}
}

static void ask_link(const char *device, void (*take)(void *ctx, const struct nlmsghdr *answer),
		     void *ctx)
{
	uint8_t buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *h = netlink_build_link_get(buf, sizeof(buf), 0, device);

	assert_int_equal(netlink_query(kernel_netlink(), h, take, ctx), 0);
}

static void expect_qdisc(const char *device, const char *want)
{
	char got[IFNAMSIZ] = "";

	ask_link(device, take_qdisc, got);
	assert_string_equal(got, want);
}

static void take_txqlen(void *ctx, const struct nlmsghdr *answer)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, answer, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(attr) == IFLA_TXQLEN)
			*(uint32_t *)ctx = mnl_attr_get_u32(attr);
	}
}

static void expect_txqlen(const char *device, uint32_t want)
{
	uint32_t got = 0;

	ask_link(device, take_txqlen, &got);
	assert_int_equal(got, want);
}

static const char *asked_qdisc = "noqueue";

struct nlmsghdr *__real_netlink_build_qdisc(void *b, size_t size, int ifindex, const char *kind);
struct nlmsghdr *__wrap_netlink_build_qdisc(void *b, size_t size, int ifindex, const char *kind);

struct nlmsghdr *__wrap_netlink_build_qdisc(void *b, size_t size, int ifindex, const char *kind)
{
	assert_string_equal(kind, "noqueue");
	return __real_netlink_build_qdisc(b, size, ifindex, asked_qdisc);
}

static void a_new_device_has_no_qdisc(void **state)
{
	const char *const addrs[] = {"10.9.1.1/30"};
	struct tunnel_config c = config("dp-t", 1, addrs);
	struct owner h;

	(void)state;
	open_plane(&h);
	create(&h, 1, &c);
	expect_qdisc("dp-t", "noqueue");
	expect_txqlen("dp-t", 2000);
	ops->close(h.plane);
}

static unsigned addresses_told(int fd)
{
	_Alignas(struct nlmsghdr) uint8_t heard[8192];
	unsigned told = 0;
	ssize_t n;

	while ((n = recv(fd, heard, sizeof(heard), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)heard;

		for (int left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			told += h->nlmsg_type == RTM_NEWADDR;
	}
	return told;
}

/* For zebra 8.x, twice; an address that is gone meanwhile comes back. */
static void addresses_are_told_again(void **state)
{
	const char *const addrs[] = {"10.9.1.1/30", "10.9.3.1/30"}, *const other[] = {
									    "10.9.2.1/30"};
	struct tunnel_config c = config("dp-t", 2, addrs), d = config("dp-u", 1, other);
	struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct owner h;

	(void)state;
	open_plane(&h);
	create(&h, 1, &c);
	create(&h, 2, &d);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(system("ip address del 10.9.3.1/30 dev dp-t"), 0);
	addresses_told(fd);
	for (unsigned tick = 0; tick < 4; tick++) {
		ops->tick(h.plane, mono_now());
		assert_int_equal(addresses_told(fd), tick < DEVICE_ANNOUNCE_TICKS ? 3 : 0);
		expect_addrs("dp-t", 2, addrs);
	}
	ops->close(h.plane);
	close(fd);
}

static void an_operators_qdisc_stays(void **state)
{
	struct tunnel_config c = config("dp-t", 0, NULL);
	struct netlink *nl = kernel_netlink();
	struct device_refused refused;
	struct tun made, adopted;

	(void)state;
	assert_int_equal(tun_open(&made, nl, "dp-t", false), 0);
	made.ring = 2000;
	assert_int_equal(device_fill(nl, &made, &c, 1300, false, &refused), 0);
	expect_txqlen("dp-t", 2000);
	assert_int_equal(system("tc qdisc replace dev dp-t root pfifo"), 0);
	assert_int_equal(system("ip link set dp-t txqueuelen 100"), 0);
	assert_int_equal(tun_adopt(&adopted, nl, "dp-t", made.fd), 0);
	adopted.ring = 2000;
	assert_int_equal(device_fill(nl, &adopted, &c, 1400, false, &refused), 0);
	expect_qdisc("dp-t", "pfifo");
	expect_txqlen("dp-t", 100);
	assert_int_equal(kernel_link("dp-t").mtu, 1400);
	tun_close(&adopted);
}

/* Of two devices one line in the log. */
static void without_that_qdisc_a_device_is_whole(void **state)
{
	const char *const addrs[] = {"10.9.1.1/30"};
	const char *const bad[] = {"10.9.2.1/30", "fd00:9::1/64"}; /* IPv6 is off here */
	struct tunnel_config c = config("dp-t", 1, addrs), other = config("dp-u", 0, NULL);
	struct owner h;

	(void)state;
	asked_qdisc = "none";
	n_qdisc_told = 0;
	open_plane(&h);
	create(&h, 1, &c);
	create(&h, 2, &other);
	expect_addrs("dp-t", 1, addrs);
	assert_true(kernel_link("dp-t").flags & IFF_UP);
	assert_int_equal(kernel_link("dp-t").mtu, 1438);
	assert_int_equal(n_qdisc_told, 1);
	c = config("dp-v", 2, bad);
	assert_int_equal(ops->tunnel_create(h.plane, 3, &c), DATAPLANE_SYSTEM);
	assert_non_null(strstr(ops->last_error(h.plane), "fd00:9::1/64"));
	ops->close(h.plane);
	asked_qdisc = "noqueue";
}

/* ---- several at once ---- */

static void begin(struct owner *h, uint32_t id, const struct tunnel_config *c)
{
	if (ops->tunnel_begin(h->plane, id, c) != DATAPLANE_OK)
		fail_msg("tunnel_begin: %s", ops->last_error(h->plane));
}

static void expect_whole(const char *device, const char *addr)
{
	expect_addrs(device, 1, &addr);
	assert_true(kernel_link(device).flags & IFF_UP);
	assert_int_equal(kernel_link(device).mtu, 1438);
	assert_int_equal(operstate(device), IF_OPER_DORMANT);
	expect_qdisc(device, "noqueue");
}

static void what_is_begun_is_finished(void **state)
{
	const char *const one[] = {"10.9.1.1/30"}, *const two[] = {"10.9.2.1/30"};
	const struct tunnel_config c = config("dp-t", 1, one), d = config("dp-u", 1, two);
	struct dataplane_tunnel_info info;
	struct owner h;

	(void)state;
	open_plane(&h);
	begin(&h, 1, &c);
	begin(&h, 2, &d);
	assert_false(kernel_link("dp-t").flags & IFF_UP);
	assert_int_equal(ops->tunnel_finish(h.plane, 1), DATAPLANE_OK);
	assert_int_equal(ops->tunnel_finish(h.plane, 2), DATAPLANE_OK);
	expect_whole("dp-t", one[0]);
	expect_whole("dp-u", two[0]);
	assert_true(ops->tunnel_info(h.plane, 2, &info));
	assert_true(info.admin_up && info.as_made);
	assert_int_equal(ops->tunnel_finish(h.plane, 2), DATAPLANE_OK);
	assert_int_equal(ops->tunnel_finish(h.plane, 3), DATAPLANE_NOT_FOUND);
	ops->close(h.plane);
}

/* The others are whole, and there is no device of the one in the middle. */
static void one_of_several_is_refused(void **state)
{
	const char *const one[] = {"10.9.1.1/30"}, *const three[] = {"10.9.3.1/30"};
	const char *const bad[] = {"10.9.2.1/30", "fd00:9::1/64"}; /* IPv6 is off here */
	const struct tunnel_config c = config("dp-t", 1, one), d = config("dp-u", 2, bad),
				   e = config("dp-v", 1, three);
	struct dataplane_tunnel_info info;
	struct owner h;

	(void)state;
	open_plane(&h);
	for (unsigned round = 0; round < 2; round++) { /* what was refused is forgotten */
		begin(&h, 1, &c);
		begin(&h, 2, &d);
		begin(&h, 3, &e);
		assert_int_equal(ops->tunnel_finish(h.plane, 1), DATAPLANE_OK);
		assert_int_equal(ops->tunnel_finish(h.plane, 2), DATAPLANE_SYSTEM);
		assert_non_null(strstr(ops->last_error(h.plane), "fd00:9::1/64"));
		assert_int_equal(ops->tunnel_finish(h.plane, 3), DATAPLANE_OK);
		expect_whole("dp-t", one[0]);
		expect_whole("dp-v", three[0]);
		assert_false(ops->tunnel_info(h.plane, 2, &info));
		assert_int_equal(
			netlink_link_find(kernel_netlink(), "dp-u", &(struct netlink_link){0}),
			-ENODEV);
		for (uint32_t id = 1; round == 0 && id <= 3; id += 2)
			assert_int_equal(ops->tunnel_remove(h.plane, id), DATAPLANE_OK);
	}
	ops->close(h.plane);
}

/* And come back, before others are finished. */
static void what_is_begun_may_go(void **state)
{
	const char *const one[] = {"10.9.1.1/30"}, *const two[] = {"10.9.2.1/30"};
	const struct tunnel_config c = config("dp-t", 1, one), d = config("dp-u", 1, two);
	struct owner h;

	(void)state;
	open_plane(&h);
	begin(&h, 1, &c);
	begin(&h, 2, &d);
	assert_int_equal(ops->tunnel_remove(h.plane, 1), DATAPLANE_OK);
	begin(&h, 1, &c);
	assert_int_equal(ops->tunnel_finish(h.plane, 1), DATAPLANE_OK);
	assert_int_equal(ops->tunnel_finish(h.plane, 2), DATAPLANE_OK);
	expect_whole("dp-t", one[0]);
	expect_whole("dp-u", two[0]);
	ops->close(h.plane);
}

static void several_without_that_qdisc(void **state)
{
	const char *const one[] = {"10.9.1.1/30"}, *const two[] = {"10.9.2.1/30"};
	const struct tunnel_config c = config("dp-t", 1, one), d = config("dp-u", 1, two);
	struct owner h;

	(void)state;
	asked_qdisc = "none";
	n_qdisc_told = 0;
	open_plane(&h);
	begin(&h, 1, &c);
	begin(&h, 2, &d);
	assert_int_equal(ops->tunnel_finish(h.plane, 1), DATAPLANE_OK);
	assert_int_equal(ops->tunnel_finish(h.plane, 2), DATAPLANE_OK);
	expect_addrs("dp-t", 1, one);
	expect_addrs("dp-u", 1, two);
	assert_true(kernel_link("dp-t").flags & kernel_link("dp-u").flags & IFF_UP);
	assert_int_equal(n_qdisc_told, 1);
	ops->close(h.plane);
	asked_qdisc = "noqueue";
}

/* ---- a kernel that refuses the first message ---- */

static bool refuse_settings; /* as one does that does not know IFLA_AF_SPEC of a link */
static unsigned n_links;     /* messages that were built */

struct nlmsghdr *__real_netlink_build_link_change(void *b, size_t size, int ifindex,
						  const struct netlink_link_change *change);
struct nlmsghdr *__wrap_netlink_build_link_change(void *b, size_t size, int ifindex,
						  const struct netlink_link_change *change);

struct nlmsghdr *__wrap_netlink_build_link_change(void *b, size_t size, int ifindex,
						  const struct netlink_link_change *change)
{
	struct nlmsghdr *h = __real_netlink_build_link_change(b, size, ifindex, change);
	struct nlattr *attr;

	n_links++;
	mnl_attr_for_each(attr, h, sizeof(struct ifinfomsg))
	{
		if (refuse_settings && mnl_attr_get_type(attr) == IFLA_AF_SPEC)
			((struct nlattr *)mnl_attr_get_payload(attr))->nla_type = AF_MAX - 1;
	}
	return h;
}

static void begin_and_finish(struct owner *h, uint32_t from, const struct tunnel_config *c)
{
	for (uint32_t id = from; id < from + 2; id++)
		begin(h, id, &c[id - from]);
	for (uint32_t id = from; id < from + 2; id++)
		assert_int_equal(ops->tunnel_finish(h->plane, id), DATAPLANE_OK);
}

/* It is asked for it once: what comes later costs two of these messages a device, as always. */
static void one_refusal_is_enough(void **state)
{
	const char *const addrs[] = {"10.9.1.1/30", "10.9.2.1/30", "10.9.3.1/30", "10.9.4.1/30"};
	const char *const names[] = {"dp-t", "dp-u", "dp-v", "dp-w"};
	struct tunnel_config c[4];
	struct owner h;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		c[i] = config(names[i], 1, &addrs[i]);
	refuse_settings = true;
	open_plane(&h);
	begin_and_finish(&h, 1, c);
	n_links = 0;
	begin_and_finish(&h, 3, c + 2);
	assert_int_equal(n_links, 4);
	for (unsigned i = 0; i < 4; i++)
		expect_whole(names[i], addrs[i]);
	knob("/proc/sys/net/ipv4/conf/dp-t/rp_filter", "2\n");
	knob("/proc/sys/net/ipv4/conf/dp-w/promote_secondaries", "1\n");
	ops->close(h.plane);
	refuse_settings = false;
}

/* For want of memory: the device is whole, with the ring that it has, and that of the next one is
 * asked for all the same. */
static void a_ring_may_be_refused(void **state)
{
	const char *const addrs[] = {"10.9.1.1/30"};
	struct tunnel_config c = config("dp-t", 1, addrs);
	struct netlink *nl = kernel_netlink();
	struct device_refused refused;
	struct tun made;

	(void)state;
	assert_int_equal(tun_open(&made, nl, "dp-t", false), 0);
	made.ring = UINT32_MAX;
	assert_int_equal(device_fill(nl, &made, &c, 1438, false, &refused), 0);
	assert_int_equal(refused.qdisc, 0);
	assert_int_equal(refused.first, 0);
	expect_whole("dp-t", addrs[0]);
	expect_txqlen("dp-t", 500);
	knob("/proc/sys/net/ipv4/conf/dp-t/rp_filter", "2\n");
	tun_close(&made);
}

/* ---- the last descriptor ---- */

static int nothing_kept(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return -1;
}

static void keep_soon(void *ctx, const char *name, int fd)
{
	struct owner *h = ctx;

	(void)name;
	if (h->kept < 0)
		h->kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void keep_now(void *ctx)
{
	struct owner *h = ctx;

	if (h->kept >= 0)
		close(h->kept);
	h->kept = -1;
}

static void drop_kept(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
}

/* The last one is the duplicate of the first device, which waits to be kept. */
static void what_waits_gives_way(void **state)
{
	const char *const one[] = {"10.9.1.1/30"}, *const two[] = {"10.9.2.1/30"};
	const struct tunnel_config c = config("dp-t", 1, one), d = config("dp-u", 1, two);
	const struct dataplane_host host = {.kept_tun = nothing_kept,
					    .keep_tun = keep_soon,
					    .keep_now = keep_now,
					    .drop_tun = drop_kept};
	struct rlimit all, few;
	struct owner h;

	(void)state;
	open_plane_as(&h, host);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	begin(&h, 1, &c);
	assert_true(h.kept >= 0);
	few = (struct rlimit){(rlim_t)h.kept + 1, all.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	begin(&h, 2, &d);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(ops->tunnel_finish(h.plane, 1), DATAPLANE_OK);
	assert_int_equal(ops->tunnel_finish(h.plane, 2), DATAPLANE_OK);
	expect_whole("dp-t", one[0]);
	expect_whole("dp-u", two[0]);
	ops->close(h.plane);
	keep_now(&h);
}

/* ---- link state ---- */

static void oper(void *ctx, const struct netlink_link *link)
{
	struct list *l = ctx;

	if (strcmp(link->name, "dp-t") == 0 && !link->removed && (link->flags & IFF_UP))
		snprintf(l->text[l->n++ % 16], PREFIX_TEXT, "%u", link->operstate);
}

/* A routing daemon sees DORMANT, UP, DORMANT, and nothing in between. */
static void what_a_routing_daemon_sees(void **state)
{
	struct list seen = {0};
	struct netlink_monitor_host host = {.link = oper, .ctx = &seen};
	struct netlink_monitor *m = netlink_monitor_open(&host);
	struct tunnel_config c = config("dp-t", 0, NULL);
	char dormant[8], up[8];
	struct owner h;

	(void)state;
	snprintf(dormant, sizeof(dormant), "%u", IF_OPER_DORMANT);
	snprintf(up, sizeof(up), "%u", IF_OPER_UP);
	open_plane(&h);
	create(&h, 1, &c);
	ops->tunnel_set_link(h.plane, 1, true);
	ops->tunnel_set_link(h.plane, 1, true);
	ops->tunnel_set_link(h.plane, 1, false);
	assert_int_equal(netlink_monitor_read(m), 0);
	assert_true(seen.n >= 3);
	assert_string_equal(seen.text[0], dormant);
	assert_string_equal(seen.text[seen.n - 1], dormant);
	assert_string_equal(seen.text[seen.n - 2], up);
	netlink_monitor_close(m);
	ops->close(h.plane);
}

static void operstate_is_put_right(void **state)
{
	struct tunnel_config c = config("dp-t", 0, NULL);
	struct owner h;
	int ifindex;

	(void)state;
	open_plane(&h);
	create(&h, 1, &c);
	ops->tunnel_set_link(h.plane, 1, true);
	ifindex = kernel_link("dp-t").ifindex;
	netlink_link_set_operstate(kernel_netlink(), ifindex, IF_OPER_DORMANT);
	for (unsigned n = 0; n < 10 && operstate("dp-t") != IF_OPER_UP; n++)
		ev_run(loop, EVRUN_ONCE);
	assert_int_equal(operstate("dp-t"), IF_OPER_UP);
	assert_int_equal(h.n_changed, 0);
	ops->close(h.plane);
}

static void a_removed_device_is_told_and_made_again(void **state)
{
	const char *const addrs[] = {"10.9.1.1/30"};
	struct tunnel_config c = config("dp-t", 1, addrs);
	struct dataplane_tunnel_info info;
	struct owner h;

	(void)state;
	open_plane(&h);
	create(&h, 1, &c);
	ops->tunnel_set_link(h.plane, 1, true);
	assert_int_equal(system("ip link del dp-t"), 0);
	run_until(&h.n_changed, 1);
	assert_false(h.changed.present);
	assert_int_equal(ops->tunnel_set_link(h.plane, 1, true), DATAPLANE_SYSTEM);
	assert_int_equal(ops->tunnel_update(h.plane, 1, &c), DATAPLANE_OK);
	assert_true(ops->tunnel_info(h.plane, 1, &info) && info.admin_up);
	expect_addrs("dp-t", 1, addrs);
	assert_int_equal(operstate("dp-t"), IF_OPER_UP);
	ops->close(h.plane);
}

/* ---- draining ---- */

static void send_to(const char *text)
{
	struct endpoint to = {.port = 7};
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	assert_true(addr_parse(text, &to.addr));
	fd = socket(to.addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	len = endpoint_to_sockaddr(&to, &ss);
	assert_int_equal(sendto(fd, "ping", 4, 0, (struct sockaddr *)&ss, len), 4);
	close(fd);
}

/* A plane with one device that has this address, and an SA for what is behind it. */
static void open_with_child(struct owner *h, const char *addr, struct child_sa *a)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};
	struct tunnel_config c = config("dp-t", 1, &addr);
	struct child_sa b;

	open_plane(h);
	create(h, TUNNEL, &c);
	child_pair(1, &gcm, a, &b);
	a->remote_ts = a->local_ts;
	assert_int_equal(ops->child_install(h->plane, a), DATAPLANE_OK);
}

/* The drain of an announced down relies on it: with the link DORMANT the kernel still
 * routes into the device, and takes what comes out of it. */
static void the_kernel_routes_while_dormant(void **state)
{
	uint8_t memory[128], got[128];
	struct endpoint here = {.addr.family = AF_INET, .port = 7};
	struct sockaddr_storage ss;
	struct child_sa a;
	struct packet p;
	struct owner h;
	socklen_t len = endpoint_to_sockaddr(&here, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)state;
	open_with_child(&h, "10.1.0.1/16", &a);
	assert_int_equal(operstate("dp-t"), IF_OPER_DORMANT);
	send_to("10.1.0.2");
	run_until(&h.n_sent, 1);

	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	udp_packet(memory, AF_INET, 2, 48, true);
	memory[13] = 1; /* from 10.1.0.2 to 10.1.0.1 */
	memory[19] = 1;
	memory[10] = 0x66; /* header checksum */
	memory[11] = 0xb9;
	p = forge(&a, 1, 4, span_of(memory, 48));
	ops->esp_input(h.plane, 0, &a.local, &a.remote, 0, p.data, p.len, p.len, mono_now());
	ops->esp_flush(h.plane, 0, mono_now());
	assert_int_equal(recv(fd, got, sizeof(got), 0), 20);
	close(fd);
	ops->close(h.plane);
}

/* What comes by the tunnel, and is not flushed yet. */
static void ask_echo(struct owner *h)
{
	uint8_t echo[28] = {0x45, 0, 0,	 28, 0, 1, 0x40, 0, 64, IPPROTO_ICMP,
			    0,	  0, 10, 1,  0, 2, 10,	 1, 0,	1,
			    8,	  0, 0,	 0,  0, 7, 0,	 1};
	struct child_sa a;
	struct packet p;

	checksum_set(echo + 10, (uint16_t)~checksum_fold(checksum_add(0, echo, 20)));
	checksum_set(echo + 22, (uint16_t)~checksum_fold(checksum_add(0, echo + 20, 8)));
	open_with_child(h, "10.1.0.1/16", &a);
	p = forge(&a, 1, 4, span_of(echo, sizeof(echo)));
	ops->esp_input(h->plane, 0, &a.local, &a.remote, 0, p.data, p.len, p.len, mono_now());
	assert_int_equal(h->n_sent, 0);
}

/* The answer is the kernel's own, and in the device when the request has been written to it: nobody
 * looks at what is ready in between. */
static void an_echo_is_answered_at_once(void **state)
{
	struct owner h;

	(void)state;
	ask_echo(&h);
	ops->esp_flush(h.plane, 0, mono_now());
	assert_int_equal(h.n_sent, 1);
	ops->close(h.plane);
}

static void send_nothing(void *ctx, struct esp_run *runs, size_t n)
{
	(void)ctx;
	(void)runs;
	(void)n;
	fail_msg("a worker has sent");
}

/* Nor what came before there was one: each lane reads its own queues, by its own loop. */
static void with_a_worker_nobody_reads_ahead(void **state)
{
	struct dataplane_worker w = {.send_esp = send_nothing, .log = log_default()};
	struct owner h;

	(void)state;
	ask_echo(&h);
	w.worker = worker_start();
	assert_non_null(w.worker);
	assert_true(ops->add_worker(h.plane, &w));
	ops->esp_flush(h.plane, 1, mono_now());
	ops->esp_flush(h.plane, 0, mono_now());
	assert_int_equal(h.n_sent, 0);
	run_until(&h.n_sent, 1);
	ops->close(h.plane);
	worker_stop(w.worker);
}

/* Half of the descriptors are for the devices: those have one each, and it is said once. */
static void queues_leave_room_for_devices(void **state)
{
	const char *const one[] = {"10.9.1.1/30"}, *const two[] = {"10.9.2.1/30"};
	struct tunnel_config c = config("dp-t", 1, one), d = config("dp-u", 1, two);
	struct dataplane_worker w = {.send_esp = send_nothing, .log = log_default()};
	struct rlimit all, few;
	struct owner h;
	int next;

	(void)state;
	open_plane(&h);
	w.worker = worker_start();
	assert_non_null(w.worker);
	assert_true(ops->add_worker(h.plane, &w));
	next = dup(0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = (struct rlimit){2 * (rlim_t)next, all.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	n_queues_told = 0;
	create(&h, 1, &c);
	create(&h, 2, &d);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(n_queues_told, 1);
	expect_whole("dp-t", one[0]);
	expect_whole("dp-u", two[0]);
	ops->close(h.plane);
	worker_stop(w.worker);
}

/* IPv6 is choosier: it calls a link that is not UP not ready. */
static void ipv6_is_routed_while_dormant(void **state)
{
	struct child_sa a;
	struct owner h;

	(void)state;
	enable_ipv6("0");
	open_with_child(&h, "fd00:1::1/64", &a);
	send_to("fd00:1::2"); /* never was UP */
	run_until(&h.n_sent, 1);
	ops->tunnel_set_link(h.plane, TUNNEL, true);
	send_to("fd00:1::2");
	run_until(&h.n_sent, 2);
	ops->tunnel_set_link(h.plane, TUNNEL, false);
	send_to("fd00:1::2");
	run_until(&h.n_sent, 3);
	ops->close(h.plane);
	enable_ipv6("1");
}

/* ---- packets that the kernel can't give ---- */

static unsigned odd_reads; /* so many more of them fail */
static const struct owner *watched;
static unsigned n_reads, sent_at[2]; /* of `watched`: what had been sent at the first reads */

int __real_tun_read(int fd, uint8_t *out, size_t size);
int __wrap_tun_read(int fd, uint8_t *out, size_t size);

int __wrap_tun_read(int fd, uint8_t *out, size_t size)
{
	if (watched && n_reads < 2)
		sent_at[n_reads++] = watched->n_sent;
	if (!odd_reads)
		return __real_tun_read(fd, out, size);
	odd_reads--;
	return -EINVAL;
}

/* It has left when the next one is looked for. */
static void a_packet_alone_does_not_wait(void **state)
{
	struct child_sa a;
	struct owner h;

	(void)state;
	open_with_child(&h, "10.1.0.1/24", &a);
	watched = &h;
	send_to("10.1.0.2");
	run_until(&h.n_sent, 1);
	watched = NULL;
	assert_int_equal(n_reads, 2);
	assert_int_equal(sent_at[0], 0);
	assert_int_equal(sent_at[1], 1);
	ops->close(h.plane);
}

/* However many there are, and wherever a turn of reading ends. */
static void odd_packets_end_no_device(void **state)
{
	struct child_sa a;
	struct owner h;

	(void)state;
	open_with_child(&h, "10.1.0.1/24", &a);
	for (unsigned n = 1; n <= 130; n++) {
		odd_reads = n;
		send_to("10.1.0.2");
		run_until(&h.n_sent, n);
	}
	assert_int_equal(ops->counters(h.plane)[DROP_DEVICE], 130 * 131 / 2);
	ops->close(h.plane);
}

/* ---- MSS clamp: what it does to packets is test_mss.c's ---- */

struct clamp {
	unsigned n;
	uint16_t mss;
};

static void take_clamp(void *ctx, const char *device, uint16_t mss)
{
	struct clamp *c = ctx;

	assert_string_equal(device, "tun-a");
	c->n++;
	c->mss = mss;
}

static void take_clamps(void *ctx, const struct nlmsghdr *answer)
{
	assert_true(mss_parse_elements(answer, take_clamp, ctx));
}

/* 0: none. */
static uint16_t clamped_to(void)
{
	static uint8_t buf[MSS_BATCH_SIZE] __attribute__((aligned(8)));
	struct netlink *nl = netlink_open_protocol(NETLINK_NETFILTER);
	struct clamp c = {0};

	assert_non_null(nl);
	netlink_query(nl, mss_build_dump(buf, MSS_IPV4), take_clamps, &c);
	netlink_close(nl);
	return c.mss;
}

static void the_clamp_follows_the_mtu(void **state)
{
	struct tunnel_config c = config("tun-a", 0, NULL);
	unsigned late;
	struct owner h;

	(void)state;
	open_plane(&h);
	create(&h, TUNNEL, &c);
	assert_int_equal(clamped_to(), 0);
	c.mss = TUNNEL_MSS_AUTO;
	assert_int_equal(ops->tunnel_update(h.plane, TUNNEL, &c), DATAPLANE_OK);
	assert_int_equal(clamped_to(), 1438 - 40);
	c.mtu = 1300;
	assert_int_equal(ops->tunnel_update(h.plane, TUNNEL, &c), DATAPLANE_OK);
	assert_int_equal(clamped_to(), 1300 - 40);
	netlink_link_set_mtu(kernel_netlink(), kernel_link("tun-a").ifindex, 1200); /* by hand */
	for (late = 0; late < 200 && clamped_to() != 1200 - 40; late++)
		ev_run(loop, EVRUN_ONCE);
	assert_int_equal(clamped_to(), 1200 - 40);
	c.mss = 1000;
	assert_int_equal(ops->tunnel_update(h.plane, TUNNEL, &c), DATAPLANE_OK);
	assert_int_equal(clamped_to(), 1000);
	c.mss = 0;
	assert_int_equal(ops->tunnel_update(h.plane, TUNNEL, &c), DATAPLANE_OK);
	assert_int_equal(clamped_to(), 0);
	c.mss = 1000;
	assert_int_equal(ops->tunnel_update(h.plane, TUNNEL, &c), DATAPLANE_OK);
	netlink_link_set_up(kernel_netlink(), kernel_link("tun-a").ifindex, false);
	run_until(&h.n_changed, 1);
	assert_int_equal(clamped_to(), 1000); /* down is not gone */
	assert_int_equal(ops->tunnel_remove(h.plane, TUNNEL), DATAPLANE_OK);
	assert_int_equal(clamped_to(), 0);
	ops->close(h.plane);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_by_difference),
		cmocka_unit_test(a_packet_alone_does_not_wait),
		cmocka_unit_test(odd_packets_end_no_device),
		cmocka_unit_test(a_removed_address_is_told),
		cmocka_unit_test(addresses_outlive_the_operators_down),
		cmocka_unit_test(a_refused_address_changes_nothing),
		cmocka_unit_test(a_foreign_device_is_left_alone),
		cmocka_unit_test(closing_removes_the_devices),
		cmocka_unit_test(settings_of_the_device),
		cmocka_unit_test(a_new_device_has_no_qdisc),
		cmocka_unit_test(addresses_are_told_again),
		cmocka_unit_test(an_operators_qdisc_stays),
		cmocka_unit_test(without_that_qdisc_a_device_is_whole),
		cmocka_unit_test(what_is_begun_is_finished),
		cmocka_unit_test(one_of_several_is_refused),
		cmocka_unit_test(what_is_begun_may_go),
		cmocka_unit_test(several_without_that_qdisc),
		cmocka_unit_test(one_refusal_is_enough),
		cmocka_unit_test(a_ring_may_be_refused),
		cmocka_unit_test(what_waits_gives_way),
		cmocka_unit_test(what_a_routing_daemon_sees),
		cmocka_unit_test(operstate_is_put_right),
		cmocka_unit_test(a_removed_device_is_told_and_made_again),
		cmocka_unit_test(the_kernel_routes_while_dormant),
		cmocka_unit_test(an_echo_is_answered_at_once),
		cmocka_unit_test(with_a_worker_nobody_reads_ahead),
		cmocka_unit_test(queues_leave_room_for_devices),
		cmocka_unit_test(ipv6_is_routed_while_dormant),
		cmocka_unit_test(the_clamp_follows_the_mtu),
	};

	kernel_namespace("test_tun");
	loop = ev_loop_new(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
