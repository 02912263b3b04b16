/* Per-resource CHILD_SAs (RFC 9611): beside the general CHILD_SA of a child there is one for each
 * resource (a lane of the plane, a CPU) with the same selectors, so that resources share no
 * sequence numbers. Numbers of resources are each end's own, from 1 on; 0 is the general one.
 *
 * The end that made the general CHILD_SA makes the others, one by one, once the peer has said that
 * it does so, too. What a peer refuses is not asked for again while the general one lives: its
 * packets go by that. One that ends is made again with the next rekey of any of them. */
#ifndef DETOUR_RESOURCES_H
#define DETOUR_RESOURCES_H

#include "ipsecd/ike/child_setup.h"

/* SA_RESOURCE_INFO, where the configuration and the plane have resources. */
void resources_put(struct ike_engine *e, struct wire_writer *w, const struct child_config *config,
		   uint32_t resource);
/* Has the peer sent one, where we have them, too? */
bool resources_agreed(struct ike_engine *e, const struct child_config *config,
		      const struct wire_message *in);

/* Responder: the general CHILD_SA, of the same child and selectors as the offer, beside which the
 * peer wants one for a resource; NULL: there is none, or it wants none such. */
const struct child *resources_general(const struct ike_sa *sa, const struct wire_message *in,
				      const struct child_offer *offer);
/* The first resource without a CHILD_SA; 0: none. */
uint32_t resources_free(const struct ike_engine *e, const struct child *general);
/* RFC 9611: MUST have the properties of the general one. false: out says so. */
bool resources_same(const struct child *general, struct child_offer *out);

/* `c` is up: what is missing beside it, or beside its general one, is made. One that was asked for
 * before the configuration wanted fewer goes again. */
void resources_review(struct ike_engine *e, struct child *c);
/* Its configuration is another now. true: it is for more resources than there are to be, and is
 * deleted; its packets go by the general one. */
bool resources_shed(struct ike_engine *e, struct child *c);

#endif
