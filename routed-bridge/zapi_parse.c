/* Parsing of what zebra sends to a client. Each parser reads into locals, checks, and
 * commits last; on an error it says where it stopped and on which value. Interface
 * messages grow in nearly every release, so only their stable head is read. */
#include "routed-bridge/zapi.h"

#define STATUS_LINK_DETECT 0x04

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
