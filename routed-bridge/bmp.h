/* BMP messages (RFC 7854, version 3): what a BGP speaker tells a monitoring station. Pure:
 * bytes in, views into them out. What is not read here (statistics' values, mirrored
 * messages, types of later documents) is told apart and passed over. */
#ifndef DETOUR_BMP_H
#define DETOUR_BMP_H

#include "routed-bridge/bgp_update.h"

#define BMP_VERSION	3
#define BMP_HEADER_SIZE 6
#define BMP_MESSAGE_MAX (160 << 10) /* a Peer Up with two OPENs of the greatest length */

enum bmp_error {
	BMP_OK,
	BMP_MORE, /* not an error: the message has not come completely */
	BMP_BAD_VERSION,
	BMP_BAD_LENGTH,
	BMP_TRUNCATED,
	BMP_BAD_REASON,
	BMP_BAD_OPEN,
	BMP_BAD_BGP, /* the BGP message in it: see bmp_fault.bgp */
	BMP_ERRORS
};

struct bmp_fault {
	size_t offset; /* into the message */
	uint64_t value;
	enum bgp_error bgp;
};

enum bmp_type {
	BMP_ROUTE_MONITORING,
	BMP_STATISTICS,
	BMP_PEER_DOWN,
	BMP_PEER_UP,
	BMP_INITIATION,
	BMP_TERMINATION,
	BMP_ROUTE_MIRRORING,
	BMP_TYPES /* more: unknown ones, to be skipped (RFC 7854 4.1) */
};

struct bmp_message {
	uint8_t type; /* may be BMP_TYPES or more */
	size_t size;  /* with the header */
	struct span body;
};

/* The message at the front of a stream. */
enum bmp_error bmp_parse_message(struct span in, struct bmp_message *out, struct bmp_fault *fault);

enum bmp_peer_type {
	BMP_PEER_GLOBAL,
	BMP_PEER_RD, /* in a VRF */
	BMP_PEER_LOCAL,
	BMP_PEER_LOC_RIB, /* RFC 9069: no neighbour, the router's own choice */
};

/* The header of all messages about a peer (RFC 7854 4.2). */
struct bmp_peer {
	uint8_t type;	  /* enum bmp_peer_type, or unknown */
	bool post_policy; /* flag L */
	bool as2;	  /* flag A: AS_PATH has numbers of two bytes */
	bool adj_rib_out; /* RFC 8671's flag O: what is sent to the peer */
	uint64_t distinguisher;
	struct addr addr;
	uint32_t as;
	uint32_t id; /* host order */
};

/* Whether the neighbour itself said what the message carries. */
bool bmp_is_adj_rib_in(const struct bmp_peer *peer);

struct bmp_monitoring {
	struct bmp_peer peer;
	struct span update; /* the body of a BGP UPDATE */
};

struct bmp_up {
	struct bmp_peer peer;
	struct addr local;
	struct bgp_open sent, received;
};

enum bmp_down_reason {
	BMP_DOWN_LOCAL_NOTIFICATION = 1,
	BMP_DOWN_LOCAL,
	BMP_DOWN_REMOTE_NOTIFICATION,
	BMP_DOWN_REMOTE,
	BMP_DOWN_DECONFIGURED,
	BMP_DOWN_LOCAL_TLV, /* RFC 9069 */
};

struct bmp_down {
	struct bmp_peer peer;
	uint8_t reason;
	uint16_t event;	       /* of BMP_DOWN_LOCAL: RFC 4271 8.1's number, 0 none */
	uint8_t code, subcode; /* of the two with a NOTIFICATION */
};

enum bmp_error bmp_parse_monitoring(struct span body, struct bmp_monitoring *out,
				    struct bmp_fault *fault);
enum bmp_error bmp_parse_up(struct span body, struct bmp_up *out, struct bmp_fault *fault);
enum bmp_error bmp_parse_down(struct span body, struct bmp_down *out, struct bmp_fault *fault);

/* Initiation: empty spans for what it does not say. */
struct bmp_initiation {
	struct span description, name;
};

enum bmp_error bmp_parse_initiation(struct span body, struct bmp_initiation *out,
				    struct bmp_fault *fault);
/* Termination: why, as text in `text`. */
enum bmp_error bmp_parse_termination(struct span body, char *text, size_t size,
				     struct bmp_fault *fault);

/* "the peer sent a NOTIFICATION: Cease, Administrative Reset" */
const char *bmp_down_format(const struct bmp_down *down, char *text, size_t size);
const char *bmp_strerror(enum bmp_error e);

#endif
