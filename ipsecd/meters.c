/* What happens, counted by tunnel and by reason. */
#include "ipsecd/meters_parts.h"

#include <stdlib.h>

/* Seconds. A handshake is two round trips and the work of both ends; the first message that is
 * lost costs half a second, the second one more. */
static const double handshake_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
					  0.5,	 1,    2.5,   5,    10,	 20};

const struct table_shape meters_by_id = TABLE_SHAPE(struct meter_child, in_ids, id);

struct meter *meters_of(struct meters *m, const char *conn)
{
	struct meter *t;
	size_t len;

	HASH_FIND_STR(m->tunnels, conn, t);
	if (t || !ike_engine_conn_named(m->host.control.engine, conn))
		return t;
	len = strlen(conn);
	t = calloc(1, sizeof(*t) + len + 1);
	if (!t)
		return NULL;
	memcpy(t->conn, conn, len);
	HASH_ADD_KEYPTR(hh, m->tunnels, t->conn, len, t);
	return t;
}

void meters_forget(struct meters *m, struct meter *t)
{
	HASH_DEL(m->tunnels, t);
	free(t);
}

void meters_conn_gone(struct meters *m, const char *conn)
{
	struct meter *t = NULL;

	if (m)
		HASH_FIND_STR(m->tunnels, conn, t);
	if (t && !t->n_children)
		meters_forget(m, t);
}

/* ---- events ---- */

static void count_end(uint64_t counters[IKE_REASONS], enum ike_reason reason)
{
	if ((unsigned)reason < IKE_REASONS)
		counters[reason]++;
}

static void established(struct meters *m, const struct ike_sa_info *ike)
{
	unsigned role = ike->initiator ? ROLE_OF_INITIATOR : ROLE_OF_RESPONDER;

	if (ike->established >= ike->created)
		metrics_observe(&m->handshake[role],
				(double)(ike->established - ike->created) / (double)MONO_S);
}

void meters_event(struct meters *m, const struct ike_output *out)
{
	struct meter *t;

	if (!m)
		return;
	t = out->conn && out->conn[0] ? meters_of(m, out->conn) : NULL;
	if (out->event == IKE_EVENT_IKE_UP && out->have_ike)
		established(m, &out->ike);
	else if (out->event == IKE_EVENT_FAILED)
		count_end(m->failed, out->reason);
	else if (out->event == IKE_EVENT_IKE_DOWN)
		count_end(m->ike_ended, out->reason);
	else if (out->event == IKE_EVENT_CHILD_DOWN)
		count_end(m->child_ended, out->reason);
	if (!t)
		return;
	t->failures += out->event == IKE_EVENT_FAILED;
	t->rekeys_ike += out->event == IKE_EVENT_IKE_REKEYED;
	t->rekeys_child += out->event == IKE_EVENT_CHILD_REKEYED;
}

void meters_link(struct meters *m, const char *conn, bool up)
{
	struct meter *t = m ? meters_of(m, conn) : NULL;

	if (!t)
		return;
	t->link_up += up;
	t->link_down += !up;
	t->link_changed = m->host.control.now(m->host.control.ctx);
}

/* ---- traffic ---- */

void meters_traffic_add(struct meter_traffic *sum, const struct meter_traffic *s)
{
	sum->bytes_in += s->bytes_in;
	sum->bytes_out += s->bytes_out;
	sum->packets_in += s->packets_in;
	sum->packets_out += s->packets_out;
	sum->drop_replay += s->drop_replay;
	sum->drop_icv += s->drop_icv;
}

void meters_child_read(struct meters *m, struct meter_child *c)
{
	struct dataplane_child_stats now;

	if (m->host.control.child_stats(m->host.control.ctx, c->id, &now))
		c->last = (struct meter_traffic){.bytes_in = now.bytes_in,
						 .bytes_out = now.bytes_out,
						 .packets_in = now.packets_in,
						 .packets_out = now.packets_out,
						 .drop_replay = now.drop_replay,
						 .drop_icv = now.drop_icv};
}

void meters_child_installed(struct meters *m, uint64_t child, const char *conn)
{
	struct meter *t = m && conn ? meters_of(m, conn) : NULL;
	struct meter_child *c =
		t ? table_make(&m->children, &meters_by_id, sizeof(*c), &child) : NULL;

	if (!c)
		return;
	c->meter = t;
	t->n_children++;
}

static void forget_child(struct meters *m, struct meter_child *c)
{
	table_remove(&m->children, &meters_by_id, c);
	free(c);
}

void meters_child_removed(struct meters *m, uint64_t child)
{
	struct meter_child *c = m ? table_find(&m->children, &meters_by_id, &child) : NULL;
	struct meter *t;

	if (!c)
		return;
	t = c->meter;
	meters_child_read(m, c);
	meters_traffic_add(&t->ended, &c->last);
	forget_child(m, c);
	if (--t->n_children == 0 && !ike_engine_conn_named(m->host.control.engine, t->conn))
		meters_forget(m, t);
}

/* ---- life ---- */

static void write_all(void *ctx, struct metrics *out)
{
	struct meters *m = ctx;

	meters_write_tunnels(m, out, m->host.control.now(m->host.control.ctx));
	meters_write_daemon(m, out);
	metrics_process(out);
}

struct meters *meters_new(const struct meters_host *host)
{
	struct meters *m = calloc(1, sizeof(*m));
	const struct metrics_http_host http = {
		.write = write_all, .ctx = m, .loop = host->control.loop, .log = host->control.log};

	if (!m)
		return NULL;
	m->host = *host;
	for (unsigned i = 0; i < ROLES; i++)
		m->handshake[i] = (struct metrics_histogram){.bounds = handshake_bounds,
							     .n = sizeof(handshake_bounds) /
								  sizeof(*handshake_bounds)};
	m->http = metrics_http_new(&http);
	if (!m->http) {
		free(m);
		return NULL;
	}
	return m;
}

void meters_settings(struct meters *m, const struct settings *settings)
{
	if (m)
		metrics_http_listen(m->http, &settings->metrics);
}

void meters_free(struct meters *m)
{
	struct meter_child *c, *next_child;
	struct meter *t, *next;

	if (!m)
		return;
	metrics_http_free(m->http);
	for (c = table_first(&m->children, &meters_by_id); c; c = next_child) {
		next_child = table_next(&m->children, &meters_by_id, c);
		free(c);
	}
	table_free(&m->children);
	HASH_ITER (hh, m->tunnels, t, next)
		meters_forget(m, t);
	free(m);
}
