/* The contract on the userspace plane, with real TUN devices in a network namespace
 * of this program's own. Needs root. */
#include "tests/contract/contract.h"
#include "tests/contract/kernel.h"

#include <ev.h>
#include <linux/if.h>
#include <unistd.h>

static struct contract_driver driver;
static int taps[2];

static int *tap_of(const struct side *s)
{
	return &taps[s->device[3] == 'b'];
}

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
		sum += driver.ops->counters(s->plane)[i];
	return sum;
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	*(bool *)w->data = true;
	ev_break(loop, EVBREAK_ALL);
}

/* Runs the plane until `done` says so, at most twenty seconds. */
static void run_until(bool (*done)(struct side *s, uint64_t than), struct side *s, uint64_t than)
{
	bool late = false;
	ev_timer timer;

	ev_timer_init(&timer, on_timeout, 20., 0.);
	timer.data = &late;
	ev_timer_start(driver.loop, &timer);
	while (!done(s, than) && !late)
		ev_run(driver.loop, EVRUN_ONCE);
	ev_timer_stop(driver.loop, &timer);
	if (late)
		fail_msg("the plane did nothing within twenty seconds");
}

static bool progressed(struct side *s, uint64_t than)
{
	return progress(s) != than;
}

static void transmit(struct side *s, struct span packet, mono_time now)
{
	uint64_t before = progress(s);

	(void)now; /* the plane reads the clock itself */
	kernel_inject(*tap_of(s), s->device, packet);
	run_until(progressed, s, before);
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
	kernel_namespace("contract_userspace");
	driver = (struct contract_driver){
		.ops = &dataplane_userspace,
		.loop = ev_loop_new(0),
		.watch = watch,
		.unwatch = unwatch,
		.transmit = transmit,
		.received = received,
		.oper_up = oper_up,
		.set_admin = set_admin,
		.now = mono_now,
	};
	return contract_run(&driver);
}
