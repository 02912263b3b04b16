/* Hashing: SHA-1 for NAT detection (RFC 7296 2.23) and the HMAC-SHA2 PRFs
 * (RFC 4868, RFC 7296 2.13). Keeps no key and no
 * message. */
#include "ipsecd/crypto/openssl_ops.h"

#include <openssl/evp.h>

#define PRFS	  (PRF_HMAC_SHA2_512 - PRF_HMAC_SHA2_256 + 1)

#define BLOCK_MAX 128 /* of SHA-512 */
#define IPAD	  UINT64_C(0x3636363636363636)
#define OPAD	  UINT64_C(0x5c5c5c5c5c5c5c5c)

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

/* A digest, and a context for it: one of each PRF and thread. Making them takes longer than
 * using them, and EVP_MAC looks names up for each key. */
struct hmac {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
	size_t block, len;
};

union block {
	uint8_t bytes[BLOCK_MAX];
	uint64_t words[BLOCK_MAX / 8];
};

static bool hmac_make(struct hmac *h, const char *digest)
{
	EVP_MD *md = EVP_MD_fetch(NULL, digest, NULL);
	EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;

	if (!ctx || EVP_MD_get_block_size(md) > BLOCK_MAX) {
		EVP_MD_CTX_free(ctx);
		EVP_MD_free(md);
		return false;
	}
	*h = (struct hmac){.md = md,
			   .ctx = ctx,
			   .block = (size_t)EVP_MD_get_block_size(md),
			   .len = (size_t)EVP_MD_get_size(md)};
	return true;
}

static struct hmac *hmac_of(uint16_t prf_id)
{
	static _Thread_local struct hmac kept[PRFS];
	const char *digest = openssl_prf_digest(prf_id);
	struct hmac *h = digest ? &kept[prf_id - PRF_HMAC_SHA2_256] : NULL;

	return h && (h->ctx || hmac_make(h, digest)) ? h : NULL;
}

/* H(first | parts) */
static bool digest(struct hmac *h, struct span first, const struct span *parts, size_t n,
		   uint8_t *out)
{
	bool ok = EVP_DigestInit_ex2(h->ctx, h->md, NULL) == 1 &&
		  EVP_DigestUpdate(h->ctx, first.ptr, first.len) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(h->ctx, parts[i].ptr, parts[i].len) == 1;
	return ok && EVP_DigestFinal_ex(h->ctx, out, NULL) == 1;
}

/* The key with zeros up to a block, or its digest where it is longer (RFC 2104 2). */
static bool set_key(struct hmac *h, struct span key, union block *block)
{
	memset(block, 0, sizeof(*block));
	if (key.len > h->block)
		return digest(h, key, NULL, 0, block->bytes);
	if (key.len)
		memcpy(block->bytes, key.ptr, key.len);
	return true;
}

static void change_pad(union block *block, uint64_t change)
{
	for (size_t i = 0; i < sizeof(block->words) / sizeof(block->words[0]); i++)
		block->words[i] ^= change;
}

/* RFC 2104 2: H(K xor opad | H(K xor ipad | parts)) */
static bool hmac(struct hmac *h, struct span key, const struct span *parts, size_t n, uint8_t *out)
{
	union block block;
	uint8_t inner[EVP_MAX_MD_SIZE];
	struct span pad = span_of(block.bytes, h->block), result = span_of(inner, h->len);
	bool ok = set_key(h, key, &block);

	change_pad(&block, IPAD);
	ok = ok && digest(h, pad, parts, n, inner);
	change_pad(&block, IPAD ^ OPAD);
	ok = ok && digest(h, pad, &result, 1, out);
	explicit_bzero(&block, sizeof(block));
	explicit_bzero(inner, sizeof(inner));
	return ok;
}

bool openssl_prf(uint16_t prf_id, struct span key, const struct span *parts, size_t n, uint8_t *out)
{
	struct hmac *h = hmac_of(prf_id);
	uint8_t result[EVP_MAX_MD_SIZE];
	bool ok = h && hmac(h, key, parts, n, result);

	if (ok)
		memcpy(out, result, algorithm_prf(prf_id)->out_len);
	explicit_bzero(result, sizeof(result));
	if (h) /* its state is the result */
		EVP_DigestInit_ex2(h->ctx, h->md, NULL);
	return ok;
}
