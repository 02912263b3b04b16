/* The const tables behind algorithm.h: IANA numbers, names, words and sizes, each
 * in our order of preference. Knows nothing of the code that computes them.
 * Sizes: RFC 3602 (AES-CBC), 4106 (AES-GCM), 7634 (ChaCha20-Poly1305), 4868
 * (HMAC-SHA2), 3526 (MODP), 5903 (ECP), 8031 (Curve25519). */
#include "ipsecd/model/algorithm.h"

#include <stddef.h>
#include <stdio.h>

#define TEXT_SIZE 32
#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

static const struct algorithm_encr encrs[] = {
	{ENCR_AES_GCM_16, 128, "AES_GCM_16_128", "aes128gcm16", 16, 4, 8, 16, 1},
	{ENCR_AES_GCM_16, 256, "AES_GCM_16_256", "aes256gcm16", 32, 4, 8, 16, 1},
	{ENCR_CHACHA20_POLY1305, 0, "CHACHA20_POLY1305", "chacha20poly1305", 32, 4, 8, 16, 1},
	{ENCR_AES_CBC, 128, "AES_CBC_128", "aes128", 16, 0, 16, 0, 16},
	{ENCR_AES_CBC, 256, "AES_CBC_256", "aes256", 32, 0, 16, 0, 16},
};

static const struct algorithm_integ integs[] = {
	{INTEG_HMAC_SHA2_256_128, "HMAC_SHA2_256_128", "sha256", 32, 16},
	{INTEG_HMAC_SHA2_384_192, "HMAC_SHA2_384_192", "sha384", 48, 24},
	{INTEG_HMAC_SHA2_512_256, "HMAC_SHA2_512_256", "sha512", 64, 32},
};

static const struct algorithm_prf prfs[] = {
	{PRF_HMAC_SHA2_256, "PRF_HMAC_SHA2_256", "prfsha256", 32},
	{PRF_HMAC_SHA2_384, "PRF_HMAC_SHA2_384", "prfsha384", 48},
	{PRF_HMAC_SHA2_512, "PRF_HMAC_SHA2_512", "prfsha512", 64},
};

static const struct algorithm_ke kes[] = {
	{KE_CURVE25519, "CURVE_25519", "x25519", 32, 32},
	{KE_ECP_256, "ECP_256", "ecp256", 64, 32},
	{KE_ECP_384, "ECP_384", "ecp384", 96, 48},
	{KE_ECP_521, "ECP_521", "ecp521", 132, 66},
	{KE_MODP_2048, "MODP_2048", "modp2048", 256, 256},
	{KE_MODP_3072, "MODP_3072", "modp3072", 384, 384},
	{KE_MODP_4096, "MODP_4096", "modp4096", 512, 512},
};

const struct algorithm_encr *algorithm_encr_at(unsigned n)
{
	return n < COUNT(encrs) ? &encrs[n] : NULL;
}

const struct algorithm_integ *algorithm_integ_at(unsigned n)
{
	return n < COUNT(integs) ? &integs[n] : NULL;
}

const struct algorithm_prf *algorithm_prf_at(unsigned n)
{
	return n < COUNT(prfs) ? &prfs[n] : NULL;
}

const struct algorithm_ke *algorithm_ke_at(unsigned n)
{
	return n < COUNT(kes) ? &kes[n] : NULL;
}

const struct algorithm_encr *algorithm_encr(uint16_t id, uint16_t key_bits)
{
	for (size_t i = 0; i < COUNT(encrs); i++) {
		if (encrs[i].id == id && encrs[i].key_bits == key_bits)
			return &encrs[i];
	}
	return NULL;
}

const struct algorithm_integ *algorithm_integ(uint16_t id)
{
	for (size_t i = 0; i < COUNT(integs); i++) {
		if (integs[i].id == id)
			return &integs[i];
	}
	return NULL;
}

const struct algorithm_prf *algorithm_prf(uint16_t id)
{
	for (size_t i = 0; i < COUNT(prfs); i++) {
		if (prfs[i].id == id)
			return &prfs[i];
	}
	return NULL;
}

const struct algorithm_ke *algorithm_ke(uint16_t id)
{
	for (size_t i = 0; i < COUNT(kes); i++) {
		if (kes[i].id == id)
			return &kes[i];
	}
	return NULL;
}

/* The name of a transform in the tables; NULL for the others. */
static const char *known_name(uint8_t type, uint16_t id, uint16_t key_bits)
{
	const struct algorithm_encr *encr = algorithm_encr(id, key_bits);
	const struct algorithm_integ *integ = algorithm_integ(id);
	const struct algorithm_prf *prf = algorithm_prf(id);
	const struct algorithm_ke *ke = algorithm_ke(id);

	switch (type) {
	case TRANSFORM_ENCR:
		return encr ? encr->name : NULL;
	case TRANSFORM_PRF:
		return prf ? prf->name : NULL;
	case TRANSFORM_INTEG:
		return integ ? integ->name : id == INTEG_NONE ? "INTEG_NONE" : NULL;
	case TRANSFORM_KE:
		return ke ? ke->name : id == KE_NONE ? "KE_NONE" : NULL;
	case TRANSFORM_ESN:
		return id == ESN_NO ? "NO_EXT_SEQ" : id == ESN_YES ? "EXT_SEQ" : NULL;
	default:
		return NULL;
	}
}

const char *algorithm_format(uint8_t type, uint16_t id, uint16_t key_bits, char *text)
{
	static const char *const types[] = {"TYPE", "ENCR", "PRF", "INTEG", "KE", "ESN"};
	const char *name = known_name(type, id, key_bits);

	if (name)
		snprintf(text, TEXT_SIZE, "%s", name);
	else if (type == 0 || type >= COUNT(types))
		snprintf(text, TEXT_SIZE, "TYPE_%u_%u", type, id);
	else if (key_bits)
		snprintf(text, TEXT_SIZE, "%s_%u_%u", types[type], id, key_bits);
	else
		snprintf(text, TEXT_SIZE, "%s_%u", types[type], id);
	return text;
}
