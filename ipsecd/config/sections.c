/* Reads ipsec.conf and what it includes into sections. Knows which keywords exist and
 * where, not what their values mean. */
#include "ipsecd/config/sections.h"
#include "ipsecd/config/lexer.h"
#include "ipsecd/config/recall.h"
#include "lib/text.h"
#include "lib/words.h"

#include <stdlib.h>
#include <string.h>

#define FILES_MAX    10000
#define NAME_MAX_LEN 200 /* vici's names have one length byte */

/* One file while it is read. */
struct reading {
	struct sections *out;
	struct config_errors *errors;
	const struct config_reader *reader;
	struct reading *parent; /* the file that includes this one */
	unsigned depth;
	const char *file;
	struct section *current; /* NULL: outside of sections, or in one that was refused */
	bool skip;		 /* in a section that was refused */
	struct lexer *lexer;
	bool *looped; /* one for all files: no more includes */
};

static struct config_pos place(const struct reading *r, unsigned line, unsigned column)
{
	return (struct config_pos){r->file, line, column};
}

static struct config_pos place_of(const struct reading *r, const struct lexer_line *l,
				  const struct lexer_word *w)
{
	return place(r, l->line, w->column);
}

static bool is_word(const struct lexer_word *w, const char *text)
{
	return span_equal(w->text, span_str(text));
}

static char *copy_word(const struct lexer_word *w)
{
	char *text = malloc(w->text.len + 1);

	if (text)
		lexer_unquote(w, text);
	return text;
}

/* ---- headers ---- */

static struct section *section_new(struct reading *r, const struct lexer_line *l,
				   enum keyword_scope scope, const char *name)
{
	struct config_pos pos = place(r, l->line, l->key.column);
	struct section *s = calloc(1, sizeof(*s));

	if (s)
		s->name = strdup(name);
	if (s && s->name) {
		s->scope = scope;
		s->pos = pos;
		return s;
	}
	config_error(r->errors, &pos, "out of memory");
	free(s);
	return NULL;
}

static void section_free(struct section *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n; i++)
		free(s->settings[i].value);
	free(s->settings);
	free(s->name);
	free(s);
}

static bool name_allowed(const char *name)
{
	for (const char *p = name; *p; p++) {
		if (strchr(" \t\r\"=", *p))
			return false;
	}
	return *name && strlen(name) <= NAME_MAX_LEN;
}

/* Whether the section can be passed over, and is. */
static bool pass(struct reading *r, const struct lexer_line *l, enum recall_kind kind,
		 const char *name)
{
	struct lexer_section s;
	struct span text;

	if (!r->reader || !r->reader->recall)
		return false;
	s = lexer_section(r->lexer);
	text = span_of(l->key.text.ptr, (size_t)(r->lexer->text.ptr + s.end - l->key.text.ptr));
	if (!recall_section(r->reader->recall, kind, span_str(name), text, s.includes))
		return false;
	lexer_skip(r->lexer, &s);
	return true;
}

static void start_conn(struct reading *r, const struct lexer_line *l, const char *name)
{
	struct config_pos at = place_of(r, l, l->value.text.len ? &l->value : &l->key);
	struct section *s;
	char quote[CONFIG_QUOTE];

	if (strcmp(name, "%default") == 0) {
		pass(r, l, RECALL_DEFAULTS, name);
		if (!r->out->defaults)
			r->out->defaults = section_new(r, l, SCOPE_CONN, name);
		r->current = r->out->defaults;
		return;
	}
	if (name[0] == '%') {
		config_error(r->errors, &at, "conn %s: of names with %% there is '%%default' alone",
			     config_quote(span_str(name), quote));
		return;
	}
	if (!name_allowed(name)) {
		config_error(r->errors, &at, "expected the name of the connection: conn NAME");
		return;
	}
	if (!text_is_ascii(name, strlen(name))) { /* a client's whole list would fail */
		config_quote(span_str(name), quote);
		config_error(r->errors, &at,
			     "conn %s: expected a name of printable ASCII characters: swanctl "
			     "can't read others",
			     quote);
		return;
	}
	if (pass(r, l, RECALL_CONN, name))
		return;
	HASH_FIND_STR(r->out->conns, name, s);
	if (s) {
		config_error(r->errors, &at, "conn %s was already defined at %s:%u",
			     config_quote(span_str(name), quote), s->pos.file, s->pos.line);
		return;
	}
	s = section_new(r, l, SCOPE_CONN, name);
	if (s)
		HASH_ADD_KEYPTR(hh, r->out->conns, s->name, strlen(s->name), s);
	r->current = s;
}

static void start_setup(struct reading *r, const struct lexer_line *l, const char *name)
{
	struct config_pos at = place_of(r, l, &l->key);
	char quote[CONFIG_QUOTE];

	if (strcmp(name, "setup") != 0) {
		config_error(r->errors, &at, "expected 'config setup', found 'config %s'",
			     config_quote(span_str(name), quote));
		return;
	}
	pass(r, l, RECALL_SETUP, name);
	if (!r->out->setup)
		r->out->setup = section_new(r, l, SCOPE_SETUP, name);
	r->current = r->out->setup;
}

static void unknown_header(struct reading *r, const struct lexer_line *l)
{
	static const char *const kinds[] = {"conn", "config", "ca", "include", NULL};
	struct config_pos at = place_of(r, l, &l->key);
	char quote[CONFIG_QUOTE];
	const char *nearest;

	config_quote(l->key.text, quote);
	nearest = words_nearest(quote, kinds);
	if (l->assigned)
		config_error(r->errors, &at,
			     "'%s=' stands outside of a section; settings must be indented", quote);
	else if (nearest)
		config_error(r->errors, &at, "unexpected '%s'; did you mean '%s'?", quote, nearest);
	else
		config_error(r->errors, &at,
			     "unexpected '%s'; expected conn, config setup, ca or include", quote);
}

static void header(struct reading *r, const struct lexer_line *l)
{
	struct config_pos at = place_of(r, l, &l->key);
	char *name = copy_word(&l->value);

	r->current = NULL;
	r->skip = true; /* the lines of a refused section are not worth a message each */
	if (!name)
		config_error(r->errors, &at, "out of memory");
	else if (l->assigned)
		unknown_header(r, l);
	else if (is_word(&l->key, "conn"))
		start_conn(r, l, name);
	else if (is_word(&l->key, "config"))
		start_setup(r, l, name);
	else if (is_word(&l->key, "ca"))
		config_error(r->errors, &at,
			     "certificates are not supported yet: remove this ca section");
	else if (is_word(&l->key, "version")) /* "version 2.0" says nothing */
		r->skip = false;
	else
		unknown_header(r, l);
	free(name);
}

/* ---- settings ---- */

static const struct setting *find_setting(const struct section *s, const struct keyword *k,
					  bool right)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->settings[i].keyword->id == k->id && s->settings[i].right == right)
			return &s->settings[i];
	}
	return NULL;
}

static void add_setting(struct reading *r, const struct lexer_line *l, const struct keyword *k,
			bool right)
{
	struct section *s = r->current;
	const struct setting *before = find_setting(s, k, right);
	struct config_pos at = place_of(r, l, &l->key);
	struct setting *settings;

	if (before && k->id != KEYWORD_ALSO) {
		config_error(r->errors, &at, "%s was already set at %s:%u by %s",
			     right ? k->right : k->name, before->key.file, before->key.line,
			     before->right ? before->keyword->right : before->keyword->name);
		return;
	}
	settings = reallocarray(s->settings, s->n + 1u, sizeof(*settings));
	if (!settings) {
		config_error(r->errors, &at, "out of memory");
		return;
	}
	s->settings = settings;
	settings[s->n] = (struct setting){.keyword = k,
					  .right = right,
					  .value = copy_word(&l->value),
					  .key = at,
					  .at = place_of(r, l, &l->value)};
	if (settings[s->n].value && k->id == KEYWORD_ALSO && r->reader)
		recall_refers(r->reader->recall, settings[s->n].value);
	if (settings[s->n].value)
		s->n++;
	else
		config_error(r->errors, &at, "out of memory");
}

/* Keywords that set nothing here. */
static void judge(struct reading *r, const struct lexer_line *l, const struct keyword *k,
		  const char *name)
{
	struct config_pos key = place_of(r, l, &l->key), at = place_of(r, l, &l->value);
	char *value, quote[CONFIG_QUOTE];

	if (k->rule == RULE_IGNORED) {
		config_warning(r->errors, &key, "%s is ignored: %s", name, k->reason);
		return;
	}
	if (k->rule == RULE_REFUSED) {
		config_error(r->errors, &key, "%s: %s", name, k->reason);
		return;
	}
	value = copy_word(&l->value);
	if (value && !keyword_accepts(k, value))
		config_error(r->errors, &at, "%s=%s: %s; possible: %s", name,
			     config_quote(span_str(value), quote), k->reason, k->accepts);
	free(value);
}

static void unknown_keyword(struct reading *r, const struct lexer_line *l, const char *word,
			    const struct keyword *elsewhere)
{
	struct config_pos at = place_of(r, l, &l->key);
	const char *nearest = keyword_nearest(word, r->current->scope);
	bool setup = r->current->scope == SCOPE_SETUP;

	if (elsewhere)
		config_error(r->errors, &at, "%s does not belong into a %s section, but into %s",
			     word, setup ? "'config setup'" : "conn",
			     setup ? "conn" : "'config setup'");
	else if (nearest)
		config_error(r->errors, &at, "unknown keyword '%s'; did you mean '%s'?", word,
			     nearest);
	else
		config_error(r->errors, &at, "unknown keyword '%s'", word);
}

static void setting(struct reading *r, const struct lexer_line *l)
{
	struct config_pos at = place_of(r, l, &l->key);
	char word[CONFIG_QUOTE];
	const struct keyword *k;
	bool right;

	config_quote(l->key.text, word);
	if (!r->current && !r->skip)
		config_error(r->errors, &at,
			     "this line stands outside of a section; expected conn, config setup, "
			     "ca or include at the start of a line");
	if (!r->current)
		return;
	if (!l->assigned && (is_word(&l->key, "conn") || is_word(&l->key, "config"))) {
		config_error(
			r->errors, &at,
			"'%s' starts a section only at the head of a line; here it is indented",
			word);
		return;
	}
	if (!l->assigned || !l->key.text.len) {
		config_error(r->errors, &at, "expected keyword=value, found '%s'", word);
		return;
	}
	k = keyword_find(word, r->current->scope, &right);
	if (!k || !(k->scopes & r->current->scope))
		unknown_keyword(r, l, word, k);
	else if (k->rule == RULE_VALUE)
		add_setting(r, l, k, right);
	else if (l->value.text.len)
		judge(r, l, k, right ? k->right : k->name);
}

/* ---- files ---- */

static void include(struct reading *r, const struct lexer_line *l);

static void read_file(struct reading *r, struct span text)
{
	struct lexer lexer = lexer_over(text);
	struct lexer_line l;

	r->lexer = &lexer;
	while (lexer_line(&lexer, &l)) {
		struct config_pos at = place(r, l.line, l.error_column);

		if (l.error != LEXER_OK)
			config_error(r->errors, &at, "%s", lexer_strerror(l.error));
		else if (is_word(&l.key, "include") && !l.assigned)
			include(r, &l);
		else if (!l.indented)
			header(r, &l);
		else
			setting(r, &l);
	}
}

/* Keeps the name as long as the sections live; NULL when out of memory. */
static const char *keep_file(struct sections *s, const char *file)
{
	char **files = reallocarray(s->files, s->n_files + 1u, sizeof(*files));

	if (!files)
		return NULL;
	s->files = files;
	files[s->n_files] = strdup(file);
	return files[s->n_files] ? files[s->n_files++] : NULL;
}

/* A file that an include names. */
struct including {
	struct reading *from;
	struct config_pos at;
};

static void read_included(void *ctx, const char *path, struct span text)
{
	struct including *i = ctx;
	struct reading *from = i->from, r = *from;

	for (const struct reading *p = from; p; p = p->parent) {
		if (strcmp(p->file, path) == 0 && !*from->looped) {
			config_error(from->errors, &i->at, "%s includes itself", path);
			*from->looped = true;
		}
	}
	if (*from->looped)
		return;
	r.file = from->out->n_files < FILES_MAX ? keep_file(from->out, path) : NULL;
	if (!r.file) {
		config_error(from->errors, &i->at, "too many files are included");
		*from->looped = true;
		return;
	}
	r.parent = from;
	r.depth = from->depth + 1;
	r.current = NULL;
	r.skip = false;
	read_file(&r, text);
}

/* Indented, it leaves the section open; at the start of a line it ends it. */
static void include(struct reading *r, const struct lexer_line *l)
{
	struct including i = {.from = r, .at = place_of(r, l, &l->value)};
	char *pattern = copy_word(&l->value);
	const char *error;

	if (!l->indented) {
		r->current = NULL;
		r->skip = false;
	}
	if (!pattern)
		error = "out of memory";
	else if (!*pattern)
		error = "expected a file name";
	else if (!r->reader)
		error = "includes are not possible here";
	else if (r->depth >= CONFIG_INCLUDE_MAX)
		error = "includes go too deep";
	else
		error = r->reader->include(r->reader->ctx, pattern, r->file, read_included, &i);
	if (error)
		config_error(r->errors, &i.at, "include %s: %s", pattern ? pattern : "", error);
	free(pattern);
}

void sections_read(const char *file, struct span text, const struct config_reader *reader,
		   struct sections *out, struct config_errors *errors)
{
	bool looped = false;
	struct reading r = {.out = out, .errors = errors, .reader = reader, .looped = &looped};
	const struct config_pos at = {.file = file};

	r.file = keep_file(out, file);
	if (r.file)
		read_file(&r, text);
	else
		config_error(errors, &at, "out of memory");
}

void sections_free(struct sections *s)
{
	struct section *conn, *tmp;

	HASH_ITER (hh, s->conns, conn, tmp) {
		HASH_DEL(s->conns, conn);
		section_free(conn);
	}
	section_free(s->defaults);
	section_free(s->setup);
	for (unsigned i = 0; i < s->n_files; i++)
		free(s->files[i]);
	free(s->files);
	*s = (struct sections){0};
}
