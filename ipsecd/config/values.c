/* Text to numbers, times, marks and proposals, with messages that say what was
 * expected. Knows no connection. */
#include "ipsecd/config/values.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DURATION_MAX (366 * 86400 * MONO_S)

const char *setting_name(const struct setting *s)
{
	return s->right ? s->keyword->right : s->keyword->name;
}

void value_error(struct config_errors *e, const struct setting *s, const char *expected)
{
	char quote[CONFIG_QUOTE];

	config_error(e, &s->at, "%s: '%s' is not possible; expected %s", setting_name(s),
		     config_quote(span_str(s->value), quote), expected);
}

bool value_bool(struct config_errors *e, const struct setting *s, bool *out)
{
	if (words_parse_bool(s->value, out))
		return true;
	value_error(e, s, "yes or no");
	return false;
}

bool value_number(struct config_errors *e, const struct setting *s, uint64_t min, uint64_t max,
		  uint64_t *out)
{
	char expected[64];
	uint64_t n;

	if (words_parse_number(s->value, max, &n) && n >= min) {
		*out = n;
		return true;
	}
	snprintf(expected, sizeof(expected), "a number from %llu to %llu", (unsigned long long)min,
		 (unsigned long long)max);
	value_error(e, s, expected);
	return false;
}

bool value_size(struct config_errors *e, const struct setting *s, uint64_t *out)
{
	if (words_parse_size(s->value, out))
		return true;
	value_error(e, s, "a number, with K, M or G behind it if it is large");
	return false;
}

bool value_duration(struct config_errors *e, const struct setting *s, mono_time unit,
		    mono_time *out)
{
	bool lone = s->value[strspn(s->value, "0123456789")] == '\0';
	mono_time t;

	if (words_parse_duration(s->value, &t) && t <= DURATION_MAX) {
		*out = lone ? t / MONO_S * unit : t;
		return true;
	}
	value_error(e, s, "a time such as 200ms, 30s, 5m, 3h or 1d, at most 366d");
	return false;
}

bool value_word(struct config_errors *e, const struct setting *s, const char *const *words,
		unsigned *out)
{
	char expected[256];
	const char *nearest;
	size_t at = 0;

	for (unsigned i = 0; words[i]; i++) {
		if (strcasecmp(words[i], s->value) == 0) {
			*out = i;
			return true;
		}
	}
	for (unsigned i = 0; words[i] && at < sizeof(expected); i++)
		at += (size_t)snprintf(expected + at, sizeof(expected) - at, "%s%s",
				       i == 0	      ? ""
				       : words[i + 1] ? ", "
						      : " or ",
				       words[i]);
	nearest = words_nearest(s->value, words);
	if (nearest && at < sizeof(expected))
		snprintf(expected + at, sizeof(expected) - at, "; did you mean '%s'?", nearest);
	value_error(e, s, expected);
	return false;
}

bool value_mark(struct config_errors *e, const struct setting *s, struct mark *out)
{
	struct mark m;

	if (key_is_unique(s->value)) {
		*out = (struct mark){0};
		return true;
	}
	if (!mark_parse(s->value, &m)) {
		value_error(e, s,
			    "a number with 32 bits, %unique or %unique-dir (then one is chosen)");
		return false;
	}
	if (m.value && m.mask != UINT32_MAX) {
		config_error(e, &s->at,
			     "%s=%s: a tunnel device compares all 32 bits of a mark; leave the "
			     "mask out",
			     setting_name(s), s->value);
		return false;
	}
	*out = m;
	return true;
}

bool value_if_id(struct config_errors *e, const struct setting *s, uint32_t *out)
{
	uint64_t n = 0;

	if (!key_is_unique(s->value) && !words_parse_number(s->value, UINT32_MAX, &n)) {
		value_error(e, s,
			    "a number with 32 bits, %unique or %unique-dir (then one is chosen)");
		return false;
	}
	*out = (uint32_t)n;
	return true;
}

bool value_proposals(struct config_errors *e, const struct setting *s,
		     enum proposal_protocol protocol, const struct proposal_list **out)
{
	char word[CONFIG_QUOTE];
	struct config_pos at = s->at;
	enum proposal_error error;
	const char *nearest = NULL;
	struct proposal_list l;
	size_t offset, len;

	error = proposal_list_parse(protocol, s->value, &l, &offset, &len);
	if (error == PROPOSAL_OK && !proposals_set(out, &l))
		config_error(e, &s->at, "out of memory");
	if (error == PROPOSAL_OK)
		return true;
	at.column += (unsigned)offset;
	config_quote(span_of(s->value + offset, len), word);
	if (error == PROPOSAL_UNKNOWN_WORD)
		nearest = words_nearest(word, proposal_words());
	config_error(e, &at, "%s: '%s': %s%s%s%s", setting_name(s), word, proposal_strerror(error),
		     nearest ? "; did you mean '" : "", nearest ? nearest : "",
		     nearest ? "'?" : "");
	return false;
}

struct value_list value_list(const struct setting *s)
{
	return (struct value_list){.setting = s, .next = s->value};
}

bool value_list_next(struct config_errors *e, struct value_list *l, char *item, size_t size,
		     struct config_pos *at, bool *ok)
{
	char quote[CONFIG_QUOTE];
	size_t n;

	l->next += strspn(l->next, ", \t");
	n = strcspn(l->next, ", \t");
	if (n == 0)
		return false;
	*at = l->setting->at;
	at->column += (unsigned)(l->next - l->setting->value);
	if (n >= size) {
		config_error(e, at, "%s: '%s' is too long", setting_name(l->setting),
			     config_quote(span_of(l->next, n), quote));
		*ok = false;
		return false;
	}
	memcpy(item, l->next, n);
	item[n] = '\0';
	l->next += n;
	return true;
}
