/* The fixed header of every IKEv2 message: RFC 7296 3.1.
 * Owns the 28 bytes; must not know what a payload is. */
#include "ipsecd/wire/payload.h"

#define VERSION_AT 17
#define LENGTH_AT  24

struct wire_fault wire_parse_header(struct span datagram, struct wire_header *out)
{
	struct reader r = reader_over(datagram);
	struct wire_header h = {0};

	if (datagram.len < WIRE_HEADER_LEN)
		return wire_fault(WIRE_TRUNCATED, datagram.len, (uint32_t)datagram.len);
	h.spi_i = reader_u64(&r);
	h.spi_r = reader_u64(&r);
	h.next_payload = reader_u8(&r);
	h.version = reader_u8(&r);
	h.exchange = reader_u8(&r);
	h.flags = reader_u8(&r);
	h.message_id = reader_u32(&r);
	h.length = reader_u32(&r);

	/* RFC 7296 3.1: Length is that of the whole message, header and payloads. */
	if (h.length != datagram.len)
		return wire_fault(WIRE_BAD_LENGTH, LENGTH_AT, h.length);
	*out = h;
	/* RFC 7296 2.5: a higher major version is dropped, and may be answered with
	 * INVALID_MAJOR_VERSION; RFC 7296 3.1: the minor version is ignored. */
	if (h.version >> 4 != WIRE_VERSION >> 4)
		return wire_fault(WIRE_BAD_VERSION, VERSION_AT, h.version);
	return wire_ok();
}
