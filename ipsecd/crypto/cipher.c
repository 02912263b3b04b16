/* The ciphers of ESP and IKE: AEADs (RFC 4106, RFC 5282, RFC 7634) and AES-CBC with
 * HMAC-SHA2 (RFC 3602, RFC 4868). One context per direction, which keeps key schedule
 * and HMAC state; a message sets only the IV. Knows no packet format. */
#include "ipsecd/crypto/openssl_ops.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

#define CIPHERS	  7  /* that openssl_encr_name knows */
#define NONCE_LEN 12 /* of every AEAD here: salt and explicit IV */

struct crypto_cipher {
	EVP_CIPHER_CTX *evp;
	EVP_MAC_CTX *mac; /* NULL with an AEAD */
	bool encrypt;
	bool whole_iv; /* takes_whole_iv */
	uint8_t iv_len, icv_len, block, salt_len;
	uint8_t nonce[NONCE_LEN];    /* an AEAD's: the salt, and the IV of a message */
	OSSL_PARAM begin[3], icv[2]; /* what a message is begun with, and ends with */
};

const char *openssl_encr_name(uint16_t encr_id, uint16_t key_bits)
{
	switch (encr_id << 16 | key_bits) {
	case ENCR_AES_CBC << 16 | 128:
		return "AES-128-CBC";
	case ENCR_AES_CBC << 16 | 192:
		return "AES-192-CBC";
	case ENCR_AES_CBC << 16 | 256:
		return "AES-256-CBC";
	case ENCR_AES_GCM_16 << 16 | 128:
		return "AES-128-GCM";
	case ENCR_AES_GCM_16 << 16 | 192:
		return "AES-192-GCM";
	case ENCR_AES_GCM_16 << 16 | 256:
		return "AES-256-GCM";
	case ENCR_CHACHA20_POLY1305 << 16:
		return "ChaCha20-Poly1305";
	default:
		return NULL;
	}
}

const char *openssl_integ_digest(uint16_t integ_id)
{
	switch (integ_id) {
	case INTEG_HMAC_SHA2_256_128:
		return "SHA256";
	case INTEG_HMAC_SHA2_384_192:
		return "SHA384";
	case INTEG_HMAC_SHA2_512_256:
		return "SHA512";
	default:
		return NULL;
	}
}

static bool takes_whole_iv(EVP_CIPHER *cipher);

/* Looked up by name once: that takes as long as a short message. */
static EVP_CIPHER *fetch(const char *name, bool *whole_iv)
{
	static struct {
		const char *name;
		EVP_CIPHER *cipher;
		bool whole_iv;
	} known[CIPHERS];
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	EVP_CIPHER *found = NULL;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < CIPHERS && !found; i++) {
		if (!known[i].cipher) {
			known[i].name = name;
			known[i].cipher = EVP_CIPHER_fetch(NULL, name, NULL);
			known[i].whole_iv = takes_whole_iv(known[i].cipher);
		}
		if (strcmp(known[i].name, name) == 0) {
			found = known[i].cipher;
			*whole_iv = known[i].whole_iv;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/* The IV goes as what a record of TLS begins with, all of it, and the ICV along with it. EVP's
 * usual way asks the cipher for the IV's length first, which has it compare names for as long as
 * 300 bytes take to encrypt. */
static void set_params(struct crypto_cipher *c)
{
	const OSSL_PARAM end = OSSL_PARAM_construct_end();
	const OSSL_PARAM icv =
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, c->icv_len);

	c->begin[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED,
							c->nonce, SIZE_MAX /* not a part */);
	c->begin[1] = c->encrypt ? end : icv;
	c->begin[2] = end;
	c->icv[0] = icv;
	c->icv[1] = end;
}

static bool cipher_set_key(struct crypto_cipher *c, const char *name, struct span key)
{
	EVP_CIPHER *cipher = fetch(name, &c->whole_iv);
	bool ok = false;

	c->evp = cipher ? EVP_CIPHER_CTX_new() : NULL;
	if (c->evp) {
		ok = EVP_CipherInit_ex2(c->evp, cipher, key.ptr, NULL, c->encrypt, NULL) == 1;
		/* AEADs have no padding; told so, each message's IV would cost a search of
		 * parameters by name more. */
		if (ok && c->block > 1)
			ok = EVP_CIPHER_CTX_set_padding(c->evp, 0) == 1;
	}
	return ok;
}

static bool cipher_set_mac(struct crypto_cipher *c, const char *digest, struct span key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	c->mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	return c->mac && EVP_MAC_init(c->mac, key.ptr, key.len, params) == 1;
}

/* Do the lengths and the pairing of cipher and integrity fit? */
static bool cipher_fits(const struct algorithm_encr *encr, const struct algorithm_integ *integ,
			struct span key, struct span integ_key)
{
	if (key.len != (size_t)encr->key_len + encr->salt_len || encr->salt_len > NONCE_LEN)
		return false;
	if (encr->icv_len)
		return !integ && !integ_key.len && encr->salt_len + encr->iv_len == NONCE_LEN;
	return integ && integ_key.len == integ->key_len && openssl_integ_digest(integ->id);
}

struct crypto_cipher *openssl_cipher_new(const struct algorithm_encr *encr,
					 const struct algorithm_integ *integ, struct span key,
					 struct span integ_key, bool encrypt)
{
	const char *name = openssl_encr_name(encr->id, encr->key_bits);
	struct crypto_cipher *c;

	if (!name || !cipher_fits(encr, integ, key, integ_key))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->encrypt = encrypt;
	c->iv_len = encr->iv_len;
	c->icv_len = integ ? integ->icv_len : encr->icv_len;
	c->block = encr->block;
	c->salt_len = encr->salt_len;
	memcpy(c->nonce, key.ptr + encr->key_len, encr->salt_len);
	set_params(c);
	if (!cipher_set_key(c, name, key) ||
	    (integ && !cipher_set_mac(c, openssl_integ_digest(integ->id), integ_key))) {
		openssl_cipher_free(c);
		return NULL;
	}
	return c;
}

void openssl_cipher_free(struct crypto_cipher *c)
{
	if (!c)
		return;
	EVP_CIPHER_CTX_free(c->evp); /* cleanses the key schedule */
	EVP_MAC_CTX_free(c->mac);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

static bool cipher_start(struct crypto_cipher *c, const void *iv)
{
	return EVP_CipherInit_ex2(c->evp, NULL, NULL, iv, -1, NULL) == 1;
}

/* icv: what is to come out; NULL: to encrypt. */
static bool aead_start(struct crypto_cipher *c, struct span iv, const uint8_t *icv)
{
	memcpy(c->nonce + c->salt_len, iv.ptr, iv.len);
	if (c->whole_iv) {
		c->begin[1].data = (void *)(uintptr_t)icv;
		return EVP_CIPHER_CTX_set_params(c->evp, c->begin) == 1;
	}
	return cipher_start(c, c->nonce) &&
	       (!icv || EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_AEAD_SET_TAG, c->icv_len,
					    (void *)(uintptr_t)icv) == 1);
}

static bool aead_icv(struct crypto_cipher *c, uint8_t *icv)
{
	c->icv[0].data = icv;
	return EVP_CIPHER_CTX_get_params(c->evp, c->icv) == 1;
}

static bool cipher_run(struct crypto_cipher *c, uint8_t *data, size_t len)
{
	uint8_t tail[EVP_MAX_BLOCK_LENGTH];
	int n = 0, last = 0;

	if (len && (EVP_CipherUpdate(c->evp, data, &n, data, (int)len) != 1 || (size_t)n != len))
		return false;
	return EVP_CipherFinal_ex(c->evp, tail, &last) == 1 && last == 0;
}

static bool aead_aad(struct crypto_cipher *c, struct span aad)
{
	int n;

	return !aad.len || EVP_CipherUpdate(c->evp, NULL, &n, aad.ptr, (int)aad.len) == 1;
}

/* RFC 4303 3.3.2.1: over all from the header to the ciphertext, then ESN's high half. */
static bool mac_compute(struct crypto_cipher *c, struct span iv, struct span aad,
			struct span aad_tail, const uint8_t *data, size_t len, uint8_t *out)
{
	size_t n;

	return EVP_MAC_init(c->mac, NULL, 0, NULL) == 1 &&
	       EVP_MAC_update(c->mac, aad.ptr, aad.len) == 1 &&
	       EVP_MAC_update(c->mac, iv.ptr, iv.len) == 1 &&
	       EVP_MAC_update(c->mac, data, len) == 1 &&
	       EVP_MAC_update(c->mac, aad_tail.ptr, aad_tail.len) == 1 &&
	       EVP_MAC_final(c->mac, out, &n, EVP_MAX_MD_SIZE) == 1;
}

static bool lengths_fit(const struct crypto_cipher *c, bool encrypt, struct span iv,
			struct span aad, struct span aad_tail, size_t len)
{
	return c->encrypt == encrypt && iv.len == c->iv_len && len % c->block == 0 &&
	       len <= INT_MAX && aad.len <= INT_MAX && (c->mac || !aad_tail.len);
}

bool openssl_seal(struct crypto_cipher *c, struct span iv, struct span aad, struct span aad_tail,
		  uint8_t *data, size_t len, uint8_t *icv)
{
	uint8_t mac[EVP_MAX_MD_SIZE];

	if (!lengths_fit(c, true, iv, aad, aad_tail, len))
		return false;
	if (!c->mac)
		return aead_start(c, iv, NULL) && aead_aad(c, aad) && cipher_run(c, data, len) &&
		       aead_icv(c, icv);
	if (!cipher_start(c, iv.ptr) || !cipher_run(c, data, len) ||
	    !mac_compute(c, iv, aad, aad_tail, data, len, mac))
		return false;
	memcpy(icv, mac, c->icv_len);
	return true;
}

bool openssl_open(struct crypto_cipher *c, struct span iv, struct span aad, struct span aad_tail,
		  uint8_t *data, size_t len, const uint8_t *icv)
{
	uint8_t mac[EVP_MAX_MD_SIZE];

	if (!lengths_fit(c, false, iv, aad, aad_tail, len))
		return false;
	if (!c->mac)
		return aead_start(c, iv, icv) && aead_aad(c, aad) && cipher_run(c, data, len);
	return mac_compute(c, iv, aad, aad_tail, data, len, mac) &&
	       CRYPTO_memcmp(mac, icv, c->icv_len) == 0 && cipher_start(c, iv.ptr) &&
	       cipher_run(c, data, len);
}

/* ---- which way an IV may go ---- */

enum { TRIAL = 40 };

static bool trial_begin(struct crypto_cipher *c, EVP_CIPHER *cipher, bool encrypt, bool whole_iv)
{
	static const uint8_t key[EVP_MAX_KEY_LENGTH] = {1, 2, 3};

	*c = (struct crypto_cipher){.evp = EVP_CIPHER_CTX_new(),
				    .encrypt = encrypt,
				    .whole_iv = whole_iv,
				    .iv_len = 8,
				    .icv_len = 16,
				    .block = 1,
				    .salt_len = NONCE_LEN - 8,
				    .nonce = {4, 5, 6, 7}};
	set_params(c);
	return c->evp && EVP_CipherInit_ex2(c->evp, cipher, key, NULL, encrypt, NULL) == 1;
}

/* Sealed as the plain way does, opened again, and not when it was changed. */
static bool trial_good(struct crypto_cipher *plain, struct crypto_cipher *out,
		       struct crypto_cipher *in, uint8_t number)
{
	const uint8_t zero[TRIAL] = {0}, iv[8] = {0, 0, 0, 0, 0, 0, 0, number}, aad[8] = {number};
	const struct span i = span_of(iv, sizeof(iv)), a = span_of(aad, sizeof(aad)), none = {0};
	uint8_t is[TRIAL + 16] = {0}, wanted[TRIAL + 16] = {0}, changed[TRIAL + 16];

	if (!openssl_seal(plain, i, a, none, wanted, TRIAL, wanted + TRIAL) ||
	    !openssl_seal(out, i, a, none, is, TRIAL, is + TRIAL) ||
	    memcmp(is, wanted, sizeof(is)) != 0)
		return false;
	memcpy(changed, is, sizeof(is));
	changed[number] ^= 1;
	return !openssl_open(in, i, a, none, changed, TRIAL, changed + TRIAL) &&
	       openssl_open(in, i, a, none, is, TRIAL, is + TRIAL) && memcmp(is, zero, TRIAL) == 0;
}

/* AES-GCM of OpenSSL 3 does; of what is not documented only a trial tells. Where it does not, the
 * plain way is slower. */
static bool takes_whole_iv(EVP_CIPHER *cipher)
{
	struct crypto_cipher plain, out, in;
	bool good;

	if (!cipher || EVP_CIPHER_get_mode(cipher) != EVP_CIPH_GCM_MODE)
		return false;
	good = trial_begin(&plain, cipher, true, false) & trial_begin(&out, cipher, true, true) &
	       trial_begin(&in, cipher, false, true);
	for (uint8_t number = 1; good && number <= 3; number++)
		good = trial_good(&plain, &out, &in, number);
	EVP_CIPHER_CTX_free(plain.evp);
	EVP_CIPHER_CTX_free(out.evp);
	EVP_CIPHER_CTX_free(in.evp);
	return good;
}
