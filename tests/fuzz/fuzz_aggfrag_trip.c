/* Packets of the lengths that the input draws, in payloads of the sizes that it draws, the second
 * of two before the first where it says so: all come, in order, as they were. */
#include "ipsecd/dataplane/aggfrag.h"
#include "lib/buf.h"

#include <stdlib.h>
#include <string.h>

static size_t given, taken, left;
static const uint8_t *in;

static unsigned draw(void)
{
	return left ? left--, *in++ : 0;
}

static void build(uint8_t *p, size_t len, size_t number)
{
	memset(p, (int)number, len);
	p[0] = number & 1 ? 0x60 : 0x45;
	be16_set(p + (number & 1 ? 4 : 2), (uint16_t)(number & 1 ? len - 40 : len));
	be32_set(p + 8, (uint32_t)number);
}

static void take(void *ctx, uint8_t *packet, size_t len, bool stays)
{
	static uint8_t expected[70000];

	(void)ctx;
	(void)stays;
	build(expected, len, taken++);
	if (memcmp(expected, packet, len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t payloads[2][1500];
	struct aggfrag_pack pack = {.whole = size && data[0] & 1};
	size_t lens[2], n = 0, of_packets;
	struct aggfrag_open o;
	uint64_t seq = 2;

	in = data;
	left = size;
	given = taken = 0;
	aggfrag_open_init(&o, 1, 10 * MONO_MS);
	aggfrag_open_input(&o, 1, (uint8_t[4]){0}, 4, 1, take, NULL); /* the first number */
	while (left || pack.used || n) {
		size_t len = 40 + draw() * (pack.whole ? 5u : 37u), room = 64 + draw() * 5u;
		uint8_t *at = left ? aggfrag_pack_place(&pack, len, 1 << 16) : NULL;

		if (at)
			build(at, len, given++);
		if (at && !aggfrag_pack_put(&pack, len))
			abort();
		lens[n] = aggfrag_pack_take(&pack, payloads[n], pack.whole ? 1400 : room,
					    draw() & 1, &of_packets);
		if (n++ == 0 && draw() & 1)
			continue;
		for (unsigned i = (unsigned)n; i--;)
			aggfrag_open_input(&o, seq + i, payloads[i], lens[i], 1, take, NULL);
		seq += n;
		n = 0;
	}
	if (given != taken || o.counts[AGGFRAG_LOST])
		abort();
	aggfrag_pack_free(&pack);
	aggfrag_open_free(&o);
	return 0;
}
