/* What the files of this folder offer to the table in openssl.c: each function is
 * the member of struct crypto_ops that its name ends with. Nothing outside of
 * ipsecd/crypto/ includes this. */
#ifndef DETOUR_OPENSSL_OPS_H
#define DETOUR_OPENSSL_OPS_H

#include "ipsecd/crypto/crypto.h"

/* OpenSSL's name of the digest behind a PRF or an integrity transform; NULL if none. */
const char *openssl_prf_digest(uint16_t prf_id);
const char *openssl_integ_digest(uint16_t integ_id);
/* OpenSSL's name of a cipher; NULL if none. */
const char *openssl_encr_name(uint16_t encr_id, uint16_t key_bits);

bool openssl_sha1(const struct span *parts, size_t n, uint8_t out[20]);
bool openssl_prf(uint16_t prf_id, struct span key, const struct span *parts, size_t n,
		 uint8_t *out);

struct crypto_ke *openssl_ke_new(uint16_t ke_id, const uint8_t *random, uint8_t *public_value);
bool openssl_ke_derive(struct crypto_ke *ke, struct span peer_public, uint8_t *shared);
void openssl_ke_free(struct crypto_ke *ke);

struct crypto_cipher *openssl_cipher_new(const struct algorithm_encr *encr,
					 const struct algorithm_integ *integ, struct span key,
					 struct span integ_key, bool encrypt);
bool openssl_seal(struct crypto_cipher *c, struct span iv, struct span aad, struct span aad_tail,
		  uint8_t *data, size_t len, uint8_t *icv);
bool openssl_open(struct crypto_cipher *c, struct span iv, struct span aad, struct span aad_tail,
		  uint8_t *data, size_t len, const uint8_t *icv);
void openssl_cipher_free(struct crypto_cipher *c);

#endif
