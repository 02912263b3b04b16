/* Two IKE_SAs of one peer: both ends started at once (settled as RFC 7296 2.8.2 does for
 * rekeys), the peer lost its state and says so (INITIAL_CONTACT, 2.4), a reauthentication
 * (2.8.3), or a second one that the configuration does or does not want.
 *
 * The old one is superseded: it goes on until CHILD_SAs of the new one do its work. The
 * responder's new CHILD_SAs only receive while older ones send, until the peer answers on the
 * new IKE_SA, sends by the new one, or deletes the old one: then it surely has the new one.
 * Must not know how an IKE_SA comes about. */
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/collide.h"
#include "ipsecd/ike/conns.h"

/* The loser of a simultaneous initiation goes after this time, so that both ends have the
 * winner in use: its initiator deletes it; the responder only if that never comes. */
#define REDUNDANT_WAIT	  (1 * MONO_S)
#define REDUNDANT_PATIENT (5 * MONO_S) /* a peer that knows no such rule keeps both */
/* How long a superseded IKE_SA waits for CHILD_SAs of the new one that do its work, and for the
 * DELETE of the peer that made the new one. */
#define SUPERSEDED_PATIENT (10 * MONO_S)
/* No peer asks again for an answer so long after it was sent. */
#define ARRIVED_SURELY (10 * MONO_S)
/* The data plane may refuse the new CHILD_SA, the peer's as well: its DELETE comes then. */
#define INSTALL_WAIT (500 * MONO_MS)
/* Of one peer; the oldest beyond go at once. */
#define SUPERSEDED_MAX 4

static bool same_peer(const struct ike_sa *a, const struct ike_sa *b)
{
	return a != b && a->entry == b->entry && id_equal(sa_remote_id(a), sa_remote_id(b)) &&
	       id_equal(sa_local_id(a), sa_local_id(b));
}

static struct span lowest_nonce(const struct ike_sa *sa)
{
	return collide_lowest(span_of(sa->nonce_own, sizeof(sa->nonce_own)),
			      message_copy_span(&sa->nonce_peer));
}

/* The one that is to stay, NULL if there is none. */
static struct ike_sa *heir(const struct ike_sa *sa)
{
	struct ike_sa *other;

	DL_FOREACH2 (sa->entry->sas, other, entry_next)
		if (same_peer(sa, other) && ike_sa_usable(other) && !other->redundant)
			return other;
	return NULL;
}

/* ---- CHILD_SAs of the same use ---- */

/* Peers that share an identity (unique=never) have addresses of their own. */
static bool overlap(const struct ts_list *a, const struct ts_list *b)
{
	struct ts_list both;

	return ts_narrow(a, b, &both) > 0;
}

static bool same_use(const struct child *a, const struct child *b)
{
	return child_usable(b) && !b->redundant && b->in_plane &&
	       strcmp(a->config->name, b->config->name) == 0 && overlap(a->remote_ts, b->remote_ts);
}

/* One that sends already rather than one that would have to, of IKE_SAs that stay rather than of
 * redundant ones; of these the newest. */
static bool better(const struct child *a, const struct child *b)
{
	if (!b || a->outbound != b->outbound)
		return !b || a->outbound;
	if (a->sa->redundant != b->sa->redundant)
		return b->sa->redundant;
	return a->id > b->id;
}

/* What does the work of c, or could, in another IKE_SA of the peer. */
static struct child *successor(const struct child *c)
{
	struct child *other, *best = NULL;
	struct ike_sa *sa;

	DL_FOREACH2 (c->sa->entry->sas, sa, entry_next) {
		if (!same_peer(c->sa, sa) || !ike_sa_usable(sa))
			continue;
		DL_FOREACH (sa->children, other)
			if (same_use(c, other) && better(other, best))
				best = other;
	}
	return best;
}

/* Does another IKE_SA than `sa` send by a CHILD_SA of this name to there, though it may be replaced
 * in it? */
static bool others_send(const struct ike_sa *sa, const char *name, const struct ts_list *remote_ts,
			bool silent_too)
{
	const struct ike_sa *other;
	const struct child *c;

	DL_FOREACH2 (sa->entry->sas, other, entry_next) {
		if (!same_peer(sa, other) || !ike_sa_usable(other) ||
		    (other->silent && !silent_too))
			continue;
		DL_FOREACH (other->children, c)
			if (c->outbound && c->in_plane && c->state != CHILD_DELETING &&
			    strcmp(c->config->name, name) == 0 && overlap(c->remote_ts, remote_ts))
				return true;
	}
	return false;
}

bool duplicates_may_send(const struct ike_sa *sa, const struct child_config *config,
			 const struct ts_list *remote_ts)
{
	return !conns_child_inherited(sa->entry, config->name) &&
	       !others_send(sa, config->name, remote_ts, true);
}

/* `next` does the work of c, if it is not done already. */
static void succeed(struct ike_engine *e, const struct child *c, struct child *next,
		    const char *cause)
{
	if (next && !others_send(c->sa, c->config->name, c->remote_ts, true))
		child_set_outbound(e, next, true, cause);
}

void duplicates_child_stops(struct ike_engine *e, const struct child *c)
{
	if (c->outbound && c->in_plane && c->sa->entry)
		succeed(e, c, successor(c), "the older one is gone");
}

bool duplicates_hand_over(struct ike_engine *e, struct child *c)
{
	struct child *next = c->in_plane && c->sa->entry ? successor(c) : NULL;

	if (!next)
		return false;
	succeed(e, c, next, "the older one's IKE_SA is gone");
	child_pass_on(e, c, next);
	return true;
}

/* ---- the sign that the peer has it ---- */

static bool create_confirm_request(struct exchange *x)
{
	const struct child *c = child_by_id(x->e, x->task->child);

	return c && child_usable(c) && !c->outbound;
}

/* IKE_AUTH is through when the peer answers anything at all. An answer to CREATE_CHILD_SA may
 * still be on its way until a further request comes. Where the peer has lost the older ones,
 * there is no point in waiting for long. */
static bool arrived(const struct ike_engine *e, const struct child *c)
{
	const struct window_rx *rx = &c->sa->rx;
	mono_time sent = rx->repeated_at > c->installed ? rx->repeated_at : c->installed;

	if (!c->asked_by || rx->next_id > c->asked_by)
		return true;
	if (e->now - sent >= ARRIVED_SURELY)
		return true;
	return e->now - sent >= e->settings.take_over_wait &&
	       !others_send(c->sa, c->config->name, c->remote_ts, false);
}

static void consume_confirm_response(struct exchange *x)
{
	struct child *c = child_by_id(x->e, x->task->child);

	if (!c || c->outbound)
		return;
	if (arrived(x->e, c))
		duplicates_take_use(x->e, c, "the peer has it");
	else
		exchange_again(x, x->e->settings.take_over_wait / 2);
}

const struct exchange_ops confirm_ops = {
	.name = "INFORMATIONAL (for a sign that the peer is through)",
	.kind = KIND_INFORMATIONAL,
	.create_request = create_confirm_request,
	.consume_response = consume_confirm_response,
};

void duplicates_await(struct ike_engine *e, struct child *c)
{
	if (!c->outbound && !exchange_enqueue(e, c->sa, &confirm_ops, c->id, NULL, 0))
		child_set_outbound(e, c, true, "no memory to ask for a sign");
}

static bool create_sign_request(struct exchange *x)
{
	return child_by_id(x->e, x->task->child) != NULL;
}

static void consume_sign_response(struct exchange *x)
{
	(void)x;
}

const struct exchange_ops sign_ops = {
	.name = "INFORMATIONAL (sign that we are through)",
	.kind = KIND_INFORMATIONAL,
	.create_request = create_sign_request,
	.consume_response = consume_sign_response,
};

/* In a reauthentication the DELETE of the old IKE_SA is one. */
void duplicates_give_sign(struct ike_engine *e, struct child *c)
{
	if (c->sa->inherits)
		exchange_enqueue(e, c->sa, &sign_ops, c->id, NULL, 0);
}

void duplicates_take_use(struct ike_engine *e, struct child *c, const char *cause)
{
	if (c->outbound || c->redundant || !child_usable(c) || !ike_sa_usable(c->sa) ||
	    c->sa->superseded)
		return;
	child_set_outbound(e, c, true, cause);
	duplicates_child_up(e, c);
}

/* ---- what becomes of the old one ---- */

/* Sends by the new ones from now on, before the peer hears that the old one goes. */
static void retire(struct ike_engine *e, struct ike_sa *old)
{
	struct child *c, *next;

	DL_FOREACH (old->children, c) {
		next = c->outbound ? successor(c) : NULL;
		if (!next)
			continue;
		succeed(e, c, next, "the older one's IKE_SA goes");
		child_set_outbound(e, c, false, "its IKE_SA goes");
	}
	if (old->silent)
		ike_sa_end(e, old, IKE_REASON_REPLACED, "the peer says INITIAL_CONTACT");
	else
		ike_sa_delete(e, old, IKE_REASON_REPLACED);
}

static bool has_successors(const struct ike_sa *old)
{
	const struct child *c, *next;

	DL_FOREACH (old->children, c) {
		if (!child_usable(c) || c->redundant)
			continue;
		next = successor(c);
		if (!next || !next->outbound || next->sa->redundant)
			return false;
	}
	return true;
}

/* All its work is done by others: it is deleted by the end that began the new one. Where the
 * peer has forgotten it, it is gone. */
static void review(struct ike_engine *e, struct ike_sa *old)
{
	const struct ike_sa *next = heir(old);

	if (!old->superseded || !ike_sa_usable(old) || !next || !has_successors(old))
		return;
	if (old->silent) {
		retire(e, old);
	} else if (next->auth_initiator) {
		sa_touch(e, old);
		timer_set(&e->timers, &old->redundant_timer, e->now + INSTALL_WAIT);
	}
}

static void review_all(struct ike_engine *e, const struct ike_sa *sa)
{
	struct ike_sa *other, *next;

	DL_FOREACH_SAFE2 (sa->entry->sas, other, next, entry_next)
		if (same_peer(sa, other))
			review(e, other);
}

void duplicates_child_up(struct ike_engine *e, const struct child *c)
{
	if (c->sa->entry)
		review_all(e, c->sa);
}

static void be_patient(struct ike_engine *e, struct ike_sa *old)
{
	sa_touch(e, old);
	old->superseded_until = e->now + SUPERSEDED_PATIENT;
	timer_set(&e->timers, &old->redundant_timer, old->superseded_until);
}

static void supersede(struct ike_engine *e, const struct ike_sa *sa, struct ike_sa *old,
		      bool silent)
{
	old->redundant = old->superseded = true;
	old->silent |= silent;
	ike_log(e, old, LOG_LEVEL_INFO, "IKE_SA #%u is replaced by #%u%s", old->id, sa->id,
		silent ? ": the peer says INITIAL_CONTACT" : "");
	if (silent)
		timer_cancel(&e->timers, &old->dpd_timer);
	be_patient(e, old);
}

/* A peer that makes one after the other is no reason to keep all of them. */
static void limit_superseded(struct ike_engine *e, const struct ike_sa *sa)
{
	struct ike_sa *other, *next;
	unsigned n = 0;

	DL_FOREACH2 (sa->entry->sas, other, entry_next)
		n += same_peer(sa, other) && other->superseded && ike_sa_usable(other);
	DL_FOREACH_SAFE2 (sa->entry->sas, other, next, entry_next) {
		if (n <= SUPERSEDED_MAX)
			return;
		if (!same_peer(sa, other) || !other->superseded || !ike_sa_usable(other))
			continue;
		n--;
		retire(e, other);
	}
}

/* Both ends started at once: one IKE_SA of each end, and the later one was begun before
 * the earlier one was up. Both ends see it so: AUTH of the one was sent before AUTH of
 * the other was answered. */
static bool crossing(const struct ike_sa *later, const struct ike_sa *earlier)
{
	return later->auth_initiator != earlier->auth_initiator && later->id <= earlier->last_id;
}

/* As RFC 7296 2.8.2 does for rekeys: the IKE_SA with the lowest of the four nonces goes,
 * and its initiator deletes it. */
static void resolve_crossing(struct ike_engine *e, struct ike_sa *a, struct ike_sa *b)
{
	struct ike_sa *loser = collide_ours_goes(lowest_nonce(a), lowest_nonce(b)) ? a : b;

	loser->redundant = true;
	sa_touch(e, loser);
	ike_log(e, loser, LOG_LEVEL_INFO, "both ends initiated at once: IKE_SA #%u goes, #%u stays",
		loser->id, loser == a ? b->id : a->id);
	timer_set(&e->timers, &loser->redundant_timer,
		  e->now + (loser->auth_initiator ? REDUNDANT_WAIT : REDUNDANT_PATIENT));
}

static bool replaces(const struct ike_engine *e, const struct ike_sa *sa, const struct ike_sa *old,
		     bool initial_contact)
{
	int unique = sa->conn->unique;

	/* RFC 7296 2.4: the peer has no other IKE_SA any more. */
	if (initial_contact && unique != UNIQUE_NEVER)
		return true;
	return unique == UNIQUE_REPLACE || unique == UNIQUE_KEEP || reauth_old(e, sa) == old;
}

void duplicates_resolve(struct ike_engine *e, struct ike_sa *sa, bool initial_contact)
{
	struct ike_sa *other, *next;

	DL_FOREACH_SAFE2 (sa->entry->sas, other, next, entry_next) {
		if (!ike_sa_usable(other) || !same_peer(sa, other))
			continue;
		if (crossing(sa, other))
			resolve_crossing(e, sa, other);
		else if (replaces(e, sa, other, initial_contact))
			supersede(e, sa, other,
				  initial_contact && sa->conn->unique != UNIQUE_NEVER);
		reauth_fill(e, sa, other);
	}
	limit_superseded(e, sa);
	review_all(e, sa);
}

/* Nobody took its place after all. */
static void needed_again(struct ike_engine *e, struct ike_sa *sa)
{
	sa_touch(e, sa);
	sa->redundant = sa->superseded = false;
	timer_cancel(&e->timers, &sa->redundant_timer);
}

/* The winner of a simultaneous initiation is not in use at both ends yet. */
static bool winner_needs_time(const struct ike_engine *e, const struct ike_sa *loser,
			      const struct ike_sa *winner)
{
	return winner && !loser->superseded && !has_successors(loser) &&
	       e->now < winner->established + SUPERSEDED_PATIENT;
}

/* A new CHILD_SA that was to do its work went again: the data plane refused it. */
static bool work_is_left(const struct ike_engine *e, const struct ike_sa *sa)
{
	return sa->superseded && !sa->silent && e->now < sa->superseded_until &&
	       !has_successors(sa);
}

void duplicates_expire(struct ike_engine *e, void *owner)
{
	struct ike_sa *sa = owner, *next = heir(sa);

	sa_touch(e, sa);
	if (!ike_sa_usable(sa))
		return;
	if (next && work_is_left(e, sa)) {
		timer_set(&e->timers, &sa->redundant_timer, sa->superseded_until);
		reauth_fill(e, next, sa);
		return;
	}
	if (winner_needs_time(e, sa, next))
		timer_set(&e->timers, &sa->redundant_timer, e->now + REDUNDANT_WAIT);
	else if (next || sa->silent)
		retire(e, sa);
	else
		needed_again(e, sa);
}

void duplicates_sa_gone(struct ike_engine *e, const struct ike_sa *sa)
{
	struct ike_sa *other, *last = NULL;

	if (!sa->entry || sa->redundant || !sa->announced || heir(sa))
		return;
	DL_FOREACH2 (sa->entry->sas, other, entry_next)
		if (same_peer(sa, other) && ike_sa_usable(other) && other->superseded &&
		    !other->silent)
			last = other;
	if (last)
		needed_again(e, last);
}

void duplicates_inherit(struct ike_engine *e, struct ike_sa *next, const struct ike_sa *old)
{
	struct ike_sa *attempt = old->entry ? old->entry->attempt : NULL;

	if (attempt && attempt->reauth_of == old->own_spi) {
		attempt->reauth_of = next->own_spi;
		sa_touch(e, attempt);
	}
	if (!old->superseded)
		return;
	next->redundant = next->superseded = true;
	next->silent = old->silent;
	be_patient(e, next);
}

/* One from where the older one is may be a reauthentication, or the same peer restarted. */
bool duplicates_forbid(const struct ike_sa *sa)
{
	const struct ike_sa *other;

	if (sa->conn->unique != UNIQUE_KEEP)
		return false;
	DL_FOREACH2 (sa->entry->sas, other, entry_next)
		if (same_peer(sa, other) && ike_sa_usable(other) && !crossing(sa, other) &&
		    !endpoint_equal(&sa->path.remote, &other->path.remote))
			return true;
	return false;
}
