/* Rekeying of CHILD_SAs (RFC 7296 1.3.3, 2.8), in both roles, without losing a packet:
 * the responder receives on the new CHILD_SA before it answers and sends on it once the
 * initiator surely has it, that is when the old one is deleted or a packet came by the new
 * one; the initiator sends on it at once and then deletes the old one, which still
 * receives for a while (child_linger).
 *
 * Simultaneous rekeys (2.8.1): while ours is in flight the peer's is answered, too;
 * task->collision names the CHILD_SA it made. It is settled when our answer comes. */
#include "ipsecd/ike/collide.h"
#include "ipsecd/ike/create_child.h"
#include "ipsecd/ike/rekey_child.h"
#include "ipsecd/ike/rekey_ike.h"

#include <stdlib.h>

/* A refused rekey is tried again while the CHILD_SA lives. */
#define RETRY_AFTER (20 * MONO_S)
/* A rekey of what the peer has only just made waits for a sign that our answer is there. */
#define SIGN_WAIT  (10 * MONO_S)
#define SIGN_AGAIN (20 * MONO_MS)
/* The old one's DELETE waits a moment, in which the data plane may refuse the new one. */
#define INSTALL_WAIT (20 * MONO_MS)

/* Our rekey of it that is in flight, NULL if there is none. */
static struct task *own_rekey(const struct ike_sa *sa, const struct child *c)
{
	struct task *t = sa->running;

	return t && c && t->ops == &rekey_child_ops && t->child == c->id ? t : NULL;
}

/* ---- settling ---- */

/* `c` replaces `old` for good. old NULL: it went meanwhile. */
static void take_over(struct ike_engine *e, struct child *c, struct child *old)
{
	e->counters.child_rekey++;
	child_announce(e, c, old);
	if (!old)
		return;
	old->replaced_by = c->id;
	timer_cancel(&e->timers, &old->rekey_timer);
	if (child_usable(old))
		child_set_state(e, old, CHILD_REKEYED, "replaced");
}

/* The peer's rekey stands: it deletes the old CHILD_SA. */
static void theirs_stays(struct exchange *x, struct child *theirs, struct child *old)
{
	if (!theirs->announced)
		take_over(x->e, theirs, old);
	else if (old)
		old->replaced_by = theirs->id;
}

/* What replaces `old` now: rekeyed again and again, only the last one counts. */
static struct child *last_successor(const struct ike_engine *e, const struct child *old)
{
	struct child *next = child_by_id(e, old->replaced_by);

	while (next && !child_usable(next) && next->replaced_by)
		next = child_by_id(e, next->replaced_by);
	return next && child_usable(next) ? next : NULL;
}

void rekey_child_peer_deletes(struct ike_engine *e, struct ike_sa *sa, struct child *old)
{
	struct task *t = own_rekey(sa, old);
	struct child *next = last_successor(e, old);

	if (!next && t && t->collision) { /* the peer did not see the collision, or won it */
		next = child_by_id(e, t->collision);
		t->collision_lost = true;
		if (next)
			take_over(e, next, old);
	}
	if (next)
		child_set_outbound(e, next, true, "the peer deletes the old one");
}

void rekey_child_deleted(struct ike_engine *e, struct child *old)
{
	struct child *next = child_by_id(e, old->replaced_by);

	if (next && child_usable(next))
		child_set_outbound(e, next, true, "the old one is deleted");
}

/* Also without a time for it: the data plane says only once that a limit is near. */
static void retry_later(struct ike_engine *e, struct child *c)
{
	if (c->sa->conn->rekey)
		timer_set(&e->timers, &c->rekey_timer,
			  e->now + RETRY_AFTER + engine_random_below(e, RETRY_AFTER));
}

/* Our DELETE of it was not sent yet. */
static bool delete_waits(const struct child *c)
{
	return exchange_find(c->sa, &delete_child_ops, c->id) &&
	       !(c->sa->running && c->sa->running->child == c->id);
}

void rekey_child_undone(struct ike_engine *e, struct child *c, const char *why)
{
	struct child *old = c->replaces ? child_by_id(e, c->replaces) : NULL;

	if (!old || old->replaced_by != c->id || c->replaced_by)
		return;
	if (old->state != CHILD_REKEYED && !(old->state == CHILD_DELETING && delete_waits(old)))
		return;
	exchange_drop_child(e, old->sa, old->id);
	old->replaced_by = 0;
	old->end_reason = IKE_REASON_NONE;
	child_set_state(e, old, CHILD_INSTALLED, why);
	if (c->initiator || old->config->rekey_time) /* else it was the peer who wanted it */
		retry_later(e, old);
	if (c->announced)
		child_announce(e, old, c);
}

void rekey_child_forsake(struct ike_engine *e, const struct child *c, enum ike_reason reason)
{
	struct task *t = own_rekey(c->sa, c);

	if (!t)
		return;
	sa_touch(e, c->sa);
	t->reason = reason;
}

/* ---- initiator ---- */

/* The peer asked for it, and nothing shows yet that it has our answer: without that it could only
 * say CHILD_SA_NOT_FOUND, and we would drop what it is about to use (RFC 7296 2.25). */
static bool peer_lacks(const struct child *c, mono_time now)
{
	return c->replaces && !c->initiator && !c->outbound && now < c->installed + SIGN_WAIT;
}

static bool create_rekey_child_request(struct exchange *x)
{
	struct child *c = child_by_id(x->e, x->task->child);
	const struct child_config *config;
	struct task *t = x->task;
	uint8_t spi[4];
	char *name;

	t->collision = 0;
	if (!c || c->state != CHILD_INSTALLED || c->redundant) {
		/* replaced or deleted by the peer meanwhile; a command has what it wanted */
		exchange_done(x->e, t, c && c->replaced_by, IKE_REASON_PEER_DELETED, NULL);
		return false;
	}
	if (peer_lacks(c, x->now)) {
		exchange_wait(x, SIGN_AGAIN);
		return false;
	}
	config = conn_child(x->sa->conn, c->config->name);
	name = config ? strdup(config->name) : NULL;
	if (!name)
		return false;
	free(t->child_name);
	t->child_name = name;
	/* RFC 7296 1.3.3: the SPI as the peer sends to it. */
	be32_set(spi, c->spi_in);
	wire_put_notify(x->out, PROTOCOL_ESP, NOTIFY_REKEY_SA, span_of(spi, sizeof(spi)),
			span_of(NULL, 0));
	if (!create_child_put_offer(x, config, c, c->resource))
		return false;
	child_set_state(x->e, c, CHILD_REKEYING, "our rekey is sent");
	return true;
}

static void back_to_installed(struct exchange *x, struct child *old)
{
	if (old && old->state == CHILD_REKEYING)
		child_set_state(x->e, old, CHILD_INSTALLED, "the rekey was refused");
}

/* RFC 7296 2.25: CHILD_SA_NOT_FOUND means that the peer has lost it; ours goes without a
 * word and a new one is made from scratch. */
static void start_from_scratch(struct exchange *x, struct child *old)
{
	child_end(x->e, old, IKE_REASON_PEER_DELETED, "the peer does not know it");
	exchange_enqueue(x->e, x->sa, &create_child_ops, 0, x->task->child_name, 0);
}

static void refused(struct exchange *x, struct child *old, const struct refusal_cause *cause)
{
	ike_log(x->e, x->sa, LOG_LEVEL_WARN, "rekeying CHILD_SA %s failed: %s", x->task->child_name,
		cause->detail);
	exchange_done(x->e, x->task, false, cause->reason, cause->detail);
	if (create_child_out_of_step(cause)) {
		ike_sa_delete(x->e, x->sa, cause->reason);
		return;
	}
	if (!old)
		return;
	if (cause->notify == NOTIFY_CHILD_SA_NOT_FOUND)
		start_from_scratch(x, old);
	else if (old->state == CHILD_INSTALLED)
		retry_later(x->e, old);
}

/* The one that is replaced for good. */
static void delete_old(struct exchange *x, struct child *old)
{
	struct task *t;

	child_delete(x->e, old, IKE_REASON_REPLACED);
	t = exchange_find(x->sa, &delete_child_ops, old->id);
	if (t)
		t->not_before = x->now + INSTALL_WAIT;
}

static void settle(struct exchange *x, struct child *ours, struct child *theirs, struct child *old,
		   bool goes)
{
	if (goes) {
		ours->redundant = true;
		if (theirs)
			theirs_stays(x, theirs, old);
		child_delete(x->e, ours, IKE_REASON_REPLACED);
		return;
	}
	if (theirs) {
		theirs->redundant = true; /* its maker deletes it */
		timer_cancel(&x->e->timers, &theirs->rekey_timer);
		child_set_outbound(x->e, theirs, false, "lost a simultaneous rekey");
	}
	take_over(x->e, ours, old);
	if (old)
		delete_old(x, old);
}

static void commit_choice(struct exchange *x, const struct child_offer *offer, struct span shared,
			  struct child *old, struct child *theirs)
{
	bool goes = create_child_ours_goes(x);
	struct child *ours;

	if (offer->spi_out == x->task->gone_spi) { /* deleted before we knew it */
		if (old)
			child_delete(x->e, old, IKE_REASON_PEER_DELETED);
		return;
	}
	ours = child_setup_commit(x->e, x->sa, offer,
				  span_of(x->task->nonce, sizeof(x->task->nonce)), x->in->nonce,
				  shared, true, !goes, old);
	if (!ours) {
		create_child_undo_at_peer(x);
		back_to_installed(x, old);
		return;
	}
	settle(x, ours, theirs, old, goes);
	exchange_done(x->e, x->task, true, IKE_REASON_NONE, NULL);
}

/* The peer's answer is a choice, not a refusal. */
static void consume_choice(struct exchange *x, struct child *old, struct child *theirs)
{
	struct refusal_cause cause;
	const struct child_config *config = create_child_config(x, &cause);
	uint8_t shared[ALGORITHM_SHARED_MAX];
	struct child_offer offer;
	size_t shared_len;

	if (config &&
	    create_child_consume_choice(x, config, old, &offer, shared, &shared_len, &cause)) {
		commit_choice(x, &offer, span_of(shared, shared_len), old, theirs);
	} else {
		create_child_undo_at_peer(x);
		if (theirs)
			theirs_stays(x, theirs, old);
		else
			back_to_installed(x, old);
		refused(x, old, &cause);
	}
	explicit_bzero(shared, sizeof(shared));
}

/* What was to be replaced was taken down meanwhile. */
static void consume_forsaken(struct exchange *x, struct child *theirs)
{
	enum ike_reason reason = x->task->reason;

	if (!wire_find_error(x->in))
		create_child_undo_at_peer(x);
	if (theirs)
		child_delete(x->e, theirs, reason);
	exchange_done(x->e, x->task, false, reason, NULL);
}

static void consume_rekey_child_response(struct exchange *x)
{
	struct child *old = child_by_id(x->e, x->task->child);
	struct child *theirs = child_by_id(x->e, x->task->collision);
	static const struct proposal_list none;
	struct refusal_cause cause;
	const struct child_config *config = create_child_config(x, &cause);
	enum refusal refusal;

	if (x->task->reason) {
		consume_forsaken(x, theirs);
		return;
	}
	if (theirs && wire_find_error(x->in)) {
		/* RFC 7296 2.8.1: the peer had finished its own rekey first. */
		theirs_stays(x, theirs, old);
		exchange_done(x->e, x->task, true, IKE_REASON_NONE, NULL);
		return;
	}
	refusal = create_child_refusal(x, config ? config->proposals : &none, config, &cause);
	if (refusal == REFUSAL_NONE) {
		consume_choice(x, old, theirs);
		return;
	}
	back_to_installed(x, old);
	if (refusal == REFUSAL_FINAL)
		refused(x, old, &cause);
}

const struct exchange_ops rekey_child_ops = {
	.name = "CREATE_CHILD_SA (rekey of a CHILD_SA)",
	.kind = KIND_REKEY_CHILD,
	.create_request = create_rekey_child_request,
	.consume_response = consume_rekey_child_response,
};

/* ---- responder ---- */

/* RFC 7296 1.3.3: the notify names the SA by protocol and by the SPI to which we send. */
static struct child *named_child(const struct exchange *x)
{
	const struct wire_notify *n = wire_find_notify(x->in, NOTIFY_REKEY_SA);

	if (n->protocol != PROTOCOL_ESP || n->spi.len != 4)
		return NULL;
	return child_by_spi_out(x->sa, be32_get(n->spi.ptr));
}

/* RFC 7296 2.25: CHILD_SA_NOT_FOUND carries the SPI that was not found; 3.10: where there is
 * none, the protocol MUST be 0. */
static void refuse_unknown(struct exchange *x)
{
	const struct wire_notify *n = wire_find_notify(x->in, NOTIFY_REKEY_SA);
	bool named = n->spi.len == 4;

	wire_put_notify(x->out, named ? n->protocol : PROTOCOL_NONE, NOTIFY_CHILD_SA_NOT_FOUND,
			span_of(n->spi.ptr, named ? 4 : 0), span_of(NULL, 0));
	exchange_count_sent(x->e, NOTIFY_CHILD_SA_NOT_FOUND);
	ike_log(x->e, x->sa, LOG_LEVEL_INFO,
		"the peer rekeys a CHILD_SA that is not there: CHILD_SA_NOT_FOUND");
}

static void answer(struct exchange *x, struct child *old, bool collision)
{
	const struct child_config *config = conn_child(x->sa->conn, old->config->name);
	struct task *own;
	struct child *c;

	if (!config) {
		exchange_refuse(x, NOTIFY_TS_UNACCEPTABLE, span_of(NULL, 0),
				"a rekey of a child that is no longer configured");
		return;
	}
	c = create_child_answer(x, config, old, false);
	if (!c)
		return;
	if (!collision) {
		take_over(x->e, c, old);
		return;
	}
	own = own_rekey(x->sa, old);
	old->replaced_by = 0;
	if (own)
		create_child_meet(own, c);
}

void rekey_child_respond(struct exchange *x)
{
	enum verdict verdict;
	struct child *old;
	struct task *own;

	rekey_ike_peer_uses(x->e, x->sa);
	old = named_child(x);
	own = own_rekey(x->sa, old);
	verdict = collide_rekey_child(collide_child_activity(old), collide_ike_activity(x->sa),
				      collide_making_child(x->sa));
	/* One rekey of the peer meets ours; a second one would be its own mistake. */
	if (verdict == VERDICT_COLLISION && own && own->collision)
		verdict = VERDICT_TEMPORARY_FAILURE;
	switch (verdict) {
	case VERDICT_NOT_FOUND:
		refuse_unknown(x);
		break;
	case VERDICT_ANSWER:
	case VERDICT_COLLISION:
		answer(x, old, verdict == VERDICT_COLLISION);
		break;
	default:
		exchange_refuse(
			x, NOTIFY_TEMPORARY_FAILURE, span_of(NULL, 0),
			"a rekey of a CHILD_SA that is replaced or closed, or whose IKE_SA is");
	}
}
