/* The transforms that Detour knows, as const tables: what configuration words
 * name them, their IANA numbers and their sizes. Pure data; the code behind an
 * algorithm is found through crypto.h by the same numbers.
 * Source: IANA "Internet Key Exchange Version 2 (IKEv2) Parameters",
 * recommendations of RFC 8247 (IKE) and RFC 8221 (ESP). */
#ifndef DETOUR_ALGORITHM_H
#define DETOUR_ALGORITHM_H

#include <stdbool.h>
#include <stdint.h>

/* RFC 7296 3.3.2 */
enum transform_type {
	TRANSFORM_ENCR = 1,
	TRANSFORM_PRF = 2,
	TRANSFORM_INTEG = 3,
	TRANSFORM_KE = 4,
	TRANSFORM_ESN = 5,
};

enum {
	ENCR_AES_CBC = 12,
	ENCR_AES_GCM_16 = 20,
	ENCR_CHACHA20_POLY1305 = 28,

	PRF_HMAC_SHA2_256 = 5,
	PRF_HMAC_SHA2_384 = 6,
	PRF_HMAC_SHA2_512 = 7,

	INTEG_NONE = 0,
	INTEG_HMAC_SHA2_256_128 = 12,
	INTEG_HMAC_SHA2_384_192 = 13,
	INTEG_HMAC_SHA2_512_256 = 14,

	KE_NONE = 0,
	KE_MODP_2048 = 14,
	KE_MODP_3072 = 15,
	KE_MODP_4096 = 16,
	KE_ECP_256 = 19,
	KE_ECP_384 = 20,
	KE_ECP_521 = 21,
	KE_CURVE25519 = 31,

	ESN_NO = 0,
	ESN_YES = 1,
};

#define ALGORITHM_KEY_MAX    64	 /* longest single key (HMAC-SHA2-512) */
#define ALGORITHM_PRF_MAX    64	 /* longest PRF output */
#define ALGORITHM_ICV_MAX    32	 /* longest integrity check value */
#define ALGORITHM_IV_MAX     16	 /* longest explicit IV */
#define ALGORITHM_PUBLIC_MAX 512 /* longest KE public value (MODP-4096) */
#define ALGORITHM_SHARED_MAX 512 /* longest KE shared secret */

struct algorithm_encr {
	uint16_t id;
	uint16_t key_bits; /* 0 where the transform has no Key Length attribute (ChaCha20) */
	const char *name;  /* "AES_GCM_16_128", as logs and vici write it */
	const char *word;  /* "aes128gcm16", as configurations write it */
	uint8_t key_len;   /* bytes, without the salt */
	uint8_t salt_len;  /* bytes taken from KEYMAT behind the key (RFC 4106 8.1, 7634 2) */
	uint8_t iv_len;	   /* explicit IV on the wire */
	uint8_t icv_len;   /* AEAD tag; 0: needs a separate integrity transform */
	uint8_t block;	   /* padding multiple of the cipher itself (AEADs: 1) */
};

struct algorithm_integ {
	uint16_t id;
	const char *name, *word;
	uint8_t key_len, icv_len;
};

struct algorithm_prf {
	uint16_t id;
	const char *name, *word;
	uint8_t out_len; /* = preferred key length (RFC 7296 2.13) */
};

struct algorithm_ke {
	uint16_t id;
	const char *name, *word;
	uint16_t public_len; /* Key Exchange Data (RFC 7296 3.4, RFC 5903 7: without the 0x04 byte)
			      */
	uint16_t shared_len;
};

/* NULL when unknown. key_bits must be 0 for transforms without a key length. */
const struct algorithm_encr *algorithm_encr(uint16_t id, uint16_t key_bits);
const struct algorithm_integ *algorithm_integ(uint16_t id);
const struct algorithm_prf *algorithm_prf(uint16_t id);
const struct algorithm_ke *algorithm_ke(uint16_t id);

/* The n-th of each table, NULL behind the last: for lists and get-algorithms. */
const struct algorithm_encr *algorithm_encr_at(unsigned n);
const struct algorithm_integ *algorithm_integ_at(unsigned n);
const struct algorithm_prf *algorithm_prf_at(unsigned n);
const struct algorithm_ke *algorithm_ke_at(unsigned n);

/* Name for a log line, of known and unknown transforms alike ("ENCR_3", "KE_2"):
 * written into text (at least 32 bytes), which is returned. */
const char *algorithm_format(uint8_t type, uint16_t id, uint16_t key_bits, char *text);

#endif
