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
