/* The store: which record is a key's, and batches. How they lie in memory is store_log.c. */
#include "ipsecd/state/store_log.h"
#include "lib/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* The key without holes: it is hashed as bytes. */
struct name {
	uint64_t kind, id;
};

enum pending { PENDING_NOTHING, PENDING_PUT, PENDING_REMOVE };

struct entry {
	struct table_link in_index;
	struct name name;
	bool there; /* committed, */
	size_t at;  /* and where */
	enum pending pending;
	size_t pending_at; /* PENDING_PUT */
	struct entry *prev, *next;
};

static const struct table_shape by_name = TABLE_SHAPE(struct entry, in_index, name);

struct store {
	struct store_log log;
	struct table index;
	struct entry *batch; /* those that are pending, by prev and next */
	bool failed;	     /* the batch */
	size_t live, records;
	uint64_t commits, copies;
};

/* ---- index ---- */

static struct entry *find(const struct store *s, struct store_key key)
{
	struct name name = {.kind = key.kind, .id = key.id};

	return table_find(&s->index, &by_name, &name);
}

static struct entry *find_or_add(struct store *s, struct store_key key)
{
	const struct name name = {.kind = key.kind, .id = key.id};
	struct entry *e = find(s, key);

	return e ? e : table_make(&s->index, &by_name, sizeof(*e), &name);
}

static void drop(struct store *s, struct entry *e)
{
	table_remove(&s->index, &by_name, e);
	free(e);
}

static struct store_key key_of(const struct entry *e)
{
	return (struct store_key){.kind = (uint32_t)e->name.kind, .id = e->name.id};
}

static struct span value_at(const struct store *s, size_t at)
{
	return store_log_value(store_log_record(&s->log, at));
}

/* ---- opening ---- */

static bool take_record(struct store *s, const struct store_record *r, size_t at)
{
	const struct store_key key = {.kind = r->kind, .id = r->id};
	struct entry *e;

	if (r->removes) {
		e = find(s, key);
		if (e)
			drop(s, e);
		return true;
	}
	if (r->state == STORE_DEAD)
		return true;
	e = find_or_add(s, key);
	if (!e)
		return false;
	e->there = true;
	e->at = at;
	return true;
}

static bool read_log(struct store *s, char *why, size_t size)
{
	const struct store_record *r;
	size_t at = 0, start = 0;

	for (; store_log_next(&s->log, &at, &r, why, size); start = at) {
		if (!take_record(s, r, start)) {
			snprintf(why, size, "out of memory");
			return false;
		}
	}
	return *why == '\0';
}

/* What a former process had no time for. */
static void finish(struct store *s)
{
	const struct store_record *r;

	for (size_t at = 0; at < s->log.tail; at += store_log_size(r->len)) {
		const struct entry *e;

		r = store_log_record(&s->log, at);
		e = find(s, (struct store_key){.kind = r->kind, .id = r->id});
		if (!r->removes && (!e || e->at != at))
			store_log_kill(&s->log, at);
		else if (!r->removes)
			s->live += store_log_size(r->len);
	}
	s->records = s->index.n;
	store_log_cleanse(&s->log);
}

bool store_open(void *memory, size_t size, const struct store_host *host, struct store **out,
		char *why, size_t why_size)
{
	struct store *s = calloc(1, sizeof(*s));
	bool fresh;

	if (!s) {
		snprintf(why, why_size, "out of memory");
		return false;
	}
	s->log.memory = memory;
	s->log.size = size;
	if (host)
		s->log.host = *host;
	crc32c_init(&s->log.crc);
	if (!store_log_open(&s->log, &fresh, why, why_size) ||
	    (!fresh && !read_log(s, why, why_size))) {
		store_close(s);
		return false;
	}
	if (fresh)
		store_log_format(&s->log);
	else
		finish(s);
	*out = s;
	return true;
}

void store_close(struct store *s)
{
	struct entry *e, *next;

	if (!s)
		return;
	for (e = table_first(&s->index, &by_name); e; e = next) {
		next = table_next(&s->index, &by_name, e);
		free(e);
	}
	table_free(&s->index);
	free(s);
}

void store_erase(void *memory, size_t size)
{
	const size_t magic = sizeof(uint64_t);
	uint8_t *bytes = memory;

	if (size < STORE_SIZE_MIN)
		return;
	/* The magic first: then nothing else counts. The header last: while there is something
	 * in it, the next store_open makes zeros of the rest. */
	explicit_bzero(bytes, magic);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	explicit_bzero(bytes + sizeof(struct store_header), size - sizeof(struct store_header));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	explicit_bzero(bytes, sizeof(struct store_header));
}

/* ---- copying to another region ---- */

static size_t record_size(const struct store *s, size_t at)
{
	return store_log_size(store_log_record(&s->log, at)->len);
}

static size_t size_of_batch(const struct store *s)
{
	const struct entry *e;
	size_t n = 0;

	DL_FOREACH (s->batch, e)
		n += e->pending == PENDING_PUT ? record_size(s, e->pending_at) : store_log_size(0);
	return n;
}

static void copy_batch(struct store *s, struct store_log *to)
{
	struct entry *e;

	DL_FOREACH (s->batch, e) {
		if (e->pending == PENDING_PUT)
			e->pending_at =
				store_log_append(to, key_of(e), value_at(s, e->pending_at), false);
		else
			store_log_append(to, key_of(e), span_of(NULL, 0), true);
	}
}

/* Room for `more` bytes behind what is valid and what the batch has. */
static bool copy_log(struct store *s, size_t more)
{
	struct store_log to;
	struct entry *e;
	size_t committed;

	if (!store_log_prepare(&s->log, s->live + size_of_batch(s) + more, &to))
		return false;
	TABLE_EACH (&s->index, &by_name, e) {
		if (e->there)
			e->at = store_log_append(&to, key_of(e), value_at(s, e->at), false);
	}
	committed = to.end;
	copy_batch(s, &to);
	store_log_change(&s->log, &to, committed);
	s->copies++;
	return true;
}

static bool reserve(struct store *s, size_t n)
{
	return s->log.capacity - s->log.end >= n || copy_log(s, n);
}

/* ---- batches ---- */

static bool fail(struct store *s)
{
	s->failed = true;
	return false;
}

static void set_pending(struct store *s, struct entry *e, enum pending pending, size_t at)
{
	if (e->pending == PENDING_NOTHING)
		DL_APPEND(s->batch, e);
	e->pending = pending;
	e->pending_at = at;
}

/* What the key has in this batch, and would have behind it. */
static bool present(const struct entry *e, size_t *at)
{
	*at = e->pending == PENDING_PUT ? e->pending_at : e->at;
	return e->pending == PENDING_PUT || (e->there && e->pending == PENDING_NOTHING);
}

void store_begin(struct store *s)
{
	store_abort(s);
}

bool store_put(struct store *s, struct store_key key, struct span value)
{
	struct entry *e = s->failed || value.len > STORE_VALUE_MAX ? NULL : find_or_add(s, key);
	size_t at;

	if (!e)
		return fail(s);
	if (present(e, &at) && span_equal(value_at(s, at), value))
		return true;
	if (!reserve(s, store_log_size(value.len))) {
		if (!e->there && e->pending == PENDING_NOTHING)
			drop(s, e);
		return fail(s);
	}
	if (e->pending == PENDING_PUT)
		store_log_kill(&s->log, e->pending_at);
	set_pending(s, e, PENDING_PUT, store_log_append(&s->log, key, value, false));
	return true;
}

bool store_remove(struct store *s, struct store_key key)
{
	struct entry *e = find(s, key);
	size_t at;

	if (s->failed)
		return false;
	if (!e || !present(e, &at))
		return true;
	if (!reserve(s, store_log_size(0)))
		return fail(s);
	if (e->pending == PENDING_PUT)
		store_log_kill(&s->log, e->pending_at);
	store_log_append(&s->log, key, span_of(NULL, 0), true);
	set_pending(s, e, PENDING_REMOVE, 0);
	return true;
}

static void apply(struct store *s, struct entry *e)
{
	if (e->there) {
		s->live -= record_size(s, e->at);
		s->records--;
		store_log_kill(&s->log, e->at);
	}
	if (e->pending == PENDING_REMOVE) {
		drop(s, e);
		return;
	}
	e->there = true;
	e->at = e->pending_at;
	e->pending = PENDING_NOTHING;
	s->live += record_size(s, e->at);
	s->records++;
}

bool store_commit(struct store *s)
{
	struct entry *e, *next;

	if (s->failed) {
		store_abort(s);
		return false;
	}
	if (!s->batch)
		return true;
	store_log_commit(&s->log);
	DL_FOREACH_SAFE (s->batch, e, next) {
		DL_DELETE(s->batch, e);
		apply(s, e);
	}
	s->commits++;
	return true;
}

void store_abort(struct store *s)
{
	struct entry *e, *next;

	store_log_abort(&s->log);
	DL_FOREACH_SAFE (s->batch, e, next) {
		DL_DELETE(s->batch, e);
		e->pending = PENDING_NOTHING;
		if (!e->there)
			drop(s, e);
	}
	s->failed = false;
}

/* ---- looking ---- */

bool store_get(const struct store *s, struct store_key key, struct span *value)
{
	const struct entry *e = find(s, key);

	if (!e || !e->there)
		return false;
	*value = value_at(s, e->at);
	return true;
}

static int by_key(const void *a, const void *b)
{
	const struct name *x = &(*(const struct entry *const *)a)->name;
	const struct name *y = &(*(const struct entry *const *)b)->name;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

bool store_each(const struct store *s, uint32_t from, uint32_t to,
		bool (*cb)(void *ctx, struct store_key key, struct span value), void *ctx)
{
	const struct entry **order = calloc(s->index.n + 1, sizeof(*order));
	bool ok = order != NULL;
	const struct entry *e;
	size_t n = 0;

	TABLE_EACH (&s->index, &by_name, e) {
		if (ok && e->there && e->name.kind >= from && e->name.kind <= to)
			order[n++] = e;
	}
	if (ok)
		qsort(order, n, sizeof(*order), by_key);
	for (size_t i = 0; ok && i < n; i++)
		ok = cb(ctx, key_of(order[i]), value_at(s, order[i]->at));
	free(order);
	return ok;
}

void store_look(const struct store *s, struct store_view *out)
{
	*out = (struct store_view){.records = s->records,
				   .live = s->live,
				   .used = s->log.tail,
				   .capacity = s->log.capacity,
				   .size = s->log.size,
				   .commits = s->commits,
				   .copies = s->copies};
}
