/* The parser of BMP messages. */
#include "routed-bridge/bmp.h"
#include "lib/buf.h"

#include <stdio.h>

#define PEER_HEADER_SIZE   42

#define FLAG_V		   0x80 /* IPv6 addresses */
#define FLAG_L		   0x40
#define FLAG_A		   0x20
#define FLAG_O		   0x10

#define INFO_DESCRIPTION   1
#define INFO_NAME	   2

#define TERMINATION_STRING 0
#define TERMINATION_REASON 1

static enum bmp_error fail(struct bmp_fault *fault, enum bmp_error e, size_t offset, uint64_t value)
{
	*fault = (struct bmp_fault){.offset = offset, .value = value};
	return e;
}

static enum bmp_error truncated(struct bmp_fault *fault, const struct reader *r)
{
	return fail(fault, BMP_TRUNCATED, BMP_HEADER_SIZE + r->pos, r->in.len);
}

static enum bmp_error bad_bgp(struct bmp_fault *fault, enum bmp_error e, const struct reader *r,
			      enum bgp_error bgp, const struct bgp_fault *where)
{
	*fault = (struct bmp_fault){
		.offset = BMP_HEADER_SIZE + r->pos + where->offset,
		.value = where->value,
		.bgp = bgp,
	};
	return e;
}

enum bmp_error bmp_parse_message(struct span in, struct bmp_message *out, struct bmp_fault *fault)
{
	struct reader r = reader_over(in);
	uint8_t version = reader_u8(&r);
	uint32_t length = reader_u32(&r);
	struct bmp_message m = {.type = reader_u8(&r)};

	/* What is wrong is said as soon as it is seen. */
	if (in.len >= 1 && version != BMP_VERSION)
		return fail(fault, BMP_BAD_VERSION, 0, version);
	if (in.len >= 5 && (length < BMP_HEADER_SIZE || length > BMP_MESSAGE_MAX))
		return fail(fault, BMP_BAD_LENGTH, 1, length);
	if (r.truncated || in.len < length)
		return BMP_MORE;
	m.size = length;
	m.body = reader_take(&r, length - (size_t)BMP_HEADER_SIZE);
	*out = m;
	return BMP_OK;
}

/* ---- peers ---- */

/* 16 bytes, of which an IPv4 address has the last four (RFC 7854 4.2). */
static struct addr read_address(struct reader *r, bool ipv6)
{
	struct span bytes = reader_take(r, 16);
	struct addr a = {0};

	if (bytes.len == 16)
		addr_from_bytes(ipv6 ? bytes : span_of(bytes.ptr + 12, 4), &a);
	return a;
}

static void read_peer(struct reader *r, struct bmp_peer *peer)
{
	uint8_t flags;

	peer->type = reader_u8(r);
	flags = reader_u8(r);
	peer->post_policy = flags & FLAG_L;
	peer->as2 = flags & FLAG_A;
	peer->adj_rib_out = flags & FLAG_O;
	peer->distinguisher = reader_u64(r);
	peer->addr = read_address(r, flags & FLAG_V);
	peer->as = reader_u32(r);
	peer->id = reader_u32(r);
	reader_u64(r); /* when it happened */
}

bool bmp_is_adj_rib_in(const struct bmp_peer *peer)
{
	return peer->type < BMP_PEER_LOC_RIB && !peer->adj_rib_out;
}

/* A BGP message of this type at the reader's place. */
static enum bmp_error read_bgp(struct reader *r, uint8_t type, struct span *body,
			       struct bmp_fault *fault)
{
	struct bgp_fault where = {0};
	struct bgp_message m;
	enum bgp_error e =
		bgp_parse_message(span_of(r->in.ptr + r->pos, reader_left(r)), &m, &where);

	if (e == BGP_OK && m.type != type) {
		where = (struct bgp_fault){.offset = BGP_HEADER_SIZE - 1, .value = m.type};
		e = BGP_BAD_TYPE;
	}
	if (e != BGP_OK)
		return bad_bgp(fault, BMP_BAD_BGP, r, e, &where);
	reader_take(r, m.size);
	*body = m.body;
	return BMP_OK;
}

enum bmp_error bmp_parse_monitoring(struct span body, struct bmp_monitoring *out,
				    struct bmp_fault *fault)
{
	struct reader r = reader_over(body);
	struct bmp_monitoring m = {0};
	enum bmp_error e;

	read_peer(&r, &m.peer);
	if (r.truncated)
		return truncated(fault, &r);
	e = read_bgp(&r, BGP_UPDATE, &m.update, fault);
	if (e == BMP_OK)
		*out = m;
	return e;
}

static enum bmp_error read_open(struct reader *r, struct bgp_open *out, struct bmp_fault *fault)
{
	struct bgp_fault where = {0};
	size_t at = r->pos;
	struct span body;
	enum bmp_error e = read_bgp(r, BGP_OPEN, &body, fault);
	enum bgp_error bgp;

	/* bgpd puts an OPEN without content where it has forgotten the real one. */
	if (e != BMP_OK || body.len == 0)
		return e;
	bgp = bgp_parse_open(body, out, &where);
	if (bgp == BGP_OK)
		return BMP_OK;
	r->pos = at;
	return bad_bgp(fault, BMP_BAD_OPEN, r, bgp, &where);
}

enum bmp_error bmp_parse_up(struct span body, struct bmp_up *out, struct bmp_fault *fault)
{
	struct reader r = reader_over(body);
	struct bmp_up up = {0};
	enum bmp_error e;

	read_peer(&r, &up.peer);
	up.local = read_address(&r, up.peer.addr.family == AF_INET6);
	reader_u32(&r); /* two ports */
	if (r.truncated)
		return truncated(fault, &r);
	e = read_open(&r, &up.sent, fault);
	if (e == BMP_OK)
		e = read_open(&r, &up.received, fault);
	if (e == BMP_OK)
		*out = up; /* what follows is text for people (RFC 7854 4.10) */
	return e;
}

/* RFC 7854 4.9 */
enum bmp_error bmp_parse_down(struct span body, struct bmp_down *out, struct bmp_fault *fault)
{
	struct reader r = reader_over(body);
	struct bmp_down down = {0};
	struct span notification;
	enum bmp_error e;

	read_peer(&r, &down.peer);
	down.reason = reader_u8(&r);
	if (down.reason == BMP_DOWN_LOCAL)
		down.event = reader_u16(&r);
	if (r.truncated)
		return truncated(fault, &r);
	if (down.reason == BMP_DOWN_LOCAL_NOTIFICATION ||
	    down.reason == BMP_DOWN_REMOTE_NOTIFICATION) {
		e = read_bgp(&r, BGP_NOTIFICATION, &notification, fault);
		if (e != BMP_OK)
			return e;
		if (notification.len < 2)
			return truncated(fault, &r);
		down.code = notification.ptr[0];
		down.subcode = notification.ptr[1];
	}
	if (down.reason == 0)
		return fail(fault, BMP_BAD_REASON, BMP_HEADER_SIZE + PEER_HEADER_SIZE, 0);
	*out = down;
	return BMP_OK;
}

const char *bmp_down_format(const struct bmp_down *down, char *text, size_t size)
{
	char what[64];

	bgp_notification_format(down->code, down->subcode, what, sizeof(what));
	switch (down->reason) {
	case BMP_DOWN_LOCAL_NOTIFICATION:
		snprintf(text, size, "bgpd sent a NOTIFICATION: %s", what);
		break;
	case BMP_DOWN_LOCAL:
		if (down->event)
			snprintf(text, size, "bgpd ended the session (event %u)", down->event);
		else
			snprintf(text, size, "bgpd ended the session");
		break;
	case BMP_DOWN_REMOTE_NOTIFICATION:
		snprintf(text, size, "the peer sent a NOTIFICATION: %s", what);
		break;
	case BMP_DOWN_REMOTE:
		snprintf(text, size, "the peer closed the session");
		break;
	case BMP_DOWN_DECONFIGURED:
		snprintf(text, size, "it is no longer configured or monitored");
		break;
	default:
		snprintf(text, size, "reason %u", down->reason);
		break;
	}
	return text;
}

/* ---- the session ---- */

enum bmp_error bmp_parse_initiation(struct span body, struct bmp_initiation *out,
				    struct bmp_fault *fault)
{
	struct reader r = reader_over(body);
	struct bmp_initiation i = {0};

	while (reader_left(&r)) {
		uint16_t type = reader_u16(&r);
		struct span value = reader_take(&r, reader_u16(&r));

		if (r.truncated)
			return truncated(fault, &r);
		if (type == INFO_DESCRIPTION)
			i.description = value;
		else if (type == INFO_NAME)
			i.name = value;
	}
	*out = i;
	return BMP_OK;
}

/* RFC 7854 4.5 */
enum bmp_error bmp_parse_termination(struct span body, char *text, size_t size,
				     struct bmp_fault *fault)
{
	static const char *const reasons[] = {
		"administratively closed",	    "unspecified reason", "out of resources",
		"there is another such connection", "permanently closed",
	};
	struct reader r = reader_over(body);

	snprintf(text, size, "no reason given");
	while (reader_left(&r)) {
		uint16_t type = reader_u16(&r);
		struct span value = reader_take(&r, reader_u16(&r));
		unsigned reason;

		if (r.truncated)
			return truncated(fault, &r);
		reason = value.len == 2 ? be16_get(value.ptr) : UINT16_MAX;
		if (type == TERMINATION_STRING && value.len)
			snprintf(text, size, "%.*s", (int)value.len, (const char *)value.ptr);
		else if (type == TERMINATION_REASON && reason < sizeof(reasons) / sizeof(*reasons))
			snprintf(text, size, "%s", reasons[reason]);
	}
	/* It goes into a log. */
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
	return BMP_OK;
}

const char *bmp_strerror(enum bmp_error e)
{
	static const char *const texts[BMP_ERRORS] = {
		[BMP_OK] = "no error",
		[BMP_MORE] = "not complete",
		[BMP_BAD_VERSION] = "not BMP version 3",
		[BMP_BAD_LENGTH] = "a message of a length that cannot be",
		[BMP_TRUNCATED] = "a message that ends too early",
		[BMP_BAD_REASON] = "Peer Down without a reason",
		[BMP_BAD_OPEN] = "Peer Up with an OPEN that makes no sense",
		[BMP_BAD_BGP] = "a BGP message that makes no sense",
	};

	return (unsigned)e < BMP_ERRORS ? texts[e] : "unknown error";
}
