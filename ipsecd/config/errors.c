/* The list of messages of a configuration: what was wrong, and where. */
#include "ipsecd/config/errors.h"
#include "lib/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 400

static bool same(const struct config_message *m, const struct config_pos *at, const char *text)
{
	return m->line == at->line && m->column == at->column && strcmp(m->file, at->file) == 0 &&
	       strcmp(m->text, text) == 0;
}

static void keep(struct config_errors *e, const struct config_pos *at, enum config_kind kind,
		 const char *text)
{
	struct config_message *list;

	if (e->n >= CONFIG_ERRORS_MAX)
		return;
	list = reallocarray(e->list, e->n + 1u, sizeof(*list));
	if (!list)
		return;
	e->list = list;
	list[e->n] = (struct config_message){.file = strdup(at->file),
					     .line = at->line,
					     .column = at->column,
					     .kind = kind,
					     .text = strdup(text)};
	if (list[e->n].file && list[e->n].text) {
		e->n++;
		return;
	}
	free(list[e->n].file);
	free(list[e->n].text);
}

static void add(struct config_errors *e, const struct config_pos *at, enum config_kind kind,
		const char *format, va_list args)
{
	char text[TEXT_MAX];

	vsnprintf(text, sizeof(text), format, args);
	for (unsigned i = 0; i < e->n; i++) {
		if (same(&e->list[i], at, text))
			return;
	}
	if (kind == CONFIG_ERROR)
		e->n_errors++;
	else if (kind == CONFIG_WARNING)
		e->n_warnings++;
	else
		e->n_notes++;
	keep(e, at, kind, text);
}

void config_error(struct config_errors *e, const struct config_pos *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(e, at, CONFIG_ERROR, format, args);
	va_end(args);
}

void config_warning(struct config_errors *e, const struct config_pos *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(e, at, CONFIG_WARNING, format, args);
	va_end(args);
}

void config_note(struct config_errors *e, const struct config_pos *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(e, at, CONFIG_NOTE, format, args);
	va_end(args);
}

const char *config_quote(struct span word, char *text)
{
	size_t at = 0;

	for (size_t i = 0; i < word.len; i++) {
		char before = i ? (char)word.ptr[i - 1] : 0, c = (char)word.ptr[i];

		if (at + 4 >= CONFIG_QUOTE) {
			memcpy(text + at, "...", 3);
			at += 3;
			break;
		}
		text[at++] = text_is_control(before, c) ? '?' : c;
	}
	text[at] = '\0';
	return text;
}

static int by_place(const void *a, const void *b)
{
	const struct config_message *x = a, *y = b;
	int order = strcmp(x->file, y->file);

	if (order == 0)
		order = (x->line > y->line) - (x->line < y->line);
	return order ? order : (x->column > y->column) - (x->column < y->column);
}

void config_errors_sort(struct config_errors *e)
{
	if (e->n > 1)
		qsort(e->list, e->n, sizeof(*e->list), by_place);
}

void config_errors_print(const struct config_errors *e, FILE *out)
{
	static const char *const kinds[] = {"error", "warning", "note"};
	unsigned all = e->n_errors + e->n_warnings + e->n_notes;

	for (unsigned i = 0; i < e->n; i++) {
		const struct config_message *m = &e->list[i];
		const char *kind = kinds[m->kind];

		if (m->line)
			fprintf(out, "%s:%u:%u: %s: %s\n", m->file, m->line, m->column, kind,
				m->text);
		else
			fprintf(out, "%s: %s: %s\n", m->file, kind, m->text);
	}
	if (all > e->n)
		fprintf(out, "and %u more\n", all - e->n);
}

void config_errors_free(struct config_errors *e)
{
	for (unsigned i = 0; i < e->n; i++) {
		free(e->list[i].file);
		free(e->list[i].text);
	}
	free(e->list);
	*e = (struct config_errors){0};
}
