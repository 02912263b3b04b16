/* Which CHILD_SAs for resources there are to be (RFC 9611), and the exchange that makes one more.
 * There is nothing to remember but what the CHILD_SAs themselves have: the next one is the first
 * that is missing. Knows nothing of what resources are. */
#include "ipsecd/ike/resources.h"
#include "ipsecd/ike/create_child.h"

#include <stdio.h>

/* The plane that has none is said to have none once. */
static bool has_resources(struct ike_engine *e, const struct child_config *config)
{
	if (!config->resources || !e->settings.resources_none)
		return config->resources != 0;
	if (!e->resources_told)
		ike_log(e, NULL, LOG_LEVEL_WARN,
			"per-resource-sas has no effect: this data plane can't give a CHILD_SA to "
			"one resource (the kernel's can since Linux 6.13); there is the general "
			"one alone");
	e->resources_told = true;
	return false;
}

void resources_put(struct ike_engine *e, struct wire_writer *w, const struct child_config *config,
		   uint32_t resource)
{
	uint8_t id[4];

	if (!has_resources(e, config))
		return;
	/* RFC 9611: MAY be empty; what is in it is for debugging only. */
	be32_set(id, resource);
	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_SA_RESOURCE_INFO, span_of(NULL, 0),
			span_of(id, resource ? sizeof(id) : 0));
}

bool resources_agreed(struct ike_engine *e, const struct child_config *config,
		      const struct wire_message *in)
{
	return has_resources(e, config) && wire_find_notify(in, NOTIFY_SA_RESOURCE_INFO);
}

static unsigned configured(const struct ike_engine *e, const struct child_config *config)
{
	return config->resources == CHILD_RESOURCES_AUTO ? e->settings.resources
							 : config->resources;
}

static unsigned wanted(const struct ike_engine *e, const struct child_config *config)
{
	if (e->settings.resources_none) /* perhaps another plane than when it was agreed */
		return 0;
	return configured(e, config);
}

static bool has_selectors(const struct child *c, const struct ts_list *local,
			  const struct ts_list *remote)
{
	return ts_list_equal(c->local_ts, local) && ts_list_equal(c->remote_ts, remote);
}

const struct child *resources_general(const struct ike_sa *sa, const struct wire_message *in,
				      const struct child_offer *offer)
{
	const struct child *c;

	if (!wire_find_notify(in, NOTIFY_SA_RESOURCE_INFO))
		return NULL;
	DL_FOREACH (sa->children, c) {
		if (child_usable(c) && !c->redundant && !c->resource && c->resources_agreed &&
		    strcmp(c->config->name, offer->config->name) == 0 &&
		    has_selectors(c, &offer->local_ts, &offer->remote_ts))
			return c;
	}
	return NULL;
}

/* A peer may have several children inside one of ours. */
static bool has(const struct child *general, uint32_t resource)
{
	const struct child *c;

	DL_FOREACH (general->sa->children, c) {
		if (c->resource == resource && child_usable(c) && !c->redundant &&
		    strcmp(c->config->name, general->config->name) == 0 &&
		    has_selectors(c, general->local_ts, general->remote_ts))
			return true;
	}
	return false;
}

static uint32_t free_from(const struct ike_engine *e, const struct child *general, uint32_t first)
{
	for (uint32_t r = first; r <= wanted(e, general->config); r++)
		if (!has(general, r))
			return r;
	return 0;
}

uint32_t resources_free(const struct ike_engine *e, const struct child *general)
{
	return free_from(e, general, 1);
}

bool resources_same(const struct child *general, struct child_offer *out)
{
	bool suite = general->suite.encr == out->suite.encr &&
		     general->suite.integ == out->suite.integ &&
		     general->suite.esn == out->suite.esn;

	if (suite && has_selectors(general, &out->local_ts, &out->remote_ts))
		return true;
	out->error = suite ? NOTIFY_TS_UNACCEPTABLE : NOTIFY_NO_PROPOSAL_CHOSEN;
	out->reason = suite ? IKE_REASON_TS_UNACCEPTABLE : IKE_REASON_NO_PROPOSAL;
	snprintf(out->detail, sizeof(out->detail),
		 "a CHILD_SA for a resource with other %s than the general one has",
		 suite ? "selectors" : "algorithms");
	return false;
}

bool resources_shed(struct ike_engine *e, struct child *c)
{
	/* What the peer has replaced it deletes, but not where we delete the new one before that.
	 */
	if (c->resource <= configured(e, c->config) ||
	    (!child_usable(c) && c->state != CHILD_REKEYED))
		return false;
	/* First, so that nothing is on its way by it when the peer has our DELETE. */
	child_set_outbound(e, c, false, "there are to be fewer for resources");
	child_delete(e, c, IKE_REASON_CONFIG);
	return true;
}

void resources_review(struct ike_engine *e, struct child *c)
{
	const struct child *general = child_usable_named(c->sa, c->config->name);

	if (resources_shed(e, c))
		return;
	if (general && general->initiator && general->resources_agreed &&
	    !general->resources_full && general->sa->n_children < IKE_CHILDREN_MAX / 2 &&
	    resources_free(e, general))
		exchange_enqueue(e, c->sa, &resource_child_ops, 0, c->config->name, 0);
}

/* ---- the exchange ---- */

static struct child *general_of(const struct exchange *x)
{
	return x->task->child_name ? child_usable_named(x->sa, x->task->child_name) : NULL;
}

/* What t asked for last, which is in its SPI (engine_new_resource_spi); 0: nothing yet. */
static uint32_t asked_for(const struct task *t)
{
	return t->spi ? (t->spi & 0xff) + 1 : 0;
}

/* Upward only, so that a peer that deletes what it just agreed to is not asked for ever; the same
 * one again where the peer said that it can't now. */
static uint32_t next_one(const struct exchange *x, const struct child *general)
{
	const struct task *t = x->task;

	if (x->sa->n_children >= IKE_CHILDREN_MAX / 2)
		return 0;
	return free_from(x->e, general, asked_for(t) + (t->tries ? 0 : 1));
}

static bool create_request(struct exchange *x)
{
	struct refusal_cause cause;
	const struct child_config *config = create_child_config(x, &cause);
	const struct child *general = general_of(x);
	uint32_t resource = config && general ? next_one(x, general) : 0;

	x->task->collision = 0;
	if (!resource) {
		exchange_done(x->e, x->task, true, IKE_REASON_NONE, NULL);
		return false;
	}
	return create_child_put_offer(x, config, NULL, resource);
}

/* RFC 9611: TS_MAX_QUEUE says that there will be no more. Other refusals are no reason to ask again
 * and again, either. */
static void refused(struct exchange *x, struct child *general, const char *why)
{
	if (general) {
		general->resources_full = true;
		sa_touch(x->e, x->sa);
		ike_log(x->e, x->sa, LOG_LEVEL_NOTICE,
			"no CHILD_SA %s for resource %u: %s; its packets go by the general one",
			general->config->name, asked_for(x->task), why);
	}
	exchange_done(x->e, x->task, false, IKE_REASON_PEER_REFUSED, why);
}

/* The peer may have deleted it before we knew of it, or there is one for the resource by now, made
 * by the peer. The task goes on with the next resource. */
static void commit(struct exchange *x, const struct child *general, struct child_offer *offer,
		   struct span shared)
{
	bool gone = offer->spi_out == x->task->gone_spi, taken = has(general, asked_for(x->task));
	struct child *c = NULL;

	offer->resource = asked_for(x->task);
	if (!gone && !taken)
		c = child_setup_commit(x->e, x->sa, offer,
				       span_of(x->task->nonce, sizeof(x->task->nonce)),
				       x->in->nonce, shared, true, true, NULL);
	if (c)
		child_announce(x->e, c, NULL);
	else if (!gone)
		create_child_undo_at_peer(x);
	if (c || taken) {
		x->task->tries = 0;
		exchange_wait(x, 0);
	}
}

static void consume_response(struct exchange *x)
{
	struct child *general = general_of(x);
	struct refusal_cause cause;
	const struct child_config *config = create_child_config(x, &cause);
	uint8_t shared[ALGORITHM_SHARED_MAX];
	struct child_offer offer;
	size_t shared_len;

	if (!config || !general) {
		if (!wire_find_error(x->in))
			create_child_undo_at_peer(x);
		refused(x, NULL, "the general one is gone");
		return;
	}
	switch (create_child_refusal(x, config->proposals, config, &cause)) {
	case REFUSAL_AGAIN:
		return;
	case REFUSAL_FINAL:
		refused(x, general, cause.detail);
		return;
	case REFUSAL_NONE:
		break;
	}
	if (!create_child_consume_choice(x, config, NULL, &offer, shared, &shared_len, &cause)) {
		create_child_undo_at_peer(x);
		refused(x, general, cause.detail);
	} else if (!resources_same(general, &offer)) {
		create_child_undo_at_peer(x);
		refused(x, general, offer.detail);
	} else {
		commit(x, general, &offer, span_of(shared, shared_len));
	}
	explicit_bzero(shared, sizeof(shared));
}

const struct exchange_ops resource_child_ops = {
	.name = "CREATE_CHILD_SA (for a resource)",
	.kind = KIND_CREATE_CHILD,
	.create_request = create_request,
	.consume_response = consume_response,
};
