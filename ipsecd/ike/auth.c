/* IKE_AUTH (RFC 7296 1.2, 2.15, 2.16) in both roles with pre-shared keys, and the first
 * CHILD_SA. An IKE_SA whose CHILD_SA fails stays (1.2); one whose AUTH fails goes.
 *
 *	HDR, SK{IDi, [N(INITIAL_CONTACT)], [IDr], AUTH, [CP], SAi2, TSi, TSr} -->
 *		<--	HDR, SK{IDr, AUTH, [CP], SAr2, TSi, TSr  or  N(error)} */
#include "ipsecd/ike/resources.h"
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/informational.h"
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/vips.h"
#include "ipsecd/ike/window.h"

#include <stdio.h>

/* How long a refused IKE_SA can repeat its answer to retransmissions. */
#define REFUSED_LINGER (5 * MONO_S)

struct psk_use {
	const struct ike_engine *e;
	const struct secret *secret;
};

static bool psk_mac(void *ctx, uint16_t prf_id, const struct span octets[KEYMAT_OCTETS],
		    uint8_t *out)
{
	const struct psk_use *use = ctx;
	const struct ike_env *env = &use->e->env;
	const struct secret *s = use->secret;

	if (s->held)
		return env->psk_mac &&
		       env->psk_mac(env->psk_ctx, s, prf_id, octets, KEYMAT_OCTETS, out);
	return keymat_psk_mac(env->crypto, prf_id, span_of(s->data, s->len), octets, KEYMAT_OCTETS,
			      out);
}

/* AUTH of the side `of_initiator`: over its first message, the other side's nonce and its own
 * identity (RFC 7296 2.15). false: not now. */
static bool compute_auth(struct ike_engine *e, const struct ike_sa *sa, bool of_initiator,
			 const struct secret *psk, struct span id_body, uint8_t *out)
{
	struct psk_use use = {e, psk};
	const struct keymat_psk key = {psk_mac, &use};
	bool own = of_initiator == sa->initiator;
	const struct message_copy *m = of_initiator ? &sa->init->request : &sa->init->response;
	struct span nonce = own ? message_copy_span(&sa->nonce_peer)
				: span_of(sa->nonce_own, sizeof(sa->nonce_own));

	return keymat_auth(&key, e->env.crypto, sa->suite.prf, span_of(m->data, m->len), nonce,
			   kept_key(sa->keys, of_initiator ? SK_PI : SK_PR), id_body, out);
}

static bool put_own_auth(struct ike_engine *e, struct ike_sa *sa, const struct secret *psk,
			 struct wire_writer *w)
{
	uint8_t body[ID_DATA_MAX + 4], auth[ALGORITHM_PRF_MAX];
	size_t n = wire_id_body(sa_local_id(sa), body, sizeof(body));

	if (!compute_auth(e, sa, sa->initiator, psk, span_of(body, n), auth))
		return false;
	wire_put_auth(w, AUTH_SHARED_KEY, span_of(auth, sa->suite.prf->out_len));
	return true;
}

/* What the peer's AUTH has to be, once for each message. false: that can't be told now. */
static bool know_peer_auth(struct exchange *x, const struct secret *psk)
{
	const struct wire_id *id = x->sa->initiator ? &x->in->idr : &x->in->idi;

	if (!x->have_auth)
		x->have_auth = compute_auth(x->e, x->sa, !x->sa->initiator, psk, id->body, x->auth);
	return x->have_auth;
}

static bool peer_auth_ok(struct exchange *x, const struct secret *psk)
{
	const struct wire_message *m = x->in;
	uint8_t difference = 0;

	if (m->auth.method != AUTH_SHARED_KEY || m->auth.data.len != x->sa->suite.prf->out_len)
		return false;
	if (!know_peer_auth(x, psk))
		return false;
	for (size_t i = 0; i < m->auth.data.len; i++)
		difference |= (uint8_t)(x->auth[i] ^ m->auth.data.ptr[i]);
	explicit_bzero(x->auth, sizeof(x->auth));
	x->have_auth = false;
	return difference == 0;
}

/* ---- initiator ---- */

static const struct child_config *first_config(const struct ike_sa *sa)
{
	return conn_child(sa->conn, sa->init->child_name);
}

static bool may_be_same(const struct id *a, const struct id *b)
{
	return id_match(a, b) || id_match(b, a);
}

static bool is_unrelated(void *ctx, const struct ike_sa *other)
{
	const struct ike_sa *sa = ctx;
	bool counts = ike_sa_usable(other) || other->state == IKE_SA_AUTH_SENT;

	return other == sa || !counts || !id_equal(sa_local_id(other), sa_local_id(sa)) ||
	       !may_be_same(&sa->conn->remote_id, sa_remote_id(other));
}

/* RFC 7296 2.4: no other IKE_SA between these two identities is known here, by whatever conn. A
 * peer that may be anybody may be one of those we know, and so may who is just beginning one from
 * there: it would take its own for dead, which may be the one of both that is to stay. */
static bool is_initial_contact(const struct ike_engine *e, struct ike_sa *sa)
{
	const struct ike_sa *other;

	if (sa->conn->unique == UNIQUE_NEVER || ike_sa_half_open_from(e, &sa->path.remote.addr))
		return false;
	if (!id_is_pattern(&sa->conn->remote_id))
		return who_each(e, sa_local_id(sa), &sa->conn->remote_id, is_unrelated, sa);
	DL_FOREACH (e->sas, other)
		if (!is_unrelated(sa, other))
			return false;
	return true;
}

static bool create_auth_request(struct ike_engine *e, struct ike_sa *sa, const struct secret *psk,
				struct wire_writer *w)
{
	const struct child_config *config = first_config(sa);
	struct ts_list local, remote;

	if (!config)
		return false;
	wire_put_id(w, PAYLOAD_IDI, sa_local_id(sa));
	if (is_initial_contact(e, sa))
		wire_put_notify(w, PROTOCOL_NONE, NOTIFY_INITIAL_CONTACT, span_of(NULL, 0),
				span_of(NULL, 0));
	if (!id_is_pattern(&sa->conn->remote_id))
		wire_put_id(w, PAYLOAD_IDR, &sa->conn->remote_id);
	if (!put_own_auth(e, sa, psk, w))
		return false;
	quick_crash_put(e, sa, w);
	sync_offer(e, sa, w);
	sa->init->child_spi = engine_new_child_spi(e);
	vips_put_request(e, sa, w);
	child_setup_offered(sa, config, true, &local, &remote);
	child_setup_put_sa(e, w, config, sa->init->child_spi, true);
	child_setup_put_ts(w, &local, &remote);
	resources_put(e, w, config, 0);
	return true;
}

static void no_secret(struct ike_sa *sa, const struct id *remote, char *detail, size_t size)
{
	char own[ID_TEXT], peer[ID_TEXT];

	snprintf(detail, size, "no secret for %.200s and %.200s", id_format(sa_local_id(sa), own),
		 id_format(remote, peer));
}

bool auth_can_start(const struct ike_engine *e, const struct ike_sa *sa)
{
	const struct secret *psk = conns_secret(e, sa, &sa->conn->remote_id);

	return !psk || !psk->held || !e->env.psk_ready || e->env.psk_ready(e->env.psk_ctx);
}

void auth_start(struct ike_engine *e, struct ike_sa *sa)
{
	const struct secret *psk = conns_secret(e, sa, &sa->conn->remote_id);
	uint8_t memory[IKE_MESSAGE_MAX];
	char detail[IKE_WORDS];
	struct wire_writer w;
	struct span datagram;

	if (!psk) {
		no_secret(sa, &sa->conn->remote_id, detail, sizeof(detail));
		peers_attempt_failed(e, sa, IKE_REASON_NO_SECRET, detail);
		return;
	}
	exchange_begin(e, sa, &w, memory, sizeof(memory), EXCHANGE_IKE_AUTH, sa->tx.next_id, false);
	ike_sa_set_state(e, sa, IKE_SA_AUTH_SENT, "IKE_SA_INIT answered");
	if (!create_auth_request(e, sa, psk, &w) || !exchange_seal(e, sa, &w, &datagram) ||
	    !window_send_request(e, sa, datagram)) {
		peers_attempt_failed(e, sa, IKE_REASON_INTERNAL,
				     psk->held ? "the pre-shared key is not at hand"
					       : "IKE_AUTH could not be built");
		return;
	}
	e->counters.ike_auth_out_req++;
}

/* The responder's identity or AUTH is wrong: it believes in an IKE_SA that we refuse, and is
 * told in an exchange of its own (RFC 7296 2.21.2). */
static void reject_peer(struct exchange *x, const char *detail)
{
	struct ike_sa *sa = x->sa;

	x->e->counters.auth_failed++;
	peers_report_failure(x->e, sa->entry, sa, IKE_REASON_AUTH_FAILED, detail);
	sa->end_reason = IKE_REASON_AUTH_FAILED;
	ike_sa_set_state(x->e, sa, IKE_SA_DELETING, "the peer's authentication failed");
	if (!exchange_enqueue(x->e, sa, &auth_failed_ops, 0, NULL, 0))
		ike_sa_end(x->e, sa, IKE_REASON_AUTH_FAILED, detail);
}

static bool create_auth_failed_request(struct exchange *x)
{
	wire_put_notify(x->out, PROTOCOL_NONE, NOTIFY_AUTHENTICATION_FAILED, span_of(NULL, 0),
			span_of(NULL, 0));
	exchange_count_sent(x->e, NOTIFY_AUTHENTICATION_FAILED);
	return true;
}

static void consume_auth_failed_response(struct exchange *x)
{
	ike_sa_end(x->e, x->sa, IKE_REASON_AUTH_FAILED, NULL);
}

const struct exchange_ops auth_failed_ops = {
	.name = "authentication failed",
	.kind = KIND_INFORMATIONAL,
	.create_request = create_auth_failed_request,
	.consume_response = consume_auth_failed_response,
};

/* The whole IKE_AUTH was refused: an error without AUTH. */
static void consume_refusal(struct exchange *x, const struct wire_notify *n)
{
	char own[ID_TEXT], peer[ID_TEXT], name[32], detail[IKE_WORDS];
	bool auth = n->type == NOTIFY_AUTHENTICATION_FAILED;

	if (auth)
		snprintf(detail, sizeof(detail),
			 "AUTHENTICATION_FAILED: peer %.200s does not accept our identity %.200s "
			 "or our key",
			 id_format(&x->sa->conn->remote_id, peer),
			 id_format(sa_local_id(x->sa), own));
	else
		snprintf(detail, sizeof(detail), "peer answers IKE_AUTH with %s",
			 wire_notify_name(n->type, name));
	x->e->counters.auth_failed += auth;
	peers_attempt_failed(x->e, x->sa, auth ? IKE_REASON_AUTH_FAILED : IKE_REASON_PEER_REFUSED,
			     detail);
}

static bool peer_id_ok(struct exchange *x, char *detail, size_t size)
{
	const struct id *want = &x->sa->conn->remote_id, *is = &x->in->idr.id;
	char a[ID_TEXT], b[ID_TEXT];

	if (want->type == ID_ANY || id_match(want, is))
		return true;
	snprintf(detail, size, "peer says it is %.200s, we want %.200s", id_format(is, a),
		 id_format(want, b));
	return false;
}

/* The key is the one for the identity now known; the one that we used, if that was for anybody
 * at this address. */
static const struct secret *responder_secret(const struct exchange *x)
{
	const struct ike_sa *sa = x->sa;
	const struct secret *psk = conns_secret(x->e, sa, &x->in->idr.id);

	return psk || sa->conn->remote_id.type != ID_ANY
		       ? psk
		       : conns_secret(x->e, sa, &sa->conn->remote_id);
}

bool auth_can_consume(struct exchange *x)
{
	const uint64_t needed = WIRE_BIT(PAYLOAD_AUTH) | WIRE_BIT(PAYLOAD_IDR);
	const struct secret *psk;

	if (x->sa->end_reason || (x->in->present & needed) != needed)
		return true;
	psk = responder_secret(x);
	return !psk || !psk->held || know_peer_auth(x, psk);
}

static bool authenticate_responder(struct exchange *x, char *detail, size_t size)
{
	struct ike_sa *sa = x->sa;
	const struct secret *psk;

	if (!peer_id_ok(x, detail, size))
		return false;
	if (!kept_id(&sa->remote_id, &x->in->idr.id)) {
		snprintf(detail, size, "out of memory");
		return false;
	}
	who_file(x->e, sa);
	psk = responder_secret(x);
	if (psk && peer_auth_ok(x, psk))
		return true;
	snprintf(detail, size, "the peer's AUTH does not verify: keys differ");
	return false;
}

/* What a failed first CHILD_SA means in words, for the side that asked for it. */
static void child_refused(struct exchange *x, const struct child_config *config, uint16_t notify)
{
	enum ike_reason reason = notify == NOTIFY_NO_PROPOSAL_CHOSEN ? IKE_REASON_NO_PROPOSAL
				 : notify == NOTIFY_TS_UNACCEPTABLE  ? IKE_REASON_TS_UNACCEPTABLE
								     : IKE_REASON_PEER_REFUSED;
	char detail[IKE_WORDS];
	bool again = vips_refused(x->sa, notify, detail, sizeof(detail));

	if (again) /* RFC 7296 2.19: addresses are asked for in IKE_AUTH, that is in another one */
		reason = IKE_REASON_NO_ADDRESS;
	else
		child_setup_refusal(x->sa, config, notify, detail, sizeof(detail));
	peers_child_failed(x->e, x->sa, config->name, reason, detail);
	if (again)
		ike_sa_delete(x->e, x->sa, reason);
}

static void consume_first_child(struct exchange *x, const struct child_config *config,
				uint32_t spi_in)
{
	struct ike_sa *sa = x->sa;
	struct child_offer offer;
	struct child *c = NULL;

	if (child_setup_accept(x->e, sa, x->in, config, spi_in, true, &offer))
		c = child_setup_commit(
			x->e, sa, &offer, span_of(sa->nonce_own, sizeof(sa->nonce_own)),
			message_copy_span(&sa->nonce_peer), span_of(NULL, 0), true, true, NULL);
	if (c) {
		child_announce(x->e, c, NULL);
		return;
	}
	/* The peer has a CHILD_SA that we can't use: begin anew rather than half. */
	peers_child_failed(x->e, sa, config->name, offer.reason, offer.detail);
	ike_sa_delete(x->e, sa, offer.reason ? offer.reason : IKE_REASON_INTERNAL);
}

/* The peer may have an IKE_SA that we gave up meanwhile. */
static void consume_unwanted(struct exchange *x)
{
	struct ike_sa *sa = x->sa;

	if (!(x->in->present & WIRE_BIT(PAYLOAD_AUTH))) {
		ike_sa_end(x->e, sa, sa->end_reason, "the peer refused it");
		return;
	}
	ike_sa_set_state(x->e, sa, IKE_SA_DELETING, ike_reason_text(sa->end_reason));
	if (!exchange_enqueue(x->e, sa, &delete_ike_ops, 0, NULL, 0))
		ike_sa_end(x->e, sa, sa->end_reason, "out of memory");
}

void auth_consume_response(struct exchange *x)
{
	const struct wire_notify *error = wire_find_error(x->in);
	const struct child_config *config = first_config(x->sa);
	struct ike_sa *sa = x->sa;
	uint32_t spi_in = sa->init->child_spi;
	bool held = conns_child_held(sa->entry, sa->init->child_name) != HOLD_NONE;
	bool initial_contact = wire_find_notify(x->in, NOTIFY_INITIAL_CONTACT) != NULL;
	char detail[IKE_WORDS];

	x->e->counters.ike_auth_in_resp++;
	if (sa->end_reason) {
		consume_unwanted(x);
		return;
	}
	if (!(x->in->present & WIRE_BIT(PAYLOAD_AUTH))) {
		consume_refusal(x, error);
		return;
	}
	if (!(x->in->present & WIRE_BIT(PAYLOAD_IDR)) ||
	    !authenticate_responder(x, detail, sizeof(detail))) {
		if (!(x->in->present & WIRE_BIT(PAYLOAD_IDR)))
			snprintf(detail, sizeof(detail), "the peer sent no identity");
		reject_peer(x, detail);
		return;
	}
	sa->peer_authenticated = true;
	quick_crash_take(x->e, sa, x->in);
	sync_take_answer(x);
	vips_consume_reply(x);
	ike_sa_establish(x->e, sa, "IKE_AUTH answered");
	ike_sa_announce(x->e, sa, NULL);
	reauth_heed_lifetime(x);
	if (config && !held && !error)
		consume_first_child(x, config, spi_in);
	else if (!error) /* taken out or taken down since we asked */
		delete_child_at_peer(x->e, sa, spi_in);
	if (!ike_sa_usable(sa))
		return;
	peers_sa_up(x->e, sa, config && error ? config->name : NULL);
	if (config && error)
		child_refused(x, config, error->type);
	/* One that goes again replaces nothing, but the peer may have forgotten older ones. */
	if (ike_sa_usable(sa) || initial_contact)
		duplicates_resolve(x->e, sa, initial_contact);
}

/* ---- responder ---- */

void auth_refuse(struct exchange *x, const char *name, enum ike_reason reason, const char *detail)
{
	struct ike_sa *sa = x->sa;

	output_event_failed(x->e, name, sa, reason, detail);
	sa->end_reason = reason;
	ike_sa_set_state(x->e, sa, IKE_SA_DELETING, ike_reason_text(reason));
	timer_set(&x->e->timers, &sa->expire_timer, x->now + REFUSED_LINGER);
}

/* Answers AUTHENTICATION_FAILED and nothing more (RFC 7296 2.21.2); who and why is for our
 * log alone. */
static void refuse_peer(struct exchange *x, const char *detail)
{
	struct conn_entry *entry = x->sa->entry;

	x->e->counters.auth_failed++;
	exchange_refuse(x, NOTIFY_AUTHENTICATION_FAILED, span_of(NULL, 0), detail);
	peers_keep_refusal(x, entry, &x->in->idi.id, IKE_REASON_AUTH_FAILED, detail);
	auth_refuse(x, entry->name, IKE_REASON_AUTH_FAILED, detail);
}

/* Chooses the conn by identities; *detail says what did not fit. */
static const struct secret *identify(struct exchange *x, char *detail, size_t size)
{
	const struct wire_message *m = x->in;
	const struct id *idr = m->present & WIRE_BIT(PAYLOAD_IDR) ? &m->idr.id : NULL;
	struct ike_sa *sa = x->sa;
	struct conn_entry *entry;
	const struct secret *psk;
	struct id own;
	char a[ID_TEXT], b[ID_TEXT], c[ID_TEXT];

	sa->path = *x->path;
	entry = peers_match_ids(x->e, sa, &m->idi.id, idr);
	if (!entry) {
		snprintf(detail, size, "peer says %.180s%s%.180s, we want %.180s",
			 id_format(&m->idi.id, a), idr ? " and wants " : "",
			 idr ? id_format(idr, b) : "", id_format(&sa->conn->remote_id, c));
		return NULL;
	}
	if (entry != sa->entry)
		conns_attach(x->e, sa, entry, entry->version);
	peers_own_id(sa->conn, &sa->path, &own);
	if (!kept_id(&sa->local_id, &own)) {
		snprintf(detail, size, "out of memory");
		return NULL;
	}
	psk = conns_secret(x->e, sa, &m->idi.id);
	if (!psk)
		no_secret(sa, &m->idi.id, detail, size);
	return psk;
}

static bool authenticate_initiator(struct exchange *x, const struct secret *psk, char *detail,
				   size_t size)
{
	struct ike_sa *sa = x->sa;
	char a[ID_TEXT], b[ID_TEXT];

	if (!(x->in->present & WIRE_BIT(PAYLOAD_AUTH))) {
		snprintf(detail, size, "peer %.200s wants EAP, we want a pre-shared key",
			 id_format(&x->in->idi.id, a));
		return false;
	}
	if (!peer_auth_ok(x, psk)) {
		snprintf(detail, size, "AUTH of %.200s for our %.200s does not verify: keys differ",
			 id_format(&x->in->idi.id, a), id_format(sa_local_id(sa), b));
		return false;
	}
	if (!kept_id(&sa->remote_id, &x->in->idi.id)) {
		snprintf(detail, size, "out of memory");
		return false;
	}
	who_file(x->e, sa);
	if (duplicates_forbid(sa)) {
		snprintf(detail, size, "%.200s has an IKE_SA already (unique=keep)",
			 id_format(sa_remote_id(sa), a));
		return false;
	}
	return true;
}

/* NULL: why not, if it is the peer's offer, is in *offer. */
static struct child *create_first_child(struct exchange *x, struct child_offer *offer)
{
	struct ike_sa *sa = x->sa;
	struct child *c;

	offer->reason = IKE_REASON_NONE;
	if (!vips_answer_request(x, offer))
		return NULL;
	if (!child_setup_select(x->e, sa, x->in, NULL, true, offer)) {
		exchange_refuse(x, offer->error, span_of(NULL, 0), offer->detail);
		output_event_failed(x->e, NULL, sa, offer->reason, offer->detail);
		return NULL;
	}
	c = child_setup_commit(x->e, sa, offer, message_copy_span(&sa->nonce_peer),
			       span_of(sa->nonce_own, sizeof(sa->nonce_own)), span_of(NULL, 0),
			       false, duplicates_may_send(sa, offer->config, &offer->remote_ts),
			       NULL);
	if (!c) {
		exchange_refuse(x, NOTIFY_TEMPORARY_FAILURE, span_of(NULL, 0), "out of memory");
		return NULL;
	}
	child_setup_put_choice(x->out, offer);
	child_setup_put_ts(x->out, &offer->remote_ts, &offer->local_ts);
	if (offer->resources)
		resources_put(x->e, x->out, offer->config, 0);
	return c;
}

/* Whoever holds the key does not answer at the moment: the peer repeats its request. */
static void not_now(struct exchange *x)
{
	x->aside = true;
	ike_log(x->e, x->sa, LOG_LEVEL_INFO,
		"IKE_AUTH waits for its retransmission: the pre-shared key is not at hand");
}

void auth_respond(struct exchange *x)
{
	struct ike_sa *sa = x->sa;
	char detail[IKE_WORDS] = "";
	const struct secret *psk = identify(x, detail, sizeof(detail));
	struct child_offer offer;
	struct child *c;

	x->e->counters.ike_auth_in_req += !sa->init->have_lease;
	if (psk && psk->held && (x->in->present & WIRE_BIT(PAYLOAD_AUTH)) &&
	    !know_peer_auth(x, psk)) {
		not_now(x);
		return;
	}
	if (!psk || !authenticate_initiator(x, psk, detail, sizeof(detail))) {
		refuse_peer(x, detail);
		return;
	}
	if (vips_must_wait(x))
		return;
	wire_put_id(x->out, PAYLOAD_IDR, sa_local_id(sa));
	if (!put_own_auth(x->e, sa, psk, x->out)) {
		if (psk->held) {
			not_now(x);
			return;
		}
		ike_sa_end(x->e, sa, IKE_REASON_INTERNAL, "AUTH could not be computed");
		return;
	}
	sa->peer_authenticated = true;
	quick_crash_put(x->e, sa, x->out);
	quick_crash_take(x->e, sa, x->in);
	sync_answer_offer(x);
	c = create_first_child(x, &offer);
	ike_sa_establish(x->e, sa, "peer authenticated");
	ike_sa_announce(x->e, sa, NULL);
	reauth_put_lifetime(x);
	if (c)
		child_announce(x->e, c, NULL);
	peers_sa_up(x->e, sa, NULL);
	if (!c && offer.reason)
		peers_keep_failure(x->e, sa->entry, offer.reason, offer.detail);
	duplicates_resolve(x->e, sa, wire_find_notify(x->in, NOTIFY_INITIAL_CONTACT) != NULL);
	if (c)
		duplicates_await(x->e, c);
}
