/* Other IKE_SAs of the same two identities under one conn, and how traffic goes from the
 * CHILD_SAs of an old one to those of a new one without a gap. reauth.c begins such a
 * new one on purpose. */
#ifndef DETOUR_DUPLICATES_H
#define DETOUR_DUPLICATES_H

#include "ipsecd/ike/exchange.h"

/* After `sa` was established: what becomes of the others. */
void duplicates_resolve(struct ike_engine *e, struct ike_sa *sa, bool initial_contact);
/* The patience with a redundant one is over, or all that was to be waited for is there. */
void duplicates_expire(struct ike_engine *e, void *sa);
/* Does another one forbid this one (unique=keep)? */
bool duplicates_forbid(const struct ike_sa *sa);
/* `next` was made by a rekey of `old`. */
void duplicates_inherit(struct ike_engine *e, struct ike_sa *next, const struct ike_sa *old);
/* `sa` ended: one that it had made redundant may be needed again. */
void duplicates_sa_gone(struct ike_engine *e, const struct ike_sa *sa);

/* Responder: may a new CHILD_SA of `config` send at once? Not while an older one does: the
 * initiator has the new one only when our answer has arrived. */
bool duplicates_may_send(const struct ike_sa *sa, const struct child_config *config,
			 const struct ts_list *remote_ts);
/* `c` came up as such a one: the peer is asked for a sign that it has it. */
void duplicates_await(struct ike_engine *e, struct child *c);
/* Initiator of `c`: a peer that holds back needs a sign, if nothing else of ours follows. */
void duplicates_give_sign(struct ike_engine *e, struct child *c);
/* The peer surely has `c`: it sends from now on, unless it lost to another one. */
void duplicates_take_use(struct ike_engine *e, struct child *c, const char *cause);
/* `c` is up or begins to send: an old IKE_SA may have waited for that. */
void duplicates_child_up(struct ike_engine *e, const struct child *c);
/* `c` stops sending: another one of the same use begins, if there is one. */
void duplicates_child_stops(struct ike_engine *e, const struct child *c);
/* The IKE_SA of `c` ended: if a CHILD_SA of another one does its work, `c` goes there to receive
 * late packets for a while. false: it has to end. */
bool duplicates_hand_over(struct ike_engine *e, struct child *c);

/* ---- reauthentication (reauth.c) ---- */

/* Plans it, in the end that began IKE_AUTH; after a rekey the plan is the former one. */
void reauth_plan(struct ike_engine *e, struct ike_sa *sa);
void reauth_due(struct ike_engine *e, void *sa);
/* Begins a new IKE_SA that is to replace `sa`. false: not now, *why says so. */
bool reauth_start(struct ike_engine *e, struct ike_sa *sa, const char **why);
/* As reauth_start within a second, or when it is possible; where this end can't do it, `sa` stays
 * as it is. `why` is for people. */
void reauth_soon(struct ike_engine *e, struct ike_sa *sa, const char *why);
/* `made` is up: if it reauthenticates, it gets CHILD_SAs as `old` has them. */
void reauth_fill(struct ike_engine *e, struct ike_sa *made, const struct ike_sa *old);
/* `made` ended: if it was to replace one that is still needed, that is tried again. */
void reauth_failed(struct ike_engine *e, const struct ike_sa *made);
/* The IKE_SA that `made` is to replace; NULL: none, or gone. */
struct ike_sa *reauth_old(const struct ike_engine *e, const struct ike_sa *made);
/* AUTH_LIFETIME (RFC 4478): told by the responder, heeded by the initiator. */
void reauth_put_lifetime(struct exchange *x);
void reauth_heed_lifetime(struct exchange *x);

#endif
