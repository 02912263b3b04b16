/* One BFD session, asynchronous mode (RFC 5880 6.8). Sans-I/O: packets, settings and the time
 * go in; packets and deadlines come out, and the session's state can be read at any time.
 * Intervals are microseconds, times mono_time.
 *
 * Demand mode is never asked for, but a peer's is respected (6.6). There is no echo function
 * (Required Min Echo RX is 0, which says so) and no authentication. */
#ifndef DETOUR_BFD_SESSION_H
#define DETOUR_BFD_SESSION_H

#include "lib/mono.h"
#include "routed-bridge/bfd_packet.h"

#define BFD_SLOW_TX    1000000 /* RFC 5880 6.8.3: the least interval while not Up */
#define BFD_FASTEST_TX 1000    /* what is asked for below that is not done */

struct bfd_settings {
	uint32_t discriminator; /* nonzero, unique in the system */
	uint32_t min_tx;	/* desired */
	uint32_t min_rx;	/* required; 0: the peer shall not send */
	uint8_t multiplier;	/* nonzero */
	bool passive;		/* silent until the peer is heard */
	bool independent;	/* the C bit */
	bool admin_down;
};

/* What the session's device says besides, where it leads to the peer and to nobody else. */
struct bfd_witness {
	uint64_t in;  /* packets that came out of it */
	uint64_t out; /* packets that were taken from it */
};

/* Written by bfd_session.c alone, read by everybody. */
struct bfd_session {
	struct bfd_settings set;
	enum bfd_state state;
	uint8_t diag; /* why it left Up or Init last; what is sent */
	bool failed;  /* was Up and is not, and nobody's administrator wanted it */

	/* The peer's words (bfd.Remote*). */
	enum bfd_state remote_state;
	uint8_t remote_diag, remote_multiplier;
	bool remote_demand, remote_independent;
	uint32_t remote_discriminator; /* 0: not heard, or no longer */
	uint32_t remote_min_tx, remote_min_rx, remote_min_echo_rx;

	uint32_t desired_tx; /* advertised */
	uint32_t tx, rx;     /* in use: the older value until a poll ends (6.8.3) */
	bool polling, poll_again;
	bool final_due; /* answers a poll, not bound to any interval (6.8.7) */
	bool send_due;	/* contents changed: at once, between the periodic ones */
	bool changed;	/* something that observers show; they clear it */

	mono_time sent, heard; /* last packets; heard is 0 before the first */
	mono_time next_send;   /* periodic; MONO_NEVER: none */
	mono_time detect_at;   /* silence is judged; MONO_NEVER: not heard */
	mono_time detect_time;
	mono_time poll_time; /* what counts instead while the peer polls; 0 */
	mono_time grace;     /* given in this silence for time that we did not run */
	mono_time excuse;    /* given in it because of the witness */
	mono_time ask_at;    /* the witness: after each interval without a packet */
	bool has_witness;
	struct bfd_witness witness; /* what it said then */
	mono_time untaken;	    /* the first packet since then that nobody took yet; 0: none */
	mono_time stalled;	    /* of this silence: ours were not taken */
	mono_time patience;   /* how long silence is borne while Up; below detect_time: no matter */
	bool bearing;	      /* this silence is longer than detect_time, and it is */
	mono_time last_since; /* silence before the last expiry, for statistics */
	uint32_t random;
};

/* Starts in Down or AdminDown. `seed` is for jitter alone. `hold`: no packet before now + hold. */
void bfd_session_start(struct bfd_session *s, const struct bfd_settings *set, mono_time hold,
		       uint32_t seed, mono_time now);
/* Other settings, in force as soon as the RFC allows: with a poll sequence while Up. The
 * discriminator may change, too (6.3). */
void bfd_session_set(struct bfd_session *s, const struct bfd_settings *set);
/* A packet that was parsed and found to be this session's, from the sender that it must have. */
void bfd_session_receive(struct bfd_session *s, const struct bfd_packet *p, mono_time now);

/* How long silence is borne while Up, where that is longer than the detection time: there is no
 * other way that could be taken. 0: never. */
void bfd_session_set_patience(struct bfd_session *s, mono_time patience);

/* The next packet that is due now; false: none. */
bool bfd_session_send(struct bfd_session *s, struct bfd_packet *out, mono_time now);
/* When bfd_session_send has something; 0: now. */
mono_time bfd_session_send_at(const struct bfd_session *s);

/* What was sent last is due again, now. */
void bfd_session_repeat(struct bfd_session *s);

/* Judges the peer's silence when bfd_session_judge_at says so; call it when every packet that
 * has come was given to bfd_session_receive. true: the session went down.
 *
 * Two things are no silence of the peer. `late`, for how long before now nobody looked (0:
 * nobody slept): it is given back, at most one detection time for each silence. And what the
 * witness tells (NULL: there is none): packets that come out of the tunnel come from the
 * peer, so that its control packets were lost among them; and packets of ours that nobody
 * takes from the device say that what encrypts them does not run. Such time is given back, at
 * most ten detection times for each silence. */
bool bfd_session_judge(struct bfd_session *s, const struct bfd_witness *w, mono_time late,
		       mono_time now);
mono_time bfd_session_judge_at(const struct bfd_session *s);

#endif
