/* What one thread of packet work needs for its packets: counters, what is to be told, the packets
 * on their way out and up. There is one lane yet, number 0; nothing that a packet touches is
 * outside of it but the tables of SAs and what an SA has: in the area, its ciphers (esp.h) and
 * AGGFRAG's packets (forward_aggfrag.h). */
#ifndef DETOUR_LANE_H
#define DETOUR_LANE_H

#include "ipsecd/dataplane/batch.h"
#include "ipsecd/dataplane/coalesce.h"
#include "ipsecd/dataplane/match.h"

struct forward;

#define LANE_SENDERS   64
#define LANE_RESOURCE  1 /* child_sa.resource of the one lane's CHILD_SAs */
#define LANE_UP_COPIES ((size_t)128 << 10)

struct sa_aggfrag;

struct lane {
	struct forward *forward;
	unsigned number; /* below ESP_LANES */
	uint64_t drops[DATAPLANE_COUNTERS];
	struct log_limit drop_log;
	mono_time unknown_told[LANE_SENDERS]; /* by the sender's address, hashed */
	struct sa *due;			      /* SAs with something to report */
	struct forward_tunnel *acquires;      /* tunnels with an ACQUIRE to report */
	struct match match_out, match_in;     /* by tunnel, by SA */
	struct batch out;
	struct coalesce up;
	uint8_t *up_copies; /* LANE_UP_COPIES, allocated with the first: packets in `up` that lie
			       nowhere else */
	size_t up_copied;
	struct sa_aggfrag *aggfrag_waiting, *aggfrag_timed;
	mono_time aggfrag_due; /* forward_aggfrag_run is wanted then */
};

#endif
