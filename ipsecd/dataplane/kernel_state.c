/* The table of states that are in the kernel because of us: CHILD_SAs' and inherited ones. */
#include "ipsecd/dataplane/kernel.h"

static struct state_key state_key(const struct addr *dst, uint32_t spi, const struct xfrm_tag *tag)
{
	struct state_key key;

	memset(&key, 0, sizeof(key)); /* it is hashed with its padding */
	key.dst = *dst;
	key.spi = spi;
	key.tag = *tag;
	return key;
}

struct kernel_state *kernel_state_find(const struct dataplane *d, const struct addr *dst,
				       uint32_t spi, const struct xfrm_tag *tag)
{
	struct state_key key = state_key(dst, spi, tag);
	struct kernel_state *s;

	HASH_FIND(hh, d->states, &key, sizeof(key), s);
	return s;
}

bool kernel_state_track(struct dataplane *d, struct kernel_state *s, const struct addr *dst,
			uint32_t spi, const struct xfrm_tag *tag)
{
	struct state_key key = state_key(dst, spi, tag);

	memcpy(&s->key, &key, sizeof(key));
	HASH_ADD(hh, d->states, key, sizeof(s->key), s);
	s->tracked = s->hh.tbl != NULL;
	return s->tracked;
}

void kernel_state_forget(struct dataplane *d, struct kernel_state *s)
{
	if (s->tracked)
		HASH_DELETE(hh, d->states, s);
	s->tracked = false;
}
