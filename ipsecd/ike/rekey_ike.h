/* What the end of an IKE_SA means for a rekey of it in progress. */
#ifndef DETOUR_REKEY_IKE_H
#define DETOUR_REKEY_IKE_H

#include "ipsecd/ike/exchange.h"

/* The peer deletes `sa` while our rekey of it is in flight: if the peer has rekeyed it, too,
 * its IKE_SA stands and inherits the CHILD_SAs (RFC 7296 2.8.2, 2.25.2). Or `sa` is the one that
 * lost to ours: now we delete the one that both replaced. */
void rekey_ike_peer_deletes(struct ike_engine *e, struct ike_sa *sa);
/* The peer asks something on an IKE_SA of its making: if that met our own rekey, the peer has
 * settled it in favour of this one, and the CHILD_SAs are here as the peer sees it. */
void rekey_ike_peer_uses(struct ike_engine *e, struct ike_sa *theirs);

#endif
