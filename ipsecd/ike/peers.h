/* What should be up: attempts, back-off, the responder's choice of a conn. */
#ifndef DETOUR_PEERS_H
#define DETOUR_PEERS_H

#include "ipsecd/ike/conns.h"

struct exchange;

/* Starts whatever is wanted and missing: an attempt, or CHILD_SAs on the IKE_SA there. */
void peers_review(struct ike_engine *e, struct conn_entry *entry);
/* INITIATE, an ACQUIRE: from now on it should be up; child NULL: its first one. */
void peers_want(struct ike_engine *e, struct conn_entry *entry, const char *child);
void peers_retry_expire(struct ike_engine *e, void *entry);
/* A new process: the query of a former one is made again. */
void peers_ask_again(struct ike_engine *e, struct conn_entry *entry);
/* Is nobody working on this conn: no attempt, query, usable IKE_SA or plan? */
bool peers_idle(const struct conn_entry *entry);
/* Traffic wants the tunnel: starts conns with auto=route. */
void peers_acquire(struct ike_engine *e, uint32_t tunnel);
/* The name of an attempt's peer (and the source address) is known. */
void peers_answer(struct ike_engine *e, uint64_t query, const struct ike_answer *answer);
/* A usable IKE_SA of this conn (ESTABLISHED or REKEYING, not redundant), NULL if none. */
struct ike_sa *peers_usable_sa(const struct conn_entry *entry);

/* sa is no longer what its conn waits for: another attempt may begin. */
void peers_attempt_dropped(const struct ike_sa *sa);
/* Asks for a child on sa, unless it is there, asked for, taken down or no longer configured. */
void peers_add_child(struct ike_engine *e, struct ike_sa *sa, const char *name);
/* Hooks: an attempt or SA ended; a CHILD_SA came up, failed to, or went. */
void peers_attempt_failed(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason,
			  const char *detail);
/* The same without ending sa. sa may be NULL when none was made yet. */
void peers_report_failure(struct ike_engine *e, struct conn_entry *entry, struct ike_sa *sa,
			  enum ike_reason reason, const char *detail);
/* What conns show of the last failure (failure.c). A refusal is one of ours, of what a peer wanted
 * that did not prove who it is: kept where the conn names this address or identity (idi, or NULL)
 * and nothing is up. */
void peers_keep_failure(struct ike_engine *e, struct conn_entry *entry, enum ike_reason reason,
			const char *detail);
void peers_keep_refusal(const struct exchange *x, struct conn_entry *entry, const struct id *idi,
			enum ike_reason reason, const char *detail);
/* `refused`: the child that IKE_AUTH did not bring, not to be asked for at once; or NULL. */
void peers_sa_up(struct ike_engine *e, struct ike_sa *sa, const char *refused);
void peers_sa_gone(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason,
		   const char *detail);
void peers_child_up(struct ike_engine *e, struct child *c);
/* The negotiation of a CHILD_SA (config's name) failed while the IKE_SA stays: FAILED event,
 * waiting commands are told, a later attempt is planned when it is wanted. */
void peers_child_failed(struct ike_engine *e, struct ike_sa *sa, const char *child,
			enum ike_reason reason, const char *detail);
void peers_child_gone(struct ike_engine *e, struct child *c, enum ike_reason reason);
/* The data plane can't use c any more (a limit, or somebody flushed its SAs): another one is asked
 * for before c is deleted. */
void peers_child_unusable(struct ike_engine *e, struct child *c);

/* Responder's choice. For IKE_SA_INIT: of the conns that accept one of the offered proposals
 * the one whose addresses fit best; NULL if there is none. */
struct path_match {
	struct proposal chosen;
	struct suite suite;
	struct conn_entry *near; /* the best by addresses alone, NULL if none fits */
	bool held;		 /* conns that were taken down by command are left out */
};
struct conn_entry *peers_match_path(const struct ike_engine *e, const struct ike_path *path,
				    const struct proposal_list *offered, struct path_match *out);
/* Our identity under this conn on this path: the configured one or our address. */
void peers_own_id(const struct conn *c, const struct ike_path *path, struct id *out);
/* What there is with whoever is behind this path. */
struct path_view {
	bool known;	/* a conn may be meant for it */
	bool up;	/* there is an IKE_SA with it */
	bool inherited; /* CHILD_SAs of a former process may still serve it */
};
/* At the conns of peers that may be anywhere, of which each costs a look at all their IKE_SAs, only
 * so many times a second; the others always. */
struct path_view peers_look(struct ike_engine *e, const struct ike_path *path);
/* By identities for IKE_AUTH among those that match the path: the best one. idr may be NULL. */
struct conn_entry *peers_match_ids(const struct ike_engine *e, const struct ike_sa *sa,
				   const struct id *idi, const struct id *idr);

#endif
