/* Around UPDATE: the header of BGP messages, OPEN, and the words for faults and
 * NOTIFICATIONs. */
#include "routed-bridge/bgp_update.h"
#include "lib/buf.h"

#include <stdio.h>

#define OPEN_SIZE	     10 /* without its optional parameters */
#define PARAMETER_CAPABILITY 2
#define PARAMETER_EXTENDED   255
#define CAPABILITY_AS4	     65
#define AS_TRANS	     23456

static enum bgp_error fail(struct bgp_fault *fault, enum bgp_error e, size_t offset, uint64_t value)
{
	*fault = (struct bgp_fault){.offset = offset, .value = value};
	return e;
}

enum bgp_error bgp_parse_message(struct span in, struct bgp_message *out, struct bgp_fault *fault)
{
	struct reader r = reader_over(in);
	struct span marker = reader_take(&r, 16);
	uint16_t length = reader_u16(&r);
	uint8_t type = reader_u8(&r);

	if (r.truncated)
		return fail(fault, BGP_TRUNCATED, r.pos, in.len);
	/* RFC 4271 6.1 */
	for (size_t i = 0; i < marker.len; i++) {
		if (marker.ptr[i] != 0xff)
			return fail(fault, BGP_BAD_MARKER, i, marker.ptr[i]);
	}
	if (length < BGP_HEADER_SIZE || length > in.len)
		return fail(fault, BGP_BAD_LENGTH, 16, length);
	if (type < BGP_OPEN || type > BGP_KEEPALIVE + 1) /* and ROUTE-REFRESH */
		return fail(fault, BGP_BAD_TYPE, 18, type);
	*out = (struct bgp_message){
		.type = type,
		.size = length,
		.body = reader_take(&r, (size_t)length - BGP_HEADER_SIZE),
	};
	return BGP_OK;
}

/* ---- OPEN ---- */

static bool read_capabilities(struct span bytes, struct bgp_open *o)
{
	struct reader r = reader_over(bytes);

	while (reader_left(&r)) {
		uint8_t code = reader_u8(&r);
		struct span value = reader_take(&r, reader_u8(&r));

		if (r.truncated)
			return false;
		/* RFC 6793 3 */
		if (code == CAPABILITY_AS4 && value.len == 4) {
			o->as4 = true;
			o->as = be32_get(value.ptr);
		}
	}
	return true;
}

/* wide: lengths of two bytes, as RFC 9072 2 has them. */
static bool read_parameters(struct span bytes, bool wide, struct bgp_open *o)
{
	struct reader r = reader_over(bytes);

	while (reader_left(&r)) {
		uint8_t type = reader_u8(&r);
		uint16_t len = wide ? reader_u16(&r) : reader_u8(&r);
		struct span value = reader_take(&r, len);

		if (r.truncated)
			return false;
		if (type == PARAMETER_CAPABILITY && !read_capabilities(value, o))
			return false;
	}
	return true;
}

enum bgp_error bgp_parse_open(struct span body, struct bgp_open *out, struct bgp_fault *fault)
{
	struct reader r = reader_over(body);
	struct bgp_open o = {0};
	struct span parameters;
	bool wide = false;
	uint16_t len;

	reader_u8(&r); /* version */
	o.as = reader_u16(&r);
	o.hold_time = reader_u16(&r);
	o.id = reader_u32(&r);
	len = reader_u8(&r);
	if (len && reader_left(&r) >= 3 && body.ptr[r.pos] == PARAMETER_EXTENDED) {
		wide = true;
		reader_u8(&r);
		len = reader_u16(&r);
	}
	parameters = reader_take(&r, len);
	if (r.truncated || reader_left(&r))
		return fail(fault, BGP_BAD_LENGTH, BGP_HEADER_SIZE + OPEN_SIZE - 1, len);
	if (!read_parameters(parameters, wide, &o))
		return fail(fault, BGP_TRUNCATED, BGP_HEADER_SIZE + OPEN_SIZE, len);
	*out = o;
	return BGP_OK;
}

/* ---- words ---- */

const char *bgp_strerror(enum bgp_error e)
{
	static const char *const texts[BGP_ERRORS] = {
		[BGP_OK] = "no error",
		[BGP_TRUNCATED] = "ends too early",
		[BGP_BAD_MARKER] = "the marker has a byte other than 0xff",
		[BGP_BAD_LENGTH] = "its lengths contradict each other",
		[BGP_BAD_TYPE] = "no type of BGP messages",
		[BGP_BAD_PREFIX] = "a prefix longer than its family's addresses, or cut",
		[BGP_BAD_MP_NEXTHOP] = "MP_REACH_NLRI: no length of a next hop",
		[BGP_DUPLICATE_MP] = "MP_REACH_NLRI or MP_UNREACH_NLRI twice",
		[BGP_BAD_ATTRIBUTE_LENGTH] = "an attribute longer than what is left",
		[BGP_BAD_ATTRIBUTE_FLAGS] = "an attribute has the flags of another kind",
		[BGP_BAD_ORIGIN] = "ORIGIN is none of 0, 1, 2",
		[BGP_BAD_AS_PATH] = "AS_PATH has a segment that is empty, unknown or cut",
		[BGP_BAD_NEXTHOP] = "NEXT_HOP has not 4 bytes",
		[BGP_BAD_MED] = "MULTI_EXIT_DISC has not 4 bytes",
		[BGP_BAD_LOCAL_PREF] = "LOCAL_PREF has not 4 bytes",
		[BGP_MISSING_ATTRIBUTE] = "a mandatory attribute is missing",
		[BGP_AS_PATH_TOO_LONG] = "AS_PATH has more numbers than are kept",
	};

	return (unsigned)e < BGP_ERRORS ? texts[e] : "unknown error";
}

/* RFC 4271 4.5, 7313, 4486, 8538, 9384 */
const char *bgp_notification_format(uint8_t code, uint8_t subcode, char *text, size_t size)
{
	static const char *const codes[] = {
		[1] = "Message Header Error",	     [2] = "OPEN Message Error",
		[3] = "UPDATE Message Error",	     [4] = "Hold Timer Expired",
		[5] = "Finite State Machine Error",  [6] = "Cease",
		[7] = "ROUTE-REFRESH Message Error",
	};
	static const char *const cease[] = {
		[1] = "Maximum Number of Prefixes Reached",
		[2] = "Administrative Shutdown",
		[3] = "Peer De-configured",
		[4] = "Administrative Reset",
		[5] = "Connection Rejected",
		[6] = "Other Configuration Change",
		[7] = "Connection Collision Resolution",
		[8] = "Out of Resources",
		[9] = "Hard Reset",
		[10] = "BFD Down",
	};

	if (code == 0 || code >= sizeof(codes) / sizeof(codes[0]))
		snprintf(text, size, "NOTIFICATION %u/%u", code, subcode);
	else if (code == 6 && subcode && subcode < sizeof(cease) / sizeof(cease[0]))
		snprintf(text, size, "Cease, %s", cease[subcode]);
	else if (subcode)
		snprintf(text, size, "%s (%u)", codes[code], subcode);
	else
		snprintf(text, size, "%s", codes[code]);
	return text;
}
