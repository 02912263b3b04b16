/* Inner packets: IPv4 (RFC 791) and IPv6 (RFC 8200) headers, IPv6 extension headers
 * skipped, ports of the transports that have them. Checks only what the selectors and
 * the delivery need; the receiving kernel checks the rest. */
#include "ipsecd/dataplane/inner.h"

#include "lib/buf.h"

#include <netinet/in.h>

#define ICMP_HEADER    8  /* before what it quotes */
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

/* The length at hand of a packet that says `total`. What an ICMP message quotes (`whole` false) may
 * end anywhere. */
static size_t length_of(struct span packet, size_t total, bool whole)
{
	return total <= packet.len ? total : whole ? 0 : packet.len;
}

static enum inner_error parse_ipv4(struct span packet, bool whole, struct inner *out)
{
	const uint8_t *p = packet.ptr;
	size_t header, total;

	if (packet.len < 20)
		return INNER_TRUNCATED;
	header = (size_t)(p[0] & 15) * 4;
	total = be16_get(p + 2);
	if (header < 20 || total < header)
		return INNER_HEADER;
	out->len = length_of(packet, total, whole);
	if (out->len < header)
		return INNER_TRUNCATED;
	addr_from_bytes(span_of(p + 12, 4), &out->src);
	addr_from_bytes(span_of(p + 16, 4), &out->dst);
	out->protocol = p[9];
	out->transport = header;
	out->opaque = (be16_get(p + 6) & 0x1fff) != 0;
	if (!out->opaque)
		get_ports(span_of(p + header, out->len - header), out);
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

static enum inner_error parse_ipv6(struct span packet, bool whole, struct inner *out)
{
	const uint8_t *p = packet.ptr;
	enum inner_error e;
	struct reader r;
	struct span rest;
	bool later = false;

	if (packet.len < 40)
		return INNER_TRUNCATED;
	out->len = length_of(packet, 40 + (size_t)be16_get(p + 4), whole);
	if (out->len == 0)
		return INNER_TRUNCATED;
	addr_from_bytes(span_of(p + 8, 16), &out->src);
	addr_from_bytes(span_of(p + 24, 16), &out->dst);
	out->protocol = p[6];
	r = reader_over(span_of(p + 40, out->len - 40));
	e = skip_extensions(&r, &out->protocol, &later);
	if (e != INNER_OK)
		return e;
	rest = reader_rest(&r);
	out->transport = out->len - rest.len;
	out->opaque = later;
	if (!later)
		get_ports(rest, out);
	return e;
}

static enum inner_error parse(struct span packet, bool whole, struct inner *out)
{
	out->src_port = out->dst_port = 0;
	out->opaque = false;
	if (packet.len == 0)
		return INNER_EMPTY;
	switch (packet.ptr[0] >> 4) {
	case 4:
		return parse_ipv4(packet, whole, out);
	case 6:
		return parse_ipv6(packet, whole, out);
	default:
		return INNER_VERSION;
	}
}

enum inner_error inner_parse(struct span packet, struct inner *out)
{
	return parse(packet, true, out);
}

/* RFC 792 and RFC 4443 2.1; not redirects, which are for one link. */
static bool is_icmp_error(const struct inner *i)
{
	unsigned type = i->src_port >> 8;

	if (i->opaque)
		return false;
	if (i->src.family == AF_INET)
		return i->protocol == IPPROTO_ICMP &&
		       (type == 3 || type == 4 || type == 11 || type == 12);
	return i->protocol == IPPROTO_ICMPV6 && type >= 1 && type <= 4;
}

bool inner_answers(struct span packet, const struct inner *inner, struct inner *out)
{
	size_t at = inner->transport + ICMP_HEADER;
	struct inner quoted;

	if (!is_icmp_error(inner) || at >= inner->len ||
	    parse(span_of(packet.ptr + at, inner->len - at), false, &quoted) != INNER_OK ||
	    quoted.src.family != inner->src.family)
		return false;
	*out = quoted;
	out->src = quoted.dst;
	out->dst = quoted.src;
	out->src_port = quoted.dst_port;
	out->dst_port = quoted.src_port;
	return true;
}
