/* Identities (RFC 7296 3.5) as plain data. */
#ifndef DETOUR_ID_H
#define DETOUR_ID_H

#include "lib/addr.h"

enum id_type {
	ID_ANY = 0, /* %any: matches every identity; never on the wire */
	ID_IPV4_ADDR = 1,
	ID_FQDN = 2,
	ID_RFC822_ADDR = 3,
	ID_IPV6_ADDR = 5,
	ID_DER_ASN1_DN = 9,
	ID_DER_ASN1_GN = 10,
	ID_KEY_ID = 11,
};

#define ID_DATA_MAX 255
#define ID_TEXT	    320

struct id {
	uint8_t type;
	uint8_t len;
	uint8_t data[ID_DATA_MAX];
};

/* As strongSwan reads identities: an address, name@host (RFC822), @name or a
 * plain word (FQDN), @#hex (KEY_ID), "keyid:", "fqdn:", "email:", "ipv4:",
 * "ipv6:" prefixes, %any. Distinguished names ("C=..., CN=...") are refused
 * until certificates come. false: not an identity (or too long). */
bool id_parse(const char *text, struct id *out);
void id_from_addr(const struct addr *a, struct id *out);
/* From the wire. false: length does not fit the type. */
bool id_from_wire(uint8_t type, struct span data, struct id *out);
bool id_fits(const struct id *id); /* the same of one that is there; %any is empty */
struct span id_data(const struct id *id);
/* Printable, hostile bytes escaped; text of ID_TEXT bytes. */
const char *id_format(const struct id *id, char *text);
bool id_equal(const struct id *a, const struct id *b); /* names without regard to case */
/* May it stand for more than one: ID_ANY, or an FQDN/e-mail with a leading "*" label? In other
 * kinds such a byte is one of an address or a key. */
bool id_is_pattern(const struct id *id);
/* Returns 0 for no match, else how specific it is (higher is better). */
unsigned id_match(const struct id *pattern, const struct id *id);

#endif
