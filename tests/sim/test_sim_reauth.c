/* Reauthentication: a new IKE_SA beside the old one, and no packet lost while the traffic goes
 * over; by time, by command, by the peer's wish; refused; crossing everything else. */
#include "tests/sim/sim_test.h"

#define CHILDREN 3

static const char *const child_names[CHILDREN] = {"net", "second", "third"};
static const char *const conns[2] = {"to1-0", "to0-0"};

/* The conn of node i with `children` children. */
static struct conn *conn_of(struct sim *s, unsigned i, unsigned children)
{
	static const char *const nets[2] = {"192.168.1.0/24", "192.168.2.0/24"};
	struct conn *conn = sim_conn(s, i, 1 - i, 0);

	for (unsigned n = 1; n < children; n++) {
		struct child_config *c = conn_add_child(conn, child_names[n]);

		c->local_ts.n = c->remote_ts.n = 1;
		assert_true(ts_parse(n == 1 ? nets[i] : "10.99.0.0/16", &c->local_ts.ts[0]));
		assert_true(ts_parse(n == 1 ? nets[1 - i] : "10.99.0.0/16", &c->remote_ts.ts[0]));
	}
	return conn;
}

static struct sim *established(uint64_t seed, unsigned children)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	for (unsigned i = 0; i < 2; i++)
		sim_load(s, i, conn_of(s, i, children), 1);
	for (unsigned n = 0; n < children; n++)
		sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", child_names[n]);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, children);
	return s;
}

static unsigned reqid_of_newest(const struct sim *s, unsigned node)
{
	return sim_newest_child(s, node)->sa.reqid;
}

static void reauth(struct sim *s, unsigned node, unsigned children)
{
	struct sim_view before = sim_look(s, node, NULL);
	uint32_t reqid = reqid_of_newest(s, 1 - node);
	uint64_t tag;

	sim_traffic(s, 2 * MONO_MS);
	sim_run(s, 50 * MONO_MS);
	tag = sim_reauth(s, node, conns[node]);
	sim_run(s, 8 * MONO_S);
	assert_agreed(s, children);
	assert_non_null(sim_done(s, node, tag));
	assert_true(sim_done(s, node, tag)->ok);
	assert_true(sim_look(s, node, NULL).spi_i != before.spi_i);
	assert_true(sim_look(s, node, NULL).ike_initiator);
	if (children == 1)
		assert_int_equal(reqid_of_newest(s, 1 - node), reqid);
	assert_nothing_lost(s);
}

static void test_reauth(void **state)
{
	struct sim *s = established(1, 1);

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		reauth(s, i & 1, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(s->nodes[i].events[IKE_EVENT_IKE_UP], 5);
		assert_int_equal(s->nodes[i].events[IKE_EVENT_CHILD_UP], 5);
		assert_int_equal(s->nodes[i].events[IKE_EVENT_CHILD_DOWN], 4);
		assert_int_equal(s->nodes[i].events[IKE_EVENT_IKE_DOWN], 4);
		assert_int_equal(s->nodes[i].last_reason, IKE_REASON_REPLACED);
	}
	sim_free(s);
}

static void test_all_children_come_along(void **state)
{
	struct sim *s = established(2, CHILDREN);

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		reauth(s, i & 1, CHILDREN);
	sim_free(s);
}

/* The end that asks for nothing sends nothing either: no sign but the answer to a question. */
static void test_silent_initiator(void **state)
{
	struct sim *s = established(3, 1);

	(void)state;
	s->nodes[1].traffic_every = 2 * MONO_MS;
	s->nodes[1].traffic_at = s->now;
	sim_reauth(s, 0, "to1-0");
	sim_run(s, 200 * MONO_MS);
	assert_true(sim_newest_child(s, 1)->sa.outbound);
	s->nodes[1].traffic_every = 0;
	sim_run(s, 8 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].esp_received, s->nodes[1].esp_sent);
	assert_int_equal(s->nodes[0].esp_unknown, 0);
	sim_free(s);
}

/* ---- by time ---- */

struct times {
	bool reauth;
	unsigned rekey, reauth_time, over;
};

/* t: of node 0, the initiator, and of node 1; runs an hour of traffic. */
static struct sim *hour(uint64_t seed, const struct times t[2])
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = conn_of(s, i, 2);

		conn->reauth = t[i].reauth;
		conn->rekey_time = t[i].rekey * MONO_S;
		conn->reauth_time = t[i].reauth_time * MONO_S;
		conn->over_time = conn->rand_time = t[i].over * MONO_S;
		if (i == 0)
			conn->children[0].start_action = conn->children[1].start_action =
				ACTION_START;
		sim_load(s, i, conn, 1);
	}
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 2);
	sim_traffic(s, 20 * MONO_MS);
	sim_run(s, 3600 * MONO_S);
	assert_nothing_lost(s);
	assert_agreed_within(s, 2, 30 * MONO_S);
	return s;
}

static unsigned ups(const struct sim *s, unsigned node)
{
	return s->nodes[node].events[IKE_EVENT_IKE_UP];
}

static void test_by_time(void **state)
{
	struct sim *s = hour(10, (struct times[2]){{true, 100, 0, 20}, {false, 0, 0, 0}});

	(void)state;
	assert_true(ups(s, 0) >= 36 && ups(s, 0) <= 46);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_REKEYED], 0);
	sim_free(s);
}

/* Rekeys in between do not put it off, whoever does them. */
static void test_between_rekeys(void **state)
{
	struct sim *s = hour(11, (struct times[2]){{false, 70, 300, 20}, {false, 60, 0, 20}});

	(void)state;
	assert_true(ups(s, 0) >= 12 && ups(s, 0) <= 14);
	assert_true(s->nodes[0].events[IKE_EVENT_IKE_REKEYED] > 20);
	sim_free(s);
}

/* It is the initiator's work: the responder that wants it says so (RFC 4478). */
static void test_auth_lifetime(void **state)
{
	struct sim *s = hour(12, (struct times[2]){{false, 0, 0, 0}, {true, 120, 0, 20}});

	(void)state;
	assert_true(ups(s, 0) >= 31 && ups(s, 0) <= 40);
	assert_true(sim_look(s, 0, NULL).ike_initiator);
	assert_int_equal(s->nodes[1].requests[0], 0);
	sim_free(s);
}

static void test_both_want_it(void **state)
{
	struct sim *s = hour(13, (struct times[2]){{true, 100, 0, 20}, {true, 120, 0, 20}});

	(void)state;
	assert_true(ups(s, 0) >= 36 && ups(s, 0) <= 46);
	assert_int_equal(s->nodes[1].requests[0], 0);
	sim_free(s);
}

/* ---- refused ---- */

static void load_secret(struct sim *s, unsigned node, const char *words)
{
	struct ike_command c = {.kind = IKE_COMMAND_LOAD_SECRET,
				.secret = secret_new("all", SECRET_IKE, span_str(words))};

	assert_true(ike_engine_command(s->nodes[node].engine, &c, NULL, s->now));
}

/* While the peer refuses, the old one stays; it is tried again before its hard end. */
static void test_refused(void **state)
{
	struct sim *s = sim_new(20, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = conn_of(s, i, 1);

		conn->reauth = true;
		conn->rekey_time = 100 * MONO_S;
		conn->over_time = 60 * MONO_S;
		conn->rand_time = 0;
		if (i == 0)
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	sim_run(s, 2 * MONO_S);
	sim_traffic(s, 20 * MONO_MS);
	load_secret(s, 1, "another one");
	sim_run(s, 120 * MONO_S);
	assert_true(s->nodes[0].events[IKE_EVENT_FAILED] >= 1);
	assert_int_equal(ups(s, 0), 1);
	load_secret(s, 1, "the simulation's secret");
	sim_run(s, 38 * MONO_S);
	assert_int_equal(ups(s, 0), 2);
	assert_nothing_lost(s);
	assert_agreed_within(s, 1, 30 * MONO_S);
	sim_free(s);
}

/* One end reauthenticates each 100 s, and the other one has another secret once both are up. tries:
 * keyingtries, 0: the default. */
static void refuse(struct sim *s, uint32_t tries)
{
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = conn_of(s, i, 1);

		conn->reauth = i == 0;
		conn->rekey_time = 100 * MONO_S;
		conn->over_time = 60 * MONO_S;
		conn->rand_time = 0;
		if (tries)
			conn->keying_tries = tries;
		if (i == 0)
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	sim_run(s, 2 * MONO_S);
	load_secret(s, 1, "another one");
}

/* For ever: the IKE_SA ends at its hard end, and the conn is tried as any that is lost. */
static void test_refused_for_ever(void **state)
{
	struct sim *s = sim_new(21, 2, &crypto_null, NULL);

	(void)state;
	refuse(s, 0);
	sim_run(s, 170 * MONO_S);
	assert_holds(s);
	assert_true(s->nodes[0].events[IKE_EVENT_FAILED] >= 3);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 1);
	load_secret(s, 1, "the simulation's secret");
	assert_agreed_within(s, 1, 120 * MONO_S);
	sim_free(s);
}

/* keyingtries counts attempts while there is nothing: what would have replaced the old one is
 * none, and when that goes all of them are left. */
static void test_refused_is_no_keying_try(void **state)
{
	struct sim *s = sim_new(22, 2, &crypto_null, NULL);

	(void)state;
	refuse(s, 3);
	sim_run(s, 148 * MONO_S);
	assert_true(s->nodes[0].events[IKE_EVENT_FAILED] >= 3);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 0);
	load_secret(s, 1, "the simulation's secret");
	sim_command(s, 1, IKE_COMMAND_TERMINATE, "to0-0", NULL);
	sim_run(s, MONO_S / 10);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 1);
	assert_agreed_within(s, 1, 30 * MONO_S);
	sim_free(s);
}

/* A command is told why it can't be. */
static void test_not_possible(void **state)
{
	struct sim *s = sim_new(22, 2, &crypto_null, NULL);
	struct conn *a, *b;
	uint64_t tag;

	(void)state;
	sim_put_nat(s, 0, 60 * MONO_S);
	a = sim_conn(s, 0, 1, 0);
	b = sim_conn(s, 1, 0, 0);
	a->children[0].start_action = ACTION_START;
	b->remote[0] = (struct host){.kind = HOST_ANY};
	sim_load(s, 1, b, 1);
	sim_load(s, 0, a, 1);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	tag = sim_reauth(s, 1, "to0-0");
	assert_non_null(sim_done(s, 1, tag));
	assert_false(sim_done(s, 1, tag)->ok);
	assert_int_equal(sim_done(s, 1, tag)->reason, IKE_REASON_NOT_POSSIBLE);
	reauth(s, 0, 1);
	sim_free(s);
}

/* unique=keep takes a second IKE_SA from where the first one is. */
static void test_every_unique(void **state)
{
	(void)state;
	for (int unique = UNIQUE_NO; unique <= UNIQUE_REPLACE; unique++) {
		struct sim *s = sim_new(30 + (uint64_t)unique, 2, &crypto_null, NULL);

		for (unsigned i = 0; i < 2; i++) {
			struct conn *conn = conn_of(s, i, 2);

			conn->unique = unique;
			sim_load(s, i, conn, 1);
		}
		sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
		sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");
		sim_run(s, 2 * MONO_S);
		assert_agreed(s, 2);
		reauth(s, 0, 2);
		reauth(s, 1, 2);
		sim_free(s);
	}
}

/* ---- crossing ---- */

enum action { NOTHING, REAUTH, REKEY_CHILD, REKEY_IKE, CREATE, DELETE_CHILD, DELETE_IKE, ACTIONS };

static const char *const action_names[ACTIONS] = {
	"nothing", "reauth", "rekey child", "rekey IKE", "create", "delete child", "delete IKE"};

static void act(struct sim *s, unsigned node, enum action action)
{
	switch (action) {
	case REAUTH:
		sim_reauth(s, node, conns[node]);
		break;
	case REKEY_CHILD:
		sim_command(s, node, IKE_COMMAND_REKEY, conns[node], "net");
		break;
	case REKEY_IKE:
		sim_command(s, node, IKE_COMMAND_REKEY, conns[node], NULL);
		break;
	case CREATE:
		sim_command(s, node, IKE_COMMAND_INITIATE, conns[node], "third");
		break;
	case DELETE_CHILD:
		sim_command(s, node, IKE_COMMAND_TERMINATE, conns[node], "second");
		break;
	case DELETE_IKE:
		sim_hold(s, node, conns[node]);
		break;
	case NOTHING:
	case ACTIONS:
		break;
	}
}

static void check_left(struct sim *s, enum action b, mono_time distance, unsigned lost)
{
	struct sim_view views[2] = {sim_look(s, 0, NULL), sim_look(s, 1, NULL)};
	unsigned children = b == CREATE ? 3 : b == DELETE_CHILD ? 1 : 2;
	char why[160] = "";
	bool ok;

	if (b == DELETE_IKE)
		ok = !views[0].ike_established && !views[1].ike_established && !s->nodes[0].plane &&
		     !s->nodes[1].plane;
	else
		ok = sim_agree(s, 0, 1, children, why) ||
		     /* node 0 copied it before it heard that it goes: the peer brought it up */
		     (b == DELETE_CHILD && sim_agree(s, 0, 1, 2, why));
	if (s->violation[0] || !ok)
		fail_msg("seed %llu, node0 reauth, node1 %s %llu ms later, lost %u: %s%s (%u/%u)",
			 (unsigned long long)s->seed, action_names[b],
			 (unsigned long long)(distance / MONO_MS), lost, s->violation, why,
			 views[0].ike, views[1].ike);
}

static void cross(uint64_t seed, enum action b, mono_time distance, unsigned lost)
{
	struct sim *s = established(seed, CHILDREN);

	/* "third" is the one that may be created. */
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", "third");
	sim_run(s, MONO_S);
	sim_command(s, 1, IKE_COMMAND_TERMINATE, "to0-0", "third");
	sim_traffic(s, 4 * MONO_MS);
	sim_run(s, 40 * MONO_MS);
	for (unsigned i = 0; i < 2; i++) {
		s->links[i][1 - i].drop_exchange = (uint8_t)(35 + lost / 4);
		s->links[i][1 - i].drop_responses = true;
		s->links[i][1 - i].drop_next = lost >> i & 1;
	}
	act(s, 0, REAUTH);
	sim_run(s, distance);
	act(s, 1, b);
	sim_run(s, 8 * MONO_S);
	sim_traffic(s, 0);
	sim_run(s, 90 * MONO_S);
	check_left(s, b, distance, lost);
	/* A CHILD_SA that is the first of its kind sends at once, though the answer may be lost. */
	if (b != DELETE_IKE && b != DELETE_CHILD && !(b == CREATE && lost))
		assert_nothing_lost(s);
	sim_free(s);
}

/* lost: the first answer of IKE_AUTH, CREATE_CHILD_SA or INFORMATIONAL, of either end. */
static void test_reauth_crosses_everything(void **state)
{
	uint64_t seed = 1000;

	(void)state;
	for (enum action b = NOTHING; b < ACTIONS; b++)
		for (mono_time d = 0; d <= 100 * MONO_MS; d += 10 * MONO_MS)
			for (unsigned lost = 0; lost < 12; lost++, seed++)
				if (seed % sim_stride() == 0)
					cross(seed, b, d, lost);
}

static bool peers_died(const struct sim *s)
{
	return ike_engine_counters(s->nodes[0].engine)->peers_dead ||
	       ike_engine_counters(s->nodes[1].engine)->peers_dead;
}

/* Everything at random moments, over links that lose and mix up IKE messages. */
static void test_reauths_lose_nothing(void **state)
{
	const struct sim_link bad = {.latency = 5 * MONO_MS,
				     .jitter = 60 * MONO_MS,
				     .loss = 150,
				     .duplicate = 150,
				     .reorder = 150,
				     .spare_esp = true};
	unsigned untouched = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed += sim_stride()) {
		struct sim *s = established(seed, 2);
		uint64_t rng = seed;

		sim_all_links(s, &bad);
		sim_traffic(s, 7 * MONO_MS);
		for (unsigned i = 0; i < 10; i++) {
			rng = rng * 6364136223846793005ULL + 1442695040888963407ULL;
			act(s, rng >> 33 & 1, (enum action)(REAUTH + (rng >> 40) % 3));
			sim_run(s, (rng >> 44) % 4000 * MONO_MS);
		}
		sim_traffic(s, 0);
		sim_run(s, 2 * MONO_S); /* what is on its way arrives */
		assert_holds(s);
		if (!peers_died(s)) {
			assert_nothing_lost(s);
			untouched++;
		}
		sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS});
		sim_run(s, 40 * MONO_S);
		if (!peers_died(s))
			assert_agreed_within(s, 2, 120 * MONO_S);
		sim_free(s);
	}
	assert_true(untouched * sim_stride() > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reauth),
		cmocka_unit_test(test_all_children_come_along),
		cmocka_unit_test(test_silent_initiator),
		cmocka_unit_test(test_by_time),
		cmocka_unit_test(test_between_rekeys),
		cmocka_unit_test(test_auth_lifetime),
		cmocka_unit_test(test_both_want_it),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_for_ever),
		cmocka_unit_test(test_refused_is_no_keying_try),
		cmocka_unit_test(test_not_possible),
		cmocka_unit_test(test_every_unique),
		cmocka_unit_test(test_reauths_lose_nothing),
		cmocka_unit_test(test_reauth_crosses_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
