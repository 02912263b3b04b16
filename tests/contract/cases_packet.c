/* Contract: packets through two planes, for every suite and family; what is refused. */
#include "tests/contract/contract.h"

#include "ipsecd/dataplane/esp.h"
#include "lib/buf.h"

#include <stdio.h>

static const struct suite_case suites[] = {
	{ENCR_AES_GCM_16, 128, 0, false},
	{ENCR_AES_GCM_16, 256, 0, true},
	{ENCR_CHACHA20_POLY1305, 0, 0, false},
	{ENCR_CHACHA20_POLY1305, 0, 0, true},
	{ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, false},
	{ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, true},
	{ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_384_192, true},
	{ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_512_256, false},
};

static void every_suite_both_families_both_ways(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];

	for (unsigned i = 0; i < sizeof(suites) / sizeof(*suites); i++) {
		struct child_sa a, b;

		child_pair(i, &suites[i], &a, &b);
		install(&w->a, &a);
		install(&w->b, &b);
		for (unsigned n = 1; n < 20; n++) {
			uint8_t family = n % 2 ? AF_INET : AF_INET6;
			size_t len = 48 + n * 70;

			pass(w, &w->a, &w->b, udp_packet(memory, family, n, len, false));
			pass(w, &w->b, &w->a, udp_packet(memory, family, n, len, true));
		}
		contract->ops->child_remove(w->a.plane, a.id);
		contract->ops->child_remove(w->b.plane, b.id);
	}
}

/* RFC 4303 3.3.3, 3.3.4: numbers start at 1 and go up by one; no IV comes twice. */
static void numbers_and_ivs_are_used_once(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	unsigned refused = contract->refuses_nothing ? 0 : 1;

	for (unsigned i = 0; i < sizeof(suites) / sizeof(*suites); i++) {
		uint8_t iv_len = algorithm_encr(suites[i].encr, suites[i].bits)->iv_len;
		struct child_sa a, b;

		child_pair(i, &suites[i], &a, &b);
		install(&w->a, &a);
		for (unsigned n = 0; n < 10; n++) {
			w->a.refuse_send =
				refused && n == 4; /* a packet that was not sent has used its */
			contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false),
					   w->now);
		}
		assert_int_equal(w->a.n_sent, 10 - refused);
		for (unsigned n = 0; n < w->a.n_sent; n++) {
			assert_int_equal(w->a.sent[n].data[7], n < 4 ? n + 1 : n + 1 + refused);
			for (unsigned m = 0; m < n; m++)
				assert_memory_not_equal(w->a.sent[n].data + 8,
							w->a.sent[m].data + 8, iv_len);
		}
		w->a.n_sent = 0;
		contract->ops->child_remove(w->a.plane, a.id);
	}
	assert_int_equal(dropped(&w->a, DROP_SEND), refused * sizeof(suites) / sizeof(*suites));
}

static void goes_to_the_childs_endpoints(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	assert_true(endpoint_equal(&w->a.sent[0].from, &a.local));
	assert_true(endpoint_equal(&w->a.sent[0].to, &a.remote));
	a.remote.port = 61000;
	assert_int_equal(contract->ops->child_update(w->a.plane, &a), DATAPLANE_OK);
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	assert_true(endpoint_equal(&w->a.sent[1].to, &a.remote));
}

/* To another address, with UDP or where it is offered without: the same SA, whose numbers and
 * window go on (RFC 4303 3.3.3). */
static void moves_with_its_peer(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span back = udp_packet(memory, AF_INET, 1, 100, true);
	struct child_sa a, b;
	struct packet first, next;

	install_pair(w, 1, &a, &b);
	first = forge(&a, 1, ESP_NEXT_IPV4, back);
	input(w, &w->a, &first);
	expect_received(&w->a, back);
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	a.remote.addr.bytes[3] = 77;
	assert_int_equal(contract->ops->child_update(w->a.plane, &a), DATAPLANE_OK);
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	assert_int_equal(w->a.n_sent, 2);
	assert_true(endpoint_equal(&w->a.sent[1].to, &a.remote));
	assert_true(memcmp(w->a.sent[1].data + 4, w->a.sent[0].data + 4, 4) > 0);
	back = udp_packet(memory, AF_INET, 1, 100, true);
	first.from = a.remote;
	input(w, &w->a, &first);
	expect_nothing(&w->a);
	assert_int_equal(dropped(&w->a, DROP_REPLAY), 1);
	next = forge(&a, 2, ESP_NEXT_IPV4, back);
	input(w, &w->a, &next);
	expect_received(&w->a, back);
}

static void replays_are_dropped(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct dataplane_child_stats stats;
	struct child_sa a, b;
	struct packet old;

	install_pair(w, 1, &a, &b);
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	old = w->a.sent[0];
	carry(w, &w->a, &w->b);
	expect_received(&w->b, udp_packet(memory, AF_INET, 1, 100, false));
	input(w, &w->b, &old);
	expect_nothing(&w->b);
	assert_int_equal(dropped(&w->b, DROP_REPLAY), 1);
	contract->ops->child_stats(w->b.plane, b.id, &stats);
	assert_int_equal(stats.drop_replay, 1);
	assert_int_equal(stats.packets_in, 1);
}

static void reordering_within_the_window(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span inner = udp_packet(memory, AF_INET, 1, 100, true);
	struct packet p;
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	for (uint64_t seq = 100; seq > 100 - 64; seq--) {
		p = forge(&a, seq, ESP_NEXT_IPV4, inner);
		input(w, &w->a, &p);
		expect_received(&w->a, inner);
	}
	p = forge(&a, 100 - 64, ESP_NEXT_IPV4, inner);
	input(w, &w->a, &p);
	expect_nothing(&w->a);
	assert_int_equal(dropped(&w->a, DROP_REPLAY), 1);
}

/* A forged number far ahead must not move the window (RFC 4303 3.4.3). */
static void forgeries_do_not_move_the_window(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span inner = udp_packet(memory, AF_INET, 1, 100, true);
	struct child_sa a, b;
	struct packet p;

	install_pair(w, 1, &a, &b);
	p = forge(&a, 1000000, ESP_NEXT_IPV4, inner);
	p.data[30] ^= 1;
	input(w, &w->a, &p);
	assert_int_equal(dropped(&w->a, DROP_ICV), 1);
	p = forge(&a, 1, ESP_NEXT_IPV4, inner);
	input(w, &w->a, &p);
	expect_received(&w->a, inner);
}

static void esn_crosses_the_border(void **state)
{
	static const struct suite_case suite = {ENCR_AES_GCM_16, 128, 0, true};
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span inner = udp_packet(memory, AF_INET, 1, 100, true);
	struct child_sa a, b;

	child_pair(1, &suite, &a, &b);
	install(&w->a, &a);
	/* Up to the border in steps that the inference can follow, then across. */
	for (uint64_t seq = 1; seq < 0x180000000; seq += 0x30000000) {
		struct packet p = forge(&a, seq, ESP_NEXT_IPV4, inner);

		input(w, &w->a, &p);
		expect_received(&w->a, inner);
		input(w, &w->a, &p);
		expect_nothing(&w->a);
	}
	assert_int_equal(dropped(&w->a, DROP_ICV), 0);
}

/* RFC 6311 5.2, as a peer asks for it: packets go on, further on. Where there are not so many
 * numbers left, none is used twice, and the CHILD_SA is at its end. */
static void numbers_are_passed_over(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span packet = udp_packet(memory, AF_INET, 1, 100, false);
	struct dataplane_event e;
	struct child_sa a, b;
	uint32_t first, second;

	install_pair(w, 1, &a, &b);
	contract->transmit(&w->a, packet, w->now);
	first = be32_get(w->a.sent[0].data + 4);
	a.skip_out = 100000;
	assert_int_equal(contract->ops->child_update(w->a.plane, &a), DATAPLANE_OK);
	a.skip_out = 0;
	assert_int_equal(contract->ops->child_update(w->a.plane, &a), DATAPLANE_OK);
	contract->transmit(&w->a, packet, w->now);
	second = be32_get(w->a.sent[1].data + 4);
	assert_true(second > first + 100000 && second < first + 1000000);
	carry(w, &w->a, &w->b);
	expect_received(&w->b, packet);
	expect_received(&w->b, packet);
	a.skip_out = UINT64_MAX;
	contract->ops->child_update(w->a.plane, &a);
	contract->transmit(&w->a, packet, w->now);
	look(w, &w->a);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_HARD_EXPIRE, &e), 1);
	assert_int_equal(e.child, a.id);
	assert_int_equal(w->a.n_sent, 0);
}

static void corrupted_and_truncated(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span inner = udp_packet(memory, AF_INET, 1, 60, true);
	struct dataplane_child_stats stats;
	struct packet good, bad;
	struct child_sa a, b;
	uint64_t drops = 0;

	install_pair(w, 1, &a, &b);
	good = forge(&a, 1, ESP_NEXT_IPV4, inner);
	for (size_t len = 0; len < good.len; len++) {
		bad = good;
		bad.len = len;
		input(w, &w->a, &bad);
	}
	for (size_t at = 0; at < good.len; at++) {
		bad = good;
		bad.data[at] ^= 0x40;
		input(w, &w->a, &bad);
	}
	expect_nothing(&w->a);
	for (unsigned c = 0; c < DROP_COUNTERS; c++)
		drops += dropped(&w->a, (enum dataplane_counter)c);
	assert_int_equal(dropped(&w->a, DROP_UNKNOWN_SPI), 4);
	contract->ops->child_stats(w->a.plane, a.id, &stats);
	assert_int_equal(stats.packets_in, 0);
	if (contract->coarse_drops_in) {
		/* What is shorter than an IP header is dropped without being counted. */
		assert_in_range(drops, 2 * good.len - 20, 2 * good.len);
		assert_in_range(stats.drop_icv, good.len, dropped(&w->a, DROP_ICV));
	} else {
		assert_int_equal(drops, 2 * good.len);
		assert_int_equal(stats.drop_icv, dropped(&w->a, DROP_ICV));
	}
	input(w, &w->a, &good);
	expect_received(&w->a, inner);
}

static void unknown_spi(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct packet p;
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	p = forge(&a, 1, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, true));
	contract->ops->child_remove(w->a.plane, a.id);
	input(w, &w->a, &p);
	expect_nothing(&w->a);
	assert_int_equal(dropped(&w->a, DROP_UNKNOWN_SPI), 1);
}

static void selectors_outbound(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct child_sa a, b;

	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	expect_unsent(&w->a, 1, 0);
	install_pair(w, 1, &a, &b);
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, true), w->now);
	expect_unsent(&w->a, 1, 1);
	assert_int_equal(w->a.n_sent, 0);
}

/* RFC 4301 5.2: authentic packets outside the SA's selectors are dropped. */
static void selectors_inbound(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct packet p;
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	p = forge(&a, 1, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, false));
	input(w, &w->a, &p);
	memory[17] = 99;
	p = forge(&a, 2, ESP_NEXT_IPV4, span_of(memory, 100));
	input(w, &w->a, &p);
	if (contract->stack_selects) /* test_kernel_plane looks behind the device */
		return;
	expect_nothing(&w->a);
	assert_int_equal(dropped(&w->a, DROP_SELECTOR_IN), 2);
}

static void selectors_with_ports(void **state)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct child_sa a, b;

	child_pair(1, &gcm, &a, &b);
	a.remote_ts.n = 1;
	assert_true(ts_parse("10.2.0.0/16[udp/7]", &a.remote_ts.ts[0]));
	install(&w->a, &a);
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	assert_int_equal(w->a.n_sent, 1);
	memory[23] = 8; /* another port */
	contract->transmit(&w->a, span_of(memory, 100), w->now);
	memory[23] = 7;
	memory[9] = 6; /* another protocol */
	contract->transmit(&w->a, span_of(memory, 100), w->now);
	assert_int_equal(w->a.n_sent, 1);
	expect_unsent(&w->a, 0, 2);
}

static void expect_malformed(struct side *s, uint64_t n)
{
	uint64_t more =
		contract->coarse_drops_in ? dropped(s, DROP_ICV) + dropped(s, DROP_SELECTOR_IN) : 0;

	assert_int_equal(dropped(s, DROP_MALFORMED) + more, n);
}

static void what_is_inside_is_checked(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span inner = udp_packet(memory, AF_INET, 1, 100, true);
	unsigned malformed = 2;
	struct child_sa a, b;
	struct packet p;

	install_pair(w, 1, &a, &b);
	if (!contract->stack_selects) {
		p = forge(&a, 1, ESP_NEXT_IPV6, inner); /* the header says otherwise */
		input(w, &w->a, &p);
		malformed++;
	}
	p = forge(&a, 2, 17, inner); /* transport mode is not ours */
	input(w, &w->a, &p);
	if (!contract->stack_checks) {
		p = forge(&a, 3, ESP_NEXT_IPV4, span_of(memory, 99)); /* shorter than it says */
		input(w, &w->a, &p);
		malformed++;
	}
	p = forge(&a, 4, ESP_NEXT_IPV4, span_of(memory, 0));
	input(w, &w->a, &p);
	expect_nothing(&w->a);
	expect_malformed(&w->a, malformed);
	/* RFC 4303 2.7: bytes behind the packet are traffic flow confidentiality. */
	memory[100] = 1;
	p = forge(&a, 5, ESP_NEXT_IPV4, span_of(memory, 180));
	input(w, &w->a, &p);
	expect_received(&w->a, span_of(memory, contract->stack_checks ? 180 : 100));
	/* RFC 4303 2.6: a dummy packet is dropped, and is no error. */
	p = forge(&a, 6, ESP_NEXT_DUMMY, span_of(memory, 40));
	input(w, &w->a, &p);
	expect_nothing(&w->a);
	malformed += contract->coarse_drops_in; /* no kernel knows it, either */
	expect_malformed(&w->a, malformed);
}

static void the_newest_that_sends_is_taken(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span packet = udp_packet(memory, AF_INET, 1, 100, false);
	struct child_sa old, new, b;

	install_pair(w, 1, &old, &b);
	install_pair(w, 2, &new, &b);
	contract->transmit(&w->a, packet, w->now);
	assert_int_equal(w->a.sent[0].data[3], 2);
	new.outbound = false;
	contract->ops->child_update(w->a.plane, &new);
	contract->transmit(&w->a, packet, w->now);
	assert_int_equal(w->a.sent[1].data[3], 1);
	new.outbound = true;
	contract->ops->child_update(w->a.plane, &new);
	contract->transmit(&w->a, packet, w->now);
	assert_int_equal(w->a.sent[2].data[3], 2);
	contract->ops->child_remove(w->a.plane, new.id);
	contract->transmit(&w->a, packet, w->now);
	assert_int_equal(w->a.sent[3].data[3], 1);
	/* Both old and new have received all along: nothing is lost in a rekey. */
	contract->ops->child_remove(w->a.plane, old.id);
	contract->transmit(&w->a, packet, w->now);
	assert_int_equal(dropped(&w->a, DROP_NO_SA), 1);
	carry(w, &w->a, &w->b);
	for (unsigned i = 0; i < 4; i++)
		expect_received(&w->b, packet);
}

/* RFC 4303 2.7: what is shorter looks as long as what is not. */
static void padding_hides_lengths(void **state)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};
	struct world *w = *state;
	uint8_t memory[PACKET_MAX] = {0};
	struct child_sa a, b;

	child_pair(1, &gcm, &a, &b);
	a.flags.tfc_pad = 500;
	install(&w->a, &a);
	install(&w->b, &b);
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 500, false), w->now);
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	assert_int_equal(w->a.n_sent, 2);
	assert_int_equal(w->a.sent[0].len, w->a.sent[1].len);
	w->a.sent[0] = w->a.sent[1];
	w->a.n_sent = 1;
	carry(w, &w->a, &w->b);
	memset(memory + 100, 0, 400);
	expect_received(&w->b, span_of(memory, contract->stack_checks ? 500 : 100));
}

static void passes_while_dormant(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	contract->ops->tunnel_set_link(w->a.plane, TUNNEL, true);
	contract->ops->tunnel_set_link(w->a.plane, TUNNEL, false);
	assert_false(contract->oper_up(&w->a));
	pass(w, &w->a, &w->b, udp_packet(memory, AF_INET, 1, 100, false));
	pass(w, &w->b, &w->a, udp_packet(memory, AF_INET6, 1, 100, true));
}

static void statistics(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct dataplane_child_stats s;
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	contract->ops->child_stats(w->a.plane, a.id, &s);
	assert_true(s.last_in == 0 && s.last_out == 0);
	for (unsigned n = 0; n < 5; n++)
		pass(w, &w->a, &w->b, udp_packet(memory, AF_INET, n, 100, false));
	pass(w, &w->b, &w->a, udp_packet(memory, AF_INET6, 9, 200, true));
	contract->ops->child_stats(w->a.plane, a.id, &s);
	assert_int_equal(s.packets_out, 5);
	assert_int_equal(s.bytes_out, 500);
	assert_int_equal(s.packets_in, 1);
	assert_int_equal(s.bytes_in, 200);
	assert_true(s.last_in >= w->now && s.last_out >= w->now);
	contract->ops->child_stats(w->b.plane, b.id, &s);
	assert_int_equal(s.packets_in, 5);
	assert_int_equal(s.bytes_in, 500);
	for (unsigned c = 0; c < DROP_COUNTERS; c++)
		assert_int_equal(dropped(&w->a, (enum dataplane_counter)c), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int contract_packet_cases(const char *plane)
{
	const struct CMUnitTest packet_cases[] = {
		CASE(every_suite_both_families_both_ways),
		CASE(numbers_and_ivs_are_used_once),
		CASE(goes_to_the_childs_endpoints),
		CASE(moves_with_its_peer),
		CASE(replays_are_dropped),
		CASE(reordering_within_the_window),
		CASE(forgeries_do_not_move_the_window),
		CASE(esn_crosses_the_border),
		CASE(numbers_are_passed_over),
		CASE(corrupted_and_truncated),
		CASE(unknown_spi),
		CASE(selectors_outbound),
		CASE(selectors_inbound),
		CASE(selectors_with_ports),
		CASE(what_is_inside_is_checked),
		CASE(the_newest_that_sends_is_taken),
		CASE(padding_hides_lengths),
		CASE(passes_while_dormant),
		CASE(statistics),
	};

	printf("contract: %s, packets\n", plane);
	return cmocka_run_group_tests(packet_cases, NULL, NULL);
}
