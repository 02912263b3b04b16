/* Places of YAML values, from libyaml's events (see locate.h). Knows no topology. */
#include "topology/locate.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#define DEPTH_MAX 16
#define PATH_SIZE 256

struct level {
	bool mapping;
	bool expects_key;
	unsigned index;	 /* in a sequence */
	size_t path_len; /* of the container's own path */
};

struct walk {
	struct locations *out;
	unsigned depth;
	struct level levels[DEPTH_MAX];
	char path[PATH_SIZE]; /* of the value that comes next */
	struct position key;
	const char *error;
};

static struct position position_of(const yaml_mark_t *mark)
{
	return (struct position){(unsigned)mark->line + 1, (unsigned)mark->column + 1};
}

static bool remember(struct walk *w, struct position value)
{
	struct locations *l = w->out;
	struct location *bigger;

	if (l->n == l->cap) {
		bigger = realloc(l->list, (l->cap + 64) * sizeof(*bigger));
		if (!bigger)
			return false;
		l->list = bigger;
		l->cap += 64;
	}
	l->list[l->n] = (struct location){strdup(w->path), w->key, value};
	return l->list[l->n++].path != NULL;
}

/* The path of the value that starts now; for a sequence's item also its key's place. */
static void name_value(struct walk *w, struct position at)
{
	struct level *level = w->depth ? &w->levels[w->depth - 1] : NULL;

	if (!level) {
		w->path[0] = '\0';
		w->key = at;
	} else if (!level->mapping) {
		snprintf(w->path + level->path_len, PATH_SIZE - level->path_len, "[%u]",
			 level->index++);
		w->key = at;
	}
	if (level)
		level->expects_key = level->mapping;
}

static void take_key(struct walk *w, const char *key, struct position at)
{
	struct level *level = &w->levels[w->depth - 1];

	snprintf(w->path + level->path_len, PATH_SIZE - level->path_len, "%s%s",
		 level->path_len ? "." : "", key);
	w->key = at;
	level->expects_key = false;
}

static bool expects_key(const struct walk *w)
{
	return w->depth && w->levels[w->depth - 1].mapping && w->levels[w->depth - 1].expects_key;
}

static bool enter(struct walk *w, bool mapping)
{
	if (w->depth == DEPTH_MAX) {
		w->error = "nested too deeply";
		return false;
	}
	w->levels[w->depth++] = (struct level){
		.mapping = mapping, .expects_key = mapping, .path_len = strlen(w->path)};
	return true;
}

static bool take_event(struct walk *w, const yaml_event_t *event)
{
	struct position at = position_of(&event->start_mark);
	bool start =
		event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;

	if (event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT) {
		w->depth--;
		return true;
	}
	if (!start && event->type != YAML_SCALAR_EVENT && event->type != YAML_ALIAS_EVENT)
		return true;
	if (expects_key(w)) {
		if (event->type != YAML_SCALAR_EVENT) {
			w->error = "a key must be a plain word";
			return false;
		}
		take_key(w, (const char *)event->data.scalar.value, at);
		return true;
	}
	name_value(w, at);
	if (!remember(w, at)) {
		w->error = "out of memory";
		return false;
	}
	return !start || enter(w, event->type == YAML_MAPPING_START_EVENT);
}

static bool walk_events(struct walk *w, yaml_parser_t *parser, struct position *at)
{
	yaml_event_t event;
	bool done = false, ok = true;

	while (ok && !done) {
		if (!yaml_parser_parse(parser, &event)) {
			*at = position_of(&parser->problem_mark);
			w->error = parser->problem ? parser->problem : "not YAML";
			return false;
		}
		*at = position_of(&event.start_mark);
		done = event.type == YAML_STREAM_END_EVENT;
		ok = take_event(w, &event);
		yaml_event_delete(&event);
	}
	return ok;
}

bool locations_read(struct span text, struct locations *out, struct position *at,
		    const char **error)
{
	struct walk w = {.out = out};
	yaml_parser_t parser;
	bool ok;

	*out = (struct locations){0};
	*at = (struct position){1, 1};
	*error = "out of memory";
	if (!yaml_parser_initialize(&parser))
		return false;
	yaml_parser_set_input_string(&parser, text.ptr, text.len);
	ok = walk_events(&w, &parser, at);
	*error = w.error; /* libyaml's problems are static texts */
	yaml_parser_delete(&parser);
	return ok;
}

void locations_free(struct locations *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->list[i].path);
	free(l->list);
	*l = (struct locations){0};
}

struct position locations_find(const struct locations *l, const char *path)
{
	char cut[PATH_SIZE];
	size_t len;

	snprintf(cut, sizeof(cut), "%s", path);
	for (len = strlen(cut); l; cut[len] = '\0') {
		for (size_t i = 0; i < l->n; i++)
			if (strcmp(l->list[i].path, cut) == 0)
				return l->list[i].value;
		if (!len)
			break;
		do
			len--;
		while (len && cut[len] != '.' && cut[len] != '[');
	}
	return (struct position){1, 1};
}
