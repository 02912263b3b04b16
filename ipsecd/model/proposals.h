/* Proposal lists that connections have in common: however many have the same one, it is kept
 * once. Thousands of peers usually have one or two between them, and a list has room for the
 * longest offer.
 *
 * A list that was shared never changes: who wants another one sets it. It is there until as many
 * have released it as asked for it. One table for the process, without a lock: connections are
 * made and freed by one thread. */
#ifndef DETOUR_PROPOSALS_H
#define DETOUR_PROPOSALS_H

#include "ipsecd/model/proposal.h"

/* What is as *l, for the caller to release. NULL: out of memory. */
const struct proposal_list *proposals_share(const struct proposal_list *l);
const struct proposal_list *proposals_share_default(enum proposal_protocol protocol);
/* The same one for one more. */
const struct proposal_list *proposals_again(const struct proposal_list *shared);
/* NULL is nothing. */
void proposals_release(const struct proposal_list *shared);
/* In the place of what *shared was, which is released. false: out of memory, *shared is as before.
 */
bool proposals_set(const struct proposal_list **shared, const struct proposal_list *l);

#endif
