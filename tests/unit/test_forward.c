/* The packet paths where no contract case can look: the ends of the sequence number
 * space, intervals in virtual time, many SAs. Over the cheap cipher of the simulations. */
#include "ipsecd/dataplane/forward.h"
#include "tests/support/crypto_null.h"
#include "tests/support/esp_runs.h"

#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct tap {
	struct forward f;
	struct forward_tunnel tunnel;
	unsigned sent, delivered, events[16];
	uint32_t last_seq;
	size_t last_len;
	uint8_t last_tos; /* of the outer header, outwards; of the inner one, inwards */
	bool last_df;
	uint16_t last_port; /* of the peer, outwards */
	uint16_t from_port; /* inwards; 0: bare */
	uint64_t last_child;
};

static bool take_packet(void *ctx, const struct esp_run *run, struct span esp)
{
	struct tap *t = ctx;

	t->sent++;
	t->last_tos = run->tos;
	t->last_df = run->df;
	t->last_port = run->to->port;
	t->last_seq = be32_get(esp.ptr + 4);
	t->last_len = esp.len;
	return true;
}

static void take_sent(void *ctx, struct esp_run *runs, size_t n)
{
	esp_runs_each(runs, n, take_packet, ctx);
}

static void take_event(void *ctx, const struct dataplane_event *event)
{
	struct tap *t = ctx;

	t->events[event->kind]++;
	t->last_child = event->child;
}

static void no_random(void *ctx, void *dst, size_t n)
{
	(void)ctx;
	memset(dst, 0x11, n);
}

static bool take_delivered(struct forward_tunnel *tunnel, const struct iovec *iov, size_t n)
{
	struct tap *t = (struct tap *)((char *)tunnel - offsetof(struct tap, tunnel));

	assert_int_equal(n, 2);
	assert_int_equal(((uint8_t *)iov[1].iov_base)[20], ++t->delivered); /* in their order */
	t->last_tos = ((uint8_t *)iov[1].iov_base)[1];
	return true;
}

static int setup(void **state)
{
	const struct area_tunnel as = {.id = 1, .config.name = "t"};
	struct tap *t = calloc(1, sizeof(*t));
	struct dataplane_host host = {.send_esp = take_sent,
				      .event = take_event,
				      .ctx = t,
				      .crypto = &crypto_null,
				      .random = no_random};

	if (!t)
		return -1;
	forward_init(&t->f, &host, take_delivered);
	*state = t;
	if (forward_tunnel_add(&t->f, &t->tunnel, 1, "t") != DATAPLANE_OK)
		return -1;
	return forward_tunnel_keep(&t->f, &t->tunnel, &as);
}

static int teardown(void **state)
{
	struct tap *t = *state;

	forward_tunnel_remove(&t->f, &t->tunnel);
	forward_release(&t->f);
	free(t);
	return 0;
}

static struct sa *install(struct tap *t, uint64_t id, bool esn)
{
	struct child_sa c = {.id = id,
			     .tunnel = 1,
			     .spi_in = 0x1000 + (uint32_t)id,
			     .spi_out = 0x2000,
			     .encr_id = ENCR_AES_GCM_16,
			     .encr_key_bits = 128,
			     .esn = esn,
			     .udp_encap = true,
			     .outbound = true,
			     .replay_window = 64,
			     .local = {.addr.family = AF_INET},
			     .remote = {.addr.family = AF_INET},
			     .local_ts.n = 1,
			     .remote_ts.n = 1,
			     .in.encr_len = 20,
			     .out.encr_len = 20};

	assert_true(ts_parse("10.0.0.0/8", &c.local_ts.ts[0]));
	c.remote_ts = c.local_ts;
	assert_int_equal(forward_child_install(&t->f, &c), DATAPLANE_OK);
	return sadb_by_id(&t->f.sadb, id);
}

static void output(struct tap *t, const uint8_t *data, size_t len, mono_time now)
{
	const struct forward_packet p = {.data = data, .len = len};

	forward_output(&t->f.lane, &t->tunnel, &p, now);
	forward_flush(&t->f.lane, now);
}

static void transmit_len(struct tap *t, size_t len, mono_time now)
{
	static uint8_t p[65535];

	memset(p, 0, 20);
	p[0] = 0x45;
	be16_set(p + 2, (uint16_t)len);
	p[12] = p[16] = 10;
	output(t, p, len, now);
}

static void transmit(struct tap *t, mono_time now)
{
	transmit_len(t, 100, now);
}

/* RFC 4303 3.3.3: without ESN the counter must not cycle. */
static void sequence_numbers_end(void **state)
{
	struct tap *t = *state;
	struct sa *sa = install(t, 1, false);

	sa->live->seq_out = sa_seq_soft(sa) - 2;
	transmit(t, 1);
	assert_int_equal(t->events[DATAPLANE_CHILD_SOFT_EXPIRE], 0);
	transmit(t, 1);
	assert_int_equal(t->events[DATAPLANE_CHILD_SOFT_EXPIRE], 1);
	sa->live->seq_out = UINT32_MAX - 2;
	transmit(t, 1);
	assert_int_equal(t->events[DATAPLANE_CHILD_HARD_EXPIRE], 0);
	transmit(t, 1);
	assert_int_equal(t->last_seq, UINT32_MAX);
	assert_int_equal(t->events[DATAPLANE_CHILD_HARD_EXPIRE], 1);
	transmit(t, 1);
	transmit(t, 1);
	assert_int_equal(t->sent, 4);
	assert_int_equal(sa->live->seq_out, UINT32_MAX);
	assert_int_equal(t->f.lane.drops[DROP_EXPIRED], 2);
	assert_int_equal(t->events[DATAPLANE_CHILD_SOFT_EXPIRE], 1);
	assert_int_equal(t->events[DATAPLANE_CHILD_HARD_EXPIRE], 1);
}

static void extended_numbers_go_on(void **state)
{
	struct tap *t = *state;
	struct sa *sa = install(t, 1, true);

	sa->live->seq_out = UINT32_MAX - 1;
	for (unsigned n = 0; n < 3; n++)
		transmit(t, 1);
	assert_int_equal(sa->live->seq_out, UINT64_C(0x100000001));
	assert_int_equal(t->last_seq, 1);
	assert_int_equal(t->events[DATAPLANE_CHILD_SOFT_EXPIRE], 0);
	sa->live->seq_out = UINT64_MAX - 1;
	transmit(t, 1);
	assert_int_equal(t->events[DATAPLANE_CHILD_HARD_EXPIRE], 1);
	transmit(t, 1);
	assert_int_equal(sa->live->seq_out, UINT64_MAX);
	assert_int_equal(t->f.lane.drops[DROP_EXPIRED], 1);
}

static void acquire_once_a_second(void **state)
{
	struct tap *t = *state;

	for (mono_time now = MONO_S; now < 4 * MONO_S; now += MONO_S / 10)
		transmit(t, now);
	assert_int_equal(t->events[DATAPLANE_ACQUIRE], 3);
	assert_int_equal(t->f.lane.drops[DROP_NO_SA], 30);
}

/* What the kernel itself says on an IPv6 device asks for no tunnel. */
static void router_solicitations_do_not_acquire(void **state)
{
	struct tap *t = *state;
	uint8_t p[48] = {0};

	p[0] = 0x60;
	p[5] = 8;
	p[6] = 58;
	p[24] = 0xff;
	p[25] = 0x02;
	p[39] = 2;
	p[40] = 133;
	output(t, p, 48, MONO_S);
	assert_int_equal(t->events[DATAPLANE_ACQUIRE], 0);
	assert_int_equal(t->f.lane.drops[DROP_NO_SA], 1);
}

static void too_big_for_udp(void **state)
{
	struct tap *t = *state;
	struct sa *sa = install(t, 1, false);

	transmit_len(t, 65535, 1);
	assert_int_equal(t->f.lane.drops[DROP_TOO_BIG], 1);
	assert_int_equal(sa->live->seq_out, 0);
	transmit_len(t, 65000, 1);
	assert_int_equal(t->sent, 1);
}

/* In the area, and nowhere else. */
static void keys_are_in_the_slot(void **state)
{
	struct tap *t = *state;
	struct sa *sa = install(t, 1, false);
	const struct area_child_parts parts = area_child_parts(sa->slot);

	assert_ptr_equal(sa->in.key, parts.in.encr.ptr);
	assert_ptr_equal(sa->out.key, parts.out.encr.ptr);
}

/* Made by the first packet, kept while there are some, and made again when there are again. */
static void idle_ciphers_go(void **state)
{
	struct tap *t = *state;
	struct sa *sa = install(t, 1, false), *other = install(t, 2, false);

	assert_null(sa->out.cipher);
	forward_tick(&t->f, MONO_S);
	for (mono_time now = 2 * MONO_S; now < 100 * MONO_S; now += MONO_S) {
		if (now < 10 * MONO_S || now == 60 * MONO_S)
			transmit(t, now);
		forward_tick(&t->f, now + MONO_MS);
		assert_int_equal(other->out.cipher != NULL,
				 now < 39 * MONO_S || (now >= 60 * MONO_S && now < 90 * MONO_S));
		assert_null(other->in.cipher);
		assert_null(sa->out.cipher);
	}
	assert_int_equal(t->f.lane.drops[DROP_SEND], 0);
}

static struct crypto_cipher *no_cipher(const struct algorithm_encr *encr,
				       const struct algorithm_integ *integ, struct span key,
				       struct span integ_key, bool encrypt)
{
	(void)encr;
	(void)integ;
	(void)key;
	(void)integ_key;
	(void)encrypt;
	return NULL;
}

static void without_memory_for_a_cipher(void **state)
{
	struct crypto_ops poor = crypto_null;
	struct tap *t = *state;
	struct sa *sa;

	poor.cipher_new = no_cipher;
	t->f.host.crypto = &poor;
	sa = install(t, 1, false);
	transmit(t, 1);
	assert_int_equal(t->sent, 0);
	assert_int_equal(t->f.lane.drops[DROP_SEND], 1);
	sa->in.crypto = sa->out.crypto = &crypto_null;
	transmit(t, 1);
	assert_int_equal(t->sent, 1);
}

/* RFC 4303 2.7: shorter packets are as long as one of that length, and count as they are; not
 * longer than fits the path. */
static void short_packets_are_padded(void **state)
{
	struct tap *t = *state;
	struct sa *sa = install(t, 1, false);
	struct child_sa c;
	size_t plain;

	area_child_get(sa->slot, &c, NULL);
	transmit_len(t, 500, 1);
	plain = t->last_len;
	c.flags.tfc_pad = 500;
	for (uint64_t id = 2; id <= 3; id++) {
		c.id = id;
		c.spi_in = 0x1000 + (uint32_t)id;
		c.flags.tfc_pad = id == 3 ? CHILD_TFC_MTU : 500;
		assert_int_equal(forward_child_install(&t->f, &c), DATAPLANE_OK);
		sa = sadb_by_id(&t->f.sadb, id);
		transmit(t, 1);
		assert_int_equal(sa->live->stats.bytes_out, 100);
		/* RFC 4301 4.4.2.1: with padding and trailer */
		assert_int_equal(sa->live->ciphered_out, sa->pad_to / 4 * 4 + 4);
		assert_int_equal(sa->pad_to, id == 2 ? 500 : 1438);
		if (id == 2)
			assert_int_equal(t->last_len, plain);
		else
			assert_true(t->last_len > plain);
		transmit_len(t, 1400, 1);
		assert_true(t->last_len > 1400);
	}
}

static void set_resource(struct tap *t, uint64_t id, uint32_t resource)
{
	sadb_by_id(&t->f.sadb, id)->child.resource = resource;
	t->f.sadb.generation++;
}

/* RFC 9611: the lane's own, else the general one, else any that sends. */
static void resources_first(void **state)
{
	struct tap *t = *state;

	for (uint64_t id = 1; id <= 4; id++)
		install(t, id, false);
	set_resource(t, 2, lane_resource(&t->f.lane));
	set_resource(t, 3, lane_resource(&t->f.lane) + 1);
	set_resource(t, 4, lane_resource(&t->f.lane));
	transmit(t, 1);
	assert_int_equal(sadb_by_id(&t->f.sadb, 4)->live->stats.packets_out, 1); /* the newest */
	forward_child_remove(&t->f, 4);
	transmit(t, 1);
	assert_int_equal(sadb_by_id(&t->f.sadb, 2)->live->stats.packets_out, 1);
	forward_child_remove(&t->f, 2);
	transmit(t, 1);
	assert_int_equal(sadb_by_id(&t->f.sadb, 1)->live->stats.packets_out, 1);
	forward_child_remove(&t->f, 1);
	transmit(t, 1);
	assert_int_equal(sadb_by_id(&t->f.sadb, 3)->live->stats.packets_out, 1);
	assert_int_equal(t->f.lane.drops[DROP_NO_SA], 0);
}

static void many_children_report_once_each(void **state)
{
	struct tap *t = *state;

	for (uint64_t id = 1; id <= 1000; id++)
		install(t, id, false)->heard = true;
	forward_tick(&t->f, MONO_S);
	assert_int_equal(t->events[DATAPLANE_CHILD_ALIVE], 1000);
	assert_int_equal(t->last_child, 1000);
	for (uint64_t id = 1; id <= 1000; id += 2)
		assert_int_equal(forward_child_remove(&t->f, id), DATAPLANE_OK);
	forward_tick(&t->f, 3 * MONO_S);
	assert_int_equal(t->events[DATAPLANE_CHILD_ALIVE], 1000);
}

/* Packets of who was forgotten are told 5 times a second, by sender. */
static void unknown_senders(void **state)
{
	const struct endpoint local = {.addr = {.family = AF_INET}, .port = 4500};
	struct endpoint remote = {.addr = {.family = AF_INET, .bytes = {10, 0, 0, 1}},
				  .port = 4500};
	struct tap *t = *state;
	uint8_t packet[64] = {0, 0, 1};

	for (unsigned ms = 0; ms < 1000; ms++)
		forward_input(&t->f.lane, &local, &remote, 0, packet, sizeof(packet),
			      sizeof(packet), MONO_S + ms * MONO_MS);
	assert_int_equal(t->events[DATAPLANE_ESP_UNKNOWN], 5);
	remote.addr.bytes[3] = 2;
	forward_input(&t->f.lane, &local, &remote, 0, packet, sizeof(packet), sizeof(packet),
		      MONO_S + 999 * MONO_MS);
	assert_int_equal(t->events[DATAPLANE_ESP_UNKNOWN], 6);
	forward_input(&t->f.lane, &local, &remote, 0, packet, 7, 7, 3 * MONO_S);
	assert_int_equal(t->events[DATAPLANE_ESP_UNKNOWN], 6);
	assert_int_equal(t->f.lane.drops[DROP_UNKNOWN_SPI], 1001);
}

/* As the peer of CHILD_SA 1 sends it, in an outer header with this TOS. */
static void from_peer(struct tap *t, struct esp *by, uint8_t seq, uint8_t tos, const uint8_t *inner,
		      size_t len, mono_time now)
{
	const struct endpoint end = {.addr = {.family = AF_INET}, .port = t->from_port};
	const uint8_t iv[8] = {seq};
	uint8_t room[ESP_HEADROOM + 60 + ESP_TAILROOM] = {0}, *p = room + ESP_HEADROOM;
	struct span sealed;

	memcpy(p, inner, len);
	sealed = esp_seal(by, 0, seq, iv, ESP_NEXT_IPV4, p, len);
	forward_input(&t->f.lane, &end, &end, tos, (uint8_t *)(uintptr_t)sealed.ptr, sealed.len,
		      sealed.len, now);
	coalesce_flush(&t->f.lane.up); /* `room` ends here */
}

/* While the CHILD_SA is not there yet; the first byte behind the inner header is the number, too.
 */
static void early(struct tap *t, struct esp *by, uint8_t seq, mono_time now)
{
	const uint8_t p[24] = {0x45, 0, 0, 24, [12] = 10, [16] = 10, [20] = seq};

	from_peer(t, by, seq, 0, p, sizeof(p), now);
}

static void peer_open(struct esp *by)
{
	static const uint8_t key[20];

	assert_true(esp_init(by, &crypto_null, algorithm_encr(ENCR_AES_GCM_16, 128), NULL,
			     span_of(key, sizeof(key)), span_of(NULL, 0), 0x1001, false, true));
}

/* Nothing of the packet was believed: it may come again. */
static void without_memory_to_open(void **state)
{
	struct crypto_ops poor = crypto_null;
	struct tap *t = *state;
	struct sa *sa;
	struct esp by;

	poor.cipher_new = no_cipher;
	t->f.host.crypto = &poor;
	sa = install(t, 1, false);
	peer_open(&by);
	early(t, &by, 1, MONO_S);
	assert_int_equal(t->delivered, 0);
	assert_int_equal(t->f.lane.drops[DROP_ICV], 1);
	assert_int_equal(sa->live->stats.drop_icv, 0);
	sa->in.crypto = sa->out.crypto = &crypto_null;
	early(t, &by, 1, MONO_S);
	assert_int_equal(t->delivered, 1);
	esp_release(&by);
}

/* A peer sends by its new CHILD_SA before the answer that makes ours has been through the
 * daemon. */
static void packets_before_their_sa(void **state)
{
	const struct endpoint end = {.addr = {.family = AF_INET}};
	struct tap *t = *state;
	struct esp by;

	peer_open(&by);
	early(t, &by, 9, MONO_S);
	assert_int_equal(t->f.lane.drops[DROP_UNKNOWN_SPI], 1);
	assert_int_equal(t->events[DATAPLANE_ESP_UNKNOWN], 1);
	forward_ike_passed(&t->f, &end, 2 * MONO_S);
	for (uint8_t seq = 1; seq <= 3; seq++)
		early(t, &by, seq, 2 * MONO_S);
	forward_pass_held(&t->f, 0x1001, 2 * MONO_S); /* no SA: nothing passes */
	assert_int_equal(t->f.lane.drops[ESP_HELD], 0);
	install(t, 1, false);
	forward_pass_held(&t->f, 0x1001, 2 * MONO_S + MONO_MS);
	assert_int_equal(t->delivered, 3);
	assert_int_equal(t->f.lane.drops[ESP_HELD], 3);
	early(t, &by, 4, 2 * MONO_S + MONO_MS);
	early(t, &by, 1, 2 * MONO_S + MONO_MS);
	assert_int_equal(t->delivered, 4);
	assert_int_equal(t->f.lane.drops[DROP_REPLAY], 1);
	assert_int_equal(t->f.lane.drops[DROP_UNKNOWN_SPI], 1);
	assert_int_equal(t->events[DATAPLANE_ESP_UNKNOWN], 1);
	esp_release(&by);
}

/* RFC 7296 2.23: an SA takes what comes either way, and sends its own way. Bare packets have no
 * port that a peer could move to, nor has an SA of bare ESP. */
static void bare_or_in_udp(void **state)
{
	struct tap *t = *state;
	struct sa *sa = install(t, 1, false);
	struct child_sa c;
	struct esp by;

	area_child_get(sa->slot, &c, NULL);
	peer_open(&by);
	c.local.port = c.remote.port = 4500;
	assert_int_equal(forward_child_update(&t->f, &c), DATAPLANE_OK);
	transmit(t, 1);
	assert_int_equal(t->last_port, 4500);
	early(t, &by, 1, MONO_S);
	forward_report(&t->f, MONO_S);
	assert_int_equal(t->delivered, 1);
	assert_int_equal(t->events[DATAPLANE_CHILD_PEER_MOVED], 0);

	c.udp_encap = false;
	c.local.port = c.remote.port = 500;
	assert_int_equal(forward_child_update(&t->f, &c), DATAPLANE_OK);
	transmit(t, 1);
	assert_int_equal(t->last_port, 0);
	for (uint8_t seq = 2; seq <= 3; seq++, t->from_port = 4501)
		early(t, &by, seq, MONO_S);
	forward_report(&t->f, MONO_S);
	assert_int_equal(t->delivered, 3);
	assert_int_equal(t->events[DATAPLANE_CHILD_PEER_MOVED], 0);

	c.udp_encap = true;
	c.local.port = c.remote.port = 4500;
	assert_int_equal(forward_child_update(&t->f, &c), DATAPLANE_OK);
	early(t, &by, 4, MONO_S);
	forward_report(&t->f, MONO_S);
	assert_int_equal(t->events[DATAPLANE_CHILD_PEER_MOVED], 1);
	esp_release(&by);
}

/* IKE comes by port 500 or 4500, bare ESP by none. */
static void bare_packets_before_their_sa(void **state)
{
	const struct endpoint ike = {.addr = {.family = AF_INET}, .port = 500};
	struct tap *t = *state;
	struct esp by;

	peer_open(&by);
	forward_ike_passed(&t->f, &ike, MONO_S);
	early(t, &by, 1, MONO_S);
	install(t, 1, false);
	forward_pass_held(&t->f, 0x1001, MONO_S);
	assert_int_equal(t->delivered, 1);
	esp_release(&by);
}

static void packets_whose_sa_never_comes(void **state)
{
	const struct endpoint end = {.addr = {.family = AF_INET}};
	struct tap *t = *state;
	mono_time due;
	struct esp by;

	peer_open(&by);
	forward_ike_passed(&t->f, &end, MONO_S);
	early(t, &by, 1, MONO_S);
	early(t, &by, 2, MONO_S + MONO_MS);
	assert_int_equal(t->f.lane.drops[DROP_UNKNOWN_SPI], 0);
	due = forward_drop_held(&t->f, MONO_S);
	assert_true(due == MONO_S + HELD_TIME);
	assert_true(forward_drop_held(&t->f, due) == due + MONO_MS);
	assert_int_equal(t->f.lane.drops[DROP_UNKNOWN_SPI], 1);
	assert_int_equal(t->events[DATAPLANE_ESP_UNKNOWN], 1);
	forward_tick(&t->f, 2 * MONO_S);
	assert_int_equal(t->f.lane.drops[DROP_UNKNOWN_SPI], 2);
	assert_int_equal(t->f.lane.drops[ESP_HELD], 0);
	assert_int_equal(t->events[DATAPLANE_ESP_UNKNOWN], 2);
	install(t, 1, false);
	forward_pass_held(&t->f, 0x1001, 2 * MONO_S);
	assert_int_equal(t->delivered, 0);
	esp_release(&by);
}

/* Selectors are 10.0.0.0/8 at both ends; the router that speaks is in none. */
static void errors_of_routers_pass(void **state)
{
	uint8_t p[56] = {
		0x45, 0,	   0, 56, [8] = 64, 1,	       [12] = 192, 0, 2, 1, 10, 0, 0, 1, 3,
		4,    [28] = 0x45, 0, 2,  0,	    [37] = 17, [40] = 10,  0, 0, 1, 10, 0, 0, 2};
	struct tap *t = *state;
	struct esp by;

	peer_open(&by);
	install(t, 1, false);
	output(t, p, sizeof(p), 1);
	assert_int_equal(t->sent, 1);
	t->delivered = 2;
	from_peer(t, &by, 1, 0, p, sizeof(p), 1);
	assert_int_equal(t->delivered, 3);
	p[40] = 11; /* about a packet that no CHILD_SA carried */
	output(t, p, sizeof(p), 1);
	from_peer(t, &by, 2, 0, p, sizeof(p), 1);
	p[40] = 10;
	p[20] = 5; /* a redirect */
	output(t, p, sizeof(p), 1);
	from_peer(t, &by, 3, 0, p, sizeof(p), 1);
	assert_int_equal(t->sent, 1);
	assert_int_equal(t->delivered, 3);
	assert_int_equal(t->f.lane.drops[DROP_NO_SELECTOR], 2);
	assert_int_equal(t->f.lane.drops[DROP_SELECTOR_IN], 2);
	esp_release(&by);
}

/* RFC 6040: what the inner header has goes out with it, and congestion comes in, or ends the
 * packet. */
static void outer_header(void **state)
{
	uint8_t p[24] = {0x45, 0xb9, 0, 24, [6] = 0x40, [12] = 10, [16] = 10};
	struct tap *t = *state;
	struct esp by;

	peer_open(&by);
	install(t, 1, false);
	output(t, p, sizeof(p), 1);
	assert_int_equal(t->last_tos, 0xb9);
	assert_true(t->last_df);
	p[20] = 1;
	from_peer(t, &by, 1, 0x03, p, sizeof(p), 1);
	assert_int_equal(t->last_tos, 0xbb);
	p[1] = 0xb8;
	p[6] = 0;
	output(t, p, sizeof(p), 1);
	assert_int_equal(t->last_tos, 0xb8);
	assert_false(t->last_df);
	from_peer(t, &by, 2, 0x03, p, sizeof(p), 1);
	assert_int_equal(t->delivered, 1);
	assert_int_equal(t->f.lane.drops[DROP_ECN], 1);
	esp_release(&by);
}

static void set_path(struct tap *t, const char *local, const char *remote, bool udp_encap)
{
	struct child_sa c = {.id = 1, .tunnel = 1, .outbound = true, .udp_encap = udp_encap};

	assert_true(addr_parse(local, &c.local.addr));
	assert_true(addr_parse(remote, &c.remote.addr));
	c.local.port = c.remote.port = 4500;
	assert_int_equal(forward_child_update(&t->f, &c), DATAPLANE_OK);
}

/* The route to the peer leads through the tunnel: what it sent is not sealed again and again. Of
 * others' datagrams, those to the peer among them, it takes all. */
static void own_packets_do_not_go_round(void **state)
{
	uint8_t p[32] = {0x45, 0, 0, 32, [9] = 17, [12] = 10, 0,    0,	 1,
			 10,   0, 0, 2,	 0x11,	   0x94,      0x11, 0x94};
	struct tap *t = *state;

	install(t, 1, false);
	set_path(t, "10.0.0.1", "10.0.0.2", true);
	output(t, p, sizeof(p), 1);
	assert_int_equal(t->sent, 0);
	assert_int_equal(t->f.lane.drops[DROP_LOOP], 1);
	p[15] = 3; /* a client behind us, with a tunnel of its own */
	output(t, p, sizeof(p), 1);
	p[15] = 1;
	p[23]++; /* another port of the peer */
	output(t, p, sizeof(p), 1);
	p[23]--;
	p[9] = 50; /* bare */
	output(t, p, sizeof(p), 1);
	assert_int_equal(t->sent, 3);
	set_path(t, "10.0.0.1", "10.0.0.2", false);
	output(t, p, sizeof(p), 1);
	assert_int_equal(t->sent, 3);
	assert_int_equal(t->f.lane.drops[DROP_LOOP], 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(unknown_senders),
		CASE(packets_before_their_sa),
		CASE(bare_packets_before_their_sa),
		CASE(bare_or_in_udp),
		CASE(packets_whose_sa_never_comes),
		CASE(errors_of_routers_pass),
		CASE(outer_header),
		CASE(own_packets_do_not_go_round),
		CASE(sequence_numbers_end),
		CASE(extended_numbers_go_on),
		CASE(acquire_once_a_second),
		CASE(router_solicitations_do_not_acquire),
		CASE(too_big_for_udp),
		CASE(keys_are_in_the_slot),
		CASE(idle_ciphers_go),
		CASE(without_memory_for_a_cipher),
		CASE(without_memory_to_open),
		CASE(short_packets_are_padded),
		CASE(resources_first),
		CASE(many_children_report_once_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
