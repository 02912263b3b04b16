/* The fair queue: its order, its memory and its marks; then whole networks in virtual time: streams
 * that fill a link, a ping and a flood beside them. */
#include "ipsecd/dataplane/fq.h"
#include "lib/buf.h"
#include "tests/support/packets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEAD = 10, HEADERS = 28 };

static struct fq *q;
/* Owners are never looked into, but are hashed: where a linker and the kernel place things is not
 * to decide whether two flows share a bucket. */
#define TUNNEL	     ((void *)0x1000)
#define OTHER_TUNNEL ((void *)0x2000)

static int setup(void **state)
{
	(void)state;
	q = fq_new(0x1234567890abcdef);
	return q ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fq_free(q);
	return 0;
}

/* A datagram of a flow (port) of `size` bytes, its headers and a number in it. */
static void push_for(void *owner, uint16_t port, size_t size, uint32_t number, mono_time now)
{
	struct packet_form f = {.udp = true, .port = port, .payload = 4};
	uint8_t *slot = fq_slot(q);

	packet_build(slot + HEAD, &f);
	be16_set(slot + HEAD + 2, (uint16_t)size);
	be32_set(slot + HEAD + HEADERS, number);
	slot[HEAD + size - 1] = (uint8_t)(number >> 8 ^ number);
	memset(slot, 0x5a, HEAD);
	fq_push(q, owner, HEAD, HEAD + size, now);
}

static void push(uint16_t port, size_t size, uint32_t number, mono_time now)
{
	push_for(TUNNEL, port, size, number, now);
}

static uint16_t port_of(const struct fq_packet *p)
{
	return be16_get(p->bytes + p->head + 20);
}

static uint32_t number_of(const struct fq_packet *p)
{
	uint32_t number = be32_get(p->bytes + p->head + HEADERS);

	assert_int_equal(p->head, HEAD);
	assert_int_equal(be16_get(p->bytes + p->head + 2), p->len - HEAD);
	assert_int_equal(p->bytes[0], 0x5a);
	if (p->len > HEAD + HEADERS + 4)
		assert_int_equal(p->bytes[p->len - 1], (uint8_t)(number >> 8 ^ number));
	return number;
}

static void expect(uint16_t port, uint32_t number, mono_time now)
{
	struct fq_packet p;

	assert_true(fq_pop(q, now, &p));
	assert_int_equal(port_of(&p), port);
	assert_int_equal(number_of(&p), number);
	assert_ptr_equal(p.owner, TUNNEL);
}

static void expect_empty(void)
{
	struct fq_packet p;
	struct fq_counts counts;

	assert_false(fq_pop(q, 0, &p));
	fq_count(q, &counts);
	assert_int_equal(counts.packets, 0);
	assert_int_equal(counts.bytes, 0);
}

/* ---- order ---- */

static void order_inside_a_flow(void **state)
{
	static const size_t sizes[] = {100, 2038, 2039, 5000, 64000, 40, 65535};

	(void)state;
	for (uint32_t i = 0; i < 7; i++)
		push(1, sizes[i], i, 0);
	for (uint32_t i = 0; i < 7; i++)
		expect(1, i, 0);
	expect_empty();
}

/* A flow that has nothing waiting goes before those that have. */
static void a_new_flow_goes_first(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 20; i++)
		push(1, 60000, i, 0);
	expect(1, 0, 0);
	push(2, 84, 100, 0);
	expect(2, 100, 0);
	expect(1, 1, 0);
	push(3, 84, 200, 0);
	push(2, 84, 101, 0);
	expect(3, 200, 0);
	expect(2, 101, 0);
	expect(1, 2, 0);
}

/* RFC 8290 4.2: but not again and again, or the others would starve. */
static void new_flows_starve_nobody(void **state)
{
	struct fq_packet p;
	size_t stream = 0;

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		push(1, 1400, i, 0);
	for (uint32_t i = 0; i < 40; i++) {
		push(2, 1400, i, 0); /* never more than one waits */
		assert_true(fq_pop(q, 0, &p));
		stream += port_of(&p) == 1;
	}
	assert_true(stream >= 9);
}

/* By bytes, whatever size their packets have. */
static void shares_are_equal(void **state)
{
	static const size_t sizes[] = {60000, 1400, 9000, 300};
	size_t got[4] = {0};
	struct fq_packet p;

	(void)state;
	for (uint32_t n = 0; n < 4; n++) {
		for (size_t i = 0; i < 4; i++)
			push((uint16_t)i, sizes[i], n, 0);
	}
	for (size_t total = 0; total < 6000000; total += p.len) {
		assert_true(fq_pop(q, 0, &p));
		got[port_of(&p)] += p.len;
		push(port_of(&p), sizes[port_of(&p)], 0, 0);
	}
	for (size_t i = 0; i < 4; i++)
		assert_in_range(got[i], 1500000 - 66000, 1500000 + 66000);
}

static void tunnels_are_flows_apart(void **state)
{
	struct fq_packet p;

	(void)state;
	for (uint32_t i = 0; i < 9; i++)
		push(1, 1600, i, 0);
	push_for(OTHER_TUNNEL, 1, 84, 77, 0);
	assert_true(fq_pop(q, 0, &p));
	assert_true(fq_pop(q, 0, &p));
	assert_ptr_equal(p.owner, OTHER_TUNNEL);
	assert_int_equal(number_of(&p), 77);
}

/* ---- memory ---- */

static void who_has_most_loses_the_oldest(void **state)
{
	struct fq_counts counts;

	(void)state;
	push(2, 84, 500, 0);
	for (uint32_t i = 0; i < 2000; i++)
		push(1, 84, i, 0);
	fq_count(q, &counts);
	assert_int_equal(counts.packets, FQ_SMALL_SLOTS);
	assert_int_equal(counts.full, 2001 - FQ_SMALL_SLOTS);
	expect(2, 500, 0);
	for (uint32_t i = 2000 - FQ_SMALL_SLOTS + 1; i < 2000; i++)
		expect(1, i, 0);
	expect_empty();
}

static void large_ones_cost_no_small_flow(void **state)
{
	struct fq_counts counts;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		push(2, 1400, i, 0);
	for (uint32_t i = 0; i < 200; i++)
		push(1, 65535, i, 0);
	fq_count(q, &counts);
	assert_int_equal(counts.full, 200 - (FQ_LARGE_SLOTS - 1));
	assert_int_equal(counts.packets, 100 + FQ_LARGE_SLOTS - 1);
	assert_in_range(counts.bytes, 1, 4 << 20);
}

/* Room for a small one is made of small ones, also of those behind large ones of their flow. */
static void small_ones_cost_no_large_ones(void **state)
{
	struct fq_counts counts;

	(void)state;
	for (uint32_t i = 0; i < 20; i++)
		push(1, 65535, i, 0);
	for (uint32_t i = 0; i < FQ_SMALL_SLOTS + 10; i++)
		push(1, 84, 100 + i, 0);
	push(1, 65535, 9999, 0);
	fq_count(q, &counts);
	assert_int_equal(counts.full, 10);
	assert_int_equal(counts.packets, 21 + FQ_SMALL_SLOTS);
	for (uint32_t i = 0; i < 20; i++)
		expect(1, i, 0);
	for (uint32_t i = 0; i < FQ_SMALL_SLOTS; i++)
		expect(1, 110 + i, 0);
	expect(1, 9999, 0);
	expect_empty();
	for (uint32_t i = 0; i < FQ_SMALL_SLOTS + 1; i++) /* the last may be one that goes */
		push(1, 84, i, 0);
	for (uint32_t i = 1; i < FQ_SMALL_SLOTS + 1; i++)
		expect(1, i, 0);
	expect_empty();
}

static void what_is_none_is_not_taken(void **state)
{
	(void)state;
	fq_push(q, TUNNEL, HEAD, HEAD, 0);
	fq_push(q, TUNNEL, HEAD, 3, 0);
	fq_push(q, TUNNEL, HEAD, FQ_SLOT + 1, 0);
	expect_empty();
	memset(fq_slot(q), 0, FQ_SLOT); /* no IP packet: some flow's */
	fq_push(q, TUNNEL, 0, FQ_SLOT, 0);
	fq_push(q, TUNNEL, 0, 1, 0);
	assert_true(fq_pop(q, 0, &(struct fq_packet){0}));
	assert_true(fq_pop(q, 0, &(struct fq_packet){0}));
	expect_empty();
}

static void an_owner_goes_away(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 30; i++)
		push_for(i % 3 ? OTHER_TUNNEL : TUNNEL, (uint16_t)(i % 2), 3000, i, 0);
	fq_forget(q, OTHER_TUNNEL);
	for (uint32_t i = 0; i < 5; i++) {
		struct fq_packet p;

		assert_true(fq_pop(q, 0, &p));
		assert_ptr_equal(p.owner, TUNNEL);
		assert_true(fq_pop(q, 0, &p));
		assert_ptr_equal(p.owner, TUNNEL);
	}
	expect_empty();
	for (uint32_t i = 0; i < FQ_LARGE_SLOTS - 1; i++) { /* no slot is lost */
		assert_false(fq_full(q));
		push(1, 3000, i, 0);
	}
	assert_true(fq_full(q));
	for (uint32_t i = 0; i < FQ_LARGE_SLOTS - 1; i++)
		expect(1, i, 0);
	fq_forget(q, TUNNEL);
	expect_empty();
}

static uint32_t dice(uint32_t below)
{
	static uint32_t x = 7;

	x = x * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)x * below >> 32);
}

/* Anything in any order: each flow's packets come out in order, with their bytes, and what is
 * missing was counted. */
static void a_mixture(void **state)
{
	static uint32_t last[64];
	struct fq_counts counts;
	struct fq_packet p;
	uint64_t in = 0, out = 0, forgotten = 0;

	(void)state;
	memset(last, 0, sizeof(last));
	for (uint32_t i = 1; i < 60000; i++) {
		if (dice(3000) == 0) {
			fq_count(q, &counts);
			forgotten += counts.packets;
			fq_forget(q, TUNNEL);
			fq_count(q, &counts);
			forgotten -= counts.packets;
		}
		if (dice(100) < (i / 10000 & 1 ? 40 : 60)) {
			push((uint16_t)dice(64), 40 + dice(dice(4) ? 1500 : 65000), i, i);
			in++;
		} else if (fq_pop(q, i, &p)) {
			assert_true(number_of(&p) > last[port_of(&p)]);
			last[port_of(&p)] = number_of(&p);
			out++;
		}
	}
	while (fq_pop(q, 60000, &p))
		out++;
	expect_empty();
	fq_count(q, &counts);
	assert_int_equal(in, out + counts.full + forgotten);
	assert_true(counts.full > 0 && counts.congested == 0);
}

/* ---- marks ---- */

/* A queue that stands at `wait` for a second, a packet a millisecond: how many are marked. */
static size_t marks_of(mono_time wait, mono_time *first)
{
	struct fq_packet p;
	size_t marks = 0;
	mono_time now;

	for (now = 0; now < wait; now += MONO_MS)
		push(1, 1400, 0, now);
	for (; now < wait + MONO_S; now += MONO_MS) {
		push(1, 1400, 0, now);
		assert_true(fq_pop(q, now, &p));
		if (p.congested && marks++ == 0)
			*first = now - wait;
	}
	while (fq_pop(q, now, &p))
		;
	return marks;
}

/* RFC 8289: what is short, or soon over, is no matter; else 100 ms / sqrt(n) apart. */
static void standing_queues_are_marked(void **state)
{
	mono_time first = 0;
	size_t marks;

	(void)state;
	assert_int_equal(marks_of(4 * MONO_MS, &first), 0);
	marks = marks_of(20 * MONO_MS, &first);
	assert_in_range(first, FQ_INTERVAL, FQ_INTERVAL + 2 * MONO_MS);
	/* 0.9 s = sum of 100 ms / sqrt(k): k = 27 */
	assert_in_range(marks, 25, 30);
}

static void a_burst_is_not(void **state)
{
	struct fq_packet p;
	mono_time now = 0;

	(void)state;
	for (unsigned burst = 0; burst < 20; burst++, now += 200 * MONO_MS) {
		for (uint32_t i = 0; i < 60; i++)
			push(1, 1400, i, now);
		for (mono_time t = now; fq_pop(q, t, &p); t += MONO_MS)
			assert_false(p.congested);
	}
}

static void one_flow_is_marked_not_all(void **state)
{
	struct fq_packet p;
	size_t marks[2] = {0};

	(void)state;
	for (uint32_t i = 0; i < 30; i++)
		push(0, 1400, i, 0);
	for (mono_time now = 30 * MONO_MS; now < MONO_S; now += MONO_MS) {
		push(0, 1400, 0, now);
		if (now % (3 * MONO_MS) == 0)
			push(1, 100, 0, now);
		while (fq_pop(q, now, &p)) {
			marks[port_of(&p)] += p.congested;
			if (port_of(&p) == 0)
				break;
		}
	}
	assert_true(marks[0] > 5);
	assert_int_equal(marks[1], 0);
}

/* ---- networks in virtual time ---- */

#define SENDERS 8

/* A sender that keeps a window of bytes on the way (TCP), or one that does not ask (flood). */
struct sender {
	bool flood;
	size_t size; /* of its packets */
	double window, on_the_way;
	mono_time due;	/* flood: its next packet */
	mono_time told; /* it reduces its window once in a round trip */
	double delivered;
};

struct net {
	double rate; /* bytes a second */
	mono_time round_trip, now, end;
	struct sender senders[SENDERS];
	size_t used;
	mono_time pings[4096]; /* how long each waited */
	size_t ping_count;
	size_t most_bytes;
	struct {
		mono_time at;
		uint16_t sender;
		size_t bytes;
		bool congested;
	} acks[8192];
	size_t ack_first, ack_count;
};

enum { PING = 99 };

static void slow_down(struct net *n, struct sender *s)
{
	if (s->told && n->now - s->told < n->round_trip)
		return;
	s->told = n->now;
	s->window = s->window * 0.7 > (double)s->size ? s->window * 0.7 : (double)s->size;
}

static void hear_acks(struct net *n)
{
	while (n->ack_count && n->acks[n->ack_first].at <= n->now) {
		size_t i = n->ack_first;
		struct sender *s = &n->senders[n->acks[i].sender];

		s->on_the_way -= (double)n->acks[i].bytes;
		if (n->acks[i].congested)
			slow_down(n, s);
		else if (s->told == 0) /* slow start */
			s->window += (double)n->acks[i].bytes;
		else
			s->window += 1448.0 * (double)n->acks[i].bytes / s->window;
		n->ack_first = (i + 1) % 8192;
		n->ack_count--;
	}
}

static void send_what_may(struct net *n)
{
	struct fq_counts before, after;

	for (uint16_t i = 0; i < n->used; i++) {
		struct sender *s = &n->senders[i];

		while (s->flood ? s->due <= n->now : s->on_the_way + (double)s->size <= s->window) {
			fq_count(q, &before);
			push(i, s->size, i, n->now);
			fq_count(q, &after);
			s->on_the_way += (double)s->size;
			/* what was lost is noticed sooner or later; whose it was is left open */
			if (!s->flood && after.full > before.full) {
				s->on_the_way -= (double)s->size;
				slow_down(n, s);
				break;
			}
			s->due += (mono_time)((double)s->size / (n->rate * 2) * 1e9);
		}
	}
	fq_count(q, &after);
	n->most_bytes = after.bytes > n->most_bytes ? after.bytes : n->most_bytes;
}

static void deliver(struct net *n, const struct fq_packet *p, mono_time sent_at)
{
	size_t tail = (n->ack_first + n->ack_count) % 8192;
	size_t size = p->len - HEAD;

	if (port_of(p) == PING) {
		n->pings[n->ping_count++] = n->now - sent_at;
		return;
	}
	n->senders[port_of(p)].delivered += (double)size;
	if (n->senders[port_of(p)].flood)
		return;
	assert_true(n->ack_count < 8192);
	n->acks[tail].at = n->now + n->round_trip;
	n->acks[tail].sender = port_of(p);
	n->acks[tail].bytes = size;
	n->acks[tail].congested = p->congested;
	n->ack_count++;
}

static int by_size(const void *a, const void *b)
{
	const mono_time *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The link sends one packet after the other; a ping every 10 ms, measured in the second half. */
static void run(struct net *n)
{
	mono_time ping_due = 0, half = n->end / 2, ping_sent = 0;
	struct fq_packet p;
	bool warm = false;

	for (n->now = 0; n->now < n->end;) {
		hear_acks(n);
		send_what_may(n);
		if (n->now >= ping_due) {
			ping_sent = ping_due; /* while the link was busy */
			push(PING, 84, 0, n->now);
			ping_due += 10 * MONO_MS;
		}
		if (!warm && n->now > half) {
			warm = true;
			n->ping_count = 0;
			for (size_t i = 0; i < n->used; i++)
				n->senders[i].delivered = 0;
		}
		if (!fq_pop(q, n->now, &p)) {
			n->now += MONO_MS / 10;
			continue;
		}
		n->now += (mono_time)((double)p.len / n->rate * 1e9);
		deliver(n, &p, ping_sent);
	}
	qsort(n->pings, n->ping_count, sizeof(*n->pings), by_size);
}

static mono_time ping_at(const struct net *n, size_t percent)
{
	return n->pings[(n->ping_count - 1) * percent / 100];
}

static double share(const struct net *n, size_t sender)
{
	return n->senders[sender].delivered / (n->rate * (double)(n->end - n->end / 2) / 1e9);
}

static struct net net;

static void begin(double mbits, mono_time round_trip)
{
	memset(&net, 0, sizeof(net));
	net.rate = mbits * 1e6 / 8;
	net.round_trip = round_trip;
	net.end = 20 * MONO_S;
}

static void add_sender(size_t size, bool flood)
{
	net.senders[net.used++] =
		(struct sender){.flood = flood, .size = size, .window = (double)size};
}

/* A super-packet of 64 KB is on its way already when a ping comes: longer than for that and one
 * more it need not wait. */
static void ping_beside_a_stream(void **state)
{
	static const double rates[] = {20, 100, 1000};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		mono_time slot = (mono_time)(65000 * 8 / rates[i] * 1e3);

		teardown(NULL);
		setup(NULL);
		begin(rates[i], 20 * MONO_MS);
		add_sender(i == 0 ? 2800 : 60000, false);
		run(&net);
		assert_true(net.ping_count > 900);
		assert_true(ping_at(&net, 99) <= 2 * slot);
		assert_true(share(&net, 0) > 0.85);
	}
}

static void streams_share(void **state)
{
	(void)state;
	begin(500, 20 * MONO_MS);
	for (size_t i = 0; i < 4; i++)
		add_sender(i & 1 ? 64000 : 14000, false);
	run(&net);
	for (size_t i = 0; i < 4; i++) {
		assert_true(share(&net, i) > 0.17);
		assert_true(share(&net, i) < 0.33);
	}
	assert_true(ping_at(&net, 99) < 3 * MONO_MS);
}

/* Twice what the link carries, of somebody who does not ask: half of it is the stream's, the ping
 * does not notice, memory stays what it is. */
static void a_flood(void **state)
{
	(void)state;
	begin(200, 10 * MONO_MS);
	add_sender(1400, true);
	add_sender(14000, false);
	run(&net);
	assert_true(share(&net, 0) > 0.4 && share(&net, 0) < 0.65);
	assert_true(share(&net, 1) > 0.35);
	assert_true(ping_at(&net, 99) < 3 * MONO_MS);
	assert_true(net.most_bytes < 4 << 20);
}

/* Whose window grows until memory is full is told once, and from then on by CoDel, before. */
static void the_queue_stays_short(void **state)
{
	struct fq_counts counts;

	(void)state;
	begin(100, 20 * MONO_MS);
	add_sender(14000, false);
	run(&net);
	fq_count(q, &counts);
	assert_true(counts.full < 5);
	assert_true(counts.congested > 5);
	assert_true(share(&net, 0) > 0.9);
	assert_true(counts.longest < FQ_LARGE_SLOTS * 14000 * 8 * 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(order_inside_a_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_flow_goes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(new_flows_starve_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(shares_are_equal, setup, teardown),
		cmocka_unit_test_setup_teardown(tunnels_are_flows_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(who_has_most_loses_the_oldest, setup, teardown),
		cmocka_unit_test_setup_teardown(large_ones_cost_no_small_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(small_ones_cost_no_large_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_none_is_not_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(an_owner_goes_away, setup, teardown),
		cmocka_unit_test_setup_teardown(a_mixture, setup, teardown),
		cmocka_unit_test_setup_teardown(standing_queues_are_marked, setup, teardown),
		cmocka_unit_test_setup_teardown(a_burst_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(one_flow_is_marked_not_all, setup, teardown),
		cmocka_unit_test_setup_teardown(ping_beside_a_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(streams_share, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(the_queue_stays_short, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
