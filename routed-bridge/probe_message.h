/* ICMP (RFC 792) and ICMPv6 (RFC 4443 4) echo, as probes of a tunnel: the peer's kernel answers.
 * Pure. A cookie that nobody else knows tells ours from others'. */
#ifndef DETOUR_PROBE_MESSAGE_H
#define DETOUR_PROBE_MESSAGE_H

#include "lib/span.h"

#include <stdbool.h>
#include <stdint.h>

#define PROBE_LEN 56 /* as ping's */

struct probe_echo {
	uint16_t id;
	uint64_t cookie;
	uint32_t seq;
};

/* A request from the ICMP header on; of ICMPv6 the kernel makes the checksum. */
void probe_put(uint8_t family, const struct probe_echo *e, uint8_t out[PROBE_LEN]);
/* A reply to one: from the IP header on for IPv4, from the ICMP header on for IPv6, as raw
 * sockets give it. false: something else. */
bool probe_parse(uint8_t family, struct span packet, struct probe_echo *out);

#endif
