/* Decrypted packets on their way up: TCP segments and UDP datagrams of one flow that lie one
 * behind another are joined into a super-packet, which the kernel takes in one write with a vnet
 * header (GSO). Nothing is copied: a super-packet is a list of pointers into the buffers that the
 * packets were given in, whose headers are changed there. Pure, no allocation.
 *
 * Only what cut.h (or the kernel) would cut into the same packets again is joined: same headers
 * but for length, checksum, identification and sequence number, right checksums, nothing but ACK
 * and PSH, payloads of one size of which the last may be shorter. All else goes alone. The order
 * inside a flow is kept; IPv4's identification with DF set has no meaning (RFC 6864 4.1), and may
 * come out counted up where it was something else. */
#ifndef DETOUR_COALESCE_H
#define DETOUR_COALESCE_H

#include "ipsecd/dataplane/vnet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define COALESCE_FLOWS 8
#define COALESCE_IOVS  (1 + VNET_SEGMENTS_MAX)

/* What the device of a packet takes joined; 0: nothing, one without a vnet header. */
enum { COALESCE_TCP = 1, COALESCE_UDP = 2 };

/* One packet or super-packet for `owner`. iov[0] is its vnet header (struct virtio_net_hdr), the
 * rest, n - 1, the packet. Valid during the call. */
typedef void coalesce_out(void *ctx, void *owner, const struct iovec *iov, size_t n);

/* Addresses and ports as they are in the packet, the rest zero. */
struct coalesce_key {
	void *owner;
	uint64_t addresses[4];
	uint32_t ports;
	uint8_t version, protocol;
};

struct coalesce_flow {
	struct coalesce_key key;
	uint8_t *packet;  /* the first one, whose headers are the super-packet's */
	size_t transport; /* offsets in it */
	size_t payload;
	size_t size; /* payload of the first one */
	size_t len;  /* of the super-packet */
	size_t segments;
	uint32_t sequence; /* expected next */
	uint16_t id;
	bool verified; /* the first one's checksums */
	bool closed;   /* nothing may be joined: the last one was short, or had PSH */
	struct virtio_net_hdr vnet;
	struct iovec iov[COALESCE_IOVS];
};

struct coalesce {
	coalesce_out *out;
	void *ctx;
	size_t used;
	uint8_t order[COALESCE_FLOWS]; /* those in use, the oldest first; then those that are not */
	struct coalesce_flow flows[COALESCE_FLOWS];
};

void coalesce_init(struct coalesce *c, coalesce_out *out, void *ctx);
/* One whole IP packet, of the length that its header says (inner_parse). It must stay where it is,
 * writable, until it is out: in this call, as the last one of a super-packet is, a later one, or
 * coalesce_flush. */
void coalesce_add(struct coalesce *c, void *owner, unsigned may_join, uint8_t *packet, size_t len);
/* All that is held goes out, the oldest flow first. */
void coalesce_flush(struct coalesce *c);

#endif
