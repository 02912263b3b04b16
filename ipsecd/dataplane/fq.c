/* Owns the flows, their order and their CoDel states, and the memory of what waits. Flows are
 * buckets of a hash; a bucket is in the list of new flows, of old ones, or idle (RFC 8290 4).
 * What CoDel would drop (RFC 8289 5) is given out marked instead: of a super-packet one segment
 * is enough to tell its sender, and 64 KB would be a burst of losses. */
#include "ipsecd/dataplane/fq.h"

#include "ipsecd/dataplane/inner.h"

#include <stdlib.h>
#include <string.h>

#define FLOWS	1024
#define QUANTUM 1514 /* bytes a flow may send before it is the others' turn */
#define MTU	1514 /* RFC 8289 3.2: a queue of no more than this is none */
#define SLOTS	(FQ_LARGE_SLOTS + FQ_SMALL_SLOTS)
#define NONE	UINT16_MAX

enum kind { LARGE, SMALL, KINDS };

enum where { IDLE, NEW, OLD };

/* One packet; entries below FQ_LARGE_SLOTS have a large slot. */
struct entry {
	void *owner;
	mono_time since;
	uint32_t len;
	uint16_t head, next;
};

struct codel {
	mono_time above; /* when the interval will have passed; 0: below the target */
	mono_time next;	 /* mark */
	uint32_t count, last_count;
	bool marking;
};

struct flow {
	uint16_t first, last; /* entries */
	uint16_t next;	      /* flow in the list */
	uint16_t waiting[KINDS];
	int32_t deficit;
	uint32_t bytes;
	enum where where;
	struct codel codel;
};

struct list {
	uint16_t first, last;
};

struct fq {
	uint64_t seed;
	uint8_t *large, *small; /* the slots' memory */
	uint16_t free[KINDS];	/* lists of entries, the one used last in front */
	uint16_t spare;		/* the large one that is read into */
	uint16_t out;		/* the one whose bytes the caller has; NONE */
	struct list lists[OLD + 1];
	struct fq_counts counts;
	struct flow flows[FLOWS];
	struct entry entries[SLOTS];
};

/* ---- memory ---- */

static enum kind kind_of(uint16_t entry)
{
	return entry < FQ_LARGE_SLOTS ? LARGE : SMALL;
}

static uint8_t *bytes_of(const struct fq *q, uint16_t entry)
{
	return kind_of(entry) == LARGE ? q->large + (size_t)entry * FQ_SLOT
				       : q->small + (size_t)(entry - FQ_LARGE_SLOTS) * FQ_SMALL;
}

static void give_back(struct fq *q, uint16_t entry)
{
	enum kind kind = kind_of(entry);

	if (entry == NONE)
		return;
	q->entries[entry].next = q->free[kind];
	q->free[kind] = entry;
}

static void reset(struct fq *q)
{
	q->free[LARGE] = q->free[SMALL] = q->out = NONE;
	for (unsigned i = SLOTS; i-- > 0;)
		give_back(q, (uint16_t)i);
	q->spare = q->free[LARGE];
	q->free[LARGE] = q->entries[q->spare].next;
	for (unsigned i = 0; i < FLOWS; i++)
		q->flows[i].first = NONE;
	q->lists[NEW].first = q->lists[OLD].first = NONE;
}

struct fq *fq_new(uint64_t seed)
{
	struct fq *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->seed = seed;
	q->large = malloc((size_t)FQ_LARGE_SLOTS * FQ_SLOT);
	q->small = malloc((size_t)FQ_SMALL_SLOTS * FQ_SMALL);
	reset(q);
	if (q->large && q->small)
		return q;
	fq_free(q);
	return NULL;
}

void fq_free(struct fq *q)
{
	if (!q)
		return;
	free(q->large);
	free(q->small);
	free(q);
}

/* ---- flows ---- */

static uint64_t mix(uint64_t h, const void *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	h = (h ^ word) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

/* Packets that can't be told apart are one flow. */
static struct flow *find_flow(struct fq *q, void *owner, const uint8_t *packet, size_t len)
{
	uint64_t h, rest[2] = {(uintptr_t)owner};
	struct inner inner;

	if (inner_parse(span_of(packet, len), &inner) != INNER_OK)
		memset(&inner, 0, sizeof(inner));
	rest[1] = (uint64_t)inner.protocol << 32 | (uint64_t)inner.src_port << 16 | inner.dst_port;
	h = mix(q->seed, rest);
	h = mix(h, rest + 1);
	for (size_t i = 0; i < sizeof(inner.src.bytes); i += 8)
		h = mix(mix(h, inner.src.bytes + i), inner.dst.bytes + i);
	return &q->flows[h >> 32 & (FLOWS - 1)];
}

static void append(struct fq *q, struct flow *f, enum where where)
{
	struct list *l = &q->lists[where];
	uint16_t number = (uint16_t)(f - q->flows);

	f->where = where;
	f->next = NONE;
	if (l->first == NONE)
		l->first = number;
	else
		q->flows[l->last].next = number;
	l->last = number;
}

static struct flow *take_first(struct fq *q, enum where where)
{
	struct flow *f = &q->flows[q->lists[where].first];

	q->lists[where].first = f->next;
	f->where = IDLE;
	return f;
}

static void enqueue(struct fq *q, struct flow *f, uint16_t entry)
{
	q->entries[entry].next = NONE;
	if (f->first == NONE)
		f->first = entry;
	else
		q->entries[f->last].next = entry;
	f->last = entry;
	f->waiting[kind_of(entry)]++;
	f->bytes += q->entries[entry].len;
	q->counts.packets++;
	q->counts.bytes += q->entries[entry].len;
	if (f->where == IDLE) {
		f->deficit = QUANTUM;
		append(q, f, NEW);
	}
}

/* The one behind `before`, or, NONE, the first. */
static uint16_t unlink_behind(struct fq *q, struct flow *f, uint16_t before)
{
	uint16_t *link = before == NONE ? &f->first : &q->entries[before].next, entry = *link;

	*link = q->entries[entry].next;
	if (f->last == entry)
		f->last = before;
	f->waiting[kind_of(entry)]--;
	f->bytes -= q->entries[entry].len;
	q->counts.packets--;
	q->counts.bytes -= q->entries[entry].len;
	return entry;
}

static uint16_t dequeue(struct fq *q, struct flow *f)
{
	return unlink_behind(q, f, NONE);
}

static uint16_t dequeue_kind(struct fq *q, struct flow *f, enum kind kind)
{
	uint16_t before = NONE, entry = f->first;

	for (; kind_of(entry) != kind; entry = q->entries[entry].next)
		before = entry;
	return unlink_behind(q, f, before);
}

/* ---- in ---- */

/* RFC 8290 4.1.1: the flow that has most of it loses the oldest, here of those of the kind that is
 * wanted: large ones in front of a small one stay. */
static void make_room(struct fq *q, enum kind kind)
{
	struct flow *most = NULL;

	for (enum where w = NEW; w <= OLD; w++) {
		for (uint16_t i = q->lists[w].first; i != NONE; i = q->flows[i].next) {
			if (!most || q->flows[i].waiting[kind] > most->waiting[kind])
				most = &q->flows[i];
		}
	}
	give_back(q, dequeue_kind(q, most, kind));
	q->counts.full++;
}

static uint16_t take_slot(struct fq *q, enum kind kind)
{
	uint16_t entry;

	if (q->free[kind] == NONE)
		make_room(q, kind);
	entry = q->free[kind];
	q->free[kind] = q->entries[entry].next;
	return entry;
}

uint8_t *fq_slot(struct fq *q)
{
	return bytes_of(q, q->spare);
}

void fq_push(struct fq *q, void *owner, size_t head, size_t len, mono_time now)
{
	uint8_t *bytes = fq_slot(q);
	uint16_t entry = q->spare;
	struct flow *f;

	if (len <= head || len > FQ_SLOT)
		return;
	f = find_flow(q, owner, bytes + head, len - head);
	if (len <= FQ_SMALL) {
		entry = take_slot(q, SMALL);
		memcpy(bytes_of(q, entry), bytes, len);
	} else {
		q->spare = take_slot(q, LARGE);
	}
	q->entries[entry] = (struct entry){
		.owner = owner, .since = now, .len = (uint32_t)len, .head = (uint16_t)head};
	enqueue(q, f, entry);
}

bool fq_full(const struct fq *q)
{
	return q->free[LARGE] == NONE;
}

/* ---- CoDel ---- */

static uint32_t root(uint32_t n)
{
	uint32_t r = 0;

	for (uint32_t bit = 1u << 15; bit; bit >>= 1) {
		if ((r | bit) * (r | bit) <= n)
			r |= bit;
	}
	return r;
}

/* RFC 8289 4.2: the interval over the square root of the count. */
static mono_time control_law(mono_time t, uint32_t count)
{
	uint32_t n = count < 0xffff ? count : 0xffff;

	return t + FQ_INTERVAL * 256 / root(n << 16);
}

static bool stands(struct codel *c, mono_time waited, size_t behind, mono_time now)
{
	if (waited < FQ_TARGET || behind <= MTU) {
		c->above = 0;
		return false;
	}
	if (c->above == 0) {
		c->above = now + FQ_INTERVAL;
		return false;
	}
	return now >= c->above;
}

/* RFC 8289 5.5, one packet at a time. */
static bool mark(struct codel *c, mono_time waited, size_t behind, mono_time now)
{
	uint32_t since;

	if (!stands(c, waited, behind, now)) {
		c->marking = false;
		return false;
	}
	if (c->marking) {
		if (now < c->next)
			return false;
		c->count++;
		c->next = control_law(c->next, c->count);
		return true;
	}
	c->marking = true;
	since = c->count - c->last_count;
	c->count = since > 1 && now - c->next < 16 * FQ_INTERVAL ? since : 1;
	c->next = control_law(now, c->count);
	c->last_count = c->count;
	return true;
}

/* ---- out ---- */

/* RFC 8290 4.2: the flow whose turn it is; NULL: nothing waits. */
static struct flow *next_flow(struct fq *q)
{
	for (;;) {
		enum where where = q->lists[NEW].first != NONE ? NEW : OLD;
		struct flow *f;

		if (q->lists[where].first == NONE)
			return NULL;
		f = &q->flows[q->lists[where].first];
		if (f->first != NONE && f->deficit > 0)
			return f;
		take_first(q, where);
		if (f->deficit <= 0) { /* at once where it is nobody else's turn */
			bool alone = q->lists[NEW].first == NONE && q->lists[OLD].first == NONE;

			f->deficit = alone ? QUANTUM : f->deficit + QUANTUM;
			append(q, f, OLD);
		} else if (where == NEW && q->lists[OLD].first != NONE) {
			append(q, f, OLD); /* or it would be new again at once, before all others */
		}
	}
}

bool fq_pop(struct fq *q, mono_time now, struct fq_packet *out)
{
	struct flow *f;
	struct entry *e;
	mono_time waited;

	give_back(q, q->out);
	q->out = NONE;
	f = next_flow(q);
	if (!f)
		return false;
	q->out = dequeue(q, f);
	e = &q->entries[q->out];
	f->deficit -= (int32_t)e->len;
	waited = now - e->since;
	*out = (struct fq_packet){.owner = e->owner,
				  .bytes = bytes_of(q, q->out),
				  .head = e->head,
				  .len = e->len,
				  .congested = mark(&f->codel, waited, f->bytes, now)};
	q->counts.congested += out->congested;
	if (waited > q->counts.longest)
		q->counts.longest = waited;
	return true;
}

/* ---- others ---- */

static void forget_in(struct fq *q, struct flow *f, const void *owner)
{
	uint16_t kept = NONE, entry;
	uint16_t *end = &kept;

	while (f->first != NONE) {
		entry = dequeue(q, f);
		if (q->entries[entry].owner == owner) {
			give_back(q, entry);
			continue;
		}
		q->entries[entry].next = NONE;
		*end = entry;
		end = &q->entries[entry].next;
	}
	while (kept != NONE) {
		entry = kept;
		kept = q->entries[entry].next;
		enqueue(q, f, entry);
	}
}

void fq_forget(struct fq *q, const void *owner)
{
	for (enum where w = NEW; w <= OLD; w++) {
		for (uint16_t i = q->lists[w].first; i != NONE; i = q->flows[i].next)
			forget_in(q, &q->flows[i], owner);
	}
}

void fq_count(const struct fq *q, struct fq_counts *out)
{
	*out = q->counts;
}
