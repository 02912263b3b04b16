/* Packets that wait for their SA: whose are kept, how many, how long, and in which order they come
 * out again. */
#include "ipsecd/dataplane/held.h"

#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW (1000 * MONO_S)

static const struct endpoint local = {.addr = {.family = AF_INET}, .port = 4500};

static struct endpoint peer(unsigned n)
{
	struct endpoint e = {.addr = {.family = AF_INET, .bytes = {10, 0}}, .port = 4500};

	e.addr.bytes[2] = (uint8_t)(n >> 8);
	e.addr.bytes[3] = (uint8_t)n;
	return e;
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct held));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct held *h = *state;

	held_free(h);
	assert_int_equal(h->n, 0);
	assert_int_equal(h->bytes, 0);
	for (unsigned i = 0; i < HELD_PEERS; i++) {
		assert_int_equal(h->peers[i].packets, 0);
		assert_int_equal(h->peers[i].bytes, 0);
	}
	free(h);
	return 0;
}

static bool add_len(struct held *h, unsigned from, uint32_t spi, uint32_t seq, size_t len,
		    mono_time now)
{
	static uint8_t packet[65536];
	const struct endpoint remote = peer(from);

	be32_set(packet, spi);
	be32_set(packet + 4, seq);
	return held_add(h, &local, &remote, 0, packet, len, now);
}

static bool add(struct held *h, unsigned from, uint32_t spi, uint32_t seq, mono_time now)
{
	return add_len(h, from, spi, seq, 100, now);
}

static void ike(struct held *h, unsigned from, mono_time now)
{
	const struct endpoint remote = peer(from);

	held_ike(h, &remote, now);
}

/* The sequence number of what comes out; 0: nothing did. */
static uint32_t number(struct held_packet *k)
{
	uint32_t seq = k ? be32_get(k->bytes + 4) : 0;

	free(k);
	return seq;
}

static void only_behind_ike(void **state)
{
	struct held *h = *state;
	struct endpoint other_port = peer(1);
	uint8_t packet[100] = {0};

	assert_false(add(h, 1, 7, 1, NOW));
	ike(h, 1, NOW);
	assert_true(add(h, 1, 7, 1, NOW));
	assert_false(add(h, 2, 7, 1, NOW));
	other_port.port++;
	assert_false(held_add(h, &local, &other_port, 0, packet, sizeof(packet), NOW));
	assert_true(add(h, 1, 7, 2, NOW + HELD_AFTER_IKE - 1));
	assert_false(add(h, 1, 7, 3, NOW + HELD_AFTER_IKE));
	ike(h, 1, NOW + HELD_AFTER_IKE);
	assert_true(add(h, 1, 7, 3, NOW + HELD_AFTER_IKE));
}

static void in_order_by_spi(void **state)
{
	struct held *h = *state;
	struct held_packet *k;

	ike(h, 1, NOW);
	for (uint32_t seq = 1; seq <= 3; seq++) {
		assert_true(add(h, 1, 7, seq, NOW));
		assert_true(add(h, 1, 8, seq, NOW));
	}
	assert_null(held_take(h, 9, NOW));
	for (uint32_t seq = 1; seq <= 3; seq++)
		assert_int_equal(number(held_take(h, 8, NOW)), seq);
	assert_null(held_take(h, 8, NOW));
	k = held_take(h, 7, NOW + HELD_TIME - 1);
	assert_non_null(k);
	assert_int_equal(k->len, 100);
	assert_true(endpoint_equal(&k->local, &local));
	assert_int_equal(k->remote.addr.bytes[3], 1);
	assert_int_equal(number(k), 1);
	assert_int_equal(h->n, 2);
}

static void their_time_is_up(void **state)
{
	struct held *h = *state;

	assert_true(held_due(h) == MONO_NEVER);
	assert_null(held_expired(h, NOW));
	ike(h, 1, NOW);
	assert_true(add(h, 1, 7, 1, NOW));
	assert_true(add(h, 1, 8, 2, NOW + MONO_MS));
	assert_true(held_due(h) == NOW + HELD_TIME);
	assert_null(held_expired(h, NOW + HELD_TIME - 1));
	assert_null(held_take(h, 7, NOW + HELD_TIME)); /* too late, though nobody looked yet */
	assert_int_equal(number(held_expired(h, NOW + HELD_TIME)), 1);
	assert_null(held_expired(h, NOW + HELD_TIME));
	assert_true(held_due(h) == NOW + HELD_TIME + MONO_MS);
	assert_int_equal(number(held_expired(h, NOW + MONO_S)), 2);
	assert_true(held_due(h) == MONO_NEVER);
}

/* Whoever sends most: the others have their part, and all of it has an end. */
static void bounds(void **state)
{
	struct held *h = *state;
	unsigned held = 0;

	ike(h, 1, NOW);
	for (unsigned i = 0; i < HELD_PEER_PACKETS; i++)
		assert_true(add(h, 1, 7, i, NOW));
	assert_false(add(h, 1, 7, 1, NOW));
	for (unsigned n = 2; n < 100; n++) {
		ike(h, n, NOW);
		for (unsigned i = 0; i < HELD_PEER_PACKETS; i++)
			held += add(h, n, 7, i, NOW);
	}
	assert_int_equal(held, HELD_PACKETS - HELD_PEER_PACKETS);
	assert_int_equal(h->n, HELD_PACKETS);
	assert_int_equal(number(held_expired(h, NOW + HELD_TIME)), 0);
	assert_true(add(h, 1, 7, 1, NOW));
	assert_false(add(h, 1, 7, 1, NOW));
}

static void bounds_in_bytes(void **state)
{
	struct held *h = *state;

	for (unsigned n = 1; n <= HELD_BYTES / HELD_PEER_BYTES; n++) {
		ike(h, n, NOW);
		for (size_t sum = 0; sum < HELD_PEER_BYTES; sum += HELD_PEER_BYTES / 4)
			assert_true(add_len(h, n, 7, 1, HELD_PEER_BYTES / 4, NOW));
		assert_false(add_len(h, n, 7, 1, 8, NOW));
	}
	assert_int_equal(h->bytes, HELD_BYTES);
	ike(h, 99, NOW);
	assert_false(add_len(h, 99, 7, 1, 8, NOW));
}

/* More senders than there are places: one whose packets are kept is not pushed out. */
static void many_senders(void **state)
{
	struct held *h = *state;
	unsigned held = 0;

	ike(h, 1, NOW);
	assert_true(add(h, 1, 7, 5, NOW));
	for (unsigned n = 2; n < 10000; n++) {
		ike(h, n, NOW);
		held += add(h, n, 8, n, NOW);
	}
	assert_in_range(held, HELD_PEERS / 2, HELD_PEERS);
	assert_int_equal(number(held_take(h, 7, NOW)), 5);
	assert_true(add(h, 1, 7, 6, NOW));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(only_behind_ike), CASE(in_order_by_spi), CASE(their_time_is_up),
		CASE(bounds),	       CASE(bounds_in_bytes), CASE(many_senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
