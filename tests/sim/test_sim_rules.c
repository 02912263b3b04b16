/* MUSTs of RFC 7296 that show only when the peer says something particular, or at a
 * particular moment: node 0's keys say it to node 1's engine. docs/rfc-coverage.md
 * names the test of each rule. */
#include "tests/sim/sim_parts.h"
#include "tests/sim/sim_test.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/sk.h"

#include <stdlib.h>

#define WAIT	     (2 * MONO_S)
#define UNKNOWN_TYPE 200 /* of a payload */

/* ---- what passes by, opened with the receiver's keys ---- */

struct heard {
	unsigned n; /* messages */
	uint8_t bytes[IKE_MESSAGE_MAX];
	struct wire_header header;
	struct wire_message m;
};

static bool open_datagram(struct sim *s, unsigned node, struct span datagram, struct heard *out)
{
	struct span chain = span_of(out->bytes + WIRE_HEADER_LEN, datagram.len - WIRE_HEADER_LEN);
	struct wire_message outer;
	struct span inner;
	struct crypto_cipher *cipher;
	struct ike_sa *sa;
	bool opened;

	if (datagram.len > sizeof(out->bytes) || wire_parse_header(datagram, &out->header).error ||
	    out->header.exchange == EXCHANGE_IKE_SA_INIT)
		return false;
	memcpy(out->bytes, datagram.ptr, datagram.len);
	DL_FOREACH (s->nodes[node].engine->sas, sa)
		if (sa->spi_i == out->header.spi_i && sa->spi_r == out->header.spi_r)
			break;
	if (!sa || wire_parse_payloads(out->header.next_payload, chain, &outer).error)
		return false;
	if (sa->state == IKE_SA_HALF_OPEN) /* its engine would make them now */
		init_make_keys(s->nodes[node].engine, sa);
	cipher = ike_sa_cipher(s->nodes[node].engine, sa, false);
	opened = cipher && sk_open(&crypto_null, cipher, &sa->suite, out->bytes, datagram.len,
				   &outer, &inner);
	crypto_null.cipher_free(cipher);
	if (!opened)
		return false;
	return wire_parse_payloads(outer.sk_next, inner, &out->m).error == WIRE_OK;
}

static struct heard answer;

/* Node 1's answers to what node 0's engine did not ask. */
static bool take_answer(struct sim *s, unsigned node, struct span datagram)
{
	struct wire_header h;

	if (node != 0 || wire_parse_header(datagram, &h).error || !(h.flags & FLAG_RESPONSE))
		return false;
	answer.n += open_datagram(s, 0, datagram, &answer);
	return true;
}

typedef void fill(struct sim *s, struct wire_writer *w);

/* A protected request under node 0's newest IKE_SA; the answer, if any, is in `answer`. */
static void ask(struct sim *s, uint8_t exchange, fill *put)
{
	struct ike_engine *e = s->nodes[0].engine;
	struct ike_sa *sa = e->sas->prev;
	struct ike_path path = {.local = sa->path.remote, .remote = sa->path.local};
	uint8_t memory[IKE_MESSAGE_MAX];
	struct wire_writer w;
	struct span datagram;

	s->windows_unchecked = true;
	s->intercept = take_answer;
	answer.n = 0;
	exchange_begin(e, sa, &w, memory, sizeof(memory), exchange, sa->tx.next_id++, false);
	put(s, &w);
	assert_true(exchange_seal(e, sa, &w, &datagram));
	ike_engine_datagram(s->nodes[1].engine, &path, datagram, s->now);
	sim_drain(s, 1);
	sim_run(s, 20 * MONO_MS);
	s->intercept = NULL;
}

static void assert_answered(uint16_t notify)
{
	assert_int_equal(answer.n, 1);
	assert_non_null(wire_find_error(&answer.m));
	assert_int_equal(wire_find_error(&answer.m)->type, notify);
}

static void set_selector(struct ts_list *l, const char *text)
{
	l->n = 1;
	assert_true(ts_parse(text, &l->ts[0]));
}

/* Both ends with the child "net" between two wide networks. */
static struct sim *wide(uint64_t seed)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	for (unsigned i = 0; i < 2; i++) {
		struct conn *c = sim_conn(s, i, 1 - i, 0);
		struct child_config *net = &c->children[0];

		set_selector(&net->local_ts, i ? "10.11.0.0/16" : "10.10.0.0/16");
		set_selector(&net->remote_ts, i ? "10.10.0.0/16" : "10.11.0.0/16");
		net->start_action = i ? ACTION_NONE : ACTION_START;
		sim_load(s, i, c, 1);
	}
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	return s;
}

static struct child_config *config_of(struct sim *s, unsigned node)
{
	return &s->nodes[node].engine->conns->version->conn->children[0];
}

/* To be changed in place, which no real conn is: a process that is restored would end SAs of a conn
 * that changed, and this one is not from here on. */
static struct child_config *change(struct sim *s, unsigned node)
{
	s->restores = false;
	return config_of(s, node);
}

static void put_offer(struct sim *s, struct wire_writer *w, uint32_t spi)
{
	const struct child_config *config = config_of(s, 0);
	uint8_t nonce[32] = {3}, bytes[4];

	be32_set(bytes, spi);
	wire_put_sa(w, config->proposals, span_of(bytes, sizeof(bytes)));
	wire_put_nonce(w, span_of(nonce, sizeof(nonce)));
	wire_put_ts(w, PAYLOAD_TSI, &config->local_ts);
	wire_put_ts(w, PAYLOAD_TSR, &config->remote_ts);
}

static void put_rekey(struct sim *s, struct wire_writer *w)
{
	uint8_t spi[4];

	be32_set(spi, sim_look(s, 1, NULL).spi_out);
	wire_put_notify(w, PROTOCOL_ESP, NOTIFY_REKEY_SA, span_of(spi, sizeof(spi)),
			span_of(NULL, 0));
	put_offer(s, w, 0x01020304);
}

/* ---- selectors ---- */

/* RFC 7296 2.9.2: a rekey never has less than what it replaces. */
static void test_rekey_offers_less(void **state)
{
	struct sim *s = wide(1);

	(void)state;
	set_selector(&change(s, 0)->local_ts, "10.10.1.0/24");
	ask(s, EXCHANGE_CREATE_CHILD_SA, put_rekey);
	assert_answered(NOTIFY_TS_UNACCEPTABLE);
	assert_int_equal(sim_look(s, 1, NULL).children, 1);
	set_selector(&change(s, 0)->local_ts, "10.0.0.0/8");
	ask(s, EXCHANGE_CREATE_CHILD_SA, put_rekey);
	assert_int_equal(answer.n, 1);
	assert_null(wire_find_error(&answer.m));
	assert_true(ts_list_equal(&answer.m.tsi, &config_of(s, 1)->remote_ts));
	sim_free(s);
}

static void test_rekey_answers_less(void **state)
{
	struct sim *s = wide(2);
	uint32_t spi = sim_look(s, 0, NULL).spi_in;
	uint64_t tag;

	(void)state;
	set_selector(&change(s, 1)->local_ts, "10.11.1.0/24");
	tag = sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");
	sim_run(s, WAIT);
	assert_agreed(s, 1); /* the new one is gone at the peer too */
	assert_int_equal(sim_look(s, 0, NULL).spi_in, spi);
	assert_false(sim_done(s, 0, tag)->ok);
	assert_int_equal(sim_done(s, 0, tag)->reason, IKE_REASON_TS_UNACCEPTABLE);
	sim_free(s);
}

/* RFC 7296 2.9: of the children that accept a part the one that accepts the first selectors. */
static void test_first_selector(void **state)
{
	struct sim *s = sim_new(3, 2, &crypto_null, NULL);
	struct conn *ours = sim_conn(s, 0, 1, 0), *theirs = sim_conn(s, 1, 0, 0);
	struct child_config *net = &ours->children[0], *other;

	(void)state;
	net->start_action = ACTION_START;
	net->remote_ts.n = 2;
	assert_true(ts_parse("10.11.2.0/24", &net->remote_ts.ts[0]));
	assert_true(ts_parse("10.11.1.0/24", &net->remote_ts.ts[1]));
	set_selector(&theirs->children[0].local_ts, "10.11.1.0/24");
	other = conn_add_child(theirs, "other");
	other->remote_ts = theirs->children[0].remote_ts;
	set_selector(&other->local_ts, "10.11.2.0/24");
	sim_load(s, 1, theirs, 1);
	sim_load(s, 0, ours, 1);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	assert_true(ts_equal(&s->nodes[0].order->sa.remote_ts.ts[0],
			     &config_of(s, 0)->remote_ts.ts[0]));
	sim_free(s);
}

/* ---- errors ---- */

static void put_nothing(struct sim *s, struct wire_writer *w)
{
	(void)s;
	(void)w;
}

static void assert_gone(struct sim *s)
{
	assert_int_equal(sim_look(s, 1, NULL).ike, 0);
	assert_null(s->nodes[1].plane);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_IKE_DOWN], 1);
	assert_int_equal(s->nodes[1].last_reason, IKE_REASON_INVALID_SYNTAX);
}

/* RFC 7296 2.21.3: every authenticated request with an error is answered, and who says
 * INVALID_SYNTAX has no IKE_SA any more. */
static void test_requests_that_do_not_fit(void **state)
{
	static const uint8_t exchanges[] = {EXCHANGE_IKE_AUTH, 44, 240};

	(void)state;
	for (unsigned i = 0; i < sizeof(exchanges); i++) {
		struct sim *s = sim_established(10 + i);

		ask(s, exchanges[i], put_nothing);
		assert_answered(NOTIFY_INVALID_SYNTAX);
		assert_gone(s);
		sim_free(s);
	}
}

static void put_bad_ke(struct sim *s, struct wire_writer *w)
{
	uint8_t value[5] = {1};

	size_t at, len;
	struct proposal_list with_ke = {0};
	uint8_t nonce[32] = {3}, spi[4] = {1, 2, 3, 4};

	assert_int_equal(
		proposal_list_parse(PROTOCOL_ESP, "aes128gcm16-x25519", &with_ke, &at, &len),
		PROPOSAL_OK);
	wire_put_sa(w, &with_ke, span_of(spi, sizeof(spi)));
	wire_put_nonce(w, span_of(nonce, sizeof(nonce)));
	wire_put_ke(w, KE_CURVE25519, span_of(value, sizeof(value)));
	wire_put_ts(w, PAYLOAD_TSI, &config_of(s, 0)->local_ts);
	wire_put_ts(w, PAYLOAD_TSR, &config_of(s, 0)->remote_ts);
}

/* RFC 6989: a value that is none ends the IKE_SA. */
static void test_bad_ke_value(void **state)
{
	struct sim *s = sim_established(14);

	(void)state;
	ask(s, EXCHANGE_CREATE_CHILD_SA, put_bad_ke);
	assert_answered(NOTIFY_INVALID_SYNTAX);
	assert_gone(s);
	sim_free(s);
}

static void put_reserved_spi(struct sim *s, struct wire_writer *w)
{
	put_offer(s, w, 255);
}

/* RFC 4303 2.1: an SPI that no SA can have is not acceptable, but not a broken message. */
static void test_reserved_spi(void **state)
{
	struct sim *s = sim_established(15);

	(void)state;
	ask(s, EXCHANGE_CREATE_CHILD_SA, put_reserved_spi);
	assert_answered(NOTIFY_NO_PROPOSAL_CHOSEN);
	assert_int_equal(sim_look(s, 1, NULL).ike_established, 1);
	sim_free(s);
}

static void put_invalid_syntax(struct sim *s, struct wire_writer *w)
{
	(void)s;
	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_INVALID_SYNTAX, span_of(NULL, 0),
			span_of(NULL, 0));
}

/* RFC 7296 2.21.2: the initiator could not read our IKE_AUTH. */
static void test_peer_could_not_read_us(void **state)
{
	struct sim *s = sim_established(16);

	(void)state;
	ask(s, EXCHANGE_INFORMATIONAL, put_invalid_syntax);
	assert_int_equal(answer.n, 1);
	assert_null(wire_find_error(&answer.m));
	assert_gone(s);
	sim_free(s);
}

static bool say_invalid_syntax(struct sim *s, unsigned node, struct span datagram)
{
	struct ike_engine *e = s->nodes[1].engine;
	uint8_t memory[512];
	struct wire_writer w;
	struct wire_header h;
	struct span out;

	if (node != 1 || wire_parse_header(datagram, &h).error ||
	    h.exchange != EXCHANGE_CREATE_CHILD_SA)
		return false;
	exchange_begin(e, e->sas, &w, memory, sizeof(memory), h.exchange, h.message_id, true);
	put_invalid_syntax(s, &w);
	assert_true(exchange_seal(e, e->sas, &w, &out));
	sim_net_send(s, 1, &e->sas->path, out);
	ike_sa_end(e, e->sas, IKE_REASON_INVALID_SYNTAX, NULL);
	sim_drain(s, 1);
	s->intercept = NULL;
	return true;
}

/* The same from the other side: the peer has no IKE_SA any more, so ours goes without a word and a
 * new one comes. */
static void test_peer_says_invalid_syntax(void **state)
{
	static const char *const children[] = {"net", NULL};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = sim_established(17 + i);

		s->windows_unchecked = true;
		s->intercept = say_invalid_syntax;
		sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", children[i]);
		sim_run(s, 100 * MONO_MS);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 1);
		assert_int_equal(s->nodes[0].last_reason, IKE_REASON_INVALID_SYNTAX);
		assert_agreed_within(s, 1, 5 * MONO_S);
		sim_free(s);
	}
}

static void put_critical(struct sim *s, struct wire_writer *w)
{
	size_t announced_at = w->next_at;

	(void)s;
	wire_put_vendor_id(w, span_of("?", 1));
	buf_set_u8(&w->buf, announced_at, UNKNOWN_TYPE);
	buf_set_u8(&w->buf, w->next_at + 1, 0x80);
}

/* RFC 7296 2.5: a payload that we don't know is skipped, also one that stands before SK. */
static void test_unknown_before_sk(void **state)
{
	struct sim *s = sim_established(19);
	struct ike_engine *e = s->nodes[0].engine;
	uint8_t memory[256], iv[ALGORITHM_IV_MAX] = {0, 0, 0, 0, 0, 0, 1};
	struct wire_header h = {.spi_i = e->sas->spi_i,
				.spi_r = e->sas->spi_r,
				.exchange = EXCHANGE_INFORMATIONAL,
				.flags = FLAG_INITIATOR,
				.message_id = e->sas->tx.next_id++};
	struct crypto_cipher *cipher = ike_sa_cipher(e, e->sas, true);
	struct wire_writer w;
	struct span datagram;

	(void)state;
	s->windows_unchecked = true;
	s->intercept = take_answer;
	answer.n = 0;
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_vendor_id(&w, span_of("?", 1));
	buf_set_u8(&w.buf, 16, UNKNOWN_TYPE);
	wire_open_sk(&w, sk_sizes(&e->sas->suite).iv);
	assert_true(sk_seal(&crypto_null, cipher, &e->sas->suite, &w, iv, &datagram));
	crypto_null.cipher_free(cipher);
	sim_net_send(s, 0, &e->sas->path, datagram);
	sim_run(s, 100 * MONO_MS);
	assert_int_equal(answer.n, 1);
	assert_agreed(s, 1);
	sim_free(s);
}

/* RFC 7296 2.5: refused with its type; the IKE_SA goes on. */
static void test_critical(void **state)
{
	struct sim *s = sim_established(20);

	(void)state;
	ask(s, EXCHANGE_INFORMATIONAL, put_critical);
	assert_answered(NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD);
	assert_int_equal(wire_find_error(&answer.m)->data.len, 1);
	assert_int_equal(wire_find_error(&answer.m)->data.ptr[0], UNKNOWN_TYPE);
	assert_agreed(s, 1);
	sim_free(s);
}

/* RFC 7296 2.21.2: in IKE_AUTH it means that there will be no IKE_SA. */
static void test_critical_in_auth(void **state)
{
	struct sim *s = sim_new(21, 2, &crypto_null, NULL);
	struct ike_sa *sa;

	(void)state;
	s->links[0][1].drop_exchange = EXCHANGE_IKE_AUTH;
	s->links[0][1].drop_next = 1000;
	sim_pair(s, 1);
	sim_run(s, 30 * MONO_MS);
	sa = s->nodes[0].engine->sas;
	assert_int_equal(sa->state, IKE_SA_AUTH_SENT);
	sa->tx.next_id = 1;
	ask(s, EXCHANGE_IKE_AUTH, put_critical);
	assert_answered(NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD);
	ask(s, EXCHANGE_IKE_AUTH, put_nothing); /* there is no second IKE_AUTH */
	assert_int_equal(answer.n, 0);
	sim_run(s, 10 * MONO_S);
	assert_int_equal(ike_engine_counters(s->nodes[1].engine)->half_open, 0);
	sim_free(s);
}

static void put_rekey_of_nothing(struct sim *s, struct wire_writer *w)
{
	wire_put_notify(w, PROTOCOL_ESP, NOTIFY_REKEY_SA, span_of(NULL, 0), span_of(NULL, 0));
	put_offer(s, w, 0x01020304);
}

static void put_rekey_of_unknown(struct sim *s, struct wire_writer *w)
{
	wire_put_notify(w, PROTOCOL_ESP, NOTIFY_REKEY_SA, span_of("abcd", 4), span_of(NULL, 0));
	put_offer(s, w, 0x01020304);
}

/* RFC 7296 2.25, 3.10: CHILD_SA_NOT_FOUND names what was not found; protocol 0 without an SPI. */
static void test_rekey_of_unknown(void **state)
{
	struct sim *s = sim_established(22);

	(void)state;
	ask(s, EXCHANGE_CREATE_CHILD_SA, put_rekey_of_unknown);
	assert_answered(NOTIFY_CHILD_SA_NOT_FOUND);
	assert_int_equal(wire_find_error(&answer.m)->protocol, PROTOCOL_ESP);
	assert_memory_equal(wire_find_error(&answer.m)->spi.ptr, "abcd", 4);
	ask(s, EXCHANGE_CREATE_CHILD_SA, put_rekey_of_nothing);
	assert_answered(NOTIFY_CHILD_SA_NOT_FOUND);
	assert_int_equal(wire_find_error(&answer.m)->protocol, PROTOCOL_NONE);
	assert_int_equal(wire_find_error(&answer.m)->spi.len, 0);
	assert_agreed(s, 1);
	sim_free(s);
}

static void put_rekey_without_padding(struct sim *s, struct wire_writer *w)
{
	put_rekey(s, w);
	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED, span_of(NULL, 0),
			span_of(NULL, 0));
}

/* RFC 7296 1.3.1: a peer that says so gets no padding; what else the plane is told stays. */
static void test_padding_not_supported(void **state)
{
	struct sim *s = sim_established(26);
	struct child_config *config = change(s, 1);

	(void)state;
	config->flags = (struct child_flags){.tfc_pad = 1000, .no_ecn = true};
	config->life_time = 3600 * MONO_S + 1;
	ask(s, EXCHANGE_CREATE_CHILD_SA, put_rekey);
	assert_int_equal(sim_newest_child(s, 1)->sa.flags.tfc_pad, 1000);
	assert_int_equal(sim_newest_child(s, 1)->sa.life_seconds, 3601);
	sim_free(s);
	s = sim_established(27);
	change(s, 1)->flags = (struct child_flags){.tfc_pad = 1000, .no_ecn = true};
	ask(s, EXCHANGE_CREATE_CHILD_SA, put_rekey_without_padding);
	assert_int_equal(sim_newest_child(s, 1)->sa.flags.tfc_pad, 0);
	assert_true(sim_newest_child(s, 1)->sa.flags.no_ecn);
	sim_free(s);
}

static uint8_t aggfrag_flags[2];
static size_t aggfrag_len;

static void put_rekey_with_aggfrag(struct sim *s, struct wire_writer *w)
{
	put_rekey(s, w);
	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_USE_AGGFRAG, span_of(NULL, 0),
			span_of(aggfrag_flags, aggfrag_len));
}

/* RFC 9347 5.1, 6.1.4: what a peer requires and we can't do, or don't know, is as if it had not
 * asked; also one octet too few or too many. */
static void test_aggfrag_flags(void **state)
{
	static const struct {
		size_t len;
		uint8_t flags, mode;
		bool whole;
	} cases[] = {{1, 0, AGGFRAG_YES, false}, {1, 1, AGGFRAG_YES, true},
		     {1, 2, AGGFRAG_NO, false},	 {1, 3, AGGFRAG_NO, false},
		     {1, 4, AGGFRAG_NO, false},	 {0, 0, AGGFRAG_NO, false},
		     {2, 0, AGGFRAG_NO, false}};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim *s = sim_established(40 + i);
		const struct aggfrag_params *p;

		s->nodes[1].engine->settings.aggfrag = true;
		change(s, 1)->flags.aggfrag.mode = AGGFRAG_YES;
		aggfrag_flags[0] = cases[i].flags;
		aggfrag_len = cases[i].len;
		ask(s, EXCHANGE_CREATE_CHILD_SA, put_rekey_with_aggfrag);
		p = &sim_newest_child(s, 1)->sa.flags.aggfrag;
		assert_int_equal(p->mode, cases[i].mode);
		assert_int_equal(p->dont_frag, cases[i].whole);
		assert_int_equal(wire_find_notify(&answer.m, NOTIFY_USE_AGGFRAG) != NULL,
				 cases[i].mode == AGGFRAG_YES);
		assert_int_equal(ike_engine_counters(s->nodes[1].engine)->aggfrag_refused,
				 cases[i].mode == AGGFRAG_NO);
		sim_free(s);
	}
}

/* A peer that never deletes what it rekeyed: at the end of its life we do, and what replaced it
 * must not wait for a sign of the peer to send. */
static void test_rekeyed_and_never_deleted(void **state)
{
	struct sim *s = sim_established(25);
	uint64_t old = sim_look(s, 1, NULL).child_id;
	struct sim_child *c;

	(void)state;
	ask(s, EXCHANGE_CREATE_CHILD_SA, put_rekey);
	c = sim_newest_child(s, 1);
	assert_int_equal(c->sa.spi_out, 0x01020304);
	assert_false(c->sa.outbound);
	sim_child_event(s, 1, old, IKE_CHILD_HARD_EXPIRE);
	sim_run(s, 200 * MONO_MS);
	assert_true(c->sa.outbound);
	sim_free(s);
}

/* ---- message ids, contact ---- */

/* RFC 7296 2.2: before the ids are used up the IKE_SA is replaced. */
static void test_message_ids_run_out(void **state)
{
	struct sim *s = sim_established(23);
	uint64_t spi = sim_look(s, 0, NULL).spi_i;

	(void)state;
	s->windows_unchecked = true;
	s->nodes[0].engine->sas->tx.next_id = UINT32_MAX - 2;
	s->nodes[1].engine->sas->rx.next_id = UINT32_MAX - 2;
	sim_run(s, 120 * MONO_S);
	assert_agreed(s, 1);
	assert_true(sim_look(s, 0, NULL).spi_i != spi);
	sim_free(s);
}

static unsigned contacts;

static bool count_contacts(struct sim *s, unsigned node, struct span datagram)
{
	static struct heard heard;

	if (open_datagram(s, node, datagram, &heard) && heard.header.exchange == EXCHANGE_IKE_AUTH)
		contacts += wire_find_notify(&heard.m, NOTIFY_INITIAL_CONTACT) != NULL;
	return false;
}

/* RFC 7296 2.4: INITIAL_CONTACT says that there is no other IKE_SA between the two identities, on
 * whatever addresses. */
static void test_initial_contact(void **state)
{
	struct sim *s = sim_new(24, 2, &crypto_null, NULL);

	(void)state;
	contacts = 0;
	s->intercept = count_contacts;
	for (unsigned n = 0; n < 2; n++) {
		for (unsigned i = 0; i < 2; i++) {
			struct conn *c = sim_conn(s, i, 1 - i, n), *like = sim_conn(s, i, 1 - i, 0);

			c->local_id = like->local_id;
			c->remote_id = like->remote_id;
			conn_free(like);
			sim_load(s, i, c, n + 1);
		}
	}
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, WAIT);
	assert_int_equal(contacts, 1);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-1", "net");
	sim_run(s, WAIT);
	assert_int_equal(contacts, 1);
	assert_int_equal(sim_look(s, 1, NULL).ike_established, 2);
	sim_free(s);
}

/* ... nor one that the peer is just beginning: the two of who start at once say nothing. */
static void test_initial_contact_of_crossing(void **state)
{
	struct sim *s = sim_new(26, 2, &crypto_null, NULL);

	(void)state;
	contacts = 0;
	s->intercept = count_contacts;
	sim_load(s, 0, sim_conn(s, 0, 1, 0), 1);
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_command(s, 1, IKE_COMMAND_INITIATE, "to0-0", "net");
	sim_run(s, 60 * MONO_S);
	assert_int_equal(contacts, 0);
	assert_agreed(s, 1);
	sim_free(s);
}

/* ... of other case, of a pattern's peer, and behind the end of all of them. */
static void test_initial_contact_by_identities(void **state)
{
	struct sim *s = sim_new(25, 2, &crypto_null, NULL);
	struct conn *any = sim_conn(s, 0, 1, 1), *shouts = sim_conn(s, 0, 1, 0);

	(void)state;
	contacts = 0;
	s->intercept = count_contacts;
	assert_true(id_parse("*.example", &any->remote_id));
	assert_true(id_parse("NODE1-0.Example", &shouts->remote_id));
	any->local_id = shouts->local_id;
	free(shouts->name);
	shouts->name = strdup("shouts");
	sim_load(s, 0, sim_conn(s, 0, 1, 0), 1);
	sim_load(s, 0, shouts, 2);
	sim_load(s, 0, any, 3);
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, WAIT);
	assert_int_equal(contacts, 1);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "shouts", "net");
	sim_run(s, WAIT);
	assert_int_equal(contacts, 1);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-1", "net");
	sim_run(s, WAIT);
	assert_int_equal(contacts, 1);
	sim_command(s, 0, IKE_COMMAND_TERMINATE, NULL, NULL);
	sim_run(s, WAIT);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "shouts", "net");
	sim_run(s, WAIT);
	assert_int_equal(contacts, 2);
	sim_free(s);
}

static unsigned called;

static bool count_called(struct sim *s, unsigned node, struct span datagram)
{
	static struct heard heard;

	if (open_datagram(s, node, datagram, &heard) &&
	    heard.header.exchange == EXCHANGE_IKE_AUTH && !(heard.header.flags & FLAG_RESPONSE))
		called += (heard.m.present & WIRE_BIT(PAYLOAD_IDR)) != 0;
	return false;
}

/* ... and addresses and keys that begin with the byte of a star are no patterns: IDr says whom we
 * want, and another one that begins so is another one. */
static void test_star_in_binary_identities(void **state)
{
	static const char *const peers[] = {"42.0.0.1", "@#2a2e01", "2a00::1"};
	struct sim *s = sim_new(26, 2, &crypto_null, NULL);

	(void)state;
	contacts = called = 0;
	for (unsigned n = 0; n < 3; n++) {
		struct conn *ours = sim_conn(s, 0, 1, n), *theirs = sim_conn(s, 1, 0, n);

		assert_true(id_parse(peers[n], &ours->remote_id));
		theirs->local_id = ours->remote_id;
		sim_load(s, 0, ours, n + 1);
		sim_load(s, 1, theirs, n + 1);
	}
	for (unsigned n = 0; n < 3; n++) {
		char name[] = "to1-0";

		name[4] = (char)('0' + n);
		s->intercept = n % 2 ? count_contacts : count_called;
		sim_command(s, 0, IKE_COMMAND_INITIATE, name, "net");
		sim_run(s, WAIT);
	}
	assert_int_equal(called, 2);
	assert_int_equal(contacts, 1);
	assert_int_equal(sim_look(s, 1, NULL).ike_established, 3);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rekey_offers_less),
		cmocka_unit_test(test_rekey_answers_less),
		cmocka_unit_test(test_first_selector),
		cmocka_unit_test(test_requests_that_do_not_fit),
		cmocka_unit_test(test_bad_ke_value),
		cmocka_unit_test(test_reserved_spi),
		cmocka_unit_test(test_peer_could_not_read_us),
		cmocka_unit_test(test_peer_says_invalid_syntax),
		cmocka_unit_test(test_unknown_before_sk),
		cmocka_unit_test(test_critical),
		cmocka_unit_test(test_critical_in_auth),
		cmocka_unit_test(test_rekey_of_unknown),
		cmocka_unit_test(test_padding_not_supported),
		cmocka_unit_test(test_aggfrag_flags),
		cmocka_unit_test(test_rekeyed_and_never_deleted),
		cmocka_unit_test(test_message_ids_run_out),
		cmocka_unit_test(test_initial_contact),
		cmocka_unit_test(test_initial_contact_of_crossing),
		cmocka_unit_test(test_initial_contact_by_identities),
		cmocka_unit_test(test_star_in_binary_identities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
