/* Owns what differs between the segments of one super-packet: lengths, IPv4 identification,
 * sequence number, flags, checksums. What the kernel says of the checksum of such a packet
 * (csum_start, and the pseudo-header's sum in the field) is used, and so it is right with a
 * routing header, too, whose last hop is the pseudo-header's address (RFC 8200 8.1). */
#include "ipsecd/dataplane/cut.h"

#include "ipsecd/dataplane/checksum.h"
#include "lib/buf.h"

#include <netinet/in.h>

#define IPV4_MIN       20
#define IPV6_LEN       40
#define TCP_MIN	       20
#define UDP_LEN	       8
#define EXTENSIONS_MAX 16 /* as inner.c */

#define TCP_CHECK      16 /* offsets of the checksum */
#define UDP_CHECK      6
#define IP_CHECK       10

enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };

/* ---- headers ---- */

static bool is_ipv4(const struct cut *c)
{
	return c->packet[0] >> 4 == 4;
}

/* A super-packet of more than 64 KB (BIG TCP) has length 0. */
static enum cut_error take_length(struct cut *c, size_t said, size_t least, size_t zero)
{
	if (said == zero && c->len > VNET_PACKET_MAX)
		return CUT_OK;
	if (said < least)
		return CUT_HEADER;
	if (said > c->len)
		return CUT_TRUNCATED;
	c->len = said;
	return CUT_OK;
}

static enum cut_error parse_ip(struct cut *c)
{
	const uint8_t *p = c->packet;

	if (c->len < IPV4_MIN)
		return CUT_TRUNCATED;
	if (is_ipv4(c)) {
		c->transport = (size_t)(p[0] & 15) * 4;
		if (c->transport < IPV4_MIN)
			return CUT_HEADER;
		return take_length(c, be16_get(p + 2), c->transport, 0);
	}
	if (p[0] >> 4 != 6)
		return CUT_VERSION;
	if (c->len < IPV6_LEN)
		return CUT_TRUNCATED;
	c->transport = IPV6_LEN;
	return take_length(c, IPV6_LEN + (size_t)be16_get(p + 4), IPV6_LEN, IPV6_LEN);
}

/* RFC 8200 4: to the transport header. *routed: an address in a routing header is still to come. */
static enum cut_error skip_extensions(struct cut *c, uint8_t *next, bool *routed)
{
	for (unsigned n = 0; n < EXTENSIONS_MAX; n++) {
		const uint8_t *head = c->packet + c->transport;

		if (*next == IPPROTO_FRAGMENT)
			return CUT_FRAGMENT;
		if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_ROUTING &&
		    *next != IPPROTO_DSTOPTS)
			return CUT_OK;
		if (c->len - c->transport < 8)
			return CUT_TRUNCATED;
		if (*next == IPPROTO_ROUTING)
			*routed = head[3] != 0;
		*next = head[0];
		c->transport += 8 + (size_t)head[1] * 8;
		if (c->transport > c->len)
			return CUT_TRUNCATED;
	}
	return CUT_HEADER;
}

static enum cut_error find_transport(struct cut *c, bool *routed)
{
	const uint8_t *p = c->packet;
	uint8_t protocol = p[6];
	enum cut_error e = CUT_OK;

	if (is_ipv4(c)) {
		protocol = p[9];
		if (be16_get(p + 6) & 0x3fff)
			return CUT_FRAGMENT;
	} else {
		e = skip_extensions(c, &protocol, routed);
	}
	return e == CUT_OK && protocol != c->protocol ? CUT_TYPE : e;
}

static enum cut_error find_payload(struct cut *c)
{
	size_t header = c->protocol == IPPROTO_TCP ? TCP_MIN : UDP_LEN, left = c->len;

	if (c->transport > c->len || (left -= c->transport) < header)
		return CUT_TRUNCATED;
	if (c->protocol == IPPROTO_TCP) {
		header = (size_t)(c->packet[c->transport + 12] >> 4) * 4;
		if (header < TCP_MIN)
			return CUT_HEADER;
		if (header > left)
			return CUT_TRUNCATED;
	}
	c->payload = c->next = c->transport + header;
	/* A segment whose length no header can say. */
	return cut_peek(c) > VNET_PACKET_MAX ? CUT_SIZE : CUT_OK;
}

/* ---- checksums ---- */

static size_t check_offset(const struct cut *c)
{
	return c->protocol == IPPROTO_TCP ? TCP_CHECK : UDP_CHECK;
}

static uint64_t addresses(const struct cut *c)
{
	return is_ipv4(c) ? checksum_add(0, c->packet + 12, 8) : checksum_add(0, c->packet + 8, 32);
}

/* RFC 1624: what was added for the whole length is taken away again. */
static uint64_t without(uint64_t sum, size_t number)
{
	return sum + (uint16_t)~checksum_fold(checksum_number(number));
}

static enum cut_error find_pseudo(struct cut *c, const struct virtio_net_hdr *vnet, bool routed)
{
	const uint8_t *field = c->packet + c->transport + check_offset(c);

	if (!(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
		c->pseudo = addresses(c) + checksum_number(c->protocol);
		return routed ? CUT_CHECKSUM : CUT_OK;
	}
	if (vnet->csum_start != c->transport || vnet->csum_offset != check_offset(c))
		return CUT_CHECKSUM;
	c->pseudo = without(checksum_word(field), c->len - c->transport);
	return CUT_OK;
}

/* ---- beginning ---- */

static enum cut_error begin_super(struct cut *c, const struct virtio_net_hdr *vnet)
{
	uint8_t ecn = VIRTIO_NET_HDR_GSO_ECN | VIRTIO_NET_HDR_GSO_ACCECN;
	bool routed = false;
	enum cut_error e;

	switch (vnet->gso_type & ~ecn) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		if (is_ipv4(c) != ((vnet->gso_type & ~ecn) == VIRTIO_NET_HDR_GSO_TCPV4))
			return CUT_TYPE;
		c->protocol = IPPROTO_TCP;
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		c->protocol = IPPROTO_UDP;
		break;
	default:
		return CUT_TYPE;
	}
	c->accurate = (vnet->gso_type & VIRTIO_NET_HDR_GSO_ACCECN) != 0;
	c->size = vnet->gso_size;
	if (c->size == 0)
		return CUT_SIZE;
	e = find_transport(c, &routed);
	if (e == CUT_OK)
		e = find_payload(c);
	return e == CUT_OK ? find_pseudo(c, vnet, routed) : e;
}

static enum cut_error begin_single(struct cut *c, const struct virtio_net_hdr *vnet)
{
	if (!(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return CUT_OK;
	c->sum_from = vnet->csum_start;
	c->sum_at = c->sum_from + vnet->csum_offset;
	return c->sum_from < c->transport || c->sum_at + 2 > c->len ? CUT_CHECKSUM : CUT_OK;
}

enum cut_error cut_begin(struct cut *c, const struct virtio_net_hdr *vnet, const uint8_t *packet,
			 size_t len)
{
	enum cut_error e;

	*c = (struct cut){.packet = packet, .len = len};
	e = parse_ip(c);
	if (e == CUT_OK)
		e = vnet->gso_type == VIRTIO_NET_HDR_GSO_NONE ? begin_single(c, vnet)
							      : begin_super(c, vnet);
	c->done = e != CUT_OK;
	return e;
}

/* ---- segments ---- */

size_t cut_peek(const struct cut *c)
{
	size_t left = c->len - c->next;

	if (c->done)
		return 0;
	return c->protocol == 0 || left <= c->size ? c->payload + left : c->payload + c->size;
}

size_t cut_left(const struct cut *c)
{
	size_t left = c->len - c->next;

	if (c->done)
		return 0;
	return c->protocol == 0 || left <= c->size ? 1 : (left + c->size - 1) / c->size;
}

static void mark(const struct cut *c, uint8_t *out)
{
	uint8_t was[2] = {out[0], out[1]};

	if (!c->mark)
		return;
	if (!is_ipv4(c)) {
		out[1] |= 0x30;
		return;
	}
	out[1] |= 3; /* RFC 1624 3: the header may be damaged, and stays so */
	checksum_set(out + IP_CHECK,
		     (uint16_t)~checksum_fold((uint16_t)~checksum_word(out + IP_CHECK) +
					      (uint16_t)~checksum_word(was) + checksum_word(out)));
}

static void write_single(const struct cut *c, uint8_t *out)
{
	uint16_t sum;

	memcpy(out, c->packet, c->len);
	mark(c, out);
	if (c->sum_at == 0)
		return;
	sum = (uint16_t)~checksum_fold(checksum_add(0, out + c->sum_from, c->len - c->sum_from));
	if (sum == 0 && c->sum_at - c->sum_from == UDP_CHECK) /* RFC 768 */
		sum = 0xffff;
	checksum_set(out + c->sum_at, sum);
}

static void write_ip(const struct cut *c, uint8_t *out, size_t len)
{
	if (!is_ipv4(c)) {
		be16_set(out + 4, (uint16_t)(len - IPV6_LEN));
		mark(c, out);
		return;
	}
	be16_set(out + 2, (uint16_t)len);
	be16_set(out + 4, (uint16_t)(be16_get(c->packet + 4) + c->number));
	be16_set(out + IP_CHECK, 0);
	checksum_set(out + IP_CHECK,
		     (uint16_t)~checksum_fold(checksum_add(0, out, (size_t)(out[0] & 15) * 4)));
	mark(c, out);
}

/* RFC 3168 6.1.2: CWR is said once. FIN and PSH are said of the end. */
static void write_tcp(const struct cut *c, uint8_t *tcp, bool last)
{
	be32_set(tcp + 4, be32_get(tcp + 4) + (uint32_t)(c->next - c->payload));
	if (!last)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (c->begun && !c->accurate)
		tcp[13] &= (uint8_t)~TCP_CWR;
}

static void write_segment(const struct cut *c, uint8_t *out, size_t len)
{
	uint8_t *transport = out + c->transport, *check = transport + check_offset(c);
	size_t payload = len - c->payload;
	uint16_t sum;

	memcpy(out, c->packet, c->payload);
	memcpy(out + c->payload, c->packet + c->next, payload);
	write_ip(c, out, len);
	if (c->protocol == IPPROTO_TCP)
		write_tcp(c, transport, c->next + payload == c->len);
	else
		be16_set(transport + 4, (uint16_t)(UDP_LEN + payload));
	be16_set(check, 0);
	sum = (uint16_t)~checksum_fold(checksum_add(c->pseudo + checksum_number(len - c->transport),
						    transport, len - c->transport));
	if (sum == 0 && c->protocol == IPPROTO_UDP) /* RFC 768 */
		sum = 0xffff;
	checksum_set(check, sum);
}

static void step(struct cut *c, size_t len)
{
	c->next += len - c->payload;
	c->number++;
	c->mark = false;
	c->done = c->next >= c->len;
}

size_t cut_next(struct cut *c, uint8_t *out, size_t room)
{
	size_t len = cut_peek(c);

	if (len == 0 || len > room)
		return 0;
	if (c->protocol == 0)
		write_single(c, out);
	else
		write_segment(c, out, len);
	c->begun = true;
	step(c, len);
	return len;
}

bool cut_congested(struct cut *c)
{
	const uint8_t *p = c->packet;
	size_t len = cut_peek(c);

	if (len == 0)
		return true;
	c->mark = ((is_ipv4(c) ? p[1] : p[1] >> 4) & 3) != 0;
	if (c->mark)
		return true;
	step(c, len);
	return false;
}
