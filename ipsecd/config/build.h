/* From the settings of one conn section to a struct conn: inner interface. */
#ifndef DETOUR_CONFIG_BUILD_H
#define DETOUR_CONFIG_BUILD_H

#include "ipsecd/config/values.h"

/* What config setup says of all conns. */
struct setup {
	int unique;
	bool unmanaged; /* devices of ipsec-interface= are somebody else's to make */
};

struct build {
	struct config_errors *errors;
	const struct setup *setup;
	const struct section *section;
	struct config_conn *out;
	struct conn *conn;
	struct child_config *child;
	struct config_pos at; /* for what is missing: the section's head */
};

/* The setting that holds, or NULL; `right` is false for keywords without a side. */
const struct setting *build_get(const struct build *b, enum keyword_id id, bool right);

/* Addresses, identities, selectors, authentication of both ends. */
void build_ends(struct build *b);
/* Lifetimes and rekeying of the IKE SA and the child. */
void build_lifetimes(struct build *b);
/* Device name and kind, addresses, MTU and MSS, marks and interface ids. */
void build_tunnel(struct build *b);
/* Padding, header fields, set-mark, scripts; after build_tunnel. */
void build_child(struct build *b);
void build_iptfs(struct build *b);
/* Virtual addresses and name servers: reading them, and using them as the ends are now. */
void build_sourceip(struct build *b);
void sourceip_apply(struct config_conn *c);
void sourceip_free(struct config_conn *c);
/* What follows from the rest, once all is there and again when ends change places. */
void build_complete(struct config_conn *c);

/* A conn from a resolved section; false without a message only when out of memory.
 * With errors reported the result is incomplete. */
bool build_conn(const struct section *s, const struct setup *setup, struct config_conn *out,
		struct config_errors *errors);
void setup_read(const struct sections *s, struct setup *out, struct settings *settings,
		struct config_errors *errors);
/* What only one conn can have (a device's name, its addresses, marks, an interface id), as
 * numbers. */
#define BUILD_CLAIMS_MAX (4 + 2 * CONN_IF_ADDRS_MAX)
unsigned build_claims(const struct config_conn *c, uint64_t out[BUILD_CLAIMS_MAX]);
/* auto= of a section, IGNORE if it has none. */
enum build_auto { BUILD_IGNORE, BUILD_ADD, BUILD_START, BUILD_ROUTE };
enum build_auto build_auto(const struct section *s, struct config_errors *errors);

#endif
