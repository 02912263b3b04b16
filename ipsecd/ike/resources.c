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
			"one resource; there is the general one alone");
	e->resources_told = true;
	return false;
}

void resources_put(struct ike_engine *e, struct wire_writer *w, const struct child_config *config,
		   uint32_t resource)
{
	uint8_t id[4];

	if (!has_resources(e, config))
		return;
	/* RFC 9611 4: MAY be empty; what is in it is for debugging only. */
	be32_set(id, resource);
	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_SA_RESOURCE_INFO, span_of(NULL, 0),
			span_of(id, resource ? sizeof(id) : 0));
}

bool resources_agreed(struct ike_engine *e, const struct child_config *config,
		      const struct wire_message *in)
{
	return has_resources(e, config) && wire_find_notify(in, NOTIFY_SA_RESOURCE_INFO);
}

static unsigned wanted(const struct ike_engine *e, const struct child_config *config)
{
	if (e->settings.resources_none) /* perhaps another plane than when it was agreed */
		return 0;
	return config->resources == CHILD_RESOURCES_AUTO ? e->settings.resources
							 : config->resources;
}

static bool overlap(const struct ts_list *a, const struct ts_list *b)
{
	struct ts_list both;

	return ts_narrow(a, b, &both) > 0;
}

const struct child *resources_general(const struct ike_sa *sa, const struct wire_message *in)
{
	const struct child *c;

	if (!wire_find_notify(in, NOTIFY_SA_RESOURCE_INFO))
		return NULL;
	DL_FOREACH (sa->children, c) {
		if (child_usable(c) && !c->redundant && !c->resource && c->resources_agreed &&
		    c->config->resources && overlap(c->local_ts, &in->tsr) &&
		    overlap(c->remote_ts, &in->tsi))
			return c;
	}
	return NULL;
}

static bool has(const struct child *general, uint32_t resource)
{
	const struct child *c;

	DL_FOREACH (general->sa->children, c) {
		if (c->resource == resource && child_usable(c) && !c->redundant &&
		    strcmp(c->config->name, general->config->name) == 0)
			return true;
	}
	return false;
}

uint32_t resources_free(const struct ike_engine *e, const struct child *general)
{
	for (uint32_t r = 1; r <= wanted(e, general->config); r++)
		if (!has(general, r))
			return r;
	return 0;
}

bool resources_same(const struct child *general, struct child_offer *out)
{
	bool suite = general->suite.encr == out->suite.encr &&
		     general->suite.integ == out->suite.integ &&
		     general->suite.esn == out->suite.esn;

	if (suite && ts_list_equal(general->local_ts, &out->local_ts) &&
	    ts_list_equal(general->remote_ts, &out->remote_ts))
		return true;
	out->error = suite ? NOTIFY_TS_UNACCEPTABLE : NOTIFY_NO_PROPOSAL_CHOSEN;
	out->reason = suite ? IKE_REASON_TS_UNACCEPTABLE : IKE_REASON_NO_PROPOSAL;
	snprintf(out->detail, sizeof(out->detail),
		 "a CHILD_SA for a resource with other %s than the general one has",
		 suite ? "selectors" : "algorithms");
	return false;
}

void resources_review(struct ike_engine *e, const struct child *c)
{
	const struct child *general = child_usable_named(c->sa, c->config->name);

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

static bool create_request(struct exchange *x)
{
	struct refusal_cause cause;
	const struct child_config *config = create_child_config(x, &cause);
	const struct child *general = general_of(x);
	uint32_t resource = config && general && x->sa->n_children < IKE_CHILDREN_MAX / 2
				    ? resources_free(x->e, general)
				    : 0;

	x->task->collision = 0;
	if (!resource) {
		exchange_done(x->e, x->task, true, IKE_REASON_NONE, NULL);
		return false;
	}
	return create_child_put_offer(x, config, NULL, resource);
}

/* RFC 9611 5.2: TS_MAX_QUEUE says that there will be no more. Other refusals are no reason to ask
 * again and again, either. */
static void refused(struct exchange *x, struct child *general, const char *why)
{
	if (general) {
		general->resources_full = true;
		sa_touch(x->e, x->sa);
		ike_log(x->e, x->sa, LOG_LEVEL_NOTICE,
			"no CHILD_SA %s for resource %u: %s; its packets go by the general one",
			general->config->name, resources_free(x->e, general), why);
	}
	exchange_done(x->e, x->task, false, IKE_REASON_PEER_REFUSED, why);
}

/* The peer may have deleted it before we knew of it, or taken the last resource by one of its own.
 * The task goes on with the next resource. */
static void commit(struct exchange *x, const struct child *general, struct child_offer *offer,
		   struct span shared)
{
	struct child *c = NULL;

	offer->resource = resources_free(x->e, general);
	if (offer->resource && offer->spi_out != x->task->gone_spi)
		c = child_setup_commit(x->e, x->sa, offer,
				       span_of(x->task->nonce, sizeof(x->task->nonce)),
				       x->in->nonce, shared, true, true, NULL);
	if (c)
		child_announce(x->e, c, NULL);
	else if (offer->spi_out != x->task->gone_spi)
		create_child_undo_at_peer(x);
	/* Upward only: a peer that deletes what it just agreed to is not asked for ever. */
	if (c && resources_free(x->e, general) > c->resource) {
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
	switch (create_child_refusal(x, &config->proposals, config, &cause)) {
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
