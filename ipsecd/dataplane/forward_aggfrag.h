/* AGGFRAG (aggfrag.h) in the packet paths: what an SA has of it, and the points where forward_out.c
 * and forward_in.c turn to it. Payloads take sequence numbers in their order: one lane at a time
 * packs for an SA. */
#ifndef DETOUR_FORWARD_AGGFRAG_H
#define DETOUR_FORWARD_AGGFRAG_H

#include "ipsecd/dataplane/aggfrag.h"
#include "ipsecd/dataplane/cut.h"
#include "ipsecd/dataplane/forward.h"

struct sa_aggfrag {
	struct sa *sa;
	struct aggfrag_pack pack;
	struct aggfrag_open open;
	struct aggfrag_rate rate;
	size_t size;			 /* of a payload */
	size_t limit;			 /* bytes that may wait */
	uint64_t counts[AGGFRAG_COUNTS]; /* of `open`, as far as the lane's counters have them */
	uint64_t missed;		 /* likewise, of `rate` */
	bool waits; /* in lane.aggfrag_waiting: something is to leave with forward_flush */
	bool timed; /* in lane.aggfrag_timed */
	struct sa_aggfrag *wait_prev, *wait_next, *time_prev, *time_next;
};

/* For an SA with flags.aggfrag; false: out of memory. */
bool forward_aggfrag_new(struct sa *sa);
/* Before it leaves the tables. */
void forward_aggfrag_remove(struct lane *l, struct sa *sa);
/* This SA of the tunnel may be the one that sends now: of one that it replaces, what waits leaves,
 * or goes to it. */
void forward_aggfrag_outbound(struct lane *l, struct sa *sa);
/* The path holds packets of `path` bytes. Returns the MTU inside. */
uint16_t forward_aggfrag_path(struct sa *sa, uint16_t path);

/* All that is left of a cut. */
void forward_aggfrag_output(struct lane *l, struct sa *sa, struct cut *cut, mono_time now);
/* What waits for more to come does so no longer. */
void forward_aggfrag_flush(struct lane *l, mono_time now);
/* A payload; `at`: where it came from and by which number. */
void forward_aggfrag_input(struct lane *l, struct sa *sa, const struct forward_origin *at,
			   const struct esp_payload *payload, mono_time now);

#endif
