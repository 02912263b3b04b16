/* Public-key work beside the way of the messages: a responder's keys behind its answer, pairs made
 * ahead, and idle time that comes late, out of order or never. What is counted is a pure
 * implementation's calls, so that "costs nothing" is a number. */
#include "tests/sim/sim_test.h"
#include "tests/sim/sim_parts.h"
#include "ipsecd/ike/exchange.h"
#include "tests/support/propose.h"

#define WAIT	    (2 * MONO_S)
#define VALUES	    4096
#define VALUE_BYTES 16

/* ---- a counting crypto ---- */

static struct crypto_ops counting;
static unsigned made, freed, derived;
static uint8_t values[VALUES][VALUE_BYTES]; /* public ones, as they were made */

static struct crypto_ke *ke_new(uint16_t ke_id, const uint8_t *random, uint8_t *public_value)
{
	struct crypto_ke *ke = crypto_null.ke_new(ke_id, random, public_value);

	memcpy(values[made++ % VALUES], public_value, VALUE_BYTES);
	return ke;
}

static bool ke_derive(struct crypto_ke *ke, struct span peer_public, uint8_t *shared)
{
	derived++;
	return crypto_null.ke_derive(ke, peer_public, shared);
}

static void ke_free(struct crypto_ke *ke)
{
	freed += ke != NULL;
	crypto_null.ke_free(ke);
}

static struct sim *counted(uint64_t seed, unsigned nodes, const struct ike_settings *settings)
{
	counting = crypto_null;
	counting.ke_new = ke_new;
	counting.ke_derive = ke_derive;
	counting.ke_free = ke_free;
	made = freed = derived = 0;
	return sim_new(seed, nodes, &counting, settings);
}

/* Each private value that was made is cleansed. */
static void end(struct sim *s)
{
	assert_holds(s);
	sim_free(s);
	assert_int_equal(made, freed);
}

static const struct ike_counters *counters(const struct sim *s, unsigned node)
{
	return ike_engine_counters(s->nodes[node].engine);
}

static void be_idle(struct sim *s, unsigned node)
{
	for (unsigned i = 0; ike_engine_has_idle_work(s->nodes[node].engine); i++) {
		assert_in_range(i, 0, 1000);
		sim_idle(s, node);
	}
}

/* ---- a stranger's messages to node 1 ---- */

static struct ike_path from_port(const struct sim *s, uint16_t port)
{
	(void)s;
	return (struct ike_path){.local = {sim_addr(1, 0), 500}, .remote = {sim_addr(0, 0), port}};
}

static void send_init(struct sim *s, uint16_t port, uint64_t spi, struct span public_value)
{
	struct ike_path path = from_port(s, port);
	struct wire_header h = {.spi_i = spi, .exchange = 34, .flags = FLAG_INITIATOR};
	uint8_t memory[1024], nonce[32] = {1};
	const struct proposal_list *l = NULL;
	struct wire_writer w;

	propose(PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519", &l);
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_sa(&w, l, span_of(NULL, 0));
	proposals_release(l);
	wire_put_ke(&w, KE_CURVE25519, public_value);
	wire_put_nonce(&w, span_of(nonce, sizeof(nonce)));
	ike_engine_datagram(s->nodes[1].engine, &path, wire_end(&w), s->now);
	sim_drain(s, 1);
}

/* SK with bytes that are none of any key. */
static void send_garbage(struct sim *s, const struct ike_sa *sa, uint8_t exchange, uint8_t flags,
			 uint32_t id)
{
	struct ike_path path = from_port(s, 500);
	uint8_t datagram[120];

	memset(datagram, 0x5a, sizeof(datagram));
	be64_set(datagram, sa->spi_i);
	be64_set(datagram + 8, sa->spi_r);
	memcpy(datagram + 16, "\x2e\x20\x23\x08\0\0\0\1\0\0\0\x78\x23\0\0\x5c", 16);
	datagram[18] = exchange;
	datagram[19] = flags;
	be32_set(datagram + 20, id);
	ike_engine_datagram(s->nodes[1].engine, &path, span_of(datagram, sizeof(datagram)), s->now);
	sim_drain(s, 1);
}

static struct sim *open_to_all(const struct ike_settings *settings)
{
	struct sim *s = counted(1, 2, settings);
	struct conn *c = sim_conn(s, 1, 0, 0);

	c->local[0].kind = c->remote[0].kind = HOST_ANY;
	sim_load(s, 1, c, 1);
	return s;
}

/* Up to where node 1 has answered IKE_SA_INIT. */
static struct sim *half_way(struct ike_sa **sa)
{
	struct sim *s = counted(1, 2, NULL);

	sim_pair(s, 1);
	sim_run(s, 15 * MONO_MS);
	*sa = s->nodes[1].engine->sas;
	assert_int_equal((*sa)->state, IKE_SA_HALF_OPEN);
	return s;
}

/* ---- a responder's keys ---- */

static void test_flood_costs_no_derivation(void **state)
{
	struct ike_settings settings = {.cookie_threshold = 100000};
	struct sim *s = open_to_all(&settings);
	uint8_t value[32] = {9};

	(void)state;
	for (unsigned i = 0; i < 500; i++) /* the last ones are beyond the limit of an address */
		send_init(s, (uint16_t)(1000 + i), i + 1, span_of(value, sizeof(value)));
	assert_int_equal(counters(s, 1)->ike_init_out_resp, 4096 / 32);
	assert_int_equal(derived, 0);
	sim_run(s, 31 * MONO_S);
	assert_int_equal(counters(s, 1)->ike_sas, 0);
	assert_int_equal(derived, 0);
	end(s);
}

static void test_one_derivation_an_end(void **state)
{
	struct sim *s = counted(1, 2, NULL);

	(void)state;
	sim_pair(s, 1);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	assert_int_equal(derived, 2);
	assert_int_equal(made, 2);
	end(s);
}

/* IKE_SA_INIT comes again before and IKE_AUTH behind the derivation. */
static void test_retransmissions(void **state)
{
	struct sim *s = counted(1, 2, NULL);

	(void)state;
	s->links[1][0].drop_exchange = 34;
	s->links[1][0].drop_responses = true;
	s->links[1][0].drop_next = 2;
	sim_pair(s, 1);
	sim_run(s, 3 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(derived, 2);
	s->links[1][0].drop_exchange = 35;
	s->links[1][0].drop_next = 2;
	sim_command(s, 0, IKE_COMMAND_TERMINATE, NULL, NULL);
	sim_run(s, WAIT);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", NULL);
	sim_run(s, 4 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(derived, 4);
	end(s);
}

static void test_only_ike_auth_derives(void **state)
{
	struct ike_sa *sa;
	struct sim *s = half_way(&sa);
	unsigned before = derived;

	(void)state;
	send_garbage(s, sa, 36, FLAG_INITIATOR, 1);
	send_garbage(s, sa, 37, FLAG_INITIATOR, 1);
	send_garbage(s, sa, 35, FLAG_INITIATOR, 0);
	send_garbage(s, sa, 35, FLAG_INITIATOR, 2);
	send_garbage(s, sa, 35, FLAG_INITIATOR | FLAG_RESPONSE, 1);
	assert_null(sa->keys);
	assert_int_equal(derived, before);
	assert_int_equal(counters(s, 1)->drop_state, 5);
	for (unsigned i = 0; i < 20; i++)
		send_garbage(s, sa, 35, FLAG_INITIATOR, 1);
	assert_non_null(sa->keys);
	assert_int_equal(derived, before + 1);
	assert_int_equal(counters(s, 1)->drop_auth, 20);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	end(s);
}

/* RFC 7748 6.1, RFC 6989: it shows when the keys are made, whoever asks for them first. */
static void test_value_that_is_none(void **state)
{
	static const uint8_t weak[32] = {1}; /* of the toy group's small orders */

	(void)state;
	for (unsigned idle = 0; idle < 2; idle++) {
		struct sim *s = open_to_all(NULL);

		send_init(s, 500, 77, span_of(weak, sizeof(weak)));
		assert_int_equal(counters(s, 1)->half_open, 1);
		if (idle)
			sim_idle(s, 1);
		else
			send_garbage(s, s->nodes[1].engine->sas, 35, FLAG_INITIATOR, 1);
		assert_int_equal(derived, 1);
		assert_int_equal(counters(s, 1)->half_open, 0);
		assert_int_equal(counters(s, 1)->ike_sas, 0);
		assert_int_equal(counters(s, 1)->invalid, 1);
		end(s);
	}
}

/* RFC 7296 3.4: the length is known without any work. */
static void test_value_of_another_length(void **state)
{
	struct sim *s = open_to_all(NULL);
	uint8_t value[31] = {9};

	(void)state;
	send_init(s, 500, 77, span_of(value, sizeof(value)));
	assert_int_equal(counters(s, 1)->half_open, 0);
	assert_int_equal(counters(s, 1)->invalid, 1);
	assert_int_equal(made, 0);
	end(s);
}

/* ---- idle time ---- */

static void test_keys_ahead(void **state)
{
	struct ike_sa *sa;
	struct sim *s = half_way(&sa);
	unsigned before = derived;

	(void)state;
	sim_idle(s, 1);
	assert_non_null(sa->keys);
	assert_int_equal(derived, before + 1);
	be_idle(s, 1);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	assert_int_equal(derived, 2);
	end(s);
}

/* With as many half-open ones as make us ask for cookies there is no time for any of them. */
static void test_no_keys_ahead_in_a_flood(void **state)
{
	struct ike_settings settings = {.cookie_threshold = 4};
	struct sim *s = open_to_all(&settings);
	uint8_t value[32] = {9};
	unsigned at_first;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		send_init(s, (uint16_t)(1000 + i), i + 1, span_of(value, sizeof(value)));
	assert_int_equal(counters(s, 1)->half_open, 4);
	be_idle(s, 1);
	at_first = derived;
	assert_int_equal(at_first, 4);
	settings.cookie_threshold = 100000;
	end(s);
	s = open_to_all(&settings);
	for (unsigned i = 0; i < 10; i++)
		send_init(s, (uint16_t)(1000 + i), i + 1, span_of(value, sizeof(value)));
	s->nodes[1].engine->settings.cookie_threshold = 4;
	be_idle(s, 1);
	assert_int_equal(derived, 0);
	end(s);
}

static unsigned refusals; /* of the PRF, so many more */

static bool prf(uint16_t prf_id, struct span key, const struct span *parts, size_t n, uint8_t *out)
{
	if (!refusals)
		return crypto_null.prf(prf_id, key, parts, n, out);
	refusals--;
	return false;
}

/* Keys that can't be made are not tried again and again: their IKE_AUTH does it. */
static void test_keys_ahead_that_fail(void **state)
{
	struct ike_sa *sa;
	struct sim *s = half_way(&sa);
	unsigned before = derived;

	(void)state;
	counting.prf = prf;
	refusals = 1;
	be_idle(s, 1);
	assert_null(sa->keys);
	assert_int_equal(derived, before + 1);
	assert_int_equal(counters(s, 1)->half_open, 1);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	end(s);
}

/* ---- pairs ---- */

static unsigned stock(const struct sim *s, unsigned node, uint16_t group)
{
	const struct pairs *p = &s->nodes[node].engine->pairs;

	for (unsigned i = 0; i < PAIR_GROUPS; i++)
		if (p->stocks[i].alg && p->stocks[i].alg->id == group)
			return p->stocks[i].n;
	return 0;
}

static void test_pairs_are_taken_once(void **state)
{
	struct sim *s = counted(1, 2, NULL);

	(void)state;
	sim_pair(s, 0);
	be_idle(s, 0);
	be_idle(s, 1);
	assert_int_equal(stock(s, 0, KE_CURVE25519), PAIRS_MIN);
	assert_int_equal(made, 2 * PAIRS_MIN);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", NULL);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	assert_int_equal(made, 2 * PAIRS_MIN); /* nothing was made on the way */
	assert_int_equal(stock(s, 0, KE_CURVE25519), PAIRS_MIN - 1);
	assert_int_equal(stock(s, 1, KE_CURVE25519), PAIRS_MIN - 1);
	for (unsigned i = 0; i < 20; i++) {
		sim_command(s, i & 1, IKE_COMMAND_REKEY, NULL, NULL);
		sim_run(s, WAIT);
		be_idle(s, i & 1);
	}
	assert_agreed(s, 1);
	for (unsigned i = 0; i < made; i++)
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(values[i], values[j], VALUE_BYTES);
	end(s);
}

/* More are kept ahead where more were missing, and fewer where nobody took them. */
static void test_pairs_are_bounded(void **state)
{
	struct sim *s = open_to_all(&(struct ike_settings){.cookie_threshold = 100000});
	uint8_t value[32] = {9};

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		send_init(s, (uint16_t)(1000 + i), i + 1, span_of(value, sizeof(value)));
	s->nodes[1].engine->underived = false;
	be_idle(s, 1);
	assert_int_equal(stock(s, 1, KE_CURVE25519), PAIRS_MAX);
	sim_run(s, PAIR_LIFE - MONO_S);
	assert_int_equal(stock(s, 1, KE_CURVE25519), PAIRS_MAX);
	sim_run(s, 2 * MONO_S);
	assert_int_equal(stock(s, 1, KE_CURVE25519), 0);
	assert_int_equal(freed, made);
	be_idle(s, 1);
	assert_int_equal(stock(s, 1, KE_CURVE25519), PAIRS_MIN);
	end(s);
}

/* The groups that were asked for last have a stock. */
static void test_pairs_of_few_groups(void **state)
{
	static const char *const words[] = {
		"aes128gcm16-prfsha256-x25519",	  "aes128gcm16-prfsha256-ecp256",
		"aes128gcm16-prfsha256-ecp384",	  "aes128gcm16-prfsha256-ecp521",
		"aes128gcm16-prfsha256-modp3072",
	};
	struct sim *s = counted(1, 2, NULL);

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct conn *c = sim_conn(s, 0, 1, i);

		propose(PROTOCOL_IKE, words[i], &c->proposals);
		sim_load(s, 0, c, i + 1);
		be_idle(s, 0);
	}
	assert_int_equal(stock(s, 0, KE_CURVE25519), 0);
	assert_int_equal(stock(s, 0, KE_ECP_256), PAIRS_MIN);
	assert_int_equal(stock(s, 0, KE_MODP_3072), PAIRS_MIN);
	assert_int_equal(made - freed, 4 * PAIRS_MIN);
	end(s);
}

/* A crypto that fails is not asked again and again. */
static struct crypto_ke *no_ke(uint16_t ke_id, const uint8_t *random, uint8_t *public_value)
{
	(void)ke_id;
	(void)random;
	(void)public_value;
	made++;
	freed++;
	return NULL;
}

static void test_pairs_that_fail(void **state)
{
	struct sim *s = counted(1, 2, NULL);

	(void)state;
	counting.ke_new = no_ke;
	sim_pair(s, 0);
	be_idle(s, 0);
	assert_int_equal(made, 1);
	counting.ke_new = ke_new;
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", NULL);
	be_idle(s, 0);
	assert_in_range(stock(s, 0, KE_CURVE25519), PAIRS_MIN, PAIRS_MAX);
	sim_run(s, WAIT);
	assert_agreed(s, 1);
	end(s);
}

static void test_no_work_when_it_ends(void **state)
{
	struct sim *s = counted(1, 2, NULL);

	(void)state;
	sim_pair(s, 1);
	sim_run(s, WAIT);
	sim_command(s, 0, IKE_COMMAND_SHUTDOWN, NULL, NULL);
	assert_false(ike_engine_has_idle_work(s->nodes[0].engine));
	sim_idle(s, 0);
	assert_int_equal(made, 2);
	end(s);
}

/* ---- all of it at any time ---- */

static const char *const suites[] = {
	"aes128gcm16-prfsha256-x25519",
	"aes256gcm16-prfsha384-ecp384-x25519",
	"aes128gcm16-prfsha256-x25519-modp3072",
};

/* Some pairs begin with a group that the other end does not want (INVALID_KE_PAYLOAD). */
static void load(struct sim *s, uint64_t seed)
{
	for (unsigned i = 0; i < 2; i++) {
		struct conn *c = sim_conn(s, i, 1 - i, 0);

		propose(PROTOCOL_IKE, suites[seed % 3], &c->proposals);
		if (i && seed % 3 == 1)
			propose(PROTOCOL_IKE, "aes256gcm16-prfsha384-x25519", &c->proposals);
		if (!i)
			c->children[0].start_action = c->children[0].close_action = ACTION_START;
		sim_load(s, i, c, 1);
	}
}

static void disturb(struct sim *s, uint64_t *rng)
{
	uint64_t r = sim_random(rng);

	switch (r % 5) {
	case 0:
		if (s->restores) /* that is a restart behind each input */
			break;
		sim_kill(s, r >> 8 & 1, r >> 9 & 7, (r >> 12 & 255) * MONO_MS);
		break;
	case 1: /* both at once */
		sim_command(s, 0, IKE_COMMAND_REKEY, NULL, NULL);
		sim_command(s, 1, IKE_COMMAND_REKEY, NULL, NULL);
		break;
	case 2:
		sim_command(s, 0, IKE_COMMAND_REKEY, NULL, "net");
		sim_command(s, 1, IKE_COMMAND_REKEY, NULL, "net");
		break;
	case 3:
		sim_reauth(s, r >> 8 & 1, NULL);
		break;
	default:
		break;
	}
	sim_run(s, (r >> 16) % 3000 * MONO_MS);
}

static void any_time(uint64_t seed, bool restored)
{
	static const unsigned how_often[] = {1000, 500, 100, 10};
	const struct sim_link bad = {.latency = 5 * MONO_MS,
				     .jitter = 60 * MONO_MS,
				     .loss = 200,
				     .duplicate = 150,
				     .reorder = 150};
	const struct sim_link good = {.latency = 10 * MONO_MS};
	struct ike_settings settings = {.publish = true, .cookie_threshold = seed & 1 ? 1 : 0};
	uint64_t rng = seed;
	struct sim *s;

	sim_restore_always(restored);
	s = sim_new(seed, 2, &crypto_null, &settings);
	s->idle = how_often[seed / 3 % 4];
	sim_all_links(s, &bad);
	load(s, seed);
	for (unsigned i = 0; i < 12; i++)
		disturb(s, &rng);
	sim_all_links(s, &good);
	sim_run(s, 40 * MONO_S);
	assert_agreed_within(s, 1, 200 * MONO_S);
	sim_free(s);
	sim_restore_always(false);
}

static void test_idle_at_any_time(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 240; seed++)
		any_time(seed, false);
}

/* An engine of its own for each input: pairs are lost each time, half-open ones go on. */
static void test_idle_and_restored(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 36; seed++)
		any_time(seed, true);
}

/* Killed when the answer has left and the keys are not made: the next one makes them. */
static void test_killed_half_way(void **state)
{
	(void)state;
	for (unsigned idle = 0; idle < 2; idle++) {
		struct ike_settings settings = {.publish = true};
		struct sim *s = counted(1, 2, &settings);

		sim_pair(s, 1);
		sim_run(s, 15 * MONO_MS);
		assert_int_equal(s->nodes[1].engine->sas->state, IKE_SA_HALF_OPEN);
		if (idle)
			sim_idle(s, 1);
		sim_kill(s, 1, 0, MONO_MS);
		sim_idle(s, 1);
		assert_int_equal(s->nodes[1].deaths, 1);
		sim_run(s, WAIT);
		assert_agreed(s, 1);
		assert_int_equal(s->nodes[1].refused, 0);
		assert_int_equal(s->nodes[0].requests[1], 1);
		end(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flood_costs_no_derivation),
		cmocka_unit_test(test_one_derivation_an_end),
		cmocka_unit_test(test_retransmissions),
		cmocka_unit_test(test_only_ike_auth_derives),
		cmocka_unit_test(test_value_that_is_none),
		cmocka_unit_test(test_value_of_another_length),
		cmocka_unit_test(test_keys_ahead),
		cmocka_unit_test(test_no_keys_ahead_in_a_flood),
		cmocka_unit_test(test_keys_ahead_that_fail),
		cmocka_unit_test(test_pairs_are_taken_once),
		cmocka_unit_test(test_pairs_are_bounded),
		cmocka_unit_test(test_pairs_of_few_groups),
		cmocka_unit_test(test_pairs_that_fail),
		cmocka_unit_test(test_no_work_when_it_ends),
		cmocka_unit_test(test_idle_at_any_time),
		cmocka_unit_test(test_idle_and_restored),
		cmocka_unit_test(test_killed_half_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
