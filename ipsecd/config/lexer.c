/* Lines of ipsec.conf, tokens of ipsec.secrets. Knows no keyword. */
#include "ipsecd/config/lexer.h"

const char *lexer_strerror(enum lexer_error e)
{
	switch (e) {
	case LEXER_OK:
		return "no error";
	case LEXER_OPEN_QUOTE:
		return "the closing quotation mark is missing on this line";
	case LEXER_AFTER_QUOTE:
		return "unexpected text behind the closing quotation mark";
	case LEXER_CONTROL_CHARACTER:
		return "unexpected control character";
	}
	return "unknown error";
}

struct lexer lexer_over(struct span text)
{
	/* Editors of other systems put U+FEFF, their mark of UTF-8, before the text. */
	static const char mark[] = "\xef\xbb\xbf";
	size_t begin = text.len >= 3 && memcmp(text.ptr, mark, 3) == 0 ? 3 : 0;

	return (struct lexer){
		.text = text, .pos = begin, .line_start = begin, .at_line_start = true, .line = 1};
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool is_control(uint8_t c)
{
	return (c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f;
}

/* ---- lines ---- */

/* One line while it is cut up: text[pos .. end). */
struct cursor {
	const uint8_t *text;
	size_t start, pos, end;
};

static void skip_blanks(struct cursor *c)
{
	while (c->pos < c->end && is_blank(c->text[c->pos]))
		c->pos++;
}

static unsigned column(const struct cursor *c, size_t pos)
{
	return (unsigned)(pos - c->start + 1);
}

/* A comment starts at a '#' behind a blank or at the head, and not in quotes. */
static bool starts_comment(const struct cursor *c, size_t pos)
{
	return c->text[pos] == '#' && (pos == c->start || is_blank(c->text[pos - 1]));
}

static struct lexer_word cut(const struct cursor *c, size_t from, size_t to)
{
	return (struct lexer_word){.text = span_of(c->text + from, to - from),
				   .column = column(c, from)};
}

static bool fail(struct lexer_line *out, enum lexer_error error, unsigned at)
{
	out->error = error;
	out->error_column = at;
	return false;
}

/* "..." with \" and \\ inside; nothing but a comment may follow. */
static bool quoted_value(struct cursor *c, struct lexer_line *out)
{
	size_t open = c->pos++;

	while (c->pos < c->end && c->text[c->pos] != '"')
		c->pos += c->text[c->pos] == '\\' && c->pos + 1 < c->end ? 2 : 1;
	if (c->pos >= c->end)
		return fail(out, LEXER_OPEN_QUOTE, column(c, open));
	out->value = cut(c, open + 1, c->pos);
	out->value.quoted = true;
	c->pos++;
	skip_blanks(c);
	if (c->pos < c->end && !starts_comment(c, c->pos))
		return fail(out, LEXER_AFTER_QUOTE, column(c, c->pos));
	return true;
}

static bool plain_value(struct cursor *c, struct lexer_line *out)
{
	size_t from = c->pos, to = c->pos;

	for (; c->pos < c->end && !starts_comment(c, c->pos); c->pos++) {
		if (!is_blank(c->text[c->pos]))
			to = c->pos + 1;
	}
	out->value = cut(c, from, to);
	return true;
}

static bool cut_line(struct cursor *c, struct lexer_line *out)
{
	size_t from;

	for (size_t i = c->start; i < c->end; i++) {
		if (is_control(c->text[i]))
			return fail(out, LEXER_CONTROL_CHARACTER, column(c, i));
	}
	skip_blanks(c);
	out->indented = c->pos > c->start;
	from = c->pos;
	while (c->pos < c->end && !is_blank(c->text[c->pos]) && c->text[c->pos] != '=' &&
	       !starts_comment(c, c->pos))
		c->pos++;
	out->key = cut(c, from, c->pos);
	skip_blanks(c);
	if (c->pos < c->end && c->text[c->pos] == '=') {
		out->assigned = true;
		c->pos++;
		skip_blanks(c);
	}
	if (c->pos < c->end && c->text[c->pos] == '"')
		return quoted_value(c, out);
	return plain_value(c, out);
}

bool lexer_line(struct lexer *l, struct lexer_line *out)
{
	while (l->pos < l->text.len) {
		const uint8_t *newline = memchr(l->text.ptr + l->pos, '\n', l->text.len - l->pos);
		size_t end = newline ? (size_t)(newline - l->text.ptr) : l->text.len;
		struct cursor c = {l->text.ptr, l->pos, l->pos, end};

		*out = (struct lexer_line){.line = l->line++};
		l->pos = newline ? end + 1 : end;
		if (!cut_line(&c, out) || out->key.text.len || out->assigned)
			return true;
	}
	return false;
}

static bool is_include(struct span text, size_t pos)
{
	static const char word[] = "include";

	while (pos < text.len && is_blank(text.ptr[pos]))
		pos++;
	return pos + sizeof(word) - 1 <= text.len &&
	       memcmp(text.ptr + pos, word, sizeof(word) - 1) == 0;
}

struct lexer_section lexer_section(const struct lexer *l)
{
	struct lexer_section s = {.end = l->pos};

	while (s.end < l->text.len) {
		const uint8_t *line = l->text.ptr + s.end, *newline;

		if (!is_blank(*line) && *line != '\n' && *line != '#')
			break;
		s.includes |= is_blank(*line) && is_include(l->text, s.end);
		newline = memchr(line, '\n', l->text.len - s.end);
		s.end = newline ? (size_t)(newline - l->text.ptr) + 1 : l->text.len;
		s.lines++;
	}
	return s;
}

void lexer_skip(struct lexer *l, const struct lexer_section *s)
{
	l->pos = s->end;
	l->line += s->lines;
}

/* ---- tokens ---- */

static bool at_end(const struct lexer *l)
{
	return l->pos >= l->text.len;
}

static uint8_t peek(const struct lexer *l)
{
	return l->text.ptr[l->pos];
}

static void skip_line(struct lexer *l)
{
	while (!at_end(l) && peek(l) != '\n')
		l->pos++;
}

/* Goes to the next token, over line ends and comments. */
static void skip_space(struct lexer *l)
{
	while (!at_end(l)) {
		bool head = l->pos == l->line_start || is_blank(l->text.ptr[l->pos - 1]);

		if (peek(l) == '\n') {
			l->pos++;
			l->line++;
			l->line_start = l->pos;
			l->at_line_start = true;
		} else if (peek(l) == '#' && head) {
			skip_line(l);
		} else if (is_blank(peek(l))) {
			l->pos++;
		} else {
			return;
		}
	}
}

static void token_error(struct lexer *l, struct lexer_token *out, enum lexer_error error)
{
	out->kind = TOKEN_ERROR;
	out->error = error;
	skip_line(l);
}

/* In either kind of quotation marks every byte stands for itself, as in strongSwan. */
static void quoted_token(struct lexer *l, struct lexer_token *out)
{
	uint8_t mark = peek(l);
	size_t from = ++l->pos;

	for (; !at_end(l) && peek(l) != mark && peek(l) != '\n'; l->pos++) {
		if (is_control(peek(l))) {
			token_error(l, out, LEXER_CONTROL_CHARACTER);
			return;
		}
	}
	if (at_end(l) || peek(l) != mark) {
		token_error(l, out, LEXER_OPEN_QUOTE);
		return;
	}
	out->word.text = span_of(l->text.ptr + from, l->pos - from);
	out->word.quoted = true;
	out->kind = TOKEN_WORD;
	l->pos++;
	if (!at_end(l) && !is_blank(peek(l)) && peek(l) != '\n')
		token_error(l, out, LEXER_AFTER_QUOTE);
}

static void plain_token(struct lexer *l, struct lexer_token *out)
{
	size_t from = l->pos;

	for (; !at_end(l) && !is_blank(peek(l)) && peek(l) != '\n'; l->pos++) {
		if (is_control(peek(l))) {
			token_error(l, out, LEXER_CONTROL_CHARACTER);
			return;
		}
	}
	out->word.text = span_of(l->text.ptr + from, l->pos - from);
	out->kind = TOKEN_WORD;
	if (out->word.text.len == 1 && out->word.text.ptr[0] == ':')
		out->kind = TOKEN_COLON;
}

void lexer_token(struct lexer *l, struct lexer_token *out)
{
	*out = (struct lexer_token){.kind = TOKEN_END};
	skip_space(l);
	out->line = l->line;
	out->starts_line = l->at_line_start;
	out->starts_entry = l->at_line_start && l->pos == l->line_start;
	out->word.column = (unsigned)(l->pos - l->line_start + 1);
	l->at_line_start = false;
	if (at_end(l))
		return;
	if (peek(l) == '"' || peek(l) == '\'')
		quoted_token(l, out);
	else
		plain_token(l, out);
}

size_t lexer_unquote(const struct lexer_word *w, char *out)
{
	const uint8_t *p = w->text.ptr;
	size_t n = 0;

	for (size_t i = 0; i < w->text.len; i++) {
		if (w->quoted && p[i] == '\\' && i + 1 < w->text.len &&
		    (p[i + 1] == '"' || p[i + 1] == '\\'))
			i++;
		out[n++] = (char)p[i];
	}
	out[n] = '\0';
	return n;
}
