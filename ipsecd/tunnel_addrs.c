/* Which tunnel's device has which configured address, so that one is not given to two: the kernel
 * would send all of its network into the first. Owns the table; a condemned tunnel's addresses are
 * nobody's. */
#include "ipsecd/tunnel_parts.h"

#include <stdlib.h>

struct tunnel_addr {
	struct table_link in_addrs;
	struct addr addr; /* zeros behind its bytes */
	struct tunnel *tunnel;
	struct tunnel_addr *next; /* of the tunnel */
};

static const struct table_shape by_addr = TABLE_SHAPE(struct tunnel_addr, in_addrs, addr);

static struct addr key_of(const struct addr *a)
{
	struct addr key;

	memset(&key, 0, sizeof(key));
	key.family = a->family;
	memcpy(key.bytes, a->bytes, addr_size(a->family));
	return key;
}

void tunnel_addrs_forget(struct tunnels *t, struct tunnel *tunnel)
{
	struct tunnel_addr *a, *next;

	LL_FOREACH_SAFE (tunnel->addrs, a, next) {
		table_remove(&t->addrs, &by_addr, a);
		free(a);
	}
	tunnel->addrs = NULL;
}

/* Without memory for one it is not known to be taken: what the configuration does with it then is
 * its own fault. */
void tunnel_addrs_note(struct tunnels *t, struct tunnel *tunnel)
{
	const struct tunnel_config *c = &tunnel->config;

	tunnel_addrs_forget(t, tunnel);
	for (unsigned i = 0; i < c->n_addrs; i++) {
		struct addr key = key_of(&c->addrs[i].addr);
		struct tunnel_addr *a;

		if (tunnel_addr_is_shared(&c->addrs[i]))
			continue;
		a = table_make(&t->addrs, &by_addr, sizeof(*a), &key);
		if (!a)
			return;
		a->tunnel = tunnel;
		LL_PREPEND(tunnel->addrs, a);
	}
}

static const char *owner(const struct tunnels *t, const struct prefix *p, const char *besides)
{
	struct addr key = key_of(&p->addr);
	const struct tunnel_addr *a;

	for (a = table_find(&t->addrs, &by_addr, &key); a; a = table_same(&by_addr, a)) {
		if (a->tunnel->conn && strcmp(a->tunnel->conn, besides) != 0)
			return a->tunnel->conn;
	}
	return NULL;
}

const char *tunnels_addr_owner(const struct tunnels *t, const struct conn *conn, struct addr *addr)
{
	const struct tunnel_config *c = &conn->tunnel;
	const char *other = NULL;

	for (unsigned i = 0; i < c->n_addrs && !other; i++) {
		if (tunnel_addr_is_shared(&c->addrs[i]))
			continue;
		other = owner(t, &c->addrs[i], conn->name);
		*addr = c->addrs[i].addr;
	}
	return other;
}
