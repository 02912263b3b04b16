/* Each exchange by itself, on links that work, and with its first answers lost. */
#include "tests/sim/sim_parts.h"
#include "tests/sim/sim_test.h"
#include "tests/support/propose.h"

#include <stdio.h>

static void set_proposals(struct conn *conn, const char *ike, const char *esp)
{
	if (ike)
		propose(PROTOCOL_IKE, ike, &conn->proposals);
	for (unsigned i = 0; esp && i < conn->n_children; i++)
		propose(PROTOCOL_ESP, esp, &conn->children[i].proposals);
}

/* A pair with proposals of its own; node 0 starts. */
static struct sim *pair_with(uint64_t seed, const struct crypto_ops *crypto, const char *ike[2],
			     const char *esp[2])
{
	struct sim *s = sim_new(seed, 2, crypto, NULL);

	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		set_proposals(conn, ike ? ike[i] : NULL, esp ? esp[i] : NULL);
		if (i == 0)
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	return s;
}

static void test_establish(void **state)
{
	struct sim *s = sim_new(1, 2, &crypto_null, NULL);

	(void)state;
	sim_pair(s, 1);
	sim_run(s, MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].requests[0], 1);
	assert_int_equal(s->nodes[0].requests[1], 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(s->nodes[i].events[IKE_EVENT_IKE_UP], 1);
		assert_int_equal(s->nodes[i].events[IKE_EVENT_CHILD_UP], 1);
		assert_int_equal(s->nodes[i].events[IKE_EVENT_FAILED], 0);
	}
	sim_traffic(s, 10 * MONO_MS);
	sim_run(s, 2 * MONO_S);
	assert_nothing_lost(s);
	sim_free(s);
}

static void test_initiate_tells_the_command(void **state)
{
	struct sim *s = sim_new(2, 2, &crypto_null, NULL);
	uint64_t tag;

	(void)state;
	sim_pair(s, 0);
	sim_run(s, MONO_S);
	assert_int_equal(sim_look(s, 0, NULL).ike, 0);
	tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	assert_null(sim_done(s, 0, tag));
	sim_run(s, MONO_S);
	assert_non_null(sim_done(s, 0, tag));
	assert_true(sim_done(s, 0, tag)->ok);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_cookie(void **state)
{
	struct ike_settings settings = {.cookie_threshold = 1};
	struct sim *s = sim_new(3, 2, &crypto_null, &settings);

	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		struct conn *a = sim_conn(s, 0, 1, n);

		a->children[0].start_action = ACTION_START;
		sim_load(s, 1, sim_conn(s, 1, 0, n), n + 1);
		sim_load(s, 0, a, n + 1);
	}
	sim_run(s, 3 * MONO_S);
	assert_holds(s);
	assert_true(s->nodes[0].requests[0] > 4);
	assert_int_equal(sim_look(s, 0, NULL).ike_established, 4);
	assert_int_equal(sim_look(s, 1, NULL).children_installed, 4);
	sim_free(s);
}

static void test_invalid_ke(void **state)
{
	const char *ike[2] = {"aes128gcm16-prfsha256-modp2048-x25519",
			      "aes128gcm16-prfsha256-x25519"};
	struct sim *s = pair_with(4, &crypto_null, ike, NULL);

	(void)state;
	sim_run(s, MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].requests[0], 2);
	sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", NULL);
	sim_run(s, 8 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[0].requests[2], 1); /* the group in use is asked for first */
	sim_command(s, 1, IKE_COMMAND_REKEY, "to0-0", NULL);
	sim_run(s, 8 * MONO_S);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_openssl_suites(void **state)
{
	static const char *const suites[][2] = {
		{"aes128gcm16-prfsha256-x25519", "aes128gcm16-x25519"},
		{"aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp256-esn"},
		{"chacha20poly1305-prfsha512-ecp521", "chacha20poly1305"},
		{"aes128-sha256-modp2048", "aes128-sha256-modp2048"},
		{"aes256-sha512-ecp256", "aes256-sha512"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		const char *ike[2] = {suites[i][0], suites[i][0]};
		const char *esp[2] = {suites[i][1], suites[i][1]};
		struct sim *s = pair_with(5 + i, &crypto_openssl, ike, esp);

		sim_run(s, MONO_S);
		assert_agreed(s, 1);
		sim_command(s, 1, IKE_COMMAND_REKEY, "to0-0", "net");
		sim_run(s, 8 * MONO_S);
		assert_agreed(s, 1);
		sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", NULL);
		sim_run(s, 8 * MONO_S);
		assert_agreed(s, 1);
		sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");
		sim_run(s, 8 * MONO_S);
		assert_agreed(s, 1);
		sim_free(s);
	}
}

/* Rekeys the CHILD_SA from `node` under traffic. */
static void rekey_child(struct sim *s, unsigned node)
{
	struct sim_view before = sim_look(s, node, NULL), after;
	uint64_t tag;

	sim_traffic(s, 3 * MONO_MS);
	sim_run(s, 100 * MONO_MS);
	tag = sim_command(s, node, IKE_COMMAND_REKEY, node ? "to0-0" : "to1-0", "net");
	sim_run(s, 8 * MONO_S);
	assert_agreed(s, 1);
	assert_non_null(sim_done(s, node, tag));
	assert_true(sim_done(s, node, tag)->ok);
	after = sim_look(s, node, NULL);
	assert_int_not_equal(before.spi_in, after.spi_in);
	assert_true(before.spi_i == after.spi_i);
	assert_nothing_lost(s);
}

static void test_rekey_child(void **state)
{
	struct sim *s = sim_established(10);

	(void)state;
	rekey_child(s, 0);
	rekey_child(s, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(s->nodes[i].events[IKE_EVENT_CHILD_REKEYED], 2);
		assert_int_equal(s->nodes[i].events[IKE_EVENT_CHILD_DOWN], 0);
		assert_int_equal(s->nodes[i].installs, 3);
		assert_int_equal(s->nodes[i].removes, 2);
	}
	sim_free(s);
}

static void test_rekey_child_pfs(void **state)
{
	const char *esp[2] = {"aes128gcm16-x25519", "aes128gcm16-x25519"};
	struct sim *s = pair_with(11, &crypto_null, NULL, esp);

	(void)state;
	sim_run(s, MONO_S);
	assert_agreed(s, 1);
	assert_null(sim_look(s, 0, NULL).child_suite.ke);
	rekey_child(s, 0);
	assert_non_null(sim_look(s, 0, NULL).child_suite.ke);
	rekey_child(s, 1);
	assert_non_null(sim_look(s, 1, NULL).child_suite.ke);
	sim_free(s);
}

static void test_rekey_child_pfs_other_group(void **state)
{
	const char *esp[2] = {"aes128gcm16-modp2048-x25519", "aes128gcm16-x25519"};
	struct sim *s = pair_with(12, &crypto_null, NULL, esp);

	(void)state;
	sim_run(s, MONO_S);
	rekey_child(s, 0);
	assert_int_equal(s->nodes[0].requests[2], 2); /* INVALID_KE_PAYLOAD, then x25519 */
	assert_int_equal(sim_look(s, 0, NULL).child_suite.ke->id, KE_CURVE25519);
	rekey_child(s, 0);
	assert_int_equal(s->nodes[0].requests[2], 3);
	sim_free(s);
}

static void test_rekey_ike(void **state)
{
	struct sim *s = sim_established(13);

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		unsigned node = i & 1;
		struct sim_view before = sim_look(s, node, NULL), after;
		uint64_t tag;

		sim_traffic(s, 3 * MONO_MS);
		tag = sim_command(s, node, IKE_COMMAND_REKEY, node ? "to0-0" : "to1-0", NULL);
		sim_run(s, 2 * MONO_S);
		assert_agreed(s, 1);
		assert_true(sim_done(s, node, tag)->ok);
		after = sim_look(s, node, NULL);
		assert_true(before.spi_i != after.spi_i && before.spi_r != after.spi_r);
		assert_int_equal(before.spi_in, after.spi_in); /* inherited */
		assert_nothing_lost(s);
	}
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_REKEYED], 4);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_IKE_REKEYED], 4);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 0);
	rekey_child(s, 1);
	sim_free(s);
}

static void test_delete_child(void **state)
{
	struct sim *s = sim_established(14);
	uint64_t tag;

	(void)state;
	tag = sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", "net");
	sim_run(s, 2 * MONO_S);
	assert_holds(s);
	assert_true(sim_done(s, 0, tag)->ok);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(sim_look(s, i, NULL).children, 0);
		assert_int_equal(sim_look(s, i, NULL).ike_established, 1);
		assert_null(s->nodes[i].plane);
		assert_int_equal(s->nodes[i].events[IKE_EVENT_CHILD_DOWN], 1);
	}
	tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, 2 * MONO_S);
	assert_true(sim_done(s, 0, tag)->ok);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_delete_ike(void **state)
{
	(void)state;
	for (unsigned node = 0; node < 2; node++) {
		struct sim *s = sim_new(15 + node, 2, &crypto_null, NULL);
		uint64_t tag;

		sim_pair(s, 0);
		sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
		sim_run(s, 2 * MONO_S);
		assert_agreed(s, 1);
		tag = sim_command(s, node, IKE_COMMAND_TERMINATE, node ? "to0-0" : "to1-0", NULL);
		sim_run(s, MONO_S);
		assert_true(sim_done(s, node, tag)->ok);
		assert_int_equal(sim_look(s, node, NULL).ike, 0);
		assert_int_equal(s->nodes[1 - node].events[IKE_EVENT_IKE_DOWN], 1);
		assert_int_equal(s->nodes[1 - node].events[IKE_EVENT_CHILD_DOWN], 1);
		assert_null(s->nodes[node].plane);
		sim_free(s);
	}
}

/* By force: the SA is gone at once, and the peer is told all the same. */
static void test_delete_ike_by_force(void **state)
{
	struct ike_command c = {.kind = IKE_COMMAND_TERMINATE,
				.tag = 1000,
				.select = {.ike = "to1-0"},
				.force = true};
	struct sim *s = sim_established(18);
	const char *error;

	(void)state;
	assert_true(ike_engine_command(s->nodes[0].engine, &c, &error, s->now));
	sim_drain(s, 0);
	assert_true(sim_done(s, 0, 1000)->ok);
	assert_int_equal(sim_look(s, 0, NULL).ike, 0);
	sim_run(s, MONO_S);
	assert_int_equal(sim_look(s, 1, NULL).ike, 0);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_CHILD_DOWN], 1);
	sim_free(s);
}

static void test_delete_child_by_force(void **state)
{
	struct ike_command c = {.kind = IKE_COMMAND_TERMINATE,
				.tag = 1000,
				.select = {.ike = "to1-0", .child = "net"},
				.force = true};
	struct sim *s = sim_established(18);
	const char *error;

	(void)state;
	assert_true(ike_engine_command(s->nodes[0].engine, &c, &error, s->now));
	sim_drain(s, 0);
	assert_true(sim_done(s, 0, 1000)->ok);
	assert_int_equal(sim_look(s, 0, NULL).children, 0);
	sim_run(s, MONO_S);
	assert_int_equal(sim_look(s, 1, NULL).children, 0);
	assert_int_equal(sim_look(s, 1, NULL).ike, 1);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_CHILD_DOWN], 1);
	sim_free(s);
}

/* What is taken down isn't started again by its own end, though it is auto=start there;
 * the peer may bring it up, unless it is held down. */
static void test_terminate_and_hold(void **state)
{
	struct sim *s = sim_established(19);
	char detail[160];
	mono_time next;

	(void)state;
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", NULL);
	sim_run(s, 200 * MONO_S);
	assert_int_equal(sim_look(s, 0, NULL).ike, 0);
	sim_command(s, 1, IKE_COMMAND_INITIATE, "to0-0", NULL);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	sim_hold(s, 0, "to1-0");
	sim_run(s, 200 * MONO_S);
	sim_command(s, 1, IKE_COMMAND_INITIATE, "to0-0", NULL);
	sim_run(s, 200 * MONO_S);
	assert_int_equal(sim_look(s, 0, NULL).ike, 0);
	assert_int_equal(ike_engine_conn_status(s->nodes[0].engine, "to1-0", &next, detail),
			 IKE_REASON_COMMAND);
	assert_string_equal(detail, "taken down; stays so until it is initiated here");
	assert_int_equal(next, 0);
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", NULL);
	sim_run(s, 2 * MONO_S);
	assert_agreed_within(s, 1, 120 * MONO_S);
	sim_free(s);
}

static bool node0_down(struct sim *s)
{
	return s->nodes[0].events[IKE_EVENT_IKE_DOWN] > 0;
}

static void test_dead_peer(void **state)
{
	struct sim *s = sim_established(17);
	mono_time cut;

	(void)state;
	sim_run(s, 100 * MONO_S);
	assert_agreed(s, 1);
	s->links[0][1].cut = s->links[1][0].cut = true;
	cut = s->now;
	assert_true(sim_run_until(s, node0_down, 60 * MONO_S));
	assert_true(s->now - cut <= 30 * MONO_S);
	assert_int_equal(s->nodes[0].last_reason, IKE_REASON_PEER_DEAD);
	/* Lost peers are tried for ever; both ends come back, once. */
	sim_run(s, 3600 * MONO_S);
	s->links[0][1].cut = s->links[1][0].cut = false;
	assert_agreed_within(s, 1, 120 * MONO_S);
	sim_free(s);
}

static void test_traffic_replaces_liveness_checks(void **state)
{
	struct sim *s = sim_established(18);
	unsigned before = s->nodes[0].requests[3] + s->nodes[1].requests[3];

	(void)state;
	sim_traffic(s, 100 * MONO_MS);
	sim_run(s, 120 * MONO_S);
	assert_int_equal(s->nodes[0].requests[3] + s->nodes[1].requests[3], before);
	sim_traffic(s, 0);
	sim_run(s, 60 * MONO_S);
	assert_true(s->nodes[0].requests[3] + s->nodes[1].requests[3] > before);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_lost_answers(void **state)
{
	static const enum ike_command_kind commands[] = {
		IKE_COMMAND_REKEY, IKE_COMMAND_REKEY, IKE_COMMAND_TERMINATE, IKE_COMMAND_INITIATE};
	static const char *const children[] = {"net", NULL, "net", "net"};

	(void)state;
	for (unsigned lost = 1; lost <= 3; lost++) {
		struct sim *s = sim_new(20 + lost, 2, &crypto_null, NULL);

		for (uint8_t type = 34; type <= 35; type++) {
			s->links[1][0].drop_exchange = type;
			s->links[1][0].drop_responses = true;
			s->links[1][0].drop_next = lost;
			if (type == 34)
				sim_pair(s, 1);
			sim_run(s, type == 34 ? 10 * MONO_MS : 20 * MONO_S);
		}
		assert_agreed(s, 1);
		for (uint8_t type = 36; type <= 37; type++) {
			for (unsigned i = 0; i < 4; i++) {
				uint64_t tag;

				s->links[1][0].drop_exchange = type;
				s->links[1][0].drop_next = lost;
				tag = sim_command(s, 0, commands[i], "to1-0", children[i]);
				sim_run(s, 30 * MONO_S);
				assert_holds(s);
				assert_non_null(sim_done(s, 0, tag));
				assert_true(sim_done(s, 0, tag)->ok);
				s->links[1][0].drop_next = 0;
			}
		}
		assert_agreed(s, 1);
		sim_free(s);
	}
}

static void test_nat(void **state)
{
	struct sim *s = sim_new(30, 2, &crypto_null, NULL);
	struct conn *a, *b;

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
	assert_true(sim_newest_child(s, 0)->sa.udp_encap);
	assert_int_equal(sim_newest_child(s, 0)->sa.remote.port, 4500);
	assert_true(sim_newest_child(s, 1)->sa.remote.port >= 20000);
	sim_run(s, 600 * MONO_S);
	assert_true(s->nodes[0].keepalives > 0);
	assert_int_equal(s->nodes[1].keepalives, 0);
	assert_agreed(s, 1);
	/* The NAT reboots; ESP from the new port tells the peer behind it. */
	sim_nat_forget(s, 0);
	sim_traffic(s, 50 * MONO_MS);
	sim_run(s, 5 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_IKE_MOVED], 1);
	sim_command(s, 1, IKE_COMMAND_REKEY, "to0-0", "net");
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 1);
	sim_free(s);
}

/* Both ends leave it to a plane that likes UDP better, or both do not want it. */
static void test_encap_default(void **state)
{
	struct ike_settings settings = {.encap_default = true};

	(void)state;
	for (unsigned no = 0; no < 2; no++) {
		struct sim *s = sim_new(31, 2, &crypto_null, &settings);

		for (unsigned i = 0; i < 2; i++) {
			struct conn *conn = sim_conn(s, i, 1 - i, 0);

			conn->encap = no ? ENCAP_NO : ENCAP_AUTO;
			if (i == 0)
				conn->children[0].start_action = ACTION_START;
			sim_load(s, i, conn, 1);
		}
		sim_run(s, 2 * MONO_S);
		assert_agreed(s, 1);
		assert_int_equal(sim_newest_child(s, 0)->sa.udp_encap, !no);
		assert_int_equal(sim_newest_child(s, 1)->sa.remote.port, no ? 500 : 4500);
		sim_free(s);
	}
}

/* Both conns get a child more; esp_b: its proposals at node 1, ts_b: node 1's idea of its
 * remote selector. */
static struct sim *two_children(uint64_t seed, const char *esp_b, const char *ts_b)
{
	struct sim *s = sim_new(seed, 2, &crypto_null, NULL);

	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);
		struct child_config *second = conn_add_child(conn, "second");
		const char *esp = i ? esp_b : "aes128gcm16";

		second->local_ts.n = second->remote_ts.n = 1;
		assert_true(
			ts_parse(i ? "192.168.2.0/24" : "192.168.1.0/24", &second->local_ts.ts[0]));
		assert_true(ts_parse(i ? ts_b : "192.168.2.0/24", &second->remote_ts.ts[0]));
		propose(PROTOCOL_ESP, esp, &second->proposals);
		if (i == 0)
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	return s;
}

static void test_further_child(void **state)
{
	struct sim *s = two_children(40, "aes128gcm16", "192.168.1.0/24");
	uint64_t tag;

	(void)state;
	tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");
	sim_run(s, 2 * MONO_S);
	assert_true(sim_done(s, 0, tag)->ok);
	assert_agreed(s, 2);
	sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", NULL);
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 2);
	sim_command(s, 1, IKE_COMMAND_REKEY, "to0-0", "second");
	sim_command(s, 1, IKE_COMMAND_REKEY, "to0-0", "net");
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 2);
	sim_command(s, 1, IKE_COMMAND_TERMINATE, "to0-0", "second");
	sim_run(s, 2 * MONO_S);
	assert_agreed(s, 1);
	sim_free(s);
}

/* As docs/vici.md has it: the connection alone means the children that are to be started. */
static void test_initiate_without_child(void **state)
{
	struct sim *s = two_children(39, "aes128gcm16", "192.168.1.0/24");
	uint64_t tag;

	(void)state;
	sim_command(s, 0, IKE_COMMAND_TERMINATE, "to1-0", NULL);
	sim_run(s, 5 * MONO_S);
	tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", NULL);
	sim_run(s, 5 * MONO_S);
	assert_true(sim_done(s, 0, tag)->ok);
	assert_agreed(s, 1);
	sim_free(s);
}

static void refused_child(uint64_t seed, const char *esp_b, const char *ts_b,
			  enum ike_reason reason)
{
	struct sim *s = two_children(seed, esp_b, ts_b);
	uint64_t tag = sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "second");

	sim_run(s, 2 * MONO_S);
	assert_non_null(sim_done(s, 0, tag));
	assert_false(sim_done(s, 0, tag)->ok);
	assert_int_equal(sim_done(s, 0, tag)->reason, reason);
	assert_true(s->nodes[0].events[IKE_EVENT_FAILED] >= 1);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_refused_child(void **state)
{
	(void)state;
	refused_child(41, "aes256-sha512", "192.168.1.0/24", IKE_REASON_NO_PROPOSAL);
	refused_child(42, "aes128gcm16", "192.168.77.0/24", IKE_REASON_TS_UNACCEPTABLE);
}

static void test_install_failed(void **state)
{
	struct sim *s = sim_new(43, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		conn->children[0].start_action = ACTION_START;
		conn->children[0].close_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	assert_agreed_within(s, 1, 10 * MONO_S);
	s->nodes[1].refuse_install = true;
	sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", "net");
	sim_run(s, 60 * MONO_S);
	assert_agreed_within(s, 1, 60 * MONO_S);
	sim_free(s);
}

/* Lifetimes of both ends, small; n seconds of traffic; nothing may be lost. */
static void test_lifetimes(void **state)
{
	struct sim *s = sim_new(44, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		conn->rekey_time = 300 * MONO_S;
		conn->over_time = conn->rand_time = 30 * MONO_S;
		conn->children[0].rekey_time = 60 * MONO_S;
		conn->children[0].life_time = 80 * MONO_S;
		conn->children[0].rand_time = 10 * MONO_S;
		if (i == 0)
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	sim_run(s, 2 * MONO_S);
	sim_traffic(s, 20 * MONO_MS);
	sim_run(s, 3600 * MONO_S);
	assert_holds(s);
	assert_true(s->nodes[0].events[IKE_EVENT_CHILD_REKEYED] >= 55);
	assert_true(s->nodes[0].events[IKE_EVENT_IKE_REKEYED] >= 10);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_DOWN], 0);
	assert_nothing_lost(s);
	assert_agreed_within(s, 1, 20 * MONO_S);
	sim_free(s);
}

static void test_byte_limits(void **state)
{
	struct sim *s = sim_new(45, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		conn->children[0].rekey_bytes = 500000;
		conn->children[0].life_bytes = 600000;
		if (i == 0)
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
	sim_run(s, 2 * MONO_S);
	sim_traffic(s, 10 * MONO_MS); /* 500 packets: 5 s */
	sim_run(s, 60 * MONO_S);
	assert_true(s->nodes[0].events[IKE_EVENT_CHILD_REKEYED] >= 10);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_DOWN], 0);
	assert_nothing_lost(s);
	assert_agreed_within(s, 1, 10 * MONO_S);
	sim_free(s);
}

/* rekey=no: a byte limit makes us rekey no more than the time does; the SA ends. */
static void test_byte_limits_without_rekey(void **state)
{
	struct sim *s = sim_new(49, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		conn->rekey = false;
		conn->children[0].rekey_bytes = 500000;
		conn->children[0].life_bytes = 600000;
		sim_load(s, i, conn, 1);
	}
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, 2 * MONO_S);
	sim_traffic(s, 10 * MONO_MS);
	sim_run(s, 10 * MONO_S);
	assert_holds(s);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_REKEYED], 0);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_DOWN], 1);
	sim_free(s);
}

/* Nobody rekeys: at the hard limit the CHILD_SA goes at both ends. */
static void test_hard_limit(void **state)
{
	struct sim *s = sim_new(46, 2, &crypto_null, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		conn->rekey = false;
		conn->children[0].life_time = 30 * MONO_S;
		sim_load(s, i, conn, 1);
	}
	sim_command(s, 0, IKE_COMMAND_INITIATE, "to1-0", "net");
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 1);
	sim_run(s, 25 * MONO_S);
	assert_holds(s);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_CHILD_DOWN], 1);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_CHILD_DOWN], 1);
	sim_free(s);
}

static void test_shutdown(void **state)
{
	struct sim *s = sim_established(47);

	(void)state;
	sim_command(s, 1, IKE_COMMAND_SHUTDOWN, NULL, NULL);
	sim_run(s, MONO_S);
	assert_holds(s);
	assert_int_equal(s->nodes[1].events[IKE_EVENT_SHUTDOWN_DONE], 1);
	assert_int_equal(sim_look(s, 1, NULL).ike, 0);
	assert_null(s->nodes[1].plane);
	assert_int_equal(s->nodes[0].events[IKE_EVENT_IKE_DOWN], 1);
	sim_free(s);
}

static void test_same_seed_same_bytes(void **state)
{
	uint64_t transcripts[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct sim *s = sim_new(i == 2 ? 51 : 50, 2, &crypto_null, NULL);
		struct sim_link bad = {.latency = 10 * MONO_MS,
				       .jitter = 30 * MONO_MS,
				       .loss = 200,
				       .duplicate = 100,
				       .reorder = 100};

		sim_all_links(s, &bad);
		sim_pair(s, 3);
		sim_run(s, 30 * MONO_S);
		sim_command(s, 0, IKE_COMMAND_REKEY, NULL, NULL);
		sim_run(s, 60 * MONO_S);
		assert_holds(s);
		transcripts[i] = s->transcript;
		sim_free(s);
	}
	assert_true(transcripts[0] == transcripts[1]);
	assert_true(transcripts[0] != transcripts[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_establish),
		cmocka_unit_test(test_initiate_tells_the_command),
		cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_invalid_ke),
		cmocka_unit_test(test_openssl_suites),
		cmocka_unit_test(test_rekey_child),
		cmocka_unit_test(test_rekey_child_pfs),
		cmocka_unit_test(test_rekey_child_pfs_other_group),
		cmocka_unit_test(test_rekey_ike),
		cmocka_unit_test(test_delete_child),
		cmocka_unit_test(test_delete_ike),
		cmocka_unit_test(test_delete_ike_by_force),
		cmocka_unit_test(test_delete_child_by_force),
		cmocka_unit_test(test_terminate_and_hold),
		cmocka_unit_test(test_dead_peer),
		cmocka_unit_test(test_traffic_replaces_liveness_checks),
		cmocka_unit_test(test_lost_answers),
		cmocka_unit_test(test_nat),
		cmocka_unit_test(test_encap_default),
		cmocka_unit_test(test_initiate_without_child),
		cmocka_unit_test(test_further_child),
		cmocka_unit_test(test_refused_child),
		cmocka_unit_test(test_install_failed),
		cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_byte_limits),
		cmocka_unit_test(test_byte_limits_without_rekey),
		cmocka_unit_test(test_hard_limit),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_same_seed_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
