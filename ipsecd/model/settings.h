/* The daemon's own settings: `config setup` of ipsec.conf. Plain data with defaults. */
#ifndef DETOUR_SETTINGS_H
#define DETOUR_SETTINGS_H

#include "lib/addr.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct settings {
	/* Routes to the remote selectors through the tunnel devices, in a table of their own.
	 * Off by default: what is behind a peer is for BGP or the operator to say. */
	bool install_routes;
	uint32_t routing_table, routing_table_prio; /* 220, 220; prio 0: no rule */
	/* Virtual addresses from the peer are put on the tunnel device, or on this one. */
	bool install_virtual_ip;
	char install_virtual_ip_on[IF_NAMESIZE]; /* "": the tunnel device */
	uint32_t updown_timeout;		 /* seconds a script may take; 30 */
	struct endpoint metrics;		 /* where they are served; family 0: nowhere */
	char bind_device[IF_NAMESIZE]; /* of IKE's sockets: a VRF, or a device; "": none */
	uint32_t keep_on_stop;	       /* seconds that SAs and devices outlive a SIGTERM; 0: none */
	uint32_t
		workers; /* threads that carry packets in the userspace plane; 0: one a processor */
	bool early_detection; /* ICMP, the underlay's links and the like raise suspicions; yes */
	bool quick_crash_detection; /* RFC 6290; yes */
};

#define SETTINGS_WORKERS_MAX 16

#define SETTINGS_DEFAULT                              \
	((struct settings){.routing_table = 220,      \
			   .routing_table_prio = 220, \
			   .updown_timeout = 30,      \
			   .workers = 1,              \
			   .early_detection = true,   \
			   .quick_crash_detection = true})

#endif
