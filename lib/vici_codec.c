/* The vici message format: parsing and encoding of packets and elements, lookup in a
 * checked body. Owns no memory and no socket; knows no command. The format is the one
 * strongSwan's vici plugin documents: names carry an 8-bit length, values a 16-bit one,
 * sections nest, lists hold items alone. */
#include "lib/vici_codec.h"

#include <stdarg.h>
#include <stdio.h>

#define VALUE_MAX UINT16_MAX

const char *vici_strerror(enum vici_error e)
{
	static const char *const text[] = {
		[VICI_OK] = "no error",
		[VICI_TRUNCATED] = "a length points past the end",
		[VICI_BAD_PACKET_TYPE] = "unknown packet type",
		[VICI_BAD_ELEMENT] = "unknown element type",
		[VICI_BAD_NESTING] = "sections and lists are not balanced",
		[VICI_TOO_DEEP] = "too many sections inside sections",
		[VICI_EMPTY_NAME] = "packet without a name",
	};

	return (unsigned)e < sizeof(text) / sizeof(text[0]) ? text[e] : "unknown error";
}

static bool is_named(enum vici_packet_type type)
{
	return type == VICI_CMD_REQUEST || type == VICI_EVENT_REGISTER ||
	       type == VICI_EVENT_UNREGISTER || type == VICI_EVENT;
}

enum vici_error vici_packet_parse(struct span in, struct vici_packet *out)
{
	struct reader r = reader_over(in);
	struct vici_packet p = {0};
	uint8_t type = reader_u8(&r);

	if (r.truncated)
		return VICI_TRUNCATED;
	if (type > VICI_EVENT)
		return VICI_BAD_PACKET_TYPE;
	p.type = (enum vici_packet_type)type;
	if (is_named(p.type)) {
		p.name = reader_take(&r, reader_u8(&r));
		if (r.truncated)
			return VICI_TRUNCATED;
		if (p.name.len == 0)
			return VICI_EMPTY_NAME;
	}
	p.body = reader_rest(&r);
	*out = p;
	return VICI_OK;
}

struct vici_iter vici_iter(struct span body)
{
	return (struct vici_iter){.r = reader_over(body)};
}

/* What the place in the message allows: items and the list's end inside a list, all
 * else outside. */
static enum vici_error check_place(const struct vici_iter *it, uint8_t type)
{
	bool list_part = type == VICI_LIST_ITEM || type == VICI_LIST_END;

	if (type < VICI_SECTION_START || type > VICI_LIST_END)
		return VICI_BAD_ELEMENT;
	if (it->in_list != list_part)
		return VICI_BAD_NESTING;
	if (type == VICI_SECTION_END && it->depth == 0)
		return VICI_BAD_NESTING;
	if (type == VICI_SECTION_START && it->depth >= VICI_DEPTH_MAX)
		return VICI_TOO_DEEP;
	return VICI_OK;
}

static void read_fields(struct reader *r, struct vici_element *e)
{
	if (e->type == VICI_SECTION_START || e->type == VICI_KEY_VALUE ||
	    e->type == VICI_LIST_START)
		e->name = reader_take(r, reader_u8(r));
	if (e->type == VICI_KEY_VALUE || e->type == VICI_LIST_ITEM)
		e->value = reader_take(r, reader_u16(r));
}

enum vici_error vici_next(struct vici_iter *it, struct vici_element *out)
{
	struct vici_element e = {.type = VICI_END};
	struct reader r = it->r;
	enum vici_error err;
	uint8_t type;

	if (reader_left(&r) == 0) {
		*out = e;
		return it->depth || it->in_list ? VICI_BAD_NESTING : VICI_OK;
	}
	type = reader_u8(&r);
	err = check_place(it, type);
	if (err)
		return err;
	e.type = (enum vici_element_type)type;
	read_fields(&r, &e);
	if (r.truncated)
		return VICI_TRUNCATED;
	it->r = r;
	it->in_list = type == VICI_LIST_START || type == VICI_LIST_ITEM;
	it->depth += type == VICI_SECTION_START;
	it->depth -= type == VICI_SECTION_END;
	*out = e;
	return VICI_OK;
}

enum vici_error vici_body_check(struct span body, size_t *offset)
{
	struct vici_iter it = vici_iter(body);
	struct vici_element e;
	enum vici_error err;

	do {
		*offset = it.r.pos;
		err = vici_next(&it, &e);
	} while (!err && e.type != VICI_END);
	return err;
}

/* ---- lookup ---- */

static bool section_named(struct span body, struct span name, struct span *section)
{
	struct vici_iter it = vici_iter(body);
	struct vici_element e;
	bool found = false;
	size_t start = 0;

	for (;;) {
		size_t before = it.r.pos;

		if (vici_next(&it, &e) || e.type == VICI_END)
			return false;
		if (e.type == VICI_SECTION_START && it.depth == 1 && span_equal(e.name, name)) {
			found = true;
			start = it.r.pos;
		} else if (e.type == VICI_SECTION_END && it.depth == 0 && found) {
			*section = span_of(body.ptr + start, before - start);
			return true;
		}
	}
}

bool vici_section(struct span body, const char *name, struct span *section)
{
	return section_named(body, span_str(name), section);
}

static bool value_named(struct span body, struct span key, struct span *value)
{
	struct vici_iter it = vici_iter(body);
	struct vici_element e;

	while (!vici_next(&it, &e) && e.type != VICI_END) {
		if (e.type == VICI_KEY_VALUE && it.depth == 0 && span_equal(e.name, key)) {
			*value = e.value;
			return true;
		}
	}
	return false;
}

bool vici_get(struct span body, const char *path, struct span *value)
{
	const char *dot;

	while ((dot = strchr(path, '.'))) {
		if (!section_named(body, span_of(path, (size_t)(dot - path)), &body))
			return false;
		path = dot + 1;
	}
	return value_named(body, span_str(path), value);
}

bool vici_get_str(struct span body, const char *path, char *out, size_t size)
{
	struct span v;

	if (!vici_get(body, path, &v) || v.len >= size || memchr(v.ptr, '\0', v.len))
		return false;
	memcpy(out, v.ptr, v.len);
	out[v.len] = '\0';
	return true;
}

/* ---- building ---- */

/* Names are at most 255 bytes and values at most 65535: a longer one can't be
 * expressed and marks the buffer as overflown. */
static void put_name(struct buf *b, struct span name)
{
	if (name.len > VICI_NAME_MAX)
		b->overflow = true;
	buf_put_u8(b, (uint8_t)name.len);
	buf_put_span(b, name);
}

static void put_value(struct buf *b, struct span value)
{
	if (value.len > VALUE_MAX)
		b->overflow = true;
	buf_put_u16(b, (uint16_t)value.len);
	buf_put_span(b, value);
}

void vici_start(struct buf *b, enum vici_packet_type type, const char *name)
{
	buf_put_u32(b, 0);
	buf_put_u8(b, (uint8_t)type);
	if (is_named(type))
		put_name(b, span_str(name));
}

bool vici_finish(struct buf *b)
{
	if (b->overflow || b->len < 5 || b->len - 4 > VICI_PACKET_MAX)
		return false;
	buf_set_u32(b, 0, (uint32_t)(b->len - 4));
	return true;
}

void vici_put_section_n(struct buf *b, struct span name)
{
	buf_put_u8(b, VICI_SECTION_START);
	put_name(b, name);
}

void vici_put_section(struct buf *b, const char *name)
{
	vici_put_section_n(b, span_str(name));
}

void vici_put_section_end(struct buf *b)
{
	buf_put_u8(b, VICI_SECTION_END);
}

void vici_put_span(struct buf *b, const char *key, struct span value)
{
	buf_put_u8(b, VICI_KEY_VALUE);
	put_name(b, span_str(key));
	put_value(b, value);
}

void vici_put(struct buf *b, const char *key, const char *value)
{
	vici_put_span(b, key, span_str(value));
}

void vici_put_format(struct buf *b, const char *key, const char *format, ...)
{
	char text[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text))
		b->overflow = true;
	else
		vici_put_span(b, key, span_of(text, (size_t)n));
}

void vici_put_list(struct buf *b, const char *name)
{
	buf_put_u8(b, VICI_LIST_START);
	put_name(b, span_str(name));
}

void vici_put_item(struct buf *b, const char *value)
{
	buf_put_u8(b, VICI_LIST_ITEM);
	put_value(b, span_str(value));
}

void vici_put_list_end(struct buf *b)
{
	buf_put_u8(b, VICI_LIST_END);
}
