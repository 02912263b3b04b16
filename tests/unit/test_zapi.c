/* The ZAPI codec: golden bytes of FRR 8.4 and 10.3, every truncation, and refusals. */
#include "routed-bridge/frr_version.h"
#include "routed-bridge/zapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct zapi_version *v84(void)
{
	const struct zapi_version *v = zapi_version_find(8, 4);

	assert_non_null(v);
	return v;
}

static const struct zapi_version *v103(void)
{
	const struct zapi_version *v = zapi_version_find(10, 3);

	assert_non_null(v);
	return v;
}

static void assert_bytes(const struct buf *b, const char *hex)
{
	char text[512];
	size_t n = 0;

	assert_false(b->overflow);
	for (size_t i = 0; i < b->len; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%02x", b->data[i]);
	assert_string_equal(text, hex);
}

static struct zapi_route route(const char *prefix)
{
	struct zapi_route r = {
		.type = ZAPI_TYPE_NHRP, .n_nexthops = 1, .nexthops = {{.ifindex = 7}}};

	assert_true(prefix_parse(prefix, &r.prefix));
	return r;
}

/* header: length, marker, version, vrf, command | body */
static void encodes_hello(void **state)
{
	uint8_t memory[128];
	struct buf b = buf_over(memory, sizeof(memory));

	(void)state;
	zapi_encode_hello(&b, v84(), ZAPI_TYPE_TABLE, 200);
	assert_bytes(&b, "0013fe06000000000012"
			 "0f"	    /* table */
			 "00c8"	    /* instance */
			 "00000000" /* session */
			 "01"	    /* wants ROUTE_NOTIFY_OWNER */
			 "00");
}

/* No byte asks for ROUTE_NOTIFY_OWNER since 10.0; a message of its own does. */
static void encodes_hello_103(void **state)
{
	uint8_t memory[128];
	struct buf b = buf_over(memory, sizeof(memory));

	(void)state;
	zapi_encode_hello(&b, v103(), ZAPI_TYPE_NHRP, 0);
	assert_bytes(&b, "0012fe06000000000013"
			 "0d"	    /* nhrp */
			 "0000"	    /* instance */
			 "00000000" /* session */
			 "00"
			 "000bfe0600000000007e"
			 "01");
}

static void encodes_subscriptions(void **state)
{
	uint8_t memory[128];
	struct buf b = buf_over(memory, sizeof(memory));

	(void)state;
	zapi_encode_router_id_add(&b, v84(), AF_INET6);
	zapi_encode_interface_add(&b, v84());
	assert_bytes(&b, "000cfe0600000000000f0002"
			 "000afe06000000000000");
}

static void encodes_route_add(void **state)
{
	uint8_t memory[128];
	struct buf b = buf_over(memory, sizeof(memory));
	struct zapi_route r = route("10.2.0.0/20");

	(void)state;
	r.distance = 10;
	r.metric = 5;
	r.tag = 65002;
	zapi_encode_route_add(&b, v84(), &r);
	assert_bytes(&b, "0030fe06000000000008"
			 "0c0000"   /* nhrp, instance */
			 "00000000" /* flags */
			 "0000000f" /* nexthop, distance, metric, tag */
			 "01"	    /* unicast */
			 "02140a0200"
			 "0001"
			 "00000000"
			 "01"
			 "00"
			 "00000007"
			 "0a"
			 "00000005"
			 "0000fdea");
}

static void encodes_routes_103(void **state)
{
	uint8_t memory[128];
	struct buf b = buf_over(memory, sizeof(memory));
	struct zapi_route r = route("10.2.0.0/24");

	(void)state;
	r.distance = 10;
	r.metric = 5;
	r.tag = 65002;
	zapi_encode_route_add(&b, v103(), &r);
	r.type = ZAPI_TYPE_TABLE;
	zapi_encode_route_delete(&b, v103(), &r);
	assert_bytes(&b, "0030fe06000000000009"
			 "0d0000"
			 "00000000"
			 "0000000f"
			 "01"
			 "02180a0200"
			 "0001"
			 "00000000"
			 "01"
			 "00"
			 "00000007"
			 "0a"
			 "00000005"
			 "0000fdea"
			 "001bfe0600000000000a"
			 "100000"
			 "00000000"
			 "00000000"
			 "01"
			 "02180a0200");
}

static void encodes_route_add_ipv6(void **state)
{
	uint8_t memory[128];
	struct buf b = buf_over(memory, sizeof(memory));
	struct zapi_route r = route("2001:db8:2::/48");

	(void)state;
	r.type = ZAPI_TYPE_OPENFABRIC;
	zapi_encode_route_add(&b, v84(), &r);
	assert_bytes(&b, "002efe06000000000008"
			 "1a0000"
			 "00000000"
			 "00000005"
			 "01"
			 "0a3020010db80002"
			 "0001"
			 "00000000"
			 "01"
			 "00"
			 "00000007"
			 "00000000");
}

static void encodes_route_delete(void **state)
{
	uint8_t memory[128];
	struct buf b = buf_over(memory, sizeof(memory));
	struct zapi_route r = route("0.0.0.0/0");

	(void)state;
	zapi_encode_route_delete(&b, v84(), &r);
	assert_bytes(&b, "0018fe06000000000009"
			 "0c0000"
			 "00000000"
			 "00000000"
			 "01"
			 "0200");
}

/* A tun device as zebra 8.4.4 reports it. */
static const uint8_t interface_up[] = {
	0x00, 74,   0xfe, 0x06, 0,   0,	   0,	 0,    0x00, 0x04, /* header */
	't',  'u',  'n',  '-',	'a', 'b',  0,	 0,    0,    0,
	0,    0,    0,	  0,	0,   0,		       /* name */
	0,    0,    0,	  2,			       /* ifindex */
	0x05,					       /* status */
	0,    0,    0,	  0,	0,   1,	   0x10, 0xd1, /* flags */
	0,    3,				       /* ptm */
	0,    0,    0,	  0,	0,   0,	   0,	 0,    0,    0,
	5,    0xdc, 0,	  0,	5,   0xdc, /* metric... */
	0,    0,    0,	  0,	0,   0,	   0,	 0,    0,    0,
	0,    24,   0,	  0,	0,   0, /* ll_type... */
	0,				/* link params */
};

static void parses_interface(void **state)
{
	struct zapi_message m;
	struct zapi_interface i;

	(void)state;
	assert_int_equal(
		zapi_parse_message(span_of(interface_up, sizeof(interface_up)), v84(), &m, NULL),
		ZAPI_OK);
	assert_int_equal(m.command, ZAPI_INTERFACE_UP);
	assert_int_equal(m.size, sizeof(interface_up));
	assert_int_equal(zapi_parse_interface(m.body, &i, NULL), ZAPI_OK);
	assert_string_equal(i.name, "tun-ab");
	assert_int_equal(i.ifindex, 2);
	assert_int_equal(i.flags, 0x110d1);
	assert_true(i.link_detect);
}

static void truncated_messages_wait(void **state)
{
	struct zapi_message m;

	(void)state;
	for (size_t n = 0; n < sizeof(interface_up); n++)
		assert_int_equal(zapi_parse_message(span_of(interface_up, n), v84(), &m, NULL),
				 ZAPI_MORE);
}

static void bad_headers_are_refused(void **state)
{
	static const struct {
		uint8_t bytes[4];
		enum zapi_error error;
		size_t offset;
		uint64_t value;
	} cases[] = {
		{{0x00, 0x09, 0xfe, 0x06}, ZAPI_BAD_LENGTH, 0, 9},
		{{0x40, 0x01, 0xfe, 0x06}, ZAPI_BAD_LENGTH, 0, 16385},
		{{0x00, 0x0a, 0xff, 0x06}, ZAPI_BAD_MARKER, 2, 255},
		{{0x00, 0x0a, 0xfe, 0x05}, ZAPI_BAD_VERSION, 3, 5},
	};
	struct zapi_message m;
	struct zapi_fault fault;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(zapi_parse_message(span_of(cases[i].bytes, 4), v84(), &m, &fault),
				 cases[i].error);
		assert_int_equal(fault.offset, cases[i].offset);
		assert_int_equal(fault.value, cases[i].value);
	}
}

static void unknown_commands_pass_by(void **state)
{
	const uint8_t bytes[] = {0, 11, 0xfe, 6, 0, 0, 0, 0, 0, 38, 1};
	struct zapi_message m;

	(void)state;
	assert_int_equal(zapi_parse_message(span_of(bytes, sizeof(bytes)), v84(), &m, NULL),
			 ZAPI_OK);
	assert_int_equal(m.command, ZAPI_COMMANDS);
	assert_int_equal(m.number, 38);
	assert_int_equal(m.body.len, 1);
}

/* The note is in the machine's own byte order. */
static size_t put_notify(uint8_t *out, uint32_t note, uint8_t family, uint8_t len)
{
	struct buf b = buf_over(out, 64);

	buf_put(&b, &note, 4);
	buf_put_u8(&b, family);
	buf_put_u8(&b, len);
	for (size_t i = 0; i < (family == AF_INET6 ? 16u : 4u); i++)
		buf_put_u8(&b, (uint8_t)(10 + i));
	buf_put_u32(&b, 254);
	buf_put_u8(&b, 1);
	buf_put_u8(&b, 1);
	return b.len;
}

static void parses_notify(void **state)
{
	uint8_t bytes[64];
	char text[PREFIX_TEXT];
	struct zapi_notify n;
	size_t len = put_notify(bytes, ZAPI_NOTE_INSTALLED, AF_INET, 24);

	(void)state;
	assert_int_equal(zapi_parse_notify(span_of(bytes, len), v84(), &n, NULL), ZAPI_OK);
	assert_int_equal(n.note, ZAPI_NOTE_INSTALLED);
	assert_int_equal(n.table, 254);
	assert_string_equal(prefix_format(&n.prefix, text), "10.11.12.13/24");
	len = put_notify(bytes, ZAPI_NOTE_FAIL_INSTALL, AF_INET6, 128);
	assert_int_equal(zapi_parse_notify(span_of(bytes, len), v84(), &n, NULL), ZAPI_OK);
	assert_int_equal(n.prefix.addr.family, AF_INET6);
}

/* As zebra 10.3 sent them on a little-endian machine: a source prefix, here of length 0,
 * before the table. */
static void parses_notify_103(void **state)
{
	static const uint8_t v4[] = {2, 0, 0, 0, 2, 24, 10, 2,	  0, 0, 0,
				     0, 0, 0, 0, 0, 0,	0,  0xfe, 1, 1};
	static const uint8_t v6[] = {2, 0, 0, 0, 10, 48, 0x20, 0x01, 0x0d, 0xb8, 0, 2, 0,    0, 0,
				     0, 0, 0, 0, 0,  0,	 0,    0,    0,	   0,	 0, 0, 0,    0, 0,
				     0, 0, 0, 0, 0,  0,	 0,    0,    0,	   0,	 0, 0, 0xfe, 2, 1};
	char text[PREFIX_TEXT];
	struct zapi_notify n;

	(void)state;
	assert_int_equal(zapi_parse_notify(span_of(v4, sizeof(v4)), v103(), &n, NULL), ZAPI_OK);
	assert_int_equal(n.note, ZAPI_NOTE_INSTALLED);
	assert_string_equal(prefix_format(&n.prefix, text), "10.2.0.0/24");
	assert_int_equal(n.table, 254);
	assert_int_equal(zapi_parse_notify(span_of(v6, sizeof(v6)), v103(), &n, NULL), ZAPI_OK);
	assert_string_equal(prefix_format(&n.prefix, text), "2001:db8:2::/48");
	assert_int_equal(n.table, 254);
	for (size_t len = 0; len < sizeof(v6) - 2; len++)
		assert_int_equal(zapi_parse_notify(span_of(v6, len), v103(), &n, NULL),
				 ZAPI_TRUNCATED);
}

static void bad_notify_is_refused(void **state)
{
	uint8_t bytes[64];
	struct zapi_notify n;
	struct zapi_fault fault;

	(void)state;
	put_notify(bytes, 9, AF_INET, 24);
	assert_int_equal(zapi_parse_notify(span_of(bytes, 16), v84(), &n, &fault), ZAPI_BAD_NOTE);
	assert_int_equal(fault.value, 9);
	put_notify(bytes, ZAPI_NOTE_REMOVED, AF_INET, 33);
	assert_int_equal(zapi_parse_notify(span_of(bytes, 16), v84(), &n, &fault),
			 ZAPI_BAD_PREFIX_LENGTH);
	assert_int_equal(fault.offset, 5);
	put_notify(bytes, ZAPI_NOTE_REMOVED, AF_UNIX, 24);
	assert_int_equal(zapi_parse_notify(span_of(bytes, 16), v84(), &n, &fault), ZAPI_BAD_FAMILY);
	assert_int_equal(fault.offset, 4);
}

/* Every body, cut at every byte: refused below what is read, and never read beyond. */
static void truncated_bodies_are_refused(void **state)
{
	uint8_t bytes[64], *cut;
	struct zapi_interface i;
	struct zapi_notify n;
	struct prefix p;
	uint32_t code;

	(void)state;
	put_notify(bytes, ZAPI_NOTE_REMOVED, AF_INET6, 64);
	for (size_t len = 0; len < 26; len++) {
		cut = malloc(len ? len : 1);
		memcpy(cut, bytes, len);
		assert_int_equal(zapi_parse_notify(span_of(cut, len), v84(), &n, NULL),
				 ZAPI_TRUNCATED);
		free(cut);
	}
	for (size_t len = 0; len < 29; len++) {
		cut = malloc(len ? len : 1);
		memcpy(cut, interface_up + ZAPI_HEADER_SIZE, len);
		assert_int_equal(zapi_parse_interface(span_of(cut, len), &i, NULL), ZAPI_TRUNCATED);
		free(cut);
	}
	for (size_t len = 0; len < 6; len++)
		assert_int_equal(zapi_parse_router_id(span_of((uint8_t[]){2, 10, 0, 0, 1, 32}, len),
						      &p, NULL),
				 ZAPI_TRUNCATED);
	for (size_t len = 0; len < 4; len++)
		assert_int_equal(zapi_parse_error(span_of(bytes, len), &code, NULL),
				 ZAPI_TRUNCATED);
}

static size_t from_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = strlen(hex) / 2;
	unsigned byte;

	assert_true(n <= size);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return n;
}

/* What is read of routes that are of no use, or make no sense. */
static void odd_routes(void **state)
{
	static const struct {
		const char *body;
		enum zapi_error error;
		size_t offset;
	} cases[] = {
		/* source prefix; EVPN; SRv6 nexthop; backup nexthop */
		{"0c00000000000000000020010a00"
		 "00",
		 ZAPI_FOREIGN, 0},
		{"0c000000000020000000000102180a0200", ZAPI_FOREIGN, 0},
		{"0c000000000000000000010102180a0200"
		 "0001"
		 "00000000"
		 "0110"
		 "00000007",
		 ZAPI_FOREIGN, 0},
		{"0c000000000000000000010102180a0200"
		 "0001"
		 "00000000"
		 "0108"
		 "00000007",
		 ZAPI_FOREIGN, 0},
		{"0c000000000000000000010102180a0200"
		 "0001"
		 "00000000"
		 "0700"
		 "00000007",
		 ZAPI_BAD_NEXTHOP, 23},
		{"0c000000000000000000010103180a0200", ZAPI_BAD_FAMILY, 12},
		{"0c000000000000000000010102210a02000000", ZAPI_BAD_PREFIX_LENGTH, 13},
	};
	uint8_t bytes[256];
	struct zapi_route r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zapi_fault fault = {0};
		struct zapi_message m = {
			.body = span_of(bytes, from_hex(cases[i].body, bytes, sizeof(bytes)))};

		assert_int_equal(zapi_parse_route(&m, zapi_version_find(8, 4), &r, &fault),
				 cases[i].error);
		assert_int_equal(fault.offset, cases[i].offset);
	}
}

/* Of too many nexthops the first are kept, and what follows them is still found. */
static void many_nexthops(void **state)
{
	const struct zapi_version *v = zapi_version_find(8, 4);
	uint8_t bytes[512];
	struct zapi_route r;
	struct buf b = buf_over(bytes, sizeof(bytes));
	struct zapi_message m;

	(void)state;
	buf_put(&b, (const uint8_t[]){0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 8, 10, 0, 20}, 17);
	for (unsigned i = 0; i < 20; i++) {
		buf_put_u32(&b, 0);
		buf_put_u16(&b, 0x0100);
		buf_put_u32(&b, i + 1);
	}
	buf_put_u32(&b, 77);
	m = (struct zapi_message){.body = buf_span(&b)};
	assert_int_equal(zapi_parse_route(&m, v, &r, NULL), ZAPI_OK);
	assert_int_equal(r.n_nexthops, ZAPI_NEXTHOPS_MAX);
	assert_int_equal(r.nexthops[ZAPI_NEXTHOPS_MAX - 1].ifindex, ZAPI_NEXTHOPS_MAX);
	assert_int_equal(r.tag, 77);
}

static void truncated_vrfs_and_addresses(void **state)
{
	uint8_t bytes[256] = {0};
	struct zapi_vrf vrf;
	struct zapi_address a;
	struct zapi_fault fault;

	(void)state;
	for (size_t len = 0; len < 76; len++)
		assert_int_equal(zapi_parse_vrf(span_of(bytes, len), &vrf, NULL), ZAPI_TRUNCATED);
	assert_int_equal(zapi_parse_vrf(span_of(bytes, 76), &vrf, &fault), ZAPI_BAD_NAME);
	assert_int_equal(fault.offset, 40);
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(zapi_parse_vrf(span_of(bytes, 76), &vrf, NULL), ZAPI_OK);
	assert_int_equal(strlen(vrf.name), ZAPI_VRF_NAME);
	from_hex("0000000200"
		 "020a000001"
		 "20"
		 "0a000002",
		 bytes, sizeof(bytes));
	for (size_t len = 0; len < 15; len++)
		assert_int_equal(zapi_parse_address(span_of(bytes, len), &a, NULL), ZAPI_TRUNCATED);
	assert_int_equal(zapi_parse_address(span_of(bytes, 15), &a, NULL), ZAPI_OK);
	assert_int_equal(a.peer.family, 0);
}

static void bad_names_are_refused(void **state)
{
	uint8_t body[29] = {0};
	struct zapi_interface i;

	(void)state;
	assert_int_equal(zapi_parse_interface(span_of(body, sizeof(body)), &i, NULL),
			 ZAPI_BAD_NAME);
	memset(body, 'x', 16);
	assert_int_equal(zapi_parse_interface(span_of(body, sizeof(body)), &i, NULL),
			 ZAPI_BAD_NAME);
}

static void capabilities_check_the_row(void **state)
{
	uint8_t body[16] = {0};
	struct zapi_fault fault;

	(void)state;
	assert_int_equal(zapi_parse_capabilities(span_of(body, 10), v84(), &fault), ZAPI_OK);
	assert_int_equal(zapi_parse_capabilities(span_of(body, 11), v84(), &fault),
			 ZAPI_BAD_LENGTH);
	assert_int_equal(fault.value, 11);
}

static void versions_without_a_row_are_unknown(void **state)
{
	(void)state;
	assert_null(zapi_version_find(8, 1));
	assert_null(zapi_version_find(8, 6));
	assert_null(zapi_version_find(9, 2));
	assert_null(zapi_version_find(10, 8));
	assert_null(zapi_version_find(11, 0));
	assert_true(v84()->verified && v103()->verified);
	assert_false(zapi_version_find(10, 2)->verified);
}

static void reads_frr_versions(void **state)
{
	static const struct {
		const char *text;
		unsigned major, minor;
	} good[] = {
		{"FRRouting 8.4.4 (vm) on Linux(6.1).\nCopyright", 8, 4},
		{"FRRouting 10.2-dev (x)", 10, 2},
		{"FRRouting 9.0", 9, 0},
	};
	static const char *const bad[] = {"",
					  "FRRouting",
					  "FRRouting ",
					  "Quagga 1.2",
					  "FRRouting x.y",
					  "FRRouting 8",
					  "FRRouting 8.",
					  "FRRouting 99999.1",
					  "FRRouting 8.4.4444444444444444444444444444444 (x)"};
	struct frr_version v;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(frr_version_parse(span_str(good[i].text), &v));
		assert_int_equal(v.major, good[i].major);
		assert_int_equal(v.minor, good[i].minor);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(frr_version_parse(span_str(bad[i]), &v));
	assert_true(frr_version_parse(span_str("FRRouting 8.4.4 (vm)"), &v));
	assert_string_equal(v.text, "8.4.4");
	assert_false(v.unreleased);
	assert_true(frr_version_parse(span_str("FRRouting 10.8-dev (vm)"), &v));
	assert_true(v.unreleased);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_hello),
		cmocka_unit_test(encodes_hello_103),
		cmocka_unit_test(encodes_subscriptions),
		cmocka_unit_test(encodes_route_add),
		cmocka_unit_test(encodes_routes_103),
		cmocka_unit_test(encodes_route_add_ipv6),
		cmocka_unit_test(encodes_route_delete),
		cmocka_unit_test(parses_interface),
		cmocka_unit_test(truncated_messages_wait),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(unknown_commands_pass_by),
		cmocka_unit_test(parses_notify),
		cmocka_unit_test(parses_notify_103),
		cmocka_unit_test(bad_notify_is_refused),
		cmocka_unit_test(truncated_bodies_are_refused),
		cmocka_unit_test(odd_routes),
		cmocka_unit_test(many_nexthops),
		cmocka_unit_test(truncated_vrfs_and_addresses),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(capabilities_check_the_row),
		cmocka_unit_test(versions_without_a_row_are_unknown),
		cmocka_unit_test(reads_frr_versions),
	};

	return cmocka_run_group_tests_name("zapi", tests, NULL, NULL);
}
