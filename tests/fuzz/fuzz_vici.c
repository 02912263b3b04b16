/* Fuzzes the vici codec: packet head, whole-body check, lookups, and that what passes
 * the check comes out of the encoder byte by byte as it went in. */
#include "lib/vici_codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct buf *b, const struct vici_element *e)
{
	switch (e->type) {
	case VICI_END:
		break;
	case VICI_SECTION_START:
		vici_put_section_n(b, e->name);
		break;
	case VICI_SECTION_END:
		vici_put_section_end(b);
		break;
	case VICI_KEY_VALUE:
	case VICI_LIST_START:
		buf_put_u8(b, (uint8_t)e->type);
		buf_put_u8(b, (uint8_t)e->name.len);
		buf_put_span(b, e->name);
		if (e->type == VICI_LIST_START)
			break;
		buf_put_u16(b, (uint16_t)e->value.len);
		buf_put_span(b, e->value);
		break;
	case VICI_LIST_ITEM:
		buf_put_u8(b, (uint8_t)e->type);
		buf_put_u16(b, (uint16_t)e->value.len);
		buf_put_span(b, e->value);
		break;
	case VICI_LIST_END:
		vici_put_list_end(b);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vici_packet p;
	struct vici_element e;
	struct vici_iter it;
	struct span v;
	struct buf b;
	size_t offset;
	char text[16];

	if (vici_packet_parse(span_of(data, size), &p) || vici_body_check(p.body, &offset))
		return 0;
	vici_get(p.body, "a.b.c", &v);
	vici_get_str(p.body, "k", text, sizeof(text));
	vici_section(p.body, "a", &v);
	b = buf_over(malloc(size), size);
	it = vici_iter(p.body);
	do {
		if (vici_next(&it, &e))
			abort();
		put(&b, &e);
	} while (e.type != VICI_END);
	if (!span_equal(buf_span(&b), p.body))
		abort();
	free(b.data);
	return 0;
}
