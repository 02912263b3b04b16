/* What ike and plane say to each other, and what plane refuses whoever has taken ike over.
 *
 * verb              | body                   | answer       | refused
 * PLANE_HELLO       | -                      | ipc_plane    |
 * TUNNEL_CREATE     | ipc_tunnel             | ipc_made     | names that no device may have;
 *                   |                        |              | loopback, multicast or unspecified
 *                   |                        |              | addresses; a device that is there
 *                   |                        |              | and not ours
 * TUNNEL_UPDATE     | ipc_tunnel             | ipc_made     | the same, and another name
 * TUNNEL_REMOVE     | u32 tunnel             | ipc_done     | what is no tunnel
 * TUNNEL_LINK       | ipc_tunnel_link        | ipc_made     | the same
 * TUNNEL_INFO       | u32 tunnels[]          | ipc_info[]   |
 * TUNNEL_DISINHERIT | u32 tunnel             | -            |
 * CHILD_INSTALL     | struct child_sa        | ipc_done     | algorithms that we have not; keys of
 *                   |                        |              | another length; SPIs below 256;
 *                   |                        |              | ranges upside down; endpoints of two
 *                   |                        |              | families
 * CHILD_UPDATE      | ipc_child_update       | ipc_done     | endpoints of two families
 * CHILD_REMOVE      | u64 child              | ipc_done     |
 * CHILD_STATS       | u64 children[]         | ipc_stats[]  |
 * SETTLED           | -                      | -            |
 * SUPPORTS          | ipc_suite              | ipc_done     |
 * COUNTERS          | -                      | ipc_counters |
 * SEND_IKE          | ipc_path + datagram    | -            | from other ports than 500 and 4500;
 *                   |                        |              | multicast; shorter than an IKE header
 * SEND_KEEPALIVE    | ipc_path               | -            | such ports and addresses
 * ROUTE             | ipc_route              | ipc_done     | another protocol than ours; the table
 *                   |                        |              | "local"; adding through a device that
 *                   |                        |              | is no tunnel's, or in the place of a
 *                   |                        |              | route that is not ours
 * RULE              | ipc_rule               | ipc_done     | another protocol than ours; the table
 *                   |                        |              | "local"; priority 0
 * ADDRESS           | ipc_address            | ipc_done     | other prefixes than of one address;
 *                   |                        |              | loopback and multicast; removing one
 *                   |                        |              | that was not added by this way (one
 *                   |                        |              | that was there is not added)
 * BIND              | ipc_device             | ipc_done     | what is no name
 * WORKERS           | ipc_workers            | ipc_workers  | more than there can be anywhere; what
 *                   |                        |              | would end threads is not done
 * CHANGES           | -                      | u64          |
 *
 * EVENT             | struct dataplane_event |
 * IKE               | ipc_path + datagram    | (as received, without the marker of port 4500)
 * SEND_FAILED       | ipc_send_failed        |
 *
 * What is malformed or refused by its content alone is answered with UNSUPPORTED, words, and a log
 * line of plane's. Flags are bytes, 0 or 1. */
#ifndef DETOUR_IPC_PLANE_H
#define DETOUR_IPC_PLANE_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/ipc/verbs.h"

#define IPC_WORDS      252
#define IPC_INFOS_MAX  512 /* of one answer */
#define IPC_STATS_MAX  1024
#define IPC_OUR_ROUTES 68 /* the RTPROT_* of ours */
#define IPC_IKE_HEADER 28 /* RFC 7296 3.1 */

struct ipc_plane {
	char name[16];
	uint8_t encap_better, plain, persistent;
	uint8_t asks_supports; /* 0: all that crypto.h has */
	uint8_t aggfrag;
	uint8_t resources;
	char why[512];
	char offloads[128]; /* what the kernel does for ESP that is this plane's */
};

/* enum dataplane_error, or 0 or -errno of ROUTE, RULE, ADDRESS and BIND. */
struct ipc_done {
	int32_t error;
	char words[IPC_WORDS];
};

struct ipc_info {
	uint32_t tunnel;
	uint8_t there; /* 0: no such tunnel */
	uint8_t link_up, admin_up, as_made;
	uint8_t offloads; /* enum dataplane_offload */
	char name[IF_NAMESIZE], kind[8];
	int32_t ifindex;
	uint16_t mtu;
	struct mark mark_in, mark_out;
	uint32_t if_id_in, if_id_out, inherited;
};

struct ipc_made {
	struct ipc_done done;
	struct ipc_info info; /* as it is now */
};

struct ipc_tunnel {
	uint32_t tunnel;
	struct tunnel_config config;
};

struct ipc_tunnel_link {
	uint32_t tunnel;
	uint8_t up;
};

struct ipc_child_update {
	uint64_t child, skip_out;
	uint8_t outbound, udp_encap;
	struct endpoint local, remote;
};

struct ipc_stats {
	uint64_t child;
	uint64_t there; /* 0: no such CHILD_SA */
	struct dataplane_child_stats stats;
};

struct ipc_suite {
	uint16_t encr_id, key_bits, integ_id;
	uint8_t esn;
};

struct ipc_counters {
	uint64_t drops[DATAPLANE_COUNTERS];
	uint64_t net[8]; /* struct udp_counters */
};

struct ipc_path {
	struct endpoint local, remote;
};

struct ipc_send_failed {
	struct ipc_path path;
	int32_t error; /* errno */
	uint8_t esp;
};

enum ipc_route_kind { IPC_ROUTE_DEVICE, IPC_ROUTE_BLACKHOLE, IPC_ROUTE_THROW };

struct ipc_route {
	uint8_t add, kind, protocol;
	struct prefix dst;
	struct addr source;
	int32_t ifindex;
	uint32_t table, metric;
};

struct ipc_rule {
	uint8_t add, family, protocol;
	char iif[IF_NAMESIZE];
	uint32_t table, priority;
};

struct ipc_device {
	char device[IF_NAMESIZE]; /* "": none */
};

#define IPC_WORKERS_MAX 16

struct ipc_workers {
	uint32_t threads; /* wanted (0: as many as there can be); those that there are (0: this
			     plane can have none) */
	uint32_t most;	  /* answer: that there can be */
};

struct ipc_address {
	uint8_t add;
	char device[IF_NAMESIZE];
	struct prefix prefix;
};

#endif
