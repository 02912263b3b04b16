/* The memory that outlives a data plane: its chunks, and which slots are free. */
#include "ipsecd/dataplane/area_layout.h"

#include <stdio.h>
#include <stdlib.h>

#define AREA_MAGIC UINT64_C(0x0a61657261726465) /* "edrarea\n" */

static const unsigned sizes[AREA_SIZES] = {AREA_LINES_CHILD, AREA_LINES_TUNNEL, AREA_LINES_LONGEST};

/* ---- slots ---- */

static struct chunk_line *line_of(const struct sa_area *a, unsigned chunk)
{
	return a->chunks[chunk];
}

static unsigned slots_of(unsigned lines)
{
	return (CHUNK_LINES - 1) / lines;
}

static struct slot *slot_at(const struct sa_area *a, uint32_t index)
{
	struct chunk_line *chunk = line_of(a, index / CHUNK_LINES);

	return (struct slot *)(chunk + 1 + (size_t)(index % CHUNK_LINES) * chunk->slot_lines);
}

static size_t bytes_of(const struct area_slot *h)
{
	return (size_t)line_of(h->area, h->index / CHUNK_LINES)->slot_lines * AREA_CACHE_LINE;
}

/* Busy first: a kill on the way has it cleansed by the next process. */
static void cleanse(struct slot *s, size_t len)
{
	uint8_t *bytes = (uint8_t *)s;

	area_set32(&s->state, SLOT_BUSY);
	explicit_bzero(bytes + sizeof(s->state), len - sizeof(s->state));
	area_set32(&s->state, SLOT_FREE);
}

static void push_free(struct area_slot *h)
{
	uint32_t lines = line_of(h->area, h->index / CHUNK_LINES)->slot_lines;
	unsigned i = 0;

	while (sizes[i] != lines)
		i++;
	h->next_free = h->area->free[i];
	h->area->free[i] = h;
}

void area_slot_free(struct area_slot *s)
{
	if (!s)
		return;
	s->area->counts[s->slot->state]--;
	cleanse(s->slot, bytes_of(s));
	push_free(s);
}

struct area_slot *area_slot_at(const struct sa_area *a, uint32_t index)
{
	return &a->slots[index / CHUNK_LINES][index % CHUNK_LINES];
}

/* What a former process left in a slot. */
static void take_slot(struct sa_area *a, struct area_slot *h)
{
	struct slot *s = h->slot;
	bool good = s->state == SLOT_FREE;

	if (s->state == SLOT_TUNNEL || s->state == SLOT_CHILD) {
		good = area_slot_good(s, bytes_of(h));
		if (good) {
			a->counts[s->state]++;
			if (s->serial > a->last_serial)
				a->last_serial = s->serial;
			return;
		}
	}
	if (!good) {
		a->dropped++;
		cleanse(s, bytes_of(h));
	}
	push_free(h);
}

/* A CHILD_SA without its tunnel serves nothing. */
static bool has_tunnel(const struct sa_area *a, const struct slot *s)
{
	uint32_t index = s->body.child.fixed.tunnel_index, chunk = index / CHUNK_LINES;
	const struct slot *t;

	if (chunk >= a->n_chunks || index % CHUNK_LINES >= slots_of(line_of(a, chunk)->slot_lines))
		return false;
	t = slot_at(a, index);
	return t->state == SLOT_TUNNEL && t->serial == s->body.child.fixed.tunnel;
}

static void each_slot(struct sa_area *a, enum slot_state kind,
		      void (*cb)(void *ctx, struct area_slot *s), void *ctx)
{
	for (unsigned n = 0; n < a->n_chunks; n++) {
		for (unsigned i = 0; i < slots_of(line_of(a, n)->slot_lines); i++)
			if (a->slots[n][i].slot->state == kind)
				cb(ctx, &a->slots[n][i]);
	}
}

static void drop_orphan(void *ctx, struct area_slot *h)
{
	struct sa_area *a = ctx;

	if (has_tunnel(a, h->slot))
		return;
	a->dropped++;
	area_slot_free(h);
}

/* ---- chunks ---- */

static void *plain_chunk(void *ctx, unsigned n)
{
	(void)n;
	(void)ctx;
	return aligned_alloc(AREA_CACHE_LINE, AREA_CHUNK);
}

static bool is_plain(const struct sa_area *a)
{
	return a->host.chunk == plain_chunk;
}

static void *ask_chunk(struct sa_area *a)
{
	void *chunk = a->host.chunk(a->host.ctx, a->n_chunks);

	if (chunk && is_plain(a))
		memset(chunk, 0, AREA_CHUNK);
	return chunk;
}

/* Room for one more in the tables, before the host is asked. */
static bool tables_grow(struct sa_area *a, unsigned slots)
{
	void **chunks = realloc(a->chunks, (a->n_chunks + 1) * sizeof(*chunks));
	struct area_slot **tables;

	if (!chunks)
		return false;
	a->chunks = chunks;
	tables = realloc(a->slots, (a->n_chunks + 1) * sizeof(struct area_slot *));
	if (!tables)
		return false;
	a->slots = tables;
	tables[a->n_chunks] = calloc(slots, sizeof(**tables));
	return tables[a->n_chunks] != NULL;
}

/* The last ones first onto the list, so that low ones are used first. */
static void chunk_enter(struct sa_area *a, void *chunk)
{
	unsigned n = a->n_chunks++;

	a->chunks[n] = chunk;
	for (unsigned i = slots_of(line_of(a, n)->slot_lines); i-- > 0;) {
		struct area_slot *h = &a->slots[n][i];

		h->area = a;
		h->index = n * CHUNK_LINES + i;
		h->slot = slot_at(a, h->index);
		take_slot(a, h);
	}
}

/* Nothing is in it afterwards but what is in the first line. */
static void chunk_format(struct chunk_line *chunk, unsigned lines)
{
	explicit_bzero(chunk + 1, AREA_CHUNK - sizeof(*chunk));
	area_set32(&chunk->slot_lines, lines);
}

static bool grow(struct sa_area *a, unsigned size)
{
	void *chunk;

	if (a->n_chunks >= AREA_CHUNKS_MAX || !tables_grow(a, slots_of(sizes[size])))
		return false;
	chunk = ask_chunk(a);
	if (!chunk) {
		free(a->slots[a->n_chunks]);
		return false;
	}
	chunk_format(chunk, sizes[size]);
	chunk_enter(a, chunk);
	area_set32(&a->header->chunks, a->n_chunks);
	return true;
}

static bool size_good(uint32_t lines)
{
	for (unsigned i = 0; i < AREA_SIZES; i++)
		if (sizes[i] == lines)
			return true;
	return false;
}

/* A chunk of a former process. */
static void chunk_adopt(struct sa_area *a, struct chunk_line *chunk)
{
	if (!size_good(chunk->slot_lines)) {
		a->dropped++;
		chunk_format(chunk, AREA_LINES_CHILD);
	}
	chunk_enter(a, chunk);
}

/* ---- opening ---- */

static struct header header_of_ours(void)
{
	return (struct header){
		.magic = AREA_MAGIC,
		.version = AREA_VERSION,
		.slot_size = (AREA_LINES_CHILD + AREA_LINES_TUNNEL + AREA_LINES_LONGEST) *
			     AREA_CACHE_LINE,
		.live_size = sizeof(struct sa_live),
		.child_size = sizeof(struct child_sa),
		.tunnel_size = sizeof(struct area_tunnel),
		.chunk_size = AREA_CHUNK,
	};
}

static bool header_good(const struct header *h, char *why, size_t size)
{
	const struct header ours = header_of_ours();

	if (h->magic != AREA_MAGIC) {
		snprintf(why, size,
			 "the memory is no state of a data plane: it begins with %016llx",
			 (unsigned long long)h->magic);
	} else if (h->version != AREA_VERSION) {
		snprintf(why, size, "the data plane's state has version %u, this program's is %u",
			 h->version, AREA_VERSION);
	} else if (memcmp(&h->version, &ours.version,
			  offsetof(struct header, chunks) - offsetof(struct header, version)) !=
		   0) {
		snprintf(why, size,
			 "the data plane's state was laid out by another build (its slots have %u "
			 "bytes in all, not %u)",
			 h->slot_size, ours.slot_size);
	} else if (h->chunks == 0 || h->chunks > AREA_CHUNKS_MAX) {
		snprintf(why, size, "the data plane's state claims %u chunks, at most %u can be",
			 h->chunks, AREA_CHUNKS_MAX);
	} else {
		return true;
	}
	return false;
}

static void header_write(struct header *h)
{
	struct header ours = header_of_ours();

	ours.magic = 0;
	ours.chunks = 1;
	*h = ours;
	area_barrier();
	__atomic_store_n(&h->magic, AREA_MAGIC, __ATOMIC_RELEASE);
}

/* Never used; a header may have been begun. */
static bool is_new(const void *chunk)
{
	const uint8_t *p = chunk;

	for (size_t i = AREA_CACHE_LINE; i < AREA_CHUNK; i++)
		if (p[i])
			return false;
	return ((const struct header *)chunk)->magic == 0;
}

static struct chunk_line *former_chunk(struct sa_area *a)
{
	struct chunk_line *chunk;

	if (!tables_grow(a, slots_of(AREA_LINES_CHILD)))
		return NULL;
	chunk = ask_chunk(a);
	if (!chunk)
		free(a->slots[a->n_chunks]);
	return chunk;
}

static bool first_chunk(struct sa_area *a, char *why, size_t size)
{
	struct chunk_line *chunk = former_chunk(a);

	if (!chunk) {
		snprintf(why, size, "no memory for the data plane's state");
		return false;
	}
	a->header = (struct header *)chunk;
	if (is_new(chunk)) {
		area_set32(&chunk->slot_lines, AREA_LINES_TUNNEL);
		header_write(a->header);
	}
	if (header_good(a->header, why, size)) {
		chunk_adopt(a, chunk);
		return true;
	}
	free(a->slots[0]);
	return false;
}

static bool other_chunks(struct sa_area *a, char *why, size_t size)
{
	unsigned want = a->header->chunks;

	while (a->n_chunks < want) {
		struct chunk_line *chunk = former_chunk(a);

		if (!chunk) {
			snprintf(why, size, "no memory for %u chunks of the data plane's state",
				 want);
			return false;
		}
		chunk_adopt(a, chunk);
	}
	return true;
}

struct sa_area *area_open(const struct area_host *host, char *why, size_t size)
{
	struct sa_area *a = calloc(1, sizeof(*a));

	if (!a) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	a->host = host ? *host : (struct area_host){.chunk = plain_chunk};
	if (first_chunk(a, why, size) && other_chunks(a, why, size)) {
		each_slot(a, SLOT_CHILD, drop_orphan, a);
		return a;
	}
	area_close(a);
	return NULL;
}

void area_close(struct sa_area *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->n_chunks; i++) {
		free(a->slots[i]);
		if (is_plain(a)) {
			explicit_bzero(a->chunks[i], AREA_CHUNK);
			free(a->chunks[i]);
		}
	}
	free(a->slots);
	free(a->chunks);
	free(a);
}

unsigned area_dropped(const struct sa_area *a)
{
	return a->dropped;
}

unsigned area_tunnels(const struct sa_area *a)
{
	return a->counts[SLOT_TUNNEL];
}

unsigned area_children(const struct sa_area *a)
{
	return a->counts[SLOT_CHILD];
}

/* ---- all of a kind ---- */

static int by_serial(const void *a, const void *b)
{
	uint64_t x = (*(struct area_slot *const *)a)->slot->serial,
		 y = (*(struct area_slot *const *)b)->slot->serial;

	return x < y ? -1 : x > y;
}

struct all {
	struct area_slot **slots;
	unsigned n, room;
};

static void gather(void *ctx, struct area_slot *h)
{
	struct all *all = ctx;

	if (all->n < all->room)
		all->slots[all->n++] = h;
}

static bool each(struct sa_area *a, enum slot_state kind,
		 void (*cb)(void *ctx, struct area_slot *s), void *ctx)
{
	struct all all = {.room = a->counts[kind]};

	if (all.room == 0)
		return true;
	all.slots = calloc(all.room, sizeof(struct area_slot *));
	if (!all.slots)
		return false;
	each_slot(a, kind, gather, &all);
	qsort(all.slots, all.n, sizeof(struct area_slot *), by_serial);
	for (unsigned i = 0; i < all.n; i++)
		cb(ctx, all.slots[i]);
	free(all.slots);
	return true;
}

bool area_each_tunnel(struct sa_area *a, void (*cb)(void *ctx, struct area_slot *s), void *ctx)
{
	return each(a, SLOT_TUNNEL, cb, ctx);
}

bool area_each_child(struct sa_area *a, void (*cb)(void *ctx, struct area_slot *s), void *ctx)
{
	return each(a, SLOT_CHILD, cb, ctx);
}

/* Of the least size that holds it; where there can be none more of it, of a larger one. */
static struct area_slot *pop_free(struct sa_area *a, size_t bytes)
{
	unsigned i = 0;

	while (i < AREA_SIZES && (size_t)sizes[i] * AREA_CACHE_LINE < bytes)
		i++;
	if (i < AREA_SIZES && !a->free[i])
		grow(a, i);
	for (; i < AREA_SIZES; i++) {
		struct area_slot *h = a->free[i];

		if (!h)
			continue;
		a->free[i] = h->next_free;
		return h;
	}
	return NULL;
}

struct area_slot *area_slot_take(struct sa_area *a, size_t bytes)
{
	struct area_slot *h = pop_free(a, bytes);

	if (!h)
		return NULL;
	area_set32(&h->slot->state, SLOT_BUSY);
	h->slot->serial = ++a->last_serial;
	h->slot->current = 0;
	return h;
}

void area_slot_filled(struct area_slot *h, enum slot_state kind)
{
	h->area->counts[kind]++;
	area_set32(&h->slot->state, kind);
}
