/* Key exchange from random bytes that the caller passes in: Curve25519 (RFC 8031),
 * ECP groups (RFC 5903) and MODP groups (RFC 3526), with the checks of peers' public
 * values that RFC 6989 and RFC 7748 6.1 ask for. Knows no payload. */
#include "ipsecd/crypto/openssl_ops.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>
#include <stdlib.h>

#define X25519_LEN	  32
#define MODP_EXPONENT_LEN 64 /* 512 bits: above RFC 3526 8's estimate for MODP-4096 */
#define ECP_SPARE_LEN	  8  /* more bits than the order has: the scalar shows no bias */

struct crypto_ke {
	const struct algorithm_ke *algorithm;
	EVP_PKEY *x25519; /* with its public value, which is half of the work */
	BIGNUM *secret;	  /* ECP scalar or MODP exponent */
	EC_GROUP *group;  /* ECP */
	BIGNUM *prime;	  /* MODP */
};

/* ---- Curve25519 ---- */

/* A key from its bytes. The context is made once for each thread: it looks names up. */
static EVP_PKEY *x25519_key(const char *part, int selection, const uint8_t *bytes)
{
	static _Thread_local EVP_PKEY_CTX *ctx;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(part, (void *)bytes, X25519_LEN),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *key = NULL;

	if (!ctx) {
		ctx = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
		if (ctx && EVP_PKEY_fromdata_init(ctx) != 1) {
			EVP_PKEY_CTX_free(ctx);
			ctx = NULL;
		}
	}
	return ctx && EVP_PKEY_fromdata(ctx, &key, selection, params) == 1 ? key : NULL;
}

static bool x25519_public(struct crypto_ke *ke, const uint8_t *random, uint8_t *out)
{
	size_t n = X25519_LEN;

	ke->x25519 = x25519_key(OSSL_PKEY_PARAM_PRIV_KEY, EVP_PKEY_KEYPAIR, random);
	return ke->x25519 && EVP_PKEY_get_raw_public_key(ke->x25519, out, &n) == 1 &&
	       n == X25519_LEN;
}

static bool x25519_derive(const struct crypto_ke *ke, struct span peer_public, uint8_t *shared)
{
	static const uint8_t zero[X25519_LEN];
	size_t n = X25519_LEN;
	EVP_PKEY *peer = x25519_key(OSSL_PKEY_PARAM_PUB_KEY, EVP_PKEY_PUBLIC_KEY, peer_public.ptr);
	EVP_PKEY_CTX *ctx = peer ? EVP_PKEY_CTX_new(ke->x25519, NULL) : NULL;
	bool ok = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
		  /* every value is one (RFC 7748 5); what it is good for, the result shows */
		  EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 &&
		  EVP_PKEY_derive(ctx, shared, &n) == 1 && n == X25519_LEN &&
		  CRYPTO_memcmp(shared, zero, X25519_LEN) != 0; /* RFC 7748 6.1 */

	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	return ok;
}

/* ---- ECP: values are X | Y without the 0x04 byte, the secret is X (RFC 5903 7) ---- */

static int ecp_nid(uint16_t ke_id)
{
	switch (ke_id) {
	case KE_ECP_256:
		return NID_X9_62_prime256v1;
	case KE_ECP_384:
		return NID_secp384r1;
	case KE_ECP_521:
		return NID_secp521r1;
	default:
		return NID_undef;
	}
}

/* secret = random mod (order - 1) + 1 */
static bool ecp_set_secret(struct crypto_ke *ke, const uint8_t *random, BN_CTX *bn)
{
	size_t len = ke->algorithm->shared_len + ECP_SPARE_LEN;
	BIGNUM *limit = BN_dup(EC_GROUP_get0_order(ke->group));
	bool ok = limit && BN_sub_word(limit, 1) && BN_bin2bn(random, (int)len, ke->secret) &&
		  BN_mod(ke->secret, ke->secret, limit, bn) && BN_add_word(ke->secret, 1);

	BN_free(limit);
	return ok;
}

static bool ecp_public(struct crypto_ke *ke, const uint8_t *random, uint8_t *out)
{
	uint8_t octets[1 + ALGORITHM_PUBLIC_MAX];
	size_t len = 1 + ke->algorithm->public_len;
	BN_CTX *bn = BN_CTX_secure_new();
	EC_POINT *point;
	bool ok;

	ke->group = EC_GROUP_new_by_curve_name(ecp_nid(ke->algorithm->id));
	point = ke->group ? EC_POINT_new(ke->group) : NULL;
	ok = bn && point && ecp_set_secret(ke, random, bn) &&
	     EC_POINT_mul(ke->group, point, ke->secret, NULL, NULL, bn) == 1 &&
	     EC_POINT_point2oct(ke->group, point, POINT_CONVERSION_UNCOMPRESSED, octets, len, bn) ==
		     len;
	if (ok)
		memcpy(out, octets + 1, len - 1);
	EC_POINT_free(point);
	BN_CTX_free(bn);
	return ok;
}

/* RFC 6989 2.3: both coordinates below the prime and on the curve. The order is prime,
 * so nothing but the point at infinity, which has no such form, is of small order. */
static bool ecp_point(const struct crypto_ke *ke, struct span value, EC_POINT *point, BN_CTX *bn)
{
	uint8_t octets[1 + ALGORITHM_PUBLIC_MAX];

	octets[0] = POINT_CONVERSION_UNCOMPRESSED;
	memcpy(octets + 1, value.ptr, value.len);
	return EC_POINT_oct2point(ke->group, point, octets, 1 + value.len, bn) == 1 &&
	       EC_POINT_is_on_curve(ke->group, point, bn) == 1 &&
	       !EC_POINT_is_at_infinity(ke->group, point);
}

static bool ecp_derive(const struct crypto_ke *ke, struct span peer_public, uint8_t *shared)
{
	BN_CTX *bn = BN_CTX_secure_new();
	EC_POINT *point = EC_POINT_new(ke->group);
	BIGNUM *x = BN_secure_new();
	bool ok = bn && point && x && ecp_point(ke, peer_public, point, bn) &&
		  EC_POINT_mul(ke->group, point, NULL, point, ke->secret, bn) == 1 &&
		  EC_POINT_get_affine_coordinates(ke->group, point, x, NULL, bn) == 1 &&
		  BN_bn2binpad(x, shared, ke->algorithm->shared_len) == ke->algorithm->shared_len;

	BN_clear_free(x);
	EC_POINT_clear_free(point);
	BN_CTX_free(bn);
	return ok;
}

/* ---- MODP ---- */

static BIGNUM *modp_prime(uint16_t ke_id)
{
	switch (ke_id) {
	case KE_MODP_2048:
		return BN_get_rfc3526_prime_2048(NULL);
	case KE_MODP_3072:
		return BN_get_rfc3526_prime_3072(NULL);
	case KE_MODP_4096:
		return BN_get_rfc3526_prime_4096(NULL);
	default:
		return NULL;
	}
}

/* out = base ^ secret mod prime, padded with zeros in front (RFC 7296 2.14) */
static bool modp_power(const struct crypto_ke *ke, const BIGNUM *base, uint8_t *out)
{
	int len = ke->algorithm->public_len;
	BN_CTX *bn = BN_CTX_secure_new();
	BIGNUM *power = BN_secure_new();
	bool ok = bn && power &&
		  BN_mod_exp_mont_consttime(power, base, ke->secret, ke->prime, bn, NULL) == 1 &&
		  BN_bn2binpad(power, out, len) == len;

	BN_clear_free(power);
	BN_CTX_free(bn);
	return ok;
}

static bool modp_public(struct crypto_ke *ke, const uint8_t *random, uint8_t *out)
{
	BIGNUM *two = BN_new();
	bool ok;

	ke->prime = modp_prime(ke->algorithm->id);
	/* The top bit set keeps every exponent as long as the others. */
	ok = two && ke->prime && BN_set_word(two, 2) &&
	     BN_bin2bn(random, MODP_EXPONENT_LEN, ke->secret) &&
	     BN_set_bit(ke->secret, MODP_EXPONENT_LEN * 8 - 1) && modp_power(ke, two, out);
	BN_free(two);
	return ok;
}

/* RFC 6989 2.1: 1 < y < p - 1; these primes are safe primes, no more is needed. */
static bool modp_valid(const struct crypto_ke *ke, const BIGNUM *y)
{
	BIGNUM *limit = BN_dup(ke->prime);
	bool ok = limit && BN_sub_word(limit, 1) && BN_cmp(y, BN_value_one()) > 0 &&
		  BN_cmp(y, limit) < 0;

	BN_free(limit);
	return ok;
}

static bool modp_derive(const struct crypto_ke *ke, struct span peer_public, uint8_t *shared)
{
	BIGNUM *y = BN_bin2bn(peer_public.ptr, (int)peer_public.len, NULL);
	bool ok = y && modp_valid(ke, y) && modp_power(ke, y, shared);

	BN_free(y);
	return ok;
}

/* ---- all ---- */

enum ke_family { KE_FAMILY_NONE, KE_FAMILY_X25519, KE_FAMILY_ECP, KE_FAMILY_MODP };

static enum ke_family ke_family(uint16_t ke_id)
{
	switch (ke_id) {
	case KE_CURVE25519:
		return KE_FAMILY_X25519;
	case KE_ECP_256:
	case KE_ECP_384:
	case KE_ECP_521:
		return KE_FAMILY_ECP;
	case KE_MODP_2048:
	case KE_MODP_3072:
	case KE_MODP_4096:
		return KE_FAMILY_MODP;
	default:
		return KE_FAMILY_NONE;
	}
}

static bool ke_public(struct crypto_ke *ke, const uint8_t *random, uint8_t *out)
{
	switch (ke_family(ke->algorithm->id)) {
	case KE_FAMILY_X25519:
		return x25519_public(ke, random, out);
	case KE_FAMILY_ECP:
		return ecp_public(ke, random, out);
	case KE_FAMILY_MODP:
		return modp_public(ke, random, out);
	case KE_FAMILY_NONE:
		break;
	}
	return false;
}

struct crypto_ke *openssl_ke_new(uint16_t ke_id, const uint8_t *random, uint8_t *public_value)
{
	const struct algorithm_ke *algorithm = algorithm_ke(ke_id);
	struct crypto_ke *ke = algorithm ? calloc(1, sizeof(*ke)) : NULL;

	if (!ke)
		return NULL;
	ke->algorithm = algorithm;
	if (ke_family(ke_id) != KE_FAMILY_X25519)
		ke->secret = BN_secure_new();
	if ((!ke->secret && ke_family(ke_id) != KE_FAMILY_X25519) ||
	    !ke_public(ke, random, public_value)) {
		openssl_ke_free(ke);
		return NULL;
	}
	return ke;
}

bool openssl_ke_derive(struct crypto_ke *ke, struct span peer_public, uint8_t *shared)
{
	if (peer_public.len != ke->algorithm->public_len)
		return false; /* RFC 7296 3.4, RFC 6989 2.3 */
	switch (ke_family(ke->algorithm->id)) {
	case KE_FAMILY_X25519:
		return x25519_derive(ke, peer_public, shared);
	case KE_FAMILY_ECP:
		return ecp_derive(ke, peer_public, shared);
	case KE_FAMILY_MODP:
		return modp_derive(ke, peer_public, shared);
	case KE_FAMILY_NONE:
		break;
	}
	return false;
}

void openssl_ke_free(struct crypto_ke *ke)
{
	if (!ke)
		return;
	EVP_PKEY_free(ke->x25519); /* cleanses */
	BN_clear_free(ke->secret);
	BN_free(ke->prime);
	EC_GROUP_free(ke->group);
	explicit_bzero(ke, sizeof(*ke));
	free(ke);
}
