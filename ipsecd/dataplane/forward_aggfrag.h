/* AGGFRAG (aggfrag.h) in the packet paths: what an SA has of it, and the points where forward_out.c
 * and forward_in.c turn to it. Payloads take sequence numbers in their order: where lanes share,
 * one at a time packs for an SA, or opens, and what it has sealed leaves before the next one does.
 * What goes by the clock is the first lane's. */
#ifndef DETOUR_FORWARD_AGGFRAG_H
#define DETOUR_FORWARD_AGGFRAG_H

#include "ipsecd/dataplane/aggfrag.h"
#include "ipsecd/dataplane/cut.h"
#include "ipsecd/dataplane/forward.h"

struct sa_aggfrag {
	struct sa *sa;
	pthread_mutex_t lock; /* of all that is here */
	struct aggfrag_pack pack;
	struct aggfrag_open open;
	struct aggfrag_rate rate;
	size_t size;			 /* of a payload */
	size_t limit;			 /* bytes that may wait */
	uint64_t counts[AGGFRAG_COUNTS]; /* of `open`, as far as the lane's counters have them */
	uint64_t missed;		 /* likewise, of `rate` */
	struct lane *waits; /* whose aggfrag_waiting has it, and whose forward_flush sends it */
	bool timed;	    /* in lane.aggfrag_timed */
	bool sealed;	    /* something is in a lane's batch */
	mono_time noted;    /* what waits `open` for: the first lane hears of it; 0: of none yet */
	struct sa_aggfrag *wait_prev, *wait_next, *time_prev, *time_next;
};

/* For an SA with flags.aggfrag; false: out of memory. */
bool forward_aggfrag_new(struct sa *sa);
/* When no other lane has it: it has left the tables, and they stand still. */
void forward_aggfrag_remove(struct lane *l, struct sa *sa);
/* This SA of the tunnel may be the one that sends now: of one that it replaces, what waits leaves,
 * or goes to it. Other lanes stand still. */
void forward_aggfrag_outbound(struct lane *l, struct sa *sa);
/* The path holds packets of `path` bytes. Returns the MTU inside. */
uint16_t forward_aggfrag_path(struct sa *sa, uint16_t path);

/* All that is left of a cut. */
void forward_aggfrag_output(struct lane *l, struct sa *sa, struct cut *cut, mono_time now);
/* What waits for more to come does so no longer. */
void forward_aggfrag_flush(struct lane *l, mono_time now);
/* The first lane does what another one noted (DUE_AGGFRAG). */
void forward_aggfrag_noted(struct lane *l, struct sa *sa);
/* A payload; `at`: where it came from and by which number. */
void forward_aggfrag_input(struct lane *l, struct sa *sa, const struct forward_origin *at,
			   const struct esp_payload *payload, mono_time now);

#endif
