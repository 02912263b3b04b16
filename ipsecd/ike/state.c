/* Which records changed, one after the other. What is in them is not its business. */
#include "ipsecd/ike/state.h"

#include <stdlib.h>

#define FIRST_SIZE  (64u * 1024)
#define LARGEST	    (16u * 1024 * 1024)
#define ENGINE_SIZE 256

struct gone {
	struct gone *next;
	uint32_t kind;
	uint64_t id;
};

struct publisher {
	uint8_t *memory; /* of the record handed out last */
	size_t size, used;
	uint8_t engine[ENGINE_SIZE]; /* as published */
	size_t engine_len;
	struct gone *gone;
};

bool publisher_new(struct ike_engine *e)
{
	struct publisher *p;

	if (!e->settings.publish)
		return true;
	p = calloc(1, sizeof(*p));
	if (p)
		p->memory = malloc(FIRST_SIZE);
	if (!p || !p->memory) {
		free(p);
		return false;
	}
	p->size = FIRST_SIZE;
	e->publisher = p;
	return true;
}

void publisher_free(struct ike_engine *e)
{
	struct publisher *p = e->publisher;
	struct gone *g, *next;

	if (!p)
		return;
	LL_FOREACH_SAFE (p->gone, g, next)
		free(g);
	explicit_bzero(p->memory, p->used);
	free(p->memory);
	explicit_bzero(p, sizeof(*p));
	free(p);
	e->publisher = NULL;
}

/* ---- marks ---- */

void sa_touch(struct ike_engine *e, struct ike_sa *sa)
{
	if (!e->publisher || sa->touched)
		return;
	sa->touched = true;
	DL_APPEND2(e->touched_sas, sa, touched_prev, touched_next);
}

void entry_touch(struct ike_engine *e, struct conn_entry *entry)
{
	if (!e->publisher || entry->touched || entry->unloaded)
		return;
	entry->touched = true;
	DL_APPEND2(e->touched_entries, entry, touched_prev, touched_next);
}

static void untouch_sa(struct ike_engine *e, struct ike_sa *sa)
{
	sa->touched = false;
	DL_DELETE2(e->touched_sas, sa, touched_prev, touched_next);
}

static void untouch_entry(struct ike_engine *e, struct conn_entry *entry)
{
	entry->touched = false;
	DL_DELETE2(e->touched_entries, entry, touched_prev, touched_next);
}

void state_published(struct ike_engine *e, struct ike_sa *sa, struct conn_entry *entry)
{
	if (sa && sa->touched)
		untouch_sa(e, sa);
	if (entry && entry->touched)
		untouch_entry(e, entry);
}

void state_engine_published(struct ike_engine *e, struct span data)
{
	struct publisher *p = e->publisher;

	if (!p || data.len > sizeof(p->engine))
		return;
	memcpy(p->engine, data.ptr, data.len);
	p->engine_len = data.len;
}

void ike_engine_publish_all(struct ike_engine *e)
{
	struct conn_entry *entry;
	struct ike_sa *sa;

	DL_FOREACH (e->conns, entry)
		entry_touch(e, entry);
	DL_FOREACH (e->sas, sa) {
		sa_touch(e, sa);
		sa->unpublished = false;
	}
	if (e->publisher)
		e->publisher->engine_len = 0;
}

bool state_drop(struct ike_engine *e, const struct ike_record *r)
{
	struct gone *g = e->publisher ? calloc(1, sizeof(*g)) : NULL;

	if (!g)
		return false;
	g->kind = r->kind;
	g->id = r->id;
	LL_PREPEND(e->publisher->gone, g);
	return true;
}

/* ---- records ---- */

/* Twice as much memory, without what was in it. */
static bool grow(struct publisher *p)
{
	size_t size = p->size * 2;
	uint8_t *memory = size <= LARGEST ? malloc(size) : NULL;

	if (!memory)
		return false;
	explicit_bzero(p->memory, p->size);
	free(p->memory);
	p->memory = memory;
	p->size = size;
	return true;
}

static void put_version(struct codec *c)
{
	uint16_t version = STATE_VERSION;

	codec_u16(c, &version);
	c->version = version;
}

static void put_sa(struct codec *c, struct ike_engine *e, void *what)
{
	struct ike_sa *sa = what;
	struct state_sa x = {.attempt = sa->entry && sa->entry->attempt == sa,
			     .orphan = sa->entry && sa->entry->unloaded,
			     .conn = sa->entry ? sa->entry->name : NULL,
			     .half_open = sa->half_open != NULL,
			     .digest_ike = sa->version ? sa->version->digest_ike : 0};

	if (sa->half_open)
		memcpy(x.init_key, sa->half_open->key, sizeof(x.init_key));
	state_sa_fields(c, e, sa, &x);
}

static void put_entry(struct codec *c, struct ike_engine *e, void *what)
{
	struct conn_entry *entry = what;

	(void)e;
	state_entry_name(c, &entry->name);
	state_entry_fields(c, entry);
}

static void put_engine(struct codec *c, struct ike_engine *e, void *what)
{
	(void)what;
	state_engine_fields(c, e);
}

/* Empty: no memory. */
static struct span encode(struct ike_engine *e,
			  void (*put)(struct codec *c, struct ike_engine *e, void *what),
			  void *what)
{
	struct publisher *p = e->publisher;
	struct codec c;
	struct buf b;

	do {
		b = buf_over(p->memory, p->size);
		c = codec_writer(&b);
		put_version(&c);
		put(&c, e, what);
		p->used = b.len;
	} while (b.overflow && grow(p));
	if (b.overflow && log_limit_pass(&e->drop_log, e->now))
		ike_log(e, NULL, LOG_LEVEL_ERROR,
			"out of memory, a record for the next process is not written");
	return buf_span(&b);
}

static bool fill(struct ike_record *out, enum ike_record_kind kind, uint64_t id, struct span data)
{
	*out = (struct ike_record){.kind = kind, .id = id, .data = data};
	return true;
}

/* One that was refused as a second of the same name stays. */
static bool is_there(const struct ike_engine *e, const struct gone *g)
{
	const struct conn_entry *entry;
	const struct ike_sa *sa;

	if (g->kind == IKE_RECORD_SA) {
		DL_FOREACH (e->sas, sa)
			if (sa->id == g->id)
				return true;
	} else if (g->kind == IKE_RECORD_CONN) {
		DL_FOREACH (e->conns, entry)
			if (entry->number == g->id)
				return true;
	}
	return false;
}

static bool publish_gone(struct ike_engine *e, struct ike_record *out)
{
	struct gone *g;
	bool gone;

	while ((g = e->publisher->gone)) {
		LL_DELETE(e->publisher->gone, g);
		gone = !is_there(e, g);
		if (gone)
			fill(out, (enum ike_record_kind)g->kind, g->id, span_of(NULL, 0));
		free(g);
		if (gone)
			return true;
	}
	return false;
}

/* One that there is no memory for stays touched, and the others are not held up. */
static bool publish_entry(struct ike_engine *e, struct ike_record *out)
{
	struct conn_entry *entry;

	DL_FOREACH2 (e->touched_entries, entry, touched_next) {
		struct span data = span_of(NULL, 0);

		if (!entry->unloaded)
			data = encode(e, put_entry, entry);
		if (!entry->unloaded && !data.len)
			continue;
		untouch_entry(e, entry);
		return fill(out, IKE_RECORD_CONN, entry->number, data);
	}
	return false;
}

/* Its outputs leave all the same: the next process has to know that the record is older. */
static bool mark_behind(struct ike_engine *e, struct ike_sa *sa, struct ike_record *out)
{
	struct publisher *p = e->publisher;

	sa->unpublished = true;
	be16_set(p->memory, STATE_VERSION);
	p->used = p->used < 2 ? 2 : p->used;
	return fill(out, IKE_RECORD_BEHIND, sa->id, span_of(p->memory, 2));
}

/* Whole again, or gone: the mark goes behind the record, so that no older one is ever without. */
static void unmark(struct ike_engine *e, struct ike_sa *sa)
{
	if (sa->unpublished)
		sa->unpublished = !state_drop(
			e, &(struct ike_record){.kind = IKE_RECORD_BEHIND, .id = sa->id});
}

static bool publish_sa(struct ike_engine *e, struct ike_record *out)
{
	struct ike_sa *sa;

	DL_FOREACH2 (e->touched_sas, sa, touched_next) {
		bool ended = sa->state == IKE_SA_ENDED;
		struct span data = span_of(NULL, 0);

		if (!ended)
			data = encode(e, put_sa, sa);
		if (!ended && !data.len && !sa->unpublished)
			return mark_behind(e, sa, out);
		if (!ended && !data.len)
			continue;
		untouch_sa(e, sa);
		unmark(e, sa);
		return fill(out, IKE_RECORD_SA, sa->id, data);
	}
	return false;
}

/* Small, and changed by many: compared. */
static bool publish_engine(struct ike_engine *e, struct ike_record *out)
{
	struct publisher *p = e->publisher;
	struct span data = encode(e, put_engine, NULL);

	if (!data.len || span_equal(data, span_of(p->engine, p->engine_len)))
		return false;
	state_engine_published(e, data);
	return fill(out, IKE_RECORD_ENGINE, 0, data);
}

bool ike_engine_publish(struct ike_engine *e, struct ike_record *out)
{
	struct publisher *p = e->publisher;

	if (!p)
		return false;
	explicit_bzero(p->memory, p->used);
	p->used = 0;
	if (e->restoring)
		return false;
	return publish_gone(e, out) || publish_entry(e, out) || publish_sa(e, out) ||
	       publish_engine(e, out);
}
