/* From a datagram to the handler of the transition table's row. */
#ifndef DETOUR_DISPATCH_H
#define DETOUR_DISPATCH_H

#include "ipsecd/ike/core.h"

void dispatch_datagram(struct ike_engine *e, const struct ike_path *path, struct span datagram);

/* Handles the IKE_AUTH that was put aside (vips.h). */
void dispatch_resume(struct ike_engine *e, struct ike_sa *sa);

#endif
