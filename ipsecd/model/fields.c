/* Fields in both directions. The structs are coded in *_codec.c. */
#include "ipsecd/model/fields.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD_LEN  8
#define LENGTH_AT 4
#define FAMILY_V4 4
#define FAMILY_V6 6
#define NO_STRING 0
#define IS_STRING 1

const char *codec_describe(const struct codec_result *r, char *text, size_t size)
{
	static const char *const errors[] = {
		[CODEC_OK] = "good",
		[CODEC_SHORT] = "ends too early",
		[CODEC_LONG] = "more follows than belongs to it",
		[CODEC_FORMAT] = "something else, or of another version",
		[CODEC_VALUE] = "not possible",
		[CODEC_NO_ROOM] = "no room in the buffer",
		[CODEC_MEMORY] = "out of memory",
	};

	snprintf(text, size, "%s: %s (at byte %zu)", r->what, errors[r->error], r->at);
	return text;
}

void fields_fail(struct fields *c, enum codec_error error, const char *what)
{
	if (c->result.error)
		return;
	c->result = (struct codec_result){
		.error = error,
		.at = c->decoding ? c->in.pos : c->out->len - c->start,
		.what = what,
	};
}

bool fields_ok(const struct fields *c)
{
	return !c->result.error;
}

void fields_require(struct fields *c, bool holds, const char *what)
{
	if (!holds)
		fields_fail(c, CODEC_VALUE, what);
}

/* ---- head ---- */

struct fields fields_encoder(struct buf *out, uint16_t tag, uint16_t version)
{
	struct fields c = {.out = out, .start = out->len, .result = {.what = ""}};

	fields_u16(&c, tag, "tag");
	fields_u16(&c, version, "version");
	fields_u32(&c, 0, "length");
	return c;
}

struct fields fields_decoder(struct span in, uint16_t tag, uint16_t version)
{
	struct fields c = {.decoding = true, .in = reader_over(in), .result = {.what = ""}};

	if (fields_u16(&c, 0, "tag") != tag)
		fields_fail(&c, CODEC_FORMAT, "tag");
	if (fields_u16(&c, 0, "version") != version)
		fields_fail(&c, CODEC_FORMAT, "version");
	if (fields_u32(&c, 0, "length") != in.len)
		fields_fail(&c, CODEC_VALUE, "length");
	return c;
}

struct codec_result fields_end(struct fields *c)
{
	if (c->decoding && reader_left(&c->in))
		fields_fail(c, CODEC_LONG, "end");
	if (!c->decoding && fields_ok(c))
		buf_set_u32(c->out, c->start + LENGTH_AT, (uint32_t)(c->out->len - c->start));
	return c->result;
}

/* ---- numbers ---- */

static void write_number(struct fields *c, uint64_t v, unsigned bytes, const char *what)
{
	for (unsigned i = bytes; i-- > 0;)
		buf_put_u8(c->out, (uint8_t)(v >> 8 * i));
	if (c->out->overflow)
		fields_fail(c, CODEC_NO_ROOM, what);
}

static uint64_t read_number(struct fields *c, unsigned bytes, const char *what)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | reader_u8(&c->in);
	if (c->in.truncated)
		fields_fail(c, CODEC_SHORT, what);
	return v;
}

uint64_t fields_number(struct fields *c, uint64_t v, unsigned bytes, uint64_t max, const char *what)
{
	if (!fields_ok(c))
		return 0;
	if (c->decoding)
		v = read_number(c, bytes, what);
	fields_require(c, v <= max, what);
	if (!fields_ok(c))
		return 0;
	if (!c->decoding)
		write_number(c, v, bytes, what);
	return v;
}

bool fields_bool(struct fields *c, bool v, const char *what)
{
	return fields_number(c, v, 1, 1, what) != 0;
}

uint8_t fields_u8(struct fields *c, uint8_t v, uint8_t max, const char *what)
{
	return (uint8_t)fields_number(c, v, 1, max, what);
}

uint16_t fields_u16(struct fields *c, uint16_t v, const char *what)
{
	return (uint16_t)fields_number(c, v, 2, UINT16_MAX, what);
}

uint32_t fields_u32(struct fields *c, uint32_t v, const char *what)
{
	return (uint32_t)fields_number(c, v, 4, UINT32_MAX, what);
}

uint64_t fields_u64(struct fields *c, uint64_t v, const char *what)
{
	return fields_number(c, v, 8, UINT64_MAX, what);
}

uint64_t fields_time(struct fields *c, uint64_t v, const char *what)
{
	return fields_number(c, v, 8, INT64_MAX, what);
}

/* ---- bytes ---- */

void fields_bytes(struct fields *c, void *p, size_t n)
{
	struct span got;

	if (!fields_ok(c))
		return;
	if (!c->decoding) {
		buf_put(c->out, p, n);
		if (c->out->overflow)
			fields_fail(c, CODEC_NO_ROOM, "bytes");
		return;
	}
	got = reader_take(&c->in, n);
	if (c->in.truncated)
		fields_fail(c, CODEC_SHORT, "bytes");
	else if (n)
		memcpy(p, got.ptr, n);
}

/* n bytes that a NUL follows; decoding into memory that has room for it. */
static void text(struct fields *c, char *s, size_t n, const char *what)
{
	fields_bytes(c, s, n);
	if (!c->decoding || !fields_ok(c))
		return;
	s[n] = '\0';
	fields_require(c, !memchr(s, '\0', n), what);
}

void fields_string(struct fields *c, char **s, bool may_be_null, const char *what)
{
	bool there = c->decoding || *s;
	size_t n = 0;

	if (may_be_null)
		there = fields_bool(c, there, what);
	fields_require(c, there || may_be_null, what);
	if (c->decoding)
		*s = NULL;
	if (!there || !fields_ok(c))
		return;
	if (!c->decoding)
		n = strlen(*s);
	n = fields_number(c, n, 2, FIELDS_STRING_MAX, what);
	if (c->decoding && n > reader_left(&c->in))
		fields_fail(c, CODEC_SHORT, what);
	if (!fields_ok(c))
		return;
	if (c->decoding) {
		*s = calloc(1, n + 1);
		if (!*s)
			fields_fail(c, CODEC_MEMORY, what);
	}
	text(c, *s, n, what);
}

void fields_string_in(struct fields *c, char *s, size_t size, const char *what)
{
	size_t n = c->decoding ? 0 : strnlen(s, size);

	n = fields_number(c, n, 2, size - 1, what);
	text(c, s, n, what);
	if (c->decoding && fields_ok(c))
		memset(s + n, 0, size - n);
}

/* ---- addresses and identities ---- */

void fields_addr(struct fields *c, struct addr *a, bool may_be_none, const char *what)
{
	uint8_t family = a->family == AF_INET ? FAMILY_V4 : a->family == AF_INET6 ? FAMILY_V6 : 0;

	if (!c->decoding)
		fields_require(c, family || !a->family, what);
	family = fields_u8(c, family, FAMILY_V6, what);
	if (c->decoding)
		*a = (struct addr){.family = family == FAMILY_V4   ? AF_INET
					     : family == FAMILY_V6 ? AF_INET6
								   : 0};
	fields_require(c, a->family || (!family && may_be_none), what);
	fields_bytes(c, a->bytes, addr_size(a->family));
}

void fields_prefix(struct fields *c, struct prefix *p, const char *what)
{
	fields_addr(c, &p->addr, false, what);
	p->len = fields_u8(c, p->len, (uint8_t)(8 * addr_size(p->addr.family)), what);
}

static bool id_known(uint8_t type)
{
	switch (type) {
	case ID_ANY:
	case ID_IPV4_ADDR:
	case ID_FQDN:
	case ID_RFC822_ADDR:
	case ID_IPV6_ADDR:
	case ID_DER_ASN1_DN:
	case ID_DER_ASN1_GN:
	case ID_KEY_ID:
		return true;
	}
	return false;
}

void fields_id(struct fields *c, struct id *id, const char *what)
{
	if (c->decoding)
		*id = (struct id){0};
	id->type = fields_u8(c, id->type, ID_KEY_ID, what);
	id->len = fields_u8(c, id->len, ID_DATA_MAX, what);
	fields_bytes(c, id->data, id->len);
	if (!fields_ok(c))
		return;
	fields_require(c, id_known(id->type) && id_fits(id), what);
}
