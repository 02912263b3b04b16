/* The life of a configuration, and which section is a connection's. */
#include "routed-bridge/config_parse.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static int name_order(const void *a, const void *b)
{
	const struct bridge_section *const *x = a, *const *y = b;

	return strcmp((*x)->pattern, (*y)->pattern);
}

bool config_sort(struct bridge_config *c)
{
	c->by_name = calloc(c->n_sections + 1, sizeof(c->by_name[0]));
	if (!c->by_name)
		return false;
	for (size_t i = 0; i < c->n_sections; i++)
		c->by_name[i] = &c->sections[i];
	qsort(c->by_name, c->n_sections, sizeof(c->by_name[0]), name_order);
	return true;
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
