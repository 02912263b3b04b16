/* Loaded conns: reload by difference, attempts and back-off, names, acquires, identities
 * and keys that do not fit, several IKE_SAs of one peer. */
#include "tests/sim/sim_parts.h"
#include "tests/sim/sim_test.h"
#include "tests/support/propose.h"

#include <stdio.h>
#include <stdlib.h>

static bool command(struct sim *s, unsigned node, const struct ike_command *c)
{
	const char *error = NULL;
	bool ok = ike_engine_command(s->nodes[node].engine, c, &error, s->now);

	assert_true(ok || error);
	sim_drain(s, node);
	return ok;
}

static void load_secret(struct sim *s, unsigned node, const char *unique, const char *words)
{
	struct ike_command c = {.kind = IKE_COMMAND_LOAD_SECRET,
				.secret = secret_new(unique, SECRET_IKE, span_str(words))};

	assert_true(command(s, node, &c));
}

static unsigned events(const struct sim *s, unsigned node, enum ike_event_kind kind)
{
	return s->nodes[node].events[kind];
}

static enum ike_reason status(const struct sim *s, mono_time *next)
{
	char detail[160];

	return ike_engine_conn_status(s->nodes[0].engine, "to1-0", next, detail);
}

/* ---- reload ---- */

static struct conn *again(struct sim *s)
{
	struct conn *c = sim_conn(s, 0, 1, 0);

	c->children[0].start_action = ACTION_START;
	return c;
}

static void test_reload_same(void **state)
{
	struct sim *s = sim_established(1);
	struct sim_view before = sim_look(s, 0, NULL), after;
	unsigned requests = s->nodes[0].requests[2] + s->nodes[0].requests[3];

	(void)state;
	sim_traffic(s, 10 * MONO_MS);
	sim_load(s, 0, again(s), 1);
	sim_run(s, MONO_S);
	after = sim_look(s, 0, NULL);
	assert_int_equal(before.spi_i, after.spi_i);
	assert_int_equal(s->nodes[0].requests[2] + s->nodes[0].requests[3], requests);
	assert_int_equal(events(s, 0, IKE_EVENT_CHILD_UP), 1);
	assert_agreed(s, 1);
	assert_nothing_lost(s);
	sim_free(s);
}

static void keep_info(void *ctx, const struct ike_conn_info *info)
{
	*(struct ike_conn_info *)ctx = *info;
}

/* auto=start is expected until a command takes it down, and again when one brings it up; the
 * other end, which only answers, is not. */
static void test_expected(void **state)
{
	struct sim *s = sim_established(22);
	struct ike_conn_info ours, theirs;

	(void)state;
	ike_engine_each_conn(s->nodes[0].engine, keep_info, &ours);
	ike_engine_each_conn(s->nodes[1].engine, keep_info, &theirs);
	assert_true(ours.expected && !ours.held);
	assert_false(theirs.expected || theirs.held);
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", NULL);
	sim_run(s, MONO_S);
	ike_engine_each_conn(s->nodes[0].engine, keep_info, &ours);
	assert_true(!ours.expected && ours.held);
	assert_int_equal(ours.reason, IKE_REASON_COMMAND);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", NULL);
	ike_engine_each_conn(s->nodes[0].engine, keep_info, &ours);
	assert_true(ours.expected && !ours.held);
	assert_agreed_within(s, 1, 2 * MONO_S);
	sim_free(s);
}

/* A further child comes, the first one stays as it is. */
static void test_reload_child_added(void **state)
{
	struct sim *s = sim_established(2);
	struct conn *ours = again(s), *theirs = sim_conn(s, 1, 0, 0);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *c = i ? theirs : ours;
		struct child_config *more = conn_add_child(c, "more");

		more->start_action = i ? ACTION_NONE : ACTION_START;
		more->local_ts.n = more->remote_ts.n = 1;
		ts_parse(i ? "192.168.2.0/24" : "192.168.1.0/24", &more->local_ts.ts[0]);
		ts_parse(i ? "192.168.1.0/24" : "192.168.2.0/24", &more->remote_ts.ts[0]);
	}
	sim_load(s, 1, theirs, 1);
	sim_load(s, 0, ours, 1);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 2);
	assert_int_equal(events(s, 0, IKE_EVENT_CHILD_DOWN), 0);
	assert_int_equal(events(s, 0, IKE_EVENT_IKE_UP), 1);
	sim_load(s, 0, again(s), 1); /* and goes again */
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(events(s, 0, IKE_EVENT_CHILD_DOWN), 1);
	sim_free(s);
}

/* Other traffic: the child is made anew. */
static void test_reload_child_changed(void **state)
{
	struct sim *s = sim_established(3);
	struct conn *c = again(s);

	(void)state;
	c->children[0].reqid = 77;
	sim_load(s, 0, c, 1);
	sim_run(s, 3 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(events(s, 0, IKE_EVENT_IKE_DOWN), 0);
	assert_int_equal(events(s, 0, IKE_EVENT_CHILD_UP), 2);
	sim_free(s);
}

/* Lifetimes and proposals come in force by a rekey, which nobody notices. */
static void test_reload_rekeys(void **state)
{
	struct sim *s = sim_established(3);
	struct conn *c = again(s);

	(void)state;
	sim_traffic(s, 5 * MONO_MS);
	c->children[0].rekey_time += MONO_S;
	propose(PROTOCOL_ESP, "chacha20poly1305", &c->children[0].proposals);
	sim_load(s, 0, c, 1);
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(events(s, 0, IKE_EVENT_CHILD_DOWN), 0);
	assert_int_equal(events(s, 0, IKE_EVENT_CHILD_REKEYED), 1);
	assert_int_equal(sim_newest_child(s, 0)->sa.encr_id, ENCR_CHACHA20_POLY1305);
	assert_nothing_lost(s);
	sim_free(s);
}

static void test_reload_conn_changed(void **state)
{
	struct sim *s = sim_established(4);
	struct conn *c = again(s);

	(void)state;
	c->encap = true;
	sim_load(s, 0, c, 1);
	sim_run(s, 5 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(events(s, 0, IKE_EVENT_IKE_DOWN), 1);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_CONFIG);
	assert_true(sim_newest_child(s, 0)->sa.udp_encap);
	sim_free(s);
}

static struct conn *checked_every(struct sim *s, mono_time delay)
{
	struct conn *c = again(s);

	c->dpd_delay = delay;
	return c;
}

/* Seconds until node 0 knows that its peer is dead, by a delay it was told while the SA was up. */
static unsigned dead_after(mono_time before, mono_time delay)
{
	struct sim *s = sim_new(6, 2, &crypto_null, NULL);
	struct conn *peer = sim_conn(s, 1, 0, 0);
	unsigned n = 0;

	peer->dpd_delay = 0;
	sim_load(s, 0, checked_every(s, before), 1);
	sim_load(s, 1, peer, 1);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	sim_load(s, 0, checked_every(s, delay), 1);
	s->links[0][1].cut = s->links[1][0].cut = true;
	for (; n < 600 && !events(s, 0, IKE_EVENT_IKE_DOWN); n++)
		sim_run(s, MONO_S);
	sim_free(s);
	return n;
}

static void test_reload_liveness(void **state)
{
	unsigned n = dead_after(5 * MONO_S, 5 * MONO_S);

	(void)state;
	assert_in_range(n, 5, 60);
	assert_in_range(dead_after(0, 5 * MONO_S), n - 2, n + 2);
	assert_in_range(dead_after(1800 * MONO_S, 5 * MONO_S), n - 2, n + 2);
	assert_int_equal(dead_after(5 * MONO_S, 0), 600);
}

static void test_unload(void **state)
{
	struct sim *s = sim_established(5);
	struct ike_command c = {.kind = IKE_COMMAND_UNLOAD_CONN, .name = "to1-0"};

	(void)state;
	assert_true(command(s, 0, &c));
	assert_false(command(s, 0, &c));
	sim_run(s, 2 * MONO_S);
	assert_holds(s);
	assert_null(ike_engine_conn(s->nodes[0].engine, 0));
	assert_null(s->nodes[0].plane);
	assert_null(s->nodes[1].plane);
	sim_free(s);
}

/* ---- attempts ---- */

/* The peer is not there: back-off from 1 s to 60 s, for ever; then it is. */
static void test_no_answer(void **state)
{
	struct sim *s = sim_new(6, 2, &crypto_null, NULL);
	mono_time next;

	(void)state;
	s->links[0][1].cut = true;
	sim_pair(s, 1);
	sim_run(s, 3600 * MONO_S);
	assert_int_equal(status(s, &next), IKE_REASON_NO_ANSWER);
	/* 18 s of waiting and about 60 s of back-off each. */
	assert_in_range(events(s, 0, IKE_EVENT_FAILED), 38, 60);
	s->links[0][1].cut = false;
	assert_agreed_within(s, 1, 120 * MONO_S);
	assert_int_equal(status(s, &next), IKE_REASON_NONE);
	assert_int_equal(next, 0);
	sim_free(s);
}

static void test_retry_now(void **state)
{
	struct sim *s = sim_new(7, 2, &crypto_null, NULL);
	struct ike_command c = {.kind = IKE_COMMAND_RETRY_NOW};
	mono_time next;

	(void)state;
	s->links[0][1].cut = true;
	sim_pair(s, 1);
	sim_run(s, 600 * MONO_S);
	while (status(s, &next), next == 0)
		sim_run(s, MONO_S);
	s->links[0][1].cut = false;
	assert_true(command(s, 0, &c));
	sim_run(s, 100 * MONO_MS);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_keying_tries(void **state)
{
	struct sim *s = sim_new(8, 2, &crypto_null, NULL);
	struct conn *c = again(s);
	mono_time next;

	(void)state;
	c->keying_tries = 3;
	sim_load(s, 0, c, 1); /* nobody knows us at the other end */
	sim_run(s, 600 * MONO_S);
	assert_int_equal(events(s, 0, IKE_EVENT_FAILED), 3);
	assert_int_equal(status(s, &next), IKE_REASON_NO_PROPOSAL);
	assert_int_equal(next, 0);
	sim_free(s);
}

static void test_name(void **state)
{
	struct sim *s = sim_new(9, 2, &crypto_null, NULL);
	struct conn *c = again(s);

	(void)state;
	c->remote[0] = (struct host){.kind = HOST_NAME, .name = strdup("10.2.0.0")};
	c->local[0] = (struct host){.kind = HOST_DEFAULT_ROUTE};
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	sim_load(s, 0, c, 1);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_name_fails(void **state)
{
	struct sim *s = sim_new(10, 2, &crypto_null, NULL);
	struct conn *c = again(s);
	mono_time next;

	(void)state;
	c->remote[0] = (struct host){.kind = HOST_NAME, .name = strdup("no.such.name")};
	sim_load(s, 0, c, 1);
	sim_run(s, 30 * MONO_S);
	assert_int_equal(status(s, &next), IKE_REASON_RESOLVE_FAILED);
	assert_string_equal(s->nodes[0].last_detail, "no.such.name: no address");
	assert_true(next > s->now);
	assert_in_range(events(s, 0, IKE_EVENT_FAILED), 3, 8);
	sim_free(s);
}

/* Another file has another peer meanwhile: that one is begun with at once, and the answer for the
 * one before says nothing of it. */
static void test_name_of_before(void **state)
{
	struct sim *s = sim_new(12, 2, &crypto_null, NULL);
	const struct ike_answer unknown = {.n = 0};
	struct conn *c = again(s);

	(void)state;
	c->remote[0] = (struct host){.kind = HOST_NAME, .name = strdup(SIM_UNANSWERED)};
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	sim_load(s, 0, c, 1);
	sim_run(s, MONO_S);
	sim_load(s, 0, again(s), 1);
	ike_engine_answer(s->nodes[0].engine, s->nodes[0].asked, &unknown, s->now);
	sim_run(s, MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(events(s, 0, IKE_EVENT_FAILED), 0);
	sim_free(s);
}

/* This machine has no way to the first of the addresses, for want of IPv6, say. */
static void test_name_of_both_families(void **state)
{
	struct sim *s = sim_new(13, 2, &crypto_null, NULL);
	struct ike_answer answer = {.n = 2};
	struct conn *c = again(s);

	(void)state;
	assert_true(addr_parse("2001:db8::2", &answer.addrs[0]));
	answer.addrs[1] = sim_addr(1, 0);
	answer.own[1] = sim_addr(0, 0);
	c->remote[0] = (struct host){.kind = HOST_NAME, .name = strdup(SIM_UNANSWERED)};
	c->local[0] = (struct host){.kind = HOST_DEFAULT_ROUTE};
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	sim_load(s, 0, c, 1);
	sim_run(s, MONO_S);
	ike_engine_answer(s->nodes[0].engine, s->nodes[0].asked, &answer, s->now);
	sim_run(s, MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(events(s, 0, IKE_EVENT_FAILED), 0);
	sim_free(s);
}

static void test_no_address(void **state)
{
	struct sim *s = sim_new(11, 2, &crypto_null, NULL);
	struct conn *c = sim_conn(s, 0, 1, 0);
	uint64_t tag;

	(void)state;
	c->remote[0] = (struct host){.kind = HOST_ANY};
	sim_load(s, 0, c, 1);
	tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", NULL);
	assert_non_null(sim_done(s, 0, tag));
	assert_false(sim_done(s, 0, tag)->ok);
	sim_free(s);
}

enum loss { DELETED, CHILD_DELETED_ONLY, DEAD };

/* As docs/config.md has it: what is to be up always (auto=start) comes again whatever happened;
 * else dpdaction and closeaction decide. */
static void test_comes_again(void **state)
{
	static const struct {
		enum start_action start, dpd, close;
		enum loss loss;
		bool again;
	} cases[] = {
		{ACTION_START, ACTION_NONE, ACTION_NONE, DELETED, true},
		{ACTION_START, ACTION_NONE, ACTION_NONE, CHILD_DELETED_ONLY, true},
		{ACTION_START, ACTION_NONE, ACTION_NONE, DEAD, true},
		{ACTION_NONE, ACTION_NONE, ACTION_NONE, DELETED, false},
		{ACTION_NONE, ACTION_NONE, ACTION_NONE, CHILD_DELETED_ONLY, false},
		{ACTION_NONE, ACTION_NONE, ACTION_NONE, DEAD, false},
		{ACTION_NONE, ACTION_NONE, ACTION_START, DELETED, true},
		{ACTION_NONE, ACTION_NONE, ACTION_START, CHILD_DELETED_ONLY, true},
		{ACTION_NONE, ACTION_NONE, ACTION_START, DEAD, false},
		{ACTION_NONE, ACTION_START, ACTION_NONE, DELETED, false},
		{ACTION_NONE, ACTION_START, ACTION_NONE, DEAD, true},
		{ACTION_NONE, ACTION_TRAP, ACTION_TRAP, DELETED, false},
		{ACTION_NONE, ACTION_TRAP, ACTION_TRAP, DEAD, false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim *s = sim_new(100 + i, 2, &crypto_null, NULL);
		struct conn *c = sim_conn(s, 0, 1, 0);

		c->children[0].start_action = cases[i].start;
		c->children[0].dpd_action = cases[i].dpd;
		c->children[0].close_action = cases[i].close;
		sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
		sim_load(s, 0, c, 7);
		sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
		sim_run(s, 2 * MONO_S);
		assert_agreed(s, 1);
		s->links[0][1].cut = s->links[1][0].cut = cases[i].loss == DEAD;
		if (cases[i].loss != DEAD)
			sim_command(s, 1, IKE_COMMAND_TERMINATE, "to0-0",
				    cases[i].loss == DELETED ? NULL : "net");
		sim_run(s, 60 * MONO_S);
		s->links[0][1].cut = s->links[1][0].cut = false;
		sim_run(s, 120 * MONO_S);
		assert_holds(s);
		if (sim_look(s, 0, NULL).children_installed != cases[i].again)
			fail_msg("case %u", i);
		if (cases[i].close == ACTION_TRAP) { /* again with the first packet */
			sim_child_event(s, 0, 7, IKE_CHILD_ACQUIRE);
			sim_run(s, 2 * MONO_S);
			assert_agreed(s, 1);
		}
		sim_free(s);
	}
}

/* A peer that lets everything come up and takes it down at once is asked less and less often. */
static void test_taken_down_at_once(void **state)
{
	(void)state;
	for (unsigned child = 0; child < 2; child++) {
		struct sim *s = sim_new(120 + child, 2, &crypto_null, NULL);
		struct conn *c = again(s);

		c->children[0].close_action = ACTION_START;
		sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
		sim_load(s, 0, c, 1);
		for (unsigned i = 0; i < 6000; i++) {
			sim_run(s, 100 * MONO_MS);
			sim_command(s, 1, IKE_COMMAND_TERMINATE, "to0-0", child ? "net" : NULL);
		}
		assert_holds(s);
		assert_in_range(s->nodes[0].requests[child ? 2 : 0], 8, 25);
		sim_run(s, 100 * MONO_S);
		assert_agreed(s, 1);
		/* That was long enough: it comes again at once. */
		sim_command(s, 1, IKE_COMMAND_TERMINATE, "to0-0", child ? "net" : NULL);
		sim_run(s, 2 * MONO_S);
		assert_agreed(s, 1);
		sim_free(s);
	}
}

/* The other end of what "taken" asks for. */
static void more_of_theirs(struct conn *c)
{
	struct child_config *more = conn_add_child(c, "taken");

	more->local_ts.n = more->remote_ts.n = 1;
	ts_parse("192.168.1.0/24", &more->local_ts.ts[0]);
	ts_parse("192.168.3.0/24", &more->remote_ts.ts[0]);
}

static void test_acquire(void **state)
{
	struct sim *s = sim_new(12, 2, &crypto_null, NULL);
	struct conn *c = sim_conn(s, 0, 1, 0);

	(void)state;
	c->children[0].start_action = ACTION_TRAP;
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	sim_load(s, 0, c, 7);
	sim_run(s, 10 * MONO_S);
	assert_int_equal(s->nodes[0].requests[0], 0);
	for (unsigned i = 0; i < 5; i++)
		sim_child_event(s, 0, 7, IKE_CHILD_ACQUIRE);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].requests[0], 1);
	sim_child_event(s, 0, 8, IKE_CHILD_ACQUIRE); /* nobody's tunnel */
	sim_free(s);
}

static struct conn *with_refused_child(struct sim *s)
{
	static const char *const nets[] = {"192.168.3.0/24", "192.168.2.0/24"};
	struct conn *ours = sim_conn(s, 1, 0, 0);

	for (unsigned i = 0; i < 2; i++) {
		struct child_config *more = conn_add_child(ours, i ? "refused" : "taken");

		more->start_action = ACTION_TRAP;
		more->local_ts.n = more->remote_ts.n = 1;
		ts_parse(nets[i], &more->local_ts.ts[0]);
		ts_parse("192.168.1.0/24", &more->remote_ts.ts[0]);
	}
	return ours;
}

/* Packets keep coming, and the peer, who began the IKE_SA, does not know the child: it is asked
 * for with a back-off, and children that it does know do not wait for that. A configuration that is
 * loaded again ends it. */
static void test_acquire_refused(void **state)
{
	struct sim *s = sim_new(77, 2, &crypto_null, NULL);
	struct conn *theirs = sim_conn(s, 0, 1, 0);
	unsigned before, tries;

	(void)state;
	theirs->children[0].start_action = ACTION_START;
	more_of_theirs(theirs);
	sim_load(s, 1, with_refused_child(s), 1);
	sim_load(s, 0, theirs, 1);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	before = s->nodes[1].requests[2];
	for (unsigned i = 0; i < 300; i++) {
		sim_child_event(s, 1, 1, IKE_CHILD_ACQUIRE);
		sim_run(s, MONO_S);
	}
	assert_agreed(s, 2);
	tries = s->nodes[1].requests[2] - before;
	assert_in_range(tries, 5, 30);
	sim_load(s, 1, with_refused_child(s), 1);
	sim_child_event(s, 1, 1, IKE_CHILD_ACQUIRE);
	sim_run(s, MONO_S);
	assert_int_equal(s->nodes[1].requests[2] - before, tries + 1);
	sim_free(s);
}

/* A child that waits for traffic comes beside one that is up. */
static void test_acquire_second_child(void **state)
{
	struct sim *s = sim_new(13, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *c = sim_conn(s, i, 1 - i, 0);
		struct child_config *more = conn_add_child(c, "more");

		c->children[0].start_action = i ? ACTION_NONE : ACTION_START;
		more->start_action = i ? ACTION_NONE : ACTION_TRAP;
		more->local_ts.n = more->remote_ts.n = 1;
		ts_parse(i ? "192.168.2.0/24" : "192.168.1.0/24", &more->local_ts.ts[0]);
		ts_parse(i ? "192.168.1.0/24" : "192.168.2.0/24", &more->remote_ts.ts[0]);
		sim_load(s, i, c, 7);
	}
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 1);
	for (unsigned i = 0; i < 3; i++)
		sim_child_event(s, 0, 7, IKE_CHILD_ACQUIRE);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 2);
	sim_free(s);
}

/* A waiting command ends when the conn goes. */
static void test_waiting_command(void **state)
{
	struct sim *s = sim_new(13, 2, &crypto_null, NULL);
	struct ike_command c = {.kind = IKE_COMMAND_UNLOAD_CONN, .name = "to1-0"};
	uint64_t tag;

	(void)state;
	s->links[0][1].cut = true;
	sim_pair(s, 0);
	tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, MONO_S);
	assert_null(sim_done(s, 0, tag));
	assert_true(command(s, 0, &c));
	assert_non_null(sim_done(s, 0, tag));
	assert_false(sim_done(s, 0, tag)->ok);
	sim_free(s);
}

/* ---- what does not fit ---- */

static void test_wrong_key(void **state)
{
	struct sim *s = sim_new(14, 2, &crypto_null, NULL);
	char detail[160];
	mono_time next;

	(void)state;
	load_secret(s, 1, "other", "another secret");
	sim_pair(s, 1);
	sim_run(s, MONO_S);
	assert_holds(s);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_AUTH_FAILED);
	assert_int_equal(s->nodes[1].last_reason, IKE_REASON_AUTH_FAILED);
	assert_int_equal(ike_engine_conn_status(s->nodes[1].engine, "to0-0", &next, detail),
			 IKE_REASON_AUTH_FAILED); /* who only answers knows best */
	assert_non_null(strstr(detail, "keys differ"));
	assert_int_equal(events(s, 0, IKE_EVENT_IKE_UP) + events(s, 1, IKE_EVENT_IKE_UP), 0);
	assert_null(s->nodes[0].plane);
	/* The right one heals it without a restart. */
	load_secret(s, 1, "other", "the simulation's secret");
	assert_agreed_within(s, 1, 60 * MONO_S);
	sim_free(s);
}

/* The responder proves another identity than the one we want: it learns so in an exchange of its
 * own (RFC 7296 2.21.2) and keeps nothing. */
static void test_wrong_responder(void **state)
{
	struct sim *s = sim_new(15, 2, &crypto_null, NULL);
	struct conn *ours = again(s), *theirs = sim_conn(s, 1, 0, 0);

	(void)state;
	id_parse("*.elsewhere", &ours->remote_id); /* a pattern: no IDr is sent */
	sim_load(s, 1, theirs, 1);
	sim_load(s, 0, ours, 1);
	sim_run(s, 800 * MONO_MS);
	assert_holds(s);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_AUTH_FAILED);
	assert_int_equal(events(s, 0, IKE_EVENT_IKE_UP), 0);
	assert_int_equal(sim_look(s, 1, NULL).ike_established, 0);
	assert_null(s->nodes[1].plane);
	sim_free(s);
}

static void test_no_secret(void **state)
{
	struct sim *s = sim_new(16, 2, &crypto_null, NULL);
	struct ike_command unload = {.kind = IKE_COMMAND_UNLOAD_SECRET, .name = "all"};

	(void)state;
	sim_pair(s, 0);
	assert_true(command(s, 0, &unload));
	assert_false(command(s, 0, &unload));
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", NULL);
	sim_run(s, 800 * MONO_MS);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_NO_SECRET);
	sim_free(s);
}

/* The data plane can't say for which child the packet was. */
static void test_acquire_brings_all_children(void **state)
{
	static const char *const nets[] = {"10.70.0.0/16", "10.71.0.0/16", "10.72.0.0/16"};
	struct sim *s = sim_new(31, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *c = sim_conn(s, i, 1 - i, 0);

		for (unsigned n = 0; n < 3; n++) {
			struct child_config *more = conn_add_child(c, nets[n]);

			more->local_ts.n = more->remote_ts.n = 1;
			assert_true(ts_parse(nets[n], &more->local_ts.ts[0]));
			assert_true(ts_parse(nets[n], &more->remote_ts.ts[0]));
			/* Two of the four wait for traffic, and they are not the first. */
			if (n > 0 && i == 0)
				more->start_action = ACTION_TRAP;
		}
		sim_load(s, i, c, 1);
	}
	sim_child_event(s, 1, 1, IKE_CHILD_ACQUIRE); /* nothing waits for traffic there */
	sim_run(s, MONO_S);
	assert_int_equal(sim_look(s, 1, NULL).ike, 0);
	sim_child_event(s, 0, 1, IKE_CHILD_ACQUIRE);
	sim_run(s, 5 * MONO_S);
	assert_agreed(s, 2);
	assert_false(ts_list_equal(&sim_newest_child(s, 0)->sa.local_ts,
				   &s->nodes[0].order->sa.local_ts));
	sim_free(s);
}

/* ---- what the data plane lost ---- */

static bool two_installs(struct sim *s)
{
	return s->nodes[0].installs > 1 && s->nodes[1].installs > 1;
}

/* Somebody flushed the kernel's SAs: another CHILD_SA at once, also of one that nobody wants up,
 * before the useless one is deleted; and not again and again. */
static void test_lost_in_plane(void **state)
{
	struct sim *s = sim_new(30, 2, &crypto_null, NULL);
	struct sim_child *c;
	mono_time start;

	(void)state;
	sim_pair(s, 0);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, 20 * MONO_S);
	assert_agreed(s, 1);
	start = s->now;
	sim_child_event(s, 0, sim_newest_child(s, 0)->sa.id, IKE_CHILD_HARD_EXPIRE);
	assert_true(sim_run_until(s, two_installs, MONO_S));
	assert_true(s->now - start <= 20 * MONO_MS);
	assert_int_equal(s->nodes[0].removes + s->nodes[1].removes, 0);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	for (unsigned i = 0; i < 100; i++) {
		c = sim_newest_child(s, 0);
		if (c)
			sim_child_event(s, 0, c->sa.id, IKE_CHILD_HARD_EXPIRE);
		sim_run(s, 100 * MONO_MS);
	}
	assert_holds(s);
	assert_true(s->nodes[0].installs < 12);
	sim_run(s, 120 * MONO_S);
	assert_agreed(s, 1);
	sim_free(s);
}

/* ---- several IKE_SAs of one peer ---- */

/* Nodes 1 and 2 both say that they are node1-0: a peer that lost its state and its address. */
static struct sim *two_of_one(uint64_t seed, int unique)
{
	struct sim *s = sim_new(seed, 3, &crypto_null, NULL);
	struct conn *gate = sim_conn(s, 0, 1, 0), *second = sim_conn(s, 2, 0, 0);

	gate->remote[0] = (struct host){.kind = HOST_ANY};
	gate->unique = unique;
	second->local_id = gate->remote_id;
	second->children[0].local_ts = gate->children[0].remote_ts;
	sim_load(s, 0, gate, 1);
	sim_load(s, 1, sim_conn(s, 1, 0, 0), 1);
	sim_load(s, 2, second, 1);
	sim_command(s, 1, IKE_COMMAND_INITIATE, NULL, "net");
	sim_run(s, MONO_S);
	assert_agreed(s, 1);
	sim_command(s, 2, IKE_COMMAND_INITIATE, NULL, "net");
	sim_run(s, 8 * MONO_S); /* late packets are received for 5 s */
	assert_holds(s);
	return s;
}

static void unique_leaves(uint64_t seed, int unique, unsigned sas, unsigned second_up)
{
	struct sim *s = two_of_one(seed, unique);
	struct sim_view v = sim_look(s, 0, NULL);

	assert_int_equal(v.ike_established, sas);
	assert_int_equal(v.children_installed, sas);
	assert_int_equal(events(s, 2, IKE_EVENT_CHILD_UP), second_up);
	sim_free(s);
}

static void test_unique(void **state)
{
	(void)state;
	unique_leaves(17, UNIQUE_REPLACE, 1, 1);
	unique_leaves(18, UNIQUE_NO, 1, 1); /* INITIAL_CONTACT says so (RFC 7296 2.4) */
	unique_leaves(19, UNIQUE_NEVER, 2, 1);
	unique_leaves(20, UNIQUE_KEEP, 1, 0);
}

/* The new one is installed before the old one goes: never a moment without. */
static void test_replacement_is_seamless(void **state)
{
	struct sim *s = two_of_one(21, UNIQUE_REPLACE);

	(void)state;
	assert_int_equal(events(s, 0, IKE_EVENT_CHILD_DOWN), 1);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_REPLACED);
	assert_int_equal(s->nodes[0].installs, 2);
	assert_int_equal(s->nodes[0].removes, 1);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload_same),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_reload_child_added),
		cmocka_unit_test(test_reload_child_changed),
		cmocka_unit_test(test_reload_rekeys),
		cmocka_unit_test(test_reload_conn_changed),
		cmocka_unit_test(test_reload_liveness),
		cmocka_unit_test(test_unload),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_retry_now),
		cmocka_unit_test(test_keying_tries),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_name_fails),
		cmocka_unit_test(test_name_of_before),
		cmocka_unit_test(test_name_of_both_families),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_comes_again),
		cmocka_unit_test(test_taken_down_at_once),
		cmocka_unit_test(test_acquire),
		cmocka_unit_test(test_acquire_second_child),
		cmocka_unit_test(test_acquire_refused),
		cmocka_unit_test(test_waiting_command),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_wrong_responder),
		cmocka_unit_test(test_no_secret),
		cmocka_unit_test(test_acquire_brings_all_children),
		cmocka_unit_test(test_lost_in_plane),
		cmocka_unit_test(test_unique),
		cmocka_unit_test(test_replacement_is_seamless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
