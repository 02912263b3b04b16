/* The memory that outlives a data plane: its chunks, and which slots are free. */
#include "ipsecd/dataplane/area_layout.h"

#include <stdio.h>
#include <stdlib.h>

#define AREA_MAGIC UINT64_C(0x0a61657261726465) /* "edrarea\n" */

/* ---- slots ---- */

/* Busy first: a kill on the way has it cleansed by the next process. */
static void cleanse(struct slot *s)
{
	uint8_t *bytes = (uint8_t *)s;

	area_set32(&s->state, SLOT_BUSY);
	explicit_bzero(bytes + sizeof(s->state), sizeof(*s) - sizeof(s->state));
	area_set32(&s->state, SLOT_FREE);
}

static void push_free(struct area_slot *h)
{
	h->next_free = h->area->free;
	h->area->free = h;
}

void area_slot_free(struct area_slot *s)
{
	if (!s)
		return;
	s->area->counts[s->slot->state]--;
	cleanse(s->slot);
	push_free(s);
}

static struct slot *slot_at(const struct sa_area *a, uint32_t index)
{
	uint8_t *chunk = a->chunks[index / SLOTS];

	return (struct slot *)(chunk + AREA_CACHE_LINE) + index % SLOTS;
}

struct area_slot *area_slot_at(const struct sa_area *a, uint32_t index)
{
	return &a->slots[index / SLOTS][index % SLOTS];
}

/* What a former process left in a slot. */
static void take_slot(struct sa_area *a, struct area_slot *h)
{
	struct slot *s = h->slot;
	bool good = s->state == SLOT_FREE;

	if (s->state == SLOT_TUNNEL || s->state == SLOT_CHILD) {
		good = area_slot_good(s);
		if (good) {
			a->counts[s->state]++;
			if (s->serial > a->last_serial)
				a->last_serial = s->serial;
			return;
		}
	}
	if (!good) {
		a->dropped++;
		cleanse(s);
	}
	push_free(h);
}

/* A CHILD_SA without its tunnel serves nothing. */
static bool has_tunnel(const struct sa_area *a, const struct slot *s)
{
	uint32_t index = s->body.child.fixed.tunnel_index;
	const struct slot *t;

	if (index >= a->n_chunks * SLOTS)
		return false;
	t = slot_at(a, index);
	return t->state == SLOT_TUNNEL && t->serial == s->body.child.fixed.tunnel;
}

static void drop_orphans(struct sa_area *a)
{
	for (uint32_t i = 0; i < a->n_chunks * SLOTS; i++) {
		struct area_slot *h = area_slot_at(a, i);

		if (h->slot->state != SLOT_CHILD || has_tunnel(a, h->slot))
			continue;
		a->dropped++;
		area_slot_free(h);
	}
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
static bool tables_grow(struct sa_area *a)
{
	void **chunks = realloc(a->chunks, (a->n_chunks + 1) * sizeof(*chunks));
	struct area_slot **slots;

	if (!chunks)
		return false;
	a->chunks = chunks;
	slots = realloc(a->slots, (a->n_chunks + 1) * sizeof(struct area_slot *));
	if (!slots)
		return false;
	a->slots = slots;
	slots[a->n_chunks] = calloc(SLOTS, sizeof(**slots));
	return slots[a->n_chunks] != NULL;
}

/* The last ones first onto the list, so that low ones are used first. */
static void chunk_enter(struct sa_area *a, void *chunk)
{
	unsigned n = a->n_chunks++;

	a->chunks[n] = chunk;
	for (unsigned i = SLOTS; i-- > 0;) {
		struct area_slot *h = &a->slots[n][i];

		h->area = a;
		h->index = (uint32_t)(n * SLOTS + i);
		h->slot = slot_at(a, h->index);
		take_slot(a, h);
	}
}

static bool grow(struct sa_area *a)
{
	void *chunk;

	if (a->n_chunks >= AREA_CHUNKS_MAX || !tables_grow(a))
		return false;
	chunk = ask_chunk(a);
	if (!chunk) {
		free(a->slots[a->n_chunks]);
		return false;
	}
	chunk_enter(a, chunk);
	if (a->n_chunks > a->header->chunks)
		area_set32(&a->header->chunks, a->n_chunks);
	return true;
}

/* ---- opening ---- */

static struct header header_of_ours(void)
{
	return (struct header){
		.magic = AREA_MAGIC,
		.version = AREA_VERSION,
		.slot_size = sizeof(struct slot),
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
			 "the data plane's state was laid out by another build (slots of %u "
			 "bytes, not %u)",
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

static bool first_chunk(struct sa_area *a, char *why, size_t size)
{
	void *chunk = tables_grow(a) ? ask_chunk(a) : NULL;

	if (!chunk) {
		snprintf(why, size, "no memory for the data plane's state");
		if (a->slots)
			free(a->slots[0]);
		return false;
	}
	a->header = chunk;
	if (is_new(chunk))
		header_write(a->header);
	if (header_good(a->header, why, size)) {
		chunk_enter(a, chunk);
		return true;
	}
	free(a->slots[0]);
	return false;
}

static bool other_chunks(struct sa_area *a, char *why, size_t size)
{
	unsigned want = a->header->chunks;

	while (a->n_chunks < want) {
		if (grow(a))
			continue;
		snprintf(why, size, "no memory for %u chunks of the data plane's state", want);
		return false;
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
		drop_orphans(a);
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

static bool each(struct sa_area *a, enum slot_state kind,
		 void (*cb)(void *ctx, struct area_slot *s), void *ctx)
{
	unsigned n = a->counts[kind], at = 0;
	struct area_slot **all;

	if (n == 0)
		return true;
	all = calloc(n, sizeof(struct area_slot *));
	if (!all)
		return false;
	for (uint32_t i = 0; i < a->n_chunks * SLOTS && at < n; i++)
		if (slot_at(a, i)->state == kind)
			all[at++] = area_slot_at(a, i);
	qsort(all, at, sizeof(struct area_slot *), by_serial);
	for (unsigned i = 0; i < at; i++)
		cb(ctx, all[i]);
	free(all);
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

struct area_slot *area_slot_take(struct sa_area *a)
{
	struct area_slot *h;

	if (!a->free && !grow(a))
		return NULL;
	h = a->free;
	a->free = h->next_free;
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
