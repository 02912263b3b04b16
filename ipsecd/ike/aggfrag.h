/* Negotiation of AGGFRAG (RFC 9347 5.1): the notify USE_AGGFRAG in requests for CHILD_SAs and in
 * their answers. Without it, or where a peer asks for more than we do, a CHILD_SA carries plain
 * ESP, unless the configuration requires AGGFRAG. */
#ifndef DETOUR_IKE_AGGFRAG_H
#define DETOUR_IKE_AGGFRAG_H

#include "ipsecd/ike/child_setup.h"

/* Initiator: the offer, if the configuration wants it and the data plane does it. */
void aggfrag_offer(const struct ike_engine *e, const struct child_config *config,
		   struct wire_writer *w);
/* Both roles, from the peer's message: sets out->aggfrag. false: the CHILD_SA must not be; why
 * (size bytes) says it. */
bool aggfrag_choose(struct ike_engine *e, const struct ike_sa *sa, const struct wire_message *in,
		    bool initiator, struct child_offer *out, char *why, size_t size);
/* Responder: the answer to what was chosen. */
void aggfrag_answer(const struct child_offer *offer, struct wire_writer *w);
/* A connection was loaded that wants it from a data plane that has none: the log says so. */
void aggfrag_check(const struct ike_engine *e, const struct conn *conn);
/* What was agreed, for the data plane. */
struct aggfrag_params aggfrag_agreed(const struct child *c);

#endif
