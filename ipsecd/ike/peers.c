/* What should be up and is not: attempts, one at a time per conn, with back-off for
 * ever. Must not know how messages look. */
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/outer.h"

#include <stdio.h>
#include <stdlib.h>

#define SHORT_LIFE (10 * MONO_S)

/* ---- what is there ---- */

struct ike_sa *peers_usable_sa(const struct conn_entry *entry)
{
	struct ike_sa *sa;

	DL_FOREACH2 (entry->sas, sa, entry_next)
		if (ike_sa_usable(sa) && !sa->redundant)
			return sa;
	return NULL;
}

static bool child_present(const struct ike_sa *sa, const char *name)
{
	const struct task *t;

	if (child_usable_named(sa, name))
		return true;
	if (sa->running && sa->running->child_name && strcmp(sa->running->child_name, name) == 0)
		return true;
	DL_FOREACH (sa->tasks, t)
		if (t->child_name && strcmp(t->child_name, name) == 0)
			return true;
	return false;
}

static bool waited_for(const struct conn_entry *entry, const char *name)
{
	const struct waiter *w;

	DL_FOREACH (entry->waiters, w)
		if (w->child && strcmp(w->child, name) == 0)
			return true;
	return false;
}

void peers_add_child(struct ike_engine *e, struct ike_sa *sa, const char *name)
{
	if (conn_child(sa->entry->version->conn, name) && !conns_child_held(sa->entry, name) &&
	    !child_present(sa, name))
		exchange_enqueue(e, sa, &create_child_ops, 0, name, 0);
}

static bool traps_child(const struct child_config *c)
{
	return c->start_action == ACTION_TRAP || c->dpd_action == ACTION_TRAP ||
	       c->close_action == ACTION_TRAP;
}

/* Asks for what should be there and is not, but for the child that was refused just now. */
static void fill_children(struct ike_engine *e, struct conn_entry *entry, struct ike_sa *sa,
			  const char *refused)
{
	const struct conn *c = entry->version->conn;

	for (uint16_t i = 0; i < c->n_children; i++) {
		const struct child_config *config = &c->children[i];
		bool now = !refused || strcmp(refused, config->name) != 0;
		bool want =
			config->start_action == ACTION_START ||
			(entry->acquired && traps_child(config) &&
			 conns_child_due(e, entry, config->name)) ||
			(entry->wanted_child && strcmp(entry->wanted_child, config->name) == 0) ||
			waited_for(entry, config->name);

		if (want && now)
			peers_add_child(e, sa, config->name);
	}
	if (entry->acquired)
		entry_touch(e, entry);
	entry->acquired = false;
}

/* The CHILD_SA of IKE_AUTH: the one asked for, else the first to start, else the first. */
static const char *first_child(const struct conn_entry *entry)
{
	const struct conn *c = entry->version->conn;
	const char *first = NULL;

	if (entry->wanted_child && conn_child(c, entry->wanted_child) &&
	    !conns_child_held(entry, entry->wanted_child))
		return entry->wanted_child;
	for (uint16_t i = 0; i < c->n_children; i++) {
		if (conns_child_held(entry, c->children[i].name))
			continue;
		if (c->children[i].start_action == ACTION_START ||
		    (entry->acquired && traps_child(&c->children[i])))
			return c->children[i].name;
		if (!first)
			first = c->children[i].name;
	}
	return first;
}

/* ---- attempts ---- */

static bool may_start(const struct ike_engine *e, const struct conn_entry *entry)
{
	return !e->shutting_down && !entry->unloaded && !conns_held(entry);
}

/* Children there are, but commands took each of them down. */
static bool all_held(const struct conn_entry *entry)
{
	return entry->version->conn->n_children && !first_child(entry);
}

static mono_time next_back_off(struct ike_engine *e, struct conn_entry *entry)
{
	mono_time min = e->settings.retry_min, max = e->settings.retry_max;

	entry_touch(e, entry);
	entry->back_off = entry->back_off ? entry->back_off * 2 : min;
	if (entry->back_off > max)
		entry->back_off = max;
	/* From half to one and a half: ends that failed together do not retry together. */
	return entry->back_off / 2 + engine_random_below(e, entry->back_off);
}

static void plan_retry(struct ike_engine *e, struct conn_entry *entry, mono_time delay)
{
	const struct conn *c = entry->version->conn;

	entry_touch(e, entry);
	if (!may_start(e, entry) || !entry->wanted)
		return;
	if (c->keying_tries && entry->tries >= c->keying_tries) {
		log_to(e->env.log, LOG_LEVEL_WARN, "ike", entry->name,
		       "given up after %u attempts (keyingtries)", entry->tries);
		entry->wanted = false;
		return;
	}
	timer_set(&e->timers, &entry->retry_timer, e->now + delay);
}

void peers_report_failure(struct ike_engine *e, struct conn_entry *entry, struct ike_sa *sa,
			  enum ike_reason reason, const char *detail)
{
	log_to(e->env.log, LOG_LEVEL_WARN, "ike", entry->name, "attempt failed: %s%s%s",
	       ike_reason_text(reason), detail ? ": " : "", detail ? detail : "");
	peers_keep_failure(e, entry, reason, detail);
	if (entry->attempt == sa)
		entry->attempt = NULL;
	if (!peers_usable_sa(entry)) /* keyingtries: not those that would replace one that is up */
		entry->tries++;
	output_event_failed(e, entry->name, sa, reason, detail);
	conns_end_waiters(e, entry, NULL, true, false, reason, detail);
	if (!peers_usable_sa(entry))
		plan_retry(e, entry, next_back_off(e, entry));
}

void peers_attempt_failed(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason,
			  const char *detail)
{
	peers_report_failure(e, sa->entry, sa, reason, detail);
	ike_sa_end(e, sa, reason, detail);
}

void peers_attempt_dropped(const struct ike_sa *sa)
{
	if (sa->entry->attempt == sa)
		sa->entry->attempt = NULL;
}

static void begin(struct ike_engine *e, struct conn_entry *entry, const struct addr *local,
		  const struct addr *remote)
{
	const struct conn *c = entry->version->conn;
	struct ike_path path = {.local = {.addr = *local, .port = c->local_port},
				.remote = {.addr = *remote, .port = c->remote_port}};

	init_start(e, entry, &path, first_child(entry));
}

static void ask(struct ike_engine *e, struct conn_entry *entry, const char *name, uint8_t family)
{
	entry->query = ++e->next_query;
	output_resolve(e, entry->query, name, family);
}

/* The next of the configured remote hosts that has or may get an address. */
static const struct host *next_remote(struct conn_entry *entry)
{
	const struct conn *c = entry->version->conn;

	for (uint8_t i = 0; i < c->n_remote; i++) {
		const struct host *h = &c->remote[entry->next_remote++ % c->n_remote];

		if (h->kind == HOST_ADDR || h->kind == HOST_NAME)
			return h;
	}
	return NULL;
}

static void start_attempt(struct ike_engine *e, struct conn_entry *entry)
{
	const struct conn *c = entry->version->conn;
	unsigned from = entry->next_remote;
	const struct host *remote = next_remote(entry);
	const struct addr *local;
	char text[ADDR_TEXT];

	entry_touch(e, entry);
	timer_cancel(&e->timers, &entry->retry_timer);
	if (!remote || !c->n_children) {
		entry->wanted = false;
		peers_report_failure(e, entry, NULL, IKE_REASON_NOT_POSSIBLE,
				     remote ? "the connection has no child"
					    : "the connection has no address to initiate to");
		return;
	}
	local = outer_own(c, remote->kind == HOST_ADDR ? remote->addr.family : 0);
	if (remote->kind == HOST_NAME)
		ask(e, entry, remote->name, local ? local->family : 0);
	else if (!local)
		ask(e, entry, addr_format(&remote->addr, text), remote->addr.family);
	else
		begin(e, entry, local, &remote->addr);
	entry->asked_from = from;
}

void peers_ask_again(struct ike_engine *e, struct conn_entry *entry)
{
	entry->query = 0;
	entry->next_remote = entry->asked_from;
	start_attempt(e, entry);
}

void peers_review(struct ike_engine *e, struct conn_entry *entry)
{
	struct ike_sa *sa;

	if (!may_start(e, entry))
		return;
	sa = peers_usable_sa(entry);
	if (sa)
		fill_children(e, entry, sa, NULL);
	else if (!entry->attempt && !entry->query && !all_held(entry))
		start_attempt(e, entry);
}

void peers_retry_expire(struct ike_engine *e, void *owner)
{
	struct conn_entry *entry = owner;

	entry_touch(e, entry);
	timer_cancel(&e->timers, &entry->retry_timer);
	peers_review(e, entry);
}

void peers_want(struct ike_engine *e, struct conn_entry *entry, const char *child)
{
	entry_touch(e, entry);
	entry->wanted = true;
	entry->tries = 0;
	entry->back_off = 0;
	free(entry->wanted_child);
	entry->wanted_child = child ? strdup(child) : NULL;
	timer_cancel(&e->timers, &entry->retry_timer);
	peers_review(e, entry);
}

static bool traps(const struct conn *c)
{
	for (uint16_t i = 0; i < c->n_children; i++)
		if (traps_child(&c->children[i]))
			return true;
	return false;
}

/* Once: packets keep coming. */
static void say_refused(struct ike_engine *e, struct conn_entry *entry)
{
	if (entry->refused_told)
		return;
	entry_touch(e, entry);
	entry->refused_told = true;
	log_to(e->env.log, LOG_LEVEL_DEBUG, "ike", entry->name,
	       "traffic waits for it, and may not start it: %s",
	       entry->device_down ? "the device is down"
	       : entry->held	  ? "taken down by command"
	       : e->shutting_down ? "shutting down"
				  : "no child has auto=route");
}

/* The data plane can't say for which child a packet was: all that wait for traffic come. */
void peers_acquire(struct ike_engine *e, uint32_t tunnel)
{
	struct conn_entry *entry = conns_by_tunnel(e, tunnel);
	struct ike_sa *sa;

	if (!entry)
		return;
	if (!may_start(e, entry) || !traps(entry->version->conn)) {
		say_refused(e, entry);
		return;
	}
	if (entry->refused_told)
		entry_touch(e, entry);
	entry->refused_told = false;
	sa = peers_usable_sa(entry);
	/* Packets keep coming: what runs or is planned already is not begun anew. */
	if (entry->query || timer_armed(&entry->retry_timer) || (entry->attempt && !sa))
		return;
	entry_touch(e, entry);
	entry->acquired = true;
	if (sa)
		fill_children(e, entry, sa, NULL);
	else
		peers_want(e, entry, NULL);
}

static const char *asked_name(const struct conn_entry *entry)
{
	const struct conn *c = entry->version->conn;
	const struct host *h = &c->remote[(entry->next_remote - 1) % c->n_remote];

	return h->name ? h->name : "";
}

void peers_answer(struct ike_engine *e, uint64_t query, const struct ike_answer *answer)
{
	const struct addr *local, *remote;
	struct conn_entry *entry;
	char detail[IKE_DETAIL], text[ADDR_TEXT];

	DL_FOREACH (e->conns, entry)
		if (query && entry->query == query)
			break;
	if (!entry)
		return;
	entry_touch(e, entry);
	entry->query = 0;
	if (answer->n == 0) {
		snprintf(detail, sizeof(detail), "%.100s: %s", asked_name(entry),
			 answer->why ? answer->why : "no address");
		peers_report_failure(e, entry, NULL, IKE_REASON_RESOLVE_FAILED, detail);
		return;
	}
	/* A name with several addresses: another one at each try. */
	if (!outer_choose(entry->version->conn, answer, entry->tries, &local, &remote)) {
		snprintf(detail, sizeof(detail), "no route or own address towards %s",
			 addr_format(remote, text));
		peers_report_failure(e, entry, NULL, IKE_REASON_NOT_POSSIBLE, detail);
		return;
	}
	entry->remote = *remote;
	/* The conn may have been reloaded or taken down meanwhile. */
	if (!entry->attempt && !peers_usable_sa(entry) && may_start(e, entry) && first_child(entry))
		begin(e, entry, local, remote);
}

/* ---- hooks ---- */

static void end_back_off(struct conn_entry *entry)
{
	if (!entry->short_lived)
		entry->back_off = 0;
}

/* A peer or data plane that takes down at once what it let come up is asked less and less
 * often, as one that refuses. */
static void judge_life(struct ike_engine *e, struct conn_entry *entry, mono_time up_since)
{
	entry_touch(e, entry);
	entry->short_lived = e->now - up_since < SHORT_LIFE;
	end_back_off(entry);
}

/* Our own attempt is not needed any more when the peer was faster; if it got as far as
 * IKE_AUTH, it goes on and duplicates_resolve decides. */
static void drop_attempt(struct ike_engine *e, struct conn_entry *entry, const struct ike_sa *sa)
{
	struct ike_sa *attempt = entry->attempt;

	if (!attempt || attempt == sa)
		return;
	if (attempt->state != IKE_SA_INIT_SENT && attempt->state != IKE_SA_CREATED)
		return;
	entry->attempt = NULL;
	ike_sa_end(e, attempt, IKE_REASON_REPLACED, "the peer's initiation was faster");
}

void peers_sa_up(struct ike_engine *e, struct ike_sa *sa, const char *refused)
{
	struct conn_entry *entry = sa->entry;

	entry_touch(e, entry);
	drop_attempt(e, entry, sa);
	peers_attempt_dropped(sa);
	if (entry->held == HOLD_OWN)
		entry->held = HOLD_NONE; /* the peer wants it up */
	entry->tries = 0;
	conns_all_due(entry);
	end_back_off(entry);
	entry->reason = IKE_REASON_NONE;
	entry->detail[0] = '\0';
	timer_cancel(&e->timers, &entry->retry_timer);
	conns_end_waiters(e, entry, NULL, false, true, IKE_REASON_NONE, NULL);
	if (sa->initiator)
		fill_children(e, entry, sa, refused);
}

static bool dead(enum ike_reason reason)
{
	return reason == IKE_REASON_PEER_DEAD || reason == IKE_REASON_PEER_RESTARTED;
}

static bool restart_after(const struct conn *c, enum ike_reason reason)
{
	for (uint16_t i = 0; i < c->n_children; i++) {
		if (dead(reason) && c->children[i].dpd_action == ACTION_START)
			return true;
		if (reason == IKE_REASON_PEER_DELETED &&
		    c->children[i].close_action == ACTION_START)
			return true;
	}
	return false;
}

/* Is an IKE_SA that went for this reason to come again? auto=start says always, since a peer
 * that restarts deletes its SAs, too; else dpdaction and closeaction decide, and for
 * other reasons whether it was wanted so far. */
static bool comes_again(struct conn_entry *entry, const struct conn *c, enum ike_reason reason)
{
	if (restart_after(c, reason) || conns_starts(entry->version->conn))
		return true;
	return entry->wanted && reason != IKE_REASON_PEER_DELETED && !dead(reason);
}

/* Our attempt was to replace `sa`, which the peer wanted to end: it does not come again by that.
 * Behind IKE_AUTH the peer may end the old one because the new one is up. */
static void end_reauth(struct ike_engine *e, struct conn_entry *entry, const struct ike_sa *sa,
		       enum ike_reason reason)
{
	struct ike_sa *attempt = entry->attempt;

	if (!attempt || attempt->reauth_of != sa->own_spi)
		return;
	sa_touch(e, attempt);
	entry_touch(e, entry);
	attempt->reauth_of = 0;
	if (reason == IKE_REASON_REPLACED || attempt->state == IKE_SA_AUTH_SENT ||
	    comes_again(entry, sa->conn, reason))
		return;
	entry->wanted = false;
	ike_sa_delete(e, attempt, reason);
}

/* Is nobody working on this conn any more? */
bool peers_idle(const struct conn_entry *entry)
{
	return !entry->attempt && !entry->query && !peers_usable_sa(entry) &&
	       !timer_armed(&entry->retry_timer);
}

/* A peer that died or an SA that ran out is tried anew at once; a peer that deleted the SA or a
 * data plane that refused it had a reason that may last. One that restarts again and again has to
 * wait, too. */
static bool at_once(const struct conn_entry *entry, enum ike_reason reason)
{
	if (reason == IKE_REASON_PEER_RESTARTED)
		return !entry->short_lived;
	return reason == IKE_REASON_PEER_DEAD || reason == IKE_REASON_EXPIRED ||
	       reason == IKE_REASON_REPLACED || reason == IKE_REASON_CONFIG;
}

void peers_sa_gone(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason,
		   const char *detail)
{
	struct conn_entry *entry = sa->entry;

	if (!entry)
		return;
	peers_attempt_dropped(sa);
	if (sa->announced && !peers_usable_sa(entry) && may_start(e, entry))
		judge_life(e, entry, sa->established);
	end_reauth(e, entry, sa, reason);
	if (sa->announced && peers_idle(entry) && may_start(e, entry)) {
		/* Who was refused an address deletes the IKE_SA for that. */
		if (reason != IKE_REASON_PEER_DELETED || entry->reason != IKE_REASON_NO_ADDRESS)
			peers_keep_failure(e, entry, reason, detail);
		entry->wanted = comes_again(entry, sa->conn, reason);
		if (at_once(entry, reason))
			plan_retry(e, entry, 0);
		else
			plan_retry(e, entry, next_back_off(e, entry));
	}
	/* Commands don't wait for what nobody will do. */
	if (peers_idle(entry))
		conns_end_waiters(e, entry, NULL, true, false, reason, detail);
}

void peers_child_up(struct ike_engine *e, struct child *c)
{
	struct conn_entry *entry = c->sa->entry;

	entry_touch(e, entry);
	conns_end_waiters(e, entry, c->config->name, false, true, IKE_REASON_NONE, NULL);
	if (conns_child_held(entry, c->config->name) == HOLD_OWN)
		conns_release_hold(e, entry, c->config->name);
	entry->reason = IKE_REASON_NONE;
	entry->detail[0] = '\0';
	conns_child_not_before(e, entry, c->config->name, 0);
	end_back_off(entry);
}

void peers_child_failed(struct ike_engine *e, struct ike_sa *sa, const char *child,
			enum ike_reason reason, const char *detail)
{
	struct conn_entry *entry = sa->entry;
	mono_time delay = next_back_off(e, entry);

	ike_log(e, sa, LOG_LEVEL_WARN, "CHILD_SA %s failed, the IKE_SA stays: %s%s%s", child,
		ike_reason_text(reason), detail && *detail ? ": " : "", detail ? detail : "");
	peers_keep_failure(e, entry, reason, detail);
	output_event_failed(e, entry->name, sa, reason, detail);
	conns_end_waiters(e, entry, child, false, false, reason, detail);
	conns_child_not_before(e, entry, child, e->now + delay);
	plan_retry(e, entry, delay);
}

/* At once, but for a child that did not live long. */
static void ask_again(struct ike_engine *e, struct ike_sa *sa, const char *name)
{
	struct task *t = exchange_enqueue(e, sa, &create_child_ops, 0, name, 0);

	if (t && sa->entry->short_lived)
		t->not_before = e->now + next_back_off(e, sa->entry);
}

void peers_child_unusable(struct ike_engine *e, struct child *c)
{
	struct conn_entry *entry = c->sa->entry;
	const struct child_config *now = conn_child(entry->version->conn, c->config->name);

	if (!child_usable(c) || c->redundant || !ike_sa_usable(c->sa) || c->sa->redundant ||
	    !may_start(e, entry) || !now || !c->sa->conn->rekey ||
	    conns_child_held(entry, now->name))
		return;
	judge_life(e, entry, c->installed);
	ask_again(e, c->sa, now->name);
}

void peers_child_gone(struct ike_engine *e, struct child *c, enum ike_reason reason)
{
	struct ike_sa *sa = c->sa;
	struct conn_entry *entry = sa->entry;
	const struct child_config *now;

	/* One for a resource may go alone (RFC 9611): what it did is done by others. */
	if (!ike_sa_usable(sa) || sa->redundant || c->resource || !may_start(e, entry))
		return;
	now = conn_child(entry->version->conn, c->config->name);
	if (!now || conns_child_held(entry, now->name))
		return;
	judge_life(e, entry, c->installed);
	switch (reason) {
	case IKE_REASON_PEER_DELETED:
		if (now->close_action == ACTION_START)
			ask_again(e, sa, now->name);
		else if (now->start_action == ACTION_START)
			plan_retry(e, entry, next_back_off(e, entry));
		break;
	case IKE_REASON_EXPIRED:
	case IKE_REASON_CONFIG:
		if (now->start_action == ACTION_START)
			exchange_enqueue(e, sa, &create_child_ops, 0, now->name, 0);
		break;
	case IKE_REASON_INSTALL_FAILED:
		plan_retry(e, entry, next_back_off(e, entry));
		break;
	case IKE_REASON_COMMAND:
		if (now->start_action == ACTION_START)
			plan_retry(e, entry, next_back_off(e, entry));
		break;
	default:
		break;
	}
}
