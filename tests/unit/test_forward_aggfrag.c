/* AGGFRAG over the packet paths of both ends: what leaves and when, without a rate and with one,
 * over a change of the CHILD_SA, and what must not pass. Over the cheap cipher of the simulations.
 */
#include "ipsecd/dataplane/forward_aggfrag.h"
#include "lib/buf.h"
#include "tests/support/crypto_null.h"
#include "tests/support/packets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WIRE = 2048 };

struct end {
	struct forward f;
	struct forward_tunnel tunnel;
};

static struct end here, there;
static struct {
	unsigned n;
	uint32_t spi[WIRE];
	size_t len[WIRE];
	uint8_t *bytes[WIRE];
} wire;
static unsigned delivered;
static uint8_t outer_tos = 3; /* CE */
static uint16_t ports[4096];

static void take_sent(void *ctx, struct esp_run *runs, size_t n)
{
	(void)ctx;
	for (struct esp_run *r = runs; r < runs + n; r++) {
		assert_int_equal(r->tos, 0); /* RFC 9347 2.2.5 */
		for (size_t at = 0; at < r->esps.len; at += r->size) {
			size_t len = r->esps.len - at < r->size ? r->esps.len - at : r->size;

			assert_true(wire.n < WIRE);
			wire.bytes[wire.n] = malloc(len);
			memcpy(wire.bytes[wire.n], r->esps.ptr + at, len);
			wire.spi[wire.n] = be32_get(r->esps.ptr + at);
			wire.len[wire.n++] = len;
		}
		r->sent = true;
	}
}

static bool take_delivered(struct forward_tunnel *tunnel, const struct iovec *iov, size_t n)
{
	assert_ptr_equal(tunnel, &there.tunnel);
	assert_int_equal(n, 2);
	assert_true(packet_is_right(iov[1].iov_base, iov[1].iov_len));
	assert_true(delivered < 4096);
	ports[delivered++] = be16_get((uint8_t *)iov[1].iov_base + 20);
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

static struct child_sa child(uint64_t id, uint32_t in, uint32_t out, struct aggfrag_params params)
{
	struct child_sa c = {.id = id,
			     .tunnel = 1,
			     .reqid = 7,
			     .spi_in = in,
			     .spi_out = out,
			     .encr_id = ENCR_AES_GCM_16,
			     .encr_key_bits = 128,
			     .udp_encap = true,
			     .outbound = true,
			     .replay_window = 1024,
			     .local = {.addr.family = AF_INET, .port = 4500},
			     .remote = {.addr.family = AF_INET, .port = 4500},
			     .local_ts.n = 1,
			     .remote_ts.n = 1,
			     .flags.aggfrag = params,
			     .in.encr_len = 20,
			     .out.encr_len = 20};

	assert_true(ts_parse("0.0.0.0/0", &c.local_ts.ts[0]));
	c.remote_ts = c.local_ts;
	return c;
}

static void install(struct end *e, uint64_t id, uint32_t in, uint32_t out,
		    struct aggfrag_params params)
{
	const struct child_sa c = child(id, in, out, params);

	assert_int_equal(forward_child_install(&e->f, &c), DATAPLANE_OK);
}

static void open_end(struct end *e, uint32_t in, uint32_t out, struct aggfrag_params params)
{
	const struct area_tunnel as = {.id = 1, .config.name = "t"};
	const struct dataplane_host host = {.send_esp = take_sent,
					    .event = no_event,
					    .crypto = &crypto_null,
					    .random = no_random};

	memset(e, 0, sizeof(*e));
	forward_init(&e->f, &host, take_delivered);
	assert_int_equal(forward_tunnel_add(&e->f, &e->tunnel, 1, "t"), DATAPLANE_OK);
	assert_int_equal(forward_tunnel_keep(&e->f, &e->tunnel, &as), DATAPLANE_OK);
	install(e, 1, in, out, params);
}

static void begin(struct aggfrag_params params)
{
	params.mode = AGGFRAG_YES;
	open_end(&here, 0x1000, 0x2000, params);
	open_end(&there, 0x2000, 0x1000, params);
	wire.n = delivered = 0;
}

static void end(void)
{
	while (wire.n)
		free(wire.bytes[--wire.n]);
	for (struct end *e = &here; e; e = e == &here ? &there : NULL) {
		forward_tunnel_remove(&e->f, &e->tunnel);
		forward_release(&e->f);
	}
}

/* A datagram with this source port. */
static void give(uint16_t port, size_t payload, mono_time now)
{
	struct packet_form f = {.udp = true, .port = port, .payload = payload};
	static uint8_t bytes[PACKET_MAX];
	struct forward_packet p = {.data = bytes};

	p.len = packet_build(bytes, &f);
	forward_output(&here.f.lane, &here.tunnel, &p, now);
}

/* A super-packet of the device: `n` such datagrams in one. */
static void give_super(uint16_t port, size_t payload, unsigned n, mono_time now)
{
	struct packet_form f = {.udp = true, .port = port, .payload = n * payload};
	static uint8_t bytes[PACKET_MAX];
	struct forward_packet p = {.data = bytes};

	p.len = packet_build(bytes, &f);
	packet_make_super(bytes, p.len, &f, payload, &p.vnet);
	forward_output(&here.f.lane, &here.tunnel, &p, now);
}

static void come_by(struct lane *l, unsigned from, unsigned to, mono_time now)
{
	const struct endpoint peer = {.addr.family = AF_INET, .port = 4500};

	for (unsigned i = from; i < to; i++)
		forward_input(l, &peer, &peer, outer_tos, wire.bytes[i], wire.len[i], wire.len[i],
			      now);
}

static void come_to(struct end *e, unsigned from, unsigned to, mono_time now)
{
	come_by(&e->f.lane, from, to, now);
	forward_flush(&e->f.lane, now);
}

/* ---- without a rate ---- */

static void test_nothing_waits(void **state)
{
	(void)state;
	begin((struct aggfrag_params){0});
	give(1, 10, 1);
	assert_int_equal(wire.n, 0); /* there may be more in the device */
	forward_flush(&here.f.lane, 1);
	assert_int_equal(wire.n, 1);
	for (uint16_t port = 2; port < 42; port++)
		give(port, 10, 1);
	forward_flush(&here.f.lane, 1);
	assert_int_equal(wire.n, 3); /* 40 of 38 bytes in two */
	for (uint16_t port = 42; port < 72; port++)
		give(port, 1472, 1);
	forward_flush(&here.f.lane, 1);
	come_to(&there, 0, wire.n, 1);
	assert_int_equal(delivered, 71);
	for (unsigned i = 0; i < delivered; i++)
		assert_int_equal(ports[i], i + 1);
	for (unsigned i = 0; i < wire.n; i++)
		assert_true(wire.len[i] <= 1500 - 28);
	for (unsigned i = 0; i < DATAPLANE_COUNTERS; i++)
		assert_int_equal(here.f.lane.drops[i] + there.f.lane.drops[i], 0);
	end();
}

static uint16_t path_of(void *ctx, const struct addr *local, const struct addr *remote)
{
	(void)local;
	(void)remote;
	return *(uint16_t *)ctx;
}

static void test_path(void **state)
{
	uint16_t path = 600;

	(void)state;
	begin((struct aggfrag_params){0});
	assert_true(forward_tunnel_aggfrag(&here.tunnel));
	assert_int_equal(forward_tunnel_mtu(&here.tunnel, path_of, &path), 1500);
	give(1, 1472, 1);
	forward_flush(&here.f.lane, 1);
	assert_int_equal(wire.n, 3);
	for (unsigned i = 0; i < wire.n; i++)
		assert_true(wire.len[i] <= 600 - 28);
	come_to(&there, 0, wire.n, 1);
	assert_int_equal(delivered, 1);
	end();
	begin((struct aggfrag_params){.dont_frag = true});
	path = 1500;
	assert_int_equal(forward_tunnel_mtu(&here.tunnel, path_of, &path), 1434);
	give(1, 1434 - 28, 1);
	give(2, 1434 - 27, 1);
	give(3, 100, 1);
	forward_flush(&here.f.lane, 1);
	assert_int_equal(here.f.lane.drops[DROP_TOO_BIG], 1);
	come_to(&there, 0, wire.n, 1);
	assert_int_equal(delivered, 2);
	end();
}

/* The queue's size is one for what waits for its turn, and without a rate nothing does. */
static void test_queue_is_for_a_rate(void **state)
{
	uint16_t path = 4000;

	(void)state;
	begin((struct aggfrag_params){.max_queue = AGGFRAG_QUEUE_MIN});
	forward_tunnel_mtu(&here.tunnel, path_of, &path);
	give_super(1, 1372, 3, 1); /* two wait for the third, and all are more than the queue */
	give(2, 10, 1);
	forward_flush(&here.f.lane, 1);
	assert_int_equal(here.f.lane.drops[DROP_QUEUE], 0);
	come_to(&there, 0, wire.n, 1);
	assert_int_equal(delivered, 4);
	assert_int_equal(ports[3], 2);
	end();
}

/* The rest of a super-packet has no room, as when memory is out: what was before it leaves all the
 * same, and makes room. */
static void test_what_has_room_leaves(void **state)
{
	uint16_t path = 4000;

	(void)state;
	begin((struct aggfrag_params){0});
	forward_tunnel_mtu(&here.tunnel, path_of, &path);
	here.tunnel.newest->aggfrag->limit = 4096;
	for (uint16_t port = 1; port < 5; port++) {
		give_super(port, 1372, 4, 1);
		assert_int_equal(here.f.lane.drops[DROP_QUEUE], port * 2);
		forward_flush(&here.f.lane, 1);
		assert_int_equal(wire.n, port);
	}
	come_to(&there, 0, wire.n, 1);
	assert_int_equal(delivered, 8);
	end();
}

/* What waits in a payload when a successor comes leaves by that at once: who packed it may be
 * another lane, which does not come back to it. */
static void test_a_successor_sends_what_waits(void **state)
{
	static const struct aggfrag_params plain = {.mode = AGGFRAG_YES};

	(void)state;
	begin(plain);
	give(1, 100, MONO_S);
	assert_int_equal(wire.n, 0);
	install(&there, 2, 0x2001, 0x1001, plain);
	install(&here, 2, 0x1001, 0x2001, plain);
	assert_int_equal(wire.n, 1);
	assert_int_equal(wire.spi[0], 0x2001);
	forward_flush(&here.f.lane, MONO_S);
	assert_int_equal(wire.n, 1);
	come_to(&there, 0, 1, MONO_S);
	assert_int_equal(delivered, 1);
	end();
}

/* RFC 9347 2.3: of an SA with AGGFRAG no plain packet passes, and the other way round. */
static void test_plain_is_refused(void **state)
{
	(void)state;
	begin((struct aggfrag_params){0});
	install(&here, 2, 0x1001, 0x2001, (struct aggfrag_params){0});
	install(&there, 2, 0x2001, 0x1001, (struct aggfrag_params){.mode = AGGFRAG_YES});
	give(1, 10, 1);
	forward_flush(&here.f.lane, 1);
	come_to(&there, 0, wire.n, 1);
	assert_int_equal(there.f.lane.drops[DROP_AGGFRAG], 1);
	install(&here, 3, 0x1002, 0x2002, (struct aggfrag_params){.mode = AGGFRAG_YES});
	install(&there, 3, 0x2002, 0x1002, (struct aggfrag_params){0});
	give(1, 10, 1);
	forward_flush(&here.f.lane, 1);
	come_to(&there, 1, wire.n, 1);
	assert_int_equal(there.f.lane.drops[DROP_MALFORMED], 1);
	assert_int_equal(delivered, 0);
	end();
}

/* A payload that is missing is waited for, by the clock. */
static void test_waits_for_lost_ones(void **state)
{
	(void)state;
	begin((struct aggfrag_params){.drop_time = 20000});
	for (uint16_t port = 1; port < 4; port++) {
		give(port, 10, 1);
		forward_flush(&here.f.lane, 1);
	}
	come_to(&there, 0, 1, MONO_S);
	come_to(&there, 2, 3, MONO_S);
	assert_int_equal(delivered, 1);
	assert_int_equal(there.f.lane.aggfrag_due, MONO_S + 20 * MONO_MS);
	forward_aggfrag_run(&there.f.lane, MONO_S + 19 * MONO_MS);
	forward_flush(&there.f.lane, MONO_S);
	assert_int_equal(delivered, 1);
	forward_aggfrag_run(&there.f.lane, MONO_S + 20 * MONO_MS);
	forward_flush(&there.f.lane, MONO_S);
	assert_int_equal(delivered, 2);
	assert_int_equal(ports[1], 3);
	assert_int_equal(there.f.lane.drops[AGGFRAG_GAPS], 1);
	assert_int_equal(there.f.lane.aggfrag_due, MONO_NEVER);
	end();
}

static unsigned woken;

static void wake(struct forward *f)
{
	assert_ptr_equal(f, &there.f);
	woken++;
}

/* What another lane waits for comes to the clock of the first one, and what is older is delivered
 * before that. */
static void test_another_lane_waits(void **state)
{
	struct lane second = {.forward = NULL};

	(void)state;
	woken = 0;
	begin((struct aggfrag_params){.drop_time = 20000});
	forward_lane_init(&there.f, &second, 1, take_sent, NULL);
	there.f.lane.shared = true;
	there.f.threads.wake = wake;
	there.tunnel.may_join = COALESCE_UDP; /* so that they wait for more */
	for (uint16_t port = 1; port < 6; port++) {
		give(port, 10, 1);
		forward_flush(&here.f.lane, 1);
	}
	come_by(&second, 0, 1, MONO_S);
	assert_int_equal(delivered, 0);
	come_by(&second, 2, 4, MONO_S);
	assert_int_equal(delivered, 1);
	assert_int_equal(woken, 0);
	forward_flush(&second, MONO_S);
	assert_int_equal(woken, 1);
	assert_int_equal(there.f.lane.aggfrag_due, MONO_NEVER);
	forward_report(&there.f, MONO_S);
	assert_int_equal(there.f.lane.aggfrag_due, MONO_S + 20 * MONO_MS);
	come_by(&second, 4, 5, MONO_S + MONO_MS); /* it waits for the same one */
	forward_flush(&second, MONO_S + MONO_MS);
	assert_int_equal(woken, 1);
	forward_aggfrag_run(&there.f.lane, MONO_S + 20 * MONO_MS);
	assert_int_equal(delivered, 4);
	for (unsigned i = 1; i < delivered; i++)
		assert_int_equal(ports[i], i + 2);
	assert_int_equal(there.f.lane.drops[AGGFRAG_GAPS] + second.drops[AGGFRAG_GAPS], 1);
	forward_lane_release(&second);
	end();
}

/* ---- with one ---- */

static const struct aggfrag_params steady = {
	.mode = AGGFRAG_YES, .rate = 100, .packet_size = 1000, .max_queue = 20000};

static void run(mono_time from, mono_time to)
{
	for (mono_time t = from; t < to; t += MONO_MS) {
		if (here.f.lane.aggfrag_due <= t)
			forward_aggfrag_run(&here.f.lane, t);
		forward_flush(&here.f.lane, t);
	}
}

static void test_constant_rate(void **state)
{
	(void)state;
	begin(steady);
	run(MONO_S, 2 * MONO_S);
	assert_int_equal(wire.n, 100);
	assert_int_equal(here.f.lane.drops[AGGFRAG_PADS], 100);
	for (uint16_t port = 1; port < 11; port++)
		give(port, 1472, 2 * MONO_S);
	for (uint16_t port = 11; port < 21; port++) /* what has no room is dropped */
		give(port, 1472, 2 * MONO_S);
	assert_int_equal(here.f.lane.drops[DROP_QUEUE], 7);
	run(2 * MONO_S, 3 * MONO_S);
	assert_int_equal(wire.n, 200);
	for (unsigned i = 0; i < wire.n; i++)
		assert_int_equal(wire.len[i], wire.len[0]);
	assert_in_range(wire.len[0], 1000 - 28 - 3, 1000 - 28);
	come_to(&there, 0, wire.n, 3 * MONO_S);
	assert_int_equal(delivered, 13);
	assert_int_equal(here.tunnel.newest->live->stats.bytes_out, 13 * 1500);
	assert_int_equal(there.tunnel.newest->live->stats.bytes_in, 13 * 1500);
	end();
}

/* RFC 4301 4.4.2.1: limits in bytes are of what the cipher is applied to, padding and headers of
 * payloads included, at both ends. */
static void test_limits_count_what_is_enciphered(void **state)
{
	struct child_sa c = child(2, 0x1001, 0x2001, steady);
	size_t each;

	(void)state;
	begin(steady);
	install(&there, 2, 0x2001, 0x1001, steady);
	c.life_bytes = 9000;
	assert_int_equal(forward_child_install(&here.f, &c), DATAPLANE_OK);
	run(MONO_S, 2 * MONO_S); /* with nothing in them */
	each = wire.len[0] - ESP_HEADER_LEN - 8 /* IV */ - 16 /* ICV */;
	assert_int_equal(wire.n, (9000 + each - 1) / each);
	assert_int_equal(here.tunnel.newest->live->ciphered_out, wire.n * each);
	assert_int_equal(here.tunnel.newest->live->stats.bytes_out, 0);
	for (uint16_t port = 1; port < 4; port++)
		give(port, 1472, 2 * MONO_S);
	run(2 * MONO_S, 3 * MONO_S);
	assert_int_equal(here.f.lane.drops[DROP_EXPIRED], 3);
	come_to(&there, 0, wire.n, 3 * MONO_S);
	assert_int_equal(there.tunnel.newest->live->ciphered_in, wire.n * each);
	assert_int_equal(there.tunnel.newest->live->stats.bytes_in, 0);
	end();
}

/* The new CHILD_SA goes on with what waits and with the clock; what has begun ends by the old one.
 */
static void test_rekey_under_rate(void **state)
{
	unsigned old = 0;

	(void)state;
	begin(steady);
	for (uint16_t port = 1; port < 11; port++)
		give(port, 1472, MONO_S);
	run(MONO_S, MONO_S + 11 * MONO_MS);
	assert_int_equal(wire.n, 2);
	install(&there, 2, 0x2001, 0x1001, steady);
	install(&here, 2, 0x1001, 0x2001, steady);
	run(MONO_S + 11 * MONO_MS, 2 * MONO_S);
	forward_child_remove(&here.f, 1);
	run(2 * MONO_S, 3 * MONO_S);
	assert_in_range(wire.n, 200, 202);
	for (unsigned i = 0; i < wire.n; i++)
		old += wire.spi[i] == 0x2000;
	assert_int_equal(old, 4); /* two of them out of turn */
	come_to(&there, 0, wire.n, 3 * MONO_S);
	assert_int_equal(delivered, 10);
	for (unsigned i = 0; i < delivered; i++)
		assert_int_equal(ports[i], i + 1);
	end();
}

/* Nor does the clock show the change where nothing waits. */
static void test_rekey_of_an_idle_one(void **state)
{
	(void)state;
	begin(steady);
	run(MONO_S, MONO_S + 15 * MONO_MS);
	assert_int_equal(wire.n, 2);
	install(&here, 2, 0x1001, 0x2001, steady);
	run(MONO_S + 15 * MONO_MS, MONO_S + 20 * MONO_MS);
	assert_int_equal(wire.n, 2);
	run(MONO_S + 20 * MONO_MS, 2 * MONO_S);
	assert_int_equal(wire.n, 100);
	assert_int_equal(wire.spi[2], 0x2001);
	end();
}

/* The new CHILD_SA has no AGGFRAG: what waits leaves by it, in its order, but for the packet that
 * has begun. */
static void test_rekey_without(void **state)
{
	unsigned old = 0;

	(void)state;
	begin(steady);
	for (uint16_t port = 1; port < 11; port++)
		give(port, 1472, MONO_S);
	run(MONO_S, MONO_S + 11 * MONO_MS);
	assert_int_equal(wire.n, 2);
	install(&there, 2, 0x2001, 0x1001, (struct aggfrag_params){0});
	install(&here, 2, 0x1001, 0x2001, (struct aggfrag_params){0});
	run(MONO_S + 11 * MONO_MS, 2 * MONO_S);
	give(11, 1472, 2 * MONO_S);
	run(2 * MONO_S, 3 * MONO_S);
	forward_child_remove(&here.f, 1);
	for (unsigned i = 0; i < wire.n; i++)
		old += wire.spi[i] == 0x2000;
	assert_int_equal(wire.n - old, 9);
	outer_tos = 0;
	come_to(&there, 0, wire.n, 3 * MONO_S);
	outer_tos = 3;
	assert_int_equal(delivered, 11);
	for (unsigned i = 0; i < delivered; i++)
		assert_int_equal(ports[i], i + 1);
	for (unsigned i = 0; i < DROP_COUNTERS; i++)
		assert_int_equal(here.f.lane.drops[i] + there.f.lane.drops[i], 0);
	end();
}

/* Nobody goes on with it: what waits is counted. */
static void test_goes_with_what_waits(void **state)
{
	(void)state;
	begin(steady);
	for (uint16_t port = 1; port < 11; port++)
		give(port, 1472, MONO_S);
	run(MONO_S, MONO_S + 11 * MONO_MS); /* one packet, and a part of the second */
	assert_int_equal(forward_child_remove(&here.f, 1), DATAPLANE_OK);
	assert_int_equal(here.f.lane.drops[DROP_QUEUE], 9);
	end();
}

/* The plane was killed: CHILD_SAs go on with new streams, and the peer finds them. */
static void test_begins_anew(void **state)
{
	(void)state;
	begin(steady);
	for (uint16_t port = 1; port < 4; port++)
		give(port, 1472, MONO_S);
	run(MONO_S, MONO_S + 11 * MONO_MS); /* one packet and a part */
	here.tunnel.newest->aggfrag->pack.used = 0;
	here.tunnel.newest->aggfrag->pack.rest = 0;
	aggfrag_open_init(&there.tunnel.newest->aggfrag->open, 3, MONO_MS);
	give(4, 1472, MONO_S);
	run(MONO_S + 11 * MONO_MS, 2 * MONO_S);
	come_to(&there, 0, wire.n, 2 * MONO_S);
	assert_int_equal(delivered, 2);
	assert_int_equal(ports[1], 4);
	assert_int_equal(there.f.lane.drops[DROP_FRAGMENT], 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_waits),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_queue_is_for_a_rate),
		cmocka_unit_test(test_what_has_room_leaves),
		cmocka_unit_test(test_a_successor_sends_what_waits),
		cmocka_unit_test(test_plain_is_refused),
		cmocka_unit_test(test_waits_for_lost_ones),
		cmocka_unit_test(test_constant_rate),
		cmocka_unit_test(test_rekey_under_rate),
		cmocka_unit_test(test_rekey_of_an_idle_one),
		cmocka_unit_test(test_limits_count_what_is_enciphered),
		cmocka_unit_test(test_rekey_without),
		cmocka_unit_test(test_goes_with_what_waits),
		cmocka_unit_test(test_begins_anew),
		cmocka_unit_test(test_another_lane_waits),
	};

	return cmocka_run_group_tests_name("forward_aggfrag", tests, NULL, NULL);
}
