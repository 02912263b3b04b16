/* What deletes of CHILD_SAs mean for rekeys in progress. */
#ifndef DETOUR_REKEY_CHILD_H
#define DETOUR_REKEY_CHILD_H

#include "ipsecd/ike/exchange.h"

/* The peer deletes `old`: if another CHILD_SA replaces it, that one sends from now on (RFC
 * 7296 2.8), and a collision with our own rekey is settled in favour of the peer's
 * (2.8.1). old->replaced_by tells afterwards whether it was replaced. */
void rekey_child_peer_deletes(struct ike_engine *e, struct ike_sa *sa, struct child *old);
/* Our own DELETE of `old` was answered: what replaces it has nothing to wait for any more. */
void rekey_child_deleted(struct ike_engine *e, struct child *old);
/* `c` goes and nothing replaces it: what it had replaced serves as before, if no DELETE of that is
 * under way. */
void rekey_child_undone(struct ike_engine *e, struct child *c, const char *why);
/* `c` is taken down: if our rekey of it is in flight, what comes of that goes as well. */
void rekey_child_forsake(struct ike_engine *e, const struct child *c, enum ike_reason reason);

#endif
