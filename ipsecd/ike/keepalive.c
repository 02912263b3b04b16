/* NAT keepalives: one byte 0xff now and then from the side that is behind a NAT, so
 * that its mapping stays (RFC 3948 2.3, 4). Knows nothing of the data plane's traffic. */
#include "ipsecd/ike/keepalive.h"
#include "ipsecd/ike/output.h"

void keepalive_arm(struct ike_engine *e, struct ike_sa *sa)
{
	sa_touch(e, sa);
	if (sa->nat_local)
		timer_set(&e->timers, &sa->keepalive_timer,
			  e->now + e->settings.keepalive_interval);
}

void keepalive_expire(struct ike_engine *e, void *owner)
{
	struct ike_sa *sa = owner;

	output_keepalive(e, &sa->path);
	keepalive_arm(e, sa);
}
