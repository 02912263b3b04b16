/* The words of ipsec.conf and ipsec.secrets. Pure and without allocation: what it
 * gives are spans of the text. */
#ifndef DETOUR_CONFIG_LEXER_H
#define DETOUR_CONFIG_LEXER_H

#include "lib/span.h"

enum lexer_error {
	LEXER_OK,
	LEXER_OPEN_QUOTE,	 /* the line ends inside a quotation */
	LEXER_AFTER_QUOTE,	 /* something follows a quoted value */
	LEXER_CONTROL_CHARACTER, /* NUL and such */
};

const char *lexer_strerror(enum lexer_error e);

struct lexer {
	struct span text;
	size_t pos;
	unsigned line; /* of the last line or token given */
	size_t line_start;
	bool at_line_start; /* tokens only */
};

/* A word with its column. Lines: a quoted word still has its escapes (lexer_unquote);
 * tokens have none. */
struct lexer_word {
	struct span text;
	unsigned column;
	bool quoted;
};

struct lexer lexer_over(struct span text);

/* ---- ipsec.conf: line by line ---- */

/* "key", "key rest" or "key = value"; comments are gone, blanks around are cut. */
struct lexer_line {
	unsigned line;
	bool indented;
	bool assigned; /* there was a '=' */
	struct lexer_word key, value;
	enum lexer_error error;
	unsigned error_column;
};

/* The next line that is not empty; false at the end. A line with an error has
 * `error` set, the one after it is fine again. */
bool lexer_line(struct lexer *l, struct lexer_line *out);

/* Where the section ends that the last line began: at the next one that is not indented. `lines`
 * of it follow; `includes`: an include is among them. lexer_skip goes there. */
struct lexer_section {
	size_t end;
	unsigned lines;
	bool includes;
};

struct lexer_section lexer_section(const struct lexer *l);
void lexer_skip(struct lexer *l, const struct lexer_section *s);

/* ---- ipsec.secrets: token by token ---- */

enum lexer_token_kind { TOKEN_END, TOKEN_WORD, TOKEN_COLON, TOKEN_ERROR };

struct lexer_token {
	enum lexer_token_kind kind;
	bool starts_entry; /* first of its line and not indented */
	bool starts_line;
	unsigned line;
	struct lexer_word word;
	enum lexer_error error;
};

/* A ':' with blanks around it (or at a line's end) is a token of its own. */
void lexer_token(struct lexer *l, struct lexer_token *out);

/* Copies a word of a line, \" and \\ of quoted ones resolved; `out` holds text.len + 1
 * bytes. Returns the length. */
size_t lexer_unquote(const struct lexer_word *w, char *out);

#endif
