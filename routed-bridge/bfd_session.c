/* State variables are those of RFC 5880 6.8.1; sections without another number are of
 * RFC 5880. Only enter() writes the state. */
#include "routed-bridge/bfd_session.h"

#define US	     ((mono_time)1000)
#define TAKEN_WITHIN (2 * MONO_MS) /* a packet is taken from its device in less than that */
#define EXCUSES	     10		   /* detection times */
#define ASKED	     3		   /* intervals */

static uint32_t greater(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* xorshift: jitter needs no secret. */
static uint32_t random_below(struct bfd_session *s, uint32_t n)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 17;
	s->random ^= s->random << 5;
	return s->random % n;
}

/* ---- intervals ---- */

/* 6.8.7: no more often than we wish and the peer bears; less a random 0 to 25 %, and at
 * least 10 % with a multiplier of 1. */
static mono_time jittered(struct bfd_session *s)
{
	mono_time interval = greater(s->tx, s->remote_min_rx) * US;
	uint32_t cut = s->set.multiplier == 1 ? 100 + random_below(s, 151) : random_below(s, 251);

	return interval * (1000 - cut) / 1000;
}

/* 6.8.7: whether packets are sent periodically at all. */
static bool sends_periodically(const struct bfd_session *s)
{
	if (s->set.passive && s->remote_discriminator == 0)
		return false;
	if (s->remote_min_rx == 0)
		return false;
	/* The peer is in demand mode. */
	return !(s->remote_demand && s->state == BFD_UP && s->remote_state == BFD_UP &&
		 !s->polling);
}

static void plan_send(struct bfd_session *s)
{
	s->next_send = sends_periodically(s) ? s->sent + jittered(s) : MONO_NEVER;
}

/* 6.8.4 */
static void fit_detection(struct bfd_session *s)
{
	s->detect_time = s->remote_multiplier * (mono_time)greater(s->rx, s->remote_min_tx) * US;
}

static uint32_t wished_tx(const struct bfd_session *s)
{
	uint32_t wish = greater(s->set.min_tx, BFD_FASTEST_TX);

	/* 6.8.3: MUST be at least a second while not Up. */
	return s->state == BFD_UP ? wish : greater(wish, BFD_SLOW_TX);
}

/* 6.8.3: what is changed takes effect at once where that cannot be taken for silence by
 * either side, else when the peer has confirmed it. */
static void fit_intervals(struct bfd_session *s)
{
	uint32_t before = greater(s->tx, s->remote_min_rx);
	mono_time detect_before = s->detect_time;
	bool hold = s->state == BFD_UP && s->polling;

	if (!hold || s->desired_tx < s->tx)
		s->tx = s->desired_tx;
	if (!hold || s->set.min_rx > s->rx)
		s->rx = s->set.min_rx;
	fit_detection(s);
	s->changed = s->changed || s->detect_time != detect_before ||
		     greater(s->tx, s->remote_min_rx) != before;
	if (greater(s->tx, s->remote_min_rx) != before ||
	    sends_periodically(s) != (s->next_send != MONO_NEVER))
		plan_send(s);
}

/* 6.5, 6.8.3: one poll at a time. Below Up both ends learn from every packet. */
static void start_poll(struct bfd_session *s)
{
	if (s->state != BFD_UP)
		return;
	s->poll_again = s->polling;
	s->polling = true;
	s->send_due = true;
}

static void end_poll(struct bfd_session *s)
{
	s->polling = s->poll_again;
	s->poll_again = false;
	s->send_due = s->send_due || s->polling;
}

/* ---- the state ---- */

static void enter(struct bfd_session *s, enum bfd_state to, enum bfd_diag diag)
{
	bool up = to == BFD_UP, was_up = s->state == BFD_UP;

	if (s->state == to)
		return;
	/* Below Up it stays as it was: Init is no recovery. */
	if (was_up || up || diag == BFD_DIAG_ADMIN_DOWN)
		s->failed = was_up && diag != BFD_DIAG_ADMIN_DOWN;
	s->state = to;
	s->diag = (uint8_t)diag;
	s->send_due = s->changed = true;
	if (up != was_up) {
		s->polling = s->poll_again = false;
		s->desired_tx = wished_tx(s);
		if (up && s->desired_tx != s->tx)
			start_poll(s);
	}
	fit_intervals(s);
}

/* The table of 6.2 and 6.8.6. */
static void step(struct bfd_session *s, enum bfd_state remote)
{
	if (remote == BFD_ADMIN_DOWN) {
		if (s->state != BFD_DOWN)
			enter(s, BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN);
		s->changed = s->changed || s->failed;
		s->failed = false;
		return;
	}
	switch (s->state) {
	case BFD_DOWN:
		if (remote == BFD_DOWN)
			enter(s, BFD_INIT, (enum bfd_diag)s->diag);
		else if (remote == BFD_INIT)
			enter(s, BFD_UP, BFD_DIAG_NONE);
		break;
	case BFD_INIT:
		if (remote == BFD_INIT || remote == BFD_UP)
			enter(s, BFD_UP, BFD_DIAG_NONE);
		break;
	case BFD_UP:
		if (remote == BFD_DOWN)
			enter(s, BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN);
		break;
	case BFD_ADMIN_DOWN:
		break;
	}
}

/* ---- settings ---- */

void bfd_session_start(struct bfd_session *s, const struct bfd_settings *set, mono_time hold,
		       uint32_t seed, mono_time now)
{
	*s = (struct bfd_session){
		.set = *set,
		.state = set->admin_down ? BFD_ADMIN_DOWN : BFD_DOWN,
		.diag = set->admin_down ? BFD_DIAG_ADMIN_DOWN : BFD_DIAG_NONE,
		.remote_state = BFD_DOWN,
		.remote_min_rx = 1, /* 6.8.1 */
		.detect_at = MONO_NEVER,
		.ask_at = MONO_NEVER,
		.random = seed ? seed : 1,
		.sent = now + hold,
	};
	s->tx = s->desired_tx = wished_tx(s);
	s->rx = set->min_rx;
	fit_detection(s);
	/* Not all at once after a start, and not a whole second late. */
	s->next_send = sends_periodically(s) ? now + hold + random_below(s, BFD_SLOW_TX / 10) * US
					     : MONO_NEVER;
}

void bfd_session_set(struct bfd_session *s, const struct bfd_settings *set)
{
	bool timing = s->set.min_tx != set->min_tx || s->set.min_rx != set->min_rx;
	bool was_down = s->set.admin_down;

	s->send_due = s->send_due || s->set.multiplier != set->multiplier ||
		      s->set.independent != set->independent ||
		      s->set.discriminator != set->discriminator;
	s->set = *set;
	s->desired_tx = wished_tx(s);
	if (timing)
		start_poll(s);
	/* 6.8.16 */
	if (set->admin_down && !was_down)
		enter(s, BFD_ADMIN_DOWN, BFD_DIAG_ADMIN_DOWN);
	else if (!set->admin_down && was_down)
		enter(s, BFD_DOWN, BFD_DIAG_NONE);
	else
		fit_intervals(s);
}

/* ---- reception ---- */

/* What observers show. */
static void note_changes(struct bfd_session *s, const struct bfd_packet *p)
{
	s->changed = s->changed || s->remote_discriminator != p->mine ||
		     s->remote_diag != p->diag || s->remote_multiplier != p->multiplier ||
		     s->remote_independent != p->independent || s->remote_demand != p->demand ||
		     s->remote_min_tx != p->min_tx || s->remote_min_rx != p->min_rx ||
		     s->remote_min_echo_rx != p->min_echo_rx;
}

static void learn(struct bfd_session *s, const struct bfd_packet *p)
{
	note_changes(s, p);
	s->remote_discriminator = p->mine;
	s->remote_state = p->state;
	s->remote_diag = p->diag;
	s->remote_multiplier = p->multiplier;
	s->remote_independent = p->independent;
	s->remote_demand = p->demand;
	s->remote_min_tx = p->min_tx;
	s->remote_min_echo_rx = p->min_echo_rx;
	if (s->remote_min_rx != p->min_rx) {
		s->remote_min_rx = p->min_rx;
		plan_send(s);
	}
}

/* One of the intervals that the detection time is made of. */
static mono_time one_interval(const struct bfd_session *s)
{
	return s->remote_multiplier ? s->detect_time / s->remote_multiplier : s->detect_time;
}

/* After each of the last intervals before the end, the first one excepted. */
static void plan_questions(struct bfd_session *s, mono_time now)
{
	mono_time interval = one_interval(s);

	s->has_witness = false;
	s->stalled = 0;
	s->ask_at = MONO_NEVER;
	if (s->detect_at == MONO_NEVER || s->remote_multiplier < 2)
		return;
	s->ask_at = s->detect_at - now > ASKED * interval ? s->detect_at - (ASKED - 1) * interval
							  : now + interval;
}

/* A peer that asks for shorter intervals may wait for our answer before it sends that often:
 * as long as it polls, the longest time counts. */
static void listen_on(struct bfd_session *s, mono_time before, bool poll, mono_time now)
{
	mono_time wait = s->detect_time;

	if (poll) {
		s->poll_time = s->poll_time > before ? s->poll_time : before;
		wait = wait > s->poll_time ? wait : s->poll_time;
	} else {
		s->poll_time = 0;
	}
	s->heard = now;
	s->grace = s->excuse = 0;
	s->changed = s->changed || s->bearing;
	s->bearing = false;
	s->detect_at = wait ? now + wait : MONO_NEVER;
	plan_questions(s, now);
}

void bfd_session_receive(struct bfd_session *s, const struct bfd_packet *p, mono_time now)
{
	mono_time before = s->detect_at == MONO_NEVER ? 0 : s->detect_time;

	learn(s, p);
	if (s->polling && p->final)
		end_poll(s);
	fit_intervals(s);
	listen_on(s, before, p->poll, now);
	if (s->state == BFD_ADMIN_DOWN)
		return; /* 6.8.6: discarded from here on */
	step(s, p->state);
	s->final_due = s->final_due || p->poll;
}

/* ---- sending ---- */

static bool may_send(const struct bfd_session *s)
{
	/* 6.8.7: MUST NOT while passive and not heard. */
	return !(s->set.passive && s->remote_discriminator == 0);
}

mono_time bfd_session_send_at(const struct bfd_session *s)
{
	if ((s->final_due || s->send_due) && may_send(s))
		return 0;
	return s->next_send;
}

bool bfd_session_send(struct bfd_session *s, struct bfd_packet *out, mono_time now)
{
	if (bfd_session_send_at(s) > now)
		return false;
	*out = (struct bfd_packet){
		.state = s->state,
		.diag = s->diag,
		.multiplier = s->set.multiplier,
		.poll = s->polling && !s->final_due, /* 6.5: never both */
		.final = s->final_due,
		.independent = s->set.independent,
		.mine = s->set.discriminator,
		.yours = s->remote_discriminator,
		.min_tx = s->desired_tx,
		.min_rx = s->set.min_rx,
	};
	/* An answer to a poll does not carry the poll bit: what was due is still due. */
	s->send_due = s->send_due && s->final_due && s->polling;
	s->final_due = false;
	s->sent = now;
	if (!s->untaken)
		s->untaken = now;
	plan_send(s);
	return true;
}

void bfd_session_repeat(struct bfd_session *s)
{
	s->send_due = true;
}

/* ---- silence ---- */

mono_time bfd_session_judge_at(const struct bfd_session *s)
{
	return s->ask_at < s->detect_at ? s->ask_at : s->detect_at;
}

/* Ours lie in the device. */
static bool is_stalled(const struct bfd_session *s, const struct bfd_witness *w, mono_time now)
{
	return w->out == s->witness.out && s->untaken && now - s->untaken >= TAKEN_WITHIN;
}

/* true: it speaks for the peer, or against our own side. */
static bool ask(struct bfd_session *s, const struct bfd_witness *w, mono_time now)
{
	bool before = s->has_witness, stalled, excused = false;

	s->ask_at = now + one_interval(s);
	s->has_witness = w != NULL;
	if (!w)
		return false;
	if (before) {
		stalled = is_stalled(s, w, now);
		excused = stalled || w->in != s->witness.in;
		s->stalled += stalled ? one_interval(s) : 0;
	}
	if (!before || w->out != s->witness.out)
		s->untaken = 0;
	s->witness = *w;
	return excused;
}

/* More time, out of what is left of `most`; false: nothing is left. */
static bool extend(struct bfd_session *s, mono_time *given, mono_time most, mono_time by,
		   mono_time now)
{
	mono_time room = most > *given ? most - *given : 0;

	by = by < room ? by : room;
	*given += by;
	s->detect_at = now + by;
	return by != 0;
}

void bfd_session_set_patience(struct bfd_session *s, mono_time patience)
{
	s->patience = patience;
}

/* One interval after the other, for patience may end earlier. */
static bool bear(struct bfd_session *s, mono_time now)
{
	mono_time end = s->heard + s->patience, next = now + one_interval(s);

	if (s->state != BFD_UP || end <= now)
		return false;
	s->changed = s->changed || !s->bearing;
	s->bearing = true;
	s->detect_at = next < end ? next : end;
	return true;
}

bool bfd_session_judge(struct bfd_session *s, const struct bfd_witness *w, mono_time late,
		       mono_time now)
{
	mono_time more = one_interval(s);
	bool excused;

	if (now < bfd_session_judge_at(s))
		return false;
	excused = ask(s, s->state == BFD_UP ? w : NULL, now);
	if (now < s->detect_at)
		return false;
	if (late && extend(s, &s->grace, s->detect_time, late, now))
		return false;
	if (!excused) {
		more = s->stalled;
		s->stalled = 0;
	}
	if (more && extend(s, &s->excuse, EXCUSES * s->detect_time, more, now))
		return false;
	if (bear(s, now))
		return false;
	s->bearing = false;
	s->ask_at = MONO_NEVER;
	s->detect_at = MONO_NEVER;
	s->remote_discriminator = 0; /* 6.8.1 */
	s->last_since = now - s->heard;
	if (s->state != BFD_INIT && s->state != BFD_UP) {
		s->changed = true;
		plan_send(s);
		return false;
	}
	enter(s, BFD_DOWN, BFD_DIAG_EXPIRED);
	return true;
}
