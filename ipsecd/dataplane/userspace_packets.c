/* The userspace plane's packets: from the devices through the fair queue (fq.h) to the packet
 * paths of forward.h, and back, by the clock. What a device has is read in turns with the work on
 * it, so that a flow that waits for nothing never waits long. */
#include "ipsecd/dataplane/userspace.h"

#include <errno.h>

#define READS 64	  /* packets of a device in one turn */
#define WORK  (64 * 1024) /* bytes of the queue in one turn: what leaves in one message */
#define TURNS 8		  /* in one wakeup */

/* ---- outward ---- */

/* Of that packet, not of the device. */
static bool is_odd_packet(int error)
{
	return error == -EINVAL || error == -EFAULT || error == -ENOMEM;
}

/* From the device to the queue, `most` packets; counts them. false: it has no more now. */
static bool take(struct tunnel_queue *tq, unsigned most, unsigned *taken, mono_time now)
{
	size_t head = tun_head(&tq->tunnel->tun);
	struct userspace_lane *l = tq->lane;
	int len = 0;

	for (unsigned n = 0; n < most; n++) {
		if (fq_full(l->queue))
			return true;
		len = tun_read(tq->fd, fq_slot(l->queue), FQ_SLOT);
		if (is_odd_packet(len)) {
			l->lane->drops[DROP_DEVICE]++;
			continue;
		}
		if (len <= (int)head)
			break;
		fq_push(l->queue, tq->tunnel, head, (size_t)len, now);
		*taken += 1;
	}
	/* It is gone; the monitor tells the rest. */
	if (len < 0 && len != -EAGAIN && !is_odd_packet(len))
		ev_io_stop(l->loop, &tq->readable);
	return len > 0 || is_odd_packet(len);
}

static void output(struct userspace_lane *l, const struct fq_packet *q, mono_time now)
{
	struct forward_packet p = {
		.data = q->bytes + q->head, .len = q->len - q->head, .congested = q->congested};
	struct tunnel *t = q->owner;

	memcpy(&p.vnet, q->bytes, q->head);
	forward_output(l->lane, &t->forward, &p, now);
}

/* From the queue to the network. false: it is empty now. */
static bool give(struct userspace_lane *l, mono_time now)
{
	struct fq_packet q;

	for (size_t done = 0; done < WORK; done += q.len) {
		if (!fq_pop(l->queue, now, &q))
			return false;
		output(l, &q, now);
	}
	return true;
}

/* The end of a lane's wakeup. The first one's may have been told of what is to be done later. */
static void flush(struct userspace_lane *l, mono_time now)
{
	forward_flush(l->lane, now);
	if (!l->lane->number)
		userspace_set_clock(l->plane);
}

/* What a wakeup leaves in the queue is gone on with as soon as others had their turn. */
static void go_on(struct userspace_lane *l)
{
	if (ev_is_active(&l->more))
		return;
	ev_timer_set(&l->more, 0., 0.);
	ev_timer_start(l->loop, &l->more);
}

/* What is left in the device wakes us again. */
static void pass_out(struct tunnel_queue *tq, unsigned turns)
{
	bool alone = tq->taken <= 1, reads = true, waits = true;
	struct userspace_lane *l = tq->lane;
	unsigned taken = 0;
	mono_time now = 0;

	for (unsigned turn = 0; turn < turns && (reads || waits); turn++) {
		now = mono_now();
		if (reads)
			reads = take(tq, alone ? 1 : READS, &taken, now);
		waits = give(l, now);
		/* Where one packet came at a time it does not wait for a look at the next. */
		if (alone)
			forward_send(l->lane);
		alone = false;
	}
	if (taken)
		tq->taken = taken;
	if (waits)
		go_on(l);
	flush(l, now);
}

void userspace_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	pass_out(w->data, TURNS);
}

void userspace_more(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct userspace_lane *l = w->data;
	mono_time now = mono_now();

	(void)loop;
	(void)revents;
	if (give(l, now))
		go_on(l);
	flush(l, now);
}

/* ---- inward ---- */

bool userspace_write(struct forward_tunnel *f, const struct iovec *iov, size_t n)
{
	struct tunnel *t = (struct tunnel *)f;

	if (!t->present)
		return false;
	if (!t->plane->forward.lane.shared)
		t->plane->asked = t;
	return tun_write(&t->tun, iov, n);
}

static void wake_in(struct dataplane *d, mono_time time)
{
	ev_timer_stop(d->forward.host.loop, &d->held);
	ev_timer_set(&d->held, (double)time / (double)MONO_S, 0.);
	ev_timer_start(d->forward.host.loop, &d->held);
}

static void on_held(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dataplane *d = w->data;
	mono_time now = mono_now(), due = forward_drop_held(&d->forward, now);

	(void)loop;
	(void)revents;
	forward_report(&d->forward, now);
	userspace_set_clock(d);
	if (due != MONO_NEVER)
		wake_in(d, due - now);
}

void userspace_pass_held(struct dataplane *d, uint32_t spi)
{
	if (!d->forward.held.n)
		return;
	forward_pass_held(&d->forward, spi, mono_now());
	wake_in(d, 0); /* to report: here the listener is amid its call */
}

void userspace_esp_input(struct dataplane *d, unsigned lane, const struct endpoint *local,
			 const struct endpoint *remote, uint8_t tos, uint8_t *packets, size_t len,
			 size_t size, mono_time now)
{
	forward_input(d->lanes[lane]->lane, local, remote, tos, packets, len, size, now);
	if (lane == 0 && d->forward.held.n && !ev_is_active(&d->held))
		wake_in(d, HELD_TIME);
}

/* What this machine answers by itself (an echo request, a TCP segment) is in the device already
 * when the packet has been written to it. With workers it may be another lane's to read. */
void userspace_esp_flush(struct dataplane *d, unsigned lane, mono_time now)
{
	struct tunnel *t;

	flush(d->lanes[lane], now);
	if (d->forward.lane.shared)
		return;
	t = d->asked;
	d->asked = NULL;
	if (t && ev_is_active(&t->queue.readable))
		pass_out(&t->queue, 1);
}

/* ---- by the clock ---- */

void userspace_set_clock(struct dataplane *d)
{
	mono_time due = d->forward.lane.aggfrag_due, now;

	if (due == MONO_NEVER || (ev_is_active(&d->clock) && d->clock_at <= due))
		return;
	now = mono_now();
	d->clock_at = due;
	ev_timer_stop(d->forward.host.loop, &d->clock);
	ev_timer_set(&d->clock, due > now ? (double)(due - now) / (double)MONO_S : 0., 0.);
	ev_timer_start(d->forward.host.loop, &d->clock);
}

static void on_clock(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dataplane *d = w->data;
	mono_time now = mono_now();

	(void)loop;
	(void)revents;
	forward_aggfrag_run(&d->forward.lane, now);
	flush(&d->first, now);
}

/* ---- life ---- */

void userspace_packets_open(struct dataplane *d)
{
	ev_timer_init(&d->held, on_held, 0., 0.);
	ev_timer_init(&d->clock, on_clock, 0., 0.);
	d->held.data = d->clock.data = d;
}

void userspace_packets_close(struct dataplane *d)
{
	ev_timer_stop(d->forward.host.loop, &d->held);
	ev_timer_stop(d->forward.host.loop, &d->clock);
}

const uint64_t *userspace_counters(struct dataplane *d)
{
	struct fq_counts c;

	memset(d->counters, 0, sizeof(d->counters));
	forward_hold(&d->forward, true);
	for (unsigned i = 0; i < d->n_lanes; i++) {
		for (unsigned n = 0; n < DATAPLANE_COUNTERS; n++)
			d->counters[n] += d->lanes[i]->lane->drops[n];
		fq_count(d->lanes[i]->queue, &c);
		d->counters[DROP_QUEUE] += c.full;
	}
	forward_hold(&d->forward, false);
	return d->counters;
}
