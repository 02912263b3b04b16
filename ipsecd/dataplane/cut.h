/* A packet as a TUN device with IFF_VNET_HDR gives it, cut into the packets that go on the wire:
 * super-packets of TCP and UDP (GSO) into segments with headers and checksums of their own,
 * the others with their checksum completed. IPv4 and IPv6, with options and extension headers.
 * Pure, and safe on hostile bytes: nothing in the vnet header is believed that the packet does
 * not show. The packet stays where it is, unchanged, until the last segment is out.
 *
 *	if (cut_begin(&cut, &vnet, packet, len) == CUT_OK)
 *		while ((n = cut_next(&cut, out, room)) != 0)
 *			...
 */
#ifndef DETOUR_CUT_H
#define DETOUR_CUT_H

#include "ipsecd/dataplane/vnet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cut_error {
	CUT_OK,
	CUT_TRUNCATED, /* shorter than its headers say, or than they are */
	CUT_VERSION,   /* neither IPv4 nor IPv6 */
	CUT_HEADER,    /* an IP, TCP or UDP header that can't be */
	CUT_FRAGMENT,  /* a fragment that is to be cut */
	CUT_TYPE,      /* gso_type unknown, or another one than the packet is */
	CUT_SIZE,      /* gso_size 0, or segments of more than 65535 bytes */
	CUT_CHECKSUM,  /* csum_start, csum_offset outside, or not at the transport's checksum */
};

/* One packet being cut. All fields are cut.c's own. */
struct cut {
	const uint8_t *packet;
	size_t len;	  /* as the IP header says; of no header that says it: as given */
	size_t transport; /* where the transport header begins */
	size_t payload;	  /* where the payload begins: so long are the headers of each segment */
	size_t size;	  /* payload of each segment but the last */
	size_t next;	  /* where the next segment's payload begins */
	uint64_t pseudo;  /* sum of the pseudo-header without the length */
	uint16_t number;  /* of the next segment */
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; 0: one packet, as it is */
	bool accurate;	  /* AccECN: CWR in each segment */
	bool mark;	  /* the next segment says CE */
	bool begun;	  /* a segment was written */
	bool done;
	size_t sum_from, sum_at; /* without GSO: the checksum to be completed; sum_at 0: none */
};

/* packet: len bytes behind the vnet header; may have more than the IP packet, which are cut off. */
enum cut_error cut_begin(struct cut *c, const struct virtio_net_hdr *vnet, const uint8_t *packet,
			 size_t len);
/* Length of the next segment; 0: none is left. */
size_t cut_peek(const struct cut *c);
/* How many are left. */
size_t cut_left(const struct cut *c);
/* Writes the next segment to `out` and returns its length. 0: none is left, or `room` is too
 * small for it, which then is still to come. */
size_t cut_next(struct cut *c, uint8_t *out, size_t room);
/* A queue is congested, and the next segment shall tell its sender: true: it is marked CE (RFC
 * 3168 5), for its sender said ECT; false: it is left out. cut_next gives what is left. */
bool cut_congested(struct cut *c);

#endif
