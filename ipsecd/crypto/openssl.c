/* The table of OpenSSL's implementation, and what it has. */
#include "ipsecd/crypto/openssl_ops.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

static bool has_encr(uint16_t id, uint16_t key_bits)
{
	const char *name = openssl_encr_name(id, key_bits);
	EVP_CIPHER *cipher = name ? EVP_CIPHER_fetch(NULL, name, NULL) : NULL;

	EVP_CIPHER_free(cipher);
	return cipher != NULL;
}

static bool has_digest(const char *name)
{
	EVP_MD *md = name ? EVP_MD_fetch(NULL, name, NULL) : NULL;

	EVP_MD_free(md);
	return md != NULL;
}

/* A provider without Curve25519 or a curve shows it only when it is asked for one. */
static bool has_ke(uint16_t id)
{
	static const uint8_t random[CRYPTO_KE_RANDOM] = {1};
	uint8_t public_value[ALGORITHM_PUBLIC_MAX];
	struct crypto_ke *ke = openssl_ke_new(id, random, public_value);

	openssl_ke_free(ke);
	return ke != NULL;
}

static bool openssl_has(enum transform_type type, uint16_t id, uint16_t key_bits)
{
	switch (type) {
	case TRANSFORM_ENCR:
		return has_encr(id, key_bits);
	case TRANSFORM_PRF:
		return has_digest(openssl_prf_digest(id));
	case TRANSFORM_INTEG:
		return id == INTEG_NONE || has_digest(openssl_integ_digest(id));
	case TRANSFORM_KE:
		return id == KE_NONE || has_ke(id);
	case TRANSFORM_ESN:
		return id == ESN_NO || id == ESN_YES;
	}
	return false;
}

const struct crypto_ops crypto_openssl = {
	.has = openssl_has,
	.sha1 = openssl_sha1,
	.prf = openssl_prf,
	.ke_new = openssl_ke_new,
	.ke_derive = openssl_ke_derive,
	.ke_free = openssl_ke_free,
	.cipher_new = openssl_cipher_new,
	.seal = openssl_seal,
	.open = openssl_open,
	.cipher_free = openssl_cipher_free,
};
