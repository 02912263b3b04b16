/* Segments of a flow are joined into super-packets that cut.h cuts into the same segments; what a
 * receiver could tell apart stays apart; the order of a flow is kept, whatever comes between. */
#include "ipsecd/dataplane/coalesce.h"
#include "ipsecd/dataplane/cut.h"
#include "lib/buf.h"
#include "tests/support/packets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128 };
enum { BOTH = COALESCE_TCP | COALESCE_UDP, OUT_MAX = 4096 };

/* What came out: each super-packet, gathered, and its segments one behind another. */
static struct {
	size_t supers, packets;
	struct {
		void *owner;
		struct virtio_net_hdr vnet;
		size_t len, segments;
	} super[OUT_MAX];
	uint8_t last[PACKET_MAX]; /* the last super-packet */
	uint8_t bytes[4 << 20];	  /* all packets */
	size_t used;
	size_t at[OUT_MAX], len[OUT_MAX];
} out;

static void gather(const struct iovec *iov, size_t n)
{
	size_t len = 0;

	for (size_t i = 1; i < n; i++) {
		assert_true(len + iov[i].iov_len <= VNET_PACKET_MAX + 40);
		memcpy(out.last + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	out.super[out.supers].len = len;
}

static void take(void *ctx, void *owner, const struct iovec *iov, size_t n)
{
	struct virtio_net_hdr vnet;
	struct cut cut;
	size_t len;

	assert_ptr_equal(ctx, &out);
	assert_in_range(n, 2, COALESCE_IOVS);
	assert_int_equal(iov[0].iov_len, sizeof(vnet));
	memcpy(&vnet, iov[0].iov_base, sizeof(vnet));
	gather(iov, n);
	out.super[out.supers].owner = owner;
	out.super[out.supers].vnet = vnet;
	out.super[out.supers].segments = n - 1;
	assert_int_equal(cut_begin(&cut, &vnet, out.last, out.super[out.supers].len), CUT_OK);
	while ((len = cut_next(&cut, out.bytes + out.used, sizeof(out.bytes) - out.used)) != 0) {
		out.at[out.packets] = out.used;
		out.len[out.packets++] = len;
		out.used += len;
	}
	out.supers++;
}

static struct coalesce c;
/* What went in, as it was and as it is worked on. */
static uint8_t kept[4 << 20], given[4 << 20];
static size_t given_used, given_count, given_at[OUT_MAX], given_len[OUT_MAX];
static int tunnel, other_tunnel;

static void begin(void)
{
	out.supers = out.packets = out.used = given_used = given_count = 0;
	coalesce_init(&c, take, &out);
}

static uint8_t *next_given(void)
{
	return given + given_used;
}

static void add(size_t len, void *owner, unsigned may_join)
{
	memcpy(kept + given_used, given + given_used, len);
	given_at[given_count] = given_used;
	given_len[given_count++] = len;
	given_used += len;
	coalesce_add(&c, owner, may_join, given + given_used - len, len);
}

static void add_form(const struct packet_form *f)
{
	add(packet_build(next_given(), f), &tunnel, BOTH);
}

/* The following segment of a flow. */
static void advance(struct packet_form *f)
{
	f->sequence += (uint32_t)f->payload;
	f->id++;
	f->seed += 3;
}

static void expect_same(size_t was, size_t is)
{
	assert_int_equal(given_len[was], out.len[is]);
	assert_memory_equal(kept + given_at[was], out.bytes + out.at[is], given_len[was]);
}

/* All that went in, in the same order, byte for byte. */
static void expect_all(size_t supers)
{
	coalesce_flush(&c);
	assert_int_equal(out.supers, supers);
	assert_int_equal(out.packets, given_count);
	for (size_t i = 0; i < given_count; i++)
		expect_same(i, i);
}

static const struct packet_form forms[] = {
	{.flags = ACK, .id = 0xfff0, .sequence = 0xfffff000},
	{.flags = ACK, .tcp_options = 12, .df = true, .tos = 0xb9},
	{.flags = ACK, .tcp_options = 40},
	{.ipv6 = true, .flags = ACK},
	{.ipv6 = true, .flags = ACK, .tcp_options = 12, .tos = 2},
	{.udp = true},
	{.udp = true, .df = true},
	{.udp = true, .ipv6 = true},
};

#define FORMS (sizeof(forms) / sizeof(*forms))

static void joined(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		static const size_t sizes[] = {1, 2, 47, 536, 1398, 1399, 8948};

		for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
			struct packet_form f = forms[i];
			size_t headers = packet_headers(&f);
			uint8_t type = f.udp	? VIRTIO_NET_HDR_GSO_UDP_L4
				       : f.ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
						: VIRTIO_NET_HDR_GSO_TCPV4;

			begin();
			f.payload = sizes[k];
			for (size_t n = 0; n < 7; n++) {
				add_form(&f);
				advance(&f);
			}
			expect_all(1);
			assert_int_equal(out.super[0].len, headers + 7 * sizes[k]);
			assert_int_equal(out.super[0].vnet.gso_type, type);
			assert_int_equal(out.super[0].vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			assert_int_equal(out.super[0].vnet.gso_size, sizes[k]);
			assert_int_equal(out.super[0].vnet.hdr_len, headers);
			assert_int_equal(out.super[0].vnet.csum_start, packet_transport(&f));
			assert_int_equal(out.super[0].vnet.csum_offset, f.udp ? 6 : 16);
			assert_ptr_equal(out.super[0].owner, &tunnel);
		}
	}
}

/* One that stays alone is not touched: its receiver checks it. */
static void alone_is_as_it_was(void **state)
{
	static const struct virtio_net_hdr none;

	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		struct packet_form f = forms[i];
		size_t len;

		begin();
		f.payload = 100;
		len = packet_build(next_given(), &f);
		next_given()[len - 1] ^= 1; /* damaged */
		add(len, &tunnel, BOTH);
		expect_all(1);
		assert_memory_equal(&out.super[0].vnet, &none, sizeof(none));
	}
}

static void short_one_is_the_last(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		struct packet_form f = forms[i];

		begin();
		for (size_t n = 0; n < 6; n++) {
			f.payload = n == 2 ? 1 : 100;
			add_form(&f);
			advance(&f);
		}
		assert_int_equal(out.supers, 1); /* at once, and nobody has flushed the rest yet */
		expect_all(2);
		assert_int_equal(out.super[0].segments, 3);
		assert_int_equal(out.super[1].segments, 3);
		/* a longer one begins anew */
		begin();
		f.payload = 100;
		add_form(&f);
		advance(&f);
		f.payload = 101;
		add_form(&f);
		expect_all(2);
	}
}

static void push_is_the_last(void **state)
{
	struct packet_form f = {.flags = ACK, .payload = 100};

	(void)state;
	begin();
	for (size_t n = 0; n < 8; n++) {
		f.flags = n == 3 || n == 4 ? ACK | PSH : ACK;
		add_form(&f);
		advance(&f);
		assert_int_equal(out.supers, n < 3 ? 0 : n == 3 ? 1 : 2);
	}
	expect_all(3);
	assert_int_equal(out.super[0].segments, 4);
	assert_int_equal(out.super[1].segments, 1);
	assert_int_equal(out.super[2].segments, 3);
}

static void as_many_and_as_long_as_the_kernel_takes(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		struct packet_form f = forms[i];

		begin();
		f.payload = 10;
		for (size_t n = 0; n < 130; n++) {
			add_form(&f);
			advance(&f);
		}
		assert_int_equal(out.supers, 2); /* full ones wait for nothing */
		expect_all(3);
		assert_int_equal(out.super[0].segments, VNET_SEGMENTS_MAX);
		begin();
		f = forms[i];
		f.payload = 1400;
		for (size_t n = 0; n < 93; n++) {
			add_form(&f);
			advance(&f);
		}
		assert_int_equal(out.supers, 2);
		expect_all(3);
		assert_int_equal(out.super[0].segments, 46);
	}
}

/* ---- what stays apart ---- */

struct change {
	const char *what;
	size_t at; /* byte that is changed; of the transport header from 100 on */
	uint8_t with;
	bool sealed; /* with right checksums again */
};

static void change(uint8_t *packet, size_t len, const struct packet_form *f,
		   const struct change *ch)
{
	packet[ch->at < 100 ? ch->at : packet_transport(f) + ch->at - 100] ^= ch->with;
	if (ch->sealed)
		packet_seal(packet, len);
}

/* Six segments, the third changed: what was before and it are apart. */
static void expect_apart(const struct packet_form *form, const struct change *ch)
{
	struct packet_form f = *form;

	begin();
	f.payload = 64;
	for (size_t n = 0; n < 6; n++) {
		size_t len = packet_build(next_given(), &f);

		if (n == 2)
			change(next_given(), len, &f, ch);
		add(len, &tunnel, BOTH);
		advance(&f);
	}
	coalesce_flush(&c);
	if (out.super[0].segments != 2 || out.super[1].segments != 1)
		print_error("%s\n", ch->what);
	assert_int_equal(out.super[0].segments, 2);
	assert_int_equal(out.super[1].segments, 1);
	expect_all(3);
}

static void different_tcp(void **state)
{
	static const struct change changes[] = {
		{"FIN", 113, FIN, true},
		{"SYN", 113, SYN, true},
		{"RST", 113, RST, true},
		{"no ACK", 113, ACK, true},
		{"URG", 113, URG, true},
		{"ECE", 113, ECE, true},
		{"CWR", 113, CWR, true},
		{"reserved", 112, 1, true},
		{"reserved", 112, 8, true},
		{"sequence number", 107, 1, true},
		{"sequence number", 104, 0x80, true},
		{"acknowledgement", 111, 1, true},
		{"window", 115, 1, true},
		{"urgent pointer", 119, 1, true},
		{"checksum", 116, 1, false},
		{"payload", 150, 1, false},
	};

	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		for (size_t k = 0; !forms[i].udp && k < sizeof(changes) / sizeof(*changes); k++)
			expect_apart(&forms[i], &changes[k]);
	}
	expect_apart(&forms[1], &(struct change){"options", 131, 1, true});
	expect_apart(&forms[2], &(struct change){"options", 159, 1, true});
	expect_apart(&forms[4], &(struct change){"options", 120, 1, true});
}

static void different_ip(void **state)
{
	static const struct change ipv4[] = {
		{"type of service", 1, 4, true},      {"CE", 1, 3, true},
		{"time to live", 8, 1, true},	      {"DF", 6, 0x40, true},
		{"reserved", 6, 0x80, true},	      {"checksum", 10, 1, false},
		{"checksum of another", 1, 4, false},
	};
	static const struct change ipv6[] = {
		{"traffic class", 0, 1, true},
		{"CE", 1, 0x30, true},
		{"flow label", 3, 1, true},
		{"hop limit", 7, 1, true},
	};

	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		for (size_t k = 0; !forms[i].ipv6 && k < sizeof(ipv4) / sizeof(*ipv4); k++)
			expect_apart(&forms[i], &ipv4[k]);
		for (size_t k = 0; forms[i].ipv6 && k < sizeof(ipv6) / sizeof(*ipv6); k++)
			expect_apart(&forms[i], &ipv6[k]);
	}
	expect_apart(&forms[0], &(struct change){"identification", 5, 1, true});
	expect_apart(&forms[5], &(struct change){"identification", 4, 1, true});
}

static void different_udp(void **state)
{
	static const struct change changes[] = {
		{"length", 105, 4, false},
		{"checksum", 106, 1, false},
		{"payload", 120, 0x80, false},
	};

	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		for (size_t k = 0; forms[i].udp && k < sizeof(changes) / sizeof(*changes); k++)
			expect_apart(&forms[i], &changes[k]);
	}
}

/* RFC 768: none is none, and stays none. */
static void udp_without_checksum(void **state)
{
	struct packet_form f = {.udp = true, .payload = 100};

	(void)state;
	begin();
	for (size_t n = 0; n < 5; n++) {
		size_t len = packet_build(next_given(), &f);

		if (n != 4)
			be16_set(next_given() + 26, 0);
		add(len, &tunnel, BOTH);
		advance(&f);
	}
	expect_all(5);
}

/* RFC 6864 4.1: with DF the identification has no meaning. */
static void fixed_identification(void **state)
{
	struct packet_form f = {.flags = ACK, .df = true, .payload = 100};

	(void)state;
	begin();
	for (size_t n = 0; n < 5; n++) {
		add_form(&f);
		f.sequence += 100;
	}
	coalesce_flush(&c);
	assert_int_equal(out.supers, 1);
	assert_int_equal(out.packets, 5);
	for (size_t i = 0; i < 5; i++)
		assert_true(packet_is_right(out.bytes + out.at[i], out.len[i]));
}

/* Options, extension headers, fragments, multicast: alone, and nothing overtakes them. */
static void odd_ones_go_alone(void **state)
{
	static const struct packet_form odd[] = {
		{.flags = ACK, .options = 4, .payload = 100},
		{.udp = true, .options = 40, .payload = 100},
		{.ipv6 = true, .flags = ACK, .options = 8, .payload = 100},
		{.ipv6 = true, .udp = true, .options = 8, .payload = 100},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		struct packet_form f = odd[i], plain = odd[i];

		plain.options = 0;
		begin();
		for (size_t n = 0; n < 3; n++) {
			add_form(&plain);
			advance(&plain);
			f.sequence = plain.sequence;
			f.id = plain.id;
			add_form(&f);
			advance(&f);
			plain.sequence = f.sequence;
			plain.id = f.id;
		}
		expect_all(6);
	}
}

static void fragments_and_multicast(void **state)
{
	static const struct change changes[] = {
		{"first fragment", 6, 0x20, true},
		{"later fragment", 7, 1, true},
		{"multicast", 16, 0xea, true},
		{"broadcast", 16, 0xf5, true},
	};

	(void)state;
	for (size_t k = 0; k < sizeof(changes) / sizeof(*changes); k++) {
		for (unsigned udp = 0; udp < 2; udp++) {
			struct packet_form f = {.flags = ACK, .udp = udp, .payload = 64};

			begin();
			for (size_t n = 0; n < 4; n++) {
				size_t len = packet_build(next_given(), &f);

				change(next_given(), len, &f, &changes[k]);
				add(len, &tunnel, BOTH);
				advance(&f);
			}
			expect_all(4);
		}
	}
	begin();
	for (size_t n = 0; n < 4; n++) {
		struct packet_form f = {.ipv6 = true, .udp = true, .payload = 64};
		size_t len = packet_build(next_given(), &f);

		next_given()[24] = 0xff;
		packet_seal(next_given(), len);
		add(len, &tunnel, BOTH);
	}
	expect_all(4);
}

/* A one's complement zero has two spellings; only one of them comes out of a cut. */
static void all_ones_as_checksum(void **state)
{
	struct packet_form f = {.flags = ACK, .payload = 64, .df = true};
	size_t len;

	(void)state;
	begin();
	add_form(&f);
	advance(&f);
	len = packet_build(next_given(), &f);
	memset(next_given() + 42, 0, 2);
	packet_seal(next_given(), len);
	memcpy(next_given() + 42, next_given() + 36, 2); /* payload that makes the sum 0 */
	packet_seal(next_given(), len);
	assert_int_equal(be16_get(next_given() + 36), 0);
	be16_set(next_given() + 36, 0xffff);
	assert_true(packet_is_right(next_given(), len));
	add(len, &tunnel, BOTH);
	expect_all(2);
}

static void headers_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		struct packet_form f = forms[i];

		begin();
		for (size_t n = 0; n < 6; n++) {
			f.payload = n & 1 ? 0 : 50;
			add_form(&f);
			advance(&f);
		}
		expect_all(6);
	}
}

/* ---- malformed ---- */

static void swallow(void *ctx, void *owner, const struct iovec *iov, size_t n)
{
	const struct virtio_net_hdr *vnet = iov[0].iov_base;
	size_t *total = ctx;

	(void)owner;
	*total += (n - 2) * vnet->hdr_len; /* of datagrams: twice the same is joined */
	for (size_t i = 1; i < n; i++)
		*total += iov[i].iov_len;
}

/* Twice the same `len` bytes, in memory of their own. */
static void expect_both_out(const uint8_t *packet, size_t len)
{
	uint8_t *first = malloc(len ? len : 1), *second = malloc(len ? len : 1);
	size_t total = 0;

	memcpy(first, packet, len);
	memcpy(second, packet, len);
	coalesce_init(&c, swallow, &total);
	coalesce_add(&c, &tunnel, BOTH, first, len);
	coalesce_add(&c, &tunnel, BOTH, second, len);
	coalesce_flush(&c);
	assert_int_equal(total, 2 * len);
	free(first);
	free(second);
}

static void every_truncation(void **state)
{
	static uint8_t packet[PACKET_MAX];

	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		struct packet_form f = forms[i];
		size_t len;

		f.payload = 30;
		len = packet_build(packet, &f);
		for (size_t n = 0; n < len; n++)
			expect_both_out(packet, n);
		for (size_t n = packet_transport(&f); n < len; n++) {
			be16_set(packet + (f.ipv6 ? 4 : 2), (uint16_t)(f.ipv6 ? n - 40 : n));
			expect_both_out(packet, n);
		}
		packet_build(packet, &f);
		for (unsigned v = 0; v < 256; v++) {
			packet[0] = (uint8_t)v;
			expect_both_out(packet, len);
		}
		packet_build(packet, &f);
		for (unsigned v = 0; !f.udp && v < 256; v++) {
			packet[packet_transport(&f) + 12] = (uint8_t)v;
			expect_both_out(packet, len);
		}
	}
}

/* ---- flows ---- */

static void owners_and_devices(void **state)
{
	struct packet_form f = {.flags = ACK, .payload = 100}, u = {.udp = true, .payload = 100};

	(void)state;
	begin();
	for (size_t n = 0; n < 4; n++) { /* two tunnels with the same addresses inside */
		add(packet_build(next_given(), &f), n & 1 ? &other_tunnel : &tunnel, BOTH);
		advance(&f);
	}
	expect_all(4);
	for (unsigned may = 0; may <= BOTH; may++) {
		begin();
		for (size_t n = 0; n < 3; n++) {
			add(packet_build(next_given(), &f), &tunnel, may);
			advance(&f);
		}
		coalesce_flush(&c);
		for (size_t n = 0; n < 3; n++) {
			add(packet_build(next_given(), &u), &tunnel, may);
			advance(&u);
		}
		expect_all((may & COALESCE_TCP ? 1 : 3) + (may & COALESCE_UDP ? 1 : 3));
	}
}

static void flows_between_each_other(void **state)
{
	struct packet_form flows[COALESCE_FLOWS];

	(void)state;
	begin();
	for (size_t i = 0; i < COALESCE_FLOWS; i++) {
		flows[i] = forms[i % FORMS];
		flows[i].port = (uint16_t)(1000 + i);
		flows[i].payload = 100 + i;
	}
	for (size_t n = 0; n < 10; n++) {
		for (size_t i = 0; i < COALESCE_FLOWS; i++) {
			add_form(&flows[i]);
			advance(&flows[i]);
		}
	}
	assert_int_equal(out.supers, 0);
	coalesce_flush(&c);
	assert_int_equal(out.supers, COALESCE_FLOWS);
	for (size_t i = 0; i < COALESCE_FLOWS; i++) { /* the oldest first */
		for (size_t n = 0; n < 10; n++)
			expect_same(n * COALESCE_FLOWS + i, i * 10 + n);
	}
}

static void one_flow_too_many(void **state)
{
	struct packet_form f = {.flags = ACK, .payload = 100};

	(void)state;
	begin();
	for (size_t i = 0; i < COALESCE_FLOWS; i++) {
		f.port = (uint16_t)i;
		add_form(&f);
	}
	assert_int_equal(out.supers, 0);
	f.port = 77;
	add_form(&f);
	assert_int_equal(out.supers, 1);
	expect_same(0, 0);
	expect_all(COALESCE_FLOWS + 1);
}

/* A ping does not wait for a stream, nor end it; a pure ACK waits for its own flow alone. */
static void others_overtake(void **state)
{
	struct packet_form f = {.flags = ACK, .payload = 100}, ping = {.payload = 56},
			   ack = {.flags = ACK, .port = 5};
	size_t len;

	(void)state;
	begin();
	add_form(&f);
	advance(&f);
	len = packet_build(next_given(), &ping);
	next_given()[9] = 1;
	add(len, &tunnel, BOTH);
	add_form(&ack);
	add_form(&f);
	coalesce_flush(&c);
	assert_int_equal(out.supers, 3);
	expect_same(1, 0);
	expect_same(2, 1);
	expect_same(0, 2);
	expect_same(3, 3);
}

/* ---- anything ---- */

static uint32_t dice(uint32_t below)
{
	static uint32_t x = 1;

	x = x * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)x * below >> 32);
}

#define MIX_FLOWS 12

static size_t flow_of(const uint8_t *packet)
{
	return be16_get(packet + (packet[0] >> 4 == 4 ? 20 : 40)) - 1000u;
}

static void mix_packet(struct packet_form *f, size_t flow)
{
	size_t len, transport = packet_transport(f), headers = packet_headers(f);

	f->payload = dice(3) ? 200 : dice(201);
	f->flags = dice(8) ? ACK : (uint8_t)dice(256);
	len = packet_build(next_given(), f);
	if (dice(12) == 0) /* but not what the flow is known by */
		next_given()[transport + 4 + dice((uint32_t)(headers - transport - 4))] ^= 1;
	if (dice(20) == 0 && len > headers)
		next_given()[len - 1] ^= 0x40;
	add(len, flow % 5 ? &tunnel : &other_tunnel, dice(30) ? BOTH : dice(BOTH));
	if (dice(15))
		advance(f);
}

/* Each flow's packets come out as they went in, in their order. */
static void expect_mix(void)
{
	static bool seen[OUT_MAX];

	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < given_count; i++) {
		size_t k = 0;

		while (k < out.packets &&
		       (seen[k] || out.len[k] != given_len[i] ||
			memcmp(out.bytes + out.at[k], kept + given_at[i], given_len[i]) != 0))
			k++;
		assert_true(k < out.packets);
		seen[k] = true;
		for (size_t j = 0; j < k;
		     j++) { /* what of its flow is before it was there before */
			if (!seen[j] &&
			    flow_of(out.bytes + out.at[j]) == flow_of(kept + given_at[i]))
				fail_msg("packet %zu was overtaken", i);
		}
	}
	assert_int_equal(out.packets, given_count);
}

static void a_mixture(void **state)
{
	(void)state;
	for (size_t round = 0; round < 60; round++) {
		struct packet_form flows[MIX_FLOWS];
		size_t joined_ones = 0;

		begin();
		for (size_t i = 0; i < MIX_FLOWS; i++) {
			flows[i] = forms[i % FORMS];
			flows[i].df = false; /* the identification is compared, too */
			flows[i].port = (uint16_t)(1000 + i);
		}
		for (size_t n = 0; n < 300; n++) {
			size_t flow = dice(4) ? dice(3) : dice(MIX_FLOWS);

			mix_packet(&flows[flow], flow);
			if (dice(100) == 0)
				coalesce_flush(&c);
		}
		coalesce_flush(&c);
		expect_mix();
		for (size_t i = 0; i < out.supers; i++)
			joined_ones += out.super[i].segments > 1;
		assert_true(joined_ones > 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joined),
		cmocka_unit_test(alone_is_as_it_was),
		cmocka_unit_test(short_one_is_the_last),
		cmocka_unit_test(push_is_the_last),
		cmocka_unit_test(as_many_and_as_long_as_the_kernel_takes),
		cmocka_unit_test(different_tcp),
		cmocka_unit_test(different_ip),
		cmocka_unit_test(different_udp),
		cmocka_unit_test(udp_without_checksum),
		cmocka_unit_test(fixed_identification),
		cmocka_unit_test(odd_ones_go_alone),
		cmocka_unit_test(fragments_and_multicast),
		cmocka_unit_test(all_ones_as_checksum),
		cmocka_unit_test(headers_only),
		cmocka_unit_test(every_truncation),
		cmocka_unit_test(owners_and_devices),
		cmocka_unit_test(flows_between_each_other),
		cmocka_unit_test(one_flow_too_many),
		cmocka_unit_test(others_overtake),
		cmocka_unit_test(a_mixture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
