/* Builds messages (RFC 7296 3): each put appends one payload and writes its type where
 * the one before it (or the header, or SK) announces the next. Mistakes in sizes end
 * as the buffer's overflow mark, tested once by wire_end or wire_close_sk. */
#include "ipsecd/wire/payload.h"

#define NEXT_PAYLOAD_AT 16 /* in the header */
#define LENGTH_AT	24

void wire_begin(struct wire_writer *w, void *memory, size_t cap, const struct wire_header *h)
{
	*w = (struct wire_writer){.buf = buf_over(memory, cap), .next_at = NEXT_PAYLOAD_AT};
	buf_put_u64(&w->buf, h->spi_i);
	buf_put_u64(&w->buf, h->spi_r);
	buf_put_u8(&w->buf, PAYLOAD_NONE);
	buf_put_u8(&w->buf, h->version ? h->version : WIRE_VERSION);
	buf_put_u8(&w->buf, h->exchange);
	buf_put_u8(&w->buf, h->flags);
	buf_put_u32(&w->buf, h->message_id);
	buf_put_u32(&w->buf, 0); /* length: wire_end, wire_close_sk */
}

/* Back-patches a 16-bit length of what lies between `start` and the end. */
static void set_length(struct buf *b, size_t start)
{
	size_t length = b->len - start;

	if (length > UINT16_MAX)
		b->overflow = true;
	buf_set_u16(b, start + 2, (uint16_t)length);
}

/* The generic head (RFC 7296 3.2); the critical bit is never set on payloads of that RFC. */
static size_t open_payload(struct wire_writer *w, uint8_t type)
{
	size_t start = w->buf.len;

	buf_set_u8(&w->buf, w->next_at, type);
	w->next_at = start;
	buf_put_u8(&w->buf, PAYLOAD_NONE);
	buf_put_u8(&w->buf, 0);
	buf_put_u16(&w->buf, 0);
	return start;
}

static void close_payload(struct wire_writer *w, size_t start)
{
	set_length(&w->buf, start);
}

static void put_transform(struct buf *b, const struct transform *t, bool last)
{
	size_t start = b->len;

	buf_put_u8(b, last ? 0 : 3); /* RFC 7296 3.3.2 */
	buf_put_u8(b, 0);
	buf_put_u16(b, 0);
	buf_put_u8(b, t->type);
	buf_put_u8(b, 0);
	buf_put_u16(b, t->id);
	if (t->key_bits) {
		buf_put_u16(b, 0x8000 | 14); /* RFC 7296 3.3.5: Key Length, in TV form */
		buf_put_u16(b, t->key_bits);
	}
	set_length(b, start);
}

static void put_proposal(struct buf *b, const struct proposal *p, uint8_t number, struct span spi,
			 bool last)
{
	size_t start = b->len;

	buf_put_u8(b, last ? 0 : 2); /* RFC 7296 3.3.1 */
	buf_put_u8(b, 0);
	buf_put_u16(b, 0);
	buf_put_u8(b, number);
	buf_put_u8(b, p->protocol);
	buf_put_u8(b, (uint8_t)spi.len);
	buf_put_u8(b, p->n_transforms);
	buf_put_span(b, spi);
	for (uint8_t i = 0; i < p->n_transforms; i++)
		put_transform(b, &p->transforms[i], i + 1 == p->n_transforms);
	set_length(b, start);
}

void wire_put_sa(struct wire_writer *w, const struct proposal_list *l, struct span spi)
{
	size_t start = open_payload(w, PAYLOAD_SA);

	for (uint8_t i = 0; i < l->n; i++) {
		uint8_t number = l->p[i].number ? l->p[i].number : i + 1;

		put_proposal(&w->buf, &l->p[i], number, spi, i + 1 == l->n);
	}
	close_payload(w, start);
}

void wire_put_ke(struct wire_writer *w, uint16_t group, struct span data)
{
	size_t start = open_payload(w, PAYLOAD_KE);

	buf_put_u16(&w->buf, group);
	buf_put_u16(&w->buf, 0);
	buf_put_span(&w->buf, data);
	close_payload(w, start);
}

static void put_opaque(struct wire_writer *w, uint8_t type, struct span data)
{
	size_t start = open_payload(w, type);

	buf_put_span(&w->buf, data);
	close_payload(w, start);
}

void wire_put_nonce(struct wire_writer *w, struct span nonce)
{
	put_opaque(w, PAYLOAD_NONCE, nonce);
}

void wire_put_vendor_id(struct wire_writer *w, struct span data)
{
	put_opaque(w, PAYLOAD_VENDOR_ID, data);
}

/* One byte and three reserved, then data: the shape of ID and AUTH bodies. */
static void put_typed(struct buf *b, uint8_t type, struct span data)
{
	buf_put_u8(b, type);
	buf_put_zero(b, 3);
	buf_put_span(b, data);
}

size_t wire_id_body(const struct id *id, uint8_t *out, size_t cap)
{
	struct buf b = buf_over(out, cap);

	put_typed(&b, id->type, id_data(id));
	return buf_span(&b).len;
}

void wire_put_id(struct wire_writer *w, enum wire_payload_type type, const struct id *id)
{
	size_t start = open_payload(w, type);

	put_typed(&w->buf, id->type, id_data(id));
	close_payload(w, start);
}

void wire_put_auth(struct wire_writer *w, uint8_t method, struct span data)
{
	size_t start = open_payload(w, PAYLOAD_AUTH);

	put_typed(&w->buf, method, data);
	close_payload(w, start);
}

static void put_selector(struct buf *b, const struct ts *ts)
{
	size_t start = b->len, n = addr_size(ts->family);

	buf_put_u8(b, n == 4 ? 7 : 8); /* TS_IPV4_ADDR_RANGE, TS_IPV6_ADDR_RANGE */
	buf_put_u8(b, ts->protocol);
	buf_put_u16(b, 0);
	buf_put_u16(b, ts->port_start);
	buf_put_u16(b, ts->port_end);
	buf_put(b, ts->start, n);
	buf_put(b, ts->end, n);
	set_length(b, start);
}

void wire_put_ts(struct wire_writer *w, enum wire_payload_type type, const struct ts_list *l)
{
	size_t start = open_payload(w, type);

	buf_put_u8(&w->buf, l->n);
	buf_put_zero(&w->buf, 3);
	for (uint8_t i = 0; i < l->n; i++)
		put_selector(&w->buf, &l->ts[i]);
	close_payload(w, start);
}

void wire_put_notify(struct wire_writer *w, uint8_t protocol, uint16_t type, struct span spi,
		     struct span data)
{
	size_t start = open_payload(w, PAYLOAD_NOTIFY);

	buf_put_u8(&w->buf, protocol);
	buf_put_u8(&w->buf, (uint8_t)spi.len);
	buf_put_u16(&w->buf, type);
	buf_put_span(&w->buf, spi);
	buf_put_span(&w->buf, data);
	close_payload(w, start);
}

void wire_put_delete(struct wire_writer *w, uint8_t protocol, uint8_t spi_size, struct span spis)
{
	size_t start = open_payload(w, PAYLOAD_DELETE);

	buf_put_u8(&w->buf, protocol);
	buf_put_u8(&w->buf, spi_size);
	buf_put_u16(&w->buf, spi_size ? (uint16_t)(spis.len / spi_size) : 0);
	buf_put_span(&w->buf, spis);
	close_payload(w, start);
}

size_t wire_open_cp(struct wire_writer *w, enum wire_cp_type type)
{
	size_t start = open_payload(w, PAYLOAD_CP);

	buf_put_u8(&w->buf, (uint8_t)type);
	buf_put_zero(&w->buf, 3);
	return start;
}

void wire_put_cp_value(struct wire_writer *w, uint16_t type, struct span value)
{
	buf_put_u16(&w->buf, type);
	buf_put_u16(&w->buf, (uint16_t)value.len);
	buf_put_span(&w->buf, value);
}

void wire_put_cp_addr(struct wire_writer *w, uint16_t type, const struct addr *a,
		      uint8_t prefix_len)
{
	uint8_t bytes[17];
	size_t n = addr_size(a->family);

	memcpy(bytes, a->bytes, n);
	if (n == 16 && (type == CFG_INTERNAL_IP6_ADDRESS || type == CFG_INTERNAL_IP6_SUBNET))
		bytes[n++] = prefix_len;
	wire_put_cp_value(w, type, span_of(bytes, n));
}

void wire_close_cp(struct wire_writer *w, size_t start)
{
	close_payload(w, start);
}

void wire_open_sk(struct wire_writer *w, size_t iv_len)
{
	w->sk_at = open_payload(w, PAYLOAD_SK);
	buf_put_zero(&w->buf, iv_len);
}

/* RFC 7296 3.14: padding of any content, then its length, fill the cipher's block. */
static void put_padding(struct buf *b, size_t plain_len, size_t block)
{
	size_t pad = block > 1 ? (block - (plain_len + 1) % block) % block : 0;

	buf_put_zero(b, pad);
	buf_put_u8(b, (uint8_t)pad);
}

bool wire_close_sk(struct wire_writer *w, size_t block, size_t iv_len, size_t icv_len,
		   struct wire_sk_parts *out)
{
	struct buf *b = &w->buf;
	size_t iv_at = w->sk_at + PAYLOAD_HEAD_LEN, plain_at = iv_at + iv_len, icv_at;

	if (b->overflow || w->sk_at == 0)
		return false;
	put_padding(b, b->len - plain_at, block);
	icv_at = b->len;
	buf_put_zero(b, icv_len);
	close_payload(w, w->sk_at);
	buf_set_u32(b, LENGTH_AT, (uint32_t)b->len);
	if (b->overflow)
		return false;
	*out = (struct wire_sk_parts){.aad = span_of(b->data, iv_at),
				      .iv = b->data + iv_at,
				      .plain = b->data + plain_at,
				      .plain_len = icv_at - plain_at,
				      .icv = b->data + icv_at};
	w->sk_at = 0;
	return true;
}

struct span wire_end(struct wire_writer *w)
{
	buf_set_u32(&w->buf, LENGTH_AT, (uint32_t)w->buf.len);
	return buf_span(&w->buf);
}
