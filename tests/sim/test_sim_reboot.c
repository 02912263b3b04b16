/* Quick crash detection (RFC 6290): a machine that lost everything but its secret says so with a
 * token, and its peer does not wait for 10 s of silence and 18 s of no answer. Who has no token, or
 * whose IKE_SA is in use, gets nowhere. */
#include "tests/sim/sim_parts.h"
#include "tests/sim/sim_test.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/wire/message.h"

static const struct ike_counters *counters(const struct sim *s, unsigned node)
{
	return ike_engine_counters(s->nodes[node].engine);
}

/* `starts`: which ends have auto=start (bits 1, 2). */
static struct sim *running(uint64_t seed, unsigned starts)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	sim_quick_crash(s);
	sim_pair(s, starts);
	sim_run(s, 12 * MONO_S);
	assert_agreed(s, 1);
	return s;
}

static void load(struct sim *s, unsigned node, unsigned starts)
{
	struct conn *conn = sim_conn(s, node, 1 - node, 0);

	if (starts >> node & 1)
		conn->children[0].start_action = ACTION_START;
	sim_load(s, node, conn, 1);
}

/* Packets pass both ways for so long, and none comes to who does not know its SA. */
static void assert_traffic(struct sim *s, mono_time window)
{
	uint64_t sent[2], received[2], unknown[2];

	for (unsigned i = 0; i < 2; i++) {
		sent[i] = s->nodes[i].esp_sent;
		received[i] = s->nodes[i].esp_received;
		unknown[i] = s->nodes[i].esp_unknown;
	}
	sim_run(s, window);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(s->nodes[i].esp_sent > sent[i]);
		assert_true(s->nodes[i].esp_received > received[i]);
		assert_true(s->nodes[i].esp_unknown == unknown[i]);
	}
}

/* Either end, of a pair where either or both begin; the tunnel has traffic. */
static void test_reboot(void **state)
{
	(void)state;
	for (unsigned starts = 1; starts <= 3; starts++) {
		for (unsigned node = 0; node < 2; node++) {
			struct sim *s = running(starts * 2 + node, starts);

			sim_traffic(s, 10 * MONO_MS);
			sim_run(s, MONO_S);
			sim_reboot(s, node);
			load(s, node, starts);
			sim_run(s, 500 * MONO_MS);
			assert_traffic(s, 200 * MONO_MS);
			assert_agreed_within(s, 1, 20 * MONO_S);
			sim_free(s);
		}
	}
}

/* The rebooted end only answers: ESP is answered with INVALID_SPI, the check of liveness that it
 * makes with the token, and the other end begins anew. */
static void test_responder(void **state)
{
	struct sim *s = running(10, 1);

	(void)state;
	sim_traffic(s, 10 * MONO_MS);
	sim_run(s, 100 * MONO_MS);
	sim_reboot(s, 1);
	load(s, 1, 1);
	sim_run(s, 200 * MONO_MS);
	assert_agreed(s, 1);
	assert_true(counters(s, 1)->invalid_spi_told >= 1);
	assert_true(counters(s, 1)->crash_token_given >= 1);
	assert_int_equal(counters(s, 0)->crash_token_proved, 1);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 1);
	assert_int_equal(counters(s, 0)->peers_dead, 0);
	sim_free(s);
}

/* Without traffic the check of liveness in its own time finds it: 10 s, not 28. */
static void test_idle(void **state)
{
	struct sim *s = running(11, 1);

	(void)state;
	sim_reboot(s, 1);
	load(s, 1, 1);
	sim_run(s, 10 * MONO_S + 200 * MONO_MS);
	assert_agreed(s, 1);
	assert_int_equal(counters(s, 0)->crash_token_proved, 1);
	sim_free(s);
}

/* RFC 6290 4.3: an IKE_SA made by a rekey has tokens of its own, whoever began it. */
static void test_rekeyed(void **state)
{
	(void)state;
	for (unsigned who = 0; who < 2; who++) {
		for (unsigned reboots = 0; reboots < 2; reboots++) {
			struct sim *s = running(20 + who * 2 + reboots, 3);
			unsigned requests = s->nodes[who].requests[3];

			sim_command(s, who, IKE_COMMAND_REKEY, NULL, NULL);
			sim_run(s, 2 * MONO_S);
			assert_agreed(s, 1);
			/* the token, and the DELETE of the old one */
			assert_int_equal(s->nodes[who].requests[3], requests + 2);
			sim_traffic(s, 10 * MONO_MS);
			sim_run(s, 9 * MONO_S);
			sim_reboot(s, reboots);
			load(s, reboots, 0);
			sim_run(s, 300 * MONO_MS);
			assert_int_equal(counters(s, 1 - reboots)->crash_token_proved, 1);
			assert_agreed(s, 1);
			sim_free(s);
		}
	}
}

/* A peer that does not know of tokens, or does not want them, in both roles. */
static void test_one_end_only(void **state)
{
	(void)state;
	for (unsigned node = 0; node < 2; node++) {
		struct sim *s = sim_new(30 + node, 2, &crypto_null, NULL);

		sim_quick_crash(s);
		ike_engine_quick_crash(s->nodes[node].engine, false, NULL);
		sim_pair(s, 1);
		sim_run(s, 2 * MONO_S);
		sim_command(s, node, IKE_COMMAND_REKEY, NULL, NULL);
		sim_run(s, 2 * MONO_S);
		assert_agreed(s, 1);
		sim_reboot(s, 1 - node);
		ike_engine_quick_crash(s->nodes[node].engine, false, NULL);
		load(s, 1 - node, 0);
		sim_run(s, 12 * MONO_S);
		assert_int_equal(counters(s, node)->crash_token_proved, 0);
		assert_int_equal(counters(s, node)->crash_token_wrong, 0);
		sim_free(s);
	}
}

/* The plane goes on with the CHILD_SAs of the engine before: a token would stop their traffic
 * before the new ones are there. */
static void test_inherited(void **state)
{
	struct sim *s = running(40, 1);

	(void)state;
	sim_traffic(s, 2 * MONO_MS);
	sim_run(s, 100 * MONO_MS);
	sim_restart(s, 1);
	load(s, 1, 1);
	sim_command(s, 0, IKE_COMMAND_REKEY, NULL, "net");
	sim_run(s, 2 * MONO_S);
	assert_int_equal(counters(s, 1)->crash_token_given, 0);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 0);
	assert_nothing_lost(s);
	sim_free(s);
}

/* ---- others ---- */

static void say(struct sim *s, unsigned node, const struct wire_header *h, const uint8_t *tokens,
		size_t len, unsigned n)
{
	const struct ike_path path = {{sim_addr(node, 0), 500}, {sim_addr(1 - node, 0), 500}};
	uint8_t memory[1024];
	struct wire_writer w;

	wire_begin(&w, memory, sizeof(memory), h);
	wire_put_notify(&w, PROTOCOL_NONE, NOTIFY_INVALID_IKE_SPI, span_of(NULL, 0),
			span_of(NULL, 0));
	for (unsigned i = 0; i < n; i++)
		wire_put_notify(&w, PROTOCOL_IKE, NOTIFY_QUICK_CRASH_DETECTION, span_of(NULL, 0),
				span_of(tokens + i * len, len));
	ike_engine_datagram(s->nodes[node].engine, &path, wire_end(&w), s->now);
	sim_drain(s, node);
}

static struct wire_header answer_to(const struct sim_view *v)
{
	return (struct wire_header){.spi_i = v->spi_i,
				    .spi_r = v->spi_r,
				    .version = WIRE_VERSION,
				    .exchange = EXCHANGE_INFORMATIONAL,
				    .flags = FLAG_RESPONSE};
}

/* Guesses, cut and longer ones change nothing; the right one among four does (RFC 6290 4.5), to
 * this IKE_SA alone and in a response alone. */
static void test_tokens(void **state)
{
	struct sim *s = running(50, 1);
	struct sim_view v = sim_look(s, 0, NULL);
	struct wire_header h = answer_to(&v);
	uint8_t tokens[4 * QUICK_CRASH_TOKEN + 1] = {1};

	(void)state;
	assert_int_equal(s->nodes[0].engine->sas->crash_token.len, QUICK_CRASH_TOKEN);
	say(s, 0, &h, tokens, QUICK_CRASH_TOKEN, 4);
	assert_int_equal(counters(s, 0)->crash_token_wrong, 1);
	memcpy(tokens + 3 * QUICK_CRASH_TOKEN, s->nodes[0].engine->sas->crash_token.data,
	       QUICK_CRASH_TOKEN);
	say(s, 0, &h, tokens + 3 * QUICK_CRASH_TOKEN, QUICK_CRASH_TOKEN - 1, 1);
	say(s, 0, &h, tokens + 3 * QUICK_CRASH_TOKEN, QUICK_CRASH_TOKEN + 1, 1);
	say(s, 0, &h, tokens + 3 * QUICK_CRASH_TOKEN, 0, 1);
	h.flags = 0;
	say(s, 0, &h, tokens, QUICK_CRASH_TOKEN, 4);
	h = answer_to(&v);
	h.spi_r ^= 1;
	say(s, 0, &h, tokens, QUICK_CRASH_TOKEN, 4);
	assert_int_equal(counters(s, 0)->crash_token_proved, 0);
	assert_agreed(s, 1);
	h = answer_to(&v);
	say(s, 0, &h, tokens, QUICK_CRASH_TOKEN, 4);
	assert_int_equal(counters(s, 0)->crash_token_proved, 1);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_PEER_RESTARTED);
	assert_agreed_within(s, 1, 20 * MONO_S);
	sim_free(s);
}

/* Node 1 is asked for a token; did it give one? */
static bool gives(struct sim *s, const struct wire_header *h)
{
	uint64_t before = counters(s, 1)->crash_token_given;
	const struct ike_path path = {{sim_addr(1, 0), 500}, {sim_addr(0, 0), 500}};
	uint8_t memory[256] = {0};
	struct wire_writer w;

	wire_begin(&w, memory, sizeof(memory), h);
	wire_end(&w);
	memory[16] = h->next_payload;
	be32_set(memory + 24, 64);
	ike_engine_datagram(s->nodes[1].engine, &path, span_of(memory, 64), s->now);
	sim_drain(s, 1);
	return counters(s, 1)->crash_token_given > before;
}

/* RFC 6290 9.2: no token for an SPI that is in use, whatever else the message says. */
static void test_none_for_what_is_in_use(void **state)
{
	struct sim *s = running(51, 1);
	struct sim_view v = sim_look(s, 1, NULL);
	const struct wire_header good = {.spi_i = v.spi_i ^ 1,
					 .spi_r = v.spi_r ^ 1,
					 .next_payload = PAYLOAD_SK,
					 .version = WIRE_VERSION,
					 .exchange = EXCHANGE_INFORMATIONAL,
					 .flags = FLAG_INITIATOR};
	struct wire_header h;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		h = good;
		h.flags = i & 1 ? FLAG_INITIATOR : 0;
		h.spi_r = v.spi_r;
		h.spi_i = i & 2 ? v.spi_i : v.spi_i ^ 1;
		h.exchange = i & 4 ? EXCHANGE_CREATE_CHILD_SA : EXCHANGE_INFORMATIONAL;
		assert_false(gives(s, &h));
		h.spi_i = v.spi_r; /* as if we had begun */
		h.spi_r = v.spi_i ^ 1;
		assert_false(gives(s, &h));
	}
	h = good;
	h.flags |= FLAG_RESPONSE;
	assert_false(gives(s, &h));
	h = good;
	h.next_payload = PAYLOAD_NOTIFY;
	assert_false(gives(s, &h));
	h = good;
	h.spi_r = 0;
	assert_false(gives(s, &h));
	assert_true(gives(s, &good));
	assert_agreed(s, 1);
	sim_free(s);
}

/* Who asks for many gets so many a second; ESP is answered to peers alone, and not often. */
static void test_limits(void **state)
{
	struct sim *s = running(52, 1);
	struct ike_path path = {{sim_addr(1, 0), 0}, {sim_addr(0, 0), 0}};
	struct wire_header h = {.spi_i = 7,
				.spi_r = 8,
				.next_payload = PAYLOAD_SK,
				.version = WIRE_VERSION,
				.exchange = EXCHANGE_INFORMATIONAL};

	(void)state;
	for (unsigned i = 0; i < 3000; i++, h.spi_i++)
		gives(s, &h);
	assert_int_equal(counters(s, 1)->crash_token_given, 1000);
	/* it is up */
	ike_engine_esp_unknown(s->nodes[1].engine, &path, 0x12345678, s->now);
	sim_drain(s, 1);
	assert_int_equal(counters(s, 1)->invalid_spi_told, 0);
	sim_reboot(s, 1);
	/* nobody's conn */
	ike_engine_esp_unknown(s->nodes[1].engine, &path, 0x12345678, s->now);
	assert_int_equal(counters(s, 1)->invalid_spi_told, 0);
	load(s, 1, 0);
	for (unsigned i = 0; i < 1000; i++)
		ike_engine_esp_unknown(s->nodes[1].engine, &path, 0x12345678, s->now);
	sim_drain(s, 1);
	assert_int_equal(counters(s, 1)->invalid_spi_told, 200);
	sim_free(s);
}

/* A peer that crashes again and again is asked less and less often. */
static void test_crash_loop(void **state)
{
	struct sim *s = running(53, 1);
	unsigned ups;

	(void)state;
	sim_traffic(s, 10 * MONO_MS);
	ups = s->nodes[0].events[IKE_EVENT_IKE_UP];
	for (unsigned i = 0; i < 200; i++) {
		sim_reboot(s, 1);
		load(s, 1, 0);
		sim_run(s, 100 * MONO_MS);
	}
	assert_in_range(s->nodes[0].events[IKE_EVENT_IKE_UP] - ups, 1, 12);
	assert_agreed_within(s, 1, 90 * MONO_S);
	sim_free(s);
}

/* At random, over links that lose, with rekeys by the way. */
static void test_reboots(void **state)
{
	const struct sim_link bad = {.latency = 5 * MONO_MS,
				     .jitter = 40 * MONO_MS,
				     .loss = 100,
				     .duplicate = 150,
				     .reorder = 150};

	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct sim *s = running(1000 + seed, 1 + seed % 3);
		uint64_t rng = seed;

		sim_traffic(s, 20 * MONO_MS);
		sim_all_links(s, &bad);
		for (unsigned i = 0; i < 6; i++) {
			unsigned node = (unsigned)(sim_random(&rng) % 2);

			sim_command(s, node, IKE_COMMAND_REKEY, NULL, NULL);
			sim_run(s, sim_random(&rng) % 15000 * MONO_MS);
			sim_reboot(s, node);
			sim_run(s, sim_random(&rng) % 500 * MONO_MS);
			load(s, node, 1 + seed % 3);
		}
		sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS});
		assert_agreed_within(s, 1, 180 * MONO_S);
		sim_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reboot),	     cmocka_unit_test(test_responder),
		cmocka_unit_test(test_idle),	     cmocka_unit_test(test_rekeyed),
		cmocka_unit_test(test_one_end_only), cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_tokens),	     cmocka_unit_test(test_none_for_what_is_in_use),
		cmocka_unit_test(test_limits),	     cmocka_unit_test(test_crash_loop),
		cmocka_unit_test(test_reboots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
