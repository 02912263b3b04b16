/* IKE_SA records: life from ike_sa_new to ike_sa_free, the one writer of the state,
 * lifetimes. Must not know how exchanges are encoded. */
#include "ipsecd/ike/command.h"
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/keepalive.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/vips.h"
#include "ipsecd/ike/window.h"

#include <stdlib.h>

static void rekey_due(struct ike_engine *e, void *owner)
{
	struct ike_sa *sa = owner;

	if (ike_sa_usable(sa))
		exchange_enqueue(e, sa, &rekey_ike_ops, 0, NULL, 0);
}

/* The hard lifetime, a half-open SA's patience, or that of a replaced one whose delete
 * does not come. */
static void expired(struct ike_engine *e, void *owner)
{
	struct ike_sa *sa = owner;

	switch (sa->state) {
	case IKE_SA_HALF_OPEN:
		ike_sa_end(e, sa, IKE_REASON_NO_ANSWER,
			   vips_waiting(sa) ? "the address pools did not answer"
					    : "IKE_AUTH did not come");
		break;
	case IKE_SA_ESTABLISHED:
	case IKE_SA_REKEYING:
		ike_sa_delete(e, sa, IKE_REASON_EXPIRED);
		break;
	case IKE_SA_REKEYED:
		ike_sa_delete(e, sa, IKE_REASON_REPLACED);
		break;
	default:
		ike_sa_end(e, sa, sa->end_reason, "not answered in time");
	}
}

static void tasks_due(struct ike_engine *e, void *owner)
{
	exchange_run(e, owner);
}

static void timers_init(struct ike_sa *sa)
{
	timer_init(&sa->tx.timer, window_expire, sa);
	timer_init(&sa->rekey_timer, rekey_due, sa);
	timer_init(&sa->expire_timer, expired, sa);
	timer_init(&sa->dpd_timer, liveness_expire, sa);
	timer_init(&sa->task_timer, tasks_due, sa);
	timer_init(&sa->keepalive_timer, keepalive_expire, sa);
	timer_init(&sa->redundant_timer, duplicates_expire, sa);
	timer_init(&sa->reauth_timer, reauth_due, sa);
}

void ike_sa_timers(struct ike_sa *sa, struct timer *out[IKE_SA_TIMERS])
{
	struct timer *const all[IKE_SA_TIMERS] = {
		&sa->tx.timer,	 &sa->rekey_timer,     &sa->expire_timer,    &sa->dpd_timer,
		&sa->task_timer, &sa->keepalive_timer, &sa->redundant_timer, &sa->reauth_timer};

	memcpy(out, all, sizeof(all));
}

static void timers_cancel(struct ike_engine *e, struct ike_sa *sa)
{
	struct timer *all[IKE_SA_TIMERS];

	ike_sa_timers(sa, all);
	for (unsigned i = 0; i < IKE_SA_TIMERS; i++)
		timer_cancel(&e->timers, all[i]);
}

struct ike_sa *ike_sa_alloc(struct ike_engine *e)
{
	struct ike_sa *sa = calloc(1, sizeof(*sa));

	if (!sa)
		return NULL;
	if (!timer_heap_reserve(&e->timers, IKE_SA_TIMERS)) {
		free(sa);
		return NULL;
	}
	timers_init(sa);
	return sa;
}

static const struct table_shape by_own_spi = TABLE_SHAPE(struct ike_sa, in_spis, own_spi);

bool ike_sa_link(struct ike_engine *e, struct ike_sa *sa)
{
	if (!table_add(&e->sas_by_spi, &by_own_spi, sa))
		return false;
	DL_APPEND(e->sas, sa);
	e->counters.ike_sas++;
	who_file(e, sa);
	return true;
}

struct ike_sa *ike_sa_new(struct ike_engine *e, struct conn_entry *entry, bool initiator,
			  const struct ike_path *path)
{
	struct ike_sa *sa = ike_sa_alloc(e);

	if (!sa)
		return NULL;
	sa->id = ++e->next_sa_id;
	sa->initiator = sa->auth_initiator = initiator;
	sa->path = *path;
	sa->created = sa->last_heard = e->now;
	sa->own_spi = engine_new_ike_spi(e);
	if (initiator)
		sa->spi_i = sa->own_spi;
	else
		sa->spi_r = sa->own_spi;
	if (!ike_sa_link(e, sa)) {
		timer_heap_release(&e->timers, IKE_SA_TIMERS);
		free(sa);
		return NULL;
	}
	if (entry)
		conns_attach(e, sa, entry, entry->version);
	sa_touch(e, sa);
	return sa;
}

static bool copy_who(struct ike_sa *sa, const struct ike_sa *old)
{
	if (!kept_id(&sa->local_id, old->local_id) || !kept_id(&sa->remote_id, old->remote_id))
		return false;
	if (!old->vips)
		return true;
	if (!sa_vips_edit(sa))
		return false;
	*sa->vips = *old->vips;
	return true;
}

struct ike_sa *ike_sa_new_rekeyed(struct ike_engine *e, const struct ike_sa *old, bool initiator)
{
	struct ike_sa *sa = ike_sa_new(e, NULL, initiator, &old->path);

	if (!sa)
		return NULL;
	if (old->entry)
		conns_attach(e, sa, old->entry, old->version);
	if (!copy_who(sa, old)) {
		ike_sa_unlink(e, sa);
		ike_sa_discard(e, sa);
		return NULL;
	}
	who_file(e, sa);
	sa->nat_local = old->nat_local;
	sa->nat_remote = old->nat_remote;
	sa->nat_faked = old->nat_faked;
	sa->peer_authenticated = old->peer_authenticated;
	sa->auth_initiator = old->auth_initiator;
	sync_inherit(sa, old);
	sa->last_id = old->last_id;
	sa->reauth_at = old->reauth_at;
	sa->reauth_by = old->reauth_by;
	return sa;
}

const char *ike_sa_state_name(enum ike_sa_state s)
{
	static const char *const names[IKE_SA_STATES] = {
		"CREATED",  "INIT_SENT", "HALF_OPEN", "AUTH_SENT", "ESTABLISHED",
		"REKEYING", "REKEYED",	 "DELETING",  "ENDED",
	};

	return names[s];
}

static void ike_sa_init_key(uint64_t spi_i, const struct endpoint *remote, uint8_t *key)
{
	memset(key, 0, IKE_INIT_KEY);
	be64_set(key, spi_i);
	key[8] = remote->addr.family;
	memcpy(key + 9, remote->addr.bytes, sizeof(remote->addr.bytes));
	be16_set(key + 25, remote->port);
}

struct ike_sa *ike_sa_half_open(const struct ike_engine *e, uint64_t spi_i,
				const struct endpoint *remote)
{
	uint8_t key[IKE_INIT_KEY];
	struct half_open *h;

	ike_sa_init_key(spi_i, remote, key);
	HASH_FIND(hh, e->half_open, key, IKE_INIT_KEY, h);
	return h ? h->sa : NULL;
}

/* One peer, or one IPv6 network of the size that a host has, may not take all places. Who could
 * compute which addresses have a place together would shut out one peer from all of the others. */
static unsigned half_open_slot(const struct ike_engine *e, const struct addr *a)
{
	return addr_hash(a, 8, e->settings.half_open_seed ^ a->family) % IKE_ADDR_SLOTS;
}

bool ike_sa_half_open_full(const struct ike_engine *e, const struct addr *remote)
{
	unsigned max = e->settings.half_open_max;

	return e->counters.half_open >= max ||
	       e->half_open_from[half_open_slot(e, remote)] >= (max + 31) / 32;
}

bool ike_sa_half_open_from(const struct ike_engine *e, const struct addr *remote)
{
	const struct half_open *h = e->half_open;

	if (!e->half_open_from[half_open_slot(e, remote)])
		return false;
	for (; h; h = h->hh.next)
		if (h->sa->state == IKE_SA_HALF_OPEN &&
		    addr_equal(&h->sa->path.remote.addr, remote))
			return true;
	return false;
}

/* Without memory it works, but nobody finds it for a retransmission. */
static void half_open_add(struct ike_engine *e, struct ike_sa *sa, const uint8_t *key,
			  const struct addr *remote)
{
	struct half_open *h = calloc(1, sizeof(*h));

	if (!h)
		return;
	h->sa = sa;
	memcpy(h->key, key, IKE_INIT_KEY);
	HASH_ADD(hh, e->half_open, key, IKE_INIT_KEY, h);
	if (!h->hh.tbl) {
		free(h);
		return;
	}
	sa->half_open = h;
	h->slot = half_open_slot(e, remote);
	e->half_open_from[h->slot]++;
	e->counters.half_open = HASH_COUNT(e->half_open);
}

static void half_open_set(struct ike_engine *e, struct ike_sa *sa, bool half_open)
{
	struct half_open *h = sa->half_open;
	uint8_t key[IKE_INIT_KEY];

	if ((h != NULL) == half_open)
		return;
	if (half_open) {
		ike_sa_init_key(sa->spi_i, &sa->path.remote, key);
		half_open_add(e, sa, key, &sa->path.remote.addr);
		return;
	}
	sa->half_open = NULL;
	HASH_DEL(e->half_open, h);
	e->half_open_from[h->slot]--;
	e->counters.half_open = HASH_COUNT(e->half_open);
	free(h);
}

void ike_sa_unlink(struct ike_engine *e, struct ike_sa *sa)
{
	half_open_set(e, sa, false);
	if (!table_remove(&e->sas_by_spi, &by_own_spi, sa))
		return;
	DL_DELETE(e->sas, sa);
	e->counters.ike_sas--;
}

/* The key has the address that it came from at first. */
void ike_sa_restore_half_open(struct ike_engine *e, struct ike_sa *sa,
			      const uint8_t key[IKE_INIT_KEY])
{
	struct addr remote = {.family = key[8]};
	struct half_open *other;

	memcpy(remote.bytes, key + 9, sizeof(remote.bytes));
	HASH_FIND(hh, e->half_open, key, IKE_INIT_KEY, other);
	if (!other)
		half_open_add(e, sa, key, &remote);
}

void ike_sa_set_state(struct ike_engine *e, struct ike_sa *sa, enum ike_sa_state state,
		      const char *cause)
{
	if (sa->state == state)
		return;
	ike_log(e, sa, LOG_LEVEL_DEBUG, "IKE_SA #%u %s -> %s: %s", sa->id,
		ike_sa_state_name(sa->state), ike_sa_state_name(state), cause);
	sa_touch(e, sa);
	half_open_set(e, sa,
		      state == IKE_SA_HALF_OPEN || (sa->half_open && state == IKE_SA_DELETING));
	if (sa->state == IKE_SA_HALF_OPEN)
		timer_cancel(&e->timers, &sa->expire_timer);
	if (state == IKE_SA_HALF_OPEN)
		timer_set(&e->timers, &sa->expire_timer, e->now + e->settings.half_open_timeout);
	sa->state = state;
}

struct crypto_cipher *ike_sa_cipher(const struct ike_engine *e, const struct ike_sa *sa, bool seal)
{
	bool of_initiator = seal == sa->initiator;

	if (!sa->keys)
		return NULL;
	return e->env.crypto->cipher_new(sa->suite.encr, sa->suite.integ,
					 kept_key(sa->keys, of_initiator ? SK_EI : SK_ER),
					 kept_key(sa->keys, of_initiator ? SK_AI : SK_AR), seal);
}

/* ---- what is kept ---- */

static const struct id anybody;

const struct id *sa_local_id(const struct ike_sa *sa)
{
	return sa->local_id ? sa->local_id : &anybody;
}

const struct id *sa_remote_id(const struct ike_sa *sa)
{
	return sa->remote_id ? sa->remote_id : &anybody;
}

const struct sa_vips *sa_vips(const struct ike_sa *sa)
{
	static const struct sa_vips none;

	return sa->vips ? sa->vips : &none;
}

struct sa_vips *sa_vips_edit(struct ike_sa *sa)
{
	if (!sa->vips)
		sa->vips = calloc(1, sizeof(*sa->vips));
	return sa->vips;
}

/* ---- lifetimes ---- */

/* The hard end: over_time behind what should have come, a rekey or a reauthentication. */
static void plan_end(struct ike_engine *e, struct ike_sa *sa)
{
	const struct conn *c = sa->conn;
	mono_time soft = c->rekey_time ? e->now + c->rekey_time : 0;

	if (sa->reauth_by && (!soft || sa->reauth_by < soft))
		soft = sa->reauth_by;
	if (!soft || !c->over_time)
		return;
	sa->expires_at = soft + c->over_time;
	timer_set(&e->timers, &sa->expire_timer, sa->expires_at);
}

/* Rekey at rekey_time less up to rand_time, so that both ends seldom meet. rekey=no starts no
 * rekey of its own; with reauth=yes there is a new IKE_SA instead. */
static void plan_lifetimes(struct ike_engine *e, struct ike_sa *sa)
{
	const struct conn *c = sa->conn;

	reauth_plan(e, sa);
	plan_end(e, sa);
	if (!c->rekey || c->reauth || !c->rekey_time)
		return;
	sa->rekey_at = e->now + c->rekey_time;
	if (c->rand_time < c->rekey_time)
		sa->rekey_at -= engine_random_below(e, c->rand_time);
	timer_set(&e->timers, &sa->rekey_timer, sa->rekey_at);
}

void ike_sa_establish(struct ike_engine *e, struct ike_sa *sa, const char *cause)
{
	ike_sa_set_state(e, sa, IKE_SA_ESTABLISHED, cause);
	sa->established = sa->last_heard = e->now;
	sa->inherits = sa->entry->inherited;
	if (!sa->last_id)
		sa->last_id = e->next_sa_id;
	init_state_free(e, sa);
	kept_keys_drop_auth(&sa->keys);
	vips_up(e, sa);
	plan_lifetimes(e, sa);
	liveness_arm(e, sa);
	keepalive_arm(e, sa);
	suspect_review(e, sa);
}

void ike_sa_announce(struct ike_engine *e, struct ike_sa *sa, struct ike_sa *old)
{
	sa->announced = true;
	sa_touch(e, sa);
	if (old) {
		old->announced = false;
		sa_touch(e, old);
	}
	ike_log(e, sa, LOG_LEVEL_NOTICE, "IKE_SA #%u %s", sa->id,
		old ? "established by rekey" : "established");
	output_event_ike(e, old ? IKE_EVENT_IKE_REKEYED : IKE_EVENT_IKE_UP, sa, old,
			 IKE_REASON_NONE, NULL);
}

static bool moves_along(const struct task *t)
{
	return t->ops == &create_child_ops || t->ops == &rekey_child_ops ||
	       t->ops == &delete_child_ops || t->ops == &resource_child_ops ||
	       t->ops == &confirm_ops;
}

void ike_sa_move_children(struct ike_engine *e, struct ike_sa *from, struct ike_sa *to)
{
	struct child *c, *next;
	struct task *t, *next_task;

	DL_FOREACH_SAFE (from->children, c, next) {
		DL_DELETE(from->children, c);
		DL_APPEND(to->children, c);
		c->sa = to;
		c->asked_by = 0; /* an id of the other IKE_SA, whose exchanges are through */
	}
	vips_move(from, to);
	sa_touch(e, from);
	sa_touch(e, to);
	to->n_children += from->n_children;
	from->n_children = 0;
	DL_FOREACH_SAFE (from->tasks, t, next_task) {
		if (!moves_along(t))
			continue;
		DL_DELETE(from->tasks, t);
		DL_APPEND(to->tasks, t);
	}
	if (from->running && from->running->ops == &confirm_ops)
		exchange_enqueue(e, to, &confirm_ops, from->running->child, NULL, 0);
	exchange_run(e, to);
}

static bool talks_to_peer(enum ike_sa_state s)
{
	return s == IKE_SA_ESTABLISHED || s == IKE_SA_REKEYING || s == IKE_SA_REKEYED;
}

void ike_sa_delete(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason)
{
	if (sa->state == IKE_SA_DELETING || sa->state == IKE_SA_ENDED)
		return;
	sa_touch(e, sa);
	if (sa->state == IKE_SA_AUTH_SENT) { /* auth.c deletes it with the answer */
		sa->end_reason = reason;
		peers_attempt_dropped(sa);
		return;
	}
	if (!talks_to_peer(sa->state)) {
		ike_sa_end(e, sa, reason, NULL);
		return;
	}
	sa->end_reason = reason;
	timer_cancel(&e->timers, &sa->rekey_timer);
	timer_cancel(&e->timers, &sa->dpd_timer);
	ike_sa_set_state(e, sa, IKE_SA_DELETING, ike_reason_text(reason));
	/* Without memory for it, it ends without a word; not now, our caller works with it. */
	if (!exchange_enqueue(e, sa, &delete_ike_ops, 0, NULL, 0))
		timer_set(&e->timers, &sa->expire_timer, e->now);
}

static void end_tasks(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason,
		      const char *detail)
{
	struct task *t, *next;

	if (sa->running)
		DL_PREPEND(sa->tasks, sa->running);
	sa->running = NULL;
	DL_FOREACH_SAFE (sa->tasks, t, next) {
		DL_DELETE(sa->tasks, t);
		if (t->ops->abandon)
			t->ops->abandon(e, sa, t);
		exchange_done(e, t, false, reason, detail);
		LL_PREPEND(e->dead_tasks, t); /* its handler may be on the stack */
	}
}

static void end_children(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason)
{
	struct child *c, *next;

	DL_FOREACH_SAFE (sa->children, c, next)
		if (!duplicates_hand_over(e, c))
			child_end(e, c, reason, NULL);
}

void ike_sa_end(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason, const char *detail)
{
	if (sa->state == IKE_SA_ENDED)
		return;
	/* First out of the tables and timers: nothing below can find it again. */
	ike_sa_set_state(e, sa, IKE_SA_ENDED, detail ? detail : ike_reason_text(reason));
	sa->end_reason = reason;
	table_remove(&e->sas_by_spi, &by_own_spi, sa);
	DL_DELETE(e->sas, sa);
	e->counters.ike_sas--;
	timers_cancel(e, sa);
	end_tasks(e, sa, reason, detail);
	end_children(e, sa, reason);
	vips_gone(e, sa);
	if (sa->announced) {
		ike_log(e, sa, LOG_LEVEL_NOTICE, "IKE_SA #%u is down: %s%s%s", sa->id,
			ike_reason_text(reason), detail ? ": " : "", detail ? detail : "");
		output_event_ike(e, IKE_EVENT_IKE_DOWN, sa, NULL, reason, detail);
	}
	command_progress(e, sa->tag, true, reason, NULL);
	sa->dead_next = e->dead_sas;
	e->dead_sas = sa;
	duplicates_sa_gone(e, sa);
	reauth_failed(e, sa);
	peers_sa_gone(e, sa, reason, detail);
	suspect_review(e, sa);
	command_sa_gone(e);
}

void ike_sa_free(struct ike_engine *e, struct ike_sa *sa)
{
	timers_cancel(e, sa);
	if (sa->touched)
		DL_DELETE2(e->touched_sas, sa, touched_prev, touched_next);
	init_state_free(e, sa);
	window_free(e, sa);
	half_open_set(e, sa, false);
	who_remove(e, sa);
	kept_id(&sa->local_id, NULL);
	kept_id(&sa->remote_id, NULL);
	free(sa->vips);
	kept_keys_free(sa->keys);
	message_copy_clear(&sa->nonce_peer);
	message_copy_clear(&sa->lowest_nonce);
	message_copy_clear(&sa->crash_token);
	conns_detach(e, sa);
	timer_heap_release(&e->timers, IKE_SA_TIMERS);
	explicit_bzero(sa, sizeof(*sa));
	free(sa);
}

void ike_sa_discard(struct ike_engine *e, struct ike_sa *sa)
{
	struct child *c, *next;
	struct task *t, *next_task;

	if (sa->running)
		task_free(e, sa->running);
	DL_FOREACH_SAFE (sa->tasks, t, next_task)
		task_free(e, t);
	DL_FOREACH_SAFE (sa->children, c, next)
		child_free(e, c);
	ike_sa_free(e, sa);
}

struct ike_sa *ike_sa_by_spi(const struct ike_engine *e, uint64_t own_spi)
{
	return table_find(&e->sas_by_spi, &by_own_spi, &own_spi);
}

bool ike_sa_usable(const struct ike_sa *sa)
{
	return sa->state == IKE_SA_ESTABLISHED || sa->state == IKE_SA_REKEYING;
}

const char *ike_sa_conn_name(const struct ike_sa *sa)
{
	return sa->entry ? sa->entry->name : "";
}

void ike_sa_move(struct ike_engine *e, struct ike_sa *sa, const struct ike_path *path)
{
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT];
	struct child *c;

	if (endpoint_equal(&sa->path.remote, &path->remote) &&
	    endpoint_equal(&sa->path.local, &path->local))
		return;
	ike_log(e, sa, LOG_LEVEL_NOTICE, "peer moved from %s to %s",
		endpoint_format(&sa->path.remote, from), endpoint_format(&path->remote, to));
	sa->path = *path;
	sa_touch(e, sa);
	DL_FOREACH (sa->children, c)
		child_update_path(e, c);
	output_event_ike(e, IKE_EVENT_IKE_MOVED, sa, NULL, IKE_REASON_NONE, NULL);
}
