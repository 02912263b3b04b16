/* What the kernel tells of states and policies, what their counters say, and what of it is
 * told to the host, once each, when all that is at hand is done: the listener may install,
 * update and remove inside. Owns the NETLINK_XFRM monitor. */
#include "ipsecd/dataplane/kernel.h"

#include "lib/netlink.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <utlist.h>

#define ALIVE_INTERVAL	 MONO_S
#define MOVED_INTERVAL	 MONO_S
#define ACQUIRE_INTERVAL MONO_S
#define LARVAL_SPI	 0x4400u /* the first that a larval state gets, only to be deleted */
#define SEQUENCE_HARD	 UINT32_MAX

/* ---- notes for the host ---- */

void kernel_child_note(struct dataplane *d, struct kernel_child *c, enum child_due what)
{
	if (!c->due)
		DL_APPEND2(d->due_children, c, due_prev, due_next);
	c->due |= 1u << what;
}

void kernel_child_unnote(struct dataplane *d, struct kernel_child *c)
{
	if (c->due)
		DL_DELETE2(d->due_children, c, due_prev, due_next);
	c->due = 0;
}

void kernel_tunnel_note(struct dataplane *d, struct kernel_tunnel *t, enum tunnel_due what)
{
	if (!t->due)
		DL_APPEND2(d->due_tunnels, t, due_prev, due_next);
	t->due |= 1u << what;
}

void kernel_tunnel_unnote(struct dataplane *d, struct kernel_tunnel *t)
{
	if (t->due)
		DL_DELETE2(d->due_tunnels, t, due_prev, due_next);
	t->due = 0;
}

static void note_soft(struct dataplane *d, struct kernel_child *c)
{
	if (!c->soft_reported)
		kernel_child_note(d, c, DUE_SOFT);
	c->soft_reported = true;
}

static void note_hard(struct dataplane *d, struct kernel_child *c)
{
	if (!c->hard_reported)
		kernel_child_note(d, c, DUE_HARD);
	c->hard_reported = true;
}

static void note_used(struct dataplane *d, struct kernel_child *c)
{
	if (!c->used_reported && !c->sa.outbound)
		kernel_child_note(d, c, DUE_USED_NEW);
	c->used_reported = true;
	kernel_child_used(c);
}

/* ---- telling ---- */

/* For the next process, once it was told: who is killed between tells it twice, not never. */
static void note_told(struct dataplane *d, uint64_t child, enum child_due what)
{
	struct kernel_child *c = kernel_child_find(d, child);

	if (c && what == DUE_SOFT)
		c->live->soft_reported = 1;
	else if (c && what == DUE_HARD)
		c->live->hard_reported = 1;
	else if (c && what == DUE_USED_NEW)
		c->live->used_reported = 1;
}

static void tell_child(struct dataplane *d, const struct kernel_child *c, enum child_due what)
{
	static const enum dataplane_event_kind kinds[DUE_CHILD_KINDS] = {
		[DUE_SOFT] = DATAPLANE_CHILD_SOFT_EXPIRE,
		[DUE_HARD] = DATAPLANE_CHILD_HARD_EXPIRE,
		[DUE_USED_NEW] = DATAPLANE_CHILD_USED_NEW,
		[DUE_PEER_MOVED] = DATAPLANE_CHILD_PEER_MOVED,
		[DUE_ALIVE] = DATAPLANE_CHILD_ALIVE,
	};
	struct dataplane_event event = {
		.kind = kinds[what],
		.child = c->sa.id,
		.tunnel = c->tunnel->id,
	};

	if (what == DUE_PEER_MOVED)
		event.remote = c->moved_to;
	d->host.event(d->host.ctx, &event);
	note_told(d, event.child, what);
}

static void tell_tunnel(struct dataplane *d, const struct kernel_tunnel *t, enum tunnel_due what)
{
	static const enum dataplane_event_kind kinds[] = {
		[DUE_ACQUIRE] = DATAPLANE_ACQUIRE,
		[DUE_DEVICE] = DATAPLANE_DEVICE_CHANGED,
		[DUE_INHERITED_GONE] = DATAPLANE_INHERITED_GONE,
	};
	struct dataplane_event event = {
		.kind = kinds[what],
		.tunnel = t->id,
		.admin_up = t->info.admin_up,
		.present = t->present,
	};

	d->host.event(d->host.ctx, &event);
}

/* Each is taken off its list before it is told: the listener may free it. */
void kernel_report(struct dataplane *d)
{
	while (d->due_children) {
		struct kernel_child *c = d->due_children;
		enum child_due what = (enum child_due)__builtin_ctz(c->due);

		c->due &= ~(1u << what);
		if (!c->due)
			DL_DELETE2(d->due_children, c, due_prev, due_next);
		tell_child(d, c, what);
	}
	while (d->due_tunnels) {
		struct kernel_tunnel *t = d->due_tunnels;
		enum tunnel_due what = (enum tunnel_due)__builtin_ctz(t->due);

		t->due &= ~(1u << what);
		if (!t->due)
			DL_DELETE2(d->due_tunnels, t, due_prev, due_next);
		tell_tunnel(d, t, what);
	}
}

/* ---- counters ---- */

static bool reached(uint64_t value, uint64_t limit)
{
	return limit != 0 && value >= limit;
}

/* The kernel itself acts at the packet behind a limit; who looks sees it before. */
static void check_limits(struct dataplane *d, const struct direction *x,
			 const struct xfrm_state_info *s)
{
	struct kernel_child *c = x->state.child;
	uint64_t bytes = x->bytes + s->bytes, packets = x->packets + s->packets;

	if (reached(bytes, c->sa.life_bytes) || reached(packets, c->sa.life_packets) ||
	    (x == &c->out && !c->sa.esn && s->sequence >= SEQUENCE_HARD))
		note_hard(d, c);
	if (reached(bytes, c->sa.rekey_bytes) || reached(packets, c->sa.rekey_packets) ||
	    (x == &c->out && !c->sa.esn && s->sequence >= SEQUENCE_SOFT))
		note_soft(d, c);
}

void kernel_direction_seen(struct dataplane *d, struct direction *x,
			   const struct xfrm_state_info *s, mono_time now)
{
	struct kernel_child *c = x->state.child;

	if (s->packets > x->last.packets)
		x->used = now;
	x->last = *s;
	check_limits(d, x, s);
	if (x == &c->in && s->packets && c->waits)
		note_used(d, c);
}

static void check_alive(struct dataplane *d, struct kernel_child *c, mono_time now)
{
	uint64_t packets = c->in.packets + c->in.last.packets;

	if (packets == c->heard || (c->alive_reported && now - c->alive_reported < ALIVE_INTERVAL))
		return;
	c->heard = packets;
	c->alive_reported = now;
	kernel_child_note(d, c, DUE_ALIVE);
}

struct look {
	struct dataplane *plane;
	mono_time now;
};

static void seen(void *ctx, const struct xfrm_state_info *info)
{
	const struct look *look = ctx;
	struct dataplane *d = look->plane;
	struct kernel_state *s;

	if (!reqid_is_ours(info->reqid) || info->larval)
		return;
	s = kernel_state_find(d, &info->dst, info->spi, &info->tag);
	if (!s)
		return;
	s->seen = d->round;
	if (s->child)
		kernel_direction_seen(d, s->outbound ? &s->child->out : &s->child->in, info,
				      look->now);
}

static void gone(struct dataplane *d, struct kernel_state *s)
{
	if (!s->child) {
		kernel_inherited_gone(d, s);
		return;
	}
	if (!s->child->hard_reported)
		kernel_say(s->child->tunnel, LOG_LEVEL_NOTICE,
			   "the kernel has no longer the %s state 0x%08x",
			   s->outbound ? "outbound" : "inbound", s->key.spi);
	note_hard(d, s->child);
}

static void check_seen(struct dataplane *d, struct kernel_child *c, mono_time now)
{
	if (c->in.state.tracked && c->in.state.seen != d->round)
		gone(d, &c->in.state);
	if (c->out.state.tracked && c->out.state.seen != d->round)
		gone(d, &c->out.state);
	check_alive(d, c, now);
}

void kernel_look(struct dataplane *d, mono_time now)
{
	struct look look = {.plane = d, .now = now};
	struct kernel_child *c, *next;
	int e;

	if (!d->states)
		return;
	d->round++;
	e = xfrm_state_list(d->xfrm, seen, &look);
	if (e) {
		log_to(d->host.log, LOG_LEVEL_WARN, "knl", "", "reading the states: %s",
		       netlink_strerror(d->xfrm, e));
		return;
	}
	HASH_ITER (by_id, d->children, c, next)
		check_seen(d, c, now);
	kernel_found_check(d);
}

/* ---- events ---- */

/* What the kernel says by itself on a new IPv6 device (MLD, router solicitations) is
 * no traffic that asks for a tunnel. */
static bool is_chatter(const struct xfrm_sel *sel)
{
	return sel->protocol == IPPROTO_ICMPV6 && sel->family == AF_INET6 &&
	       sel->dst.addr.bytes[0] == 0xff && sel->dst.addr.bytes[1] == 0x02;
}

/* Until its larval state is gone, the kernel asks no more. */
static void on_acquire(struct dataplane *d, const struct xfrm_event *event)
{
	struct kernel_tunnel *t = kernel_tunnel_by_tag(d, &event->policy.tag, true);
	mono_time now = mono_now();

	if (!t || !reqid_is_ours(event->policy.reqid))
		return;
	t->larval = event->policy;
	t->larval_end = now + ACQUIRE_INTERVAL;
	if (is_chatter(&event->policy.sel)) {
		t->larval_end = now;
		return;
	}
	if (t->acquired && now - t->acquired < ACQUIRE_INTERVAL)
		return;
	t->acquired = now;
	kernel_tunnel_note(d, t, DUE_ACQUIRE);
}

void kernel_larval_tick(struct kernel_tunnel *t, mono_time now)
{
	struct dataplane *d = t->plane;

	if (!t->larval_end || now < t->larval_end)
		return;
	t->larval_end = 0;
	d->larval_spi = d->larval_spi % UINT16_MAX + 1;
	xfrm_larval_remove(d->xfrm, &t->larval, LARVAL_SPI + d->larval_spi);
}

/* The limit was perhaps the first packet, for which nobody may wait any more when this is read:
 * what the counters were tells if it was another one. */
static void on_soft_inbound(struct dataplane *d, struct kernel_child *c,
			    const struct xfrm_state_info *info)
{
	if (c->waits)
		note_used(d, c);
	check_limits(d, &c->in, info);
}

static void on_expire(struct dataplane *d, const struct xfrm_event *event)
{
	const struct xfrm_state_info *info = &event->state;
	struct kernel_state *s = kernel_state_find(d, &info->dst, info->spi, &info->tag);

	if (!s)
		return;
	if (!s->child) {
		if (event->kind == XFRM_EVENT_HARD_EXPIRE)
			kernel_inherited_gone(d, s);
	} else if (event->kind == XFRM_EVENT_HARD_EXPIRE) {
		note_hard(d, s->child);
	} else if (s->outbound) {
		note_soft(d, s->child);
	} else {
		on_soft_inbound(d, s->child, info);
	}
}

/* RFC 7296 2.23; an inbound SPI is unique. */
static void on_mapping(struct dataplane *d, const struct xfrm_event *event)
{
	struct kernel_child *c = kernel_child_by_spi(d, event->state.spi);
	const struct endpoint *to = &event->new_peer;
	mono_time now = mono_now();

	if (!c || endpoint_equal(to, &c->sa.remote))
		return;
	if (c->moved_reported && endpoint_equal(to, &c->moved_to) &&
	    now - c->moved_reported < MOVED_INTERVAL)
		return;
	c->moved_to = *to;
	c->moved_reported = now;
	kernel_child_note(d, c, DUE_PEER_MOVED);
}

/* Our own deletions come this way, too, perhaps of a state that was made again since. */
static void on_state_gone(struct dataplane *d, const struct xfrm_event *event)
{
	const struct xfrm_state_info *info = &event->state;
	struct xfrm_state_info is;
	struct kernel_state *s;

	if (event->flushed) {
		d->resync = true;
		return;
	}
	s = kernel_state_find(d, &info->dst, info->spi, &info->tag);
	if (s && xfrm_state_read(d->xfrm, &s->key.dst, s->key.spi, &s->key.tag, &is) == -ESRCH)
		gone(d, s);
}

static void on_message(void *ctx, const struct nlmsghdr *h)
{
	struct dataplane *d = ctx;
	struct xfrm_event event;

	switch (xfrm_parse_event(h, &event)) {
	case XFRM_EVENT_ACQUIRE:
		on_acquire(d, &event);
		return;
	case XFRM_EVENT_SOFT_EXPIRE:
	case XFRM_EVENT_HARD_EXPIRE:
		on_expire(d, &event);
		return;
	case XFRM_EVENT_MAPPING:
		on_mapping(d, &event);
		return;
	case XFRM_EVENT_STATE_GONE:
		on_state_gone(d, &event);
		return;
	case XFRM_EVENT_POLICY_GONE:
		kernel_policy_gone(d, &event.policy, event.flushed);
		return;
	case XFRM_EVENT_NONE:
		return;
	}
}

/* What was not heard is looked at: nothing is guessed. */
static void events_lost(void *ctx)
{
	struct dataplane *d = ctx;

	d->resync = true;
	log_to(d->host.log, LOG_LEVEL_NOTICE, "knl", "",
	       "events of the kernel were lost: looking at all states and policies");
	kernel_policy_gone(d, NULL, true);
}

static void on_events(struct ev_loop *loop, ev_io *w, int revents)
{
	struct dataplane *d = w->data;
	int e = netlink_monitor_read(d->events);

	(void)revents;
	if (e) {
		log_to(d->host.log, LOG_LEVEL_ERROR, "knl", "",
		       "NETLINK_XFRM: %s; events of the kernel are not heard any more",
		       strerror(-e));
		ev_io_stop(loop, w);
	}
	if (d->resync)
		kernel_look(d, mono_now());
	d->resync = false;
	kernel_report(d);
}

bool kernel_events_open(struct dataplane *d)
{
	static const unsigned groups[] = {XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE,	XFRMNLGRP_SA,
					  XFRMNLGRP_POLICY,  XFRMNLGRP_MAPPING, 0};

	d->events = netlink_monitor_open_protocol(NETLINK_XFRM, groups, on_message, events_lost, d);
	if (!d->events)
		return false;
	ev_io_init(&d->events_readable, on_events, netlink_monitor_fd(d->events), EV_READ);
	d->events_readable.data = d;
	ev_io_start(d->host.loop, &d->events_readable);
	return true;
}
