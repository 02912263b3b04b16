/* A copy of plain memory that is mostly zeros, kept as the pieces that are not. For what is big for
 * its largest content, is needed seldom, and there are many of. Pure, but for malloc. */
#ifndef DETOUR_SPARSE_H
#define DETOUR_SPARSE_H

#include <stddef.h>
#include <stdint.h>

#define SPARSE_MAX 65535 /* bytes of the original */

struct sparse {
	uint32_t len; /* of bytes */
	uint8_t bytes[];
};

/* n bytes, at most SPARSE_MAX. NULL: out of memory, or longer. */
struct sparse *sparse_new(const void *p, size_t n);
/* All n bytes of the original. */
void sparse_get(const struct sparse *s, void *p, size_t n);
void sparse_free(struct sparse *s); /* cleanses; NULL allowed */

#endif
