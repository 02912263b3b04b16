/* Path quality in virtual time: estimates, limits with hysteresis and hold, and that a tunnel at
 * the edge does not flap. */
#include "routed-bridge/quality.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVERY (100 * MONO_MS)
#define MICRO (MONO_MS / 1000)

/* A path in virtual time: probes each EVERY, answered after rtt, lost by chance. */
struct path {
	struct quality *q;
	mono_time now, rtt, wobble;
	unsigned loss; /* per mille */
	uint64_t rng;
	unsigned changes;
};

static struct path path(struct quality_limits limits)
{
	struct path p = {.now = 1000 * MONO_S, .rtt = 20 * MONO_MS, .rng = 1};

	limits.probe = EVERY;
	p.q = quality_new(&limits, p.now);
	assert_non_null(p.q);
	return p;
}

static unsigned chance(struct path *p, unsigned n)
{
	p->rng = p->rng * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(p->rng >> 33) % n;
}

static void run(struct path *p, mono_time duration)
{
	for (mono_time end = p->now + duration; p->now < end;) {
		mono_time next = p->now + EVERY, rtt = p->rtt;
		uint32_t seq;

		p->changes += quality_judge(p->q, p->now);
		seq = quality_sent(p->q, p->now);
		if (p->wobble)
			rtt += chance(p, (unsigned)(p->wobble / MICRO)) * MICRO;
		if (rtt < EVERY && chance(p, 1000) >= p->loss) {
			assert_true(quality_answered(p->q, seq, p->now + rtt));
			p->changes += quality_judge(p->q, p->now + rtt);
		}
		p->now = next;
	}
}

static struct quality_view view(const struct path *p)
{
	struct quality_view v;

	quality_view(p->q, &v);
	return v;
}

static enum quality_state state(const struct path *p)
{
	return view(p).state;
}

static void test_estimates(void **state_)
{
	struct path p = path(QUALITY_LIMITS_DEFAULT);
	struct quality_view v;

	(void)state_;
	run(&p, 10 * MONO_S);
	v = view(&p);
	assert_int_equal(v.state, QUALITY_GOOD);
	assert_int_equal(v.rtt, 20 * MONO_MS);
	assert_int_equal(v.jitter, 0);
	assert_int_equal(v.loss, 0);
	assert_int_equal(v.sent, 100);
	assert_int_equal(v.answered, 100);
	p.rtt = 30 * MONO_MS;
	p.wobble = 20 * MONO_MS;
	run(&p, 20 * MONO_S);
	v = view(&p);
	assert_in_range(v.rtt, 33 * MONO_MS, 47 * MONO_MS);
	assert_int_equal(v.rtt_min, 20 * MONO_MS);
	assert_in_range(v.jitter, 3 * MONO_MS, 12 * MONO_MS);
	p.loss = 100;
	run(&p, 100 * MONO_S);
	assert_in_range(view(&p).loss, 20, 220);
	/* Without limits nothing is degraded. */
	assert_int_equal(state(&p), QUALITY_GOOD);
	quality_free(p.q);
}

/* 10 % of loss, over 5 s: degraded soon, good again only after the hold. */
static void test_loss(void **state_)
{
	struct path p = path(
		(struct quality_limits){.loss = 30, .loss_over = 5 * MONO_S, .hold = 20 * MONO_S});
	mono_time clean;

	(void)state_;
	run(&p, 10 * MONO_S);
	assert_int_equal(state(&p), QUALITY_GOOD);
	p.loss = 100;
	run(&p, 10 * MONO_S);
	assert_int_equal(state(&p), QUALITY_DEGRADED);
	assert_true(strncmp(view(&p).why, "loss ", 5) == 0);
	p.loss = 0;
	clean = p.now;
	run(&p, 19 * MONO_S);
	assert_int_equal(state(&p), QUALITY_DEGRADED);
	run(&p, 10 * MONO_S);
	assert_int_equal(state(&p), QUALITY_GOOD);
	assert_true(view(&p).since >= clean + 20 * MONO_S);
	assert_int_equal(p.changes, 3); /* good, degraded, good */
	quality_free(p.q);
}

/* An hour at the limit: it changes its mind seldom, and never within the hold. */
static void test_at_the_edge(void **state_)
{
	struct path p = path(
		(struct quality_limits){.loss = 20, .loss_over = 10 * MONO_S, .hold = 30 * MONO_S});

	(void)state_;
	p.loss = 20;
	run(&p, 3600 * MONO_S);
	assert_in_range(p.changes, 2, 2 * 3600 / 40);
	quality_free(p.q);
}

/* Two lost packets are no loss rate. */
static void test_chance(void **state_)
{
	struct path p =
		path((struct quality_limits){.loss = 1, .loss_over = 10 * MONO_S, .hold = MONO_S});

	(void)state_;
	run(&p, 5 * MONO_S);
	for (unsigned i = 0; i < 2; i++) {
		quality_sent(p.q, p.now);
		p.now += EVERY;
	}
	run(&p, 5 * MONO_S);
	assert_int_equal(state(&p), QUALITY_GOOD);
	assert_int_equal(view(&p).lost, 2);
	quality_free(p.q);
}

static void test_times(void **state_)
{
	struct path p = path((struct quality_limits){.rtt = 50 * MONO_MS,
						     .jitter = 10 * MONO_MS,
						     .loss_over = MONO_S,
						     .hold = 5 * MONO_S});

	(void)state_;
	run(&p, 5 * MONO_S);
	p.rtt = 60 * MONO_MS;
	run(&p, 5 * MONO_S);
	assert_int_equal(state(&p), QUALITY_DEGRADED);
	assert_true(strncmp(view(&p).why, "round-trip time", 15) == 0);
	p.rtt = 48 * MONO_MS; /* below the limit, but not well below */
	run(&p, 60 * MONO_S);
	assert_int_equal(state(&p), QUALITY_DEGRADED);
	p.rtt = 40 * MONO_MS;
	run(&p, 10 * MONO_S);
	assert_int_equal(state(&p), QUALITY_GOOD);
	p.rtt = 1 * MONO_MS;
	p.wobble = 60 * MONO_MS;
	run(&p, 10 * MONO_S);
	assert_int_equal(state(&p), QUALITY_DEGRADED);
	assert_true(strncmp(view(&p).why, "jitter", 6) == 0);
	quality_free(p.q);
}

/* No answer at all: bad within seconds; degraded when it answers, and then as any other. */
static void test_silence(void **state_)
{
	struct path p = path((struct quality_limits){.loss_over = 2 * MONO_S, .hold = 10 * MONO_S});

	(void)state_;
	p.loss = 1000;
	run(&p, 60 * MONO_S); /* it never answered: nothing is known */
	assert_int_equal(state(&p), QUALITY_UNKNOWN);
	p.loss = 0;
	run(&p, MONO_S);
	assert_int_equal(state(&p), QUALITY_GOOD);
	p.loss = 1000;
	run(&p, 2 * MONO_S);
	assert_int_equal(state(&p), QUALITY_BAD);
	p.loss = 0;
	run(&p, MONO_S);
	assert_int_equal(state(&p), QUALITY_DEGRADED);
	run(&p, 15 * MONO_S);
	assert_int_equal(state(&p), QUALITY_GOOD);
	quality_free(p.q);
}

/* A device that is down is no loss; what was degraded is not good because it was away. */
static void test_pause(void **state_)
{
	struct path p = path(
		(struct quality_limits){.loss = 50, .loss_over = 5 * MONO_S, .hold = 10 * MONO_S});

	(void)state_;
	run(&p, 5 * MONO_S);
	for (unsigned i = 0; i < 4; i++)
		quality_sent(p.q, p.now);
	quality_pause(p.q, p.now);
	p.now += 100 * MONO_S;
	run(&p, 5 * MONO_S);
	assert_int_equal(state(&p), QUALITY_GOOD);
	p.loss = 300;
	run(&p, 10 * MONO_S);
	assert_int_equal(state(&p), QUALITY_DEGRADED);
	quality_pause(p.q, p.now);
	p.now += 100 * MONO_S;
	p.loss = 0;
	run(&p, 5 * MONO_S);
	assert_int_equal(state(&p), QUALITY_DEGRADED);
	run(&p, 10 * MONO_S);
	assert_int_equal(state(&p), QUALITY_GOOD);
	quality_free(p.q);
}

/* Duplicates, answers to what was never sent, and those behind the patience. */
static void test_strange_answers(void **state_)
{
	struct path p = path(QUALITY_LIMITS_DEFAULT);
	uint32_t seq;

	(void)state_;
	run(&p, 5 * MONO_S);
	seq = quality_sent(p.q, p.now);
	assert_false(quality_answered(p.q, seq + 1, p.now));
	assert_false(quality_answered(p.q, seq - 1000, p.now));
	assert_true(quality_answered(p.q, seq, p.now + 1));
	assert_false(quality_answered(p.q, seq, p.now + 2));
	seq = quality_sent(p.q, p.now);
	quality_judge(p.q, p.now + 2 * MONO_S);
	assert_false(quality_answered(p.q, seq, p.now + 2 * MONO_S));
	assert_int_equal(view(&p).late, 4);
	assert_int_equal(view(&p).lost, 1);
	quality_free(p.q);
}

/* The ring is bounded: a window with more probes than it holds is a shorter one. */
static void test_long_window(void **state_)
{
	struct quality_limits l = {
		.probe = QUALITY_PROBE_MIN, .loss_over = QUALITY_OVER_MAX, .hold = MONO_S};
	mono_time now = MONO_S;
	struct quality *q = quality_new(&l, now);
	struct quality_view v;

	(void)state_;
	for (unsigned i = 0; i < 100000; i++, now += QUALITY_PROBE_MIN) {
		uint32_t seq = quality_sent(q, now);

		if (i % 10)
			assert_true(quality_answered(q, seq, now + MONO_MS));
		if (i % 7 == 0) /* seldom judged, too */
			quality_judge(q, now);
	}
	quality_judge(q, now + MONO_S);
	quality_view(q, &v);
	assert_in_range(v.loss, 98, 102);
	assert_int_equal(v.sent, v.answered + v.lost);
	quality_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_estimates),   cmocka_unit_test(test_loss),
		cmocka_unit_test(test_at_the_edge), cmocka_unit_test(test_chance),
		cmocka_unit_test(test_times),	    cmocka_unit_test(test_silence),
		cmocka_unit_test(test_pause),	    cmocka_unit_test(test_strange_answers),
		cmocka_unit_test(test_long_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
