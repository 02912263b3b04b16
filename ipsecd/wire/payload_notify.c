/* Notify (RFC 7296 3.10) and Delete (RFC 7296 3.11) payloads: the two that speak about
 * SAs by protocol and SPI.
 *
 * N: |  Protocol ID  |   SPI Size    |      Notify Message Type      |  SPI, data
 * D: |  Protocol ID  |   SPI Size    |          Num of SPIs          |  SPIs
 */
#include "ipsecd/wire/payload.h"

#define ESP_SPI_SIZE 4

struct wire_fault payload_parse_notify(uint8_t type, struct span body, struct wire_message *m)
{
	struct reader r = reader_over(body);
	struct wire_notify n = {.protocol = reader_u8(&r)};
	uint8_t spi_size = reader_u8(&r);

	(void)type;
	n.type = reader_u16(&r);
	n.spi = reader_take(&r, spi_size);
	n.data = reader_rest(&r);
	/* RFC 7296 3.10: the size that the protocol has, or 0 where no SPI applies. What
	 * comes with other protocols is not used and not judged. */
	if (r.truncated || (n.protocol == PROTOCOL_ESP && spi_size && spi_size != ESP_SPI_SIZE))
		return wire_fault(WIRE_BAD_NOTIFY, 1, spi_size);
	/* A peer may announce more addresses than we care to hear of (RFC 4555 3.6). */
	if (m->n_notifies < WIRE_NOTIFIES_MAX)
		m->notifies[m->n_notifies++] = n;
	else
		m->ignored++;
	return wire_ok();
}

struct wire_fault payload_parse_delete(uint8_t type, struct span body, struct wire_message *m)
{
	struct reader r = reader_over(body);
	struct wire_delete d = {.protocol = reader_u8(&r)};
	bool fits;

	(void)type;
	d.spi_size = reader_u8(&r);
	d.n_spis = reader_u16(&r);
	d.spis = reader_rest(&r);
	/* RFC 7296 3.11: 0 for IKE, whose SPIs are in the header, 4 for AH and ESP. */
	fits = d.spi_size == (d.protocol == PROTOCOL_IKE ? 0 : ESP_SPI_SIZE);
	if (!fits || d.spis.len != (size_t)d.n_spis * d.spi_size)
		return wire_fault(WIRE_BAD_DELETE, 1, d.spi_size);
	if (m->n_deletes == WIRE_DELETES_MAX)
		return wire_fault(WIRE_TOO_MANY, 0, d.protocol);
	m->deletes[m->n_deletes++] = d;
	return wire_ok();
}

/* ---- RFC 6311 ---- */

#define IDS_SIZE 12

static bool bare(const struct wire_notify *n)
{
	return n->protocol == PROTOCOL_NONE && n->spi.len == 0;
}

bool wire_read_message_ids(const struct wire_notify *n, struct wire_message_ids *out)
{
	if (!bare(n) || n->data.len != IDS_SIZE)
		return false;
	*out = (struct wire_message_ids){.nonce = be32_get(n->data.ptr),
					 .send = be32_get(n->data.ptr + 4),
					 .receive = be32_get(n->data.ptr + 8)};
	return true;
}

bool wire_read_replay_delta(const struct wire_notify *n, uint64_t *delta, bool *esn)
{
	if (!bare(n) || (n->data.len != 4 && n->data.len != 8))
		return false;
	*esn = n->data.len == 8;
	*delta = *esn ? be64_get(n->data.ptr) : be32_get(n->data.ptr);
	return true;
}

void wire_put_message_ids(struct wire_writer *w, const struct wire_message_ids *ids)
{
	uint8_t data[IDS_SIZE];

	be32_set(data, ids->nonce);
	be32_set(data + 4, ids->send);
	be32_set(data + 8, ids->receive);
	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_IKEV2_MESSAGE_ID_SYNC, span_of(NULL, 0),
			span_of(data, sizeof(data)));
}

void wire_put_replay_delta(struct wire_writer *w, uint64_t delta, bool esn)
{
	uint8_t data[8];

	if (esn)
		be64_set(data, delta);
	else
		be32_set(data, (uint32_t)delta);
	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC, span_of(NULL, 0),
			span_of(data, esn ? 8 : 4));
}
