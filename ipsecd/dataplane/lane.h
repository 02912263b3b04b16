/* What one thread of packet work needs for its packets: counters, the packets on their way out and
 * up. Lane 0 is the main thread's, which alone changes the tables and tells of what happens; the
 * others are workers' (lib/worker.h). Nothing that a packet touches is outside of its lane but the
 * tables of SAs (sadb.h), and of an SA:
 *
 *	sequence numbers   taken one by one, atomically (sa_live_next)
 *	the window	   under forward_window_lock, where lanes share
 *	counters	   lane_count
 *	flags, the time	   SA_GET, SA_SET
 *	AGGFRAG		   under its own lock (forward_aggfrag.h), where lanes share
 *	endpoints, flags   changed by lane 0 while the others stand still (forward_hold) */
#ifndef DETOUR_LANE_H
#define DETOUR_LANE_H

#include "ipsecd/dataplane/batch.h"
#include "ipsecd/dataplane/coalesce.h"
#include "ipsecd/dataplane/match.h"

struct forward;

#define LANE_SENDERS   64
#define LANE_UP_COPIES ((size_t)128 << 10)

struct sa_aggfrag;

struct lane {
	struct forward *forward;
	unsigned number; /* below ESP_LANES */
	uint64_t drops[DATAPLANE_COUNTERS];
	bool shared;						     /* there are others */
	void (*send_esp)(void *ctx, struct esp_run *runs, size_t n); /* as dataplane_host's */
	void *send_ctx;
	const struct log_sink *log; /* for its thread; may be NULL */
	struct log_limit drop_log;
	mono_time unknown_told[LANE_SENDERS]; /* by the sender's address, hashed */
	struct match match_out, match_in;     /* by tunnel, by SA */
	struct batch out;
	struct coalesce up;
	uint8_t *up_copies; /* LANE_UP_COPIES, allocated with the first: packets in `up` that lie
			       nowhere else */
	size_t up_copied;
	struct sa_aggfrag *aggfrag_waiting;
	/* The first lane's, for all. */
	struct sa_aggfrag *aggfrag_timed;
	mono_time aggfrag_due; /* forward_aggfrag_run is wanted then */
};

/* child_sa.resource of its CHILD_SAs. */
static inline uint32_t lane_resource(const struct lane *l)
{
	return l->number + 1;
}

/* A counter of an SA's. */
static inline void lane_count(const struct lane *l, uint64_t *n, uint64_t more)
{
	if (l->shared)
		__atomic_fetch_add(n, more, __ATOMIC_RELAXED);
	else
		*n += more;
}

#endif
