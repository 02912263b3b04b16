/* The parser of UPDATE messages: the three fields, then one reader for each attribute. A
 * fault of an attribute is noted, and reading goes on, so that withdrawals behind it count
 * (RFC 7606 2). */
#include "routed-bridge/bgp_update.h"
#include "lib/buf.h"

#define AFI_IPV4	1
#define AFI_IPV6	2
#define SAFI_UNICAST	1

#define FLAG_OPTIONAL	0x80
#define FLAG_TRANSITIVE 0x40
#define FLAG_EXTENDED	0x10

enum attribute {
	ORIGIN = 1,
	AS_PATH = 2,
	NEXT_HOP = 3,
	MULTI_EXIT_DISC = 4,
	LOCAL_PREF = 5,
	MP_REACH_NLRI = 14,
	MP_UNREACH_NLRI = 15,
	AS4_PATH = 17,
};

enum segment { AS_SET = 1, AS_SEQUENCE, AS_CONFED_SEQUENCE, AS_CONFED_SET };

struct parser {
	struct bgp_update *u;
	const uint8_t *start; /* of the body */
	bool as4;
	uint32_t seen; /* bits of attributes */
	struct span as_path, as4_path;
	enum bgp_error fatal;
	struct bgp_fault where;
};

static size_t offset_of(const struct parser *p, const void *at)
{
	return BGP_HEADER_SIZE + (size_t)((const uint8_t *)at - p->start);
}

/* The first fault of the second kind is the one that is told. */
static void note(struct parser *p, enum bgp_error e, const void *at, uint64_t value)
{
	if (p->u->fault != BGP_OK)
		return;
	p->u->fault = e;
	p->u->where = (struct bgp_fault){.offset = offset_of(p, at), .value = value};
}

static void fatal(struct parser *p, enum bgp_error e, const void *at, uint64_t value)
{
	if (p->fatal != BGP_OK)
		return;
	p->fatal = e;
	p->where = (struct bgp_fault){.offset = offset_of(p, at), .value = value};
}

/* ---- prefixes ---- */

bool bgp_next_prefix(struct bgp_prefixes *list, struct prefix *out)
{
	struct prefix p = {.addr.family = list->family};
	size_t n;

	if (list->bytes.len == 0)
		return false;
	p.len = list->bytes.ptr[0];
	n = (p.len + 7u) / 8;
	memcpy(p.addr.bytes, list->bytes.ptr + 1, n);
	list->bytes = span_of(list->bytes.ptr + 1 + n, list->bytes.len - 1 - n);
	*out = prefix_mask(&p);
	return true;
}

/* Takes the list if all of it makes sense (RFC 7606 5.3). */
static void take_prefixes(struct parser *p, struct span bytes, uint8_t family,
			  struct bgp_prefixes *out)
{
	size_t pos = 0;

	while (pos < bytes.len) {
		uint8_t len = bytes.ptr[pos];
		size_t n = 1 + (len + 7u) / 8;

		if (len > addr_size(family) * 8 || n > bytes.len - pos) {
			fatal(p, BGP_BAD_PREFIX, bytes.ptr + pos, len);
			return;
		}
		pos += n;
	}
	*out = (struct bgp_prefixes){.family = family, .bytes = bytes};
}

static uint8_t unicast_family(uint16_t afi, uint8_t safi)
{
	if (safi != SAFI_UNICAST)
		return 0;
	return afi == AFI_IPV4 ? AF_INET : afi == AFI_IPV6 ? AF_INET6 : 0;
}

/* ---- attributes ---- */

static void read_origin(struct parser *p, struct span value)
{
	/* RFC 7606 7.1 */
	if (value.len != 1 || value.ptr[0] > 2) {
		note(p, BGP_BAD_ORIGIN, value.ptr, value.len == 1 ? value.ptr[0] : value.len);
		return;
	}
	p->u->origin = value.ptr[0];
	p->u->has_origin = true;
}

static void read_nexthop(struct parser *p, struct span value)
{
	struct addr a;

	/* RFC 7606 7.3 */
	if (value.len != 4) {
		note(p, BGP_BAD_NEXTHOP, value.ptr, value.len);
		return;
	}
	/* bgpd writes 0.0.0.0 into BMP where it has an IPv6 next hop. */
	if (addr_from_bytes(value, &a) && !addr_is_any(&a))
		p->u->nexthop = a;
}

static void read_number(struct parser *p, struct span value, enum bgp_error e, bool *has,
			uint32_t *out)
{
	/* RFC 7606 7.4, 7.5 */
	if (value.len != 4) {
		note(p, e, value.ptr, value.len);
		return;
	}
	*out = be32_get(value.ptr);
	*has = true;
}

/* 4 or 16 bytes, or 16 + 16 with the link-local one behind (RFC 2545 3, 8950 3). Routers on
 * a link without global addresses send the link-local one alone, or twice. */
static bool take_mp_nexthop(struct parser *p, uint8_t family, struct span value)
{
	struct addr first = {0}, second = {0};

	if (!(value.len == 4 && family == AF_INET) && value.len != 16 && value.len != 32)
		return false;
	addr_from_bytes(span_of(value.ptr, value.len == 4 ? 4 : 16), &first);
	if (value.len == 32)
		addr_from_bytes(span_of(value.ptr + 16, 16), &second);
	if (addr_is_link_local(&first)) {
		second = first;
		first = (struct addr){0};
	}
	if (!addr_is_any(&first))
		p->u->mp_nexthop = first;
	if (addr_is_link_local(&second))
		p->u->mp_nexthop_local = second;
	return true;
}

static void read_mp_reach(struct parser *p, struct span value)
{
	struct reader r = reader_over(value);
	uint16_t afi = reader_u16(&r);
	uint8_t family = unicast_family(afi, reader_u8(&r));
	struct span nexthop = reader_take(&r, reader_u8(&r));

	reader_u8(&r); /* reserved */
	if (r.truncated) {
		fatal(p, BGP_TRUNCATED, value.ptr, value.len);
		return;
	}
	if (!family)
		return;
	/* RFC 7606 7.11 */
	if (!take_mp_nexthop(p, family, nexthop)) {
		fatal(p, BGP_BAD_MP_NEXTHOP, nexthop.ptr - 1, nexthop.len);
		return;
	}
	take_prefixes(p, reader_rest(&r), family, &p->u->announced[1]);
}

static void read_mp_unreach(struct parser *p, struct span value)
{
	struct reader r = reader_over(value);
	uint16_t afi = reader_u16(&r);
	uint8_t family = unicast_family(afi, reader_u8(&r));

	if (r.truncated)
		fatal(p, BGP_TRUNCATED, value.ptr, value.len);
	else if (family)
		take_prefixes(p, reader_rest(&r), family, &p->u->withdrawn[1]);
}

/* Which of the optional and transitive bits belong to it (RFC 4271 5, 4760 3, 4); false:
 * an attribute that is not read here. */
static bool flags_of(uint8_t type, uint8_t *flags)
{
	switch (type) {
	case ORIGIN:
	case AS_PATH:
	case NEXT_HOP:
	case LOCAL_PREF:
		*flags = FLAG_TRANSITIVE;
		return true;
	case MULTI_EXIT_DISC:
	case MP_REACH_NLRI:
	case MP_UNREACH_NLRI:
		*flags = FLAG_OPTIONAL;
		return true;
	case AS4_PATH:
		*flags = FLAG_OPTIONAL | FLAG_TRANSITIVE;
		return true;
	default:
		return false;
	}
}

static void read_value(struct parser *p, uint8_t type, struct span value)
{
	switch (type) {
	case ORIGIN:
		read_origin(p, value);
		break;
	case AS_PATH:
		p->as_path = value;
		p->u->has_as_path = true;
		break;
	case NEXT_HOP:
		read_nexthop(p, value);
		break;
	case MULTI_EXIT_DISC:
		read_number(p, value, BGP_BAD_MED, &p->u->has_med, &p->u->med);
		break;
	case LOCAL_PREF:
		read_number(p, value, BGP_BAD_LOCAL_PREF, &p->u->has_local_pref, &p->u->local_pref);
		break;
	case MP_REACH_NLRI:
		read_mp_reach(p, value);
		break;
	case MP_UNREACH_NLRI:
		read_mp_unreach(p, value);
		break;
	case AS4_PATH:
		p->as4_path = value;
		break;
	}
}

static void read_attribute(struct parser *p, uint8_t flags, uint8_t type, struct span value)
{
	uint8_t wanted;

	if (!flags_of(type, &wanted))
		return;
	/* RFC 7606 3 (g): the first of several counts, but for the two with prefixes. */
	if (p->seen & 1u << type) {
		if (type == MP_REACH_NLRI || type == MP_UNREACH_NLRI)
			fatal(p, BGP_DUPLICATE_MP, value.ptr, type);
		return;
	}
	p->seen |= 1u << type;
	/* RFC 7606 3 (c) */
	if ((flags & (FLAG_OPTIONAL | FLAG_TRANSITIVE)) != wanted)
		note(p, BGP_BAD_ATTRIBUTE_FLAGS, value.ptr, flags);
	read_value(p, type, value);
}

static void read_attributes(struct parser *p, struct span bytes)
{
	struct reader r = reader_over(bytes);

	while (reader_left(&r) && p->fatal == BGP_OK) {
		const uint8_t *at = bytes.ptr + r.pos;
		uint8_t flags = reader_u8(&r);
		uint8_t type = reader_u8(&r);
		uint16_t len = flags & FLAG_EXTENDED ? reader_u16(&r) : reader_u8(&r);
		struct span value = reader_take(&r, len);

		if (r.truncated) {
			/* RFC 7606 4: what follows cannot be told apart. */
			note(p, BGP_BAD_ATTRIBUTE_LENGTH, at, len);
			return;
		}
		read_attribute(p, flags, type, value);
	}
}

/* ---- AS_PATH ---- */

static bool path_well_formed(struct span path, size_t size, bool confed)
{
	struct reader r = reader_over(path);

	/* RFC 7606 7.2: no segment is empty, unknown or cut. */
	while (reader_left(&r)) {
		uint8_t type = reader_u8(&r);
		uint8_t count = reader_u8(&r);

		reader_take(&r, count * size);
		if (r.truncated || count == 0 || type < AS_SET ||
		    type > (confed ? AS_CONFED_SET : AS_SEQUENCE))
			return false;
	}
	return true;
}

/* Appends segments until `units` (as BGP counts) are reached, at most all. */
static bool append_path(struct bgp_update *u, struct span path, size_t size, unsigned units)
{
	struct reader r = reader_over(path);

	while (reader_left(&r) && units) {
		uint8_t type = reader_u8(&r);
		uint8_t count = reader_u8(&r);

		if (type == AS_SET) {
			units--;
			u->as_length++;
		}
		for (unsigned i = 0; i < count && units + (type == AS_SET); i++) {
			if (u->n_as == BGP_UPDATE_AS_MAX)
				return false;
			u->as_path[u->n_as++] = size == 4 ? reader_u32(&r) : reader_u16(&r);
			if (type == AS_SEQUENCE) {
				units--;
				u->as_length++;
			}
		}
	}
	return true;
}

static unsigned path_units(struct span path, size_t size)
{
	struct reader r = reader_over(path);
	unsigned units = 0;

	while (reader_left(&r)) {
		uint8_t type = reader_u8(&r);
		uint8_t count = reader_u8(&r);

		reader_take(&r, count * size);
		units += type == AS_SET ? 1 : type == AS_SEQUENCE ? count : 0;
	}
	return units;
}

/* RFC 6793 4.2.3: the leading part of AS_PATH that AS4_PATH lacks, then AS4_PATH. */
static void read_path(struct parser *p)
{
	size_t size = p->as4 ? 4 : 2;
	unsigned units, new_units;
	bool fits;

	if (!path_well_formed(p->as_path, size, true)) {
		note(p, BGP_BAD_AS_PATH, p->as_path.ptr, p->as_path.len);
		return;
	}
	units = path_units(p->as_path, size);
	/* RFC 6793 6: a malformed one, or one with a confederation's segments, is left out. */
	new_units =
		!p->as4 && path_well_formed(p->as4_path, 4, false) ? path_units(p->as4_path, 4) : 0;
	if (new_units == 0 || new_units > units)
		fits = append_path(p->u, p->as_path, size, UINT16_MAX);
	else
		fits = append_path(p->u, p->as_path, size, units - new_units) &&
		       append_path(p->u, p->as4_path, 4, UINT16_MAX);
	if (!fits)
		note(p, BGP_AS_PATH_TOO_LONG, p->as_path.ptr, units);
}

/* ---- the message ---- */

/* RFC 4724 2 */
static uint8_t end_of_rib(const struct parser *p, struct span withdrawn, struct span attributes,
			  struct span nlri)
{
	const struct bgp_prefixes *mp = &p->u->withdrawn[1];

	if (withdrawn.len || nlri.len)
		return 0;
	if (attributes.len == 0)
		return AF_INET;
	return p->seen == 1u << MP_UNREACH_NLRI && mp->bytes.len == 0 ? mp->family : 0;
}

static void check_mandatory(struct parser *p, const uint8_t *at)
{
	const struct bgp_update *u = p->u;

	if (!u->announced[0].bytes.len && !u->announced[1].bytes.len)
		return;
	/* RFC 7606 3 (d); whether NEXT_HOP may be missing is known where the peer is. */
	if (!u->has_origin)
		note(p, BGP_MISSING_ATTRIBUTE, at, ORIGIN);
	if (!u->has_as_path)
		note(p, BGP_MISSING_ATTRIBUTE, at, AS_PATH);
}

enum bgp_error bgp_parse_update(struct span body, bool as4, struct bgp_update *out,
				struct bgp_fault *fault)
{
	struct parser p = {.u = out, .start = body.ptr, .as4 = as4};
	struct reader r = reader_over(body);
	struct span withdrawn = reader_take(&r, reader_u16(&r));
	struct span attributes = reader_take(&r, reader_u16(&r));
	struct span nlri = reader_rest(&r);

	memset(out, 0, offsetof(struct bgp_update, as_path));
	if (r.truncated) {
		*fault = (struct bgp_fault){.offset = BGP_HEADER_SIZE, .value = body.len};
		return BGP_BAD_LENGTH;
	}
	if (withdrawn.len)
		take_prefixes(&p, withdrawn, AF_INET, &out->withdrawn[0]);
	if (nlri.len)
		take_prefixes(&p, nlri, AF_INET, &out->announced[0]);
	read_attributes(&p, attributes);
	if (p.fatal == BGP_OK) {
		read_path(&p);
		check_mandatory(&p, body.ptr);
		out->end_of_rib = end_of_rib(&p, withdrawn, attributes, nlri);
		return BGP_OK;
	}
	memset(out, 0, offsetof(struct bgp_update, as_path));
	*fault = p.where;
	return p.fatal;
}
