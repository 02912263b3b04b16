/* ipsec.secrets -> secrets:
 *	[identity ...] : PSK "text" | 0xhex | 0sbase64
 * An entry starts at the head of a line and goes on over indented ones. Nothing of a
 * value is ever part of a message; copies are cleansed. */
#include "ipsecd/config/errors.h"
#include "ipsecd/config/lexer.h"
#include "lib/words.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OWNERS_MAX 1024

struct reading {
	struct config *out;
	struct config_errors *errors;
	const struct config_reader *reader;
	struct reading *parent;
	unsigned depth;
	const char *file;
	struct lexer lexer;
	struct lexer_token token; /* the next one */
};

/* What stands before the colon. */
struct entry {
	struct config_pos at;
	unsigned n;
	struct id *owners;
	bool failed;
};

static void next(struct reading *r)
{
	lexer_token(&r->lexer, &r->token);
}

static bool in_entry(const struct reading *r)
{
	return r->token.kind != TOKEN_END && !r->token.starts_entry;
}

static void skip_entry(struct reading *r)
{
	while (in_entry(r))
		next(r);
}

static struct config_pos here(const struct reading *r)
{
	return (struct config_pos){r->file, r->token.line, r->token.word.column};
}

static bool token_is(const struct lexer_token *t, const char *word)
{
	return t->kind == TOKEN_WORD && !t->word.quoted && t->word.text.len == strlen(word) &&
	       strncasecmp((const char *)t->word.text.ptr, word, t->word.text.len) == 0;
}

/* ---- owners ---- */

static bool add_owner(struct entry *e, const struct id *id)
{
	struct id *owners;

	if (e->n == OWNERS_MAX)
		return false;
	owners = reallocarray(e->owners, e->n + 1u, sizeof(*owners));
	if (!owners)
		return false;
	e->owners = owners;
	owners[e->n++] = *id;
	return true;
}

/* Perhaps a secret that lost its colon: not to be shown. */
static bool may_be_secret(const struct lexer_word *w)
{
	struct span s = w->text;

	return w->quoted || (s.len > 2 && s.ptr[0] == '0' &&
			     ((s.ptr[1] | 0x20) == 's' || (s.ptr[1] | 0x20) == 'x'));
}

static void owner_error(struct reading *r, const struct lexer_word *w)
{
	struct config_pos at = here(r);
	char quote[CONFIG_QUOTE];

	if (may_be_secret(w))
		config_error(r->errors, &at, "this is not an identity");
	else if (w->text.len > 1 && w->text.ptr[w->text.len - 1] == ':')
		config_error(r->errors, &at, "'%s': a blank is missing before the ':'",
			     config_quote(w->text, quote));
	else
		config_error(r->errors, &at,
			     "'%s' is not an identity; expected an address, @name, name@host, "
			     "@#hex or %%any%s",
			     config_quote(w->text, quote),
			     memchr(w->text.ptr, '=', w->text.len)
				     ? " (distinguished names need certificates, which are not "
				       "supported yet)"
				     : "");
}

static void read_owner(struct reading *r, struct entry *e)
{
	const struct lexer_word *w = &r->token.word;
	char text[ID_TEXT];
	struct id id;

	if (w->text.len < sizeof(text)) {
		memcpy(text, w->text.ptr, w->text.len);
		text[w->text.len] = '\0';
		if (strlen(text) == w->text.len && id_parse(text, &id) && add_owner(e, &id))
			return;
	}
	owner_error(r, w);
	e->failed = true;
}

/* ---- values ---- */

static int base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits of `bits` bits each, most significant first; bits left over must be zero. */
static bool decode(struct span in, unsigned bits, int (*digit)(uint8_t c), uint8_t *out, size_t *n)
{
	uint32_t hold = 0;
	unsigned held = 0;

	*n = 0;
	for (size_t i = 0; i < in.len; i++) {
		int d = digit(in.ptr[i]);

		if (d < 0)
			return false;
		hold = hold << bits | (uint32_t)d;
		held += bits;
		if (held < 8)
			continue;
		held -= 8;
		if (*n == CONFIG_SECRET_BYTES)
			return false;
		out[(*n)++] = (uint8_t)(hold >> held);
		hold &= (1u << held) - 1;
	}
	return hold == 0 && held < bits;
}

static bool decode_value(const struct lexer_word *w, uint8_t *out, size_t *n)
{
	struct span in = w->text;
	bool coded = !w->quoted && in.len > 2 && in.ptr[0] == '0';
	uint8_t kind = coded ? in.ptr[1] | 0x20 : 0;

	if (kind == 'x' || kind == 's') {
		in = span_of(in.ptr + 2, in.len - 2);
		while (kind == 's' && in.len && in.ptr[in.len - 1] == '=')
			in.len--;
		return decode(in, kind == 'x' ? 4 : 6, kind == 'x' ? hex_digit : base64_digit, out,
			      n);
	}
	if (in.len > CONFIG_SECRET_BYTES)
		return false;
	memcpy(out, in.ptr, in.len);
	*n = in.len;
	return true;
}

static bool keep(struct reading *r, const struct entry *e, enum secret_kind kind, struct span data)
{
	struct secret **list, *s;
	char unique[512];

	snprintf(unique, sizeof(unique), "%.480s:%u", e->at.file, e->at.line);
	s = secret_new(unique, kind, data);
	for (unsigned i = 0; s && i < e->n; i++) {
		if (!secret_add_owner(s, &e->owners[i])) {
			secret_free(s);
			s = NULL;
		}
	}
	list = s ? reallocarray(r->out->secrets, r->out->n_secrets + 1u, sizeof(*list)) : NULL;
	if (!list) {
		secret_free(s);
		return false;
	}
	r->out->secrets = list;
	list[r->out->n_secrets++] = s;
	return true;
}

static void read_value(struct reading *r, const struct entry *e, enum secret_kind kind)
{
	uint8_t data[CONFIG_SECRET_BYTES];
	struct config_pos at = here(r);
	size_t n = 0;

	if (!in_entry(r)) {
		config_error(r->errors, &e->at, "the secret is missing");
		return;
	}
	if (r->token.kind == TOKEN_ERROR)
		config_error(r->errors, &at, "%s", lexer_strerror(r->token.error));
	else if (r->token.kind != TOKEN_WORD || !decode_value(&r->token.word, data, &n))
		config_error(r->errors, &at,
			     "expected \"text\", 0xhex or 0sbase64, at most %d bytes",
			     CONFIG_SECRET_BYTES);
	else if (n == 0)
		config_error(r->errors, &at, "the secret is empty");
	else if (!e->failed && !keep(r, e, kind, span_of(data, n)))
		config_error(r->errors, &at, "out of memory");
	explicit_bzero(data, sizeof(data));
	next(r);
	at = here(r);
	if (in_entry(r))
		config_error(r->errors, &at,
			     "unexpected text behind the secret (quotation marks missing?)");
}

/* ---- entries ---- */

static const struct {
	const char *word;
	bool supported;
	enum secret_kind kind;
} kinds[] = {
	{"PSK", true, SECRET_IKE},    {"EAP", true, SECRET_EAP},  {"XAUTH", true, SECRET_XAUTH},
	{"NTLM", true, SECRET_NTLM},  {"RSA", false, SECRET_IKE}, {"ECDSA", false, SECRET_IKE},
	{"PKCS8", false, SECRET_IKE}, {"P12", false, SECRET_IKE}, {"PIN", false, SECRET_IKE},

};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void unknown_kind(struct reading *r, const struct entry *e)
{
	const char *words[N_KINDS + 1] = {NULL}, *nearest;
	struct config_pos at = in_entry(r) ? here(r) : e->at;
	char quote[CONFIG_QUOTE];

	for (size_t i = 0; i < N_KINDS; i++)
		words[i] = kinds[i].word;
	if (r->token.kind != TOKEN_WORD || r->token.word.quoted || !in_entry(r)) {
		config_error(r->errors, &at, "expected the kind of secret behind ':', such as PSK");
		return;
	}
	config_quote(r->token.word.text, quote);
	nearest = words_nearest(quote, words);
	/* A word that is near to none may be a secret whose PSK was forgotten. */
	if (nearest)
		config_error(r->errors, &at, "unknown kind of secret '%s'; did you mean '%s'?",
			     quote, nearest);
	else
		config_error(r->errors, &at,
			     "unknown kind of secret; expected PSK, EAP, XAUTH or NTLM");
}

static void read_kind(struct reading *r, const struct entry *e)
{
	struct config_pos at = here(r);

	for (size_t i = 0; in_entry(r) && i < N_KINDS; i++) {
		if (!token_is(&r->token, kinds[i].word))
			continue;
		if (kinds[i].supported) {
			next(r);
			read_value(r, e, kinds[i].kind);
		} else {
			config_error(r->errors, &at,
				     "%s: private keys and certificates are not supported yet; "
				     "authentication is by secret (PSK)",
				     kinds[i].word);
		}
		return;
	}
	unknown_kind(r, e);
}

static void read_included(void *ctx, const char *path, struct span text);

static void include(struct reading *r)
{
	struct config_pos at = here(r);
	const char *error;
	char pattern[512];

	next(r);
	if (!in_entry(r) || r->token.kind != TOKEN_WORD ||
	    r->token.word.text.len >= sizeof(pattern)) {
		config_error(r->errors, &at, "expected a file name behind include");
		return;
	}
	at = here(r);
	memcpy(pattern, r->token.word.text.ptr, r->token.word.text.len);
	pattern[r->token.word.text.len] = '\0';
	if (!r->reader)
		error = "includes are not possible here";
	else if (r->depth >= CONFIG_INCLUDE_MAX)
		error = "includes go too deep";
	else
		error = r->reader->include(r->reader->ctx, pattern, r->file, read_included, r);
	if (error)
		config_error(r->errors, &at, "include %s: %s", pattern, error);
	next(r);
	at = here(r);
	if (in_entry(r))
		config_error(r->errors, &at, "unexpected text behind the file name");
}

static void read_entry(struct reading *r)
{
	struct entry e = {.at = here(r)};
	struct config_pos at = here(r);

	if (token_is(&r->token, "include")) {
		include(r);
		return;
	}
	do {
		if (r->token.kind == TOKEN_WORD)
			read_owner(r, &e);
		else
			break;
		next(r);
	} while (in_entry(r));
	at = here(r);
	if (r->token.kind == TOKEN_ERROR) {
		config_error(r->errors, &at, "%s", lexer_strerror(r->token.error));
	} else if (r->token.kind != TOKEN_COLON) {
		config_error(
			r->errors, &e.at,
			"expected '[identities] : PSK \"secret\"', with blanks around the ':'");
	} else {
		next(r);
		read_kind(r, &e);
	}
	free(e.owners);
}

static void read_file(struct reading *r, struct span text)
{
	r->lexer = lexer_over(text);
	next(r);
	while (r->token.kind != TOKEN_END) {
		struct config_pos at = here(r);

		if (r->token.starts_entry) {
			unsigned line = r->token.line;

			read_entry(r);
			if (r->token.line == line && r->token.starts_entry)
				next(r); /* a lone head: go on behind it */
		} else {
			config_error(r->errors, &at,
				     "an indented line continues an entry, but there is none");
			next(r);
		}
		skip_entry(r);
	}
}

static void read_included(void *ctx, const char *path, struct span text)
{
	struct reading *from = ctx;
	struct reading r = {.out = from->out,
			    .errors = from->errors,
			    .reader = from->reader,
			    .parent = from,
			    .depth = from->depth + 1,
			    .file = path};
	struct config_pos at = here(from);

	if (from->errors->n_errors >= CONFIG_ERRORS_MAX)
		return;
	for (const struct reading *p = from; p; p = p->parent) {
		if (strcmp(p->file, path) == 0) {
			config_error(from->errors, &at, "%s includes itself", path);
			return;
		}
	}
	read_file(&r, text);
}

bool ipsec_secrets_parse(const char *file, struct span text, const struct config_reader *reader,
			 struct config *out, struct config_errors *errors)
{
	unsigned n_before = out->n_secrets, errors_before = errors->n_errors;
	struct reading r = {.out = out, .errors = errors, .reader = reader, .file = file};

	read_file(&r, text);
	config_errors_sort(errors);
	if (errors->n_errors == errors_before)
		return true;
	while (out->n_secrets > n_before)
		secret_free(out->secrets[--out->n_secrets]);
	return false;
}
