#include "ipsecd/config/recall.h"
#include "ipsecd/config/build.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC	   0x6c636572u
#define MISSES_MAX 1000	    /* searches through all that was there */
#define CLAIMS_MAX 10000000 /* comparisons */

struct entry {
	char *name;	     /* owned */
	struct span command; /* of its script, with the NUL; in the memo or in the connection */
	uint64_t digest, ends;
	uint8_t n_claims;
	uint64_t claims[BUILD_CLAIMS_MAX];
	bool target;  /* another section has it in also= */
	bool nothing; /* no connection came of it: auto=ignore */
	bool swapped, passed, seen;
	bool stays;	   /* of the last reading: a connection comes of it again */
	struct entry *was; /* at the last reading */
};

struct reference {
	UT_hash_handle hh;
	char name[];
};

struct recall {
	struct entry *old, *now;
	unsigned n_old, n_now, room, cursor, misses;
	unsigned *of_conn, n_conns; /* which of `now` a built connection is */
	uint64_t globals, secrets, old_globals, old_secrets;
	struct reference *references;
	bool uses, odd;
	bool forgets; /* the next reading has to read all */
};

/* ---- sums ---- */

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
	return h ^ (h >> 29);
}

/* Each step is one to one: texts of one length that differ in eight bytes never have the same. */
static uint64_t sum(uint64_t h, struct span text)
{
	uint64_t word;
	size_t at = 0;

	h = mix(h, text.len);
	for (; at + sizeof(word) <= text.len; at += sizeof(word)) {
		memcpy(&word, text.ptr + at, sizeof(word));
		h = mix(h, word);
	}
	word = 0;
	if (at < text.len)
		memcpy(&word, text.ptr + at, text.len - at);
	return mix(h, word);
}

uint64_t recall_mark(const char *name, uint64_t digest)
{
	return mix(sum(digest, span_str(name)), digest);
}

static uint64_t sum_addr(uint64_t h, const struct addr *a)
{
	return sum(mix(h, a->family), span_of(a->bytes, sizeof(a->bytes)));
}

static uint64_t sum_hosts(uint64_t h, const struct host *hosts, unsigned n)
{
	h = mix(h, n);
	for (unsigned i = 0; i < n; i++) {
		h = sum_addr(mix(h, hosts[i].kind), &hosts[i].addr);
		h = mix(sum_addr(h, &hosts[i].prefix.addr), hosts[i].prefix.len);
		h = sum(h, span_str(hosts[i].name ? hosts[i].name : ""));
	}
	return h;
}

static uint64_t sum_id(uint64_t h, const struct id *id)
{
	return sum(mix(h, id->type), span_of(id->data, id->len));
}

/* What decides which end is ours, and which secret fits. */
static uint64_t sum_ends(const struct conn *c)
{
	uint64_t h = sum_hosts(0, c->local, c->n_local);

	h = sum_hosts(h, c->remote, c->n_remote);
	return sum_id(sum_id(h, &c->local_id), &c->remote_id);
}

/* ---- the memo ---- */

static void put_bytes(struct buf *b, const void *p, size_t n)
{
	if (n > UINT16_MAX)
		b->overflow = true;
	buf_put_u16(b, (uint16_t)n);
	buf_put(b, p, n);
}

static void put_entry(struct buf *b, const struct entry *e)
{
	put_bytes(b, e->name, strlen(e->name));
	put_bytes(b, e->command.ptr, e->command.len);
	buf_put_u64(b, e->digest);
	buf_put_u64(b, e->ends);
	buf_put_u8(b, e->target);
	buf_put_u8(b, e->nothing);
	buf_put_u8(b, e->swapped);
	buf_put_u8(b, e->n_claims);
	for (unsigned i = 0; i < e->n_claims; i++)
		buf_put_u64(b, e->claims[i]);
}

void recall_put(const struct recall *r, const struct config_errors *errors, struct buf *out)
{
	if (r->forgets || r->odd || errors->n || errors->n_errors)
		return;
	buf_put_u32(out, MAGIC);
	buf_put_u64(out, r->globals);
	buf_put_u64(out, r->secrets);
	buf_put_u32(out, r->n_now);
	for (unsigned i = 0; i < r->n_now; i++)
		put_entry(out, &r->now[i]);
}

static bool get_entry(struct reader *r, struct entry *e)
{
	struct span name = reader_take(r, reader_u16(r));

	e->command = reader_take(r, reader_u16(r));
	e->digest = reader_u64(r);
	e->ends = reader_u64(r);
	e->target = reader_u8(r);
	e->nothing = reader_u8(r);
	e->swapped = reader_u8(r);
	e->n_claims = reader_u8(r);
	if (r->truncated || e->n_claims > BUILD_CLAIMS_MAX)
		return false;
	for (unsigned i = 0; i < e->n_claims; i++)
		e->claims[i] = reader_u64(r);
	e->name = strndup((const char *)name.ptr, name.len);
	return e->name && !r->truncated;
}

/* false: it is of no use. */
static bool get_memo(struct recall *r, struct span memo)
{
	struct reader in = reader_over(memo);
	uint32_t n;

	if (reader_u32(&in) != MAGIC)
		return false;
	r->old_globals = reader_u64(&in);
	r->old_secrets = reader_u64(&in);
	n = reader_u32(&in);
	if (in.truncated || n > reader_left(&in))
		return false;
	r->old = calloc(n + 1u, sizeof(*r->old));
	while (r->old && r->n_old < n) {
		if (!get_entry(&in, &r->old[r->n_old++]))
			return false;
	}
	return r->old && !reader_left(&in);
}

/* ---- life ---- */

struct recall *recall_new(struct span memo)
{
	struct recall *r = calloc(1, sizeof(*r));

	if (r)
		r->uses = get_memo(r, memo);
	return r;
}

static void entries_free(struct entry *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(list[i].name);
	free(list);
}

void recall_free(struct recall *r)
{
	struct reference *ref, *next;

	if (!r)
		return;
	HASH_ITER (hh, r->references, ref, next) {
		HASH_DEL(r->references, ref);
		free(ref);
	}
	entries_free(r->old, r->n_old);
	entries_free(r->now, r->n_now);
	free(r->of_conn);
	free(r);
}

bool recall_uses(const struct recall *r)
{
	return r && r->uses;
}

bool recall_holds(const struct recall *r)
{
	if (r->odd || r->globals != r->old_globals || r->secrets != r->old_secrets)
		return false;
	for (unsigned i = 0; i < r->n_old; i++) {
		if (r->old[i].target && !r->old[i].seen)
			return false;
	}
	return true;
}

/* ---- reading ---- */

static bool is_named(const struct entry *e, struct span name)
{
	return strlen(e->name) == name.len && memcmp(e->name, name.ptr, name.len) == 0;
}

/* Most stand where they stood. */
static struct entry *find_old(struct recall *r, struct span name)
{
	if (r->cursor < r->n_old && is_named(&r->old[r->cursor], name))
		return &r->old[r->cursor++];
	r->odd |= ++r->misses > MISSES_MAX;
	for (unsigned i = 0; i < r->n_old && !r->odd; i++) {
		if (!is_named(&r->old[i], name))
			continue;
		r->cursor = i + 1;
		return &r->old[i];
	}
	return NULL;
}

static struct entry *append(struct recall *r, struct span name)
{
	struct entry *more = r->now;

	if (r->n_now == r->room) {
		more = reallocarray(r->now, 2u * r->room + 64, sizeof(*more));
		if (!more)
			return NULL;
		r->now = more;
		r->room = 2 * r->room + 64;
	}
	more += r->n_now;
	*more = (struct entry){.name = strndup((const char *)name.ptr, name.len)};
	r->n_now += more->name != NULL;
	return more->name ? more : NULL;
}

/* As it was, under a name of its own. */
static void pass(struct entry *e, const struct entry *was)
{
	char *name = e->name;

	*e = *was;
	e->name = name;
	e->passed = true;
}

static bool conn_section(struct recall *r, struct span name, uint64_t digest)
{
	struct entry *e = append(r, name), *was;

	if (!e) {
		r->odd = true;
		return false;
	}
	e->digest = digest;
	if (!r->uses)
		return false;
	was = find_old(r, name);
	if (!was || was->seen) {
		r->odd = true;
		return false;
	}
	was->seen = true;
	e->was = was;
	e->target = was->target;
	if (was->target) { /* others are built from it */
		r->odd |= !digest || digest != was->digest;
		return false;
	}
	if (!digest || digest != was->digest)
		return false;
	was->stays = !was->nothing;
	pass(e, was);
	return true;
}

bool recall_section(struct recall *r, enum recall_kind kind, struct span name, struct span text,
		    bool includes)
{
	uint64_t digest;

	if (!r)
		return false;
	digest = sum(1, text);
	if (kind == RECALL_CONN)
		return conn_section(r, name, includes ? 0 : digest | 1);
	r->globals = mix(mix(r->globals, kind), digest);
	r->forgets |= includes;
	return false;
}

void recall_refers(struct recall *r, const char *name)
{
	struct reference *ref = NULL;
	size_t n = strlen(name);

	if (!r)
		return;
	HASH_FIND_STR(r->references, name, ref);
	if (ref)
		return;
	ref = malloc(sizeof(*ref) + n + 1);
	r->odd |= !ref;
	if (!ref)
		return;
	memcpy(ref->name, name, n + 1);
	HASH_ADD_STR(r->references, name, ref);
}

void recall_secrets(struct recall *r, struct span text)
{
	if (r)
		r->secrets = sum(r->secrets, text);
}

void recall_doubts(struct recall *r)
{
	if (r)
		r->odd = true;
}

/* ---- what was built ---- */

/* Without a connection in between are those of which none came. */
static unsigned find_now(const struct recall *r, unsigned from, const char *name)
{
	while (from < r->n_now && strcmp(r->now[from].name, name) != 0)
		from++;
	return from;
}

static bool shares_claim(const struct entry *a, const struct entry *b)
{
	for (unsigned i = 0; i < a->n_claims; i++) {
		for (unsigned k = 0; k < b->n_claims; k++) {
			if (a->claims[i] == b->claims[k])
				return true;
		}
	}
	return false;
}

/* Two of them want the same device: who reads all says it in words. */
static void check_claims(struct recall *r)
{
	r->odd |= (uint64_t)r->n_conns * r->n_now > CLAIMS_MAX;
	for (unsigned i = 0; i < r->n_conns && !r->odd; i++) {
		const struct entry *e = &r->now[r->of_conn[i]];

		for (unsigned k = 0; k < r->n_now; k++)
			r->odd |= &r->now[k] != e && !r->now[k].nothing &&
				  shares_claim(e, &r->now[k]);
	}
}

static void note_targets(struct recall *r)
{
	struct reference *ref;

	for (unsigned i = 0; i < r->n_now && r->references; i++) {
		HASH_FIND_STR(r->references, r->now[i].name, ref);
		r->now[i].target |= ref != NULL;
		r->forgets |= ref && !(r->now[i].digest); /* what it includes is not seen */
	}
}

void recall_built(struct recall *r, const struct config *c)
{
	unsigned at = 0;

	if (!r)
		return;
	note_targets(r);
	r->of_conn = calloc(c->n_conns + 1u, sizeof(*r->of_conn));
	for (unsigned i = 0; i < r->n_now; i++)
		r->now[i].nothing |= !r->now[i].passed;
	for (unsigned i = 0; r->of_conn && i < c->n_conns; i++) {
		const struct conn *conn = c->conns[i].conn;
		struct entry *e;

		at = find_now(r, at, conn->name);
		if (at == r->n_now)
			break;
		e = &r->now[at];
		r->of_conn[r->n_conns++] = at++;
		e->nothing = false;
		if (e->was)
			e->was->stays = true;
		e->ends = sum_ends(conn);
		e->n_claims = (uint8_t)build_claims(&c->conns[i], e->claims);
		r->odd |= r->uses && (!e->was || e->was->nothing || e->ends != e->was->ends);
	}
	r->odd |= r->n_conns != c->n_conns;
	/* A connection that is none any more, without auto=: only a whole reading knows whether to
	 * warn. */
	for (unsigned i = 0; r->uses && i < r->n_now; i++)
		r->odd |= r->now[i].was && !r->now[i].was->nothing && r->now[i].nothing;
	if (r->uses)
		check_claims(r);
}

bool recall_swapped(const struct recall *r, unsigned conn)
{
	const struct entry *was = conn < r->n_conns ? r->now[r->of_conn[conn]].was : NULL;

	return was && was->swapped;
}

void recall_oriented(struct recall *r, const struct config *c)
{
	for (unsigned i = 0; r && i < r->n_conns; i++) {
		struct entry *e = &r->now[r->of_conn[i]];
		const struct conn *conn = c->conns[i].conn;
		const char *command = conn->children[0].updown;

		e->swapped = e->ends != sum_ends(conn);
		e->command = command ? span_of(command, strlen(command) + 1) : span_of(NULL, 0);
	}
}

uint64_t recall_digest(const struct recall *r, unsigned conn)
{
	return r && conn < r->n_conns ? r->now[r->of_conn[conn]].digest : 0;
}

static bool add_gone(struct config *c, const char *name)
{
	char **more = reallocarray(c->gone, c->n_gone + 1u, sizeof(*more));

	if (!more)
		return false;
	c->gone = more;
	more[c->n_gone] = strdup(name);
	if (!more[c->n_gone])
		return false;
	c->n_gone++;
	return true;
}

bool recall_unchanged(const struct recall *r, struct config *c)
{
	for (unsigned i = 0; i < r->n_now; i++) {
		const struct entry *e = &r->now[i];

		if (!e->passed || e->nothing)
			continue;
		c->unchanged_sum += recall_mark(e->name, e->digest);
		c->n_unchanged++;
	}
	for (unsigned i = 0; i < r->n_old; i++) {
		const struct entry *e = &r->old[i];

		if (!e->nothing && !e->stays && !add_gone(c, e->name))
			return false;
	}
	return true;
}

const char *recall_command(const struct recall *r, unsigned n, size_t *len)
{
	if (n >= r->n_now)
		return NULL;
	*len = r->now[n].command.len;
	return *len ? (const char *)r->now[n].command.ptr : "";
}
