/* The output queue. Order is the contract: what a handler queues comes out before the
 * response that the dispatcher sends for it, so an install precedes the datagram
 * that makes the peer use it. */
#ifndef DETOUR_OUTPUT_H
#define DETOUR_OUTPUT_H

#include "ipsecd/ike/sa.h"

void output_send(struct ike_engine *e, const struct ike_path *path, struct span datagram);
/* Takes a datagram that was not handed out yet off the queue again. false: it is not there. */
bool output_revoke(struct ike_engine *e, struct span datagram, struct ike_path *path);
void output_keepalive(struct ike_engine *e, const struct ike_path *path);
/* Copies; the caller cleanses its own child_sa. */
void output_child_install(struct ike_engine *e, const struct child_sa *child, bool resumed);
void output_child_update(struct ike_engine *e, const struct child *child);
void output_child_skip(struct ike_engine *e, const struct child *child, uint64_t delta);
void output_child_remove(struct ike_engine *e, const struct child *child);
void output_resolve(struct ike_engine *e, uint64_t query, const char *name, uint8_t family);
/* Takes over nothing: the pools are those of sa's conn. */
void output_lease_query(struct ike_engine *e, const struct ike_sa *sa,
			const struct ike_lease_query *query);
void output_lease_release(struct ike_engine *e, uint64_t query);
void output_vips(struct ike_engine *e, uint32_t tunnel, const struct addr *vips, uint8_t n,
		 bool resumed);

/* Events carry a view of the SAs as they are now. old may be NULL. detail may be NULL. */
void output_event_ike(struct ike_engine *e, enum ike_event_kind kind, const struct ike_sa *sa,
		      const struct ike_sa *old, enum ike_reason reason, const char *detail);
void output_event_child(struct ike_engine *e, enum ike_event_kind kind, const struct child *child,
			const struct child *old, enum ike_reason reason, const char *detail);
/* SUSPECT, with a view of one of the conn's IKE_SAs. */
void output_event_suspect(struct ike_engine *e, const struct ike_sa *sa, enum ike_suspicion what,
			  bool over);
/* FAILED: conn's name, or the SA's when sa is given. */
void output_event_failed(struct ike_engine *e, const char *conn, const struct ike_sa *sa,
			 enum ike_reason reason, const char *detail);
/* Nothing for tag 0. */
void output_command_done(struct ike_engine *e, uint64_t tag, bool ok, enum ike_reason reason,
			 const char *detail);
void output_shutdown_done(struct ike_engine *e);

void outputs_release_current(struct ike_engine *e); /* what ike_engine_next handed out last */
void outputs_free(struct ike_engine *e);

#endif
