/* See outer.h. */
#include "ipsecd/ike/outer.h"

const struct addr *outer_own(const struct conn *c, uint8_t family)
{
	for (uint8_t i = 0; i < c->n_local; i++) {
		const struct host *h = &c->local[i];

		if ((h->kind == HOST_ADDR || h->kind == HOST_NAME) && h->addr.family &&
		    (!family || h->addr.family == family))
			return &h->addr;
	}
	return NULL;
}

bool outer_choose(const struct conn *c, const struct ike_answer *answer, unsigned turn,
		  const struct addr **own, const struct addr **remote)
{
	for (unsigned i = 0; i < answer->n; i++) {
		unsigned n = (turn + i) % answer->n;

		*remote = &answer->addrs[n];
		*own = outer_own(c, (*remote)->family);
		*own = *own ? *own : &answer->own[n];
		if ((*own)->family == (*remote)->family)
			return true;
	}
	*remote = &answer->addrs[turn % answer->n];
	return false;
}
