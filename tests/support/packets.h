/* Inner packets for tests: TCP and UDP over IPv4 and IPv6, built from a form, sealed with checksums
 * by arithmetic of their own (RFC 1071, two bytes at a time), and looked at by it. */
#ifndef DETOUR_TESTS_PACKETS_H
#define DETOUR_TESTS_PACKETS_H

#include "ipsecd/dataplane/vnet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX 65575 /* of IPv6 */

struct packet_form {
	bool ipv6, udp, df;
	uint8_t flags;	    /* TCP */
	uint8_t tos;	    /* traffic class */
	uint8_t host;	    /* last byte of the source address */
	uint16_t port;	    /* source */
	uint16_t id;	    /* IPv4 */
	size_t options;	    /* bytes of IPv4 options; IPv6: destination options headers of 8 */
	size_t tcp_options; /* bytes */
	uint32_t sequence;  /* TCP */
	size_t payload;	    /* bytes: byte i is (uint8_t)(seed + i * 7) */
	uint8_t seed;
};

/* Writes the packet, sealed, and returns its length. */
size_t packet_build(uint8_t *out, const struct packet_form *f);
size_t packet_headers(const struct packet_form *f);
size_t packet_transport(const struct packet_form *f);
/* Lengths and checksums as its other headers say. false: it can't be told where they are. */
bool packet_seal(uint8_t *packet, size_t len);
/* As the kernel hands a super-packet over: the pseudo-header's sum in the checksum field. */
void packet_make_super(uint8_t *packet, size_t len, const struct packet_form *f, size_t gso_size,
		       struct virtio_net_hdr *vnet);
/* All lengths and checksums are right. */
bool packet_is_right(const uint8_t *packet, size_t len);

#endif
