/* Super-packets are cut at every size, with odd headers, and each segment is a right packet that
 * has its share of the bytes; other packets come out with their checksum; nothing malformed is
 * believed. The checksum's arithmetic against the simple one. */
#include "ipsecd/dataplane/checksum.h"
#include "ipsecd/dataplane/cut.h"
#include "lib/buf.h"
#include "tests/support/packets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FIN = 1, PSH = 8, ACK = 16, CWR = 128 };

static uint8_t packet[PACKET_MAX], segment[PACKET_MAX + 1];

/* ---- checksums ---- */

static uint16_t simple(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static void checksum_is_the_simple_one(void **state)
{
	uint8_t bytes[700];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 7);
	for (size_t at = 0; at < 9; at++) {
		for (size_t n = 0; at + n <= 300; n++) {
			uint16_t want = htons(simple(bytes + at, n));

			assert_int_equal(checksum_fold(checksum_add(0, bytes + at, n)), want);
		}
	}
}

/* All ones carry at every step; a sum may begin anywhere. */
static void checksum_loses_no_carry(void **state)
{
	static uint8_t ones[65536];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (size_t n = 1; n <= sizeof(ones); n = n * 3 / 2 + 1)
		assert_int_equal(checksum_fold(checksum_add(0, ones, n & ~(size_t)1)),
				 n > 1 ? 0xffff : 0);
	assert_int_equal(checksum_fold(checksum_add(0x1fffffffe, ones, 65536)), 0xffff);
	assert_int_equal(checksum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(checksum_fold(0x0001000100010001), 4);
	ones[0] = 0; /* 00 ff, ff ff ..., ff 00 */
	assert_int_equal(checksum_fold(checksum_add(0, ones, 65535)), 0xffff);
}

/* ---- cutting ---- */

/* What a segment has to be, by the form of the whole. */
static void expect_segment(const struct packet_form *whole, size_t gso_size, size_t number,
			   size_t at)
{
	struct packet_form f = *whole;
	bool last = at + gso_size >= whole->payload;
	static uint8_t want[PACKET_MAX];
	size_t len;

	f.payload = last ? whole->payload - at : gso_size;
	f.seed = (uint8_t)(whole->seed + at * 7);
	f.id = (uint16_t)(whole->id + number);
	f.sequence = whole->sequence + (uint32_t)at;
	if (!last)
		f.flags &= (uint8_t) ~(FIN | PSH);
	if (number > 0)
		f.flags &= (uint8_t)~CWR;
	len = packet_build(want, &f);
	assert_memory_equal(segment, want, len);
	assert_true(packet_is_right(segment, len));
}

static void expect_cut(const struct packet_form *f, size_t gso_size)
{
	size_t len = packet_build(packet, f), at = 0, number = 0, n;
	struct virtio_net_hdr vnet;
	struct cut cut;

	packet_make_super(packet, len, f, gso_size, &vnet);
	vnet.hdr_len = (uint16_t)(number & 1 ? 0 : len); /* a hint that is not believed */
	assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
	do {
		n = cut_peek(&cut);
		assert_int_not_equal(n, 0);
		assert_int_equal(cut_next(&cut, segment, n - 1), 0);
		segment[n] = 0xa5;
		assert_int_equal(cut_next(&cut, segment, n), n);
		assert_int_equal(segment[n], 0xa5);
		expect_segment(f, gso_size, number++, at);
		at += n - packet_headers(f);
	} while (cut_peek(&cut));
	assert_int_equal(at, f->payload);
	assert_int_equal(cut_next(&cut, segment, sizeof(segment)), 0);
}

static const struct packet_form forms[] = {
	{.flags = ACK | PSH | FIN, .id = 0xfffe, .sequence = 0xfffffff0},
	{.flags = ACK, .tcp_options = 12, .df = true},
	{.flags = ACK | CWR | PSH, .options = 40, .tcp_options = 40, .tos = 2},
	{.flags = ACK | PSH, .options = 4},
	{.ipv6 = true, .flags = ACK | PSH, .sequence = 0xffffffff},
	{.ipv6 = true, .flags = ACK | CWR, .options = 8, .tcp_options = 12, .tos = 1},
	{.ipv6 = true, .flags = ACK | FIN, .options = 24, .tcp_options = 40},
	{.udp = true, .id = 0xffff},
	{.udp = true, .options = 20, .df = true, .tos = 0xb8},
	{.udp = true, .ipv6 = true},
	{.udp = true, .ipv6 = true, .options = 16},
};

#define FORMS (sizeof(forms) / sizeof(*forms))

static void every_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		for (size_t payload = 0; payload <= 40; payload++) {
			for (size_t size = 1; size <= 42; size++) {
				struct packet_form f = forms[i];

				f.payload = payload;
				f.seed = (uint8_t)(payload + size);
				expect_cut(&f, size);
			}
		}
	}
}

static void large_ones(void **state)
{
	static const size_t sizes[] = {536, 1220, 1398, 1399, 1448, 8948, 32768, 65000};

	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
			struct packet_form f = forms[i];

			f.payload = VNET_PACKET_MAX - packet_headers(&f); /* 64 KB */
			expect_cut(&f, sizes[k]);
			f.payload -= f.payload % sizes[k]; /* none is shorter */
			expect_cut(&f, sizes[k]);
			f.payload++; /* the last has one byte */
			if (packet_headers(&f) + f.payload <= VNET_PACKET_MAX)
				expect_cut(&f, sizes[k]);
		}
	}
}

/* BIG TCP: the headers can't say the length, the read does. */
static void more_than_64_kb(void **state)
{
	struct packet_form f = {.flags = ACK, .payload = 65000};
	static uint8_t big[200000];
	struct virtio_net_hdr vnet;
	size_t len = packet_build(big, &f), at = 0, n;
	struct cut cut;

	(void)state;
	packet_make_super(big, len, &f, 1400, &vnet);
	be16_set(big + 2, 0);
	checksum_set(big + 36, checksum_fold(checksum_add(0, big + 12, 8) + checksum_number(6) +
					     checksum_number(sizeof(big) - 20)));
	assert_int_equal(cut_begin(&cut, &vnet, big, len), CUT_HEADER);
	assert_int_equal(cut_begin(&cut, &vnet, big, sizeof(big)), CUT_OK);
	while ((n = cut_next(&cut, segment, sizeof(segment))) != 0) {
		assert_true(packet_is_right(segment, n));
		assert_memory_equal(segment + 40, big + 40 + at, n - 40);
		at += n - 40;
	}
	assert_int_equal(at, sizeof(big) - 40);
	vnet.gso_size = 65500;
	assert_int_equal(cut_begin(&cut, &vnet, big, sizeof(big)), CUT_SIZE);
}

/* Bytes behind the IP packet are none of it. */
static void bytes_behind_are_cut_off(void **state)
{
	struct packet_form f = {.flags = ACK, .payload = 100};
	size_t len = packet_build(packet, &f), at = 0, n;
	struct virtio_net_hdr vnet;
	struct cut cut;

	(void)state;
	packet_make_super(packet, len, &f, 60, &vnet);
	assert_int_equal(cut_begin(&cut, &vnet, packet, len + 30), CUT_OK);
	while ((n = cut_next(&cut, segment, sizeof(segment))) != 0) {
		assert_true(packet_is_right(segment, n));
		at += n - 40;
	}
	assert_int_equal(at, 100);
}

/* A routing header's last address is the pseudo-header's: known from the kernel alone. */
static void routing_header(void **state)
{
	struct packet_form f = {.ipv6 = true, .flags = ACK, .options = 24, .payload = 300};
	size_t len = packet_build(packet, &f), n, total = 0;
	uint8_t via[16], last[16] = {0xfd, [15] = 9};
	struct virtio_net_hdr vnet;
	struct cut cut;

	(void)state;
	memcpy(packet + 40, (uint8_t[]){6, 2, 2, 1, 0, 0, 0, 0}, 8);
	packet[6] = 43;
	memcpy(via, packet + 24, 16);
	memcpy(packet + 24, last, 16); /* the kernel's sum is by the last address */
	packet_make_super(packet, len, &f, 90, &vnet);
	memcpy(packet + 48, last, 16);
	memcpy(packet + 24, via, 16);
	assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
	while ((n = cut_next(&cut, segment, sizeof(segment))) != 0) {
		memcpy(segment + 24, last, 16); /* as it arrives */
		segment[6] = 60;
		memcpy(segment + 40, (uint8_t[]){6, 2, 1, 20}, 4);
		assert_true(packet_is_right(segment, n));
		total += n - packet_headers(&f);
	}
	assert_int_equal(total, 300);
	vnet.flags = 0;
	assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_CHECKSUM);
}

/* Without NEEDS_CSUM nobody says what is in the field. */
static void field_is_not_needed(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		struct packet_form f = forms[i];
		struct virtio_net_hdr vnet;
		struct cut cut;
		size_t len, n, number = 0;

		f.payload = 100;
		len = packet_build(packet, &f);
		packet_make_super(packet, len, &f, 30, &vnet);
		vnet.flags = 0;
		be16_set(packet + packet_transport(&f) + vnet.csum_offset, 0x1234);
		assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
		while ((n = cut_next(&cut, segment, sizeof(segment))) != 0) {
			expect_segment(&f, 30, number, number * 30);
			number++;
		}
		assert_int_equal(number, 4);
	}
}

static void accurate_ecn_keeps_cwr(void **state)
{
	struct packet_form f = {.flags = ACK | CWR | PSH, .payload = 90};
	size_t len = packet_build(packet, &f), n, count = 0;
	struct virtio_net_hdr vnet;
	struct cut cut;

	(void)state;
	packet_make_super(packet, len, &f, 30, &vnet);
	vnet.gso_type |= VIRTIO_NET_HDR_GSO_ACCECN;
	assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
	while ((n = cut_next(&cut, segment, sizeof(segment))) != 0) {
		assert_true(packet_is_right(segment, n));
		assert_int_equal(segment[33], ++count == 3 ? ACK | CWR | PSH : ACK | CWR);
	}
	assert_int_equal(count, 3);
	vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN;
	assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
}

/* ---- congestion ---- */

/* RFC 3168 5: who said ECT is marked, in one segment. */
static void congestion_marks(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		for (uint8_t ect = 1; ect < 4; ect++) {
			struct packet_form f = {.ipv6 = v, .flags = ACK, .tos = 0xb8 | ect};
			struct virtio_net_hdr vnet;
			struct cut cut;
			size_t len, n;

			f.payload = 100;
			len = packet_build(packet, &f);
			packet_make_super(packet, len, &f, 40, &vnet);
			assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
			assert_true(cut_congested(&cut));
			n = cut_next(&cut, segment, sizeof(segment));
			assert_true(packet_is_right(segment, n));
			assert_int_equal(be16_get(segment) >> (v ? 4 : 0) & 0xff, 0xbb);
			n = cut_next(&cut, segment, sizeof(segment));
			assert_true(packet_is_right(segment, n));
			assert_int_equal(be16_get(segment) >> (v ? 4 : 0) & 0xff, 0xb8 | ect);
			/* one that is not cut */
			len = packet_build(packet, &f);
			vnet = (struct virtio_net_hdr){0};
			assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
			assert_true(cut_congested(&cut));
			assert_int_equal(cut_next(&cut, segment, sizeof(segment)), len);
			assert_true(packet_is_right(segment, len));
			assert_int_equal(be16_get(segment) >> (v ? 4 : 0) & 0xff, 0xbb);
		}
	}
}

/* Others lose a segment, not the CWR in it. */
static void congestion_leaves_out(void **state)
{
	struct packet_form f = {.flags = ACK | CWR, .payload = 100, .id = 7};
	size_t len = packet_build(packet, &f);
	struct virtio_net_hdr vnet;
	struct cut cut;

	(void)state;
	packet_make_super(packet, len, &f, 40, &vnet);
	assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
	assert_false(cut_congested(&cut));
	assert_int_equal(cut_next(&cut, segment, sizeof(segment)), 80);
	assert_true(packet_is_right(segment, 80));
	assert_int_equal(be32_get(segment + 24), 40);
	assert_int_equal(be16_get(segment + 4), 8);
	assert_int_equal(segment[33], ACK | CWR);
	assert_false(cut_congested(&cut));
	assert_int_equal(cut_next(&cut, segment, sizeof(segment)), 0);
	assert_true(cut_congested(&cut)); /* nothing is left: nothing to lose */
}

/* ---- others ---- */

static void checksum_is_completed(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		struct packet_form f = forms[i];
		static uint8_t want[PACKET_MAX];
		struct virtio_net_hdr vnet;
		struct cut cut;
		size_t len;

		for (f.payload = 0; f.payload < 1500; f.payload += 1 + f.payload / 9) {
			len = packet_build(packet, &f);
			memcpy(want, packet, len);
			packet_make_super(packet, len, &f, 1, &vnet);
			vnet.gso_type = vnet.gso_size = 0;
			assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
			assert_int_equal(cut_peek(&cut), len);
			assert_int_equal(cut_next(&cut, segment, len - 1), 0);
			assert_int_equal(cut_next(&cut, segment, len), len);
			assert_memory_equal(segment, want, len);
			assert_int_equal(cut_next(&cut, segment, sizeof(segment)), 0);
		}
	}
}

/* RFC 768: a sum of zero is sent as all ones. */
static void udp_sum_of_zero(void **state)
{
	struct packet_form f = {.udp = true, .payload = 4};
	struct virtio_net_hdr vnet;
	struct cut cut;
	size_t len;

	(void)state;
	for (unsigned cuts = 0; cuts < 2; cuts++) {
		len = packet_build(packet, &f);
		memset(packet + 28, 0, 4);
		packet_seal(packet, len);
		memcpy(packet + 28, packet + 26, 2); /* the sum is zero now */
		packet_seal(packet, len);
		assert_int_equal(be16_get(packet + 26), 0xffff);
		packet_make_super(packet, len, &f, 4, &vnet);
		if (!cuts)
			vnet.gso_type = 0;
		assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
		assert_int_equal(cut_next(&cut, segment, sizeof(segment)), len);
		assert_int_equal(be16_get(segment + 26), 0xffff);
	}
}

/* A packet without a vnet header's help goes as it is, whatever it carries. */
static void others_go_as_they_are(void **state)
{
	static const uint8_t protocols[] = {1, 2, 47, 50, 89, 132};
	struct virtio_net_hdr vnet = {0};
	struct packet_form f = {.payload = 9};
	struct cut cut;

	(void)state;
	for (size_t i = 0; i < sizeof(protocols); i++) {
		size_t len = packet_build(packet, &f);

		packet[9] = protocols[i];
		packet[6] = 0x20; /* a fragment, for good measure */
		assert_int_equal(cut_begin(&cut, &vnet, packet, len), CUT_OK);
		assert_int_equal(cut_next(&cut, segment, sizeof(segment)), len);
		assert_memory_equal(segment, packet, len);
	}
}

/* ---- malformed ---- */

static enum cut_error begun(const struct virtio_net_hdr *vnet, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1); /* an overread is seen by the sanitizer */
	struct cut cut;
	enum cut_error e;

	memcpy(exact, packet, len);
	e = cut_begin(&cut, vnet, exact, len);
	assert_in_range(e, CUT_OK, CUT_CHECKSUM);
	while (cut_next(&cut, segment, sizeof(segment)))
		assert_int_equal(e, CUT_OK);
	free(exact);
	return e;
}

static void every_truncation(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		struct packet_form f = forms[i];
		struct virtio_net_hdr vnet;
		size_t len;

		f.payload = 50;
		len = packet_build(packet, &f);
		packet_make_super(packet, len, &f, 20, &vnet);
		for (size_t n = 0; n < len; n++)
			assert_int_equal(begun(&vnet, n), CUT_TRUNCATED);
		/* and where the IP header agrees with the cut */
		for (size_t n = packet_transport(&f); n < len; n++) {
			be16_set(packet + (f.ipv6 ? 4 : 2), (uint16_t)(f.ipv6 ? n - 40 : n));
			assert_int_equal(begun(&vnet, n),
					 n < packet_headers(&f) ? CUT_TRUNCATED : CUT_OK);
		}
	}
}

static void bad_vnet_headers(void **state)
{
	struct packet_form f = {.flags = ACK, .payload = 50};
	struct virtio_net_hdr good, v;
	size_t len = packet_build(packet, &f);

	(void)state;
	packet_make_super(packet, len, &f, 20, &good);
	v = good;
	v.gso_size = 0;
	assert_int_equal(begun(&v, len), CUT_SIZE);
	for (unsigned type = 1; type < 256; type++) {
		v = good;
		v.gso_type = (uint8_t)type;
		if ((type & ~0x90u) != VIRTIO_NET_HDR_GSO_TCPV4)
			assert_int_not_equal(begun(&v, len), CUT_OK);
	}
	for (unsigned n = 0; n < 65536; n += 1 + n / 300) {
		v = good;
		v.csum_start = (uint16_t)n;
		assert_int_equal(begun(&v, len), n == good.csum_start ? CUT_OK : CUT_CHECKSUM);
		v.gso_type = 0;
		assert_int_equal(begun(&v, len), n >= 20 && n + 18 <= len ? CUT_OK : CUT_CHECKSUM);
		v = good;
		v.csum_offset = (uint16_t)n;
		assert_int_equal(begun(&v, len), n == good.csum_offset ? CUT_OK : CUT_CHECKSUM);
		v.gso_type = 0;
		assert_int_equal(begun(&v, len), 20 + n + 2 <= len ? CUT_OK : CUT_CHECKSUM);
	}
}

static void bad_headers(void **state)
{
	struct packet_form f = {.flags = ACK, .payload = 50};
	struct virtio_net_hdr vnet;
	size_t len = packet_build(packet, &f);

	(void)state;
	packet_make_super(packet, len, &f, 20, &vnet);
	packet[6] = 0x20; /* more fragments */
	assert_int_equal(begun(&vnet, len), CUT_FRAGMENT);
	packet[6] = 0;
	packet[0] = 0x44;
	assert_int_equal(begun(&vnet, len), CUT_HEADER);
	packet[0] = 0x55;
	assert_int_equal(begun(&vnet, len), CUT_VERSION);
	packet[0] = 0x45;
	packet[3] = 19;
	assert_int_equal(begun(&vnet, len), CUT_HEADER);
	packet[3] = (uint8_t)len;
	packet[9] = 17;
	assert_int_equal(begun(&vnet, len), CUT_TYPE);
	packet[9] = 6;
	packet[32] = 0x40; /* a TCP header of 16 bytes */
	assert_int_equal(begun(&vnet, len), CUT_HEADER);
	packet[32] = 0xf0;
	assert_int_equal(begun(&vnet, len), CUT_OK);
	f = (struct packet_form){.ipv6 = true, .flags = ACK, .options = 16, .payload = 50};
	len = packet_build(packet, &f);
	packet_make_super(packet, len, &f, 20, &vnet);
	packet[40] = 44; /* a fragment header behind the options */
	assert_int_equal(begun(&vnet, len), CUT_FRAGMENT);
	packet[40] = 60;
	packet[49] = 255; /* options that reach beyond */
	assert_int_equal(begun(&vnet, len), CUT_TRUNCATED);
	f.options = 17 * 8; /* more headers than anybody sends */
	len = packet_build(packet, &f);
	packet_make_super(packet, len, &f, 20, &vnet);
	assert_int_equal(begun(&vnet, len), CUT_HEADER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_is_the_simple_one),
		cmocka_unit_test(checksum_loses_no_carry),
		cmocka_unit_test(every_size),
		cmocka_unit_test(large_ones),
		cmocka_unit_test(more_than_64_kb),
		cmocka_unit_test(bytes_behind_are_cut_off),
		cmocka_unit_test(routing_header),
		cmocka_unit_test(field_is_not_needed),
		cmocka_unit_test(accurate_ecn_keeps_cwr),
		cmocka_unit_test(congestion_marks),
		cmocka_unit_test(congestion_leaves_out),
		cmocka_unit_test(checksum_is_completed),
		cmocka_unit_test(udp_sum_of_zero),
		cmocka_unit_test(others_go_as_they_are),
		cmocka_unit_test(every_truncation),
		cmocka_unit_test(bad_vnet_headers),
		cmocka_unit_test(bad_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
