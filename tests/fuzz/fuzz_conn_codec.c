/* Reads arbitrary bytes as a connection, settings, a secret, what a script was told or a pool, by
 * the first byte. The length in the head is made right, so that the rest is reached. What is
 * accepted must encode to the same bytes, and a connection to one that is equal. */
#include "ipsecd/publish_body.h"

#include <stdlib.h>

static uint8_t again[1 << 20];

static void same(struct codec_result r, const struct buf *b, struct span in)
{
	if (r.error || !span_equal(buf_span(b), in))
		abort();
}

static void conn(struct span in)
{
	struct buf b = buf_over(again, sizeof(again));
	struct conn *first, *second;

	if (conn_decode(in, &first).error)
		return;
	same(conn_encode(first, &b), &b, in);
	if (conn_decode(in, &second).error || conn_compare(first, second) != CONN_SAME)
		abort();
	conn_free(first);
	conn_free(second);
}

static void settings(struct span in)
{
	struct buf b = buf_over(again, sizeof(again));
	struct settings s;

	if (!settings_decode(in, &s).error)
		same(settings_encode(&s, &b), &b, in);
}

static void secret(struct span in)
{
	struct buf b = buf_over(again, sizeof(again));
	bool with_bytes;
	struct secret *s;

	if (secret_decode(in, &s, &with_bytes).error)
		return;
	same(secret_encode(s, with_bytes, &b), &b, in);
	secret_free(s);
}

static void updown(struct span in)
{
	struct buf b = buf_over(again, sizeof(again));
	struct updown_told told;

	if (publish_decode_updown(in, &told).error)
		return;
	same(publish_encode_updown(&told, &b), &b, in);
	updown_told_clear(&told);
}

static void pool(struct span in)
{
	struct buf b = buf_over(again, sizeof(again));
	struct publish_pool p;

	if (!publish_decode_pool(in, &p).error)
		same(publish_encode_pool(&p, &b), &b, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(struct span in) = {conn, settings, secret, updown, pool};
	uint8_t *copy;

	if (size < 9 || size > 65536)
		return 0;
	copy = malloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	be32_set(copy + 4, (uint32_t)(size - 1));
	kinds[data[0] % 5](span_of(copy, size - 1));
	free(copy);
	return 0;
}
