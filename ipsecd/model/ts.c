/* Traffic selectors: text, set operations, narrowing. Pure; knows neither the wire
 * format nor the SAs that use them. RFC 7296 2.9 and 3.13, RFC 4301 4.4.1.1. */
#include "ipsecd/model/ts.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define PORT_MAX 65535

/* A table of our own: /etc/protocols differs between machines. */
static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"icmp", 1},	{"igmp", 2},  {"ipip", 4},   {"tcp", 6},    {"udp", 17},
	{"ipv6", 41},	{"gre", 47},  {"esp", 50},   {"ah", 51},    {"ipv6-icmp", 58},
	{"icmpv6", 58}, {"ospf", 89}, {"vrrp", 112}, {"l2tp", 115}, {"sctp", 132},
};

static bool is_icmp(uint8_t protocol)
{
	return protocol == 1 || protocol == 58;
}

static const char *protocol_name(uint8_t number)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (protocols[i].number == number)
			return protocols[i].name;
	}
	return NULL;
}

/* A decimal number at *text, which moves behind it. */
static bool take_number(const char **text, unsigned max, unsigned *out)
{
	unsigned n = 0;
	const char *p = *text;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (unsigned)(*p - '0');
		if (n > max)
			return false;
	}
	*text = p;
	*out = n;
	return true;
}

static bool parse_protocol(const char *text, size_t len, uint8_t *out)
{
	unsigned n;
	const char *end = text;

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (strlen(protocols[i].name) == len &&
		    strncmp(protocols[i].name, text, len) == 0) {
			*out = protocols[i].number;
			return true;
		}
	}
	if (len == 4 && strncmp(text, "%any", len) == 0) {
		*out = 0;
		return true;
	}
	if (!take_number(&end, UINT8_MAX, &n) || end != text + len)
		return false;
	*out = (uint8_t)n;
	return true;
}

/* ICMP: "8" is a type with every code, "8(0)" a type and code, in the two halves of
 * the port (RFC 7296 3.13.1). */
static bool parse_icmp(const char *text, struct ts *ts)
{
	unsigned type, code;

	if (!take_number(&text, UINT8_MAX, &type))
		return false;
	ts->port_start = (uint16_t)(type << 8);
	ts->port_end = (uint16_t)(type << 8 | 0xff);
	if (*text != '(')
		return *text == '\0';
	text++;
	if (!take_number(&text, UINT8_MAX, &code) || strcmp(text, ")") != 0)
		return false;
	ts->port_start = ts->port_end = (uint16_t)(type << 8 | code);
	return true;
}

static bool parse_ports(const char *text, struct ts *ts)
{
	unsigned start, end;

	if (strcmp(text, "%any") == 0)
		return true;
	if (strcmp(text, "opaque") == 0 || strcmp(text, "%opaque") == 0) {
		/* RFC 7296 3.13.1 */
		ts->port_start = PORT_MAX;
		ts->port_end = 0;
		return true;
	}
	if (is_icmp(ts->protocol))
		return parse_icmp(text, ts);
	if (!take_number(&text, PORT_MAX, &start))
		return false;
	end = start;
	if (*text == '-') {
		text++;
		if (!take_number(&text, PORT_MAX, &end))
			return false;
	}
	if (*text || start > end)
		return false;
	if (start == 0 && end == 0) /* "udp/0" means any port, as everywhere */
		end = PORT_MAX;
	ts->port_start = (uint16_t)start;
	ts->port_end = (uint16_t)end;
	return true;
}

/* "[proto]" or "[proto/port]"; text is changed. */
static bool parse_tail(char *tail, struct ts *ts)
{
	size_t len = strlen(tail);
	char *slash;

	if (len < 2 || tail[len - 1] != ']')
		return false;
	tail[len - 1] = '\0';
	slash = strchr(tail, '/');
	if (!parse_protocol(tail, slash ? (size_t)(slash - tail) : len - 1, &ts->protocol))
		return false;
	return !slash || parse_ports(slash + 1, ts);
}

static bool parse_range(char *text, struct ts *ts)
{
	char *second = strstr(text, "..");
	struct addr start, end;

	if (second) {
		*second = '\0';
		second += 2;
	} else {
		second = strchr(text, '-');
		if (!second)
			return false;
		*second++ = '\0';
	}
	if (!addr_parse(text, &start) || !addr_parse(second, &end) || start.family != end.family ||
	    addr_compare(&start, &end) > 0)
		return false;
	ts->family = start.family;
	memcpy(ts->start, start.bytes, sizeof(ts->start));
	memcpy(ts->end, end.bytes, sizeof(ts->end));
	return true;
}

bool ts_parse(const char *text, struct ts *out)
{
	struct ts ts = {.port_end = PORT_MAX}, net;
	char head[TS_TEXT], *tail;
	struct prefix p;

	if (strlen(text) >= sizeof(head))
		return false;
	memcpy(head, text, strlen(text) + 1);
	tail = strchr(head, '[');
	if (tail) {
		*tail++ = '\0';
		if (!parse_tail(tail, &ts))
			return false;
	}
	if (strcmp(head, "%dynamic") == 0 || strcmp(head, "dynamic") == 0) {
		ts.dynamic = true;
	} else if (prefix_parse(head, &p)) {
		ts_from_prefix(&p, &net);
		ts.family = net.family;
		memcpy(ts.start, net.start, sizeof(ts.start));
		memcpy(ts.end, net.end, sizeof(ts.end));
	} else if (!parse_range(head, &ts)) {
		return false;
	}
	*out = ts;
	return true;
}

void ts_from_prefix(const struct prefix *p, struct ts *out)
{
	struct prefix net = prefix_mask(p);

	*out = (struct ts){.family = p->addr.family, .port_end = PORT_MAX};
	memcpy(out->start, net.addr.bytes, sizeof(out->start));
	memcpy(out->end, net.addr.bytes, sizeof(out->end));
	for (size_t i = 0; i < addr_size(p->addr.family); i++) {
		size_t bits = p->len > i * 8 ? p->len - i * 8 : 0;

		if (bits < 8)
			out->end[i] |= (uint8_t)(0xff >> bits);
	}
}

bool ts_to_prefix(const struct ts *ts, struct prefix *out)
{
	struct prefix p = {.addr = {.family = ts->family}};
	size_t bits = addr_size(ts->family) * 8, len = 0;
	struct ts back;

	if (ts->dynamic || bits == 0)
		return false;
	while (len < bits && !((ts->start[len / 8] ^ ts->end[len / 8]) & (0x80 >> len % 8)))
		len++;
	memcpy(p.addr.bytes, ts->start, sizeof(p.addr.bytes));
	p.len = (uint8_t)len;
	ts_from_prefix(&p, &back);
	if (memcmp(back.start, ts->start, sizeof(back.start)) != 0 ||
	    memcmp(back.end, ts->end, sizeof(back.end)) != 0)
		return false;
	*out = p;
	return true;
}

static void format_addresses(const struct ts *ts, char *text, size_t size)
{
	struct addr start = {.family = ts->family}, end = {.family = ts->family};
	char a[PREFIX_TEXT], b[ADDR_TEXT];
	struct prefix p;

	if (ts->dynamic) {
		snprintf(text, size, "dynamic");
	} else if (ts_to_prefix(ts, &p)) {
		snprintf(text, size, "%s", prefix_format(&p, a));
	} else {
		memcpy(start.bytes, ts->start, sizeof(start.bytes));
		memcpy(end.bytes, ts->end, sizeof(end.bytes));
		snprintf(text, size, "%s..%s", addr_format(&start, a), addr_format(&end, b));
	}
}

static void format_ports(const struct ts *ts, char *text, size_t size)
{
	unsigned start = ts->port_start, end = ts->port_end;

	if (start == 0 && end == PORT_MAX)
		snprintf(text, size, "%s", "");
	else if (start > end)
		snprintf(text, size, "/opaque");
	else if (is_icmp(ts->protocol) && (start & 0xff) == 0 && end == (start | 0xff))
		snprintf(text, size, "/%u", start >> 8);
	else if (is_icmp(ts->protocol) && start == end)
		snprintf(text, size, "/%u(%u)", start >> 8, start & 0xff);
	else if (start == end)
		snprintf(text, size, "/%u", start);
	else
		snprintf(text, size, "/%u-%u", start, end);
}

const char *ts_format(const struct ts *ts, char *text)
{
	const char *name = protocol_name(ts->protocol);
	char ports[16];
	size_t at;

	format_addresses(ts, text, TS_TEXT);
	format_ports(ts, ports, sizeof(ports));
	if (ts->protocol == 0 && !*ports)
		return text;
	at = strlen(text);
	if (name)
		snprintf(text + at, TS_TEXT - at, "[%s%s]", name, ports);
	else
		snprintf(text + at, TS_TEXT - at, "[%u%s]", ts->protocol, ports);
	return text;
}

const char *ts_list_format(const struct ts_list *l, char *text, size_t size)
{
	size_t at = 0;
	char one[TS_TEXT];

	if (size)
		text[0] = '\0';
	for (unsigned i = 0; i < l->n && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%s", i ? " " : "",
				       ts_format(&l->ts[i], one));
	return text;
}

static int compare_bytes(const struct ts *a, const uint8_t *x, const uint8_t *y)
{
	return memcmp(x, y, addr_size(a->family));
}

bool ts_ports_fit(const struct ts *ts)
{
	return ts->port_start <= ts->port_end || (ts->port_start == PORT_MAX && ts->port_end == 0);
}

bool ts_equal(const struct ts *a, const struct ts *b)
{
	return a->family == b->family && a->dynamic == b->dynamic && a->protocol == b->protocol &&
	       a->port_start == b->port_start && a->port_end == b->port_end &&
	       compare_bytes(a, a->start, b->start) == 0 && compare_bytes(a, a->end, b->end) == 0;
}

void ts_list_copy(struct ts_list *to, const struct ts_list *from)
{
	to->n = from->n;
	memcpy(to->ts, from->ts, from->n * sizeof(from->ts[0]));
}

bool ts_list_equal(const struct ts_list *a, const struct ts_list *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++) {
		if (!ts_equal(&a->ts[i], &b->ts[i]))
			return false;
	}
	return true;
}

static bool any_port(const struct ts *ts)
{
	return ts->port_start == 0 && ts->port_end == PORT_MAX;
}

static bool opaque(const struct ts *ts)
{
	return ts->port_start > ts->port_end;
}

/* OPAQUE meets only OPAQUE and "any port" (RFC 4301 4.4.1.1). */
static bool intersect_ports(const struct ts *a, const struct ts *b, struct ts *out)
{
	if (opaque(a) || opaque(b)) {
		if (!(opaque(a) || any_port(a)) || !(opaque(b) || any_port(b)))
			return false;
		out->port_start = PORT_MAX;
		out->port_end = 0;
		return true;
	}
	out->port_start = a->port_start > b->port_start ? a->port_start : b->port_start;
	out->port_end = a->port_end < b->port_end ? a->port_end : b->port_end;
	return out->port_start <= out->port_end;
}

bool ts_intersect(const struct ts *a, const struct ts *b, struct ts *out)
{
	struct ts ts = {.family = a->family, .protocol = a->protocol};

	if (a->family != b->family || a->dynamic || b->dynamic || addr_size(a->family) == 0)
		return false;
	if (a->protocol == 0)
		ts.protocol = b->protocol;
	else if (b->protocol != 0 && a->protocol != b->protocol)
		return false;
	if (!intersect_ports(a, b, &ts))
		return false;
	memcpy(ts.start, compare_bytes(a, a->start, b->start) > 0 ? a->start : b->start, 16);
	memcpy(ts.end, compare_bytes(a, a->end, b->end) < 0 ? a->end : b->end, 16);
	if (compare_bytes(a, ts.start, ts.end) > 0)
		return false;
	*out = ts;
	return true;
}

bool ts_contains(const struct ts *outer, const struct ts *inner)
{
	struct ts both;

	return ts_intersect(outer, inner, &both) && ts_equal(&both, inner);
}

bool ts_list_contains(const struct ts_list *outer, const struct ts_list *inner)
{
	for (unsigned i = 0; i < inner->n; i++) {
		bool found = false;

		for (unsigned j = 0; j < outer->n && !found; j++)
			found = ts_contains(&outer->ts[j], &inner->ts[i]);
		if (!found)
			return false;
	}
	return true;
}

/* Adds what no member contains, in place of the members that it contains. */
static void add_maximal(struct ts_list *l, const struct ts *ts)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < l->n; i++) {
		if (ts_contains(&l->ts[i], ts))
			return;
	}
	for (unsigned i = 0; i < l->n; i++) {
		if (!ts_contains(ts, &l->ts[i]))
			l->ts[kept++] = l->ts[i];
	}
	if (kept < TS_LIST_MAX)
		l->ts[kept++] = *ts;
	l->n = (uint8_t)kept;
}

unsigned ts_narrow(const struct ts_list *ours, const struct ts_list *offered, struct ts_list *out)
{
	struct ts_list l = {0};
	struct ts both;

	for (unsigned i = 0; i < offered->n; i++) {
		for (unsigned j = 0; j < ours->n; j++) {
			if (ts_intersect(&ours->ts[j], &offered->ts[i], &both))
				add_maximal(&l, &both);
		}
	}
	*out = l;
	return l.n;
}

static void append(struct ts_list *l, const struct ts *ts)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (ts_equal(&l->ts[i], ts))
			return;
	}
	if (l->n < TS_LIST_MAX)
		l->ts[l->n++] = *ts;
}

static void resolve(const struct ts_list *in, const struct addr *hosts, unsigned n, bool any,
		    struct ts_list *out)
{
	struct ts_list l = {0};

	for (unsigned i = 0; i < in->n; i++) {
		if (!in->ts[i].dynamic)
			append(&l, &in->ts[i]);
		for (unsigned j = 0; in->ts[i].dynamic && j < n; j++) {
			struct ts ts = in->ts[i];
			size_t size = addr_size(hosts[j].family);

			if (!size || (ts.family && ts.family != hosts[j].family))
				continue;
			ts.dynamic = false;
			ts.family = hosts[j].family;
			memcpy(ts.start, hosts[j].bytes, sizeof(ts.start));
			memcpy(ts.end, hosts[j].bytes, sizeof(ts.end));
			memset(ts.start, 0, any ? size : 0);
			memset(ts.end, 0xff, any ? size : 0);
			append(&l, &ts);
		}
	}
	*out = l;
}

void ts_resolve(const struct ts_list *in, const struct addr *hosts, unsigned n, struct ts_list *out)
{
	resolve(in, hosts, n, false, out);
}

void ts_resolve_any(const struct ts_list *in, const struct addr *hosts, unsigned n,
		    struct ts_list *out)
{
	resolve(in, hosts, n, true, out);
}

bool ts_any_match(const struct ts *list, unsigned n, const struct addr *a, uint8_t protocol,
		  uint16_t port)
{
	struct ts packet = {
		.family = a->family, .protocol = protocol, .port_start = port, .port_end = port};

	memcpy(packet.start, a->bytes, sizeof(packet.start));
	memcpy(packet.end, a->bytes, sizeof(packet.end));
	for (unsigned i = 0; i < n; i++) {
		const struct ts *ts = &list[i];
		struct ts probe = packet;

		if (opaque(ts)) { /* only packets that show no port */
			if (port != 0)
				continue;
			probe.port_start = PORT_MAX;
			probe.port_end = 0;
		}
		if (ts_contains(ts, &probe))
			return true;
	}
	return false;
}

bool ts_list_match(const struct ts_list *l, const struct addr *a, uint8_t protocol, uint16_t port)
{
	return ts_any_match(l->ts, l->n, a, protocol, port);
}

bool ts_any_match_opaque(const struct ts *list, unsigned n, const struct addr *a, uint8_t protocol)
{
	struct ts packet = {
		.family = a->family, .protocol = protocol, .port_start = PORT_MAX, .port_end = 0};

	memcpy(packet.start, a->bytes, sizeof(packet.start));
	memcpy(packet.end, a->bytes, sizeof(packet.end));
	for (unsigned i = 0; i < n; i++) {
		if (ts_contains(&list[i], &packet))
			return true;
	}
	return false;
}

bool ts_list_match_opaque(const struct ts_list *l, const struct addr *a, uint8_t protocol)
{
	return ts_any_match_opaque(l->ts, l->n, a, protocol);
}

/* ---- prefixes of a range ---- */

/* The largest block that begins at `start` and ends at or before `end`: its prefix length. */
static uint8_t block_len(const uint8_t *start, const uint8_t *end, size_t size)
{
	uint8_t last[16], len = (uint8_t)(size * 8);

	memcpy(last, start, size);
	while (len > 0) {
		uint8_t bit = (uint8_t)(0x80 >> (len - 1) % 8);

		if (start[(len - 1) / 8] & bit)
			break;
		last[(len - 1) / 8] |= bit;
		if (memcmp(last, end, size) > 0)
			break;
		len--;
	}
	return len;
}

/* To the block behind one of this prefix length; false behind the last address of all. */
static bool advance(uint8_t *bytes, unsigned len)
{
	unsigned carry = len ? 0x80u >> (len - 1) % 8 : 1;

	for (size_t i = len ? (len - 1) / 8 + 1 : 0; i-- > 0 && carry;) {
		carry += bytes[i];
		bytes[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return carry == 0;
}

unsigned ts_prefixes(const struct ts *ts, struct prefix *out, unsigned max)
{
	size_t size = addr_size(ts->family);
	uint8_t at[16] = {0};
	unsigned n = 0;

	memcpy(at, ts->start, size);
	while (!ts->dynamic && size && memcmp(at, ts->end, size) <= 0) {
		struct prefix p = {.addr.family = ts->family, .len = block_len(at, ts->end, size)};

		memcpy(p.addr.bytes, at, size);
		if (n < max)
			out[n] = p;
		n++;
		if (!advance(at, p.len))
			break;
	}
	return n;
}
