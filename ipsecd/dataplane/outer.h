/* What the outer IP header says of the inner one, and takes back: DSCP (RFC 2983, RFC 4301 5.1.2),
 * ECN (RFC 6040) and DF (RFC 4301 8.1). Pure. Inner packets are whole IPv4 or IPv6 headers
 * (inner_parse). */
#ifndef DETOUR_OUTER_H
#define DETOUR_OUTER_H

#include "ipsecd/model/child.h"

struct outer {
	uint8_t tos; /* DSCP and ECN, of IPv4's TOS or IPv6's traffic class */
	bool df;     /* where the outer header is IPv4 */
};

struct outer outer_of(const struct child_flags *flags, const uint8_t *inner);
/* Puts into the inner header what the outer one brought. false: it must be dropped (RFC 6040 4.2:
 * congestion was met by a packet that does not know of it), and is as it was. */
bool outer_take(const struct child_flags *flags, uint8_t tos, uint8_t *inner);

#endif
