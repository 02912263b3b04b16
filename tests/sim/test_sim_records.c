/* Records of a former process: damaged ones, such of conns that are configured otherwise now, a
 * data plane that lost something meanwhile, what they cost. */
#include "tests/sim/sim_test.h"
#include "tests/sim/sim_parts.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/state.h"

#include <stdlib.h>
#include <time.h>

static const struct ike_settings published = {.publish = true};

#define AWAY (100 * MONO_MS)

static struct sim *pair_up(uint64_t seed)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, &published);

	sim_pair(s, 1);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	return s;
}

/* At the next thing that it does. */
static void kill_node(struct sim *s, unsigned node, mono_time away)
{
	sim_kill(s, node, 0, away);
	sim_drain(s, node);
	assert_false(sim_lives(&s->nodes[node]));
}

/* ---- configured otherwise ---- */

static struct conn *gone(struct sim *s, unsigned node, const struct conn *old)
{
	(void)s;
	(void)node;
	(void)old;
	return NULL;
}

static struct conn *other_encap(struct sim *s, unsigned node, const struct conn *old)
{
	struct conn *c = conn_copy(old);

	(void)s;
	(void)node;
	c->encap = true;
	return c;
}

static struct conn *other_traffic(struct sim *s, unsigned node, const struct conn *old)
{
	struct conn *c = conn_copy(old);

	(void)s;
	(void)node;
	c->children[0].local_ts.n = 2;
	assert_true(ts_parse("192.168.9.0/24", &c->children[0].local_ts.ts[1]));
	return c;
}

static struct conn *other_keying(struct sim *s, unsigned node, const struct conn *old)
{
	struct conn *c = conn_copy(old);

	(void)s;
	(void)node;
	c->children[0].replay_window = 128;
	return c;
}

static struct conn *other_policy(struct sim *s, unsigned node, const struct conn *old)
{
	struct conn *c = conn_copy(old);

	(void)s;
	(void)node;
	c->dpd_delay = 3 * MONO_S;
	return c;
}

static struct conn *one_more_child(struct sim *s, unsigned node, const struct conn *old)
{
	struct conn *c = conn_copy(old);
	struct child_config *more = conn_add_child(c, "more");

	(void)s;
	more->start_action = ACTION_START;
	more->local_ts.n = more->remote_ts.n = 1;
	assert_true(ts_parse(node ? "10.9.1.0/24" : "10.9.0.0/24", &more->local_ts.ts[0]));
	assert_true(ts_parse(node ? "10.9.0.0/24" : "10.9.1.0/24", &more->remote_ts.ts[0]));
	return c;
}

static struct sim *back_with(uint64_t seed, struct conn *(*reload)(struct sim *s, unsigned node,
								   const struct conn *old))
{
	struct sim *s = pair_up(seed);

	s->reload = reload;
	kill_node(s, 0, AWAY);
	sim_run(s, 20 * MONO_S);
	assert_holds(s);
	return s;
}

/* Its SAs are ended politely: the peer knows. */
static void test_conn_is_gone(void **state)
{
	struct sim *s = back_with(1, gone);

	(void)state;
	assert_int_equal(sim_look(s, 0, NULL).ike, 0);
	assert_int_equal(sim_look(s, 1, NULL).ike, 0);
	assert_null(s->nodes[0].plane);
	assert_null(s->nodes[1].plane);
	assert_int_equal(s->nodes[1].last_reason, IKE_REASON_PEER_DELETED);
	assert_int_equal(s->nodes[0].refused, 1); /* the conn's own record */
	sim_free(s);
}

/* Another conn under the same name: as after a reload, the IKE_SA is made anew. */
static void test_conn_differs(void **state)
{
	struct sim *s = back_with(2, other_encap);

	(void)state;
	assert_agreed(s, 1);
	assert_true(sim_newest_child(s, 0)->sa.udp_encap);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 1);
	sim_free(s);
}

static void test_child_of_other_traffic(void **state)
{
	struct sim *s = back_with(3, other_traffic);

	(void)state;
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 0);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_DOWN], 1);
	sim_free(s);
}

/* A rekey brings it in force. */
static void test_child_of_other_keying(void **state)
{
	struct sim *s = back_with(4, other_keying);

	(void)state;
	assert_agreed(s, 1);
	assert_int_equal(sim_newest_child(s, 0)->sa.replay_window, 128);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_DOWN], 0);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_REKEYED], 1);
	sim_free(s);
}

/* A reload, and nobody is there any more before its rekey: the plane has what it was told. */
static void test_other_keying_and_killed(void **state)
{
	struct sim *s = pair_up(7);
	struct child_sa now;

	(void)state;
	sim_load(s, 0, other_keying(s, 0, ike_engine_conn(s->nodes[0].engine, 0)), 1);
	kill_node(s, 0, MONO_MS);
	sim_run(s, 2 * MONO_MS);
	assert_true(ike_engine_child(s->nodes[0].engine, sim_newest_child(s, 0)->sa.id, &now));
	assert_int_equal(now.replay_window, sim_newest_child(s, 0)->sa.replay_window);
	child_sa_cleanse(&now);
	sim_run(s, 20 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(sim_newest_child(s, 0)->sa.replay_window, 128);
	sim_free(s);
}

static void test_conn_of_other_policy(void **state)
{
	struct sim *s = back_with(5, other_policy);

	(void)state;
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].installs, 1);
	assert_true(s->nodes[0].requests[3] >= 4); /* asked every 3 s */
	sim_free(s);
}

/* Where the SA was not checked at all, or seldom, the delay of the conn holds behind the restart.
 */
static void test_conn_of_other_liveness(void **state)
{
	static const mono_time before[] = {0, 1800 * MONO_S};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = pair_up(8 + i);
		struct conn *c = conn_copy(ike_engine_conn(s->nodes[0].engine, 0));
		unsigned asked;

		c->dpd_delay = before[i];
		sim_load(s, 0, c, 1);
		sim_run(s, 20 * MONO_S);
		asked = s->nodes[0].requests[3];
		s->reload = other_policy;
		kill_node(s, 0, AWAY);
		sim_run(s, 20 * MONO_S);
		assert_in_range(s->nodes[0].requests[3] - asked, 4, 8); /* every 3 s */
		sim_free(s);
	}
}

static void test_child_is_new(void **state)
{
	struct sim *s = pair_up(6);

	(void)state;
	s->reload = one_more_child;
	kill_node(s, 1, AWAY);
	sim_run(s, MONO_S);
	kill_node(s, 0, AWAY);
	s->reload = NULL;
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 2);
	sim_free(s);
}

/* ---- the plane ---- */

/* It was restarted as well, and takes the CHILD_SA again. */
static void test_plane_lost_it(void **state)
{
	struct sim *s = pair_up(10);

	(void)state;
	kill_node(s, 0, AWAY);
	sim_plane_remove(&s->nodes[0], sim_newest_child(s, 0)->sa.id);
	sim_run(s, MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].installs, 2);
	assert_int_equal(s->nodes[1].installs, 1);
	sim_free(s);
}

/* ... or does not: another one takes its place. */
static void test_plane_refuses_it(void **state)
{
	struct sim *s = pair_up(11);
	uint64_t id = sim_newest_child(s, 0)->sa.id;

	(void)state;
	kill_node(s, 0, AWAY);
	sim_plane_remove(&s->nodes[0], id);
	s->nodes[0].refuse_install = true;
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 1);
	assert_true(sim_newest_child(s, 0)->sa.id > id);
	sim_free(s);
}

/* ---- time ---- */

static bool asks(struct sim *s)
{
	return s->nodes[0].requests[2] > 0;
}

/* A peer that is silent because nobody listened is not dead: it is asked first. */
static void test_away_for_long(void **state)
{
	(void)state;
	for (mono_time away = MONO_S; away < 22 * MONO_S; away += 3 * MONO_S) {
		struct sim *s = pair_up(20 + away / MONO_S);

		sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");
		assert_true(sim_run_until(s, asks, MONO_S));
		kill_node(s, 0, away);
		sim_run(s, away + 2 * MONO_S);
		assert_agreed_within(s, 1, 10 * MONO_S);
		assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 0);
		sim_free(s);
	}
}

/* A process that dies while it ends its SAs goes on with that. */
static void test_shutdown_goes_on(void **state)
{
	(void)state;
	for (unsigned step = 0; step < 8; step++) {
		struct sim *s = pair_up(40 + step);

		sim_kill(s, 0, step, AWAY);
		sim_command(s, 0, IKE_COMMAND_SHUTDOWN, NULL, NULL);
		sim_run(s, 5 * MONO_S);
		if (step) { /* else nobody got to know the command */
			assert_int_equal(sim_look(s, 0, NULL).ike, 0);
			assert_int_equal(sim_look(s, 1, NULL).ike, 0);
			assert_true(s->nodes[0].events[IKE_EVENT_SHUTDOWN_DONE]);
		}
		assert_holds(s);
		sim_free(s);
	}
}

/* No IV again, whatever the store may have lost. */
static void test_ivs_go_on(void **state)
{
	struct sim *s = pair_up(50);
	uint64_t before = s->nodes[0].engine->sas->iv_counter;

	(void)state;
	kill_node(s, 0, AWAY);
	sim_run(s, MONO_S);
	assert_int_equal(s->nodes[0].engine->sas->iv_counter, before);
	sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");
	assert_true(s->nodes[0].engine->sas->iv_counter > before + 0xffff);
	sim_free(s);
}

/* ---- leases ---- */

struct leases {
	unsigned n, addrs;
};

static void count_lease(void *ctx, const struct ike_lease_info *lease)
{
	struct leases *l = ctx;

	l->n++;
	l->addrs += lease->n;
	assert_non_null(lease->conn);
	assert_int_equal(lease->addrs[0].family, AF_INET);
	assert_int_equal(lease->identity->type, ID_FQDN);
}

static void test_leases(void **state)
{
	struct sim *s = sim_new(60, 2, &crypto_null, &published);
	struct conn *ask = sim_conn(s, 0, 1, 0), *give = sim_conn(s, 1, 0, 0);
	struct leases l = {0};

	(void)state;
	assert_true(vip_parse("%config4", &ask->vips[ask->n_vips++]));
	assert_true(pool_ref_parse("10.99.0.0/29", &give->pools[give->n_pools++]));
	assert_true(ts_parse("%dynamic", &ask->children[0].local_ts.ts[0]));
	assert_true(ts_parse("%dynamic", &give->children[0].remote_ts.ts[0]));
	ask->children[0].start_action = ACTION_START;
	sim_load(s, 1, give, 1);
	sim_load(s, 0, ask, 1);
	sim_run(s, 2 * MONO_S);
	kill_node(s, 1, AWAY);
	kill_node(s, 0, AWAY);
	sim_run(s, MONO_S);
	assert_agreed(s, 1);
	ike_engine_each_lease(s->nodes[1].engine, count_lease, &l);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.addrs, 1);
	assert_int_equal(s->nodes[1].lease_queries, 1);
	assert_int_equal(s->nodes[0].n_vips[1], 1);
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", NULL);
	sim_run(s, MONO_S);
	assert_int_equal(s->nodes[1].lease_releases, 1);
	assert_int_equal(s->nodes[0].n_vips[1], 0);
	sim_free(s);
}

/* ---- damage ---- */

struct attack {
	struct sim *s;
	uint64_t rng;
	unsigned taken, refused;
};

/* Whatever comes of it, the engine works, and what it refused it gives up by name. */
static void try_record(struct attack *a, const struct ike_record *r)
{
	struct sim_node node = a->s->nodes[0], *n = &node;
	char why[160] = "";
	struct ike_record out;
	struct ike_output o;
	bool ok, dropped = false;

	sim_start_engine(n);
	sim_load_as(n, a->s->nodes[0].engine);
	ok = ike_engine_restore(n->engine, r, why, sizeof(why));
	a->taken += ok;
	a->refused += !ok;
	assert_true(ok || why[0]);
	ike_engine_resume(n->engine, a->s->now);
	while (ike_engine_publish(n->engine, &out))
		dropped |= out.kind == r->kind && out.id == r->id; /* or overwritten */
	if (!ok && r->kind == IKE_RECORD_SA)
		assert_true(dropped);
	for (unsigned i = 0; i < 20; i++) {
		while (ike_engine_next(n->engine, &o)) {
		}
		if (ike_engine_deadline(n->engine) == MONO_NEVER)
			break;
		ike_engine_expire(n->engine, ike_engine_deadline(n->engine));
	}
	ike_engine_free(n->engine);
}

static void cut_off(void *ctx, const struct ike_record *record)
{
	struct attack *a = ctx;
	uint8_t *copy;

	for (size_t len = 0; len < record->data.len; len += len < 64 ? 1 : 7) {
		struct ike_record r = *record;
		unsigned before = a->refused;

		copy = malloc(len ? len : 1); /* so that ASan sees what is read behind it */
		memcpy(copy, record->data.ptr, len);
		r.data = span_of(copy, len);
		try_record(a, &r);
		assert_int_equal(a->refused, before + 1);
		free(copy);
	}
}

static void flip_bits(void *ctx, const struct ike_record *record)
{
	struct attack *a = ctx;
	uint8_t *copy = malloc(record->data.len);

	for (unsigned i = 0; i < 400; i++) {
		struct ike_record r = *record;

		memcpy(copy, record->data.ptr, record->data.len);
		for (unsigned n = 1 + (unsigned)(sim_random(&a->rng) % 3); n; n--)
			copy[sim_random(&a->rng) % record->data.len] ^=
				(uint8_t)(1u << sim_random(&a->rng) % 8);
		r.data = span_of(copy, record->data.len);
		try_record(a, &r);
	}
	free(copy);
}

static void other_name(void *ctx, const struct ike_record *record)
{
	struct attack *a = ctx;
	struct ike_record r = *record;
	unsigned before = a->refused;

	r.id++;
	if (r.kind != IKE_RECORD_ENGINE) {
		try_record(a, &r);
		assert_int_equal(a->refused, before + 1);
	}
	r = *record;
	r.kind = r.kind % 3 + 1;
	try_record(a, &r);
	assert_true(a->refused > before);
}

static void attack(struct sim *s)
{
	struct attack a = {.s = s, .rng = s->seed};

	sim_each_record(&s->nodes[0], cut_off, &a);
	sim_each_record(&s->nodes[0], other_name, &a);
	sim_each_record(&s->nodes[0], flip_bits, &a);
	assert_true(a.taken && a.refused);
	assert_holds(s);
	sim_free(s);
}

/* Records of each state: half-open, in the middle of IKE_AUTH and of both rekeys, idle. */
static void test_damaged(void **state)
{
	(void)state;
	for (mono_time at = 0; at <= 50 * MONO_MS; at += 10 * MONO_MS) {
		struct sim *s = sim_new(70, 2, &crypto_null, &published);

		sim_pair(s, at / (10 * MONO_MS) & 1 ? 2 : 1);
		sim_run(s, at + MONO_MS);
		attack(s);
	}
	for (unsigned i = 0; i < 4; i++) {
		struct sim *s = pair_up(80 + i);

		sim_command(s, i & 1, IKE_COMMAND_REKEY, i & 1 ? "to0-0" : "to1-0",
			    i & 2 ? "net" : NULL);
		sim_run(s, i & 1 ? 15 * MONO_MS : MONO_MS);
		attack(s);
	}
}

/* The same one twice, in any order. */
static void twice(void *ctx, const struct ike_record *record)
{
	struct sim_node *n = ctx;
	char why[160];

	assert_true(ike_engine_restore(n->engine, record, why, sizeof(why)));
	if (record->kind != IKE_RECORD_ENGINE)
		assert_false(ike_engine_restore(n->engine, record, why, sizeof(why)));
}

static void test_twice(void **state)
{
	struct sim *s = pair_up(90);
	struct sim_node node = s->nodes[0];
	struct ike_record out;

	(void)state;
	sim_start_engine(&node);
	sim_load_as(&node, s->nodes[0].engine);
	sim_each_record(&s->nodes[0], twice, &node);
	ike_engine_resume(node.engine, s->now);
	while (ike_engine_publish(node.engine, &out))
		assert_true(out.data.len); /* nothing is dropped that is there */
	assert_int_equal(ike_engine_counters(node.engine)->ike_sas, 1);
	assert_int_equal(ike_engine_counters(node.engine)->child_sas, 1);
	ike_engine_free(node.engine);
	sim_free(s);
}

static void test_unknown(void **state)
{
	struct sim *s = pair_up(91);
	struct ike_record r = {.kind = 77, .id = 1, .data = span_of("\0\1", 2)}, out;
	struct sim_node node = s->nodes[0];
	uint8_t newer[2];
	char why[160];

	(void)state;
	sim_start_engine(&node);
	assert_false(ike_engine_restore(node.engine, &r, why, sizeof(why)));
	ike_engine_resume(node.engine, s->now);
	while (ike_engine_publish(node.engine, &out))
		assert_int_not_equal(out.kind, 77); /* somebody else's */
	be16_set(newer, STATE_VERSION + 1);
	r = (struct ike_record){.kind = IKE_RECORD_SA, .id = 1, .data = span_of(newer, 2)};
	assert_false(ike_engine_restore(node.engine, &r, why, sizeof(why)));
	assert_string_equal(why, "another version of Detour's state, at byte 2 of 2");
	ike_engine_free(node.engine);
	sim_free(s);
}

/* ---- versions ---- */

static void test_older_version(void **state)
{
	struct sim *s = pair_up(92);
	struct ike_engine *old = s->nodes[0].engine;
	struct sim_node node = s->nodes[0];
	const struct ike_sa *was = old->sas, *is;
	uint8_t memory[2][4096];
	struct ike_record r = {.kind = IKE_RECORD_SA, .id = was->id};
	size_t now = sim_record_as(old, STATE_VERSION, memory[0], sizeof(memory[0]));
	char why[160];

	(void)state;
	r.data = span_of(memory[1], sim_record_as(old, 3, memory[1], sizeof(memory[1])));
	assert_in_range(now, 300, r.data.len - 200);
	assert_int_equal(be16_get(memory[1]), 3);
	sim_start_engine(&node);
	sim_load_as(&node, old);
	assert_true(ike_engine_restore(node.engine, &r, why, sizeof(why)));
	is = node.engine->sas;
	assert_true(is->spi_i == was->spi_i && is->spi_r == was->spi_r);
	assert_int_equal(is->established, was->established);
	assert_int_equal(is->rekey_timer.at, was->rekey_timer.at);
	assert_int_equal(is->tx.next_id, was->tx.next_id);
	assert_int_equal(is->children->spi_out, was->children->spi_out);
	assert_true(span_equal(kept_key(is->keys, SK_D), kept_key(was->keys, SK_D)));
	ike_engine_free(node.engine);
	sim_free(s);
}

static void restore_conn_of(struct sim *s, uint16_t version, mono_time not_before)
{
	struct ike_engine *old = s->nodes[0].engine;
	struct sim_node node = s->nodes[0];
	const struct child_memory *is;
	uint8_t memory[4096];
	struct ike_record r = {.kind = IKE_RECORD_CONN, .id = old->conns->number};
	char why[160];

	r.data = span_of(memory, sim_conn_record_as(old, version, memory, sizeof(memory)));
	sim_start_engine(&node);
	sim_load_as(&node, old);
	assert_true(ike_engine_restore(node.engine, &r, why, sizeof(why)));
	is = node.engine->conns->memories;
	assert_string_equal(is->name, old->conns->memories->name);
	assert_int_equal(is->reqid, old->conns->memories->reqid);
	assert_int_equal(is->not_before, not_before);
	ike_engine_free(node.engine);
}

static void test_older_conn(void **state)
{
	struct sim *s = pair_up(93);

	(void)state;
	s->nodes[0].engine->conns->memories->not_before = 5 * MONO_S;
	restore_conn_of(s, STATE_VERSION, 5 * MONO_S);
	restore_conn_of(s, 4, 0);
	restore_conn_of(s, 3, 0);
	sim_free(s);
}

static void check_number(uint64_t v, size_t len)
{
	uint8_t memory[16];
	struct buf b = buf_over(memory, sizeof(memory));
	struct codec out = codec_writer(&b), in;
	uint64_t read = 1;
	uint16_t small = 1;

	out.version = CODEC_SHORT_NUMBERS;
	codec_u64(&out, &v);
	assert_int_equal(b.len, len);
	in = codec_reader(buf_span(&b));
	in.version = CODEC_SHORT_NUMBERS;
	codec_u64(&in, &read);
	assert_true(codec_done(&in) && read == v);
	in = codec_reader(buf_span(&b));
	in.version = CODEC_SHORT_NUMBERS;
	codec_u16(&in, &small);
	assert_int_equal(codec_done(&in), v <= UINT16_MAX);
	assert_int_equal(small, v <= UINT16_MAX ? v : 0);
	in = codec_reader(span_of(memory, len - 1));
	in.version = CODEC_SHORT_NUMBERS;
	codec_u64(&in, &read);
	assert_string_equal(in.fault, "cut off");
	assert_int_equal(read, 0);
}

static void test_numbers(void **state)
{
	(void)state;
	check_number(0, 1);
	check_number(0xf7, 1);
	check_number(0xf8, 2);
	check_number(0xff, 2);
	check_number(0x100, 3);
	check_number(UINT16_MAX, 3);
	check_number(UINT16_MAX + UINT64_C(1), 4);
	check_number(UINT32_MAX, 5);
	check_number(UINT64_MAX >> 8, 8);
	check_number(UINT64_MAX - 1, 9);
	check_number(UINT64_MAX, 9);
}

/* ---- what it costs ---- */

struct sizes {
	size_t of[4];
};

static void measure(void *ctx, const struct ike_record *record)
{
	((struct sizes *)ctx)->of[record->kind & 3] = record->data.len;
}

static uint64_t elapsed_ns(const struct timespec *from)
{
	struct timespec to;

	clock_gettime(CLOCK_MONOTONIC, &to);
	return (uint64_t)(to.tv_sec - from->tv_sec) * 1000000000u + (uint64_t)to.tv_nsec -
	       (uint64_t)from->tv_nsec;
}

#define ROUNDS 2000

static void test_cost(void **state)
{
	struct sim *s = pair_up(95);
	struct sizes sizes = {0};
	struct timespec from;
	struct ike_record r;
	unsigned n = 0;

	(void)state;
	sim_run(s, 40 * MONO_S);
	sim_each_record(&s->nodes[0], measure, &sizes);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < ROUNDS; i++) {
		sa_touch(s->nodes[0].engine, s->nodes[0].engine->sas);
		while (ike_engine_publish(s->nodes[0].engine, &r))
			n += r.kind == IKE_RECORD_SA;
	}
	print_message("an IKE_SA with a CHILD_SA: %zu bytes, %llu ns; a conn: %zu bytes; "
		      "the engine: %zu bytes\n",
		      sizes.of[IKE_RECORD_SA], (unsigned long long)(elapsed_ns(&from) / ROUNDS),
		      sizes.of[IKE_RECORD_CONN], sizes.of[IKE_RECORD_ENGINE]);
	assert_int_equal(n, ROUNDS);
	assert_in_range(sizes.of[IKE_RECORD_SA], 300, 767);
	assert_in_range(sizes.of[IKE_RECORD_CONN], 20, 511);
	sim_free(s);
}

#define MANY 1000

struct many {
	struct sim_node node;
	unsigned refused;
};

static void take(void *ctx, const struct ike_record *record)
{
	struct many *m = ctx;
	char why[160];

	m->refused += !ike_engine_restore(m->node.engine, record, why, sizeof(why));
}

/* Many at once: all there, and in a time that grows with their number alone. */
static void test_many(void **state)
{
	struct sim *s = sim_new(97, 2, &crypto_null, &published);
	struct timespec from;
	struct many m = {0};

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		struct conn *conn = sim_conn(s, 0, 1, i);

		conn->children[0].start_action = ACTION_START;
		sim_load(s, 1, sim_conn(s, 1, 0, i), i + 1);
		sim_load(s, 0, conn, i + 1);
	}
	sim_run(s, 2 * MONO_S);
	m.node = s->nodes[0];
	sim_start_engine(&m.node);
	sim_load_as(&m.node, s->nodes[0].engine);
	clock_gettime(CLOCK_MONOTONIC, &from);
	sim_each_record(&s->nodes[0], take, &m);
	ike_engine_resume(m.node.engine, s->now);
	print_message("%u IKE_SAs with a CHILD_SA restored and resumed in %llu us\n", MANY,
		      (unsigned long long)(elapsed_ns(&from) / 1000));
	assert_int_equal(m.refused, 0);
	assert_int_equal(ike_engine_counters(m.node.engine)->ike_sas, MANY);
	ike_engine_free(m.node.engine);
	kill_node(s, 0, AWAY);
	kill_node(s, 1, AWAY);
	sim_run(s, 20 * MONO_S);
	assert_holds(s);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ike_engine_counters(s->nodes[i].engine)->child_sas, MANY);
		assert_int_equal(s->nodes[i].installs, MANY);
		assert_int_equal(s->nodes[i].events[IKE_EVENT_IKE_DOWN], 0);
	}
	sim_free(s);
}

/* Idle SAs cost an input of another one nothing. */
static void test_only_what_changed(void **state)
{
	struct sim *s = sim_new(96, 2, &crypto_null, &published);
	struct ike_record r;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		struct conn *conn = sim_conn(s, 0, 1, i);

		conn->children[0].start_action = ACTION_START;
		sim_load(s, 1, sim_conn(s, 1, 0, i), i + 1);
		sim_load(s, 0, conn, i + 1);
	}
	sim_run(s, 2 * MONO_S);
	assert_holds(s);
	ike_engine_child_event(s->nodes[0].engine, sim_newest_child(s, 0)->sa.id, IKE_CHILD_ALIVE,
			       NULL, s->now);
	while (ike_engine_publish(s->nodes[0].engine, &r))
		n++;
	assert_int_equal(n, 1);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conn_is_gone),
		cmocka_unit_test(test_conn_differs),
		cmocka_unit_test(test_child_of_other_traffic),
		cmocka_unit_test(test_child_of_other_keying),
		cmocka_unit_test(test_other_keying_and_killed),
		cmocka_unit_test(test_conn_of_other_policy),
		cmocka_unit_test(test_conn_of_other_liveness),
		cmocka_unit_test(test_child_is_new),
		cmocka_unit_test(test_plane_lost_it),
		cmocka_unit_test(test_plane_refuses_it),
		cmocka_unit_test(test_away_for_long),
		cmocka_unit_test(test_shutdown_goes_on),
		cmocka_unit_test(test_ivs_go_on),
		cmocka_unit_test(test_leases),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_older_version),
		cmocka_unit_test(test_older_conn),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_only_what_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
