/* What deletes of CHILD_SAs mean for rekeys in progress. */
#ifndef DETOUR_REKEY_CHILD_H
#define DETOUR_REKEY_CHILD_H

#include "ipsecd/ike/exchange.h"

/* The peer deletes `old`: if another CHILD_SA replaces it, that one sends from now on (RFC
 * 7296 2.8), and a collision with our own rekey is settled in favour of the peer's
 * (2.8.1). old->replaced_by tells afterwards whether it was replaced. */
void rekey_child_peer_deletes(struct ike_engine *e, struct ike_sa *sa, struct child *old);

#endif
