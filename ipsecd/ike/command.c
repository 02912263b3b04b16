/* Commands: what a client asks for, carried over to conns, SAs and tasks, and the
 * accounting of what a command waits for. */
#include "ipsecd/ike/command.h"
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/informational.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/rekey_child.h"
#include "lib/text.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- waiting ---- */

bool command_expect(struct ike_engine *e, uint64_t tag)
{
	struct command_wait *w;

	if (!tag)
		return true;
	HASH_FIND(hh, e->waits, &tag, sizeof(tag), w);
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return false;
		w->tag = tag;
		w->ok = true;
		HASH_ADD(hh, e->waits, tag, sizeof(tag), w);
		if (!w->hh.tbl) {
			free(w);
			return false;
		}
	}
	w->left++;
	return true;
}

void command_progress(struct ike_engine *e, uint64_t tag, bool ok, enum ike_reason reason,
		      const char *detail)
{
	struct command_wait *w = NULL;

	if (tag)
		HASH_FIND(hh, e->waits, &tag, sizeof(tag), w);
	if (!w)
		return;
	if (!ok && w->ok) {
		w->ok = false;
		w->reason = reason;
		text_fit(w->detail, sizeof(w->detail), detail ? detail : "");
	}
	if (--w->left > 0)
		return;
	HASH_DEL(e->waits, w);
	output_command_done(e, tag, w->ok, w->ok ? IKE_REASON_NONE : w->reason, w->detail);
	free(w);
}

void commands_free(struct ike_engine *e)
{
	struct command_wait *w, *tmp;

	HASH_ITER (hh, e->waits, w, tmp) {
		HASH_DEL(e->waits, w);
		free(w);
	}
}

/* ---- which SAs are meant ---- */

static bool selects_ike(const struct ike_select *s, const struct ike_sa *sa)
{
	return (!s->ike || strcmp(s->ike, ike_sa_conn_name(sa)) == 0) &&
	       (!s->ike_id || s->ike_id == sa->id);
}

static bool selects_child(const struct ike_select *s, const struct child *c)
{
	return (!s->child || strcmp(s->child, c->config->name) == 0) &&
	       (!s->child_id || s->child_id == c->unique);
}

static bool wants_child(const struct ike_select *s)
{
	return s->child || s->child_id;
}

/* The conn a name pair means: by its own name, or as the one that has the child. */
static struct conn_entry *entry_of(const struct ike_engine *e, const struct ike_select *s)
{
	struct conn_entry *entry;

	if (s->ike) {
		entry = conns_named(e, s->ike);
		return entry && (!s->child || conn_child(entry->version->conn, s->child)) ? entry
											  : NULL;
	}
	DL_FOREACH (e->conns, entry)
		if (s->child && conn_child(entry->version->conn, s->child))
			return entry;
	return NULL;
}

/* ---- initiate ---- */

static bool initiate(struct ike_engine *e, const struct ike_command *c, const char **error)
{
	struct conn_entry *entry = entry_of(e, &c->select);
	struct ike_sa *sa;

	if (!entry) {
		*error = "no such connection or child";
		return false;
	}
	if (e->shutting_down) {
		*error = "shutting down";
		return false;
	}
	if (entry->device_down) {
		*error = "its device is down (ip link set up)";
		return false;
	}
	if (!command_expect(e, c->tag)) {
		*error = "out of memory";
		return false;
	}
	sa = peers_usable_sa(entry);
	conns_release_hold(e, entry, c->select.child);
	if (sa && (!c->select.child || child_usable_named(sa, c->select.child))) {
		command_progress(e, c->tag, true, IKE_REASON_NONE, NULL);
		peers_review(e, entry);
		return true;
	}
	if (!conns_add_waiter(e, entry, c->tag, c->select.child)) {
		command_progress(e, c->tag, false, IKE_REASON_INTERNAL, "out of memory");
		return true;
	}
	peers_want(e, entry, c->select.child);
	return true;
}

/* ---- terminate ---- */

static enum hold hold_of(const struct ike_command *c)
{
	return c->hold ? HOLD_PEER : HOLD_OWN;
}

/* The peer still has it, and no delete of ours runs. */
static bool has_at_peer(const struct child *c)
{
	const struct task *running = c->sa->running;

	return ike_sa_usable(c->sa) && c->in_plane && c->state != CHILD_DELETED &&
	       !(running && running->ops == &delete_child_ops && running->child == c->id);
}

/* The peer is told, but nobody waits for its answer. */
static void end_child_now(struct ike_engine *e, struct child *c)
{
	bool tell = has_at_peer(c);
	struct ike_sa *sa = c->sa;
	uint32_t spi_in = c->spi_in;

	child_end(e, c, IKE_REASON_COMMAND, NULL);
	if (tell)
		delete_child_at_peer(e, sa, spi_in);
}

static void terminate_child(struct ike_engine *e, struct child *c, const struct ike_command *cmd)
{
	if (!cmd->reset_retry && c->sa->entry)
		conns_hold_child(e, c->sa->entry, c->config->name, hold_of(cmd));
	/* One command at a time can wait for an SA's end; a later one is told at once. */
	if (cmd->tag && !c->tag && command_expect(e, cmd->tag))
		c->tag = cmd->tag;
	rekey_child_forsake(e, c, IKE_REASON_COMMAND);
	if (cmd->force)
		end_child_now(e, c);
	else
		child_delete(e, c, IKE_REASON_COMMAND);
}

/* And what replaced it, if that is meant, too. */
static void terminate_line(struct ike_engine *e, struct child *c, const struct ike_command *cmd)
{
	while (c) {
		struct child *next = cmd->successors ? child_by_id(e, c->replaced_by) : NULL;

		terminate_child(e, c, cmd);
		c = next;
	}
}

static void terminate_ike(struct ike_engine *e, struct ike_sa *sa, const struct ike_command *cmd)
{
	if (sa->entry && cmd->reset_retry) {
		sa->entry->wanted = true;
		entry_touch(e, sa->entry);
	}
	if (cmd->tag && !sa->tag && command_expect(e, cmd->tag))
		sa->tag = cmd->tag;
	ike_sa_delete(e, sa, IKE_REASON_COMMAND);
	if (cmd->force) { /* the peer is told, but nobody waits for its answer */
		exchange_run_now(e, sa);
		ike_sa_end(e, sa, IKE_REASON_COMMAND, NULL);
	}
}

static bool terminate(struct ike_engine *e, const struct ike_command *cmd, const char **error)
{
	const struct ike_select *s = &cmd->select;
	struct conn_entry *entry = entry_of(e, s);
	struct ike_sa *sa, *next_sa;
	struct child *c, *next_child;
	bool found = entry != NULL; /* being down already is success */

	/* Held until all are through, so that COMMAND_DONE is one and comes last. */
	if (!command_expect(e, cmd->tag)) {
		*error = "out of memory";
		return false;
	}
	if (found && !cmd->reset_retry) {
		if (s->child)
			conns_hold_child(e, entry, s->child, hold_of(cmd));
		else
			conns_hold(e, entry, hold_of(cmd));
	}
	DL_FOREACH_SAFE (e->sas, sa, next_sa) {
		if (sa->state == IKE_SA_ENDED || !selects_ike(s, sa))
			continue;
		if (!wants_child(s)) {
			if (sa->entry && !cmd->reset_retry)
				conns_hold(e, sa->entry, hold_of(cmd));
			terminate_ike(e, sa, cmd);
			found = true;
			continue;
		}
		DL_FOREACH_SAFE (sa->children, c, next_child) {
			if (!selects_child(s, c))
				continue;
			terminate_line(e, c, cmd);
			found = true;
		}
	}
	command_progress(e, cmd->tag, found, IKE_REASON_NONE, "no matching SA");
	return true;
}

/* ---- rekey ---- */

/* The command waits as one does that initiates; an attempt that runs already will do. */
static bool reauth(struct ike_engine *e, struct ike_sa *sa, uint64_t tag)
{
	const struct ike_sa *attempt = sa->entry->attempt;
	const char *why;

	if (sa->redundant) /* it is being replaced already */
		return false;
	if (!command_expect(e, tag))
		return false;
	if (!(attempt && attempt->reauth_of == sa->own_spi) && !reauth_start(e, sa, &why)) {
		command_progress(e, tag, false, IKE_REASON_NOT_POSSIBLE, why);
		return true;
	}
	if (!conns_add_waiter(e, sa->entry, tag, NULL))
		command_progress(e, tag, false, IKE_REASON_INTERNAL, "out of memory");
	return true;
}

static bool rekey_ike(struct ike_engine *e, struct ike_sa *sa, const struct ike_command *cmd)
{
	if (cmd->reauth)
		return reauth(e, sa, cmd->tag);
	return exchange_enqueue(e, sa, &rekey_ike_ops, 0, NULL, cmd->tag) != NULL;
}

static bool rekey(struct ike_engine *e, const struct ike_command *cmd, const char **error)
{
	const struct ike_select *s = &cmd->select;
	struct ike_sa *sa, *next_sa;
	struct child *c, *next_child;
	bool found = false;

	if (!command_expect(e, cmd->tag)) {
		*error = "out of memory";
		return false;
	}
	DL_FOREACH_SAFE (e->sas, sa, next_sa) {
		if (!ike_sa_usable(sa) || !selects_ike(s, sa))
			continue;
		if (!wants_child(s)) {
			found |= rekey_ike(e, sa, cmd);
			continue;
		}
		DL_FOREACH_SAFE (sa->children, c, next_child)
			if (child_usable(c) && selects_child(s, c))
				found |= exchange_enqueue(e, sa, &rekey_child_ops, c->id, NULL,
							  cmd->tag) != NULL;
	}
	command_progress(e, cmd->tag, found, IKE_REASON_NONE, "no matching SA");
	return true;
}

/* ---- the tunnel's device ---- */

static bool may_initiate(const struct conn *c)
{
	for (uint8_t i = 0; i < c->n_remote; i++)
		if (c->remote[i].kind == HOST_ADDR || c->remote[i].kind == HOST_NAME)
			return true;
	return false;
}

static void device_down(struct ike_engine *e, struct conn_entry *entry)
{
	struct ike_sa *sa, *next;

	entry_touch(e, entry);
	entry->was_up = peers_usable_sa(entry) != NULL;
	entry->query = 0;
	timer_cancel(&e->timers, &entry->retry_timer);
	conns_end_waiters(e, entry, NULL, true, false, IKE_REASON_DEVICE, NULL);
	DL_FOREACH_SAFE2 (entry->sas, sa, next, entry_next)
		ike_sa_delete(e, sa, IKE_REASON_DEVICE);
}

/* What an operator shuts at one end is shut at both: packets of the peer would lead nowhere. */
void command_device(struct ike_engine *e, struct conn_entry *entry, bool down)
{
	if (entry->device_down == down)
		return;
	entry_touch(e, entry);
	entry->device_down = down;
	log_to(e->env.log, LOG_LEVEL_NOTICE, "ike", entry->name,
	       down ? "its device was set down: the SAs are deleted, and come again when it "
		      "is up"
		    : "its device is up again");
	entry->back_off = 0;
	if (down)
		device_down(e, entry);
	else if (!entry->held && (entry->wanted || entry->was_up) &&
		 may_initiate(entry->version->conn))
		peers_want(e, entry, NULL);
}

static bool device(struct ike_engine *e, const struct ike_command *cmd)
{
	struct conn_entry *entry = conns_named(e, cmd->name);

	if (entry)
		command_device(e, entry, cmd->down);
	return true;
}

/* ---- shutdown, retry ---- */

static bool shutdown_all(struct ike_engine *e, const struct ike_command *cmd)
{
	struct ike_sa *sa, *next;
	struct conn_entry *entry;

	e->shutting_down = true;
	if (cmd->tag && command_expect(e, cmd->tag))
		e->shutdown_tag = cmd->tag;
	DL_FOREACH (e->conns, entry) {
		entry_touch(e, entry);
		timer_cancel(&e->timers, &entry->retry_timer);
	}
	DL_FOREACH_SAFE (e->sas, sa, next)
		ike_sa_delete(e, sa, IKE_REASON_SHUTDOWN);
	command_sa_gone(e);
	return true;
}

void command_sa_gone(struct ike_engine *e)
{
	uint64_t tag = e->shutdown_tag;

	if (!e->shutting_down || e->sas || e->shutdown_told)
		return;
	e->shutdown_told = true;
	e->shutdown_tag = 0;
	output_shutdown_done(e);
	command_progress(e, tag, true, IKE_REASON_NONE, NULL);
}

static bool retry_now(struct ike_engine *e)
{
	struct conn_entry *entry;

	DL_FOREACH (e->conns, entry) {
		entry_touch(e, entry);
		entry->back_off = 0;
		if (timer_armed(&entry->retry_timer))
			peers_retry_expire(e, entry);
	}
	return true;
}

bool command_run(struct ike_engine *e, const struct ike_command *c, const char **error)
{
	switch (c->kind) {
	case IKE_COMMAND_LOAD_CONN:
		return conns_load(e, c, error);
	case IKE_COMMAND_UNLOAD_CONN:
		return conns_unload(e, c->name, error);
	case IKE_COMMAND_LOAD_SECRET:
		return conns_load_secret(e, c->secret, error);
	case IKE_COMMAND_UNLOAD_SECRET:
		return conns_unload_secret(e, c->name, error);
	case IKE_COMMAND_INITIATE:
		return initiate(e, c, error);
	case IKE_COMMAND_TERMINATE:
		return terminate(e, c, error);
	case IKE_COMMAND_REKEY:
		return rekey(e, c, error);
	case IKE_COMMAND_RETRY_NOW:
		return retry_now(e);
	case IKE_COMMAND_DEVICE:
		return device(e, c);
	case IKE_COMMAND_SHUTDOWN:
		return shutdown_all(e, c);
	}
	*error = "unknown command";
	return false;
}
