/* The output queue and ike_engine_next. Entries own what they carry, but for the
 * strings and selectors inside event views, which stay with SAs and conns that are
 * kept until the queue was drained. Key material is cleansed with its entry. */
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/info.h"
#include "lib/text.h"

#include <stdio.h>
#include <stdlib.h>

struct output {
	struct output *prev, *next;
	struct ike_output out;
	uint8_t datagram[];
};

#define SPARES 16

/* A datagram that is lost is sent again. What the data plane and commands are told is not:
 * some outputs are kept for the time when memory is short. */
static void spares_fill(struct ike_engine *e)
{
	while (e->n_spare_outputs < SPARES) {
		struct output *o = calloc(1, sizeof(*o));

		if (!o)
			return;
		LL_PREPEND(e->spare_outputs, o);
		e->n_spare_outputs++;
	}
}

static struct output *spare(struct ike_engine *e)
{
	struct output *o = e->spare_outputs;

	if (!o)
		return NULL;
	LL_DELETE(e->spare_outputs, o);
	e->n_spare_outputs--;
	o->next = NULL;
	return o;
}

static struct output *put(struct ike_engine *e, enum ike_output_kind kind, size_t extra)
{
	struct output *o = calloc(1, sizeof(*o) + extra);

	if (!o && !extra)
		o = spare(e);
	if (!o) {
		ike_log(e, NULL, LOG_LEVEL_ERROR, "out of memory, an output is lost");
		return NULL;
	}
	o->out.kind = kind;
	DL_APPEND(e->outputs, o);
	return o;
}

void output_send(struct ike_engine *e, const struct ike_path *path, struct span datagram)
{
	struct output *o = put(e, IKE_OUTPUT_SEND, datagram.len);

	if (!o)
		return;
	o->out.path = *path;
	memcpy(o->datagram, datagram.ptr, datagram.len);
	o->out.datagram = span_of(o->datagram, datagram.len);
}

void output_keepalive(struct ike_engine *e, const struct ike_path *path)
{
	struct output *o = put(e, IKE_OUTPUT_KEEPALIVE, 1);

	if (!o)
		return;
	o->out.path = *path;
	o->datagram[0] = 0xff; /* RFC 3948 2.3 */
	o->out.datagram = span_of(o->datagram, 1);
}

void output_child_install(struct ike_engine *e, const struct child_sa *child, bool resumed)
{
	struct output *o = put(e, IKE_OUTPUT_CHILD_INSTALL, 0);

	if (!o)
		return;
	o->out.child = *child;
	o->out.resumed = resumed;
}

void output_child_update(struct ike_engine *e, const struct child *c)
{
	output_child_skip(e, c, 0);
}

void output_child_skip(struct ike_engine *e, const struct child *c, uint64_t delta)
{
	struct output *o = put(e, IKE_OUTPUT_CHILD_UPDATE, 0);

	if (!o)
		return;
	o->out.child = (struct child_sa){
		.id = c->id,
		.tunnel = c->tunnel,
		.outbound = c->outbound,
		.skip_out = delta,
		.udp_encap = c->udp_encap,
		.local = c->local,
		.remote = c->remote,
	};
}

void output_child_remove(struct ike_engine *e, const struct child *c)
{
	struct output *o = put(e, IKE_OUTPUT_CHILD_REMOVE, 0);

	if (!o)
		return;
	o->out.child.id = c->id;
	o->out.child.tunnel = c->tunnel;
}

void output_resolve(struct ike_engine *e, uint64_t query, const char *name, uint8_t family)
{
	size_t size = strlen(name) + 1;
	struct output *o = put(e, IKE_OUTPUT_QUERY_RESOLVE, size);

	if (!o)
		return;
	memcpy(o->datagram, name, size);
	o->out.query = query;
	o->out.name = (const char *)o->datagram;
	o->out.path.remote.addr.family = family; /* as the shell reads it */
}

void output_lease_query(struct ike_engine *e, const struct ike_sa *sa,
			const struct ike_lease_query *query)
{
	struct output *o = put(e, IKE_OUTPUT_QUERY_LEASE, 0);

	if (!o)
		return;
	o->out.query = sa->lease;
	o->out.conn = ike_sa_conn_name(sa);
	o->out.lease_query = *query;
}

void output_lease_release(struct ike_engine *e, uint64_t query)
{
	struct output *o = put(e, IKE_OUTPUT_LEASE_RELEASE, 0);

	if (o)
		o->out.query = query;
}

void output_vips(struct ike_engine *e, uint32_t tunnel, const struct addr *vips, uint8_t n,
		 bool resumed)
{
	struct output *o = put(e, IKE_OUTPUT_VIPS, 0);

	if (!o)
		return;
	o->out.tunnel = tunnel;
	o->out.n_vips = n;
	o->out.resumed = resumed;
	memcpy(o->out.vips, vips, n * sizeof(*vips));
}

static struct ike_output *event(struct ike_engine *e, enum ike_event_kind kind,
				enum ike_reason reason, const char *detail)
{
	struct output *o = put(e, IKE_OUTPUT_EVENT, 0);

	if (!o)
		return NULL;
	o->out.event = kind;
	o->out.reason = reason;
	if (detail)
		text_fit(o->out.reason_detail, sizeof(o->out.reason_detail), detail);
	return &o->out;
}

void output_event_ike(struct ike_engine *e, enum ike_event_kind kind, const struct ike_sa *sa,
		      const struct ike_sa *old, enum ike_reason reason, const char *detail)
{
	struct ike_output *out = event(e, kind, reason, detail);

	if (!out)
		return;
	out->have_ike = true;
	info_ike(sa, &out->ike);
	out->conn = out->ike.conn;
	if (old)
		info_ike(old, &out->ike_old);
}

void output_event_child(struct ike_engine *e, enum ike_event_kind kind, const struct child *child,
			const struct child *old, enum ike_reason reason, const char *detail)
{
	struct ike_output *out = event(e, kind, reason, detail);

	if (!out)
		return;
	out->have_ike = out->have_child = true;
	info_ike(child->sa, &out->ike);
	out->conn = out->ike.conn;
	info_child(child, &out->sa);
	if (old)
		info_child(old, &out->sa_old);
}

void output_event_suspect(struct ike_engine *e, const struct ike_sa *sa, enum ike_suspicion what,
			  bool over)
{
	struct ike_output *out = event(e, IKE_EVENT_SUSPECT, IKE_REASON_NONE, NULL);

	if (!out)
		return;
	out->have_ike = true;
	info_ike(sa, &out->ike);
	out->conn = out->ike.conn;
	out->suspicion = what;
	out->ok = over;
}

void output_event_failed(struct ike_engine *e, const char *conn, const struct ike_sa *sa,
			 enum ike_reason reason, const char *detail)
{
	struct ike_output *out = event(e, IKE_EVENT_FAILED, reason, detail);

	if (!out)
		return;
	out->conn = conn;
	if (sa) {
		out->have_ike = true;
		info_ike(sa, &out->ike);
		out->conn = out->ike.conn;
	}
}

void output_command_done(struct ike_engine *e, uint64_t tag, bool ok, enum ike_reason reason,
			 const char *detail)
{
	struct ike_output *out = tag ? event(e, IKE_EVENT_COMMAND_DONE, reason, detail) : NULL;

	if (!out)
		return;
	out->tag = tag;
	out->ok = ok;
}

void output_shutdown_done(struct ike_engine *e)
{
	event(e, IKE_EVENT_SHUTDOWN_DONE, IKE_REASON_SHUTDOWN, NULL);
}

static void output_free(struct output *o)
{
	if (!o)
		return;
	child_sa_cleanse(&o->out.child);
	free(o);
}

bool output_revoke(struct ike_engine *e, struct span datagram, struct ike_path *path)
{
	struct output *o;

	DL_FOREACH (e->outputs, o)
		if (o->out.kind == IKE_OUTPUT_SEND && span_equal(o->out.datagram, datagram))
			break;
	if (!o)
		return false;
	*path = o->out.path;
	DL_DELETE(e->outputs, o);
	output_free(o);
	return true;
}

void outputs_release_current(struct ike_engine *e)
{
	spares_fill(e);
	output_free(e->current);
	e->current = NULL;
}

void outputs_free(struct ike_engine *e)
{
	struct output *o, *tmp;

	output_free(e->current);
	e->current = NULL;
	LL_FOREACH_SAFE (e->spare_outputs, o, tmp) {
		LL_DELETE(e->spare_outputs, o);
		output_free(o);
	}
	DL_FOREACH_SAFE (e->outputs, o, tmp) {
		DL_DELETE(e->outputs, o);
		output_free(o);
	}
}

bool ike_engine_next(struct ike_engine *e, struct ike_output *out)
{
	struct output *o = e->outputs;

	outputs_release_current(e);
	if (!o)
		return false;
	DL_DELETE(e->outputs, o);
	e->current = o;
	*out = o->out;
	return true;
}
