/* CHILD_SA records: life from child_new to child_free, the one writer of the state,
 * what the data plane has of it, lifetimes. Must not know how it was negotiated. */
#include "ipsecd/ike/aggfrag.h"
#include "ipsecd/ike/command.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/resources.h"

#include <stdio.h>
#include <stdlib.h>

#define DELETE_AGAIN (1 * MONO_S) /* when there was no memory for it */

static void rekey_due(struct ike_engine *e, void *owner)
{
	struct child *c = owner;

	if (c->state == CHILD_INSTALLED)
		exchange_enqueue(e, c->sa, &rekey_child_ops, c->id, NULL, 0);
}

/* The lifetime is over, or a delete is to be tried again. */
static void expired(struct ike_engine *e, void *owner)
{
	struct child *c = owner;

	child_delete(e, c, c->end_reason ? c->end_reason : IKE_REASON_EXPIRED);
}

static void linger_over(struct ike_engine *e, void *owner)
{
	struct child *c = owner;

	child_end(e, c, c->end_reason ? c->end_reason : IKE_REASON_REPLACED, NULL);
}

void child_timers(struct child *c, struct timer *out[CHILD_TIMERS])
{
	out[0] = &c->rekey_timer;
	out[1] = &c->expire_timer;
	out[2] = &c->linger_timer;
}

static void timers_cancel(struct ike_engine *e, struct child *c)
{
	struct timer *all[CHILD_TIMERS];

	child_timers(c, all);
	for (unsigned i = 0; i < CHILD_TIMERS; i++)
		timer_cancel(&e->timers, all[i]);
}

struct child *child_alloc(struct ike_engine *e)
{
	struct child *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (!timer_heap_reserve(&e->timers, CHILD_TIMERS)) {
		free(c);
		return NULL;
	}
	timer_init(&c->rekey_timer, rekey_due, c);
	timer_init(&c->expire_timer, expired, c);
	timer_init(&c->linger_timer, linger_over, c);
	return c;
}

static const struct table_shape by_id = TABLE_SHAPE(struct child, in_ids, id);
static const struct table_shape by_spi_in = TABLE_SHAPE(struct child, in_spis, spi_in);
static const struct table_shape by_spi_out = TABLE_SHAPE(struct child, in_spis_out, spi_out);

static bool link_by_id(struct ike_engine *e, struct ike_sa *sa, struct child *c)
{
	if (!table_add(&e->children, &by_id, c))
		return false;
	c->sa = sa;
	sa->n_children++;
	e->counters.child_sas++;
	sa_touch(e, sa);
	return true;
}

bool child_link(struct ike_engine *e, struct ike_sa *sa, struct child *c)
{
	if (!link_by_id(e, sa, c))
		return false;
	child_set_spi_in(e, c, c->spi_in);
	child_set_spi_out(e, c, c->spi_out);
	return true;
}

void child_unlink(struct ike_engine *e, struct child *c)
{
	if (table_remove(&e->children, &by_id, c))
		e->counters.child_sas--;
	table_remove(&e->children_spi, &by_spi_in, c);
	table_remove(&e->children_spi_out, &by_spi_out, c);
}

/* Of before; NULL: there was none. */
static void share_ts(const struct ts_list **own, const struct ts_list *before,
		     const struct ts_list *config)
{
	if (!*own || !ts_list_equal(*own, config))
		return;
	if (*own != before)
		kept_ts(own, NULL);
	*own = config;
}

static void free_ts(const struct ts_list **own, const struct ts_list *config)
{
	if (*own != config)
		kept_ts(own, NULL);
	*own = NULL;
}

void child_set_config(struct child *c, struct conn_version *version,
		      const struct child_config *config)
{
	const struct child_config *before = c->config;
	struct conn_version *old = c->version;

	share_ts(&c->local_ts, before ? &before->local_ts : NULL, &config->local_ts);
	share_ts(&c->remote_ts, before ? &before->remote_ts : NULL, &config->remote_ts);
	c->config = config;
	c->version = conn_version_ref(version);
	conn_version_unref(old);
	c->traffic = child_config_digest_traffic(config);
	c->keying = child_config_digest_keying(config);
}

struct child *child_new(struct ike_engine *e, struct ike_sa *sa, const struct child_config *config)
{
	struct child *c = child_alloc(e);

	if (!c)
		return NULL;
	c->id = ++e->next_child_id;
	if (!link_by_id(e, sa, c)) {
		child_free(e, c);
		return NULL;
	}
	DL_APPEND(sa->children, c);
	c->unique = ++e->next_child_unique;
	child_set_config(c, sa->version, config);
	c->tunnel = sa->entry->tunnel;
	c->local = sa->path.local;
	c->remote = sa->path.remote;
	return c;
}

void child_set_spi_in(struct ike_engine *e, struct child *c, uint32_t spi)
{
	c->spi_in = spi;
	table_add(&e->children_spi, &by_spi_in, c);
}

void child_set_spi_out(struct ike_engine *e, struct child *c, uint32_t spi)
{
	c->spi_out = spi;
	table_add(&e->children_spi_out, &by_spi_out, c);
}

const char *child_state_name(enum child_state s)
{
	static const char *const names[CHILD_STATES] = {
		"CREATED", "INSTALLED", "REKEYING", "REKEYED", "DELETING", "DELETED", "DESTROYING",
	};

	return names[s];
}

void child_set_state(struct ike_engine *e, struct child *c, enum child_state state,
		     const char *cause)
{
	if (c->state == state)
		return;
	ike_log(e, c->sa, LOG_LEVEL_DEBUG, "CHILD_SA %s #%u %s -> %s: %s", c->config->name,
		c->unique, child_state_name(c->state), child_state_name(state), cause);
	sa_touch(e, c->sa);
	c->state = state;
}

static void plan_lifetimes(struct ike_engine *e, struct child *c)
{
	const struct child_config *config = c->config;

	c->installed = e->now;
	if (config->life_time) {
		c->expires_at = e->now + config->life_time;
		timer_set(&e->timers, &c->expire_timer, c->expires_at);
	}
	if (!config->rekey_time || !c->sa->conn->rekey)
		return;
	c->rekey_at = e->now + config->rekey_time;
	if (config->rand_time < config->rekey_time)
		c->rekey_at -= engine_random_below(e, config->rand_time);
	timer_set(&e->timers, &c->rekey_timer, c->rekey_at);
}

/* Full seconds, at least one: 0 would be no limit. */
static uint32_t life_seconds(const struct child_config *config)
{
	uint64_t s = (config->life_time + MONO_S - 1) / MONO_S;

	return s < UINT32_MAX ? (uint32_t)s : UINT32_MAX;
}

struct child_told child_told(const struct child *c)
{
	const struct child_config *config = c->config;
	struct child_told asked;

	if (c->told)
		return *c->told;
	asked = (struct child_told){
		.replay_window = config->replay_window,
		.life_bytes = config->life_bytes,
		.life_packets = config->life_packets,
		.rekey_bytes = config->rekey_bytes,
		.rekey_packets = config->rekey_packets,
		.life_seconds = life_seconds(config),
		.flags = config->flags,
	};
	if (c->no_tfc)
		asked.flags.tfc_pad = 0;
	asked.flags.aggfrag = aggfrag_agreed(c);
	return asked;
}

void child_remember_told(struct child *c)
{
	const struct child_told told = child_told(c);

	if (!c->told)
		c->told = malloc(sizeof(told));
	if (c->told)
		*c->told = told;
}

static bool told_equal(const struct child_told *a, const struct child_told *b)
{
	return a->replay_window == b->replay_window && a->life_bytes == b->life_bytes &&
	       a->life_packets == b->life_packets && a->rekey_bytes == b->rekey_bytes &&
	       a->rekey_packets == b->rekey_packets && a->life_seconds == b->life_seconds &&
	       child_flags_equal(&a->flags, &b->flags);
}

void child_forget_told(struct child *c)
{
	struct child_told *told = c->told, asked;

	c->told = NULL;
	asked = child_told(c);
	if (told && !told_equal(told, &asked))
		c->told = told;
	else
		free(told);
}

static void describe(const struct child *c, struct child_sa *out)
{
	const struct child_told told = child_told(c);

	*out = (struct child_sa){
		.id = c->id,
		.tunnel = c->tunnel,
		.reqid = c->reqid,
		.spi_in = c->spi_in,
		.spi_out = c->spi_out,
		.encr_id = c->suite.encr->id,
		.encr_key_bits = c->suite.encr->key_bits,
		.integ_id = c->suite.integ ? c->suite.integ->id : INTEG_NONE,
		.esn = c->suite.esn,
		.udp_encap = c->udp_encap,
		.outbound = c->outbound,
		.resource = c->resource,
		.replay_window = told.replay_window,
		.local = c->local,
		.remote = c->remote,
		.life_bytes = told.life_bytes,
		.life_packets = told.life_packets,
		.rekey_bytes = told.rekey_bytes,
		.rekey_packets = told.rekey_packets,
		.life_seconds = told.life_seconds,
		.flags = told.flags,
	};
	ts_list_copy(&out->local_ts, c->local_ts);
	ts_list_copy(&out->remote_ts, c->remote_ts);
}

static void put_install(struct ike_engine *e, const struct child *c, const struct child_keys *in,
			const struct child_keys *out_keys, bool resumed)
{
	struct child_sa out;

	describe(c, &out);
	out.in = *in;
	out.out = *out_keys;
	output_child_install(e, &out, resumed);
	child_sa_cleanse(&out);
}

bool ike_engine_child(const struct ike_engine *e, uint64_t id, struct child_sa *out)
{
	const struct child *c = child_by_id(e, id);

	if (!c || !c->in_plane || !c->keys)
		return false;
	describe(c, out);
	kept_child_keys_get(c->keys, &out->in, &out->out);
	return true;
}

void child_install_again(struct ike_engine *e, struct child *c)
{
	struct child_keys in, out;

	c->resumed = true;
	kept_child_keys_get(c->keys, &in, &out);
	put_install(e, c, &in, &out, true);
	explicit_bzero(&in, sizeof(in));
	explicit_bzero(&out, sizeof(out));
}

bool child_keep(const struct ike_engine *e, struct child *c, const struct child_sa *negotiated)
{
	if (!kept_ts(&c->local_ts, &negotiated->local_ts) ||
	    !kept_ts(&c->remote_ts, &negotiated->remote_ts))
		return false;
	share_ts(&c->local_ts, NULL, &c->config->local_ts);
	share_ts(&c->remote_ts, NULL, &c->config->remote_ts);
	if (!e->publisher)
		return true;
	return kept_child_keys(&c->keys, &negotiated->in, &negotiated->out);
}

void child_install(struct ike_engine *e, struct child *c, const struct child_sa *keys,
		   bool outbound, const char *cause)
{
	c->outbound = outbound;
	put_install(e, c, &keys->in, &keys->out, false);
	if (outbound)
		conns_child_sends(e, c->sa->entry, c->config->name);
	c->in_plane = true;
	plan_lifetimes(e, c);
	child_set_state(e, c, CHILD_INSTALLED, cause);
}

void child_set_outbound(struct ike_engine *e, struct child *c, bool outbound, const char *cause)
{
	if (c->outbound == outbound || !c->in_plane)
		return;
	ike_log(e, c->sa, LOG_LEVEL_DEBUG, "CHILD_SA %s #%u outbound %s: %s", c->config->name,
		c->unique, outbound ? "on" : "off", cause);
	sa_touch(e, c->sa);
	c->outbound = outbound;
	if (outbound)
		conns_child_sends(e, c->sa->entry, c->config->name);
	output_child_update(e, c);
}

void child_skip(struct ike_engine *e, struct child *c, uint64_t delta)
{
	if (c->in_plane && delta)
		output_child_skip(e, c, delta);
}

void child_update_path(struct ike_engine *e, struct child *c)
{
	if (endpoint_equal(&c->local, &c->sa->path.local) &&
	    endpoint_equal(&c->remote, &c->sa->path.remote))
		return;
	sa_touch(e, c->sa);
	c->local = c->sa->path.local;
	c->remote = c->sa->path.remote;
	if (c->in_plane)
		output_child_update(e, c);
}

void child_announce(struct ike_engine *e, struct child *c, struct child *old)
{
	char local[TS_TEXT * 2], remote[TS_TEXT * 2], resource[32] = "";

	if (c->resource)
		snprintf(resource, sizeof(resource), ", for resource %u", c->resource);
	c->announced = true;
	sa_touch(e, c->sa);
	if (old) {
		old->announced = false;
		sa_touch(e, old->sa);
	}
	ike_log(e, c->sa, LOG_LEVEL_NOTICE,
		"CHILD_SA %s #%u %s, SPIs %08x in %08x out, %s === %s%s%s%s", c->config->name,
		c->unique, old ? "rekeyed" : "established", c->spi_in, c->spi_out,
		ts_list_format(c->local_ts, local, sizeof(local)),
		ts_list_format(c->remote_ts, remote, sizeof(remote)),
		c->udp_encap ? ", ESP in UDP" : "", c->aggfrag ? ", IP-TFS" : "", resource);
	output_event_child(e, old ? IKE_EVENT_CHILD_REKEYED : IKE_EVENT_CHILD_UP, c, old,
			   IKE_REASON_NONE, NULL);
	if (!old)
		peers_child_up(e, c);
	duplicates_child_up(e, c);
	resources_review(e, c);
}

void child_delete(struct ike_engine *e, struct child *c, enum ike_reason reason)
{
	if (c->state == CHILD_DELETING || c->state == CHILD_ENDED)
		return;
	/* The IKE_SA's own delete takes its CHILD_SAs along (RFC 7296 1.4.1). */
	if (c->sa->state == IKE_SA_DELETING)
		return;
	sa_touch(e, c->sa);
	c->end_reason = reason;
	if (c->state == CHILD_DELETED || !ike_sa_usable(c->sa)) {
		child_end(e, c, reason, NULL);
		return;
	}
	timer_cancel(&e->timers, &c->rekey_timer);
	exchange_drop_child(e, c->sa, c->id);
	if (!exchange_enqueue(e, c->sa, &delete_child_ops, c->id, NULL, 0)) {
		timer_set(&e->timers, &c->expire_timer, e->now + DELETE_AGAIN);
		return;
	}
	/* Queued is as good as sent: a rekey that comes now is refused (RFC 7296 2.25.1). */
	child_set_state(e, c, CHILD_DELETING, ike_reason_text(reason));
}

void child_linger(struct ike_engine *e, struct child *c)
{
	sa_touch(e, c->sa);
	child_set_state(e, c, CHILD_DELETED, "replaced; late packets are still received");
	timer_cancel(&e->timers, &c->rekey_timer);
	timer_cancel(&e->timers, &c->expire_timer);
	timer_set(&e->timers, &c->linger_timer, e->now + e->settings.rekeyed_linger);
}

/* People are told once. */
static void say_down(struct ike_engine *e, struct child *c, enum ike_reason reason,
		     const char *detail)
{
	ike_log(e, c->sa, LOG_LEVEL_NOTICE, "CHILD_SA %s #%u is down: %s%s%s", c->config->name,
		c->unique, ike_reason_text(reason), detail ? ": " : "", detail ? detail : "");
	output_event_child(e, IKE_EVENT_CHILD_DOWN, c, NULL, reason, detail);
}

void child_pass_on(struct ike_engine *e, struct child *c, const struct child *next)
{
	child_set_outbound(e, c, false, "another IKE_SA's does its work");
	if (c->announced)
		say_down(e, c, IKE_REASON_REPLACED, NULL);
	c->announced = false;
	c->replaced_by = next->id;
	c->end_reason = IKE_REASON_REPLACED;
	command_progress(e, c->tag, true, IKE_REASON_REPLACED, NULL);
	c->tag = 0;
	DL_DELETE(c->sa->children, c);
	c->sa->n_children--;
	sa_touch(e, c->sa);
	c->sa = next->sa;
	sa_touch(e, c->sa);
	DL_APPEND(c->sa->children, c);
	c->sa->n_children++;
	if (c->state != CHILD_DELETED)
		child_linger(e, c);
}

void child_end(struct ike_engine *e, struct child *c, enum ike_reason reason, const char *detail)
{
	if (c->state == CHILD_ENDED)
		return;
	duplicates_child_stops(e, c);
	child_set_state(e, c, CHILD_ENDED, detail ? detail : ike_reason_text(reason));
	child_unlink(e, c);
	DL_DELETE(c->sa->children, c);
	c->sa->n_children--;
	timers_cancel(e, c);
	if (c->in_plane)
		output_child_remove(e, c);
	c->in_plane = false;
	if (c->announced)
		say_down(e, c, reason, detail);
	exchange_drop_child(e, c->sa, c->id);
	command_progress(e, c->tag, true, reason, NULL);
	c->dead_next = e->dead_children;
	e->dead_children = c;
	if (c->announced)
		peers_child_gone(e, c, reason);
}

void child_free(struct ike_engine *e, struct child *c)
{
	timers_cancel(e, c);
	timer_heap_release(&e->timers, CHILD_TIMERS);
	kept_child_keys_free(c->keys);
	free(c->told);
	free_ts(&c->local_ts, c->config ? &c->config->local_ts : NULL);
	free_ts(&c->remote_ts, c->config ? &c->config->remote_ts : NULL);
	message_copy_clear(&c->lowest_nonce);
	conn_version_unref(c->version);
	free(c->config_name);
	free(c);
}

void child_forget(struct ike_engine *e, struct child *c)
{
	child_unlink(e, c);
	DL_DELETE(c->sa->children, c);
	c->sa->n_children--;
	child_free(e, c);
}

struct child *child_by_id(const struct ike_engine *e, uint64_t id)
{
	return table_find(&e->children, &by_id, &id);
}

struct child *child_by_spi_in(const struct ike_engine *e, uint32_t spi)
{
	return table_find(&e->children_spi, &by_spi_in, &spi);
}

struct child *child_sending_on(const struct ike_engine *e, uint32_t spi, const struct child *before)
{
	return before ? table_same(&by_spi_out, before)
		      : table_find(&e->children_spi_out, &by_spi_out, &spi);
}

struct child *child_by_spi_out(const struct ike_sa *sa, uint32_t spi)
{
	struct child *c;

	DL_FOREACH (sa->children, c)
		if (c->spi_out == spi)
			return c;
	return NULL;
}

bool child_usable(const struct child *c)
{
	return c->state == CHILD_INSTALLED || c->state == CHILD_REKEYING;
}

struct child *child_usable_named(const struct ike_sa *sa, const char *name)
{
	struct child *c;

	DL_FOREACH (sa->children, c)
		if (child_usable(c) && !c->redundant && !c->resource &&
		    strcmp(c->config->name, name) == 0)
			return c;
	return NULL;
}
