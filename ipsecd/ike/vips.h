/* Virtual addresses (RFC 7296 2.19). As initiator an IKE_SA asks for them in IKE_AUTH; as
 * responder it takes them from pools outside: IKE_AUTH is put aside until their answer is here,
 * and then handled as if it came just now. A lease belongs to one IKE_SA, moves along with a
 * rekey, and is given back when that ends. */
#ifndef DETOUR_VIPS_H
#define DETOUR_VIPS_H

#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/conns.h"

struct child_offer;

/* ---- initiator ---- */
/* Memory for what will be asked for, so that what is given can be taken. false: there is none. */
bool vips_prepare(struct ike_sa *sa);
/* CP(CFG_REQUEST), if the conn wants addresses or name servers. */
void vips_put_request(struct ike_engine *e, struct ike_sa *sa, struct wire_writer *w);
/* CP(CFG_REPLY) into sa->vips. */
void vips_consume_reply(struct exchange *x);
/* A refusal of the first CHILD_SA that means the IKE_SA is of no use either; in words. */
bool vips_refused(const struct ike_sa *sa, uint16_t notify, char *detail, size_t size);

/* ---- responder ---- */
/* The request wants addresses that are not known yet: it is put aside, and the pools are asked. */
bool vips_must_wait(struct exchange *x);
/* CP(CFG_REPLY) with what the pools gave; or a refusal of the CHILD_SA and false, and why
 * in *offer. */
bool vips_answer_request(struct exchange *x, struct child_offer *offer);
/* The pools' answer. */
void vips_lease(struct ike_engine *e, uint64_t query, const struct ike_lease *lease);
/* IKE_AUTH was put aside and waits. */
bool vips_waiting(const struct ike_sa *sa);

/* ---- both ---- */
/* A rekey: `to` has what `from` had. */
void vips_move(struct ike_sa *from, struct ike_sa *to);
/* sa came up or ended: the shell is told what addresses we have on its tunnel, the pools what is
 * free. */
void vips_up(struct ike_engine *e, struct ike_sa *sa);
void vips_gone(struct ike_engine *e, struct ike_sa *sa);
/* A new process goes on: what it has there is told once more. */
void vips_resume(struct ike_engine *e, struct conn_entry *entry);

#endif
