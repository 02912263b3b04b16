/* The ESP packet in tunnel mode (RFC 4303 2), sealed and opened in place over struct
 * crypto_ops: AES-GCM (RFC 4106), ChaCha20-Poly1305 (RFC 7634), AES-CBC with HMAC
 * (RFC 3602, RFC 4868), each with extended sequence numbers or without. Pure: sequence
 * numbers and IVs are given, windows and limits are the caller's.
 *
 * A cipher's context is many times as long as its key: it is made for the first packet, and may be
 * taken away from who was idle for a while. One lane (lane.h) alone uses it: each has its own.
 *
 *	SPI | sequence (low 32 bits) | IV | inner packet, padding, pad length, next header | ICV */
#ifndef DETOUR_ESP_H
#define DETOUR_ESP_H

#include "ipsecd/crypto/crypto.h"

#define ESP_HEADER_LEN 8
#define ESP_HEADROOM   (ESP_HEADER_LEN + ALGORITHM_IV_MAX)
#define ESP_TAILROOM   (16 + 2 + ALGORITHM_ICV_MAX)

/* Next Header: RFC 4303 2.6; 59 marks a dummy packet. */
enum {
	ESP_NEXT_IPV4 = 4,
	ESP_NEXT_IPV6 = 41,
	ESP_NEXT_DUMMY = 59,
	ESP_NEXT_AGGFRAG = 144, /* RFC 9347 6.1 */
};

#define ESP_LANES 16 /* at most */

/* One direction of one SA. */
struct esp {
	struct crypto_cipher *cipher;	/* lane 0's; NULL: none yet */
	struct crypto_cipher **ciphers; /* of the lanes behind it, ESP_LANES - 1 entries; or NULL */
	uint32_t spi;			/* host order */
	uint8_t iv_len, icv_len, alignment;
	bool esn, aead, encrypt;
	const struct crypto_ops *crypto;
	const struct algorithm_encr *encr;
	const struct algorithm_integ *integ; /* NULL with an AEAD */
	const uint8_t *key, *integ_key;	     /* borrowed */
};

enum esp_error { ESP_OK, ESP_TRUNCATED, ESP_UNALIGNED, ESP_ICV, ESP_PADDING, ESP_CIPHER };

struct esp_payload {
	uint8_t *data;
	size_t len; /* without padding; traffic flow confidentiality bytes are still in */
	uint8_t next_header;
};

const char *esp_strerror(enum esp_error e);

/* Plaintext is padded to a multiple of this (RFC 4303 2.4: at least 4). */
unsigned esp_alignment(const struct algorithm_encr *encr);

/* key: key and salt. integ is NULL and integ_key empty with an AEAD. The keys' bytes stay the
 * caller's, and where they are until esp_release. false: the sizes do not fit the algorithms. */
bool esp_init(struct esp *e, const struct crypto_ops *crypto, const struct algorithm_encr *encr,
	      const struct algorithm_integ *integ, struct span key, struct span integ_key,
	      uint32_t spi, bool esn, bool encrypt);
void esp_release(struct esp *e); /* cleanses; fine on a zeroed struct */

/* The context of a lane, which alone uses it; made where there is none. NULL: there is no memory,
 * or the crypto provider refuses. */
struct crypto_cipher *esp_cipher(struct esp *e, unsigned lane);
/* One context of those that there are, the caller's to free once its lane can't be using it; NULL:
 * there is none. The lane makes another one when it needs it. */
struct crypto_cipher *esp_take_cipher(struct esp *e);

/* Length of the ESP packet around `len` bytes. */
size_t esp_length(const struct esp *e, size_t len);
/* To so many bytes of an ESP packet of `len` the cipher is applied: RFC 4301 4.4.2.1. */
static inline size_t esp_ciphered(const struct esp *e, size_t len)
{
	return len - ESP_HEADER_LEN - e->iv_len - e->icv_len;
}

/* Seals `inner` (len bytes) where it lies: ESP_HEADROOM bytes before it and
 * ESP_TAILROOM behind it are the caller's to be overwritten. iv has iv_len bytes. The
 * result begins at inner - iv_len - 8; it is empty when there was no cipher, or it failed. */
struct span esp_seal(struct esp *e, unsigned lane, uint64_t seq, const uint8_t *iv,
		     uint8_t next_header, uint8_t *inner, size_t len);
/* Opens a whole packet in place. seq: the inferred sequence number. */
enum esp_error esp_open(struct esp *e, unsigned lane, uint64_t seq, uint8_t *packet, size_t len,
			struct esp_payload *out);

#endif
