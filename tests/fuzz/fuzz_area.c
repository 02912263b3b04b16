/* Hostile memory where an area should be, and good memory that was damaged. First byte: which;
 * then, of damaged memory, places (two bytes: which chunk, and where) and what is put there. What
 * is opened can be read, added to and freed; a slot that is damaged where nothing may change is
 * gone. */
#include "ipsecd/dataplane/area.h"

#include <stdlib.h>

#define CHUNKS 2

static _Alignas(AREA_CACHE_LINE) uint8_t memory[CHUNKS * AREA_CHUNK];
static struct child_sa child = {.id = 1,
				.spi_in = 0x1000,
				.in.encr_len = 36,
				.out.encr_len = 36,
				.local_ts.n = 1,
				.remote_ts.n = 2};

static void *give(void *ctx, unsigned n)
{
	(void)ctx;
	return n < CHUNKS ? memory + (size_t)n * AREA_CHUNK : NULL;
}

static void see_tunnel(void *ctx, struct area_slot *s)
{
	struct area_tunnel t;

	area_tunnel_get(s, &t);
	if (!memchr(t.config.name, 0, IF_NAMESIZE) || t.config.n_addrs > TUNNEL_ADDRS_MAX)
		abort();
	*(struct area_slot **)ctx = s;
}

static void see_child(void *ctx, struct area_slot *s)
{
	struct child_sa c;

	(void)ctx;
	area_child_get(s, &c, NULL);
	if (c.local_ts.n > TS_LIST_MAX || c.in.encr_len > sizeof(c.in.encr))
		abort();
	replay_resume(&area_child_live(s)->replay, c.replay_window, false);
	replay_commit(&area_child_live(s)->replay, sa_live_next(area_child_live(s), UINT32_MAX));
	if (c.id & 1)
		area_slot_free(s);
}

static void use(struct sa_area *a)
{
	struct area_tunnel t = {.id = 3};
	struct area_slot *tunnel = NULL;

	if (!a)
		return;
	if (!area_each_tunnel(a, see_tunnel, &tunnel) || !area_each_child(a, see_child, NULL))
		abort();
	if (!tunnel)
		tunnel = area_tunnel_put(a, &t);
	for (unsigned i = 0; tunnel && i < 8; i++)
		area_child_put(a, tunnel, &child, NULL);
	area_close(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct area_host host = {.chunk = give};
	struct sa_area *a;
	char why[160];

	if (size < 1 || size > AREA_CHUNK)
		return 0;
	memset(memory, 0, sizeof(memory));
	if (data[0] & 1) {
		use(area_open(&host, why, sizeof(why)));
		for (size_t i = 1; i + 3 <= size; i += 3)
			memory[(size_t)(data[i] >> 7) * AREA_CHUNK + (data[i] << 8 & 0x7f00) +
			       data[i + 1]] = data[i + 2];
	} else {
		memcpy(memory, data + 1, size - 1);
	}
	use(area_open(&host, why, sizeof(why)));
	return 0;
}
