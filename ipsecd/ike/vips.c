/* Virtual addresses (RFC 7296 2.19): asking for them and taking them as initiator, leases for
 * peers as responder. */
#include "ipsecd/ike/engine.h"

void ike_engine_lease(struct ike_engine *e, uint64_t query, const struct ike_lease *lease,
		      mono_time now)
{
	(void)e;
	(void)query;
	(void)lease;
	(void)now;
}
