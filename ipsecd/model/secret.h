/* Shared secrets with their owners, as ipsec.secrets and vici's load-shared
 * give them. The bytes are cleansed when freed. */
#ifndef DETOUR_SECRET_H
#define DETOUR_SECRET_H

#include "ipsecd/model/id.h"

enum secret_kind { SECRET_IKE, SECRET_EAP, SECRET_XAUTH, SECRET_NTLM, SECRET_PPK };

struct secret {
	char *unique; /* vici's id, or "file:line"; never NULL */
	enum secret_kind kind;
	uint16_t n_owners; /* none: any peer */
	struct id *owners;
	size_t len;
	uint8_t *data;
	uint64_t held; /* not 0: another process has the bytes, and knows them by this number,
			  which changes with them; len is 0 here */
};

/* Copies data. NULL when out of memory. */
struct secret *secret_new(const char *unique, enum secret_kind kind, struct span data);
bool secret_add_owner(struct secret *s, const struct id *owner);
void secret_free(struct secret *s);
bool secret_equal(const struct secret *a, const struct secret *b);
/* How well s serves a pair of identities: 0 not at all; the most specific wins
 * (ipsec.secrets(5): both named > peer named > own named > no owners). Addresses may
 * stand for identities, as in "192.0.2.1 192.0.2.2 : PSK", but rank behind them. The
 * caller passes remote_addr only where it is known whose address that is: else whoever
 * has a key for his own address could use it under any name. */
unsigned secret_match(const struct secret *s, const struct id *local, const struct id *remote,
		      const struct addr *local_addr, const struct addr *remote_addr);
/* A rank of secret_match: the secret names the peer. All of these are above all others. */
bool secret_names_peer(unsigned rank);

#endif
