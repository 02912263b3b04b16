/* Datagrams of the NAT-T port, told apart by their first bytes (RFC 3948 2.2, 2.3). The kernel
 * merges whatever has the same addresses, ports and length, so that IKE may stand among ESP: each
 * datagram is looked at, as if it had come alone, and their order stays. */
#include "ipsecd/net/udp_frame.h"

struct udp_frames udp_frames_of(uint8_t *data, size_t len, size_t size, bool natt)
{
	return (struct udp_frames){
		.at = data, .len = len, .size = size && size < len ? size : len, .natt = natt};
}

static enum udp_frame_kind kind_of(const struct udp_frames *f, size_t at, size_t len)
{
	static const uint8_t marker[UDP_MARKER_LEN];
	const uint8_t *p = f->at + at;

	if (!f->natt)
		return UDP_FRAME_IKE;
	if (len == 1 && p[0] == 0xff) /* RFC 3948 2.3 */
		return UDP_FRAME_KEEPALIVE;
	if (len < UDP_MARKER_LEN)
		return UDP_FRAME_RUNT;
	return memcmp(p, marker, sizeof(marker)) == 0 ? UDP_FRAME_IKE : UDP_FRAME_ESP;
}

static size_t length_at(const struct udp_frames *f, size_t at)
{
	return f->len - at < f->size ? f->len - at : f->size;
}

bool udp_frames_next(struct udp_frames *f, struct udp_frame *out)
{
	size_t len = length_at(f, 0), marker = 0;
	enum udp_frame_kind kind;
	unsigned n = 1;

	*out = (struct udp_frame){0};
	if (f->ended)
		return false;
	kind = kind_of(f, 0, len);
	while (kind == UDP_FRAME_ESP && len < f->len &&
	       kind_of(f, len, length_at(f, len)) == UDP_FRAME_ESP) {
		len += length_at(f, len);
		n++;
	}
	if (kind == UDP_FRAME_IKE && f->natt)
		marker = UDP_MARKER_LEN;
	*out = (struct udp_frame){.kind = kind,
				  .data = f->at + marker,
				  .len = len - marker,
				  .size = n > 1 ? f->size : len - marker,
				  .datagrams = n};
	f->at += len;
	f->len -= len;
	f->ended = f->len == 0;
	return true;
}
