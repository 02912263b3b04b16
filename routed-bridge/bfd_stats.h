/* What the BFD data plane counts since it started, as --status and the metrics show it. */
#ifndef DETOUR_BFD_STATS_H
#define DETOUR_BFD_STATS_H

#include "routed-bridge/bfd_packet.h"

struct bfd_stats {
	uint32_t sessions, up; /* now */
	uint32_t connections;  /* to bfdd, now */
	uint32_t real_time;    /* 1: SCHED_RR and locked memory */
	uint64_t in_packets, in_bytes;
	uint64_t out_packets, out_bytes;
	uint64_t send_errors;
	uint64_t drops[BFD_DROPS];	/* by reason; [BFD_TAKEN] stays 0 */
	uint64_t detections;		/* silences that ended a session */
	uint64_t last_detection;	/* microseconds of silence before the last of them */
	uint64_t late;			/* wake-ups that came too late */
	uint64_t late_last, late_worst; /* microseconds */
	uint64_t graces;		/* silences that were judged later because of that */
	uint64_t excuses; /* and because packets came or were not taken from the device */
	uint64_t borne;	  /* and because there was no other way */
	uint64_t refused; /* messages of bfdd */
};

#endif
