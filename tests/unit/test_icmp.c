/* ICMP unreachable messages: what they quote of ours, and that nothing else is believed. */
#include "ipsecd/net/icmp_message.h"
#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEAD4  20
#define ICMP   8
#define QUOTE4 (HEAD4 + ICMP)

/* Written in network order. */
struct message {
	uint8_t bytes[256];
	size_t len;
};

static void put(struct message *m, const void *bytes, size_t n)
{
	memcpy(m->bytes + m->len, bytes, n);
	m->len += n;
}

/* RFC 1071 over the ICMP part. */
static void seal4(struct message *m)
{
	uint32_t sum = 0;

	m->bytes[HEAD4 + 2] = m->bytes[HEAD4 + 3] = 0;
	for (size_t i = HEAD4; i < m->len; i += 2)
		sum += (uint32_t)m->bytes[i] << 8 | (i + 1 < m->len ? m->bytes[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	be16_set(m->bytes + HEAD4 + 2, (uint16_t)~sum);
}

/* A router's message about a packet from 192.0.2.1 to 198.51.100.2. */
static struct message v4(uint8_t code, uint8_t protocol, const void *quoted, size_t n)
{
	static const uint8_t outer[HEAD4] = {0x45, 0, 0, 0, 0, 0, 0,   0, 64, 1,
					     0,	   0, 9, 9, 9, 9, 192, 0, 2,  1};
	uint8_t inner[HEAD4] = {0x45, 0, 0,   100, 0, 1, 0x40, 0,  63,	protocol,
				0,    0, 192, 0,   2, 1, 198,  51, 100, 2};
	uint8_t head[ICMP] = {3, code};
	struct message m = {.len = 0};

	put(&m, outer, sizeof(outer));
	put(&m, head, sizeof(head));
	put(&m, inner, sizeof(inner));
	put(&m, quoted, n);
	seal4(&m);
	return m;
}

static enum icmp_fault parse4(const struct message *m, struct icmp_quote *q)
{
	return icmp_parse(AF_INET, span_of(m->bytes, m->len), q, NULL);
}

static const uint8_t esp_udp[] = {0x11, 0x94, 0x11, 0x94, 0, 40, 0, 0, 0xc0, 0, 0, 1, 0, 0, 0, 9};
static const uint8_t ike_natt[] = {0x11, 0x94, 0x11, 0x94, 0, 40, 0, 0, 0, 0, 0, 0, 1, 1,
				   1,	 1,    1,    1,	   1, 1,  2, 2, 2, 2, 2, 2, 2, 2};
static const uint8_t esp_bare[] = {0xc0, 0, 0, 1, 0, 0, 0, 9};

static void expect_ends(const struct icmp_quote *q, const char *from, const char *to)
{
	char text[ADDR_TEXT];

	assert_string_equal(addr_format(&q->from.addr, text), from);
	assert_string_equal(addr_format(&q->to.addr, text), to);
}

static void test_esp_in_udp(void **state)
{
	struct message m = v4(1, 17, esp_udp, sizeof(esp_udp));
	struct icmp_quote q;

	(void)state;
	assert_int_equal(parse4(&m, &q), ICMP_OK);
	assert_int_equal(q.kind, ICMP_HOST);
	assert_int_equal(q.esp_spi, 0xc0000001);
	assert_int_equal(q.from.port, 4500);
	assert_int_equal(q.to.port, 4500);
	expect_ends(&q, "192.0.2.1", "198.51.100.2");
}

static void test_ike(void **state)
{
	struct message m = v4(3, 17, ike_natt, sizeof(ike_natt));
	uint8_t plain[24] = {1, 0xf4, 1, 0xf4};
	struct icmp_quote q;

	(void)state;
	assert_int_equal(parse4(&m, &q), ICMP_OK);
	assert_int_equal(q.kind, ICMP_PORT);
	assert_int_equal(q.esp_spi, 0);
	assert_true(q.spi_i == 0x0101010101010101 && q.spi_r == 0x0202020202020202);
	memcpy(plain + 8, ike_natt + 12, 16);
	m = v4(3, 17, plain, sizeof(plain));
	assert_int_equal(parse4(&m, &q), ICMP_OK);
	assert_int_equal(q.from.port, 500);
	assert_true(q.spi_r == 0x0202020202020202);
}

static void test_bare_esp(void **state)
{
	struct message m = v4(13, 50, esp_bare, sizeof(esp_bare));
	struct icmp_quote q;

	(void)state;
	assert_int_equal(parse4(&m, &q), ICMP_OK);
	assert_int_equal(q.kind, ICMP_PROHIBITED);
	assert_int_equal(q.esp_spi, 0xc0000001);
	assert_int_equal(q.from.port | q.to.port, 0);
}

/* RFC 792, RFC 1812 5.2.7.1: 4 is path MTU discovery, 5 the sender's routing. */
static void test_codes(void **state)
{
	static const int kinds[] = {ICMP_NET,
				    ICMP_HOST,
				    ICMP_PORT,
				    ICMP_PORT,
				    -1,
				    -1,
				    ICMP_NET,
				    ICMP_HOST,
				    ICMP_HOST,
				    ICMP_PROHIBITED,
				    ICMP_PROHIBITED,
				    ICMP_NET,
				    ICMP_HOST,
				    ICMP_PROHIBITED,
				    -1,
				    -1};
	struct icmp_quote q;

	(void)state;
	for (uint8_t code = 0; code < sizeof(kinds) / sizeof(kinds[0]); code++) {
		struct message m = v4(code, 50, esp_bare, sizeof(esp_bare));

		assert_int_equal(parse4(&m, &q), kinds[code] < 0 ? ICMP_OTHER_TYPE : ICMP_OK);
		if (kinds[code] >= 0)
			assert_int_equal(q.kind, kinds[code]);
	}
}

static void test_not_believed(void **state)
{
	struct message m = v4(1, 17, esp_udp, sizeof(esp_udp)), bad;
	struct icmp_quote q = {.esp_spi = 77};

	(void)state;
	bad = m;
	bad.bytes[m.len - 1] ^= 1;
	assert_int_equal(parse4(&bad, &q), ICMP_CHECKSUM);
	bad = m;
	bad.bytes[HEAD4] = 11; /* time exceeded */
	assert_int_equal(parse4(&bad, &q), ICMP_OTHER_TYPE);
	bad = m;
	bad.bytes[QUOTE4 + 7] = 9; /* a later fragment has no ports */
	seal4(&bad);
	assert_int_equal(parse4(&bad, &q), ICMP_BAD_QUOTE);
	bad = m;
	bad.bytes[QUOTE4] = 0x44;
	seal4(&bad);
	assert_int_equal(parse4(&bad, &q), ICMP_BAD_QUOTE);
	bad = m;
	bad.bytes[QUOTE4 + HEAD4] = 0x22; /* another port of ours */
	seal4(&bad);
	assert_int_equal(parse4(&bad, &q), ICMP_NOT_OURS);
	bad = v4(1, 6, esp_udp, sizeof(esp_udp));
	assert_int_equal(parse4(&bad, &q), ICMP_NOT_OURS);
	/* RFC 792 quotes 64 bits, which anybody can guess. */
	bad = v4(1, 17, esp_udp, 8);
	assert_int_equal(parse4(&bad, &q), ICMP_NO_SPI);
	assert_int_equal(q.esp_spi, 77);
}

static void test_truncated(void **state)
{
	struct message whole = v4(1, 17, ike_natt, sizeof(ike_natt));
	struct icmp_quote q;

	(void)state;
	for (size_t n = 0; n < whole.len; n++) {
		struct message m = whole;
		uint8_t *copy = malloc(n ? n : 1); /* every overread is seen */

		m.len = n;
		if (n >= HEAD4 + ICMP)
			seal4(&m);
		memcpy(copy, m.bytes, n);
		assert_int_not_equal(icmp_parse(AF_INET, span_of(copy, n), &q, NULL), ICMP_OK);
		free(copy);
	}
}

/* `fragment`: the header of the first fragment of a packet that was too big, or NULL. */
static struct message v6(uint8_t code, const uint8_t *fragment)
{
	uint8_t head[ICMP] = {1, code};
	uint8_t inner[40] = {0x60, [6] = 17, [8] = 0xfd, [23] = 1, [24] = 0xfd, [39] = 2};
	struct message m = {.len = 0};

	if (fragment)
		inner[6] = 44;
	put(&m, head, sizeof(head));
	put(&m, inner, sizeof(inner));
	if (fragment)
		put(&m, fragment, 8);
	put(&m, esp_udp, sizeof(esp_udp));
	return m;
}

/* RFC 4443 3.1. */
static void test_v6(void **state)
{
	static const int kinds[] = {ICMP_NET,  ICMP_PROHIBITED, ICMP_NET,	 ICMP_HOST,
				    ICMP_PORT, ICMP_PROHIBITED, ICMP_PROHIBITED, -1};
	uint8_t fragment[8] = {17, 0, 0, 1};
	struct icmp_quote q;
	struct message m;

	(void)state;
	for (uint8_t code = 0; code < sizeof(kinds) / sizeof(kinds[0]); code++) {
		m = v6(code, NULL);
		assert_int_equal(icmp_parse(AF_INET6, span_of(m.bytes, m.len), &q, NULL),
				 kinds[code] < 0 ? ICMP_OTHER_TYPE : ICMP_OK);
		if (kinds[code] >= 0)
			assert_int_equal(q.kind, kinds[code]);
	}
	assert_int_equal(q.esp_spi, 0xc0000001);
	expect_ends(&q, "fd00::1", "fd00::2");
	m = v6(0, fragment);
	assert_int_equal(icmp_parse(AF_INET6, span_of(m.bytes, m.len), &q, NULL), ICMP_OK);
	fragment[2] = 1; /* a later one */
	m = v6(0, fragment);
	assert_int_equal(icmp_parse(AF_INET6, span_of(m.bytes, m.len), &q, NULL), ICMP_BAD_QUOTE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_esp_in_udp),   cmocka_unit_test(test_ike),
		cmocka_unit_test(test_bare_esp),     cmocka_unit_test(test_codes),
		cmocka_unit_test(test_not_believed), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_v6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
