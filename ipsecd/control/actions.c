/* initiate, terminate, rekey: a request becomes a command for the shell, and its
 * response waits for the engine's word or for the timeout. */
#include "ipsecd/control/server.h"
#include "lib/words.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_LOG_LEVEL 1

/* ---- what is selected ---- */

static struct ike_select to_select(const struct selection *s)
{
	return (struct ike_select){.ike = s->ike[0] ? s->ike : NULL,
				   .child = s->child[0] ? s->child : NULL,
				   .ike_id = s->ike_id,
				   .child_id = s->child_id};
}

struct count_walk {
	const struct selection *selection;
	unsigned n;
};

static void on_count(void *ctx, const struct ike_sa_info *ike, const struct ike_child_info *child)
{
	struct count_walk *w = ctx;
	bool children = w->selection->child[0] || w->selection->child_id;

	w->n += children == (child != NULL) && selection_has(w->selection, ike, child);
}

static unsigned count_matches(const struct control *c, const struct selection *s)
{
	struct count_walk w = {.selection = s};

	ike_engine_each_sa(c->host.engine, on_count, &w);
	return w.n;
}

/* "CHILD_SA 'net'", "IKE_SA 'gw'", "CHILD_SA #3": for sentences. */
static const char *describe(const struct selection *s, char *text, size_t size)
{
	bool child = s->child[0] || s->child_id;
	const char *name = child ? s->child : s->ike;

	if (name[0])
		snprintf(text, size, "%s '%s'", child ? "CHILD_SA" : "IKE_SA", name);
	else
		snprintf(text, size, "%s #%u", child ? "CHILD_SA" : "IKE_SA",
			 child ? s->child_id : s->ike_id);
	return text;
}

/* ---- the request's options ---- */

static bool read_signed(struct client *c, struct span body, const char *key, int *out)
{
	char text[16], *end;
	struct span v;
	long n;

	if (!vici_get(body, key, &v))
		return true;
	if (vici_get_str(body, key, text, sizeof(text)) && text[0]) {
		n = strtol(text, &end, 10);
		if (*end == '\0' && n >= -1 && n <= INT32_MAX) {
			*out = (int)n;
			return true;
		}
	}
	client_fail(c, "%s: not a number from -1 on", key);
	return false;
}

static bool read_options(struct client *c, struct span body, struct pending *p)
{
	p->log_level = DEFAULT_LOG_LEVEL;
	return selection_read(c, body, &p->selection) &&
	       read_signed(c, body, "timeout", &p->timeout_ms) &&
	       read_signed(c, body, "loglevel", &p->log_level);
}

static bool read_yes(struct span body, const char *key)
{
	char text[16];
	bool on = false;

	return vici_get_str(body, key, text, sizeof(text)) && words_parse_bool(text, &on) && on;
}

/* ---- waiting ---- */

void pending_clear(struct client *c)
{
	c->pending = (struct pending){0};
	ev_timer_stop(c->control->host.loop, &c->timeout);
}

/* Before the shell is asked: the answer may come while it is. With a timeout of -1 no
 * answer is waited for, and the tag is 0. */
uint64_t pending_start(struct client *c, const struct pending *p)
{
	struct ev_loop *loop = c->control->host.loop;

	c->pending = *p;
	if (p->timeout_ms < 0)
		return 0;
	c->pending.tag = c->control->next_tag++;
	if (p->timeout_ms > 0) {
		ev_now_update(loop);
		ev_timer_set(&c->timeout, p->timeout_ms / 1000., 0.);
		ev_timer_start(loop, &c->timeout);
	}
	return c->pending.tag;
}

/* For terminate and rekey: success, or the reason, with the counts. */
static void respond_counts(struct client *c, const struct pending *p, const char *errmsg)
{
	struct buf b = client_response(c);

	vici_put(&b, "success", errmsg ? "no" : "yes");
	vici_put_format(&b, "matches", "%u", p->matches);
	if (p->kind == PENDING_TERMINATE) {
		unsigned left = count_matches(c->control, &p->selection);

		if (p->timeout_ms < 0)
			left = 0; /* detached: all are on their way */
		vici_put_format(&b, "terminated", "%u", p->matches > left ? p->matches - left : 0);
	}
	if (errmsg)
		client_put_error(&b, errmsg);
	client_respond(c, &b);
}

/* After the shell was asked: a refusal or a detached start is answered now. */
static void pending_asked(struct client *c, bool started, const char *error)
{
	struct pending p = c->pending;

	if (p.kind == PENDING_NONE || (started && p.tag))
		return; /* answered meanwhile, or to be answered later */
	pending_clear(c);
	if (p.kind != PENDING_INITIATE)
		respond_counts(c, &p, started ? NULL : error);
	else if (started)
		client_succeed(c);
	else
		client_fail(c, "%s", error);
}

void pending_done(struct client *c, const struct ike_output *done)
{
	struct pending p = c->pending;
	char what[CONTROL_NAME_MAX + 16], text[CONTROL_NAME_MAX + 320];
	const char *reason = ike_reason_text(done->reason);

	static const char *const verbs[] = {[PENDING_INITIATE] = "establishing",
					    [PENDING_TERMINATE] = "terminating",
					    [PENDING_REKEY] = "rekeying"};

	pending_clear(c);
	snprintf(text, sizeof(text), "%s %s failed: %s%s%s", verbs[p.kind],
		 describe(&p.selection, what, sizeof(what)), reason,
		 done->reason_detail[0] ? ": " : "", done->reason_detail);
	if (p.kind != PENDING_INITIATE)
		respond_counts(c, &p, done->ok ? NULL : text);
	else if (done->ok)
		client_succeed(c);
	else
		client_fail(c, "%s", text);
}

void pending_reloaded(struct client *c, const char *failure)
{
	pending_clear(c);
	if (failure)
		client_fail(c, "%s", failure);
	else
		client_succeed(c);
}

void pending_timeout(struct client *c)
{
	struct pending p = c->pending;
	char what[CONTROL_NAME_MAX + 16];

	pending_clear(c);
	if (p.kind == PENDING_INITIATE)
		client_fail(c, "%s not established after %dms",
			    describe(&p.selection, what, sizeof(what)), p.timeout_ms);
	else
		respond_counts(c, &p,
			       p.kind == PENDING_TERMINATE
				       ? "not all matching SAs could be terminated in time"
				       : "not all matching SAs could be rekeyed in time");
}

/* ---- initiate ---- */

/* The conn that has the child; with s->ike that one only. */
static const struct conn *find_conn(const struct control *c, const struct selection *s)
{
	const struct conn *conn;

	for (unsigned i = 0; (conn = ike_engine_conn(c->host.engine, i)); i++) {
		if (s->ike[0] && strcmp(s->ike, conn->name) != 0)
			continue;
		if (!s->child[0] || conn_child(conn, s->child))
			return conn;
	}
	return NULL;
}

static void fail_unknown(struct client *c, const struct selection *s)
{
	char near[CONTROL_NAME_MAX + 16];

	if (s->ike[0] && !ike_engine_conn_named(c->control->host.engine, s->ike))
		client_fail(c, "IKE_SA config '%s' not found%s", s->ike,
			    nearest_conn(c->control, s->ike, near));
	else
		client_fail(c, "CHILD_SA config '%s' not found%s%s%s%s", s->child,
			    s->ike[0] ? " in connection '" : "", s->ike, s->ike[0] ? "'" : "",
			    nearest_child(c->control, s->ike, s->child, near));
}

/* nhrpd names the hosts; what the conn says anyway may be named again. */
static bool check_host(struct client *c, struct span body, const char *key,
		       const struct host *hosts, unsigned n)
{
	char text[ADDR_TEXT];
	struct span v;
	struct addr a;

	if (!vici_get(body, key, &v))
		return true;
	if (!vici_get_str(body, key, text, sizeof(text)) || !addr_parse(text, &a)) {
		client_fail(c, "%s: not an address", key);
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		if (hosts[i].kind == HOST_ADDR && addr_equal(&hosts[i].addr, &a))
			return true;
	}
	client_fail(c,
		    "%s=%s: only the addresses that the connection names can be "
		    "initiated to yet",
		    key, text);
	return false;
}

void command_initiate(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	struct pending p = {.kind = PENDING_INITIATE};
	const struct conn *conn;
	struct ike_select select;
	const char *error = "refused";
	uint64_t tag;
	bool started;

	if (!read_options(c, body, &p))
		return;
	if (!p.selection.ike[0] && !p.selection.child[0]) {
		client_fail(c, "missing configuration name");
		return;
	}
	conn = find_conn(c->control, &p.selection);
	if (!conn) {
		fail_unknown(c, &p.selection);
		return;
	}
	if (!check_host(c, body, "my-host", conn->local, conn->n_local) ||
	    !check_host(c, body, "other-host", conn->remote, conn->n_remote))
		return;
	snprintf(p.conn, sizeof(p.conn), "%s", conn->name);
	snprintf(p.selection.ike, sizeof(p.selection.ike), "%s", conn->name);
	tag = pending_start(c, &p);
	select = to_select(&p.selection);
	started = host->initiate(host->ctx, &select, tag, &error);
	pending_asked(c, started, error);
}

/* ---- terminate, rekey ---- */

static bool has_selector(const struct selection *s)
{
	return s->ike[0] || s->child[0] || s->ike_id || s->child_id;
}

/* A configured connection or child without an SA: the peer or the next attempt could
 * bring it up, and it is that which is taken down. */
static bool names_config(const struct control *c, const struct selection *s)
{
	return (s->ike[0] || s->child[0]) && !s->ike_id && !s->child_id && find_conn(c, s);
}

static bool read_target(struct client *c, struct span body, struct pending *p, const char *verb)
{
	char text[64];

	if (!read_options(c, body, p))
		return false;
	if (!has_selector(&p->selection)) {
		client_fail(c, "missing %s selector", verb);
		return false;
	}
	p->matches = count_matches(c->control, &p->selection);
	snprintf(p->conn, sizeof(p->conn), "%s", p->selection.ike);
	if (p->matches)
		return true;
	if (p->kind == PENDING_TERMINATE && names_config(c->control, &p->selection))
		return true;
	snprintf(text, sizeof(text), "no matching SAs to %s found", verb);
	respond_counts(c, p, text);
	return false;
}

void command_terminate(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	struct pending p = {.kind = PENDING_TERMINATE};
	const char *error = "refused";
	struct ike_select select;
	uint64_t tag;
	bool started;

	if (!read_target(c, body, &p, "terminate"))
		return;
	tag = pending_start(c, &p);
	select = to_select(&p.selection);
	started = host->terminate(host->ctx, &select, read_yes(body, "force"),
				  read_yes(body, "hold"), tag, &error);
	pending_asked(c, started, error);
}

void command_rekey(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	struct pending p = {.kind = PENDING_REKEY};
	const char *error = "refused";
	struct ike_select select;
	uint64_t tag;
	bool started, reauth = read_yes(body, "reauth");

	if (!read_target(c, body, &p, "rekey"))
		return;
	if (reauth && (p.selection.child[0] || p.selection.child_id)) {
		client_fail(c, "reauth: it is IKE_SAs that are reauthenticated, with all their "
			       "CHILD_SAs");
		return;
	}
	tag = pending_start(c, &p);
	select = to_select(&p.selection);
	started = host->rekey(host->ctx, &select, reauth, tag, &error);
	pending_asked(c, started, error);
}
