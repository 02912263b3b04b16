/* Contract: what a plane reports, how often, and that the listener may act at once. */
#include "tests/contract/contract.h"

#include "ipsecd/dataplane/esp.h"

#include <stdio.h>

static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};

/* The peer of `child` sends a packet with this number. */
static void peer_sends(struct world *w, const struct child_sa *child, uint64_t seq)
{
	uint8_t memory[PACKET_MAX];
	struct packet p =
		forge(child, seq, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, true));

	input(w, &w->a, &p);
}

static void alive_once_a_second(void **state)
{
	struct world *w = *state;
	struct dataplane_event e;
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	contract->ops->tick(w->a.plane, w->now);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_ALIVE, NULL), 0);
	for (unsigned n = 1; n < 10; n++)
		peer_sends(w, &a, n);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_ALIVE, NULL), 0);
	contract->ops->tick(w->a.plane, w->now);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_ALIVE, &e), 1);
	assert_int_equal(e.child, a.id);
	assert_int_equal(e.tunnel, TUNNEL);
	peer_sends(w, &a, 20);
	contract->ops->tick(w->a.plane, w->now + MONO_S / 2);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_ALIVE, NULL), 1);
	contract->ops->tick(w->a.plane, w->now + MONO_S);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_ALIVE, NULL), 2);
	contract->ops->tick(w->a.plane, w->now + 3 * MONO_S);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_ALIVE, NULL), 2);
}

static void only_authentic_packets_are_alive(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct child_sa a, b;
	struct packet p;

	install_pair(w, 1, &a, &b);
	p = forge(&a, 1, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, true));
	p.data[20] ^= 1;
	p.from.port = 1;
	input(w, &w->a, &p);
	contract->ops->tick(w->a.plane, w->now);
	assert_int_equal(w->a.n_events, 0);
}

static void first_packet_on_a_new_sa(void **state)
{
	struct world *w = *state;
	struct dataplane_event e;
	struct child_sa a, b;

	child_pair(1, &gcm, &a, &b);
	a.outbound = false;
	install(&w->a, &a);
	peer_sends(w, &a, 1);
	peer_sends(w, &a, 2);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_USED_NEW, &e), 1);
	assert_int_equal(e.child, a.id);
	child_pair(2, &gcm, &a, &b);
	install(&w->a, &a);
	peer_sends(w, &a, 1);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_USED_NEW, NULL), 1);
}

static void moved_peer(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span inner = udp_packet(memory, AF_INET, 1, 100, true);
	struct dataplane_event e;
	struct child_sa a, b;
	struct packet p;

	install_pair(w, 1, &a, &b);
	peer_sends(w, &a, 10);
	p = forge(&a, 9, ESP_NEXT_IPV4, inner); /* older: may be a packet on a detour */
	p.from.port = 33333;
	input(w, &w->a, &p);
	if (!contract->moves_by_older)
		assert_int_equal(events(&w->a, DATAPLANE_CHILD_PEER_MOVED, NULL), 0);
	for (unsigned n = 11; n < 14; n++) {
		p = forge(&a, n, ESP_NEXT_IPV4, inner);
		p.from.port = 33333;
		input(w, &w->a, &p);
	}
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_PEER_MOVED, &e), 1);
	assert_int_equal(e.remote.port, 33333);
	assert_true(addr_equal(&e.remote.addr, &a.remote.addr));
	/* The plane itself moves nothing: that is for who hears it. */
	contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	assert_int_equal(w->a.sent[0].to.port, 4500);
	a.remote.port = 33333;
	contract->ops->child_update(w->a.plane, &a);
	udp_packet(memory, AF_INET, 1, 100, true);
	p = forge(&a, 20, ESP_NEXT_IPV4, inner);
	w->now += 5 * MONO_S;
	input(w, &w->a, &p);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_PEER_MOVED, NULL), 1);
}

static void acquire_is_limited(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct dataplane_event e;

	for (unsigned n = 0; n < 5; n++)
		contract->transmit(&w->a, udp_packet(memory, AF_INET, 1, 100, false), w->now);
	assert_int_equal(events(&w->a, DATAPLANE_ACQUIRE, &e), 1);
	assert_int_equal(e.tunnel, TUNNEL);
	expect_unsent(&w->a, 5, 0);
}

/* `n` packets came behind the limit; where the SA is gone with the first of them, the others
 * find none. */
static void expect_expired(struct side *s, enum dataplane_counter none, uint64_t n)
{
	uint64_t expired = dropped(s, DROP_EXPIRED);

	assert_int_equal(expired + (contract->expired_is_gone ? dropped(s, none) : 0), n);
	assert_true(expired >= 1);
}

static void packet_limits(void **state)
{
	struct world *w = *state;
	uint8_t memory[PACKET_MAX];
	struct span packet = udp_packet(memory, AF_INET, 1, 100, false);
	struct dataplane_event e;
	struct child_sa a, b;

	child_pair(1, &gcm, &a, &b);
	a.rekey_packets = 3;
	a.life_packets = 5;
	install(&w->a, &a);
	for (unsigned n = 1; n <= 7; n++) {
		contract->transmit(&w->a, packet, w->now);
		look(w, &w->a);
		assert_int_equal(events(&w->a, DATAPLANE_CHILD_SOFT_EXPIRE, &e), n >= 3);
		assert_int_equal(events(&w->a, DATAPLANE_CHILD_HARD_EXPIRE, &e), n >= 5);
	}
	assert_int_equal(e.child, a.id);
	assert_int_equal(w->a.n_sent, 5);
	expect_expired(&w->a, DROP_NO_SA, 2);
}

static void byte_limits_inbound(void **state)
{
	struct world *w = *state;
	struct child_sa a, b;

	child_pair(1, &gcm, &a, &b);
	a.rekey_bytes = 250;
	a.life_bytes = 400;
	install(&w->a, &a);
	for (unsigned n = 1; n <= 6; n++) {
		peer_sends(w, &a, n);
		look(w, &w->a);
		assert_int_equal(events(&w->a, DATAPLANE_CHILD_SOFT_EXPIRE, NULL), n >= 3);
		assert_int_equal(events(&w->a, DATAPLANE_CHILD_HARD_EXPIRE, NULL), n >= 4);
	}
	expect_expired(&w->a, DROP_UNKNOWN_SPI, 2);
}

static void the_listener_may_remove_the_child(void **state)
{
	struct world *w = *state;
	struct dataplane_child_stats stats;
	struct child_sa a, b;

	child_pair(1, &gcm, &a, &b);
	a.outbound = false;
	a.rekey_packets = a.life_packets = 1;
	install(&w->a, &a);
	w->a.remove_on_event = a.id; /* three events are due: the first one ends them */
	peer_sends(w, &a, 1);
	look(w, &w->a);
	assert_in_range(w->a.n_events, 1, contract->behind_a_link ? 3 : 1);
	assert_false(contract->ops->child_stats(w->a.plane, a.id, &stats));
}

static void the_operators_down_and_up(void **state)
{
	struct world *w = *state;
	struct dataplane_tunnel_info info;
	struct dataplane_event e;
	uint8_t memory[PACKET_MAX];
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	contract->ops->tunnel_set_link(w->a.plane, TUNNEL, true);
	contract->set_admin(&w->a, false);
	assert_int_equal(events(&w->a, DATAPLANE_DEVICE_CHANGED, &e), 1);
	assert_true(e.present && !e.admin_up && e.tunnel == TUNNEL);
	assert_true(contract->ops->tunnel_info(w->a.plane, TUNNEL, &info));
	assert_false(info.admin_up);
	peer_sends(w, &a, 1);
	expect_nothing(&w->a);
	if (!contract->stack_selects)
		assert_int_equal(
			dropped(&w->a, contract->device_is_lookup ? DROP_UNKNOWN_SPI : DROP_DEVICE),
			1);
	contract->set_admin(&w->a, true);
	assert_int_equal(events(&w->a, DATAPLANE_DEVICE_CHANGED, &e), 2);
	assert_true(e.present && e.admin_up);
	assert_true(contract->oper_up(&w->a));
	pass(w, &w->a, &w->b, udp_packet(memory, AF_INET, 1, 100, false));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int contract_event_cases(const char *plane)
{
	const struct CMUnitTest event_cases[] = {
		CASE(alive_once_a_second),	 CASE(only_authentic_packets_are_alive),
		CASE(first_packet_on_a_new_sa),	 CASE(moved_peer),
		CASE(acquire_is_limited),	 CASE(packet_limits),
		CASE(byte_limits_inbound),	 CASE(the_listener_may_remove_the_child),
		CASE(the_operators_down_and_up),
	};

	printf("contract: %s, events\n", plane);
	return cmocka_run_group_tests(event_cases, NULL, NULL);
}
