/* The list of problems (see problem.h). Knows no topology. */
#include "topology/problem.h"

#include <stdarg.h>
#include <stdlib.h>

static void add(struct problems *p, struct position at, const char *format, va_list args)
{
	struct problem *problem;

	if (p->n++ >= PROBLEMS_MAX)
		return;
	problem = &p->list[p->n - 1];
	problem->at = at;
	vsnprintf(problem->text, sizeof(problem->text), format, args);
}

void problem_at(struct problems *p, struct position at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(p, at, format, args);
	va_end(args);
}

void problem_add(struct problems *p, const char *path, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(p, locations_find(p->where, path), format, args);
	va_end(args);
}

static int compare(const void *a, const void *b)
{
	const struct position *x = &((const struct problem *)a)->at;
	const struct position *y = &((const struct problem *)b)->at;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return (x->column > y->column) - (x->column < y->column);
}

void problems_print(struct problems *p, FILE *out)
{
	unsigned kept = p->n < PROBLEMS_MAX ? p->n : PROBLEMS_MAX;

	qsort(p->list, kept, sizeof(p->list[0]), compare);
	for (unsigned i = 0; i < kept; i++)
		fprintf(out, "%s:%u:%u: %s\n", p->file, p->list[i].at.line, p->list[i].at.column,
			p->list[i].text);
	if (p->n > kept)
		fprintf(out, "%s: and %u more\n", p->file, p->n - kept);
}
