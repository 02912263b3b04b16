/* From the settings of one conn section to a struct conn: inner interface. */
#ifndef DETOUR_CONFIG_BUILD_H
#define DETOUR_CONFIG_BUILD_H

#include "ipsecd/config/values.h"

struct build {
	struct config_errors *errors;
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
/* Device name, addresses, MTU, marks. */
void build_tunnel(struct build *b);

/* A conn from a resolved section; NULL without a message only when out of memory.
 * With errors reported the result is incomplete. `unique` comes from config setup. */
bool build_conn(const struct section *s, int unique, struct config_conn *out,
		struct config_errors *errors);
/* auto= of a section, IGNORE if it has none. */
enum build_auto { BUILD_IGNORE, BUILD_ADD, BUILD_START, BUILD_ROUTE };
enum build_auto build_auto(const struct section *s, struct config_errors *errors);

#endif
