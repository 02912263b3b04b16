/* Traffic selectors as the kernel's selectors, and the kernel's layout of addresses,
 * selectors and tags. A traffic selector has ranges, the kernel prefixes and masks: a range
 * is cut into the fewest aligned blocks. Pure. */
#include "ipsecd/dataplane/xfrm_codec.h"

#include <arpa/inet.h>

#define PORT_MAX   65535
#define BLOCKS_MAX XFRM_SELS_MAX

/* ---- ranges into blocks ---- */

/* Of either kind; n counts on behind the last that is kept: too many. */
struct prefixes {
	unsigned n;
	struct prefix prefix[BLOCKS_MAX];
};

struct ports {
	unsigned n;
	struct {
		uint16_t sport, sport_mask, dport, dport_mask;
	} port[BLOCKS_MAX];
};

static bool bit(const uint8_t *bytes, unsigned n)
{
	return bytes[n / 8] & 0x80 >> n % 8;
}

/* The last address of the prefix of this length that begins at `first`. */
static void last_of(const uint8_t *first, unsigned len, size_t size, uint8_t *last)
{
	memcpy(last, first, size);
	for (unsigned n = len; n < size * 8; n++)
		last[n / 8] |= (uint8_t)(0x80 >> n % 8);
}

/* false: there is none behind it. */
static bool next_of(uint8_t *address, size_t size)
{
	for (size_t i = size; i-- > 0;) {
		if (++address[i])
			return true;
	}
	return false;
}

/* The largest prefix that begins at `first` and does not reach beyond `end`. */
static unsigned longest_block(const uint8_t *first, const uint8_t *end, size_t size, uint8_t *last)
{
	unsigned len = (unsigned)size * 8;

	last_of(first, len, size, last);
	while (len > 0 && !bit(first, len - 1)) {
		uint8_t wider[16];

		last_of(first, len - 1, size, wider);
		if (memcmp(wider, end, size) > 0)
			break;
		memcpy(last, wider, size);
		len--;
	}
	return len;
}

static void cut_addresses(const struct ts *ts, struct prefixes *out)
{
	size_t size = addr_size(ts->family);
	uint8_t first[16], last[16];

	out->n = 0;
	memcpy(first, ts->start, sizeof(first));
	do {
		struct prefix p = {.addr.family = ts->family};

		p.len = (uint8_t)longest_block(first, ts->end, size, last);
		memcpy(p.addr.bytes, first, size);
		if (out->n == BLOCKS_MAX) {
			out->n++;
			return;
		}
		out->prefix[out->n++] = p;
		memcpy(first, last, size);
	} while (memcmp(last, ts->end, size) < 0 && next_of(first, size));
}

/* The one prefix around a range. */
static void widen_addresses(const struct ts *ts, struct prefixes *out)
{
	size_t bits = addr_size(ts->family) * 8, len = 0;
	struct prefix p = {.addr.family = ts->family};

	while (len < bits && bit(ts->start, (unsigned)len) == bit(ts->end, (unsigned)len))
		len++;
	memcpy(p.addr.bytes, ts->start, sizeof(p.addr.bytes));
	p.len = (uint8_t)len;
	out->prefix[0] = prefix_mask(&p);
	out->n = 1;
}

/* One masked block at `first` of the range up to `last`. */
static uint16_t port_mask(unsigned first, unsigned last)
{
	unsigned size = 1;

	while (size <= PORT_MAX && first % (size * 2) == 0 && first + size * 2 - 1 <= last)
		size *= 2;
	return (uint16_t) ~(size - 1);
}

static unsigned behind(unsigned first, uint16_t mask)
{
	return first + PORT_MAX + 1 - mask;
}

/* Every block of the one range with every block of the other. */
static void add_ports(struct ports *out, unsigned sfirst, unsigned slast, unsigned dfirst,
		      unsigned dlast)
{
	for (unsigned s = sfirst; s <= slast;) {
		uint16_t smask = port_mask(s, slast);

		for (unsigned d = dfirst; d <= dlast;) {
			uint16_t dmask = port_mask(d, dlast);

			if (out->n >= BLOCKS_MAX) {
				out->n = BLOCKS_MAX + 1;
				return;
			}
			out->port[out->n].sport = (uint16_t)s;
			out->port[out->n].sport_mask = smask;
			out->port[out->n].dport = (uint16_t)d;
			out->port[out->n].dport_mask = dmask;
			out->n++;
			d = behind(d, dmask);
		}
		s = behind(s, smask);
	}
}

static void any_ports(struct ports *out)
{
	*out = (struct ports){.n = 1};
}

/* RFC 7296 3.13.1: OPAQUE is for packets that show no port; they have port 0 to us and to the
 * kernel. */
static bool port_range(const struct ts *ts, unsigned *first, unsigned *last)
{
	bool opaque = ts->port_start > ts->port_end;

	*first = opaque ? 0 : ts->port_start;
	*last = opaque ? 0 : ts->port_end;
	return *first == 0 && *last == PORT_MAX;
}

/* RFC 4301 4.4.1.1: the port is type and code, and of the packet, not of one side: both
 * selectors hold for it. The kernel has them apart, and any code is all 256 of them. */
static bool icmp_ports(const struct ts *local, const struct ts *remote, struct ports *out)
{
	unsigned first, last, rfirst, rlast;
	bool lany = port_range(local, &first, &last), rany = port_range(remote, &rfirst, &rlast);

	if (lany && rany) {
		any_ports(out);
		return true;
	}
	first = first > rfirst ? first : rfirst;
	last = last < rlast ? last : rlast;
	if (first > last)
		return false;
	out->n = 0;
	for (unsigned type = first >> 8; type <= last >> 8;) {
		unsigned from = type == first >> 8 ? first & 0xff : 0;
		unsigned to = type == last >> 8 ? last & 0xff : 0xff;
		unsigned types = type;

		/* Types of which every code matches go together. */
		if (from == 0 && to == 0xff) {
			types = (last & 0xff) == 0xff ? last >> 8 : (last >> 8) - 1;
			to = PORT_MAX;
		}
		add_ports(out, type, types, from, to);
		type = types + 1;
	}
	return true;
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* false: no packet has such ports. */
static bool cut_ports(const struct ts *local, const struct ts *remote, bool outbound,
		      uint8_t protocol, struct ports *out)
{
	const struct ts *src = outbound ? local : remote, *dst = outbound ? remote : local;
	unsigned sfirst, slast, dfirst, dlast;

	if (is_icmp(protocol))
		return icmp_ports(local, remote, out);
	port_range(src, &sfirst, &slast);
	port_range(dst, &dfirst, &dlast);
	out->n = 0;
	add_ports(out, sfirst, slast, dfirst, dlast);
	return true;
}

/* ---- selectors ---- */

static void combine(const struct prefixes *src, const struct prefixes *dst,
		    const struct ports *ports, uint8_t protocol, struct xfrm_sel *out)
{
	for (unsigned s = 0; s < src->n; s++) {
		for (unsigned d = 0; d < dst->n; d++) {
			for (unsigned p = 0; p < ports->n; p++)
				*out++ = (struct xfrm_sel){
					.family = src->prefix[s].addr.family,
					.src = src->prefix[s],
					.dst = dst->prefix[d],
					.protocol = protocol,
					.sport = ports->port[p].sport,
					.sport_mask = ports->port[p].sport_mask,
					.dport = ports->port[p].dport,
					.dport_mask = ports->port[p].dport_mask,
				};
		}
	}
}

static unsigned ports_fit(unsigned prefixes, struct ports *ports, bool *exact)
{
	if (prefixes * ports->n > XFRM_SELS_MAX && ports->n > 1) {
		any_ports(ports);
		*exact = false;
	}
	return prefixes * ports->n;
}

static bool usable(const struct ts *ts)
{
	return addr_size(ts->family) && !ts->dynamic &&
	       memcmp(ts->start, ts->end, addr_size(ts->family)) <= 0;
}

unsigned xfrm_sels_from_ts(const struct ts *local, const struct ts *remote, bool outbound,
			   struct xfrm_sel out[XFRM_SELS_MAX], bool *exact)
{
	const struct ts *from = outbound ? local : remote, *to = outbound ? remote : local;
	uint8_t protocol = local->protocol ? local->protocol : remote->protocol;
	struct prefixes src, dst;
	struct ports ports;

	*exact = true;
	if (local->family != remote->family || !usable(local) || !usable(remote) ||
	    (remote->protocol && remote->protocol != protocol) ||
	    !cut_ports(local, remote, outbound, protocol, &ports))
		return 0;
	cut_addresses(from, &src);
	cut_addresses(to, &dst);
	/* The longer list first. */
	while (ports_fit(src.n * dst.n, &ports, exact) > XFRM_SELS_MAX) {
		*exact = false;
		if (src.n > dst.n)
			widen_addresses(from, &src);
		else
			widen_addresses(to, &dst);
	}
	combine(&src, &dst, &ports, protocol, out);
	return src.n * dst.n * ports.n;
}

bool xfrm_sel_equal(const struct xfrm_sel *a, const struct xfrm_sel *b)
{
	return a->family == b->family && prefix_equal(&a->src, &b->src) &&
	       prefix_equal(&a->dst, &b->dst) && a->protocol == b->protocol &&
	       a->sport == b->sport && a->sport_mask == b->sport_mask && a->dport == b->dport &&
	       a->dport_mask == b->dport_mask;
}

/* ---- the kernel's layout ---- */

void xfrm_put_addr(const struct addr *a, xfrm_address_t *out)
{
	*out = (xfrm_address_t){0};
	memcpy(out, a->bytes, addr_size(a->family));
}

struct addr xfrm_get_addr(const xfrm_address_t *a, uint16_t family, bool any)
{
	struct addr out = {0};

	if (family == AF_INET || family == AF_INET6)
		addr_from_bytes(span_of(a, addr_size((uint8_t)family)), &out);
	return any && addr_is_any(&out) ? (struct addr){0} : out;
}

void xfrm_put_sel(const struct xfrm_sel *s, struct xfrm_selector *out)
{
	*out = (struct xfrm_selector){
		.family = s->family,
		.prefixlen_s = s->src.len,
		.prefixlen_d = s->dst.len,
		.proto = s->protocol,
		.sport = htons(s->sport),
		.sport_mask = htons(s->sport_mask),
		.dport = htons(s->dport),
		.dport_mask = htons(s->dport_mask),
	};
	xfrm_put_addr(&s->src.addr, &out->saddr);
	xfrm_put_addr(&s->dst.addr, &out->daddr);
}

bool xfrm_get_sel(const struct xfrm_selector *s, struct xfrm_sel *out)
{
	*out = (struct xfrm_sel){
		.protocol = s->proto,
		.sport = ntohs(s->sport),
		.sport_mask = ntohs(s->sport_mask),
		.dport = ntohs(s->dport),
		.dport_mask = ntohs(s->dport_mask),
	};
	if (s->family == AF_UNSPEC)
		return true;
	if ((s->family != AF_INET && s->family != AF_INET6) ||
	    s->prefixlen_s > addr_size((uint8_t)s->family) * 8 ||
	    s->prefixlen_d > addr_size((uint8_t)s->family) * 8)
		return false;
	out->family = (uint8_t)s->family;
	out->src.addr = xfrm_get_addr(&s->saddr, s->family, false);
	out->src.len = s->prefixlen_s;
	out->dst.addr = xfrm_get_addr(&s->daddr, s->family, false);
	out->dst.len = s->prefixlen_d;
	return true;
}

void xfrm_put_no_limits(struct xfrm_lifetime_cfg *out)
{
	*out = (struct xfrm_lifetime_cfg){
		.soft_byte_limit = XFRM_INF,
		.hard_byte_limit = XFRM_INF,
		.soft_packet_limit = XFRM_INF,
		.hard_packet_limit = XFRM_INF,
	};
}

bool xfrm_put_tag(struct nlmsghdr *h, size_t size, const struct xfrm_tag *tag)
{
	struct xfrm_mark mark = {.v = tag->mark.value, .m = tag->mark.mask};

	if ((mark.v || mark.m) && !mnl_attr_put_check(h, size, XFRMA_MARK, sizeof(mark), &mark))
		return false;
	return !tag->if_id || mnl_attr_put_u32_check(h, size, XFRMA_IF_ID, tag->if_id);
}

void xfrm_take_u32(const struct nlattr *attr, uint32_t *out)
{
	if (mnl_attr_get_payload_len(attr) == sizeof(*out))
		*out = mnl_attr_get_u32(attr);
}

void xfrm_take_tag(const struct nlattr *attr, struct xfrm_tag *out)
{
	struct xfrm_mark mark;

	switch (mnl_attr_get_type(attr)) {
	case XFRMA_MARK:
		if (mnl_attr_get_payload_len(attr) < sizeof(mark))
			return;
		memcpy(&mark, mnl_attr_get_payload(attr), sizeof(mark));
		out->mark = (struct mark){.value = mark.v, .mask = mark.m};
		return;
	case XFRMA_IF_ID:
		xfrm_take_u32(attr, &out->if_id);
		return;
	default:
		return;
	}
}
