/* Ends of the outer path, as configurations write them. Pure but for the copy of a name. */
#include "ipsecd/model/conn.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 253 /* RFC 1035 2.3.4, as text */

static bool is_name(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";
	size_t n = strlen(text);

	/* Digits and dots alone are a mistyped address. */
	return n > 0 && n <= NAME_MAX_LEN && strspn(text, allowed) == n &&
	       strspn(text, "0123456789.") != n && text[0] != '-' && text[0] != '.';
}

static bool parse_prefix(const char *text, struct host *h)
{
	struct prefix p;

	if (!prefix_parse(text, &p))
		return false;
	h->kind = p.len ? HOST_PREFIX : HOST_ANY;
	if (p.len)
		h->prefix = prefix_mask(&p);
	return true;
}

bool host_parse(const char *text, struct host *out)
{
	struct host h = {.kind = HOST_ANY};

	if (strcmp(text, "%defaultroute") == 0) {
		h.kind = HOST_DEFAULT_ROUTE;
	} else if (strchr(text, '/')) {
		if (!parse_prefix(text, &h))
			return false;
	} else if (addr_parse(text, &h.addr)) {
		h.kind = addr_is_any(&h.addr) ? HOST_ANY : HOST_ADDR;
	} else if (strcmp(text, "%any") != 0) {
		h.kind = HOST_NAME;
		h.name = is_name(text) ? strdup(text) : NULL;
		if (!h.name)
			return false;
	}
	*out = h;
	return true;
}
