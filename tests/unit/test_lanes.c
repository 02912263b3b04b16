/* Several threads at once on the packet paths of forward.h, two ends in one process: each worker
 * sends flows of its own through the tunnel, all by the same SAs, while the main thread installs,
 * replaces, changes and removes them. Flows keep their order, no sequence number is given twice,
 * events are the main thread's. With AGGFRAG, too, where lanes put their packets into the same
 * payloads. Also built with ThreadSanitizer (make test-tsan). */
#include "ipsecd/dataplane/forward_aggfrag.h"
#include "tests/support/crypto_null.h"
#include "tests/support/esp_runs.h"

#include "lib/buf.h"
#include "lib/grace.h"
#include "lib/worker.h"

#include <ev.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LANES 4 /* with the main thread's */
#define FLOWS 3 /* of each */
#define BURST 20
#ifdef __SANITIZE_THREAD__
#define ROUNDS 30
#define SHORT  5 /* of what is tried with AGGFRAG */
#define WAITED 2500
#else
#define ROUNDS 60
#define SHORT  10
#define WAITED 5000
#endif
#define SPARE	      40	/* other SAs that come and go in a round */
#define NUMBERS	      (1 << 20) /* of an SA that are looked at */
#define PACKET	      60
#define IDLE	      (40 * MONO_S) /* whoever had a packet at 1 was idle since */
#define SPI_OF(round) (0x10000u + (uint32_t)(round)*0x100u)

enum end { NEAR, FAR, ENDS };

struct flow {
	uint64_t sent, last, got;
};

struct site;

struct hand {
	struct site *site;
	unsigned number;
	struct worker *worker; /* NULL: the main thread */
	ev_timer turn;
	struct lane *lanes[ENDS];
	struct flow flows[FLOWS];
};

struct side {
	struct forward forward; /* first */
	struct forward_tunnel tunnel;
	struct site *site;
};

struct site {
	struct side sides[ENDS];
	struct hand hands[LANES];
	struct ev_loop *loop;
	struct grace *grace;
	pthread_t main;
	uint64_t *seen; /* by SPI and number: given */
	unsigned soft, unordered, repeated, elsewhere, passed;
	/* What is tried. */
	struct aggfrag_params aggfrag;
	unsigned rounds, packets; /* ESP packets in a round, at least */
	unsigned lose;		  /* one of so many on the way; 0: none */
	mono_time now;		  /* of the main thread's clock */
};

/* ---- what the ends' owner does ---- */

static struct site *site_of(struct forward *f)
{
	return ((struct side *)f)->site;
}

static void hold(struct forward *f, bool on)
{
	struct site *s = site_of(f);

	for (unsigned i = 1; i < LANES && s->hands[i].worker; i++) {
		if (on)
			worker_pause(s->hands[i].worker);
		else
			worker_resume(s->hands[i].worker);
	}
}

struct deferred {
	struct forward *forward;
	void *object;
	void (*release)(struct forward *f, void *object);
};

static void release(void *ctx)
{
	struct deferred *d = ctx;

	d->release(d->forward, d->object);
	free(d);
}

static void defer(struct forward *f, void *object, void (*with)(struct forward *f, void *object))
{
	struct deferred *d = malloc(sizeof(*d));

	*d = (struct deferred){f, object, with};
	grace_defer(site_of(f)->grace, d, release);
}

static bool pass(struct forward *f, const struct endpoint *local, const struct endpoint *remote,
		 uint8_t tos, const uint8_t *packet, size_t len)
{
	(void)local;
	(void)remote;
	(void)tos;
	(void)packet;
	(void)len;
	__atomic_fetch_add(&site_of(f)->passed, 1, __ATOMIC_RELAXED);
	return true;
}

static void wake(struct forward *f)
{
	(void)f; /* the main thread looks by itself */
}

static void on_event(void *ctx, const struct dataplane_event *event)
{
	struct side *side = ctx;

	if (!pthread_equal(pthread_self(), side->site->main))
		__atomic_fetch_add(&side->site->elsewhere, 1, __ATOMIC_RELAXED);
	side->site->soft += event->kind == DATAPLANE_CHILD_SOFT_EXPIRE;
}

static void no_random(void *ctx, void *dst, size_t n)
{
	(void)ctx;
	memset(dst, 0x11, n);
}

/* ---- packets ---- */

/* Of a number that was given before, the bit is set. */
static void look_at(struct site *s, const uint8_t *esp)
{
	uint32_t round = (be32_get(esp) - SPI_OF(0)) / 0x100u, number = be32_get(esp + 4);
	uint64_t bit = UINT64_C(1) << (number % 64);
	uint64_t *word;

	if (round > ROUNDS || number >= NUMBERS)
		return;
	word = &s->seen[((size_t)round * NUMBERS + number) / 64];
	if (__atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit)
		__atomic_fetch_add(&s->repeated, 1, __ATOMIC_RELAXED);
}

/* The far end has them in the same lane, in which they came. */
static bool arrive(void *ctx, const struct esp_run *run, struct span esp)
{
	struct hand *h = ctx;

	look_at(h->site, esp.ptr);
	if (h->site->lose && be32_get(esp.ptr + 4) % h->site->lose == 0)
		return true;
	forward_input(h->lanes[FAR], run->to, run->from, 0, (uint8_t *)(uintptr_t)esp.ptr, esp.len,
		      esp.len, 1);
	return true;
}

static void send_esp(void *ctx, struct esp_run *runs, size_t n)
{
	struct hand *h = ctx;

	esp_runs_each(runs, n, arrive, h);
	forward_flush(h->lanes[FAR], 1);
}

static void send_nothing(void *ctx, struct esp_run *runs, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++)
		runs[i].sent = true;
}

static bool deliver(struct forward_tunnel *t, const struct iovec *iov, size_t n)
{
	struct side *side = (struct side *)((char *)t - offsetof(struct side, tunnel));
	const uint8_t *p = iov[1].iov_base;
	struct flow *flow = &side->site->hands[p[13]].flows[p[14]];
	uint64_t number;

	(void)n;
	memcpy(&number, p + 28, sizeof(number));
	if (number <= flow->last)
		__atomic_fetch_add(&side->site->unordered, 1, __ATOMIC_RELAXED);
	flow->last = number;
	__atomic_fetch_add(&flow->got, 1, __ATOMIC_RELAXED);
	return true;
}

static void send_one(struct hand *h, unsigned n)
{
	struct flow *flow = &h->flows[n];
	uint8_t p[PACKET] = {0x45,	 0, 0,	PACKET, [8] = 64, 17, 0, 0, 10, (uint8_t)h->number,
			     (uint8_t)n, 1, 10, 9,	9,	  9};
	struct forward_packet packet = {.data = p, .len = sizeof(p)};

	be16_set(p + 24, PACKET - 20);
	p[23] = (uint8_t)n;
	flow->sent++;
	memcpy(p + 28, &flow->sent, sizeof(flow->sent));
	forward_output(h->lanes[NEAR], &h->site->sides[NEAR].tunnel, &packet, 1);
}

static void send_burst(struct hand *h)
{
	for (unsigned i = 0; i < BURST; i++)
		for (unsigned n = 0; n < FLOWS; n++)
			send_one(h, n);
	forward_flush(h->lanes[NEAR], 1);
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	send_burst(w->data);
}

/* ---- the two ends ---- */

static void side_open(struct site *s, enum end e)
{
	const struct area_tunnel as = {.id = 1, .config.name = "t"};
	struct side *side = &s->sides[e];
	const struct dataplane_host host = {.send_esp = e == NEAR ? send_esp : send_nothing,
					    .event = on_event,
					    .ctx = e == NEAR ? (void *)&s->hands[0] : side,
					    .crypto = &crypto_null,
					    .random = no_random};

	side->site = s;
	forward_init(&side->forward, &host, deliver);
	side->forward.host.ctx = side; /* of events; lanes have theirs */
	side->forward.threads = (struct forward_threads){hold, defer, pass, wake};
	side->forward.lane.shared = true;
	assert_int_equal(forward_tunnel_add(&side->forward, &side->tunnel, 1, "t"), DATAPLANE_OK);
	assert_int_equal(forward_tunnel_keep(&side->forward, &side->tunnel, &as), DATAPLANE_OK);
	s->hands[0].lanes[e] = &side->forward.lane;
}

static void hand_start(struct site *s, unsigned number)
{
	struct hand *h = &s->hands[number];

	for (enum end e = NEAR; e < ENDS; e++) {
		h->lanes[e] = calloc(1, sizeof(*h->lanes[e]));
		assert_non_null(h->lanes[e]);
		forward_lane_init(&s->sides[e].forward, h->lanes[e], number,
				  e == NEAR ? send_esp : send_nothing, h);
	}
	h->worker = worker_start();
	assert_non_null(h->worker);
	worker_pause(h->worker);
	ev_timer_init(&h->turn, on_turn, 0., 0.00001);
	h->turn.data = h;
	ev_timer_start(worker_loop(h->worker), &h->turn);
	worker_resume(h->worker);
}

static void hand_stop(struct hand *h)
{
	worker_pause(h->worker);
	ev_timer_stop(worker_loop(h->worker), &h->turn);
	worker_resume(h->worker);
	worker_stop(h->worker);
	h->worker = NULL;
}

static int setup(void **state)
{
	struct site *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->seen = calloc(ROUNDS + 1, NUMBERS / 8);
	assert_non_null(s->seen);
	s->main = pthread_self();
	s->loop = ev_loop_new(0);
	s->grace = grace_new(s->loop);
	for (unsigned i = 0; i < LANES; i++) {
		s->hands[i].site = s;
		s->hands[i].number = i;
	}
	side_open(s, NEAR);
	side_open(s, FAR);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct site *s = *state;

	for (enum end e = NEAR; e < ENDS; e++) {
		forward_tunnel_remove(&s->sides[e].forward, &s->sides[e].tunnel);
		s->sides[e].forward.threads.hold = NULL;
	}
	grace_free(s->grace);
	for (enum end e = NEAR; e < ENDS; e++)
		forward_release(&s->sides[e].forward);
	for (unsigned i = 1; i < LANES; i++)
		for (enum end e = NEAR; e < ENDS; e++) {
			if (s->hands[i].lanes[e])
				forward_lane_release(s->hands[i].lanes[e]);
			free(s->hands[i].lanes[e]);
		}
	ev_loop_destroy(s->loop);
	free(s->seen);
	free(s);
	return 0;
}

/* ---- SAs ---- */

static struct child_sa child_of(const struct site *s, enum end e, uint64_t id, uint32_t spi)
{
	struct child_sa c = {.id = id,
			     .tunnel = 1,
			     .spi_in = e == NEAR ? spi + 1 : spi,
			     .spi_out = e == NEAR ? spi : spi + 1,
			     .encr_id = ENCR_AES_GCM_16,
			     .encr_key_bits = 128,
			     .udp_encap = true,
			     .outbound = true,
			     .replay_window = 4096,
			     .rekey_packets = 500,
			     .flags.aggfrag = s->aggfrag,
			     .local = {.addr.family = AF_INET},
			     .remote = {.addr.family = AF_INET},
			     .local_ts.n = 1,
			     .remote_ts.n = 1,
			     .in.encr_len = 20,
			     .out.encr_len = 20};

	assert_true(ts_parse("10.0.0.0/8", &c.local_ts.ts[0]));
	c.remote_ts = c.local_ts;
	return c;
}

static void install(struct site *s, enum end e, uint64_t id, uint32_t spi)
{
	const struct child_sa c = child_of(s, e, id, spi);

	assert_int_equal(forward_child_install(&s->sides[e].forward, &c), DATAPLANE_OK);
}

static void take_away(struct site *s, enum end e, uint64_t id)
{
	assert_int_equal(forward_child_remove(&s->sides[e].forward, id), DATAPLANE_OK);
}

/* Who else has SAs, of which none matches: tables grow, lists change. */
static void others_come(struct site *s, unsigned round)
{
	for (unsigned i = 0; i < SPARE; i++) {
		struct child_sa c =
			child_of(s, FAR, 1000 + i, 0x1000000u + (round * SPARE + i) * 0x10u);

		assert_true(ts_parse("10.77.0.0/16", &c.local_ts.ts[0]));
		c.remote_ts = c.local_ts;
		assert_int_equal(forward_child_install(&s->sides[FAR].forward, &c), DATAPLANE_OK);
	}
}

static void others_go(struct site *s)
{
	for (unsigned i = 0; i < SPARE; i++)
		take_away(s, FAR, 1000 + i);
}

static void move(struct site *s, enum end e, uint64_t id, uint32_t spi, uint16_t port)
{
	struct child_sa c = child_of(s, e, id, spi);

	c.remote.port = port;
	c.skip_out = s->aggfrag.mode == AGGFRAG_NO ? 3 : 0; /* it would be missed */
	assert_int_equal(forward_child_update(&s->sides[e].forward, &c), DATAPLANE_OK);
}

static void look_around(struct site *s)
{
	struct dataplane_child_stats stats;

	for (enum end e = NEAR; e < ENDS; e++) {
		forward_tick(&s->sides[e].forward, IDLE); /* contexts go, and are made again */
		forward_child_stats(&s->sides[e].forward, 1, &stats);
	}
	ev_run(s->loop, EVRUN_NOWAIT); /* what is behind its grace period is freed */
}

/* As the clock of the first lane does it. */
static void let_pass(struct site *s, mono_time time)
{
	s->now += time;
	for (enum end e = NEAR; e < ENDS; e++) {
		struct lane *l = s->hands[0].lanes[e];

		if (l->aggfrag_due <= s->now)
			forward_aggfrag_run(l, s->now);
		forward_flush(l, s->now);
	}
}

static uint64_t packets_of(struct site *s, uint64_t id)
{
	struct dataplane_child_stats stats = {0};

	assert_true(forward_child_stats(&s->sides[NEAR].forward, id, &stats));
	return stats.packets_out;
}

/* A rekey as IKE does it: who receives has it first, who sends changes over, the old one goes. */
static void one_round(struct site *s, unsigned round)
{
	uint64_t id = 1 + round;

	install(s, FAR, id, SPI_OF(round));
	install(s, NEAR, id, SPI_OF(round));
	others_come(s, round);
	do { /* once at least: what the one before it noted is told before it goes */
		move(s, NEAR, id, SPI_OF(round), (uint16_t)round);
		move(s, FAR, id, SPI_OF(round), (uint16_t)round);
		send_burst(&s->hands[0]);
		let_pass(s, MONO_MS);
		look_around(s);
	} while (packets_of(s, id) < s->packets);
	others_go(s);
	if (round) {
		take_away(s, NEAR, id - 1);
		take_away(s, FAR, id - 1);
	}
}

static void begin(struct site *s)
{
	install(s, FAR, 1, SPI_OF(0));
	install(s, NEAR, 1, SPI_OF(0));
	for (unsigned i = 1; i < LANES; i++)
		hand_start(s, i);
}

static bool each_had_some(const struct site *s)
{
	for (unsigned i = 0; i < LANES; i++)
		for (unsigned n = 0; n < FLOWS; n++)
			if (!SA_GET(s->hands[i].flows[n].got))
				return false;
	return true;
}

static void end(struct site *s)
{
	uint64_t got = 0, sent = 0;

	while (!each_had_some(s)) {
		send_burst(&s->hands[0]);
		let_pass(s, MONO_MS);
		look_around(s);
	}
	for (unsigned i = LANES - 1; i > 0; i--)
		hand_stop(&s->hands[i]);
	look_around(s);
	assert_int_equal(s->unordered, 0);
	assert_int_equal(s->repeated, 0);
	assert_int_equal(s->elsewhere, 0);
	for (unsigned i = 0; i < LANES; i++) {
		for (unsigned n = 0; n < FLOWS; n++) {
			got += s->hands[i].flows[n].got;
			sent += s->hands[i].flows[n].sent;
		}
	}
	print_message("%llu of %llu packets, %u of SAs that were gone\n", (unsigned long long)got,
		      (unsigned long long)sent, s->passed);
}

static uint64_t counted(const struct site *s, enum end e, enum dataplane_counter c)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LANES; i++)
		n += s->hands[i].lanes[e]->drops[c];
	return n;
}

static void run(struct site *s)
{
	begin(s);
	for (unsigned round = 1; round <= s->rounds; round++)
		one_round(s, round);
	end(s);
	assert_true(s->soft >= s->rounds); /* of the near end's; the far one counts as well */
}

static void lanes_at_once(void **state)
{
	struct site *s = *state;

	s->rounds = ROUNDS;
	s->packets = 3000;
	run(s);
}

/* ---- AGGFRAG ---- */

/* Payloads arrive in the order of their numbers, whoever sent them, or the parts of packets in them
 * would not fit together. */
static void nothing_torn(const struct site *s)
{
	assert_int_equal(counted(s, FAR, AGGFRAG_GAPS), 0);
	assert_int_equal(counted(s, FAR, AGGFRAG_LATES), 0);
	assert_int_equal(counted(s, FAR, DROP_FRAGMENT), 0);
	assert_int_equal(counted(s, FAR, DROP_AGGFRAG), 0);
	assert_int_equal(counted(s, FAR, DROP_MALFORMED), 0);
	assert_int_equal(counted(s, FAR, DROP_SELECTOR_IN), 0);
}

static void lanes_pack_at_once(void **state)
{
	struct site *s = *state;

	s->aggfrag = (struct aggfrag_params){.mode = AGGFRAG_YES};
	s->rounds = SHORT;
	s->packets = 1000;
	run(s);
	nothing_torn(s);
}

/* The first lane sends what all of them pack. */
static void lanes_pack_for_a_clock(void **state)
{
	struct site *s = *state;

	s->aggfrag = (struct aggfrag_params){
		.mode = AGGFRAG_YES, .rate = 20000, .max_queue = AGGFRAG_QUEUE_MAX};
	s->rounds = SHORT;
	s->packets = 1000;
	run(s);
	nothing_torn(s);
}

/* What comes behind a lost payload waits in one lane's memory for another lane's payload, or for
 * the first lane's clock. */
static void lanes_open_what_waited(void **state)
{
	struct site *s = *state;

	s->aggfrag = (struct aggfrag_params){.mode = AGGFRAG_YES};
	s->lose = 16;
	begin(s);
	while (packets_of(s, 1) < WAITED) {
		let_pass(s, 5 * MONO_MS);
		look_around(s);
	}
	end(s);
	let_pass(s, MONO_S);
	assert_true(counted(s, FAR, AGGFRAG_GAPS) >= WAITED / 16 / 2);
	assert_int_equal(counted(s, FAR, AGGFRAG_LATES), 0);
	assert_int_equal(counted(s, FAR, DROP_AGGFRAG), 0);
	assert_int_equal(s->unordered, 0);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(lanes_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(lanes_pack_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(lanes_pack_for_a_clock, setup, teardown),
		cmocka_unit_test_setup_teardown(lanes_open_what_waited, setup, teardown),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
