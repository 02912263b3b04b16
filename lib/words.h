/* Words that people type: the nearest known one, numbers and times with units. */
#ifndef DETOUR_WORDS_H
#define DETOUR_WORDS_H

#include "lib/mono.h"
#include "lib/span.h"

/* The word of the NULL-terminated list that is nearest to `word` (edit distance
 * at most a third of its length; 1 from two letters on, 0 with one), or NULL when none is near. */
const char *words_nearest(const char *word, const char *const *list);
/* "a, b or c" of the NULL-terminated list, as much as there is room for; returns `text`. */
const char *words_choice(const char *const *list, char *text, size_t size);
/* "30", "30s", "5m", "3h", "1d", "200ms"; a lone number is in seconds. At most 10000
 * days, so that a time from now never overflows. */
bool words_parse_duration(const char *text, mono_time *out);
/* "1000", "64K", "2M", "1G". */
bool words_parse_size(const char *text, uint64_t *out);
/* Decimal or 0x hex, whole text, at most `max`. */
bool words_parse_number(const char *text, uint64_t max, uint64_t *out);
/* yes/true/enabled/on/1 and no/false/disabled/off/0. */
bool words_parse_bool(const char *text, bool *out);

#endif
