/* ipsec.conf as sections of settings: includes followed, keywords known, values
 * still text. */
#ifndef DETOUR_CONFIG_SECTIONS_H
#define DETOUR_CONFIG_SECTIONS_H

#include "ipsecd/config/errors.h"
#include "ipsecd/config/keywords.h"

#include <uthash.h>

struct setting {
	const struct keyword *keyword;
	bool right;
	char *value;	       /* "": as if it were not given, and nothing is inherited */
	struct config_pos key; /* where the keyword stands */
	struct config_pos at;  /* where the value starts */
};

/* The settings that hold for a conn, by keyword and side; NULL where none is given. */
struct resolved {
	const struct setting *set[KEYWORD_COUNT][2];
};

enum section_state { SECTION_UNSEEN, SECTION_VISITING, SECTION_RESOLVED };

struct section {
	char *name;
	enum keyword_scope scope;
	struct config_pos pos;
	unsigned n;
	struct setting *settings; /* RULE_VALUE only: the others are judged on reading */
	enum section_state state;
	bool referred; /* by an also= */
	struct resolved resolved;
	UT_hash_handle hh;
};

struct sections {
	struct section *conns;		  /* by name, in the order of the files */
	struct section *defaults, *setup; /* NULL: not there */
	unsigned n_files;
	char **files; /* the names that positions point to */
};

void sections_read(const char *file, struct span text, const struct config_reader *reader,
		   struct sections *out, struct config_errors *errors);
/* Fills `resolved` of every conn: own settings, then those of `also`, then %default. */
void sections_resolve(struct sections *s, struct config_errors *errors);
void sections_free(struct sections *s);

#endif
