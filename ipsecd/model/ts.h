/* Traffic selectors (RFC 7296 3.13) as plain data: ranges of one family. */
#ifndef DETOUR_TS_H
#define DETOUR_TS_H

#include "lib/addr.h"

#define TS_LIST_MAX 16
#define TS_TEXT	    128

struct ts {
	uint8_t family;	  /* AF_INET or AF_INET6 */
	bool dynamic;	  /* %dynamic: replaced by the own/peer address or virtual IP */
	uint8_t protocol; /* 0: any */
	uint16_t port_start, port_end; /* host order; ICMP type/code as RFC 4301 4.4.1.1 */
	uint8_t start[16], end[16];
};

struct ts_list {
	uint8_t n;
	struct ts ts[TS_LIST_MAX];
};

/* "10.1.0.0/16", "10.0.0.1-10.0.0.9", "::/0", "%dynamic", each with an optional
 * "[proto/port]" tail ("10.1.0.0/16[tcp/80]", "[udp/1000-2000]", "[gre]"). */
bool ts_parse(const char *text, struct ts *out);
void ts_from_prefix(const struct prefix *p, struct ts *out);
/* true and the prefix when the range is exactly one. */
bool ts_to_prefix(const struct ts *ts, struct prefix *out);
/* The prefixes that make up the range exactly, at most `max` of them; returns how many it
 * has, 0 for a dynamic one. */
unsigned ts_prefixes(const struct ts *ts, struct prefix *out, unsigned max);
/* "10.1.0.0/16", "10.0.0.1..10.0.0.9", "...[tcp/80]" as strongSwan writes them. */
const char *ts_format(const struct ts *ts, char *text);
const char *ts_list_format(const struct ts_list *l, char *text, size_t size); /* spaces between */

/* First above last is OPAQUE, in one form only (RFC 7296 3.13.1). */
bool ts_ports_fit(const struct ts *ts);
bool ts_equal(const struct ts *a, const struct ts *b);
/* Of the n entries that there are: `from` may be no longer than that. */
void ts_list_copy(struct ts_list *to, const struct ts_list *from);
bool ts_list_equal(const struct ts_list *a, const struct ts_list *b);
/* What both cover; false when nothing. */
bool ts_intersect(const struct ts *a, const struct ts *b, struct ts *out);
/* Every address, protocol and port of `inner` lies in `outer`. */
bool ts_contains(const struct ts *outer, const struct ts *inner);
bool ts_list_contains(const struct ts_list *outer, const struct ts_list *inner);
/* RFC 7296 2.9: the largest subset of `offered` that `ours` allows, without
 * duplicates or selectors inside others. Returns the count (0: TS_UNACCEPTABLE). */
unsigned ts_narrow(const struct ts_list *ours, const struct ts_list *offered, struct ts_list *out);
/* Puts the n hosts in place of each dynamic selector, as far as they have its family (those of
 * another one are dropped); or, ts_resolve_any, all addresses of the hosts' families. */
void ts_resolve(const struct ts_list *in, const struct addr *hosts, unsigned n,
		struct ts_list *out);
void ts_resolve_any(const struct ts_list *in, const struct addr *hosts, unsigned n,
		    struct ts_list *out);
/* An address, protocol and port (0 where the packet shows none) lies inside. */
bool ts_list_match(const struct ts_list *l, const struct addr *a, uint8_t protocol, uint16_t port);
/* The same of a packet that has ports and does not show them (a later fragment): inside is what
 * takes any port, or OPAQUE (RFC 4301 4.4.1.1, 7). */
bool ts_list_match_opaque(const struct ts_list *l, const struct addr *a, uint8_t protocol);
/* The same of the n selectors at ts. */
bool ts_any_match(const struct ts *ts, unsigned n, const struct addr *a, uint8_t protocol,
		  uint16_t port);
bool ts_any_match_opaque(const struct ts *ts, unsigned n, const struct addr *a, uint8_t protocol);

#endif
