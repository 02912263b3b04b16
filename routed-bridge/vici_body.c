/* Reading the bodies of vici events: sections, numbers, states, traffic selectors. */
#include "routed-bridge/vici_body.h"
#include "lib/words.h"

static const uint8_t *position(const struct vici_iter *it)
{
	return it->r.in.ptr + it->r.pos;
}

bool body_next(struct body_walk *w)
{
	struct vici_element e;
	unsigned depth;
	const uint8_t *end;

	do {
		if (vici_next(&w->it, &e) != VICI_OK || e.type == VICI_END)
			return false;
	} while (e.type != VICI_SECTION_START);
	w->name = e.name;
	depth = w->it.depth;
	w->body.ptr = end = position(&w->it);
	while (w->it.depth >= depth) {
		end = position(&w->it);
		if (vici_next(&w->it, &e) != VICI_OK || e.type == VICI_END)
			return false;
	}
	w->body.len = (size_t)(end - w->body.ptr);
	return true;
}

struct body_walk body_walk(struct span body)
{
	return (struct body_walk){.it = vici_iter(body)};
}

bool body_number(struct span body, const char *key, uint32_t *out)
{
	char text[16];
	uint64_t n;

	if (!vici_get_str(body, key, text, sizeof(text)) ||
	    !words_parse_number(text, UINT32_MAX, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

bool body_says_yes(struct span body, const char *key)
{
	char text[8];
	bool yes;

	return vici_get_str(body, key, text, sizeof(text)) && words_parse_bool(text, &yes) && yes;
}

bool body_usable(struct span section)
{
	static const char *const usable[] = {"INSTALLED", "REKEYING", "UPDATING"};
	struct span state;

	if (!vici_get(section, "state", &state))
		return false;
	for (size_t i = 0; i < sizeof(usable) / sizeof(usable[0]); i++) {
		if (span_equal(state, span_str(usable[i])))
			return true;
	}
	return false;
}

bool body_parse_selector(struct span text, struct prefix *out)
{
	const uint8_t *bracket = memchr(text.ptr, '[', text.len);
	size_t n = bracket ? (size_t)(bracket - text.ptr) : text.len;
	char word[PREFIX_TEXT];

	if (n == 0 || n >= sizeof(word) || memchr(text.ptr, '\0', n))
		return false;
	memcpy(word, text.ptr, n);
	word[n] = '\0';
	if (!prefix_parse(word, out))
		return false;
	*out = prefix_mask(out);
	return true;
}

static size_t prefix_list(struct span section, const char *name, struct prefix *out)
{
	struct vici_iter it = vici_iter(section);
	struct vici_element e;
	struct prefix p;
	bool inside = false;
	size_t n = 0;

	while (vici_next(&it, &e) == VICI_OK && e.type != VICI_END) {
		if (e.type == VICI_LIST_START)
			inside = it.depth == 0 && span_equal(e.name, span_str(name));
		else if (e.type == VICI_LIST_END)
			inside = false;
		else if (inside && e.type == VICI_LIST_ITEM && body_parse_selector(e.value, &p)) {
			if (out)
				out[n] = p;
			n++;
		}
	}
	return n;
}

size_t body_selectors(struct span section, struct prefix *out)
{
	return prefix_list(section, "remote-ts", out);
}

size_t body_vips(struct span section, struct prefix *out)
{
	return prefix_list(section, "remote-vips", out);
}
