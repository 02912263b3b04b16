/* The Prometheus text format. Nothing but text: who serves it is metrics_http.c. */
#include "lib/metrics.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 4096

static char *reserve(struct metrics *m, size_t n)
{
	size_t cap = m->cap ? m->cap : FIRST_BYTES;
	char *text;

	if (m->failed || n > m->limit || m->len > m->limit - n) {
		m->failed = true;
		return NULL;
	}
	while (cap < m->len + n)
		cap *= 2;
	if (cap > m->cap) {
		text = realloc(m->text, cap);
		if (!text) {
			m->failed = true;
			return NULL;
		}
		m->text = text;
		m->cap = cap;
	}
	m->len += n;
	return m->text + m->len - n;
}

static void put(struct metrics *m, const char *text, size_t n)
{
	char *p = reserve(m, n);

	if (p)
		memcpy(p, text, n);
}

static void put_str(struct metrics *m, const char *text)
{
	put(m, text, strlen(text));
}

/* How long the UTF-8 character is that begins here; 0: it is none (RFC 3629). */
static size_t character(const unsigned char *s)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80		   ? 1
		   : (s[0] & 0xe0) == 0xc0 ? 2
		   : (s[0] & 0xf0) == 0xe0 ? 3
		   : (s[0] & 0xf8) == 0xf0 ? 4
					   : 0;
	unsigned code = n == 1 ? s[0] : s[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	return n && code >= least[n] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? n
											     : 0;
}

static void put_label_value(struct metrics *m, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;
	size_t n;

	for (; *s; s += n ? n : 1) {
		n = character(s);
		if (!n)
			put_str(m, "?");
		else if (*s == '\n')
			put_str(m, "\\n");
		else if (*s == '"' || *s == '\\')
			put(m, (const char[]){'\\', (char)*s}, 2);
		else
			put(m, (const char *)s, n);
	}
}

static void put_label(struct metrics *m, const char *name, const char *value, bool first)
{
	put_str(m, first ? "{" : ",");
	put_str(m, name);
	put_str(m, "=\"");
	put_label_value(m, value);
	put_str(m, "\"");
}

/* The family's name, a suffix, the labels and, unless it is NULL, one more: le. */
static void put_name(struct metrics *m, const char *suffix, const char *le, va_list labels)
{
	const char *name, *value;
	bool first = true;

	put_str(m, m->family);
	put_str(m, suffix);
	while ((name = va_arg(labels, const char *)) != NULL) {
		value = va_arg(labels, const char *);
		put_label(m, name, value ? value : "", first);
		first = false;
	}
	if (le)
		put_label(m, "le", le, first);
	put_str(m, first && !le ? " " : "} ");
}

static void put_uint(struct metrics *m, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)value);
	put_str(m, text);
}

static const char *format_real(double value, char text[32])
{
	if (isnan(value))
		return "NaN";
	if (isinf(value))
		return value > 0 ? "+Inf" : "-Inf";
	if (value > -9e15 && value < 9e15 && value == (double)(long long)value)
		snprintf(text, 32, "%lld", (long long)value);
	else
		snprintf(text, 32, "%.15g", value);
	return text;
}

static void put_real(struct metrics *m, double value)
{
	char text[32];

	put_str(m, format_real(value, text));
	put_str(m, "\n");
}

void metrics_family(struct metrics *m, enum metrics_type type, const char *name, const char *help)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	m->family = name;
	put_str(m, "# HELP ");
	put_str(m, name);
	put_str(m, " ");
	for (; *help; help++) {
		if (*help == '\\' || *help == '\n')
			put_str(m, *help == '\n' ? "\\n" : "\\\\");
		else
			put(m, help, 1);
	}
	put_str(m, "\n# TYPE ");
	put_str(m, name);
	put_str(m, " ");
	put_str(m, types[type]);
	put_str(m, "\n");
}

void metrics_uint(struct metrics *m, uint64_t value, ...)
{
	va_list labels;

	va_start(labels, value);
	put_name(m, "", NULL, labels);
	va_end(labels);
	put_uint(m, value);
}

void metrics_real(struct metrics *m, double value, ...)
{
	va_list labels;

	va_start(labels, value);
	put_name(m, "", NULL, labels);
	va_end(labels);
	put_real(m, value);
}

void metrics_gauge(struct metrics *m, const char *name, const char *help, uint64_t value)
{
	metrics_family(m, METRICS_GAUGE, name, help);
	metrics_uint(m, value, NULL);
}

void metrics_counter(struct metrics *m, const char *name, const char *help, uint64_t value)
{
	metrics_family(m, METRICS_COUNTER, name, help);
	metrics_uint(m, value, NULL);
}

void metrics_observe(struct metrics_histogram *h, double value)
{
	unsigned i = 0;

	while (i < h->n && value > h->bounds[i])
		i++;
	h->counts[i]++;
	h->sum += value;
}

static void put_part(struct metrics *m, const char *suffix, const char *le, va_list labels)
{
	va_list again;

	va_copy(again, labels);
	put_name(m, suffix, le, again);
	va_end(again);
}

void metrics_histogram(struct metrics *m, const struct metrics_histogram *h, ...)
{
	uint64_t count = 0;
	va_list labels;
	char le[32];

	va_start(labels, h);
	for (unsigned i = 0; i <= h->n; i++) {
		count += h->counts[i];
		put_part(m, "_bucket", i < h->n ? format_real(h->bounds[i], le) : "+Inf", labels);
		put_uint(m, count);
	}
	put_part(m, "_sum", NULL, labels);
	put_real(m, h->sum);
	put_part(m, "_count", NULL, labels);
	put_uint(m, count);
	va_end(labels);
}

void metrics_free(struct metrics *m)
{
	free(m->text);
	*m = (struct metrics){.limit = m->limit};
}
