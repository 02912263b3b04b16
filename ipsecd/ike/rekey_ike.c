/* Rekeying of IKE_SAs (RFC 7296 1.3.2, 2.18), in both roles: the new IKE_SA inherits all
 * CHILD_SAs, message IDs start anew, the initiator of the rekey deletes the old one.
 *
 * Simultaneous rekeys (2.8.2): while ours is in flight the peer's is answered, too, and
 * sa->collision names the IKE_SA it made; which of the two inherits is settled by the
 * nonces when our answer comes, or when the peer deletes the old IKE_SA first. */
#include "ipsecd/ike/rekey_ike.h"
#include "ipsecd/ike/collide.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/create_child.h"
#include "ipsecd/ike/duplicates.h"

#include <stdio.h>

#define RETRY_AFTER (30 * MONO_S)
/* How long we wait for a DELETE that is the peer's to send. Longer than a peer may repeat the
 * request whose answer was lost: our own DELETE would end the IKE_SA it still lives on. */
#define DELETE_WAIT (60 * MONO_S)
/* How long our DELETE of the old one waits for the peer's of the redundant one. It may send its
 * request again before it has our answer. */
#define REDUNDANT_WAIT (10 * MONO_S)

static struct ike_sa *new_sa_of(const struct ike_engine *e, const struct task *t)
{
	return t->new_sa ? ike_sa_by_spi(e, t->new_sa) : NULL;
}

static void drop_new_sa(struct ike_engine *e, struct task *t, const char *why)
{
	struct ike_sa *made = new_sa_of(e, t);

	t->new_sa = 0;
	if (!made)
		return;
	made->redundant = true;
	ike_sa_end(e, made, IKE_REASON_REPLACED, why);
}

/* ---- settling ---- */

/* A task that wanted this IKE_SA rekeyed has it. */
static void satisfy(struct ike_engine *e, const struct ike_sa *old, struct task *t)
{
	if (!t || t->ops != &rekey_ike_ops)
		return;
	if (t != old->running) /* else its answer is still to come */
		drop_new_sa(e, t, "the peer's rekey was faster");
	exchange_done(e, t, true, IKE_REASON_NONE, NULL);
}

/* `next` inherits; the DELETE of `old` is the rekey initiator's, `ours` if that are we. */
static void take_over(struct ike_engine *e, struct ike_sa *next, struct ike_sa *old, bool ours)
{
	struct task *t;

	if (ours)
		e->counters.ike_rekey_init++;
	else
		e->counters.ike_rekey_resp++;
	satisfy(e, old, old->running);
	DL_FOREACH (old->tasks, t)
		satisfy(e, old, t);
	old->successor = next->own_spi;
	old->collision = 0;
	next->predecessor = 0;
	timer_cancel(&e->timers, &old->rekey_timer);
	timer_cancel(&e->timers, &old->dpd_timer);
	ike_sa_set_state(e, old, IKE_SA_REKEYED, "replaced");
	timer_set(&e->timers, &old->expire_timer, e->now + DELETE_WAIT);
	duplicates_inherit(e, next, old);
	ike_sa_announce(e, next, old);
	ike_sa_move_children(e, old, next);
}

/* The IKE_SA that the peer made in a collision, NULL if there is none (any more). */
static struct ike_sa *theirs_of(const struct ike_engine *e, const struct ike_sa *sa)
{
	return sa->collision ? ike_sa_by_spi(e, sa->collision) : NULL;
}

/* It lost: its maker deletes it, and if that never comes it ends by itself. */
static void expect_delete(struct ike_engine *e, struct ike_sa *theirs)
{
	sa_touch(e, theirs);
	theirs->redundant = true;
	theirs->predecessor = 0;
	timer_cancel(&e->timers, &theirs->rekey_timer);
	timer_set(&e->timers, &theirs->expire_timer, e->now + DELETE_WAIT);
}

/* A peer that has our DELETE of `old` before our answer forgets its own rekey (RFC 7296 2.25.2):
 * `theirs` would be left over here. Its DELETE shows that the answer is there. */
static void delete_after(struct ike_engine *e, struct ike_sa *old, const struct ike_sa *theirs)
{
	sa_touch(e, old);
	old->collision = theirs->own_spi;
	timer_set(&e->timers, &old->expire_timer, e->now + REDUNDANT_WAIT);
}

/* The old IKE_SA whose DELETE waits for the end of `theirs`, NULL if there is none. */
static struct ike_sa *waits_for(const struct ike_sa *theirs)
{
	struct ike_sa *old;

	DL_FOREACH2 (theirs->entry->sas, old, entry_next)
		if (old->state == IKE_SA_REKEYED && old->collision == theirs->own_spi)
			return old;
	return NULL;
}

void rekey_ike_peer_deletes(struct ike_engine *e, struct ike_sa *sa)
{
	struct ike_sa *theirs = theirs_of(e, sa);
	struct ike_sa *old = sa->redundant ? waits_for(sa) : NULL;

	if (old)
		ike_sa_delete(e, old, IKE_REASON_REPLACED);
	if (sa->state == IKE_SA_REKEYING && theirs)
		take_over(e, theirs, sa, false);
}

void rekey_ike_peer_uses(struct ike_engine *e, struct ike_sa *theirs)
{
	struct ike_sa *old = theirs->predecessor ? ike_sa_by_spi(e, theirs->predecessor) : NULL;

	if (old && old->state == IKE_SA_REKEYING && theirs_of(e, old) == theirs)
		take_over(e, theirs, old, false);
}

/* ---- keys ---- */

static bool make_keys(struct ike_engine *e, const struct ike_sa *old, struct ike_sa *made,
		      struct span nonce_i, struct span nonce_r, struct span shared)
{
	struct keymat_ike_input in = {
		.suite = &made->suite,
		.nonce_i = nonce_i,
		.nonce_r = nonce_r,
		.shared = shared,
		.spi_i = made->spi_i,
		.spi_r = made->spi_r,
		.old_prf = old->suite.prf, /* RFC 7296 2.18: the old IKE_SA's PRF and SK_d */
		.old_d = kept_key(old->keys, SK_D),
	};
	struct ike_keys keys;
	bool ok = keymat_ike(e->env.crypto, &in, &keys) && kept_keys(&made->keys, &keys);

	explicit_bzero(&keys, sizeof(keys));
	return ok;
}

/* The chosen proposal's SPI: eight bytes, not 0 (RFC 7296 1.3.2, 3.3.1). 0: none such. */
static uint64_t spi_of(const struct wire_message *in, uint8_t number)
{
	for (unsigned i = 0; i < in->sa.n; i++) {
		if (in->sa.p[i].number == number && in->sa_spis[i].len == 8)
			return be64_get(in->sa_spis[i].ptr);
	}
	return 0;
}

/* ---- initiator ---- */

static bool create_rekey_ike_request(struct exchange *x)
{
	const struct proposal_list *ours = x->sa->conn->proposals;
	struct task *t = x->task;
	struct ike_sa *made = new_sa_of(x->e, t);
	uint8_t spi[8];

	if (x->sa->state != IKE_SA_ESTABLISHED || x->sa->redundant) {
		drop_new_sa(x->e, t, "the IKE_SA is replaced already"); /* of a refused try */
		return false;
	}
	if (!task_new_secrets(x->e, t, create_child_group(t, ours, x->sa->suite.ke)))
		return false;
	if (!made)
		made = ike_sa_new_rekeyed(x->e, x->sa, true);
	if (!made)
		return false;
	t->new_sa = made->own_spi;
	be64_set(spi, made->own_spi);
	wire_put_sa(x->out, ours, span_of(spi, sizeof(spi)));
	wire_put_nonce(x->out, span_of(t->nonce, sizeof(t->nonce)));
	wire_put_ke(x->out, t->ke_alg->id, span_of(t->ke_public, t->ke_alg->public_len));
	ike_sa_set_state(x->e, x->sa, IKE_SA_REKEYING, "our rekey is sent");
	return true;
}

static bool fault(struct refusal_cause *cause, enum ike_reason reason, const char *detail)
{
	cause->reason = reason;
	snprintf(cause->detail, sizeof(cause->detail), "%s", detail);
	return false;
}

/* Validates the answer and completes `made`; nothing of x->sa changes. */
static bool consume_choice(struct exchange *x, struct ike_sa *made, struct refusal_cause *cause)
{
	const uint64_t needed =
		WIRE_BIT(PAYLOAD_SA) | WIRE_BIT(PAYLOAD_NONCE) | WIRE_BIT(PAYLOAD_KE);
	const struct wire_message *in = x->in;
	uint8_t shared[ALGORITHM_SHARED_MAX];
	struct task *t = x->task;
	struct suite suite;
	uint64_t spi;
	bool ok;

	*cause = (struct refusal_cause){0};
	if ((in->present & needed) != needed || in->sa.n != 1) /* RFC 7296 1.3.2, 2.7 */
		return fault(cause, IKE_REASON_INVALID_SYNTAX,
			     "the response lacks SA with one proposal, Nr or KEr");
	spi = spi_of(in, in->sa.p[0].number);
	if (!spi)
		return fault(cause, IKE_REASON_INVALID_SYNTAX, "the response has no SPI");
	if (!proposal_accept(x->sa->conn->proposals, &in->sa.p[0], false, &suite))
		return fault(cause, IKE_REASON_NO_PROPOSAL, "the peer chose what we did not offer");
	if (suite.ke != t->ke_alg || in->ke.group != t->ke_alg->id)
		return fault(cause, IKE_REASON_INVALID_SYNTAX,
			     "the peer's KE method is not the one we sent");
	if (!x->e->env.crypto->ke_derive(t->ke, in->ke.data, shared))
		return fault(cause, IKE_REASON_INVALID_SYNTAX, "the peer's KE value is invalid");
	made->suite = suite;
	made->spi_r = spi;
	ok = make_keys(x->e, x->sa, made, span_of(t->nonce, sizeof(t->nonce)), in->nonce,
		       span_of(shared, suite.ke->shared_len));
	explicit_bzero(shared, sizeof(shared));
	return ok || fault(cause, IKE_REASON_INTERNAL, "the new IKE_SA's keys can't be made");
}

static void settle(struct exchange *x, struct ike_sa *ours, struct ike_sa *theirs)
{
	struct span own = span_of(x->task->nonce, sizeof(x->task->nonce));
	bool goes = theirs && collide_ours_goes(collide_lowest(own, x->in->nonce),
						message_copy_span(&theirs->lowest_nonce));

	ours->path = x->sa->path; /* the peer may have moved since we asked */
	quick_crash_take(x->e, ours, x->in);
	ike_sa_establish(x->e, ours, "rekeyed by us");
	if (goes) { /* RFC 7296 2.8.2 */
		ours->redundant = true;
		take_over(x->e, theirs, x->sa, false);
		ike_sa_delete(x->e, ours, IKE_REASON_REPLACED);
		return;
	}
	if (theirs)
		expect_delete(x->e, theirs);
	take_over(x->e, ours, x->sa, true);
	quick_crash_renew(x->e, ours);
	if (theirs)
		delete_after(x->e, x->sa, theirs);
	else
		ike_sa_delete(x->e, x->sa, IKE_REASON_REPLACED);
}

/* The IKE_SA stays as it is; it is tried again until its hard end. */
static void refused(struct exchange *x, const struct refusal_cause *cause)
{
	ike_log(x->e, x->sa, LOG_LEVEL_WARN, "rekeying the IKE_SA failed: %s", cause->detail);
	drop_new_sa(x->e, x->task, cause->detail);
	exchange_done(x->e, x->task, false, cause->reason, cause->detail);
	if (cause->notify == NOTIFY_TEMPORARY_FAILURE) /* RFC 7296 2.25: out of step */
		ike_sa_delete(x->e, x->sa, cause->reason);
	else if (x->sa->conn->rekey && x->sa->state == IKE_SA_ESTABLISHED)
		timer_set(&x->e->timers, &x->sa->rekey_timer,
			  x->e->now + RETRY_AFTER + engine_random_below(x->e, RETRY_AFTER));
}

/* The answer came when the IKE_SA was deleted or replaced: what the peer made goes, too. */
static void close_all(struct exchange *x, struct ike_sa *made, struct ike_sa *theirs)
{
	bool deleting = x->sa->state == IKE_SA_DELETING;
	enum ike_reason reason = deleting ? x->sa->end_reason : IKE_REASON_REPLACED;
	struct refusal_cause cause;

	if (theirs)
		ike_sa_delete(x->e, theirs, reason);
	if (!made || wire_find_error(x->in) || !consume_choice(x, made, &cause)) {
		drop_new_sa(x->e, x->task, "the IKE_SA is deleted or replaced");
		return;
	}
	x->task->new_sa = 0;
	made->redundant = true;
	ike_sa_establish(x->e, made, "rekeyed by us");
	ike_sa_delete(x->e, made, reason);
}

static void consume_rekey_ike_response(struct exchange *x)
{
	struct ike_sa *made = new_sa_of(x->e, x->task);
	struct ike_sa *theirs = theirs_of(x->e, x->sa);
	struct refusal_cause cause;
	enum refusal refusal;

	if (x->sa->state != IKE_SA_REKEYING) {
		close_all(x, made, theirs);
		return;
	}
	if (theirs && wire_find_error(x->in)) {
		/* RFC 7296 2.8.2: the peer had finished before it saw ours; it deletes. */
		drop_new_sa(x->e, x->task, "the peer's rekey was faster");
		take_over(x->e, theirs, x->sa, false);
		return;
	}
	refusal = create_child_refusal(x, x->sa->conn->proposals, NULL, &cause);
	if (refusal != REFUSAL_NONE || !made) {
		ike_sa_set_state(x->e, x->sa, IKE_SA_ESTABLISHED, "the rekey was refused");
		if (refusal != REFUSAL_AGAIN)
			refused(x, &cause);
		return;
	}
	if (consume_choice(x, made, &cause)) {
		x->task->new_sa = 0;
		settle(x, made, theirs);
		exchange_done(x->e, x->task, true, IKE_REASON_NONE, NULL);
		return;
	}
	/* The peer moved on to an IKE_SA that we can't take: start over. */
	ike_sa_set_state(x->e, x->sa, IKE_SA_ESTABLISHED, "the rekey's answer is unusable");
	refused(x, &cause);
	ike_sa_delete(x->e, x->sa, cause.reason);
}

static void abandon_rekey_ike(struct ike_engine *e, struct ike_sa *sa, struct task *t)
{
	struct ike_sa *theirs = theirs_of(e, sa);

	drop_new_sa(e, t, "the IKE_SA ended");
	if (theirs)
		ike_sa_delete(e, theirs, sa->end_reason);
}

const struct exchange_ops rekey_ike_ops = {
	.name = "CREATE_CHILD_SA (rekey of the IKE_SA)",
	.kind = KIND_REKEY_IKE,
	.create_request = create_rekey_ike_request,
	.consume_response = consume_rekey_ike_response,
	.abandon = abandon_rekey_ike,
};

/* ---- responder ---- */

static bool children_busy(const struct ike_sa *sa)
{
	const struct exchange_ops *ops = sa->running ? sa->running->ops : NULL;

	return ops == &create_child_ops || ops == &rekey_child_ops || ops == &delete_child_ops ||
	       ops == &resource_child_ops;
}

/* The choice; refuses and returns false when there is none. */
static bool select_suite(struct exchange *x, struct proposal *chosen, struct suite *suite,
			 uint64_t *spi)
{
	uint8_t group[2];

	if (!proposal_select(x->sa->conn->proposals, &x->in->sa, false, chosen, suite)) {
		exchange_refuse(x, NOTIFY_NO_PROPOSAL_CHOSEN, span_of(NULL, 0),
				"no IKE proposal of the peer's rekey is one of ours");
		return false;
	}
	*spi = spi_of(x->in, chosen->number);
	if (!*spi) {
		exchange_refuse(x, NOTIFY_NO_PROPOSAL_CHOSEN, span_of(NULL, 0),
				"an IKE rekey without an SPI of eight bytes");
		return false;
	}
	if (x->in->ke.group == suite->ke->id)
		return true;
	be16_set(group, suite->ke->id);
	exchange_refuse(x, NOTIFY_INVALID_KE_PAYLOAD, span_of(group, sizeof(group)),
			"the peer's KE is not of the group chosen");
	return false;
}

/* The new IKE_SA with keys, not established yet; NULL: refused. */
static struct ike_sa *make_answer(struct exchange *x, const struct suite *suite, uint64_t spi_i,
				  struct span nonce, uint8_t *public_value)
{
	uint8_t shared[ALGORITHM_SHARED_MAX];
	struct ike_sa *made;
	bool ok;

	if (!create_child_answer_ke(x, suite->ke, public_value, shared))
		return NULL;
	made = ike_sa_new_rekeyed(x->e, x->sa, false);
	if (made) {
		made->suite = *suite;
		made->spi_i = spi_i;
		ok = make_keys(x->e, x->sa, made, x->in->nonce, nonce,
			       span_of(shared, suite->ke->shared_len));
		if (!ok) {
			made->redundant = true;
			ike_sa_end(x->e, made, IKE_REASON_INTERNAL, "no keys");
			made = NULL;
		}
	}
	explicit_bzero(shared, sizeof(shared));
	if (!made)
		exchange_refuse(x, NOTIFY_TEMPORARY_FAILURE, span_of(NULL, 0),
				"the new IKE_SA's keys can't be made");
	return made;
}

static void put_answer(struct exchange *x, const struct ike_sa *made, const struct proposal *chosen,
		       struct span nonce, const uint8_t *public_value)
{
	struct proposal_list list = {.n = 1, .p = {*chosen}};
	uint8_t spi[8];

	be64_set(spi, made->own_spi);
	wire_put_sa(x->out, &list, span_of(spi, sizeof(spi)));
	wire_put_nonce(x->out, nonce);
	wire_put_ke(x->out, made->suite.ke->id, span_of(public_value, made->suite.ke->public_len));
}

static void meet(struct ike_sa *old, struct ike_sa *theirs)
{
	old->collision = theirs->own_spi;
	theirs->predecessor = old->own_spi;
}

static void answer(struct exchange *x, bool collision)
{
	uint8_t nonce[IKE_NONCE_LEN], public_value[ALGORITHM_PUBLIC_MAX];
	struct span own = span_of(nonce, sizeof(nonce));
	struct proposal chosen;
	struct ike_sa *made;
	struct suite suite;
	uint64_t spi_i;

	if (!select_suite(x, &chosen, &suite, &spi_i))
		return;
	engine_random(x->e, nonce, sizeof(nonce));
	made = make_answer(x, &suite, spi_i, own, public_value);
	if (!made)
		return;
	create_child_keep_lowest(x->in->nonce, own, &made->lowest_nonce);
	put_answer(x, made, &chosen, own, public_value);
	quick_crash_put(x->e, made, x->out);
	ike_sa_establish(x->e, made, "rekeyed by the peer");
	if (collision)
		meet(x->sa, made);
	else
		take_over(x->e, made, x->sa, false);
}

/* A peer that rekeys and never deletes what it replaced is slowed down to our patience. */
static bool too_many_replaced(const struct ike_sa *sa)
{
	const struct ike_sa *other;
	unsigned n = 0;

	DL_FOREACH2 (sa->entry->sas, other, entry_next)
		n += other->state == IKE_SA_REKEYED &&
		     id_equal(sa_remote_id(other), sa_remote_id(sa));
	return n >= IKE_REPLACED_MAX;
}

void rekey_ike_respond(struct exchange *x)
{
	enum verdict verdict;

	rekey_ike_peer_uses(x->e, x->sa);
	verdict = collide_rekey_ike(collide_ike_activity(x->sa), children_busy(x->sa));
	if (verdict == VERDICT_COLLISION && theirs_of(x->e, x->sa))
		verdict = VERDICT_TEMPORARY_FAILURE; /* a second one of the peer's */
	if (x->sa->superseded || too_many_replaced(x->sa))
		verdict = VERDICT_TEMPORARY_FAILURE;
	if (verdict == VERDICT_TEMPORARY_FAILURE) {
		exchange_refuse(x, NOTIFY_TEMPORARY_FAILURE, span_of(NULL, 0),
				"an IKE rekey while the IKE_SA or a CHILD_SA of it is changed");
		return;
	}
	answer(x, verdict == VERDICT_COLLISION);
}
