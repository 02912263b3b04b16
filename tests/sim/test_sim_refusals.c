/* What a peer may answer to CREATE_CHILD_SA instead of what was hoped for (RFC 7296 1.3,
 * 2.25, 3.10.1): node 1 is made to say it. Nothing may be half-changed, and with a
 * reasonable peer all comes right again. And what we refuse ourselves. */
#include "tests/sim/sim_parts.h"
#include "tests/sim/sim_test.h"
#include "tests/support/propose.h"
#include "ipsecd/ike/exchange.h"

#include <stdlib.h>

/* What node 1 says to each CREATE_CHILD_SA request while it is switched on. */
static struct {
	uint16_t notify; /* 0: an empty answer */
	uint16_t group;	 /* data of INVALID_KE_PAYLOAD */
	unsigned times;	 /* left; 0: the engine answers */
} scripted;

static void say(struct sim *s, struct ike_sa *sa, const struct wire_header *h)
{
	struct ike_engine *e = s->nodes[1].engine;
	uint8_t memory[512], group[2];
	struct span datagram;
	struct wire_writer w;

	be16_set(group, scripted.group);
	exchange_begin(e, sa, &w, memory, sizeof(memory), h->exchange, h->message_id, true);
	if (scripted.notify)
		wire_put_notify(&w, PROTOCOL_NONE, scripted.notify, span_of(NULL, 0),
				span_of(group, scripted.group ? 2 : 0));
	assert_true(exchange_seal(e, sa, &w, &datagram));
	sa->rx.next_id++;
	sim_net_send(s, 1, &sa->path, datagram);
}

static bool answer(struct sim *s, unsigned node, struct span datagram)
{
	struct wire_header h;
	struct ike_sa *sa;

	if (node != 1 || !scripted.times || wire_parse_header(datagram, &h).error != WIRE_OK ||
	    h.exchange != EXCHANGE_CREATE_CHILD_SA || h.flags & FLAG_RESPONSE)
		return false;
	DL_FOREACH (s->nodes[1].engine->sas, sa) {
		if (sa->spi_i != h.spi_i || sa->spi_r != h.spi_r)
			continue;
		scripted.times--;
		say(s, sa, &h);
		return true;
	}
	return false;
}

/* Established, with a second child configured; the next `times` requests are answered so. */
static struct sim *scripted_sim(uint64_t seed, uint16_t notify, uint16_t group, unsigned times)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);
		struct child_config *more = conn_add_child(conn, "second");

		more->local_ts.n = more->remote_ts.n = 1;
		assert_true(
			ts_parse(i ? "192.168.2.0/24" : "192.168.1.0/24", &more->local_ts.ts[0]));
		assert_true(
			ts_parse(i ? "192.168.1.0/24" : "192.168.2.0/24", &more->remote_ts.ts[0]));
		if (i == 0)
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	scripted.notify = notify;
	scripted.group = group;
	scripted.times = times;
	s->intercept = answer;
	s->windows_unchecked = true;
	return s;
}

static void expect_refusal(struct sim *s, uint64_t tag, enum ike_reason reason)
{
	const struct sim_tag *done;

	sim_run(s, 200 * MONO_MS);
	done = sim_done(s, 0, tag);
	assert_non_null(done);
	assert_false(done->ok);
	assert_int_equal(done->reason, reason);
}

static void test_further_child_refused(void **state)
{
	static const struct {
		uint16_t notify, group;
		enum ike_reason reason;
	} cases[] = {
		{NOTIFY_NO_ADDITIONAL_SAS, 0, IKE_REASON_PEER_REFUSED},
		{NOTIFY_NO_PROPOSAL_CHOSEN, 0, IKE_REASON_NO_PROPOSAL},
		{NOTIFY_TS_UNACCEPTABLE, 0, IKE_REASON_TS_UNACCEPTABLE},
		{NOTIFY_INVALID_KE_PAYLOAD, 0, IKE_REASON_NO_PROPOSAL},	 /* without a group */
		{NOTIFY_INVALID_KE_PAYLOAD, 2, IKE_REASON_NO_PROPOSAL},	 /* one we don't know */
		{NOTIFY_INVALID_KE_PAYLOAD, 15, IKE_REASON_NO_PROPOSAL}, /* not proposed */
		{16000, 0, IKE_REASON_PEER_REFUSED},			 /* no error we know */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim *s = scripted_sim(100 + i, cases[i].notify, cases[i].group, 1);
		uint64_t tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");

		expect_refusal(s, tag, cases[i].reason);
		assert_agreed(s, 1);
		assert_int_equal(
			ike_engine_counters(s->nodes[0].engine)
				->notify_in[cases[i].notify < IKE_NOTIFIES ? cases[i].notify : 0],
			1);
		tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");
		sim_run(s, 2 * MONO_S);
		assert_true(sim_done(s, 0, tag)->ok);
		assert_agreed(s, 2);
		sim_free(s);
	}
}

/* RFC 7296 1.3: a peer that makes only the CHILD_SA of IKE_AUTH gets a new IKE_SA. */
static void test_no_additional_sas_without_any(void **state)
{
	struct sim *s = scripted_sim(110, NOTIFY_NO_ADDITIONAL_SAS, 0, 1000);

	(void)state;
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", "net");
	sim_run(s, 2 * MONO_S);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	assert_agreed_within(s, 1, 60 * MONO_S);
	assert_int_equal(s->nodes[0].requests[1], 2); /* IKE_AUTH again */
	sim_free(s);
}

static void test_child_rekey_refused(void **state)
{
	static const uint16_t notifies[] = {NOTIFY_NO_ADDITIONAL_SAS, NOTIFY_NO_PROPOSAL_CHOSEN,
					    NOTIFY_TS_UNACCEPTABLE, NOTIFY_INVALID_KE_PAYLOAD};

	(void)state;
	for (unsigned i = 0; i < sizeof(notifies) / sizeof(notifies[0]); i++) {
		struct sim *s = scripted_sim(120 + i, notifies[i], 0, 1);
		uint32_t spi = sim_look(s, 0, NULL).spi_in;
		uint64_t tag = sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");

		sim_run(s, 2 * MONO_S);
		assert_false(sim_done(s, 0, tag)->ok);
		assert_agreed(s, 1);
		assert_int_equal(sim_look(s, 0, NULL).spi_in, spi); /* the old one, unharmed */
		sim_run(s, 60 * MONO_S);
		assert_agreed(s, 1);
		assert_int_not_equal(sim_look(s, 0, NULL).spi_in, spi); /* it tried again */
		sim_free(s);
	}
}

static void test_temporary_failure(void **state)
{
	struct sim *s = scripted_sim(130, NOTIFY_TEMPORARY_FAILURE, 0, 3);
	uint64_t tag = sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");

	(void)state;
	sim_run(s, 100 * MONO_MS);
	assert_int_equal(scripted.times, 2); /* not again at once (RFC 7296 2.25) */
	sim_run(s, 40 * MONO_S);
	assert_int_equal(scripted.times, 0);
	assert_true(sim_done(s, 0, tag)->ok);
	assert_agreed(s, 1);
	sim_free(s);
}

/* RFC 7296 2.25: after minutes of it the peers are out of step; the IKE_SA is made anew. */
static void test_temporary_failure_for_ever(void **state)
{
	static const char *const children[] = {"net", NULL};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = scripted_sim(131 + i, NOTIFY_TEMPORARY_FAILURE, 0, 1000);
		struct sim_view before = sim_look(s, 0, NULL);

		sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", children[i]);
		sim_run(s, 120 * MONO_S);
		assert_true(sim_look(s, 0, NULL).spi_i == before.spi_i);
		sim_run(s, 600 * MONO_S);
		assert_agreed_within(s, 1, 60 * MONO_S);
		assert_true(sim_look(s, 0, NULL).spi_i != before.spi_i);
		sim_free(s);
	}
}

static void test_child_not_found(void **state)
{
	struct sim *s = scripted_sim(140, NOTIFY_CHILD_SA_NOT_FOUND, 0, 1);
	struct sim_view before = sim_look(s, 0, NULL), after;

	(void)state;
	sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");
	sim_run(s, 5 * MONO_S);
	assert_holds(s);
	after = sim_look(s, 0, NULL);
	assert_int_equal(after.children, 1); /* from scratch, and the old one went without a word */
	assert_int_not_equal(after.spi_in, before.spi_in);
	assert_true(after.spi_i == before.spi_i);
	sim_free(s);
}

static void test_ike_rekey_refused(void **state)
{
	static const struct {
		uint16_t notify, group;
	} cases[] = {{NOTIFY_NO_PROPOSAL_CHOSEN, 0},
		     {NOTIFY_NO_ADDITIONAL_SAS, 0},
		     {NOTIFY_INVALID_KE_PAYLOAD, 2},
		     {NOTIFY_INVALID_KE_PAYLOAD, 0}};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim *s = scripted_sim(150 + i, cases[i].notify, cases[i].group, 1);
		struct sim_view before = sim_look(s, 0, NULL);
		uint64_t tag = sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", NULL);

		sim_run(s, 2 * MONO_S);
		assert_false(sim_done(s, 0, tag)->ok);
		assert_agreed(s, 1);
		assert_true(sim_look(s, 0, NULL).spi_i == before.spi_i);
		sim_run(s, 90 * MONO_S);
		assert_agreed(s, 1);
		assert_true(sim_look(s, 0, NULL).spi_i != before.spi_i);
		sim_free(s);
	}
}

/* An answer without what it must have: the IKE_SA goes (RFC 7296 2.21.3) and comes again. */
static void test_empty_answers(void **state)
{
	static const char *const children[] = {"net", NULL, "second"};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct sim *s = scripted_sim(160 + i, 0, 0, 1);

		sim_command(s, 0, i == 2 ? IKE_COMMAND_INITIATE : IKE_COMMAND_REKEY, "to1-0",
			    children[i]);
		sim_run(s, 100 * MONO_MS);
		assert_holds(s);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 1);
		assert_int_equal(s->nodes[1].events[IKE_EVENT_IKE_DOWN], 1); /* it was told */
		assert_agreed_within(s, i == 2 ? 2 : 1, 120 * MONO_S);
		sim_free(s);
	}
}

/* Without a rekey time the data plane's word that a limit is near is all there is, and it comes
 * once: what is refused then is tried again. */
static void test_rekey_by_volume_refused(void **state)
{
	struct sim *s = sim_new(164, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		conn->children[0].rekey_time = conn->children[0].life_time = 0;
		conn->children[0].start_action = i ? ACTION_NONE : ACTION_START;
		sim_load(s, i, conn, 1);
	}
	scripted.times = 0;
	s->intercept = answer;
	s->windows_unchecked = true;
	assert_agreed_within(s, 1, 10 * MONO_S);
	scripted.notify = NOTIFY_NO_ADDITIONAL_SAS;
	scripted.times = 2;
	sim_child_event(s, 0, sim_newest_child(s, 0)->sa.id, IKE_CHILD_SOFT_EXPIRE);
	sim_run(s, 15 * MONO_S);
	assert_int_equal(scripted.times, 1);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_REKEYED], 0);
	sim_run(s, 90 * MONO_S);
	assert_int_equal(scripted.times, 0);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_REKEYED], 1);
	assert_agreed(s, 1);
	sim_free(s);
}

/* ---- what we refuse ourselves ---- */

static void assert_told(struct sim *s, enum ike_reason reason, const char *words)
{
	char detail[160];
	mono_time next;

	assert_int_equal(ike_engine_conn_status(s->nodes[1].engine, "to0-0", &next, detail),
			 reason);
	if (!strstr(detail, words))
		fail_msg("'%s' is not in '%s'", words, detail);
}

/* Who only answers learns from the connection why the peer does not come up, not from the log
 * alone, and what was wrong is forgotten with the first tunnel. */
static void test_responder_tells_why(void **state)
{
	static const struct {
		const char *ike, *esp, *ts, *id;
		bool any; /* the peer may come from anywhere */
		enum ike_reason reason;
		const char *words;
	} cases[] = {
		{"aes256-sha256-modp2048", NULL, NULL, NULL, false, IKE_REASON_NO_PROPOSAL,
		 "peer offers IKE:"},
		{"aes256-sha256-modp2048", NULL, NULL, NULL, true, IKE_REASON_NONE, ""},
		{NULL, NULL, NULL, "other.example", false, IKE_REASON_AUTH_FAILED,
		 "we want other.example"},
		{NULL, NULL, NULL, "other.example", true, IKE_REASON_NONE, ""},
		{NULL, "aes256-sha512", NULL, NULL, false, IKE_REASON_NO_PROPOSAL,
		 "peer offers ESP:"},
		{NULL, NULL, "192.168.77.0/24", NULL, true, IKE_REASON_TS_UNACCEPTABLE,
		 "192.168.77.0/24"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim *s = sim_new(180 + i, 2, &crypto_null, NULL);
		struct conn *c = sim_conn(s, 1, 0, 0);

		if (cases[i].ike)
			propose(PROTOCOL_IKE, cases[i].ike, &c->proposals);
		if (cases[i].esp)
			propose(PROTOCOL_ESP, cases[i].esp, &c->children[0].proposals);
		if (cases[i].ts)
			assert_true(ts_parse(cases[i].ts, &c->children[0].remote_ts.ts[0]));
		if (cases[i].id)
			assert_true(id_parse(cases[i].id, &c->remote_id));
		if (cases[i].any)
			c->remote[0].kind = HOST_ANY;
		sim_load(s, 1, c, 1);
		c = sim_conn(s, 0, 1, 0);
		propose(PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519", &c->proposals);
		propose(PROTOCOL_ESP, "aes128gcm16", &c->children[0].proposals);
		c->children[0].start_action = ACTION_START;
		sim_load(s, 0, c, 1);
		sim_run(s, 800 * MONO_MS);
		assert_holds(s);
		assert_told(s, cases[i].reason, cases[i].words);
		sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
		assert_agreed_within(s, 1, 60 * MONO_S);
		assert_told(s, IKE_REASON_NONE, "");
		sim_free(s);
	}
}

/* A daemon that has just begun: who is refused now, and is another one than we are, comes no more.
 */
static void test_nobody_refused_before_all_is_loaded(void **state)
{
	struct sim *s = sim_new(190, 2, &crypto_null, NULL);
	struct conn *c = sim_conn(s, 0, 1, 0);

	(void)state;
	ike_engine_loading(s->nodes[1].engine, true);
	c->children[0].start_action = ACTION_START;
	sim_load(s, 0, c, 1);
	sim_run(s, 200 * MONO_MS);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 0);
	assert_int_equal(ike_engine_counters(s->nodes[1].engine)->drop_state, 1);
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	ike_engine_loading(s->nodes[1].engine, false);
	assert_agreed_within(s, 1, MONO_S);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 0);
	sim_free(s);
}

/* For whoever comes there is one already, but it accepts nothing of this; the peer's own is the
 * next. */
static void test_nobody_refused_by_what_is_loaded_first(void **state)
{
	struct sim *s = sim_new(191, 2, &crypto_null, NULL);
	struct conn *c = sim_conn(s, 1, 0, 1);

	(void)state;
	ike_engine_loading(s->nodes[1].engine, true);
	propose(PROTOCOL_IKE, "aes256-sha256-modp2048", &c->proposals);
	c->local[0].kind = c->remote[0].kind = HOST_ANY;
	sim_load(s, 1, c, 2);
	c = sim_conn(s, 0, 1, 0);
	propose(PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519", &c->proposals);
	c->children[0].start_action = ACTION_START;
	sim_load(s, 0, c, 1);
	sim_run(s, 200 * MONO_MS);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 0);
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	ike_engine_loading(s->nodes[1].engine, false);
	assert_agreed_within(s, 1, MONO_S);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_FAILED], 0);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_further_child_refused),
		cmocka_unit_test(test_no_additional_sas_without_any),
		cmocka_unit_test(test_child_rekey_refused),
		cmocka_unit_test(test_rekey_by_volume_refused),
		cmocka_unit_test(test_temporary_failure),
		cmocka_unit_test(test_temporary_failure_for_ever),
		cmocka_unit_test(test_child_not_found),
		cmocka_unit_test(test_ike_rekey_refused),
		cmocka_unit_test(test_empty_answers),
		cmocka_unit_test(test_responder_tells_why),
		cmocka_unit_test(test_nobody_refused_before_all_is_loaded),
		cmocka_unit_test(test_nobody_refused_by_what_is_loaded_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
