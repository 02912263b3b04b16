/* How well a tunnel carries packets, from probes that its peer answers: loss, round-trip time,
 * jitter, and what they mean by limits that the operator gave. Pure: probes that are sent,
 * answers and the time go in.
 *
 *	unknown ---> good ---> degraded ---> bad
 *	                ^          |  ^       |
 *	                +--- hold -+  +-------+ answers again
 *
 * A limit that is exceeded makes it degraded at once; good it is only when everything has been
 * well below the limits for `hold`. So a tunnel at the edge does not flap. Bad is one that
 * answered and does not any more. */
#ifndef DETOUR_QUALITY_H
#define DETOUR_QUALITY_H

#include "lib/mono.h"

#include <stdbool.h>
#include <stddef.h>

#define QUALITY_PROBE_MIN (10 * MONO_MS)
#define QUALITY_PROBE_MAX (60 * MONO_S)
#define QUALITY_OVER_MAX  (600 * MONO_S)

struct quality_limits {
	mono_time probe;       /* one each; 0: no probes at all */
	uint32_t loss;	       /* per mille; 0: no limit */
	mono_time loss_over;   /* measured over so long */
	mono_time rtt, jitter; /* 0: no limit */
	mono_time hold;
};

#define QUALITY_LIMITS_DEFAULT \
	((struct quality_limits){.loss_over = 10 * MONO_S, .hold = 30 * MONO_S})

bool quality_limits_equal(const struct quality_limits *a, const struct quality_limits *b);

enum quality_state { QUALITY_UNKNOWN, QUALITY_GOOD, QUALITY_DEGRADED, QUALITY_BAD, QUALITY_STATES };

struct quality_view {
	enum quality_state state;
	mono_time since;		/* of the state */
	mono_time rtt, rtt_min, jitter; /* smoothed (RFC 6298 2, RFC 3550 6.4.1); 0: not known */
	uint32_t loss;			/* per mille, over loss_over */
	uint64_t sent, answered, lost, late;
	char why[64]; /* the state is not good */
};

struct quality;

struct quality *quality_new(const struct quality_limits *limits,
			    mono_time now); /* NULL: no memory */
void quality_free(struct quality *q);
const struct quality_limits *quality_limits(const struct quality *q);

/* A probe goes out now: its sequence number. */
uint32_t quality_sent(struct quality *q, mono_time now);
/* false: none that is waited for; duplicates, and what comes after it was given up. */
bool quality_answered(struct quality *q, uint32_t seq, mono_time now);
/* The device is down: what is under way is no loss. */
void quality_pause(struct quality *q, mono_time now);
/* Judges; call it before each probe and after each answer. true: the state is another one. */
bool quality_judge(struct quality *q, mono_time now);
void quality_view(const struct quality *q, struct quality_view *out);
const char *quality_state_name(enum quality_state s);

#endif
