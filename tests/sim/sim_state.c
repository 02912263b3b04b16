/* Engines that are killed and go on as others: a node's records as a shell would keep them, a
 * complete export to compare them with, and two ways to use them: one restart behind every input,
 * which nobody may notice, and kill -9 at any output. */
#include "tests/sim/sim_parts.h"
#include "ipsecd/ike/command.h"
#include "ipsecd/ike/state.h"

#include <stdlib.h>

struct sim_record {
	UT_hash_handle hh;
	struct {
		uint64_t kind, id;
	} key;
	size_t len;
	uint8_t *data;
};

/* In restored.c, where all tests of a program are to be so. */
extern const bool sim_restored_program __attribute__((weak));

static int wanted = -1;
bool sim_replacing;

void sim_restore_always(bool on)
{
	wanted = on;
}

bool sim_restores(void)
{
	return wanted < 0 ? &sim_restored_program && sim_restored_program : wanted > 0;
}

unsigned sim_stride(void)
{
#ifdef __SANITIZE_ADDRESS__
	return sim_restores() ? 5 : 1;
#else
	return 1;
#endif
}

/* ---- records ---- */

static void remove_record(struct sim_record **table, struct sim_record *r)
{
	HASH_DELETE(hh, *table, r);
	free(r->data);
	free(r);
}

static void free_table(struct sim_record **table)
{
	struct sim_record *r, *next;

	HASH_ITER (hh, *table, r, next)
		remove_record(table, r);
}

static void apply(struct sim_record **table, const struct ike_record *from)
{
	struct sim_record *r, like;

	memset(&like, 0, sizeof(like));
	like.key.kind = from->kind;
	like.key.id = from->id;
	HASH_FIND(hh, *table, &like.key, sizeof(like.key), r);
	if (r)
		remove_record(table, r);
	if (!from->data.len)
		return;
	r = malloc(sizeof(*r));
	like.data = malloc(from->data.len);
	if (!r || !like.data)
		abort();
	*r = like;
	r->len = from->data.len;
	memcpy(r->data, from->data.ptr, r->len);
	HASH_ADD(hh, *table, key, sizeof(r->key), r);
}

static bool kept(const struct sim_node *n, const struct ike_record *r)
{
	struct sim_record *there, like;

	memset(&like, 0, sizeof(like));
	like.key.kind = r->kind;
	like.key.id = r->id;
	HASH_FIND(hh, n->records, &like.key, sizeof(like.key), there);
	return there != NULL;
}

/* There was no memory for it: the engine says so, if it can. */
static bool keeps_back(struct sim_node *n, const struct ike_record *r)
{
	uint8_t version[2];

	if (r->kind != IKE_RECORD_SA || !r->data.len || !(n->lags || n->lags_silently))
		return false;
	if (n->lags_silently && !kept(n, r)) /* that would be an SA that nobody ever knew */
		return false;
	be16_set(version, STATE_VERSION);
	if (n->lags)
		apply(&n->records, &(struct ike_record){.kind = IKE_RECORD_BEHIND,
							.id = r->id,
							.data = span_of(version, sizeof(version))});
	return true;
}

static void publish_into(struct sim_node *n, struct sim_record **table)
{
	struct ike_record r;

	while (ike_engine_publish(n->engine, &r))
		if (!keeps_back(n, &r))
			apply(table, &r);
}

void sim_publish(struct sim_node *n)
{
	publish_into(n, &n->records);
}

void sim_records_free(struct sim_node *n)
{
	free_table(&n->records);
}

static size_t first_difference(const struct sim_record *a, const struct sim_record *b)
{
	size_t i = 0;

	while (i < a->len && i < b->len && a->data[i] == b->data[i])
		i++;
	return i;
}

/* Nothing changed that was not published. */
static void check_export(struct sim_node *n, const char *when)
{
	struct sim_record *all = NULL, *a, *b;

	sim_publish(n);
	ike_engine_publish_all(n->engine);
	publish_into(n, &all);
	if (HASH_CNT(hh, all) != HASH_CNT(hh, n->records))
		sim_fail(n->sim, "node%u: %s there are %u records, the engine has %u", n->index,
			 when, HASH_CNT(hh, n->records), HASH_CNT(hh, all));
	for (a = all; a; a = a->hh.next) {
		HASH_FIND(hh, n->records, &a->key, sizeof(a->key), b);
		if (!b || !span_equal(span_of(a->data, a->len), span_of(b->data, b->len)))
			sim_fail(n->sim,
				 "node%u: %s record %llu/%llu is not the engine's, byte %zu",
				 n->index, when, (unsigned long long)a->key.kind,
				 (unsigned long long)a->key.id, b ? first_difference(a, b) : 0);
	}
	free_table(&all);
}

/* ---- another engine ---- */

static void load_secret(struct sim_node *n, const struct secret *s)
{
	struct ike_command c = {.kind = IKE_COMMAND_LOAD_SECRET,
				.secret = secret_new(s->unique, s->kind, span_of(s->data, s->len))};

	c.secret->held = s->held;
	for (unsigned i = 0; i < s->n_owners; i++)
		secret_add_owner(c.secret, &s->owners[i]);
	ike_engine_command(n->engine, &c, NULL, n->sim->now);
}

void sim_load_as(struct sim_node *n, const struct ike_engine *old)
{
	const struct conn_entry *entry;
	const struct secret *s;

	for (unsigned i = 0; (s = ike_engine_secret(old, i)); i++)
		load_secret(n, s);
	DL_FOREACH (old->conns, entry) {
		const struct conn *conn = entry->version->conn;
		struct ike_command c = {.kind = IKE_COMMAND_LOAD_CONN,
					.conn = n->sim->reload
							? n->sim->reload(n->sim, n->index, conn)
							: conn_copy(conn),
					.tunnel = entry->tunnel,
					.down = entry->device_down,
					.restoring = true};

		if (c.conn)
			ike_engine_command(n->engine, &c, NULL, n->sim->now);
	}
	ike_engine_early_detection(n->engine, !old->no_hints);
	ike_engine_loading(n->engine, old->loading);
}

void sim_each_record(const struct sim_node *n,
		     void (*cb)(void *ctx, const struct ike_record *record), void *ctx)
{
	const struct sim_record *r;

	for (r = n->records; r; r = r->hh.next) {
		struct ike_record record = {.kind = (uint32_t)r->key.kind,
					    .id = r->key.id,
					    .data = span_of(r->data, r->len)};

		cb(ctx, &record);
	}
}

size_t sim_record_as(struct ike_engine *e, uint16_t version, uint8_t *memory, size_t size)
{
	struct ike_sa *sa = e->sas;
	struct state_sa x = {.conn = sa->entry->name, .digest_ike = sa->version->digest_ike};
	struct buf b = buf_over(memory, size);
	struct codec c = codec_writer(&b);

	codec_u16(&c, &version);
	c.version = version;
	state_sa_fields(&c, e, sa, &x);
	return b.overflow ? 0 : b.len;
}

size_t sim_conn_record_as(struct ike_engine *e, uint16_t version, uint8_t *memory, size_t size)
{
	struct buf b = buf_over(memory, size);
	struct codec c = codec_writer(&b);

	codec_u16(&c, &version);
	c.version = version;
	state_entry_name(&c, &e->conns->name);
	state_entry_fields(&c, e->conns);
	return b.overflow ? 0 : b.len;
}

static void restore(struct sim_node *n)
{
	struct sim_record *r, *next;
	char why[160];

	HASH_ITER (hh, n->records, r, next) {
		struct ike_record record = {.kind = (uint32_t)r->key.kind,
					    .id = r->key.id,
					    .data = span_of(r->data, r->len)};

		if (ike_engine_restore(n->engine, &record, why, sizeof(why)))
			continue;
		n->refused++;
		if (!n->sim->reload && !n->refuses_lost)
			sim_fail(n->sim, "node%u: record %llu/%llu is refused: %s", n->index,
				 (unsigned long long)r->key.kind, (unsigned long long)r->key.id,
				 why);
	}
}

static void resume(struct sim_node *n)
{
	n->resuming = true;
	ike_engine_resume(n->engine, n->sim->now);
	sim_drain(n->sim, n->index);
	sim_plane_settle(n);
	n->resuming = false;
}

/* ---- behind every input ---- */

static void carry_tasks(const struct ike_sa *old, struct ike_sa *sa)
{
	struct task *from = old->tasks, *to = sa->tasks;

	if (old->running && sa->running)
		sa->running->tag = old->running->tag;
	for (; from && to; from = from->next, to = to->next)
		to->tag = from->tag;
}

static void carry_sa(const struct ike_engine *old, struct ike_sa *sa)
{
	const struct ike_sa *from = ike_sa_by_spi(old, sa->own_spi);
	struct child *c;

	if (!from)
		return;
	sa->tag = from->tag;
	sa->sync.may_ask = from->sync.may_ask;
	carry_tasks(from, sa);
	DL_FOREACH (sa->children, c)
		c->tag = child_by_id(old, c->id) ? child_by_id(old, c->id)->tag : 0;
}

static void carry_waiters(const struct ike_engine *old, struct conn_entry *entry)
{
	const struct conn_entry *before = conns_named(old, entry->name);
	struct waiter *from = before->waiters, *to = entry->waiters;

	for (; from && to; from = from->next, to = to->next)
		to->tag = from->tag;
}

/* Clients and what only counts: with the process they would be gone, and here they stay so that
 * tests can ask for them. */
static void carry(struct ike_engine *old, struct ike_engine *e)
{
	struct conn_entry *entry;
	struct ike_sa *sa;

	DL_FOREACH (e->sas, sa)
		carry_sa(old, sa);
	DL_FOREACH (e->conns, entry)
		carry_waiters(old, entry);
	e->counters = old->counters;
	e->drop_log = old->drop_log;
	e->refusal_log = old->refusal_log;
	e->answer_limit = old->answer_limit;
	e->crash = old->crash;
	e->shutdown_tag = old->shutdown_tag;
	e->shutdown_told = old->shutdown_told;
	e->env = old->env;
	e->waits = old->waits;
	old->waits = NULL;
}

static void check_gauges(struct sim_node *n, const struct ike_engine *old)
{
	const struct ike_counters *a = &old->counters, *b = &n->engine->counters;

	if (a->ike_sas != b->ike_sas || a->child_sas != b->child_sas ||
	    a->half_open != b->half_open ||
	    memcmp(old->half_open_from, n->engine->half_open_from, sizeof(old->half_open_from)) !=
		    0)
		sim_fail(n->sim, "node%u: %u IKE_SAs, %u half open, %u CHILD_SAs become %u, %u, %u",
			 n->index, a->ike_sas, a->half_open, a->child_sas, b->ike_sas, b->half_open,
			 b->child_sas);
}

/* In lists, the first one often counts. */
static void check_order(struct sim_node *n, const struct ike_engine *old)
{
	const struct ike_sa *a = old->sas, *b = n->engine->sas;

	for (; a && b && a->own_spi == b->own_spi; a = a->next)
		b = b->next;
	if (a || b)
		sim_fail(n->sim, "node%u: IKE_SAs in another order", n->index);
}

static void replace(struct sim_node *n)
{
	struct ike_engine *old = n->engine;

	sim_replacing = true;
	sim_start_engine(n);
	sim_load_as(n, old);
	restore(n);
	check_gauges(n, old);
	carry(old, n->engine);
	resume(n);
	check_order(n, old);
	n->engine->counters = old->counters;
	ike_engine_free(old);
	check_export(n, "behind a restart");
	sim_replacing = false;
}

/* One with very many SAs not behind every single input. */
static bool is_turn(struct sim_node *n)
{
	unsigned records = HASH_CNT(hh, n->records);

	return ++n->inputs % (1 + records * records / 4096) == 0;
}

void sim_input_over(struct sim_node *n)
{
	if (!n->sim->restores || n->resuming || n->sim->violation[0] || !is_turn(n))
		return;
	check_export(n, "behind an input");
	if (!n->sim->violation[0])
		replace(n);
}

static bool vips_repeated(const struct sim_node *n, const struct ike_output *o)
{
	unsigned tunnel = o->tunnel % SIM_TUNNELS_MAX;

	return o->resumed && o->n_vips == n->n_vips[tunnel] &&
	       memcmp(o->vips, n->vips[tunnel], o->n_vips * sizeof(o->vips[0])) == 0;
}

bool sim_repeated(struct sim_node *n, const struct ike_output *o)
{
	if (!n->resuming || !n->sim->restores)
		return false;
	switch (o->kind) {
	case IKE_OUTPUT_SEND:
		sim_check_repeated(n, o->datagram);
		return true;
	case IKE_OUTPUT_CHILD_INSTALL:
		if (!o->resumed)
			break;
		sim_plane_resume(n, &o->child);
		return true;
	case IKE_OUTPUT_VIPS:
		if (vips_repeated(n, o))
			return true;
		break;
	case IKE_OUTPUT_QUERY_RESOLVE:
		n->asked = o->query;
		return true;
	case IKE_OUTPUT_QUERY_LEASE:
		return true;
	default:
		break;
	}
	sim_fail(n->sim, "node%u: a restart is noticed: output %d", n->index, (int)o->kind);
	return false;
}

/* ---- kill -9 ---- */

void sim_kill(struct sim *s, unsigned node, unsigned steps, mono_time away)
{
	struct sim_node *n = &s->nodes[node];

	if (n->back_at)
		return;
	n->die_after = steps + 1;
	n->die_away = away;
}

bool sim_lives(const struct sim_node *n)
{
	return !n->back_at;
}

bool sim_dies(struct sim_node *n)
{
	struct ike_engine *old = n->engine;

	if (!n->die_after || --n->die_after)
		return false;
	n->deaths++;
	n->back_at = n->sim->now + n->die_away;
	sim_start_engine(n);
	sim_load_as(n, old);
	ike_engine_free(old);
	return true;
}

void sim_revive(struct sim_node *n)
{
	if (!n->back_at || n->back_at > n->sim->now)
		return;
	n->back_at = 0;
	restore(n);
	resume(n);
}
