/* Early detection: hints that a peer is out of reach. Whoever can send packets can make most of
 * them, so that a hint ends nothing (RFC 7296 2.4): it is told, and the peer is asked. */
#ifndef DETOUR_SUSPECT_H
#define DETOUR_SUSPECT_H

#include "ipsecd/ike/sa.h"

void suspect_hint(struct ike_engine *e, const struct ike_hint *hint);
/* An authentic answer to our message `id` came: the path works both ways. */
void suspect_answered(struct ike_engine *e, struct ike_sa *sa, uint32_t id);
/* Authentic packets came in, which proves one direction. */
void suspect_heard(struct ike_engine *e, struct ike_sa *sa);
/* An IKE_SA of this conn came or went: is the conn as a whole suspected? */
void suspect_review(struct ike_engine *e, const struct ike_sa *changed);

#endif
