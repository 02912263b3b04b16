/* Built and checked without a line of the data plane's. */
#include "tests/support/packets.h"

#include "lib/buf.h"

#include <netinet/in.h>
#include <string.h>

enum { TCP = 20, UDP = 8 };

static uint32_t add(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

size_t packet_transport(const struct packet_form *f)
{
	return (f->ipv6 ? 40 : 20) + f->options;
}

size_t packet_headers(const struct packet_form *f)
{
	return packet_transport(f) + (f->udp ? UDP : TCP + f->tcp_options);
}

/* Where the transport header is, and its protocol; 0: nowhere. */
static size_t find(const uint8_t *p, size_t len, uint8_t *protocol)
{
	size_t at = 40;

	if (len < 20 || (p[0] >> 4 != 4 && (p[0] >> 4 != 6 || len < 40)))
		return 0;
	if (p[0] >> 4 == 4) {
		at = (size_t)(p[0] & 15) * 4;
		*protocol = p[9];
		return at >= 20 && (be16_get(p + 6) & 0x3fff) == 0 ? at : 0;
	}
	for (*protocol = p[6]; *protocol == IPPROTO_DSTOPTS || *protocol == IPPROTO_HOPOPTS;) {
		if (len < at + 8)
			return 0;
		*protocol = p[at];
		at += 8 + (size_t)p[at + 1] * 8;
	}
	return at;
}

static uint32_t pseudo(const uint8_t *p, uint8_t protocol, size_t len)
{
	uint8_t tail[8] = {0, 0, (uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0, protocol};
	uint32_t sum = p[0] >> 4 == 4 ? add(0, p + 12, 8) : add(0, p + 8, 32);

	return add(sum, tail, sizeof(tail));
}

static size_t check_at(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? 16 : 6;
}

static bool has_transport(const uint8_t *p, size_t len, size_t *at, uint8_t *protocol)
{
	*at = find(p, len, protocol);
	return *at && ((*protocol == IPPROTO_TCP && len >= *at + TCP) ||
		       (*protocol == IPPROTO_UDP && len >= *at + UDP));
}

bool packet_seal(uint8_t *p, size_t len)
{
	uint8_t protocol, *check;
	uint16_t sum;
	size_t at;

	if (!has_transport(p, len, &at, &protocol))
		return false;
	if (p[0] >> 4 == 4) {
		be16_set(p + 2, (uint16_t)len);
		be16_set(p + 10, 0);
		be16_set(p + 10, (uint16_t)~fold(add(0, p, (size_t)(p[0] & 15) * 4)));
	} else {
		be16_set(p + 4, (uint16_t)(len - 40));
	}
	if (protocol == IPPROTO_UDP)
		be16_set(p + at + 4, (uint16_t)(len - at));
	check = p + at + check_at(protocol);
	be16_set(check, 0);
	sum = (uint16_t)~fold(add(pseudo(p, protocol, len - at), p + at, len - at));
	be16_set(check, sum == 0 && protocol == IPPROTO_UDP ? 0xffff : sum);
	return true;
}

static void build_ip(uint8_t *out, const struct packet_form *f)
{
	uint8_t protocol = f->udp ? IPPROTO_UDP : IPPROTO_TCP;

	if (!f->ipv6) {
		out[0] = (uint8_t)(0x45 + f->options / 4);
		out[1] = f->tos;
		be16_set(out + 4, f->id);
		out[6] = f->df ? 0x40 : 0;
		out[8] = 64;
		out[9] = protocol;
		memcpy(out + 12, (uint8_t[]){10, 1, 0, f->host, 10, 2, 0, 2}, 8);
		memset(out + 20, 1, f->options); /* no operation */
		return;
	}
	be32_set(out, 0x60012345 | (uint32_t)f->tos << 20);
	out[6] = f->options ? IPPROTO_DSTOPTS : protocol;
	out[7] = 63;
	out[8] = out[24] = 0xfd;
	out[23] = f->host;
	out[39] = 2;
	for (size_t i = 0; i < f->options; i += 8) {
		memcpy(out + 40 + i, (uint8_t[]){IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0}, 8);
		if (i + 8 == f->options)
			out[40 + i] = protocol;
	}
}

static void build_transport(uint8_t *out, const struct packet_form *f)
{
	be16_set(out, f->port);
	be16_set(out + 2, 443);
	if (f->udp)
		return;
	be32_set(out + 4, f->sequence);
	be32_set(out + 8, 0x01020304);
	out[12] = (uint8_t)((TCP + f->tcp_options) / 4 << 4);
	out[13] = f->flags;
	be16_set(out + 14, 512);
	memset(out + TCP, 1, f->tcp_options);
}

size_t packet_build(uint8_t *out, const struct packet_form *f)
{
	size_t headers = packet_headers(f);

	memset(out, 0, headers);
	build_ip(out, f);
	build_transport(out + packet_transport(f), f);
	for (size_t i = 0; i < f->payload; i++)
		out[headers + i] = (uint8_t)(f->seed + i * 7);
	packet_seal(out, headers + f->payload);
	return headers + f->payload;
}

void packet_make_super(uint8_t *packet, size_t len, const struct packet_form *f, size_t gso_size,
		       struct virtio_net_hdr *vnet)
{
	size_t at = packet_transport(f);
	uint8_t protocol = f->udp ? IPPROTO_UDP : IPPROTO_TCP;
	size_t check = check_at(protocol);

	be16_set(packet + at + check, fold(pseudo(packet, protocol, len - at)));
	*vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = f->udp    ? VIRTIO_NET_HDR_GSO_UDP_L4
			    : f->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
				      : VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = (uint16_t)packet_headers(f),
		.gso_size = (uint16_t)gso_size,
		.csum_start = (uint16_t)at,
		.csum_offset = (uint16_t)check,
	};
}

bool packet_is_right(const uint8_t *p, size_t len)
{
	uint8_t protocol;
	size_t at, said;

	if (!has_transport(p, len, &at, &protocol))
		return false;
	said = p[0] >> 4 == 4 ? be16_get(p + 2) : 40 + (size_t)be16_get(p + 4);
	if (said != len || (protocol == IPPROTO_UDP && be16_get(p + at + 4) != len - at))
		return false;
	if (p[0] >> 4 == 4 && fold(add(0, p, (size_t)(p[0] & 15) * 4)) != 0xffff)
		return false;
	if (protocol == IPPROTO_UDP && be16_get(p + at + 6) == 0)
		return false;
	return fold(add(pseudo(p, protocol, len - at), p + at, len - at)) == 0xffff;
}
