/* Reads an unreachable message from outside in: outer header, ICMP header, the quoted IP header,
 * ports, SPI. Every step takes its bytes off the front, or fails with the place. */
#include "ipsecd/net/icmp_message.h"
#include "lib/buf.h"

#include <netinet/in.h>

#define ICMP_HEADER	8
#define IPV4_HEADER	20
#define IPV6_HEADER	40
#define IPV6_FRAGMENT	8
#define UDP_HEADER	8
#define IKE_SPIS	16
#define UNREACHABLE4	3 /* RFC 792 */
#define UNREACHABLE6	1 /* RFC 4443 3.1 */
#define OTHER		(-1)
#define PORT_IKE	500
#define PORT_NATT	4500
#define PROTOCOL_ESP_IP 50

struct cursor {
	struct span all;
	size_t at;
};

/* NULL when there are fewer than n. */
static const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->all.ptr + c->at;

	if (c->all.len - c->at < n)
		return NULL;
	c->at += n;
	return p;
}

/* RFC 792, RFC 1812 5.2.7.1. */
static int kind_v4(uint8_t code)
{
	static const int8_t kinds[] = {
		ICMP_NET,	 ICMP_HOST, ICMP_PORT, ICMP_PORT,	OTHER,
		OTHER,		 ICMP_NET,  ICMP_HOST, ICMP_HOST,	ICMP_PROHIBITED,
		ICMP_PROHIBITED, ICMP_NET,  ICMP_HOST, ICMP_PROHIBITED,
	};

	return code < sizeof(kinds) ? kinds[code] : OTHER;
}

/* RFC 4443 3.1. */
static int kind_v6(uint8_t code)
{
	static const int8_t kinds[] = {ICMP_NET,  ICMP_PROHIBITED, ICMP_NET,	   ICMP_HOST,
				       ICMP_PORT, ICMP_PROHIBITED, ICMP_PROHIBITED};

	return code < sizeof(kinds) ? kinds[code] : OTHER;
}

/* RFC 1071. */
static bool sums_up(struct span s)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < s.len; i += 2)
		sum += be16_get(s.ptr + i);
	if (s.len & 1)
		sum += (uint32_t)s.ptr[s.len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* The packet's own header, which only IPv4's raw sockets show. */
static enum icmp_fault skip_outer(struct cursor *c)
{
	const uint8_t *h = take(c, IPV4_HEADER);
	size_t head;

	if (!h)
		return ICMP_TRUNCATED;
	head = (size_t)(h[0] & 15) * 4;
	if (h[0] >> 4 != 4 || head < IPV4_HEADER || !take(c, head - IPV4_HEADER))
		return ICMP_TRUNCATED;
	return ICMP_OK;
}

static enum icmp_fault read_head(struct cursor *c, uint8_t family, struct icmp_quote *out)
{
	struct span message = span_of(c->all.ptr + c->at, c->all.len - c->at);
	const uint8_t *h = take(c, ICMP_HEADER);
	int kind;

	if (!h)
		return ICMP_TRUNCATED;
	if (h[0] != (family == AF_INET ? UNREACHABLE4 : UNREACHABLE6))
		return ICMP_OTHER_TYPE;
	kind = family == AF_INET ? kind_v4(h[1]) : kind_v6(h[1]);
	if (kind == OTHER)
		return ICMP_OTHER_TYPE;
	if (family == AF_INET && !sums_up(message))
		return ICMP_CHECKSUM;
	out->kind = (enum icmp_kind)kind;
	return ICMP_OK;
}

static enum icmp_fault read_ipv4(struct cursor *c, struct icmp_quote *out, uint8_t *protocol)
{
	const uint8_t *h = take(c, IPV4_HEADER);
	size_t head;

	if (!h)
		return ICMP_BAD_QUOTE;
	head = (size_t)(h[0] & 15) * 4;
	if (h[0] >> 4 != 4 || head < IPV4_HEADER || (be16_get(h + 6) & 0x1fff) ||
	    !take(c, head - IPV4_HEADER))
		return ICMP_BAD_QUOTE;
	addr_from_bytes(span_of(h + 12, 4), &out->from.addr);
	addr_from_bytes(span_of(h + 16, 4), &out->to.addr);
	*protocol = h[9];
	return ICMP_OK;
}

static enum icmp_fault read_ipv6(struct cursor *c, struct icmp_quote *out, uint8_t *protocol)
{
	const uint8_t *h = take(c, IPV6_HEADER), *fragment;

	if (!h || h[0] >> 4 != 6)
		return ICMP_BAD_QUOTE;
	addr_from_bytes(span_of(h + 8, 16), &out->from.addr);
	addr_from_bytes(span_of(h + 24, 16), &out->to.addr);
	*protocol = h[6];
	if (*protocol != IPPROTO_FRAGMENT)
		return ICMP_OK;
	fragment = take(c, IPV6_FRAGMENT); /* RFC 8200 4.5 */
	if (!fragment || be16_get(fragment + 2) >> 3)
		return ICMP_BAD_QUOTE;
	*protocol = fragment[0];
	return ICMP_OK;
}

static enum icmp_fault read_esp(struct cursor *c, struct icmp_quote *out)
{
	const uint8_t *spi = take(c, 4);

	if (!spi)
		return ICMP_NO_SPI;
	out->esp_spi = be32_get(spi);
	return out->esp_spi ? ICMP_OK : ICMP_BAD_QUOTE;
}

static enum icmp_fault read_ike(struct cursor *c, struct icmp_quote *out)
{
	const uint8_t *spis = take(c, IKE_SPIS);

	if (!spis)
		return ICMP_NO_SPI;
	out->spi_i = be64_get(spis);
	out->spi_r = be64_get(spis + 8);
	return ICMP_OK;
}

/* RFC 3948 2.2: four zero bytes before IKE on the NAT-T port. */
static enum icmp_fault read_udp(struct cursor *c, struct icmp_quote *out)
{
	const uint8_t *h = take(c, UDP_HEADER), *marker;

	if (!h)
		return ICMP_NO_SPI;
	out->from.port = be16_get(h);
	out->to.port = be16_get(h + 2);
	if (out->from.port == PORT_IKE)
		return read_ike(c, out);
	if (out->from.port != PORT_NATT)
		return ICMP_NOT_OURS;
	marker = take(c, 4);
	if (!marker)
		return ICMP_NO_SPI;
	if (be32_get(marker) == 0)
		return read_ike(c, out);
	out->esp_spi = be32_get(marker);
	return ICMP_OK;
}

static enum icmp_fault parse(struct cursor *c, uint8_t family, struct icmp_quote *out)
{
	enum icmp_fault f = family == AF_INET ? skip_outer(c) : ICMP_OK;
	uint8_t protocol = 0;

	if (!f)
		f = read_head(c, family, out);
	if (!f)
		f = family == AF_INET ? read_ipv4(c, out, &protocol) : read_ipv6(c, out, &protocol);
	if (f)
		return f;
	if (protocol == IPPROTO_UDP)
		return read_udp(c, out);
	return protocol == PROTOCOL_ESP_IP ? read_esp(c, out) : ICMP_NOT_OURS;
}

enum icmp_fault icmp_parse(uint8_t family, struct span packet, struct icmp_quote *out,
			   size_t *offset)
{
	struct cursor c = {.all = packet};
	struct icmp_quote quote = {0};
	enum icmp_fault f = parse(&c, family, &quote);

	if (offset)
		*offset = c.at;
	if (!f)
		*out = quote;
	return f;
}

const char *icmp_strerror(enum icmp_fault f)
{
	static const char *const text[] = {
		[ICMP_OK] = "no error",
		[ICMP_TRUNCATED] = "truncated",
		[ICMP_CHECKSUM] = "wrong checksum",
		[ICMP_OTHER_TYPE] = "not about an unreachable peer",
		[ICMP_BAD_QUOTE] = "quotes no IP packet",
		[ICMP_NOT_OURS] = "quotes neither IKE nor ESP",
		[ICMP_NO_SPI] = "quotes too little of it",
	};

	return (unsigned)f < sizeof(text) / sizeof(text[0]) ? text[f] : "unknown";
}
