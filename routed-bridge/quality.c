/* Estimates and their judgement. A probe's fate is decided in the order of sending: answered, or
 * given up after some round trips; the fates of the last `loss_over` are the loss. */
#include "routed-bridge/quality.h"

#include <stdio.h>
#include <stdlib.h>

#define RING_MIN      64
#define RING_MAX      4096
#define PATIENCE_MIN  (200 * MONO_MS)
#define PATIENCE_MAX  (1 * MONO_S) /* also before a round-trip time is known */
#define LOST_MIN      3		   /* fewer are chance */
#define SAMPLES_MIN   8		   /* before times are judged */
#define KNOWN_ANSWERS 3
#define BAD_RUN	      5
#define BAD_TIME      (1 * MONO_S)

enum fate { WAITED_FOR, ANSWERED, LOST };

struct probe {
	mono_time sent;
	enum fate fate;
};

struct quality {
	struct quality_limits limits;
	struct quality_view v;
	uint32_t next, decided; /* sequence numbers: the next one, and the first without a fate */
	uint32_t counted;	/* the first one that still counts for the loss */
	uint32_t n_lost;	/* of those from `counted` to `decided` */
	uint32_t run_lost, run_answered; /* the last ones alike */
	mono_time last_answer, last_rtt;
	uint64_t samples;
	mono_time well_since; /* everything is well below the limits; 0: it is not */
	uint32_t size;	      /* of the ring, a power of two */
	struct probe ring[];
};

bool quality_limits_equal(const struct quality_limits *a, const struct quality_limits *b)
{
	return a->probe == b->probe && a->loss == b->loss && a->loss_over == b->loss_over &&
	       a->rtt == b->rtt && a->jitter == b->jitter && a->hold == b->hold;
}

const char *quality_state_name(enum quality_state s)
{
	static const char *const names[QUALITY_STATES] = {"unknown", "good", "degraded", "bad"};

	return (unsigned)s < QUALITY_STATES ? names[s] : "?";
}

static struct probe *at(struct quality *q, uint32_t seq)
{
	return &q->ring[seq & (q->size - 1)];
}

/* Room for all probes that count, and for those under way. */
static uint32_t ring_size(const struct quality_limits *l)
{
	uint64_t n = (l->loss_over + PATIENCE_MAX) / (l->probe ? l->probe : 1) + 2;
	uint32_t size = RING_MIN;

	while (size < n && size < RING_MAX)
		size *= 2;
	return size;
}

struct quality *quality_new(const struct quality_limits *limits, mono_time now)
{
	uint32_t size = ring_size(limits);
	struct quality *q = calloc(1, sizeof(*q) + size * sizeof(q->ring[0]));

	if (!q)
		return NULL;
	q->limits = *limits;
	q->size = size;
	q->v.since = now;
	return q;
}

void quality_free(struct quality *q)
{
	free(q);
}

const struct quality_limits *quality_limits(const struct quality *q)
{
	return &q->limits;
}

/* ---- loss ---- */

static void forget_first(struct quality *q)
{
	q->n_lost -= at(q, q->counted)->fate == LOST;
	q->counted++;
}

static void decide(struct quality *q)
{
	bool lost = at(q, q->decided++)->fate == LOST;

	q->n_lost += lost;
	q->v.lost += lost;
	q->run_lost = lost ? q->run_lost + 1 : 0;
	q->run_answered = lost ? 0 : q->run_answered + 1;
}

static mono_time patience(const struct quality *q)
{
	mono_time p = q->v.rtt * 4;

	if (!q->samples || p > PATIENCE_MAX)
		return PATIENCE_MAX;
	return p < PATIENCE_MIN ? PATIENCE_MIN : p;
}

static void count_loss(struct quality *q, mono_time now)
{
	mono_time p = patience(q);
	uint32_t n;

	while (q->decided != q->next) {
		struct probe *probe = at(q, q->decided);

		if (probe->fate == WAITED_FOR && now - probe->sent < p)
			break;
		if (probe->fate == WAITED_FOR)
			probe->fate = LOST;
		decide(q);
	}
	while (q->counted != q->decided && now - at(q, q->counted)->sent > q->limits.loss_over + p)
		forget_first(q);
	n = q->decided - q->counted;
	q->v.loss = n ? (uint32_t)((uint64_t)q->n_lost * 1000 / n) : 0;
}

uint32_t quality_sent(struct quality *q, mono_time now)
{
	/* A ring that is too small for the window makes the window smaller. */
	while (q->next - q->counted >= q->size) {
		if (q->counted == q->decided) {
			at(q, q->decided)->fate = LOST;
			decide(q);
		}
		forget_first(q);
	}
	*at(q, q->next) = (struct probe){.sent = now};
	q->v.sent++;
	return q->next++;
}

/* ---- times ---- */

/* RFC 6298 2 (alpha 1/8), RFC 3550 6.4.1 (1/16), on round trips. */
static void sample(struct quality *q, mono_time rtt)
{
	mono_time d = rtt > q->last_rtt ? rtt - q->last_rtt : q->last_rtt - rtt;

	if (q->samples++ == 0) {
		q->v.rtt = q->v.rtt_min = rtt;
	} else {
		q->v.rtt = (q->v.rtt * 7 + rtt) / 8;
		q->v.jitter = (q->v.jitter * 15 + d) / 16;
	}
	if (rtt < q->v.rtt_min)
		q->v.rtt_min = rtt;
	q->last_rtt = rtt;
}

bool quality_answered(struct quality *q, uint32_t seq, mono_time now)
{
	struct probe *probe = at(q, seq);

	if (seq - q->decided >= q->next - q->decided || probe->fate != WAITED_FOR) {
		q->v.late++;
		return false;
	}
	probe->fate = ANSWERED;
	q->v.answered++;
	q->last_answer = now;
	sample(q, now > probe->sent ? now - probe->sent : 1);
	return true;
}

void quality_pause(struct quality *q, mono_time now)
{
	count_loss(q, now);
	q->decided = q->counted = q->next;
	q->n_lost = q->run_lost = q->run_answered = 0;
	q->well_since = 0;
	q->v.loss = 0;
}

/* ---- judgement ---- */

static bool beyond(mono_time value, mono_time limit, unsigned percent)
{
	return limit && value * 100 > limit * percent;
}

/* percent: of the limits; *why is set when something exceeds its share. */
static bool exceeds(const struct quality *q, unsigned loss_percent, unsigned time_percent,
		    char why[64])
{
	bool timed = q->samples >= SAMPLES_MIN;

	if (q->n_lost >= LOST_MIN && beyond(q->v.loss, q->limits.loss, loss_percent))
		snprintf(why, 64, "loss %u.%u %%", q->v.loss / 10, q->v.loss % 10);
	else if (timed && beyond(q->v.rtt, q->limits.rtt, time_percent))
		snprintf(why, 64, "round-trip time %.1f ms", (double)q->v.rtt / (double)MONO_MS);
	else if (timed && beyond(q->v.jitter, q->limits.jitter, time_percent))
		snprintf(why, 64, "jitter %.1f ms", (double)q->v.jitter / (double)MONO_MS);
	else
		return false;
	return true;
}

static bool silent(const struct quality *q, mono_time now)
{
	return q->v.answered && q->run_lost >= BAD_RUN && now - q->last_answer >= BAD_TIME;
}

/* Well below the limits: half the loss, nine tenths of the times. */
static bool well_for_long(struct quality *q, mono_time now)
{
	char why[64];

	if (exceeds(q, 50, 90, why) || q->run_lost >= LOST_MIN || q->run_answered == 0) {
		q->well_since = 0;
		return false;
	}
	if (!q->well_since)
		q->well_since = now ? now : 1;
	return now - q->well_since >= q->limits.hold;
}

static enum quality_state next_state(struct quality *q, mono_time now)
{
	bool worse = exceeds(q, 100, 100, q->v.why);

	if (silent(q, now)) {
		snprintf(q->v.why, sizeof(q->v.why), "no answer for %llu ms",
			 (unsigned long long)((now - q->last_answer) / MONO_MS));
		q->well_since = 0;
		return QUALITY_BAD;
	}
	switch (q->v.state) {
	case QUALITY_UNKNOWN:
		return q->v.answered < KNOWN_ANSWERS ? QUALITY_UNKNOWN
		       : worse			     ? QUALITY_DEGRADED
						     : QUALITY_GOOD;
	case QUALITY_BAD:
		return q->run_answered >= KNOWN_ANSWERS ? QUALITY_DEGRADED : QUALITY_BAD;
	case QUALITY_DEGRADED:
		return !well_for_long(q, now) || worse ? QUALITY_DEGRADED : QUALITY_GOOD;
	default:
		return worse ? QUALITY_DEGRADED : QUALITY_GOOD;
	}
}

bool quality_judge(struct quality *q, mono_time now)
{
	enum quality_state was = q->v.state;

	count_loss(q, now);
	q->v.state = next_state(q, now);
	if (q->v.state == QUALITY_GOOD)
		q->v.why[0] = '\0';
	if (q->v.state == was)
		return false;
	q->v.since = now;
	q->well_since = 0;
	return true;
}

void quality_view(const struct quality *q, struct quality_view *out)
{
	*out = q->v;
}
