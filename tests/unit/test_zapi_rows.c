/* The row of every FRR release: golden bytes of each message that it may read or write, and
 * where between two releases they change. */
#include "routed-bridge/zapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const unsigned releases[][2] = {
	{8, 2},	 {8, 3},  {8, 4},  {8, 5},  {9, 0},  {9, 1},  {10, 0},
	{10, 1}, {10, 2}, {10, 3}, {10, 4}, {10, 5}, {10, 6}, {10, 7},
};

#define RELEASES (sizeof(releases) / sizeof(releases[0]))

/* The bytes from a release on, until the next entry's. */
struct since {
	unsigned major, minor;
	const char *hex;
};

static bool before(const unsigned *release, const struct since *s)
{
	return release[0] < s->major || (release[0] == s->major && release[1] < s->minor);
}

static const char *golden(const unsigned *release, const struct since *s)
{
	const char *hex = s->hex;

	for (; s->hex && !before(release, s); s++)
		hex = s->hex;
	return hex;
}

typedef void encoder(struct buf *b, const struct zapi_version *v);

/* Every release's bytes, compared. */
static void check(encoder *encode, const struct since *table)
{
	for (size_t i = 0; i < RELEASES; i++) {
		uint8_t memory[512];
		char text[1 + 2 * sizeof(memory)] = "";
		struct buf b = buf_over(memory, sizeof(memory));
		const struct zapi_version *v = zapi_version_find(releases[i][0], releases[i][1]);

		assert_non_null(v);
		encode(&b, v);
		assert_false(b.overflow);
		for (size_t k = 0; k < b.len; k++)
			snprintf(text + 2 * k, 3, "%02x", memory[k]);
		if (strcmp(text, golden(releases[i], table)) != 0)
			fail_msg("FRR %u.%u: %s, not %s", v->major, v->minor, text,
				 golden(releases[i], table));
	}
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

static struct addr address(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static struct zapi_route route_to(const char *prefix)
{
	struct zapi_route r = {.type = ZAPI_TYPE_NHRP};

	assert_true(prefix_parse(prefix, &r.prefix));
	return r;
}

/* ---- written ---- */

static void write_hello(struct buf *b, const struct zapi_version *v)
{
	zapi_encode_hello(b, v, ZAPI_TYPE_TABLE, 4747);
}

static void hello(void **state)
{
	static const struct since table[] = {
		{8, 2, "0013fe060000000000120f128b000000000100"},
		{10, 0, "0012fe0600000000001310128b0000000000000bfe0600000000007c01"},
		{10, 2, "0012fe0600000000001310128b0000000000000bfe0600000000007e01"},
		{0},
	};

	(void)state;
	check(write_hello, table);
}

static void write_subscriptions(struct buf *b, const struct zapi_version *v)
{
	zapi_encode_router_id_add(b, v, AF_INET);
	zapi_encode_interface_add(b, v);
	zapi_encode_redistribute(b, v, true, 7, AF_INET6, ZAPI_TYPE_BGP, 0);
	zapi_encode_redistribute(b, v, false, 0, AF_INET, ZAPI_TYPE_TABLE, 300);
}

static void subscriptions(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "000cfe0600000000000f0001000afe06000000000000000efe0600000007000b020900"
		 "00000efe0600000000000c010f012c"},
		{10, 0,
		 "000cfe060000000000100001000afe06000000000000000efe0600000007000c020a00"
		 "00000efe0600000000000d0110012c"},
		{0},
	};

	(void)state;
	check(write_subscriptions, table);
}

static void write_device_route(struct buf *b, const struct zapi_version *v)
{
	struct zapi_route r = route_to("10.2.0.0/20");

	r.n_nexthops = 1;
	r.nexthops[0].ifindex = 7;
	zapi_encode_route_add(b, v, &r);
}

static void route_over_a_device(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "002bfe060000000000080c000000000000000000050102140a02000001000000000100"
		 "0000000700000000"},
		{10, 0,
		 "002bfe060000000000090d000000000000000000050102140a02000001000000000100"
		 "0000000700000000"},
		{0},
	};

	(void)state;
	check(write_device_route, table);
}

static void write_gateways(struct buf *b, const struct zapi_version *v)
{
	struct zapi_route r = route_to("10.2.0.0/16");

	r.n_nexthops = 1;
	r.nexthops[0] = (struct zapi_nexthop){
		.ifindex = 7, .gateway = address("192.0.2.1"), .onlink = true};
	zapi_encode_route_add(b, v, &r);
	r = route_to("2001:db8::/32");
	r.n_nexthops = 1;
	r.nexthops[0] = (struct zapi_nexthop){.ifindex = 8, .gateway = address("fe80::9")};
	zapi_encode_route_add(b, v, &r);
}

static void routes_over_gateways(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "002efe060000000000080c000000000000000000050102100a020001000000000301c0"
		 "0002010000000700000000003cfe060000000000080c00000000000000000005010a20"
		 "20010db80001000000000500fe80000000000000000000000000000900000008000000"
		 "00"},
		{10, 0,
		 "002efe060000000000090d000000000000000000050102100a020001000000000301c0"
		 "0002010000000700000000003cfe060000000000090d00000000000000000005010a20"
		 "20010db80001000000000500fe80000000000000000000000000000900000008000000"
		 "00"},
		{0},
	};

	(void)state;
	check(write_gateways, table);
}

static void write_ecmp(struct buf *b, const struct zapi_version *v)
{
	struct zapi_route r = route_to("10.0.0.0/8");

	r.n_nexthops = 3;
	r.nexthops[0].ifindex = 7;
	r.nexthops[1] = (struct zapi_nexthop){.ifindex = 8, .weight = 3};
	r.nexthops[2] =
		(struct zapi_nexthop){.ifindex = 9, .gateway = address("192.0.2.1"), .weight = 255};
	zapi_encode_route_add(b, v, &r);
}

static void ecmp_with_weights(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "0049fe060000000000080c000000000000000000050102080a00030000000001000000"
		 "00070000000001040000000800000003000000000304c000020100000009000000ff00"
		 "000000"},
		{10, 0,
		 "0049fe060000000000090d000000000000000000050102080a00030000000001000000"
		 "00070000000001040000000800000003000000000304c000020100000009000000ff00"
		 "000000"},
		{10, 1,
		 "0051fe060000000000090d000000000000000000050102080a00030000000001000000"
		 "0007000000000104000000080000000000000003000000000304c00002010000000900"
		 "000000000000ff00000000"},
		{0},
	};

	(void)state;
	check(write_ecmp, table);
}

static void write_variant(struct buf *b, const struct zapi_version *v)
{
	struct zapi_route r = route_to("10.0.0.0/8");

	r.n_nexthops = 2;
	r.nexthops[0].ifindex = 7;
	r.nexthops[1] = (struct zapi_nexthop){.ifindex = 8, .weight = 3};
	r.variant = 2;
	zapi_encode_route_add(b, v, &r);
}

/* Where zebra would keep a nexthop that the route has no more. */
static void ecmp_that_lost_a_nexthop(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "0037fe060000000000080c000000000000000000050102080a00020000000001000000"
		 "0007000000000104000000080000000300000000"},
		{10, 0,
		 "0037fe060000000000090d000000000000000000050102080a00020000000001000000"
		 "0007000000000104000000080000000300000000"},
		{10, 1,
		 "003bfe060000000000090d000000000000000000050102080a00020000000001000000"
		 "000700000000010400000008000000000000000300000000"},
		{10, 2,
		 "0043fe060000000000090d000000000000000000050102080a00020000000001040000"
		 "00070000000000000053000000000104000000080000000000"
		 "0000fe00000000"},
		{0},
	};

	(void)state;
	check(write_variant, table);
}

static void write_renewal(struct buf *b, const struct zapi_version *v)
{
	struct zapi_route r = route_to("10.0.0.0/8"), last;

	r.n_nexthops = 2;
	r.nexthops[0].ifindex = 7;
	r.nexthops[1].ifindex = 8;
	last = r;
	zapi_route_renew(&r, &last, 4);
	zapi_encode_route_add(b, v, &r);
}

/* Where zebra has a group of nexthops that the kernel has not. */
static void ecmp_that_is_renewed(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "003bfe060000000000080c000000000000000000050102080a00020000000001040000"
		 "0007000000fe000000000104000000080000"
		 "00fa00000000"},
		{10, 0,
		 "003bfe060000000000090d000000000000000000050102080a00020000000001040000"
		 "0007000000fe000000000104000000080000"
		 "00fa00000000"},
		{10, 1,
		 "0043fe060000000000090d000000000000000000050102080a00020000000001040000"
		 "000700000000000000fe000000000104000000080000000000"
		 "0000fa00000000"},
		{0},
	};

	(void)state;
	check(write_renewal, table);
}

/* For zebra, which scales by the largest, all are other ones than the one before, and those of
 * equal weights than all. */
static void renewals_are_others(void **state)
{
	static const uint32_t weights[][3] = {
		{1, 1, 0},   {1, 1, 1},	  {0, 0, 0},	   {1, 5, 0},	{5, 1, 0},
		{1, 255, 0}, {255, 1, 1}, {200, 201, 202}, {2, 2, 254}, {254, 254, 254}};

	(void)state;
	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		struct zapi_route r = route_to("10.0.0.0/8"), last;
		uint8_t bytes[ZAPI_RENEWALS + 1][256];
		size_t len[ZAPI_RENEWALS + 1];

		r.n_nexthops = i == 0 || (i > 2 && i < 6) ? 2 : 3;
		for (unsigned k = 0; k < r.n_nexthops; k++)
			r.nexthops[k] =
				(struct zapi_nexthop){.ifindex = k + 1, .weight = weights[i][k]};
		for (unsigned n = 0; n <= ZAPI_RENEWALS; n++) {
			struct buf b = buf_over(bytes[n], sizeof(bytes[n]));

			if (n)
				zapi_route_renew(&r, &last, n - 1);
			zapi_encode_route_add(&b, zapi_version_find(8, 4), &r);
			len[n] = b.len;
			last = r;
			for (unsigned k = i < 3 ? 0 : n ? n - 1 : 0; k < n; k++)
				assert_false(len[k] == len[n] &&
					     memcmp(bytes[k], bytes[n], len[n]) == 0);
		}
	}
}

static void write_blackhole(struct buf *b, const struct zapi_version *v)
{
	struct zapi_route r = route_to("::/0");

	r.n_nexthops = 1;
	r.distance = 254;
	zapi_encode_route_add(b, v, &r);
}

static void blackhole(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "0026fe060000000000080c00000000000000000007010a00000100000000060001fe00"
		 "000000"},
		{10, 0,
		 "0026fe060000000000090d00000000000000000007010a00000100000000060001fe00"
		 "000000"},
		{0},
	};

	(void)state;
	check(write_blackhole, table);
}

/* Everything that a route may have, in a VRF, over a device of that VRF; then taken out. */
static void write_full_route(struct buf *b, const struct zapi_version *v)
{
	struct zapi_route r = route_to("10.2.3.0/24");

	r.type = ZAPI_TYPE_TABLE;
	r.instance = 200;
	r.vrf = 5;
	r.distance = 10;
	r.metric = 20;
	r.tag = 65002;
	r.mtu = 1400;
	r.table = 1001;
	r.n_nexthops = 1;
	r.nexthops[0] = (struct zapi_nexthop){.vrf = 5, .ifindex = 7};
	zapi_encode_route_add(b, v, &r);
	zapi_encode_route_delete(b, v, &r);
}

static void attributes_and_vrf(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "0038fe060000000500080f00c8000000000000011f0102180a02030001000000050100"
		 "000000070a000000140000fdea00000578000003e9001ffe060000000500090f00c800"
		 "000000000001000102180a0203000003e9"},
		{10, 0,
		 "0038fe060000000500091000c8000000000000011f0102180a02030001000000050100"
		 "000000070a000000140000fdea00000578000003e9001ffe0600000005000a1000c800"
		 "000000000001000102180a0203000003e9"},
		{10, 4,
		 "0038fe060000000500091000c8000008000000011f0102180a02030001000000050100"
		 "000000070a000000140000fdea00000578000003e9001ffe0600000005000a1000c800"
		 "000800000001000102180a0203000003e9"},
		{0},
	};

	(void)state;
	check(write_full_route, table);
}

/* ---- read ---- */

/* The message as each release sends it. `native` bytes at its body's start are this machine's
 * byte order; the tables have them big-endian. */
static void read_as(size_t i, const struct since *table, size_t native, uint8_t *bytes,
		    struct zapi_message *m)
{
	const struct zapi_version *v = zapi_version_find(releases[i][0], releases[i][1]);
	size_t n = from_hex(golden(releases[i], table), bytes, 256);
	uint32_t swapped;

	assert_non_null(v);
	if (native) {
		swapped = be32_get(bytes + ZAPI_HEADER_SIZE);
		memcpy(bytes + ZAPI_HEADER_SIZE, &swapped, native);
	}
	assert_int_equal(zapi_parse_message(span_of(bytes, n), v, m, NULL), ZAPI_OK);
	assert_int_equal(m->size, n);
}

static void capabilities(void **state)
{
	static const struct since table[] = {
		{8, 2, "0014fe0600000000001300000000000000001000"},
		{9, 1, "0015fe060000000000130000000000000000100001"},
		{10, 0, "0015fe060000000000140000000000000000100001"},
		{10, 2, "0016fe06000000000014000000000000000010000100"},
		{10, 6, "0013fe06000000000014000000000010000100"},
		{0},
	};
	uint8_t bytes[256];
	struct zapi_message m;

	(void)state;
	for (size_t i = 0; i < RELEASES; i++) {
		read_as(i, table, 0, bytes, &m);
		assert_int_equal(m.command, ZAPI_CAPABILITIES);
		assert_int_equal(
			zapi_parse_capabilities(
				m.body, zapi_version_find(releases[i][0], releases[i][1]), NULL),
			ZAPI_OK);
	}
}

static void notify_owner(void **state)
{
	static const struct since table[] = {
		{8, 2, "001afe0600000005000a0000000202180a020000000003e90101"},
		{10, 0, "001afe0600000005000b0000000202180a020000000003e90101"},
		{10, 3, "001ffe0600000005000b0000000202180a0200000000000000000003e90101"},
		{0},
	};
	uint8_t bytes[256];
	struct zapi_message m;
	struct zapi_notify n;
	char text[PREFIX_TEXT];

	(void)state;
	for (size_t i = 0; i < RELEASES; i++) {
		const struct zapi_version *v = zapi_version_find(releases[i][0], releases[i][1]);

		read_as(i, table, 4, bytes, &m);
		assert_int_equal(m.command, ZAPI_ROUTE_NOTIFY_OWNER);
		assert_int_equal(m.vrf, 5);
		assert_int_equal(zapi_parse_notify(m.body, v, &n, NULL), ZAPI_OK);
		assert_int_equal(n.note, ZAPI_NOTE_INSTALLED);
		assert_int_equal(n.table, 1001);
		assert_string_equal(prefix_format(&n.prefix, text), "10.2.0.0/24");
	}
}

/* ERROR moves in nearly every release; the bytes are the machine's own order. */
static void errors(void **state)
{
	static const struct since table[] = {
		{8, 2, "000efe0600000000007600000002"},
		{9, 1, "000efe0600000000007500000002"},
		{10, 0, "000efe0600000000007600000002"},
		{10, 2, "000efe0600000000007800000002"},
		{0},
	};
	uint8_t bytes[256];
	struct zapi_message m;
	uint32_t code;

	(void)state;
	for (size_t i = 0; i < RELEASES; i++) {
		read_as(i, table, 4, bytes, &m);
		assert_int_equal(m.command, ZAPI_ERROR);
		assert_int_equal(zapi_parse_error(m.body, &code, NULL), ZAPI_OK);
		assert_int_equal(code, ZAPI_ERROR_BAD_COMMAND);
	}
}

#define RED_VRF                                                                    \
	"0000002a"                                                                 \
	"000000000000000000000000000000000000000000000000000000000000000000000000" \
	"726564000000000000000000000000000000000000000000000000000000000000000000"

static void vrfs(void **state)
{
	static const struct since added[] = {
		{8, 2, "0056fe06000000050021" RED_VRF},
		{10, 0, "0056fe06000000050022" RED_VRF},
		{10, 2, "0056fe06000000050021" RED_VRF},
		{0},
	};
	static const struct since gone[] = {
		{8, 2, "0056fe06000000050022" RED_VRF},
		{10, 0, "0056fe06000000050023" RED_VRF},
		{10, 2, "0056fe06000000050022" RED_VRF},
		{0},
	};
	uint8_t bytes[256];
	struct zapi_message m;
	struct zapi_vrf vrf;

	(void)state;
	for (size_t i = 0; i < RELEASES; i++) {
		read_as(i, gone, 4, bytes, &m);
		assert_int_equal(m.command, ZAPI_VRF_DELETE);
		read_as(i, added, 4, bytes, &m);
		assert_int_equal(m.command, ZAPI_VRF_ADD);
		assert_int_equal(m.vrf, 5);
		assert_int_equal(zapi_parse_vrf(m.body, &vrf, NULL), ZAPI_OK);
		assert_string_equal(vrf.name, "red");
		assert_int_equal(vrf.table, 42);
	}
}

#define TUN_HEAD                           \
	"74756e2d616200000000000000000000" \
	"00000002"                         \
	"05"                               \
	"00000000000110d1"                 \
	"0003"                             \
	"0000000000000000"

/* The head is the same in all; txqlen (9.1) and the kind (10.6) come after it. */
static void interfaces(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "004afe06000000050004" TUN_HEAD
		 "000005dc000005dc0000000000000000000000180000000000"},
		{9, 1,
		 "004efe06000000050004" TUN_HEAD
		 "00000000000005dc000005dc0000000000000000000000180000000000"},
		{10, 6,
		 "0052fe06000000050004" TUN_HEAD
		 "00000000000005dc000005dc000000000000000000000000000000180000000000"},
		{0},
	};
	uint8_t bytes[256];
	struct zapi_message m;
	struct zapi_interface n;

	(void)state;
	for (size_t i = 0; i < RELEASES; i++) {
		read_as(i, table, 0, bytes, &m);
		assert_int_equal(m.command, ZAPI_INTERFACE_UP);
		assert_int_equal(zapi_parse_interface(m.body, &n, NULL), ZAPI_OK);
		assert_string_equal(n.name, "tun-ab");
		assert_int_equal(n.ifindex, 2);
		assert_true(n.link_detect);
		assert_int_equal(n.flags, 0x110d1);
	}
}

static void addresses(void **state)
{
	static const struct since v4[] = {
		{8, 2, "0019fe060000000000020000000202020a000001200a000002"}, {0}};
	static const struct since v6[] = {
		{8, 2,
		 "0031fe0600000000000300000002000afe800000000000000000000000000001400000"
		 "0000000000000000000000000000"},
		{0}};
	uint8_t bytes[256];
	struct zapi_message m;
	struct zapi_address a;
	char text[PREFIX_TEXT];

	(void)state;
	for (size_t i = 0; i < RELEASES; i++) {
		read_as(i, v4, 0, bytes, &m);
		assert_int_equal(m.command, ZAPI_INTERFACE_ADDRESS_ADD);
		assert_int_equal(zapi_parse_address(m.body, &a, NULL), ZAPI_OK);
		assert_int_equal(a.ifindex, 2);
		assert_string_equal(prefix_format(&a.prefix, text), "10.0.0.1/32");
		assert_string_equal(addr_format(&a.peer, text), "10.0.0.2");
		read_as(i, v6, 0, bytes, &m);
		assert_int_equal(m.command, ZAPI_INTERFACE_ADDRESS_DELETE);
		assert_int_equal(zapi_parse_address(m.body, &a, NULL), ZAPI_OK);
		assert_string_equal(prefix_format(&a.prefix, text), "fe80::1/64");
		assert_int_equal(a.peer.family, 0);
	}
}

/* A BGP route over two peers, the second labelled, as zebra redistributes it. */
static void redistributed(void **state)
{
	static const struct since table[] = {
		{8, 2,
		 "0053fe0600000005001e090000000000190000001f0102180a02000002000000050304"
		 "c00002010000000700000001000000050306c000020200000008010006400000000003"
		 "1400000000000000c800000000"},
		{9, 0,
		 "0054fe0600000005001e090000000000190000001f0102180a02000002000000050304"
		 "c00002010000000700000001000000050306c000020200000008010400064000000000"
		 "031400000000000000c800000000"},
		{10, 0,
		 "0054fe0600000005001f0a0000000000190000001f0102180a02000002000000050304"
		 "c00002010000000700000001000000050306c000020200000008010400064000000000"
		 "031400000000000000c800000000"},
		{10, 1,
		 "005cfe0600000005001f0a0000000000190000001f0102180a02000002000000050304"
		 "c0000201000000070000000000000001000000050306c0000202000000080104000640"
		 "0000000000000000031400000000000000c800000000"},
		{0},
	};
	uint8_t bytes[256];
	struct zapi_message m;
	struct zapi_route r;
	char text[PREFIX_TEXT];

	(void)state;
	for (size_t i = 0; i < RELEASES; i++) {
		const struct zapi_version *v = zapi_version_find(releases[i][0], releases[i][1]);

		read_as(i, table, 0, bytes, &m);
		assert_int_equal(m.command, ZAPI_REDISTRIBUTE_ROUTE_ADD);
		assert_int_equal(zapi_parse_route(&m, v, &r, NULL), ZAPI_OK);
		assert_int_equal(r.type, ZAPI_TYPE_BGP);
		assert_int_equal(r.vrf, 5);
		assert_string_equal(prefix_format(&r.prefix, text), "10.2.0.0/24");
		assert_int_equal(r.n_nexthops, 2);
		assert_int_equal(r.nexthops[0].vrf, 5);
		assert_int_equal(r.nexthops[0].weight, 1);
		assert_int_equal(r.nexthops[1].ifindex, 8);
		assert_int_equal(r.nexthops[1].weight, 3);
		assert_string_equal(addr_format(&r.nexthops[1].gateway, text), "192.0.2.2");
		assert_int_equal(r.distance, 20);
		assert_int_equal(r.tag, 200);
		for (size_t len = 0; len < m.body.len; len++) {
			struct zapi_message cut = m;

			cut.body.len = len;
			assert_int_equal(zapi_parse_route(&cut, v, &r, NULL), ZAPI_TRUNCATED);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello),
		cmocka_unit_test(subscriptions),
		cmocka_unit_test(route_over_a_device),
		cmocka_unit_test(routes_over_gateways),
		cmocka_unit_test(ecmp_with_weights),
		cmocka_unit_test(ecmp_that_lost_a_nexthop),
		cmocka_unit_test(ecmp_that_is_renewed),
		cmocka_unit_test(renewals_are_others),
		cmocka_unit_test(blackhole),
		cmocka_unit_test(attributes_and_vrf),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(notify_owner),
		cmocka_unit_test(errors),
		cmocka_unit_test(vrfs),
		cmocka_unit_test(interfaces),
		cmocka_unit_test(addresses),
		cmocka_unit_test(redistributed),
	};

	return cmocka_run_group_tests_name("zapi rows", tests, NULL, NULL);
}
