/* A toy implementation of crypto.h (see the header). Everything is built from one
 * 64-bit mixing hash; the key exchange is g^x in the integers mod 2^61 - 1. */
#include "tests/support/crypto_null.h"

#include <stdlib.h>

#define MERSENNE 0x1fffffffffffffffULL /* 2^61 - 1, a prime */

struct crypto_ke {
	const struct algorithm_ke *algorithm;
	uint64_t exponent;
};

struct crypto_cipher {
	uint64_t key, integ_key;
	uint8_t iv_len, icv_len, block;
	bool encrypt;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

/* Eight bytes at a time, the length with them, so that pieces can't be shifted about. */
static uint64_t hash(uint64_t h, struct span s)
{
	size_t i = 0;
	uint64_t word;

	for (; s.len - i >= 8; i += 8) {
		memcpy(&word, s.ptr + i, 8);
		h = mix(h, word);
	}
	for (word = 0; i < s.len; i++)
		word = word << 8 | s.ptr[i];
	return mix(mix(h, word), s.len);
}

static void expand(uint64_t h, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i % 8 == 0)
			h = mix(h, 0xd1b54a32d192ed03ULL + i);
		out[i] = (uint8_t)(h >> i % 8 * 8);
	}
}

/* Joined as one string: a PRF's value must not depend on how it was cut into parts. */
static uint64_t hash_parts(uint64_t h, const struct span *parts, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < parts[i].len; j++)
			h = mix(h, parts[i].ptr[j]);
		total += parts[i].len;
	}
	return mix(h, total);
}

static bool null_has(enum transform_type type, uint16_t id, uint16_t key_bits)
{
	switch (type) {
	case TRANSFORM_ENCR:
		return algorithm_encr(id, key_bits) != NULL;
	case TRANSFORM_PRF:
		return algorithm_prf(id) != NULL;
	case TRANSFORM_INTEG:
		return id == INTEG_NONE || algorithm_integ(id) != NULL;
	case TRANSFORM_KE:
		return id == KE_NONE || algorithm_ke(id) != NULL;
	case TRANSFORM_ESN:
		return id == ESN_NO || id == ESN_YES;
	}
	return false;
}

static bool null_sha1(const struct span *parts, size_t n, uint8_t out[20])
{
	expand(hash_parts(1, parts, n), out, 20);
	return true;
}

static bool null_prf(uint16_t prf_id, struct span key, const struct span *parts, size_t n,
		     uint8_t *out)
{
	const struct algorithm_prf *prf = algorithm_prf(prf_id);

	if (!prf)
		return false;
	expand(hash_parts(hash(prf_id, key), parts, n), out, prf->out_len);
	return true;
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b % MERSENNE);
}

static uint64_t power(uint64_t base, uint64_t exponent)
{
	uint64_t result = 1;

	for (; exponent; exponent >>= 1) {
		if (exponent & 1)
			result = multiply(result, base);
		base = multiply(base, base);
	}
	return result;
}

/* The value stands in the first eight bytes; the rest is made from it. */
static void value_write(uint64_t value, uint8_t *out, size_t n)
{
	expand(value, out, n);
	memcpy(out, &value, sizeof(value));
}

static struct crypto_ke *null_ke_new(uint16_t ke_id, const uint8_t *random, uint8_t *public_value)
{
	const struct algorithm_ke *algorithm = algorithm_ke(ke_id);
	struct crypto_ke *ke = algorithm ? calloc(1, sizeof(*ke)) : NULL;

	if (!ke)
		return NULL;
	ke->algorithm = algorithm;
	ke->exponent = hash(ke_id, span_of(random, CRYPTO_KE_RANDOM)) % (MERSENNE - 3) + 2;
	value_write(power(37, ke->exponent), public_value, algorithm->public_len);
	return ke;
}

static bool null_ke_derive(struct crypto_ke *ke, struct span peer_public, uint8_t *shared)
{
	uint64_t value;

	if (peer_public.len != ke->algorithm->public_len)
		return false;
	memcpy(&value, peer_public.ptr, sizeof(value));
	if (value < 2 || value >= MERSENNE - 1)
		return false;
	value_write(power(value, ke->exponent), shared, ke->algorithm->shared_len);
	return true;
}

static void null_ke_free(struct crypto_ke *ke)
{
	free(ke);
}

static struct crypto_cipher *null_cipher_new(const struct algorithm_encr *encr,
					     const struct algorithm_integ *integ, struct span key,
					     struct span integ_key, bool encrypt)
{
	struct crypto_cipher *c;

	if (key.len != (size_t)encr->key_len + encr->salt_len || !encr->icv_len != !!integ ||
	    integ_key.len != (integ ? integ->key_len : 0))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->key = hash(encr->id, key);
	c->integ_key = hash(c->key, integ_key);
	c->iv_len = encr->iv_len;
	c->icv_len = integ ? integ->icv_len : encr->icv_len;
	c->block = encr->block;
	c->encrypt = encrypt;
	return c;
}

static void apply_stream(const struct crypto_cipher *c, struct span iv, uint8_t *data, size_t len)
{
	uint64_t h = hash(c->key, iv);

	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			h = mix(h, i);
		data[i] ^= (uint8_t)(h >> i % 8 * 8);
	}
}

static void checksum(const struct crypto_cipher *c, struct span iv, struct span aad,
		     struct span aad_tail, const uint8_t *data, size_t len, uint8_t *out)
{
	uint64_t h = hash(hash(c->integ_key, aad), iv);

	expand(hash(hash(h, span_of(data, len)), aad_tail), out, c->icv_len);
}

static bool null_seal(struct crypto_cipher *c, struct span iv, struct span aad,
		      struct span aad_tail, uint8_t *data, size_t len, uint8_t *icv)
{
	if (!c->encrypt || iv.len != c->iv_len || len % c->block)
		return false;
	apply_stream(c, iv, data, len);
	checksum(c, iv, aad, aad_tail, data, len, icv);
	return true;
}

static bool null_open(struct crypto_cipher *c, struct span iv, struct span aad,
		      struct span aad_tail, uint8_t *data, size_t len, const uint8_t *icv)
{
	uint8_t expected[ALGORITHM_ICV_MAX];

	if (c->encrypt || iv.len != c->iv_len || len % c->block)
		return false;
	checksum(c, iv, aad, aad_tail, data, len, expected);
	if (memcmp(expected, icv, c->icv_len) != 0)
		return false;
	apply_stream(c, iv, data, len);
	return true;
}

static void null_cipher_free(struct crypto_cipher *c)
{
	free(c);
}

const struct crypto_ops crypto_null = {
	.has = null_has,
	.sha1 = null_sha1,
	.prf = null_prf,
	.ke_new = null_ke_new,
	.ke_derive = null_ke_derive,
	.ke_free = null_ke_free,
	.cipher_new = null_cipher_new,
	.seal = null_seal,
	.open = null_open,
	.cipher_free = null_cipher_free,
};
