/* list-sas, list-conns, list-policies: streams of events, and the response when all are out. A
 * client gets as much as it reads: behind LISTING_PAUSE waiting bytes the stream stops
 * and goes on from its mark when they are gone, so that ten thousand SAs need no memory
 * of their own. SAs are told in order of their ids, which the engine keeps them in. */
#include "ipsecd/control/bodies.h"
#include "ipsecd/control/server.h"
#include "lib/words.h"

#include <inttypes.h>
#include <stdio.h>

#define LISTING_PAUSE ((size_t)256 << 10)

/* ---- SAs ---- */

struct sa_walk {
	struct client *client;
	struct listing *listing;
	mono_time now;
	struct buf event;
	bool open;     /* an event is under construction: its IKE_SA's children may follow */
	uint32_t last; /* CHILD_SA in it, 0: none yet */
	bool more;     /* stopped for the client's sake */
};

/* false: the last datagram for there went out. */
static bool put_send_error(struct buf *b, const struct control_host *host, const struct addr *to)
{
	int error = host->send_error(host->ctx, to);
	char text[ADDR_TEXT];

	if (error)
		vici_put_format(b, "send-error", "can't send to %s: %s", addr_format(to, text),
				strerror(error));
	return error != 0;
}

static void close_sa(struct sa_walk *w)
{
	if (!w->open)
		return;
	w->open = false;
	vici_put_section_end(&w->event); /* child-sas */
	vici_put_section_end(&w->event);
	client_send_event(w->client, &w->event);
}

static void open_sa(struct sa_walk *w, const struct ike_sa_info *ike)
{
	if (queue_len(&w->client->out) > LISTING_PAUSE) {
		w->more = true;
		return;
	}
	w->listing->after_id = ike->id;
	w->last = 0;
	w->event = control_begin_event(w->client->control, EVENT_LIST_SA);
	vici_put_section(&w->event, ike->conn);
	body_put_ike(&w->event, ike, w->now);
	put_send_error(&w->event, &w->client->control->host, &ike->path.remote.addr);
	vici_put_section(&w->event, "child-sas");
	w->open = true;
}

/* The packet is full: another event of this IKE_SA goes on behind the last CHILD_SA of this one. */
static void close_part(struct sa_walk *w, uint32_t ike)
{
	w->listing->part_of = ike;
	w->listing->after_child = w->last;
	w->listing->after_id = ike - 1;
	w->more = true;
	close_sa(w);
}

static void put_child(struct sa_walk *w, uint32_t ike, const struct ike_child_info *child)
{
	const struct listing *l = w->listing;
	struct buf before = w->event;
	char section[CONTROL_NAME_MAX + 16];

	if (l->part_of == ike && child->id <= l->after_child)
		return;
	snprintf(section, sizeof(section), "%.*s-%" PRIu32, VICI_NAME_MAX - 11, child->name,
		 child->id);
	control_put_child(w->client->control, &w->event, section, child);
	if (w->last && body_full(&w->event)) {
		w->event = before;
		close_part(w, ike);
		return;
	}
	w->last = child->id;
}

static void on_sa(void *ctx, const struct ike_sa_info *ike, const struct ike_child_info *child)
{
	struct sa_walk *w = ctx;

	if (!child) {
		close_sa(w);
		if (!w->more && ike->id > w->listing->after_id &&
		    selection_has(&w->listing->filter, ike, NULL))
			open_sa(w, ike);
	} else if (w->open && selection_has(&w->listing->filter, ike, child)) {
		put_child(w, ike->id, child);
	}
}

static bool stream_sas(struct client *c)
{
	const struct control_host *host = &c->control->host;
	struct sa_walk w = {.client = c, .listing = &c->listing, .now = host->now(host->ctx)};

	if (client_wants(c, EVENT_LIST_SA))
		ike_engine_each_sa(host->engine, on_sa, &w);
	close_sa(&w);
	return !w.more;
}

/* ---- conns ---- */

static void put_why_down(struct buf *b, const struct control_host *host, const struct conn *conn)
{
	mono_time next = 0, now = host->now(host->ctx);
	char detail[160] = "";
	enum ike_reason reason = ike_engine_conn_status(host->engine, conn->name, &next, detail);
	bool told = false;

	for (unsigned i = 0; i < conn->n_remote && !told; i++)
		told = conn->remote[i].kind == HOST_ADDR &&
		       put_send_error(b, host, &conn->remote[i].addr);
	if (reason != IKE_REASON_NONE)
		vici_put(b, "reason", ike_reason_text(reason));
	if (detail[0])
		vici_put(b, "reason-detail", detail);
	if (next && next != MONO_NEVER)
		vici_put_format(b, "next-attempt", "%" PRIu64,
				next > now ? (next - now + MONO_S - 1) / MONO_S : 0);
}

/* From its n-th child on, as many as fit a packet; returns the first that did not. */
static unsigned send_conn(struct client *c, const struct conn *conn, unsigned n)
{
	const struct control_host *host = &c->control->host;
	struct buf b = control_begin_event(c->control, EVENT_LIST_CONN);
	struct control_tunnel tunnel;

	vici_put_section(&b, conn->name);
	if (host->tunnel(host->ctx, conn->name, &tunnel)) {
		body_put_tunnel(&b, &tunnel);
		if (!tunnel.up)
			put_why_down(&b, host, conn);
	}
	n = body_put_conn(&b, conn, n);
	vici_put_section_end(&b);
	client_send_event(c, &b);
	return n;
}

static void next_conn(struct listing *l)
{
	l->next_conn++;
	l->next_child = 0;
}

static bool stream_conns(struct client *c)
{
	struct listing *l = &c->listing;
	const char *only = l->filter.ike;
	const struct conn *conn;

	if (!client_wants(c, EVENT_LIST_CONN))
		return true;
	while ((conn = ike_engine_conn(c->control->host.engine, l->next_conn))) {
		if (queue_len(&c->out) > LISTING_PAUSE)
			return false;
		if (!only[0] || strcmp(only, conn->name) == 0)
			l->next_child = send_conn(c, conn, l->next_child);
		else
			l->next_child = conn->n_children;
		if (l->next_child >= conn->n_children)
			next_conn(l);
	}
	return true;
}

/* ---- policies ---- */

/* What strongSwan calls a trap: traffic that brings a child up. In a tunnel's device other
 * traffic is dropped, which is no policy that a client could remove. */
static void send_policy(struct client *c, const struct conn *conn, const struct child_config *child)
{
	struct buf b = control_begin_event(c->control, EVENT_LIST_POLICY);
	char section[VICI_NAME_MAX + 1];

	snprintf(section, sizeof(section), "%.*s/%.*s", VICI_NAME_MAX / 2 - 1, conn->name,
		 VICI_NAME_MAX / 2, child->name);
	vici_put_section(&b, section);
	body_put_policy(&b, conn, child);
	vici_put_section_end(&b);
	client_send_event(c, &b);
}

static bool wanted_policy(const struct selection *filter, const struct conn *conn,
			  const struct child_config *child)
{
	return child->start_action == ACTION_TRAP &&
	       (!filter->ike[0] || strcmp(filter->ike, conn->name) == 0) &&
	       (!filter->child[0] || strcmp(filter->child, child->name) == 0);
}

static bool stream_policies(struct client *c)
{
	struct listing *l = &c->listing;
	const struct conn *conn;

	if (!client_wants(c, EVENT_LIST_POLICY))
		return true;
	while ((conn = ike_engine_conn(c->control->host.engine, l->next_conn))) {
		for (; l->next_child < conn->n_children; l->next_child++) {
			if (queue_len(&c->out) > LISTING_PAUSE)
				return false;
			if (wanted_policy(&l->filter, conn, &conn->children[l->next_child]))
				send_policy(c, conn, &conn->children[l->next_child]);
		}
		next_conn(l);
	}
	return true;
}

/* ---- all ---- */

void listing_continue(struct client *c)
{
	bool done;

	c->corked = true;
	done = c->listing.kind == LISTING_SAS	  ? stream_sas(c)
	       : c->listing.kind == LISTING_CONNS ? stream_conns(c)
						  : stream_policies(c);
	c->corked = false;
	if (done) {
		struct buf b = client_response(c);

		c->listing.kind = LISTING_NONE;
		client_respond(c, &b);
	} else {
		client_flush(c);
	}
}

static void listing_start(struct client *c, enum listing_kind kind, struct span body)
{
	struct listing l = {.kind = kind};

	if (!selection_read(c, body, &l.filter))
		return;
	c->listing = l;
	listing_continue(c);
}

void command_list_sas(struct client *c, struct span body)
{
	listing_start(c, LISTING_SAS, body);
}

void command_list_conns(struct client *c, struct span body)
{
	listing_start(c, LISTING_CONNS, body);
}

/* Of the three kinds that can be asked for, only traps exist. */
void command_list_policies(struct client *c, struct span body)
{
	char text[16];
	bool trap = false;
	struct buf b;

	if (vici_get_str(body, "trap", text, sizeof(text)) && words_parse_bool(text, &trap) &&
	    trap) {
		listing_start(c, LISTING_POLICIES, body);
		return;
	}
	b = client_response(c);
	client_respond(c, &b);
}
