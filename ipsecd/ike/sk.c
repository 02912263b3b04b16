/* SK{}: encrypt-then-MAC with CBC and HMAC (RFC 7296 3.14), or an AEAD (RFC 5282). In both
 * the header and the payloads up to SK's own head are authenticated. */
#include "ipsecd/ike/sk.h"

struct sk_sizes sk_sizes(const struct suite *s)
{
	return (struct sk_sizes){
		.iv = s->encr->iv_len,
		.icv = s->integ ? s->integ->icv_len : s->encr->icv_len,
		.block = s->encr->block,
	};
}

bool sk_seal(const struct crypto_ops *crypto, struct crypto_cipher *c, const struct suite *s,
	     struct wire_writer *w, const uint8_t *iv, struct span *datagram)
{
	struct sk_sizes n = sk_sizes(s);
	struct wire_sk_parts p;

	if (!wire_close_sk(w, n.block, n.iv, n.icv, &p))
		return false;
	memcpy(p.iv, iv, n.iv);
	if (!crypto->seal(c, span_of(p.iv, n.iv), p.aad, span_of(NULL, 0), p.plain, p.plain_len,
			  p.icv))
		return false;
	*datagram = buf_span(&w->buf);
	return datagram->len > 0;
}

bool sk_open(const struct crypto_ops *crypto, struct crypto_cipher *c, const struct suite *s,
	     uint8_t *datagram, size_t len, const struct wire_message *outer, struct span *inner)
{
	struct sk_sizes n = sk_sizes(s);
	size_t body = WIRE_HEADER_LEN + outer->sk_offset;
	uint8_t *data = datagram + body + n.iv;
	size_t data_len, pad;

	/* At least the Pad Length byte; nothing may follow SK (RFC 7296 3.14). */
	if (body + outer->sk.len != len || outer->sk.len < n.iv + n.icv + 1)
		return false;
	data_len = outer->sk.len - n.iv - n.icv;
	if (data_len % n.block)
		return false;
	if (!crypto->open(c, span_of(datagram + body, n.iv), span_of(datagram, body),
			  span_of(NULL, 0), data, data_len, data + data_len))
		return false;
	pad = data[data_len - 1];
	if (pad + 1 > data_len)
		return false;
	*inner = span_of(data, data_len - 1 - pad);
	return true;
}
