/* Packets of whoever is at the other end of a tunnel: each is two bytes of length, one of
 * settings (bit 0: sealed with right checksums; bit 1: the other tunnel; bit 2: not UDP; bit 3:
 * a flush behind it) and its bytes. What comes out, cut again, is what went in, each once, the
 * segments of a super-packet byte for byte (but the identification with DF set), nothing wrong
 * made right. */
#include "ipsecd/dataplane/coalesce.h"
#include "ipsecd/dataplane/cut.h"
#include "lib/buf.h"
#include "tests/support/packets.h"

#include <stdlib.h>

#define PACKETS 128

static struct packet {
	uint8_t *given, *kept;
	size_t len;
	void *owner;
	bool out;
} packets[PACKETS];
static size_t count;
static uint8_t super[VNET_PACKET_MAX + 41], segment[VNET_PACKET_MAX + 41];

/* RFC 6864 4.1: with DF set it means nothing; neither does the header's checksum then. */
static bool same(const uint8_t *a, const uint8_t *b, size_t len)
{
	if (len < 20 || a[0] != 0x45 || !(a[6] & 0x40))
		return memcmp(a, b, len) == 0;
	return memcmp(a, b, 4) == 0 && memcmp(a + 6, b + 6, 4) == 0 &&
	       memcmp(a + 12, b + 12, len - 12) == 0;
}

static void tick_off(const uint8_t *bytes, size_t len, const void *owner, bool joined)
{
	for (size_t i = 0; i < count; i++) {
		struct packet *p = &packets[i];

		if (p->out || p->owner != owner || p->len != len || !same(bytes, p->kept, len))
			continue;
		if (joined ? !packet_is_right(p->kept, len) : memcmp(bytes, p->kept, len) != 0)
			continue;
		p->out = true;
		return;
	}
	abort();
}

static void take(void *ctx, void *owner, const struct iovec *iov, size_t n)
{
	const struct virtio_net_hdr *vnet = iov[0].iov_base;
	size_t len = 0;
	struct cut cut;

	(void)ctx;
	for (size_t i = 1; i < n; len += iov[i++].iov_len)
		memcpy(super + len, iov[i].iov_base, iov[i].iov_len);
	if (n < 2 || n > COALESCE_IOVS || (n == 2) != (vnet->gso_type == 0))
		abort();
	if (n == 2) {
		tick_off(super, len, owner, false);
		return;
	}
	if (cut_begin(&cut, vnet, super, len) != CUT_OK)
		abort();
	while ((len = cut_next(&cut, segment, sizeof(segment))) != 0)
		tick_off(segment, len, owner, true);
}

static void add(struct coalesce *c, const uint8_t *data, size_t len, uint8_t settings)
{
	struct packet *p = &packets[count++];

	*p = (struct packet){malloc(len ? len : 1), malloc(len ? len : 1), len};
	p->owner = settings & 2 ? packets : NULL;
	memcpy(p->given, data, len);
	if (settings & 1)
		packet_seal(p->given, len);
	memcpy(p->kept, p->given, len);
	coalesce_add(c, p->owner, settings & 4 ? COALESCE_TCP : COALESCE_TCP | COALESCE_UDP,
		     p->given, len);
	if (settings & 8)
		coalesce_flush(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct coalesce c;
	size_t at = 0, len;

	coalesce_init(&c, take, NULL);
	for (count = 0; count < PACKETS && size - at >= 3; at += len) {
		uint8_t settings = data[at + 2];

		len = be16_get(data + at);
		at += 3;
		if (len > size - at)
			len = size - at;
		add(&c, data + at, len, settings);
	}
	coalesce_flush(&c);
	for (size_t i = 0; i < count; i++) {
		if (!packets[i].out)
			abort();
		free(packets[i].given);
		free(packets[i].kept);
	}
	return 0;
}
