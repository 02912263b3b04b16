/* Hashing: SHA-1 for NAT detection (RFC 7296 2.23) and the HMAC-SHA2 PRFs
 * (RFC 4868, RFC 7296 2.13). Keeps no key and no
 * message. */
#include "ipsecd/crypto/openssl_ops.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define PRFS (PRF_HMAC_SHA2_512 - PRF_HMAC_SHA2_256 + 1)

static const uint8_t no_key[1];

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

/* Looked up by name once: that takes longer than to hash a short message. */
static EVP_MD *sha1(void)
{
	static EVP_MD *md;
	EVP_MD *known = __atomic_load_n(&md, __ATOMIC_ACQUIRE), *fresh;

	if (known)
		return known;
	fresh = EVP_MD_fetch(NULL, "SHA1", NULL);
	if (__atomic_compare_exchange_n(&md, &known, fresh, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return fresh;
	EVP_MD_free(fresh);
	return known;
}

bool openssl_sha1(const struct span *parts, size_t n, uint8_t out[20])
{
	EVP_MD *md = sha1();
	EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
	bool ok = ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static EVP_MAC_CTX *hmac_new(const char *digest)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac);
	if (ctx && EVP_MAC_CTX_set_params(ctx, params) == 1)
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

/* One for each digest and thread: making one takes ten times as long as using it. */
static EVP_MAC_CTX *hmac_of(uint16_t prf_id)
{
	static _Thread_local EVP_MAC_CTX *kept[PRFS];
	const char *digest = openssl_prf_digest(prf_id);
	EVP_MAC_CTX **ctx = digest ? &kept[prf_id - PRF_HMAC_SHA2_256] : NULL;

	if (ctx && !*ctx)
		*ctx = hmac_new(digest);
	return ctx ? *ctx : NULL;
}

static bool hmac(EVP_MAC_CTX *ctx, struct span key, const struct span *parts, size_t n,
		 uint8_t *out, size_t out_size)
{
	/* A NULL key would mean "the key of before" to OpenSSL. */
	if (EVP_MAC_init(ctx, key.ptr ? key.ptr : no_key, key.len, NULL) != 1)
		return false;
	for (size_t i = 0; i < n; i++)
		if (EVP_MAC_update(ctx, parts[i].ptr, parts[i].len) != 1)
			return false;
	return EVP_MAC_final(ctx, out, NULL, out_size) == 1;
}

bool openssl_prf(uint16_t prf_id, struct span key, const struct span *parts, size_t n, uint8_t *out)
{
	EVP_MAC_CTX *ctx = hmac_of(prf_id);
	uint8_t result[ALGORITHM_PRF_MAX];
	bool ok = ctx && hmac(ctx, key, parts, n, result, sizeof(result));

	if (ok)
		memcpy(out, result, algorithm_prf(prf_id)->out_len);
	explicit_bzero(result, sizeof(result));
	if (ctx) /* nothing of the key stays in it */
		EVP_MAC_init(ctx, no_key, 0, NULL);
	return ok;
}
