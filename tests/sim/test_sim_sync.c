/* Synchronisation of message IDs and replay counters (RFC 6311): an engine that goes on from a
 * record older than what its peer has seen asks for the IDs, or makes a new IKE_SA before the old
 * one goes where the peer can't; as the peer, it answers what is due and drops replays. */
#include "tests/sim/sim_parts.h"
#include "tests/sim/sim_test.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/state.h"
#include "ipsecd/ike/window.h"

#include <stdlib.h>

static const struct ike_settings settings = {.publish = true, .skips_numbers = true};

static const struct ike_counters *counters(const struct sim *s, unsigned node)
{
	return ike_engine_counters(s->nodes[node].engine);
}

/* The established one; each node has one. */
static struct ike_sa *sa_of(const struct sim *s, unsigned node)
{
	struct ike_sa *sa;

	DL_FOREACH (s->nodes[node].engine->sas, sa)
		if (ike_sa_usable(sa))
			return sa;
	fail_msg("node%u has no IKE_SA", node);
	return NULL;
}

/* `without`: which ends have message-id-sync=no (bits 1, 2). */
static struct sim *pair(uint64_t seed, unsigned without)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, &settings);

	s->windows_unchecked = true; /* they go on elsewhere */
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		conn->message_id_sync = !(without >> i & 1);
		conn->dpd_delay = 3 * MONO_S;
		if (i == 0)
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	return s;
}

static void assert_in_step(const struct sim *s)
{
	const struct ike_sa *a = sa_of(s, 0), *b = sa_of(s, 1);

	for (unsigned i = 0; i < 2; i++) {
		if (!a->tx.in_flight)
			assert_int_equal(a->tx.next_id, b->rx.next_id);
		a = sa_of(s, 1);
		b = sa_of(s, 0);
	}
}

/* What `node` keeps from now on is older than what it says. */
static void lag(struct sim *s, unsigned node, bool silently)
{
	s->nodes[node].refuses_lost = true;
	s->nodes[node].lags = !silently;
	s->nodes[node].lags_silently = silently;
}

/* Has no checks of liveness of its own. */
static void mute(struct sim *s, unsigned node)
{
	timer_cancel(&s->nodes[node].engine->timers, &sa_of(s, node)->dpd_timer);
}

/* It is killed, and another one goes on; marks that its store has stay until they are heeded. */
static void fail_over(struct sim *s, unsigned node, mono_time away)
{
	sim_kill(s, node, 0, away);
	sim_command(s, node, IKE_COMMAND_RETRY_NOW, NULL, NULL);
	s->nodes[node].lags = s->nodes[node].lags_silently = false;
}

static void assert_works(struct sim *s)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t tag = sim_command(s, i, IKE_COMMAND_REKEY, NULL, "net");
		const struct sim_tag *done;

		sim_run(s, 8 * MONO_S);
		done = sim_done(s, i, tag);
		assert_true(done && done->ok);
	}
	assert_agreed(s, 1);
}

/* ---- negotiation ---- */

/* RFC 6311 5: only what both ends say counts, and a rekey keeps it. */
static void test_negotiation(void **state)
{
	(void)state;
	for (unsigned without = 0; without < 4; without++) {
		struct sim *s = pair(1 + without, without);

		for (unsigned round = 0; round < 2; round++) {
			for (unsigned i = 0; i < 2; i++) {
				assert_int_equal(sa_of(s, i)->sync.ids, !without);
				assert_int_equal(sa_of(s, i)->sync.counters, !without);
			}
			sim_command(s, round, IKE_COMMAND_REKEY, NULL, NULL);
			sim_run(s, 8 * MONO_S);
			assert_agreed(s, 1);
		}
		sim_free(s);
	}
}

/* A plane that can't pass numbers over: only IDs. */
static void test_without_counters(void **state)
{
	struct sim *s = sim_new(5, 2, &crypto_null, NULL);

	(void)state;
	sim_pair(s, 1);
	sim_run(s, 2 * MONO_S);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(sa_of(s, i)->sync.ids);
		assert_false(sa_of(s, i)->sync.counters);
	}
	sim_free(s);
}

/* ---- behind the peer ---- */

/* Checks of liveness that the record does not have; the next process asks, and since it can't know
 * what else there was, a new IKE_SA takes over. Where nothing is missing, the IKE_SA stays. */
static void test_marked(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		unsigned node = round & 1, missed = round >> 1;
		struct sim *s = pair(10 + round, 0);
		uint64_t spi = sa_of(s, node)->own_spi;

		mute(s, 1 - node);
		lag(s, node, false);
		if (missed)
			sim_run(s, 20 * MONO_S);
		else
			sa_touch(s->nodes[node].engine, sa_of(s, node));
		sim_command(s, node, IKE_COMMAND_RETRY_NOW, NULL, NULL); /* and publish */
		sim_traffic(s, 20 * MONO_MS);
		fail_over(s, node, 0);
		sim_run(s, 3 * MONO_S);
		assert_int_equal(counters(s, node)->sync_done, 1);
		assert_int_equal(counters(s, 1 - node)->sync_answered, 1);
		assert_int_equal(sa_of(s, node)->own_spi == spi, !missed);
		assert_nothing_lost(s);
		sim_run(s, 5 * MONO_S);
		assert_agreed(s, 1);
		assert_in_step(s);
		assert_works(s);
		sim_free(s);
	}
}

/* The same without a mark: a message of the peer's shows it. */
static void test_evidence(void **state)
{
	(void)state;
	for (unsigned node = 0; node < 2; node++) {
		struct sim *s = pair(20 + node, 0);

		lag(s, node, true);
		sim_run(s, 20 * MONO_S);
		fail_over(s, node, 100 * MONO_MS);
		sim_run(s, 15 * MONO_S);
		assert_agreed_within(s, 1, 20 * MONO_S);
		assert_true(counters(s, node)->sync_done >= 1);
		assert_int_equal(counters(s, node)->peers_dead, 0);
		assert_in_step(s);
		assert_works(s);
		sim_free(s);
	}
}

/* Only our own requests are missing: the peer takes the next ones for old ones, and is silent. */
static void test_silence(void **state)
{
	struct sim *s = pair(25, 0);

	(void)state;
	mute(s, 1);
	lag(s, 0, true);
	sim_run(s, 20 * MONO_S);
	fail_over(s, 0, 100 * MONO_MS);
	sim_run(s, 30 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(counters(s, 0)->sync_done, 1);
	assert_int_equal(counters(s, 0)->peers_dead, 0);
	assert_in_step(s);
	assert_works(s);
	sim_free(s);
}

/* CHILD_SAs were made and went, and the IKE_SA's own keys may be others: what both ends have in the
 * end is the same, and nothing is lost on the way but what went by CHILD_SAs that are not known. */
static void test_work_is_missed(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 8; round++) {
		unsigned node = round & 1, who = round >> 1 & 1;
		struct sim *s = pair(30 + round, round & 4 ? 3 : 0);

		lag(s, node, false);
		sim_command(s, who, IKE_COMMAND_REKEY, NULL, "net");
		sim_run(s, 8 * MONO_S);
		fail_over(s, node, 100 * MONO_MS);
		sim_run(s, 10 * MONO_S);
		assert_agreed_within(s, 1, 60 * MONO_S);
		assert_works(s);
		sim_free(s);
	}
}

/* A peer without RFC 6311: a new IKE_SA takes over before the old one goes, no packet is lost. */
static void test_make_before_break(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		unsigned node = round & 1;
		struct sim *s = pair(40 + round, 1u << (round >> 1));
		uint64_t spi = sa_of(s, node)->own_spi;

		lag(s, node, false);
		sim_run(s, 20 * MONO_S);
		sim_traffic(s, 20 * MONO_MS);
		fail_over(s, node, 0);
		sim_run(s, 40 * MONO_S);
		assert_agreed(s, 1);
		assert_int_equal(counters(s, node)->sync_asked, 0);
		assert_true(sa_of(s, node)->own_spi != spi);
		assert_nothing_lost(s);
		sim_free(s);
	}
}

static void lossy(struct sim *s)
{
	sim_all_links(s, &(struct sim_link){.latency = 20 * MONO_MS,
					    .jitter = 60 * MONO_MS,
					    .loss = 200,
					    .duplicate = 100,
					    .reorder = 100,
					    .spare_esp = true});
}

/* RFC 6311 A.4: both ends were restored; on bad links, with work of either end in flight. */
static void test_both_at_once(void **state)
{
	(void)state;
	for (unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 0; seed < 60;
	     seed++) {
		struct sim *s = pair(100 + seed, 0);

		lag(s, 0, seed & 1);
		lag(s, 1, seed & 2);
		sim_run(s, (10 + seed % 7) * MONO_S);
		if (seed % 3)
			lossy(s);
		if (seed & 4)
			sim_command(s, seed >> 3 & 1, IKE_COMMAND_REKEY, NULL,
				    seed & 16 ? "net" : NULL);
		sim_run(s, (seed % 5) * 10 * MONO_MS);
		fail_over(s, 0, 50 * MONO_MS);
		fail_over(s, 1, (seed % 11) * 20 * MONO_MS);
		sim_run(s, 60 * MONO_S);
		sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS});
		assert_agreed_within(s, 1, 120 * MONO_S);
		assert_works(s);
		sim_free(s);
	}
}

/* Killed again while it asks: the next one asks with higher IDs (5.1), so it is no replay. */
static void test_second_failover(void **state)
{
	struct sim *s = pair(50, 0);
	uint32_t asked;
	uint64_t spi;

	(void)state;
	mute(s, 1);
	lag(s, 0, false);
	sim_run(s, 20 * MONO_S);
	s->links[1][0].cut = true;
	fail_over(s, 0, 100 * MONO_MS);
	sim_run(s, 400 * MONO_MS);
	assert_true(sa_of(s, 0)->sync.asking);
	asked = sa_of(s, 0)->sync.send;
	spi = sa_of(s, 0)->own_spi;
	fail_over(s, 0, 100 * MONO_MS);
	s->links[1][0].cut = false;
	while (!counters(s, 0)->sync_done && !s->violation[0])
		sim_run(s, 10 * MONO_MS);
	assert_true(ike_sa_by_spi(s->nodes[0].engine, spi)->sync.send > asked);
	sim_run(s, 8 * MONO_S);
	assert_in_step(s);
	assert_agreed(s, 1);
	sim_free(s);
}

/* Killed while it asks, and away for longer than a request has: the time passed while nobody was
 * there to hear an answer, so the peer is asked again before it is taken for dead. */
static void test_away_while_asking(void **state)
{
	(void)state;
	for (unsigned dead = 0; dead < 2; dead++) {
		struct sim *s = pair(52 + dead, 0);

		mute(s, 1);
		lag(s, 0, false);
		sim_run(s, 20 * MONO_S);
		s->links[1][0].cut = true;
		fail_over(s, 0, 100 * MONO_MS);
		sim_run(s, 400 * MONO_MS);
		assert_true(sa_of(s, 0)->sync.asking);
		fail_over(s, 0, window_timeout(s->nodes[0].engine, sa_of(s, 0)) + MONO_S);
		s->links[1][0].cut = dead;
		while (!sim_lives(&s->nodes[0]))
			sim_run(s, 10 * MONO_MS);
		sim_run(s, MONO_S);
		assert_int_equal(counters(s, 0)->sync_done, !dead);
		assert_int_equal(counters(s, 0)->peers_dead, 0);
		assert_true(counters(s, 0)->sync_asked > 0);
		sim_run(s, 20 * MONO_S);
		assert_int_equal(counters(s, 0)->peers_dead, dead);
		s->links[1][0].cut = false;
		assert_agreed_within(s, 1, 120 * MONO_S);
		sim_free(s);
	}
}

/* Nobody answers: it gives up when a request would, and the peer is found dead as ever. */
static void test_dead_peer(void **state)
{
	struct sim *s = pair(51, 0);

	(void)state;
	lag(s, 0, false);
	sim_run(s, 20 * MONO_S);
	s->links[1][0].cut = s->links[0][1].cut = true;
	fail_over(s, 0, 100 * MONO_MS);
	sim_run(s, 60 * MONO_S);
	assert_int_equal(sim_look(s, 0, NULL).ike_established, 0);
	s->links[1][0].cut = s->links[0][1].cut = false;
	assert_agreed_within(s, 1, 120 * MONO_S);
	sim_free(s);
}

/* ---- as the peer: messages that a member could send ---- */

enum { NOTHING, DELTA4, DELTA8, OTHER, LONG, WITH_SPI };

/* The peer of `to` says it, protected, to `to`. */
static void say(struct sim *s, unsigned to, uint32_t id, bool response, struct wire_message_ids ids,
		unsigned more)
{
	struct ike_sa *from = sa_of(s, 1 - to);
	const struct ike_path path = {.local = from->path.remote, .remote = from->path.local};
	static const uint8_t one[4] = {0};
	uint8_t memory[256], data[16] = {0};
	struct span datagram;
	struct wire_writer w;

	exchange_begin(s->nodes[1 - to].engine, from, &w, memory, sizeof(memory), 37, id, response);
	be32_set(data, ids.nonce);
	be32_set(data + 4, ids.send);
	be32_set(data + 8, ids.receive);
	wire_put_notify(&w, 0, NOTIFY_IKEV2_MESSAGE_ID_SYNC, span_of(one, more == WITH_SPI ? 4 : 0),
			span_of(data, more == LONG ? 16 : 12));
	if (more == DELTA4 || more == DELTA8)
		wire_put_replay_delta(&w, 1000, more == DELTA8);
	if (more == OTHER)
		wire_put_delete(&w, PROTOCOL_IKE, 0, span_of(NULL, 0));
	assert_true(exchange_seal(s->nodes[1 - to].engine, from, &w, &datagram));
	ike_engine_datagram(s->nodes[to].engine, &path, datagram, s->now);
	sim_drain(s, to);
}

/* 5.1, 6.3, 9, 11: which are dropped, and change nothing. */
static void test_requests(void **state)
{
	struct sim *s = pair(60, 0);
	struct ike_sa *sa = sa_of(s, 1);
	uint32_t tx = sa->tx.next_id, rx = sa->rx.next_id;
	const struct {
		struct wire_message_ids ids;
		unsigned more;
	} bad[] = {
		{{1, rx - 1, tx}, NOTHING}, /* lower than a request that came */
		{{1, UINT32_MAX, tx}, NOTHING}, {{1, rx + 5, UINT32_MAX}, NOTHING},
		{{1, rx + 5, tx}, OTHER},	{{1, rx + 5, tx}, LONG},
		{{1, rx + 5, tx}, WITH_SPI},
	};

	(void)state;
	s->links[1][0].cut = true; /* the peer has asked for none of this */
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(s, 1, 0, false, bad[i].ids, bad[i].more);
		sa = sa_of(s, 1);
		assert_int_equal(sa->tx.next_id, tx);
		assert_int_equal(sa->rx.next_id, rx);
		assert_int_equal(counters(s, 1)->drop_sync, i + 1);
	}
	say(s, 1, 0, false, (struct wire_message_ids){2, rx + 5, tx + 3}, NOTHING);
	sa = sa_of(s, 1);
	assert_int_equal(sa->tx.next_id, tx + 3);
	assert_int_equal(sa->rx.next_id, rx + 5);
	assert_int_equal(counters(s, 1)->sync_answered, 1);
	/* A replay of it, and one that is not higher. */
	say(s, 1, 0, false, (struct wire_message_ids){2, rx + 5, tx + 3}, NOTHING);
	say(s, 1, 0, false, (struct wire_message_ids){3, rx + 5, tx + 9}, NOTHING);
	assert_int_equal(counters(s, 1)->sync_answered, 1);
	assert_int_equal(sa_of(s, 1)->tx.next_id, tx + 3);
	/* Far away is the peer's own affair, and what it expects can't go back. */
	say(s, 1, 0, false, (struct wire_message_ids){4, 0xfffffff0, 0}, NOTHING);
	assert_int_equal(sa_of(s, 1)->rx.next_id, 0xfffffff0);
	assert_int_equal(sa_of(s, 1)->tx.next_id, tx + 3);
	assert_holds(s);
	sim_free(s);
}

/* Without negotiation it is a notify as any other that nobody knows. */
static void test_not_negotiated(void **state)
{
	(void)state;
	for (unsigned without = 1; without < 4; without++) {
		struct sim *s = pair(64 + without, without);
		struct ike_sa *sa = sa_of(s, 0);
		uint32_t tx = sa->tx.next_id, rx = sa->rx.next_id;

		say(s, 0, 0, false, (struct wire_message_ids){1, 50, 60}, DELTA4);
		assert_int_equal(sa_of(s, 0)->tx.next_id, tx);
		assert_true(sa_of(s, 0)->rx.next_id <= rx + 1); /* ID 0 may be in the window */
		assert_int_equal(counters(s, 0)->sync_answered, 0);
		assert_int_equal(counters(s, 0)->sync_skipped, 0);
		sim_free(s);
	}
}

/* 11: answers that nobody waits for, of another nonce, or with lower IDs. */
static void test_responses(void **state)
{
	struct sim *s = pair(70, 0);
	struct ike_sa *sa;
	uint32_t tx, rx, nonce, send;

	(void)state;
	say(s, 0, 0, true, (struct wire_message_ids){7, 90, 90}, NOTHING);
	assert_int_equal(counters(s, 0)->drop_sync, 1);
	lag(s, 0, false);
	sim_run(s, 20 * MONO_S);
	s->links[0][1].cut = true;
	fail_over(s, 0, 100 * MONO_MS);
	sim_run(s, 200 * MONO_MS);
	sa = sa_of(s, 0);
	assert_true(sa->sync.asking);
	tx = sa->tx.next_id;
	rx = sa->rx.next_id;
	nonce = sa->sync.nonce;
	send = sa->sync.send;
	say(s, 0, 0, true, (struct wire_message_ids){nonce + 1, rx, send}, NOTHING);
	say(s, 0, 0, true, (struct wire_message_ids){nonce, rx, send - 1}, NOTHING);
	say(s, 0, 0, true, (struct wire_message_ids){nonce, rx - 1, send}, NOTHING);
	say(s, 0, 0, true, (struct wire_message_ids){nonce, rx, send}, DELTA4);
	say(s, 0, 0, true, (struct wire_message_ids){nonce, UINT32_MAX, send}, NOTHING);
	sa = sa_of(s, 0);
	assert_true(sa->sync.asking);
	assert_int_equal(sa->tx.next_id, tx);
	say(s, 0, 0, true, (struct wire_message_ids){nonce, rx + 2, send + 1}, NOTHING);
	sa = sa_of(s, 0);
	assert_false(sa->sync.asking);
	assert_int_equal(sa->rx.next_id, rx + 2);
	assert_true(sa->tx.next_id >= send + 1);
	/* The same once more is one too many. */
	say(s, 0, 0, true, (struct wire_message_ids){nonce, rx + 9, send + 9}, NOTHING);
	assert_int_equal(sa_of(s, 0)->rx.next_id, rx + 2);
	sim_free(s);
}

/* 9: a request in flight is not waited for; it is made anew with an ID of the new window. */
static void test_pending_request(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		struct sim *s = pair(80 + kind, 0);
		uint32_t used;

		s->links[1][0].cut = true;
		if (kind == 0)
			sim_command(s, 1, IKE_COMMAND_REKEY, NULL, "net");
		else if (kind == 1)
			sim_command(s, 1, IKE_COMMAND_REKEY, NULL, NULL);
		else if (kind == 2)
			sim_run(s, 3500 * MONO_MS); /* a check of liveness */
		else
			sim_command(s, 1, IKE_COMMAND_TERMINATE, NULL, "net");
		used = sa_of(s, 1)->tx.next_id;
		assert_true(sa_of(s, 1)->tx.in_flight);
		say(s, 1, 0, false, (struct wire_message_ids){1, sa_of(s, 1)->rx.next_id + 1, used},
		    NOTHING);
		assert_int_equal(counters(s, 1)->sync_answered, 1);
		assert_true(sa_of(s, 1)->tx.next_id > used);
		/* What a member that says so goes on with. */
		sa_of(s, 0)->tx.next_id = sa_of(s, 1)->rx.next_id;
		sa_of(s, 0)->rx.next_id = used + 1;
		s->links[1][0].cut = false;
		sim_run(s, 30 * MONO_S);
		assert_holds(s);
		assert_agreed_within(s, 1, 60 * MONO_S);
		sim_free(s);
	}
}

/* ---- replay counters ---- */

static void say_delta(struct sim *s, unsigned to, uint64_t delta, bool esn, size_t len)
{
	struct ike_sa *from = sa_of(s, 1 - to);
	const struct ike_path path = {.local = from->path.remote, .remote = from->path.local};
	uint8_t memory[256], data[8] = {0};
	struct span datagram;
	struct wire_writer w;

	exchange_begin(s->nodes[1 - to].engine, from, &w, memory, sizeof(memory), 37,
		       sa_of(s, to)->rx.next_id, false);
	if (len)
		wire_put_notify(&w, 0, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC, span_of(NULL, 0),
				span_of(data, len));
	else
		wire_put_replay_delta(&w, delta, esn);
	assert_true(exchange_seal(s->nodes[1 - to].engine, from, &w, &datagram));
	ike_engine_datagram(s->nodes[to].engine, &path, datagram, s->now);
	sim_drain(s, to);
}

/* 5.2, 6.4: with the IDs, behind them; or alone, in the ordinary window. */
static void test_counters(void **state)
{
	struct sim *s = pair(90, 0);
	uint32_t rx = sa_of(s, 1)->rx.next_id;

	(void)state;
	s->links[1][0].cut = true;
	say(s, 1, 0, false, (struct wire_message_ids){1, rx + 1, 0}, DELTA4);
	assert_int_equal(sim_newest_child(s, 1)->skipped, 1000);
	say(s, 1, 0, false, (struct wire_message_ids){1, rx + 1, 0}, DELTA4); /* a replay */
	assert_int_equal(sim_newest_child(s, 1)->skipped, 1000);
	say_delta(s, 1, 7, false, 0);
	say_delta(s, 1, (uint64_t)5 << 32, true, 0);
	assert_int_equal(sim_newest_child(s, 1)->skipped, 1007 + ((uint64_t)5 << 32));
	assert_int_equal(counters(s, 1)->sync_skipped, 3);
	for (size_t len = 1; len < 8; len++)
		if (len != 4)
			say_delta(s, 1, 0, false, len);
	assert_int_equal(counters(s, 1)->sync_skipped, 3);
	assert_int_equal(sa_of(s, 1)->rx.next_id, rx + 1 + 2 + 6);
	assert_holds(s);
	sim_free(s);
}

/* ---- records ---- */

/* Those of version 1 have nothing of it; newer ones than ours are refused. */
static void test_older_records(void **state)
{
	struct sim *s = pair(95, 0);
	uint8_t old[8192];
	struct ike_engine *former = s->nodes[0].engine;
	struct ike_record r = {.kind = IKE_RECORD_SA};
	char why[160];

	(void)state;
	r.id = former->sas->id;
	r.data = span_of(old, sim_record_as(former, 1, old, sizeof(old)));
	sim_start_engine(&s->nodes[0]);
	sim_load_as(&s->nodes[0], former);
	ike_engine_free(former);
	be16_set(old, STATE_VERSION + 1);
	assert_false(ike_engine_restore(s->nodes[0].engine, &r, why, sizeof(why)));
	assert_non_null(strstr(why, "another version of Detour's state, at byte 2 of "));
	be16_set(old, 1);
	assert_true(ike_engine_restore(s->nodes[0].engine, &r, why, sizeof(why)));
	ike_engine_resume(s->nodes[0].engine, s->now);
	assert_false(sa_of(s, 0)->sync.ids);
	sim_free(s);
}

static bool no_memory;
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

/* Of large pieces. */
void *__wrap_malloc(size_t size)
{
	return no_memory && size > 100000 ? NULL : __real_malloc(size);
}

static unsigned published(struct sim *s, uint32_t kind, bool there)
{
	struct ike_record r;
	unsigned n = 0;

	while (ike_engine_publish(s->nodes[0].engine, &r))
		n += r.kind == kind && (r.data.len != 0) == there;
	return n;
}

/* A record that there is no memory for is marked, once, and the mark goes behind the next one. */
static void test_marks(void **state)
{
	static const uint8_t large[70000], small[1];
	struct sim *s = pair(96, 0);
	struct ike_sa *sa = sa_of(s, 0);
	struct ike_record r;

	(void)state;
	sim_publish(&s->nodes[0]);
	assert_true(message_copy_set(&sa->rx.response, span_of(large, sizeof(large))));
	sa_touch(s->nodes[0].engine, sa);
	no_memory = true;
	assert_int_equal(published(s, IKE_RECORD_BEHIND, true), 1);
	assert_int_equal(published(s, IKE_RECORD_BEHIND, true), 0);
	assert_int_equal(published(s, IKE_RECORD_SA, true), 0);
	no_memory = false;
	assert_true(message_copy_set(&sa->rx.response, span_of(small, sizeof(small))));
	assert_true(ike_engine_publish(s->nodes[0].engine, &r));
	assert_true(r.kind == IKE_RECORD_SA && r.data.len);
	assert_true(ike_engine_publish(s->nodes[0].engine, &r));
	assert_true(r.kind == IKE_RECORD_BEHIND && !r.data.len);
	sa_touch(s->nodes[0].engine, sa);
	assert_int_equal(published(s, IKE_RECORD_SA, true), 1);
	assert_int_equal(published(s, IKE_RECORD_BEHIND, true), 0);
	sim_free(s);
}

/* What is negotiated, asked and answered is in the records: again, with every input handled by an
 * engine of its own. */
static int restored(void **state)
{
	(void)state;
	sim_restore_always(true);
	return 0;
}

int main(void)
{
	const struct CMUnitTest exact[] = {
		cmocka_unit_test(test_negotiation),    cmocka_unit_test(test_requests),
		cmocka_unit_test(test_not_negotiated), cmocka_unit_test(test_pending_request),
		cmocka_unit_test(test_counters),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_negotiation),
		cmocka_unit_test(test_without_counters),
		cmocka_unit_test(test_marked),
		cmocka_unit_test(test_evidence),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_work_is_missed),
		cmocka_unit_test(test_make_before_break),
		cmocka_unit_test(test_both_at_once),
		cmocka_unit_test(test_second_failover),
		cmocka_unit_test(test_away_while_asking),
		cmocka_unit_test(test_dead_peer),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_not_negotiated),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_pending_request),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_older_records),
		cmocka_unit_test(test_marks),
	};

	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL) +
	       cmocka_run_group_tests(exact, restored, NULL);
}
