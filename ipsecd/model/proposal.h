/* Proposals (RFC 7296 3.3) as plain data: parse from configuration words,
 * write for logs and vici, select the one both sides accept. */
#ifndef DETOUR_PROPOSAL_H
#define DETOUR_PROPOSAL_H

#include "ipsecd/model/algorithm.h"

#include <stddef.h>

/* RFC 7296 3.3.1 */
enum proposal_protocol { PROTOCOL_NONE = 0, PROTOCOL_IKE = 1, PROTOCOL_AH = 2, PROTOCOL_ESP = 3 };

#define PROPOSAL_TRANSFORMS_MAX 48
#define PROPOSAL_LIST_MAX	8
#define PROPOSAL_TEXT		512

/* As key_bits of a peer's transform: it has attributes that we don't know or that have no place
 * there. It is equal to none of ours; the others of its type count (RFC 7296 3.3.6). */
#define TRANSFORM_KEY_UNUSABLE UINT16_MAX

struct transform {
	uint8_t type; /* enum transform_type, or a number we do not know */
	uint16_t id;
	uint16_t key_bits; /* 0: no Key Length attribute */
};

struct proposal {
	uint8_t protocol;
	uint8_t number; /* 1-based on the wire; 0 in configurations */
	uint8_t n_transforms;
	struct transform transforms[PROPOSAL_TRANSFORMS_MAX];
};

struct proposal_list {
	uint8_t n;
	struct proposal p[PROPOSAL_LIST_MAX];
};

/* One selected algorithm of each type; zero/NULL where the protocol has none. */
struct suite {
	const struct algorithm_encr *encr;
	const struct algorithm_integ *integ; /* NULL with an AEAD */
	const struct algorithm_prf *prf;     /* IKE only */
	const struct algorithm_ke *ke;	     /* NULL: none (ESP without PFS) */
	bool esn;
};

enum proposal_error {
	PROPOSAL_OK,
	PROPOSAL_UNKNOWN_WORD,
	PROPOSAL_EMPTY,
	PROPOSAL_NO_ENCR,
	PROPOSAL_NO_INTEG,	       /* cipher without AEAD and no integrity word */
	PROPOSAL_INTEG_WITH_AEAD_ONLY, /* integrity word, but every cipher is an AEAD, and no PRF
					  use */
	PROPOSAL_NO_KE,		       /* IKE without a group */
	PROPOSAL_TOO_MANY,
	PROPOSAL_MIXED_AEAD,	 /* AEAD and non-AEAD ciphers in one proposal (RFC 7296 3.3) */
	PROPOSAL_WRONG_PROTOCOL, /* a PRF in ESP, ESN or no group at all in IKE */
};

const char *proposal_strerror(enum proposal_error e);

/* One proposal of words joined by '-': "aes128gcm16-prfsha256-x25519",
 * "aes256-sha256-modp2048-esn". For IKE the PRF follows from the integrity word
 * when no prf word is given (as strongSwan does), without either all PRFs are
 * offered. ESP without esn or noesn means noesn. libreswan's separators ';' and '+'
 * do what '-' does. On error *at and *len mark the offending word inside text. */
enum proposal_error proposal_parse(enum proposal_protocol protocol, const char *text,
				   struct proposal *out, size_t *at, size_t *len);
/* A comma separated list; a final '!' (strict) is accepted and means nothing,
 * we always are. `default` adds the default list. */
enum proposal_error proposal_list_parse(enum proposal_protocol protocol, const char *text,
					struct proposal_list *out, size_t *at, size_t *len);
void proposal_list_default(enum proposal_protocol protocol, struct proposal_list *out);
/* All words proposal_parse knows, NULL-terminated, for words_nearest. */
const char *const *proposal_words(void);

/* "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519"; text of PROPOSAL_TEXT bytes. */
const char *proposal_format(const struct proposal *p, char *text);
/* Several, ", " between. */
const char *proposal_list_format(const struct proposal_list *l, char *text, size_t size);
const char *suite_format(enum proposal_protocol protocol, const struct suite *s, char *text);

/* Chooses for the responder (RFC 7296 2.7): the first of `offered` (the peer's
 * order of proposals) of which one transform per type is acceptable to any of
 * `ours`; inside a proposal our order of preference wins. without_ke: the
 * exchange has no KE (IKE_AUTH's CHILD_SA), so KE transforms are left out of the
 * comparison. An ESP proposal of ours without KE (no PFS) goes along with any KE
 * method we know when the peer insists on one, so suite->ke may be set. On success
 * *chosen is what goes back on the wire (number kept, one transform per type) and
 * *suite points into the algorithm tables. */
bool proposal_select(const struct proposal_list *ours, const struct proposal_list *offered,
		     bool without_ke, struct proposal *chosen, struct suite *suite);
/* The initiator's check: `chosen` (from the peer) is one of `ours`, one transform
 * per type (RFC 7296 2.7, 3.3.6). */
bool proposal_accept(const struct proposal_list *ours, const struct proposal *chosen,
		     bool without_ke, struct suite *suite);
bool proposal_has(const struct proposal *p, uint8_t type, uint16_t id);
/* The first KE method of the list, NULL if none. */
const struct algorithm_ke *proposal_first_ke(const struct proposal_list *l);
bool proposal_list_has_ke(const struct proposal_list *l, uint16_t id);
bool proposal_list_equal(const struct proposal_list *a, const struct proposal_list *b);

/* What a data plane can't do is not offered. `usable` is asked for every combination of
 * cipher, integrity (INTEG_NONE with an AEAD) and sequence numbers of an ESP proposal; a
 * transform of these types stays when one combination with it is usable, else `dropped`
 * is told. Proposals without any usable combination go, so that l->n may become 0. */
struct proposal_filter {
	bool (*usable)(void *ctx, const struct transform *encr, uint16_t integ, bool esn);
	void (*dropped)(void *ctx, const struct transform *t);
	void *ctx;
};

void proposal_list_filter(struct proposal_list *l, const struct proposal_filter *filter);

#endif
