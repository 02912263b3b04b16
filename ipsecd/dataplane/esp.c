/* ESP in tunnel mode, in place: owns the layout of the packet and nothing else. It
 * must not know of SAs, windows, sockets or devices. RFC 4303 2 and 3.3.2 to 3.4.4,
 * RFC 4106 3 to 5, RFC 7634 2, RFC 4868. */
#include "ipsecd/dataplane/esp.h"

#include "lib/buf.h"

const char *esp_strerror(enum esp_error e)
{
	static const char *const text[] = {
		[ESP_OK] = "ok",
		[ESP_TRUNCATED] = "too short",
		[ESP_UNALIGNED] = "ciphertext is no multiple of the block",
		[ESP_ICV] = "ICV does not verify",
		[ESP_PADDING] = "bad padding",
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
	e->cipher = crypto->cipher_new(encr, integ, key, integ_key, encrypt);
	if (!e->cipher)
		return false;
	e->crypto = crypto;
	e->spi = spi;
	e->iv_len = encr->iv_len;
	e->icv_len = integ ? integ->icv_len : encr->icv_len;
	e->alignment = (uint8_t)esp_alignment(encr);
	e->esn = esn;
	e->aead = !integ;
	return true;
}

void esp_release(struct esp *e)
{
	if (e->crypto)
		e->crypto->cipher_free(e->cipher);
	memset(e, 0, sizeof(*e));
}

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

struct span esp_seal(const struct esp *e, uint64_t seq, const uint8_t *iv, uint8_t next_header,
		     uint8_t *inner, size_t len)
{
	uint8_t *wire_iv = inner - e->iv_len, *packet = wire_iv - ESP_HEADER_LEN;
	size_t total = put_trailer(e, inner, len, next_header);
	struct esp_aad aad;

	be32_set(packet, e->spi);
	be32_set(packet + 4, (uint32_t)seq);
	memcpy(wire_iv, iv, e->iv_len);
	aad_make(&aad, e, seq);
	if (!e->crypto->seal(e->cipher, span_of(wire_iv, e->iv_len),
			     span_of(aad.head, aad.head_len), span_of(aad.tail, aad.tail_len),
			     inner, total, inner + total))
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

enum esp_error esp_open(const struct esp *e, uint64_t seq, uint8_t *packet, size_t len,
			struct esp_payload *out)
{
	size_t head = ESP_HEADER_LEN + (size_t)e->iv_len, total;
	uint8_t *data = packet + head;
	struct esp_aad aad;
	uint8_t pad;

	if (len < head + e->icv_len + e->alignment)
		return ESP_TRUNCATED;
	total = len - head - e->icv_len;
	if (total & (e->alignment - 1u))
		return ESP_UNALIGNED;
	aad_make(&aad, e, seq);
	if (!e->crypto->open(e->cipher, span_of(data - e->iv_len, e->iv_len),
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
