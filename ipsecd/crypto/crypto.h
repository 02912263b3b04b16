/* The seam to cryptography. The engine and the ESP code call through struct
 * crypto_ops and never include a library's header; ipsecd/crypto/ holds the
 * OpenSSL implementation (crypto_openssl), tests/support/ a cheap and
 * deterministic one for large simulations and fuzzers (crypto_null).
 *
 * Numbers are those of model/algorithm.h. Every function returns false on failure
 * and then has written nothing that may be used. No operation draws random bytes:
 * callers pass them in, so that the same seed gives the same messages. */
#ifndef DETOUR_CRYPTO_H
#define DETOUR_CRYPTO_H

#include "ipsecd/model/algorithm.h"
#include "lib/span.h"

struct crypto_cipher; /* one direction of one SA: key schedule kept, only the IV set per message */
struct crypto_ke;     /* one side's private value of one key exchange */

/* Enough random bytes for any ke_new (MODP uses 64 bytes, P-521 66+8). */
#define CRYPTO_KE_RANDOM 80

struct crypto_ops {
	/* Has the implementation this algorithm (FIPS providers and old libraries may not)? */
	bool (*has)(enum transform_type type, uint16_t id, uint16_t key_bits);

	bool (*sha1)(const struct span *parts, size_t n, uint8_t out[20]); /* RFC 7296 2.23 */
	/* PRF over the concatenation of parts; out has algorithm_prf(id)->out_len bytes. */
	bool (*prf)(uint16_t prf_id, struct span key, const struct span *parts, size_t n,
		    uint8_t *out);

	/* Key exchange: random has CRYPTO_KE_RANDOM bytes; public_value gets ke->public_len
	 * bytes. NULL on failure. */
	struct crypto_ke *(*ke_new)(uint16_t ke_id, const uint8_t *random, uint8_t *public_value);
	/* shared gets ke->shared_len bytes (MODP: left-padded with zeros, RFC 7296 2.14).
	 * false for a peer value that is malformed or weak (RFC 6989, RFC 7748 6.1). */
	bool (*ke_derive)(struct crypto_ke *ke, struct span peer_public, uint8_t *shared);
	void (*ke_free)(struct crypto_ke *ke); /* NULL allowed; cleanses */

	/* A cipher for one direction. key holds key and salt (key_len + salt_len bytes);
	 * integ_key is empty with an AEAD. NULL on failure. */
	struct crypto_cipher *(*cipher_new)(const struct algorithm_encr *encr,
					    const struct algorithm_integ *integ, struct span key,
					    struct span integ_key, bool encrypt);
	/* In place: data is len bytes of plaintext (whole blocks for CBC), the ICV (AEAD tag or
	 * HMAC) is written to icv. aad: for AEADs the associated data; for CBC+HMAC what the
	 * MAC covers before the IV and ciphertext; `aad_tail` is MACed behind the ciphertext
	 * (ESN's high 32 bits, RFC 4303 3.3.2.1) and is empty for AEADs, whose aad already
	 * contains it. iv: the explicit IV (encr->iv_len bytes), as it stands on the wire
	 * directly before data. */
	bool (*seal)(struct crypto_cipher *c, struct span iv, struct span aad, struct span aad_tail,
		     uint8_t *data, size_t len, uint8_t *icv);
	/* The reverse, in place; false when the ICV does not verify (constant time), and then
	 * data's content is undefined and must not be used. */
	bool (*open)(struct crypto_cipher *c, struct span iv, struct span aad, struct span aad_tail,
		     uint8_t *data, size_t len, const uint8_t *icv);
	void (*cipher_free)(struct crypto_cipher *c); /* NULL allowed; cleanses */
};

extern const struct crypto_ops crypto_openssl;

/* The shell's random source (OpenSSL's CSPRNG), in the shape of ike_env.random;
 * aborts the process when the source fails: weak keys are never an answer. */
void crypto_random(void *ctx, void *dst, size_t n);

#endif
