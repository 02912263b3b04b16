/* What is wrong with a topology file: a list of places and sentences, printed in the
 * file's order at the end, so that one run shows all errors. */
#ifndef DETOUR_TOPOLOGY_PROBLEM_H
#define DETOUR_TOPOLOGY_PROBLEM_H

#include "topology/locate.h"

#include <stdio.h>

#define PROBLEMS_MAX 64
#define PROBLEM_TEXT 240

struct problem {
	struct position at;
	char text[PROBLEM_TEXT];
};

struct problems {
	const char *file;	       /* as the user named it */
	const struct locations *where; /* turns paths into positions; NULL before it is known */
	unsigned n;		       /* all that were found, also those beyond PROBLEMS_MAX */
	struct problem list[PROBLEMS_MAX];
};

void problem_at(struct problems *p, struct position at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same at the value that `path` names, e.g. "sites[1].lans[0]". */
void problem_add(struct problems *p, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "file:line:column: text" for each, sorted by place. */
void problems_print(struct problems *p, FILE *out);

#endif
