/* Fuzzes the data-plane protocol as the process reads it: a stream of messages; what is
 * understood survives being encoded, and what is given to the table leaves it whole. */
#include "routed-bridge/bfd_table.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct bfddp_message *m)
{
	uint8_t memory[BFDDP_SESSION_SIZE], again[BFDDP_SESSION_SIZE];
	struct buf b = buf_over(memory, sizeof(memory)), c = buf_over(again, sizeof(again));
	struct bfddp_message back;

	bfddp_encode(&b, m);
	if (bfddp_parse(buf_span(&b), &back, NULL) != BFDDP_OK || back.size != b.len)
		abort();
	bfddp_encode(&c, &back);
	if (!span_equal(buf_span(&b), buf_span(&c)))
		abort();
}

static void use(struct bfd_table *t, const struct bfddp_message *m, mono_time now)
{
	struct bfd_peer *p;

	switch (m->type) {
	case BFDDP_ADD_SESSION:
		if (bfd_table_put(t, &m->session, m->id & 3, now, &p) != BFD_PUT_NO_MEMORY &&
		    bfd_table_find(t, m->session.discriminator) != p)
			abort();
		break;
	case BFDDP_DELETE_SESSION:
		p = bfd_table_find(t, m->session.discriminator);
		if (p)
			bfd_table_remove(t, p);
		break;
	case BFDDP_STATE_CHANGE:
		bfd_table_orphan(t, m->id & 3, now);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bfd_table *t = bfd_table_new(1);
	size_t pos = 0, offset = 0;
	mono_time now = MONO_S;

	while (t && pos < size) {
		struct bfddp_message m = {0};
		enum bfddp_error e = bfddp_parse(span_of(data + pos, size - pos), &m, &offset);

		if (e == BFDDP_MORE || e == BFDDP_BAD_VERSION || e == BFDDP_BAD_LENGTH)
			break;
		if (m.size < BFDDP_HEADER_SIZE || m.size > size - pos || offset > size)
			abort();
		if (e == BFDDP_OK && m.type < BFDDP_TYPES) {
			compare(&m);
			use(t, &m, now += MONO_MS);
		}
		pos += m.size;
	}
	bfd_table_free(t);
	return 0;
}
