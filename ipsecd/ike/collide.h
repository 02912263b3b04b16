/* Collisions of exchanges (RFC 7296 2.8.1, 2.8.2, 2.25.1, 2.25.2) as pure functions: what we
 * are doing meets what the peer asks; the answer is a verdict that the handlers carry
 * out. */
#ifndef DETOUR_COLLIDE_H
#define DETOUR_COLLIDE_H

#include "ipsecd/ike/exchange.h"

/* What we are doing with an SA when the peer's request comes. */
enum activity {
	ACTIVITY_NONE,
	ACTIVITY_REKEYING, /* our request to rekey it is in flight */
	ACTIVITY_CLOSING,  /* replaced or being deleted, whether or not the DELETE was sent */
	ACTIVITY_GONE,	   /* there is no such SA */
	ACTIVITIES
};

enum verdict {
	VERDICT_ANSWER,		   /* as usual */
	VERDICT_COLLISION,	   /* as usual, and settle by nonces later */
	VERDICT_TEMPORARY_FAILURE, /* refuse so */
	VERDICT_NOT_FOUND,	   /* refuse with CHILD_SA_NOT_FOUND */
	VERDICT_WITHOUT_DELETE,	   /* answer without a Delete payload */
	VERDICT_FORGET_OWN,	   /* as usual, and forget our own request */
};

enum verdict collide_create_child(enum activity ike);
/* making: our request that makes a CHILD_SA is in flight, so that the peer may know one that we
 * don't know yet. */
enum verdict collide_rekey_child(enum activity child, enum activity ike, bool making);
enum verdict collide_delete_child(enum activity child);
/* children_busy: our request that creates, rekeys or closes a CHILD_SA is in flight. */
enum verdict collide_rekey_ike(enum activity ike, bool children_busy);
enum verdict collide_delete_ike(enum activity ike);

enum activity collide_child_activity(const struct child *c); /* NULL: GONE */
enum activity collide_ike_activity(const struct ike_sa *sa);
bool collide_making_child(const struct ike_sa *sa);

/* Octet by octet; when one nonce is the beginning of the other, the shorter one is lower
 * (RFC 7296 2.8.1). As memcmp. */
int collide_nonce_compare(struct span a, struct span b);
struct span collide_lowest(struct span a, struct span b);
/* Of two redundant SAs the one made with the lowest of the four nonces goes. */
bool collide_ours_goes(struct span our_lowest, struct span their_lowest);

#endif
