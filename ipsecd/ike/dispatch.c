/* Datagrams: header, which SA, integrity, message id, payloads, transition table, handler.
 * Everything that does not pass is counted and logged with the reason and the value, and
 * changes no SA; at most one bare answer goes out, and none to a response. */
#include "ipsecd/ike/dispatch.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/sk.h"
#include "ipsecd/ike/vips.h"
#include "ipsecd/ike/window.h"

/* What is known of a datagram on its way. */
struct arrival {
	struct ike_engine *e;
	const struct ike_path *path;
	struct span datagram;
	struct wire_header h;
	struct ike_sa *sa;
};

static bool is_response(const struct arrival *a)
{
	return a->h.flags & FLAG_RESPONSE;
}

static void drop(struct arrival *a, uint64_t *counter, const char *reason, uint64_t value)
{
	char from[ENDPOINT_TEXT];

	(*counter)++;
	if (!log_limit_pass(&a->e->drop_log, a->e->now))
		return;
	ike_log(a->e, a->sa, LOG_LEVEL_INFO, "dropped %zu bytes from %s: %s (%#llx)",
		a->datagram.len, endpoint_format(&a->path->remote, from), reason,
		(unsigned long long)value);
}

static void drop_fault(struct arrival *a, uint64_t *counter, const struct wire_fault *f)
{
	char from[ENDPOINT_TEXT];

	(*counter)++;
	if (!log_limit_pass(&a->e->drop_log, a->e->now))
		return;
	ike_log(a->e, a->sa, LOG_LEVEL_INFO, "dropped %zu bytes from %s: %s at byte %zu, value %u",
		a->datagram.len, endpoint_format(&a->path->remote, from), wire_strerror(f->error),
		f->offset, f->value);
}

/* An unprotected answer to an unprotected request (RFC 7296 2.5, 2.21.1), perhaps with a token. */
static void answer_with(struct arrival *a, uint16_t notify, struct span data, struct span token)
{
	uint8_t memory[128];
	struct wire_writer w;
	struct wire_header h = a->h;
	struct span message;

	h.version = WIRE_VERSION;
	h.flags = (uint8_t)(FLAG_RESPONSE | (a->h.flags & FLAG_INITIATOR ? 0 : FLAG_INITIATOR));
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_notify(&w, PROTOCOL_NONE, notify, span_of(NULL, 0), data);
	if (token.len)
		wire_put_notify(&w, PROTOCOL_IKE, NOTIFY_QUICK_CRASH_DETECTION, span_of(NULL, 0),
				token);
	message = wire_end(&w);
	exchange_count_sent(a->e, notify);
	if (message.len)
		output_send(a->e, a->path, message);
}

static void answer_bare(struct arrival *a, uint16_t notify, struct span data)
{
	if (!is_response(a) && log_limit_pass(&a->e->answer_limit, a->e->now))
		answer_with(a, notify, data, span_of(NULL, 0));
}

static void refuse_version(struct arrival *a, const struct wire_fault *f)
{
	drop_fault(a, &a->e->counters.drop_version, f);
	/* RFC 7296 2.5: a higher major version is told which one we speak; IKEv1 is not. */
	if (a->h.version >> 4 > WIRE_VERSION >> 4)
		answer_bare(a, NOTIFY_INVALID_MAJOR_VERSION, span_of(NULL, 0));
}

/* ---- IKE_SA_INIT ---- */

static bool parse_bare(struct arrival *a, struct wire_message *m)
{
	struct span chain =
		span_of(a->datagram.ptr + WIRE_HEADER_LEN, a->datagram.len - WIRE_HEADER_LEN);
	struct wire_fault f = wire_parse_payloads(a->h.next_payload, chain, m);
	uint8_t type = (uint8_t)f.value;

	if (f.error == WIRE_CRITICAL) {
		drop_fault(a, &a->e->counters.drop_critical, &f);
		answer_bare(a, NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, span_of(&type, 1));
		return false;
	}
	if (f.error)
		drop_fault(a, &a->e->counters.drop_malformed, &f);
	return f.error == WIRE_OK;
}

static void receive_init(struct arrival *a, enum ike_sa_state state, enum exchange_role role)
{
	const struct transition *t = transition_find(state, KIND_IKE_SA_INIT, role);
	struct wire_message m;
	struct exchange x = {.e = a->e,
			     .sa = a->sa,
			     .in = &m,
			     .path = a->path,
			     .header = &a->h,
			     .datagram = a->datagram,
			     .now = a->e->now};

	if (!t) {
		drop(a, &a->e->counters.drop_state, "IKE_SA_INIT in this state", state);
		return;
	}
	if (!parse_bare(a, &m))
		return;
	/* Responses with a COOKIE or an error are judged by the handler. */
	if (role == ROLE_REQUEST && transition_missing(t, &m)) {
		drop(a, &a->e->counters.drop_malformed, "IKE_SA_INIT lacks payloads",
		     transition_missing(t, &m));
		return;
	}
	if (transition_unexpected(t, &m)) {
		drop(a, &a->e->counters.drop_malformed, "IKE_SA_INIT with other payloads",
		     transition_unexpected(t, &m));
		return;
	}
	t->handle(&x);
}

static void receive_init_request(struct arrival *a)
{
	/* RFC 7296 2.2, 3.1: the first message has id 0, the Initiator flag and no SPI of ours. */
	if (a->h.spi_r || a->h.message_id || !a->h.spi_i || !(a->h.flags & FLAG_INITIATOR)) {
		drop(a, &a->e->counters.drop_malformed, "IKE_SA_INIT with wrong header",
		     a->h.message_id);
		return;
	}
	/* Our own request, reflected: we don't talk to ourselves. */
	if (ike_sa_by_spi(a->e, a->h.spi_i)) {
		drop(a, &a->e->counters.drop_state, "IKE_SA_INIT with an SPI of ours", a->h.spi_i);
		return;
	}
	/* It is kept until IKE_AUTH (RFC 7296 2.15), whoever sent it. */
	if (a->datagram.len > IKE_INIT_MAX) {
		drop(a, &a->e->counters.drop_malformed, "IKE_SA_INIT longer than", IKE_INIT_MAX);
		return;
	}
	receive_init(a, IKE_SA_CREATED, ROLE_REQUEST);
}

/* ---- protected messages ---- */

/* RFC 7296 1.5, 2.21.4: a bare response says that the peer has no such IKE_SA. */
static bool take_invalid_ike_spi(const struct arrival *a, const struct wire_message *m)
{
	const struct ike_hint hint = {.what = IKE_SUSPECT_INVALID_IKE_SPI,
				      .path = *a->path,
				      .spi_i = a->h.spi_i,
				      .spi_r = a->h.spi_r};

	if (!is_response(a) || !wire_find_notify(m, NOTIFY_INVALID_IKE_SPI))
		return false;
	if (quick_crash_proved(a->e, a->sa, m))
		return true;
	if (!window_check_response(a->sa, a->h.message_id))
		return false;
	/* Its answer to our DELETE was lost. Nobody wins by a forged one: it is going anyway. */
	if (a->sa->state == IKE_SA_DELETING)
		ike_sa_end(a->e, a->sa, a->sa->end_reason, "the peer does not know it any more");
	else
		suspect_hint(a->e, &hint);
	return true;
}

static bool decrypt(struct ike_engine *e, const struct ike_sa *sa, size_t len,
		    const struct wire_message *outer, struct span *inner)
{
	struct crypto_cipher *c = ike_sa_cipher(e, sa, false);
	bool ok = c && sk_open(e->env.crypto, c, &sa->suite, e->scratch, len, outer, inner);

	e->env.crypto->cipher_free(c);
	return ok;
}

/* Decrypts into the scratch memory and parses what is inside. */
static bool unprotect(struct arrival *a, uint8_t *first, struct span *inner)
{
	struct ike_engine *e = a->e;
	struct ike_sa *sa = a->sa;
	struct wire_message outer;
	struct span chain =
		span_of(e->scratch + WIRE_HEADER_LEN, a->datagram.len - WIRE_HEADER_LEN);
	struct wire_fault f;

	memcpy(e->scratch, a->datagram.ptr, a->datagram.len);
	f = wire_parse_payloads(a->h.next_payload, chain, &outer);
	if (f.error) {
		drop_fault(a, &e->counters.drop_malformed, &f);
		return false;
	}
	/* RFC 7296 1.2: all payloads behind the header are inside SK; 2.5: but for such as we don't
	 * know, which are skipped. */
	if (outer.present != WIRE_BIT(PAYLOAD_SK)) {
		if (take_invalid_ike_spi(a, &outer))
			return false;
		drop(a, &e->counters.drop_malformed, "not protected by SK alone", outer.present);
		return false;
	}
	if (!init_make_keys(e, sa))
		return false;
	if (!decrypt(e, sa, a->datagram.len, &outer, inner)) {
		drop(a, &e->counters.drop_auth, "integrity check failed, message id",
		     a->h.message_id);
		return false;
	}
	*first = outer.sk_next;
	return true;
}

/* RFC 7296 2.23: a peer behind a NAT is where its last authenticated message came from, unless
 * we are behind one ourselves. */
static void follow_peer(struct arrival *a)
{
	struct ike_sa *sa = a->sa;

	sa_touch(a->e, sa);
	sa->last_heard = a->e->now;
	if (sa->nat_remote && !sa->nat_local && ike_sa_usable(sa))
		ike_sa_move(a->e, sa, a->path);
}

static void count_answer(struct ike_engine *e, uint8_t exchange)
{
	if (exchange == EXCHANGE_IKE_AUTH)
		e->counters.ike_auth_out_resp++;
	else if (exchange == EXCHANGE_CREATE_CHILD_SA)
		e->counters.create_child_out_resp++;
	else
		e->counters.info_out_resp++;
}

/* The frame of a response: `fill` writes what is inside SK; then it is cached and sent. */
static void respond(struct arrival *a, struct exchange *x, void (*fill)(struct exchange *x))
{
	uint8_t memory[IKE_MESSAGE_MAX];
	struct wire_writer w;
	struct span datagram;

	exchange_begin(a->e, a->sa, &w, memory, sizeof(memory), a->h.exchange, a->h.message_id,
		       true);
	x->out = &w;
	fill(x);
	if (x->aside)
		return;
	if (!exchange_seal(a->e, a->sa, &w, &datagram)) {
		ike_sa_end(a->e, a->sa, IKE_REASON_INTERNAL, "a response could not be built");
		return;
	}
	count_answer(a->e, a->h.exchange);
	window_send_response(a->e, a->sa, a->path, datagram);
}

/* RFC 7296 2.21.3: this notify is fatal on both sides; 2.21.2: in IKE_AUTH, too. */
static void fill_invalid_syntax(struct exchange *x)
{
	exchange_refuse(x, NOTIFY_INVALID_SYNTAX, span_of(NULL, 0), "the request is malformed");
	if (x->sa->state == IKE_SA_HALF_OPEN)
		auth_refuse(x, NULL, IKE_REASON_INVALID_SYNTAX, "peer's IKE_AUTH is malformed");
	else
		ike_sa_end(x->e, x->sa, IKE_REASON_INVALID_SYNTAX,
			   "the peer sent a malformed request");
}

/* RFC 7296 2.5: the request is refused, the IKE_SA stays; 2.21.2: but in IKE_AUTH. The type is
 * in x->datagram. */
static void fill_unsupported_critical(struct exchange *x)
{
	exchange_refuse(x, NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, x->datagram,
			"unknown critical payload");
	if (x->sa->state == IKE_SA_HALF_OPEN)
		auth_refuse(x, NULL, IKE_REASON_INVALID_SYNTAX,
			    "peer's IKE_AUTH has an unknown critical payload");
}

static void count_request(struct ike_engine *e, enum exchange_kind kind)
{
	if (kind == KIND_INFORMATIONAL)
		e->counters.info_in_req++;
	else if (kind != KIND_IKE_AUTH) /* its handler counts */
		e->counters.create_child_in_req++;
}

static void handle_request(struct arrival *a, uint8_t first, struct span inner)
{
	struct ike_engine *e = a->e;
	struct wire_message m;
	struct exchange x = {.e = e,
			     .sa = a->sa,
			     .in = &m,
			     .path = a->path,
			     .header = &a->h,
			     .now = e->now,
			     .inner = inner,
			     .first = first};
	struct wire_fault f = wire_parse_payloads(first, inner, &m);
	const struct transition *t;
	enum exchange_kind kind;
	uint8_t type = (uint8_t)f.value;

	if (f.error == WIRE_CRITICAL) {
		drop_fault(a, &e->counters.drop_critical, &f);
		x.datagram = span_of(&type, 1);
		respond(a, &x, fill_unsupported_critical);
		return;
	}
	if (f.error) {
		drop_fault(a, &e->counters.drop_malformed, &f);
		respond(a, &x, fill_invalid_syntax);
		return;
	}
	exchange_count_received(e, &m);
	t = exchange_classify(a->h.exchange, &m, &kind)
		    ? transition_find(a->sa->state, kind, ROLE_REQUEST)
		    : NULL;
	if (!t) {
		drop(a, &e->counters.drop_state, "a request that does not fit the state",
		     a->h.exchange);
		/* RFC 7296 2.21.3: once authenticated, all requests with errors are answered. */
		if (a->sa->peer_authenticated)
			respond(a, &x, fill_invalid_syntax);
		return;
	}
	follow_peer(a);
	if (transition_missing(t, &m) || transition_unexpected(t, &m)) {
		drop(a, &e->counters.invalid, "payloads missing or out of place",
		     transition_missing(t, &m) | transition_unexpected(t, &m));
		respond(a, &x, fill_invalid_syntax);
		return;
	}
	count_request(e, kind);
	respond(a, &x, t->handle);
}

static void receive_request(struct arrival *a, uint8_t first, struct span inner)
{
	struct ike_sa *sa = a->sa;

	switch (window_check_request(sa, a->h.message_id)) {
	case WINDOW_NEW:
		if (vips_waiting(sa)) /* its answer is on the way */
			a->e->counters.retransmits_seen++;
		else
			handle_request(a, first, inner);
		break;
	case WINDOW_RETRANSMIT:
		/* RFC 7296 2.1: the same answer, byte for byte. */
		a->e->counters.retransmits_seen++;
		sa_touch(a->e, sa);
		sa->rx.repeated_at = a->e->now;
		output_send(a->e, a->path, span_of(sa->rx.response.data, sa->rx.response.len));
		break;
	case WINDOW_DROP:
		if (a->h.message_id > sa->rx.next_id)
			sync_suspect(a->e, sa,
				     "the peer has sent requests that are not known here");
		drop(a, &a->e->counters.drop_window, "request outside the window, message id",
		     a->h.message_id);
		break;
	}
}

/* What the answer in flight is an answer to. */
static bool expected_kind(const struct arrival *a, enum exchange_kind *kind)
{
	const struct ike_sa *sa = a->sa;

	if (sa->state == IKE_SA_AUTH_SENT) {
		*kind = KIND_IKE_AUTH;
		return a->h.exchange == EXCHANGE_IKE_AUTH;
	}
	if (!sa->running)
		return false;
	*kind = sa->running->ops->kind;
	return a->h.exchange ==
	       (*kind == KIND_INFORMATIONAL ? EXCHANGE_INFORMATIONAL : EXCHANGE_CREATE_CHILD_SA);
}

static void count_response(struct ike_engine *e, enum exchange_kind kind)
{
	if (kind == KIND_INFORMATIONAL)
		e->counters.info_in_resp++;
	else if (kind != KIND_IKE_AUTH)
		e->counters.create_child_in_resp++;
}

/* RFC 7296 2.21.3: what we can't read we can't act on; the IKE_SA goes, and where there is one the
 * peer is told. */
static void malformed_response(struct exchange *x)
{
	struct ike_sa *sa = x->sa;

	x->e->counters.invalid++;
	if (sa->state == IKE_SA_AUTH_SENT && !sa->end_reason) {
		peers_attempt_failed(x->e, sa, IKE_REASON_INVALID_SYNTAX,
				     "the peer's answer to IKE_AUTH is malformed");
	} else if (sa->state == IKE_SA_AUTH_SENT || sa->state == IKE_SA_DELETING) {
		ike_sa_end(x->e, sa, sa->end_reason, "the peer sent a malformed response");
	} else {
		ike_sa_delete(x->e, sa, IKE_REASON_INVALID_SYNTAX);
		exchange_discard_response(x);
	}
}

static void receive_response(struct arrival *a, uint8_t first, struct span inner)
{
	struct ike_engine *e = a->e;
	struct wire_message m;
	struct exchange x = {
		.e = e, .sa = a->sa, .in = &m, .path = a->path, .header = &a->h, .now = e->now};
	const struct transition *t;
	enum exchange_kind kind;
	struct wire_fault f;

	if (!window_check_response(a->sa, a->h.message_id)) {
		if (a->h.message_id >= a->sa->tx.next_id)
			sync_suspect(e, a->sa, "the peer answers requests that are not known here");
		drop(a, &e->counters.drop_window, "response to no request of ours, message id",
		     a->h.message_id);
		return;
	}
	t = expected_kind(a, &kind) ? transition_find(a->sa->state, kind, ROLE_RESPONSE) : NULL;
	if (!t) {
		drop(a, &e->counters.drop_state, "a response that does not fit the state",
		     a->h.exchange);
		return;
	}
	f = wire_parse_payloads(first, inner, &m);
	if (!f.error && kind == KIND_IKE_AUTH && !auth_can_consume(&x)) {
		/* Our request is repeated, and so is this answer. */
		drop(a, &e->counters.drop_state, "the pre-shared key is not at hand, message id",
		     a->h.message_id);
		return;
	}
	follow_peer(a);
	suspect_answered(e, a->sa, a->h.message_id);
	window_answered(e, a->sa);
	if (f.error)
		drop_fault(a, &e->counters.drop_malformed, &f);
	else if (transition_missing(t, &m) || transition_unexpected(t, &m))
		drop(a, &e->counters.drop_malformed, "payloads missing or out of place",
		     transition_missing(t, &m) | transition_unexpected(t, &m));
	else {
		count_response(e, kind);
		exchange_count_received(e, &m);
		t->handle(&x);
		return;
	}
	malformed_response(&x);
}

/* What a half-open IKE_SA makes its keys for. */
static bool begins_auth(const struct arrival *a)
{
	return a->sa->state == IKE_SA_HALF_OPEN && a->h.exchange == EXCHANGE_IKE_AUTH &&
	       !is_response(a) && window_check_request(a->sa, a->h.message_id) == WINDOW_NEW;
}

static void receive_protected(struct arrival *a)
{
	uint8_t first;
	struct span inner;

	if (!a->sa->keys && !begins_auth(a)) {
		drop(a, &a->e->counters.drop_state, "protected message before there are keys",
		     a->h.exchange);
		return;
	}
	if (!unprotect(a, &first, &inner))
		return;
	if (sync_take(a->e, a->sa, a->path, &a->h, first, inner))
		return;
	if (is_response(a))
		receive_response(a, first, inner);
	else
		receive_request(a, first, inner);
}

/* ---- which SA ---- */

/* The SA under our SPI, if roles and the peer's SPI fit too. The Initiator flag says whether
 * the sender is the original initiator (RFC 7296 3.1). */
static struct ike_sa *find_sa(const struct arrival *a)
{
	bool from_initiator = a->h.flags & FLAG_INITIATOR;
	struct ike_sa *sa = ike_sa_by_spi(a->e, from_initiator ? a->h.spi_r : a->h.spi_i);

	if (!sa || sa->initiator == from_initiator)
		return NULL;
	if (sa->state == IKE_SA_INIT_SENT)
		return sa; /* the peer's SPI is not known yet */
	return sa->spi_i == a->h.spi_i && sa->spi_r == a->h.spi_r ? sa : NULL;
}

/* RFC 7296 1.5: a peer without an IKE_SA names the ESP SPI that it does not know. It is no
 * exchange, and not answered. */
static bool take_invalid_spi(const struct arrival *a)
{
	struct span chain =
		span_of(a->datagram.ptr + WIRE_HEADER_LEN, a->datagram.len - WIRE_HEADER_LEN);
	struct ike_hint hint = {.what = IKE_SUSPECT_INVALID_SPI, .path = *a->path};
	const struct wire_notify *n;
	struct wire_message m;

	if (is_response(a) || a->h.exchange != EXCHANGE_INFORMATIONAL ||
	    wire_parse_payloads(a->h.next_payload, chain, &m).error)
		return false;
	n = wire_find_notify(&m, NOTIFY_INVALID_SPI);
	if (!n || n->data.len != 4)
		return false;
	hint.path.local.port = hint.path.remote.port = 0; /* ESP may have none */
	hint.esp_spi = be32_get(n->data.ptr);
	suspect_hint(a->e, &hint);
	return true;
}

static void unknown_spi(struct arrival *a)
{
	uint8_t token[QUICK_CRASH_TOKEN];

	if (take_invalid_spi(a))
		return;
	a->e->counters.invalid_spi++;
	drop(a, &a->e->counters.drop_unknown_spi, "unknown IKE SPI",
	     a->h.flags & FLAG_INITIATOR ? a->h.spi_r : a->h.spi_i);
	/* RFC 7296 2.21.4, RFC 6290 4.5 */
	if (quick_crash_may_tell(a->e, a->path, &a->h, token))
		answer_with(a, NOTIFY_INVALID_IKE_SPI, span_of(NULL, 0),
			    span_of(token, sizeof(token)));
	else
		answer_bare(a, NOTIFY_INVALID_IKE_SPI, span_of(NULL, 0));
}

static void receive_for_sa(struct arrival *a)
{
	a->sa = find_sa(a);
	if (!a->sa) {
		unknown_spi(a);
		return;
	}
	if (a->h.exchange != EXCHANGE_IKE_SA_INIT) {
		receive_protected(a);
		return;
	}
	/* RFC 7296 2.2: the initial exchange has id 0. */
	if (a->h.message_id != 0 ||
	    (a->sa->state == IKE_SA_INIT_SENT && !window_check_response(a->sa, 0))) {
		drop(a, &a->e->counters.drop_window, "IKE_SA_INIT response with message id",
		     a->h.message_id);
		return;
	}
	receive_init(a, a->sa->state, ROLE_RESPONSE);
}

void dispatch_datagram(struct ike_engine *e, const struct ike_path *path, struct span datagram)
{
	struct arrival a = {.e = e, .path = path, .datagram = datagram};
	struct wire_fault f;

	if (datagram.len > WIRE_MESSAGE_MAX) {
		drop(&a, &e->counters.drop_malformed, "longer than a UDP datagram", datagram.len);
		return;
	}
	f = wire_parse_header(datagram, &a.h);
	if (f.error == WIRE_BAD_VERSION)
		refuse_version(&a, &f);
	else if (f.error)
		drop_fault(&a, &e->counters.drop_malformed, &f);
	else if (a.h.exchange == EXCHANGE_IKE_SA_INIT && !is_response(&a))
		receive_init_request(&a);
	else
		receive_for_sa(&a);
}

void dispatch_resume(struct ike_engine *e, struct ike_sa *sa)
{
	struct message_copy request = sa->init->aside;
	struct ike_path path = sa->init->aside_path;
	struct arrival a = {.e = e, .path = &path, .sa = sa, .h = sa->init->aside_header};

	sa->init->aside = (struct message_copy){0};
	handle_request(&a, sa->init->aside_first, span_of(request.data, request.len));
	message_copy_clear(&request);
}
