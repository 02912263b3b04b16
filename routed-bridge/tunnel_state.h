/* Who says of a tunnel's device that it passes nothing. Each witness speaks for itself: a
 * device is usable while none calls it dead, and one that takes its word back says nothing
 * for the others. BGP is no witness: a session that ends takes its paths with it, which
 * concerns these paths and not the device. */
#ifndef DETOUR_TUNNEL_STATE_H
#define DETOUR_TUNNEL_STATE_H

enum tunnel_witness {
	WITNESS_IKE,	   /* the IKE daemon: link-updown, no CHILD_SA left */
	WITNESS_LINK,	   /* zebra: not up and running, or gone */
	WITNESS_BFD,	   /* our BFD session */
	WITNESS_SUSPICION, /* the IKE daemon suspects it; taken back when a packet comes */
	WITNESS_QUALITY,   /* measured loss or delay beyond what is allowed */
	TUNNEL_WITNESSES,
};

/* "ike", "link", ...: words for logs and metrics. */
const char *tunnel_witness_name(enum tunnel_witness w);

#endif
