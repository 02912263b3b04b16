/* A vnet header and a packet, as from a TUN device. First byte: bit 0: the checksum field gets
 * the pseudo-header's sum, so that what comes out has to be right; bit 1: the queue is congested.
 * Nothing is read or written out of bounds, segments are no longer than was said, no payload is
 * lost or invented. */
#include "ipsecd/dataplane/cut.h"
#include "tests/support/packets.h"

#include <stdlib.h>
#include <string.h>

static uint8_t *exact(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	return copy;
}

/* The kernel's sum where gso_type and the packet agree: a form says where the fields are. */
static bool prepare(uint8_t *packet, size_t len, struct virtio_net_hdr *vnet)
{
	struct packet_form f = {.udp = vnet->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4};
	size_t size = vnet->gso_size;
	uint8_t type = vnet->gso_type;

	if (type == 0 || !packet_seal(packet, len))
		return false;
	f.ipv6 = packet[0] >> 4 == 6;
	if ((f.ipv6 ? packet[6] : packet[9]) != (f.udp ? 17 : 6) || (!f.ipv6 && packet[0] != 0x45))
		return false;
	packet_make_super(packet, len, &f, size, vnet);
	return vnet->gso_type == type && size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size - 11, total = 0, headers = 0, count = 0, n;
	struct virtio_net_hdr vnet;
	uint8_t *packet, *out;
	enum cut_error e;
	struct cut cut;
	bool sound;

	if (size < 11 || len > VNET_PACKET_MAX)
		return 0;
	memcpy(&vnet, data + 1, sizeof(vnet));
	packet = exact(data + 11, len);
	sound = data[0] & 1 && prepare(packet, len, &vnet);
	e = cut_begin(&cut, &vnet, packet, len);
	if (e > CUT_CHECKSUM || (e != CUT_OK && cut_peek(&cut)))
		abort();
	headers = vnet.gso_type && e == CUT_OK ? cut.payload : 0;
	if (data[0] & 2 && e == CUT_OK && !cut_congested(&cut))
		total += vnet.gso_size < len - headers ? vnet.gso_size : len - headers;
	while ((n = cut_peek(&cut)) != 0 && count++ < 3000) {
		out = malloc(n);
		if (cut_next(&cut, out, n - 1) || cut_next(&cut, out, n) != n)
			abort();
		if (sound && !packet_is_right(out, n))
			abort();
		total += n - headers;
		free(out);
	}
	if (e == CUT_OK && count < 3000 && total + headers > len)
		abort();
	if (sound && e == CUT_OK && count < 3000 && headers && total + headers != len)
		abort();
	free(packet);
	return 0;
}
