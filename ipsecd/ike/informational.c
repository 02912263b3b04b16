/* INFORMATIONAL exchanges (RFC 7296 1.4): deletes of CHILD_SAs and IKE_SAs in both roles
 * (1.4.1), liveness (2.4). Content that we don't know is answered with an empty message. */
#include "ipsecd/ike/informational.h"
#include "ipsecd/ike/collide.h"
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/rekey_child.h"
#include "ipsecd/ike/rekey_ike.h"

#define SPIS_PER_DELETE 64

/* ---- delete of a CHILD_SA, initiator ---- */

static bool create_delete_child_request(struct exchange *x)
{
	struct child *c = child_by_id(x->e, x->task->child);
	uint8_t spi[4];

	if (c ? c->state == CHILD_DELETED : !x->task->spi)
		return false;
	if (c)
		child_set_state(x->e, c, CHILD_DELETING, ike_reason_text(c->end_reason));
	/* RFC 7296 3.11: the SPI of the sender's inbound SA */
	be32_set(spi, c ? c->spi_in : x->task->spi);
	wire_put_delete(x->out, PROTOCOL_ESP, sizeof(spi), span_of(spi, sizeof(spi)));
	return true;
}

/* Late packets of a replaced CHILD_SA are still on their way. */
static void retire(struct ike_engine *e, struct child *c, enum ike_reason reason)
{
	if (!c->replaced_by || !c->in_plane) {
		child_end(e, c, reason, NULL);
		return;
	}
	child_set_outbound(e, c, false, "deleted at the peer");
	c->end_reason = IKE_REASON_REPLACED;
	child_linger(e, c);
}

/* With or without a Delete payload in the answer: the peer has it no more. */
static void consume_delete_child_response(struct exchange *x)
{
	struct child *c = child_by_id(x->e, x->task->child);

	if (!c)
		return;
	rekey_child_deleted(x->e, c);
	retire(x->e, c, c->end_reason);
}

const struct exchange_ops delete_child_ops = {
	.name = "INFORMATIONAL (delete of a CHILD_SA)",
	.kind = KIND_INFORMATIONAL,
	.create_request = create_delete_child_request,
	.consume_response = consume_delete_child_response,
};

void delete_child_at_peer(struct ike_engine *e, struct ike_sa *sa, uint32_t spi_in)
{
	/* A handle that nobody has: no other delete is the same. */
	struct task *t = exchange_enqueue(e, sa, &delete_child_ops, ++e->next_child_id, NULL, 0);

	if (t)
		t->spi = spi_in;
	else /* out of step, and no memory to put it right */
		ike_sa_delete(e, sa, IKE_REASON_INTERNAL);
}

/* ---- delete of the IKE_SA, initiator ---- */

static bool create_delete_ike_request(struct exchange *x)
{
	wire_put_delete(x->out, PROTOCOL_IKE, 0, span_of(NULL, 0));
	return true;
}

static void consume_delete_ike_response(struct exchange *x)
{
	ike_sa_end(x->e, x->sa, x->sa->end_reason, NULL);
}

const struct exchange_ops delete_ike_ops = {
	.name = "INFORMATIONAL (delete of the IKE_SA)",
	.kind = KIND_INFORMATIONAL,
	.create_request = create_delete_ike_request,
	.consume_response = consume_delete_ike_response,
};

/* ---- liveness ---- */

static bool create_liveness_request(struct exchange *x)
{
	/* Heard while it waited: no need any more. */
	return x->sa->suspicion.what || x->e->now - x->sa->last_heard >= x->sa->conn->dpd_delay;
}

/* Any authenticated answer has set last_heard. */
static void consume_liveness_response(struct exchange *x)
{
	liveness_arm(x->e, x->sa);
}

const struct exchange_ops liveness_ops = {
	.name = "INFORMATIONAL (liveness)",
	.kind = KIND_INFORMATIONAL,
	.create_request = create_liveness_request,
	.consume_response = consume_liveness_response,
};

void liveness_arm(struct ike_engine *e, struct ike_sa *sa)
{
	mono_time delay = sa->conn->dpd_delay;

	sa_touch(e, sa);
	if (delay)
		timer_set(&e->timers, &sa->dpd_timer, sa->last_heard + delay);
}

/* RFC 7296 2.4: only when nothing was heard. A request in flight is a check by itself. */
void liveness_expire(struct ike_engine *e, void *owner)
{
	struct ike_sa *sa = owner;
	mono_time delay = sa->conn->dpd_delay;

	sa_touch(e, sa);
	if (!delay || !ike_sa_usable(sa))
		return;
	if (e->now < sa->last_heard + delay) {
		liveness_arm(e, sa);
		return;
	}
	timer_set(&e->timers, &sa->dpd_timer, e->now + delay);
	if (!sa->tx.in_flight)
		exchange_enqueue(e, sa, &liveness_ops, 0, NULL, 0);
}

/* ---- responder ---- */

/* RFC 7296 1.4.1, 2.25.2: answered as usual, our own requests are forgotten. The answer is
 * empty and leaves after this handler. */
static void respond_delete_ike(struct exchange *x)
{
	struct ike_sa *sa = x->sa;

	if (collide_delete_ike(collide_ike_activity(sa)) == VERDICT_FORGET_OWN)
		ike_log(x->e, sa, LOG_LEVEL_DEBUG, "the peer deletes IKE_SA #%u in state %s",
			sa->id, ike_sa_state_name(sa->state));
	rekey_ike_peer_deletes(x->e, sa);
	ike_sa_end(x->e, sa,
		   sa->announced && !sa->superseded ? IKE_REASON_PEER_DELETED : IKE_REASON_REPLACED,
		   NULL);
}

/* Our DELETE for it is in flight: the answers carry no Delete payload (RFC 7296 1.4.1). */
static enum activity delete_activity(const struct exchange *x, const struct child *c)
{
	const struct task *running = x->sa->running;

	if (!c || c->state == CHILD_DELETED)
		return ACTIVITY_GONE;
	if (running && running->ops == &delete_child_ops && running->child == c->id)
		return ACTIVITY_CLOSING;
	return c->state == CHILD_REKEYING ? ACTIVITY_REKEYING : ACTIVITY_NONE;
}

/* true: *answer is our SPI of the pair, to go into the response. */
static bool respond_delete_child(struct exchange *x, uint32_t spi, uint32_t *answer)
{
	struct child *c = child_by_spi_out(x->sa, spi);

	if (collide_delete_child(delete_activity(x, c)) == VERDICT_WITHOUT_DELETE) {
		if (c) /* RFC 7296 1.4.1: the outgoing half now, the incoming with our answer */
			child_set_outbound(x->e, c, false, "both ends delete it");
		else if (collide_making_child(x->sa))
			x->sa->running->gone_spi = spi;
		else
			ike_log(x->e, x->sa, LOG_LEVEL_DEBUG,
				"the peer deletes CHILD_SA %08x, which is not there", spi);
		return false;
	}
	*answer = c->spi_in;
	rekey_child_peer_deletes(x->e, x->sa, c);
	rekey_child_undone(x->e, c, "the peer deletes what replaced it");
	retire(x->e, c, c->redundant ? IKE_REASON_REPLACED : IKE_REASON_PEER_DELETED);
	return true;
}

static void put_spis(struct exchange *x, const uint8_t *spis, size_t n)
{
	if (n)
		wire_put_delete(x->out, PROTOCOL_ESP, 4, span_of(spis, n * 4));
}

static void respond_delete_children(struct exchange *x, const struct wire_delete *d)
{
	uint8_t answers[SPIS_PER_DELETE * 4];
	size_t n = 0;
	uint32_t spi;

	for (size_t i = 0; i < d->n_spis; i++) {
		if (!respond_delete_child(x, be32_get(d->spis.ptr + i * 4), &spi))
			continue;
		be32_set(answers + n * 4, spi);
		if (++n == SPIS_PER_DELETE) {
			put_spis(x, answers, n);
			n = 0;
		}
	}
	put_spis(x, answers, n);
}

/* RFC 7296 2.21.2: the initiator's word on our IKE_AUTH; it has no IKE_SA then. */
static bool respond_fatal(struct exchange *x)
{
	if (wire_find_notify(x->in, NOTIFY_AUTHENTICATION_FAILED))
		ike_sa_end(x->e, x->sa, IKE_REASON_AUTH_FAILED, "the peer refuses our identity");
	else if (wire_find_notify(x->in, NOTIFY_INVALID_SYNTAX) ||
		 wire_find_notify(x->in, NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD))
		ike_sa_end(x->e, x->sa, IKE_REASON_INVALID_SYNTAX, "the peer can't read us");
	else
		return false;
	return true;
}

void informational_respond(struct exchange *x)
{
	const struct wire_message *in = x->in;

	if (respond_fatal(x))
		return;
	for (unsigned i = 0; i < in->n_deletes; i++) {
		if (in->deletes[i].protocol != PROTOCOL_IKE)
			continue;
		respond_delete_ike(x);
		return;
	}
	reauth_heed_lifetime(x);
	quick_crash_take(x->e, x->sa, x->in);
	sync_take_counters(x->e, x->sa, x->in);
	if (in->n_deletes)
		rekey_ike_peer_uses(x->e, x->sa);
	for (unsigned i = 0; i < in->n_deletes; i++) {
		if (in->deletes[i].protocol == PROTOCOL_ESP && in->deletes[i].spi_size == 4)
			respond_delete_children(x, &in->deletes[i]);
	}
}
