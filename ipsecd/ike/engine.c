/* The engine's outside: its life, and the inputs other than datagrams. Each input ends
 * with the task queues that it marked, so that requests never overtake responses. */
#include "ipsecd/ike/command.h"
#include "ipsecd/ike/create_child.h"
#include "ipsecd/ike/dispatch.h"
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/state.h"
#include "ipsecd/ike/vips.h"

#include <stdlib.h>

#define DROP_LOGS_PER_SECOND	10
#define BARE_ANSWERS_PER_SECOND 20
#define LOOSE_LOOKS_PER_SECOND	2000

/* ---- services for the rest of ike/ ---- */

void ike_log(const struct ike_engine *e, const struct ike_sa *sa, enum log_level level,
	     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_to_v(e->env.log, level, "ike", sa ? ike_sa_conn_name(sa) : "", format, args);
	va_end(args);
}

void engine_random(struct ike_engine *e, void *dst, size_t n)
{
	e->env.random(e->env.random_ctx, dst, n);
}

mono_time engine_random_below(struct ike_engine *e, mono_time limit)
{
	uint64_t r;

	if (!limit)
		return 0;
	engine_random(e, &r, sizeof(r));
	return r % limit;
}

uint64_t engine_new_ike_spi(struct ike_engine *e)
{
	uint64_t spi;

	do
		engine_random(e, &spi, sizeof(spi));
	while (!spi || ike_sa_by_spi(e, spi));
	return spi;
}

/* RFC 4303 2.1: 0 is local use and 1..255 are reserved. */
uint32_t engine_new_child_spi(struct ike_engine *e)
{
	uint32_t spi;

	do
		engine_random(e, &spi, sizeof(spi));
	while (spi < 256 || child_by_spi_in(e, spi));
	return spi;
}

uint32_t engine_new_resource_spi(struct ike_engine *e, uint32_t resource)
{
	uint32_t spi;

	do
		spi = (engine_new_child_spi(e) & ~0xffu) | ((resource - 1) & 0xff);
	while (child_by_spi_in(e, spi));
	return spi;
}

uint32_t engine_successor_spi(const struct ike_engine *e, uint32_t spi, const struct child *old)
{
	uint32_t like = (spi & ~0xffu) | (old->spi_in & 0xff);

	return like < 256 || child_by_spi_in(e, like) ? spi : like;
}

/* ---- life ---- */

static void set_default(mono_time *v, mono_time value)
{
	if (!*v)
		*v = value;
}

static void settings_defaults(struct ike_settings *s)
{
	if (!s->cookie_threshold)
		s->cookie_threshold = 32;
	if (!s->half_open_max)
		s->half_open_max = 4096;
	set_default(&s->half_open_timeout, 30 * MONO_S);
	set_default(&s->keepalive_interval, 20 * MONO_S);
	set_default(&s->retry_min, 1 * MONO_S);
	set_default(&s->retry_max, 60 * MONO_S);
	set_default(&s->rekeyed_linger, 5 * MONO_S);
	set_default(&s->take_over_wait, 3 * MONO_S);
	if (s->retry_max < s->retry_min)
		s->retry_max = s->retry_min;
}

struct ike_engine *ike_engine_new(const struct ike_env *env, const struct ike_settings *settings)
{
	struct ike_engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->scratch = malloc(WIRE_MESSAGE_MAX);
	if (!e->scratch) {
		free(e);
		return NULL;
	}
	e->env = *env;
	if (settings)
		e->settings = *settings;
	settings_defaults(&e->settings);
	if (!pairs_init(e) || !publisher_new(e)) {
		timer_heap_free(&e->timers);
		free(e->scratch);
		free(e);
		return NULL;
	}
	e->drop_log.burst = DROP_LOGS_PER_SECOND;
	e->refusal_log.burst = DROP_LOGS_PER_SECOND;
	e->answer_limit.burst = BARE_ANSWERS_PER_SECOND;
	e->loose_looks.burst = LOOSE_LOOKS_PER_SECOND;
	return e;
}

/* all: those as well whose end is not published yet. */
static void free_dead(struct ike_engine *e, bool all)
{
	struct ike_sa *sa, *next_sa, *unpublished = NULL;
	struct child *c, *next;
	struct task *t, *next_task;

	LL_FOREACH_SAFE (e->dead_tasks, t, next_task)
		task_free(e, t);
	e->dead_tasks = NULL;
	for (c = e->dead_children; c; c = next) {
		next = c->dead_next;
		child_free(e, c);
	}
	e->dead_children = NULL;
	for (sa = e->dead_sas; sa; sa = next_sa) {
		next_sa = sa->dead_next;
		if (sa->touched && !all) {
			sa->dead_next = unpublished;
			unpublished = sa;
		} else {
			ike_sa_free(e, sa);
		}
	}
	e->dead_sas = unpublished;
	conns_reap(e, all);
}

void ike_engine_free(struct ike_engine *e)
{
	struct ike_sa *sa, *next;

	if (!e)
		return;
	outputs_free(e);
	free_dead(e, true);
	table_free(&e->sas_by_spi);
	table_free(&e->children);
	table_free(&e->children_spi);
	table_free(&e->children_spi_out);
	DL_FOREACH_SAFE (e->sas, sa, next)
		ike_sa_discard(e, sa);
	conns_free(e);
	state_free_marks(e);
	publisher_free(e);
	commands_free(e);
	pairs_free(e);
	who_free(e);
	timer_heap_free(&e->timers);
	explicit_bzero(e->scratch, WIRE_MESSAGE_MAX);
	free(e->scratch);
	explicit_bzero(e, sizeof(*e));
	free(e);
}

/* ---- inputs ---- */

/* What ended during earlier inputs can go once no queued output points to it. */
void engine_input_begin(struct ike_engine *e, mono_time now)
{
	if (now > e->now)
		e->now = now;
	outputs_release_current(e);
	if (!e->outputs)
		free_dead(e, false);
}

void engine_input_end(struct ike_engine *e)
{
	exchange_run_marked(e);
}

void ike_engine_datagram(struct ike_engine *e, const struct ike_path *path, struct span datagram,
			 mono_time now)
{
	engine_input_begin(e, now);
	dispatch_datagram(e, path, datagram);
	engine_input_end(e);
}

void ike_engine_expire(struct ike_engine *e, mono_time now)
{
	struct timer *t;

	engine_input_begin(e, now);
	while ((t = timer_first(&e->timers)) && t->at <= e->now) {
		timer_cancel(&e->timers, t);
		t->fire(e, timer_owner(t));
	}
	engine_input_end(e);
}

bool ike_engine_command(struct ike_engine *e, const struct ike_command *command, const char **error,
			mono_time now)
{
	const char *ignored;
	bool ok;

	engine_input_begin(e, now);
	ok = command_run(e, command, error ? error : &ignored);
	engine_input_end(e);
	return ok;
}

static void install_failed(struct ike_engine *e, struct child *c)
{
	ike_log(e, c->sa, LOG_LEVEL_ERROR, "CHILD_SA %s #%u: the data plane refused the install",
		c->config->name, c->unique);
	sa_touch(e, c->sa);
	c->in_plane = false;
	output_event_failed(e, NULL, c->sa, IKE_REASON_INSTALL_FAILED, c->config->name);
}

static void lost(struct ike_engine *e, struct child *c)
{
	peers_child_unusable(e, c);
	child_delete(e, c, IKE_REASON_EXPIRED);
}

static void child_event(struct ike_engine *e, struct child *c, enum ike_child_event event,
			const struct ike_path *path)
{
	struct ike_path moved = c->sa->path;

	sa_touch(e, c->sa);
	switch (event) {
	case IKE_CHILD_INSTALL_FAILED:
		install_failed(e, c);
		if (c->resumed) /* the peer has had it for long */
			lost(e, c);
		else
			create_child_install_failed(e, c);
		break;
	case IKE_CHILD_ALIVE:
		c->sa->last_heard = e->now;
		suspect_heard(e, c->sa);
		break;
	case IKE_CHILD_USED_NEW:
		c->sa->last_heard = e->now;
		duplicates_take_use(e, c, "the peer sends on it");
		break;
	case IKE_CHILD_SOFT_EXPIRE:
		if (c->state == CHILD_INSTALLED && c->sa->conn->rekey)
			exchange_enqueue(e, c->sa, &rekey_child_ops, c->id, NULL, 0);
		break;
	case IKE_CHILD_HARD_EXPIRE:
		lost(e, c);
		break;
	case IKE_CHILD_PEER_MOVED:
		/* RFC 7296 2.23: only a peer behind a NAT moves, and not under our own. */
		if (!path || !c->sa->nat_remote || c->sa->nat_local || !ike_sa_usable(c->sa))
			break;
		moved.remote = path->remote;
		ike_sa_move(e, c->sa, &moved);
		break;
	case IKE_CHILD_ACQUIRE:
		break;
	}
}

void ike_engine_child_event(struct ike_engine *e, uint64_t id, enum ike_child_event event,
			    const struct ike_path *path, mono_time now)
{
	struct child *c;

	engine_input_begin(e, now);
	if (event == IKE_CHILD_ACQUIRE) {
		peers_acquire(e, (uint32_t)id);
	} else {
		c = child_by_id(e, id);
		if (c)
			child_event(e, c, event, path);
	}
	engine_input_end(e);
}

void ike_engine_answer(struct ike_engine *e, uint64_t query, const struct ike_answer *answer,
		       mono_time now)
{
	engine_input_begin(e, now);
	peers_answer(e, query, answer);
	engine_input_end(e);
}

void ike_engine_lease(struct ike_engine *e, uint64_t query, const struct ike_lease *lease,
		      mono_time now)
{
	engine_input_begin(e, now);
	vips_lease(e, query, lease);
	engine_input_end(e);
}

void ike_engine_hint(struct ike_engine *e, const struct ike_hint *hint, mono_time now)
{
	engine_input_begin(e, now);
	suspect_hint(e, hint);
	engine_input_end(e);
}

void ike_engine_esp_unknown(struct ike_engine *e, const struct ike_path *path, uint32_t spi,
			    mono_time now)
{
	engine_input_begin(e, now);
	quick_crash_esp_unknown(e, path, spi);
	engine_input_end(e);
}

void ike_engine_loading(struct ike_engine *e, bool on)
{
	e->loading = on;
}

void ike_engine_early_detection(struct ike_engine *e, bool on)
{
	e->no_hints = !on;
}

mono_time ike_engine_deadline(const struct ike_engine *e)
{
	const struct timer *t = timer_first(&e->timers);

	return t ? t->at : MONO_NEVER;
}
