/* Hashing: SHA-1 for NAT detection (RFC 7296 2.23) and the HMAC-SHA2 PRFs
 * (RFC 4868, RFC 7296 2.13). Stateless. */
#include "ipsecd/crypto/openssl_ops.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

const char *openssl_prf_digest(uint16_t prf_id)
{
	switch (prf_id) {
	case PRF_HMAC_SHA2_256:
		return "SHA256";
	case PRF_HMAC_SHA2_384:
		return "SHA384";
	case PRF_HMAC_SHA2_512:
		return "SHA512";
	default:
		return NULL;
	}
}

bool openssl_sha1(const struct span *parts, size_t n, uint8_t out[20])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool hmac(EVP_MAC_CTX *ctx, const char *digest, struct span key, const struct span *parts,
		 size_t n, uint8_t *out, size_t out_size)
{
	static const uint8_t no_key[1];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
		OSSL_PARAM_construct_end(),
	};

	/* A NULL key would mean "the key of before" to OpenSSL. */
	if (EVP_MAC_init(ctx, key.ptr ? key.ptr : no_key, key.len, params) != 1)
		return false;
	for (size_t i = 0; i < n; i++)
		if (EVP_MAC_update(ctx, parts[i].ptr, parts[i].len) != 1)
			return false;
	return EVP_MAC_final(ctx, out, NULL, out_size) == 1;
}

bool openssl_prf(uint16_t prf_id, struct span key, const struct span *parts, size_t n, uint8_t *out)
{
	const char *digest = openssl_prf_digest(prf_id);
	EVP_MAC *mac = digest ? EVP_MAC_fetch(NULL, "HMAC", NULL) : NULL;
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	uint8_t result[ALGORITHM_PRF_MAX];
	bool ok = ctx && hmac(ctx, digest, key, parts, n, result, sizeof(result));

	if (ok)
		memcpy(out, result, algorithm_prf(prf_id)->out_len);
	explicit_bzero(result, sizeof(result));
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return ok;
}
