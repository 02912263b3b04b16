/* Message IDs, the window of one, retransmission and the response cache (RFC 7296
 * 2.1 - 2.3). */
#ifndef DETOUR_WINDOW_H
#define DETOUR_WINDOW_H

#include "ipsecd/ike/sa.h"

/* Sends a request (copied) under id sa->tx.next_id and retransmits it until an answer or the
 * conn's retransmit_timeout. false: out of memory. */
bool window_send_request(struct ike_engine *e, struct ike_sa *sa, struct span datagram);
/* RFC 7296 2.2: ids do not wrap around. false: all are used, the IKE_SA has to go. */
bool window_has_id(const struct ike_sa *sa);
/* The answer came: stops retransmission; the next id is free. */
void window_answered(struct ike_engine *e, struct ike_sa *sa);
/* The answer is wanted sooner than planned: sends the request in flight again, and begins with
 * short intervals. */
void window_hasten(struct ike_engine *e, struct ike_sa *sa);
/* By a new process, before timers are armed. A timer that passed meanwhile says nothing of the
 * peer: nobody was here to hear it. It gets some seconds more where its time is used up. false: it
 * did not pass. */
bool window_be_patient(struct ike_engine *e, struct ike_sa *sa);
/* By a new process: sends the request in flight again, beside the plan of retransmissions. */
void window_resume(struct ike_engine *e, struct ike_sa *sa);
/* Stops without an answer; the id is not used up (IKE_SA_INIT's second round). */
void window_stop(struct ike_engine *e, struct ike_sa *sa);
void window_expire(struct ike_engine *e, void *sa);
/* By the conn: the first interval, and the whole wait. */
mono_time window_first(const struct ike_sa *sa);
mono_time window_timeout(const struct ike_engine *e, const struct ike_sa *sa);
/* The next interval of a request that was sent `sent` times: x1.8 each time. */
mono_time window_interval(mono_time first, unsigned sent);

enum window_verdict {
	WINDOW_NEW,	   /* process it */
	WINDOW_RETRANSMIT, /* request again: send the cached response */
	WINDOW_DROP,
};

enum window_verdict window_check_request(const struct ike_sa *sa, uint32_t id);
bool window_check_response(const struct ike_sa *sa, uint32_t id);
/* Caches and sends the answer to request rx.next_id and moves on. */
void window_send_response(struct ike_engine *e, struct ike_sa *sa, const struct ike_path *path,
			  struct span datagram);
void window_free(struct ike_engine *e, struct ike_sa *sa);

#endif
