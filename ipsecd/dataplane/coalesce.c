/* Owns which packets are one flow and which of them may be joined. The rules are those of the
 * kernel's own GRO (and a little stricter: no ECE, no CWR, no FIN, no multicast, which the
 * kernel's multicast routing takes for oversized), so that a receiver sees what it would see
 * behind any network card. */
#include "ipsecd/dataplane/coalesce.h"

#include "ipsecd/dataplane/checksum.h"
#include "lib/buf.h"

#include <netinet/in.h>

#define IPV4_LEN  20 /* with options: alone */
#define IPV6_LEN  40
#define TCP_MIN	  20
#define UDP_LEN	  8
#define TCP_CHECK 16 /* offsets of the checksum */
#define UDP_CHECK 6
#define IP_CHECK  10

enum { TCP_PSH = 0x08, TCP_ACK = 0x10 };

/* A packet as it is looked at. */
struct view {
	struct coalesce_key key;
	uint8_t *packet;
	size_t len, transport, payload;
	bool keyed; /* key says which flow it is of; else it may be of any */
	bool fit;   /* as far as its headers say, it may be joined */
};

void coalesce_init(struct coalesce *c, coalesce_out *out, void *ctx)
{
	c->out = out;
	c->ctx = ctx;
	c->used = 0;
	for (uint8_t i = 0; i < COALESCE_FLOWS; i++)
		c->order[i] = i;
}

static bool is_ipv4(const uint8_t *packet)
{
	return packet[0] >> 4 == 4;
}

/* ---- looking at a packet ---- */

/* RFC 9293 3.1: no flag but ACK and PSH, nothing reserved, an urgent pointer that points nowhere.
 */
static void look_tcp(struct view *v)
{
	const uint8_t *tcp = v->packet + v->transport;
	size_t left = v->len - v->transport, header;

	if (left < TCP_MIN)
		return;
	header = (size_t)(tcp[12] >> 4) * 4;
	if (header < TCP_MIN || header >= left)
		return;
	v->payload = v->transport + header;
	v->fit = (tcp[12] & 15) == 0 && (tcp[13] & ~TCP_PSH) == TCP_ACK &&
		 checksum_word(tcp + TCP_CHECK) != 0xffff;
}

/* A datagram without a checksum would come out with one (RFC 768). */
static void look_udp(struct view *v)
{
	const uint8_t *udp = v->packet + v->transport;
	size_t left = v->len - v->transport;

	if (left <= UDP_LEN)
		return;
	v->payload = v->transport + UDP_LEN;
	v->fit = be16_get(udp + 4) == left && checksum_word(udp + UDP_CHECK) != 0;
}

static void look_transport(struct view *v, unsigned may_join)
{
	size_t left = v->len - v->transport;

	if (left < 4)
		return;
	memcpy(&v->key.ports, v->packet + v->transport, sizeof(v->key.ports));
	v->keyed = true;
	if (v->key.protocol == IPPROTO_TCP && may_join & COALESCE_TCP)
		look_tcp(v);
	else if (v->key.protocol == IPPROTO_UDP && may_join & COALESCE_UDP)
		look_udp(v);
}

static void look_ipv4(struct view *v, unsigned may_join)
{
	const uint8_t *p = v->packet;
	bool plain;

	if (v->len < IPV4_LEN)
		return;
	v->key.protocol = p[9];
	v->keyed = p[9] != IPPROTO_TCP && p[9] != IPPROTO_UDP;
	v->transport = IPV4_LEN;
	memcpy(&v->key.addresses[0], p + 12, 8);
	plain = p[0] == 0x45 && (be16_get(p + 6) & ~0x4000) == 0 && be16_get(p + 2) == v->len;
	if (v->keyed || !plain)
		return;
	look_transport(v, may_join);
	v->fit = v->fit && p[16] < 0xe0 && checksum_word(p + IP_CHECK) != 0xffff;
}

static bool is_extension(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT || next == IPPROTO_AH;
}

static void look_ipv6(struct view *v, unsigned may_join)
{
	const uint8_t *p = v->packet;

	if (v->len < IPV6_LEN)
		return;
	v->key.protocol = p[6];
	v->keyed = p[6] != IPPROTO_TCP && p[6] != IPPROTO_UDP && !is_extension(p[6]);
	v->transport = IPV6_LEN;
	memcpy(v->key.addresses, p + 8, 32);
	if (v->keyed || is_extension(p[6]) || IPV6_LEN + (size_t)be16_get(p + 4) != v->len)
		return;
	look_transport(v, may_join);
	v->fit = v->fit && p[24] != 0xff;
}

static void look(struct view *v, void *owner, unsigned may_join, uint8_t *packet, size_t len)
{
	*v = (struct view){.packet = packet, .len = len, .key.owner = owner};
	if (len == 0)
		return;
	v->key.version = packet[0] >> 4;
	if (v->key.version == 4)
		look_ipv4(v, may_join);
	else if (v->key.version == 6)
		look_ipv6(v, may_join);
}

/* ---- checksums ---- */

static uint64_t addresses(const uint8_t *packet)
{
	return is_ipv4(packet) ? checksum_add(0, packet + 12, 8) : checksum_add(0, packet + 8, 32);
}

static uint64_t pseudo(const uint8_t *packet, uint8_t protocol, size_t len)
{
	return addresses(packet) + checksum_number(protocol) + checksum_number(len);
}

static bool is_right(const uint8_t *packet, uint8_t protocol, size_t transport, size_t len)
{
	if (is_ipv4(packet) && checksum_fold(checksum_add(0, packet, IPV4_LEN)) != 0xffff)
		return false;
	return checksum_fold(checksum_add(pseudo(packet, protocol, len - transport),
					  packet + transport, len - transport)) == 0xffff;
}

/* ---- going out ---- */

static void finish_headers(struct coalesce_flow *f)
{
	uint8_t *p = f->packet, *transport = p + f->transport;
	bool tcp = f->key.protocol == IPPROTO_TCP;
	size_t check = tcp ? TCP_CHECK : UDP_CHECK;

	if (is_ipv4(p)) {
		be16_set(p + 2, (uint16_t)f->len);
		be16_set(p + IP_CHECK, 0);
		checksum_set(p + IP_CHECK, (uint16_t)~checksum_fold(checksum_add(0, p, IPV4_LEN)));
	} else {
		be16_set(p + 4, (uint16_t)(f->len - IPV6_LEN));
	}
	if (!tcp)
		be16_set(transport + 4, (uint16_t)(f->len - f->transport));
	checksum_set(transport + check,
		     checksum_fold(pseudo(p, f->key.protocol, f->len - f->transport)));
	f->vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = !tcp	 ? VIRTIO_NET_HDR_GSO_UDP_L4
			    : is_ipv4(p) ? VIRTIO_NET_HDR_GSO_TCPV4
					 : VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (uint16_t)f->payload,
		.gso_size = (uint16_t)f->size,
		.csum_start = (uint16_t)f->transport,
		.csum_offset = (uint16_t)check,
	};
}

static void put_out(struct coalesce *c, struct coalesce_flow *f)
{
	if (f->segments > 1)
		finish_headers(f);
	c->out(c->ctx, f->key.owner, f->iov, 1 + f->segments);
}

/* The flow at this place of the order; its slot becomes the first of the free ones. */
static void release(struct coalesce *c, size_t place)
{
	uint8_t slot = c->order[place];

	c->used--;
	memmove(c->order + place, c->order + place + 1, c->used - place);
	c->order[c->used] = slot;
	put_out(c, &c->flows[slot]);
}

/* One that nothing can be joined to any more waits for nothing. */
static void release_closed(struct coalesce *c, size_t place)
{
	if (c->flows[c->order[place]].closed)
		release(c, place);
}

void coalesce_flush(struct coalesce *c)
{
	while (c->used)
		release(c, 0);
}

static void put_alone(struct coalesce *c, const struct view *v)
{
	struct virtio_net_hdr vnet = {0};
	struct iovec iov[] = {{&vnet, sizeof(vnet)}, {v->packet, v->len}};

	c->out(c->ctx, v->key.owner, iov, 2);
}

/* ---- joining ---- */

static bool same_key(const struct coalesce_key *a, const struct coalesce_key *b)
{
	return a->ports == b->ports && a->owner == b->owner && a->protocol == b->protocol &&
	       a->version == b->version &&
	       memcmp(a->addresses, b->addresses, sizeof(a->addresses)) == 0;
}

/* Its place in the order; c->used: there is none. */
static size_t find(const struct coalesce *c, const struct coalesce_key *key)
{
	size_t place = 0;

	while (place < c->used && !same_key(&c->flows[c->order[place]].key, key))
		place++;
	return place;
}

/* Type of service, DF and time to live; with DF the identification means nothing. */
static bool continues_ipv4(const struct coalesce_flow *f, const uint8_t *p)
{
	const uint8_t *q = f->packet;

	return p[1] == q[1] && p[6] == q[6] && p[8] == q[8] &&
	       (p[6] & 0x40 || be16_get(p + 4) == f->id);
}

/* Traffic class, flow label and hop limit. */
static bool continues_ipv6(const struct coalesce_flow *f, const uint8_t *p)
{
	return memcmp(p, f->packet, 4) == 0 && p[7] == f->packet[7];
}

/* Acknowledgement, window, options. */
static bool continues_tcp(const struct coalesce_flow *f, const struct view *v)
{
	const uint8_t *p = v->packet + v->transport, *q = f->packet + f->transport;

	return v->payload == f->payload && be32_get(p + 4) == f->sequence &&
	       memcmp(p + 8, q + 8, 5) == 0 && memcmp(p + 14, q + 14, 2) == 0 &&
	       memcmp(p + 18, q + 18, v->payload - v->transport - 18) == 0;
}

static bool continues(struct coalesce_flow *f, const struct view *v)
{
	size_t payload = v->len - v->payload;
	uint8_t protocol = f->key.protocol;

	if (!v->fit || f->closed || payload > f->size || f->segments == VNET_SEGMENTS_MAX ||
	    f->len + payload > VNET_PACKET_MAX)
		return false;
	if (!(is_ipv4(v->packet) ? continues_ipv4(f, v->packet) : continues_ipv6(f, v->packet)) ||
	    (protocol == IPPROTO_TCP && !continues_tcp(f, v)))
		return false;
	if (!f->verified) /* who stays alone is the receiver's to check */
		f->verified = is_right(f->packet, protocol, f->transport, f->len);
	return f->verified && is_right(v->packet, protocol, v->transport, v->len);
}

static void join(struct coalesce_flow *f, const struct view *v)
{
	size_t payload = v->len - v->payload;

	f->segments++;
	f->iov[f->segments] = (struct iovec){v->packet + v->payload, payload};
	f->len += payload;
	f->sequence += (uint32_t)payload;
	f->id++;
	f->closed = payload < f->size || f->segments == VNET_SEGMENTS_MAX ||
		    f->len + f->size > VNET_PACKET_MAX;
	if (f->key.protocol == IPPROTO_TCP && v->packet[v->transport + 13] & TCP_PSH) {
		f->packet[f->transport + 13] |= TCP_PSH;
		f->closed = true;
	}
}

static void begin(struct coalesce *c, const struct view *v)
{
	const uint8_t *transport = v->packet + v->transport;
	bool tcp = v->key.protocol == IPPROTO_TCP;
	struct coalesce_flow *f;

	if (c->used == COALESCE_FLOWS)
		release(c, 0);
	f = &c->flows[c->order[c->used++]];
	f->key = v->key;
	f->packet = v->packet;
	f->transport = v->transport;
	f->payload = v->payload;
	f->size = v->len - v->payload;
	f->len = v->len;
	f->segments = 1;
	f->sequence = tcp ? be32_get(transport + 4) + (uint32_t)f->size : 0;
	f->id = (uint16_t)(be16_get(v->packet + 4) + 1);
	f->verified = false;
	f->closed = tcp && transport[13] & TCP_PSH;
	f->vnet = (struct virtio_net_hdr){0};
	f->iov[0] = (struct iovec){&f->vnet, sizeof(f->vnet)};
	f->iov[1] = (struct iovec){v->packet, v->len};
}

void coalesce_add(struct coalesce *c, void *owner, unsigned may_join, uint8_t *packet, size_t len)
{
	struct view v;
	size_t place;

	look(&v, owner, may_join, packet, len);
	if (!v.keyed) /* a fragment, say, of any of the flows */
		coalesce_flush(c);
	place = find(c, &v.key);
	if (place < c->used && continues(&c->flows[c->order[place]], &v)) {
		join(&c->flows[c->order[place]], &v);
		release_closed(c, place);
		return;
	}
	if (place < c->used)
		release(c, place);
	if (v.fit) {
		begin(c, &v);
		release_closed(c, c->used - 1);
	} else {
		put_alone(c, &v);
	}
}
