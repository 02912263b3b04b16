/* Buckets of links, twice as many when there are two elements for each. */
#include "lib/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 32

static struct table_link *link_of(const struct table_shape *s, const void *element)
{
	return (struct table_link *)((uintptr_t)element + s->link);
}

static void *element_of(const struct table_shape *s, const struct table_link *link)
{
	return link ? (void *)((uintptr_t)link - s->link) : NULL;
}

static const uint8_t *key_of(const struct table_shape *s, const void *element)
{
	return (const uint8_t *)element + s->key;
}

/* FNV-1a. */
static size_t bucket_of(const struct table *t, const struct table_shape *s, const uint8_t *key)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s->key_len; i++)
		h = (h ^ key[i]) * 16777619u;
	return (h ^ h >> 15) & (t->n_buckets - 1);
}

static void put(struct table *t, const struct table_shape *s, struct table_link *link)
{
	struct table_link **bucket = &t->buckets[bucket_of(t, s, key_of(s, element_of(s, link)))];

	link->next = *bucket;
	*bucket = link;
}

/* Without memory the buckets get longer. */
static bool grow(struct table *t, const struct table_shape *s)
{
	struct table larger = {.n = t->n, .n_buckets = t->n_buckets ? 2 * t->n_buckets : FIRST};
	struct table_link *link, *next;

	larger.buckets = calloc(larger.n_buckets, sizeof(*larger.buckets));
	if (!larger.buckets)
		return t->buckets != NULL;
	for (size_t i = 0; i < t->n_buckets; i++) {
		for (link = t->buckets[i]; link; link = next) {
			next = link->next;
			put(&larger, s, link);
		}
	}
	free(t->buckets);
	*t = larger;
	return true;
}

static void *with_key(const struct table_shape *s, struct table_link *link, const void *key)
{
	while (link && memcmp(key_of(s, element_of(s, link)), key, s->key_len) != 0)
		link = link->next;
	return element_of(s, link);
}

void *table_find(const struct table *t, const struct table_shape *s, const void *key)
{
	return with_key(s, t->n ? t->buckets[bucket_of(t, s, key)] : NULL, key);
}

void *table_same(const struct table_shape *s, const void *element)
{
	return with_key(s, link_of(s, element)->next, key_of(s, element));
}

bool table_add(struct table *t, const struct table_shape *s, void *element)
{
	if (t->n >= 2 * t->n_buckets && !grow(t, s))
		return false;
	put(t, s, link_of(s, element));
	t->n++;
	return true;
}

void *table_make(struct table *t, const struct table_shape *s, size_t size, const void *key)
{
	uint8_t *element = calloc(1, size);

	if (!element)
		return NULL;
	memcpy(element + s->key, key, s->key_len);
	if (table_add(t, s, element))
		return element;
	free(element);
	return NULL;
}

bool table_remove(struct table *t, const struct table_shape *s, void *element)
{
	struct table_link *link = link_of(s, element), **at;

	if (!t->n)
		return false;
	at = &t->buckets[bucket_of(t, s, key_of(s, element))];
	while (*at && *at != link)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = link->next;
	t->n--;
	return true;
}

static void *first_from(const struct table *t, const struct table_shape *s, size_t bucket)
{
	while (bucket < t->n_buckets && !t->buckets[bucket])
		bucket++;
	return bucket < t->n_buckets ? element_of(s, t->buckets[bucket]) : NULL;
}

void *table_first(const struct table *t, const struct table_shape *s)
{
	return first_from(t, s, 0);
}

void *table_next(const struct table *t, const struct table_shape *s, const void *element)
{
	struct table_link *link = link_of(s, element)->next;

	return link ? element_of(s, link)
		    : first_from(t, s, bucket_of(t, s, key_of(s, element)) + 1);
}

void table_free(struct table *t)
{
	free(t->buckets);
	*t = (struct table){0};
}
