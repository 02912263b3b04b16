/* UPDATE and OPEN messages, from bytes that are written here by hand. */
#include "routed-bridge/bgp_update.h"
#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/hex_message.h"

/* An UPDATE's body of three fields. */
static struct message body(const char *withdrawn, const char *attributes, const char *nlri)
{
	struct message w = hex(withdrawn), a = hex(attributes), n = hex(nlri), m = {.len = 0};
	struct buf b = buf_over(m.bytes, sizeof(m.bytes));

	buf_put_u16(&b, (uint16_t)w.len);
	buf_put(&b, w.bytes, w.len);
	buf_put_u16(&b, (uint16_t)a.len);
	buf_put(&b, a.bytes, a.len);
	buf_put(&b, n.bytes, n.len);
	m.len = b.len;
	return m;
}

static struct bgp_update u;
static struct bgp_fault fault;

static enum bgp_error parse(struct message m, bool as4)
{
	return bgp_parse_update(span_of(m.bytes, m.len), as4, &u, &fault);
}

static void expect_prefixes(struct bgp_prefixes list, const char *wanted)
{
	char text[PREFIX_TEXT], all[256] = "";
	struct prefix p;

	while (bgp_next_prefix(&list, &p)) {
		size_t n = strlen(all);

		snprintf(all + n, sizeof(all) - n, "%s%s", n ? " " : "", prefix_format(&p, text));
	}
	assert_string_equal(all, wanted);
}

static void expect_path(const char *wanted, unsigned length)
{
	char all[256] = "";

	for (unsigned i = 0; i < u.n_as; i++) {
		size_t n = strlen(all);

		snprintf(all + n, sizeof(all) - n, "%s%u", n ? " " : "", u.as_path[i]);
	}
	assert_string_equal(all, wanted);
	assert_int_equal(u.as_length, length);
}

static void expect_addr(const struct addr *a, const char *wanted)
{
	char text[ADDR_TEXT];

	assert_string_equal(addr_format(a, text), wanted);
}

#define ORIGIN	 "40 01 01 00 "
#define PATH	 "40 02 06 02 01 0000fdea "
#define NEXT_HOP "40 03 04 0a090001 "

static void ipv4_as_rfc_4271_has_it(void **state)
{
	(void)state;
	assert_int_equal(parse(body("10 0a07 00",
				    ORIGIN PATH NEXT_HOP "80 04 04 0000002a "
							 "40 05 04 000000c8",
				    "18 0a0200 0f 0a03"),
			       true),
			 BGP_OK);
	assert_int_equal(u.fault, BGP_OK);
	expect_prefixes(u.withdrawn[0], "10.7.0.0/16 0.0.0.0/0");
	expect_prefixes(u.announced[0], "10.2.0.0/24 10.2.0.0/15"); /* host bits are cleared */
	expect_path("65002", 1);
	expect_addr(&u.nexthop, "10.9.0.1");
	assert_int_equal(u.med, 42);
	assert_int_equal(u.local_pref, 200);
	assert_true(u.has_med && u.has_local_pref);
	assert_int_equal(u.end_of_rib, 0);
}

static void ipv6_with_both_next_hops(void **state)
{
	(void)state;
	assert_int_equal(
		parse(body("",
			   "90 0e 002c 0002 01 20 20010db8000000000000000000000001 "
			   "fe800000000000000000000000000001 00 30 20010db80002 " ORIGIN PATH,
			   ""),
		      true),
		BGP_OK);
	assert_int_equal(u.fault, BGP_OK);
	expect_prefixes(u.announced[1], "2001:db8:2::/48");
	expect_addr(&u.mp_nexthop, "2001:db8::1");
	expect_addr(&u.mp_nexthop_local, "fe80::1");
}

static void link_local_next_hops_alone(void **state)
{
	static const char *const nexthops[] = {
		"10 fe800000000000000000000000000001",
		"20 fe800000000000000000000000000001 fe800000000000000000000000000001",
		"20 00000000000000000000000000000000 fe800000000000000000000000000001",
	};
	char attributes[256];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		/* IPv4 over IPv6: RFC 8950 */
		snprintf(attributes, sizeof(attributes), "90 0e 00%s 0001 01 %s 00 18 0a0200 %s",
			 i ? "29" : "19", nexthops[i], ORIGIN PATH);
		assert_int_equal(parse(body("", attributes, ""), true), BGP_OK);
		expect_prefixes(u.announced[1], "10.2.0.0/24");
		assert_int_equal(u.mp_nexthop.family, 0);
		expect_addr(&u.mp_nexthop_local, "fe80::1");
	}
}

static void withdrawals_and_ends_of_rib(void **state)
{
	(void)state;
	assert_int_equal(parse(body("", "80 0f 0a 0002 01 30 20010db80003", ""), true), BGP_OK);
	expect_prefixes(u.withdrawn[1], "2001:db8:3::/48");
	assert_int_equal(u.end_of_rib, 0);
	assert_int_equal(parse(body("", "80 0f 03 0002 01", ""), true), BGP_OK);
	assert_int_equal(u.end_of_rib, AF_INET6);
	assert_int_equal(parse(body("", "", ""), true), BGP_OK);
	assert_int_equal(u.end_of_rib, AF_INET);
	assert_int_equal(parse(body("18 0a0200", "", ""), true), BGP_OK);
	assert_int_equal(u.end_of_rib, 0);
	assert_int_equal(parse(body("", "80 0f 03 0019 46", ""), true), BGP_OK); /* EVPN */
	assert_int_equal(u.end_of_rib, 0);
}

static void segments_of_all_kinds(void **state)
{
	(void)state;
	/* confederation sequence 1 2, sequence 3 4, set 5 6 7, confederation set 8 */
	parse(body("",
		   ORIGIN NEXT_HOP "40 02 28 03 02 00000001 00000002 02 02 00000003 00000004 "
				   "01 03 00000005 00000006 00000007 04 01 00000008",
		   "18 0a0200"),
	      true);
	assert_int_equal(u.fault, BGP_OK);
	expect_path("1 2 3 4 5 6 7 8", 3);
	parse(body("", ORIGIN NEXT_HOP "40 02 00", "18 0a0200"), true); /* our own AS's */
	assert_int_equal(u.fault, BGP_OK);
	expect_path("", 0);
}

static void four_bytes_through_an_old_speaker(void **state)
{
	(void)state;
	/* RFC 6793 4.2.3: 10 AS_TRANS AS_TRANS, behind it AS4_PATH 70000 70001 */
	parse(body("",
		   ORIGIN NEXT_HOP "40 02 08 02 03 000a 5ba0 5ba0 "
				   "c0 11 0a 02 02 00011170 00011171",
		   "18 0a0200"),
	      false);
	expect_path("10 70000 70001", 3);
	/* an AS4_PATH that is longer is not for this AS_PATH */
	parse(body("", ORIGIN NEXT_HOP "40 02 04 02 01 000a c0 11 0a 02 02 00011170 00011171",
		   "18 0a0200"),
	      false);
	expect_path("10", 1);
	/* a new speaker's AS4_PATH is ignored (RFC 6793 4.1), and a malformed one */
	parse(body("", ORIGIN NEXT_HOP PATH "c0 11 06 02 01 00011170", "18 0a0200"), true);
	expect_path("65002", 1);
	parse(body("", ORIGIN NEXT_HOP "40 02 04 02 01 000a c0 11 05 02 01 000111", "18 0a0200"),
	      false);
	assert_int_equal(u.fault, BGP_OK);
	expect_path("10", 1);
	/* the set counts as one on both sides */
	parse(body("",
		   ORIGIN NEXT_HOP "40 02 0a 02 01 000a 01 02 5ba0 5ba0 "
				   "c0 11 0a 01 02 00011170 00011171",
		   "18 0a0200"),
	      false);
	expect_path("10 70000 70001", 2);
}

/* ---- errors ---- */

static void faults_that_make_withdrawals(void **state)
{
	static const struct {
		const char *attributes;
		enum bgp_error error;
	} rows[] = {
		{"40 01 01 03 " PATH NEXT_HOP, BGP_BAD_ORIGIN},
		{"40 01 02 0000 " PATH NEXT_HOP, BGP_BAD_ORIGIN},
		{"80 01 01 00 " PATH NEXT_HOP, BGP_BAD_ATTRIBUTE_FLAGS},
		{ORIGIN "40 02 05 02 01 0000fd " NEXT_HOP, BGP_BAD_AS_PATH},
		{ORIGIN "40 02 02 02 00 " NEXT_HOP, BGP_BAD_AS_PATH},
		{ORIGIN "40 02 06 05 01 0000fdea " NEXT_HOP, BGP_BAD_AS_PATH},
		{ORIGIN PATH "40 03 03 0a0900", BGP_BAD_NEXTHOP},
		{ORIGIN PATH NEXT_HOP "80 04 03 000000", BGP_BAD_MED},
		{ORIGIN PATH NEXT_HOP "40 05 05 0000000000", BGP_BAD_LOCAL_PREF},
		{ORIGIN NEXT_HOP, BGP_MISSING_ATTRIBUTE},
		{PATH NEXT_HOP, BGP_MISSING_ATTRIBUTE},
		{ORIGIN PATH NEXT_HOP "c0 08 ff", BGP_BAD_ATTRIBUTE_LENGTH},
		{ORIGIN PATH NEXT_HOP "c0", BGP_BAD_ATTRIBUTE_LENGTH},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message m = body("18 0a0700", rows[i].attributes, "18 0a0200");

		assert_int_equal(parse(m, true), BGP_OK);
		assert_int_equal(u.fault, rows[i].error);
		assert_true(u.where.offset >= BGP_HEADER_SIZE);
		assert_true(u.where.offset <= BGP_HEADER_SIZE + m.len);
		expect_prefixes(u.announced[0], "10.2.0.0/24");
		expect_prefixes(u.withdrawn[0], "10.7.0.0/24");
	}
}

static void what_is_of_no_use_at_all(void **state)
{
	static const struct {
		const char *withdrawn, *attributes, *nlri;
		enum bgp_error error;
	} rows[] = {
		{"21 0a000000", "", "", BGP_BAD_PREFIX},
		{"", ORIGIN PATH NEXT_HOP, "18 0a02", BGP_BAD_PREFIX},
		{"", "80 0f 06 0002 01 81 2001", "", BGP_BAD_PREFIX},
		{"", "80 0f 02 0002", "", BGP_TRUNCATED},
		{"", "80 0e 05 0002 01 05 00", "", BGP_TRUNCATED},
		{"", "80 0e 09 0002 01 04 0a000001 00", "", BGP_BAD_MP_NEXTHOP},
		{"", "80 0f 03 0002 01 80 0f 03 0001 01", "", BGP_DUPLICATE_MP},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message m = body(rows[i].withdrawn, rows[i].attributes, rows[i].nlri);

		assert_int_equal(parse(m, true), rows[i].error);
		assert_int_equal(u.announced[0].bytes.len + u.withdrawn[0].bytes.len, 0);
	}
	assert_int_equal(parse(hex("0005 18 0a02"), true), BGP_BAD_LENGTH);
	assert_int_equal(parse(hex("0000 0005 40"), true), BGP_BAD_LENGTH);
	assert_int_equal(parse(hex("00"), true), BGP_BAD_LENGTH);
}

static void others_are_passed_over(void **state)
{
	(void)state;
	/* communities, a second ORIGIN (the first counts: RFC 7606 3 (g)), VPN routes */
	assert_int_equal(parse(body("",
				    ORIGIN PATH NEXT_HOP "c0 08 04 fde90001 40 01 01 02 "
							 "80 0e 05 0001 80 00 00",
				    "18 0a0200"),
			       true),
			 BGP_OK);
	assert_int_equal(u.fault, BGP_OK);
	assert_int_equal(u.origin, 0);
	expect_prefixes(u.announced[1], "");
	/* what bgpd writes where it has an IPv6 next hop */
	assert_int_equal(parse(body("", ORIGIN PATH "40 03 04 00000000", "18 0a0200"), true),
			 BGP_OK);
	assert_int_equal(u.fault, BGP_OK);
	assert_int_equal(u.nexthop.family, 0);
}

static void every_truncation_is_safe(void **state)
{
	struct message m =
		body("10 0a07",
		     "90 0e 002c 0002 01 20 20010db8000000000000000000000001 "
		     "fe800000000000000000000000000001 00 30 20010db80002 " ORIGIN PATH NEXT_HOP,
		     "18 0a0200");

	(void)state;
	for (size_t n = 0; n < m.len; n++) {
		uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees each step beyond */

		memcpy(exact, m.bytes, n);
		if (bgp_parse_update(span_of(exact, n), true, &u, &fault) != BGP_OK)
			assert_true(fault.offset <= BGP_HEADER_SIZE + n);
		free(exact);
	}
}

/* ---- around it ---- */

static void messages(void **state)
{
	struct message m = hex("ffffffffffffffff ffffffffffffffff 0017 02 0000 0000 ff");
	struct bgp_message out;

	(void)state;
	assert_int_equal(bgp_parse_message(span_of(m.bytes, m.len), &out, &fault), BGP_OK);
	assert_int_equal(out.type, BGP_UPDATE);
	assert_int_equal(out.size, 23);
	assert_int_equal(out.body.len, 4);
	assert_int_equal(bgp_parse_message(span_of(m.bytes, 22), &out, &fault), BGP_BAD_LENGTH);
	assert_int_equal(bgp_parse_message(span_of(m.bytes, 18), &out, &fault), BGP_TRUNCATED);
	m.bytes[18] = 9;
	assert_int_equal(bgp_parse_message(span_of(m.bytes, m.len), &out, &fault), BGP_BAD_TYPE);
	m.bytes[3] = 0;
	assert_int_equal(bgp_parse_message(span_of(m.bytes, m.len), &out, &fault), BGP_BAD_MARKER);
}

static void opens(void **state)
{
	/* bgpd's, shortened: multiprotocol, AS of four bytes */
	struct message m =
		hex("04 5ba0 0003 01010101 10 02 06 01 04 0001 00 01 02 06 41 04 00011170");
	struct message wide =
		hex("04 5ba0 0003 01010101 ff ff 0009 02 0006 41 04 00011170"); /* RFC 9072 */
	struct message old = hex("04 fde9 00b4 01010101 00");
	struct bgp_open o;

	(void)state;
	assert_int_equal(bgp_parse_open(span_of(m.bytes, m.len), &o, &fault), BGP_OK);
	assert_int_equal(o.as, 70000);
	assert_int_equal(o.id, 0x01010101);
	assert_int_equal(o.hold_time, 3);
	assert_true(o.as4);
	assert_int_equal(bgp_parse_open(span_of(wide.bytes, wide.len), &o, &fault), BGP_OK);
	assert_int_equal(o.as, 70000);
	assert_int_equal(bgp_parse_open(span_of(old.bytes, old.len), &o, &fault), BGP_OK);
	assert_int_equal(o.as, 65001);
	assert_false(o.as4);
	for (size_t n = 0; n < m.len; n++)
		assert_int_not_equal(bgp_parse_open(span_of(m.bytes, n), &o, &fault), BGP_OK);
}

static void notifications_in_words(void **state)
{
	char text[96];

	(void)state;
	assert_string_equal(bgp_notification_format(6, 4, text, sizeof(text)),
			    "Cease, Administrative Reset");
	assert_string_equal(bgp_notification_format(4, 0, text, sizeof(text)),
			    "Hold Timer Expired");
	assert_string_equal(bgp_notification_format(2, 6, text, sizeof(text)),
			    "OPEN Message Error (6)");
	assert_string_equal(bgp_notification_format(99, 1, text, sizeof(text)),
			    "NOTIFICATION 99/1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_as_rfc_4271_has_it),
		cmocka_unit_test(ipv6_with_both_next_hops),
		cmocka_unit_test(link_local_next_hops_alone),
		cmocka_unit_test(withdrawals_and_ends_of_rib),
		cmocka_unit_test(segments_of_all_kinds),
		cmocka_unit_test(four_bytes_through_an_old_speaker),
		cmocka_unit_test(faults_that_make_withdrawals),
		cmocka_unit_test(what_is_of_no_use_at_all),
		cmocka_unit_test(others_are_passed_over),
		cmocka_unit_test(every_truncation_is_safe),
		cmocka_unit_test(messages),
		cmocka_unit_test(opens),
		cmocka_unit_test(notifications_in_words),
	};

	return cmocka_run_group_tests_name("bgp_update", tests, NULL, NULL);
}
