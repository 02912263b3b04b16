/* The few bytes of an echo: type, checksum, identifier, our cookie and number behind it. */
#include "routed-bridge/probe_message.h"
#include "lib/buf.h"

#include <string.h>
#include <sys/socket.h>

#define ECHO_REQUEST  8 /* RFC 792 */
#define ECHO_REPLY    0
#define ECHO6_REQUEST 128 /* RFC 4443 4.1, 4.2 */
#define ECHO6_REPLY   129
#define COOKIE_AT     8
#define SEQ_AT	      16
#define IPV4_HEADER   20

/* RFC 1071. */
static uint16_t sum(struct span s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += i & 1 ? s.ptr[i] : (uint32_t)s.ptr[i] << 8;
	while (n >> 16)
		n = (n & 0xffff) + (n >> 16);
	return (uint16_t)n;
}

void probe_put(uint8_t family, const struct probe_echo *e, uint8_t out[PROBE_LEN])
{
	memset(out, 0, PROBE_LEN);
	out[0] = family == AF_INET6 ? ECHO6_REQUEST : ECHO_REQUEST;
	be16_set(out + 4, e->id);
	be16_set(out + 6, (uint16_t)e->seq);
	be64_set(out + COOKIE_AT, e->cookie);
	be32_set(out + SEQ_AT, e->seq);
	if (family != AF_INET6)
		be16_set(out + 2, (uint16_t)~sum(span_of(out, PROBE_LEN)));
}

static bool strip_ipv4(struct span *packet)
{
	size_t head;

	if (packet->len < IPV4_HEADER || packet->ptr[0] >> 4 != 4)
		return false;
	head = (size_t)(packet->ptr[0] & 15) * 4;
	if (head < IPV4_HEADER || packet->len < head)
		return false;
	*packet = span_of(packet->ptr + head, packet->len - head);
	return true;
}

bool probe_parse(uint8_t family, struct span packet, struct probe_echo *out)
{
	if (family != AF_INET6 && !strip_ipv4(&packet))
		return false;
	if (packet.len != PROBE_LEN ||
	    packet.ptr[0] != (family == AF_INET6 ? ECHO6_REPLY : ECHO_REPLY) || packet.ptr[1] != 0)
		return false;
	if (family != AF_INET6 && sum(packet) != 0xffff)
		return false;
	*out = (struct probe_echo){
		.id = be16_get(packet.ptr + 4),
		.cookie = be64_get(packet.ptr + COOKIE_AT),
		.seq = be32_get(packet.ptr + SEQ_AT),
	};
	return be16_get(packet.ptr + 6) == (uint16_t)out->seq;
}
