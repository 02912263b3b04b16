/* The loaded secrets, in order of loading, by name and by owner: the choice for a peer looks at
 * those that name it, however many others there are. */
#ifndef DETOUR_SECRETS_H
#define DETOUR_SECRETS_H

#include "ipsecd/model/secret.h"
#include "lib/hash.h"

struct secret_node;
struct secret_key;
struct secret_slot;

struct secrets {
	struct secret **list;
	unsigned n;
	uint64_t last; /* counts what was loaded */
	struct secret_node *by_unique;
	struct secret_slot *by_owner;
	struct secret_key *loose; /* whose owners are patterns, or none */
};

/* Takes it, in the place of the one of that name. false: out of memory; it is freed. */
bool secrets_put(struct secrets *all, struct secret *secret);
bool secrets_remove(struct secrets *all, const char *unique); /* false: there is none */
const struct secret *secrets_named(const struct secrets *all, const char *unique);
void secrets_free(struct secrets *all);

/* Who asks, and by which addresses; remote ID_ANY: not known; remote_addr as secret_match has it.
 */
struct secret_wish {
	const struct id *local, *remote;
	const struct addr *local_addr, *remote_addr;
};

/* The pre-shared key that serves them best, the first one of those that do equally; NULL: none. */
const struct secret *secrets_find(const struct secrets *all, const struct secret_wish *wish);

#endif
