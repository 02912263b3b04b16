/* What is done about a tunnel that passes nothing although its link is up. */
#include "routed-bridge/bridge_parts.h"

void bridge_tunnel_dead(struct bridge *b, const char *interface, enum tunnel_witness who,
			const char *cause)
{
	log_to(b->log, LOG_LEVEL_NOTICE, "tunnel", interface, "passes nothing (%s): %s",
	       tunnel_witness_name(who), cause);
}

void bridge_tunnel_alive(struct bridge *b, const char *interface, enum tunnel_witness who,
			 const char *cause)
{
	log_to(b->log, LOG_LEVEL_NOTICE, "tunnel", interface, "passes packets again (%s): %s",
	       tunnel_witness_name(who), cause);
}
