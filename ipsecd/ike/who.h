/* IKE_SAs by the identities of both ends, so that to ask whether there is another one between them
 * costs the same however many there are. Which of them counts is not its business. */
#ifndef DETOUR_WHO_H
#define DETOUR_WHO_H

#include "ipsecd/model/id.h"

#include <stdint.h>

struct ike_engine;
struct ike_sa;

struct who {
	struct ike_sa **buckets; /* utlists by who_next; NULL: none yet */
	unsigned n_buckets, n;	 /* a power of two; IKE_SAs in them */
	struct ike_sa *loose;	 /* the other end may be more than one, or there was no memory */
};

/* What an IKE_SA has in there. */
struct who_place {
	struct ike_sa *prev, *next;
	uint32_t hash;
	uint8_t where; /* enum who_where in who.c */
};

/* Its identities were set, or are others now. */
void who_file(struct ike_engine *e, struct ike_sa *sa);
void who_remove(struct ike_engine *e, struct ike_sa *sa);
void who_free(struct ike_engine *e);
/* Calls back for each one whose identities may be these two, and some others; `remote` is no
 * pattern. false from it ends the round, and is what is returned. */
bool who_each(const struct ike_engine *e, const struct id *local, const struct id *remote,
	      bool (*cb)(void *ctx, const struct ike_sa *sa), void *ctx);

#endif
