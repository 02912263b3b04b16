/* The index of IKE_SAs by both identities: a table of lists that doubles, and a list of what has no
 * place in it. */
#include "ipsecd/ike/sa.h"

#include <stdlib.h>

#define FIRST 64u

enum who_where { WHO_NOWHERE, WHO_BUCKET, WHO_LOOSE };

/* FNV-1a; equal for identities that id_equal takes for equal. */
static uint32_t hash_id(uint32_t h, const struct id *id)
{
	h = (h ^ id->type) * 16777619u;
	for (unsigned i = 0; i < id->len; i++) {
		uint8_t c = id->data[i];

		h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 16777619u;
	}
	return (h ^ id->len) * 16777619u;
}

static uint32_t hash_of(const struct id *local, const struct id *remote)
{
	return hash_id(hash_id(2166136261u, local), remote);
}

static struct ike_sa **bucket_of(const struct who *w, uint32_t hash)
{
	return &w->buckets[(hash ^ hash >> 15) & (w->n_buckets - 1)];
}

static void put(struct ike_sa **list, struct ike_sa *sa, enum who_where where)
{
	DL_APPEND2(*list, sa, who.prev, who.next);
	sa->who.where = (uint8_t)where;
}

/* Without memory the lists get longer. */
static void grow(struct who *w)
{
	struct who larger = {.n_buckets = w->n_buckets ? 2 * w->n_buckets : FIRST, .n = w->n};
	struct ike_sa *sa, *next;

	if (w->n < w->n_buckets)
		return;
	larger.buckets = calloc(larger.n_buckets, sizeof(struct ike_sa *));
	if (!larger.buckets)
		return;
	for (unsigned i = 0; i < w->n_buckets; i++) {
		DL_FOREACH_SAFE2 (w->buckets[i], sa, next, who.next)
			put(bucket_of(&larger, sa->who.hash), sa, WHO_BUCKET);
	}
	free(w->buckets);
	w->buckets = larger.buckets;
	w->n_buckets = larger.n_buckets;
}

void who_file(struct ike_engine *e, struct ike_sa *sa)
{
	struct who *w = &e->who;

	who_remove(e, sa);
	if (sa_local_id(sa)->type == ID_ANY)
		return;
	grow(w);
	if (!w->buckets || id_is_pattern(sa_remote_id(sa))) {
		put(&w->loose, sa, WHO_LOOSE);
		return;
	}
	sa->who.hash = hash_of(sa_local_id(sa), sa_remote_id(sa));
	put(bucket_of(w, sa->who.hash), sa, WHO_BUCKET);
	w->n++;
}

void who_remove(struct ike_engine *e, struct ike_sa *sa)
{
	struct who *w = &e->who;

	if (sa->who.where == WHO_BUCKET) {
		DL_DELETE2(*bucket_of(w, sa->who.hash), sa, who.prev, who.next);
		w->n--;
	} else if (sa->who.where == WHO_LOOSE) {
		DL_DELETE2(w->loose, sa, who.prev, who.next);
	}
	sa->who = (struct who_place){0};
}

void who_free(struct ike_engine *e)
{
	free(e->who.buckets);
	e->who = (struct who){0};
}

static bool each(const struct ike_sa *list, bool (*cb)(void *ctx, const struct ike_sa *sa),
		 void *ctx)
{
	const struct ike_sa *sa;

	DL_FOREACH2 (list, sa, who.next)
		if (!cb(ctx, sa))
			return false;
	return true;
}

bool who_each(const struct ike_engine *e, const struct id *local, const struct id *remote,
	      bool (*cb)(void *ctx, const struct ike_sa *sa), void *ctx)
{
	const struct who *w = &e->who;

	return (!w->buckets || each(*bucket_of(w, hash_of(local, remote)), cb, ctx)) &&
	       each(w->loose, cb, ctx);
}
