/* Going on with what was restored: the plane is told what it has to have, timers run from where
 * they were, and what was under way is taken up again. */
#include "ipsecd/ike/command.h"
#include "ipsecd/ike/dispatch.h"
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/state.h"
#include "ipsecd/ike/vips.h"
#include "ipsecd/ike/window.h"

/* So many of what is overdue at one instant, the rest one interval later and so on. */
#define AT_ONCE	 1024u
#define INTERVAL (20 * MONO_MS)

/* Spreads what would be done at once. */
struct crowd {
	unsigned n;
};

static mono_time turn(struct crowd *crowd, mono_time now)
{
	return now + crowd->n++ / AT_ONCE * INTERVAL;
}

/* ---- order and numbers ---- */

static int by_id(const struct ike_sa *a, const struct ike_sa *b)
{
	return (a->id > b->id) - (a->id < b->id);
}

static int by_attached(const struct ike_sa *a, const struct ike_sa *b)
{
	return (a->attached > b->attached) - (a->attached < b->attached);
}

static void raise_u32(uint32_t *v, uint32_t least)
{
	*v = *v < least ? least : *v;
}

static void raise_u64(uint64_t *v, uint64_t least)
{
	*v = *v < least ? least : *v;
}

/* The engine's record says so, if it was readable. */
static void raise_numbers(struct ike_engine *e)
{
	const struct conn_entry *entry;
	const struct child_memory *m;
	const struct ike_sa *sa;
	const struct child *c;

	DL_FOREACH (e->sas, sa) {
		raise_u32(&e->next_sa_id, sa->id);
		raise_u64(&e->next_attached, sa->attached);
		DL_FOREACH (sa->children, c) {
			raise_u64(&e->next_child_id, c->id);
			raise_u32(&e->next_child_unique, c->unique);
			raise_u32(&e->next_reqid, c->config->reqid ? 0 : c->reqid);
		}
	}
	DL_FOREACH (e->conns, entry)
		LL_FOREACH (entry->memories, m)
			raise_u32(&e->next_reqid, m->reqid);
}

static void sort(struct ike_engine *e)
{
	struct conn_entry *entry;

	DL_SORT(e->sas, by_id);
	DL_FOREACH (e->conns, entry)
		DL_SORT2(entry->sas, by_attached, entry_prev, entry_next);
}

/* ---- timers ---- */

/* Restored ones are not armed yet. */
static void arm(struct ike_engine *e, struct timer *t, struct crowd *crowd)
{
	if (!t->at || timer_armed(t))
		return;
	timer_set(&e->timers, t, t->at < e->now ? turn(crowd, e->now) : t->at);
}

static void arm_sa(struct ike_engine *e, struct ike_sa *sa, struct crowd *crowd)
{
	struct timer *of_sa[IKE_SA_TIMERS], *of_child[CHILD_TIMERS];
	struct child *c;

	ike_sa_timers(sa, of_sa);
	for (unsigned i = 0; i < IKE_SA_TIMERS; i++)
		arm(e, of_sa[i], crowd);
	DL_FOREACH (sa->children, c) {
		child_timers(c, of_child);
		for (unsigned i = 0; i < CHILD_TIMERS; i++)
			arm(e, of_child[i], crowd);
	}
}

/* ---- IKE_SAs ---- */

static void install_children(struct ike_engine *e, struct ike_sa *sa)
{
	struct child *c;

	DL_FOREACH (sa->children, c)
		if (c->in_plane)
			child_install_again(e, c);
}

/* The answer may have come when nobody was here. */
static void request_again(struct ike_engine *e, struct ike_sa *sa, struct crowd *crowd)
{
	mono_time at = turn(crowd, e->now);

	if (at == e->now) {
		window_resume(e, sa);
		return;
	}
	sa_touch(e, sa);
	if (!sa->tx.timer.at || sa->tx.timer.at > at)
		sa->tx.timer.at = at;
}

/* What a reload does to SAs whose conn changed. */
static void adapt(struct ike_engine *e, struct ike_sa *sa)
{
	struct child *c, *next;

	if (sa->outdated) {
		ike_sa_delete(e, sa, IKE_REASON_CONFIG);
		return;
	}
	DL_FOREACH_SAFE (sa->children, c, next) {
		if (c->outdated)
			child_delete(e, c, IKE_REASON_CONFIG);
		else if (c->rekeys && child_usable(c))
			exchange_enqueue(e, sa, &rekey_child_ops, c->id, NULL, 0);
	}
}

/* The mark goes behind the next record of the IKE_SA; one of an IKE_SA that is not there at once.
 */
static void heed_marks(struct ike_engine *e)
{
	struct behind_mark *m;
	struct ike_sa *sa;

	LL_FOREACH (e->behind, m) {
		DL_FOREACH (e->sas, sa)
			if (sa->id == m->id)
				break;
		if (!sa) {
			e->refused = true;
			state_drop(e, &(struct ike_record){.kind = IKE_RECORD_BEHIND, .id = m->id});
			continue;
		}
		sa->sync.behind = sa->unpublished = true;
		sa_touch(e, sa);
	}
	state_free_marks(e);
}

static bool is_made_by(const struct ike_engine *e, const struct ike_sa *made)
{
	const struct ike_sa *sa;
	const struct task *t;

	DL_FOREACH (e->sas, sa) {
		if (sa->running && sa->running->new_sa == made->own_spi)
			return true;
		DL_FOREACH (sa->tasks, t)
			if (t->new_sa == made->own_spi)
				return true;
	}
	return false;
}

/* By a rekey that an older record of its IKE_SA does not have. */
static void end_orphans(struct ike_engine *e)
{
	struct ike_sa *sa, *next;

	DL_FOREACH_SAFE (e->sas, sa, next)
		if (sa->state == IKE_SA_CREATED && !is_made_by(e, sa)) {
			e->refused = true; /* its conn may have no other */
			ike_sa_end(e, sa, IKE_REASON_INTERNAL, "its rekey is not known");
		}
}

static void resume_sas(struct ike_engine *e)
{
	struct crowd requests = {0}, timers = {0};
	struct ike_sa *sa, *next;

	heed_marks(e);
	end_orphans(e);
	DL_FOREACH (e->sas, sa)
		install_children(e, sa);
	DL_FOREACH (e->sas, sa) {
		if (sa->tx.in_flight && !sync_waits(sa))
			request_again(e, sa, &requests);
		else if (sa->sync.asking)
			window_be_patient(e, sa); /* it asks anew when the timer is armed */
		arm_sa(e, sa, &timers);
	}
	DL_FOREACH_SAFE (e->sas, sa, next)
		adapt(e, sa);
	DL_FOREACH_SAFE (e->sas, sa, next)
		sync_resume(e, sa);
	DL_FOREACH_SAFE (e->sas, sa, next)
		if (sa->state == IKE_SA_HALF_OPEN && vips_waiting(sa))
			dispatch_resume(e, sa); /* asks the pools again */
}

/* ---- conns ---- */

static void device_changed(struct ike_engine *e, struct conn_entry *entry)
{
	bool down = entry->device_down;

	entry->device_down = entry->device_was_down;
	command_device(e, entry, down);
}

static void resume_entry(struct ike_engine *e, struct conn_entry *entry, struct crowd *timers)
{
	entry->restoring = false;
	if (!entry->restored) {
		conns_loaded(e, entry);
		return;
	}
	arm(e, &entry->retry_timer, timers);
	if (entry->device_was_down != entry->device_down)
		device_changed(e, entry);
	if (entry->query)
		peers_ask_again(e, entry);
	if (entry->digest != entry->version->digest) {
		conns_rearm_liveness(e, entry);
		conns_loaded(e, entry);
	} else if (e->refused && entry->wanted && peers_idle(entry)) {
		peers_review(e, entry); /* that was an SA of it */
	}
}

void ike_engine_resume(struct ike_engine *e, mono_time now)
{
	struct crowd timers = {0};
	struct conn_entry *entry;

	engine_input_begin(e, now);
	e->restoring = false;
	sort(e);
	raise_numbers(e);
	DL_FOREACH (e->conns, entry)
		vips_resume(e, entry);
	resume_sas(e);
	DL_FOREACH (e->conns, entry)
		if (entry->restoring)
			resume_entry(e, entry, &timers);
	command_sa_gone(e);
	engine_input_end(e);
}

void ike_engine_each_lease(const struct ike_engine *e,
			   void (*cb)(void *ctx, const struct ike_lease_info *lease), void *ctx)
{
	const struct ike_sa *sa;

	DL_FOREACH (e->sas, sa) {
		struct ike_lease_info info = {.query = sa->lease,
					      .conn = sa->conn,
					      .identity = sa_remote_id(sa),
					      .n = sa_vips(sa)->n_remote,
					      .addrs = sa_vips(sa)->remote};

		if (sa->lease && !vips_waiting(sa))
			cb(ctx, &info);
	}
}
