/* Identities: text, wire bytes, comparison. Pure; knows no authentication.
 * RFC 7296 3.5; the text forms are those of strongSwan's configuration. */
#include "ipsecd/model/id.h"

#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>

#define MATCH_ANY      1
#define MATCH_WILDCARD 2
#define MATCH_EXACT    (MATCH_WILDCARD + ID_DATA_MAX + 1)

static bool set_data(struct id *out, uint8_t type, const void *data, size_t len)
{
	if (len == 0 || len > ID_DATA_MAX)
		return false;
	*out = (struct id){.type = type, .len = (uint8_t)len};
	memcpy(out->data, data, len);
	return true;
}

static bool set_text(struct id *out, uint8_t type, const char *text)
{
	return set_data(out, type, text, strlen(text));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool parse_hex(const char *text, struct id *out)
{
	uint8_t data[ID_DATA_MAX];
	size_t n = strlen(text) / 2;

	if (strlen(text) % 2 || n > sizeof(data))
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		data[i] = (uint8_t)(high << 4 | low);
	}
	return set_data(out, ID_KEY_ID, data, n);
}

static bool parse_addr(const char *text, uint8_t type, struct id *out)
{
	struct addr a;

	if (!addr_parse(text, &a))
		return false;
	id_from_addr(&a, out);
	return type == 0 || out->type == type;
}

/* "type:rest": false when there is no such prefix, else *ok tells the outcome. */
static bool parse_prefixed(const char *text, struct id *out, bool *ok)
{
	static const struct {
		const char *prefix;
		uint8_t type;
	} prefixes[] = {
		{"keyid:", ID_KEY_ID},	     {"fqdn:", ID_FQDN},
		{"dns:", ID_FQDN},	     {"email:", ID_RFC822_ADDR},
		{"rfc822:", ID_RFC822_ADDR}, {"userfqdn:", ID_RFC822_ADDR},
		{"ipv4:", ID_IPV4_ADDR},     {"ipv6:", ID_IPV6_ADDR},
		{"asn1dn:", ID_DER_ASN1_DN}, {"asn1gn:", ID_DER_ASN1_GN},
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i].prefix);
		uint8_t type = prefixes[i].type;

		if (strncasecmp(text, prefixes[i].prefix, n) != 0)
			continue;
		text += n;
		if (type == ID_IPV4_ADDR || type == ID_IPV6_ADDR)
			*ok = parse_addr(text, type, out);
		else if (type == ID_DER_ASN1_DN || type == ID_DER_ASN1_GN)
			*ok = false;
		else if (type == ID_KEY_ID && text[0] == '#')
			*ok = parse_hex(text + 1, out);
		else
			*ok = set_text(out, type, text);
		return true;
	}
	return false;
}

static bool is_any(const char *text)
{
	return strcmp(text, "%any") == 0 || strcmp(text, "*") == 0 ||
	       strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0 ||
	       strcmp(text, "%any4") == 0 || strcmp(text, "%any6") == 0;
}

bool id_parse(const char *text, struct id *out)
{
	bool ok;

	if (is_any(text)) {
		*out = (struct id){.type = ID_ANY};
		return true;
	}
	if (parse_prefixed(text, out, &ok))
		return ok;
	if (strchr(text, '=') || text[0] == '%') /* a distinguished name; a reserved word */
		return false;
	if (text[0] == '@' && text[1] == '#')
		return parse_hex(text + 2, out);
	if (text[0] == '@' && text[1] == '@')
		return set_text(out, ID_RFC822_ADDR, text + 2);
	if (text[0] == '@')
		return set_text(out, ID_FQDN, text + 1);
	if (strchr(text, '@'))
		return set_text(out, ID_RFC822_ADDR, text);
	if (parse_addr(text, 0, out))
		return true;
	/* A mistyped address is no name. */
	if (strchr(text, ':') || strspn(text, "0123456789./") == strlen(text))
		return false;
	return set_text(out, ID_FQDN, text);
}

void id_from_addr(const struct addr *a, struct id *out)
{
	*out = (struct id){.type = a->family == AF_INET	   ? ID_IPV4_ADDR
				   : a->family == AF_INET6 ? ID_IPV6_ADDR
							   : ID_ANY,
			   .len = (uint8_t)addr_size(a->family)};
	memcpy(out->data, a->bytes, out->len);
}

bool id_from_wire(uint8_t type, struct span data, struct id *out)
{
	if (type == ID_ANY || (type == ID_IPV4_ADDR && data.len != 4) ||
	    (type == ID_IPV6_ADDR && data.len != 16))
		return false;
	return set_data(out, type, data.ptr, data.len);
}

bool id_fits(const struct id *id)
{
	struct id same;

	return id->type == ID_ANY ? id->len == 0 : id_from_wire(id->type, id_data(id), &same);
}

struct span id_data(const struct id *id)
{
	return span_of(id->data, id->len);
}

static bool printable(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
			return false;
	}
	return true;
}

/* Hostile bytes as \xNN; "..." where the text ends early. */
static void format_escaped(struct span s, char *text)
{
	size_t at = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (at + 4 + 4 > ID_TEXT) {
			memcpy(text + at, "...", 4);
			return;
		}
		if (c >= 0x20 && c <= 0x7e && c != '\\')
			text[at++] = (char)c;
		else
			at += (size_t)snprintf(text + at, ID_TEXT - at, "\\x%02x", c);
	}
	text[at] = '\0';
}

static void format_hex(const char *head, struct span s, char *text)
{
	size_t at = (size_t)snprintf(text, ID_TEXT, "%s", head);

	for (size_t i = 0; i < s.len; i++) {
		if (at + 2 + 4 > ID_TEXT) {
			memcpy(text + at, "...", 4);
			return;
		}
		at += (size_t)snprintf(text + at, ID_TEXT - at, "%02x", s.ptr[i]);
	}
}

const char *id_format(const struct id *id, char *text)
{
	struct addr a;
	char head[16];

	switch (id->type) {
	case ID_ANY:
		snprintf(text, ID_TEXT, "%%any");
		break;
	case ID_IPV4_ADDR:
	case ID_IPV6_ADDR:
		if (addr_from_bytes(id_data(id), &a))
			addr_format(&a, text);
		else
			format_hex("#", id_data(id), text);
		break;
	case ID_FQDN:
	case ID_RFC822_ADDR:
		format_escaped(id_data(id), text);
		break;
	case ID_KEY_ID:
		if (printable(id_data(id)))
			format_escaped(id_data(id), text);
		else
			format_hex("@#", id_data(id), text);
		break;
	default:
		snprintf(head, sizeof(head), "{%u}:#", id->type);
		format_hex(head, id_data(id), text);
	}
	return text;
}

static bool is_name(const struct id *id)
{
	return id->type == ID_FQDN || id->type == ID_RFC822_ADDR;
}

static bool equal_nocase(const uint8_t *a, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t x = a[i], y = b[i];

		x = x >= 'A' && x <= 'Z' ? (uint8_t)(x + 32) : x;
		y = y >= 'A' && y <= 'Z' ? (uint8_t)(y + 32) : y;
		if (x != y)
			return false;
	}
	return true;
}

bool id_equal(const struct id *a, const struct id *b)
{
	if (a->type != b->type || a->len != b->len)
		return false;
	return is_name(a) ? equal_nocase(a->data, b->data, a->len)
			  : memcmp(a->data, b->data, a->len) == 0;
}

bool id_is_pattern(const struct id *id)
{
	return id->type == ID_ANY || (is_name(id) && id->len && id->data[0] == '*');
}

unsigned id_match(const struct id *pattern, const struct id *id)
{
	size_t tail;

	if (pattern->type == ID_ANY)
		return MATCH_ANY;
	if (id_equal(pattern, id))
		return MATCH_EXACT;
	if (pattern->type != id->type || !id_is_pattern(pattern))
		return 0;
	/* The star stands for at least one byte. */
	tail = pattern->len - 1u;
	if (id->len <= tail || !equal_nocase(pattern->data + 1, id->data + id->len - tail, tail))
		return 0;
	return MATCH_WILDCARD + (unsigned)tail;
}
