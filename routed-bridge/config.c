/* The parser of routed-bridge.conf: lines of words. Every statement has one function that
 * reads its words and reports what is wrong with them; parsing goes on after an error, so
 * that one run shows all of them. */
#include "routed-bridge/config.h"
#include "lib/words.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX	4
#define WORD_SIZE	256
#define DISTANCE_MAX	254 /* 255 is zebra's "never use" */
#define DISTANCE	10

#define DEFAULT_VICI	"/var/run/charon.vici"
#define DEFAULT_ZSERV	"/var/run/frr/zserv.api"
#define DEFAULT_VTY_DIR "/var/run/frr"

static const char *const type_names[] = {
	[ZAPI_TYPE_NHRP] = "nhrp",   [ZAPI_TYPE_TABLE] = "table",
	[ZAPI_TYPE_BABEL] = "babel", [ZAPI_TYPE_OPENFABRIC] = "openfabric",
	[ZAPI_TYPE_SHARP] = "sharp", [ZAPI_TYPES] = NULL,
};

struct word {
	char text[WORD_SIZE];
	unsigned column;
};

struct parser {
	const char *file;
	void (*error)(void *ctx, const char *line);
	void *ctx;
	bool failed;
	unsigned line;
	unsigned n; /* words of this line */
	struct word words[WORDS_MAX];
	struct bridge_config *config;
	struct bridge_options defaults;
	struct bridge_section *section; /* NULL: before the first conn */
	bool section_bad;		/* its conn line was refused: read on, keep nothing */
	unsigned seen; /* bits of the statements that may come once, file or section */
};

static void __attribute__((format(printf, 3, 4)))
complain(struct parser *p, unsigned column, const char *format, ...)
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

static void out_of_memory(struct parser *p)
{
	complain(p, 1, "out of memory");
}

/* ---- values ---- */

/* The n words behind the keyword, or a complaint about how many there are. */
static bool expect_words(struct parser *p, unsigned n, const char *form)
{
	if (p->n == n + 1)
		return true;
	if (p->n > n + 1)
		complain(p, p->words[n + 1].column, "'%s' is one word too many; expected '%s'",
			 p->words[n + 1].text, form);
	else
		complain(p, p->words[0].column, "'%s' needs a value; expected '%s'",
			 p->words[0].text, form);
	return false;
}

static bool number_value(struct parser *p, unsigned word, uint64_t min, uint64_t max, uint64_t *out)
{
	const struct word *w = &p->words[word];

	if (words_parse_number(w->text, max, out) && *out >= min)
		return true;
	complain(p, w->column, "'%s': '%s' is not a number from %llu to %llu", p->words[0].text,
		 w->text, (unsigned long long)min, (unsigned long long)max);
	return false;
}

static void read_path(struct parser *p, char *out)
{
	const struct word *w = &p->words[1];
	char form[64];

	snprintf(form, sizeof(form), "%.31s /absolute/path", p->words[0].text);
	if (!expect_words(p, 1, form))
		return;
	if (w->text[0] != '/')
		complain(p, w->column, "'%s': '%s' is not an absolute path", p->words[0].text,
			 w->text);
	else if (strlen(w->text) >= BRIDGE_PATH_MAX)
		complain(p, w->column, "'%s': a socket path has at most %d characters",
			 p->words[0].text, BRIDGE_PATH_MAX - 1);
	else
		memcpy(out, w->text, strlen(w->text) + 1);
}

static void read_vici(struct parser *p, struct bridge_options *options)
{
	(void)options;
	read_path(p, p->config->vici);
}

static void read_zserv(struct parser *p, struct bridge_options *options)
{
	(void)options;
	read_path(p, p->config->zserv);
}

static void read_vty_dir(struct parser *p, struct bridge_options *options)
{
	(void)options;
	read_path(p, p->config->vty_dir);
}

/* Finds a word in a NULL-terminated list, or complains and names the nearest. */
static bool known_word(struct parser *p, const struct word *w, const char *const *list,
		       const char *what, unsigned *out)
{
	const char *near;

	for (unsigned i = 0; list[i]; i++) {
		if (strcmp(list[i], w->text) == 0) {
			*out = i;
			return true;
		}
	}
	near = words_nearest(w->text, list);
	if (near)
		complain(p, w->column, "unknown %s '%s'; did you mean '%s'?", what, w->text, near);
	else
		complain(p, w->column, "unknown %s '%s'", what, w->text);
	return false;
}

static void read_type(struct parser *p, struct bridge_options *options)
{
	uint64_t instance = 0;
	unsigned type;

	if (p->n < 2) {
		expect_words(p, 1, "type nhrp|table N|babel|openfabric|sharp");
		return;
	}
	if (!known_word(p, &p->words[1], type_names, "route type", &type))
		return;
	if (type == ZAPI_TYPE_TABLE) {
		if (!expect_words(p, 2, "type table N") ||
		    !number_value(p, 2, 1, UINT16_MAX, &instance))
			return;
	} else if (!expect_words(p, 1, "type nhrp|table N|babel|openfabric|sharp")) {
		return;
	}
	options->type = (enum zapi_route_type)type;
	options->instance = (uint16_t)instance;
}

static void read_tag(struct parser *p, struct bridge_options *options)
{
	uint64_t n;

	if (expect_words(p, 1, "tag N") && number_value(p, 1, 1, UINT32_MAX, &n))
		options->tag = (uint32_t)n;
}

static void read_distance(struct parser *p, struct bridge_options *options)
{
	uint64_t n;

	if (expect_words(p, 1, "distance N") && number_value(p, 1, 1, DISTANCE_MAX, &n))
		options->distance = (uint8_t)n;
}

static void read_metric(struct parser *p, struct bridge_options *options)
{
	uint64_t n;

	if (expect_words(p, 1, "metric N") && number_value(p, 1, 0, UINT32_MAX, &n))
		options->metric = (uint32_t)n;
}

static void read_selectors(struct parser *p, struct bridge_options *options)
{
	if (expect_words(p, 1, "selectors yes|no") &&
	    !words_parse_bool(p->words[1].text, &options->selectors))
		complain(p, p->words[1].column, "'selectors': '%s' is neither yes nor no",
			 p->words[1].text);
}

static void read_interface(struct parser *p, struct bridge_options *options)
{
	const struct word *w = &p->words[1];

	(void)options;
	if (!expect_words(p, 1, "interface NAME"))
		return;
	if (strlen(w->text) >= IF_NAMESIZE)
		complain(p, w->column, "'interface': '%s' is longer than %d characters", w->text,
			 IF_NAMESIZE - 1);
	else if (strchr(w->text, '/'))
		complain(p, w->column, "'interface': '%s' is no name of a device", w->text);
	else
		memcpy(p->section->interface, w->text, strlen(w->text) + 1);
}

static void read_prefix(struct parser *p, struct bridge_options *options)
{
	struct bridge_section *s = p->section;
	const struct word *w = &p->words[1];
	struct prefix prefix, masked, *list;
	char text[PREFIX_TEXT];

	(void)options;
	if (!expect_words(p, 1, "prefix ADDRESS/LENGTH"))
		return;
	if (!prefix_parse(w->text, &prefix)) {
		complain(p, w->column, "'prefix': '%s' is no ADDRESS/LENGTH", w->text);
		return;
	}
	masked = prefix_mask(&prefix);
	if (!prefix_equal(&prefix, &masked)) {
		complain(p, w->column, "'prefix': '%s' has host bits; did you mean '%s'?", w->text,
			 prefix_format(&masked, text));
		return;
	}
	for (size_t i = 0; i < s->n_prefixes; i++) {
		if (prefix_equal(&s->prefixes[i], &prefix)) {
			complain(p, w->column, "'prefix': '%s' is there already", w->text);
			return;
		}
	}
	list = realloc(s->prefixes, (s->n_prefixes + 1) * sizeof(*list));
	if (!list) {
		out_of_memory(p);
		return;
	}
	s->prefixes = list;
	list[s->n_prefixes++] = prefix;
}

static void read_conn(struct parser *p, struct bridge_options *options)
{
	struct bridge_config *c = p->config;
	struct bridge_section *list;

	(void)options;
	p->section = NULL;
	p->section_bad = true;
	p->seen = 0;
	if (!expect_words(p, 1, "conn NAME-OR-PATTERN"))
		return;
	for (size_t i = 0; i < c->n_sections; i++) {
		if (strcmp(c->sections[i].pattern, p->words[1].text) == 0) {
			complain(p, p->words[1].column, "'conn': there is a section '%s' already",
				 p->words[1].text);
			return;
		}
	}
	list = realloc(c->sections, (c->n_sections + 1) * sizeof(*list));
	if (list)
		c->sections = list;
	if (!list ||
	    !(list[c->n_sections] = (struct bridge_section){.pattern = strdup(p->words[1].text),
							    .options = p->defaults})
		     .pattern) {
		out_of_memory(p);
		return;
	}
	p->section = &c->sections[c->n_sections++];
	p->section->glob = strpbrk(p->words[1].text, "*?[") != NULL;
	p->section_bad = false;
}

/* ---- statements ---- */

enum place { IN_FILE = 1, IN_SECTION = 2, ANYWHERE = 3 };

struct statement {
	enum place place;
	bool repeats;
	void (*read)(struct parser *p, struct bridge_options *options);
};

static const char *const statement_names[] = {"conn",	   "vici",	"zserv",    "vty-dir",
					      "type",	   "tag",	"distance", "metric",
					      "selectors", "interface", "prefix",   NULL};

static const struct statement statements[] = {
	{ANYWHERE, true, read_conn},	   {IN_FILE, false, read_vici},
	{IN_FILE, false, read_zserv},	   {IN_FILE, false, read_vty_dir},
	{ANYWHERE, false, read_type},	   {ANYWHERE, false, read_tag},
	{ANYWHERE, false, read_distance},  {ANYWHERE, false, read_metric},
	{ANYWHERE, false, read_selectors}, {IN_SECTION, false, read_interface},
	{IN_SECTION, true, read_prefix},
};

static void read_statement(struct parser *p)
{
	bool in_section = p->section || p->section_bad;
	const struct word *w = &p->words[0];
	const struct statement *s;
	unsigned i;

	if (!known_word(p, w, statement_names, "keyword", &i))
		return;
	s = &statements[i];
	if (!(s->place & (in_section ? IN_SECTION : IN_FILE))) {
		complain(p, w->column,
			 in_section ? "'%s' belongs before the first 'conn'"
				    : "'%s' belongs into a 'conn' section",
			 w->text);
		return;
	}
	if (!s->repeats && (p->seen & 1u << i)) {
		complain(p, w->column, "'%s' is there already", w->text);
		return;
	}
	if (p->section_bad && s->read != read_conn)
		return;
	p->seen |= 1u << i;
	s->read(p, p->section ? &p->section->options : &p->defaults);
}

/* Splits one line; false: nothing to read on it. */
static bool split_line(struct parser *p, struct span line)
{
	size_t i = 0;

	p->n = 0;
	for (;;) {
		struct word *w = &p->words[p->n];
		size_t start;

		while (i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
			i++;
		if (i == line.len || line.ptr[i] == '#')
			return p->n > 0;
		if (p->n == WORDS_MAX) {
			complain(p, (unsigned)i + 1, "too many words");
			return false;
		}
		for (start = i; i < line.len && line.ptr[i] != ' ' && line.ptr[i] != '\t'; i++) {
			if (line.ptr[i] >= ' ' && line.ptr[i] != 0x7f)
				continue;
			complain(p, (unsigned)i + 1, "control character 0x%02x", line.ptr[i]);
			return false;
		}
		w->column = (unsigned)start + 1;
		if (i - start >= WORD_SIZE) {
			complain(p, w->column, "word longer than %d characters", WORD_SIZE - 1);
			return false;
		}
		memcpy(w->text, line.ptr + start, i - start);
		w->text[i - start] = '\0';
		p->n++;
	}
}

static void check_sessions(struct parser *p)
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
		complain(p, 1, "%zu different route types; at most %d are possible", distinct,
			 BRIDGE_SESSIONS_MAX);
}

static int name_order(const void *a, const void *b)
{
	const struct bridge_section *const *x = a, *const *y = b;

	return strcmp((*x)->pattern, (*y)->pattern);
}

static void sort_sections(struct parser *p)
{
	struct bridge_config *c = p->config;

	c->by_name = calloc(c->n_sections + 1, sizeof(c->by_name[0]));
	if (!c->by_name) {
		out_of_memory(p);
		return;
	}
	for (size_t i = 0; i < c->n_sections; i++)
		c->by_name[i] = &c->sections[i];
	qsort(c->by_name, c->n_sections, sizeof(c->by_name[0]), name_order);
}

struct bridge_config *bridge_config_parse(const char *file, struct span text,
					  void (*error)(void *ctx, const char *line), void *ctx)
{
	struct parser p = {.file = file, .error = error, .ctx = ctx};
	size_t start = 0;

	p.defaults.distance = DISTANCE;
	p.config = calloc(1, sizeof(*p.config));
	if (!p.config) {
		out_of_memory(&p);
		return NULL;
	}
	snprintf(p.config->vici, BRIDGE_PATH_MAX, "%s", DEFAULT_VICI);
	snprintf(p.config->zserv, BRIDGE_PATH_MAX, "%s", DEFAULT_ZSERV);
	snprintf(p.config->vty_dir, BRIDGE_PATH_MAX, "%s", DEFAULT_VTY_DIR);
	while (start < text.len) {
		const uint8_t *end = memchr(text.ptr + start, '\n', text.len - start);
		size_t n = end ? (size_t)(end - text.ptr) - start : text.len - start;
		size_t shown = n && text.ptr[start + n - 1] == '\r' ? n - 1 : n;

		p.line++;
		if (split_line(&p, span_of(text.ptr + start, shown)))
			read_statement(&p);
		start += n + 1;
	}
	check_sessions(&p);
	sort_sections(&p);
	if (!p.failed)
		return p.config;
	bridge_config_free(p.config);
	return NULL;
}

void bridge_config_free(struct bridge_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_sections; i++) {
		free(c->sections[i].pattern);
		free(c->sections[i].prefixes);
	}
	free(c->by_name);
	free(c->sections);
	free(c);
}

const struct bridge_section *bridge_config_match(const struct bridge_config *c, const char *conn)
{
	const struct bridge_section named = {.pattern = (char *)(uintptr_t)conn}, *key = &named;
	const struct bridge_section **found =
		bsearch(&key, c->by_name, c->n_sections, sizeof(c->by_name[0]), name_order);

	if (found)
		return *found;
	for (size_t i = 0; i < c->n_sections; i++) {
		if (c->sections[i].glob && fnmatch(c->sections[i].pattern, conn, FNM_NOESCAPE) == 0)
			return &c->sections[i];
	}
	return NULL;
}

const char *bridge_type_format(enum zapi_route_type type, uint16_t instance, char *text)
{
	if (type == ZAPI_TYPE_TABLE)
		snprintf(text, 24, "table %u", instance);
	else
		snprintf(text, 24, "%s", type_names[type]);
	return text;
}
