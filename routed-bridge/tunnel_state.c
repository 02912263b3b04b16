/* The names of witnesses. */
#include "routed-bridge/tunnel_state.h"

const char *tunnel_witness_name(enum tunnel_witness w)
{
	static const char *const names[] = {
		[WITNESS_IKE] = "ike",	       [WITNESS_LINK] = "link",
		[WITNESS_BFD] = "bfd",	       [WITNESS_SUSPICION] = "suspicion",
		[WITNESS_QUALITY] = "quality",
	};

	return (unsigned)w < TUNNEL_WITNESSES ? names[w] : "unknown witness";
}
