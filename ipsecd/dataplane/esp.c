/* ESP in tunnel mode, in place: owns the layout of the packet and nothing else. It
 * must not know of SAs, windows, sockets or devices. RFC 4303 2 and 3.3.2 to 3.4.4,
 * RFC 4106 3 to 5, RFC 7634 2, RFC 4868. */
#include "ipsecd/dataplane/esp.h"

#include "lib/buf.h"

#include <stdlib.h>

const char *esp_strerror(enum esp_error e)
{
	static const char *const text[] = {
		[ESP_OK] = "ok",
		[ESP_TRUNCATED] = "too short",
		[ESP_UNALIGNED] = "ciphertext is no multiple of the block",
		[ESP_ICV] = "ICV does not verify",
		[ESP_PADDING] = "bad padding",
		[ESP_CIPHER] = "no memory for its cipher",
	};

	return text[e];
}

unsigned esp_alignment(const struct algorithm_encr *encr)
{
	return encr->block > 4 ? encr->block : 4;
}

bool esp_init(struct esp *e, const struct crypto_ops *crypto, const struct algorithm_encr *encr,
	      const struct algorithm_integ *integ, struct span key, struct span integ_key,
	      uint32_t spi, bool esn, bool encrypt)
{
	memset(e, 0, sizeof(*e));
	if (!integ != (encr->icv_len != 0))
		return false;
	if (key.len != (size_t)encr->key_len + encr->salt_len ||
	    integ_key.len != (integ ? integ->key_len : 0u))
		return false;
	*e = (struct esp){
		.spi = spi,
		.iv_len = encr->iv_len,
		.icv_len = integ ? integ->icv_len : encr->icv_len,
		.alignment = (uint8_t)esp_alignment(encr),
		.esn = esn,
		.aead = !integ,
		.encrypt = encrypt,
		.crypto = crypto,
		.encr = encr,
		.integ = integ,
		.key = key.ptr,
		.integ_key = integ_key.ptr,
	};
	return true;
}

void esp_release(struct esp *e)
{
	struct crypto_cipher *c;

	while ((c = esp_take_cipher(e)))
		e->crypto->cipher_free(c);
	free(e->ciphers);
	memset(e, 0, sizeof(*e));
}

/* ---- contexts ---- */

/* Lanes that come at once agree on one. */
static struct crypto_cipher **table_of(struct esp *e)
{
	struct crypto_cipher **there = __atomic_load_n(&e->ciphers, __ATOMIC_ACQUIRE), **made;

	if (there)
		return there;
	made = calloc(ESP_LANES - 1, sizeof(*made));
	if (!made || __atomic_compare_exchange_n(&e->ciphers, &there, made, false, __ATOMIC_ACQ_REL,
						 __ATOMIC_ACQUIRE))
		return made;
	free(made);
	return there;
}

static struct crypto_cipher *make(struct esp *e, struct crypto_cipher **place)
{
	struct crypto_cipher *c;

	if (!place)
		return NULL;
	c = e->crypto->cipher_new(
		e->encr, e->integ, span_of(e->key, (size_t)e->encr->key_len + e->encr->salt_len),
		span_of(e->integ_key, e->integ ? e->integ->key_len : 0u), e->encrypt);
	__atomic_store_n(place, c, __ATOMIC_RELEASE);
	return c;
}

struct crypto_cipher *esp_cipher(struct esp *e, unsigned lane)
{
	struct crypto_cipher **place = &e->cipher, **table, *c;

	if (lane) {
		table = table_of(e);
		place = table ? table + lane - 1 : NULL;
	}
	c = place ? __atomic_load_n(place, __ATOMIC_RELAXED) : NULL;
	return c ? c : make(e, place);
}

/* Most packets are of lane 0, and not the first. */
static inline struct crypto_cipher *cipher_of(struct esp *e, unsigned lane)
{
	struct crypto_cipher *c = lane ? NULL : __atomic_load_n(&e->cipher, __ATOMIC_RELAXED);

	return c ? c : esp_cipher(e, lane);
}

struct crypto_cipher *esp_take_cipher(struct esp *e)
{
	struct crypto_cipher **table = __atomic_load_n(&e->ciphers, __ATOMIC_ACQUIRE),
			     *c = __atomic_exchange_n(&e->cipher, NULL, __ATOMIC_ACQ_REL);

	for (unsigned i = 0; !c && table && i < ESP_LANES - 1; i++)
		if (__atomic_load_n(&table[i], __ATOMIC_RELAXED))
			c = __atomic_exchange_n(&table[i], NULL, __ATOMIC_ACQ_REL);
	return c;
}

/* ---- packets ---- */

/* What the ICV covers beside IV and ciphertext. AEADs: SPI and sequence number, the
 * whole 64 bits of it with ESN (RFC 4106 5, RFC 7634 2.1). HMAC: SPI and the low bits
 * before, the high bits behind the ciphertext (RFC 4303 2.8, 3.3.2.1). */
struct esp_aad {
	uint8_t head[12], tail[4];
	size_t head_len, tail_len;
};

static void aad_make(struct esp_aad *a, const struct esp *e, uint64_t seq)
{
	be32_set(a->head, e->spi);
	a->head_len = 8;
	a->tail_len = 0;
	if (e->esn && e->aead) {
		be64_set(a->head + 4, seq);
		a->head_len = 12;
		return;
	}
	be32_set(a->head + 4, (uint32_t)seq);
	if (e->esn) {
		be32_set(a->tail, (uint32_t)(seq >> 32));
		a->tail_len = 4;
	}
}

/* RFC 4303 2.4: with Pad Length and Next Header. Blocks are powers of two: a division would cost
 * more than all else here. */
static size_t plaintext_length(const struct esp *e, size_t len)
{
	return (len + 2 + e->alignment - 1) & ~(size_t)(e->alignment - 1);
}

size_t esp_length(const struct esp *e, size_t len)
{
	return ESP_HEADER_LEN + e->iv_len + plaintext_length(e, len) + e->icv_len;
}

/* RFC 4303 2.4: padding 1, 2, 3, ...; returns the length of the plaintext. */
static size_t put_trailer(const struct esp *e, uint8_t *inner, size_t len, uint8_t next_header)
{
	size_t total = plaintext_length(e, len);
	uint8_t pad = (uint8_t)(total - len - 2);

	for (uint8_t i = 0; i < pad; i++)
		inner[len + i] = (uint8_t)(i + 1);
	inner[total - 2] = pad;
	inner[total - 1] = next_header;
	return total;
}

struct span esp_seal(struct esp *e, unsigned lane, uint64_t seq, const uint8_t *iv,
		     uint8_t next_header, uint8_t *inner, size_t len)
{
	struct crypto_cipher *cipher = cipher_of(e, lane);
	uint8_t *wire_iv = inner - e->iv_len, *packet = wire_iv - ESP_HEADER_LEN;
	size_t total = put_trailer(e, inner, len, next_header);
	struct esp_aad aad;

	be32_set(packet, e->spi);
	be32_set(packet + 4, (uint32_t)seq);
	memcpy(wire_iv, iv, e->iv_len);
	aad_make(&aad, e, seq);
	if (!cipher ||
	    !e->crypto->seal(cipher, span_of(wire_iv, e->iv_len), span_of(aad.head, aad.head_len),
			     span_of(aad.tail, aad.tail_len), inner, total, inner + total))
		return span_of(NULL, 0);
	return span_of(packet, ESP_HEADER_LEN + e->iv_len + total + e->icv_len);
}

/* RFC 4303 2.4: the receiver should inspect the default padding. */
static bool padding_good(const uint8_t *pad, uint8_t n)
{
	for (uint8_t i = 0; i < n; i++)
		if (pad[i] != i + 1)
			return false;
	return true;
}

enum esp_error esp_open(struct esp *e, unsigned lane, uint64_t seq, uint8_t *packet, size_t len,
			struct esp_payload *out)
{
	struct crypto_cipher *cipher;
	size_t head = ESP_HEADER_LEN + (size_t)e->iv_len, total;
	uint8_t *data = packet + head;
	struct esp_aad aad;
	uint8_t pad;

	if (len < head + e->icv_len + e->alignment)
		return ESP_TRUNCATED;
	total = len - head - e->icv_len;
	if (total & (e->alignment - 1u))
		return ESP_UNALIGNED;
	cipher = cipher_of(e, lane);
	if (!cipher)
		return ESP_CIPHER;
	aad_make(&aad, e, seq);
	if (!e->crypto->open(cipher, span_of(data - e->iv_len, e->iv_len),
			     span_of(aad.head, aad.head_len), span_of(aad.tail, aad.tail_len), data,
			     total, data + total))
		return ESP_ICV;
	pad = data[total - 2];
	if (pad > total - 2 || !padding_good(data + total - 2 - pad, pad))
		return ESP_PADDING;
	*out = (struct esp_payload){
		.data = data,
		.len = total - 2 - pad,
		.next_header = data[total - 1],
	};
	return ESP_OK;
}
