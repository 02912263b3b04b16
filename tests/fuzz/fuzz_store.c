/* Opens arbitrary memory as a store. The first byte odd: the checks are made right before, so that
 * what they guard is reached. What opens must be usable, and open again with the same content. */
#include "ipsecd/state/store_log.h"

#include <stdlib.h>

static _Alignas(8) uint8_t memory[16384];
static struct crc32c crc;
static char why[128];

static void mend_records(const struct store_slot *slot, size_t tail)
{
	uint64_t sequence = slot->first;

	for (size_t at = 0; at + sizeof(struct store_record) <= tail;) {
		struct store_record *r = (struct store_record *)(memory + slot->offset + at);

		r->sequence = sequence++;
		r->len %= tail - at - sizeof(*r) + 1;
		r->removes &= 1;
		r->state = r->state & 1 ? STORE_DEAD : STORE_LIVE;
		r->value_check = crc32c(&crc, 0, r + 1, r->len);
		at += store_log_size(r->len);
		r->check = store_log_record_check(&crc, r);
	}
}

static void mend(bool wanted)
{
	struct store_header *h = (struct store_header *)memory;
	struct store_slot *s = &h->slots[h->active & 1];
	size_t tail = s->tail % sizeof(memory) & ~(size_t)7;

	if (!wanted)
		return;
	h->magic = STORE_MAGIC;
	h->active = h->active & 1 ? STORE_SECOND : STORE_FIRST;
	s->check = store_log_slot_check(&crc, s);
	s->tail = store_log_pack_tail(&crc, s, tail);
	if (s->offset % 8 == 0 && s->offset >= 128 && s->offset <= sizeof(memory) - tail)
		mend_records(s, tail);
}

static bool sum(void *ctx, struct store_key key, struct span value)
{
	*(uint32_t *)ctx = crc32c(&crc, *(uint32_t *)ctx + key.kind, value.ptr, value.len);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t sums[2] = {0};
	struct store *s;

	crc32c_init(&crc);
	if (size < 2 || size > sizeof(memory))
		return 0;
	memset(memory, 0, sizeof(memory));
	memcpy(memory, data + 1, size - 1);
	mend(data[0] & 1);
	for (unsigned i = 0; i < 2; i++) {
		if (!store_open(memory, sizeof(memory), NULL, &s, why, sizeof(why)))
			return i ? abort(), 0 : 0;
		store_put(s, (struct store_key){1, 7}, span_of(data, size < 999 ? size : 999));
		store_commit(s);
		store_each(s, 0, UINT32_MAX, sum, &sums[i]);
		store_close(s);
	}
	return sums[0] == sums[1] ? 0 : (abort(), 0);
}
