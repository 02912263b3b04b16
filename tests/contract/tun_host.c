#include "tests/contract/tun_host.h"
#include "tests/contract/kernel.h"

#include <ev.h>
#include <linux/if.h>
#include <unistd.h>

#define POLL_SECONDS .002
#define LATE_SECONDS 20

static int taps[2];

static int *tap_of(const struct side *s)
{
	return &taps[s->device[3] == 'b'];
}

void tun_watch(struct side *s)
{
	*tap_of(s) = kernel_tap(s->device);
}

void tun_unwatch(struct side *s)
{
	close(*tap_of(s));
}

/* What every outbound packet changes, whatever becomes of it. */
static uint64_t progress(struct side *s)
{
	uint64_t sum = s->n_sent;

	for (unsigned i = 0; i < DROP_COUNTERS; i++)
		sum += contract->ops->counters(s->plane)[i];
	return sum;
}

static void on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	++*(unsigned *)w->data;
}

/* Runs the loop until `done` says so. Of a plane in another process only asking tells. */
static void run_until(bool (*done)(struct side *s, uint64_t than), struct side *s, uint64_t than)
{
	unsigned polls = 0;
	ev_timer timer;

	ev_timer_init(&timer, on_poll, POLL_SECONDS, POLL_SECONDS);
	timer.data = &polls;
	ev_timer_start(contract->loop, &timer);
	while (!done(s, than) && polls < LATE_SECONDS / POLL_SECONDS)
		ev_run(contract->loop, EVRUN_ONCE);
	ev_timer_stop(contract->loop, &timer);
	if (!done(s, than))
		fail_msg("the plane did nothing within %d seconds", LATE_SECONDS);
}

static bool progressed(struct side *s, uint64_t than)
{
	return progress(s) != than;
}

void tun_transmit(struct side *s, struct span packet, mono_time now)
{
	uint64_t before = progress(s);

	(void)now; /* the plane reads the clock itself */
	kernel_inject(*tap_of(s), s->device, packet);
	run_until(progressed, s, before);
}

size_t tun_received(struct side *s, uint8_t *out, size_t size)
{
	return kernel_received(*tap_of(s), out, size);
}

bool tun_oper_up(struct side *s)
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

void tun_set_admin(struct side *s, bool up)
{
	unsigned before = s->n_events;

	assert_int_equal(netlink_link_set_up(kernel_netlink(), kernel_link(s->device).ifindex, up),
			 0);
	run_until(reported, s, before);
}
