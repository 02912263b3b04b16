/* One BFD session against packets made by hand: the state table, discriminators, intervals,
 * poll sequences, jitter, detection. Sections are of RFC 5880. */
#include "routed-bridge/bfd_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MINE  0x11u
#define YOURS 0x22u
#define START (1000 * MONO_S)
#define US    ((mono_time)1000)

static struct bfd_settings settings(uint32_t interval)
{
	return (struct bfd_settings){
		.discriminator = MINE,
		.min_tx = interval,
		.min_rx = interval,
		.multiplier = 3,
	};
}

static struct bfd_session started(uint32_t interval)
{
	struct bfd_settings set = settings(interval);
	struct bfd_session s;

	bfd_session_start(&s, &set, 0, 7, START);
	return s;
}

static struct bfd_packet from_peer(enum bfd_state state, uint32_t interval)
{
	return (struct bfd_packet){
		.state = state,
		.multiplier = 3,
		.mine = YOURS,
		.yours = state == BFD_DOWN ? 0 : MINE,
		.min_tx = interval,
		.min_rx = interval,
	};
}

static void hear(struct bfd_session *s, enum bfd_state state, uint32_t interval, mono_time now)
{
	struct bfd_packet p = from_peer(state, interval);

	bfd_session_receive(s, &p, now);
}

/* Without a witness; asks when there is doubt, then judges. */
static bool expire(struct bfd_session *s, mono_time late, mono_time now)
{
	while (bfd_session_judge_at(s) < now && bfd_session_judge_at(s) < s->detect_at)
		bfd_session_judge(s, NULL, 0, bfd_session_judge_at(s));
	return bfd_session_judge(s, NULL, late, now);
}

static struct bfd_packet take(struct bfd_session *s, mono_time now)
{
	struct bfd_packet p = {0};

	assert_true(bfd_session_send(s, &p, now));
	return p;
}

/* Up, polls answered, both at `interval`. */
static struct bfd_session up(uint32_t interval, mono_time *now)
{
	struct bfd_session s = started(interval);
	struct bfd_packet p = from_peer(BFD_UP, interval);

	*now = START;
	hear(&s, BFD_DOWN, BFD_SLOW_TX, *now);
	hear(&s, BFD_INIT, BFD_SLOW_TX, *now);
	assert_int_equal(s.state, BFD_UP);
	p.final = true;
	while (bfd_session_send(&s, &p, *now))
		;
	p = from_peer(BFD_UP, interval);
	p.final = true;
	bfd_session_receive(&s, &p, *now);
	assert_false(s.polling);
	while (bfd_session_send(&s, &p, *now))
		;
	s.changed = false;
	return s;
}

/* ---- 6.2, 6.8.6: states ---- */

static struct bfd_session in(enum bfd_state state)
{
	struct bfd_session s = started(10000);
	struct bfd_settings set = settings(10000);
	mono_time now;

	if (state == BFD_UP)
		return up(10000, &now);
	if (state == BFD_INIT)
		hear(&s, BFD_DOWN, BFD_SLOW_TX, START);
	set.admin_down = state == BFD_ADMIN_DOWN;
	bfd_session_set(&s, &set);
	assert_int_equal(s.state, state);
	return s;
}

static void follows_the_table(void **state)
{
	/* [ours][the peer's] */
	static const enum bfd_state next[4][4] = {
		[BFD_ADMIN_DOWN] = {BFD_ADMIN_DOWN, BFD_ADMIN_DOWN, BFD_ADMIN_DOWN, BFD_ADMIN_DOWN},
		[BFD_DOWN] = {BFD_DOWN, BFD_INIT, BFD_UP, BFD_DOWN},
		[BFD_INIT] = {BFD_DOWN, BFD_INIT, BFD_UP, BFD_UP},
		[BFD_UP] = {BFD_DOWN, BFD_DOWN, BFD_UP, BFD_UP},
	};

	(void)state;
	for (unsigned ours = 0; ours < 4; ours++) {
		for (unsigned theirs = 0; theirs < 4; theirs++) {
			struct bfd_session s = in((enum bfd_state)ours);

			hear(&s, (enum bfd_state)theirs, BFD_SLOW_TX, START);
			assert_int_equal(s.state, next[ours][theirs]);
			if (ours == BFD_UP && s.state == BFD_DOWN)
				assert_int_equal(s.diag, BFD_DIAG_NEIGHBOR_DOWN);
			/* RFC 5882 3.2: the administrator's wish is no failure. */
			assert_int_equal(s.failed, ours == BFD_UP && theirs == BFD_DOWN);
		}
	}
}

static void goes_up_by_three_packets(void **state)
{
	struct bfd_session s = started(10000);
	struct bfd_packet p;

	(void)state;
	p = take(&s, START + MONO_S);
	assert_int_equal(p.state, BFD_DOWN);
	assert_int_equal(p.mine, MINE);
	assert_int_equal(p.yours, 0);
	hear(&s, BFD_DOWN, BFD_SLOW_TX, START + MONO_S);
	p = take(&s, START + MONO_S); /* 6.8.7: at once, for the contents are others */
	assert_int_equal(p.state, BFD_INIT);
	assert_int_equal(p.yours, YOURS);
	hear(&s, BFD_UP, BFD_SLOW_TX, START + MONO_S);
	p = take(&s, START + MONO_S);
	assert_int_equal(p.state, BFD_UP);
	assert_true(p.poll); /* 6.8.3: another interval from here on */
	assert_int_equal(p.min_tx, 10000);
	assert_true(s.changed);
}

static void is_slow_while_down(void **state)
{
	struct bfd_session s = started(10000);
	mono_time now = START + MONO_S;
	struct bfd_packet p = take(&s, now);

	(void)state;
	assert_int_equal(p.min_tx, BFD_SLOW_TX); /* 6.8.3: MUST */
	assert_int_equal(p.min_rx, 10000);
	assert_false(bfd_session_send(&s, &p, now + 749 * MONO_MS));
	assert_true(bfd_session_send(&s, &p, now + MONO_S));
}

/* ---- 6.8.7: sending ---- */

static void jitters(uint8_t multiplier, mono_time least, mono_time most)
{
	mono_time now, min = MONO_NEVER, max = 0;
	struct bfd_session s = up(10000, &now);
	struct bfd_settings set = settings(10000);
	struct bfd_packet p;

	set.multiplier = multiplier;
	bfd_session_set(&s, &set);
	take(&s, bfd_session_send_at(&s) > now ? bfd_session_send_at(&s) : now);
	now = s.sent;
	for (unsigned i = 0; i < 5000; i++) {
		mono_time at = bfd_session_send_at(&s), gap = at - now;

		min = gap < min ? gap : min;
		max = gap > max ? gap : max;
		now = at;
		assert_false(bfd_session_send(&s, &p, now - 1));
		take(&s, now);
	}
	assert_true(min >= least && max <= most);
	assert_true(min < least + 100 * US && max > most - 100 * US); /* all of the range */
}

static void jitters_by_a_quarter(void **state)
{
	(void)state;
	jitters(3, 7500 * US, 10000 * US);
	jitters(1, 7500 * US, 9000 * US);
}

static void sends_no_more_than_the_peer_bears(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_packet p = from_peer(BFD_UP, 10000);

	(void)state;
	p.min_rx = 200000;
	bfd_session_receive(&s, &p, now);
	take(&s, bfd_session_send_at(&s));
	assert_true(bfd_session_send_at(&s) >= now + 150 * MONO_MS);
	p.min_rx = 0; /* MUST NOT send periodically */
	bfd_session_receive(&s, &p, now);
	assert_true(bfd_session_send_at(&s) == MONO_NEVER);
	p.poll = true; /* but an answer */
	bfd_session_receive(&s, &p, now);
	assert_true(take(&s, now).final);
}

static void respects_demand_mode(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_packet p = from_peer(BFD_UP, 10000);
	struct bfd_settings set = settings(20000);

	(void)state;
	p.demand = true;
	bfd_session_receive(&s, &p, now);
	assert_true(bfd_session_send_at(&s) == MONO_NEVER);
	bfd_session_set(&s, &set); /* a poll sequence is sent nevertheless */
	assert_true(take(&s, now).poll);
	assert_true(bfd_session_send_at(&s) < MONO_NEVER);
	p.demand = false;
	p.final = true;
	bfd_session_receive(&s, &p, now);
	assert_true(bfd_session_send_at(&s) <= now + 20 * MONO_MS);
}

static void is_silent_while_passive(void **state)
{
	struct bfd_settings set = settings(10000);
	struct bfd_session s;

	(void)state;
	set.passive = true;
	bfd_session_start(&s, &set, 0, 7, START);
	assert_true(bfd_session_send_at(&s) == MONO_NEVER);
	hear(&s, BFD_DOWN, BFD_SLOW_TX, START);
	assert_int_equal(take(&s, START).state, BFD_INIT);
	assert_true(expire(&s, 0, s.detect_at));
	assert_true(bfd_session_send_at(&s) == MONO_NEVER); /* 6.8.1, 6.8.7 */
	set.passive = false;
	bfd_session_set(&s, &set);
	assert_true(bfd_session_send_at(&s) < MONO_NEVER);
}

static void holds_the_first_packet(void **state)
{
	struct bfd_settings set = settings(10000);
	struct bfd_session s;

	(void)state;
	bfd_session_start(&s, &set, 5 * MONO_S, 7, START);
	assert_true(bfd_session_send_at(&s) >= START + 5 * MONO_S);
}

/* ---- 6.5, 6.8.3: polls ---- */

static void answers_polls_at_once(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_packet p = from_peer(BFD_UP, 10000);

	(void)state;
	p.poll = true;
	bfd_session_receive(&s, &p, now);
	p = take(&s, now);
	assert_true(p.final && !p.poll);
	assert_false(bfd_session_send(&s, &p, now));
}

static void never_polls_and_answers_in_one(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_settings set = settings(20000);
	struct bfd_packet p = from_peer(BFD_UP, 10000);

	(void)state;
	bfd_session_set(&s, &set);
	p.poll = true;
	bfd_session_receive(&s, &p, now);
	p = take(&s, now);
	assert_true(p.final && !p.poll);
	p = take(&s, now); /* the poll was due, too */
	assert_true(p.poll && !p.final);
}

static void slows_down_when_confirmed(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_settings set = settings(100000);
	struct bfd_packet p = from_peer(BFD_UP, 10000);

	(void)state;
	bfd_session_set(&s, &set);
	assert_int_equal(take(&s, now).min_tx, 100000);
	assert_int_equal(s.tx, 10000); /* MUST NOT change yet */
	assert_int_equal(s.rx, 100000);
	assert_true(take(&s, now + 10 * MONO_MS).poll); /* until it is answered */
	p.final = true;
	bfd_session_receive(&s, &p, now + 11 * MONO_MS);
	assert_int_equal(s.tx, 100000);
	assert_false(s.polling);
}

static void listens_longer_until_confirmed(void **state)
{
	mono_time now;
	struct bfd_session s = up(100000, &now);
	struct bfd_settings set = settings(10000);
	struct bfd_packet p = from_peer(BFD_UP, 10000);

	(void)state;
	bfd_session_set(&s, &set);
	assert_int_equal(s.tx, 10000);
	assert_int_equal(s.rx, 100000); /* MUST be used until the poll has ended */
	bfd_session_receive(&s, &p, now);
	assert_true(s.detect_time == 300 * MONO_MS);
	p.final = true;
	bfd_session_receive(&s, &p, now);
	assert_true(s.detect_time == 30 * MONO_MS);
}

static void polls_again_for_later_changes(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_settings set = settings(50000);
	struct bfd_packet p = from_peer(BFD_UP, 10000);

	(void)state;
	bfd_session_set(&s, &set);
	take(&s, now);
	set.min_tx = 70000;
	bfd_session_set(&s, &set);
	p.final = true; /* of the first poll */
	bfd_session_receive(&s, &p, now);
	assert_true(s.polling);
	assert_true(take(&s, now).poll);
	bfd_session_receive(&s, &p, now);
	assert_false(s.polling);
	assert_int_equal(s.tx, 70000);
}

/* ---- 6.8.4: detection ---- */

static void finds_silence(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_packet p;

	(void)state;
	assert_true(s.detect_at == now + 30 * MONO_MS);
	assert_false(expire(&s, 0, now + 30 * MONO_MS - 1));
	assert_true(expire(&s, 0, now + 30 * MONO_MS));
	assert_int_equal(s.state, BFD_DOWN);
	assert_int_equal(s.diag, BFD_DIAG_EXPIRED);
	assert_true(s.failed);
	assert_true(s.last_since == 30 * MONO_MS);
	p = take(&s, now + 30 * MONO_MS);
	assert_int_equal(p.state, BFD_DOWN);
	assert_int_equal(p.diag, BFD_DIAG_EXPIRED);
	assert_int_equal(p.yours, 0); /* 6.8.1 */
	assert_int_equal(p.min_tx, BFD_SLOW_TX);
}

static void counts_the_peers_multiplier(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_packet p = from_peer(BFD_UP, 20000);

	(void)state;
	p.multiplier = 5;
	bfd_session_receive(&s, &p, now);
	assert_true(s.detect_at == now + 100 * MONO_MS);
}

/* A peer that polls for shorter intervals sends at the old ones until it has our answer. */
static void bears_a_poll_for_less(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_packet p = from_peer(BFD_UP, BFD_SLOW_TX);

	(void)state;
	bfd_session_receive(&s, &p, now);
	p = from_peer(BFD_UP, 10000);
	p.poll = true;
	for (unsigned i = 0; i < 3; i++) {
		bfd_session_receive(&s, &p, now);
		assert_true(s.detect_at == now + 3 * MONO_S);
		now += MONO_S;
	}
	p.poll = false;
	bfd_session_receive(&s, &p, now);
	assert_true(s.detect_at == now + 30 * MONO_MS);
}

static void forgives_its_own_sleep(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);

	(void)state;
	/* 8 ms asleep past the time: 8 ms more, once. */
	assert_false(expire(&s, 8 * MONO_MS, now + 38 * MONO_MS));
	assert_true(s.detect_at == now + 46 * MONO_MS);
	assert_true(expire(&s, 0, now + 46 * MONO_MS));
}

static void forgives_no_more_than_one_detection_time(void **state)
{
	mono_time now, last = 0;
	struct bfd_session s = up(10000, &now);

	(void)state;
	while (!expire(&s, 20 * MONO_MS, s.detect_at))
		last = s.detect_at;
	assert_true(last == now + 60 * MONO_MS);
	/* Whoever is heard again is patient with the next silence, too. */
	s = up(10000, &now);
	expire(&s, MONO_S, now + 30 * MONO_MS);
	hear(&s, BFD_UP, 10000, now + 31 * MONO_MS);
	assert_true(s.grace == 0);
}

/* ---- the witness ---- */

static bool judge(struct bfd_session *s, uint64_t in, uint64_t out, mono_time now)
{
	struct bfd_witness w = {.in = in, .out = out};

	return bfd_session_judge(s, &w, 0, now);
}

static void traffic_of_the_peer_is_no_silence(void **state)
{
	mono_time now, at, end;
	struct bfd_session s = up(10000, &now);
	unsigned n = 0;

	(void)state;
	assert_true(bfd_session_judge_at(&s) == now + 10 * MONO_MS);
	for (end = now; at = bfd_session_judge_at(&s), !judge(&s, 100 + n, 50 + n, at); n++)
		end = at;
	/* But not for ever. */
	assert_true(at == now + 330 * MONO_MS && end == now + 320 * MONO_MS);
	assert_int_equal(s.diag, BFD_DIAG_EXPIRED);
}

static void a_cut_is_found_in_time_in_spite_of_a_witness(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);

	(void)state;
	judge(&s, 100, 50, now + 10 * MONO_MS);
	take(&s, now + 11 * MONO_MS);
	judge(&s, 100, 51, now + 20 * MONO_MS);
	take(&s, now + 21 * MONO_MS);
	assert_true(judge(&s, 100, 52, now + 30 * MONO_MS));
	/* The last packet came before the last interval. */
	s = up(10000, &now);
	judge(&s, 100, 50, now + 10 * MONO_MS);
	judge(&s, 105, 51, now + 20 * MONO_MS);
	assert_true(judge(&s, 105, 52, now + 30 * MONO_MS));
	/* Within it: one interval more, then the end. */
	s = up(10000, &now);
	judge(&s, 100, 50, now + 10 * MONO_MS);
	judge(&s, 100, 50, now + 20 * MONO_MS);
	assert_false(judge(&s, 101, 51, now + 30 * MONO_MS));
	assert_true(judge(&s, 101, 52, now + 40 * MONO_MS));
}

static void who_does_not_encrypt_does_not_decrypt(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);

	(void)state;
	judge(&s, 100, 50, now + 10 * MONO_MS);
	take(&s, now + 11 * MONO_MS);
	judge(&s, 100, 50, now + 20 * MONO_MS);
	assert_false(judge(&s, 100, 50, now + 30 * MONO_MS)); /* nobody took our packet */
	take(&s, now + 31 * MONO_MS);
	assert_false(judge(&s, 100, 52, now + 40 * MONO_MS)); /* 20 ms in which nobody did */
	assert_true(judge(&s, 100, 53, now + 60 * MONO_MS));
	/* It runs again before the end, and what it has missed is given back. */
	s = up(10000, &now);
	judge(&s, 100, 50, now + 10 * MONO_MS);
	take(&s, now + 11 * MONO_MS);
	judge(&s, 100, 50, now + 20 * MONO_MS);
	assert_false(judge(&s, 100, 51, now + 30 * MONO_MS));
	assert_true(s.detect_at == now + 40 * MONO_MS);
	assert_true(judge(&s, 100, 52, now + 40 * MONO_MS));
	/* One that was sent just now proves nothing. */
	s = up(10000, &now);
	judge(&s, 100, 50, now + 10 * MONO_MS);
	take(&s, now + 19 * MONO_MS);
	judge(&s, 100, 50, now + 20 * MONO_MS);
	assert_true(judge(&s, 100, 51, now + 30 * MONO_MS));
}

static void being_heard_ends_all_doubt(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);

	(void)state;
	judge(&s, 100, 50, now + 20 * MONO_MS);
	judge(&s, 101, 50, now + 30 * MONO_MS);
	hear(&s, BFD_UP, 10000, now + 31 * MONO_MS);
	assert_true(s.excuse == 0 && s.stalled == 0 && !s.has_witness);
	assert_true(bfd_session_judge_at(&s) == now + 41 * MONO_MS);
}

static void a_peer_may_begin_anew(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_packet p = from_peer(BFD_DOWN, BFD_SLOW_TX);

	(void)state;
	p.mine = YOURS + 1;
	bfd_session_receive(&s, &p, now);
	assert_int_equal(s.state, BFD_DOWN);
	assert_int_equal(s.remote_discriminator, YOURS + 1);
}

/* ---- 6.8.16: administration ---- */

static void says_admin_down(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_settings set = settings(10000);
	struct bfd_packet p;

	(void)state;
	set.admin_down = true;
	bfd_session_set(&s, &set);
	p = take(&s, now);
	assert_int_equal(p.state, BFD_ADMIN_DOWN);
	assert_int_equal(p.diag, BFD_DIAG_ADMIN_DOWN);
	assert_int_equal(p.yours, YOURS);
	assert_false(s.failed);
	hear(&s, BFD_UP, 10000, now);
	assert_int_equal(s.state, BFD_ADMIN_DOWN);
	assert_true(bfd_session_send_at(&s) <= now + MONO_S); /* it goes on saying so */
	set.admin_down = false;
	bfd_session_set(&s, &set);
	assert_int_equal(s.state, BFD_DOWN);
	assert_int_equal(s.diag, BFD_DIAG_NONE);
}

static void other_settings_need_no_poll(void **state)
{
	mono_time now;
	struct bfd_session s = up(10000, &now);
	struct bfd_settings set = settings(10000);
	struct bfd_packet p;

	(void)state;
	set.multiplier = 5;
	set.independent = true;
	set.discriminator = MINE + 1; /* 6.3 */
	bfd_session_set(&s, &set);
	p = take(&s, now);
	assert_int_equal(s.state, BFD_UP);
	assert_int_equal(p.multiplier, 5);
	assert_int_equal(p.mine, MINE + 1);
	assert_true(p.independent && !p.poll);
}

static void has_a_fastest_interval(void **state)
{
	struct bfd_settings set = settings(0);
	struct bfd_session s;

	(void)state;
	bfd_session_start(&s, &set, 0, 0, START);
	hear(&s, BFD_DOWN, 0, START);
	hear(&s, BFD_INIT, 0, START);
	take(&s, START);
	assert_int_equal(s.tx, BFD_FASTEST_TX);
	assert_true(bfd_session_send_at(&s) > START);
	assert_true(s.detect_at == MONO_NEVER); /* neither side promises any packet */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_table),
		cmocka_unit_test(goes_up_by_three_packets),
		cmocka_unit_test(is_slow_while_down),
		cmocka_unit_test(jitters_by_a_quarter),
		cmocka_unit_test(sends_no_more_than_the_peer_bears),
		cmocka_unit_test(respects_demand_mode),
		cmocka_unit_test(is_silent_while_passive),
		cmocka_unit_test(holds_the_first_packet),
		cmocka_unit_test(answers_polls_at_once),
		cmocka_unit_test(never_polls_and_answers_in_one),
		cmocka_unit_test(slows_down_when_confirmed),
		cmocka_unit_test(listens_longer_until_confirmed),
		cmocka_unit_test(polls_again_for_later_changes),
		cmocka_unit_test(finds_silence),
		cmocka_unit_test(counts_the_peers_multiplier),
		cmocka_unit_test(bears_a_poll_for_less),
		cmocka_unit_test(forgives_its_own_sleep),
		cmocka_unit_test(forgives_no_more_than_one_detection_time),
		cmocka_unit_test(traffic_of_the_peer_is_no_silence),
		cmocka_unit_test(a_cut_is_found_in_time_in_spite_of_a_witness),
		cmocka_unit_test(who_does_not_encrypt_does_not_decrypt),
		cmocka_unit_test(being_heard_ends_all_doubt),
		cmocka_unit_test(a_peer_may_begin_anew),
		cmocka_unit_test(says_admin_down),
		cmocka_unit_test(other_settings_need_no_poll),
		cmocka_unit_test(has_a_fastest_interval),
	};

	return cmocka_run_group_tests_name("bfd-session", tests, NULL, NULL);
}
