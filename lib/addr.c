/* Addresses, endpoints and prefixes as plain values. */
#include "lib/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

size_t addr_size(uint8_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

struct span addr_span(const struct addr *a)
{
	return span_of(a->bytes, addr_size(a->family));
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && span_equal(addr_span(a), addr_span(b));
}

uint32_t addr_hash(const struct addr *a, size_t most, uint32_t seed)
{
	size_t n = addr_size(a->family);
	uint32_t h = seed;

	for (size_t i = 0; i < n && i < most; i++) /* FNV-1a */
		h = (h ^ a->bytes[i]) * 0x01000193u;
	return h ^ h >> 16;
}

bool addr_is_any(const struct addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->bytes, zero, addr_size(a->family)) == 0;
}

bool addr_is_link_local(const struct addr *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool addr_is_loopback(const struct addr *a)
{
	static const uint8_t one[16] = {[15] = 1};

	return (a->family == AF_INET && a->bytes[0] == 127) ||
	       (a->family == AF_INET6 && memcmp(a->bytes, one, sizeof(one)) == 0);
}

bool addr_is_multicast(const struct addr *a)
{
	return (a->family == AF_INET && a->bytes[0] >= 224) ||
	       (a->family == AF_INET6 && a->bytes[0] == 0xff);
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, addr_size(a->family));
}

bool addr_parse(const char *text, struct addr *out)
{
	struct addr a = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	if (inet_pton(a.family, text, a.bytes) != 1)
		return false;
	*out = a;
	return true;
}

bool addr_from_bytes(struct span bytes, struct addr *out)
{
	if (bytes.len != 4 && bytes.len != 16)
		return false;
	*out = (struct addr){.family = bytes.len == 4 ? AF_INET : AF_INET6};
	memcpy(out->bytes, bytes.ptr, bytes.len);
	return true;
}

const char *addr_format(const struct addr *a, char *text)
{
	if (!inet_ntop(a->family, a->bytes, text, ADDR_TEXT))
		snprintf(text, ADDR_TEXT, "%%any");
	return text;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

const char *endpoint_format(const struct endpoint *e, char *text)
{
	char addr[ADDR_TEXT];

	snprintf(text, ENDPOINT_TEXT, "%s[%u]", addr_format(&e->addr, addr), e->port);
	return text;
}

static bool parse_port(const char *text, uint16_t *out)
{
	unsigned long n = 0;

	for (size_t i = 0; text[i]; i++) {
		if (text[i] < '0' || text[i] > '9' || i == 5)
			return false;
		n = n * 10 + (unsigned long)(text[i] - '0');
	}
	*out = (uint16_t)n;
	return n > 0 && n <= UINT16_MAX;
}

bool endpoint_parse(const char *text, struct endpoint *out)
{
	const char *colon = strrchr(text, ':'), *from = text, *to = colon;
	bool brackets = *text == '[';
	char addr[ADDR_TEXT];
	struct endpoint e;

	if (!colon || !parse_port(colon + 1, &e.port))
		return false;
	if (brackets) {
		from++;
		to--;
		if (*to != ']')
			return false;
	}
	if (to <= from || (size_t)(to - from) >= sizeof(addr))
		return false;
	memcpy(addr, from, (size_t)(to - from));
	addr[to - from] = '\0';
	if (!addr_parse(addr, &e.addr) || (e.addr.family == AF_INET6) != brackets)
		return false;
	*out = e;
	return true;
}

const char *endpoint_format_url(const struct endpoint *e, char *text)
{
	bool v6 = e->addr.family == AF_INET6;
	char addr[ADDR_TEXT];

	snprintf(text, ENDPOINT_TEXT, "%s%s%s:%u", v6 ? "[" : "", addr_format(&e->addr, addr),
		 v6 ? "]" : "", e->port);
	return text;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *in4 = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	out->ss_family = e->addr.family;
	if (e->addr.family == AF_INET6) {
		in6->sin6_port = htons(e->port);
		memcpy(&in6->sin6_addr, e->addr.bytes, 16);
		return sizeof(*in6);
	}
	in4->sin_port = htons(e->port);
	memcpy(&in4->sin_addr, e->addr.bytes, 4);
	return sizeof(*in4);
}

bool endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)sa;

	if (sa->sa_family == AF_INET) {
		out->port = ntohs(in4->sin_port);
		return addr_from_bytes(span_of(&in4->sin_addr, 4), &out->addr);
	}
	if (sa->sa_family != AF_INET6)
		return false;
	out->port = ntohs(in6->sin6_port);
	return addr_from_bytes(span_of(&in6->sin6_addr, 16), &out->addr);
}

bool prefix_parse(const char *text, struct prefix *out)
{
	const char *slash = strchr(text, '/');
	char head[ADDR_TEXT], *end;
	struct prefix p;
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long len;

	if (n >= sizeof(head))
		return false;
	memcpy(head, text, n);
	head[n] = '\0';
	if (!addr_parse(head, &p.addr))
		return false;
	p.len = (uint8_t)(addr_size(p.addr.family) * 8);
	if (slash) {
		if (slash[1] < '0' || slash[1] > '9')
			return false;
		len = strtoul(slash + 1, &end, 10);
		if (*end || len > p.len)
			return false;
		p.len = (uint8_t)len;
	}
	*out = p;
	return true;
}

const char *prefix_format(const struct prefix *p, char *text)
{
	char addr[ADDR_TEXT];

	snprintf(text, PREFIX_TEXT, "%s/%u", addr_format(&p->addr, addr), p->len);
	return text;
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

struct prefix prefix_mask(const struct prefix *p)
{
	struct prefix m = *p;

	for (size_t i = 0; i < addr_size(p->addr.family); i++) {
		size_t bits = p->len > i * 8 ? p->len - i * 8 : 0;

		if (bits < 8)
			m.addr.bytes[i] &= (uint8_t)(0xff << (8 - bits));
	}
	return m;
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	struct prefix net = prefix_mask(p), host = {*a, p->len};

	host = prefix_mask(&host);
	return addr_equal(&net.addr, &host.addr);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return a->len <= b->len ? prefix_contains(a, &b->addr) : prefix_contains(b, &a->addr);
}
