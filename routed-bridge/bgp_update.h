/* BGP UPDATE messages, and of OPEN messages what it takes to read them, as BMP carries
 * them. Pure: bytes in, a view into them out. Unicast of both families; what else a message
 * says is passed over.
 *
 * RFC 4271 (BGP), 4760 (MP_REACH, MP_UNREACH), 8950 (IPv4 over IPv6 next hops), 6793 (AS
 * numbers of four bytes), 5065 (confederations), 7606 (errors), 4724 2 (End-of-RIB). */
#ifndef DETOUR_BGP_UPDATE_H
#define DETOUR_BGP_UPDATE_H

#include "lib/addr.h"

#define BGP_HEADER_SIZE	  19
#define BGP_MESSAGE_MAX	  65535 /* RFC 8654; 4096 without it */
#define BGP_UPDATE_AS_MAX 2048	/* numbers in one AS_PATH */

enum bgp_error {
	BGP_OK,
	/* Nothing of the message is of use (RFC 7606: "session reset"). */
	BGP_TRUNCATED,
	BGP_BAD_MARKER,
	BGP_BAD_LENGTH,
	BGP_BAD_TYPE,
	BGP_BAD_PREFIX,
	BGP_BAD_MP_NEXTHOP,
	BGP_DUPLICATE_MP,
	/* What it announces counts as withdrawn (RFC 7606 2). */
	BGP_BAD_ATTRIBUTE_LENGTH,
	BGP_BAD_ATTRIBUTE_FLAGS,
	BGP_BAD_ORIGIN,
	BGP_BAD_AS_PATH,
	BGP_BAD_NEXTHOP,
	BGP_BAD_MED,
	BGP_BAD_LOCAL_PREF,
	BGP_MISSING_ATTRIBUTE,
	BGP_AS_PATH_TOO_LONG, /* our own limit */
	BGP_ERRORS
};

struct bgp_fault {
	size_t offset; /* into the message */
	uint64_t value;
};

enum bgp_type { BGP_OPEN = 1, BGP_UPDATE, BGP_NOTIFICATION, BGP_KEEPALIVE };

/* One message with its header of 19 bytes at the front of `in`, which may be longer. */
struct bgp_message {
	uint8_t type;
	size_t size; /* with the header */
	struct span body;
};

enum bgp_error bgp_parse_message(struct span in, struct bgp_message *out, struct bgp_fault *fault);

struct bgp_open {
	uint32_t as;	    /* of four bytes where the capability is there */
	uint32_t id;	    /* BGP identifier, host order */
	uint16_t hold_time; /* seconds */
	bool as4;	    /* RFC 6793's capability */
};

/* `body` without the header. */
enum bgp_error bgp_parse_open(struct span body, struct bgp_open *out, struct bgp_fault *fault);

/* Prefixes as they stand in the message: read them with bgp_next_prefix. */
struct bgp_prefixes {
	uint8_t family; /* 0: none */
	struct span bytes;
};

struct bgp_update {
	struct bgp_prefixes withdrawn[2]; /* IPv4's own field; MP_UNREACH */
	struct bgp_prefixes announced[2]; /* IPv4's own field; MP_REACH */
	uint8_t end_of_rib;		  /* AF_INET, AF_INET6: nothing but that; else 0 */
	/* A fault that makes withdrawals of the announcements; BGP_OK: the rest is valid. */
	enum bgp_error fault;
	struct bgp_fault where;
	struct addr nexthop;	/* of announced[0]; family 0: NEXT_HOP is missing or 0.0.0.0 */
	struct addr mp_nexthop; /* of announced[1]: global; family 0 */
	struct addr mp_nexthop_local; /* link-local */
	uint8_t origin;
	bool has_origin, has_as_path, has_med, has_local_pref;
	uint32_t med, local_pref;
	uint16_t as_length; /* as BGP counts: an AS_SET is 1, a confederation nothing */
	uint16_t n_as;
	uint32_t as_path[BGP_UPDATE_AS_MAX]; /* of all segments, the neighbour's first */
};

/* `body` without the header; as4: AS_PATH has numbers of four bytes. Returns a fault of the
 * first kind, with nothing in `out`; one of the second kind is in out->fault. */
enum bgp_error bgp_parse_update(struct span body, bool as4, struct bgp_update *out,
				struct bgp_fault *fault);
/* The next prefix, its host bits cleared; false at the end. */
bool bgp_next_prefix(struct bgp_prefixes *list, struct prefix *out);
const char *bgp_strerror(enum bgp_error e);

/* "Cease, Administrative Reset" of a NOTIFICATION's two numbers; writes into `text` and
 * returns it. */
const char *bgp_notification_format(uint8_t code, uint8_t subcode, char *text, size_t size);

#endif
