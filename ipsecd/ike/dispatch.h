/* From a datagram to the handler of the transition table's row. */
#ifndef DETOUR_DISPATCH_H
#define DETOUR_DISPATCH_H

#include "ipsecd/ike/core.h"

void dispatch_datagram(struct ike_engine *e, const struct ike_path *path, struct span datagram);

#endif
