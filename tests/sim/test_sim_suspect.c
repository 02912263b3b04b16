/* Early detection: a hint is told at once and makes a quick check of liveness, whose answer ends
 * it; nothing that anybody can forge ends an SA or comes through at will. An operator who sets
 * a tunnel's device down is heard at both ends. */
#include "tests/sim/sim_parts.h"
#include "tests/sim/sim_test.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/wire/message.h"

static const struct ike_counters *counters(const struct sim *s, unsigned node)
{
	return ike_engine_counters(s->nodes[node].engine);
}

static unsigned events(const struct sim *s)
{
	return s->nodes[0].events[IKE_EVENT_SUSPECT];
}

static void give(struct sim *s, const struct ike_hint *hint)
{
	ike_engine_hint(s->nodes[0].engine, hint, s->now);
	sim_drain(s, 0);
}

/* What a router between node 0 and node 1 would quote of node 0's ESP. */
static struct ike_hint quote(const struct sim *s, enum ike_suspicion what)
{
	return (struct ike_hint){.what = what,
				 .path = {{sim_addr(0, 0), 0}, {sim_addr(1, 0), 0}},
				 .esp_spi = sim_look(s, 0, NULL).spi_out};
}

static void cut(struct sim *s, bool is_cut)
{
	s->links[0][1].cut = s->links[1][0].cut = is_cut;
}

/* A false alarm costs one round trip. */
static void test_answered(void **state)
{
	struct sim *s = sim_established(1);
	struct ike_hint h = quote(s, IKE_SUSPECT_ICMP_HOST);
	unsigned requests = s->nodes[0].requests[3];

	(void)state;
	give(s, &h);
	assert_int_equal(events(s), 1);
	assert_int_equal(counters(s, 0)->suspect_icmp_host, 1);
	assert_int_equal(s->nodes[0].requests[3], requests + 1);
	sim_run(s, 100 * MONO_MS);
	assert_int_equal(events(s), 2);
	assert_int_equal(counters(s, 0)->suspect_cleared, 1);
	assert_agreed(s, 1);
	sim_free(s);
}

/* While it lasts, the peer is asked often; its end is that of any dead peer, in its own time. */
static void test_dead_peer(void **state)
{
	struct sim *s = sim_established(2);
	struct ike_hint h = quote(s, IKE_SUSPECT_ICMP_NET);

	(void)state;
	cut(s, true);
	give(s, &h);
	sim_run(s, 300 * MONO_MS);
	assert_in_range(counters(s, 0)->retransmits_sent, 2, 5); /* 50, 140, 302 ms */
	for (unsigned i = 0; i < 50; i++)
		give(s, &h);
	assert_int_equal(events(s), 1);
	sim_run(s, 16 * MONO_S);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 0);
	sim_run(s, 3 * MONO_S);
	assert_int_equal(counters(s, 0)->peers_dead, 1);
	/* Told when the tunnel is up anew, not before. */
	assert_int_equal(events(s), 1);
	cut(s, false);
	assert_agreed_within(s, 1, 90 * MONO_S);
	assert_int_equal(events(s), 2);
	sim_free(s);
}

/* The path comes back before the verdict. */
static void test_back_again(void **state)
{
	struct sim *s = sim_established(3);
	const struct ike_hint h = {.what = IKE_SUSPECT_CARRIER,
				   .ike_id = sim_look(s, 0, NULL).ike_id};

	(void)state;
	cut(s, true);
	give(s, &h);
	sim_run(s, 5 * MONO_S);
	assert_int_equal(events(s), 1);
	cut(s, false);
	sim_run(s, 5 * MONO_S);
	assert_int_equal(events(s), 2);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 0);
	assert_agreed(s, 1);
	sim_free(s);
}

/* Whoever guesses, quotes another's packet, or what was never ours. */
static void test_not_ours(void **state)
{
	struct sim *s = sim_established(4);
	struct ike_hint h = quote(s, IKE_SUSPECT_ICMP_PORT);
	unsigned requests = s->nodes[0].requests[3];

	(void)state;
	h.esp_spi ^= 1;
	give(s, &h);
	h = quote(s, IKE_SUSPECT_ICMP_PORT);
	h.esp_spi = 0;
	give(s, &h);
	h = quote(s, IKE_SUSPECT_ICMP_PORT);
	h.path.remote.addr.bytes[3] ^= 1;
	give(s, &h);
	h = quote(s, IKE_SUSPECT_ICMP_PORT);
	h.path.local.addr.bytes[3] ^= 1;
	give(s, &h);
	h = quote(s, IKE_SUSPECT_ICMP_PORT);
	h.path.remote.port = 4501;
	give(s, &h);
	h = quote(s, IKE_SUSPECT_ICMP_PORT);
	h.esp_spi = sim_look(s, 0, NULL).spi_in; /* the peer's packets */
	give(s, &h);
	assert_int_equal(events(s), 0);
	assert_int_equal(counters(s, 0)->suspect_foreign, 6);
	assert_int_equal(s->nodes[0].requests[3], requests);
	sim_free(s);
}

/* Somebody on the path who sees our SPIs: 10 minutes of forged messages, one each 10 ms. */
static void test_flapping(void **state)
{
	struct sim *s = sim_established(5);
	struct ike_hint h = quote(s, IKE_SUSPECT_ICMP_HOST), own = h;
	unsigned told;

	(void)state;
	for (unsigned i = 0; i < 60000; i++) {
		h.esp_spi = sim_look(s, 0, NULL).spi_out;
		give(s, &h);
		sim_run(s, 10 * MONO_MS);
	}
	/* 1 s, 2, 4, ... 32, then one a minute; each is told and cleared. */
	told = events(s);
	assert_in_range(told, 2 * 10, 2 * 17);
	assert_true(counters(s, 0)->suspect_too_often > 59000);
	/* What the machine itself sees is not held back by that. */
	own.what = IKE_SUSPECT_CARRIER;
	own.esp_spi = 0;
	give(s, &own);
	assert_int_equal(events(s), told + 1);
	assert_agreed(s, 1);
	sim_free(s);
}

/* An answer that was on its way when the path broke proves nothing. */
static void test_late_answer(void **state)
{
	struct sim *s = sim_established(6);
	struct ike_hint h = quote(s, IKE_SUSPECT_ICMP_HOST);

	(void)state;
	s->links[1][0].latency = 100 * MONO_MS;
	sim_command(s, 0, IKE_COMMAND_REKEY, NULL, "net");
	sim_run(s, 50 * MONO_MS);
	s->links[0][1].cut = true; /* the request has arrived, its answer comes */
	give(s, &h);
	sim_run(s, 100 * MONO_MS);
	assert_false(s->nodes[0].engine->sas->running && /* it came */
		     s->nodes[0].engine->sas->running->ops == &rekey_child_ops);
	sim_run(s, 2 * MONO_S);
	assert_int_equal(events(s), 1);
	s->links[0][1].cut = false;
	sim_run(s, 2 * MONO_S);
	assert_int_equal(events(s), 2);
	assert_agreed_within(s, 1, 10 * MONO_S);
	sim_free(s);
}

/* dpddelay=0: the peer is not asked; packets that come in have to do. */
static void test_without_dpd(void **state)
{
	struct sim *s = sim_new(7, 2, &crypto_null, NULL);
	struct ike_hint h;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *c = sim_conn(s, i, 1 - i, 0);

		c->dpd_delay = 0;
		c->children[0].start_action = i ? ACTION_NONE : ACTION_START;
		sim_load(s, i, c, 1);
	}
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	h = quote(s, IKE_SUSPECT_ICMP_HOST);
	give(s, &h);
	sim_run(s, 60 * MONO_S);
	assert_int_equal(events(s), 1);
	assert_agreed(s, 1);
	sim_traffic(s, 100 * MONO_MS);
	sim_run(s, 3 * MONO_S);
	assert_int_equal(events(s), 2);
	sim_free(s);
}

static void test_switched_off(void **state)
{
	struct sim *s = sim_established(8);
	struct ike_hint h = quote(s, IKE_SUSPECT_ICMP_HOST);

	(void)state;
	ike_engine_early_detection(s->nodes[0].engine, false);
	give(s, &h);
	assert_int_equal(events(s), 0);
	ike_engine_early_detection(s->nodes[0].engine, true);
	give(s, &h);
	assert_int_equal(events(s), 1);
	sim_free(s);
}

/* ---- what peers say without protection ---- */

/* To node 0, from node 1's n-th address. */
static void say(struct sim *s, unsigned n, const struct wire_header *h, uint16_t notify,
		struct span data)
{
	const struct ike_path path = {{sim_addr(0, 0), 500}, {sim_addr(1, n), 500}};
	uint8_t memory[256];
	struct wire_writer w;

	wire_begin(&w, memory, sizeof(memory), h);
	wire_put_notify(&w, PROTOCOL_NONE, notify, span_of(NULL, 0), data);
	ike_engine_datagram(s->nodes[0].engine, &path, wire_end(&w), s->now);
	sim_drain(s, 0);
}

static void say_invalid_spi(struct sim *s, unsigned n, uint32_t spi, size_t len)
{
	const struct wire_header h = {.version = WIRE_VERSION,
				      .exchange = EXCHANGE_INFORMATIONAL,
				      .flags = FLAG_INITIATOR};
	uint8_t data[4];

	be32_set(data, spi);
	say(s, n, &h, NOTIFY_INVALID_SPI, span_of(data, len));
}

/* RFC 7296 1.5: an unprotected INVALID_SPI is a hint, and never answered. */
static void test_invalid_spi(void **state)
{
	struct sim *s = sim_established(9);
	uint32_t spi = sim_look(s, 0, NULL).spi_out;
	unsigned answers, requests = s->nodes[0].requests[3];

	(void)state;
	say_invalid_spi(s, 0, spi, 3);
	answers = s->nodes[0].responses[3];
	say_invalid_spi(s, 0, spi ^ 1, 4);
	say_invalid_spi(s, 9, spi, 4);
	assert_int_equal(events(s), 0);
	say_invalid_spi(s, 0, spi, 4);
	assert_int_equal(events(s), 1);
	assert_int_equal(s->nodes[0].requests[3], requests + 1);
	assert_int_equal(s->nodes[0].responses[3], answers);
	sim_run(s, MONO_S);
	assert_int_equal(events(s), 2);
	assert_agreed(s, 1);
	sim_free(s);
}

/* RFC 7296 2.21.4: a peer that was restarted and does not begin anew itself says that it does not
 * know the IKE_SA. That ends nothing either; its silence does. */
static void test_forgotten(void **state)
{
	struct sim *s = sim_established(10);
	struct ike_hint h = quote(s, IKE_SUSPECT_CARRIER);

	(void)state;
	sim_restart(s, 1);
	h.esp_spi = 0;
	give(s, &h);
	sim_run(s, 2 * MONO_S);
	assert_true(counters(s, 0)->suspect_invalid_ike_spi > 0);
	assert_int_equal(events(s), 1);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 0);
	sim_run(s, 20 * MONO_S);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 1);
	sim_free(s);
}

static void say_invalid_ike_spi(struct sim *s, uint64_t spi_i, uint64_t spi_r, uint32_t id)
{
	const struct wire_header h = {.spi_i = spi_i,
				      .spi_r = spi_r,
				      .version = WIRE_VERSION,
				      .exchange = EXCHANGE_CREATE_CHILD_SA,
				      .flags = FLAG_RESPONSE,
				      .message_id = id};

	say(s, 0, &h, NOTIFY_INVALID_IKE_SPI, span_of(NULL, 0));
}

/* Only the answer to the request in flight says so, and only with both SPIs. */
static void test_invalid_ike_spi(void **state)
{
	struct sim *s = sim_established(11);
	struct sim_view v = sim_look(s, 0, NULL);
	uint32_t id = s->nodes[0].engine->sas->tx.next_id;

	(void)state;
	say_invalid_ike_spi(s, v.spi_i, v.spi_r, id);
	assert_int_equal(counters(s, 0)->suspect_invalid_ike_spi, 0);
	sim_command(s, 0, IKE_COMMAND_REKEY, NULL, "net");
	say_invalid_ike_spi(s, v.spi_i, v.spi_r ^ 1, id);
	say_invalid_ike_spi(s, v.spi_i, v.spi_r, id + 1);
	assert_int_equal(events(s), 0);
	say_invalid_ike_spi(s, v.spi_i, v.spi_r, id);
	assert_int_equal(events(s), 1);
	sim_run(s, MONO_S);
	assert_int_equal(events(s), 2);
	assert_agreed_within(s, 1, 10 * MONO_S);
	sim_free(s);
}

/* ---- the device ---- */

static const char *const conns[] = {"to1-0", "to0-0"};

/* The answer to a DELETE is lost: the next one meets a peer that has no such IKE_SA any more. */
static void test_deleted_already(void **state)
{
	struct sim *s = sim_established(14);

	(void)state;
	s->links[1][0].drop_exchange = EXCHANGE_INFORMATIONAL;
	s->links[1][0].drop_responses = true;
	s->links[1][0].drop_next = 1;
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", NULL);
	sim_run(s, 2 * MONO_S);
	assert_int_equal(sim_look(s, 0, NULL).ike, 0);
	assert_int_equal(sim_look(s, 1, NULL).ike, 0);
	assert_string_equal(s->violation, "");
	sim_free(s);
}

static void device(struct sim *s, unsigned node, bool down)
{
	const struct ike_command c = {
		.kind = IKE_COMMAND_DEVICE, .name = conns[node], .down = down};
	const char *error;

	assert_true(ike_engine_command(s->nodes[node].engine, &c, &error, s->now));
	sim_drain(s, node);
}

static void assert_nothing_up(const struct sim *s)
{
	assert_holds(s);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(sim_look(s, i, NULL).ike_established, 0);
}

/* `ip link set down`, at either end: the peer acts on it in a round trip and does not get it up
 * again; up: it is back at once, whoever had begun it. */
static void test_device(void **state)
{
	(void)state;
	for (unsigned node = 0; node < 2; node++) {
		struct ike_command up = {.kind = IKE_COMMAND_INITIATE, .select.ike = conns[node]};
		struct sim *s = sim_established(12 + node);
		const char *error;
		mono_time next;
		char detail[160];

		device(s, node, true);
		sim_run(s, 100 * MONO_MS);
		assert_nothing_up(s);
		assert_int_equal(s->nodes[1 - node].last_reason, IKE_REASON_PEER_DELETED);
		sim_run(s, 300 * MONO_S);
		assert_nothing_up(s);
		assert_int_equal(
			ike_engine_conn_status(s->nodes[node].engine, conns[node], &next, detail),
			IKE_REASON_DEVICE);
		assert_false(ike_engine_command(s->nodes[node].engine, &up, &error, s->now));
		assert_non_null(strstr(error, "device"));
		device(s, node, false);
		sim_run(s, 200 * MONO_MS);
		assert_agreed(s, 1);
		sim_free(s);
	}
}

/* What a command took down stays down when the device comes up. */
static void test_device_and_hold(void **state)
{
	struct sim *s = sim_established(14);

	(void)state;
	sim_hold(s, 0, conns[0]);
	sim_run(s, MONO_S);
	device(s, 0, true);
	device(s, 0, false);
	sim_run(s, 100 * MONO_S);
	assert_nothing_up(s);
	sim_command(s, 0, IKE_COMMAND_INITIATE, conns[0], NULL);
	sim_run(s, MONO_S);
	assert_agreed(s, 1);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answered),	cmocka_unit_test(test_dead_peer),
		cmocka_unit_test(test_back_again),	cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_flapping),	cmocka_unit_test(test_late_answer),
		cmocka_unit_test(test_without_dpd),	cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_invalid_spi),	cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_invalid_ike_spi), cmocka_unit_test(test_deleted_already),
		cmocka_unit_test(test_device),		cmocka_unit_test(test_device_and_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
