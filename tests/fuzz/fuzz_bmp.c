/* Fuzzes a BMP stream as a connection is read: messages, BGP in them, the table of paths;
 * then a second connection with the same bytes, whose end sweeps. */
#include "routed-bridge/bmp_feed.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(void *ctx, const struct prefix *prefix, const struct path *first)
{
	struct prefix masked = prefix_mask(prefix);
	size_t *paths = ctx;

	if (!prefix_equal(prefix, &masked) || prefix->len > addr_size(prefix->addr.family) * 8)
		abort();
	for (; first; first = first->next) {
		if (!first->peer->up || first->attrs->as_length > first->attrs->n_as)
			abort();
		path_has_as(first, UINT32_MAX);
		(*paths)++;
	}
}

static void check_table(struct paths *p)
{
	struct paths_count n = paths_count(p);
	struct path_change change;
	size_t paths = 0;

	paths_each_prefix(p, check_path, &paths);
	if (paths != n.paths || n.attrs > n.paths)
		abort();
	while (paths_change(p, &change)) {
		if (change.kind != PATH_CHANGE_PREFIX && !change.peer)
			abort();
	}
}

static void feed(struct paths *p, const uint8_t *data, size_t size, mono_time now)
{
	struct bmp_feed *f = bmp_feed_new(p, NULL, now);
	struct bmp_fault fault = {0};
	struct bmp_message m;
	enum bmp_error e = BMP_OK;
	bool ended = false;
	size_t pos = 0;
	char why[128];

	while (f && e == BMP_OK && !ended) {
		e = bmp_parse_message(span_of(data + pos, size - pos), &m, &fault);
		if (e != BMP_OK)
			break;
		e = bmp_feed_take(f, &m, now, &fault, &ended, why, sizeof(why));
		if (e != BMP_OK && fault.offset > m.size)
			abort();
		pos += m.size;
	}
	if (f)
		bmp_feed_expire(f, bmp_feed_deadline(f));
	bmp_feed_free(f);
	check_table(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct paths *p = paths_new();

	feed(p, data, size, MONO_S);
	feed(p, data + size / 2, size - size / 2, 100 * MONO_S);
	paths_free(p);
	return 0;
}
