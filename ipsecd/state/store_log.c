/* The store's span: checks, appending, and the two words that make things count.
 *
 * All writes go through put_bytes, put_zeros and put_word, so that a test may cut the power
 * behind each of them. */
#include "ipsecd/state/store_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define REGIONS	  128 /* offset of the first one */
#define TAIL_BITS 48
#define REGION	  ((size_t)64 << 10) /* as long, at least, where there is room */

static size_t align(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static struct store_header *header(const struct store_log *l)
{
	return (struct store_header *)l->memory;
}

static struct store_slot *slot(const struct store_log *l)
{
	return &header(l)->slots[l->active];
}

/* ---- writing ---- */

static void wrote(const struct store_log *l, const void *p, size_t n)
{
	if (l->host.wrote)
		l->host.wrote(l->host.ctx, (size_t)((const uint8_t *)p - l->memory), n);
}

static void put_bytes(const struct store_log *l, void *to, const void *from, size_t n)
{
	if (!n)
		return;
	memcpy(to, from, n);
	wrote(l, to, n);
}

static void put_zeros(const struct store_log *l, void *p, size_t n)
{
	if (!n)
		return;
	explicit_bzero(p, n);
	wrote(l, p, n);
}

/* What was written before is there when the word is, and nothing behind it comes before it. */
static void put_word(const struct store_log *l, uint64_t *word, uint64_t v)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(word, v, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wrote(l, word, sizeof(*word));
}

static void put_state(const struct store_log *l, uint32_t *word, uint32_t v)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(word, v, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wrote(l, word, sizeof(*word));
}

/* ---- checks ---- */

uint32_t store_log_slot_check(const struct crc32c *c, const struct store_slot *s)
{
	return crc32c(c, 0, s, offsetof(struct store_slot, check));
}

uint64_t store_log_pack_tail(const struct crc32c *c, const struct store_slot *s, uint64_t tail)
{
	uint64_t sum = crc32c(c, store_log_slot_check(c, s), &tail, sizeof(tail));

	return (sum & 0xffff) << TAIL_BITS | tail;
}

uint32_t store_log_record_check(const struct crc32c *c, const struct store_record *r)
{
	return crc32c(c, 0, r, offsetof(struct store_record, check));
}

static bool refuse(char *why, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool refuse(char *why, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	return false;
}

/* A region that lies in the span, behind the header. */
static bool slot_good(const struct store_log *l, const struct store_slot *s)
{
	return s->check == store_log_slot_check(&l->crc, s) && s->offset >= REGIONS &&
	       s->offset % 8 == 0 && s->capacity % 8 == 0 && s->offset <= l->size &&
	       s->capacity <= l->size - s->offset && s->dirty <= s->capacity;
}

static bool overlap(const struct store_slot *a, const struct store_slot *b)
{
	return a->offset < b->offset + b->capacity && b->offset < a->offset + a->capacity;
}

static bool open_slots(struct store_log *l, char *why, size_t size)
{
	const struct store_header *h = header(l);
	const struct store_slot *own, *other;
	uint64_t tail;

	if (h->active != STORE_FIRST && h->active != STORE_SECOND)
		return refuse(why, size, "damaged: no log is marked as the valid one");
	l->active = h->active == STORE_SECOND;
	own = &h->slots[l->active];
	other = &h->slots[!l->active];
	if (own->check == store_log_slot_check(&l->crc, own) &&
	    (own->offset > l->size || own->capacity > l->size - own->offset))
		return refuse(why, size,
			      "cut off: the log is at %" PRIu64 "..%" PRIu64 ", the memory has %zu "
			      "bytes",
			      own->offset, own->offset + own->capacity, l->size);
	tail = own->tail & ((UINT64_C(1) << TAIL_BITS) - 1);
	if (!slot_good(l, own) || own->tail != store_log_pack_tail(&l->crc, own, tail) ||
	    tail > own->dirty || tail % 8)
		return refuse(why, size, "damaged: the log's place or length");
	/* Half written it may be, but not yet used then. */
	if (other->dirty && (!slot_good(l, other) || overlap(own, other)))
		return refuse(why, size, "damaged: the place of the log before this one");
	l->offset = own->offset;
	l->capacity = own->capacity;
	l->tail = l->end = tail;
	l->sequence = own->first;
	return true;
}

bool store_log_open(struct store_log *l, bool *fresh, char *why, size_t why_size)
{
	const struct store_header *h = header(l);

	*fresh = false;
	if ((uintptr_t)l->memory % 8 || l->size < STORE_SIZE_MIN)
		return refuse(why, why_size, "too small: %zu bytes, at least %u", l->size,
			      STORE_SIZE_MIN);
	if (h->magic == 0) {
		*fresh = true;
		return true;
	}
	if (h->magic != STORE_MAGIC)
		return refuse(why, why_size, "this is not a store of ipsecd's");
	if (h->order != STORE_ORDER)
		return refuse(why, why_size, "of a machine with another byte order");
	if (h->version != STORE_VERSION)
		return refuse(why, why_size, "format %u, this ipsecd has %u", h->version,
			      STORE_VERSION);
	return open_slots(l, why, why_size);
}

static void write_slot(const struct store_log *l, struct store_slot *to, size_t offset,
		       size_t capacity, uint64_t first)
{
	struct store_slot s = {.offset = offset, .capacity = capacity, .first = first};

	s.check = store_log_slot_check(&l->crc, &s);
	s.tail = store_log_pack_tail(&l->crc, &s, 0);
	put_bytes(l, to, &s, sizeof(s));
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return n == 0;
}

/* As long as the magic is zero, nothing else counts. A header with more in it is of a
 * store_erase that came to no end. */
void store_log_format(struct store_log *l)
{
	struct store_header *h = header(l);
	const uint32_t marks[] = {STORE_VERSION, STORE_ORDER};

	if (!all_zero(l->memory, REGIONS))
		put_zeros(l, l->memory + REGIONS, l->size - REGIONS);
	l->active = 0;
	l->offset = REGIONS;
	l->capacity = ((l->size - REGIONS) / 2) & ~(size_t)7;
	l->tail = l->end = 0;
	l->sequence = 1;
	put_bytes(l, &h->version, marks, sizeof(marks));
	write_slot(l, &h->slots[0], l->offset, l->capacity, l->sequence);
	put_zeros(l, &h->slots[1], sizeof(h->slots[1]));
	put_word(l, &h->active, STORE_FIRST);
	put_word(l, &h->magic, STORE_MAGIC);
}

static void cleanse_slot(const struct store_log *l, struct store_slot *s, size_t from)
{
	if (s->dirty <= from)
		return;
	put_zeros(l, l->memory + s->offset + from, s->dirty - from);
	put_word(l, &s->dirty, from);
}

void store_log_cleanse(struct store_log *l)
{
	cleanse_slot(l, slot(l), l->tail);
	cleanse_slot(l, &header(l)->slots[!l->active], 0);
}

/* ---- records ---- */

size_t store_log_size(size_t len)
{
	return sizeof(struct store_record) + align(len);
}

const struct store_record *store_log_record(const struct store_log *l, size_t at)
{
	return (const struct store_record *)(l->memory + l->offset + at);
}

struct span store_log_value(const struct store_record *r)
{
	return span_of(r + 1, r->len);
}

bool store_log_next(struct store_log *l, size_t *at, const struct store_record **out, char *why,
		    size_t why_size)
{
	const struct store_record *r = store_log_record(l, *at);
	size_t left = l->tail - *at;

	*why = '\0';
	if (left == 0)
		return false;
	if (left < sizeof(*r) || r->check != store_log_record_check(&l->crc, r) ||
	    r->sequence != l->sequence || r->len > STORE_VALUE_MAX ||
	    store_log_size(r->len) > left || r->removes > 1 ||
	    (r->state != STORE_LIVE && r->state != STORE_DEAD))
		return refuse(why, why_size, "damaged: the record at %zu", l->offset + *at);
	if (r->state == STORE_LIVE && r->value_check != crc32c(&l->crc, 0, r + 1, r->len))
		return refuse(why, why_size, "damaged: the value of the record at %zu",
			      l->offset + *at);
	l->sequence++;
	*at += store_log_size(r->len);
	*out = r;
	return true;
}

size_t store_log_append(struct store_log *l, struct store_key key, struct span value, bool removes)
{
	struct store_record r = {.sequence = l->sequence++,
				 .id = key.id,
				 .kind = key.kind,
				 .len = (uint32_t)value.len,
				 .removes = removes,
				 .state = STORE_LIVE};
	uint8_t *to = l->memory + l->offset + l->end;
	size_t at = l->end, n = store_log_size(value.len);

	r.value_check = crc32c(&l->crc, 0, value.ptr, value.len);
	r.check = store_log_record_check(&l->crc, &r);
	l->end += n;
	if (slot(l)->dirty < l->end)
		put_word(l, &slot(l)->dirty, l->end);
	put_bytes(l, to, &r, sizeof(r));
	put_bytes(l, to + sizeof(r), value.ptr, value.len);
	put_zeros(l, to + sizeof(r) + value.len, n - sizeof(r) - value.len);
	return at;
}

void store_log_commit(struct store_log *l)
{
	l->tail = l->end;
	put_word(l, &slot(l)->tail, store_log_pack_tail(&l->crc, slot(l), l->tail));
}

void store_log_abort(struct store_log *l)
{
	for (size_t at = l->tail; at < l->end; at += store_log_size(store_log_record(l, at)->len))
		l->sequence--;
	cleanse_slot(l, slot(l), l->tail);
	l->end = l->tail;
}

void store_log_kill(struct store_log *l, size_t at)
{
	struct store_record *r = (struct store_record *)(l->memory + l->offset + at);

	if (r->state != STORE_DEAD)
		put_state(l, &r->state, STORE_DEAD);
	put_zeros(l, r + 1, r->len);
}

/* ---- another region ---- */

/* Beside the active one: below it, or above it, and then in the upper half of the span, so that
 * the lower one has room the next time. No longer than `most`: what is in use is what takes memory.
 */
static bool find_room(const struct store_log *l, size_t need, size_t most, size_t *offset,
		      size_t *capacity)
{
	size_t middle = align(REGIONS + (l->size - REGIONS) / 2), end = l->offset + l->capacity;

	*offset = REGIONS;
	*capacity = l->offset - REGIONS;
	if (*capacity < need) {
		*offset = end <= middle ? middle : end;
		*capacity = *offset <= l->size ? (l->size - *offset) & ~(size_t)7 : 0;
	}
	if (*capacity > most)
		*capacity = most;
	return *capacity >= need;
}

static bool grow(struct store_log *l, size_t need)
{
	size_t size = 2 * (l->size > need + REGIONS ? l->size : need + REGIONS), now;
	void *memory;

	if (!l->host.grow || !l->host.grow(l->host.ctx, size, &memory, &now) || now < size)
		return false;
	l->memory = memory;
	l->size = now;
	return true;
}

bool store_log_prepare(struct store_log *l, size_t need, struct store_log *next)
{
	size_t roomy = align(need + need / 2), offset, capacity;
	size_t most = roomy < REGION ? REGION : roomy;

	/* Without room to spare it would be copied again soon. */
	if (!find_room(l, roomy, most, &offset, &capacity) &&
	    !(grow(l, roomy) && find_room(l, roomy, most, &offset, &capacity)) &&
	    !find_room(l, need, most, &offset, &capacity))
		return false;
	*next = *l;
	next->active = !l->active;
	next->offset = offset;
	next->capacity = capacity;
	next->tail = next->end = 0;
	write_slot(next, slot(next), offset, capacity, next->sequence);
	return true;
}

void store_log_change(struct store_log *l, struct store_log *next, size_t committed)
{
	struct store_slot *old = slot(l);

	next->tail = committed;
	put_word(next, &slot(next)->tail, store_log_pack_tail(&next->crc, slot(next), committed));
	put_word(next, &header(next)->active, next->active ? STORE_SECOND : STORE_FIRST);
	*l = *next;
	cleanse_slot(l, old, 0);
	if (l->host.release)
		l->host.release(l->host.ctx, old->offset, old->capacity);
}
