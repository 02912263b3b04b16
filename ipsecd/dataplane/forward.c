/* What both packet paths share: the limits of an SA, and what is noted for a report. The paths are
 * in forward_out.c and forward_in.c; the SAs' own arithmetic is in sadb, replay and esp. Nothing
 * here allocates. */
#include "ipsecd/dataplane/forward_aggfrag.h"

#include <utlist.h>

#define ALIVE_INTERVAL MONO_S
#define CIPHER_IDLE    (30 * MONO_S) /* whoever was idle so long has its cipher made again */

void forward_note(struct lane *l, struct sa *sa, enum sa_due what)
{
	if (!sa->due)
		DL_APPEND2(l->due, sa, due_prev, due_next);
	sa->due |= 1u << what;
}

static bool reached(uint64_t value, uint64_t limit)
{
	return limit != 0 && value >= limit;
}

/* After each packet: RFC 4301 4.4.2.1 (lifetimes in bytes), RFC 4303 3.3.3. */
void forward_check_limits(struct lane *l, struct sa *sa)
{
	const struct dataplane_child_stats *s = &sa->live->stats;
	const struct sa_child *c = &sa->child;

	sa->expired_out = reached(s->bytes_out, c->life_bytes) ||
			  reached(s->packets_out, c->life_packets) ||
			  sa->live->seq_out >= sa_seq_hard(sa);
	sa->expired_in =
		reached(s->bytes_in, c->life_bytes) || reached(s->packets_in, c->life_packets);
	if ((sa->expired_in || sa->expired_out) && !sa->hard_reported) {
		sa->hard_reported = true;
		forward_note(l, sa, DUE_HARD);
	}
	if (sa->soft_reported)
		return;
	if (reached(s->bytes_out, c->rekey_bytes) || reached(s->bytes_in, c->rekey_bytes) ||
	    reached(s->packets_out, c->rekey_packets) || reached(s->packets_in, c->rekey_packets) ||
	    sa->live->seq_out >= sa_seq_soft(sa)) {
		sa->soft_reported = true;
		forward_note(l, sa, DUE_SOFT);
	}
}

/* ---- reports ---- */

void forward_tick(struct forward *f, mono_time now)
{
	struct sa *sa, *next;

	forward_drop_held(f, now);
	HASH_ITER (by_id, f->sadb.by_id, sa, next) {
		if (now > CIPHER_IDLE)
			sa_drop_idle(sa, now - CIPHER_IDLE);
		if (!sa->heard || (sa->alive_reported && now - sa->alive_reported < ALIVE_INTERVAL))
			continue;
		sa->heard = false;
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

	if (what == DUE_PEER_MOVED)
		event.remote = sa->moved_to;
	f->host.event(f->host.ctx, &event);
	note_told(f, event.child, what);
}

static void tell_acquire(struct forward *f, struct forward_tunnel *t, mono_time now)
{
	struct dataplane_event event = {.kind = DATAPLANE_ACQUIRE, .tunnel = t->id};

	/* The event may remove the tunnel: it is taken off the list first. */
	DL_DELETE2(f->lane.acquires, t, acquire_prev, acquire_next);
	t->acquire_due = false;
	t->acquired = now;
	f->host.event(f->host.ctx, &event);
}

void forward_report(struct forward *f, mono_time now)
{
	struct lane *l = &f->lane;

	while (l->due) {
		struct sa *sa = l->due;
		enum sa_due what = (enum sa_due)__builtin_ctz(sa->due);

		/* The event may free the SA: it is taken off the list first. */
		sa->due &= ~(1u << what);
		if (!sa->due)
			DL_DELETE2(l->due, sa, due_prev, due_next);
		tell(f, sa, what);
	}
	while (l->acquires)
		tell_acquire(f, l->acquires, now);
}

void forward_flush(struct lane *l, mono_time now)
{
	if (l->aggfrag_waiting)
		forward_aggfrag_flush(l, now);
	forward_send(l);
	coalesce_flush(&l->up);
	l->up_copied = 0;
	forward_report(l->forward, now);
}
