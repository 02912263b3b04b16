/* An installable CHILD_SA: everything a data plane needs, as plain data without
 * pointers into the engine, so that it can cross a process border unchanged.
 * Holds key material: whoever keeps a copy cleanses it (child_sa_cleanse). */
#ifndef DETOUR_CHILD_H
#define DETOUR_CHILD_H

#include "ipsecd/model/aggfrag.h"
#include "ipsecd/model/algorithm.h"
#include "ipsecd/model/ts.h"

#include <string.h>

#define CHILD_KEY_MAX (64 + 64) /* encryption key + salt; integrity key apart */

struct child_keys {
	uint8_t encr[CHILD_KEY_MAX]; /* key, salt behind it for AEADs */
	uint8_t encr_len;
	uint8_t integ[ALGORITHM_KEY_MAX];
	uint8_t integ_len; /* 0 with an AEAD */
};

/* Outer header handling (RFC 4301 5.1.2, 8.1) and padding; what a child_config asks for and a
 * child_sa carries to the plane. Zero is the default of every field. */
enum child_df { CHILD_DF_COPY, CHILD_DF_CLEAR };
enum child_dscp { CHILD_DSCP_OUT, CHILD_DSCP_NO, CHILD_DSCP_IN, CHILD_DSCP_BOTH };

/* Who does the cryptography: the kernel, the network card where it can, or it alone. */
enum child_offload { CHILD_OFFLOAD_NO, CHILD_OFFLOAD_AUTO, CHILD_OFFLOAD_YES };

#define CHILD_TFC_MTU UINT16_MAX

struct child_flags {
	enum child_df df;     /* copy DF outwards, or let the network fragment */
	enum child_dscp dscp; /* copied outwards / not / inwards / both */
	bool no_ecn;	      /* congestion marks are not copied inwards */
	uint8_t offload;      /* enum child_offload */
	uint16_t tfc_pad;     /* inner packets are padded to this length; CHILD_TFC_MTU; 0: none */
	uint32_t set_mark_out, set_mark_out_mask; /* mark of the ESP packets sent; 0/0: unchanged */
	uint32_t set_mark_in, set_mark_in_mask;	  /* mark of the inner packets received */
	struct aggfrag_params aggfrag;
};

struct child_sa {
	uint64_t id;	 /* unique in this process's life; the handle for update and remove */
	uint32_t tunnel; /* which tunnel device it serves */
	uint32_t reqid;
	uint32_t spi_in, spi_out;		   /* host order */
	uint16_t encr_id, encr_key_bits, integ_id; /* algorithm.h numbers */
	bool esn;
	bool udp_encap;
	bool outbound; /* the outbound SA may be used at once (see dataplane.h) */
	/* It was installed before, by whoever spoke to the plane then: a plane that has it goes on
	 * with it, and one that lost it refuses (NOT_FOUND). Sequence numbers, of which IVs are
	 * made, must not be used again with its keys. */
	bool resumed;
	uint32_t resource; /* RFC 9611: whose packets it is for, from 1 on (1: of userspace's one
			      lane, lane_resource); 0: anybody's */
	uint16_t replay_window;		     /* packets; 0: no replay check */
	struct endpoint local, remote;	     /* outer; the ports matter with udp_encap */
	uint64_t life_bytes, life_packets;   /* hard limits, 0: none */
	uint64_t rekey_bytes, rekey_packets; /* soft limits, 0: none */
	/* Of one that is installed: outbound numbers go on so far beyond; 0: as they are. */
	uint64_t skip_out;
	uint32_t life_seconds; /* hard limit by time, for a plane that outlives us; 0: none */
	struct child_flags flags;
	/* From here on what is long, and mostly empty: a plane keeps what there is of it, and all
	 * that is before it. */
	struct ts_list local_ts, remote_ts;
	struct child_keys in, out;
};

static inline void child_sa_cleanse(struct child_sa *c)
{
	explicit_bzero(&c->in, sizeof(c->in));
	explicit_bzero(&c->out, sizeof(c->out));
}

#endif
