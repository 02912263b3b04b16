/* Super-packets from one end of a tunnel to the other, over the packet paths of both: cut, sealed
 * and sent in runs; opened, joined, and, cut again, what they were, in order; with a network
 * between that loses, repeats, reorders and merges. Over the cheap cipher of the simulations. */
#include "ipsecd/dataplane/cut.h"
#include "ipsecd/dataplane/forward.h"
#include "tests/support/crypto_null.h"
#include "tests/support/packets.h"

#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PSH = 8, ACK = 16, PACKETS = 4096, RUNS = 1024, BYTES = 8 << 20 };

struct end {
	struct forward f;
	struct forward_tunnel tunnel;
};

/* What is on the way, and what has come out, packet by packet. */
struct pieces {
	size_t n, used, supers;
	size_t at[PACKETS], len[PACKETS];
	uint8_t bytes[BYTES];
};

static struct end here, there;
static struct pieces given, taken;
static struct {
	size_t n;
	size_t len[RUNS], size[RUNS];
	uint8_t *bytes[RUNS];
} wire;

static void put(struct pieces *p, const uint8_t *bytes, size_t len)
{
	assert_true(p->n < PACKETS && p->used + len <= BYTES);
	memcpy(p->bytes + p->used, bytes, len);
	p->at[p->n] = p->used;
	p->len[p->n++] = len;
	p->used += len;
}

static void put_cut(struct pieces *p, const struct virtio_net_hdr *vnet, const uint8_t *bytes,
		    size_t len)
{
	static uint8_t segment[PACKET_MAX];
	struct cut cut;
	size_t n;

	assert_int_equal(cut_begin(&cut, vnet, bytes, len), CUT_OK);
	while ((n = cut_next(&cut, segment, sizeof(segment))) != 0) {
		assert_true(packet_is_right(segment, n));
		put(p, segment, n);
	}
	p->supers++;
}

static void take_sent(void *ctx, struct esp_run *runs, size_t n)
{
	(void)ctx;
	assert_in_range(n, 1, ESP_RUNS);
	for (struct esp_run *r = runs; r < runs + n; r++) {
		size_t packets = (r->esps.len + r->size - 1) / r->size;

		assert_in_range(packets, 1, ESP_RUN_PACKETS);
		assert_in_range(r->esps.len, 1, ESP_RUN_BYTES);
		assert_true(wire.n < RUNS);
		wire.bytes[wire.n] = malloc(r->esps.len);
		memcpy(wire.bytes[wire.n], r->esps.ptr, r->esps.len);
		wire.len[wire.n] = r->esps.len;
		wire.size[wire.n++] = r->size;
		r->sent = true;
	}
}

static bool take_delivered(struct forward_tunnel *tunnel, const struct iovec *iov, size_t n)
{
	static uint8_t super[PACKET_MAX];
	struct virtio_net_hdr vnet;
	size_t len = 0;

	assert_ptr_equal(tunnel, &there.tunnel);
	memcpy(&vnet, iov[0].iov_base, sizeof(vnet));
	for (size_t i = 1; i < n; len += iov[i++].iov_len)
		memcpy(super + len, iov[i].iov_base, iov[i].iov_len);
	put_cut(&taken, &vnet, super, len);
	return true;
}

static void no_event(void *ctx, const struct dataplane_event *event)
{
	(void)ctx;
	(void)event;
}

static void no_random(void *ctx, void *dst, size_t n)
{
	(void)ctx;
	memset(dst, 0x11, n);
}

static struct child_sa child(uint32_t spi_in, uint32_t spi_out)
{
	struct child_sa c = {.id = 1,
			     .tunnel = 1,
			     .spi_in = spi_in,
			     .spi_out = spi_out,
			     .encr_id = ENCR_AES_GCM_16,
			     .encr_key_bits = 128,
			     .udp_encap = true,
			     .outbound = true,
			     .replay_window = 1024,
			     .local = {.addr.family = AF_INET},
			     .remote = {.addr.family = AF_INET},
			     .local_ts.n = 2,
			     .remote_ts.n = 2,
			     .in.encr_len = 20,
			     .out.encr_len = 20};

	assert_true(ts_parse("0.0.0.0/0", &c.local_ts.ts[0]));
	assert_true(ts_parse("::/0", &c.local_ts.ts[1]));
	c.remote_ts = c.local_ts;
	return c;
}

static void open_end(struct end *e, uint32_t spi_in, uint32_t spi_out)
{
	const struct area_tunnel as = {.id = 1, .config.name = "t"};
	const struct dataplane_host host = {.send_esp = take_sent,
					    .event = no_event,
					    .crypto = &crypto_null,
					    .random = no_random};
	const struct child_sa c = child(spi_in, spi_out);

	memset(e, 0, sizeof(*e));
	forward_init(&e->f, &host, take_delivered);
	assert_int_equal(forward_tunnel_add(&e->f, &e->tunnel, 1, "t"), DATAPLANE_OK);
	assert_int_equal(forward_tunnel_keep(&e->f, &e->tunnel, &as), DATAPLANE_OK);
	e->tunnel.may_join = COALESCE_TCP | COALESCE_UDP;
	assert_int_equal(forward_child_install(&e->f, &c), DATAPLANE_OK);
}

static int setup(void **state)
{
	(void)state;
	open_end(&here, 0x1000, 0x2000);
	open_end(&there, 0x2000, 0x1000);
	given.n = given.used = given.supers = taken.n = taken.used = taken.supers = wire.n = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (wire.n)
		free(wire.bytes[--wire.n]);
	for (struct end *e = &here; e; e = e == &here ? &there : NULL) {
		forward_tunnel_remove(&e->f, &e->tunnel);
		forward_release(&e->f);
	}
	return 0;
}

/* ---- the network ---- */

/* Buffers that have come and are not given back yet, each in memory of its own: what is read beyond
 * it is seen by the sanitizer. */
static struct {
	size_t n;
	uint8_t *bytes[RUNS];
} buffers;

static void come(const uint8_t *bytes, size_t len, size_t size)
{
	const struct endpoint from = {.addr.family = AF_INET};
	uint8_t *packets = malloc(len);

	memcpy(packets, bytes, len);
	assert_true(buffers.n < RUNS);
	buffers.bytes[buffers.n++] = packets;
	forward_input(&there.f.lane, &from, &from, 0, packets, len, size, 1);
}

static void settle(void)
{
	forward_flush(&there.f.lane, 1);
	while (buffers.n)
		free(buffers.bytes[--buffers.n]);
}

static void receive(const uint8_t *bytes, size_t len, size_t size)
{
	come(bytes, len, size);
	settle();
}

static void arrive(void)
{
	for (size_t i = 0; i < wire.n; i++) {
		receive(wire.bytes[i], wire.len[i], wire.size[i]);
		free(wire.bytes[i]);
	}
	wire.n = 0;
}

/* ---- the sender ---- */

static void send_super(const struct packet_form *f, size_t gso_size)
{
	static uint8_t packet[PACKET_MAX];
	struct forward_packet p = {.data = packet};

	p.len = packet_build(packet, f);
	packet_make_super(packet, p.len, f, gso_size, &p.vnet);
	put_cut(&given, &p.vnet, packet, p.len);
	forward_output(&here.f.lane, &here.tunnel, &p, 1);
}

static void flush(void)
{
	forward_flush(&here.f.lane, 1);
}

static void expect_all(void)
{
	assert_int_equal(taken.n, given.n);
	assert_int_equal(taken.used, given.used);
	for (size_t i = 0; i < given.n; i++) {
		assert_int_equal(taken.len[i], given.len[i]);
		assert_memory_equal(taken.bytes + taken.at[i], given.bytes + given.at[i],
				    given.len[i]);
	}
}

static const struct packet_form forms[] = {
	{.flags = ACK | PSH, .tcp_options = 12, .df = true},
	{.flags = ACK},
	{.ipv6 = true, .flags = ACK | PSH, .tcp_options = 12},
	{.udp = true, .df = true},
	{.udp = true, .ipv6 = true},
};

#define FORMS (sizeof(forms) / sizeof(*forms))

/* ---- cases ---- */

static void every_form_and_size(void **state)
{
	static const size_t sizes[] = {64, 511, 1398, 1399};

	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		for (size_t k = 0; k < 4; k++) {
			struct packet_form f = forms[i];

			for (size_t payload = 1; payload <= 46 * sizes[k];
			     payload = payload * 3 + 1) {
				f.payload = payload;
				send_super(&f, sizes[k]);
				f.sequence += (uint32_t)payload;
			}
			flush();
			arrive();
			expect_all();
			teardown(NULL);
			setup(NULL);
		}
	}
}

/* One message of the network's, one super-packet of the device's. */
static void one_run_one_super(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMS; i++) {
		struct packet_form f = forms[i];

		f.payload = 40 * 1400 + 1;
		send_super(&f, 1400);
		flush();
		assert_int_equal(wire.n, 1);
		arrive();
		assert_int_equal(taken.supers, i + 1);
	}
	expect_all();
}

/* RFC 4303 3.4.3: what came joined is accepted as little twice as anything. */
static void replayed_runs(void **state)
{
	struct packet_form f = forms[0];

	(void)state;
	f.payload = 40 * 1000;
	send_super(&f, 1000);
	flush();
	assert_int_equal(wire.n, 1);
	receive(wire.bytes[0], wire.len[0], wire.size[0]);
	receive(wire.bytes[0], wire.len[0], wire.size[0]);
	receive(wire.bytes[0] + wire.size[0], wire.len[0] - wire.size[0], wire.size[0]);
	expect_all();
	assert_int_equal(there.f.lane.drops[DROP_REPLAY], 79);
}

/* One damaged packet inside a run costs itself, and nobody else. */
static void damaged_in_a_run(void **state)
{
	struct packet_form f = {.udp = true};

	(void)state;
	f.payload = 10 * 1000;
	send_super(&f, 1000);
	flush();
	wire.bytes[0][3 * wire.size[0] + 100] ^= 1;
	arrive();
	assert_int_equal(there.f.lane.drops[DROP_ICV], 1);
	assert_int_equal(taken.n, 9);
	assert_int_equal(taken.supers, 2); /* the gap shows in the identification */
	for (size_t i = 0; i < 9; i++)
		assert_memory_equal(taken.bytes + taken.at[i], given.bytes + given.at[i + (i > 2)],
				    taken.len[i]);
}

static uint32_t dice(uint32_t below)
{
	static uint32_t x = 3;

	x = x * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)x * below >> 32);
}

/* The bytes that were given, each packet at most once. */
static size_t tick_off(void)
{
	static bool seen[PACKETS];
	size_t found = 0;

	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < taken.n; i++) {
		for (size_t k = 0; k < given.n; k++) {
			if (seen[k] || taken.len[i] != given.len[k] ||
			    memcmp(taken.bytes + taken.at[i], given.bytes + given.at[k],
				   given.len[k]) != 0)
				continue;
			seen[k] = true;
			found++;
			break;
		}
	}
	return found;
}

/* Packets of the runs in any order inside of the window, some twice, some never. */
static void a_bad_network(void **state)
{
	size_t lost = 0, sent = 0;

	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		static struct span packets[PACKETS];
		size_t n = 0;

		for (size_t i = 0; i < FORMS; i++) {
			struct packet_form f = forms[i];

			f.df = false; /* the identification is compared, too */
			f.id = (uint16_t)(round * 100);
			f.sequence = round * 100000;
			f.port = (uint16_t)(round * 8 + i);
			f.payload = 900 * (1 + dice(20)) + dice(2);
			send_super(&f, 900);
		}
		flush();
		for (size_t i = 0; i < wire.n; i++) {
			size_t left = wire.len[i], size = wire.size[i];

			for (size_t at = 0; left; left -= packets[n++].len, at += size)
				packets[n] = span_of(wire.bytes[i] + at, left < size ? left : size);
		}
		sent += n;
		for (size_t i = 0; i < n; i++) {
			size_t k = dice(6) ? i : dice((uint32_t)n);
			struct span other = packets[i];

			packets[i] = packets[k];
			packets[k] = other;
		}
		for (size_t i = 0; i < n; i++) {
			if (dice(20) == 0) {
				lost++;
				continue;
			}
			come(packets[i].ptr, packets[i].len, packets[i].len);
			if (dice(20) == 0)
				come(packets[i].ptr, packets[i].len, packets[i].len);
			if (dice(30) == 0)
				settle();
		}
		settle();
		while (wire.n)
			free(wire.bytes[--wire.n]);
	}
	assert_true(taken.supers < taken.n / 2); /* much is joined all the same */
	assert_int_equal(given.n, sent);
	assert_int_equal(taken.n, sent - lost);
	assert_int_equal(tick_off(), sent - lost);
	assert_int_equal(there.f.lane.drops[DROP_ICV], 0);
}

/* RFC 4301 4.4.2.1: a limit inside a super-packet holds where it is. */
static void a_limit_inside(void **state)
{
	struct child_sa c = child(0x1001, 0x2001);
	struct packet_form f = forms[0];

	(void)state;
	c.id = 2;
	c.life_packets = 7;
	assert_int_equal(forward_child_install(&here.f, &c), DATAPLANE_OK);
	f.payload = 20 * 1000;
	send_super(&f, 1000);
	flush();
	assert_int_equal(wire.n, 1);
	assert_int_equal((wire.len[0] + wire.size[0] - 1) / wire.size[0], 7);
	assert_int_equal(here.f.lane.drops[DROP_EXPIRED], 13);
}

/* What a queue has to say is said in one segment. */
static void congestion(void **state)
{
	static uint8_t packet[PACKET_MAX];
	struct packet_form f = forms[2];
	struct forward_packet p = {.data = packet, .congested = true};

	(void)state;
	f.payload = 5000;
	for (uint8_t ect = 0; ect < 2; ect++) {
		f.tos = ect;
		p.len = packet_build(packet, &f);
		packet_make_super(packet, p.len, &f, 1000, &p.vnet);
		forward_output(&here.f.lane, &here.tunnel, &p, 1);
		flush();
		arrive();
	}
	assert_int_equal(here.f.lane.drops[DROP_QUEUE], 1);
	assert_int_equal(taken.n, 4 + 5);
	for (size_t i = 4; i < 9; i++)
		assert_int_equal(taken.bytes[taken.at[i] + 1] >> 4 & 3, i == 4 ? 3 : 1);
}

static void malformed_ones_are_counted(void **state)
{
	static uint8_t packet[PACKET_MAX];
	struct forward_packet p = {.data = packet};
	struct packet_form f = forms[0];

	(void)state;
	f.payload = 5000;
	p.len = packet_build(packet, &f);
	packet_make_super(packet, p.len, &f, 1000, &p.vnet);
	p.vnet.gso_size = 0;
	forward_output(&here.f.lane, &here.tunnel, &p, 1);
	p.vnet.gso_size = 1000;
	p.vnet.csum_start++;
	forward_output(&here.f.lane, &here.tunnel, &p, 1);
	p.vnet.csum_start--;
	p.len--;
	forward_output(&here.f.lane, &here.tunnel, &p, 1);
	flush();
	assert_int_equal(here.f.lane.drops[DROP_MALFORMED], 3);
	assert_int_equal(wire.n, 0);
}

/* A device that takes no super-packets gets none. */
static void a_device_without(void **state)
{
	struct packet_form f = forms[0];

	(void)state;
	there.tunnel.may_join = COALESCE_UDP;
	f.payload = 5000;
	send_super(&f, 1000);
	flush();
	arrive();
	expect_all();
	assert_int_equal(taken.supers, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_form_and_size, setup, teardown),
		cmocka_unit_test_setup_teardown(one_run_one_super, setup, teardown),
		cmocka_unit_test_setup_teardown(replayed_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_in_a_run, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bad_network, setup, teardown),
		cmocka_unit_test_setup_teardown(a_limit_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(congestion, setup, teardown),
		cmocka_unit_test_setup_teardown(malformed_ones_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_device_without, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
