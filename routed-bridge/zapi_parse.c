/* Parsing of what zebra sends to a client. Each parser reads into locals, checks, and
 * commits last; on an error it says where it stopped and on which value. Interface
 * messages grow in nearly every release, so only their stable head is read. */
#include "routed-bridge/zapi.h"

enum {
	STATUS_LINK_DETECT = 0x04, /* of an interface */
	ADDRESS_HAS_PEER = 0x02,
	FLAG_EVPN = 0x20, /* of a route */
	ROUTE_HAS_NEXTHOP = 0x01,
	ROUTE_HAS_DISTANCE = 0x02,
	ROUTE_HAS_METRIC = 0x04,
	ROUTE_HAS_TAG = 0x08,
	ROUTE_HAS_MTU = 0x10,
	ROUTE_HAS_SOURCE = 0x20,
	ROUTE_HAS_GROUP = 0x80,
	ROUTE_HAS_TABLE = 0x100,
	ROUTE_HAS_COLOR = 0x200,
	NEXTHOP_IFINDEX = 1,
	NEXTHOP_IPV4 = 2,
	NEXTHOP_IPV4_IFINDEX = 3,
	NEXTHOP_IPV6 = 4,
	NEXTHOP_IPV6_IFINDEX = 5,
	NEXTHOP_BLACKHOLE = 6,
	NEXTHOP_ONLINK = 0x01,
	NEXTHOP_HAS_LABELS = 0x02,
	NEXTHOP_HAS_WEIGHT = 0x04,
	NEXTHOP_FLAGS_READ = NEXTHOP_ONLINK | NEXTHOP_HAS_LABELS | NEXTHOP_HAS_WEIGHT,
};

const char *zapi_strerror(enum zapi_error e)
{
	static const char *const text[] = {
		[ZAPI_OK] = "no error",
		[ZAPI_MORE] = "message is not complete yet",
		[ZAPI_TRUNCATED] = "message ends inside a field",
		[ZAPI_BAD_LENGTH] = "length out of range",
		[ZAPI_BAD_MARKER] = "marker byte is not 254",
		[ZAPI_BAD_VERSION] = "header version is not 6",
		[ZAPI_BAD_NAME] = "interface name is empty or not terminated",
		[ZAPI_BAD_FAMILY] = "address family is neither IPv4 nor IPv6",
		[ZAPI_BAD_PREFIX_LENGTH] = "prefix length beyond the address",
		[ZAPI_BAD_NOTE] = "unknown note to the route's owner",
		[ZAPI_BAD_NEXTHOP] = "unknown type of nexthop",
		[ZAPI_FOREIGN] = "route of another kind",
	};

	return (unsigned)e < sizeof(text) / sizeof(text[0]) ? text[e] : "unknown error";
}

const char *zapi_note_name(enum zapi_note n)
{
	static const char *const names[] = {
		[ZAPI_NOTE_FAIL_INSTALL] = "FAIL_INSTALL",
		[ZAPI_NOTE_BETTER_ADMIN_WON] = "BETTER_ADMIN_WON",
		[ZAPI_NOTE_INSTALLED] = "INSTALLED",
		[ZAPI_NOTE_REMOVED] = "REMOVED",
		[ZAPI_NOTE_REMOVE_FAIL] = "REMOVE_FAIL",
	};

	return (unsigned)n < ZAPI_NOTES ? names[n] : "unknown note";
}

static enum zapi_error fail(struct zapi_fault *fault, enum zapi_error e, size_t offset,
			    uint64_t value)
{
	if (fault)
		*fault = (struct zapi_fault){.offset = offset, .value = value};
	return e;
}

static enum zapi_error truncated(struct zapi_fault *fault, const struct reader *r)
{
	return fail(fault, ZAPI_TRUNCATED, r->pos, r->in.len);
}

static enum zapi_command command_of(const struct zapi_version *v, uint16_t number)
{
	for (unsigned c = 0; c < ZAPI_COMMANDS; c++) {
		if (v->command[c] == number)
			return (enum zapi_command)c;
	}
	return ZAPI_COMMANDS;
}

enum zapi_error zapi_parse_message(struct span in, const struct zapi_version *v,
				   struct zapi_message *out, struct zapi_fault *fault)
{
	struct reader r = reader_over(in);
	uint16_t length = reader_u16(&r);
	uint8_t marker = reader_u8(&r);
	uint8_t version = reader_u8(&r);
	struct zapi_message m;

	/* What is wrong is said as soon as it is seen, not after 64 KiB of waiting. */
	if (in.len >= 2 && (length < ZAPI_HEADER_SIZE || length > ZAPI_MESSAGE_MAX))
		return fail(fault, ZAPI_BAD_LENGTH, 0, length);
	if (in.len >= 3 && marker != ZAPI_MARKER)
		return fail(fault, ZAPI_BAD_MARKER, 2, marker);
	if (in.len >= 4 && version != ZAPI_HEADER_V6)
		return fail(fault, ZAPI_BAD_VERSION, 3, version);
	m.vrf = reader_u32(&r);
	m.number = reader_u16(&r);
	if (r.truncated || in.len < length)
		return ZAPI_MORE;
	m.command = command_of(v, m.number);
	m.body = reader_take(&r, length - (size_t)ZAPI_HEADER_SIZE);
	m.size = length;
	*out = m;
	return ZAPI_OK;
}

enum zapi_error zapi_parse_interface(struct span body, struct zapi_interface *out,
				     struct zapi_fault *fault)
{
	struct reader r = reader_over(body);
	struct span name = reader_take(&r, IF_NAMESIZE);
	struct zapi_interface i = {.ifindex = reader_u32(&r)};
	uint8_t status = reader_u8(&r);

	i.flags = reader_u64(&r);
	if (r.truncated)
		return truncated(fault, &r);
	if (name.ptr[0] == '\0' || !memchr(name.ptr, '\0', name.len))
		return fail(fault, ZAPI_BAD_NAME, 0, name.ptr[0]);
	memcpy(i.name, name.ptr, strnlen((const char *)name.ptr, IF_NAMESIZE - 1));
	i.link_detect = status & STATUS_LINK_DETECT;
	*out = i;
	return ZAPI_OK;
}

/* u8 family, then the address and its length: after it (ROUTER_ID) or before (NOTIFY). */
static enum zapi_error read_prefix(struct reader *r, bool length_first, struct prefix *out,
				   struct zapi_fault *fault)
{
	size_t at = r->pos;
	uint8_t family = reader_u8(r);
	uint8_t len = length_first ? reader_u8(r) : 0;
	size_t size = addr_size(family);
	struct prefix p = {.addr.family = family};
	struct span bytes;

	if (r->truncated)
		return truncated(fault, r);
	if (size == 0)
		return fail(fault, ZAPI_BAD_FAMILY, at, family);
	bytes = reader_take(r, size);
	p.len = length_first ? len : reader_u8(r);
	if (r->truncated)
		return truncated(fault, r);
	if (p.len > size * 8)
		return fail(fault, ZAPI_BAD_PREFIX_LENGTH, length_first ? at + 1 : r->pos - 1,
			    p.len);
	memcpy(p.addr.bytes, bytes.ptr, size);
	*out = p;
	return ZAPI_OK;
}

enum zapi_error zapi_parse_address(struct span body, struct zapi_address *out,
				   struct zapi_fault *fault)
{
	struct reader r = reader_over(body);
	struct zapi_address a = {.ifindex = reader_u32(&r)};
	uint8_t flags = reader_u8(&r);
	enum zapi_error e = read_prefix(&r, false, &a.prefix, fault);
	struct span peer;

	if (e != ZAPI_OK)
		return e;
	peer = reader_take(&r, addr_size(a.prefix.addr.family));
	if (r.truncated)
		return truncated(fault, &r);
	if (flags & ADDRESS_HAS_PEER)
		addr_from_bytes(peer, &a.peer);
	*out = a;
	return ZAPI_OK;
}

/* Zebra's own byte order: both ends are on one machine. */
static uint32_t reader_native_u32(struct reader *r)
{
	struct span s = reader_take(r, 4);
	uint32_t v = 0;

	if (s.ptr)
		memcpy(&v, s.ptr, 4);
	return v;
}

enum zapi_error zapi_parse_notify(struct span body, const struct zapi_version *v,
				  struct zapi_notify *out, struct zapi_fault *fault)
{
	struct reader r = reader_over(body);
	uint32_t note = reader_native_u32(&r);
	struct zapi_notify n;
	enum zapi_error e;

	if (r.truncated)
		return truncated(fault, &r);
	if (note >= ZAPI_NOTES)
		return fail(fault, ZAPI_BAD_NOTE, 0, note);
	n.note = (enum zapi_note)note;
	e = read_prefix(&r, true, &n.prefix, fault);
	if (e != ZAPI_OK)
		return e;
	if (v->notify_source)
		reader_take(&r, 1 + addr_size(n.prefix.addr.family));
	n.table = reader_u32(&r);
	if (r.truncated)
		return truncated(fault, &r);
	*out = n;
	return ZAPI_OK;
}

enum zapi_error zapi_parse_vrf(struct span body, struct zapi_vrf *out, struct zapi_fault *fault)
{
	struct reader r = reader_over(body);
	struct zapi_vrf vrf = {.table = reader_native_u32(&r)};
	struct span name;

	reader_take(&r, ZAPI_VRF_NAME); /* of a network namespace */
	name = reader_take(&r, ZAPI_VRF_NAME);
	if (r.truncated)
		return truncated(fault, &r);
	if (name.ptr[0] == '\0')
		return fail(fault, ZAPI_BAD_NAME, r.pos - ZAPI_VRF_NAME, 0);
	memcpy(vrf.name, name.ptr, name.len);
	*out = vrf;
	return ZAPI_OK;
}

/* ---- routes ---- */

static enum zapi_route_type type_of(const struct zapi_version *v, uint8_t number)
{
	for (unsigned t = 0; t < ZAPI_TYPES_ALL; t++) {
		if (v->type[t] == number)
			return (enum zapi_route_type)t;
	}
	return ZAPI_TYPES_ALL;
}

/* u8 family, u8 length, and only the bytes that the length needs. */
static enum zapi_error read_short_prefix(struct reader *r, struct prefix *out,
					 struct zapi_fault *fault)
{
	size_t at = r->pos;
	uint8_t family = reader_u8(r), len = reader_u8(r);
	struct prefix p = {.addr.family = family, .len = len};
	size_t size = addr_size(family);
	struct span bytes;

	if (r->truncated)
		return truncated(fault, r);
	if (size == 0)
		return fail(fault, ZAPI_BAD_FAMILY, at, family);
	if (p.len > size * 8)
		return fail(fault, ZAPI_BAD_PREFIX_LENGTH, at + 1, p.len);
	bytes = reader_take(r, (p.len + 7u) / 8);
	if (r->truncated)
		return truncated(fault, r);
	if (bytes.len)
		memcpy(p.addr.bytes, bytes.ptr, bytes.len);
	*out = prefix_mask(&p);
	return ZAPI_OK;
}

/* Where the nexthop leads to. */
static enum zapi_error read_target(struct reader *r, uint8_t type, struct zapi_nexthop *out,
				   struct zapi_fault *fault)
{
	switch (type) {
	case NEXTHOP_BLACKHOLE:
		reader_u8(r);
		return ZAPI_OK;
	case NEXTHOP_IPV4:
	case NEXTHOP_IPV4_IFINDEX:
		addr_from_bytes(reader_take(r, 4), &out->gateway);
		break;
	case NEXTHOP_IPV6:
	case NEXTHOP_IPV6_IFINDEX:
		addr_from_bytes(reader_take(r, 16), &out->gateway);
		break;
	case NEXTHOP_IFINDEX:
		break;
	default:
		return fail(fault, ZAPI_BAD_NEXTHOP, r->pos - 2, type);
	}
	out->ifindex = reader_u32(r);
	return ZAPI_OK;
}

static enum zapi_error read_nexthop(struct reader *r, const struct zapi_version *v,
				    struct zapi_nexthop *out, struct zapi_fault *fault)
{
	struct zapi_nexthop n = {.vrf = reader_u32(r)};
	uint8_t type = reader_u8(r), flags = reader_u8(r);
	uint64_t weight = 0;
	enum zapi_error e;

	if (r->truncated)
		return truncated(fault, r);
	e = read_target(r, type, &n, fault);
	if (e != ZAPI_OK)
		return e;
	if (flags & ~NEXTHOP_FLAGS_READ)
		return ZAPI_FOREIGN;
	if (flags & NEXTHOP_HAS_LABELS) {
		size_t labels = reader_u8(r);

		reader_take(r, v->label_type);
		reader_take(r, 4 * labels);
	}
	if (flags & NEXTHOP_HAS_WEIGHT)
		weight = v->weight_u64 ? reader_u64(r) : reader_u32(r);
	if (r->truncated)
		return truncated(fault, r);
	n.weight = weight > UINT32_MAX ? UINT32_MAX : (uint32_t)weight;
	n.onlink = flags & NEXTHOP_ONLINK;
	*out = n;
	return ZAPI_OK;
}

static enum zapi_error read_nexthops(struct reader *r, const struct zapi_version *v,
				     struct zapi_route *out, struct zapi_fault *fault)
{
	unsigned n = reader_u16(r);

	for (unsigned i = 0; i < n; i++) {
		struct zapi_nexthop nexthop;
		enum zapi_error e = read_nexthop(r, v, &nexthop, fault);

		if (e != ZAPI_OK)
			return e;
		if (out->n_nexthops < ZAPI_NEXTHOPS_MAX)
			out->nexthops[out->n_nexthops++] = nexthop;
	}
	return ZAPI_OK;
}

enum zapi_error zapi_parse_route(const struct zapi_message *m, const struct zapi_version *v,
				 struct zapi_route *out, struct zapi_fault *fault)
{
	struct reader r = reader_over(m->body);
	struct zapi_route route = {.type = type_of(v, reader_u8(&r)), .vrf = m->vrf};
	uint32_t flags, present;
	enum zapi_error e;

	route.instance = reader_u16(&r);
	flags = reader_u32(&r);
	present = reader_u32(&r);
	reader_u8(&r); /* unicast or multicast */
	e = read_short_prefix(&r, &route.prefix, fault);
	if (e != ZAPI_OK)
		return e;
	if (present & (ROUTE_HAS_SOURCE | ROUTE_HAS_COLOR) || flags & FLAG_EVPN)
		return ZAPI_FOREIGN;
	if (present & ROUTE_HAS_GROUP)
		reader_u32(&r);
	if (present & ROUTE_HAS_NEXTHOP)
		e = read_nexthops(&r, v, &route, fault);
	if (e != ZAPI_OK)
		return e;
	route.distance = present & ROUTE_HAS_DISTANCE ? reader_u8(&r) : 0;
	route.metric = present & ROUTE_HAS_METRIC ? reader_u32(&r) : 0;
	route.tag = present & ROUTE_HAS_TAG ? reader_u32(&r) : 0;
	route.mtu = present & ROUTE_HAS_MTU ? reader_u32(&r) : 0;
	route.table = present & ROUTE_HAS_TABLE ? reader_u32(&r) : 0;
	if (r.truncated)
		return truncated(fault, &r);
	*out = route;
	return ZAPI_OK;
}

enum zapi_error zapi_parse_router_id(struct span body, struct prefix *out, struct zapi_fault *fault)
{
	struct reader r = reader_over(body);

	return read_prefix(&r, false, out, fault);
}

enum zapi_error zapi_parse_capabilities(struct span body, const struct zapi_version *v,
					struct zapi_fault *fault)
{
	if (body.len != v->capabilities_len)
		return fail(fault, ZAPI_BAD_LENGTH, 0, body.len);
	return ZAPI_OK;
}

enum zapi_error zapi_parse_error(struct span body, uint32_t *code, struct zapi_fault *fault)
{
	struct reader r = reader_over(body);
	uint32_t value = reader_native_u32(&r);

	if (r.truncated)
		return truncated(fault, &r);
	*code = value;
	return ZAPI_OK;
}
