/* DSCP, ECN and DF between the outer and the inner header. */
#include "ipsecd/dataplane/outer.h"
#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NOT_ECT, ECT1, ECT0, CE, DROPPED };

static uint16_t checksum(const uint8_t *p)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += be16_get(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void ipv4_make(uint8_t *p, uint8_t tos, bool df)
{
	const uint8_t head[20] = {0x45, tos, 0,	 20, 0x12, 0x34, df ? 0x40 : 0,
				  0,	64,  17, 0,  0,	   10,	 1,
				  0,	1,   10, 2,  0,	   2};

	memcpy(p, head, sizeof(head));
	be16_set(p + 10, checksum(p));
}

static void ipv6_make(uint8_t *p, uint8_t tos)
{
	memset(p, 0, 40);
	p[0] = (uint8_t)(0x60 | tos >> 4);
	p[1] = (uint8_t)(tos << 4 | 0x0a); /* and a flow label */
	p[2] = 0xbc;
}

/* RFC 6040 4.1. */
static void outwards(void **state)
{
	struct child_flags flags = {0};
	uint8_t p[40];

	(void)state;
	for (unsigned tos = 0; tos < 256; tos++) {
		for (unsigned v6 = 0; v6 < 2; v6++) {
			if (v6)
				ipv6_make(p, (uint8_t)tos);
			else
				ipv4_make(p, (uint8_t)tos, false);
			flags = (struct child_flags){0};
			assert_int_equal(outer_of(&flags, p).tos, tos);
			flags.no_ecn = true; /* compatibility mode */
			assert_int_equal(outer_of(&flags, p).tos, tos & 0xfc);
			flags.dscp = CHILD_DSCP_IN;
			assert_int_equal(outer_of(&flags, p).tos, 0);
			flags.no_ecn = false;
			flags.dscp = CHILD_DSCP_NO;
			assert_int_equal(outer_of(&flags, p).tos, tos & 3);
			flags.dscp = CHILD_DSCP_BOTH;
			assert_int_equal(outer_of(&flags, p).tos, tos);
		}
	}
}

static void dont_fragment(void **state)
{
	struct child_flags flags = {0};
	uint8_t p[40];

	(void)state;
	ipv4_make(p, 0, true);
	assert_true(outer_of(&flags, p).df);
	flags.df = CHILD_DF_CLEAR;
	assert_false(outer_of(&flags, p).df);
	ipv6_make(p, 0);
	assert_false(outer_of(&flags, p).df);
	flags.df = CHILD_DF_COPY;
	assert_true(outer_of(&flags, p).df);
	ipv4_make(p, 0, false);
	assert_false(outer_of(&flags, p).df);
}

/* RFC 6040 figure 4; inside, then outside. */
static const uint8_t arriving[4][4] = {
	[NOT_ECT] = {[NOT_ECT] = NOT_ECT, [ECT0] = NOT_ECT, [ECT1] = NOT_ECT, [CE] = DROPPED},
	[ECT0] = {[NOT_ECT] = ECT0, [ECT0] = ECT0, [ECT1] = ECT1, [CE] = CE},
	[ECT1] = {[NOT_ECT] = ECT1, [ECT0] = ECT1, [ECT1] = ECT1, [CE] = CE},
	[CE] = {[NOT_ECT] = CE, [ECT0] = CE, [ECT1] = CE, [CE] = CE},
};

static void expect_taken(const struct child_flags *flags, uint8_t in, uint8_t out, int wanted)
{
	uint8_t p[40], was[40];

	ipv4_make(p, in, true);
	memcpy(was, p, sizeof(was));
	assert_int_equal(outer_take(flags, out, p), wanted >= 0);
	if (wanted >= 0)
		ipv4_make(was, (uint8_t)wanted, true); /* its checksum, too */
	assert_memory_equal(p, was, 20);
	ipv6_make(p, in);
	assert_int_equal(outer_take(flags, out, p), wanted >= 0);
	ipv6_make(was, wanted >= 0 ? (uint8_t)wanted : in);
	assert_memory_equal(p, was, 40);
}

static void inwards(void **state)
{
	struct child_flags plain = {0}, both = {.dscp = CHILD_DSCP_BOTH},
			   none = {.no_ecn = true, .dscp = CHILD_DSCP_NO},
			   dscp = {.no_ecn = true, .dscp = CHILD_DSCP_IN};

	(void)state;
	for (unsigned in = 0; in < 256; in++) {
		for (unsigned out = 0; out < 256; out++) {
			uint8_t ecn = arriving[in & 3][out & 3];
			bool drop = ecn == DROPPED;

			expect_taken(&plain, (uint8_t)in, (uint8_t)out,
				     drop ? -1 : (int)((in & 0xfc) | ecn));
			expect_taken(&both, (uint8_t)in, (uint8_t)out,
				     drop ? -1 : (int)((out & 0xfc) | ecn));
			expect_taken(&none, (uint8_t)in, (uint8_t)out, (int)in);
			expect_taken(&dscp, (uint8_t)in, (uint8_t)out,
				     (int)((out & 0xfc) | (in & 3)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outwards),
		cmocka_unit_test(dont_fragment),
		cmocka_unit_test(inwards),
	};

	return cmocka_run_group_tests_name("outer", tests, NULL, NULL);
}
