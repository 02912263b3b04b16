/* The lanes of the userspace plane: owns what each thread has for its packets, which queue of a
 * device it reads, and the ways between the first lane and the others. */
#include "ipsecd/dataplane/userspace.h"

#include "lib/grace.h"
#include "lib/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define PASSED_MOST ((size_t)1 << 20) /* bytes: what may be held, and its heads */

static struct dataplane *plane_of(struct forward *f)
{
	return (struct dataplane *)(void *)((uint8_t *)f - offsetof(struct dataplane, forward));
}

/* ---- what forward asks of the threads ---- */

static void hold(struct forward *f, bool on)
{
	const struct dataplane *d = plane_of(f);

	for (unsigned i = 1; i < d->n_lanes; i++) {
		if (on)
			worker_pause(d->lanes[i]->worker);
		else
			worker_resume(d->lanes[i]->worker);
	}
}

struct deferred {
	struct forward *forward;
	void *object;
	void (*release)(struct forward *f, void *object);
};

static void release_deferred(void *ctx)
{
	struct deferred *d = ctx;

	d->release(d->forward, d->object);
	free(d);
}

static void defer(struct forward *f, void *object, void (*release)(struct forward *f, void *object))
{
	struct deferred *d = malloc(sizeof(*d));

	if (d) {
		*d = (struct deferred){f, object, release};
		grace_defer(plane_of(f)->grace, d, release_deferred);
		return;
	}
	hold(f, true); /* nobody has anything while they stand still */
	release(f, object);
	hold(f, false);
}

struct passed {
	struct endpoint local, remote;
	uint8_t tos;
};

/* Without room it is lost, as it would be in a moment. */
static bool pass(struct forward *f, const struct endpoint *local, const struct endpoint *remote,
		 uint8_t tos, const uint8_t *packet, size_t len)
{
	struct passed head = {.local = *local, .remote = *remote, .tos = tos};
	const struct span parts[] = {span_of(&head, sizeof(head)), span_of(packet, len)};

	return mailbox_put(plane_of(f)->passed, 0, parts, 2);
}

static void wake(struct forward *f)
{
	struct dataplane *d = plane_of(f);

	ev_async_send(d->forward.host.loop, &d->noted);
}

/* ---- what comes to the first lane ---- */

static void take_passed(void *ctx, unsigned kind, struct span body)
{
	struct dataplane *d = ctx;
	struct passed head;
	size_t len = body.len - sizeof(head);

	(void)kind;
	memcpy(&head, body.ptr, sizeof(head));
	userspace_esp_input(d, 0, &head.local, &head.remote, head.tos,
			    (uint8_t *)(uintptr_t)body.ptr + sizeof(head), len, len, mono_now());
	userspace_esp_flush(d, 0, mono_now());
}

void userspace_take_passed(struct dataplane *d)
{
	if (d->passed)
		mailbox_take(d->passed);
}

static void on_noted(struct ev_loop *loop, ev_async *w, int revents)
{
	struct dataplane *d = w->data;

	(void)loop;
	(void)revents;
	forward_report(&d->forward, mono_now());
	userspace_set_clock(d);
}

/* ---- queues of devices ---- */

static void init_queue(struct tunnel_queue *q, struct tunnel *t, struct userspace_lane *l, int fd)
{
	q->tunnel = t;
	q->lane = l;
	q->fd = fd;
	ev_io_init(&q->readable, userspace_readable, fd, EV_READ);
	q->readable.data = q;
}

static void start(struct tunnel_queue *q)
{
	ev_io_start(q->lane->loop, &q->readable);
}

static void stop(struct tunnel_queue *q)
{
	ev_io_stop(q->lane->loop, &q->readable);
}

/* Half of the descriptors are left to devices that are still to come, each of which needs one: the
 * lowest that is free is what a new one gets. */
static int queue_of(struct tunnel *t)
{
	struct rlimit limit;
	int next = fcntl(t->tun.fd, F_DUPFD_CLOEXEC, 0);

	if (next < 0)
		return -errno;
	close(next);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)next >= limit.rlim_cur / 2)
		return -EMFILE;
	return tun_queue(&t->tun, t->plane->netlink);
}

/* Not read yet. A device that can't have one more does with those that it has. */
static struct tunnel_queue *add_queue(struct tunnel *t, struct userspace_lane *l)
{
	struct dataplane *d = t->plane;
	struct tunnel_queue *q = calloc(1, sizeof(*q));
	int fd = q ? queue_of(t) : -ENOMEM;

	if (fd >= 0) {
		init_queue(q, t, l, fd);
		q->next = t->more;
		t->more = q;
		return q;
	}
	free(q);
	if (!d->queues_short || fd != -EMFILE)
		log_to(d->forward.host.log, LOG_LEVEL_WARN, "knl", t->config.name,
		       "no queue for worker %u: %s; the others have its packets%s", l->lane->number,
		       strerror(-fd), fd == -EMFILE ? ", and those of further devices" : "");
	d->queues_short |= fd == -EMFILE;
	return NULL;
}

static void write_apart(struct tunnel *t)
{
	int e = t->tun.up == t->tun.fd ? tun_write_apart(&t->tun, t->plane->netlink) : 0;

	if (e)
		log_to(t->plane->forward.host.log, LOG_LEVEL_WARN, "knl", t->config.name,
		       "no queue to write to: %s; flows may move between workers", strerror(-e));
}

void userspace_queues_open(struct tunnel *t)
{
	struct dataplane *d = t->plane;

	init_queue(&t->queue, t, &d->first, t->tun.fd);
	if (d->n_lanes == 1 || !t->tun.several)
		return;
	for (unsigned i = 1; i < d->n_lanes; i++)
		add_queue(t, d->lanes[i]);
	if (t->more)
		write_apart(t);
}

void userspace_queues_read(struct tunnel *t)
{
	start(&t->queue);
	for (struct tunnel_queue *q = t->more; q; q = q->next)
		start(q);
}

void userspace_queues_stop(struct tunnel *t)
{
	stop(&t->queue);
	for (struct tunnel_queue *q = t->more; q; q = q->next)
		stop(q);
}

void userspace_queues_close(struct tunnel *t)
{
	struct tunnel_queue *q;

	while ((q = t->more)) {
		close(q->fd);
		t->more = q->next;
		free(q);
	}
}

void userspace_lanes_forget(struct dataplane *d, const struct tunnel *t)
{
	for (unsigned i = 0; i < d->n_lanes; i++)
		fq_forget(d->lanes[i]->queue, t);
}

/* ---- lanes ---- */

static bool lane_open(struct userspace_lane *l, struct dataplane *d, struct lane *lane,
		      struct ev_loop *loop)
{
	const struct dataplane_host *host = &d->forward.host;
	uint64_t seed;

	host->random(host->ctx, &seed, sizeof(seed));
	l->plane = d;
	l->lane = lane;
	l->loop = loop;
	l->queue = fq_new(seed);
	ev_timer_init(&l->more, userspace_more, 0., 0.);
	l->more.data = l;
	return l->queue != NULL;
}

bool userspace_lanes_open(struct dataplane *d)
{
	d->lanes[0] = &d->first;
	d->n_lanes = 1;
	ev_async_init(&d->noted, on_noted);
	d->noted.data = d;
	return lane_open(&d->first, d, &d->forward.lane, d->forward.host.loop);
}

static void lane_free(struct userspace_lane *l)
{
	if (!l)
		return;
	fq_free(l->queue);
	if (l->lane)
		forward_lane_release(l->lane);
	free(l->lane);
	free(l);
}

static struct userspace_lane *lane_new(struct dataplane *d, const struct dataplane_worker *w)
{
	struct userspace_lane *l = calloc(1, sizeof(*l));
	struct lane *lane = calloc(1, sizeof(*lane));

	if (l && lane && lane_open(l, d, lane, worker_loop(w->worker))) {
		l->worker = w->worker;
		forward_lane_init(&d->forward, lane, d->n_lanes, w->send_esp, w->ctx);
		lane->log = w->log;
		return l;
	}
	if (l)
		l->lane = lane;
	else
		free(lane);
	lane_free(l);
	return NULL;
}

/* What there is to be before the first worker is. */
static bool open_ways(struct dataplane *d)
{
	struct ev_loop *loop = d->forward.host.loop;

	if (!d->grace)
		d->grace = grace_new(loop);
	if (!d->passed)
		d->passed = mailbox_new(loop, PASSED_MOST, take_passed, d);
	if (!d->grace || !d->passed)
		return false;
	if (!ev_is_active(&d->noted)) {
		ev_async_start(loop, &d->noted);
		ev_unref(loop);
	}
	d->forward.threads =
		(struct forward_threads){.hold = hold, .defer = defer, .pass = pass, .wake = wake};
	return true;
}

bool userspace_add_worker(struct dataplane *d, const struct dataplane_worker *worker)
{
	struct userspace_lane *l = NULL;
	struct tunnel *t, *next;
	struct tunnel_queue *q;

	if (d->n_lanes < WORKERS_MAX && d->n_lanes < ESP_LANES && open_ways(d))
		l = lane_new(d, worker);
	if (!l) {
		forward_fail(&d->forward, DATAPLANE_NO_MEMORY, "out of memory");
		return false;
	}
	forward_hold(&d->forward, true);
	d->forward.lane.shared = true;
	d->asked = NULL;
	HASH_ITER (by_ifindex, d->by_ifindex, t, next) {
		if (!t->tun.several)
			continue;
		q = add_queue(t, l);
		if (!q)
			continue;
		write_apart(t);
		start(q);
	}
	forward_hold(&d->forward, false);
	d->lanes[d->n_lanes++] = l;
	return true;
}

void userspace_lanes_close(struct dataplane *d)
{
	struct ev_loop *loop = d->forward.host.loop;

	for (unsigned i = 1; i < d->n_lanes; i++)
		ev_timer_stop(d->lanes[i]->loop, &d->lanes[i]->more);
	if (d->n_lanes)
		ev_timer_stop(loop, &d->first.more);
	if (ev_is_active(&d->noted)) {
		ev_ref(loop);
		ev_async_stop(loop, &d->noted);
	}
	mailbox_free(d->passed);
	grace_free(d->grace);
	while (d->n_lanes > 1)
		lane_free(d->lanes[--d->n_lanes]);
	fq_free(d->first.queue);
}
