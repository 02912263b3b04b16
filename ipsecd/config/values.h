/* Values of settings, typed. Each reads one setting, reports what is wrong with it
 * and returns false; *out is then untouched. */
#ifndef DETOUR_CONFIG_VALUES_H
#define DETOUR_CONFIG_VALUES_H

#include "ipsecd/config/sections.h"
#include "lib/words.h"

/* The keyword as the user may have written it. */
const char *setting_name(const struct setting *s);
/* "NAME: 'VALUE' is not ...; expected EXPECTED" at the value. */
void value_error(struct config_errors *e, const struct setting *s, const char *expected);

bool value_bool(struct config_errors *e, const struct setting *s, bool *out);
bool value_number(struct config_errors *e, const struct setting *s, uint64_t min, uint64_t max,
		  uint64_t *out);
bool value_size(struct config_errors *e, const struct setting *s, uint64_t *out);
/* A lone number is taken in `unit` (MONO_S or MONO_MS). */
bool value_duration(struct config_errors *e, const struct setting *s, mono_time unit,
		    mono_time *out);
/* One of a NULL-terminated list; its index. */
bool value_word(struct config_errors *e, const struct setting *s, const char *const *words,
		unsigned *out);
/* 0 also for %unique: the data plane chooses. */
bool value_mark(struct config_errors *e, const struct setting *s, struct mark *out);
bool value_if_id(struct config_errors *e, const struct setting *s, uint32_t *out);
bool value_proposals(struct config_errors *e, const struct setting *s,
		     enum proposal_protocol protocol, const struct proposal_list **out);

/* Items of a list with commas or blanks between: copies the next one into item (of
 * `size` bytes) and its place into *at. false at the end; an item that is too long ends
 * the list with an error (*ok false). */
struct value_list {
	const struct setting *setting;
	const char *next;
};

struct value_list value_list(const struct setting *s);
bool value_list_next(struct config_errors *e, struct value_list *l, char *item, size_t size,
		     struct config_pos *at, bool *ok);

#endif
