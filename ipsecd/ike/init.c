/* IKE_SA_INIT (RFC 7296 1.2) in both roles: proposals, key exchange, nonces, the
 * COOKIE round (2.6), the INVALID_KE_PAYLOAD round (1.3), NAT detection (2.23).
 *
 *	HDR, [N(COOKIE)], SAi1, KEi, Ni, N(NATD)+	-->
 *			<--	HDR, SAr1, KEr, Nr, N(NATD)+
 *
 * Nothing here is authenticated before IKE_AUTH, so nothing here changes another SA. */
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/natd.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/vips.h"
#include "ipsecd/ike/window.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS_MAX 5 /* further IKE_SA_INIT rounds that a peer can ask for */

void init_state_free(struct ike_engine *e, struct ike_sa *sa)
{
	struct init_state *init = sa->init;

	if (!init)
		return;
	e->env.crypto->ke_free(init->ke);
	message_copy_clear(&init->request);
	message_copy_clear(&init->response);
	message_copy_clear(&init->aside);
	free(init->child_name);
	explicit_bzero(init, sizeof(*init));
	free(init);
	sa->init = NULL;
}

/* It has done its work, or another one is to do it. */
static void forget_ke(struct ike_engine *e, struct init_state *init)
{
	e->env.crypto->ke_free(init->ke);
	init->ke = NULL;
	explicit_bzero(init->ke_random, sizeof(init->ke_random));
}

static bool new_ke(struct ike_engine *e, struct init_state *init, const struct algorithm_ke *alg)
{
	forget_ke(e, init);
	init->ke_alg = alg;
	init->ke = pairs_take(e, alg, init->ke_random, init->ke_public);
	return init->ke != NULL;
}

/* Where ESP shall be in UDP, whether there is a NAT or not: one is claimed. */
static bool fakes_nat(const struct ike_engine *e, const struct conn *c)
{
	return c->encap == ENCAP_YES || (c->encap == ENCAP_AUTO && e->settings.encap_default);
}

static void put_proposal_ke_nonce(struct wire_writer *w, const struct proposal_list *l,
				  const struct init_state *init, const uint8_t *nonce)
{
	wire_put_sa(w, l, span_of(NULL, 0));
	wire_put_ke(w, init->ke_alg->id, span_of(init->ke_public, init->ke_alg->public_len));
	wire_put_nonce(w, span_of(nonce, IKE_NONCE_LEN));
}

/* ---- initiator ---- */

static bool create_request(struct ike_engine *e, struct ike_sa *sa)
{
	struct init_state *init = sa->init;
	uint8_t memory[IKE_MESSAGE_MAX];
	struct wire_writer w;
	struct wire_header h = {.spi_i = sa->spi_i,
				.version = WIRE_VERSION,
				.exchange = EXCHANGE_IKE_SA_INIT,
				.flags = FLAG_INITIATOR};
	struct span message;

	wire_begin(&w, memory, sizeof(memory), &h);
	/* RFC 7296 2.6: the cookie first, all else unchanged. */
	if (init->cookie_len)
		wire_put_notify(&w, PROTOCOL_NONE, NOTIFY_COOKIE, span_of(NULL, 0),
				span_of(init->cookie, init->cookie_len));
	put_proposal_ke_nonce(&w, sa->conn->proposals, init, sa->nonce_own);
	natd_put(e->env.crypto, &w, sa->spi_i, 0, &sa->path.local, &sa->path.remote,
		 fakes_nat(e, sa->conn));
	message = wire_end(&w);
	e->counters.ike_init_out_req++;
	return message.len && message_copy_set(&init->request, message) &&
	       window_send_request(e, sa, message);
}

static bool prepare(struct ike_engine *e, struct ike_sa *sa, const char *child)
{
	const struct algorithm_ke *alg = proposal_first_ke(sa->conn->proposals);
	struct id own;

	sa->init = calloc(1, sizeof(*sa->init));
	if (!sa->init || !alg)
		return false;
	sa->init->child_name = strdup(child);
	engine_random(e, sa->nonce_own, sizeof(sa->nonce_own));
	peers_own_id(sa->conn, &sa->path, &own);
	if (!sa->init->child_name || !kept_id(&sa->local_id, &own) ||
	    !kept_id(&sa->remote_id, &sa->conn->remote_id))
		return false;
	who_file(e, sa);
	return vips_prepare(sa) && new_ke(e, sa->init, alg);
}

struct ike_sa *init_start(struct ike_engine *e, struct conn_entry *entry,
			  const struct ike_path *path, const char *child)
{
	struct ike_sa *sa = ike_sa_new(e, entry, true, path);
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT];

	if (!sa) {
		peers_report_failure(e, entry, NULL, IKE_REASON_INTERNAL, "out of memory");
		return NULL;
	}
	entry->attempt = sa;
	ike_log(e, sa, LOG_LEVEL_INFO, "initiating IKE_SA #%u from %s to %s", sa->id,
		endpoint_format(&path->local, from), endpoint_format(&path->remote, to));
	ike_sa_set_state(e, sa, IKE_SA_INIT_SENT, "initiating");
	if (prepare(e, sa, child) && create_request(e, sa))
		return sa;
	peers_attempt_failed(e, sa, IKE_REASON_INTERNAL, "IKE_SA_INIT could not be built");
	return NULL;
}

/* Another round: same SPI and nonce, the id 0 again (RFC 7296 2.6). */
static void again(struct ike_engine *e, struct ike_sa *sa, const char *why)
{
	if (++sa->init->rounds > ROUNDS_MAX) {
		peers_attempt_failed(e, sa, IKE_REASON_PEER_REFUSED,
				     "the peer asks for IKE_SA_INIT again and again");
		return;
	}
	ike_log(e, sa, LOG_LEVEL_INFO, "IKE_SA_INIT again: %s", why);
	window_stop(e, sa);
	if (!create_request(e, sa))
		peers_attempt_failed(e, sa, IKE_REASON_INTERNAL, "IKE_SA_INIT could not be built");
}

static void consume_cookie(struct exchange *x, const struct wire_notify *n)
{
	struct init_state *init = x->sa->init;

	/* RFC 7296 2.6: 1 to 64 bytes. */
	if (n->data.len == 0 || n->data.len > IKE_COOKIE_MAX) {
		x->e->counters.drop_malformed++;
		return;
	}
	memcpy(init->cookie, n->data.ptr, n->data.len);
	init->cookie_len = (uint8_t)n->data.len;
	again(x->e, x->sa, "the peer answered COOKIE");
}

static void consume_invalid_ke(struct exchange *x, const struct wire_notify *n)
{
	struct ike_sa *sa = x->sa;
	uint16_t group = n->data.len == 2 ? be16_get(n->data.ptr) : 0;
	const struct algorithm_ke *alg = algorithm_ke(group);
	char detail[IKE_DETAIL], reason[96], name[32];

	/* Only a group that we offered, and not the one that was refused. */
	if (!alg || alg == sa->init->ke_alg || !proposal_list_has_ke(sa->conn->proposals, group)) {
		snprintf(detail, sizeof(detail),
			 "INVALID_KE_PAYLOAD: peer wants %s, which we do not offer",
			 algorithm_format(TRANSFORM_KE, group, 0, name));
		peers_attempt_failed(x->e, sa, IKE_REASON_NO_PROPOSAL, detail);
		return;
	}
	snprintf(reason, sizeof(reason), "the peer answered INVALID_KE_PAYLOAD, it wants %s",
		 alg->name);
	if (!new_ke(x->e, sa->init, alg)) {
		peers_attempt_failed(x->e, sa, IKE_REASON_INTERNAL, "key exchange failed");
		return;
	}
	again(x->e, sa, reason);
}

static void consume_error(struct exchange *x, const struct wire_notify *n)
{
	char name[32], detail[IKE_WORDS], ours[IKE_WORDS / 2];

	if (n->type == NOTIFY_NO_PROPOSAL_CHOSEN) {
		snprintf(detail, sizeof(detail), "NO_PROPOSAL_CHOSEN: peer accepts none of our %s",
			 proposal_list_format(x->sa->conn->proposals, ours, sizeof(ours)));
		peers_attempt_failed(x->e, x->sa, IKE_REASON_NO_PROPOSAL, detail);
		return;
	}
	snprintf(detail, sizeof(detail), "peer answers IKE_SA_INIT with %s",
		 wire_notify_name(n->type, name));
	peers_attempt_failed(x->e, x->sa, IKE_REASON_PEER_REFUSED, detail);
}

/* SK_* from g^ir and both nonces. false: out of memory. */
static bool make_keys(struct ike_engine *e, struct ike_sa *sa, const uint8_t *shared)
{
	struct span own = span_of(sa->nonce_own, sizeof(sa->nonce_own));
	struct span peer = message_copy_span(&sa->nonce_peer);
	struct keymat_ike_input in = {
		.suite = &sa->suite,
		.nonce_i = sa->initiator ? own : peer,
		.nonce_r = sa->initiator ? peer : own,
		.shared = span_of(shared, sa->suite.ke->shared_len),
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
	};
	struct ike_keys keys;
	bool ok = keymat_ike(e->env.crypto, &in, &keys) && kept_keys(&sa->keys, &keys);

	explicit_bzero(&keys, sizeof(keys));
	if (ok)
		forget_ke(e, sa->init);
	return ok;
}

enum derived { DERIVED, DERIVED_NOT_USABLE, DERIVED_NO_MEMORY };

static enum derived derive(struct ike_engine *e, struct ike_sa *sa, struct span peer_public)
{
	uint8_t shared[ALGORITHM_SHARED_MAX];
	enum derived result = DERIVED_NOT_USABLE;

	if (peer_public.len == sa->suite.ke->public_len &&
	    e->env.crypto->ke_derive(sa->init->ke, peer_public, shared))
		result = make_keys(e, sa, shared) ? DERIVED : DERIVED_NO_MEMORY;
	explicit_bzero(shared, sizeof(shared));
	return result;
}

static void take_nat_view(struct ike_engine *e, struct ike_sa *sa, const struct wire_message *m,
			  const struct ike_path *path, uint64_t spi_r)
{
	struct natd_view v =
		natd_detect(e->env.crypto, m, sa->spi_i, spi_r, &path->local, &path->remote);
	char text[NATD_TEXT];

	sa->nat_local = v.nat_local;
	sa->nat_remote = v.nat_remote;
	sa->nat_faked = v.supported && fakes_nat(e, sa->conn);
	if (natd_text(&v, sa->nat_faked, text, sizeof(text)) &&
	    (sa->initiator || log_limit_pass(&e->drop_log, e->now)))
		ike_log(e, sa, LOG_LEVEL_INFO, "%s", text);
}

/* RFC 7296 2.23: with a NAT, the initiator goes on on port 4500. */
static void float_ports(struct ike_sa *sa)
{
	if (!sa->nat_local && !sa->nat_remote && !sa->nat_faked)
		return;
	sa->path.local.port = PORT_NATT;
	sa->path.remote.port = PORT_NATT;
}

/* Our request is repeated, and so is this answer. */
static bool must_wait(struct exchange *x)
{
	if (auth_can_start(x->e, x->sa))
		return false;
	ike_log(x->e, x->sa, LOG_LEVEL_INFO,
		"IKE_SA_INIT waits for its retransmission: the pre-shared key is not at hand");
	x->e->counters.drop_state++;
	return true;
}

static void consume_choice(struct exchange *x)
{
	const struct wire_message *m = x->in;
	struct ike_sa *sa = x->sa;
	char theirs[PROPOSAL_TEXT], detail[IKE_WORDS];
	enum derived derived;
	struct suite suite;

	if (m->sa.n != 1 || !proposal_accept(sa->conn->proposals, &m->sa.p[0], false, &suite) ||
	    suite.ke != sa->init->ke_alg || m->ke.group != suite.ke->id) {
		snprintf(detail, sizeof(detail), "peer chose %.360s, which we did not offer",
			 proposal_list_format(&m->sa, theirs, sizeof(theirs)));
		peers_attempt_failed(x->e, sa, IKE_REASON_NO_PROPOSAL, detail);
		return;
	}
	sa->suite = suite;
	sa->spi_r = x->header->spi_r;
	if (!message_copy_set(&sa->nonce_peer, m->nonce)) {
		peers_attempt_failed(x->e, sa, IKE_REASON_INTERNAL, "out of memory");
		return;
	}
	derived = derive(x->e, sa, m->ke.data);
	if (derived != DERIVED) {
		peers_attempt_failed(x->e, sa, IKE_REASON_INTERNAL,
				     derived == DERIVED_NO_MEMORY
					     ? "out of memory"
					     : "the peer's public value is not usable");
		return;
	}
	take_nat_view(x->e, sa, m, x->path, sa->spi_r);
	if (!message_copy_set(&sa->init->response, x->datagram)) {
		peers_attempt_failed(x->e, sa, IKE_REASON_INTERNAL, "out of memory");
		return;
	}
	window_answered(x->e, sa);
	float_ports(sa);
	auth_start(x->e, sa);
}

void init_consume_response(struct exchange *x)
{
	const struct wire_notify *cookie = wire_find_notify(x->in, NOTIFY_COOKIE);
	const struct wire_notify *error = wire_find_error(x->in);

	x->e->counters.ike_init_in_resp++;
	exchange_count_received(x->e, x->in);
	if (error && error->type == NOTIFY_INVALID_KE_PAYLOAD)
		consume_invalid_ke(x, error);
	else if (error)
		consume_error(x, error);
	else if (cookie && !(x->in->present & WIRE_BIT(PAYLOAD_SA)))
		consume_cookie(x, cookie);
	else if (!x->header->spi_r ||
		 transition_missing(transition_find(IKE_SA_CREATED, KIND_IKE_SA_INIT, ROLE_REQUEST),
				    x->in))
		x->e->counters.drop_malformed++;
	else if (!must_wait(x))
		consume_choice(x);
}

/* ---- responder ---- */

/* Without a word of state: responder's SPI 0, one notify (RFC 7296 2.6, 2.21.1). */
static void answer(struct exchange *x, uint16_t type, struct span data)
{
	uint8_t memory[256];
	struct wire_writer w;
	struct wire_header h = {.spi_i = x->header->spi_i,
				.version = WIRE_VERSION,
				.exchange = EXCHANGE_IKE_SA_INIT,
				.flags = FLAG_RESPONSE};
	struct span message;

	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_notify(&w, PROTOCOL_NONE, type, span_of(NULL, 0), data);
	message = wire_end(&w);
	x->e->counters.ike_init_out_resp++;
	exchange_count_sent(x->e, type);
	if (message.len)
		output_send(x->e, x->path, message);
}

/* Anybody can send an IKE_SA_INIT: what is said of it is limited as drops are. */
static void refuse(struct exchange *x, uint16_t type, struct span data, const char *name,
		   const char *reason)
{
	char from[ENDPOINT_TEXT], notify[32];

	if (log_limit_pass(&x->e->drop_log, x->now))
		log_to(x->e->env.log, LOG_LEVEL_WARN, "ike", name,
		       "IKE_SA_INIT from %s refused with %s: %s",
		       endpoint_format(&x->path->remote, from), wire_notify_name(type, notify),
		       reason);
	answer(x, type, data);
}

/* RFC 7296 2.6: under load only a peer that returns our cookie gets state. */
static bool passes_cookie(struct exchange *x)
{
	struct ike_engine *e = x->e;
	const struct wire_notify *n = wire_find_notify(x->in, NOTIFY_COOKIE);
	uint8_t fresh[32], cookie[COOKIE_LEN];

	if (e->counters.half_open < e->settings.cookie_threshold)
		return true;
	if (cookie_due(&e->cookies, x->now)) {
		engine_random(e, fresh, sizeof(fresh));
		cookie_rotate(&e->cookies, fresh, x->now);
		explicit_bzero(fresh, sizeof(fresh));
	}
	if (n && cookie_check(e->env.crypto, &e->cookies, n->data, x->in->nonce,
			      &x->path->remote.addr, x->header->spi_i))
		return true;
	e->counters.drop_cookie++;
	if (cookie_make(e->env.crypto, &e->cookies, x->in->nonce, &x->path->remote.addr,
			x->header->spi_i, cookie))
		answer(x, NOTIFY_COOKIE, span_of(cookie, sizeof(cookie)));
	return false;
}

static void refuse_path(struct exchange *x, const struct path_match *match)
{
	char theirs[IKE_WORDS / 2], ours[IKE_WORDS / 2], reason[IKE_WORDS + 64];
	char local[ADDR_TEXT], remote[ADDR_TEXT];
	struct conn_entry *near = match->near;

	if (near)
		snprintf(reason, sizeof(reason), "peer offers %s, we accept %s",
			 proposal_list_format(&x->in->sa, theirs, sizeof(theirs)),
			 proposal_list_format(near->version->conn->proposals, ours, sizeof(ours)));
	else
		snprintf(reason, sizeof(reason), "no connection for %s === %s",
			 addr_format(&x->path->local.addr, local),
			 addr_format(&x->path->remote.addr, remote));
	refuse(x, NOTIFY_NO_PROPOSAL_CHOSEN, span_of(NULL, 0), near ? near->name : "", reason);
	if (!near)
		return;
	peers_keep_refusal(x, near, NULL, IKE_REASON_NO_PROPOSAL, reason);
	output_event_failed(x->e, near->name, NULL, IKE_REASON_NO_PROPOSAL, reason);
}

static void ignore(struct exchange *x, const char *why)
{
	char remote[ADDR_TEXT];

	x->e->counters.drop_state++;
	if (log_limit_pass(&x->e->drop_log, x->now))
		log_to(x->e->env.log, LOG_LEVEL_INFO, "ike", "", "IKE_SA_INIT from %s ignored: %s",
		       addr_format(&x->path->remote.addr, remote), why);
}

/* The best conn for these addresses that accepts one of the proposals. */
static struct conn_entry *choose(struct exchange *x, struct path_match *match)
{
	struct conn_entry *entry = peers_match_path(x->e, x->path, &x->in->sa, match);

	if (entry)
		return entry;
	/* While they are loaded, one that accepts it may follow those that don't. */
	if (!x->e->loading && (match->near || !match->held)) {
		refuse_path(x, match);
		return NULL;
	}
	/* Taken down by command: as silent as an interface that is shut. */
	ignore(x, match->held ? "its connection was taken down by command"
			      : "connections are still being loaded");
	return NULL;
}

static bool wants_other_ke(struct exchange *x, const struct conn_entry *entry,
			   const struct suite *suite)
{
	uint8_t group[2];
	char reason[96], name[32];

	if (x->in->ke.group == suite->ke->id)
		return false;
	be16_set(group, suite->ke->id);
	snprintf(reason, sizeof(reason), "peer sent KE %s, we want %s",
		 algorithm_format(TRANSFORM_KE, x->in->ke.group, 0, name), suite->ke->name);
	refuse(x, NOTIFY_INVALID_KE_PAYLOAD, span_of(group, sizeof(group)), entry->name, reason);
	return true;
}

static bool create_response(struct exchange *x, struct ike_sa *sa, const struct proposal *chosen)
{
	struct proposal_list l = {.n = 1, .p[0] = *chosen};
	uint8_t memory[IKE_MESSAGE_MAX];
	struct wire_writer w;
	struct wire_header h = {.spi_i = sa->spi_i,
				.spi_r = sa->spi_r,
				.version = WIRE_VERSION,
				.exchange = EXCHANGE_IKE_SA_INIT,
				.flags = FLAG_RESPONSE};
	struct span message;

	wire_begin(&w, memory, sizeof(memory), &h);
	put_proposal_ke_nonce(&w, &l, sa->init, sa->nonce_own);
	natd_put(x->e->env.crypto, &w, sa->spi_i, sa->spi_r, &x->path->local, &x->path->remote,
		 fakes_nat(x->e, sa->conn));
	message = wire_end(&w);
	if (!message.len || !message_copy_set(&sa->init->response, message) ||
	    !message_copy_set(&sa->init->request, x->datagram))
		return false;
	x->e->counters.ike_init_out_resp++;
	window_send_response(x->e, sa, x->path, message);
	return true;
}

static void accept_peer(struct exchange *x, struct conn_entry *entry, const struct proposal *chosen,
			const struct suite *suite)
{
	struct ike_engine *e = x->e;
	struct ike_sa *sa = ike_sa_new(e, entry, false, x->path);
	bool ok;

	if (!sa)
		return;
	sa->spi_i = x->header->spi_i;
	sa->suite = *suite;
	engine_random(e, sa->nonce_own, sizeof(sa->nonce_own));
	sa->init = calloc(1, sizeof(*sa->init));
	ok = sa->init && x->in->ke.data.len == suite->ke->public_len && /* RFC 7296 3.4 */
	     message_copy_set(&sa->nonce_peer, x->in->nonce) && new_ke(e, sa->init, suite->ke);
	/* RFC 7296 2.23: the responder's SPI was still 0 when the request was hashed. */
	if (ok)
		take_nat_view(e, sa, x->in, x->path, 0);
	if (ok && create_response(x, sa, chosen)) {
		ike_sa_set_state(e, sa, IKE_SA_HALF_OPEN, "IKE_SA_INIT answered");
		e->underived |= e->counters.half_open < e->settings.cookie_threshold;
		return;
	}
	e->counters.invalid++;
	ike_sa_end(e, sa, IKE_REASON_INVALID_SYNTAX, "the peer's public value is not usable");
}

/* ---- responder: keys, behind the answer ---- */

/* In the peer's request, which parsed when it came; a record's may be anything. */
static struct span peer_public(const struct init_state *init)
{
	struct span all = message_copy_span(&init->request);
	struct wire_message m;
	struct wire_header h;

	if (wire_parse_header(all, &h).error ||
	    wire_parse_payloads(h.next_payload,
				span_of(all.ptr + WIRE_HEADER_LEN, all.len - WIRE_HEADER_LEN), &m)
		    .error)
		return span_of(NULL, 0);
	return m.ke.data;
}

bool init_make_keys(struct ike_engine *e, struct ike_sa *sa)
{
	if (sa->keys)
		return true;
	switch (derive(e, sa, peer_public(sa->init))) {
	case DERIVED:
		sa_touch(e, sa);
		return true;
	case DERIVED_NO_MEMORY:
		e->counters.drop_state++;
		return false;
	case DERIVED_NOT_USABLE:
		break;
	}
	e->counters.invalid++;
	ike_sa_end(e, sa, IKE_REASON_INVALID_SYNTAX, "the peer's public value is not usable");
	return false;
}

/* Who floods us with IKE_SA_INIT gets none of this: below the threshold of cookies alone. */
void init_make_keys_ahead(struct ike_engine *e)
{
	struct half_open *h;

	e->underived = false;
	if (e->counters.half_open > e->settings.cookie_threshold)
		return;
	for (h = e->half_open; h; h = h->hh.next) {
		if (h->sa->state != IKE_SA_HALF_OPEN || h->sa->keys)
			continue;
		e->underived = init_make_keys(e, h->sa); /* perhaps there is another one */
		return;
	}
}

/* ---- responder ---- */

/* The same request again: the same answer (RFC 7296 2.1). Another one under the same SPI and
 * address is dropped, so that nobody can push a half-open SA aside. */
static bool is_retransmission(struct exchange *x)
{
	struct ike_sa *sa = ike_sa_half_open(x->e, x->header->spi_i, &x->path->remote);

	if (!sa)
		return false;
	if (span_equal(x->datagram, span_of(sa->init->request.data, sa->init->request.len))) {
		x->e->counters.retransmits_seen++;
		output_send(x->e, x->path,
			    span_of(sa->init->response.data, sa->init->response.len));
	} else {
		x->e->counters.drop_state++;
	}
	return true;
}

void init_respond(struct exchange *x)
{
	struct ike_engine *e = x->e;
	struct path_match match;
	struct conn_entry *entry;

	e->counters.ike_init_in_req++;
	if (is_retransmission(x))
		return;
	if (e->shutting_down || ike_sa_half_open_full(e, &x->path->remote.addr)) {
		e->counters.drop_half_open++;
		return;
	}
	if (!passes_cookie(x))
		return;
	entry = choose(x, &match);
	if (!entry || wants_other_ke(x, entry, &match.suite))
		return;
	accept_peer(x, entry, &match.chosen, &match.suite);
}
