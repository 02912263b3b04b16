/* Packets that wait for their SA: who may have some kept, how many, and for how long. */
#include "ipsecd/dataplane/held.h"

#include "lib/buf.h"

#include <stdlib.h>
#include <utlist.h>

static struct held_peer *bucket(struct held *h, const struct endpoint *e)
{
	return &h->peers[addr_hash(&e->addr, sizeof(e->addr.bytes), e->port) % HELD_PEERS];
}

/* One whose packets are here stays: the counts are theirs. */
void held_ike(struct held *h, const struct endpoint *remote, mono_time now)
{
	struct held_peer *p = bucket(h, remote);

	if (!endpoint_equal(&p->remote, remote)) {
		if (p->packets)
			return;
		p->remote = *remote;
	}
	p->until = now + HELD_AFTER_IKE;
}

static bool has_room(const struct held *h, const struct held_peer *p, size_t len)
{
	return h->n < HELD_PACKETS && p->packets < HELD_PEER_PACKETS &&
	       len <= HELD_BYTES - h->bytes && len <= HELD_PEER_BYTES - p->bytes;
}

bool held_add(struct held *h, const struct endpoint *local, const struct endpoint *remote,
	      uint8_t tos, const uint8_t *packet, size_t len, mono_time now)
{
	struct held_peer *p = bucket(h, remote);
	struct held_packet *k;

	if (now >= p->until || !endpoint_equal(&p->remote, remote) || !has_room(h, p, len))
		return false;
	k = malloc(sizeof(*k) + len);
	if (!k)
		return false;
	*k = (struct held_packet){.peer = p,
				  .tos = tos,
				  .local = *local,
				  .remote = *remote,
				  .until = now + HELD_TIME,
				  .len = len};
	memcpy(k->bytes, packet, len);
	DL_APPEND(h->packets, k);
	p->packets++;
	p->bytes += len;
	h->n++;
	h->bytes += len;
	return true;
}

static struct held_packet *detach(struct held *h, struct held_packet *k)
{
	DL_DELETE(h->packets, k);
	k->peer->packets--;
	k->peer->bytes -= k->len;
	h->n--;
	h->bytes -= k->len;
	return k;
}

struct held_packet *held_take(struct held *h, uint32_t spi, mono_time now)
{
	struct held_packet *k;

	DL_FOREACH (h->packets, k) {
		if (now < k->until && be32_get(k->bytes) == spi)
			return detach(h, k);
	}
	return NULL;
}

struct held_packet *held_expired(struct held *h, mono_time now)
{
	return h->packets && now >= h->packets->until ? detach(h, h->packets) : NULL;
}

mono_time held_due(const struct held *h)
{
	return h->packets ? h->packets->until : MONO_NEVER;
}

void held_free(struct held *h)
{
	while (h->packets)
		free(detach(h, h->packets));
}
