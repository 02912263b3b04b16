/* ipsec.conf -> conns: the sections one by one, then what must hold among them. */
#include "ipsecd/config/build.h"

#include <stdlib.h>
#include <string.h>

static int unique_policy(const struct sections *s, struct config_errors *errors)
{
	static const char *const words[] = {"yes", "replace", "no", "never", "keep", NULL};
	static const int meaning[] = {UNIQUE_REPLACE, UNIQUE_REPLACE, UNIQUE_NO, UNIQUE_NEVER,
				      UNIQUE_KEEP};
	unsigned which = 0;

	for (unsigned i = 0; s->setup && i < s->setup->n; i++) {
		const struct setting *set = &s->setup->settings[i];

		if (set->keyword->id == KEYWORD_UNIQUEIDS && *set->value)
			value_word(errors, set, words, &which);
	}
	return meaning[which];
}

static bool add_conn(struct config *out, const struct config_conn *c)
{
	struct config_conn *conns = reallocarray(out->conns, out->n_conns + 1u, sizeof(*conns));

	if (!conns)
		return false;
	out->conns = conns;
	conns[out->n_conns++] = *c;
	return true;
}

/* Conns of auto=ignore are built to find their errors, and dropped. */
static void take_conn(struct section *s, int unique, struct config *out,
		      struct config_errors *errors)
{
	struct config_conn c;

	if (!build_conn(s, unique, &c, errors))
		config_error(errors, &s->pos, "out of memory");
	else if (build_auto(s, errors) == BUILD_IGNORE)
		;
	else if (add_conn(out, &c))
		return;
	else
		config_error(errors, &s->pos, "out of memory");
	conn_free(c.conn);
}

/* A tunnel device by its name. */
struct device {
	const char *name, *conn;
	UT_hash_handle hh;
};

static void check_devices(const struct sections *sections, const struct config *out,
			  struct config_errors *errors)
{
	struct device *all = calloc(out->n_conns ? out->n_conns : 1, sizeof(*all));
	struct device *by_name = NULL, *same;
	struct section *s;

	for (unsigned i = 0; all && i < out->n_conns; i++) {
		const struct conn *c = out->conns[i].conn;

		HASH_FIND_STR(by_name, c->tunnel.name, same);
		if (!same) {
			all[i].name = c->tunnel.name;
			all[i].conn = c->name;
			HASH_ADD_KEYPTR(hh, by_name, all[i].name, strlen(all[i].name), &all[i]);
			continue;
		}
		HASH_FIND_STR(sections->conns, c->name, s);
		if (!s || strcmp(c->name, same->conn) == 0)
			continue; /* check_names said it */
		config_error(errors, &s->pos, "conn %s: device %s is that of conn %s already",
			     c->name, c->tunnel.name, same->conn);
	}
	HASH_CLEAR(hh, by_name);
	free(all);
}

static void check_names(const struct config *out, unsigned before, const struct sections *sections,
			struct config_errors *errors)
{
	struct section *s;

	for (unsigned i = 0; i < before; i++) {
		HASH_FIND_STR(sections->conns, out->conns[i].conn->name, s);
		if (s)
			config_error(errors, &s->pos, "conn %s was already defined at %s", s->name,
				     out->conns[i].conn->source);
	}
}

static void drop_behind(struct config *c, unsigned n_conns)
{
	while (c->n_conns > n_conns)
		conn_free(c->conns[--c->n_conns].conn);
}

bool ipsec_conf_parse(const char *file, struct span text, const struct config_reader *reader,
		      struct config *out, struct config_errors *errors)
{
	unsigned n_before = out->n_conns, errors_before = errors->n_errors;
	struct sections sections = {0};
	struct section *s, *tmp;
	int unique;

	sections_read(file, text, reader, &sections, errors);
	sections_resolve(&sections, errors);
	unique = unique_policy(&sections, errors);
	check_names(out, n_before, &sections, errors);
	HASH_ITER (hh, sections.conns, s, tmp)
		take_conn(s, unique, out, errors);
	check_devices(&sections, out, errors);
	sections_free(&sections);
	config_errors_sort(errors);
	if (errors->n_errors == errors_before)
		return true;
	drop_behind(out, n_before);
	return false;
}

void config_free(struct config *c)
{
	drop_behind(c, 0);
	for (unsigned i = 0; i < c->n_secrets; i++)
		secret_free(c->secrets[i]);
	free(c->conns);
	free(c->secrets);
	*c = (struct config){0};
}
