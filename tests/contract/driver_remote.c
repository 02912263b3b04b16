/* The contract on the userspace plane in a process of its own, behind the link by which ike uses
 * it. Needs root. */
#include "tests/contract/contract.h"
#include "tests/contract/kernel.h"

#include "ipsecd/remote/remote.h"
#include "tests/support/plane_child.h"

#include <ev.h>
#include <linux/if.h>
#include <unistd.h>

#define POLL_SECONDS .002
#define PLANES	     2

static struct contract_driver driver;
static struct dataplane_ops ops;
static int taps[2];

/* What stands behind a struct dataplane. */
static struct far {
	struct dataplane_host host;
	struct plane_child *child;
	struct remote *remote;
} fars[PLANES];

static struct far *far_of(const struct dataplane *d)
{
	for (unsigned i = 0; i < PLANES; i++) {
		if (fars[i].remote && remote_means(fars[i].remote)->plane == d)
			return &fars[i];
	}
	fail_msg("no such plane");
	return NULL;
}

static int *tap_of(const struct side *s)
{
	return &taps[s->device[3] == 'b'];
}

/* ---- the verbs that are the process's own ---- */

static bool on_sent(void *ctx, const struct endpoint *from, const struct endpoint *to,
		    struct span esp)
{
	const struct far *f = ctx;

	return f->host.send_esp(f->host.ctx, from, to, esp);
}

static void on_event(void *ctx, const struct dataplane_event *event)
{
	const struct far *f = ctx;

	f->host.event(f->host.ctx, event);
}

static void far_close(struct dataplane *d)
{
	struct far *f = far_of(d);
	struct means *m = remote_means(f->remote);

	m->act->close(m);
	plane_child_close(f->child);
	*f = (struct far){0};
}

static void far_input(struct dataplane *d, const struct endpoint *local,
		      const struct endpoint *remote, uint8_t *packet, size_t len, mono_time now)
{
	plane_child_input(far_of(d)->child, local, remote, span_of(packet, len), now);
}

static void far_tick(struct dataplane *d, mono_time now)
{
	plane_child_tick(far_of(d)->child, now);
}

static struct dataplane *far_open(const struct dataplane_host *host)
{
	struct far *f = &fars[fars[0].remote != NULL];
	const struct plane_child_host child = {
		.ops = &dataplane_userspace, .loop = host->loop, .send_esp = on_sent, .ctx = f};
	const struct means_host means = {.event = on_event, .ctx = f, .loop = host->loop};
	char why[128];
	bool other;

	f->host = *host;
	f->child = plane_child_new(&child);
	f->remote = remote_new(&means);
	assert_non_null(f->remote);
	if (!remote_link(f->remote, plane_child_link(f->child), &other, why, sizeof(why)))
		fail_msg("%s", why);
	ops = *remote_means(f->remote)->ops;
	assert_string_equal(ops.name, "userspace");
	ops.name = "userspace behind a link";
	ops.open = far_open;
	ops.close = far_close;
	ops.esp_input = far_input;
	ops.tick = far_tick;
	return remote_means(f->remote)->plane;
}

/* ---- the world ---- */

static void watch(struct side *s)
{
	*tap_of(s) = kernel_tap(s->device);
}

static void unwatch(struct side *s)
{
	close(*tap_of(s));
}

/* What every outbound packet changes, whatever becomes of it. */
static uint64_t progress(struct side *s)
{
	uint64_t sum = s->n_sent;

	for (unsigned i = 0; i < DROP_COUNTERS; i++)
		sum += ops.counters(s->plane)[i];
	return sum;
}

static void on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	++*(unsigned *)w->data;
}

/* Runs the loop until `done` says so, at most some ten seconds. */
static void run_until(bool (*done)(struct side *s, uint64_t than), struct side *s, uint64_t than)
{
	unsigned polls = 0;
	ev_timer timer;

	ev_timer_init(&timer, on_poll, POLL_SECONDS, POLL_SECONDS);
	timer.data = &polls;
	ev_timer_start(driver.loop, &timer);
	while (!done(s, than) && polls < 10 / POLL_SECONDS)
		ev_run(driver.loop, EVRUN_ONCE);
	ev_timer_stop(driver.loop, &timer);
	if (!done(s, than))
		fail_msg("the plane did nothing for long");
}

static bool progressed(struct side *s, uint64_t than)
{
	return progress(s) != than;
}

static void transmit(struct side *s, struct span packet, mono_time now)
{
	struct plane_child *child = far_of(s->plane)->child;
	uint64_t before;

	(void)now; /* the plane reads the clock itself */
	plane_child_refuse(child, s->refuse_send);
	before = progress(s);
	kernel_inject(*tap_of(s), s->device, packet);
	run_until(progressed, s, before);
	plane_child_sync(child);
}

static size_t received(struct side *s, uint8_t *out, size_t size)
{
	return kernel_received(*tap_of(s), out, size);
}

static bool oper_up(struct side *s)
{
	struct netlink_link link = kernel_link(s->device);

	assert_int_equal(link.linkmode, IF_LINK_MODE_DORMANT);
	assert_true(link.operstate == IF_OPER_UP || link.operstate == IF_OPER_DORMANT);
	return link.operstate == IF_OPER_UP;
}

static bool reported(struct side *s, uint64_t than)
{
	return s->n_events != than;
}

static void set_admin(struct side *s, bool up)
{
	unsigned before = s->n_events;

	assert_int_equal(netlink_link_set_up(kernel_netlink(), kernel_link(s->device).ifindex, up),
			 0);
	run_until(reported, s, before);
}

int main(void)
{
	kernel_namespace("contract_remote");
	ops = (struct dataplane_ops){.name = "userspace behind a link", .open = far_open};
	driver = (struct contract_driver){
		.ops = &ops,
		.loop = ev_loop_new(0),
		.watch = watch,
		.unwatch = unwatch,
		.transmit = transmit,
		.received = received,
		.oper_up = oper_up,
		.set_admin = set_admin,
		.now = mono_now,
		.alone = true, /* its plane is in another process, which is killed elsewhere */
		.behind_a_link = true,
	};
	return contract_run(&driver);
}
