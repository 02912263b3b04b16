/* ICMP from anybody. First byte: the family; the rest is the message. The checksum is made to
 * fit, so that what lies behind it is reached. What is taken names IKE or ESP. */
#include "ipsecd/net/icmp_message.h"
#include "lib/buf.h"

#include <stdlib.h>

static void seal(uint8_t *packet, size_t len)
{
	size_t head = len ? (size_t)(packet[0] & 15) * 4 : 0;
	uint32_t sum = 0;

	if (len < head + 4)
		return;
	packet[head + 2] = packet[head + 3] = 0;
	for (size_t i = head; i < len; i++)
		sum += (i - head) & 1 ? packet[i] : (uint32_t)packet[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	be16_set(packet + head + 2, (uint16_t)~sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t family = size && data[0] & 1 ? AF_INET6 : AF_INET;
	struct icmp_quote q, untouched;
	enum icmp_fault f;
	uint8_t *copy;
	size_t offset;

	if (size < 1 || size > 2000)
		return 0;
	memset(&q, 0xa5, sizeof(q));
	untouched = q;
	copy = malloc(size); /* an allocation of its own: every overread is seen */
	memcpy(copy, data + 1, size - 1);
	if (family == AF_INET && !(data[0] & 2))
		seal(copy, size - 1);
	f = icmp_parse(family, span_of(copy, size - 1), &q, &offset);
	free(copy);
	if (offset > size - 1 || !icmp_strerror(f))
		abort();
	if (f ? memcmp(&q, &untouched, sizeof(q)) != 0
	      : q.from.addr.family != family || q.to.addr.family != family)
		abort();
	return 0;
}
