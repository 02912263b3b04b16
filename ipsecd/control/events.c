/* What happens in the engine, on the links and in the log, as vici events. */
#include "ipsecd/control/bodies.h"
#include "ipsecd/control/server.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

static mono_time control_now(const struct control *c)
{
	return c->host.now(c->host.ctx);
}

/* ---- IKE_SAs ---- */

static void put_ike_section(struct buf *b, const char *section, const struct ike_sa_info *ike,
			    mono_time now)
{
	vici_put_section(b, section);
	body_put_ike(b, ike, now);
	vici_put_section_end(b);
}

static void send_ike_updown(struct control *c, const struct ike_output *out, bool up)
{
	struct buf b;

	if (!out->have_ike || !control_wanted(c, EVENT_IKE_UPDOWN))
		return;
	b = control_begin_event(c, EVENT_IKE_UPDOWN);
	if (up)
		vici_put(&b, "up", "yes");
	else if (out->reason != IKE_REASON_NONE)
		vici_put(&b, "reason", ike_reason_text(out->reason));
	put_ike_section(&b, out->ike.conn, &out->ike, control_now(c));
	control_send_event(c, EVENT_IKE_UPDOWN, &b);
}

static void send_ike_rekey(struct control *c, const struct ike_output *out)
{
	mono_time now = control_now(c);
	struct buf b;

	if (!out->have_ike || !control_wanted(c, EVENT_IKE_REKEY))
		return;
	b = control_begin_event(c, EVENT_IKE_REKEY);
	vici_put_section(&b, out->ike.conn);
	put_ike_section(&b, "old", &out->ike_old, now);
	put_ike_section(&b, "new", &out->ike, now);
	vici_put_section_end(&b);
	control_send_event(c, EVENT_IKE_REKEY, &b);
}

static void send_ike_update(struct control *c, const struct ike_output *out)
{
	const struct ike_path *path = &out->ike.path;
	char text[ADDR_TEXT];
	struct buf b;

	if (!out->have_ike || !control_wanted(c, EVENT_IKE_UPDATE))
		return;
	b = control_begin_event(c, EVENT_IKE_UPDATE);
	vici_put(&b, "local-host", addr_format(&path->local.addr, text));
	vici_put_format(&b, "local-port", "%u", path->local.port);
	vici_put(&b, "remote-host", addr_format(&path->remote.addr, text));
	vici_put_format(&b, "remote-port", "%u", path->remote.port);
	put_ike_section(&b, out->ike.conn, &out->ike, control_now(c));
	control_send_event(c, EVENT_IKE_UPDATE, &b);
}

/* ---- CHILD_SAs ---- */

void control_put_child(const struct control *c, struct buf *b, const char *section,
		       const struct ike_child_info *child)
{
	const struct control_host *host = &c->host;
	struct dataplane_child_stats stats;
	struct control_tunnel tunnel;
	bool counted = host->child_stats(host->ctx, child->child_sa, &stats);
	bool known = host->tunnel(host->ctx, child->conn, &tunnel);

	vici_put_section(b, section);
	body_put_child(b, child, counted ? &stats : NULL, known ? &tunnel : NULL, control_now(c));
	vici_put_section_end(b);
}

static void put_unique_child(struct buf *b, const struct control *c,
			     const struct ike_child_info *child)
{
	char section[CONTROL_NAME_MAX + 16];

	snprintf(section, sizeof(section), "%.*s-%" PRIu32, VICI_NAME_MAX - 11, child->name,
		 child->id);
	control_put_child(c, b, section, child);
}

/* The body of child-updown, which nhrpd's child-state-* events share. */
static void send_child(struct control *c, enum control_event_kind kind,
		       const struct ike_output *out, const struct ike_child_info *child, bool up)
{
	struct buf b;

	if (!out->have_ike || !out->have_child || !control_wanted(c, kind))
		return;
	b = control_begin_event(c, kind);
	if (up)
		vici_put(&b, "up", "yes");
	else if (out->reason != IKE_REASON_NONE)
		vici_put(&b, "reason", ike_reason_text(out->reason));
	vici_put_section(&b, out->ike.conn);
	body_put_ike(&b, &out->ike, control_now(c));
	vici_put_section(&b, "child-sas");
	put_unique_child(&b, c, child);
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	control_send_event(c, kind, &b);
}

static void send_child_rekey(struct control *c, const struct ike_output *out)
{
	struct buf b;

	if (!out->have_ike || !out->have_child || !control_wanted(c, EVENT_CHILD_REKEY))
		return;
	b = control_begin_event(c, EVENT_CHILD_REKEY);
	vici_put_section(&b, out->ike.conn);
	body_put_ike(&b, &out->ike, control_now(c));
	vici_put_section(&b, "child-sas");
	vici_put_section(&b, out->sa.name);
	control_put_child(c, &b, "old", &out->sa_old);
	control_put_child(c, &b, "new", &out->sa);
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	control_send_event(c, EVENT_CHILD_REKEY, &b);
}

static void tell_child_rekeyed(struct control *c, const struct ike_output *out)
{
	send_child_rekey(c, out);
	send_child(c, EVENT_CHILD_STATE_INSTALLED, out, &out->sa, true);
	send_child(c, EVENT_CHILD_STATE_REKEYED, out, &out->sa_old, true);
}

/* Before the check is answered, and once more when it is. */
static void send_suspect(struct control *c, const struct ike_output *out)
{
	struct control_tunnel tunnel = {.kind = ""};
	struct buf b;

	if (!control_wanted(c, EVENT_LINK_SUSPECT))
		return;
	c->host.tunnel(c->host.ctx, out->conn, &tunnel);
	b = control_begin_event(c, EVENT_LINK_SUSPECT);
	vici_put_section(&b, out->conn);
	vici_put(&b, "interface", tunnel.interface);
	vici_put(&b, "up", out->ok ? "yes" : "no");
	vici_put(&b, "reason", ike_suspicion_text(out->suspicion));
	vici_put_section_end(&b);
	control_send_event(c, EVENT_LINK_SUSPECT, &b);
}

/* ---- the engine's events ---- */

/* NULL: it does not wait any more. */
static struct client *who_waits(const struct control *c, uint64_t tag)
{
	struct client *client;

	DL_FOREACH (c->clients, client) {
		if (!client->dead && client->pending.kind != PENDING_NONE && tag &&
		    client->pending.tag == tag)
			return client;
	}
	return NULL;
}

static void tell_command_done(const struct control *c, const struct ike_output *out)
{
	struct client *client = who_waits(c, out->tag);

	if (client)
		pending_done(client, out);
}

void control_reloaded(struct control *c, uint64_t tag, const char *failure)
{
	struct client *client = c ? who_waits(c, tag) : NULL;

	if (client)
		pending_reloaded(client, failure);
}

void control_event(struct control *c, const struct ike_output *out)
{
	if (!c)
		return;
	switch (out->event) {
	case IKE_EVENT_IKE_UP:
	case IKE_EVENT_IKE_DOWN:
		send_ike_updown(c, out, out->event == IKE_EVENT_IKE_UP);
		break;
	case IKE_EVENT_IKE_REKEYED:
		send_ike_rekey(c, out);
		break;
	case IKE_EVENT_IKE_MOVED:
		send_ike_update(c, out);
		break;
	case IKE_EVENT_CHILD_UP:
		send_child(c, EVENT_CHILD_STATE_INSTALLED, out, &out->sa, true);
		send_child(c, EVENT_CHILD_UPDOWN, out, &out->sa, true);
		break;
	case IKE_EVENT_CHILD_DOWN:
		send_child(c, EVENT_CHILD_STATE_DESTROYING, out, &out->sa, false);
		send_child(c, EVENT_CHILD_UPDOWN, out, &out->sa, false);
		break;
	case IKE_EVENT_CHILD_REKEYED:
		tell_child_rekeyed(c, out);
		break;
	case IKE_EVENT_SUSPECT:
		send_suspect(c, out);
		break;
	case IKE_EVENT_COMMAND_DONE:
		tell_command_done(c, out);
		break;
	case IKE_EVENT_FAILED:
	case IKE_EVENT_SHUTDOWN_DONE:
		break; /* the log and list-conns tell */
	}
}

/* ---- links ---- */

void control_link(struct control *c, const char *conn, const struct control_tunnel *tunnel, bool up,
		  const char *reason)
{
	struct control_tunnel t = *tunnel;
	struct buf b;

	if (!c || !control_wanted(c, EVENT_LINK_UPDOWN))
		return;
	t.up = up;
	b = control_begin_event(c, EVENT_LINK_UPDOWN);
	if (up)
		vici_put(&b, "up", "yes");
	vici_put_section(&b, conn);
	body_put_tunnel(&b, &t);
	if (reason && reason[0])
		vici_put(&b, "reason", reason);
	vici_put_section_end(&b);
	control_send_event(c, EVENT_LINK_UPDOWN, &b);
}

/* ---- the log ---- */

/* vici's levels: 0 what must be seen, 1 control flow, 2 and more for debugging. */
static int vici_level(enum log_level level)
{
	return level <= LOG_LEVEL_WARN ? 0 : level <= LOG_LEVEL_INFO ? 1 : 2;
}

static struct buf build_log(uint8_t *memory, size_t size, enum control_event_kind kind, int level,
			    const char *subsystem, const char *name, const char *text)
{
	struct buf b = buf_over(memory, size);
	char group[8];
	size_t n = 0;

	for (; subsystem[n] && n + 1 < sizeof(group); n++)
		group[n] = (char)toupper((unsigned char)subsystem[n]);
	group[n] = '\0';
	vici_start(&b, VICI_EVENT, control_event_name(kind));
	vici_put(&b, "group", group);
	vici_put_format(&b, "level", "%d", level);
	if (kind == EVENT_LOG)
		vici_put(&b, "thread", "1");
	if (name[0])
		vici_put(&b, "ikesa-name", name);
	vici_put(&b, "msg", text);
	return b;
}

static bool wants_line(const struct client *c, int level, const char *name)
{
	const struct pending *p = &c->pending;

	return client_wants(c, EVENT_CONTROL_LOG) &&
	       (p->kind == PENDING_INITIATE || p->kind == PENDING_TERMINATE) &&
	       level <= p->log_level && (!p->conn[0] || strcmp(p->conn, name) == 0);
}

void control_log(struct control *c, enum log_level level, const char *subsystem, const char *name,
		 const char *text)
{
	uint8_t memory[2048];
	int n = vici_level(level);
	struct client *client;
	struct buf b;

	if (!c || c->logging)
		return;
	c->logging = true;
	DL_FOREACH (c->clients, client) {
		if (wants_line(client, n, name)) {
			b = build_log(memory, sizeof(memory), EVENT_CONTROL_LOG, n, subsystem, name,
				      text);
			if (vici_finish(&b))
				client_send(client, buf_span(&b));
		}
		if (n <= 1 && client_wants(client, EVENT_LOG)) {
			b = build_log(memory, sizeof(memory), EVENT_LOG, n, subsystem, name, text);
			if (vici_finish(&b))
				client_send(client, buf_span(&b));
		}
	}
	c->logging = false;
}
