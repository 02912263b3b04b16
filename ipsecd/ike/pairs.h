/* Key pairs made ahead, so that neither our first message nor an answer waits for one. Each is
 * handed out once and then is its exchange's (RFC 7296 2.12: nothing is reused, so nothing of what
 * reuse would ask for has to be done); one that nobody took is cleansed after PAIR_LIFE. They are
 * in no record: an engine that goes on with the state of another one has none. Not for anybody
 * outside ike/. */
#ifndef DETOUR_PAIRS_H
#define DETOUR_PAIRS_H

#include "ipsecd/crypto/crypto.h"
#include "ipsecd/ike/timer.h"

#define PAIR_GROUPS 4 /* for which there is a stock; of more, the ones used last */
#define PAIRS_MIN   2 /* of a group */
#define PAIRS_MAX   32
#define PAIR_LIFE   (600 * MONO_S)

struct pair;

struct pair_stock {
	const struct algorithm_ke *alg; /* NULL: free */
	struct pair *pairs;		/* utlist, oldest first */
	unsigned n, want;		/* want: twice as many each time it ran out */
	uint64_t used;			/* of pairs.uses */
};

struct pairs {
	struct pair_stock stocks[PAIR_GROUPS];
	uint64_t uses;
	struct timer timer; /* the oldest one's end */
};

bool pairs_init(struct ike_engine *e); /* false: out of memory */
void pairs_free(struct ike_engine *e); /* cleanses */
/* A conn may ask for this group. */
void pairs_expect(struct ike_engine *e, const struct algorithm_ke *alg);
/* One from the stock, or else one made now. public_value: alg->public_len bytes; random: what it
 * was made from, if that has to be published, zeroes otherwise. NULL: crypto failed. The caller's
 * to free with crypto->ke_free. */
struct crypto_ke *pairs_take(struct ike_engine *e, const struct algorithm_ke *alg,
			     uint8_t random[CRYPTO_KE_RANDOM], uint8_t *public_value);
/* Is a stock not full? pairs_make puts one pair into it. */
bool pairs_short(const struct ike_engine *e);
void pairs_make(struct ike_engine *e);

#endif
