/* What IKE_SA_INIT and IKE_AUTH share and nobody needs afterwards. */
#ifndef DETOUR_INIT_H
#define DETOUR_INIT_H

#include "ipsecd/ike/exchange.h"

struct init_state {
	struct crypto_ke *ke; /* until there are keys */
	const struct algorithm_ke *ke_alg;
	uint8_t ke_random[CRYPTO_KE_RANDOM]; /* what ke was made from, if it is published */
	uint8_t ke_public[ALGORITHM_PUBLIC_MAX];
	/* The first messages as sent, for AUTH (RFC 7296 2.15). */
	struct message_copy request, response;
	uint8_t cookie[IKE_COOKIE_MAX];
	uint8_t cookie_len;
	unsigned rounds;  /* of IKE_SA_INIT: COOKIE and INVALID_KE_PAYLOAD make further ones */
	char *child_name; /* initiator: the first CHILD_SA */
	uint32_t child_spi;

	/* Responder: the decrypted IKE_AUTH while it waits for the pools, and their answer. */
	struct message_copy aside;
	uint8_t aside_first;
	struct wire_header aside_header;
	struct ike_path aside_path;
	bool have_lease;
	struct ike_lease lease;
};

/* Begins as initiator: first message of a new IKE_SA of entry's conn. NULL: out of memory or the
 * attempt failed at once (peers_attempt_failed was called). */
struct ike_sa *init_start(struct ike_engine *e, struct conn_entry *entry,
			  const struct ike_path *path, const char *child);
void init_state_free(struct ike_engine *e, struct ike_sa *sa);
/* SK_* of a half-open IKE_SA, unless there are any: its answer did not wait for them. false: out of
 * memory, or sa was ended, since the peer's public value is no good (RFC 6989, RFC 7748 6.1). */
bool init_make_keys(struct ike_engine *e, struct ike_sa *sa);
/* Of one of those, before its IKE_AUTH comes: when there is nothing else to do. */
void init_make_keys_ahead(struct ike_engine *e);
/* auth.c: the initiator's IKE_AUTH. */
void auth_start(struct ike_engine *e, struct ike_sa *sa);
/* false: whoever holds our key does not answer now; nothing was changed. */
bool auth_can_start(const struct ike_engine *e, const struct ike_sa *sa);
/* auth.c: the responder's answer is written and says that there will be no IKE_SA; what there is
 * stays a little to repeat it. `name`: the conn's, or NULL for that of x->sa. */
void auth_refuse(struct exchange *x, const char *name, enum ike_reason reason, const char *detail);

#endif
