/* Hostile payloads in any order: each a length (16 bits), a step of the number (8, signed) and
 * bytes. Nothing is read or written out of bounds, what is kept is bounded, and no more comes out
 * than came in. */
#include "ipsecd/dataplane/aggfrag.h"
#include "lib/buf.h"

#include <stdlib.h>
#include <string.h>

static size_t taken, total;
static volatile unsigned sum;

static void take(void *ctx, uint8_t *packet, size_t len, bool stays)
{
	(void)ctx;
	(void)stays;
	for (size_t i = 0; i < len; i++)
		sum += packet[i]; /* read all of it */
	taken += len;
	if (taken > total || len < (packet[0] >> 4 == 4 ? 20 : 40))
		abort();
}

static void feed(struct aggfrag_open *o, uint64_t seq, const uint8_t *bytes, size_t len,
		 mono_time now)
{
	uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, bytes, len);
	aggfrag_open_input(o, seq, copy, len, now, take, NULL);
	free(copy);
	if (o->held_bytes > 256 << 10 || o->n_held > o->window || o->part_room > 65575 ||
	    o->have > o->part_room)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct aggfrag_open o;
	uint64_t seq = 1000;
	mono_time now = 1;

	taken = total = 0;
	aggfrag_open_init(&o, size ? data[0] : 0, 10 * MONO_MS);
	for (size_t at = 1, len; at + 3 < size; at += len) {
		len = be16_get(data + at) & 0x3ff;
		seq += (uint64_t)(int64_t)(int8_t)data[at + 2];
		at += 3;
		len = len < size - at ? len : size - at;
		total += len;
		feed(&o, seq ? seq : 1, data + at, len, now);
		now += seq % 7 * MONO_MS;
		aggfrag_open_expire(&o, now, take, NULL);
	}
	aggfrag_open_free(&o);
	return 0;
}
