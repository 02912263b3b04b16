/* Which two outer addresses an attempt begins with. Pure. */
#ifndef DETOUR_IKE_OUTER_H
#define DETOUR_IKE_OUTER_H

#include "ipsecd/ike/engine.h"

/* The configured own address of that family (0: of any), NULL when the route decides. */
const struct addr *outer_own(const struct conn *c, uint8_t family);
/* Of what became of a name, the address whose turn it is, or the next one that there is a way to.
 * false: there is none, and *remote is the one whose turn it was. */
bool outer_choose(const struct conn *c, const struct ike_answer *answer, unsigned turn,
		  const struct addr **own, const struct addr **remote);

#endif
