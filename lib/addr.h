/* Addresses, endpoints and prefixes of either family, as plain values.
 * Bytes are in network order; ports are host integers. family is 0 (none),
 * AF_INET or AF_INET6; unused bytes are zero, so that memcmp compares. */
#ifndef DETOUR_ADDR_H
#define DETOUR_ADDR_H

#include "lib/span.h"

#include <sys/socket.h>

#define ADDR_TEXT     48 /* longest address, with the final NUL */
#define ENDPOINT_TEXT 56 /* "addr[port]" */
#define PREFIX_TEXT   52 /* "addr/len" */

struct addr {
	uint8_t family;
	uint8_t bytes[16];
};

struct endpoint {
	struct addr addr;
	uint16_t port;
};

struct prefix {
	struct addr addr;
	uint8_t len;
};

size_t addr_size(uint8_t family); /* 4, 16 or 0 */
struct span addr_span(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);
/* For tables of places: not of use against who chooses addresses. The first `most` bytes count. */
uint32_t addr_hash(const struct addr *a, size_t most, uint32_t seed);
bool addr_is_any(const struct addr *a);	       /* family 0, 0.0.0.0 or :: */
bool addr_is_loopback(const struct addr *a);   /* 127.0.0.0/8, ::1 */
bool addr_is_multicast(const struct addr *a);  /* 224.0.0.0/3 with what is reserved, ff00::/8 */
bool addr_is_link_local(const struct addr *a); /* fe80::/10 */
int addr_compare(const struct addr *a, const struct addr *b);
/* A numeric address; false for anything else (names, zones). */
bool addr_parse(const char *text, struct addr *out);
/* From 4 or 16 bytes; false for any other length. */
bool addr_from_bytes(struct span bytes, struct addr *out);
/* Writes into `text` (ADDR_TEXT bytes) and returns it; "%any" for family 0. */
const char *addr_format(const struct addr *a, char *text);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
/* "192.0.2.1[500]", "2001:db8::1[4500]", as strongSwan's logs write it. */
const char *endpoint_format(const struct endpoint *e, char *text);
/* ADDRESS:PORT as servers are named, "127.0.0.1:9100", "[::1]:9100"; false for anything else,
 * names and port 0 included. The reverse writes ENDPOINT_TEXT bytes. */
bool endpoint_parse(const char *text, struct endpoint *out);
const char *endpoint_format_url(const struct endpoint *e, char *text);
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out);
bool endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out);

/* "10.0.0.0/8" or a lone address (a host prefix). Host bits are kept: see prefix_mask. */
bool prefix_parse(const char *text, struct prefix *out);
const char *prefix_format(const struct prefix *p, char *text);
bool prefix_equal(const struct prefix *a, const struct prefix *b);
struct prefix prefix_mask(const struct prefix *p); /* host bits cleared */
bool prefix_contains(const struct prefix *p, const struct addr *a);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);

#endif
