/* Two IKE_SAs of one peer: both ends started at once (settled as RFC 7296 2.8.2 does for
 * rekeys), the peer lost its state and says so (INITIAL_CONTACT, 2.4), or a second one that
 * the configuration does or does not want. Must not know how an IKE_SA comes about. */
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/collide.h"
#include "ipsecd/ike/conns.h"

/* The loser of a simultaneous initiation goes after this time, so that both ends have the
 * winner in use: its initiator deletes it; the responder only if that never comes. */
#define REDUNDANT_WAIT	  (1 * MONO_S)
#define REDUNDANT_PATIENT (5 * MONO_S) /* a peer that knows no such rule keeps both */

static bool same_peer(const struct ike_sa *a, const struct ike_sa *b)
{
	return a != b && a->entry == b->entry && id_equal(&a->remote_id, &b->remote_id) &&
	       id_equal(&a->local_id, &b->local_id);
}

static struct span lowest_nonce(const struct ike_sa *sa)
{
	return collide_lowest(span_of(sa->nonce_own, sizeof(sa->nonce_own)),
			      span_of(sa->nonce_peer, sa->nonce_peer_len));
}

/* Both ends started at once: one IKE_SA of each end, and the later one was begun before
 * the earlier one was up. Both ends see it so: AUTH of the one was sent before AUTH of
 * the other was answered. */
static bool crossing(const struct ike_sa *later, const struct ike_sa *earlier)
{
	return later->initiator != earlier->initiator && later->id <= earlier->last_id;
}

/* As RFC 7296 2.8.2 does for rekeys: the IKE_SA with the lowest of the four nonces goes,
 * and its initiator deletes it. */
static void resolve_crossing(struct ike_engine *e, struct ike_sa *a, struct ike_sa *b)
{
	struct ike_sa *loser = collide_ours_goes(lowest_nonce(a), lowest_nonce(b)) ? a : b;

	loser->redundant = true;
	ike_log(e, loser, LOG_LEVEL_INFO, "both ends initiated at once: IKE_SA #%u goes, #%u stays",
		loser->id, loser == a ? b->id : a->id);
	timer_set(&e->timers, &loser->redundant_timer,
		  e->now + (loser->initiator ? REDUNDANT_WAIT : REDUNDANT_PATIENT));
}

static void replace_old(struct ike_engine *e, struct ike_sa *sa, struct ike_sa *old,
			bool initial_contact)
{
	int unique = sa->conn->unique;

	if (initial_contact && unique != UNIQUE_NEVER) {
		/* RFC 7296 2.4: the peer has no other IKE_SA any more; nobody to tell. */
		ike_sa_end(e, old, IKE_REASON_REPLACED, "the peer says INITIAL_CONTACT");
	} else if (unique == UNIQUE_REPLACE) {
		ike_sa_delete(e, old, IKE_REASON_REPLACED);
	}
}

void duplicates_resolve(struct ike_engine *e, struct ike_sa *sa, bool initial_contact)
{
	struct ike_sa *other, *next;

	DL_FOREACH_SAFE2 (sa->entry->sas, other, next, entry_next) {
		if (other->state == IKE_SA_ENDED || !same_peer(sa, other))
			continue;
		if (!ike_sa_usable(other))
			continue;
		if (crossing(sa, other))
			resolve_crossing(e, sa, other);
		else
			replace_old(e, sa, other, initial_contact);
	}
}

void duplicates_expire(struct ike_engine *e, void *owner)
{
	struct ike_sa *sa = owner, *other;

	DL_FOREACH2 (sa->entry->sas, other, entry_next) {
		if (same_peer(sa, other) && ike_sa_usable(other) && !other->redundant) {
			ike_sa_delete(e, sa, IKE_REASON_REPLACED);
			return;
		}
	}
	sa->redundant = false; /* the other one went meanwhile */
}

bool duplicates_forbid(const struct ike_sa *sa)
{
	const struct ike_sa *other;

	if (sa->conn->unique != UNIQUE_KEEP)
		return false;
	DL_FOREACH2 (sa->entry->sas, other, entry_next)
		if (same_peer(sa, other) && ike_sa_usable(other) && !crossing(sa, other))
			return true;
	return false;
}
