/* The parser of routed-bridge.conf: lines of words, and the values that they stand for. */
#include "routed-bridge/config_parse.h"
#include "lib/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DISTANCE	10
#define EXPECTED_WORDS	10 /* longer lists are not shown */

#define DEFAULT_VICI	"/var/run/charon.vici"
#define DEFAULT_ZSERV	"/var/run/frr/zserv.api"
#define DEFAULT_VTY_DIR "/var/run/frr"

void __attribute__((format(printf, 3, 4)))
config_complain(struct config_parser *p, unsigned column, const char *format, ...)
{
	char text[640], line[768];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "%s:%u:%u: %s", p->file, p->line, column, text);
	p->failed = true;
	p->error(p->ctx, line);
}

void config_out_of_memory(struct config_parser *p)
{
	config_complain(p, 1, "out of memory");
}

/* ---- values ---- */

bool config_expect_words(struct config_parser *p, unsigned n, const char *form)
{
	if (p->n == n + 1)
		return true;
	if (p->n > n + 1)
		config_complain(p, p->words[n + 1].column,
				"'%s' is one word too many; expected '%s'", p->words[n + 1].text,
				form);
	else
		config_complain(p, p->words[0].column, "'%s' needs a value; expected '%s'",
				p->words[0].text, form);
	return false;
}

bool config_number(struct config_parser *p, unsigned word, uint64_t min, uint64_t max,
		   uint64_t *out)
{
	const struct config_word *w = &p->words[word];

	if (words_parse_number(w->text, max, out) && *out >= min)
		return true;
	config_complain(p, w->column, "'%s': '%s' is not a number from %llu to %llu",
			p->words[0].text, w->text, (unsigned long long)min,
			(unsigned long long)max);
	return false;
}

static bool is_short(const char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n <= EXPECTED_WORDS;
}

bool config_known_word(struct config_parser *p, const struct config_word *w,
		       const char *const *list, const char *what, unsigned *out)
{
	const char *near;
	char text[160];

	for (unsigned i = 0; list[i]; i++) {
		if (strcmp(list[i], w->text) == 0) {
			*out = i;
			return true;
		}
	}
	near = words_nearest(w->text, list);
	if (near)
		config_complain(p, w->column, "unknown %s '%s'; did you mean '%s'?", what, w->text,
				near);
	else if (is_short(list))
		config_complain(p, w->column, "unknown %s '%s'; expected %s", what, w->text,
				words_choice(list, text, sizeof(text)));
	else
		config_complain(p, w->column, "unknown %s '%s'", what, w->text);
	return false;
}

bool config_yes_no(struct config_parser *p, bool *out)
{
	char form[64];

	snprintf(form, sizeof(form), "%.31s yes|no", p->words[0].text);
	if (!config_expect_words(p, 1, form))
		return false;
	if (words_parse_bool(p->words[1].text, out))
		return true;
	config_complain(p, p->words[1].column, "'%s': '%s' is neither yes nor no", p->words[0].text,
			p->words[1].text);
	return false;
}

bool config_endpoint(struct config_parser *p, struct endpoint *out)
{
	const struct config_word *w = &p->words[1];
	char form[64];

	snprintf(form, sizeof(form), "%.31s ADDRESS:PORT", p->words[0].text);
	if (!config_expect_words(p, 1, form))
		return false;
	if (endpoint_parse(w->text, out))
		return true;
	config_complain(p, w->column,
			"'%s': '%s' is no ADDRESS:PORT like 127.0.0.1:17900 or [::1]:17900",
			p->words[0].text, w->text);
	return false;
}

void config_read_path(struct config_parser *p, char *out)
{
	const struct config_word *w = &p->words[1];
	char form[64];

	snprintf(form, sizeof(form), "%.31s /absolute/path", p->words[0].text);
	if (!config_expect_words(p, 1, form))
		return;
	if (w->text[0] != '/')
		config_complain(p, w->column, "'%s': '%s' is not an absolute path",
				p->words[0].text, w->text);
	else if (strlen(w->text) >= BRIDGE_PATH_MAX)
		config_complain(p, w->column, "'%s': a socket path has at most %d characters",
				p->words[0].text, BRIDGE_PATH_MAX - 1);
	else
		memcpy(out, w->text, strlen(w->text) + 1);
}

/* ---- lines ---- */

/* Splits one line; false: nothing to read on it. */
static bool split_line(struct config_parser *p, struct span line)
{
	size_t i = 0;

	p->n = 0;
	for (;;) {
		struct config_word *w = &p->words[p->n];
		size_t start;

		while (i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
			i++;
		if (i == line.len || line.ptr[i] == '#')
			return p->n > 0;
		if (p->n == CONFIG_WORDS_MAX) {
			config_complain(p, (unsigned)i + 1, "too many words");
			return false;
		}
		for (start = i; i < line.len && line.ptr[i] != ' ' && line.ptr[i] != '\t'; i++) {
			if (line.ptr[i] >= ' ' && line.ptr[i] != 0x7f)
				continue;
			config_complain(p, (unsigned)i + 1, "control character 0x%02x",
					line.ptr[i]);
			return false;
		}
		w->column = (unsigned)start + 1;
		if (i - start >= CONFIG_WORD_SIZE) {
			config_complain(p, w->column, "word longer than %d characters",
					CONFIG_WORD_SIZE - 1);
			return false;
		}
		memcpy(w->text, line.ptr + start, i - start);
		w->text[i - start] = '\0';
		p->n++;
	}
}

static void check_sessions(struct config_parser *p)
{
	const struct bridge_section *s = p->config->sections;
	size_t distinct = 0;

	for (size_t i = 0; i < p->config->n_sections; i++) {
		bool first = true;

		for (size_t j = 0; j < i; j++)
			first = first && (s[j].options.type != s[i].options.type ||
					  s[j].options.instance != s[i].options.instance);
		distinct += first;
	}
	if (distinct > BRIDGE_SESSIONS_MAX)
		config_complain(p, 1, "%zu different route types; at most %d are possible",
				distinct, BRIDGE_SESSIONS_MAX);
}

struct bridge_config *bridge_config_parse(const char *file, struct span text,
					  void (*error)(void *ctx, const char *line), void *ctx)
{
	struct config_parser p = {.file = file, .error = error, .ctx = ctx};
	size_t start = 0;

	p.defaults.distance = DISTANCE;
	p.defaults.quality.limits = QUALITY_LIMITS_DEFAULT;
	p.config = calloc(1, sizeof(*p.config));
	if (!p.config) {
		config_out_of_memory(&p);
		return NULL;
	}
	p.config->describe = true;
	p.config->bfd_hold = BRIDGE_BFD_HOLD;
	snprintf(p.config->control, BRIDGE_PATH_MAX, "%s", BRIDGE_CONTROL_PATH);
	config_repair_defaults(&p.config->repair);
	snprintf(p.config->vici, BRIDGE_PATH_MAX, "%s", DEFAULT_VICI);
	snprintf(p.config->zserv, BRIDGE_PATH_MAX, "%s", DEFAULT_ZSERV);
	snprintf(p.config->vty_dir, BRIDGE_PATH_MAX, "%s", DEFAULT_VTY_DIR);
	p.config->zebra = true;
	while (start < text.len) {
		const uint8_t *end = memchr(text.ptr + start, '\n', text.len - start);
		size_t n = end ? (size_t)(end - text.ptr) - start : text.len - start;
		size_t shown = n && text.ptr[start + n - 1] == '\r' ? n - 1 : n;

		p.line++;
		if (split_line(&p, span_of(text.ptr + start, shown)))
			config_read_statement(&p);
		start += n + 1;
	}
	check_sessions(&p);
	config_repair_check(&p);
	config_quality_check(&p);
	if (!config_sort(p.config))
		config_out_of_memory(&p);
	if (!p.failed)
		return p.config;
	bridge_config_free(p.config);
	return NULL;
}
