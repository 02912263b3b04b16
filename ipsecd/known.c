/* A sum of all texts is kept, so that a reading of thousands that did not change is compared in one
 * step. */
#include "ipsecd/known.h"
#include "ipsecd/config/recall.h"

#include <stdlib.h>

struct known *known_find(const struct known_set *s, const char *name)
{
	struct known *k;

	HASH_FIND_STR(s->all, name, k);
	return k;
}

static struct known *make(struct known_set *s, const char *name)
{
	struct known *k = calloc(1, sizeof(*k));

	if (k)
		k->name = strdup(name);
	if (!k || !k->name) {
		free(k);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, s->all, k->name, strlen(k->name), k);
	s->unsure++;
	return k;
}

struct known *known_add(struct known_set *s, const char *name, bool *new)
{
	struct known *k = known_find(s, name);

	*new = !k;
	if (!k)
		k = make(s, name);
	if (k)
		k->round = s->round;
	return k;
}

static void count(struct known_set *s, const struct known *k, bool in)
{
	uint64_t mark = k->digest ? recall_mark(k->name, k->digest) : 0;

	s->sum += in ? mark : -mark;
	if (!k->digest)
		s->unsure += in ? 1 : (unsigned)-1;
}

void known_digest(struct known_set *s, struct known *k, uint64_t digest)
{
	if (k->digest == digest)
		return;
	count(s, k, false);
	k->digest = digest;
	count(s, k, true);
}

void known_remove(struct known_set *s, struct known *k)
{
	count(s, k, false);
	HASH_DEL(s->all, k);
	free(k->name);
	free(k->refused);
	free(k);
}

void known_free(struct known_set *s)
{
	struct known *k, *next;

	HASH_ITER (hh, s->all, k, next)
		known_remove(s, k);
}

void known_begin(struct known_set *s)
{
	s->round++;
}

bool known_given(const struct known_set *s, const struct known *k)
{
	return k->round == s->round;
}

/* Takes one that is not left out off the rest; what is not known is not in it. */
static void take_off(const struct known_set *s, const char *name, struct known_set *rest,
		     unsigned *n)
{
	const struct known *k = known_find(s, name);

	if (!k)
		return;
	count(rest, k, false);
	(*n)--;
}

bool known_covers(const struct known_set *s, const struct config *reading)
{
	struct known_set rest = {.unsure = s->unsure, .sum = s->sum};
	unsigned n = HASH_COUNT(s->all);

	for (unsigned i = 0; i < reading->n_conns; i++)
		take_off(s, reading->conns[i].conn->name, &rest, &n);
	for (unsigned i = 0; i < reading->n_gone; i++)
		take_off(s, reading->gone[i], &rest, &n);
	return !rest.unsure && n == reading->n_unchanged && rest.sum == reading->unchanged_sum;
}
