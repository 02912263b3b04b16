/* The contract on the kernel plane: a network namespace for each of the two planes, with a
 * TUN device as its way out. What the kernel sends into that device is what the plane has
 * sent, and what the peer sends is written into it. ESP comes by a UDP socket as ipsecd has
 * it. Needs root, and a kernel with ESP and vti or xfrm interfaces.
 *
 * DEVICE_KIND=vti or xfrm in the environment asks for that kind of device. */
#include "tests/contract/contract.h"
#include "tests/contract/kernel.h"

#include "lib/buf.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/netlink_route.h"

#define PORT_NATT 4500

struct site {
	int ns, under, udp, tap;
	struct netlink *netlink;
	struct ev_loop *loop;
	struct dataplane *plane;
	struct side *side;
};

static struct contract_driver driver;
static struct dataplane_ops ops;
static struct site sites[2];
static int home = -1;
static enum device_kind kind;

static struct site *site_of(const struct side *s)
{
	return &sites[s->device[3] == 'b'];
}

static struct site *site_by_plane(const struct dataplane *d)
{
	return sites[0].plane == d ? &sites[0] : &sites[1];
}

/* ---- namespaces ---- */

static int ns_open(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* Into the site's namespace; what to give to leave(). */
static int enter(const struct site *x)
{
	int was = ns_open();

	assert_true(was >= 0);
	assert_int_equal(setns(x->ns, CLONE_NEWNET), 0);
	kernel_netlink_use(x->netlink);
	return was;
}

static void leave(int was)
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

static void site_open(struct site *x)
{
	struct netlink_link link;
	struct prefix own;

	assert_true(prefix_parse(x == &sites[0] ? "192.0.2.1/24" : "192.0.2.2/24", &own));
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	x->ns = ns_open();
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

static void site_close(struct site *x)
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

static void collect(struct site *x)
{
	uint8_t buf[PACKET_MAX + 128];
	ssize_t n;

	while ((n = read(x->under, buf, sizeof(buf))) > 0)
		take_sent(x->side, buf, (size_t)n);
}

/* What the kernel does not take from the socket, ipsecd does. */
static void read_socket(struct site *x)
{
	static const struct endpoint nobody;
	uint8_t buf[PACKET_MAX];
	ssize_t n;

	while ((n = recv(x->udp, buf, sizeof(buf), 0)) >= 0)
		dataplane_kernel.esp_input(x->plane, &nobody, &nobody, buf, (size_t)n, mono_now());
}

/* The kernel has done its part when a call returns, but for what its timers do. */
static void pump(struct site *x)
{
	for (unsigned i = 0; i < 3; i++)
		ev_run(x->loop, EVRUN_NOWAIT);
	read_socket(x);
	collect(x);
}

/* ---- the plane, in its namespace ---- */

static struct dataplane *plane_open(const struct dataplane_host *host)
{
	struct site *x = site_of(host->ctx);
	struct dataplane_host own = *host;
	int was = ns_open();

	site_open(x);
	own.loop = x->loop;
	x->side = host->ctx;
	x->plane = dataplane_kernel.open(&own);
	assert_non_null(x->plane);
	if (!dataplane_kernel.ike_socket(x->plane, x->udp, AF_INET, true))
		fail_msg("ike_socket: %s", dataplane_kernel.last_error(x->plane));
	leave(was);
	return x->plane;
}

static void plane_close(struct dataplane *d)
{
	struct site *x = site_by_plane(d);
	int was = enter(x);

	dataplane_kernel.close(d);
	site_close(x);
	leave(was);
}

static enum dataplane_error tunnel_create(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config)
{
	struct tunnel_config own = *config;
	int was = enter(site_by_plane(d));
	enum dataplane_error e;

	own.kind = kind;
	e = dataplane_kernel.tunnel_create(d, id, &own);
	leave(was);
	return e;
}

static enum dataplane_error tunnel_update(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config)
{
	struct tunnel_config own = *config;
	int was = enter(site_by_plane(d));
	enum dataplane_error e;

	own.kind = kind;
	e = dataplane_kernel.tunnel_update(d, id, &own);
	leave(was);
	return e;
}

static enum dataplane_error tunnel_remove(struct dataplane *d, uint32_t id)
{
	int was = enter(site_by_plane(d));
	enum dataplane_error e = dataplane_kernel.tunnel_remove(d, id);

	leave(was);
	return e;
}

/* From the peer: IPv4 and UDP around it, into the way out. */
static void esp_input(struct dataplane *d, const struct endpoint *local,
		      const struct endpoint *remote, uint8_t *packet, size_t len, mono_time now)
{
	uint8_t ip[PACKET_MAX + 28] = {0x45, [8] = 64, [9] = IPPROTO_UDP};
	struct site *x = site_by_plane(d);
	uint32_t sum = 0;

	(void)now;
	be16_set(ip + 2, (uint16_t)(28 + len));
	memcpy(ip + 12, remote->addr.bytes, 4);
	memcpy(ip + 16, local->addr.bytes, 4);
	for (unsigned i = 0; i < 20; i += 2)
		sum += be16_get(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	be16_set(ip + 10, (uint16_t) ~(sum + (sum >> 16)));
	be16_set(ip + 20, remote->port);
	be16_set(ip + 22, local->port);
	be16_set(ip + 24, (uint16_t)(8 + len));
	memcpy(ip + 28, packet, len);
	assert_int_equal(write(x->under, ip, 28 + len), 28 + len);
	pump(x);
}

/* ---- the driver ---- */

/* ifindex 0: what is for there is dropped without a word. */
static void route(struct netlink *nl, const char *to, int ifindex)
{
	struct netlink_route r = {.ifindex = ifindex,
				  .blackhole = ifindex == 0,
				  .table = RT_TABLE_MAIN,
				  .protocol = RTPROT_STATIC};

	assert_true(prefix_parse(to, &r.dst));
	assert_int_equal(netlink_route_add(nl, &r), 0);
}

static void watch(struct side *s)
{
	struct site *x = site_of(s);
	int was = enter(x), ifindex = kernel_link(s->device).ifindex;

	x->tap = kernel_tap(s->device);
	route(x->netlink, x == &sites[0] ? "10.2.0.0/16" : "10.1.0.0/16", ifindex);
	route(x->netlink, x == &sites[0] ? "fd00:2::/32" : "fd00:1::/32", ifindex);
	/* Or the stack would answer what the tap has got. */
	route(x->netlink, x == &sites[0] ? "fd00:1::/32" : "fd00:2::/32", 0);
	leave(was);
}

static void unwatch(struct side *s)
{
	close(site_of(s)->tap);
}

static void transmit(struct side *s, struct span packet, mono_time now)
{
	struct site *x = site_of(s);
	int was = enter(x);

	(void)now;
	kernel_inject(x->tap, s->device, packet);
	pump(x);
	leave(was);
}

static size_t received(struct side *s, uint8_t *out, size_t size)
{
	return kernel_received(site_of(s)->tap, out, size);
}

static bool oper_up(struct side *s)
{
	struct netlink_link link;

	kernel_netlink_use(site_of(s)->netlink);
	link = kernel_link(s->device);
	assert_int_equal(link.linkmode, IF_LINK_MODE_DORMANT);
	assert_true(link.operstate == IF_OPER_UP || link.operstate == IF_OPER_DORMANT);
	return link.operstate == IF_OPER_UP;
}

static void set_admin(struct side *s, bool up)
{
	struct site *x = site_of(s);
	mono_time end = mono_now() + 5 * MONO_S;
	unsigned before = s->n_events;
	int was = enter(x);

	assert_int_equal(netlink_link_set_up(x->netlink, kernel_link(s->device).ifindex, up), 0);
	while (s->n_events == before && mono_now() < end)
		pump(x);
	leave(was);
	assert_int_not_equal(s->n_events, before);
}

/* Which kind does this kernel make? */
static bool device_is_xfrm(void)
{
	return kind == DEVICE_XFRM || (kind == DEVICE_AUTO && !kernel_has_vti());
}

int main(void)
{
	char why[256];

	home = ns_open();
	if (unshare(CLONE_NEWNET) != 0 || !dataplane_kernel.probe(why, sizeof(why))) {
		fprintf(stderr, "contract_kernel: %s\n", errno ? strerror(errno) : why);
		return 1;
	}
	kind = kernel_device_kind();
	ops = dataplane_kernel;
	ops.open = plane_open;
	ops.close = plane_close;
	ops.tunnel_create = tunnel_create;
	ops.tunnel_update = tunnel_update;
	ops.tunnel_remove = tunnel_remove;
	ops.esp_input = esp_input;
	driver = (struct contract_driver){
		.ops = &ops,
		.watch = watch,
		.unwatch = unwatch,
		.transmit = transmit,
		.received = received,
		.oper_up = oper_up,
		.set_admin = set_admin,
		.now = mono_now,
		.apart = true,
		.told_late = true,
		.refuses_nothing = true,
		.one_drop_out = true,
		.coarse_drops_in = true,
		.expired_is_gone = true,
		.device_is_lookup = true,
		.stack_checks = true,
		.stack_selects = device_is_xfrm(),
		.moves_by_older = true,
	};
	return contract_run(&driver);
}
