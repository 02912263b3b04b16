/* AGGFRAG (RFC 9347) from one end to the other: packets into payloads, payloads over a network that
 * loses, repeats and reorders, and into packets again; then what no sender of ours sends; then the
 * clock of constant rates. */
#include "ipsecd/dataplane/aggfrag.h"
#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PACKETS = 4096, SIZE_MAX_HERE = 65600 };

static struct aggfrag_pack pack;
static struct aggfrag_open o;
static unsigned got, numbers[PACKETS], stayed, whole_sizes[PACKETS];

/* A packet that says its number and length, and is checked byte by byte when it comes. */
static void build(uint8_t *p, size_t len, bool ipv6, uint32_t number)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(number * 31 + i);
	p[0] = ipv6 ? 0x60 : 0x45;
	if (ipv6)
		be16_set(p + 4, (uint16_t)(len - 40));
	else
		be16_set(p + 2, (uint16_t)len);
	be32_set(p + 8, number);
}

static void take(void *ctx, uint8_t *packet, size_t len, bool stays)
{
	static uint8_t expected[SIZE_MAX_HERE];
	uint32_t number = be32_get(packet + 8);

	(void)ctx;
	build(expected, len, packet[0] >> 4 == 6, number);
	assert_memory_equal(packet, expected, len);
	assert_true(got < PACKETS);
	whole_sizes[got] = (unsigned)len;
	numbers[got++] = number;
	stayed += stays;
}

static int setup(void **state)
{
	(void)state;
	memset(&pack, 0, sizeof(pack));
	aggfrag_open_init(&o, 0, 10 * MONO_MS);
	got = stayed = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	aggfrag_pack_free(&pack);
	aggfrag_open_free(&o);
	return 0;
}

static bool give(size_t len, bool ipv6, uint32_t number)
{
	uint8_t *at = aggfrag_pack_place(&pack, len, AGGFRAG_QUEUE_MAX);

	if (!at)
		return false;
	build(at, len, ipv6, number);
	return aggfrag_pack_put(&pack, len);
}

static size_t next(uint8_t *out, size_t size, bool fill)
{
	size_t data, len, peeked = aggfrag_pack_peek(&pack, size);

	memset(out, 0xee, size);
	len = aggfrag_pack_take(&pack, out, size, fill, &data);
	assert_int_equal(len, fill ? size : peeked);
	assert_int_equal(data + AGGFRAG_HEADER_LEN, peeked);
	return len;
}

/* In memory of exactly its size, so that reading beyond is seen. */
static void come(uint64_t seq, const uint8_t *payload, size_t len, mono_time now)
{
	uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, payload, len);
	aggfrag_open_input(&o, seq, copy, len, now, take, NULL);
	free(copy);
}

/* ---- whole ways ---- */

static void round_trip(size_t payload, size_t packet, bool ipv6, bool fill, unsigned n)
{
	static uint8_t out[SIZE_MAX_HERE];
	uint64_t seq = 0;

	setup(NULL);
	for (unsigned i = 0; i < n; i++)
		assert_true(give(packet, ipv6, i));
	while (pack.used) {
		size_t len = next(out, payload, fill);

		assert_true(len <= payload);
		come(++seq, out, len, 1);
	}
	assert_int_equal(got, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(numbers[i], i);
		assert_int_equal(whole_sizes[i], packet);
	}
	for (unsigned i = 0; i < AGGFRAG_COUNTS; i++)
		assert_int_equal(o.counts[i], 0);
	teardown(NULL);
}

static void test_sizes(void **state)
{
	static const size_t payloads[] = {64, 65, 100, 1200, 1399, 1438, 9000},
			    packets[] = {40, 41, 63, 64, 576, 1280, 1396, 1397, 1500, 9000, 65535};

	(void)state;
	for (unsigned i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
		for (unsigned j = 0; j < sizeof(packets) / sizeof(packets[0]); j++)
			for (unsigned k = 0; k < 4; k++)
				round_trip(payloads[i], packets[j], k & 1, k & 2, 7);
	round_trip(1400, 20, false, false, 500); /* as small as they get */
	round_trip(64, 20, false, true, 500);
}

/* Many small ones go in one payload, a big one in few: nothing is wasted. */
static void test_aggregates(void **state)
{
	uint8_t out[1400];
	size_t data;

	(void)state;
	for (unsigned i = 0; i < 28; i++)
		assert_true(give(49, false, i));
	assert_int_equal(aggfrag_pack_take(&pack, out, sizeof(out), false, &data), 4 + 28 * 49);
	assert_int_equal(be32_get(out), 0);
	assert_int_equal(pack.used, 0);
	assert_int_equal(aggfrag_pack_peek(&pack, sizeof(out)), 4);
	assert_true(give(9000, false, 1));
	next(out, sizeof(out), false);
	assert_int_equal(be16_get(out + 2), 0);
	for (unsigned i = 1; i < 7; i++) { /* RFC 9347 6.1.1: points beyond this payload */
		next(out, sizeof(out), false);
		assert_int_equal(be16_get(out + 2), 9000 - i * 1396);
	}
	assert_int_equal(pack.used, 0);
}

/* A packet of which less than a header would fit waits for the next payload. */
static void test_no_slivers(void **state)
{
	uint8_t out[104];

	(void)state;
	give(81, false, 1);
	give(50, false, 2);
	assert_int_equal(next(out, sizeof(out), false), 85);
	assert_int_equal(next(out, sizeof(out), true), 104);
	assert_int_equal(be16_get(out + 2), 0);
	assert_int_equal(out[54], 0); /* padding */
	give(80, false, 3);
	give(50, false, 4);
	assert_int_equal(next(out, sizeof(out), false), 104); /* 20 fit */
	assert_int_equal(pack.rest, 30);
}

static void test_whole(void **state)
{
	uint8_t out[1000];

	(void)state;
	pack.whole = true;
	give(600, false, 1);
	give(600, true, 2);
	give(996, false, 3);
	give(997, false, 4);
	give(20, false, 5);
	assert_int_equal(next(out, sizeof(out), false), 604);
	assert_false(aggfrag_pack_stuck(&pack, sizeof(out)));
	assert_int_equal(next(out, sizeof(out), true), 1000);
	assert_int_equal(next(out, sizeof(out), false), 1000);
	assert_true(aggfrag_pack_stuck(&pack, sizeof(out)));
	aggfrag_pack_drop(&pack);
	assert_false(aggfrag_pack_stuck(&pack, sizeof(out)));
	assert_int_equal(next(out, sizeof(out), false), 24);
	assert_int_equal(pack.used, 0);
	assert_false(aggfrag_pack_stuck(&pack, sizeof(out)));
}

/* The path holds less from here on. */
static void test_sizes_change(void **state)
{
	static const size_t sizes[] = {1400, 1200, 64, 9000, 576, 100};
	static uint8_t out[9000];
	uint64_t seq = 41;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		give(1500, i % 2, i);
	for (unsigned i = 0; pack.used; i++)
		come(seq++, out, next(out, sizes[i % 6], i % 3 == 0), 1);
	assert_int_equal(got, 40);
}

static void test_queue_bounded(void **state)
{
	uint8_t *at;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		at = aggfrag_pack_place(&pack, 1000, 4096);
		assert_non_null(at);
		build(at, 1000, false, i);
		assert_true(aggfrag_pack_put(&pack, 1000));
	}
	assert_null(aggfrag_pack_place(&pack, 97, 4096));
	assert_non_null(aggfrag_pack_place(&pack, 96, 4096));
	assert_null(aggfrag_pack_place(&pack, AGGFRAG_PACKET_MAX + 1, SIZE_MAX));
	build(aggfrag_pack_place(&pack, 90, 4096), 90, false, 9);
	assert_false(aggfrag_pack_put(&pack, 89)); /* not what it says */
	assert_int_equal(pack.used, 4000);
}

/* To the CHILD_SA that replaces this one: but what has begun ends here. */
static void test_moves(void **state)
{
	struct aggfrag_pack other = {0};
	uint8_t out[500];

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		give(700, false, i);
	come(1, out, next(out, sizeof(out), false), 1);
	assert_int_equal(aggfrag_pack_move(&pack, &other, 4 * 700 - 1), 1); /* one has no room */
	assert_int_equal(pack.used, 204);
	come(2, out, next(out, sizeof(out), true), 1);
	assert_int_equal(got, 1);
	aggfrag_pack_free(&pack);
	pack = other;
	for (uint64_t seq = 3; pack.used; seq++)
		come(seq, out, next(out, sizeof(out), false), 1);
	assert_int_equal(got, 4);
	assert_int_equal(numbers[3], 3);
	aggfrag_pack_free(&pack);
}

/* ---- networks ---- */

struct sent {
	size_t len;
	uint8_t bytes[1400];
};

static struct sent sent[600];
static unsigned n_sent;

/* 1000 packets of 700 bytes: two to a payload, every other payload ends amid one. */
static void send_all(size_t size)
{
	n_sent = 0;
	for (unsigned i = 0; i < 1000; i++)
		give(700, i & 1, i);
	while (pack.used) {
		assert_true(n_sent < 600);
		sent[n_sent].len = next(sent[n_sent].bytes, size, false);
		n_sent++;
	}
}

static bool came(unsigned number)
{
	for (unsigned i = 0; i < got; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

/* One that is lost takes the packets with it that lie in it, and no other. */
static void test_loss(void **state)
{
	unsigned lost = 0;

	(void)state;
	send_all(1400);
	for (unsigned i = 0; i < n_sent; i++) {
		if (i % 100 == 50)
			lost++;
		else
			come(i + 1, sent[i].bytes, sent[i].len, 1);
	}
	assert_int_equal(o.counts[AGGFRAG_LOST], lost);
	/* 1396 bytes touch three packets of 700 at most. */
	assert_in_range(got, 1000 - 3 * lost, 1000 - lost);
	for (unsigned i = 1; i < got; i++)
		assert_true(numbers[i] > numbers[i - 1]);
	for (unsigned i = 0; i < 1000; i++) {
		unsigned first = i * 700 / 1396, last = (i * 700 + 699) / 1396;

		/* away from those that were lost (the last few may wait for more to come) */
		if (first % 100 < 49 || first % 100 > 52)
			assert_true(last >= n_sent || came(i));
	}
	assert_int_equal(o.counts[AGGFRAG_MALFORMED], 0);
	assert_int_equal(aggfrag_open_due(&o), MONO_NEVER);
}

/* As far apart as the window has it, nothing is lost and all come in order. */
static void test_reorder(void **state)
{
	(void)state;
	send_all(1400);
	for (unsigned i = 0; i < n_sent; i += 4)
		for (int k = 3; k >= 0; k--) {
			unsigned at = i ? i + (unsigned)k : 3 - (unsigned)k;

			if (at < n_sent)
				come(at + 1, sent[at].bytes, sent[at].len, 1);
		}
	assert_int_equal(got, 1000);
	for (unsigned i = 0; i < got; i++)
		assert_int_equal(numbers[i], i);
	assert_int_equal(o.counts[AGGFRAG_LOST], 0);
	assert_int_equal(o.n_held, 0);
}

/* One that comes after it was given up still has its whole packets. */
static void test_late(void **state)
{
	(void)state;
	send_all(1400);
	for (unsigned i = 0; i < n_sent; i++) {
		if (i != 10)
			come(i + 1, sent[i].bytes, sent[i].len, 1);
		if (i == 20)
			come(11, sent[10].bytes, sent[10].len, 1);
	}
	assert_int_equal(o.counts[AGGFRAG_LOST], 1);
	assert_int_equal(o.counts[AGGFRAG_LATE], 1);
	assert_int_equal(got, 998); /* without the one before and the one behind it */
	assert_int_equal(o.counts[AGGFRAG_FRAGMENTS], 1);
}

static void test_time(void **state)
{
	(void)state;
	send_all(1400);
	come(1, sent[0].bytes, sent[0].len, MONO_S);
	come(3, sent[2].bytes, sent[2].len, MONO_S + 1);
	come(3, sent[2].bytes, sent[2].len, MONO_S + 2); /* twice */
	come(4, sent[3].bytes, sent[3].len, MONO_S + 3);
	assert_int_equal(o.n_held, 2);
	assert_int_equal(got, 1);
	assert_int_equal(aggfrag_open_due(&o), MONO_S + 1 + 10 * MONO_MS);
	assert_int_equal(aggfrag_open_expire(&o, MONO_S + 10 * MONO_MS, take, NULL),
			 MONO_S + 1 + 10 * MONO_MS);
	assert_int_equal(got, 1);
	stayed = 0;
	assert_int_equal(aggfrag_open_expire(&o, MONO_S + 1 + 10 * MONO_MS, take, NULL),
			 MONO_NEVER);
	assert_int_equal(got, 4); /* 0; then 4, 5, 6 without the two that were cut */
	assert_int_equal(stayed, 0);
	assert_int_equal(o.counts[AGGFRAG_LOST], 1);
	assert_int_equal(o.counts[AGGFRAG_FRAGMENTS], 1);
	come(5, sent[4].bytes, sent[4].len, MONO_S + MONO_S); /* goes on */
	assert_int_equal(got, 6);
}

/* A peer that was killed begins anew, with numbers far beyond (RFC 6311). */
static void test_restart(void **state)
{
	(void)state;
	send_all(1400);
	come(100, sent[0].bytes, sent[0].len, 1);
	come(5000000, sent[0].bytes, sent[0].len, 1);
	come(5000001, sent[1].bytes, sent[1].len, 1);
	assert_int_equal(got, 4);
	assert_int_equal(o.counts[AGGFRAG_LOST], 0); /* were never sent */
	assert_int_equal(o.counts[AGGFRAG_FRAGMENTS], 1);
}

/* We were killed: the first one that comes is amid a packet, also one that ends far behind. */
static void test_begins_amid(void **state)
{
	uint8_t out[1000];

	(void)state;
	give(9000, false, 1);
	give(100, false, 2);
	for (unsigned i = 0; pack.used; i++) {
		size_t len = next(out, sizeof(out), false);

		if (i > 3)
			come(i + 1, out, len, 1);
	}
	assert_int_equal(got, 1);
	assert_int_equal(numbers[0], 2);
	assert_int_equal(o.counts[AGGFRAG_MALFORMED], 0);
}

/* RFC 9347 2.2.3: between the payloads of one packet there may be padding; 2.2.4: or nothing. */
static void test_pads_amid(void **state)
{
	static const uint8_t pad[100] = {0}, empty[4] = {0};
	uint8_t out[500];
	uint64_t seq = 7;

	(void)state;
	give(1400, false, 1);
	while (pack.used) {
		come(seq++, out, next(out, sizeof(out), false), 1);
		come(seq++, pad, sizeof(pad), 1);
		come(seq++, empty, sizeof(empty), 1);
	}
	assert_int_equal(got, 1);
	assert_int_equal(o.counts[AGGFRAG_FRAGMENTS], 0);
}

/* RFC 9347 6.1.2: 24 bytes of header, whose fields are nothing to us. */
static void test_congestion_control(void **state)
{
	uint8_t out[500], with[520];
	uint64_t seq = 1;

	(void)state;
	give(1400, false, 1);
	while (pack.used) {
		size_t len = next(out, sizeof(out), false);

		memset(with, 0xff, 24);
		with[0] = 1;
		memcpy(with + 2, out + 2, 2);
		memcpy(with + 24, out + 4, len - 4);
		come(seq++, with, len + 20, 1);
	}
	assert_int_equal(got, 1);
	come(seq, with, 23, 1);
	assert_int_equal(o.counts[AGGFRAG_MALFORMED], 1);
}

/* Every length is cut at every place, also amid the field that has it. */
static void test_cut_anywhere(void **state)
{
	uint8_t packet[120], payload[130];

	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++)
		for (size_t cut = 1; cut < sizeof(packet); cut++) {
			setup(state);
			build(packet, sizeof(packet), ipv6, 5);
			memset(payload, 0, 4);
			memcpy(payload + 4, packet, cut);
			come(1, payload, cut + 4, 1);
			be16_set(payload + 2, (uint16_t)(sizeof(packet) - cut));
			memcpy(payload + 4, packet + cut, 1);
			come(2, payload, 5, 1);
			be16_set(payload + 2, (uint16_t)(sizeof(packet) - cut - 1));
			memcpy(payload + 4, packet + cut + 1, sizeof(packet) - cut - 1);
			if (cut + 1 < sizeof(packet))
				come(3, payload, 4 + sizeof(packet) - cut - 1, 1);
			assert_int_equal(got, 1);
			assert_int_equal(o.counts[AGGFRAG_FRAGMENTS], 0);
			teardown(state);
		}
	setup(state);
}

/* ---- what none of ours sends ---- */

static void test_hostile(void **state)
{
	uint8_t p[200] = {0};

	(void)state;
	come(1, p, 0, 1);
	come(2, p, 3, 1);
	assert_int_equal(o.counts[AGGFRAG_MALFORMED], 2);
	memset(p, 2, sizeof(p)); /* sub-type 2 */
	come(3, p, sizeof(p), 1);
	assert_int_equal(o.counts[AGGFRAG_MALFORMED], 3);
	memset(p, 0, 4);
	memset(p + 4, 0x77, sizeof(p) - 4); /* data block of type 7 */
	come(4, p, sizeof(p), 1);
	assert_int_equal(o.counts[AGGFRAG_MALFORMED], 4);
	memset(p + 4, 0x40, sizeof(p) - 4);
	be16_set(p + 6, 19); /* shorter than a header */
	come(5, p, sizeof(p), 1);
	assert_int_equal(o.counts[AGGFRAG_MALFORMED], 5);
	build(p + 4, 100, false, 1);
	be16_set(p + 6, 1000);
	come(6, p, 104, 1);
	be16_set(p + 2, 899); /* not what is to come */
	come(7, p, 104, 1);
	assert_int_equal(o.counts[AGGFRAG_FRAGMENTS], 1);
	assert_int_equal(o.need, 0);
	be16_set(p + 2, 0); /* begins anew amid one */
	come(8, p, 104, 1);
	build(p + 4, 100, false, 1);
	come(9, p, 104, 1);
	assert_int_equal(o.counts[AGGFRAG_FRAGMENTS], 2);
	assert_int_equal(got, 1);
}

/* What is kept for a peer is bounded, whatever it sends. */
static void test_bounded(void **state)
{
	static uint8_t big[65000];

	(void)state;
	aggfrag_open_init(&o, 1000, 10 * MONO_MS);
	assert_int_equal(o.window, AGGFRAG_WINDOW_MAX);
	come(1, big, sizeof(big), 1);
	for (uint64_t seq = 3; seq < 60; seq++) {
		come(seq, big, sizeof(big), 1);
		assert_true(o.held_bytes <= 256 << 10);
	}
	for (uint64_t seq = 100; seq < 10000; seq += 2) {
		come(seq, big, 100, 1);
		assert_in_range(o.n_held, 0, AGGFRAG_WINDOW_MAX);
	}
	be16_set(big + 2, 0);
	memset(big + 4, 0x60, 40);
	be16_set(big + 8, 65535); /* the longest there is */
	come(20000, big, sizeof(big), 1);
	assert_true(o.part_room <= 65575);
}

/* Without a replay window a number comes again, also that of one that is held: it is late when that
 * one had to be taken for it. */
static void test_again(void **state)
{
	static uint8_t big[65000];

	(void)state;
	aggfrag_open_init(&o, 4, 10 * MONO_MS);
	come(10, big, AGGFRAG_HEADER_LEN, 1);
	for (uint64_t seq = 12; seq < 16; seq++)
		come(seq, big, sizeof(big), 1);
	come(15, big, sizeof(big), 1);
	assert_int_equal(o.n_held, 0);
	assert_int_equal(o.counts[AGGFRAG_LATE], 1);
	assert_true(aggfrag_open_expire(&o, MONO_S, take, NULL) == MONO_NEVER);
}

/* ---- the clock ---- */

static void test_rate(void **state)
{
	struct aggfrag_params p = {.mode = AGGFRAG_YES, .rate = 1000};
	struct aggfrag_rate r = {0};
	unsigned sum = 0;

	(void)state;
	aggfrag_rate_set(&r, &p, 1500);
	assert_int_equal(r.interval, MONO_MS);
	for (mono_time t = MONO_S; t < 2 * MONO_S; t += 300000) /* whenever it is asked */
		sum += aggfrag_rate_due(&r, t);
	assert_int_equal(sum, 1000);
	assert_int_equal(r.missed, 0);
	assert_int_equal(aggfrag_rate_due(&r, 12 * MONO_S), AGGFRAG_BURST); /* it was late */
	assert_in_range(r.missed, 9900, 10000);
	assert_int_equal(aggfrag_rate_due(&r, 12 * MONO_S), 0);
	assert_int_equal(aggfrag_rate_due(&r, 12 * MONO_S + MONO_MS), 1);
	p.rate = 12000000; /* bits: 1000 packets of 1500 */
	p.rate_bits = true;
	aggfrag_rate_set(&r, &p, 1500);
	assert_int_equal(r.interval, MONO_MS);
	assert_int_equal(aggfrag_rate_queue(&r, &p, 1400), 100 * 1400);
	p.max_queue = 5000;
	assert_int_equal(aggfrag_rate_queue(&r, &p, 1400), 5000);
	p.rate = 0;
	aggfrag_rate_set(&r, &p, 1500);
	assert_int_equal(aggfrag_rate_due(&r, 20 * MONO_S), 0);
	assert_int_equal(aggfrag_rate_queue(&r, &p, 1400), 1 << 20);
}

static void test_words(void **state)
{
	static const struct {
		const char *text;
		uint64_t rate;
		bool bits;
	} good[] = {{"500pps", 500, false},	   {"1pps", 1, false},
		    {"800kbit", 800000, true},	   {"10mbit", 10000000, true},
		    {"10gbit", 10000000000, true}, {"9001bit", 9001, true}};
	static const char *const bad[] = {
		"",	  "5",		"pps",	 "0pps",  "7999bit",
		"11gbit", "1000001pps", "-5pps", "5 pps", "99999999999999999999999gbit",
		"5ppsx"};
	char text[AGGFRAG_RATE_TEXT];

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct aggfrag_params p = {0};

		assert_true(aggfrag_rate_parse(good[i].text, &p));
		assert_true(p.rate == good[i].rate && p.rate_bits == good[i].bits);
		assert_true(aggfrag_params_valid(&p));
		assert_string_equal(aggfrag_rate_format(&p, text), good[i].text);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct aggfrag_params p = {0};

		assert_false(aggfrag_rate_parse(bad[i], &p));
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		CASE(test_aggregates),
		CASE(test_no_slivers),
		CASE(test_whole),
		CASE(test_sizes_change),
		CASE(test_queue_bounded),
		CASE(test_moves),
		CASE(test_loss),
		CASE(test_reorder),
		CASE(test_late),
		CASE(test_time),
		CASE(test_restart),
		CASE(test_begins_amid),
		CASE(test_pads_amid),
		CASE(test_congestion_control),
		CASE(test_cut_anywhere),
		CASE(test_hostile),
		CASE(test_bounded),
		CASE(test_again),
		CASE(test_rate),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests_name("aggfrag", tests, NULL, NULL);
}
