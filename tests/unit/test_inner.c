/* Inner packets: what the selectors see, and that nothing hostile is believed. */
#include "ipsecd/dataplane/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t udp4[] = {0x45, 0, 0, 32, 0, 1,	0, 0,	 64, 17, 0xaa, 0xbb, 10, 1, 0, 1,
			       10,   2, 0, 2,  0, 0x35, 4, 0xd2, 0,  12, 0,    0,    1,	 2, 3, 4};
/* Hop-by-hop (8), routing (24), destination options (8), fragment (8, first), then TCP. */
static const uint8_t tcp6[] = {
	0x60, 0,    0,	  0,  0,  68, 0,  64, 0xfd, 0, 0, 0, 0,	   0, 0, 0, 0, 0, 0,  0, 0, 0,
	0,    1,    0xfd, 0,  0,  0,  0,  0,  0,    0, 0, 0, 0,	   0, 0, 0, 0, 2, 43, 0, 1, 4,
	0,    0,    0,	  0,  60, 2,  4,  0,  0,    0, 0, 0, 0,	   0, 0, 0, 0, 0, 0,  0, 0, 0,
	0,    0,    0,	  0,  0,  0,  44, 0,  1,    4, 0, 0, 0,	   0, 6, 0, 0, 1, 0,  0, 0, 9,
	0x1f, 0x90, 0,	  80, 0,  0,  0,  0,  0,    0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0,  0};

static void expect_addr(const struct addr *a, const char *text)
{
	char got[ADDR_TEXT];

	assert_string_equal(addr_format(a, got), text);
}

static void ipv4(void **state)
{
	uint8_t p[sizeof(udp4) + 4] = {0};
	struct inner in;

	(void)state;
	memcpy(p, udp4, sizeof(udp4));
	assert_int_equal(inner_parse(span_of(p, sizeof(udp4)), &in), INNER_OK);
	expect_addr(&in.src, "10.1.0.1");
	expect_addr(&in.dst, "10.2.0.2");
	assert_int_equal(in.protocol, 17);
	assert_int_equal(in.src_port, 53);
	assert_int_equal(in.dst_port, 1234);
	assert_int_equal(in.len, 32);
	/* RFC 4303 2.7: bytes behind the packet are cut. */
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_OK);
	assert_int_equal(in.len, 32);
	/* A later fragment shows no ports. */
	assert_false(in.opaque);
	p[7] = 1;
	assert_int_equal(inner_parse(span_of(p, sizeof(udp4)), &in), INNER_OK);
	assert_int_equal(in.src_port | in.dst_port, 0);
	assert_true(in.opaque);
	p[7] = 0;
	p[6] = 0x20; /* the first one does */
	assert_int_equal(inner_parse(span_of(p, sizeof(udp4)), &in), INNER_OK);
	assert_int_equal(in.src_port, 53);
	assert_false(in.opaque);
	p[6] = 0;
	/* ICMP: type and code. */
	p[9] = 1;
	p[20] = 8;
	p[21] = 3;
	assert_int_equal(inner_parse(span_of(p, sizeof(udp4)), &in), INNER_OK);
	assert_int_equal(in.src_port, 0x0803);
	assert_int_equal(in.dst_port, 0x0803);
	/* A protocol that has none is no fragment. */
	p[9] = 47;
	assert_int_equal(inner_parse(span_of(p, sizeof(udp4)), &in), INNER_OK);
	assert_int_equal(in.src_port | in.dst_port, 0);
	assert_false(in.opaque);
}

/* A router's "too big" about udp4: it goes the way of an answer to it. */
static void errors_answer(void **state)
{
	uint8_t p[20 + 8 + sizeof(udp4)] = {0x45, 0,   0, 60, 0, 1,  0, 0, 64, 1, 0,
					    0,	  192, 0, 2,  1, 10, 1, 0, 1,  3, 4};
	struct inner in, back;

	(void)state;
	memcpy(p + 28, udp4, sizeof(udp4));
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_OK);
	assert_int_equal(in.transport, 20);
	assert_true(inner_answers(span_of(p, sizeof(p)), &in, &back));
	expect_addr(&back.src, "10.2.0.2");
	expect_addr(&back.dst, "10.1.0.1");
	assert_int_equal(back.protocol, 17);
	assert_int_equal(back.src_port, 1234);
	assert_int_equal(back.dst_port, 53);
	assert_false(back.opaque);
	/* RFC 792: the header and 64 bits are enough; without ports it is as a fragment. */
	for (uint8_t len = 28; len <= sizeof(p); len++) {
		p[3] = len;
		assert_int_equal(inner_parse(span_of(p, len), &in), INNER_OK);
		assert_int_equal(inner_answers(span_of(p, len), &in, &back), len >= 48);
		assert_true(len < 48 || back.opaque == (len < 52));
	}
	p[28 + 7] = 1; /* about a later fragment */
	assert_true(inner_answers(span_of(p, sizeof(p)), &in, &back));
	assert_true(back.opaque);
	p[28] = 0x65; /* of the other family */
	assert_false(inner_answers(span_of(p, sizeof(p)), &in, &back));
	p[28] = 0x45;
	for (unsigned type = 0; type < 256; type++) {
		bool error = type == 3 || type == 4 || type == 11 || type == 12;

		p[20] = (uint8_t)type;
		assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_OK);
		assert_int_equal(inner_answers(span_of(p, sizeof(p)), &in, &back), error);
	}
	p[20] = 3;
	p[7] = 1; /* itself a later fragment */
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_OK);
	assert_false(inner_answers(span_of(p, sizeof(p)), &in, &back));
	p[7] = 0;
	p[9] = 17;
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_OK);
	assert_false(inner_answers(span_of(p, sizeof(p)), &in, &back));
}

static void errors_answer_ipv6(void **state)
{
	uint8_t p[40 + 8 + sizeof(tcp6)] = {0x60, 0, 0, 0, 0, 8 + sizeof(tcp6), 58, 64, 0x20, 0x01};
	struct inner in, back;

	(void)state;
	p[24] = 0xfd;
	p[40] = 2; /* packet too big */
	memcpy(p + 48, tcp6, sizeof(tcp6));
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_OK);
	assert_true(inner_answers(span_of(p, sizeof(p)), &in, &back));
	expect_addr(&back.src, "fd00::2");
	expect_addr(&back.dst, "fd00::1");
	assert_int_equal(back.protocol, 6);
	assert_int_equal(back.src_port, 80);
	assert_int_equal(back.dst_port, 8080);
	/* Cut in the middle of its extension headers it says nothing. */
	p[5] = 8 + 40 + 20;
	assert_int_equal(inner_parse(span_of(p, 48 + 40 + 20), &in), INNER_OK);
	assert_false(inner_answers(span_of(p, 48 + 40 + 20), &in, &back));
	p[5] = 8 + sizeof(tcp6);
	for (unsigned type = 0; type < 256; type++) {
		p[40] = (uint8_t)type;
		assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_OK);
		assert_int_equal(inner_answers(span_of(p, sizeof(p)), &in, &back),
				 type >= 1 && type <= 4);
	}
}

static void ipv4_malformed(void **state)
{
	uint8_t p[sizeof(udp4)];
	struct inner in;

	(void)state;
	for (size_t len = 0; len < sizeof(udp4); len++)
		assert_int_not_equal(inner_parse(span_of(udp4, len), &in), INNER_OK);
	memcpy(p, udp4, sizeof(p));
	p[0] = 0x44; /* header of 16 bytes */
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_HEADER);
	p[0] = 0x4f; /* of 60, with a total length of 32 */
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_HEADER);
	p[0] = 0x55;
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_VERSION);
	p[0] = 0x45;
	p[3] = 33;
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_TRUNCATED);
}

static void ipv4_short_transport(void **state)
{
	uint8_t p[sizeof(udp4)];
	struct inner in;

	(void)state;
	memcpy(p, udp4, sizeof(p));
	p[3] = 23; /* three bytes of UDP */
	assert_int_equal(inner_parse(span_of(p, 23), &in), INNER_OK);
	assert_int_equal(in.src_port | in.dst_port, 0);
	assert_true(in.opaque);
}

static void ipv6_extensions(void **state)
{
	uint8_t p[sizeof(tcp6)];
	struct inner in;

	(void)state;
	assert_int_equal(inner_parse(span_of(tcp6, sizeof(tcp6)), &in), INNER_OK);
	expect_addr(&in.src, "fd00::1");
	expect_addr(&in.dst, "fd00::2");
	assert_int_equal(in.protocol, 6);
	assert_int_equal(in.src_port, 8080);
	assert_int_equal(in.dst_port, 80);
	for (size_t len = 0; len < sizeof(tcp6); len++)
		assert_int_not_equal(inner_parse(span_of(tcp6, len), &in), INNER_OK);
	memcpy(p, tcp6, sizeof(p));
	assert_false(in.opaque);
	p[40 + 8 + 24 + 8 + 3] = 8; /* a later fragment */
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_OK);
	assert_int_equal(in.protocol, 6);
	assert_true(in.opaque);
	assert_int_equal(in.src_port | in.dst_port, 0);
}

static void ipv6_hostile_chains(void **state)
{
	uint8_t p[40 + 20 * 8] = {0x60};
	struct inner in;

	(void)state;
	/* More extension headers than any honest packet has. */
	p[5] = 20 * 8;
	p[6] = 60;
	for (unsigned i = 0; i < 20; i++)
		p[40 + i * 8] = 60;
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_HEADER);
	/* One that says it is longer than the packet. */
	p[41] = 255;
	assert_int_equal(inner_parse(span_of(p, sizeof(p)), &in), INNER_TRUNCATED);
}

static void anything_is_survived(void **state)
{
	uint8_t p[80];
	struct inner in;

	(void)state;
	srandom(7);
	for (unsigned n = 0; n < 200000; n++) {
		size_t len = (size_t)random() % sizeof(p);

		for (size_t i = 0; i < len; i++)
			p[i] = (uint8_t)random();
		if (len > 7 && n % 2) {
			p[0] = n % 4 == 1 ? 0x45 : 0x60;
			p[2] = p[4] = 0;
			p[6] = n % 3 ? p[6] : 60;
		}
		if (inner_parse(span_of(p, len), &in) == INNER_OK)
			assert_true(in.len <= len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4),
		cmocka_unit_test(errors_answer),
		cmocka_unit_test(errors_answer_ipv6),
		cmocka_unit_test(ipv4_malformed),
		cmocka_unit_test(ipv4_short_transport),
		cmocka_unit_test(ipv6_extensions),
		cmocka_unit_test(ipv6_hostile_chains),
		cmocka_unit_test(anything_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
