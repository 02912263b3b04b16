/* Two BFD data planes against each other in virtual time, over a network with delay, jitter
 * (which reorders), loss and cuts, on machines that may sleep. The tables are driven as the
 * process does it: send what is due, take what has come, judge silences, send. */
#include "routed-bridge/bfd_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SESSIONS   3
#define FLIGHT_MAX 4096

struct datagram {
	mono_time at;
	int to;
	unsigned session;
	uint8_t ttl;
	uint8_t bytes[BFD_PACKET_SIZE];
};

struct end {
	struct bfd_table *table;
	mono_time asleep_until; /* nothing is done before; what comes waits */
	unsigned downs, ups;
	enum bfd_state seen[SESSIONS];
	mono_time down_at[SESSIONS];
	uint64_t in, out; /* of its devices, beside BFD's own */
};

static struct {
	mono_time now;
	struct end end[2];
	struct datagram flight[FLIGHT_MAX];
	unsigned n;
	mono_time delay, jitter; /* one way; jitter is added */
	unsigned loss;		 /* of 1000 */
	bool cut[2];		 /* towards this end */
	uint32_t random;
	uint64_t bytes; /* a sum over all that was sent */
} net;

static uint32_t random_below(uint32_t n)
{
	net.random = net.random * 1664525 + 1013904223;
	return (net.random >> 8) % n;
}

static struct bfddp_session session(int end, unsigned i, uint32_t us)
{
	struct bfddp_session s = {
		.discriminator = 100 * ((unsigned)end + 1) + i,
		.min_tx = us,
		.min_rx = us,
		.multiplier = 3,
		.min_ttl = BFD_TTL,
	};
	char text[32];

	snprintf(text, sizeof(text), "10.%u.0.%d", i, end);
	assert_true(addr_parse(text, &s.local));
	snprintf(text, sizeof(text), "10.%u.0.%d", i, 1 - end);
	assert_true(addr_parse(text, &s.peer));
	snprintf(s.ifname, sizeof(s.ifname), "tun%u", i);
	return s;
}

static struct bfd_peer *put(int end, const struct bfddp_session *s)
{
	struct bfd_peer *p = NULL;

	assert_int_not_equal(bfd_table_put(net.end[end].table, s, 1, net.now, &p),
			     BFD_PUT_NO_MEMORY);
	return p;
}

static struct bfd_peer *peer_of(int end, unsigned i)
{
	for (struct bfd_peer *p = bfd_table_first(net.end[end].table); p; p = bfd_table_next(p)) {
		if (p->key.ifname[3] == (char)('0' + i))
			return p;
	}
	return NULL;
}

static void begin(uint32_t seed, unsigned sessions, uint32_t us)
{
	memset(&net, 0, sizeof(net));
	net.now = 500 * MONO_S;
	net.random = seed;
	net.delay = 5 * MONO_MS;
	for (int e = 0; e < 2; e++) {
		net.end[e].table = bfd_table_new(seed + (uint32_t)e);
		assert_non_null(net.end[e].table);
		for (unsigned i = 0; i < sessions; i++) {
			struct bfddp_session s = session(e, i, us);

			put(e, &s);
			net.end[e].seen[i] = BFD_DOWN;
		}
	}
}

static void end(void)
{
	bfd_table_free(net.end[0].table);
	bfd_table_free(net.end[1].table);
}

/* ---- the machinery ---- */

static void send_due(int e)
{
	uint8_t memory[BFD_PACKET_SIZE];
	struct bfd_peer *p;
	struct buf b;

	while (b = buf_over(memory, sizeof(memory)),
	       (p = bfd_table_send(net.end[e].table, &b, net.now))) {
		struct datagram *d = &net.flight[net.n];

		for (unsigned i = 0; i < sizeof(memory); i++)
			net.bytes = net.bytes * 31 + memory[i];
		if (net.cut[1 - e] || random_below(1000) < net.loss)
			continue;
		assert_true(net.n < FLIGHT_MAX);
		net.n++;
		*d = (struct datagram){.at = net.now + net.delay, .to = 1 - e, .ttl = BFD_TTL};
		if (net.jitter)
			d->at += random_below((uint32_t)(net.jitter / 1000)) * (mono_time)1000;
		d->session = (unsigned)(p->key.ifname[3] - '0');
		memcpy(d->bytes, memory, sizeof(memory));
	}
}

static enum bfd_drop deliver(const struct datagram *d)
{
	struct bfddp_session s = session(d->to, d->session, 10000);
	struct bfd_arrival a = {
		.ifname = s.ifname,
		.from = s.peer,
		.to = s.local,
		.ttl = d->ttl,
		.payload = span_of(d->bytes, sizeof(d->bytes)),
	};

	return bfd_table_receive(net.end[d->to].table, &a, net.now);
}

static void take_arrivals(int e)
{
	for (;;) {
		unsigned first = net.n;
		struct datagram d;

		for (unsigned i = 0; i < net.n; i++) {
			if (net.flight[i].to == e && net.flight[i].at <= net.now &&
			    (first == net.n || net.flight[i].at < net.flight[first].at))
				first = i;
		}
		if (first == net.n)
			return;
		d = net.flight[first];
		net.flight[first] = net.flight[--net.n];
		assert_int_equal(deliver(&d), BFD_TAKEN);
	}
}

static void note_changes(int e)
{
	struct end *end_of = &net.end[e];
	struct bfd_peer *p;

	while ((p = bfd_table_changed(end_of->table))) {
		unsigned i = (unsigned)(p->key.ifname[3] - '0');
		enum bfd_state now = p->session.state;

		if (end_of->seen[i] == BFD_UP && now != BFD_UP) {
			end_of->downs++;
			end_of->down_at[i] = net.now;
		}
		end_of->ups += end_of->seen[i] != BFD_UP && now == BFD_UP;
		end_of->seen[i] = now;
	}
}

static mono_time wake_time(int e)
{
	mono_time at = bfd_table_deadline(net.end[e].table);

	for (unsigned i = 0; i < net.n; i++) {
		if (net.flight[i].to == e && net.flight[i].at < at)
			at = net.flight[i].at;
	}
	at = at < net.now ? net.now : at;
	return at < net.end[e].asleep_until ? net.end[e].asleep_until : at;
}

static bool witness(void *ctx, const struct bfd_peer *p, struct bfd_witness *out)
{
	const struct end *e = ctx;

	out->in = e->in + p->in_packets;
	out->out = e->out + p->out_packets;
	return true;
}

static void run_until(mono_time until)
{
	for (;;) {
		mono_time a = wake_time(0), b = wake_time(1), planned, late;
		int e = a <= b ? 0 : 1;

		if ((e ? b : a) > until)
			break;
		net.now = e ? b : a;
		planned = bfd_table_deadline(net.end[e].table);
		/* As the process measures it; what is due at once (0) is not late. */
		late = planned && planned < net.now ? net.now - planned : 0;
		send_due(e);
		take_arrivals(e);
		bfd_table_expire(net.end[e].table, late > 2 * MONO_MS ? late : 0, witness,
				 &net.end[e], net.now);
		send_due(e);
		note_changes(e);
	}
	net.now = until;
}

static void run_for(mono_time t)
{
	run_until(net.now + t);
}

static void all_up(unsigned sessions)
{
	for (unsigned i = 0; i < sessions; i++) {
		assert_int_equal(net.end[0].seen[i], BFD_UP);
		assert_int_equal(net.end[1].seen[i], BFD_UP);
	}
}

static void settled(unsigned sessions, uint32_t us)
{
	all_up(sessions);
	for (int e = 0; e < 2; e++) {
		const struct bfd_peer *p = peer_of(e, 0);

		assert_int_equal(p->session.tx, us);
		assert_true(p->session.detect_time == (mono_time)us * 3000);
		assert_false(p->session.polling);
		assert_int_equal(net.end[e].downs, 0);
	}
}

/* ---- cases ---- */

static void comes_up_and_settles(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed < 50; seed++) {
		begin(seed, SESSIONS, 10000);
		run_for(2 * MONO_S);
		settled(SESSIONS, 10000);
		end();
	}
}

/* The answer to a poll takes longer than the detection time. */
static void comes_up_over_long_paths(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed < 20; seed++) {
		begin(seed, 1, 10000);
		net.delay = 150 * MONO_MS;
		run_for(6 * MONO_S);
		settled(1, 10000);
		end();
	}
}

static void ten_minutes_without_false_alarm(void **state)
{
	(void)state;
	begin(3, SESSIONS, 10000);
	net.jitter = 5 * MONO_MS;
	run_for(600 * MONO_S);
	settled(SESSIONS, 10000);
	assert_true(peer_of(0, 0)->in_packets > 600 * 100);
	end();
}

static void cut(uint32_t seed, bool both, mono_time *first)
{
	mono_time at, low = MONO_NEVER;

	begin(seed, 1, 10000);
	run_for(3 * MONO_S + random_below(10000) * (mono_time)1000);
	at = net.now;
	net.cut[0] = true;
	net.cut[1] = both;
	run_for(MONO_S / 2);
	for (int e = 0; e < 2; e++) {
		assert_int_equal(net.end[e].downs, 1);
		low = net.end[e].down_at[0] < low ? net.end[e].down_at[0] : low;
	}
	*first = low - at;
	end();
}

static void cuts_are_found_in_time(void **state)
{
	mono_time first;

	(void)state;
	for (uint32_t seed = 1; seed < 200; seed++) {
		cut(seed, seed & 1, &first);
		/* What was under way still comes: 5 ms. */
		assert_true(first >= 20 * MONO_MS && first <= 36 * MONO_MS);
	}
}

static void be_patient(mono_time patience)
{
	for (int e = 0; e < 2; e++)
		bfd_session_set_patience(&peer_of(e, 0)->session, patience);
}

/* With nothing to be won by an end, a cut that is shorter than patience ends nothing. */
static void the_last_way_is_held(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed < 100; seed++) {
		begin(seed, 1, 10000);
		run_for(2 * MONO_S);
		be_patient(500 * MONO_MS);
		net.cut[0] = net.cut[1] = true;
		run_for(100 * MONO_MS);
		assert_true(peer_of(0, 0)->session.bearing);
		assert_int_equal(bfd_table_stats(net.end[0].table)->borne, 1);
		net.cut[0] = net.cut[1] = false;
		run_for(MONO_S);
		assert_false(peer_of(0, 0)->session.bearing);
		settled(1, 10000);
		end();
	}
}

/* What is dead is found dead: when patience is over, or soon after it is taken back. */
static void patience_has_an_end(void **state)
{
	mono_time at;

	(void)state;
	for (uint32_t seed = 1; seed < 100; seed++) {
		begin(seed, 1, 10000);
		run_for(2 * MONO_S);
		be_patient(500 * MONO_MS);
		at = net.now;
		net.cut[0] = net.cut[1] = true;
		run_for(200 * MONO_MS);
		assert_int_equal(net.end[0].downs + net.end[1].downs, 0);
		if (seed & 1) {
			be_patient(0);
			at += 200 * MONO_MS;
			run_for(100 * MONO_MS);
		} else {
			at += 490 * MONO_MS;
			run_for(MONO_S);
		}
		for (int e = 0; e < 2; e++) {
			assert_int_equal(net.end[e].downs, 1);
			assert_true(net.end[e].down_at[0] >= at - 10 * MONO_MS);
			assert_true(net.end[e].down_at[0] <= at + 20 * MONO_MS);
		}
		end();
	}
}

/* The peer's word is no silence. */
static void patience_heeds_the_peer(void **state)
{
	(void)state;
	begin(7, 1, 10000);
	run_for(2 * MONO_S);
	bfd_session_set_patience(&peer_of(0, 0)->session, 500 * MONO_MS);
	net.cut[1] = true; /* the other end hears nothing, and says so */
	run_for(100 * MONO_MS);
	assert_int_equal(net.end[0].downs, 1);
	assert_int_equal(net.end[1].downs, 1);
	end();
}

static void recovers_from_a_cut(void **state)
{
	(void)state;
	begin(5, SESSIONS, 10000);
	run_for(3 * MONO_S);
	net.cut[0] = net.cut[1] = true;
	run_for(10 * MONO_S);
	net.cut[0] = net.cut[1] = false;
	run_for(3 * MONO_S);
	all_up(SESSIONS);
	assert_int_equal(net.end[0].downs, SESSIONS);
	end();
}

static void recovers_from_heavy_loss(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed < 20; seed++) {
		begin(seed, SESSIONS, 10000);
		net.loss = 500;
		net.jitter = 30 * MONO_MS;
		run_for(30 * MONO_S);
		assert_true(net.end[0].downs + net.end[1].downs > 0);
		net.loss = 0;
		net.jitter = 0;
		run_for(4 * MONO_S);
		all_up(SESSIONS);
		end();
	}
}

/* Of one end that does not run for a while every second: it takes nothing for silence, and
 * the other end bears what is shorter than its detection time less one interval. */
static void bears_sleep(void **state)
{
	(void)state;
	begin(9, SESSIONS, 10000);
	run_for(3 * MONO_S);
	for (unsigned i = 0; i < 600; i++) {
		net.end[0].asleep_until = net.now + (1 + random_below(19)) * MONO_MS;
		run_for(MONO_S / 2 + random_below(100000) * (mono_time)1000);
	}
	assert_int_equal(net.end[0].downs, 0);
	assert_int_equal(net.end[1].downs, 0);
	end();
}

/* A sleep of a second: the peer rightly finds silence, the sleeper learns it from the peer. */
static void long_sleep_is_the_peers_to_judge(void **state)
{
	(void)state;
	begin(9, 1, 10000);
	run_for(3 * MONO_S);
	net.end[0].asleep_until = net.now + MONO_S;
	run_for(3 * MONO_S);
	assert_int_equal(bfd_table_stats(net.end[0].table)->detections, 0);
	assert_int_equal(bfd_table_stats(net.end[1].table)->detections, 1);
	all_up(1);
	end();
}

/* A tunnel that is full loses BFD's packets, too, and passes others all the time. */
static void a_full_tunnel_is_no_dead_one(void **state)
{
	(void)state;
	begin(6, SESSIONS, 10000);
	run_for(3 * MONO_S);
	net.loss = 400;
	for (unsigned i = 0; i < 60000; i++) {
		run_for(MONO_MS);
		net.end[0].in++;
		net.end[1].in++;
		net.end[0].out++;
		net.end[1].out++;
	}
	assert_int_equal(net.end[0].downs + net.end[1].downs, 0);
	assert_true(bfd_table_stats(net.end[0].table)->excuses > 50);
	net.cut[0] = net.cut[1] = true;
	run_for(60 * MONO_MS);
	assert_int_equal(net.end[0].downs, SESSIONS);
	end();
}

static void admin_down_is_told(void **state)
{
	struct bfddp_session s;

	(void)state;
	begin(4, 1, 10000);
	run_for(3 * MONO_S);
	s = session(0, 0, 10000);
	s.flags = BFDDP_SHUTDOWN;
	put(0, &s);
	run_for(20 * MONO_MS);
	assert_int_equal(net.end[1].seen[0], BFD_DOWN);
	assert_int_equal(peer_of(1, 0)->session.diag, BFD_DIAG_NEIGHBOR_DOWN);
	assert_int_equal(peer_of(1, 0)->session.remote_state, BFD_ADMIN_DOWN);
	run_for(5 * MONO_S);
	assert_int_equal(net.end[1].seen[0], BFD_DOWN);
	s.flags = 0;
	put(0, &s);
	run_for(3 * MONO_S);
	all_up(1);
	end();
}

static void intervals_change_while_up(void **state)
{
	static const uint32_t steps[] = {50000, 10000, 300000, 20000, 1000000, 10000};

	(void)state;
	for (uint32_t seed = 1; seed < 10; seed++) {
		begin(seed, 1, 10000);
		net.delay = (1 + random_below(100)) * MONO_MS;
		net.jitter = 3 * MONO_MS;
		run_for(5 * MONO_S);
		for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			struct bfddp_session a = session(0, 0, steps[i]);
			struct bfddp_session b = session(1, 0, steps[i]);

			put(0, &a);
			run_for(random_below(300) * MONO_MS);
			put(1, &b);
			run_for(5 * MONO_S);
			settled(1, steps[i]);
		}
		end();
	}
}

/* bfdd is restarted: it gives the sessions anew, under numbers that were others' before. */
static void another_bfdd_takes_over(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed < 20; seed++) {
		begin(seed, SESSIONS, 10000);
		net.jitter = 4 * MONO_MS;
		run_for(3 * MONO_S);
		bfd_table_orphan(net.end[0].table, 1, net.now);
		run_for(2 * MONO_S);
		assert_null(bfd_table_lost(net.end[0].table, net.now));
		for (unsigned i = 0; i < SESSIONS; i++) {
			struct bfddp_session s = session(0, i, 10000);
			struct bfd_peer *p;

			s.discriminator = 100 + (i + 1) % SESSIONS;
			assert_int_equal(bfd_table_put(net.end[0].table, &s, 2, net.now, &p),
					 BFD_PUT_TAKEN_OVER);
			run_for(random_below(20) * MONO_MS);
		}
		run_for(40 * MONO_S);
		assert_null(bfd_table_lost(net.end[0].table, net.now));
		settled(SESSIONS, 10000);
		assert_int_equal(peer_of(1, 1)->session.remote_discriminator, 102);
		assert_int_equal(bfd_table_stats(net.end[0].table)->sessions, SESSIONS);
		end();
	}
}

/* It gives them before it knows the devices, and what it says later is as short. */
static void another_bfdd_knows_no_devices(void **state)
{
	struct bfddp_session s;
	struct bfd_peer *p;

	(void)state;
	begin(1, SESSIONS, 10000);
	run_for(3 * MONO_S);
	bfd_table_orphan(net.end[0].table, 1, net.now);
	for (unsigned i = 0; i < SESSIONS; i++) {
		s = session(0, i, 10000);
		s.discriminator = 100 + (i + 1) % SESSIONS;
		memset(s.ifname, 0, sizeof(s.ifname));
		assert_int_equal(bfd_table_put(net.end[0].table, &s, 2, net.now, &p),
				 BFD_PUT_TAKEN_OVER);
		assert_ptr_equal(p, peer_of(0, i)); /* with its device */
		assert_int_equal(bfd_table_put(net.end[0].table, &s, 2, net.now, &p), BFD_PUT_SAME);
	}
	s.multiplier = 5;
	assert_int_equal(bfd_table_put(net.end[0].table, &s, 2, net.now, &p), BFD_PUT_CHANGED);
	run_for(40 * MONO_S);
	assert_null(bfd_table_lost(net.end[0].table, net.now));
	settled(SESSIONS, 10000);
	assert_int_equal(bfd_table_stats(net.end[0].table)->sessions, SESSIONS);
	end();
}

/* Two devices with the same addresses: neither is guessed. */
static void no_device_is_guessed(void **state)
{
	struct bfddp_session s = session(0, 0, 10000), other = s;
	struct bfd_peer *p;

	(void)state;
	begin(1, 1, 10000);
	other.discriminator = 7;
	snprintf(other.ifname, sizeof(other.ifname), "tun9");
	put(0, &other);
	bfd_table_orphan(net.end[0].table, 1, net.now);
	s.discriminator = 8;
	memset(s.ifname, 0, sizeof(s.ifname));
	assert_int_equal(bfd_table_put(net.end[0].table, &s, 2, net.now, &p), BFD_PUT_NEW);
	assert_int_equal(bfd_table_stats(net.end[0].table)->sessions, 3);
	end();
}

static void orphans_end(void **state)
{
	struct bfd_peer *p;

	(void)state;
	begin(1, 1, 10000);
	run_for(3 * MONO_S);
	bfd_table_orphan(net.end[0].table, 1, net.now);
	run_for(BFD_ORPHAN_TIME + MONO_MS);
	p = bfd_table_lost(net.end[0].table, net.now);
	assert_non_null(p);
	bfd_table_shut_one(net.end[0].table, p);
	run_for(20 * MONO_MS);
	assert_int_equal(peer_of(1, 0)->session.remote_state, BFD_ADMIN_DOWN);
	bfd_table_remove(net.end[0].table, p);
	assert_null(bfd_table_first(net.end[0].table));
	assert_int_equal(bfd_table_stats(net.end[0].table)->sessions, 0);
	assert_int_equal(bfd_table_stats(net.end[0].table)->up, 0);
	end();
}

static void strangers_are_refused(void **state)
{
	struct datagram d = {.to = 0, .ttl = BFD_TTL};
	struct bfd_packet packet = {.state = BFD_DOWN, .multiplier = 3, .mine = 5, .yours = 100};
	struct bfd_stats *stats;
	struct buf b = buf_over(d.bytes, sizeof(d.bytes));

	(void)state;
	begin(1, 2, 10000);
	run_for(3 * MONO_S);
	stats = bfd_table_stats(net.end[0].table);
	bfd_packet_encode(&b, &packet);
	d.session = 1; /* another device's peer with the number of the first session */
	assert_int_equal(deliver(&d), BFD_DROP_SOURCE);
	d.session = 0;
	d.ttl = 254; /* RFC 5881 5 */
	assert_int_equal(deliver(&d), BFD_DROP_TTL);
	be32_set(d.bytes + 8, 4711);
	d.ttl = BFD_TTL;
	assert_int_equal(deliver(&d), BFD_DROP_NO_SESSION);
	d.bytes[0] = 0;
	assert_int_equal(deliver(&d), BFD_DROP_VERSION);
	assert_int_equal(stats->drops[BFD_DROP_SOURCE], 1);
	assert_int_equal(stats->drops[BFD_DROP_TTL], 1);
	assert_int_equal(stats->drops[BFD_DROP_NO_SESSION], 1);
	assert_int_equal(stats->drops[BFD_DROP_VERSION], 1);
	run_for(MONO_S);
	settled(2, 10000);
	end();
}

static void multihop_has_its_own_limit(void **state)
{
	struct bfddp_session s = session(0, 0, 10000);
	struct bfd_packet packet = {.state = BFD_DOWN, .multiplier = 3, .mine = 5};
	uint8_t bytes[BFD_PACKET_SIZE];
	struct buf b = buf_over(bytes, sizeof(bytes));
	struct bfd_arrival a = {.ifname = "", .ttl = 250, .payload = span_of(bytes, sizeof(bytes))};
	struct bfd_table *t = bfd_table_new(1);
	struct bfd_peer *p;

	(void)state;
	s.flags = BFDDP_MULTIHOP;
	s.min_ttl = 250;
	memset(s.ifname, 0, sizeof(s.ifname));
	assert_int_equal(bfd_table_put(t, &s, 1, 0, &p), BFD_PUT_NEW);
	bfd_packet_encode(&b, &packet);
	a.from = s.peer;
	a.to = s.local;
	assert_int_equal(bfd_table_receive(t, &a, 0), BFD_DROP_NO_SESSION); /* came to 3784 */
	a.multihop = true;
	assert_int_equal(bfd_table_receive(t, &a, 0), BFD_TAKEN);
	a.ttl = 249;
	assert_int_equal(bfd_table_receive(t, &a, 0), BFD_DROP_TTL);
	assert_int_equal(bfd_table_put(t, &s, 1, 0, &p), BFD_PUT_SAME);
	bfd_table_free(t);
}

static void same_seed_same_bytes(void **state)
{
	uint64_t sums[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(77, SESSIONS, 10000);
		net.loss = 100;
		net.jitter = 20 * MONO_MS;
		run_for(20 * MONO_S);
		sums[i] = net.bytes;
		end();
	}
	assert_true(sums[0] == sums[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_up_and_settles),
		cmocka_unit_test(comes_up_over_long_paths),
		cmocka_unit_test(ten_minutes_without_false_alarm),
		cmocka_unit_test(cuts_are_found_in_time),
		cmocka_unit_test(the_last_way_is_held),
		cmocka_unit_test(patience_has_an_end),
		cmocka_unit_test(patience_heeds_the_peer),
		cmocka_unit_test(recovers_from_a_cut),
		cmocka_unit_test(recovers_from_heavy_loss),
		cmocka_unit_test(bears_sleep),
		cmocka_unit_test(long_sleep_is_the_peers_to_judge),
		cmocka_unit_test(a_full_tunnel_is_no_dead_one),
		cmocka_unit_test(admin_down_is_told),
		cmocka_unit_test(intervals_change_while_up),
		cmocka_unit_test(another_bfdd_takes_over),
		cmocka_unit_test(another_bfdd_knows_no_devices),
		cmocka_unit_test(no_device_is_guessed),
		cmocka_unit_test(orphans_end),
		cmocka_unit_test(strangers_are_refused),
		cmocka_unit_test(multihop_has_its_own_limit),
		cmocka_unit_test(same_seed_same_bytes),
	};

	return cmocka_run_group_tests_name("bfd-pair", tests, NULL, NULL);
}
