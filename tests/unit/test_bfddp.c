/* bfdd's data-plane protocol: bytes as bfdd 8.4.4 sends them, every truncation, refusals. */
#include "routed-bridge/bfddp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct bfddp_message add(void)
{
	struct bfddp_message m = {
		.type = BFDDP_ADD_SESSION,
		.session =
			{
				.flags = BFDDP_CBIT,
				.discriminator = 0x3597f572,
				.min_tx = 10000,
				.min_rx = 20000,
				.min_echo_tx = 50000,
				.min_echo_rx = 50001,
				.min_ttl = 255,
				.multiplier = 3,
				.ifindex = 2,
				.ifname = "tun-ab",
			},
	};

	assert_true(addr_parse("10.77.0.0", &m.session.local));
	assert_true(addr_parse("10.77.0.1", &m.session.peer));
	return m;
}

static size_t encode(uint8_t *memory, size_t size, const struct bfddp_message *m)
{
	struct buf b = buf_over(memory, size);

	bfddp_encode(&b, m);
	assert_false(b.overflow);
	return b.len;
}

/* The layout is that of C structures: offsets from bfdd's. */
static void encodes_a_session(void **state)
{
	struct bfddp_message m = add();
	uint8_t b[256];

	(void)state;
	assert_int_equal(encode(b, sizeof(b), &m), BFDDP_SESSION_SIZE);
	assert_memory_equal(b, "\x01\x00\x00\x02\x00\x00\x00\x8c", 8);
	assert_memory_equal(b + 8, "\x00\x00\x00\x04", 4);		    /* flags */
	assert_memory_equal(b + 12, "\x0a\x4d\x00\x00\x00", 5);		    /* local */
	assert_memory_equal(b + 28, "\x0a\x4d\x00\x01\x00", 5);		    /* peer */
	assert_memory_equal(b + 44, "\x35\x97\xf5\x72\x00\x00\x27\x10", 8); /* id, tx */
	assert_memory_equal(b + 68, "\xff\x03\x00\x00\x00\x00\x00\x02tun-ab", 15);
}

static void encodes_a_state(void **state)
{
	struct bfddp_message m = {
		.type = BFDDP_STATE_CHANGE,
		.state = {.discriminator = 1,
			  .remote_discriminator = 2,
			  .remote_flags = BFDDP_REMOTE_CPI,
			  .remote_min_tx = 3,
			  .remote_min_rx = 4,
			  .remote_min_echo_rx = 5,
			  .state = 3,
			  .diag = 7,
			  .remote_multiplier = 9},
	};
	uint8_t b[64];

	(void)state;
	assert_int_equal(encode(b, sizeof(b), &m), 36);
	assert_memory_equal(b,
			    "\x01\x00\x00\x04\x00\x00\x00\x24"
			    "\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x03"
			    "\x00\x00\x00\x04\x00\x00\x00\x05\x03\x07\x09\x00",
			    36);
}

static void encodes_counters(void **state)
{
	struct bfddp_message m = {
		.type = BFDDP_COUNTERS,
		.id = 0x1234,
		.counters = {.discriminator = 1, .in_bytes = 2, .echo_out_packets = 9},
	};
	uint8_t b[128];

	(void)state;
	assert_int_equal(encode(b, sizeof(b), &m), 80);
	assert_memory_equal(b, "\x01\x00\x00\x06\x12\x34\x00\x50\x00\x00\x00\x01\x00\x00\x00\x00",
			    16);
	assert_int_equal(b[23], 2);
	assert_int_equal(b[79], 9);
}

static void reads_back(void **state)
{
	struct bfddp_message m = add(), back;
	uint8_t b[256];
	size_t n;

	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		if (ipv6) {
			m.session.flags = BFDDP_IPV6 | BFDDP_MULTIHOP | BFDDP_SHUTDOWN;
			assert_true(addr_parse("fe80::1", &m.session.local));
			assert_true(addr_parse("fe80::2", &m.session.peer));
		}
		n = encode(b, sizeof(b), &m);
		assert_int_equal(bfddp_parse(span_of(b, n), &back, NULL), BFDDP_OK);
		assert_int_equal(back.size, n);
		assert_int_equal(back.type, BFDDP_ADD_SESSION);
		assert_int_equal(back.session.flags, m.session.flags);
		assert_true(addr_equal(&back.session.local, &m.session.local));
		assert_true(addr_equal(&back.session.peer, &m.session.peer));
		assert_int_equal(back.session.discriminator, m.session.discriminator);
		assert_int_equal(back.session.min_tx, m.session.min_tx);
		assert_int_equal(back.session.min_rx, m.session.min_rx);
		assert_int_equal(back.session.min_echo_rx, m.session.min_echo_rx);
		assert_int_equal(back.session.multiplier, m.session.multiplier);
		assert_int_equal(back.session.ifindex, m.session.ifindex);
		assert_string_equal(back.session.ifname, m.session.ifname);
	}
}

static void waits_for_the_rest(void **state)
{
	struct bfddp_message m = add(), back;
	uint8_t b[256];
	size_t n = encode(b, sizeof(b), &m);

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bfddp_parse(span_of(b, i), &back, NULL), BFDDP_MORE);
}

struct change {
	size_t at;
	uint8_t value[4];
	size_t n;
	enum bfddp_error error;
	size_t offset;
};

static void refuses_with_place(void **state)
{
	static const struct change changes[] = {
		{0, {2}, 1, BFDDP_BAD_VERSION, 0},
		{6, {0, 7}, 2, BFDDP_BAD_LENGTH, 6},
		{6, {0x10, 0}, 2, BFDDP_BAD_LENGTH, 6},
		{6, {0, 0x8b}, 2, BFDDP_TRUNCATED, 0x8b},
		{28, {0, 0, 0, 0}, 4, BFDDP_BAD_PEER, 28},
		{44, {0, 0, 0, 0}, 4, BFDDP_BAD_DISCRIMINATOR, 44},
		{69, {0}, 1, BFDDP_BAD_MULTIPLIER, 69},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct bfddp_message m = add(), back = {0};
		size_t at = 999, n;
		uint8_t b[256];

		n = encode(b, sizeof(b), &m);
		memcpy(b + changes[i].at, changes[i].value, changes[i].n);
		assert_int_equal(bfddp_parse(span_of(b, n), &back, &at), changes[i].error);
		assert_int_equal(at, changes[i].offset);
		/* A stream goes on behind a message that is complete. */
		assert_true(changes[i].error < BFDDP_TRUNCATED || back.size >= 0x8b);
	}
}

static void refuses_long_names(void **state)
{
	struct bfddp_message m = add(), back;
	uint8_t b[256];
	size_t n = encode(b, sizeof(b), &m), at;

	(void)state;
	memset(b + 76, 'x', IF_NAMESIZE);
	assert_int_equal(bfddp_parse(span_of(b, n), &back, &at), BFDDP_BAD_NAME);
	assert_int_equal(at, 76);
	b[76 + IF_NAMESIZE - 1] = '\0';
	assert_int_equal(bfddp_parse(span_of(b, n), &back, &at), BFDDP_OK);
}

static void skips_what_it_does_not_know(void **state)
{
	static const uint8_t b[] = {1, 0, 0, 99, 0, 0, 0, 10, 1, 2};
	struct bfddp_message m;

	(void)state;
	assert_int_equal(bfddp_parse(span_of(b, sizeof(b)), &m, NULL), BFDDP_OK);
	assert_int_equal(m.type, BFDDP_TYPES);
	assert_int_equal(m.number, 99);
	assert_int_equal(m.size, 10);
}

static void takes_a_bad_state_for_that(void **state)
{
	struct bfddp_message m = {.type = BFDDP_STATE_CHANGE, .state.state = 4}, back;
	uint8_t b[64];
	size_t n = encode(b, sizeof(b), &m);

	(void)state;
	assert_int_equal(bfddp_parse(span_of(b, n), &back, NULL), BFDDP_BAD_STATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_a_session),
		cmocka_unit_test(encodes_a_state),
		cmocka_unit_test(encodes_counters),
		cmocka_unit_test(reads_back),
		cmocka_unit_test(waits_for_the_rest),
		cmocka_unit_test(refuses_with_place),
		cmocka_unit_test(refuses_long_names),
		cmocka_unit_test(skips_what_it_does_not_know),
		cmocka_unit_test(takes_a_bad_state_for_that),
	};

	return cmocka_run_group_tests_name("bfddp", tests, NULL, NULL);
}
