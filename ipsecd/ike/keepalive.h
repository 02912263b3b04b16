/* NAT keepalives (RFC 3948 2.3, RFC 7296 2.23). */
#ifndef DETOUR_KEEPALIVE_H
#define DETOUR_KEEPALIVE_H

#include "ipsecd/ike/sa.h"

/* Starts them when we are behind a NAT. */
void keepalive_arm(struct ike_engine *e, struct ike_sa *sa);
void keepalive_expire(struct ike_engine *e, void *sa);

#endif
