/* The ZAPI codec: messages between zebra and its clients on the zserv socket, as FRR's
 * lib/zclient and zebra/zapi_msg define them. Pure: no allocation, no socket, no log.
 *
 * The header's version byte has been 6 since FRR 7.5 while numbers and layouts moved, so
 * everything that moved is in a row per FRR release (struct zapi_version), and rows exist
 * only for releases that were run against. Integers are big-endian, except the two that
 * zebra sends in its own byte order: the note of ROUTE_NOTIFY_OWNER and the code of
 * ERROR. */
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
	ZAPI_ROUTE_ADD,
	ZAPI_ROUTE_DELETE,
	ZAPI_ROUTE_NOTIFY_OWNER,
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
};

struct zapi_version {
	unsigned major, minor;
	uint16_t command[ZAPI_COMMANDS];
	uint8_t type[ZAPI_TYPES];
	uint16_t notify_request;  /* command ROUTE_NOTIFY_REQUEST; 0: a byte of HELLO asks */
	bool notify_source;	  /* ROUTE_NOTIFY_OWNER has a source prefix, too */
	uint8_t capabilities_len; /* exact body length, a check on the row */
};

/* The row for a release; NULL for one that was never verified. */
const struct zapi_version *zapi_version_find(unsigned major, unsigned minor);
/* "8.4, ..." for messages. */
const char *zapi_versions_known(void);
const char *zapi_command_name(enum zapi_command c);

/* ---- encoding: each appends whole messages ---- */

#define ZAPI_NEXTHOPS_MAX 8

/* A device, a gateway, or both; neither: packets are dropped (blackhole). */
struct zapi_nexthop {
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
	uint32_t tag;	/* 0: none */
	uint32_t mtu;	/* 0: none */
	uint32_t table; /* 0: the VRF's */
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
/* Looks at type, instance and prefix alone. */
void zapi_encode_route_delete(struct buf *b, const struct zapi_version *v,
			      const struct zapi_route *route);

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
	bool link_detect; /* off: zebra ignores IFF_RUNNING ("no link-detect") */
	uint64_t flags;	  /* IFF_* */
};

/* INTERFACE_ADD, _DELETE, _UP, _DOWN: the head, which is the same in all releases; what
 * follows it is not looked at. */
enum zapi_error zapi_parse_interface(struct span body, struct zapi_interface *out,
				     struct zapi_fault *fault);

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
