/* What both packet paths share: the limits of an SA, and reports of what was noted. The paths are
 * in forward_out.c and forward_in.c, what lanes share in forward_lane.c; the SAs' own arithmetic is
 * in sadb, replay and esp. Nothing here allocates. */
#include "ipsecd/dataplane/forward_aggfrag.h"

#include <utlist.h>

#define ALIVE_INTERVAL MONO_S
#define CIPHER_IDLE    (30 * MONO_S) /* whoever was idle so long has its cipher made again */

static bool reached(const uint64_t *value, uint64_t limit)
{
	return limit != 0 && SA_GET(*value) >= limit;
}

/* Which is the first to set it. */
static bool first(bool *flag)
{
	return !SA_GET(*flag) && !__atomic_exchange_n(flag, true, __ATOMIC_RELAXED);
}

/* After each packet: RFC 4301 4.4.2.1 (lifetimes in bytes), RFC 4303 3.3.3. */
void forward_check_limits(struct lane *l, struct sa *sa)
{
	const struct dataplane_child_stats *s = &sa->live->stats;
	const struct sa_live *live = sa->live;
	const struct sa_child *c = &sa->child;

	uint64_t used = SA_GET(live->seq_out);
	bool out, in;

	out = reached(&live->ciphered_out, c->life_bytes) ||
	      reached(&s->packets_out, c->life_packets) || used >= sa_seq_hard(sa);
	in = reached(&live->ciphered_in, c->life_bytes) || reached(&s->packets_in, c->life_packets);
	if (out != SA_GET(sa->expired_out))
		SA_SET(sa->expired_out, out);
	if (in != SA_GET(sa->expired_in))
		SA_SET(sa->expired_in, in);
	if ((in || out) && first(&sa->hard_reported))
		forward_note(l, sa, DUE_HARD);
	if (SA_GET(sa->soft_reported))
		return;
	if ((reached(&live->ciphered_out, c->rekey_bytes) ||
	     reached(&live->ciphered_in, c->rekey_bytes) ||
	     reached(&s->packets_out, c->rekey_packets) ||
	     reached(&s->packets_in, c->rekey_packets) || used >= sa_seq_soft(sa)) &&
	    first(&sa->soft_reported))
		forward_note(l, sa, DUE_SOFT);
}

/* ---- reports ---- */

void forward_tick(struct forward *f, mono_time now)
{
	struct sa *sa, *next;

	forward_drop_held(f, now);
	if (now > CIPHER_IDLE)
		forward_drop_idle(f, now - CIPHER_IDLE);
	HASH_ITER (by_id, f->sadb.by_id, sa, next) {
		if (!SA_GET(sa->heard) ||
		    (sa->alive_reported && now - sa->alive_reported < ALIVE_INTERVAL))
			continue;
		SA_SET(sa->heard, false);
		sa->alive_reported = now;
		forward_note(&f->lane, sa, DUE_ALIVE);
	}
	forward_report(f, now);
}

/* For the next process: it tells no more of it. Not before it was told, for who is killed
 * between tells it twice, not never. */
static void note_told(struct forward *f, uint64_t child, enum sa_due what)
{
	struct sa *sa = sadb_by_id(&f->sadb, child);

	if (!sa)
		return;
	if (what == DUE_SOFT)
		sa->live->soft_reported = 1;
	else if (what == DUE_HARD)
		sa->live->hard_reported = 1;
	else if (what == DUE_USED_NEW)
		sa->live->used_reported = 1;
}

static void tell(struct forward *f, struct sa *sa, enum sa_due what)
{
	static const enum dataplane_event_kind kinds[DUE_KINDS] = {
		[DUE_SOFT] = DATAPLANE_CHILD_SOFT_EXPIRE,
		[DUE_HARD] = DATAPLANE_CHILD_HARD_EXPIRE,
		[DUE_USED_NEW] = DATAPLANE_CHILD_USED_NEW,
		[DUE_PEER_MOVED] = DATAPLANE_CHILD_PEER_MOVED,
		[DUE_ALIVE] = DATAPLANE_CHILD_ALIVE,
	};
	struct dataplane_event event = {
		.kind = kinds[what],
		.child = sa->child.id,
		.tunnel = sa->child.tunnel,
	};

	if (what == DUE_AGGFRAG) {
		forward_aggfrag_noted(&f->lane, sa);
		return;
	}
	if (what == DUE_PEER_MOVED) {
		forward_window_lock(&f->lane, sa);
		event.remote = sa->moved_to;
		forward_window_unlock(&f->lane, sa);
	}
	f->host.event(f->host.ctx, &event);
	note_told(f, event.child, what);
}

/* An event may remove the SA: it is taken off the list first, and looked for before the next. */
static void tell_all(struct forward *f, struct sa *sa)
{
	uint64_t id = sa->child.id;
	unsigned due;

	DL_DELETE2(f->due, sa, due_prev, due_next);
	sa->listed = false;
	due = __atomic_exchange_n(&sa->due, 0, __ATOMIC_ACQ_REL);
	for (; due && sadb_by_id(&f->sadb, id) == sa; due &= due - 1)
		tell(f, sa, (enum sa_due)__builtin_ctz(due));
}

/* The event may remove the tunnel: it is taken off the list first. */
static void tell_acquire(struct forward *f, struct forward_tunnel *t, mono_time now)
{
	struct dataplane_event event = {.kind = DATAPLANE_ACQUIRE, .tunnel = t->id};

	DL_DELETE2(f->acquires, t, acquire_prev, acquire_next);
	t->acquire_listed = false;
	SA_SET(t->acquired, now);
	__atomic_store_n(&t->acquire_due, false, __ATOMIC_RELEASE);
	f->host.event(f->host.ctx, &event);
}

void forward_report(struct forward *f, mono_time now)
{
	for (forward_collect(f); f->due; forward_collect(f))
		tell_all(f, f->due);
	while (f->acquires)
		tell_acquire(f, f->acquires, now);
}

void forward_flush(struct lane *l, mono_time now)
{
	struct forward *f = l->forward;

	if (l->aggfrag_waiting)
		forward_aggfrag_flush(l, now);
	forward_send(l);
	coalesce_flush(&l->up);
	l->up_copied = 0;
	if (!l->number)
		forward_report(f, now);
	else if (SA_GET(f->noted) || SA_GET(f->wanting))
		f->threads.wake(f);
}
