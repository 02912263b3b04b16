/* Names that the configuration files gave, and the texts that they were loaded from: what a reload
 * takes out when they are gone, and what a reading may leave out of them. */
#ifndef DETOUR_KNOWN_H
#define DETOUR_KNOWN_H

#include "ipsecd/config/config.h"

#include <uthash.h>

struct known {
	char *name;
	unsigned round;	 /* the last one that gave it */
	uint64_t digest; /* of the text that its conn was loaded from, 0: not known */
	char *refused; /* owned; its conn as the files have it: why, and where it stands; NULL: not
			*/
	bool told;     /* by a former process, which knew why if it was refused */
	UT_hash_handle hh;
};

struct known_set {
	struct known *all;
	unsigned round;
	unsigned unsure; /* those without a digest */
	uint64_t sum;	 /* of the others' marks (recall_mark) */
};

/* Given in this round; *new: for the first time. NULL when out of memory. */
struct known *known_add(struct known_set *s, const char *name, bool *new);
struct known *known_find(const struct known_set *s, const char *name);
void known_digest(struct known_set *s, struct known *k, uint64_t digest);
void known_remove(struct known_set *s, struct known *k);
void known_free(struct known_set *s);

/* Nothing is given yet. */
void known_begin(struct known_set *s);
bool known_given(const struct known_set *s, const struct known *k);
/* What a reading left out, and what it says is gone, is all that there is beside the connections
 * that it has, from the same texts. */
bool known_covers(const struct known_set *s, const struct config *reading);

#endif
