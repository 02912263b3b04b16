/* Loaded conns, their versions, and secrets. A reload replaces a version; SAs keep the
 * one they work by. Decides nothing about attempts: that is peers.c. */
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/command.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"

#include <stdlib.h>

/* ---- versions ---- */

static struct conn_version *version_new(struct conn *conn)
{
	struct conn_version *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->conn = conn;
	v->refs = 1;
	return v;
}

struct conn_version *conn_version_ref(struct conn_version *v)
{
	if (v)
		v->refs++;
	return v;
}

void conn_version_unref(struct conn_version *v)
{
	if (!v || --v->refs > 0)
		return;
	conn_free(v->conn);
	free(v);
}

/* ---- entries ---- */

static void drop_holds(struct conn_entry *entry)
{
	struct held_child *h, *tmp;

	LL_FOREACH_SAFE (entry->held_children, h, tmp) {
		LL_DELETE(entry->held_children, h);
		free(h->name);
		free(h);
	}
}

static void drop_memories(struct conn_entry *entry)
{
	struct child_memory *m, *tmp;

	LL_FOREACH_SAFE (entry->memories, m, tmp) {
		free(m->name);
		free(m);
	}
}

static void entry_free(struct ike_engine *e, struct conn_entry *entry)
{
	struct waiter *w, *tmp;

	conn_index_remove(&e->conns_by_peer, entry->links);
	timer_cancel(&e->timers, &entry->retry_timer);
	timer_heap_release(&e->timers, 1);
	DL_FOREACH_SAFE (entry->waiters, w, tmp) {
		DL_DELETE(entry->waiters, w);
		free(w->child);
		free(w);
	}
	drop_holds(entry);
	drop_memories(entry);
	conn_version_unref(entry->version);
	free(entry->wanted_child);
	free(entry->name);
	free(entry);
}

static struct conn_entry *entry_new(struct ike_engine *e, struct conn_version *v)
{
	struct conn_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->name = strdup(v->conn->name);
	if (!entry->name || !timer_heap_reserve(&e->timers, 1)) {
		free(entry->name);
		free(entry);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, e->conns_by_name, entry->name, strlen(entry->name), entry);
	if (!entry->hh.tbl) {
		timer_heap_release(&e->timers, 1);
		free(entry->name);
		free(entry);
		return NULL;
	}
	timer_init(&entry->retry_timer, peers_retry_expire, entry);
	entry->version = v;
	DL_APPEND(e->conns, entry);
	conn_index_add(&e->conns_by_peer, entry, v->conn, entry->links);
	return entry;
}

void conns_attach(struct ike_sa *sa, struct conn_entry *entry, struct conn_version *version)
{
	struct conn_version *old = sa->version;

	if (sa->entry)
		DL_DELETE2(sa->entry->sas, sa, entry_prev, entry_next);
	DL_APPEND2(entry->sas, sa, entry_prev, entry_next);
	sa->entry = entry;
	sa->version = conn_version_ref(version);
	sa->conn = version->conn;
	conn_version_unref(old);
}

void conns_detach(struct ike_engine *e, struct ike_sa *sa)
{
	struct conn_entry *entry = sa->entry;

	conn_version_unref(sa->version);
	sa->version = NULL;
	sa->conn = NULL;
	sa->entry = NULL;
	if (!entry)
		return;
	DL_DELETE2(entry->sas, sa, entry_prev, entry_next);
	if (!entry->sas && entry->unloaded)
		entry_free(e, entry);
}

struct conn_entry *conns_named(const struct ike_engine *e, const char *name)
{
	struct conn_entry *entry;

	HASH_FIND(hh, e->conns_by_name, name, strlen(name), entry);
	return entry;
}

static struct child_memory *memory_of(const struct conn_entry *entry, const char *child)
{
	struct child_memory *m;

	LL_FOREACH (entry->memories, m)
		if (strcmp(m->name, child) == 0)
			return m;
	return NULL;
}

/* NULL: out of memory. */
static struct child_memory *memorize(struct ike_engine *e, struct conn_entry *entry,
				     const char *child)
{
	struct child_memory *m = memory_of(entry, child);

	if (m)
		return m;
	m = calloc(1, sizeof(*m));
	if (m)
		m->name = strdup(child);
	if (!m || !m->name) {
		free(m);
		return NULL;
	}
	m->reqid = ++e->next_reqid;
	LL_PREPEND(entry->memories, m);
	return m;
}

uint32_t conns_reqid(struct ike_engine *e, struct conn_entry *entry,
		     const struct child_config *config)
{
	const struct child_memory *m;

	if (config->reqid)
		return config->reqid;
	m = memorize(e, entry, config->name);
	return m ? m->reqid : ++e->next_reqid;
}

void conns_child_sends(struct ike_engine *e, struct conn_entry *entry, const char *child)
{
	struct child_memory *m = memorize(e, entry, child);

	if (m)
		m->sent = true;
}

bool conns_child_inherited(const struct conn_entry *entry, const char *child)
{
	const struct child_memory *m = memory_of(entry, child);

	return entry->inherited && !(m && m->sent);
}

struct conn_entry *conns_by_tunnel(const struct ike_engine *e, uint32_t tunnel)
{
	struct conn_entry *entry;

	DL_FOREACH (e->conns, entry)
		if (entry->tunnel == tunnel)
			return entry;
	return NULL;
}

/* ---- load and unload ---- */

static void delete_sas(struct ike_engine *e, const struct conn_entry *entry)
{
	struct ike_sa *sa, *next;

	DL_FOREACH_SAFE2 (entry->sas, sa, next, entry_next)
		ike_sa_delete(e, sa, IKE_REASON_CONFIG);
}

/* A child for other traffic is deleted, and comes again by peers_child_gone when the new
 * version wants it up. The others go on by the new version; where it keys otherwise, a rekey
 * brings that in force at once and without a gap. */
static void adopt_children(struct ike_engine *e, struct ike_sa *sa)
{
	struct child *c, *next;

	DL_FOREACH_SAFE (sa->children, c, next) {
		const struct child_config *config = conn_child(sa->conn, c->config->name);
		struct conn_version *old = c->version;

		bool rekey;

		if (!config || !child_config_same_traffic(config, c->config)) {
			child_delete(e, c, IKE_REASON_CONFIG);
			continue;
		}
		rekey = !child_config_same_keying(config, c->config);
		c->config = config;
		c->version = conn_version_ref(sa->version);
		conn_version_unref(old);
		if (rekey && child_usable(c))
			exchange_enqueue(e, sa, &rekey_child_ops, c->id, NULL, 0);
	}
}

static void adopt_version(struct ike_engine *e, struct conn_entry *entry)
{
	struct ike_sa *sa;

	DL_FOREACH2 (entry->sas, sa, entry_next) {
		struct conn_version *old = sa->version;

		if (sa->state == IKE_SA_ENDED)
			continue;
		sa->version = conn_version_ref(entry->version);
		sa->conn = sa->version->conn;
		conn_version_unref(old);
		adopt_children(e, sa);
	}
}

static void replace_version(struct ike_engine *e, struct conn_entry *entry, struct conn_version *v)
{
	struct conn_version *old = entry->version;
	enum conn_difference difference = conn_compare(old->conn, v->conn);

	entry->version = v;
	conn_index_remove(&e->conns_by_peer, entry->links);
	conn_index_add(&e->conns_by_peer, entry, v->conn, entry->links);
	if (difference == CONN_DIFFERS)
		delete_sas(e, entry);
	else
		adopt_version(e, entry);
	conn_version_unref(old);
}

bool conns_starts(const struct conn *c)
{
	for (uint16_t i = 0; i < c->n_children; i++)
		if (c->children[i].start_action == ACTION_START)
			return true;
	return false;
}

bool conns_load(struct ike_engine *e, const struct ike_command *command, const char **error)
{
	struct conn *conn = command->conn;
	struct conn_entry *entry = conns_named(e, conn->name);
	struct conn_version *v = version_new(conn);

	*error = "out of memory";
	if (!v) {
		conn_free(conn);
		return false;
	}
	if (entry) {
		replace_version(e, entry, v);
	} else {
		entry = entry_new(e, v);
		if (!entry) {
			conn_version_unref(v);
			return false;
		}
	}
	entry->tunnel = command->tunnel;
	entry->inherited |= command->inherited;
	entry->refused_told = false;
	entry->device_down = command->down;
	if (conns_starts(conn) && !entry->held)
		entry->wanted = true;
	if (entry->wanted)
		peers_review(e, entry);
	return true;
}

bool conns_unload(struct ike_engine *e, const char *name, const char **error)
{
	struct conn_entry *entry = conns_named(e, name);

	if (!entry) {
		*error = "no such connection";
		return false;
	}
	HASH_DEL(e->conns_by_name, entry);
	DL_DELETE(e->conns, entry);
	conn_index_remove(&e->conns_by_peer, entry->links);
	timer_cancel(&e->timers, &entry->retry_timer);
	entry->unloaded = true;
	entry->wanted = false;
	conns_end_waiters(e, entry, NULL, true, false, IKE_REASON_CONFIG, "connection unloaded");
	if (!entry->sas) {
		LL_PREPEND(e->dead_conns, entry);
		return true;
	}
	delete_sas(e, entry);
	return true;
}

void conns_reap(struct ike_engine *e)
{
	struct conn_entry *entry, *tmp;

	LL_FOREACH_SAFE (e->dead_conns, entry, tmp)
		entry_free(e, entry);
	e->dead_conns = NULL;
}

void conns_free(struct ike_engine *e)
{
	struct conn_entry *entry, *tmp;

	conns_reap(e);
	HASH_CLEAR(hh, e->conns_by_name);
	DL_FOREACH_SAFE (e->conns, entry, tmp) {
		DL_DELETE(e->conns, entry);
		entry_free(e, entry);
	}
	for (unsigned i = 0; i < e->n_secrets; i++)
		secret_free(e->secrets[i]);
	free(e->secrets);
}

/* ---- holds ---- */

void conns_hold(struct ike_engine *e, struct conn_entry *entry, enum hold hold)
{
	entry->held = hold;
	entry->wanted = false;
	entry->query = 0;
	timer_cancel(&e->timers, &entry->retry_timer);
	conns_end_waiters(e, entry, NULL, true, false, IKE_REASON_COMMAND, "taken down by command");
}

enum hold conns_held(const struct conn_entry *entry)
{
	return entry->device_down ? HOLD_PEER : entry->held;
}

static struct held_child *held_child(const struct conn_entry *entry, const char *child)
{
	struct held_child *h;

	LL_FOREACH (entry->held_children, h)
		if (strcmp(h->name, child) == 0)
			return h;
	return NULL;
}

enum hold conns_child_held(const struct conn_entry *entry, const char *child)
{
	const struct held_child *h = held_child(entry, child);

	return h ? h->hold : HOLD_NONE;
}

void conns_hold_child(struct conn_entry *entry, const char *child, enum hold hold)
{
	struct held_child *h = held_child(entry, child);

	if (h) {
		h->hold = hold;
		return;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return;
	h->hold = hold;
	h->name = strdup(child);
	if (!h->name) {
		free(h);
		return;
	}
	LL_PREPEND(entry->held_children, h);
}

void conns_release_hold(struct conn_entry *entry, const char *child)
{
	struct held_child *h, *tmp;

	entry->held = HOLD_NONE;
	if (!child) {
		drop_holds(entry);
		return;
	}
	LL_FOREACH_SAFE (entry->held_children, h, tmp) {
		if (strcmp(h->name, child) != 0)
			continue;
		LL_DELETE(entry->held_children, h);
		free(h->name);
		free(h);
	}
}

/* ---- waiting commands ---- */

bool conns_add_waiter(struct conn_entry *entry, uint64_t tag, const char *child)
{
	struct waiter *w;

	if (!tag)
		return true;
	w = calloc(1, sizeof(*w));
	if (!w)
		return false;
	w->tag = tag;
	w->child = child ? strdup(child) : NULL;
	if (child && !w->child) {
		free(w);
		return false;
	}
	DL_APPEND(entry->waiters, w);
	return true;
}

static bool waits_for(const struct waiter *w, const char *child)
{
	if (!w->child || !child)
		return !w->child && !child;
	return strcmp(w->child, child) == 0;
}

void conns_end_waiters(struct ike_engine *e, struct conn_entry *entry, const char *child, bool all,
		       bool ok, enum ike_reason reason, const char *detail)
{
	struct waiter *w, *tmp;

	DL_FOREACH_SAFE (entry->waiters, w, tmp) {
		if (!all && !waits_for(w, child))
			continue;
		DL_DELETE(entry->waiters, w);
		command_progress(e, w->tag, ok, reason, detail);
		free(w->child);
		free(w);
	}
}

/* ---- secrets ---- */

bool conns_load_secret(struct ike_engine *e, struct secret *secret, const char **error)
{
	struct secret **grown;

	for (unsigned i = 0; i < e->n_secrets; i++) {
		if (strcmp(e->secrets[i]->unique, secret->unique) != 0)
			continue;
		secret_free(e->secrets[i]);
		e->secrets[i] = secret;
		return true;
	}
	grown = realloc(e->secrets, (e->n_secrets + 1) * sizeof(*grown));
	if (!grown) {
		secret_free(secret);
		*error = "out of memory";
		return false;
	}
	e->secrets = grown;
	e->secrets[e->n_secrets++] = secret;
	return true;
}

bool conns_unload_secret(struct ike_engine *e, const char *unique, const char **error)
{
	for (unsigned i = 0; i < e->n_secrets; i++) {
		if (strcmp(e->secrets[i]->unique, unique) != 0)
			continue;
		secret_free(e->secrets[i]);
		memmove(e->secrets + i, e->secrets + i + 1,
			(e->n_secrets - i - 1) * sizeof(e->secrets[0]));
		e->n_secrets--;
		return true;
	}
	*error = "no such secret";
	return false;
}

/* A name may be at that address: the conn says so, or takes anybody. */
static bool pins(const struct conn *c, const struct id *remote, const struct addr *a)
{
	if (remote->type == ID_ANY)
		return true;
	for (uint8_t i = 0; i < c->n_remote; i++)
		if (c->remote[i].kind == HOST_ADDR && addr_equal(&c->remote[i].addr, a))
			return true;
	return false;
}

const struct secret *conns_secret(const struct ike_engine *e, const struct ike_sa *sa,
				  const struct id *remote)
{
	const struct addr *there = &sa->path.remote.addr;
	const struct secret *best = NULL;
	unsigned best_rank = 0;

	for (unsigned i = 0; i < e->n_secrets; i++) {
		const struct secret *s = e->secrets[i];
		unsigned rank =
			s->kind != SECRET_IKE
				? 0
				: secret_match(s, &sa->local_id, remote, &sa->path.local.addr,
					       pins(sa->conn, remote, there) ? there : NULL);

		if (rank > best_rank) {
			best_rank = rank;
			best = s;
		}
	}
	return best;
}
