/* Words that people type. Pure. */
#include "lib/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define WORD_MAX     64 /* longer words have no neighbours */
#define DURATION_MAX (10000 * 86400 * MONO_S)

static size_t min2(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Edit distance, in which case is no difference, two swapped neighbours being one edit (optimal
 * string alignment); three rows of the matrix are enough. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], na = strlen(a), nb = strlen(b);

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *second = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			row[j] = min2(min2(above[j], row[j - 1]) + 1,
				      above[j - 1] + !same_letter(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
			    same_letter(a[i - 2], b[j - 1]))
				row[j] = min2(row[j], second[j - 2] + 1);
		}
	}
	return rows[na % 3][nb];
}

const char *words_nearest(const char *word, const char *const *list)
{
	size_t len = strlen(word), best;
	const char *found = NULL;

	/* One letter is one edit away from each other one. */
	best = (len < 3 ? len > 1 : len / 3) + 1;
	for (; *list; list++) {
		size_t d = distance(word, *list);

		if (d < best) {
			best = d;
			found = *list;
		}
	}
	return found;
}

const char *words_choice(const char *const *list, char *text, size_t size)
{
	const char *before = "";

	text[0] = '\0';
	for (unsigned i = 0; list[i]; i++) {
		size_t at = strlen(text);

		snprintf(text + at, size - at, "%s%s", before, list[i]);
		before = list[i + 1] && list[i + 2] ? ", " : " or ";
	}
	return text;
}

/* A number at the head of the text; the unit that follows is given back, NULL when there
 * is no number or none of 64 bits. */
static const char *leading_number(const char *text, uint64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno ? NULL : end;
}

bool words_parse_duration(const char *text, mono_time *out)
{
	static const struct {
		const char *unit;
		mono_time ns;
	} units[] = {{"", MONO_S},	 {"ms", MONO_MS},      {"s", MONO_S},
		     {"m", 60 * MONO_S}, {"h", 3600 * MONO_S}, {"d", 86400 * MONO_S}};
	uint64_t n;
	const char *unit = leading_number(text, &n);

	for (size_t i = 0; unit && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].unit) == 0 && n <= DURATION_MAX / units[i].ns) {
			*out = n * units[i].ns;
			return true;
		}
	}
	return false;
}

bool words_parse_size(const char *text, uint64_t *out)
{
	static const char *const units[] = {"", "K", "M", "G"};
	uint64_t n;
	const char *unit = leading_number(text, &n);

	for (unsigned i = 0; unit && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcasecmp(unit, units[i]) == 0 && n <= UINT64_MAX >> i * 10) {
			*out = n << i * 10;
			return true;
		}
	}
	return false;
}

bool words_parse_number(const char *text, uint64_t max, uint64_t *out)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned long long n;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, hex ? 16 : 10);
	if (errno || *end || (hex && end == text + 2) || n > max)
		return false;
	*out = n;
	return true;
}

bool words_parse_bool(const char *text, bool *out)
{
	static const char *const yes[] = {"yes", "true", "enabled", "on", "1"};
	static const char *const no[] = {"no", "false", "disabled", "off", "0"};

	for (size_t i = 0; i < 5; i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*out = strcasecmp(text, yes[i]) == 0;
			return true;
		}
	}
	return false;
}
