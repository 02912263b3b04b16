/* Which settings hold for a conn: its own, those of its `also`, those of %default. */
#include "ipsecd/config/sections.h"

#include <string.h>

#define ALSO_DEPTH_MAX 64

static void take_own(struct section *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct setting *set = &s->settings[i];

		s->resolved.set[set->keyword->id][set->right] = set;
	}
}

static bool is_own(const struct section *s, const struct setting *set)
{
	return set >= s->settings && set < s->settings + s->n;
}

/* Two `also` may not say different things: which one would win is a guess. */
static void take_inherited(struct section *s, const struct setting *also,
			   const struct resolved *from, struct config_errors *errors)
{
	for (unsigned k = 0; k < KEYWORD_COUNT; k++) {
		for (unsigned side = 0; side < 2; side++) {
			const struct setting *theirs = from->set[k][side];
			const struct setting **ours = &s->resolved.set[k][side];

			if (!theirs || k == KEYWORD_ALSO)
				continue;
			if (!*ours) {
				*ours = theirs;
			} else if (!is_own(s, *ours) && strcmp((*ours)->value, theirs->value)) {
				config_error(errors, &also->at,
					     "also=%s: %s differs between %s:%u and %s:%u; set it "
					     "in conn %s itself",
					     also->value,
					     side ? theirs->keyword->right : theirs->keyword->name,
					     (*ours)->key.file, (*ours)->key.line, theirs->key.file,
					     theirs->key.line, s->name);
			}
		}
	}
}

static void resolve_also(struct sections *all, struct section *s, unsigned depth,
			 struct config_errors *errors);

static void follow(struct sections *all, struct section *s, const struct setting *also,
		   unsigned depth, struct config_errors *errors)
{
	struct section *from;

	HASH_FIND_STR(all->conns, also->value, from);
	if (!from) {
		config_error(errors, &also->at, "also=%s: there is no such conn", also->value);
	} else if (from->state == SECTION_VISITING) {
		config_error(errors, &also->at, "also=%s: conn %s includes itself", also->value,
			     from->name);
	} else if (depth >= ALSO_DEPTH_MAX) {
		config_error(errors, &also->at, "also=%s: these references go too deep",
			     also->value);
	} else {
		from->referred = true;
		resolve_also(all, from, depth + 1, errors);
		take_inherited(s, also, &from->resolved, errors);
	}
}

static void resolve_also(struct sections *all, struct section *s, unsigned depth,
			 struct config_errors *errors)
{
	if (s->state == SECTION_RESOLVED)
		return;
	s->state = SECTION_VISITING;
	take_own(s);
	for (unsigned i = 0; i < s->n; i++) {
		if (s->settings[i].keyword->id == KEYWORD_ALSO && *s->settings[i].value)
			follow(all, s, &s->settings[i], depth, errors);
	}
	s->state = SECTION_RESOLVED;
}

static void take_defaults(struct section *s, const struct section *defaults)
{
	for (unsigned i = 0; i < defaults->n; i++) {
		const struct setting *set = &defaults->settings[i];

		if (!s->resolved.set[set->keyword->id][set->right])
			s->resolved.set[set->keyword->id][set->right] = set;
	}
}

void sections_resolve(struct sections *s, struct config_errors *errors)
{
	const struct section *d = s->defaults;
	struct section *conn, *tmp;

	/* First all `also`, so that no default looks like an inherited setting. */
	HASH_ITER (hh, s->conns, conn, tmp)
		resolve_also(s, conn, 0, errors);
	for (unsigned i = 0; d && i < d->n; i++) {
		if (d->settings[i].keyword->id == KEYWORD_ALSO)
			config_error(errors, &d->settings[i].key, "conn %%default can't have also");
	}
	HASH_ITER (hh, s->conns, conn, tmp) {
		if (d)
			take_defaults(conn, d);
	}
}
