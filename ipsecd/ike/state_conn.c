/* What is known of a loaded conn beside its configuration, and what belongs to the engine as a
 * whole, in records of their own. */
#include "ipsecd/ike/state.h"

#include <stdlib.h>

void state_entry_name(struct codec *c, char **name)
{
	codec_string(c, name, "no name of a connection");
	if (!*name)
		codec_fault(c, "no name of a connection");
}

/* ---- lists ---- */

#define COUNT(list, item, n)            \
	do {                            \
		(n) = 0;                \
		LL_FOREACH (list, item) \
			(n)++;          \
	} while (0)

/* The next item of a list that is written; one more of a list that is read. */
static void *next_item(struct codec *c, void *written, size_t size)
{
	void *made;

	if (!codec_reads(c))
		return written;
	made = calloc(1, size);
	if (!made)
		codec_fault(c, "out of memory");
	return made;
}

static void held(struct codec *c, struct held_child **list)
{
	struct held_child *h;
	unsigned n;

	COUNT(*list, h, n);
	CODEC_COUNT(c, n, STATE_HELD_MAX, "too many children");
	h = *list;
	for (unsigned i = 0; i < n && !c->fault; i++) {
		h = next_item(c, h, sizeof(*h));
		if (!h)
			return;
		if (codec_reads(c))
			LL_APPEND(*list, h);
		CODEC_ENUM(c, h->hold, HOLD_PEER + 1, "unknown hold");
		state_entry_name(c, &h->name);
		h = h->next;
	}
}

static void memories(struct codec *c, struct child_memory **list)
{
	struct child_memory *m;
	unsigned n;

	COUNT(*list, m, n);
	CODEC_COUNT(c, n, STATE_HELD_MAX, "too many children");
	m = *list;
	for (unsigned i = 0; i < n && !c->fault; i++) {
		m = next_item(c, m, sizeof(*m));
		if (!m)
			return;
		if (codec_reads(c))
			LL_APPEND(*list, m);
		codec_u32(c, &m->reqid);
		codec_bool(c, &m->sent);
		if (c->version >= 5)
			codec_u64(c, &m->not_before);
		state_entry_name(c, &m->name);
		m = m->next;
	}
}

/* Who waited is gone with the process; that it is wanted is not. */
static void waiters(struct codec *c, struct waiter **list)
{
	struct waiter *w;
	unsigned n;

	COUNT(*list, w, n);
	CODEC_COUNT(c, n, STATE_HELD_MAX, "too many commands");
	w = *list;
	for (unsigned i = 0; i < n && !c->fault; i++) {
		w = next_item(c, w, sizeof(*w));
		if (!w)
			return;
		if (codec_reads(c))
			DL_APPEND(*list, w);
		codec_string(c, &w->child, "no name of a child");
		w = w->next;
	}
}

/* ---- a conn ---- */

static void detail(struct codec *c, char text[IKE_DETAIL])
{
	uint16_t len = codec_reads(c) ? 0 : (uint16_t)strnlen(text, IKE_DETAIL - 1);

	codec_short(c, (uint8_t *)text, &len, IKE_DETAIL - 1, "a text is too long");
	if (codec_reads(c))
		text[len] = '\0';
}

static void attempts(struct codec *c, struct conn_entry *entry)
{
	bool asked = entry->query != 0;

	codec_string(c, &entry->wanted_child, "no name of a child");
	codec_bool(c, &asked); /* another query is made */
	if (codec_reads(c))
		entry->query = asked;
	codec_addr(c, &entry->remote);
	codec_unsigned(c, &entry->next_remote);
	codec_unsigned(c, &entry->asked_from);
	codec_unsigned(c, &entry->tries);
	codec_u64(c, &entry->back_off);
	codec_bool(c, &entry->short_lived);
	codec_timer(c, &entry->retry_timer);
	CODEC_ENUM(c, entry->reason, IKE_REASONS, "unknown reason");
	detail(c, entry->detail);
}

void state_entry_fields(struct codec *c, struct conn_entry *entry)
{
	uint64_t digest = codec_reads(c) ? 0 : entry->version->digest;

	codec_random64(c, &digest);
	entry->digest = digest;
	codec_bool(c, &entry->inherited);
	codec_bool(c, &entry->wanted);
	codec_bool(c, &entry->acquired);
	codec_bool(c, &entry->refused_told);
	CODEC_ENUM(c, entry->held, HOLD_PEER + 1, "unknown hold");
	codec_bool(c, &entry->device_down);
	codec_bool(c, &entry->was_up);
	CODEC_ENUM(c, entry->suspected, IKE_SUSPICIONS, "unknown suspicion");
	attempts(c, entry);
	codec_addrs(c, entry->vips_had, &entry->n_vips_had, VIPS_MAX, "too many virtual addresses");
	codec_addrs(c, entry->vips_told, &entry->n_vips_told, IKE_TUNNEL_VIPS_MAX,
		    "too many virtual addresses");
	held(c, &entry->held_children);
	memories(c, &entry->memories);
	waiters(c, &entry->waiters);
}

static void free_lists(struct conn_entry *read)
{
	struct child_memory *m, *next_memory;
	struct held_child *h, *next_held;
	struct waiter *w, *next_waiter;

	LL_FOREACH_SAFE (read->held_children, h, next_held) {
		free(h->name);
		free(h);
	}
	LL_FOREACH_SAFE (read->memories, m, next_memory) {
		free(m->name);
		free(m);
	}
	DL_FOREACH_SAFE (read->waiters, w, next_waiter) {
		free(w->child);
		free(w);
	}
	free(read->wanted_child);
}

/* The shell said when it loaded the conn whether the device is down now. */
static void take(struct conn_entry *entry, const struct conn_entry *read)
{
	entry->digest = read->digest;
	entry->inherited = read->inherited;
	entry->wanted = read->wanted;
	entry->acquired = read->acquired;
	entry->refused_told = read->refused_told;
	entry->held = read->held;
	entry->device_was_down = read->device_down;
	entry->was_up = read->was_up;
	entry->suspected = read->suspected;
	entry->wanted_child = read->wanted_child;
	entry->query = read->query;
	entry->remote = read->remote;
	entry->next_remote = read->next_remote;
	entry->asked_from = read->asked_from;
	entry->tries = read->tries;
	entry->back_off = read->back_off;
	entry->short_lived = read->short_lived;
	entry->retry_timer.at = read->retry_timer.at;
	entry->reason = read->reason;
	memcpy(entry->detail, read->detail, sizeof(entry->detail));
	entry->n_vips_had = read->n_vips_had;
	memcpy(entry->vips_had, read->vips_had, sizeof(entry->vips_had));
	entry->n_vips_told = read->n_vips_told;
	memcpy(entry->vips_told, read->vips_told, sizeof(entry->vips_told));
	entry->held_children = read->held_children;
	entry->memories = read->memories;
	entry->waiters = read->waiters;
	if (entry->digest != entry->version->digest)
		conns_all_due(entry);
}

bool state_entry_read(struct codec *c, struct conn_entry *entry)
{
	struct conn_entry read = {0};

	state_entry_fields(c, &read);
	if (!codec_done(c)) {
		free_lists(&read);
		return false;
	}
	take(entry, &read);
	return true;
}

/* ---- the engine ---- */

static void cookies(struct codec *c, struct cookie_jar *jar)
{
	codec_bytes(c, jar->secret, sizeof(jar->secret));
	codec_u32(c, &jar->version);
	codec_u64(c, &jar->rotate_at);
}

void state_engine_fields(struct codec *c, struct ike_engine *e)
{
	codec_u32(c, &e->next_sa_id);
	codec_u32(c, &e->next_child_unique);
	codec_u32(c, &e->next_reqid);
	codec_u64(c, &e->next_child_id);
	codec_u64(c, &e->next_query);
	codec_u64(c, &e->next_attached);
	codec_bool(c, &e->shutting_down);
	cookies(c, &e->cookies);
}

bool state_engine_read(struct codec *c, struct ike_engine *e)
{
	struct ike_engine read = {0};

	state_engine_fields(c, &read);
	if (!codec_done(c))
		return false;
	e->next_sa_id = read.next_sa_id;
	e->next_child_unique = read.next_child_unique;
	e->next_reqid = read.next_reqid;
	e->next_child_id = read.next_child_id;
	e->next_query = read.next_query;
	e->next_attached = read.next_attached;
	e->shutting_down = read.shutting_down;
	e->cookies = read.cookies;
	explicit_bzero(&read.cookies, sizeof(read.cookies));
	return true;
}
