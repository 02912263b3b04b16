/* The IKEv2 codec: round trips, truncation of every sample at every byte, and each
 * refusal with its offset and value. */
#include "tests/support/wire_echo.h"
#include "tests/unit/wire_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SAMPLES (sizeof(wire_samples) / sizeof(wire_samples[0]))

/* Bytes of a hex string on the heap, exactly as long as they are: ASan then sees every
 * read behind the end. */
static struct span from_hex(const char *hex)
{
	size_t n = strlen(hex) / 2;
	uint8_t *p = malloc(n ? n : 1);

	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		p[i] = (uint8_t)byte;
	}
	return span_of(p, n);
}

static struct span exact_copy(struct span s, size_t n)
{
	uint8_t *p = malloc(n ? n : 1);

	memcpy(p, s.ptr, n);
	return span_of(p, n);
}

static void release(struct span s)
{
	free((void *)(uintptr_t)s.ptr);
}

static struct span behind_header(struct span datagram)
{
	return span_of(datagram.ptr + WIRE_HEADER_LEN, datagram.len - WIRE_HEADER_LEN);
}

/* Parses a sample or a part of one: the header first when it is a whole datagram. */
static struct wire_fault parse_sample(uint8_t first, struct span in, struct wire_header *h,
				      struct wire_message *m)
{
	struct wire_fault f = {0};

	*h = (struct wire_header){.exchange = EXCHANGE_INFORMATIONAL, .next_payload = first};
	if (first)
		return wire_parse_payloads(first, in, m);
	f = wire_parse_header(in, h);
	return f.error ? f : wire_parse_payloads(h->next_payload, behind_header(in), m);
}

static void samples_survive_a_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		const struct wire_sample *s = &wire_samples[i];
		struct span in = from_hex(s->hex), chain = in, out;
		struct wire_message m;
		struct wire_header h;
		struct wire_writer w;
		uint8_t memory[2048];

		assert_int_equal(parse_sample(s->first, in, &h, &m).error, WIRE_OK);
		if (!s->first)
			chain = behind_header(in);
		wire_begin(&w, memory, sizeof(memory), &h);
		wire_echo(&w, h.next_payload, chain, &m);
		out = wire_end(&w);
		if (s->first)
			out = behind_header(out);
		if (!span_equal(in, out))
			fail_msg("%s: differs after a round trip", s->name);
		release(in);
	}
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		const struct wire_sample *s = &wire_samples[i];
		struct span whole = from_hex(s->hex);

		for (size_t n = 0; n < whole.len; n++) {
			struct span in = exact_copy(whole, n);
			struct wire_message m;
			struct wire_header h;
			struct wire_fault f = parse_sample(s->first, in, &h, &m);

			if (f.error == WIRE_OK || f.offset > n)
				fail_msg("%s cut to %zu bytes: error %d at %zu", s->name, n,
					 (int)f.error, f.offset);
			release(in);
		}
		release(whole);
	}
}

/* The same inside a datagram whose length field agrees with the cut. */
static void every_truncation_behind_a_right_length_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		struct span whole = from_hex(wire_samples[i].hex);

		for (size_t n = WIRE_HEADER_LEN; !wire_samples[i].first && n < whole.len; n++) {
			struct span in = exact_copy(whole, n);
			struct wire_message m;
			struct wire_header h;

			be32_set((uint8_t *)(uintptr_t)in.ptr + 24, (uint32_t)n);
			assert_int_not_equal(parse_sample(0, in, &h, &m).error, WIRE_OK);
			release(in);
		}
		release(whole);
	}
}

static void every_single_bit_flip_stays_inside(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		struct span whole = from_hex(wire_samples[i].hex);

		for (size_t bit = 0; bit < whole.len * 8; bit++) {
			struct span in = exact_copy(whole, whole.len);
			struct wire_message m;
			struct wire_header h;

			((uint8_t *)(uintptr_t)in.ptr)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_true(parse_sample(wire_samples[i].first, in, &h, &m).offset <=
				    in.len);
			release(in);
		}
		release(whole);
	}
}

static struct span sample(const char *name)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		if (!strcmp(wire_samples[i].name, name))
			return from_hex(wire_samples[i].hex);
	}
	fail_msg("no sample '%s'", name);
	return (struct span){0};
}

static void header_is_read(void **state)
{
	struct span in = sample("IKE_SA_INIT response");
	struct wire_header h;

	(void)state;
	assert_int_equal(wire_parse_header(in, &h).error, WIRE_OK);
	assert_true(h.spi_i == 0xa1a2a3a4a5a6a7a8 && h.spi_r == 0x1122334455667788);
	assert_int_equal(h.next_payload, PAYLOAD_SA);
	assert_int_equal(h.exchange, EXCHANGE_IKE_SA_INIT);
	assert_int_equal(h.flags, FLAG_RESPONSE);
	assert_int_equal(h.message_id, 0);
	assert_int_equal(h.length, in.len);
	release(in);
}

static void other_major_versions_are_refused_with_the_header_filled(void **state)
{
	struct span in = sample("IKE_SA_INIT response");
	struct wire_header h = {0};
	struct wire_fault f;

	(void)state;
	((uint8_t *)(uintptr_t)in.ptr)[17] = 0x30;
	f = wire_parse_header(in, &h);
	assert_int_equal(f.error, WIRE_BAD_VERSION);
	assert_int_equal(f.value, 0x30);
	assert_true(h.spi_i == 0xa1a2a3a4a5a6a7a8);
	((uint8_t *)(uintptr_t)in.ptr)[17] = 0x2f; /* the minor version doesn't matter */
	assert_int_equal(wire_parse_header(in, &h).error, WIRE_OK);
	release(in);
}

static void proposals_are_read(void **state)
{
	struct span in = sample("IKE_SA_INIT request");
	struct wire_header h;
	struct wire_message m;

	(void)state;
	assert_int_equal(parse_sample(0, in, &h, &m).error, WIRE_OK);
	assert_int_equal(m.sa.n, 2);
	assert_int_equal(m.sa.p[0].n_transforms, 7);
	assert_int_equal(m.sa.p[0].transforms[1].type, TRANSFORM_ENCR);
	assert_int_equal(m.sa.p[0].transforms[1].id, ENCR_AES_GCM_16);
	assert_int_equal(m.sa.p[0].transforms[1].key_bits, 128);
	assert_int_equal(m.sa.p[1].number, 2);
	assert_int_equal(m.sa_spis[1].len, 0);
	assert_int_equal(m.ke.group, KE_CURVE25519);
	assert_int_equal(m.nonce.len, 32);
	assert_non_null(wire_find_notify(&m, NOTIFY_NAT_DETECTION_SOURCE_IP));
	assert_null(wire_find_notify(&m, NOTIFY_COOKIE));
	assert_null(wire_find_error(&m));
	release(in);
}

static void identities_and_selectors_are_read(void **state)
{
	struct span in = sample("IKE_AUTH request, inside");
	struct wire_message m;

	(void)state;
	assert_int_equal(wire_parse_payloads(PAYLOAD_IDI, in, &m).error, WIRE_OK);
	assert_int_equal(m.idi.id.type, ID_FQDN);
	assert_int_equal(m.idi.body.len, 4 + 9);
	assert_int_equal(m.idr.id.type, ID_IPV4_ADDR);
	assert_int_equal(m.auth.method, AUTH_SHARED_KEY);
	assert_int_equal(m.sa_spis[0].len, 4);
	assert_int_equal(m.tsi.n, 2);
	assert_int_equal(m.tsi.ts[1].family, AF_INET6);
	assert_int_equal(m.tsr.ts[1].protocol, 6);
	assert_int_equal(m.tsr.ts[1].port_start, 80);
	assert_int_equal(m.tsr.ts[1].port_end, 443);
	release(in);
}

/* A chain in hex, the first payload's type, and the fault that is expected. */
static void assert_fault(uint8_t first, const char *hex, enum wire_error error, size_t offset,
			 uint32_t value)
{
	struct span in = from_hex(hex);
	struct wire_message m;
	struct wire_fault f = wire_parse_payloads(first, in, &m);

	if (f.error != error || f.offset != offset || f.value != value)
		fail_msg("%u %s: got '%s' at %zu, value %u", first, hex, wire_strerror(f.error),
			 f.offset, f.value);
	release(in);
}

static void configuration_is_read(void **state)
{
	struct span in = sample("configuration reply, inside");
	const struct wire_cp_attribute *a;
	struct wire_message m;
	char text[ADDR_TEXT];

	(void)state;
	assert_int_equal(wire_parse_payloads(PAYLOAD_CP, in, &m).error, WIRE_OK);
	assert_int_equal(m.cp.type, CFG_REPLY);
	assert_int_equal(m.cp.n, 6);
	a = m.cp.attributes;
	assert_string_equal(addr_format(&a[0].addr, text), "10.3.0.1");
	assert_int_equal(a[0].prefix_len, 32);
	assert_string_equal(addr_format(&a[1].addr, text), "2001:db8::1");
	assert_int_equal(a[1].prefix_len, 124);
	assert_string_equal(addr_format(&a[2].addr, text), "10.3.1.1");
	assert_int_equal(a[2].type, CFG_INTERNAL_IP4_DNS);
	assert_int_equal(a[3].prefix_len, 16);
	assert_int_equal(a[4].prefix_len, 48);
	assert_int_equal(a[5].value.len, 4);
	release(in);
	in = sample("configuration request, inside");
	assert_int_equal(wire_parse_payloads(PAYLOAD_CP, in, &m).error, WIRE_OK);
	assert_int_equal(m.cp.n, 7);
	assert_int_equal(m.cp.attributes[0].addr.family, 0);
	assert_int_equal(m.cp.attributes[4].addr.family, AF_INET);
	release(in);
}

/* RFC 7296 3.15.1: the first bit of a type is reserved, unknown types are passed over. */
static void unknown_attributes_of_a_configuration_are_passed_over(void **state)
{
	struct wire_message m;
	struct span in;

	(void)state;
	assert_fault(PAYLOAD_CP, "000000150100000040000003aabbcc800100000005", WIRE_BAD_CP, 19, 5);
	in = from_hex("000000130100000040000003aabbcc80010000");
	assert_int_equal(wire_parse_payloads(PAYLOAD_CP, in, &m).error, WIRE_OK);
	assert_int_equal(m.cp.n, 1);
	assert_int_equal(m.cp.attributes[0].type, CFG_INTERNAL_IP4_ADDRESS);
	assert_int_equal(m.ignored, 1);
	release(in);
}

static void bad_configurations(void **state)
{
	(void)state;
	assert_fault(PAYLOAD_CP, "0000000701aabb", WIRE_BAD_LENGTH, 2, 7);
	assert_fault(PAYLOAD_CP, "0000000901000000aa", WIRE_BAD_CP, 8, 0);
	assert_fault(PAYLOAD_CP, "0000000c0100000000010004", WIRE_BAD_CP, 8, 1);
	assert_fault(PAYLOAD_CP, "0000000f01000000000100030a0300", WIRE_BAD_CP, 8, 1);
	/* an IPv6 address without its prefix length, and one that is too long */
	assert_fault(PAYLOAD_CP,
		     "0000001c01000000"
		     "0008001020010db8000000000000000000000001",
		     WIRE_BAD_CP, 8, 8);
	assert_fault(PAYLOAD_CP,
		     "0000001d01000000"
		     "0008001120010db800000000000000000000000181",
		     WIRE_BAD_CP, 8, 8);
	/* a mask with a hole, half an attribute's number */
	assert_fault(PAYLOAD_CP, "0000001401000000000d00080a030000ff00ff00", WIRE_BAD_CP, 8, 13);
	assert_fault(PAYLOAD_CP, "0000000f01000000000e0003000100", WIRE_BAD_CP, 8, 14);
	assert_fault(PAYLOAD_CP, "0000001001000000000a00040a030001", WIRE_BAD_CP, 8, 10);
}

static void configurations_beyond_the_list_are_left_out(void **state)
{
	uint8_t memory[512];
	struct wire_header h = {.exchange = EXCHANGE_INFORMATIONAL};
	struct addr a = {.family = AF_INET, .bytes = {10, 3, 0, 1}}, none = {0};
	struct wire_writer w;
	struct wire_message m;
	size_t start;

	(void)state;
	wire_begin(&w, memory, sizeof(memory), &h);
	start = wire_open_cp(&w, CFG_REPLY);
	wire_put_cp_addr(&w, CFG_INTERNAL_IP6_ADDRESS, &none, 0);
	for (unsigned i = 0; i < WIRE_CP_MAX + 3; i++)
		wire_put_cp_addr(&w, CFG_INTERNAL_IP4_ADDRESS, &a, 32);
	wire_close_cp(&w, start);
	assert_int_equal(wire_parse_payloads(PAYLOAD_CP, behind_header(wire_end(&w)), &m).error,
			 WIRE_OK);
	assert_int_equal(m.cp.n, WIRE_CP_MAX);
	assert_int_equal(m.ignored, 4);
	assert_int_equal(m.cp.attributes[0].addr.family, 0);
	assert_true(addr_equal(&m.cp.attributes[1].addr, &a));
}

static void sk_is_found(void **state)
{
	struct span in = sample("IKE_AUTH request, protected");
	struct wire_message m;
	struct wire_header h;

	(void)state;
	assert_int_equal(parse_sample(0, in, &h, &m).error, WIRE_OK);
	assert_int_equal(m.sk.len, 8 + 80 + 16);
	assert_int_equal(m.sk_next, PAYLOAD_IDI);
	assert_int_equal(m.sk_offset, 4);
	release(in);
}

static void unknown_payloads(void **state)
{
	struct span in = from_hex("3c000004000000080000400a");
	struct wire_message m;

	(void)state;
	assert_fault(60, "00800004", WIRE_CRITICAL, 0, 60);
	assert_fault(PAYLOAD_VENDOR_ID,
		     "3c000004"
		     "00800005aa",
		     WIRE_CRITICAL, 4, 60);
	/* RFC 7296 2.5: the bit means nothing on a payload that is known */
	assert_fault(PAYLOAD_VENDOR_ID, "00800005aa", WIRE_OK, 0, 0);
	assert_int_equal(wire_parse_payloads(PAYLOAD_VENDOR_ID, in, &m).error, WIRE_OK);
	assert_int_equal(m.ignored, 1);
	release(in);
}

static void bad_chains(void **state)
{
	char many[257 * 8 + 1] = "";

	(void)state;
	assert_fault(PAYLOAD_NONE, "", WIRE_OK, 0, 0);
	assert_fault(PAYLOAD_NONE, "00", WIRE_TRAILING, 0, 1);
	assert_fault(PAYLOAD_VENDOR_ID, "000000040000", WIRE_TRAILING, 4, 2);
	assert_fault(PAYLOAD_VENDOR_ID, "00000003", WIRE_BAD_LENGTH, 2, 3);
	assert_fault(PAYLOAD_VENDOR_ID, "00000005", WIRE_TRUNCATED, 2, 5);
	assert_fault(PAYLOAD_VENDOR_ID, "2b000004", WIRE_TRUNCATED, 4, 43);
	assert_fault(PAYLOAD_AUTH, "2700000902000000aa0000000902000000aa", WIRE_DUPLICATE, 9, 39);
	assert_fault(PAYLOAD_SK, "0000000400", WIRE_SK_NOT_LAST, 0, 1);
	assert_fault(PAYLOAD_SA, "00000008deadbeef", WIRE_BAD_LENGTH, 2, 8);
	for (int i = 0; i < 257; i++)
		strcat(many, i == 256 ? "00000004" : "2b000004");
	assert_fault(PAYLOAD_VENDOR_ID, many, WIRE_TOO_MANY, 256 * 4, 257);
}

static void bad_bodies(void **state)
{
	(void)state;
	assert_fault(PAYLOAD_KE, "00000008001f0000", WIRE_BAD_KE, 8, 31);
	assert_fault(PAYLOAD_NONCE, "0000000caabbccddaabbccdd", WIRE_BAD_NONCE, 4, 8);
	assert_fault(PAYLOAD_IDI, "0000000b01000000c00002", WIRE_BAD_ID, 4, 1);
	assert_fault(PAYLOAD_AUTH, "0000000802000000", WIRE_BAD_AUTH, 8, 2);
	assert_fault(PAYLOAD_NOTIFY, "0000000803044009", WIRE_BAD_NOTIFY, 5, 4);
	assert_fault(PAYLOAD_NOTIFY, "0000000a030240090000", WIRE_BAD_NOTIFY, 5, 2);
	assert_fault(PAYLOAD_DELETE, "0000000c03040002aabbccdd", WIRE_BAD_DELETE, 5, 4);
	assert_fault(PAYLOAD_DELETE, "0000000c01040001aabbccdd", WIRE_BAD_DELETE, 5, 4);
	assert_fault(PAYLOAD_TSI, "0000000800000000", WIRE_BAD_TS, 4, 0);
	assert_fault(PAYLOAD_TSI,
		     "0000001801000000"
		     "070000100000ffff"
		     "0a0100ff0a010000",
		     WIRE_BAD_TS, 12, 0);
	assert_fault(PAYLOAD_TSI,
		     "0000001801000000"
		     "0700000f0000ffff"
		     "0a0100000a010000",
		     WIRE_BAD_TS, 10, 15);
}

static void bad_proposals(void **state)
{
	(void)state;
	/* a lone proposal, one transform, ESP */
#define ESP_HEAD   \
	"00000014" \
	"01030401" \
	"aabbccdd"
	assert_fault(PAYLOAD_SA, "00000018" ESP_HEAD "0000000803000005", WIRE_OK, 0, 0);
	/* SPI of 8 bytes with ESP, RFC 7296 3.3.1 */
	assert_fault(PAYLOAD_SA,
		     "0000001c"
		     "00000018"
		     "01030801"
		     "aabbccddaabbccdd"
		     "0000000803000005",
		     WIRE_BAD_PROPOSAL, 10, 8);
	/* two transforms announced, one there */
	assert_fault(PAYLOAD_SA,
		     "00000018"
		     "00000014"
		     "01030402"
		     "aabbccdd"
		     "0000000803000005",
		     WIRE_BAD_TRANSFORM, 24, 2);
	/* another proposal announced, none there */
	assert_fault(PAYLOAD_SA,
		     "00000018"
		     "02000014"
		     "01030401"
		     "aabbccdd"
		     "0000000803000005",
		     WIRE_BAD_PROPOSAL, 24, 0);
	/* number 2 before number 1 */
	assert_fault(PAYLOAD_SA,
		     "0000002c"
		     "02000014"
		     "02030401"
		     "aabbccdd"
		     "0000000803000005" ESP_HEAD "0000000803000005",
		     WIRE_BAD_PROPOSAL, 8, 2);
	/* Key Length twice; in TLV form */
	assert_fault(PAYLOAD_SA,
		     "00000020"
		     "0000001c"
		     "01030401"
		     "aabbccdd"
		     "0000001001000014"
		     "800e0080800e0080",
		     WIRE_BAD_TRANSFORM, 28, 128);
	assert_fault(PAYLOAD_SA,
		     "0000001e"
		     "0000001a"
		     "01030401"
		     "aabbccdd"
		     "0000000e01000014"
		     "000e00020080",
		     WIRE_BAD_TRANSFORM, 24, 14);
}

/* Peers may offer more than we hold: the first ones are kept, all are checked. */
static void proposals_beyond_the_list_are_left_out(void **state)
{
	uint8_t chain[4 + 12 * 20] = {0, 0, 0, sizeof(chain)};
	struct span in = span_of(chain, sizeof(chain));
	struct wire_message m;

	(void)state;
	for (uint8_t i = 0; i < 12; i++) {
		uint8_t one[20] = {i == 11 ? 0 : 2,
				   0,
				   0,
				   20,
				   i + 1,
				   PROTOCOL_ESP,
				   4,
				   1,
				   1,
				   2,
				   3,
				   4,
				   0,
				   0,
				   0,
				   8,
				   TRANSFORM_INTEG,
				   0,
				   0,
				   5};

		memcpy(chain + 4 + 20 * i, one, sizeof(one));
	}
	assert_int_equal(wire_parse_payloads(PAYLOAD_SA, in, &m).error, WIRE_OK);
	assert_int_equal(m.sa.n, PROPOSAL_LIST_MAX);
	assert_int_equal(m.sa.p[PROPOSAL_LIST_MAX - 1].number, PROPOSAL_LIST_MAX);
	chain[4 + 20 * 11 + 4] = 13; /* the last one's number */
	assert_int_equal(wire_parse_payloads(PAYLOAD_SA, in, &m).error, WIRE_BAD_PROPOSAL);
}

static void transforms_beyond_the_list_are_left_out(void **state)
{
	uint8_t chain[4 + 12 + 200 * 8] = {0, 0, sizeof(chain) >> 8, sizeof(chain) & 255};
	const uint8_t head[] = {0,
				0,
				(sizeof(chain) - 4) >> 8,
				(sizeof(chain) - 4) & 255,
				1,
				PROTOCOL_ESP,
				4,
				200,
				1,
				2,
				3,
				4};
	struct span in = span_of(chain, sizeof(chain));
	struct wire_message m;

	(void)state;
	memcpy(chain + 4, head, sizeof(head));
	for (uint8_t i = 0; i < 200; i++) {
		const uint8_t one[8] = {i == 199 ? 0 : 3, 0, 0, 8, TRANSFORM_KE, 0, 0, i};

		memcpy(chain + 16 + 8 * i, one, sizeof(one));
	}
	assert_int_equal(wire_parse_payloads(PAYLOAD_SA, in, &m).error, WIRE_OK);
	assert_int_equal(m.sa.p[0].n_transforms, PROPOSAL_TRANSFORMS_MAX);
	assert_int_equal(m.sa.p[0].transforms[PROPOSAL_TRANSFORMS_MAX - 1].id,
			 PROPOSAL_TRANSFORMS_MAX - 1);
	chain[16 + 8 * 199 + 3] = 7; /* the last one's length */
	assert_int_equal(wire_parse_payloads(PAYLOAD_SA, in, &m).error, WIRE_BAD_TRANSFORM);
}

/* A peer with many addresses (RFC 4555) is no reason to refuse its IKE_AUTH. */
static void notifies_beyond_the_list_are_left_out(void **state)
{
	uint8_t chain[100 * 12];
	struct span in = span_of(chain, sizeof(chain));
	struct wire_message m;

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		const uint8_t one[12] = {i == 99 ? 0 : PAYLOAD_NOTIFY,
					 0,
					 0,
					 12,
					 0,
					 0,
					 0x40,
					 0x0d,
					 192,
					 0,
					 2,
					 (uint8_t)i};

		memcpy(chain + 12 * i, one, sizeof(one));
	}
	assert_int_equal(wire_parse_payloads(PAYLOAD_NOTIFY, in, &m).error, WIRE_OK);
	assert_int_equal(m.n_notifies, WIRE_NOTIFIES_MAX);
	assert_int_equal(m.ignored, 100 - WIRE_NOTIFIES_MAX);
}

/* RFC 7296 3.3.6: one transform is lost, not the proposal. */
static void unknown_attributes_make_a_transform_unusable(void **state)
{
	struct span in = from_hex("00000024"
				  "00000020"
				  "01030402"
				  "aabbccdd"
				  "0300000c01000014"
				  "80110080"
				  "0000000803000005");
	struct wire_message m;

	(void)state;
	assert_int_equal(wire_parse_payloads(PAYLOAD_SA, in, &m).error, WIRE_OK);
	assert_int_equal(m.sa.p[0].transforms[0].type, TRANSFORM_ENCR);
	assert_int_equal(m.sa.p[0].transforms[0].key_bits, TRANSFORM_KEY_UNUSABLE);
	assert_int_equal(m.sa.p[0].transforms[1].type, TRANSFORM_INTEG);
	release(in);
}

/* RFC 7296 3.13.1: ports in this order mean OPAQUE, and only these two. */
static void opaque_ports(void **state)
{
	struct span in = from_hex("00000018"
				  "01000000"
				  "07060010ffff0000"
				  "0a0100000a0100ff");
	struct wire_message m;

	(void)state;
	assert_int_equal(wire_parse_payloads(PAYLOAD_TSR, in, &m).error, WIRE_OK);
	assert_false(m.tsr_skipped);
	assert_int_equal(m.tsr.n, 1);
	assert_int_equal(m.tsr.ts[0].port_start, UINT16_MAX);
	assert_int_equal(m.tsr.ts[0].port_end, 0);
	((uint8_t *)(uintptr_t)in.ptr)[15] = 1;
	assert_int_equal(wire_parse_payloads(PAYLOAD_TSR, in, &m).error, WIRE_BAD_TS);
	release(in);
}

static void selectors_of_unknown_type_are_left_out(void **state)
{
	struct span in = from_hex("00000024"
				  "03000000"
				  "0900000c00000000aabbccdd"
				  "070000100000ffff"
				  "0a0100000a0100ff");
	struct wire_message m;

	(void)state;
	/* three announced, two there */
	assert_int_equal(wire_parse_payloads(PAYLOAD_TSI, in, &m).error, WIRE_BAD_TS);
	((uint8_t *)(uintptr_t)in.ptr)[4] = 2;
	assert_int_equal(wire_parse_payloads(PAYLOAD_TSI, in, &m).error, WIRE_OK);
	assert_true(m.tsi_skipped && !m.tsr_skipped);
	assert_int_equal(m.tsi.n, 1);
	release(in);
}

static void sk_is_laid_out(void **state)
{
	struct wire_header h = {.spi_i = 1, .exchange = EXCHANGE_INFORMATIONAL};
	uint8_t memory[256];

	(void)state;
	for (size_t block = 1; block <= 16; block *= 2) {
		struct wire_writer w;
		struct wire_sk_parts parts;
		struct wire_message m;
		struct wire_header back;

		wire_begin(&w, memory, sizeof(memory), &h);
		wire_open_sk(&w, 8);
		wire_put_notify(&w, 0, NOTIFY_TEMPORARY_FAILURE, span_of(NULL, 0), span_str("x"));
		assert_true(wire_close_sk(&w, block, 8, 16, &parts));
		assert_int_equal(parts.plain_len % block, 0);
		assert_int_equal(parts.plain_len, 9 + 1 + parts.plain[parts.plain_len - 1]);
		assert_true(parts.plain_len - 9 - 1 < block);
		assert_int_equal(parts.aad.len, WIRE_HEADER_LEN + 4);
		assert_ptr_equal(parts.iv, memory + WIRE_HEADER_LEN + 4);
		assert_ptr_equal(parts.icv, parts.plain + parts.plain_len);
		assert_int_equal(parse_sample(0, buf_span(&w.buf), &back, &m).error, WIRE_OK);
		assert_int_equal(m.sk_next, PAYLOAD_NOTIFY);
		assert_int_equal(m.sk.len, 8 + parts.plain_len + 16);
	}
}

static void overflow_is_told_at_the_end(void **state)
{
	struct wire_header h = {.exchange = EXCHANGE_IKE_SA_INIT};
	struct wire_sk_parts parts;
	struct wire_writer w;
	uint8_t memory[40];

	(void)state;
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_nonce(&w, span_of("0123456789abcdef", 16));
	assert_int_equal(wire_end(&w).len, 0);
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_open_sk(&w, 16);
	assert_false(wire_close_sk(&w, 16, 16, 16, &parts));
	wire_begin(&w, memory, sizeof(memory), &h);
	assert_false(wire_close_sk(&w, 16, 0, 0, &parts)); /* none open */
}

static void proposals_are_numbered_by_place(void **state)
{
	static struct proposal_list l = {.n = 2};
	struct wire_header h = {.exchange = EXCHANGE_IKE_SA_INIT};
	struct wire_message m;
	struct wire_writer w;
	uint8_t memory[256];

	(void)state;
	for (int i = 0; i < 2; i++) {
		l.p[i].protocol = PROTOCOL_IKE;
		l.p[i].n_transforms = 1;
		l.p[i].transforms[0] = (struct transform){TRANSFORM_ENCR, ENCR_AES_CBC, 256};
	}
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_sa(&w, &l, span_of(NULL, 0));
	assert_int_equal(parse_sample(0, wire_end(&w), &h, &m).error, WIRE_OK);
	assert_int_equal(m.sa.p[0].number, 1);
	assert_int_equal(m.sa.p[1].number, 2);
}

static void numbers_have_names(void **state)
{
	char text[32];

	(void)state;
	assert_string_equal(wire_exchange_name(EXCHANGE_IKE_AUTH, text), "IKE_AUTH");
	assert_string_equal(wire_notify_name(14, text), "NO_PROPOSAL_CHOSEN");
	assert_string_equal(wire_notify_name(40000, text), "NOTIFY_40000");
	assert_string_equal(wire_payload_name(200, text), "PAYLOAD_200");
	for (int e = WIRE_OK; e <= WIRE_TRAILING; e++)
		assert_non_null(wire_strerror(e));
}

/* RFC 6311 6.3, 6.4: the data's form, and all that it may not be. */
static void message_ids(void **state)
{
	static const uint8_t ids[] = {0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xfe};
	struct wire_header h = {.exchange = EXCHANGE_INFORMATIONAL};
	struct wire_message_ids out;
	struct wire_writer w;
	struct wire_message m;
	uint8_t memory[256];
	uint64_t delta;
	bool esn;

	(void)state;
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_message_ids(&w, &(struct wire_message_ids){0xdeadbeef, 5, 0xfffffffe});
	wire_put_replay_delta(&w, 0x40000000, false);
	wire_put_replay_delta(&w, (uint64_t)1 << 40, true);
	assert_int_equal(parse_sample(0, wire_end(&w), &h, &m).error, WIRE_OK);
	assert_int_equal(m.n_notifies, 3);
	assert_int_equal(m.notifies[0].type, 16422);
	assert_true(span_equal(m.notifies[0].data, span_of(ids, sizeof(ids))));
	assert_true(wire_read_message_ids(&m.notifies[0], &out));
	assert_int_equal(out.nonce, 0xdeadbeef);
	assert_int_equal(out.send, 5);
	assert_int_equal(out.receive, 0xfffffffe);
	assert_int_equal(m.notifies[1].type, 16423);
	assert_true(wire_read_replay_delta(&m.notifies[1], &delta, &esn) && !esn);
	assert_int_equal(delta, 0x40000000);
	assert_true(wire_read_replay_delta(&m.notifies[2], &delta, &esn) && esn);
	assert_int_equal(delta, (uint64_t)1 << 40);
	for (size_t len = 0; len <= 12; len++) {
		struct wire_notify n = {.data = span_of(ids, len)};

		assert_int_equal(wire_read_message_ids(&n, &out), len == 12);
		assert_int_equal(wire_read_replay_delta(&n, &delta, &esn), len == 4 || len == 8);
		n.protocol = PROTOCOL_ESP;
		assert_false(wire_read_message_ids(&n, &out));
		assert_false(wire_read_replay_delta(&n, &delta, &esn));
		n.protocol = PROTOCOL_NONE;
		n.spi = span_of(ids, 4);
		assert_false(wire_read_message_ids(&n, &out));
		assert_false(wire_read_replay_delta(&n, &delta, &esn));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_ids),
		cmocka_unit_test(samples_survive_a_round_trip),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_truncation_behind_a_right_length_is_refused),
		cmocka_unit_test(every_single_bit_flip_stays_inside),
		cmocka_unit_test(header_is_read),
		cmocka_unit_test(other_major_versions_are_refused_with_the_header_filled),
		cmocka_unit_test(proposals_are_read),
		cmocka_unit_test(identities_and_selectors_are_read),
		cmocka_unit_test(configuration_is_read),
		cmocka_unit_test(unknown_attributes_of_a_configuration_are_passed_over),
		cmocka_unit_test(bad_configurations),
		cmocka_unit_test(configurations_beyond_the_list_are_left_out),
		cmocka_unit_test(sk_is_found),
		cmocka_unit_test(unknown_payloads),
		cmocka_unit_test(bad_chains),
		cmocka_unit_test(bad_bodies),
		cmocka_unit_test(bad_proposals),
		cmocka_unit_test(proposals_beyond_the_list_are_left_out),
		cmocka_unit_test(transforms_beyond_the_list_are_left_out),
		cmocka_unit_test(notifies_beyond_the_list_are_left_out),
		cmocka_unit_test(unknown_attributes_make_a_transform_unusable),
		cmocka_unit_test(opaque_ports),
		cmocka_unit_test(selectors_of_unknown_type_are_left_out),
		cmocka_unit_test(sk_is_laid_out),
		cmocka_unit_test(overflow_is_told_at_the_end),
		cmocka_unit_test(proposals_are_numbered_by_place),
		cmocka_unit_test(numbers_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
