/* Taking the records of a former engine: read whole and checked, then bound to the conns that are
 * loaded now, then put into the tables. What is wrong with one concerns no other. */
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/state.h"
#include "ipsecd/ike/vips.h"

#include <stdio.h>
#include <stdlib.h>

static bool read_version(struct codec *c)
{
	codec_u16(c, &c->version);
	if (c->version < STATE_VERSION_MIN || c->version > STATE_VERSION)
		codec_fault(c, "another version of Detour's state");
	return !c->fault;
}

/* ---- an IKE_SA ---- */

/* A conn that is not there any more, as far as SAs need one until they are gone. */
static struct conn *ghost_conn(const char *name, const struct ike_sa *sa)
{
	struct conn *conn = conn_new(name);
	const struct child *c;

	DL_FOREACH (sa->children, c) {
		if (!conn || conn_child(conn, c->config_name))
			continue;
		if (!conn_add_child(conn, c->config_name)) {
			conn_free(conn);
			conn = NULL;
		}
	}
	return conn;
}

static const char *bind_conn(struct ike_engine *e, struct ike_sa *sa, const struct state_sa *x)
{
	struct conn_entry *entry = x->orphan ? NULL : conns_named(e, x->conn);
	uint64_t next = e->next_attached, attached = sa->attached;

	sa->outdated = !entry || entry->version->digest_ike != x->digest_ike;
	if (!entry) {
		struct conn *conn = ghost_conn(x->conn, sa);

		entry = conn ? conns_ghost(e, conn) : NULL;
	}
	if (!entry)
		return "out of memory";
	conns_attach(e, sa, entry, entry->version);
	e->next_attached = next;
	sa->attached = attached;
	if (x->attempt && !entry->attempt)
		entry->attempt = sa;
	return NULL;
}

/* Configured as it was, or otherwise: then it ends, by the config that it had. */
static const char *bind_child(struct ike_sa *sa, struct child *c, struct conn_version **ghost)
{
	const struct child_config *config = conn_child(sa->conn, c->config_name);
	uint64_t keying = c->keying;
	struct conn *conn;

	if (c->tunnel_of_conn && !sa->entry->unloaded)
		c->tunnel = sa->entry->tunnel;
	if (config && child_config_digest_traffic(config) == c->traffic) {
		child_set_config(c, sa->version, config);
		c->rekeys = c->keying != keying;
		/* A reload before may have asked otherwise, and its rekey was to come. */
		child_forget_told(c);
		return NULL;
	}
	if (!*ghost) {
		conn = ghost_conn(sa->entry->name, sa);
		*ghost = conn ? conn_version_new(conn) : NULL;
	}
	if (!*ghost)
		return "out of memory";
	c->version = conn_version_ref(*ghost);
	c->config = conn_child((*ghost)->conn, c->config_name);
	c->outdated = true;
	return NULL;
}

static const char *bind_children(struct ike_sa *sa)
{
	struct conn_version *ghost = NULL;
	const char *fault = NULL;
	struct child *c;

	DL_FOREACH (sa->children, c)
		if (!fault)
			fault = bind_child(sa, c, &ghost);
	conn_version_unref(ghost);
	return fault;
}

static bool child_clashes(const struct ike_engine *e, const struct child *c)
{
	return child_by_spi_in(e, c->spi_in) || child_by_id(e, c->id);
}

static const char *link_children(struct ike_engine *e, struct ike_sa *sa)
{
	struct child *c;

	DL_FOREACH (sa->children, c) {
		if (child_clashes(e, c))
			return "a CHILD_SA that is there already";
		if (!child_link(e, sa, c))
			return "out of memory";
	}
	return NULL;
}

static const char *link_sa(struct ike_engine *e, struct ike_sa *sa, const struct state_sa *x)
{
	if (ike_sa_by_spi(e, sa->own_spi))
		return "an IKE_SA that is there already";
	if (!ike_sa_link(e, sa))
		return "out of memory";
	if (x->half_open)
		ike_sa_restore_half_open(e, sa, x->init_key);
	return link_children(e, sa);
}

static const char *take_sa(struct ike_engine *e, struct ike_sa *sa, const struct state_sa *x)
{
	const char *fault = bind_conn(e, sa, x);

	if (!fault && !vips_prepare(sa))
		fault = "out of memory";
	if (!fault)
		fault = bind_children(sa);
	return fault ? fault : link_sa(e, sa, x);
}

/* Out of all tables, as far as it got into them. */
static void unlink_sa(struct ike_engine *e, struct ike_sa *sa)
{
	struct child *c;

	DL_FOREACH (sa->children, c)
		child_unlink(e, c);
	if (sa->entry && sa->entry->attempt == sa)
		sa->entry->attempt = NULL;
	ike_sa_unlink(e, sa);
	ike_sa_discard(e, sa);
}

static struct ike_sa *read_sa(struct ike_engine *e, struct codec *c, uint64_t id,
			      struct state_sa *x)
{
	struct ike_sa *sa = ike_sa_alloc(e);

	if (!sa) {
		codec_fault(c, "out of memory");
		return NULL;
	}
	state_sa_fields(c, e, sa, x);
	if (codec_done(c)) {
		const char *fault = state_sa_fault(sa, x);

		if (sa->id != id)
			fault = "the record of another IKE_SA";
		if (!x->conn)
			fault = "an IKE_SA without connection";
		if (fault)
			codec_fault(c, fault);
	}
	return sa;
}

static void restore_sa(struct ike_engine *e, struct codec *c, uint64_t id)
{
	struct state_sa x = {0};
	struct ike_sa *sa = read_sa(e, c, id, &x);
	const char *fault;

	if (sa && !c->fault) {
		fault = take_sa(e, sa, &x);
		if (fault)
			codec_fault(c, fault);
	}
	free(x.conn);
	if (!sa)
		return;
	if (c->fault) {
		unlink_sa(e, sa);
		return;
	}
	sa->iv_ahead = true;
	sa->sync.may_ask = !sa->sync.asking;
	state_published(e, sa, NULL);
	if (sa->outdated)
		sa_touch(e, sa);
}

/* ---- the others ---- */

static void restore_entry(struct ike_engine *e, struct codec *c, uint64_t id)
{
	struct conn_entry *entry = NULL;
	char *name = NULL;

	state_entry_name(c, &name);
	if (name)
		entry = conns_named(e, name);
	free(name);
	if (!entry)
		codec_fault(c, "no such connection any more");
	else if (entry->number != id || entry->restored || !entry->restoring)
		codec_fault(c, "the record of another connection");
	if (c->fault || !state_entry_read(c, entry))
		return;
	entry->restored = true;
	state_published(e, NULL, entry);
}

/* Kept until all IKE_SAs are there. */
static void restore_behind(struct ike_engine *e, struct codec *c, uint64_t id)
{
	struct behind_mark *m = codec_done(c) ? calloc(1, sizeof(*m)) : NULL;

	if (!m) {
		codec_fault(c, "out of memory");
		return;
	}
	m->id = id;
	LL_PREPEND(e->behind, m);
}

void state_free_marks(struct ike_engine *e)
{
	struct behind_mark *m, *next;

	LL_FOREACH_SAFE (e->behind, m, next)
		free(m);
	e->behind = NULL;
}

/* Until something of it changes, the record stays as it is. */
static void restore_engine(struct ike_engine *e, struct codec *c, struct span data)
{
	if (state_engine_read(c, e))
		state_engine_published(e, data);
}

bool ike_engine_restore(struct ike_engine *e, const struct ike_record *record, char *why,
			size_t size)
{
	struct codec c = codec_reader(record->data);

	e->restoring = true;
	if (read_version(&c)) {
		switch (record->kind) {
		case IKE_RECORD_ENGINE:
			restore_engine(e, &c, record->data);
			break;
		case IKE_RECORD_CONN:
			restore_entry(e, &c, record->id);
			break;
		case IKE_RECORD_SA:
			restore_sa(e, &c, record->id);
			break;
		case IKE_RECORD_BEHIND:
			restore_behind(e, &c, record->id);
			break;
		default: /* not ours to drop */
			snprintf(why, size, "records of kind %u are not known", record->kind);
			return false;
		}
	}
	if (!c.fault)
		return true;
	e->refused = true;
	snprintf(why, size, "%s, at byte %zu of %zu", c.fault, c.fault_at, record->data.len);
	state_drop(e, record);
	return false;
}
