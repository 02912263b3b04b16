/* What is wrong with a command line, in the same words for every program: on standard
 * error, with the nearest known word. */
#ifndef DETOUR_USAGE_H
#define DETOUR_USAGE_H

struct option;

/* "PROGRAM: WHAT 'WORD' is not known; did you mean 'NEAREST'?" of a NULL-terminated list. */
void usage_unknown(const char *program, const char *what, const char *word,
		   const char *const *known);
/* "PROGRAM: WHAT 'WORD' is not known; expected A, B or C": of a list that is short. */
void usage_not_one_of(const char *program, const char *what, const char *word,
		      const char *const *known);
/* Why getopt_long gave `complaint` ('?' or ':'). The program has long options alone, set
 * opterr to 0 and passed ":" for the short ones. */
void usage_bad_option(const char *program, int complaint, char *const *argv,
		      const struct option *table);

#endif
