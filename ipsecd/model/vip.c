/* Pool references and wanted addresses as words. Knows no pool. */
#include "ipsecd/model/vip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* First (bits 0) or last (bits 1) address of a's network. */
static struct addr edge(const struct addr *a, uint8_t len, bool last)
{
	struct addr out = *a;

	for (unsigned bit = len; bit < 8 * addr_size(a->family); bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		out.bytes[bit / 8] =
			(uint8_t)(last ? out.bytes[bit / 8] | mask : out.bytes[bit / 8] & ~mask);
	}
	return out;
}

/* a + 1 or a - 1, of an address that is not at the end. */
static void step(struct addr *a, bool up)
{
	for (size_t i = addr_size(a->family); i-- > 0;) {
		uint8_t old = a->bytes[i];

		a->bytes[i] = (uint8_t)(up ? old + 1 : old - 1);
		if (old != (up ? 0xff : 0))
			return;
	}
}

static bool prefix_range(const char *text, struct addr *first, struct addr *last)
{
	struct prefix p;
	struct addr network;

	if (!prefix_parse(text, &p))
		return false;
	network = edge(&p.addr, p.len, false);
	*first = p.addr;
	*last = edge(&p.addr, p.len, true);
	if (p.len + 1u >= 8 * addr_size(p.addr.family)) /* one or two addresses: all are used */
		return true;
	if (addr_equal(first, &network))
		step(first, true);
	if (addr_compare(first, last) != 0)
		step(last, false);
	return true;
}

bool pool_range_parse(const char *text, struct addr *first, struct addr *last)
{
	const char *dash = strchr(text, '-');
	char head[ADDR_TEXT];

	if (!dash)
		return prefix_range(text, first, last) && first->family;
	if ((size_t)(dash - text) >= sizeof(head))
		return false;
	snprintf(head, sizeof(head), "%.*s", (int)(dash - text), text);
	return addr_parse(head, first) && addr_parse(dash + 1, last) &&
	       first->family == last->family && addr_compare(first, last) <= 0;
}

/* "%config" and its older names. */
static bool is_config(const char *word)
{
	static const char *const names[] = {"%config", "%modeconfig", "%modecfg", NULL};

	for (unsigned i = 0; names[i]; i++) {
		if (strcmp(word, names[i]) == 0)
			return true;
	}
	return false;
}

static bool config_word(const char *text, uint8_t *family)
{
	*family = strcmp(text, "%config4") == 0	  ? AF_INET
		  : strcmp(text, "%config6") == 0 ? AF_INET6
						  : 0;
	return *family || is_config(text);
}

bool pool_ref_parse(const char *text, struct pool_ref *out)
{
	uint8_t family;

	*out = (struct pool_ref){.kind = POOL_RANGE};
	if (config_word(text, &family)) {
		out->kind = POOL_CLIENT;
		out->first.family = family;
		return true;
	}
	if (text[0] == '%') {
		out->kind = POOL_NAMED;
		text++;
	} else if (!pool_range_parse(text, &out->first, &out->last) || addr_is_any(&out->first)) {
		return false;
	}
	out->name = *text ? strdup(text) : NULL;
	return out->name != NULL;
}

bool pool_ref_copy(struct pool_ref *to, const struct pool_ref *from)
{
	*to = *from;
	to->name = from->name ? strdup(from->name) : NULL;
	return to->name || !from->name;
}

void pool_ref_clear(struct pool_ref *p)
{
	free(p->name);
	*p = (struct pool_ref){0};
}

bool pool_ref_equal(const struct pool_ref *a, const struct pool_ref *b)
{
	if (a->kind != b->kind || !addr_equal(&a->first, &b->first) ||
	    !addr_equal(&a->last, &b->last))
		return false;
	return a->name && b->name ? strcmp(a->name, b->name) == 0 : a->name == b->name;
}

const char *pool_ref_format(const struct pool_ref *p, char *text, size_t size)
{
	if (p->kind == POOL_CLIENT)
		snprintf(text, size, "%%config%s",
			 p->first.family == AF_INET    ? "4"
			 : p->first.family == AF_INET6 ? "6"
						       : "");
	else
		snprintf(text, size, "%s%s", p->kind == POOL_NAMED ? "%" : "", p->name);
	return text;
}

bool vip_parse(const char *text, struct addr *out)
{
	uint8_t family;

	if (!config_word(text, &family))
		return addr_parse(text, out);
	*out = (struct addr){.family = family};
	return true;
}

bool vip_usable(const struct addr *a)
{
	static const uint8_t loopback[16] = {[15] = 1};

	if (addr_is_any(a))
		return false;
	if (a->family == AF_INET) /* 0/8, 127/8, 224/3 */
		return a->bytes[0] != 0 && a->bytes[0] != 127 && a->bytes[0] < 224;
	return a->bytes[0] != 0xff && memcmp(a->bytes, loopback, sizeof(loopback)) != 0;
}

bool addrs_equal(const struct addr *a, unsigned na, const struct addr *b, unsigned nb)
{
	if (na != nb)
		return false;
	for (unsigned i = 0; i < na; i++) {
		if (!addr_equal(&a[i], &b[i]))
			return false;
	}
	return true;
}

bool addrs_have(const struct addr *list, unsigned n, const struct addr *a)
{
	for (unsigned i = 0; i < n; i++) {
		if (addr_equal(&list[i], a))
			return true;
	}
	return false;
}
