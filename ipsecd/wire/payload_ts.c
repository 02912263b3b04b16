/* Traffic selector payloads TSi and TSr (RFC 7296 3.13). Owns their shape;
 * narrowing is in model/ts.c.
 *
 * | Number of TSs |                 RESERVED                      |  selectors:
 * |   TS Type     |IP Protocol ID |       Selector Length         |
 * |           Start Port          |           End Port            |  start, end address
 */
#include "ipsecd/wire/payload.h"

#include <sys/socket.h>

#define TS_PAYLOAD_HEAD_LEN 4
#define TS_HEAD_LEN	    8
#define TS_IPV4_ADDR_RANGE  7
#define TS_IPV6_ADDR_RANGE  8

static uint8_t family_of(uint8_t ts_type)
{
	switch (ts_type) {
	case TS_IPV4_ADDR_RANGE:
		return AF_INET;
	case TS_IPV6_ADDR_RANGE:
		return AF_INET6;
	default:
		return 0;
	}
}

/* RFC 7296 3.13.1: OPAQUE is start 65535, end 0: packets without visible ports. */
static bool is_opaque(const struct ts *ts)
{
	return ts->port_start == UINT16_MAX && ts->port_end == 0;
}

/* One selector; *usable is false for one that is well formed but not for us. */
static struct wire_fault parse_selector(struct reader *r, struct ts *out, bool *usable)
{
	size_t at = r->pos, n;
	uint8_t type = reader_u8(r);
	uint16_t length;
	struct span start, end;

	*out = (struct ts){.family = family_of(type), .protocol = reader_u8(r)};
	length = reader_u16(r);
	if (r->truncated || length < TS_HEAD_LEN)
		return wire_fault(WIRE_BAD_TS, at, length);
	n = addr_size(out->family);
	if (n && length != TS_HEAD_LEN + 2 * n)
		return wire_fault(WIRE_BAD_TS, at + 2, length);
	out->port_start = reader_u16(r);
	out->port_end = reader_u16(r);
	start = reader_take(r, n);
	end = reader_take(r, n);
	if (!n) /* RFC 7296 2.9: an unknown type is left out, not refused */
		reader_take(r, length - TS_HEAD_LEN);
	if (r->truncated)
		return wire_fault(WIRE_BAD_TS, at + 2, length);
	*usable = n != 0;
	if (!*usable)
		return wire_ok();
	if (memcmp(start.ptr, end.ptr, n) > 0 ||
	    (out->port_start > out->port_end && !is_opaque(out)))
		return wire_fault(WIRE_BAD_TS, at + 4, out->port_start);
	memcpy(out->start, start.ptr, n);
	memcpy(out->end, end.ptr, n);
	return wire_ok();
}

struct wire_fault payload_parse_ts(uint8_t type, struct span body, struct wire_message *m)
{
	struct ts_list *list = type == PAYLOAD_TSI ? &m->tsi : &m->tsr;
	bool *skipped = type == PAYLOAD_TSI ? &m->tsi_skipped : &m->tsr_skipped;
	struct reader r = reader_over(body);
	uint8_t n = reader_u8(&r);

	reader_take(&r, TS_PAYLOAD_HEAD_LEN - 1); /* RESERVED */
	if (n == 0)
		return wire_fault(WIRE_BAD_TS, 0, 0);
	for (uint8_t i = 0; i < n; i++) {
		struct ts ts;
		bool usable;
		struct wire_fault f = parse_selector(&r, &ts, &usable);

		if (f.error)
			return f;
		/* More than we hold are left out too: narrowing may do that (2.9). */
		if (usable && list->n < TS_LIST_MAX)
			list->ts[list->n++] = ts;
		else
			*skipped = true;
	}
	if (reader_left(&r))
		return wire_fault(WIRE_BAD_TS, r.pos, n);
	return wire_ok();
}
