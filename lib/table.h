/* A hash table of elements that have the link to the next one and their key in them. It takes 8
 * bytes in the element and 4 to 8 for the buckets, where uthash's handle takes 56: for what there
 * is one of for each SA. It has no order. A struct table of zeros is empty.
 *
 * The elements are the caller's: an element must not move, and its key not change, while it is in
 * the table. */
#ifndef DETOUR_TABLE_H
#define DETOUR_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct table_link {
	struct table_link *next;
};

struct table {
	struct table_link **buckets; /* NULL: none yet */
	size_t n_buckets;	     /* a power of two */
	size_t n;		     /* elements */
};

/* Where the elements of a table have what it needs. The key is compared as bytes: one that has
 * holes has to have zeros there. */
struct table_shape {
	size_t link, key, key_len;
};

#define TABLE_SHAPE(type, link_field, key_field)                       \
	{                                                              \
		offsetof(type, link_field), offsetof(type, key_field), \
			sizeof(((type *)NULL)->key_field)              \
	}

void *table_find(const struct table *t, const struct table_shape *s, const void *key);
/* The next one with the key of this one; NULL: that was the last. */
void *table_same(const struct table_shape *s, const void *element);
/* false: out of memory. Another element may have the same key: which is found then is not said. */
bool table_add(struct table *t, const struct table_shape *s, void *element);
/* An element of so many bytes, zeros but for the key, allocated for the caller to free, and put
 * into the table. NULL: out of memory. */
void *table_make(struct table *t, const struct table_shape *s, size_t size, const void *key);
/* false: it was not there. */
bool table_remove(struct table *t, const struct table_shape *s, void *element);
/* Each element once, NULL behind the last one. What was returned may be removed after its next one
 * was asked for; none may be added meanwhile. */
void *table_first(const struct table *t, const struct table_shape *s);
void *table_next(const struct table *t, const struct table_shape *s, const void *element);
#define TABLE_EACH(t, shape, item) \
	for ((item) = table_first(t, shape); (item); (item) = table_next(t, shape, item))
/* What the table itself took; it is empty then. */
void table_free(struct table *t);

#endif
