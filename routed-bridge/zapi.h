/* The ZAPI codec: messages between zebra and its clients on the zserv socket, as FRR's
 * lib/zclient and zebra/zapi_msg define them. Pure: no allocation, no socket, no log.
 *
 * The header's version byte has been 6 since FRR 7.5 while numbers and layouts moved, so
 * everything that moved is in a row per FRR release (struct zapi_version); a release without
 * a row is not talked to. Integers are big-endian, except what zebra sends in its own byte
 * order: the note of ROUTE_NOTIFY_OWNER, the code of ERROR, the table of VRF_ADD. */
#ifndef DETOUR_ZAPI_H
#define DETOUR_ZAPI_H

#include "lib/addr.h"
#include "lib/buf.h"

#include <net/if.h>

#define ZAPI_HEADER_SIZE 10
#define ZAPI_MESSAGE_MAX 16384
#define ZAPI_MARKER	 254
#define ZAPI_HEADER_V6	 6
#define ZAPI_VRF_DEFAULT 0

enum zapi_command {
	ZAPI_INTERFACE_ADD,
	ZAPI_INTERFACE_DELETE,
	ZAPI_INTERFACE_UP,
	ZAPI_INTERFACE_DOWN,
	ZAPI_INTERFACE_ADDRESS_ADD,
	ZAPI_INTERFACE_ADDRESS_DELETE,
	ZAPI_ROUTE_ADD,
	ZAPI_ROUTE_DELETE,
	ZAPI_ROUTE_NOTIFY_OWNER,
	ZAPI_REDISTRIBUTE_ADD,
	ZAPI_REDISTRIBUTE_DELETE,
	ZAPI_REDISTRIBUTE_ROUTE_ADD,
	ZAPI_REDISTRIBUTE_ROUTE_DEL,
	ZAPI_VRF_ADD,
	ZAPI_VRF_DELETE,
	ZAPI_ROUTER_ID_ADD,
	ZAPI_ROUTER_ID_UPDATE,
	ZAPI_HELLO,
	ZAPI_CAPABILITIES,
	ZAPI_ERROR,
	ZAPI_COMMANDS, /* also: a number without a name here */
};

/* The route types a client of ours may use; config.h gives them names. */
enum zapi_route_type {
	ZAPI_TYPE_NHRP,
	ZAPI_TYPE_TABLE, /* with an instance */
	ZAPI_TYPE_BABEL,
	ZAPI_TYPE_OPENFABRIC,
	ZAPI_TYPE_SHARP,
	ZAPI_TYPES,
	/* Those of others, whose routes are listened to. */
	ZAPI_TYPE_BGP = ZAPI_TYPES,
	ZAPI_TYPE_KERNEL,
	ZAPI_TYPES_ALL, /* also: a number without a name here */
};

struct zapi_version {
	unsigned major, minor;
	bool verified; /* tests run against this release; else it was read from its tags */
	uint16_t command[ZAPI_COMMANDS];
	uint8_t type[ZAPI_TYPES_ALL];
	uint16_t notify_request; /* command ROUTE_NOTIFY_REQUEST; 0: a byte of HELLO asks */
	bool notify_source;	 /* ROUTE_NOTIFY_OWNER has a source prefix, too */
	bool label_type;	 /* a nexthop's labels have a type */
	bool weight_u64;	 /* a nexthop's weight has 64 bits, not 32 */
	bool table_flag;	 /* a route with a table says so in its flags, too */
	/* A route that is given anew without a nexthop whose device is down keeps it, in the
	 * kernel, too: zebra takes both for the same, unless a weight is another one. */
	bool keeps_nexthops;
	uint8_t capabilities_len; /* exact body length, a check on the row */
};

/* The row for a release; NULL for one that is not known. */
const struct zapi_version *zapi_version_find(unsigned major, unsigned minor);
/* "8.2 to 10.7" for messages. */
const char *zapi_versions_known(void);
const char *zapi_command_name(enum zapi_command c);

/* ---- encoding: each appends whole messages ---- */

#define ZAPI_NEXTHOPS_MAX 8

#define ZAPI_WEIGHT_MAX	  255 /* of a nexthop: zebra holds it in a byte before 10.4 */

/* A device, a gateway, or both; neither: packets are dropped (blackhole). */
struct zapi_nexthop {
	uint32_t vrf; /* of the device; another than the route's leaks between the two */
	uint32_t ifindex;
	struct addr gateway; /* family 0: none */
	uint32_t weight;     /* 0: none given; zebra takes 1 */
	bool onlink;	     /* the gateway need not be in a network of the device */
};

struct zapi_route {
	enum zapi_route_type type;
	uint16_t instance;
	uint32_t vrf; /* VRF id of zebra; ZAPI_VRF_DEFAULT */
	struct prefix prefix;
	uint8_t n_nexthops;
	struct zapi_nexthop nexthops[ZAPI_NEXTHOPS_MAX];
	uint8_t distance; /* 0: zebra's default of the type */
	uint32_t metric;
	uint32_t tag;	 /* 0: none */
	uint32_t mtu;	 /* 0: none */
	uint32_t table;	 /* 0: the VRF's */
	uint8_t variant; /* zapi_route_vary */
	bool renewed;	 /* zapi_route_renew: every release gets its variant */
};

/* HELLO, and what asks for ROUTE_NOTIFY_OWNER where HELLO itself cannot. */
void zapi_encode_hello(struct buf *b, const struct zapi_version *v, enum zapi_route_type type,
		       uint16_t instance);
void zapi_encode_router_id_add(struct buf *b, const struct zapi_version *v, uint8_t family);
/* Subscribes to all interfaces of the VRF; creates nothing. */
void zapi_encode_interface_add(struct buf *b, const struct zapi_version *v);
/* A route with the same type, instance and prefix is replaced. */
void zapi_encode_route_add(struct buf *b, const struct zapi_version *v,
			   const struct zapi_route *route);
/* For a zebra that keeps nexthops: gives `route`, which takes the place of `last` and has no
 * nexthop that that had not, the variant of its weights that zebra takes for others. They mean
 * the same but for a 254th. Without effect in other releases. */
void zapi_route_vary(struct zapi_route *route, const struct zapi_route *last);

#define ZAPI_RENEWALS 16

/* For a zebra that has the group of `last` wrong: the variant that this renewal (any number) has of
 * the weights of `route`, another than that of `last`. They mean the same but for some 254ths. */
void zapi_route_renew(struct zapi_route *route, const struct zapi_route *last, unsigned renewal);
/* Looks at type, instance, VRF, table and prefix alone. */
void zapi_encode_route_delete(struct buf *b, const struct zapi_version *v,
			      const struct zapi_route *route);
/* Asks for the selected routes of a type in a VRF as REDISTRIBUTE_ROUTE_ADD and _DEL, all that
 * there are and every change; or asks no longer. */
void zapi_encode_redistribute(struct buf *b, const struct zapi_version *v, bool add, uint32_t vrf,
			      uint8_t family, enum zapi_route_type type, uint16_t instance);

/* ---- parsing ---- */

enum zapi_error {
	ZAPI_OK,
	ZAPI_MORE, /* not an error: the message is not complete yet */
	ZAPI_TRUNCATED,
	ZAPI_BAD_LENGTH,
	ZAPI_BAD_MARKER,
	ZAPI_BAD_VERSION,
	ZAPI_BAD_NAME,
	ZAPI_BAD_FAMILY,
	ZAPI_BAD_PREFIX_LENGTH,
	ZAPI_BAD_NOTE,
	ZAPI_BAD_NEXTHOP,
	ZAPI_FOREIGN, /* not an error: a route of a kind that is of no use here */
};

const char *zapi_strerror(enum zapi_error e);

/* Where and on which value a parser stopped; untouched when it did not. */
struct zapi_fault {
	size_t offset; /* from the start of the span that was parsed */
	uint64_t value;
};

struct zapi_message {
	enum zapi_command command; /* ZAPI_COMMANDS: not one that we read */
	uint16_t number;	   /* as on the wire */
	uint32_t vrf;
	struct span body;
	size_t size; /* header and body: how much of the input it took */
};

/* The first message of a stream. */
enum zapi_error zapi_parse_message(struct span in, const struct zapi_version *v,
				   struct zapi_message *out, struct zapi_fault *fault);

struct zapi_interface {
	char name[IF_NAMESIZE];
	uint32_t ifindex;
	uint32_t vrf;	  /* the message's, for the caller to fill in */
	bool link_detect; /* off: zebra ignores IFF_RUNNING ("no link-detect") */
	uint64_t flags;	  /* IFF_* */
};

/* INTERFACE_ADD, _DELETE, _UP, _DOWN: the head, which is the same in all releases; what
 * follows it is not looked at. */
enum zapi_error zapi_parse_interface(struct span body, struct zapi_interface *out,
				     struct zapi_fault *fault);

struct zapi_address {
	uint32_t ifindex;
	struct prefix prefix; /* the interface's own address with its length */
	struct addr peer;     /* the other end's address; family 0: none */
};

/* INTERFACE_ADDRESS_ADD, _DELETE */
enum zapi_error zapi_parse_address(struct span body, struct zapi_address *out,
				   struct zapi_fault *fault);

#define ZAPI_VRF_NAME 36 /* bytes of a VRF's name in a message; may lack its NUL */

struct zapi_vrf {
	uint32_t table; /* of the kernel; 0 where VRFs are network namespaces */
	char name[ZAPI_VRF_NAME + 1];
};

/* VRF_ADD, _DELETE; the VRF's id is the message's. */
enum zapi_error zapi_parse_vrf(struct span body, struct zapi_vrf *out, struct zapi_fault *fault);

/* REDISTRIBUTE_ROUTE_ADD, _DEL. Of many nexthops the first ZAPI_NEXTHOPS_MAX. ZAPI_FOREIGN: it
 * has a source prefix, or nexthops for EVPN or segment routing. */
enum zapi_error zapi_parse_route(const struct zapi_message *m, const struct zapi_version *v,
				 struct zapi_route *out, struct zapi_fault *fault);

enum zapi_note {
	ZAPI_NOTE_FAIL_INSTALL,
	ZAPI_NOTE_BETTER_ADMIN_WON,
	ZAPI_NOTE_INSTALLED,
	ZAPI_NOTE_REMOVED,
	ZAPI_NOTE_REMOVE_FAIL,
	ZAPI_NOTES,
};

const char *zapi_note_name(enum zapi_note n);

struct zapi_notify {
	enum zapi_note note;
	uint32_t vrf; /* the message's, for the caller to fill in */
	struct prefix prefix;
	uint32_t table;
};

enum zapi_error zapi_parse_notify(struct span body, const struct zapi_version *v,
				  struct zapi_notify *out, struct zapi_fault *fault);
enum zapi_error zapi_parse_router_id(struct span body, struct prefix *out,
				     struct zapi_fault *fault);
/* Checks that the answer to HELLO is as long as the row says. */
enum zapi_error zapi_parse_capabilities(struct span body, const struct zapi_version *v,
					struct zapi_fault *fault);

enum { ZAPI_ERROR_NO_VRF = 1, ZAPI_ERROR_BAD_COMMAND = 2 };

enum zapi_error zapi_parse_error(struct span body, uint32_t *code, struct zapi_fault *fault);

#endif
