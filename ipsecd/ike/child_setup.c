/* Negotiating and installing a CHILD_SA: the part that IKE_AUTH (RFC 7296 1.2) and
 * CREATE_CHILD_SA (1.3.1, 1.3.3) share. Decisions are made on locals; child_setup_commit
 * is the only function here that changes anything. */
#include "ipsecd/ike/child_setup.h"
#include "ipsecd/ike/aggfrag.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/resources.h"

#include <stdio.h>

void child_setup_selectors(const struct ike_sa *sa, const struct child_config *config,
			   struct ts_list *local, struct ts_list *remote)
{
	const struct sa_vips *v = sa_vips(sa);

	ts_resolve(&config->local_ts, v->n_local ? v->local : &sa->path.local.addr,
		   v->n_local ? v->n_local : 1, local);
	ts_resolve(&config->remote_ts, v->n_remote ? v->remote : &sa->path.remote.addr,
		   v->n_remote ? v->n_remote : 1, remote);
}

void child_setup_offered(const struct ike_sa *sa, const struct child_config *config, bool in_auth,
			 struct ts_list *local, struct ts_list *remote)
{
	struct addr wanted[VIPS_MAX];

	child_setup_selectors(sa, config, local, remote);
	if (!in_auth || !sa->conn->n_vips)
		return;
	for (uint8_t i = 0; i < sa->conn->n_vips; i++) {
		wanted[i] = sa->conn->vips[i];
		if (!wanted[i].family)
			wanted[i].family = sa->path.local.addr.family;
	}
	ts_resolve_any(&config->local_ts, wanted, sa->conn->n_vips, local);
}

static void drop_ke(struct proposal *p)
{
	uint8_t n = 0;

	for (uint8_t i = 0; i < p->n_transforms; i++)
		if (p->transforms[i].type != TRANSFORM_KE)
			p->transforms[n++] = p->transforms[i];
	p->n_transforms = n;
}

static void put_sa(struct wire_writer *w, const struct proposal_list *l, uint32_t spi)
{
	uint8_t bytes[4];

	be32_set(bytes, spi);
	wire_put_sa(w, l, span_of(bytes, sizeof(bytes)));
}

void child_setup_put_sa(const struct ike_engine *e, struct wire_writer *w,
			const struct child_config *config, uint32_t spi, bool without_ke)
{
	struct proposal_list l = *config->proposals;

	aggfrag_offer(e, config, w);
	for (uint8_t i = 0; without_ke && i < l.n; i++)
		drop_ke(&l.p[i]);
	put_sa(w, &l, spi);
}

void child_setup_put_ts(struct wire_writer *w, const struct ts_list *tsi, const struct ts_list *tsr)
{
	wire_put_ts(w, PAYLOAD_TSI, tsi);
	wire_put_ts(w, PAYLOAD_TSR, tsr);
}

void child_setup_refusal(const struct ike_sa *sa, const struct child_config *config,
			 uint16_t notify, char *detail, size_t size)
{
	char text[PROPOSAL_TEXT], a[TS_TEXT], b[TS_TEXT], name[32];
	struct ts_list local, remote;

	child_setup_selectors(sa, config, &local, &remote);
	if (notify == NOTIFY_NO_PROPOSAL_CHOSEN)
		snprintf(detail, size, "NO_PROPOSAL_CHOSEN: peer accepts none of our %s",
			 proposal_list_format(config->proposals, text, sizeof(text)));
	else if (notify == NOTIFY_TS_UNACCEPTABLE)
		snprintf(detail, size, "TS_UNACCEPTABLE: peer does not accept our %s === %s",
			 ts_list_format(&local, a, sizeof(a)),
			 ts_list_format(&remote, b, sizeof(b)));
	else
		snprintf(detail, size, "the peer answered %s", wire_notify_name(notify, name));
}

void child_setup_put_choice(struct wire_writer *w, const struct child_offer *offer)
{
	struct proposal_list l = {.n = 1, .p[0] = offer->chosen};

	aggfrag_answer(offer, w);
	put_sa(w, &l, offer->spi_in);
}

/* ---- why not ---- */

static bool refuse(struct child_offer *out, uint16_t error, enum ike_reason reason)
{
	out->error = error;
	out->reason = reason;
	return false;
}

static void words(struct child_offer *out, const char *what, const char *theirs, const char *ours)
{
	snprintf(out->detail, sizeof(out->detail), "peer %s %.360s, we accept %.360s", what, theirs,
		 ours);
}

static bool refuse_proposals(struct child_offer *out, const char *what,
			     const struct proposal_list *theirs, const struct proposal_list *ours)
{
	char a[PROPOSAL_TEXT], b[PROPOSAL_TEXT];

	words(out, what, proposal_list_format(theirs, a, sizeof(a)),
	      proposal_list_format(ours, b, sizeof(b)));
	return refuse(out, NOTIFY_NO_PROPOSAL_CHOSEN, IKE_REASON_NO_PROPOSAL);
}

/* Selectors from our point of view: local === remote. */
static bool refuse_selectors(struct child_offer *out, const char *what,
			     const struct ts_list *their_local, const struct ts_list *their_remote,
			     const struct ts_list *our_local, const struct ts_list *our_remote)
{
	char a[TS_TEXT], b[TS_TEXT], theirs[2 * TS_TEXT + 8], ours[2 * TS_TEXT + 8];

	snprintf(theirs, sizeof(theirs), "%s === %s", ts_list_format(their_local, a, sizeof(a)),
		 ts_list_format(their_remote, b, sizeof(b)));
	snprintf(ours, sizeof(ours), "%s === %s", ts_list_format(our_local, a, sizeof(a)),
		 ts_list_format(our_remote, b, sizeof(b)));
	words(out, what, theirs, ours);
	return refuse(out, NOTIFY_TS_UNACCEPTABLE, IKE_REASON_TS_UNACCEPTABLE);
}

/* ---- responder ---- */

/* RFC 7296 1.3.1: packets with TFC padding are not to be sent then. We take them on every
 * plane and never say so ourselves. */
static bool refuses_padding(const struct wire_message *in)
{
	return wire_find_notify(in, NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED) != NULL;
}

static bool spi_of(const struct wire_message *in, uint8_t number, uint32_t *spi)
{
	for (uint8_t i = 0; i < in->sa.n; i++) {
		/* RFC 7296 3.3.1: four bytes for ESP; 0 and the low ones are reserved
		 * (RFC 4303 2.1). */
		if (in->sa.p[i].number != number || in->sa_spis[i].len != 4)
			continue;
		*spi = be32_get(in->sa_spis[i].ptr);
		return *spi > 255;
	}
	return false;
}

/* How much of what is offered a child accepts. */
struct fit {
	bool first; /* the first selectors of both sides */
	bool whole;
};

static bool has_first(const struct ts_list *ours, const struct ts_list *offered)
{
	struct ts_list first = {.n = 1, .ts[0] = offered->ts[0]};

	return offered->n && ts_list_contains(ours, &first);
}

static bool narrow(const struct ike_sa *sa, const struct wire_message *in,
		   const struct child_config *config, struct child_offer *out, struct fit *fit)
{
	struct ts_list local, remote;

	child_setup_selectors(sa, config, &local, &remote);
	fit->first = has_first(&local, &in->tsr) && has_first(&remote, &in->tsi);
	fit->whole = ts_list_contains(&local, &in->tsr) && ts_list_contains(&remote, &in->tsi);
	if (ts_narrow(&local, &in->tsr, &out->local_ts) &&
	    ts_narrow(&remote, &in->tsi, &out->remote_ts))
		return true;
	return refuse_selectors(out, "offers", &in->tsr, &in->tsi, &local, &remote);
}

static bool choose_suite(const struct wire_message *in, const struct child_config *config,
			 bool without_ke, struct child_offer *out)
{
	if (!proposal_select(config->proposals, &in->sa, without_ke, &out->chosen, &out->suite))
		return refuse_proposals(out, "offers", &in->sa, config->proposals);
	if (!spi_of(in, out->chosen.number, &out->spi_out)) {
		snprintf(out->detail, sizeof(out->detail), "peer's proposal %u has no usable SPI",
			 out->chosen.number);
		return refuse(out, NOTIFY_NO_PROPOSAL_CHOSEN, IKE_REASON_NO_PROPOSAL);
	}
	if (without_ke)
		out->suite.ke = NULL;
	if (!out->suite.ke)
		return true;
	/* RFC 7296 1.3: the KE payload must be of the group that was chosen. */
	if (!(in->present & WIRE_BIT(PAYLOAD_KE)) || in->ke.group != out->suite.ke->id) {
		out->want_group = out->suite.ke->id;
		snprintf(out->detail, sizeof(out->detail), "peer sent KE group %u, we want %s",
			 in->present & WIRE_BIT(PAYLOAD_KE) ? in->ke.group : 0,
			 out->suite.ke->name);
		return refuse(out, NOTIFY_INVALID_KE_PAYLOAD, IKE_REASON_NO_PROPOSAL);
	}
	return true;
}

/* RFC 9347 5.1. */
static bool choose_aggfrag(struct ike_engine *e, const struct ike_sa *sa,
			   const struct wire_message *in, bool initiator, struct child_offer *out)
{
	return aggfrag_choose(e, sa, in, initiator, out, out->detail, sizeof(out->detail)) ||
	       refuse(out, NOTIFY_NO_PROPOSAL_CHOSEN, IKE_REASON_NO_PROPOSAL);
}

static bool try_config(struct ike_engine *e, const struct ike_sa *sa, const struct wire_message *in,
		       const struct child_config *config, bool without_ke, struct child_offer *out,
		       struct fit *fit)
{
	*out = (struct child_offer){.config = config};
	return narrow(sa, in, config, out, fit) && choose_suite(in, config, without_ke, out) &&
	       choose_aggfrag(e, sa, in, false, out);
}

/* A failure that came further says more: wrong KE over no proposal over no selectors. */
static bool better_failure(const struct child_offer *a, const struct child_offer *b)
{
	static const uint16_t order[] = {0, NOTIFY_TS_UNACCEPTABLE, NOTIFY_NO_PROPOSAL_CHOSEN,
					 NOTIFY_INVALID_KE_PAYLOAD};
	unsigned ra = 0, rb = 0;

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		ra = order[i] == a->error ? i : ra;
		rb = order[i] == b->error ? i : rb;
	}
	return ra > rb;
}

/* Best: covers all that is offered and has no CHILD_SA yet, or just the one beside which one for a
 * resource is wanted. RFC 7296 2.9: the initiator's first choices are in the answer if our policy,
 * that is any child, accepts them. */
static unsigned rank(const struct ike_sa *sa, const struct wire_message *in,
		     const struct child_offer *o, const struct fit *fit)
{
	return (fit->whole ? 8u : 0u) + (fit->first ? 4u : 0u) +
	       (resources_general(sa, in, o) ? 2u : 0u) +
	       (child_usable_named(sa, o->config->name) ? 0u : 1u) + 1u;
}

bool child_setup_select(struct ike_engine *e, const struct ike_sa *sa,
			const struct wire_message *in, const struct child_config *only,
			bool without_ke, struct child_offer *out)
{
	struct child_offer one;
	unsigned best = 0;
	struct fit fit;

	*out = (struct child_offer){0};
	refuse(out, NOTIFY_TS_UNACCEPTABLE, IKE_REASON_TS_UNACCEPTABLE);
	snprintf(out->detail, sizeof(out->detail), "no child of this connection is to be up");
	for (uint16_t i = 0; i < sa->conn->n_children; i++) {
		const struct child_config *config = &sa->conn->children[i];

		if (only ? config != only : conns_child_held(sa->entry, config->name) == HOLD_PEER)
			continue;
		if (try_config(e, sa, in, config, without_ke, &one, &fit)) {
			if (rank(sa, in, &one, &fit) > best) {
				best = rank(sa, in, &one, &fit);
				*out = one;
			}
		} else if (!best && (better_failure(&one, out) || !out->config)) {
			*out = one;
		}
	}
	if (best) {
		out->spi_in = engine_new_child_spi(e);
		out->resources = resources_agreed(e, out->config, in);
	}
	out->no_tfc = refuses_padding(in);
	return best > 0;
}

/* ---- initiator ---- */

bool child_setup_accept(struct ike_engine *e, const struct ike_sa *sa,
			const struct wire_message *in, const struct child_config *config,
			uint32_t spi_in, bool without_ke, struct child_offer *out)
{
	struct ts_list local, remote;

	*out = (struct child_offer){.config = config, .spi_in = spi_in};
	/* RFC 7296 2.7: one proposal, one transform of each type, all of them offered. */
	if (in->sa.n != 1 ||
	    !proposal_accept(config->proposals, &in->sa.p[0], without_ke, &out->suite))
		return refuse_proposals(out, "chose", &in->sa, config->proposals);
	if (without_ke)
		out->suite.ke = NULL;
	out->chosen = in->sa.p[0];
	if (!spi_of(in, out->chosen.number, &out->spi_out)) {
		snprintf(out->detail, sizeof(out->detail), "peer's choice has no usable SPI");
		return refuse(out, NOTIFY_INVALID_SYNTAX, IKE_REASON_INVALID_SYNTAX);
	}
	/* RFC 7296 2.9: the responder may narrow, not widen; what we can't read we did not offer.
	 */
	child_setup_offered(sa, config, without_ke, &local, &remote);
	if (!in->tsi.n || !in->tsr.n || in->tsi_skipped || in->tsr_skipped ||
	    !ts_list_contains(&local, &in->tsi) || !ts_list_contains(&remote, &in->tsr))
		return refuse_selectors(out, "chose", &in->tsi, &in->tsr, &local, &remote);
	out->local_ts = in->tsi;
	out->remote_ts = in->tsr;
	out->resources = resources_agreed(e, config, in);
	out->no_tfc = refuses_padding(in);
	if (!choose_aggfrag(e, sa, in, true, out))
		return false;
	if (!without_ke || !sa->conn->n_vips)
		return true;
	/* A peer that leaves our side as wide as we offered it: ours is what we were given. */
	child_setup_selectors(sa, config, &local, &remote);
	if (ts_narrow(&local, &in->tsi, &out->local_ts))
		return true;
	return refuse_selectors(out, "chose", &in->tsi, &in->tsr, &local, &remote);
}

bool child_setup_keeps(const struct ike_sa *sa, const struct child *old, struct child_offer *out)
{
	struct ts_list local, remote, need_local, need_remote;

	child_setup_selectors(sa, out->config, &local, &remote);
	ts_narrow(&local, old->local_ts, &need_local);
	ts_narrow(&remote, old->remote_ts, &need_remote);
	if (ts_list_contains(&out->local_ts, &need_local) &&
	    ts_list_contains(&out->remote_ts, &need_remote))
		return true;
	return refuse_selectors(out, "rekeys with only", &out->local_ts, &out->remote_ts,
				old->local_ts, old->remote_ts);
}

/* ---- commit ---- */

static void fill(struct ike_engine *e, const struct ike_sa *sa, const struct child_offer *offer,
		 bool initiator, struct child *old, struct child *c)
{
	c->initiator = initiator;
	c->suite = offer->suite;
	child_set_spi_out(e, c, offer->spi_out);
	c->no_tfc = offer->no_tfc;
	c->resource = old ? old->resource : offer->resource; /* RFC 9611: a rekey keeps it */
	c->resources_agreed = offer->resources || (old && old->resources_agreed);
	c->resources_full = old && old->resources_full;
	c->aggfrag = offer->aggfrag;
	c->aggfrag_whole = offer->aggfrag_whole;
	c->udp_encap = sa->nat_local || sa->nat_remote || sa->nat_faked;
	c->reqid = conns_reqid(e, sa->entry, offer->config);
	if (old) {
		c->replaces = old->id;
		old->replaced_by = c->id;
	}
}

struct child *child_setup_commit(struct ike_engine *e, struct ike_sa *sa,
				 const struct child_offer *offer, struct span nonce_i,
				 struct span nonce_r, struct span shared, bool initiator,
				 bool outbound, struct child *old)
{
	struct child_sa keys = {.local_ts = offer->local_ts, .remote_ts = offer->remote_ts};
	struct child *c = NULL;

	if (keymat_child(e->env.crypto, sa->suite.prf, kept_key(sa->keys, SK_D), shared, nonce_i,
			 nonce_r, &offer->suite, initiator, &keys))
		c = child_new(e, sa, offer->config);
	if (c && !child_keep(e, c, &keys)) {
		child_forget(e, c);
		c = NULL;
	}
	if (c) {
		fill(e, sa, offer, initiator, old, c);
		child_set_spi_in(e, c, offer->spi_in);
		child_install(e, c, &keys, outbound, initiator ? "negotiated" : "peer asked");
	}
	child_sa_cleanse(&keys);
	return c;
}
