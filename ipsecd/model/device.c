/* Names, marks and addresses of tunnel devices. Pure; whether a device can be made is the data
 * plane's to find out. */
#include "ipsecd/model/conn.h"

#include "lib/words.h"

#include <stdio.h>
#include <string.h>

static bool device_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

bool device_name_valid(const char *name)
{
	/* The kernel's own: two folders, the loopback, two that stand for all devices. */
	static const char *const taken[] = {".", "..", "lo", "all", "default"};
	size_t n = 0;

	for (; name[n]; n++) {
		if (!device_char(name[n]) || n + 1 == IF_NAMESIZE)
			return false;
	}
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (strcmp(name, taken[i]) == 0)
			return false;
	}
	return n > 0;
}

/* FNV-1a: a name must stay the same over restarts, nothing more. */
static uint32_t hash_name(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}

void conn_default_tunnel_name(struct conn *c)
{
	char *out = c->tunnel.name;
	size_t n = 0, len = strlen(c->name);

	if (c->tunnel.named)
		return;
	for (; n < len && n < IF_NAMESIZE - 1; n++)
		out[n] = device_char(c->name[n]) ? c->name[n] : '_';
	out[n] = '\0';
	if (device_name_valid(c->name))
		return;
	/* Cut or changed: six digits of hash keep such names apart. */
	if (n > IF_NAMESIZE - 8)
		n = IF_NAMESIZE - 8;
	snprintf(out + n, IF_NAMESIZE - n, "-%06x", hash_name(c->name) & 0xffffff);
}

static bool has_updown(const struct conn *c)
{
	for (unsigned i = 0; i < c->n_children; i++) {
		if (c->children[i].updown)
			return true;
	}
	return false;
}

/* A script that is told marks and no name makes the device itself: so it is done
 * with daemons that make none. */
void conn_complete(struct conn *c)
{
	struct tunnel_config *t = &c->tunnel;

	t->external = t->keyed && !t->named && has_updown(c);
	conn_fix_tunnel_ends(c);
}

bool key_is_unique(const char *text)
{
	return strcmp(text, "%unique") == 0 || strcmp(text, "%unique-dir") == 0 ||
	       strcmp(text, "-1") == 0 || strncmp(text, "-1/", 3) == 0;
}

bool mark_equal(struct mark a, struct mark b)
{
	return a.value == b.value && a.mask == b.mask;
}

bool mark_parse(const char *text, struct mark *out)
{
	struct mark m;

	if (!mark_parse_set(text, &m.value, &m.mask))
		return false;
	*out = m.value ? m : (struct mark){0};
	return true;
}

bool offload_parse(const char *text, uint8_t *out)
{
	static const struct {
		const char *word;
		enum child_offload value;
	} words[] = {{"no", CHILD_OFFLOAD_NO},
		     {"auto", CHILD_OFFLOAD_AUTO},
		     {"yes", CHILD_OFFLOAD_YES},
		     {"crypto", CHILD_OFFLOAD_YES}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(words[i].word, text) == 0) {
			*out = words[i].value;
			return true;
		}
	}
	return false;
}

bool mark_parse_set(const char *text, uint32_t *value, uint32_t *mask)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t v, m = UINT32_MAX;
	char head[16];

	if (n >= sizeof(head))
		return false;
	memcpy(head, text, n);
	head[n] = '\0';
	if (!words_parse_number(head, UINT32_MAX, &v) ||
	    (slash && !words_parse_number(slash + 1, UINT32_MAX, &m)) || (v & ~m))
		return false;
	*value = (uint32_t)v;
	*mask = (uint32_t)m;
	return true;
}

/* ---- addresses ---- */

/* All bits behind the prefix's length are 0, or 1. */
static bool host_bits_are(const struct prefix *p, bool ones)
{
	for (unsigned bit = p->len; bit < 8 * addr_size(p->addr.family); bit++) {
		if ((p->addr.bytes[bit / 8] >> (7 - bit % 8) & 1) != ones)
			return false;
	}
	return true;
}

/* Prefixes of two addresses have no address of their own (RFC 3021, RFC 6164). */
const char *tunnel_addr_fault(const struct prefix *p)
{
	unsigned bits = (unsigned)(8 * addr_size(p->addr.family)) - p->len;

	if (addr_is_loopback(&p->addr))
		return "a loopback address";
	if (addr_is_multicast(&p->addr))
		return "a multicast, reserved or broadcast address";
	if (bits < 2)
		return NULL;
	if (host_bits_are(p, false))
		return p->addr.family == AF_INET6 ? "the subnet-router anycast address (RFC 4291 "
						    "2.6.1)"
						  : "the network's own address";
	return p->addr.family == AF_INET && host_bits_are(p, true) ? "the broadcast address" : NULL;
}

bool tunnel_addr_is_shared(const struct prefix *p)
{
	return p->len == 8 * addr_size(p->addr.family) || addr_is_link_local(&p->addr);
}

bool prefixes_have_ipv6(const struct prefix *p, unsigned n)
{
	while (n > 0 && p[n - 1].addr.family != AF_INET6)
		n--;
	return n > 0;
}
