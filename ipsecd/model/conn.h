/* A configured connection and its children: plain data that configuration
 * files and vici's load-conn both produce, and that the engine, the tunnels and
 * list-conns read. A conn never changes after it is loaded: a reload builds a
 * new one and compares (conn_compare). All strings and arrays belong to the conn
 * (conn_free); names are unique among conns, children's names inside a conn. */
#ifndef DETOUR_CONN_H
#define DETOUR_CONN_H

#include "ipsecd/model/child.h"
#include "ipsecd/model/id.h"
#include "ipsecd/model/proposals.h"
#include "ipsecd/model/ts.h"
#include "ipsecd/model/vip.h"
#include "lib/mono.h"

#include <net/if.h>

#define CONN_ADDRS_MAX	  4
#define CONN_IF_ADDRS_MAX 8			   /* of the configuration */
#define TUNNEL_ADDRS_MAX  (CONN_IF_ADDRS_MAX + 16) /* with virtual addresses */

enum host_kind { HOST_ANY, HOST_DEFAULT_ROUTE, HOST_ADDR, HOST_PREFIX, HOST_NAME };

/* One end of the outer path. HOST_PREFIX: peers allowed from a range. */
struct host {
	enum host_kind kind;
	struct addr addr;     /* HOST_ADDR; HOST_NAME once resolved (family 0 until then) */
	struct prefix prefix; /* HOST_PREFIX */
	char *name;	      /* HOST_NAME; else NULL */
};

/* An address, a prefix, a name, "%any" or "%defaultroute"; 0.0.0.0, :: and prefixes of
 * length 0 are %any. The name is the caller's to free. false: none of these, or no memory. */
bool host_parse(const char *text, struct host *out);

enum auth_kind { AUTH_KIND_PSK = 0 };

enum start_action { ACTION_NONE, ACTION_START, ACTION_TRAP };

/* "value/mask" of a kernel mark; value 0 and mask 0: none. */
struct mark {
	uint32_t value, mask;
};

/* "42", "0x2a/0xff"; false also for bits of the value outside of the mask. */
bool mark_parse(const char *text, struct mark *out);
/* "%unique", "%unique-dir" and libreswan's "-1": a mark or interface id of one's own. */
bool key_is_unique(const char *text);
bool mark_equal(struct mark a, struct mark b);
/* The same of a mark that is set on packets: 0 is a value, too ("0/0xff" clears bits). */
/* no, auto, yes or crypto; enum child_offload. */
bool offload_parse(const char *text, uint8_t *out);
bool mark_parse_set(const char *text, uint32_t *value, uint32_t *mask);

/* At most 15 letters, digits, '-', '_' and '.', and none of the kernel's own. */
bool device_name_valid(const char *name);

/* What kind of device the kernel plane makes; the userspace plane has TUN devices only. */
enum device_kind { DEVICE_AUTO, DEVICE_VTI, DEVICE_XFRM };

#define TUNNEL_MSS_AUTO 1 /* tunnel_config.mss: follows the MTU */

/* The tunnel device of a conn. All of its children share it. */
struct tunnel_config {
	char name[IF_NAMESIZE]; /* as configured, else made from the conn's name */
	bool named;		/* the configuration gave the name */
	bool external;		/* an updown script makes the device: none is created, one with our
				   marks is taken over once it is there */
	bool keyed; /* the configuration gave marks or interface ids, or asked for %unique ones */
	enum device_kind kind;
	uint8_t n_addrs;
	struct prefix addrs[TUNNEL_ADDRS_MAX]; /* with host bits; may be none */
	uint16_t mtu;			       /* 0: computed from the cipher and path */
	uint16_t mss; /* TCP MSS clamp of forwarded connections; 0: none; TUNNEL_MSS_AUTO */
	struct mark mark_in, mark_out; /* vti: ikey and okey; value 0: the plane's to choose */
	uint32_t if_id_in, if_id_out;  /* xfrm interface; 0: the plane's to choose */
	/* Outer addresses where the configuration fixes them (family 0: not known before there
	 * is a CHILD_SA). A vti has them; it follows its CHILD_SAs afterwards. */
	struct addr local, remote;
};

#define CHILD_RESOURCES_MAX  64
#define CHILD_RESOURCES_AUTO UINT16_MAX /* as many as the plane has */

struct child_config {
	char *name;
	struct ts_list local_ts, remote_ts;
	const struct proposal_list *proposals; /* shared, never NULL */
	mono_time rekey_time;		       /* soft lifetime; 0: never rekeyed by us */
	mono_time life_time;		       /* hard lifetime; 0: none */
	mono_time rand_time; /* up to this much is taken off rekey_time at random */
	uint64_t life_bytes, rekey_bytes, life_packets, rekey_packets; /* 0: no limit */
	enum start_action start_action, dpd_action, close_action;
	uint16_t replay_window; /* packets, 0: off; 32 by default in files, 64..4096 useful */
	uint16_t resources;	/* RFC 9611: CHILD_SAs for single resources beside it; 0: none */
	uint32_t reqid;		/* 0: ours to choose */
	struct child_flags flags;
	char *updown; /* the script of leftupdown=, NULL: none */
};

/* ESP in UDP where there is no NAT, too (RFC 7296 2.23: either side may choose). */
enum conn_encap {
	ENCAP_AUTO, /* as the plane does it better (dataplane_ops.encap_better) */
	ENCAP_YES,  /* forceencaps: behave as behind a NAT */
	ENCAP_NO,   /* bare ESP unless a NAT is found */
};

struct conn {
	char *name;
	char *source; /* where it came from, for messages: "ipsec.conf:12", "vici" */
	uint8_t n_local, n_remote;
	struct host local[CONN_ADDRS_MAX], remote[CONN_ADDRS_MAX];
	uint16_t local_port, remote_port; /* 500 unless configured */
	struct id local_id, remote_id;	  /* ID_ANY local: the address in use; ID_ANY remote: any */
	bool remote_id_set;
	enum auth_kind local_auth, remote_auth;
	const struct proposal_list *proposals; /* shared, never NULL */
	uint8_t encap;			       /* enum conn_encap */
	bool message_id_sync; /* RFC 6311 is offered to peers, and taken up when they offer it */
	bool rekey;	      /* rekey=no: answer the peer's rekeys, start none */
	bool reauth; /* a new IKE_SA instead of a rekey, at rekey_time; not with rekey=no */
	mono_time rekey_time, over_time,
		rand_time;	       /* of the IKE SA; over_time: hard limit behind rekey_time */
	mono_time reauth_time;	       /* the same beside rekeys; 0: never */
	mono_time dpd_delay;	       /* 0: no liveness checks */
	mono_time retransmit_interval; /* first; 0: default 500 ms */
	mono_time retransmit_timeout;  /* the whole wait for an answer; 0: default 18 s */
	uint32_t keying_tries;	       /* 0: for ever */
	enum { UNIQUE_NO, UNIQUE_NEVER, UNIQUE_KEEP, UNIQUE_REPLACE } unique;
	/* As initiator: virtual addresses and name servers to ask the peer for (RFC 7296 2.19).
	 * Without dns_wanted those of the families of vips are asked for. */
	uint8_t n_vips, n_dns_wanted;
	struct addr vips[VIPS_MAX], dns_wanted[VIP_DNS_MAX];
	/* As responder: where the peer's addresses come from, in the order of preference (a peer
	 * then has to ask for one), and the name servers it is told. */
	uint8_t n_pools, n_dns;
	struct pool_ref pools[POOL_REFS_MAX];
	struct addr dns[VIP_DNS_MAX];
	struct tunnel_config tunnel;
	uint16_t n_children;
	struct child_config *children;
};

struct conn *conn_new(const char *name); /* with defaults; NULL when out of memory */
struct conn *conn_copy(const struct conn *c);
void conn_free(struct conn *c);
/* A client loaded it, not a file. */
bool conn_from_vici(const struct conn *c);
/* Adds a child with defaults; NULL when out of memory. Moves the array. */
struct child_config *conn_add_child(struct conn *c, const char *name);
const struct child_config *conn_child(const struct conn *c, const char *name);
/* Whoever builds a conn ends with this: derives tunnel.external and the tunnel's outer
 * addresses from the rest. */
void conn_complete(struct conn *c);
/* Makes tunnel.name from the conn's name: allowed characters, at most 15 bytes
 * (a hash tail keeps long names apart). Nothing when `named`. */
void conn_default_tunnel_name(struct conn *c);
/* 0 when an end has or may have addresses of both families, or of any. */
uint8_t hosts_family(const struct host *hosts, uint8_t n);
/* One machine can't be both: an address that both ends have, or NULL. */
const struct addr *conn_same_end(const struct conn *c);
#define TUNNEL_MTU_IPV6 1280 /* the least that IPv6 needs (RFC 8200 5) */
/* What no host can have, as "the broadcast address"; NULL: it can be a device's. */
const char *tunnel_addr_fault(const struct prefix *p);
/* Devices may share a host address, which brings no route of a network, and a link-local one. */
bool tunnel_addr_is_shared(const struct prefix *p);
bool prefixes_have_ipv6(const struct prefix *p, unsigned n);
/* tunnel.local and tunnel.remote from the conn's hosts, where these leave one address. */
void conn_fix_tunnel_ends(struct conn *c);
/* One device may serve both: they differ in addresses, MTU or MSS only. */
bool tunnel_config_same_device(const struct tunnel_config *a, const struct tunnel_config *b);
/* Nothing of the device has to be changed. */
bool tunnel_config_equal(const struct tunnel_config *a, const struct tunnel_config *b);

/* What a reload has to do for this difference. */
enum conn_difference {
	CONN_SAME,
	CONN_CHILDREN_DIFFER, /* children were added, removed or changed, or timers of the conn,
				 which hold from the next exchange on; the IKE SA stays. The
				 device may differ as well. */
	CONN_DEVICE_DIFFERS,  /* only addresses, MTU or MSS of the device */
	CONN_DIFFERS,	      /* identities, addresses, proposals, another device (name, kind,
				 marks, interface ids, who makes it): the IKE SA must go */
};

enum conn_difference conn_compare(const struct conn *a, const struct conn *b);
bool child_config_equal(const struct child_config *a, const struct child_config *b);
/* The same packets may pass; and: keys are made and kept in the same way. */
bool child_config_same_traffic(const struct child_config *a, const struct child_config *b);
bool child_flags_equal(const struct child_flags *a, const struct child_flags *b);
bool child_config_same_keying(const struct child_config *a, const struct child_config *b);

/* Numbers that are equal where the comparisons above find nothing: conn_digest for CONN_SAME,
 * conn_digest_ike for all but CONN_DIFFERS. For those who remember a conn that is gone. */
uint64_t conn_digest(const struct conn *c);
uint64_t conn_digest_ike(const struct conn *c);
uint64_t child_config_digest_traffic(const struct child_config *c);
uint64_t child_config_digest_keying(const struct child_config *c);

/* Defaults, RFC-free choices of ours; docs/config.md explains them. */
#define CONN_DPD_DELAY		 (10 * MONO_S)
#define CONN_RETRANSMIT_INTERVAL (500 * MONO_MS)
#define CONN_RETRANSMIT_TIMEOUT	 (18 * MONO_S)

#endif
