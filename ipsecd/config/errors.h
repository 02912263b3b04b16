/* Collecting messages while parsing goes on. */
#ifndef DETOUR_CONFIG_ERRORS_H
#define DETOUR_CONFIG_ERRORS_H

#include "ipsecd/config/config.h"

/* A place in a file; `file` is borrowed. */
struct config_pos {
	const char *file;
	unsigned line, column;
};

/* The same message at the same place is kept once. */
void config_error(struct config_errors *e, const struct config_pos *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void config_warning(struct config_errors *e, const struct config_pos *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void config_note(struct config_errors *e, const struct config_pos *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* By file, line and column: what is found in several passes reads in one. */
void config_errors_sort(struct config_errors *e);

#define CONFIG_QUOTE 64
/* A word of the user's as a message may show it: cut, without control characters;
 * `text` has CONFIG_QUOTE bytes and is returned. */
const char *config_quote(struct span word, char *text);

#endif
