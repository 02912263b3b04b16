/* Other IKE_SAs of the same two identities under one conn. */
#ifndef DETOUR_DUPLICATES_H
#define DETOUR_DUPLICATES_H

#include "ipsecd/ike/sa.h"

/* After `sa` was established: what becomes of the others. */
void duplicates_resolve(struct ike_engine *e, struct ike_sa *sa, bool initial_contact);
/* The loser of two that were begun at once goes. */
void duplicates_expire(struct ike_engine *e, void *sa);
/* Does another one forbid this one (unique=keep)? */
bool duplicates_forbid(const struct ike_sa *sa);

#endif
