/* Inner packets: IPv4 (RFC 791) and IPv6 (RFC 8200) headers, IPv6 extension headers
 * skipped, ports of the transports that have them. Checks only what the selectors and
 * the delivery need; the receiving kernel checks the rest. */
#include "ipsecd/dataplane/inner.h"

#include "lib/buf.h"

#include <netinet/in.h>

#define EXTENSIONS_MAX 16 /* headers in one packet; more is an attack, not traffic */

const char *inner_strerror(enum inner_error e)
{
	static const char *const text[] = {
		[INNER_OK] = "ok",
		[INNER_EMPTY] = "empty",
		[INNER_VERSION] = "neither IPv4 nor IPv6",
		[INNER_HEADER] = "bad IP header",
		[INNER_TRUNCATED] = "shorter than its headers say",
	};

	return text[e];
}

static void get_ports(struct span payload, struct inner *out)
{
	const uint8_t *p = payload.ptr;

	switch (out->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		out->opaque = payload.len < 4;
		if (out->opaque)
			return;
		out->src_port = be16_get(p);
		out->dst_port = be16_get(p + 2);
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		out->opaque = payload.len < 2;
		if (!out->opaque)
			out->src_port = out->dst_port = be16_get(p);
		return;
	default:
		return;
	}
}

static enum inner_error parse_ipv4(struct span packet, struct inner *out)
{
	const uint8_t *p = packet.ptr;
	size_t header, total;

	if (packet.len < 20)
		return INNER_TRUNCATED;
	header = (size_t)(p[0] & 15) * 4;
	total = be16_get(p + 2);
	if (header < 20 || total < header)
		return INNER_HEADER;
	if (total > packet.len)
		return INNER_TRUNCATED;
	addr_from_bytes(span_of(p + 12, 4), &out->src);
	addr_from_bytes(span_of(p + 16, 4), &out->dst);
	out->protocol = p[9];
	out->len = total;
	out->opaque = (be16_get(p + 6) & 0x1fff) != 0;
	if (!out->opaque)
		get_ports(span_of(p + header, total - header), out);
	return INNER_OK;
}

/* RFC 8200 4: steps over what stands before the transport header. *later: a fragment
 * other than the first, which carries no transport header. */
static enum inner_error skip_extensions(struct reader *r, uint8_t *next, bool *later)
{
	for (unsigned n = 0; n < EXTENSIONS_MAX && !*later; n++) {
		struct span head;

		if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_ROUTING &&
		    *next != IPPROTO_DSTOPTS && *next != IPPROTO_FRAGMENT)
			return INNER_OK;
		head = reader_take(r, 8);
		if (!head.ptr)
			return INNER_TRUNCATED;
		if (*next == IPPROTO_FRAGMENT)
			*later = (be16_get(head.ptr + 2) & 0xfff8) != 0;
		else
			reader_take(r, (size_t)head.ptr[1] * 8);
		if (r->truncated)
			return INNER_TRUNCATED;
		*next = head.ptr[0];
	}
	return *later ? INNER_OK : INNER_HEADER;
}

static enum inner_error parse_ipv6(struct span packet, struct inner *out)
{
	const uint8_t *p = packet.ptr;
	enum inner_error e;
	struct reader r;
	bool later = false;

	if (packet.len < 40)
		return INNER_TRUNCATED;
	out->len = 40 + (size_t)be16_get(p + 4);
	if (out->len > packet.len)
		return INNER_TRUNCATED;
	addr_from_bytes(span_of(p + 8, 16), &out->src);
	addr_from_bytes(span_of(p + 24, 16), &out->dst);
	out->protocol = p[6];
	r = reader_over(span_of(p + 40, out->len - 40));
	e = skip_extensions(&r, &out->protocol, &later);
	out->opaque = later;
	if (e == INNER_OK && !later)
		get_ports(reader_rest(&r), out);
	return e;
}

enum inner_error inner_parse(struct span packet, struct inner *out)
{
	out->src_port = out->dst_port = 0;
	out->opaque = false;
	if (packet.len == 0)
		return INNER_EMPTY;
	switch (packet.ptr[0] >> 4) {
	case 4:
		return parse_ipv4(packet, out);
	case 6:
		return parse_ipv6(packet, out);
	default:
		return INNER_VERSION;
	}
}
