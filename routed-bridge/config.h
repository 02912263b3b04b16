/* routed-bridge.conf: the file, as routed-bridge(8) documents it. Pure: text in,
 * configuration or errors out. */
#ifndef DETOUR_BRIDGE_CONFIG_H
#define DETOUR_BRIDGE_CONFIG_H

#include "lib/addr.h"
#include "routed-bridge/quality.h"
#include "routed-bridge/zapi.h"

#define BRIDGE_PATH_MAX	     108 /* sun_path with its NUL */
#define BRIDGE_BFD_HOLD	     500 /* milliseconds */
#define BRIDGE_BFD_HOLD_MAX  10000
#define BRIDGE_BFDD_PATH_MAX 63 /* characters; bfdd cuts off what --dplaneaddr has beyond that */
#define BRIDGE_CONTROL_PATH  "/run/routed-bridge/control"
#define BRIDGE_SESSIONS_MAX  16 /* different types (with instance) in one file */

#define BRIDGE_LIST_MAX	     64 /* name of a prefix list, with its NUL */

/* Path quality, and what becomes of a tunnel whose quality is not good. */
struct bridge_quality_options {
	struct quality_limits limits; /* probe 0: off */
	uint32_t metric;	      /* added to that of its routes */
	uint32_t tag;		      /* in place of theirs; 0: theirs */
	char list[BRIDGE_LIST_MAX];   /* bgpd's prefix list with the addresses of such peers */
	struct addr peer;	      /* who is asked; family 0: the other end of the device */
};

struct bridge_options {
	enum zapi_route_type type;
	uint16_t instance; /* ZAPI_TYPE_TABLE; else 0 */
	uint32_t tag;
	uint8_t distance;
	uint32_t metric;
	uint32_t table; /* 0: the VRF's own */
	uint32_t mtu;	/* 0: the device's */
	uint8_t weight; /* among equal routes of other tunnels; 0: none said, counts as 1 */
	bool selectors;
	bool vips;		     /* host routes to the peers' virtual IPs */
	char vrf[ZAPI_VRF_NAME + 1]; /* "": the device's */
	struct bridge_quality_options quality;
};

struct bridge_section {
	char *pattern;		     /* of connection names */
	unsigned line;		     /* of the file */
	bool glob;		     /* it has wildcards */
	char interface[IF_NAMESIZE]; /* "": the daemon's word, else the connection's name */
	struct bridge_options options;
	size_t n_prefixes;
	struct prefix *prefixes;
};

/* Local repair: routes around dead tunnels, of a type of their own. */
struct bridge_repair_options {
	bool on;
	bool uturn;	  /* where the way around begins with a neighbour that leads back to us */
	uint8_t distance; /* better than that of what is repaired */
	enum zapi_route_type type;
	uint16_t instance;
};

struct bridge_config {
	char vici[BRIDGE_PATH_MAX];
	char zserv[BRIDGE_PATH_MAX];
	char vty_dir[BRIDGE_PATH_MAX];
	struct bridge_repair_options repair;
	char bfd_dplane[BRIDGE_PATH_MAX]; /* where bfdd waits for its data plane; "": no BFD */
	uint32_t bfd_hold; /* milliseconds that silence on the last way is borne; 0: as elsewhere */
	bool zebra;	   /* false: routes go to the kernel */
	bool describe;	   /* tunnel devices, for `show interface` */
	char control[BRIDGE_PATH_MAX]; /* where --status asks; "": nowhere */
	struct endpoint metrics;       /* where they are served; family 0: nowhere */
	struct endpoint bmp;	       /* where bgpd connects to; family 0: nowhere */
	size_t n_sections;
	struct bridge_section *sections;       /* in the file's order */
	const struct bridge_section **by_name; /* the same, sorted by pattern */
};

/* Parses; each error goes to the callback as one line "file:line:column: ...". NULL after
 * any error, or when out of memory. `file` is only named. */
struct bridge_config *bridge_config_parse(const char *file, struct span text,
					  void (*error)(void *ctx, const char *line), void *ctx);
void bridge_config_free(struct bridge_config *c); /* NULL allowed */

/* The section of a connection: its own name, else the first pattern that matches; NULL. */
const struct bridge_section *bridge_config_match(const struct bridge_config *c, const char *conn);
/* "nhrp", "table 200", ...; text has room for 24 bytes. */
const char *bridge_type_format(enum zapi_route_type type, uint16_t instance, char *text);

#endif
