/* Reads line by line and keeps a list of names that were seen. Slow, and simple. */
#include "tests/support/metrics_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_MAX       4096
#define LINE_MAX_BYTES 2048

struct check {
	char family[LINE_MAX_BYTES];
	bool helped, typed, histogram;
	char *seen[SEEN_MAX]; /* families, and samples with their labels */
	size_t n_seen;
	char bucket_of[LINE_MAX_BYTES]; /* labels but le */
	double bucket, last_bound;
};

static void remember(struct check *c, const char *what)
{
	for (size_t i = 0; i < c->n_seen; i++) {
		if (strcmp(c->seen[i], what) == 0)
			fail_msg("twice: %s", what);
	}
	assert_true(c->n_seen < SEEN_MAX);
	c->seen[c->n_seen++] = strdup(what);
}

static size_t name_len(const char *s)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*s) && *s != '_')
		return 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

static void comment(struct check *c, char *line)
{
	bool help = strncmp(line, "# HELP ", 7) == 0;
	char *name = line + 7;
	size_t n = name_len(name);

	if ((!help && strncmp(line, "# TYPE ", 7) != 0) || !n || name[n] != ' ' || !name[n + 1])
		fail_msg("neither HELP nor TYPE: %s", line);
	name[n] = '\0';
	if (help) {
		name[-1] = '#'; /* a sample without labels has the same name */
		remember(c, name - 1);
		snprintf(c->family, sizeof(c->family), "%s", name);
		c->helped = true;
		c->typed = false;
		return;
	}
	if (strcmp(name, c->family) != 0 || c->typed)
		fail_msg("TYPE of %s behind HELP of %s", name, c->family);
	c->typed = true;
	c->histogram = strcmp(name + n + 1, "histogram") == 0;
	if (strcmp(name + n + 1, "counter") == 0) {
		if (n < 7 || strcmp(name + n - 6, "_total") != 0)
			fail_msg("a counter without _total: %s", name);
	} else if (!c->histogram && strcmp(name + n + 1, "gauge") != 0) {
		fail_msg("type %s", name + n + 1);
	}
}

/* One name="value" or the whole thing is wrong; what is behind it. le goes to *bound. */
static const char *label(const char *s, const char *line, char *others, double *bound)
{
	size_t n = name_len(s), used = strlen(others);
	const char *value = s + n + 2, *from = s;
	char *end;

	if (!n || s[n] != '=' || s[n + 1] != '"')
		fail_msg("a bad label: %s", line);
	for (s = value; *s != '"'; s++) {
		if (!*s || (*s == '\\' && !strchr("\\\"n", *++s)))
			fail_msg("a bad value of a label: %s", line);
	}
	if (n == 2 && strncmp(from, "le", 2) == 0) {
		*bound = strtod(value, &end);
		assert_ptr_equal(end, s);
	} else {
		snprintf(others + used, LINE_MAX_BYTES - used, "%.*s,", (int)(s + 1 - from), from);
	}
	return s + 1;
}

static void bucket(struct check *c, const char *labels, double bound, double value, bool count)
{
	if (count) {
		assert_string_equal(labels, c->bucket_of);
		assert_true(value == c->bucket);
		c->bucket_of[0] = '\0';
		c->bucket = 0;
		return;
	}
	if (c->bucket && strcmp(labels, c->bucket_of) == 0)
		assert_true(bound > c->last_bound && value >= c->bucket);
	snprintf(c->bucket_of, sizeof(c->bucket_of), "%s", labels);
	c->bucket = value;
	c->last_bound = bound;
}

static void sample(struct check *c, const char *line)
{
	size_t n = name_len(line), family = strlen(c->family);
	char labels[LINE_MAX_BYTES] = "", whole[LINE_MAX_BYTES], *end;
	const char *s = line + n, *suffix = line + family;
	double bound = -1, value;

	if (!n || !c->typed || strncmp(line, c->family, family) != 0)
		fail_msg("a sample outside its family: %s", line);
	if (*s == '{') {
		do
			s = label(s + 1, line, labels, &bound);
		while (*s == ',');
		if (*s++ != '}')
			fail_msg("labels do not end: %s", line);
	}
	snprintf(whole, sizeof(whole), "%.*s", (int)(s - line), line);
	remember(c, whole);
	if (*s++ != ' ' || isspace((unsigned char)*s))
		fail_msg("one blank stands before the value: %s", line);
	value = strtod(s, &end);
	if (end == s || *end)
		fail_msg("no number: %s", line);
	if (!c->histogram)
		assert_int_equal(n, family);
	else if (strncmp(suffix, "_bucket", 7) == 0 && n == family + 7)
		bucket(c, labels, bound, value, false);
	else if (strncmp(suffix, "_count", 6) == 0 && n == family + 6)
		bucket(c, labels, bound, value, true);
	else
		assert_true(strncmp(suffix, "_sum", 4) == 0 && n == family + 4);
}

void metrics_check(const char *text, size_t len)
{
	struct check c = {0};
	char line[LINE_MAX_BYTES];
	const char *end;

	for (size_t at = 0; at < len; at += (size_t)(end - (text + at)) + 1) {
		end = memchr(text + at, '\n', len - at);
		if (!end)
			fail_msg("the last line does not end");
		assert_true((size_t)(end - (text + at)) < sizeof(line));
		memcpy(line, text + at, (size_t)(end - (text + at)));
		line[end - (text + at)] = '\0';
		if (*line == '#')
			comment(&c, line);
		else
			sample(&c, line);
	}
	while (c.n_seen)
		free(c.seen[--c.n_seen]);
}
