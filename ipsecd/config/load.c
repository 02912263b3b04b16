/* The file system under the parsers: reading, globbing, permissions. */
#include "ipsecd/config/errors.h"
#include "ipsecd/config/lexer.h"
#include "ipsecd/config/recall.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct files {
	bool secret; /* cleanse what was read, and look at permissions */
	struct config_errors *errors;
	char message[128];
};

/* Reads a whole file. NULL when done, else why not. */
static const char *read_whole(const char *path, char **text, size_t *len, struct stat *st)
{
	FILE *f = fopen(path, "re");
	const char *error = NULL;

	if (!f)
		return strerror(errno);
	*text = NULL;
	setvbuf(f, NULL, _IONBF, 0); /* no second copy, that nobody would cleanse */
	if (fstat(fileno(f), st) != 0)
		error = strerror(errno);
	else if (!S_ISREG(st->st_mode))
		error = "not a regular file";
	else if (st->st_size > CONFIG_FILE_BYTES)
		error = "the file is too large";
	else if (!(*text = malloc((size_t)st->st_size + 1)))
		error = "out of memory";
	if (!error) {
		*len = fread(*text, 1, (size_t)st->st_size, f);
		if (ferror(f))
			error = strerror(errno);
	}
	if (error) {
		free(*text);
		*text = NULL;
	}
	fclose(f);
	return error;
}

static void release(const struct files *files, char *text, size_t len)
{
	if (files->secret)
		explicit_bzero(text, len);
	free(text);
}

static void check_mode(const struct files *files, const char *path, const struct stat *st)
{
	struct config_pos at = {.file = path};

	if (files->secret && (st->st_mode & (S_IRGRP | S_IROTH | S_IWGRP | S_IWOTH)))
		config_warning(files->errors, &at,
			       "other users may read or write these secrets (mode %03o); use 600",
			       (unsigned)st->st_mode & 0777);
}

/* A pattern is relative to the folder of the file that it stands in. */
static bool absolute(const char *pattern, const char *from, char *out, size_t size)
{
	const char *slash = strrchr(from, '/');
	int n;

	if (pattern[0] == '/' || !slash)
		n = snprintf(out, size, "%s", pattern);
	else
		n = snprintf(out, size, "%.*s/%s", (int)(slash - from), from, pattern);
	return n >= 0 && (size_t)n < size;
}

static const char *give_file(struct files *files, const char *path,
			     void (*give)(void *give_ctx, const char *path, struct span text),
			     void *give_ctx)
{
	const char *error;
	struct stat st;
	size_t len = 0;
	char *text;

	error = read_whole(path, &text, &len, &st);
	if (error) {
		snprintf(files->message, sizeof(files->message), "%.60s: %.60s", path, error);
		return files->message;
	}
	check_mode(files, path, &st);
	give(give_ctx, path, span_of(text, len));
	release(files, text, len);
	return NULL;
}

/* No match is fine for a pattern with wildcards, an error for a name. */
static const char *include(void *ctx, const char *pattern, const char *from,
			   void (*give)(void *give_ctx, const char *path, struct span text),
			   void *give_ctx)
{
	struct files *files = ctx;
	const char *error = NULL;
	char path[PATH_MAX];
	glob_t found;
	int rc;

	if (!absolute(pattern, from, path, sizeof(path)))
		return "the name is too long";
	rc = glob(path, 0, NULL, &found);
	if (rc == GLOB_NOMATCH)
		return strpbrk(pattern, "*?[") ? NULL : "no such file";
	if (rc != 0)
		return "the file names can't be read";
	for (size_t i = 0; i < found.gl_pathc && !error; i++)
		error = give_file(files, found.gl_pathv[i], give, give_ctx);
	globfree(&found);
	return error;
}

typedef bool parser(const char *file, struct span text, const struct config_reader *reader,
		    struct config *out, struct config_errors *errors);

static bool load(const char *path, bool secret, parser *parse, struct recall *recall,
		 struct config *out, struct config_errors *errors)
{
	struct files files = {.secret = secret, .errors = errors};
	struct config_reader reader = {.ctx = &files, .include = include, .recall = recall};
	struct config_pos at = {.file = path};
	const char *error;
	struct stat st;
	size_t len = 0;
	char *text;
	bool ok;

	errno = 0;
	error = read_whole(path, &text, &len, &st);
	if (error && secret && errno == ENOENT) {
		config_warning(errors, &at, "%s: there are no secrets", error);
		return true;
	}
	if (error) {
		config_error(errors, &at, "%s", error);
		return false;
	}
	check_mode(&files, path, &st);
	ok = parse(path, span_of(text, len), &reader, out, errors);
	release(&files, text, len);
	return ok;
}

/* Secrets mostly come in the order of the conns: the search starts at the n-th. */
static bool has_secret(const struct config *config, unsigned n)
{
	const struct conn *c = config->conns[n].conn;
	const struct addr *local = c->local[0].kind == HOST_ADDR ? &c->local[0].addr : NULL;
	const struct addr *remote = c->remote[0].kind == HOST_ADDR ? &c->remote[0].addr : NULL;

	/* Where an end is not known yet, any secret may be the one. */
	if (config->n_secrets &&
	    ((!local && c->local_id.type == ID_ANY) || (!remote && c->remote_id.type == ID_ANY)))
		return true;
	for (unsigned i = 0; i < config->n_secrets; i++) {
		const struct secret *s = config->secrets[(n + i) % config->n_secrets];

		if (s->kind == SECRET_IKE &&
		    secret_match(s, &c->local_id, &c->remote_id, local, remote))
			return true;
	}
	return false;
}

/* As secrets are looked up: by its identity, else by its address. */
static const char *end_text(const struct id *id, const struct host *host, char text[ID_TEXT])
{
	if (id->type != ID_ANY || host->kind != HOST_ADDR)
		return id_format(id, text);
	return addr_format(&host->addr, text);
}

/* Where there are none at all, vici clients load them, perhaps: one word is enough then. */
static void check_secrets(const struct config *config, const char *file,
			  struct config_errors *errors)
{
	const struct config_pos none = {.file = file};

	if (config->n_secrets == 0 && config->n_conns && access(file, F_OK) == 0)
		config_warning(errors, &none, "there are no secrets in it");
	for (unsigned i = 0; config->n_secrets && i < config->n_conns; i++) {
		const struct conn *c = config->conns[i].conn;
		struct config_pos at = {.file = c->source};
		char local[ID_TEXT], remote[ID_TEXT];

		if (!has_secret(config, i))
			config_warning(errors, &at,
				       "conn %s: no secret fits its two ends, %.150s and %.150s",
				       c->name, end_text(&c->local_id, &c->local[0], local),
				       end_text(&c->remote_id, &c->remote[0], remote));
	}
}

/* By root, who runs it; whoever reads this file may be somebody else. NULL: it can. */
static const char *why_not_run(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return strerror(errno);
	return S_ISREG(st.st_mode) && st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH) ? NULL
										 : strerror(EACCES);
}

static void check_script(const struct conn *c, const struct child_config *child,
			 struct config_errors *errors)
{
	struct config_pos at = {.file = c->source};
	char *path = strndup(child->updown, strcspn(child->updown, " \t"));
	const char *why = path ? why_not_run(path) : NULL;

	if (why)
		config_warning(errors, &at, "conn %s: %s can't be run: %s", c->name, path, why);
	free(path);
}

void config_check_scripts(const struct config *config, struct config_errors *errors)
{
	for (unsigned i = 0; i < config->n_conns; i++) {
		const struct conn *c = config->conns[i].conn;
		struct config_pos at = {.file = c->source};

		for (unsigned k = 0; k < c->n_children; k++) {
			if (c->children[k].updown)
				check_script(c, &c->children[k], errors);
		}
		if (c->tunnel.external)
			config_note(errors, &at,
				    "conn %s: the tunnel device is left to %s: none is made, and "
				    "one with these keys is taken over",
				    c->name,
				    config->conns[i].unmanaged ? "others (ipsec-interface-managed)"
							       : "the updown script");
	}
}

/* ---- only what changed ---- */

#define SUMMED_FILES 10000 /* with those that are included again and again */

struct summing {
	struct files *files;
	struct recall *recall;
	unsigned depth, files_left;
};

static void sum_text(void *ctx, const char *path, struct span text);

/* As ipsec_secrets.c reads it: the first word of an entry, in any case, and one name. */
static void sum_include(struct summing *s, const char *path, const struct lexer_word *name)
{
	char pattern[512];

	if (name->text.len >= sizeof(pattern))
		return;
	memcpy(pattern, name->text.ptr, name->text.len);
	pattern[name->text.len] = '\0';
	if (s->depth >= CONFIG_INCLUDE_MAX || s->files_left == 0) {
		recall_doubts(s->recall);
		return;
	}
	s->depth++;
	include(s->files, pattern, path, sum_text, s);
	s->depth--;
}

static void sum_text(void *ctx, const char *path, struct span text)
{
	static const char word[] = "include";
	struct summing *s = ctx;
	struct lexer lexer = lexer_over(text);
	struct lexer_token t;
	bool named = false;

	if (s->files_left == 0) {
		recall_doubts(s->recall);
		return;
	}
	s->files_left--;
	recall_secrets(s->recall, span_str(path));
	recall_secrets(s->recall, text);
	for (lexer_token(&lexer, &t); t.kind != TOKEN_END; lexer_token(&lexer, &t)) {
		if (named && !t.starts_entry && t.kind == TOKEN_WORD)
			sum_include(s, path, &t.word);
		named = t.starts_entry && t.kind == TOKEN_WORD && !t.word.quoted &&
			t.word.text.len == sizeof(word) - 1 &&
			strncasecmp((const char *)t.word.text.ptr, word, sizeof(word) - 1) == 0;
	}
}

static bool sum_secrets(const char *file, struct span text, const struct config_reader *reader,
			struct config *out, struct config_errors *errors)
{
	struct summing s = {
		.files = reader->ctx, .recall = reader->recall, .files_left = SUMMED_FILES};

	(void)out;
	(void)errors;
	sum_text(&s, file, text);
	return true;
}

bool config_load_recall(const char *conf, const char *secrets, struct recall *recall,
			struct config *out, struct config_errors *errors)
{
	bool ok = true;

	out->settings = SETTINGS_DEFAULT;
	if (conf)
		ok = load(conf, false, ipsec_conf_parse, recall, out, errors);
	if (secrets && recall)
		load(secrets, true, sum_secrets, recall, out, errors);
	out->secrets_unchanged = recall_uses(recall);
	if (out->secrets_unchanged)
		return ok;
	if (secrets)
		ok = load(secrets, true, ipsec_secrets_parse, recall, out, errors) && ok;
	if (conf && secrets && ok)
		check_secrets(out, secrets, errors);
	return ok;
}

bool config_load(const char *conf, const char *secrets, struct config *out,
		 struct config_errors *errors)
{
	return config_load_recall(conf, secrets, NULL, out, errors);
}
