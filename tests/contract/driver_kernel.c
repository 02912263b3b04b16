/* The contract on the kernel plane: a network namespace for each of the two planes, with a
 * TUN device as its way out. What the kernel sends into that device is what the plane has
 * sent, and what the peer sends is written into it. ESP comes by a UDP socket as ipsecd has
 * it. Needs root, and a kernel with ESP and vti or xfrm interfaces.
 *
 * DEVICE_KIND=vti or xfrm in the environment asks for that kind of device. */
#include "tests/contract/site.h"

#include <errno.h>
#include <linux/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static struct contract_driver driver;
static struct dataplane_ops ops;
static struct site sites[2];
static int taps[2];
static enum device_kind kind;

static struct site *site_of(const struct side *s)
{
	return &sites[s->device[3] == 'b'];
}

static struct site *site_by_plane(const struct dataplane *d)
{
	return sites[0].plane == d ? &sites[0] : &sites[1];
}

/* ---- the plane, in its namespace ---- */

static struct dataplane *plane_open(const struct dataplane_host *host)
{
	struct site *x = site_of(host->ctx);
	struct dataplane_host own = *host;
	int was = site_namespace();

	site_open(x, x == &sites[0] ? "192.0.2.1/24" : "192.0.2.2/24");
	own.loop = x->loop;
	x->side = host->ctx;
	x->plane = dataplane_kernel.open(&own);
	assert_non_null(x->plane);
	if (!dataplane_kernel.ike_socket(x->plane, x->udp, AF_INET, true))
		fail_msg("ike_socket: %s", dataplane_kernel.last_error(x->plane));
	site_leave(was);
	return x->plane;
}

static void plane_close(struct dataplane *d)
{
	struct site *x = site_by_plane(d);
	int was = site_enter(x);

	dataplane_kernel.close(d);
	site_close(x);
	site_leave(was);
}

static enum dataplane_error tunnel_create(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config)
{
	struct tunnel_config own = *config;
	int was = site_enter(site_by_plane(d));
	enum dataplane_error e;

	own.kind = kind;
	e = dataplane_kernel.tunnel_create(d, id, &own);
	site_leave(was);
	return e;
}

static enum dataplane_error tunnel_update(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config)
{
	struct tunnel_config own = *config;
	int was = site_enter(site_by_plane(d));
	enum dataplane_error e;

	own.kind = kind;
	e = dataplane_kernel.tunnel_update(d, id, &own);
	site_leave(was);
	return e;
}

static enum dataplane_error tunnel_remove(struct dataplane *d, uint32_t id)
{
	int was = site_enter(site_by_plane(d));
	enum dataplane_error e = dataplane_kernel.tunnel_remove(d, id);

	site_leave(was);
	return e;
}

static void esp_input(struct dataplane *d, unsigned lane, const struct endpoint *local,
		      const struct endpoint *remote, uint8_t tos, uint8_t *packet, size_t len,
		      size_t size, mono_time now)
{
	struct site *x = site_by_plane(d);

	assert_int_equal(size, len);
	(void)tos;
	(void)lane;
	(void)now;
	site_input(x, local, remote, span_of(packet, len));
	site_pump(x);
}

/* ---- the driver ---- */

static void watch(struct side *s)
{
	struct site *x = site_of(s);
	int was = site_enter(x), ifindex = kernel_link(s->device).ifindex;

	taps[x - sites] = kernel_tap(s->device);
	site_route(x, x == &sites[0] ? "10.2.0.0/16" : "10.1.0.0/16", ifindex);
	site_route(x, x == &sites[0] ? "fd00:2::/32" : "fd00:1::/32", ifindex);
	/* Or the stack would answer what the tap has got. */
	site_route(x, x == &sites[0] ? "fd00:1::/32" : "fd00:2::/32", 0);
	site_leave(was);
}

static void unwatch(struct side *s)
{
	close(taps[site_of(s) - sites]);
}

static void transmit(struct side *s, struct span packet, mono_time now)
{
	struct site *x = site_of(s);
	int was = site_enter(x);

	(void)now;
	kernel_inject(taps[x - sites], s->device, packet);
	site_pump(x);
	site_leave(was);
}

static size_t received(struct side *s, uint8_t *out, size_t size)
{
	return kernel_received(taps[site_of(s) - sites], out, size);
}

static void wait_a_moment(struct side *s)
{
	struct site *x = site_of(s);
	int was = site_enter(x);

	poll(NULL, 0, 1);
	site_pump(x);
	site_leave(was);
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
	int was = site_enter(x);

	assert_int_equal(netlink_link_set_up(x->netlink, kernel_link(s->device).ifindex, up), 0);
	while (s->n_events == before && mono_now() < end)
		site_pump(x);
	site_leave(was);
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
		.wait = wait_a_moment,
		.oper_up = oper_up,
		.set_admin = set_admin,
		.now = mono_now,
		.alone = true,
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
