/* Synchronisation of message IDs and of replay counters (RFC 6311): the peer is a cluster, and the
 * member that works now does not know all that the one before it sent; or we are that member, a
 * process that was restored from a record older than what the peer has seen.
 *
 * The request has message ID 0, whatever the windows are, and so its own memory in
 * sa->sync. A member that asks sends every transmission as a request of its own, with a new nonce
 * and higher IDs: a repeated one would be dropped as a replay (5.1). */
#ifndef DETOUR_SYNC_H
#define DETOUR_SYNC_H

#include "ipsecd/ike/core.h"
#include "ipsecd/wire/message.h"

struct exchange;

/* ---- in IKE_AUTH (RFC 6311 5, 6.1, 6.2) ---- */
void sync_offer(const struct ike_engine *e, const struct ike_sa *sa, struct wire_writer *w);
/* Responder: says what the initiator said and we can. */
void sync_answer_offer(struct exchange *x);
/* Initiator: the answer to the offer. */
void sync_take_answer(struct exchange *x);
/* A rekey keeps what was negotiated. */
void sync_inherit(struct ike_sa *sa, const struct ike_sa *old);

/* ---- afterwards ---- */

/* A protected message that came, decrypted. true: it was one of these, and is dealt with. */
bool sync_take(struct ike_engine *e, struct ike_sa *sa, const struct ike_path *path,
	       const struct wire_header *h, uint8_t first, struct span inner);
/* IPSEC_REPLAY_COUNTER_SYNC alone, in an INFORMATIONAL as others are. */
void sync_take_counters(struct ike_engine *e, struct ike_sa *sa, const struct wire_message *in);
/* A message shows that the peer is ahead of what was restored. Once behind each restart either
 * asks, or begins an IKE_SA that replaces this one. */
void sync_suspect(struct ike_engine *e, struct ike_sa *sa, const char *why);
/* Sent so often without an answer, a request of a new process may have an ID that the peer has seen
 * already: then the IDs are asked for in its place. */
bool sync_takes_over(struct ike_engine *e, struct ike_sa *sa);
/* By a new process: is what is in flight to wait for the answer? Then ask. */
bool sync_waits(const struct ike_sa *sa);
void sync_resume(struct ike_engine *e, struct ike_sa *sa);
/* The timer of the window, while `sa` asks. */
void sync_expire(struct ike_engine *e, struct ike_sa *sa);

#endif
