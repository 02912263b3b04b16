/* Peers that mean harm: what anybody may do before IKE_AUTH, and what a peer with a key of
 * its own may do behind it. Nothing of it costs others their SAs or us our memory. */
#include "tests/sim/sim_test.h"
#include "tests/sim/sim_parts.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/exchange.h"
#include "tests/support/propose.h"

#define WAIT (2 * MONO_S)

static struct id id(const char *text)
{
	struct id out;

	assert_true(id_parse(text, &out));
	return out;
}

/* Takes the place of the one that sim_load would load. */
static void load_secret(struct sim *s, unsigned node, const char *unique, const char *key,
			const char *a, const char *b)
{
	struct ike_command c = {.kind = IKE_COMMAND_LOAD_SECRET};
	const char *owners[] = {a, b};
	const char *error;

	c.secret = secret_new(unique, SECRET_IKE, span_str(key));
	for (unsigned i = 0; i < 2; i++) {
		if (owners[i]) {
			struct id owner = id(owners[i]);

			assert_true(secret_add_owner(c.secret, &owner));
		}
	}
	assert_true(ike_engine_command(s->nodes[node].engine, &c, &error, s->now));
}

/* ---- before IKE_AUTH ---- */

/* An IKE_SA_INIT with these proposals, from 10.1.high.low. */
static void send_init(struct sim *s, const char *ike, unsigned from, uint16_t port, uint64_t spi,
		      size_t ballast)
{
	struct ike_path path = {.local = {sim_addr(1, 0), 500},
				.remote = {sim_addr(0, from), port}};
	struct wire_header h = {.spi_i = spi, .exchange = 34, .flags = FLAG_INITIATOR};
	static uint8_t memory[65536], filler[60000];
	uint8_t nonce[32] = {1}, public_value[32] = {9};
	const struct proposal_list *l = NULL;
	struct wire_writer w;

	propose(PROTOCOL_IKE, ike, &l);
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_sa(&w, l, span_of(NULL, 0));
	proposals_release(l);
	wire_put_ke(&w, KE_CURVE25519, span_of(public_value, sizeof(public_value)));
	wire_put_nonce(&w, span_of(nonce, sizeof(nonce)));
	if (ballast)
		wire_put_vendor_id(&w, span_of(filler, ballast));
	ike_engine_datagram(s->nodes[1].engine, &path, wire_end(&w), s->now);
	sim_drain(s, 1);
}

static const struct ike_counters *counters(const struct sim *s)
{
	return ike_engine_counters(s->nodes[1].engine);
}

static unsigned lines;

static void count_line(void *ctx, enum log_level level, const char *subsystem, const char *name,
		       const char *text)
{
	(void)ctx;
	(void)subsystem;
	(void)name;
	(void)text;
	lines += level <= LOG_LEVEL_INFO;
}

/* Node 1 takes connections from anywhere. */
static struct sim *open_to_all(const struct ike_settings *settings, unsigned conns)
{
	struct sim *s = sim_new(1, 2, &crypto_null, settings);

	for (unsigned n = 0; n < conns; n++) {
		struct conn *c = sim_conn(s, 1, 0, n);

		c->local[0].kind = c->remote[0].kind = HOST_ANY;
		sim_load(s, 1, c, n + 1);
	}
	return s;
}

/* Cookies beyond the threshold; none of the many addresses of a flood counts, nor does a
 * single one that answers cookies get all places. */
static void test_init_flood(void **state)
{
	struct ike_settings settings = {.cookie_threshold = 100000};
	struct sim *s = open_to_all(&settings, 1);

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		send_init(s, "aes128gcm16-prfsha256-x25519", 1, (uint16_t)(1000 + i), i + 1, 0);
	assert_int_equal(counters(s)->half_open, 4096 / 32);
	assert_int_equal(counters(s)->drop_half_open, 1000 - 4096 / 32);
	for (unsigned i = 0; i < 20; i++)
		send_init(s, "aes128gcm16-prfsha256-x25519", 2 + i, 500, i + 1, 0);
	assert_int_equal(counters(s)->half_open, 4096 / 32 + 20);
	sim_run(s, 31 * MONO_S);
	assert_int_equal(counters(s)->half_open, 0);
	assert_int_equal(counters(s)->ike_sas, 0);
	send_init(s, "aes128gcm16-prfsha256-x25519", 1, 500, 7, 0);
	assert_int_equal(counters(s)->half_open, 1);
	sim_free(s);
}

#define MANY 8000

/* Which of many addresses have no place when the first one has taken all of its own; how many. */
static unsigned shut_out(uint32_t seed, bool out[MANY])
{
	const struct ike_settings settings = {
		.cookie_threshold = 100000, .half_open_max = 32, .half_open_seed = seed};
	struct sim *s = open_to_all(&settings, 1);
	unsigned n = 0;

	send_init(s, "aes128gcm16-prfsha256-x25519", 1, 500, 1, 0);
	assert_int_equal(counters(s)->half_open, 1);
	for (unsigned i = 1; i < MANY; i++) {
		const struct addr a = sim_addr(0, i);

		out[i] = ike_sa_half_open_full(s->nodes[1].engine, &a);
		n += out[i];
	}
	assert_true(out[1]);
	sim_free(s);
	return n;
}

/* Some share their places with it, and nobody knows which. */
static void test_places_are_not_foreseen(void **state)
{
	static bool one[MANY], other[MANY];
	unsigned both = 0;

	(void)state;
	assert_in_range(shut_out(1, one), 2, 32);
	assert_in_range(shut_out(2, other), 2, 32);
	for (unsigned i = 2; i < MANY; i++)
		both += one[i] && other[i];
	assert_true(both < 2);
}

/* It is kept for IKE_AUTH, so it may not be of any size. */
static void test_init_too_long(void **state)
{
	struct sim *s = open_to_all(NULL, 1);

	(void)state;
	send_init(s, "aes128gcm16-prfsha256-x25519", 1, 500, 1, 60000);
	assert_int_equal(counters(s)->half_open, 0);
	assert_int_equal(counters(s)->drop_malformed, 1);
	send_init(s, "aes128gcm16-prfsha256-x25519", 1, 500, 1, 3000);
	assert_int_equal(counters(s)->half_open, 1);
	sim_free(s);
}

/* Refusals are answered, but not each of them is worth a line. */
static void test_refusals_are_quiet(void **state)
{
	struct sim *s = sim_new(1, 2, &crypto_null, NULL);
	struct log_sink sink = {.write = count_line, .level = LOG_LEVEL_INFO};

	(void)state;
	s->nodes[1].engine->env.log = &sink;
	lines = 0;
	for (unsigned i = 0; i < 500; i++)
		send_init(s, "aes256-sha512-modp4096", 1, 500, i + 1, 0);
	assert_int_equal(counters(s)->ike_init_out_resp, 500);
	assert_in_range(lines, 1, 10);
	sim_free(s);
}

/* Who fails IKE_AUTH still takes a place while his answer is kept. */
static void test_refused_peers_count(void **state)
{
	struct sim *s = sim_new(1, 2, &crypto_null, NULL);
	struct conn *c = sim_conn(s, 0, 1, 0);

	(void)state;
	load_secret(s, 0, "wrong", "wrong", NULL, NULL);
	c->children[0].start_action = ACTION_START;
	c->keying_tries = 1;
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	sim_load(s, 0, c, 1);
	sim_run(s, MONO_S);
	assert_int_equal(counters(s)->auth_failed, 1);
	assert_int_equal(counters(s)->half_open, 1);
	sim_run(s, 6 * MONO_S);
	assert_int_equal(counters(s)->half_open, 0);
	assert_int_equal(counters(s)->ike_sas, 0);
	sim_free(s);
}

/* Garbage with the right SPIs does not end a half-open IKE_SA. */
static void test_garbage_before_auth(void **state)
{
	struct ike_path path = {.local = {sim_addr(1, 0), 500}, .remote = {sim_addr(0, 0), 500}};
	struct sim *s = sim_new(1, 2, &crypto_null, NULL);
	uint8_t datagram[120];
	struct ike_sa *sa;

	(void)state;
	sim_pair(s, 1);
	sim_run(s, 15 * MONO_MS);
	sa = s->nodes[1].engine->sas;
	assert_int_equal(sa->state, IKE_SA_HALF_OPEN);
	memset(datagram, 0x5a, sizeof(datagram));
	be64_set(datagram, sa->spi_i);
	be64_set(datagram + 8, sa->spi_r);
	memcpy(datagram + 16, "\x2e\x20\x23\x08\0\0\0\1\0\0\0\x78\x23\0\0\x5c", 16);
	for (unsigned i = 0; i < 50; i++) {
		ike_engine_datagram(s->nodes[1].engine, &path, span_of(datagram, sizeof(datagram)),
				    s->now);
		sim_drain(s, 1);
	}
	assert_int_equal(counters(s)->drop_auth, 50);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	sim_free(s);
}

/* An answer from the side can't make the initiator take a group that it does not offer. */
static void test_no_downgrade(void **state)
{
	struct sim *s = sim_new(1, 2, &crypto_null, NULL);
	struct ike_path path = {.local = {sim_addr(0, 0), 500}, .remote = {sim_addr(1, 0), 500}};
	uint8_t memory[128], group[2] = {0, 2}; /* MODP-1024 */
	struct wire_header h = {.exchange = 34, .flags = FLAG_RESPONSE};
	struct wire_writer w;

	(void)state;
	s->links[0][1].cut = true;
	sim_pair(s, 1);
	sim_run(s, 15 * MONO_MS);
	h.spi_i = s->nodes[0].engine->sas->spi_i;
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_notify(&w, PROTOCOL_NONE, NOTIFY_INVALID_KE_PAYLOAD, span_of(NULL, 0),
			span_of(group, sizeof(group)));
	ike_engine_datagram(s->nodes[0].engine, &path, wire_end(&w), s->now);
	sim_drain(s, 0);
	assert_int_equal(s->nodes[0].requests[0], 1);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_NO_PROPOSAL);
	s->links[0][1].cut = false;
	assert_agreed_within(s, 1, 10 * MONO_S);
	sim_free(s);
}

/* Our own request comes back as if it were the peer's. */
static void test_reflection(void **state)
{
	struct ike_path path = {.local = {sim_addr(0, 0), 500}, .remote = {sim_addr(1, 0), 500}};
	struct sim *s = sim_new(1, 2, &crypto_null, NULL);
	const struct message_copy *request;

	(void)state;
	s->links[0][1].cut = true;
	sim_pair(s, 1);
	request = &s->nodes[0].engine->sas->tx.request;
	ike_engine_datagram(s->nodes[0].engine, &path, span_of(request->data, request->len),
			    s->now);
	sim_drain(s, 0);
	assert_int_equal(ike_engine_counters(s->nodes[0].engine)->half_open, 0);
	assert_int_equal(ike_engine_counters(s->nodes[0].engine)->drop_state, 1);
	s->links[0][1].cut = false;
	assert_agreed_within(s, 1, 10 * MONO_S);
	sim_free(s);
}

/* ---- which conn, which key ---- */

/* The best by addresses of those that accept what is offered. */
static void test_choice_of_conn(void **state)
{
	static const char *const offers[] = {"aes128gcm16-prfsha256-x25519",
					     "aes256gcm16-prfsha384-x25519"};
	static const char *const chosen[] = {"to0-7", "to0-0"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = sim_new(i, 2, &crypto_null, NULL);
		struct conn *c = sim_conn(s, 0, 1, 0), *exact = sim_conn(s, 1, 0, 0);
		struct conn *any = sim_conn(s, 1, 0, 7);

		any->local[0].kind = any->remote[0].kind = HOST_ANY;
		any->local_id = exact->local_id;
		any->remote_id = exact->remote_id;
		any->children[0].local_ts = exact->children[0].local_ts;
		any->children[0].remote_ts = exact->children[0].remote_ts;
		c->children[0].start_action = ACTION_START;
		propose(PROTOCOL_IKE, offers[i], &c->proposals);
		propose(PROTOCOL_IKE, offers[0], &any->proposals);
		propose(PROTOCOL_IKE, offers[1], &exact->proposals);
		sim_load(s, 1, any, 1);
		sim_load(s, 1, exact, 2);
		sim_load(s, 0, c, 1);
		sim_run(s, WAIT);
		assert_int_equal(sim_look(s, 1, chosen[i]).children_installed, 1);
		sim_free(s);
	}
}

/* B has a key for its own address. It does not make it C, who may come from anywhere. */
static void test_key_of_another(void **state)
{
	struct sim *s = sim_new(1, 2, &crypto_null, NULL);
	struct conn *liar = sim_conn(s, 0, 1, 1), *c = sim_conn(s, 1, 0, 2);

	(void)state;
	load_secret(s, 1, "b", "key of B", "10.2.0.1", "10.1.0.1");
	load_secret(s, 1, "c", "key of C", "@node1-2.example", "@node0-2.example");
	load_secret(s, 0, "mine", "key of B", NULL, NULL);
	c->local[0].kind = c->remote[0].kind = HOST_ANY;
	sim_load(s, 1, sim_conn(s, 1, 0, 1), 1);
	sim_load(s, 1, c, 2);
	liar->local_id = id("@node0-2.example");
	liar->remote_id = id("@node1-2.example");
	liar->children[0].start_action = ACTION_START;
	sim_load(s, 0, liar, 1);
	sim_run(s, WAIT);
	assert_int_equal(sim_look(s, 1, NULL).ike_established, 0);
	assert_true(counters(s)->auth_failed >= 1);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_AUTH_FAILED);
	sim_free(s);
}

/* Where the conn says whose address it is, a key for the address is good under the name. */
static void test_key_of_an_address(void **state)
{
	struct sim *s = sim_new(1, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		load_secret(s, i, "addr", "key", "10.1.0.0", "10.2.0.0");
	sim_pair(s, 1);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	sim_free(s);
}

/* ---- behind IKE_AUTH ---- */

/* A protected request of node `from`, as its engine would send it to node 1. */
static void send_protected(struct sim *s, unsigned from, uint8_t exchange,
			   void (*fill)(struct sim *s, struct wire_writer *w))
{
	struct ike_engine *e = s->nodes[from].engine;
	struct ike_path path = {.local = {sim_addr(1, 0), 500}};
	uint8_t memory[4096];
	struct wire_writer w;
	struct span datagram;

	path.remote = e->sas->path.local;
	exchange_begin(e, e->sas, &w, memory, sizeof(memory), exchange, e->sas->tx.next_id++,
		       false);
	fill(s, &w);
	assert_true(exchange_seal(e, e->sas, &w, &datagram));
	ike_engine_datagram(s->nodes[1].engine, &path, datagram, s->now);
	sim_drain(s, 1);
}

static void put_child(struct sim *s, struct wire_writer *w)
{
	const struct child_config *config = &s->nodes[0].engine->conns->version->conn->children[0];
	uint8_t nonce[32] = {3}, spi[4] = {1, 2, 3, 4};

	wire_put_sa(w, config->proposals, span_of(spi, sizeof(spi)));
	wire_put_nonce(w, span_of(nonce, sizeof(nonce)));
	wire_put_ts(w, PAYLOAD_TSI, &config->local_ts);
	wire_put_ts(w, PAYLOAD_TSR, &config->remote_ts);
}

static void put_rekey(struct sim *s, struct wire_writer *w)
{
	struct child *c = s->nodes[1].engine->sas->children;
	uint8_t spi[4];

	while (c->next && !child_usable(c))
		c = c->next;
	be32_set(spi, c->spi_out);
	wire_put_notify(w, PROTOCOL_ESP, NOTIFY_REKEY_SA, span_of(spi, sizeof(spi)),
			span_of(NULL, 0));
	put_child(s, w);
}

/* CHILD_SAs without end, made or rekeyed and never deleted. */
static void test_children_without_end(void **state)
{
	(void)state;
	for (unsigned rekey = 0; rekey < 2; rekey++) {
		struct log_sink sink = {.write = count_line, .level = LOG_LEVEL_WARN};
		struct sim *s = sim_established(60 + rekey);

		s->windows_unchecked = true;
		s->nodes[1].engine->env.log = &sink;
		lines = 0;
		for (unsigned i = 0; i < 300; i++)
			send_protected(s, 0, EXCHANGE_CREATE_CHILD_SA,
				       rekey ? put_rekey : put_child);
		assert_in_range(counters(s)->child_sas, 2, IKE_CHILDREN_MAX);
		assert_in_range(HASH_CNT(hh, s->nodes[1].plane), 2, IKE_CHILDREN_MAX);
		assert_in_range(lines, 1, 10);
		sim_free(s);
	}
}

/* IKE_SAs rekeyed again and again, their DELETEs never sent. */
static void test_rekeys_without_delete(void **state)
{
	struct sim *s = sim_established(62);
	unsigned most = 0;

	(void)state;
	s->links[0][1].drop_exchange = EXCHANGE_INFORMATIONAL;
	s->links[0][1].drop_next = 1000000;
	for (unsigned i = 0; i < 60; i++) {
		sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", NULL);
		sim_run(s, 200 * MONO_MS);
		most = counters(s)->ike_sas > most ? counters(s)->ike_sas : most;
	}
	assert_in_range(most, IKE_REPLACED_MAX, IKE_REPLACED_MAX + 2);
	s->links[0][1].drop_next = 0;
	assert_agreed_within(s, 1, 180 * MONO_S);
	sim_free(s);
}

static void put_delete_of_others(struct sim *s, struct wire_writer *w)
{
	const struct sim_child *theirs = s->nodes[2].order;
	uint8_t spis[8];

	be32_set(spis, theirs->sa.spi_in);
	be32_set(spis + 4, theirs->sa.spi_out);
	wire_put_delete(w, PROTOCOL_ESP, 4, span_of(spis, sizeof(spis)));
}

/* One peer's DELETE and REKEY_SA name its own SAs alone. */
static void test_sas_of_others(void **state)
{
	struct sim *s = sim_new(63, 3, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 3; i += 2) {
		struct conn *c = sim_conn(s, i, 1, 0);

		c->children[0].start_action = ACTION_START;
		sim_load(s, 1, sim_conn(s, 1, i, 0), i + 1);
		sim_load(s, i, c, 1);
	}
	sim_run(s, WAIT);
	assert_int_equal(HASH_CNT(hh, s->nodes[1].plane), 2);
	s->windows_unchecked = true;
	send_protected(s, 0, EXCHANGE_INFORMATIONAL, put_delete_of_others);
	assert_int_equal(HASH_CNT(hh, s->nodes[1].plane), 2);
	assert_int_equal(sim_look(s, 1, "to2-0").children_installed, 1);
	sim_free(s);
}

/* Who asks for everything gets what is configured. */
static void test_selectors_are_narrowed(void **state)
{
	struct sim *s = sim_new(64, 2, &crypto_null, NULL);
	struct conn *greedy = sim_conn(s, 0, 1, 0), *c = sim_conn(s, 1, 0, 0);
	struct ts_list local = c->children[0].local_ts, remote = c->children[0].remote_ts;

	(void)state;
	assert_true(ts_parse("0.0.0.0/0", &greedy->children[0].local_ts.ts[0]));
	assert_true(ts_parse("0.0.0.0/0", &greedy->children[0].remote_ts.ts[0]));
	greedy->children[0].start_action = ACTION_START;
	sim_load(s, 1, c, 1);
	sim_load(s, 0, greedy, 1);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	assert_true(ts_list_equal(&s->nodes[1].order->sa.local_ts, &local));
	assert_true(ts_list_equal(&s->nodes[1].order->sa.remote_ts, &remote));
	sim_free(s);
}

/* Who is to do a key exchange with each CHILD_SA can't leave it out. */
static void test_no_rekey_without_pfs(void **state)
{
	static const char *const esp[] = {"aes128gcm16", "aes128gcm16-x25519"};
	struct sim *s = sim_new(65, 2, &crypto_null, NULL);
	uint64_t tag;

	(void)state;
	for (unsigned i = 2; i-- > 0;) {
		struct conn *c = sim_conn(s, i, 1 - i, 0);

		propose(PROTOCOL_ESP, esp[i], &c->children[0].proposals);
		c->children[0].start_action = i ? ACTION_NONE : ACTION_START;
		sim_load(s, i, c, 1);
	}
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	tag = sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");
	sim_run(s, WAIT);
	assert_false(sim_done(s, 0, tag)->ok);
	assert_int_equal(sim_done(s, 0, tag)->reason, IKE_REASON_NO_PROPOSAL);
	assert_agreed(s, 1);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_flood),
		cmocka_unit_test(test_places_are_not_foreseen),
		cmocka_unit_test(test_init_too_long),
		cmocka_unit_test(test_refusals_are_quiet),
		cmocka_unit_test(test_refused_peers_count),
		cmocka_unit_test(test_garbage_before_auth),
		cmocka_unit_test(test_no_downgrade),
		cmocka_unit_test(test_reflection),
		cmocka_unit_test(test_choice_of_conn),
		cmocka_unit_test(test_key_of_another),
		cmocka_unit_test(test_key_of_an_address),
		cmocka_unit_test(test_children_without_end),
		cmocka_unit_test(test_rekeys_without_delete),
		cmocka_unit_test(test_sas_of_others),
		cmocka_unit_test(test_selectors_are_narrowed),
		cmocka_unit_test(test_no_rekey_without_pfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
