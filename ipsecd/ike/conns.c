/* Loaded conns, their versions, and secrets. A reload replaces a version; SAs keep the
 * one they work by. Decides nothing about attempts: that is peers.c. */
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/aggfrag.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/resources.h"

#include <stdlib.h>

/* ---- versions ---- */

struct conn_version *conn_version_new(struct conn *conn)
{
	struct conn_version *v = calloc(1, sizeof(*v));

	if (!v) {
		conn_free(conn);
		return NULL;
	}
	v->conn = conn;
	v->refs = 1;
	v->digest = conn_digest(conn);
	v->digest_ike = conn_digest_ike(conn);
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

	if (entry->touched)
		DL_DELETE2(e->touched_entries, entry, touched_prev, touched_next);
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

static struct conn_entry *entry_alloc(struct ike_engine *e, struct conn_version *v)
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
	timer_init(&entry->retry_timer, peers_retry_expire, entry);
	entry->version = v;
	return entry;
}

/* The same in each process. */
static uint64_t number_of(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	while (*name)
		h = (h ^ (uint8_t)*name++) * 0x100000001b3ULL;
	return h;
}

static struct conn_entry *entry_new(struct ike_engine *e, struct conn_version *v)
{
	struct conn_entry *entry = entry_alloc(e, v);

	if (!entry)
		return NULL;
	HASH_ADD_KEYPTR(hh, e->conns_by_name, entry->name, strlen(entry->name), entry);
	if (!entry->hh.tbl) {
		timer_heap_release(&e->timers, 1);
		free(entry->name);
		free(entry);
		return NULL;
	}
	entry->number = number_of(entry->name);
	DL_APPEND(e->conns, entry);
	conn_index_add(&e->conns_by_peer, entry, v->conn, entry->links);
	return entry;
}

struct conn_entry *conns_ghost(struct ike_engine *e, struct conn *conn)
{
	struct conn_version *v = conn_version_new(conn);
	struct conn_entry *entry = v ? entry_alloc(e, v) : NULL;

	if (entry)
		entry->unloaded = true;
	else
		conn_version_unref(v);
	return entry;
}

void conns_attach(struct ike_engine *e, struct ike_sa *sa, struct conn_entry *entry,
		  struct conn_version *version)
{
	struct conn_version *old = sa->version;

	sa->attached = ++e->next_attached;
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
	entry_touch(e, entry);
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

	if (!m || m->sent)
		return;
	m->sent = true;
	entry_touch(e, entry);
}

void conns_child_not_before(struct ike_engine *e, struct conn_entry *entry, const char *child,
			    mono_time at)
{
	struct child_memory *m = memory_of(entry, child);

	if (!m && at && conn_child(entry->version->conn, child))
		m = memorize(e, entry, child);
	if (!m || m->not_before == at)
		return;
	m->not_before = at;
	entry_touch(e, entry);
}

void conns_all_due(struct conn_entry *entry)
{
	struct child_memory *m;

	LL_FOREACH (entry->memories, m)
		m->not_before = 0;
}

bool conns_child_due(const struct ike_engine *e, const struct conn_entry *entry, const char *child)
{
	const struct child_memory *m = memory_of(entry, child);

	return !m || e->now >= m->not_before;
}

bool conns_child_inherited(const struct conn_entry *entry, const char *child)
{
	const struct child_memory *m = memory_of(entry, child);

	return entry->inherited && !(m && m->sent);
}

static const struct table_shape by_tunnel = TABLE_SHAPE(struct conn_entry, in_tunnels, tunnel);

struct conn_entry *conns_by_tunnel(const struct ike_engine *e, uint32_t tunnel)
{
	return table_find(&e->conns_by_tunnel, &by_tunnel, &tunnel);
}

/* Without memory for the table's first buckets, traffic does not start it. */
static void set_tunnel(struct ike_engine *e, struct conn_entry *entry, uint32_t tunnel)
{
	table_remove(&e->conns_by_tunnel, &by_tunnel, entry);
	entry->tunnel = tunnel;
	if (tunnel)
		table_add(&e->conns_by_tunnel, &by_tunnel, entry);
}

/* ---- load and unload ---- */

static void delete_sas(struct ike_engine *e, const struct conn_entry *entry)
{
	struct ike_sa *sa, *next;

	DL_FOREACH_SAFE2 (entry->sas, sa, next, entry_next)
		ike_sa_delete(e, sa, IKE_REASON_CONFIG);
}

/* A child for other traffic is deleted, and comes again by peers_child_gone when the new
 * version wants it up; so does one for a resource too many (RFC 9611), for good. The others go on
 * by the new version; where it keys otherwise, a rekey brings that in force at once and without a
 * gap. */
static void adopt_children(struct ike_engine *e, struct ike_sa *sa)
{
	struct child *c, *next;

	DL_FOREACH_SAFE (sa->children, c, next) {
		const struct child_config *config = conn_child(sa->conn, c->config->name);
		bool rekey;

		if (!config || !child_config_same_traffic(config, c->config)) {
			child_delete(e, c, IKE_REASON_CONFIG);
			continue;
		}
		rekey = !child_config_same_keying(config, c->config);
		if (rekey)
			child_remember_told(c);
		child_set_config(c, sa->version, config);
		if (!resources_shed(e, c) && rekey && child_usable(c))
			exchange_enqueue(e, sa, &rekey_child_ops, c->id, NULL, 0);
	}
}

static void rearm_liveness(struct ike_engine *e, struct ike_sa *sa)
{
	if (!ike_sa_usable(sa) || sa->silent)
		return;
	timer_cancel(&e->timers, &sa->dpd_timer);
	liveness_arm(e, sa);
}

/* Lifetimes that run stay as they were planned: the next IKE_SA has the new ones. */
static void adopt_liveness(struct ike_engine *e, struct ike_sa *sa, const struct conn *old)
{
	if (sa->conn->dpd_delay != old->dpd_delay)
		rearm_liveness(e, sa);
}

void conns_rearm_liveness(struct ike_engine *e, const struct conn_entry *entry)
{
	struct ike_sa *sa;

	DL_FOREACH2 (entry->sas, sa, entry_next)
		rearm_liveness(e, sa);
}

static void adopt_version(struct ike_engine *e, struct conn_entry *entry)
{
	struct ike_sa *sa;

	DL_FOREACH2 (entry->sas, sa, entry_next) {
		struct conn_version *old = sa->version;

		if (sa->state == IKE_SA_ENDED)
			continue;
		sa_touch(e, sa);
		sa->version = conn_version_ref(entry->version);
		sa->conn = sa->version->conn;
		adopt_liveness(e, sa, old->conn);
		conn_version_unref(old);
		adopt_children(e, sa);
	}
}

static void replace_version(struct ike_engine *e, struct conn_entry *entry, struct conn_version *v)
{
	struct conn_version *old = entry->version;
	enum conn_difference difference = conn_compare(old->conn, v->conn);

	conns_all_due(entry);
	entry->version = v;
	conn_index_remove(&e->conns_by_peer, entry->links);
	conn_index_add(&e->conns_by_peer, entry, v->conn, entry->links);
	if (difference == CONN_DIFFERS) {
		entry->query = 0; /* what is answered is the peer of before */
		delete_sas(e, entry);
	} else {
		adopt_version(e, entry);
	}
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
	struct conn_version *v = conn_version_new(conn);

	*error = "out of memory";
	if (!v)
		return false;
	if (entry) {
		replace_version(e, entry, v);
	} else {
		entry = entry_new(e, v);
		if (!entry) {
			conn_version_unref(v);
			return false;
		}
	}
	aggfrag_check(e, conn);
	set_tunnel(e, entry, command->tunnel);
	entry->inherited |= command->inherited;
	entry->refused_told = false;
	entry->device_down = command->down;
	entry->restoring = command->restoring;
	e->restoring |= command->restoring;
	entry_touch(e, entry);
	pairs_expect(e, proposal_first_ke(conn->proposals));
	if (!entry->restoring)
		conns_loaded(e, entry);
	return true;
}

void conns_loaded(struct ike_engine *e, struct conn_entry *entry)
{
	if (conns_starts(entry->version->conn) && !entry->held)
		entry->wanted = true;
	entry_touch(e, entry);
	if (entry->wanted)
		peers_review(e, entry);
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
	e->looked = NULL;
	conn_index_remove(&e->conns_by_peer, entry->links);
	table_remove(&e->conns_by_tunnel, &by_tunnel, entry);
	timer_cancel(&e->timers, &entry->retry_timer);
	entry_touch(e, entry); /* for the last time */
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

void conns_reap(struct ike_engine *e, bool all)
{
	struct conn_entry *entry, *tmp, *unpublished = NULL;

	LL_FOREACH_SAFE (e->dead_conns, entry, tmp) {
		if (entry->touched && !all)
			LL_PREPEND(unpublished, entry);
		else
			entry_free(e, entry);
	}
	e->dead_conns = unpublished;
}

void conns_free(struct ike_engine *e)
{
	struct conn_entry *entry, *tmp;

	conns_reap(e, true);
	HASH_CLEAR(hh, e->conns_by_name);
	table_free(&e->conns_by_tunnel);
	DL_FOREACH_SAFE (e->conns, entry, tmp) {
		DL_DELETE(e->conns, entry);
		entry_free(e, entry);
	}
	secrets_free(&e->secrets);
}

/* ---- holds ---- */

void conns_hold(struct ike_engine *e, struct conn_entry *entry, enum hold hold)
{
	entry_touch(e, entry);
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

void conns_hold_child(struct ike_engine *e, struct conn_entry *entry, const char *child,
		      enum hold hold)
{
	struct held_child *h = held_child(entry, child);

	entry_touch(e, entry);
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

void conns_release_hold(struct ike_engine *e, struct conn_entry *entry, const char *child)
{
	struct held_child *h, *tmp;

	entry_touch(e, entry);
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

/* ---- secrets ---- */

bool conns_load_secret(struct ike_engine *e, struct secret *secret, const char **error)
{
	*error = "out of memory";
	return secrets_put(&e->secrets, secret);
}

bool conns_unload_secret(struct ike_engine *e, const char *unique, const char **error)
{
	*error = "no such secret";
	return secrets_remove(&e->secrets, unique);
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
	const struct secret_wish wish = {
		.local = sa_local_id(sa),
		.remote = remote,
		.local_addr = &sa->path.local.addr,
		.remote_addr = pins(sa->conn, remote, there) ? there : NULL,
	};

	return secrets_find(&e->secrets, &wish);
}
