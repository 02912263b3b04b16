/* CREATE_CHILD_SA for further CHILD_SAs (RFC 7296 1.3.1), in both roles, and what rekeys
 * share with it (create_child.h). Simultaneous creation of the same child is settled as
 * simultaneous rekeys are (2.8.1). Knows nothing of timers and messages' protection. */
#include "ipsecd/ike/create_child.h"
#include "ipsecd/ike/collide.h"
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/informational.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/rekey_child.h"
#include "ipsecd/ike/rekey_ike.h"
#include "ipsecd/ike/resources.h"

#include <stdio.h>

#define TRIES_MAX	 24u /* rounds of refusals, some minutes: the peers are out of step */
#define BACK_OFF_FIRST	 (500 * MONO_MS)
#define BACK_OFF_LONGEST (10 * MONO_S)

/* ---- initiator: the offer ---- */

const struct algorithm_ke *create_child_group(const struct task *t,
					      const struct proposal_list *ours,
					      const struct algorithm_ke *used)
{
	if (t->ke_group)
		return algorithm_ke(t->ke_group);
	if (used && proposal_list_has_ke(ours, used->id))
		return used;
	return proposal_first_ke(ours);
}

bool create_child_put_offer(struct exchange *x, const struct child_config *config,
			    const struct child *old, uint32_t resource)
{
	const struct algorithm_ke *used = old ? old->suite.ke : NULL;
	struct task *t = x->task;
	struct ts_list local, remote;

	if (!task_new_secrets(x->e, t, create_child_group(t, config->proposals, used)))
		return false;
	t->spi = resource ? engine_new_resource_spi(x->e, resource) : engine_new_child_spi(x->e);
	if (old)
		t->spi = engine_successor_spi(x->e, t->spi, old);
	t->gone_spi = 0;
	child_setup_put_sa(x->e, x->out, config, t->spi, false);
	wire_put_nonce(x->out, span_of(t->nonce, sizeof(t->nonce)));
	if (t->ke_alg)
		wire_put_ke(x->out, t->ke_alg->id, span_of(t->ke_public, t->ke_alg->public_len));
	child_setup_selectors(x->sa, config, &local, &remote);
	child_setup_put_ts(x->out, &local, &remote);
	resources_put(x->e, x->out, config, resource);
	return true;
}

/* ---- initiator: refusals ---- */

static enum ike_reason reason_of(uint16_t notify)
{
	switch (notify) {
	case NOTIFY_NO_PROPOSAL_CHOSEN:
	case NOTIFY_INVALID_KE_PAYLOAD:
		return IKE_REASON_NO_PROPOSAL;
	case NOTIFY_TS_UNACCEPTABLE:
	case NOTIFY_SINGLE_PAIR_REQUIRED:
		return IKE_REASON_TS_UNACCEPTABLE;
	case NOTIFY_INVALID_SYNTAX:
		return IKE_REASON_INVALID_SYNTAX;
	default:
		return IKE_REASON_PEER_REFUSED;
	}
}

/* The wait before the next try after TEMPORARY_FAILURE, with jitter so that two peers that
 * refused each other don't meet again. */
static mono_time back_off(struct ike_engine *e, unsigned tries)
{
	mono_time wait = BACK_OFF_FIRST;

	for (; tries && wait < BACK_OFF_LONGEST; tries--)
		wait *= 2;
	if (wait > BACK_OFF_LONGEST)
		wait = BACK_OFF_LONGEST;
	return wait / 2 + engine_random_below(e, wait);
}

/* RFC 7296 1.3: the group must be one that we proposed, else following it would let anybody
 * on the path choose. */
static bool follow_group(struct exchange *x, const struct wire_notify *n,
			 const struct proposal_list *ours, struct refusal_cause *cause)
{
	uint16_t group = n->data.len == 2 ? be16_get(n->data.ptr) : 0;
	struct task *t = x->task;

	if (!group || !algorithm_ke(group) || !proposal_list_has_ke(ours, group)) {
		snprintf(cause->detail, sizeof(cause->detail),
			 "the peer wants KE method %u, which we don't propose", group);
		return false;
	}
	if (t->ke_group == group || t->tries >= TRIES_MAX) {
		snprintf(cause->detail, sizeof(cause->detail),
			 "the peer asks for KE method %u and refuses it", group);
		return false;
	}
	t->ke_group = group;
	exchange_again(x, 0);
	return true;
}

/* RFC 7296 2.25: not at once, and not for ever. */
static bool wait_for_peer(struct exchange *x, struct refusal_cause *cause)
{
	if (x->task->tries >= TRIES_MAX) {
		snprintf(cause->detail, sizeof(cause->detail),
			 "the peer answered TEMPORARY_FAILURE %u times", x->task->tries);
		return false;
	}
	exchange_again(x, back_off(x->e, x->task->tries));
	return true;
}

static void describe_refusal(const struct exchange *x, const struct proposal_list *ours,
			     const struct child_config *config, struct refusal_cause *cause)
{
	char text[PROPOSAL_TEXT];

	if (config)
		child_setup_refusal(x->sa, config, cause->notify, cause->detail,
				    sizeof(cause->detail));
	else if (cause->notify == NOTIFY_NO_PROPOSAL_CHOSEN)
		snprintf(cause->detail, sizeof(cause->detail),
			 "NO_PROPOSAL_CHOSEN: peer accepts none of our %s",
			 proposal_list_format(ours, text, sizeof(text)));
	else
		snprintf(cause->detail, sizeof(cause->detail), "the peer answered %s",
			 wire_notify_name(cause->notify, text));
}

enum refusal create_child_refusal(struct exchange *x, const struct proposal_list *ours,
				  const struct child_config *config, struct refusal_cause *cause)
{
	const struct wire_notify *n = wire_find_error(x->in);

	*cause = (struct refusal_cause){0};
	if (!n)
		return REFUSAL_NONE;
	cause->notify = n->type;
	cause->reason = reason_of(n->type);
	if (n->type == NOTIFY_INVALID_KE_PAYLOAD)
		return follow_group(x, n, ours, cause) ? REFUSAL_AGAIN : REFUSAL_FINAL;
	if (n->type == NOTIFY_TEMPORARY_FAILURE)
		return wait_for_peer(x, cause) ? REFUSAL_AGAIN : REFUSAL_FINAL;
	describe_refusal(x, ours, config, cause);
	return REFUSAL_FINAL;
}

/* ---- initiator: the choice ---- */

static bool derive(struct exchange *x, const struct algorithm_ke *alg, uint8_t *shared,
		   size_t *shared_len, struct refusal_cause *cause)
{
	struct task *t = x->task;

	*shared_len = 0;
	if (!alg)
		return true;
	cause->reason = IKE_REASON_INVALID_SYNTAX;
	if (!(x->in->present & WIRE_BIT(PAYLOAD_KE)) || !t->ke || alg != t->ke_alg ||
	    x->in->ke.group != alg->id) {
		snprintf(cause->detail, sizeof(cause->detail),
			 "the peer chose %s, its KE payload has method %u and ours %u", alg->name,
			 x->in->ke.group, t->ke_alg ? t->ke_alg->id : 0);
		return false;
	}
	if (!x->e->env.crypto->ke_derive(t->ke, x->in->ke.data, shared)) {
		snprintf(cause->detail, sizeof(cause->detail), "the peer's KE value is invalid");
		return false;
	}
	*shared_len = alg->shared_len;
	cause->reason = IKE_REASON_NONE;
	return true;
}

static void take_cause(const struct child_offer *offer, struct refusal_cause *cause)
{
	cause->reason = offer->reason;
	memcpy(cause->detail, offer->detail, sizeof(cause->detail));
}

bool create_child_consume_choice(struct exchange *x, const struct child_config *config,
				 const struct child *old, struct child_offer *offer,
				 uint8_t *shared, size_t *shared_len, struct refusal_cause *cause)
{
	const uint64_t needed = WIRE_BIT(PAYLOAD_SA) | WIRE_BIT(PAYLOAD_NONCE) |
				WIRE_BIT(PAYLOAD_TSI) | WIRE_BIT(PAYLOAD_TSR);

	*cause = (struct refusal_cause){0};
	if ((x->in->present & needed) != needed) { /* RFC 7296 1.3.1 */
		cause->reason = IKE_REASON_INVALID_SYNTAX;
		snprintf(cause->detail, sizeof(cause->detail),
			 "the response lacks one of SA, Nr, TSi, TSr");
		return false;
	}
	if (!child_setup_accept(x->e, x->sa, x->in, config, x->task->spi, false, offer) ||
	    (old && !child_setup_keeps(x->sa, old, offer))) {
		take_cause(offer, cause);
		return false;
	}
	return derive(x, offer->suite.ke, shared, shared_len, cause);
}

void create_child_undo_at_peer(struct exchange *x)
{
	delete_child_at_peer(x->e, x->sa, x->task->spi);
}

bool create_child_out_of_step(const struct refusal_cause *cause)
{
	return cause->notify == NOTIFY_TEMPORARY_FAILURE ||
	       cause->reason == IKE_REASON_INVALID_SYNTAX;
}

const struct child_config *create_child_config(const struct exchange *x,
					       struct refusal_cause *cause)
{
	const char *name = x->task->child_name;
	const struct child_config *config = name ? conn_child(x->sa->conn, name) : NULL;

	*cause = (struct refusal_cause){.reason = IKE_REASON_CONFIG};
	if (!config) {
		snprintf(cause->detail, sizeof(cause->detail), "no such child any more");
		return NULL;
	}
	if (conns_child_held(x->sa->entry, name) == HOLD_NONE)
		return config;
	cause->reason = IKE_REASON_COMMAND;
	snprintf(cause->detail, sizeof(cause->detail), "taken down by command");
	return NULL;
}

/* ---- responder ---- */

bool create_child_answer_ke(struct exchange *x, const struct algorithm_ke *alg,
			    uint8_t *public_value, uint8_t *shared)
{
	const struct crypto_ops *crypto = x->e->env.crypto;
	uint8_t random[CRYPTO_KE_RANDOM];
	struct crypto_ke *ke;
	bool ok;

	ke = pairs_take(x->e, alg, random, public_value);
	explicit_bzero(random, sizeof(random));
	if (!ke) {
		exchange_refuse(x, NOTIFY_TEMPORARY_FAILURE, span_of(NULL, 0),
				"our half of the key exchange can't be made");
		return false;
	}
	ok = crypto->ke_derive(ke, x->in->ke.data, shared);
	crypto->ke_free(ke);
	if (!ok) {
		exchange_refuse(x, NOTIFY_INVALID_SYNTAX, span_of(NULL, 0),
				"the peer's KE value is invalid");
		ike_sa_end(x->e, x->sa, IKE_REASON_INVALID_SYNTAX,
			   "the peer's KE value is invalid");
	}
	return ok;
}

/* Without memory for it the peer's exchange has no nonce, which is lower than any. */
void create_child_keep_lowest(struct span a, struct span b, struct message_copy *out)
{
	message_copy_set(out, collide_lowest(a, b));
}

void create_child_meet(struct task *own, const struct child *theirs)
{
	own->collision = theirs->id;
	own->collision_lost = false;
	own->collision_nonce_len = (uint16_t)theirs->lowest_nonce.len;
	if (theirs->lowest_nonce.len)
		memcpy(own->collision_nonce, theirs->lowest_nonce.data, theirs->lowest_nonce.len);
}

bool create_child_ours_goes(const struct exchange *x)
{
	const struct task *t = x->task;

	if (!t->collision)
		return false;
	return t->collision_lost ||
	       collide_ours_goes(collide_lowest(span_of(t->nonce, sizeof(t->nonce)), x->in->nonce),
				 span_of(t->collision_nonce, t->collision_nonce_len));
}

static void put_answer(struct exchange *x, const struct child_offer *offer, struct span nonce,
		       const uint8_t *public_value)
{
	child_setup_put_choice(x->out, offer);
	wire_put_nonce(x->out, nonce);
	if (offer->suite.ke)
		wire_put_ke(x->out, offer->suite.ke->id,
			    span_of(public_value, offer->suite.ke->public_len));
	child_setup_put_ts(x->out, &offer->remote_ts, &offer->local_ts);
	if (offer->resources)
		resources_put(x->e, x->out, offer->config, offer->resource);
}

static void refuse_offer(struct exchange *x, const struct child_offer *offer)
{
	uint8_t group[2];

	/* Not a group: with the right one it is asked for again at once. */
	if (offer->reason && offer->error != NOTIFY_INVALID_KE_PAYLOAD)
		peers_keep_failure(x->e, x->sa->entry, offer->reason, offer->detail);
	be16_set(group, offer->want_group);
	exchange_refuse(x, offer->error,
			span_of(group, offer->error == NOTIFY_INVALID_KE_PAYLOAD ? 2 : 0),
			offer->detail);
}

/* RFC 9611: not NO_ADDITIONAL_SAS, which would speak of other selectors, too. */
static bool has_resource(struct exchange *x, const struct child *general)
{
	if (!general || resources_free(x->e, general))
		return true;
	exchange_refuse(x, NOTIFY_TS_MAX_QUEUE, span_of(NULL, 0),
			"there is a CHILD_SA for each of our resources");
	return false;
}

struct child *create_child_answer(struct exchange *x, const struct child_config *only,
				  struct child *old, bool outbound)
{
	uint8_t nonce[IKE_NONCE_LEN], shared[ALGORITHM_SHARED_MAX],
		public_value[ALGORITHM_PUBLIC_MAX];
	struct span own = span_of(nonce, sizeof(nonce));
	const struct child *general;
	struct child_offer offer;
	struct child *c;

	/* RFC 7296 1.3, 2.25: a peer that makes and never deletes is no reason to run out. */
	if (x->sa->n_children >= IKE_CHILDREN_MAX) {
		exchange_refuse(x, NOTIFY_NO_ADDITIONAL_SAS, span_of(NULL, 0),
				"the IKE_SA has as many CHILD_SAs as it may have");
		return NULL;
	}
	if (!child_setup_select(x->e, x->sa, x->in, only, false, &offer) ||
	    (old && !child_setup_keeps(x->sa, old, &offer))) {
		refuse_offer(x, &offer);
		return NULL;
	}
	general = old ? NULL : resources_general(x->sa, x->in, &offer);
	if (!has_resource(x, general))
		return NULL;
	if (general && !resources_same(general, &offer)) {
		refuse_offer(x, &offer);
		return NULL;
	}
	if (old)
		offer.spi_in = engine_successor_spi(x->e, offer.spi_in, old);
	if (offer.suite.ke && !create_child_answer_ke(x, offer.suite.ke, public_value, shared))
		return NULL;
	offer.resource = general ? resources_free(x->e, general) : old ? old->resource : 0;
	if (offer.resource)
		offer.spi_in = engine_new_resource_spi(x->e, offer.resource);
	engine_random(x->e, nonce, sizeof(nonce));
	c = child_setup_commit(
		x->e, x->sa, &offer, x->in->nonce, own,
		span_of(shared, offer.suite.ke ? offer.suite.ke->shared_len : 0), false,
		/* Packets go by the general one until the peer has one for a resource. */
		outbound && !general && duplicates_may_send(x->sa, offer.config, &offer.remote_ts),
		old);
	explicit_bzero(shared, sizeof(shared));
	if (!c) {
		exchange_refuse(x, NOTIFY_TEMPORARY_FAILURE, span_of(NULL, 0),
				"the CHILD_SA's keys can't be made");
		return NULL;
	}
	c->asked_by = (uint64_t)x->header->message_id + 1;
	create_child_keep_lowest(x->in->nonce, own, &c->lowest_nonce);
	put_answer(x, &offer, own, public_value);
	return c;
}

/* The request is refused after all, if the answer has not left yet. */
static bool take_back(struct ike_engine *e, struct child *c)
{
	struct task *own = c->sa->running;

	if (!c->asked_by ||
	    !exchange_take_back(e, c->sa, (uint32_t)(c->asked_by - 1), NOTIFY_NO_ADDITIONAL_SAS))
		return false;
	if (own && own->collision == c->id)
		own->collision = 0;
	return true;
}

void create_child_install_failed(struct ike_engine *e, struct child *c)
{
	bool unheard = take_back(e, c);

	rekey_child_undone(e, c, "the new one could not be installed");
	if (unheard)
		child_end(e, c, IKE_REASON_INSTALL_FAILED, NULL);
	else
		child_delete(e, c, IKE_REASON_INSTALL_FAILED);
}

/* ---- further CHILD_SAs ---- */

static bool create_create_child_request(struct exchange *x)
{
	struct refusal_cause cause;
	const struct child_config *config = create_child_config(x, &cause);

	x->task->collision = 0;
	if (!config) {
		conns_end_waiters(x->e, x->sa->entry, x->task->child_name, false, false,
				  cause.reason, cause.detail);
		exchange_done(x->e, x->task, false, cause.reason, cause.detail);
		return false;
	}
	if (child_usable_named(x->sa, config->name)) { /* the peer was faster */
		exchange_done(x->e, x->task, true, IKE_REASON_NONE, NULL);
		return false;
	}
	return create_child_put_offer(x, config, NULL, 0);
}

static void fail(struct exchange *x, const struct refusal_cause *cause)
{
	peers_child_failed(x->e, x->sa, x->task->child_name, cause->reason, cause->detail);
	exchange_done(x->e, x->task, false, cause->reason, cause->detail);
	/* RFC 7296 1.3: a peer that makes no further CHILD_SAs makes its only one in IKE_AUTH. */
	if (create_child_out_of_step(cause) ||
	    (cause->notify == NOTIFY_NO_ADDITIONAL_SAS && !x->sa->children))
		ike_sa_delete(x->e, x->sa, cause->reason);
}

/* Both ends made the same child at once: one goes, by the rule of RFC 7296 2.8.1. */
static void commit_choice(struct exchange *x, const struct child_offer *offer, struct span shared)
{
	struct child *theirs = child_by_id(x->e, x->task->collision);
	bool goes = create_child_ours_goes(x);
	struct child *c;

	if (offer->spi_out == x->task->gone_spi) { /* deleted before we knew it */
		struct refusal_cause cause = {.reason = IKE_REASON_PEER_DELETED};

		fail(x, &cause);
		return;
	}
	c = child_setup_commit(x->e, x->sa, offer, span_of(x->task->nonce, sizeof(x->task->nonce)),
			       x->in->nonce, shared, true, !goes, NULL);
	if (!c) {
		struct refusal_cause cause = {.reason = IKE_REASON_INTERNAL};

		create_child_undo_at_peer(x);
		fail(x, &cause);
		return;
	}
	if (goes) {
		c->redundant = true;
		child_delete(x->e, c, IKE_REASON_REPLACED);
	} else {
		child_announce(x->e, c, theirs);
		duplicates_give_sign(x->e, c);
		if (theirs)
			theirs->redundant = true; /* its maker deletes it */
	}
	exchange_done(x->e, x->task, true, IKE_REASON_NONE, NULL);
}

static void consume_create_child_response(struct exchange *x)
{
	struct refusal_cause cause;
	const struct child_config *config = create_child_config(x, &cause);
	uint8_t shared[ALGORITHM_SHARED_MAX];
	struct child_offer offer;
	size_t shared_len;

	if (!config) {
		if (!wire_find_error(x->in))
			create_child_undo_at_peer(x);
		fail(x, &cause);
		return;
	}
	switch (create_child_refusal(x, config->proposals, config, &cause)) {
	case REFUSAL_AGAIN:
		return;
	case REFUSAL_FINAL:
		fail(x, &cause);
		return;
	case REFUSAL_NONE:
		break;
	}
	if (create_child_consume_choice(x, config, NULL, &offer, shared, &shared_len, &cause)) {
		commit_choice(x, &offer, span_of(shared, shared_len));
	} else {
		create_child_undo_at_peer(x);
		fail(x, &cause);
	}
	explicit_bzero(shared, sizeof(shared));
}

const struct exchange_ops create_child_ops = {
	.name = "CREATE_CHILD_SA",
	.kind = KIND_CREATE_CHILD,
	.create_request = create_create_child_request,
	.consume_response = consume_create_child_response,
};

void create_child_respond(struct exchange *x)
{
	struct task *own = x->sa->running;
	struct child *c;

	rekey_ike_peer_uses(x->e, x->sa);
	if (collide_create_child(collide_ike_activity(x->sa)) != VERDICT_ANSWER) {
		exchange_refuse(x, NOTIFY_TEMPORARY_FAILURE, span_of(NULL, 0),
				"a new CHILD_SA while the IKE_SA is rekeyed or closed");
		return;
	}
	/* In this IKE_SA there is no older one that could carry packets until the peer has it. */
	c = create_child_answer(x, NULL, NULL, true);
	if (!c)
		return;
	if (!c->resource && own && own->ops == &create_child_ops && own->child_name &&
	    strcmp(own->child_name, c->config->name) == 0)
		create_child_meet(own, c);
	child_announce(x->e, c, NULL);
	duplicates_await(x->e, c);
}
