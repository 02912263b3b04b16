/* BFD control packets: golden bytes, every truncation, and each refusal of RFC 5880 6.8.6. */
#include "routed-bridge/bfd_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Up, mult 3, 10 ms both ways, discriminators 0x01020304 and 0x0a0b0c0d. */
static const uint8_t golden[BFD_PACKET_SIZE] = {
	0x20, 0xc0, 0x03, 0x18, 0x01, 0x02, 0x03, 0x04, 0x0a, 0x0b, 0x0c, 0x0d,
	0x00, 0x00, 0x27, 0x10, 0x00, 0x00, 0x27, 0x10, 0x00, 0x00, 0x00, 0x00,
};

static struct bfd_packet sample(void)
{
	return (struct bfd_packet){
		.state = BFD_UP,
		.multiplier = 3,
		.mine = 0x01020304,
		.yours = 0x0a0b0c0d,
		.min_tx = 10000,
		.min_rx = 10000,
	};
}

static void encodes(void **state)
{
	struct bfd_packet p = sample();
	uint8_t memory[BFD_PACKET_SIZE];
	struct buf b = buf_over(memory, sizeof(memory));

	(void)state;
	bfd_packet_encode(&b, &p);
	assert_false(b.overflow);
	assert_memory_equal(memory, golden, sizeof(golden));
}

static void parses_every_field(void **state)
{
	struct bfd_packet p = sample(), back;
	uint8_t memory[BFD_PACKET_SIZE];
	struct buf b;

	(void)state;
	for (unsigned bits = 0; bits < 16; bits++) {
		p.state = BFD_UP;
		p.diag = BFD_DIAG_ADMIN_DOWN;
		p.poll = bits & 1;
		p.final = bits & 2;
		p.independent = bits & 4;
		p.demand = bits & 8;
		p.min_echo_rx = 50000;
		b = buf_over(memory, sizeof(memory));
		bfd_packet_encode(&b, &p);
		assert_int_equal(bfd_packet_parse(buf_span(&b), &back, NULL), BFD_TAKEN);
		assert_int_equal(back.state, p.state);
		assert_int_equal(back.diag, p.diag);
		assert_int_equal(back.multiplier, p.multiplier);
		assert_int_equal(back.poll, p.poll);
		assert_int_equal(back.final, p.final);
		assert_int_equal(back.independent, p.independent);
		assert_int_equal(back.demand, p.demand);
		assert_int_equal(back.mine, p.mine);
		assert_int_equal(back.yours, p.yours);
		assert_int_equal(back.min_tx, p.min_tx);
		assert_int_equal(back.min_rx, p.min_rx);
		assert_int_equal(back.min_echo_rx, p.min_echo_rx);
	}
}

static void refuses_truncations(void **state)
{
	struct bfd_packet p;
	size_t at;

	(void)state;
	for (size_t n = 0; n < sizeof(golden); n++) {
		assert_int_equal(bfd_packet_parse(span_of(golden, n), &p, &at), BFD_DROP_SHORT);
		assert_int_equal(at, n);
	}
}

struct change {
	size_t at;
	uint8_t value;
	enum bfd_drop drop;
	size_t offset;
};

static void refuses_with_reason(void **state)
{
	static const struct change changes[] = {
		{0, 0x00, BFD_DROP_VERSION, 0}, {0, 0x40, BFD_DROP_VERSION, 0},
		{3, 23, BFD_DROP_LENGTH, 3},	{3, 25, BFD_DROP_LENGTH, 3},
		{2, 0, BFD_DROP_MULTIPLIER, 2}, {1, 0xc1, BFD_DROP_MULTIPOINT, 1},
	};
	struct bfd_packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		uint8_t b[sizeof(golden)];
		size_t at = 99;

		memcpy(b, golden, sizeof(b));
		b[changes[i].at] = changes[i].value;
		assert_int_equal(bfd_packet_parse(span_of(b, sizeof(b)), &p, &at), changes[i].drop);
		assert_int_equal(at, changes[i].offset);
	}
}

static void refuses_zero_discriminators(void **state)
{
	uint8_t b[sizeof(golden)];
	struct bfd_packet p;

	(void)state;
	memcpy(b, golden, sizeof(b));
	memset(b + 4, 0, 4);
	assert_int_equal(bfd_packet_parse(span_of(b, sizeof(b)), &p, NULL),
			 BFD_DROP_MY_DISCRIMINATOR);
	memcpy(b, golden, sizeof(b));
	memset(b + 8, 0, 4);
	for (unsigned s = BFD_ADMIN_DOWN; s <= BFD_UP; s++) {
		b[1] = (uint8_t)(s << 6);
		assert_int_equal(bfd_packet_parse(span_of(b, sizeof(b)), &p, NULL),
				 s == BFD_INIT || s == BFD_UP ? BFD_DROP_YOUR_DISCRIMINATOR
							      : BFD_TAKEN);
	}
}

/* RFC 5880 6.8.6: the A bit without authentication in use; with it the packet is longer. */
static void refuses_authentication(void **state)
{
	uint8_t b[BFD_PACKET_SIZE + 8] = {0};
	struct bfd_packet p;

	(void)state;
	memcpy(b, golden, sizeof(golden));
	b[1] |= 0x04;
	assert_int_equal(bfd_packet_parse(span_of(b, sizeof(b)), &p, NULL), BFD_DROP_LENGTH);
	b[3] = sizeof(b);
	assert_int_equal(bfd_packet_parse(span_of(b, sizeof(b)), &p, NULL), BFD_DROP_AUTHENTICATED);
}

static void takes_padding(void **state)
{
	uint8_t b[BFD_PACKET_SIZE + 5] = {0};
	struct bfd_packet p;

	(void)state;
	memcpy(b, golden, sizeof(golden));
	assert_int_equal(bfd_packet_parse(span_of(b, sizeof(b)), &p, NULL), BFD_TAKEN);
}

static void everything_has_a_name(void **state)
{
	(void)state;
	for (unsigned d = 0; d < BFD_DROPS; d++) {
		assert_non_null(bfd_drop_text((enum bfd_drop)d));
		assert_non_null(bfd_drop_word((enum bfd_drop)d));
	}
	assert_string_equal(bfd_state_name(BFD_UP), "Up");
	assert_string_equal(bfd_diag_name(BFD_DIAG_EXPIRED), "control detection time expired");
	assert_string_equal(bfd_diag_name(31), "reserved");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes),
		cmocka_unit_test(parses_every_field),
		cmocka_unit_test(refuses_truncations),
		cmocka_unit_test(refuses_with_reason),
		cmocka_unit_test(refuses_zero_discriminators),
		cmocka_unit_test(refuses_authentication),
		cmocka_unit_test(takes_padding),
		cmocka_unit_test(everything_has_a_name),
	};

	return cmocka_run_group_tests_name("bfd-packet", tests, NULL, NULL);
}
