/* Where in a YAML text each value stands. libcyaml gives the values without their
 * places; this gives the places, by paths such as "sites[1].lans[0]". */
#ifndef DETOUR_TOPOLOGY_LOCATE_H
#define DETOUR_TOPOLOGY_LOCATE_H

#include "lib/span.h"

struct position {
	unsigned line, column; /* both from 1 */
};

struct location {
	char *path;
	struct position key; /* of the mapping's key, or of the value in a sequence */
	struct position value;
};

struct locations {
	size_t n, cap;
	struct location *list; /* in the text's order */
};

/* Reads all places. false: not YAML, then *at and *error (static text) say where and
 * why. The list is the caller's to free in both cases. */
bool locations_read(struct span text, struct locations *out, struct position *at,
		    const char **error);
void locations_free(struct locations *l);
/* The place of the value, or of the nearest one around it; line 1 as the last resort. */
struct position locations_find(const struct locations *l, const char *path);

#endif
