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
		if (addr_is_multicast(&h.addr)) /* no machine's: nothing could be sent there */
			return false;
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

uint8_t hosts_family(const struct host *hosts, uint8_t n)
{
	uint8_t family = 0;

	for (uint8_t i = 0; i < n; i++) {
		uint8_t f = hosts[i].kind == HOST_ADDR	   ? hosts[i].addr.family
			    : hosts[i].kind == HOST_PREFIX ? hosts[i].prefix.addr.family
							   : 0;

		if (!f || (family && f != family))
			return 0;
		family = f;
	}
	return family;
}

const struct addr *conn_same_end(const struct conn *c)
{
	for (unsigned i = 0; i < c->n_local * c->n_remote; i++) {
		const struct host *local = &c->local[i / c->n_remote];
		const struct host *remote = &c->remote[i % c->n_remote];

		if (local->kind == HOST_ADDR && remote->kind == HOST_ADDR &&
		    addr_equal(&local->addr, &remote->addr))
			return &remote->addr;
	}
	return NULL;
}
