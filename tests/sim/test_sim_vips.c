/* Virtual addresses: node 0 gives them, nodes 1 and 2 ask. Every query for a lease is released
 * once, whatever happens on the way. */
#include "tests/sim/sim_test.h"

#include <stdio.h>

#define WAIT (3 * MONO_S)

static void set_ts(struct ts_list *l, const char *a, const char *b)
{
	l->n = 0;
	assert_true(ts_parse(a, &l->ts[l->n++]));
	if (b)
		assert_true(ts_parse(b, &l->ts[l->n++]));
}

/* `wants` and `pools`: words with blanks between. */
static struct conn *client(struct sim *s, unsigned node, const char *wants)
{
	struct conn *c = sim_conn(s, node, 0, 0);
	char text[128], *save, *word;

	snprintf(text, sizeof(text), "%s", wants);
	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		assert_true(vip_parse(word, &c->vips[c->n_vips++]));
	set_ts(&c->children[0].local_ts, "%dynamic", NULL);
	set_ts(&c->children[0].remote_ts, "0.0.0.0/0", "::/0");
	c->children[0].start_action = ACTION_START;
	return c;
}

static struct conn *server(struct sim *s, unsigned node, const char *pools)
{
	struct conn *c = sim_conn(s, 0, node, 0);
	char text[128], *save, *word;

	snprintf(text, sizeof(text), "%s", pools);
	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		assert_true(pool_ref_parse(word, &c->pools[c->n_pools++]));
	set_ts(&c->children[0].local_ts, "0.0.0.0/0", "::/0");
	set_ts(&c->children[0].remote_ts, "%dynamic", NULL);
	return c;
}

static struct sim *two(uint64_t seed, const char *wants, const char *pools)
{
	struct sim *s = sim_new(seed, 3, &crypto_null, NULL);

	sim_load(s, 0, server(s, 1, pools), 1);
	sim_load(s, 1, client(s, 1, wants), 1);
	return s;
}

static void add_second(struct sim *s, const char *wants, const char *pools)
{
	sim_load(s, 0, server(s, 2, pools), 2);
	sim_load(s, 2, client(s, 2, wants), 1);
}

static const char *list(const struct addr *a, unsigned n, char *text)
{
	char one[ADDR_TEXT];

	text[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		strcat(text, i ? " " : "");
		strcat(text, addr_format(&a[i], one));
	}
	return text;
}

/* What node has on its tunnel 1. */
static void assert_vips(const struct sim *s, unsigned node, const char *expected)
{
	const struct sim_node *n = &s->nodes[node];
	char text[IKE_TUNNEL_VIPS_MAX * ADDR_TEXT];

	assert_holds(s);
	assert_string_equal(list(n->vips[1], n->n_vips[1], text), expected);
}

static void assert_selectors(const struct sim *s, unsigned node, const char *local)
{
	const struct sim_child *c = sim_newest_child(s, node);
	char text[TS_TEXT];

	assert_non_null(c);
	assert_string_equal(ts_list_format(&c->sa.local_ts, text, sizeof(text)), local);
}

static void assert_leases(const struct sim *s, unsigned in_use)
{
	const struct sim_node *n = &s->nodes[0];

	assert_holds(s);
	assert_int_equal(n->lease_queries - n->lease_releases, in_use);
}

static void assert_pool(const struct sim *s, unsigned n, unsigned online, unsigned offline)
{
	struct memory_pool_view v;

	assert_true(memory_pool_at(s->nodes[0].pools, n, &v));
	assert_int_equal(v.online, online);
	assert_int_equal(v.offline, offline);
}

/* ---- giving and taking ---- */

static void test_one_address(void **state)
{
	struct sim *s = two(1, "%config", "10.99.0.0/24");

	(void)state;
	sim_run(s, WAIT);
	assert_vips(s, 1, "10.99.0.1");
	assert_selectors(s, 1, "10.99.0.1/32");
	assert_agreed(s, 1);
	assert_leases(s, 1);
	sim_command(s, 1, IKE_COMMAND_TERMINATE, "to0-0", NULL);
	sim_run(s, WAIT);
	assert_vips(s, 1, "");
	assert_leases(s, 0);
	assert_pool(s, 0, 0, 1);
	sim_free(s);
}

static void test_both_families_in_one_child(void **state)
{
	struct sim *s = two(2, "%config4 %config6", "2001:db8:99::/64 10.99.0.0/24");

	(void)state;
	sim_run(s, WAIT);
	assert_vips(s, 1, "10.99.0.1 2001:db8:99::1");
	assert_selectors(s, 1, "10.99.0.1/32 2001:db8:99::1/128");
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_half_of_what_is_wanted(void **state)
{
	struct sim *s = two(3, "%config4 %config6", "10.99.0.0/24");

	(void)state;
	sim_run(s, WAIT);
	assert_vips(s, 1, "10.99.0.1");
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_given_address(void **state)
{
	static const char *const given[] = {"10.99.0.77", "2001:db8:99::77"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = two(4, given[i], "%config");

		add_second(s, given[i], "%config");
		sim_run(s, WAIT);
		assert_holds(s);
		/* one of the two has it, the other gets none */
		assert_int_equal(s->nodes[1].n_vips[1] + s->nodes[2].n_vips[1], 1);
		assert_vips(s, s->nodes[1].n_vips[1] ? 1 : 2, given[i]);
		sim_free(s);
	}
}

static void note_info(void *ctx, const struct ike_sa_info *ike, const struct ike_child_info *child)
{
	if (!child)
		*(struct ike_sa_info *)ctx = *ike;
}

static void test_views_and_dns(void **state)
{
	struct sim *s = sim_new(5, 2, &crypto_null, NULL);
	struct conn *c = server(s, 1, "10.99.0.0/24");
	struct ike_sa_info info = {0};
	char text[200];

	(void)state;
	assert_true(addr_parse("10.99.1.1", &c->dns[c->n_dns++]));
	assert_true(addr_parse("2001:db8::53", &c->dns[c->n_dns++]));
	sim_load(s, 0, c, 1);
	sim_load(s, 1, client(s, 1, "%config"), 1);
	sim_run(s, WAIT);
	ike_engine_each_sa(s->nodes[1].engine, note_info, &info);
	assert_string_equal(list(info.local_vips, info.n_local_vips, text), "10.99.0.1");
	assert_string_equal(list(info.dns, info.n_dns, text), "10.99.1.1 2001:db8::53");
	assert_int_equal(info.n_remote_vips, 0);
	ike_engine_each_sa(s->nodes[0].engine, note_info, &info);
	assert_string_equal(list(info.remote_vips, info.n_remote_vips, text), "10.99.0.1");
	assert_int_equal(info.n_local_vips, 0);
	sim_free(s);
}

/* No address, but name servers: asked for by themselves, of a peer that has no pool. */
static void test_name_servers_alone(void **state)
{
	for (unsigned asks = 0; asks < 2; asks++) {
		struct sim *s = sim_new(25, 2, &crypto_null, NULL);
		struct conn *from = server(s, 1, ""), *to = client(s, 1, "");
		struct ike_sa_info info = {0};
		char text[200];

		(void)state;
		assert_true(addr_parse("10.99.1.1", &from->dns[from->n_dns++]));
		if (asks)
			to->dns_wanted[to->n_dns_wanted++].family = AF_INET;
		sim_load(s, 0, from, 1);
		sim_load(s, 1, to, 1);
		sim_run(s, WAIT);
		ike_engine_each_sa(s->nodes[1].engine, note_info, &info);
		assert_string_equal(list(info.dns, info.n_dns, text), asks ? "10.99.1.1" : "");
		assert_int_equal(info.n_local_vips, 0);
		sim_free(s);
	}
}

static void test_two_clients_one_pool(void **state)
{
	struct sim *s = two(6, "%config", "10.99.0.0/24");

	(void)state;
	add_second(s, "%config", "10.99.0.0/24");
	sim_run(s, WAIT);
	assert_holds(s);
	assert_int_equal(s->nodes[1].n_vips[1], 1);
	assert_int_equal(s->nodes[2].n_vips[1], 1);
	assert_false(addr_equal(&s->nodes[1].vips[1][0], &s->nodes[2].vips[1][0]));
	assert_leases(s, 2);
	assert_pool(s, 0, 2, 0);
	sim_free(s);
}

/* ---- refusals ---- */

static void test_pool_exhausted(void **state)
{
	struct sim *s = two(7, "%config", "10.99.0.1");

	(void)state;
	sim_run(s, WAIT);
	add_second(s, "%config", "10.99.0.1");
	sim_run(s, WAIT);
	assert_vips(s, 1, "10.99.0.1");
	assert_vips(s, 2, "");
	assert_int_equal(s->nodes[2].last_reason, IKE_REASON_NO_ADDRESS);
	assert_true(s->nodes[0].events[IKE_EVENT_FAILED] > 0);
	/* it comes again, in IKE_AUTHs of their own, and gets it when it is free */
	sim_command(s, 1, IKE_COMMAND_TERMINATE, "to0-0", NULL);
	sim_run(s, 120 * MONO_S);
	assert_vips(s, 2, "10.99.0.1");
	assert_leases(s, 1);
	sim_free(s);
}

/* Who only answers has the reason, too. */
static void assert_kept(struct sim *s, const char *words)
{
	char detail[160];
	mono_time next;

	assert_int_equal(ike_engine_conn_status(s->nodes[0].engine, "to1-0", &next, detail),
			 IKE_REASON_NO_ADDRESS);
	assert_non_null(strstr(detail, words));
}

static void test_address_is_required(void **state)
{
	struct sim *s = two(8, "", "10.99.0.0/24");

	(void)state;
	sim_run(s, WAIT);
	assert_holds(s);
	assert_int_equal(sim_look(s, 1, NULL).children, 0);
	assert_int_equal(s->nodes[1].last_reason, IKE_REASON_NO_ADDRESS);
	assert_int_equal(s->nodes[0].lease_queries, 0);
	assert_kept(s, "does not ask for a virtual address");
	sim_run(s, 120 * MONO_S); /* less and less often */
	assert_in_range(s->nodes[1].requests[1], 5, 15);
	sim_free(s);
}

static void test_no_pool(void **state)
{
	struct sim *s = two(9, "%config", "");

	(void)state;
	sim_run(s, WAIT);
	assert_holds(s);
	assert_int_equal(sim_look(s, 1, NULL).children, 0);
	assert_int_equal(s->nodes[1].last_reason, IKE_REASON_NO_ADDRESS);
	assert_kept(s, "this connection has no pool");
	sim_free(s);
}

/* ---- pools that take their time ---- */

static void test_late_answer(void **state)
{
	struct sim *s = two(10, "%config", "10.99.0.0/24");

	(void)state;
	s->nodes[0].lease_delay = 5 * MONO_S;
	sim_run(s, 4 * MONO_S);
	assert_vips(s, 1, "");
	assert_int_equal(s->nodes[0].responses[1], 0);
	assert_true(s->nodes[1].requests[1] > 2);
	sim_run(s, 4 * MONO_S);
	assert_vips(s, 1, "10.99.0.1");
	assert_int_equal(s->nodes[0].lease_queries, 1);
	assert_agreed(s, 1);
	sim_free(s);
}

static void test_no_answer(void **state)
{
	struct sim *s = two(11, "%config", "10.99.0.0/24");

	(void)state;
	s->nodes[0].lease_delay = MONO_NEVER;
	sim_run(s, 120 * MONO_S);
	assert_vips(s, 1, "");
	assert_int_equal(sim_look(s, 0, NULL).ike_established, 0);
	/* every half-open IKE_SA that ended gave up its query */
	assert_true(s->nodes[0].lease_releases > 0);
	assert_leases(s, sim_look(s, 0, NULL).ike);
	s->nodes[0].lease_delay = 0;
	sim_run(s, 120 * MONO_S);
	assert_vips(s, 1, "10.99.0.1");
	sim_run(s, 60 * MONO_S);
	assert_leases(s, 1);
	sim_free(s);
}

/* The connection goes while its peer waits for an address. */
static void test_unloaded_while_waiting(void **state)
{
	struct sim *s = two(12, "%config", "10.99.0.0/24");

	(void)state;
	s->nodes[0].lease_delay = 2 * MONO_S;
	sim_run(s, MONO_S);
	assert_leases(s, 1);
	sim_command(s, 0, IKE_COMMAND_UNLOAD_CONN, "to1-0", NULL);
	sim_run(s, 40 * MONO_S);
	assert_vips(s, 1, "");
	assert_leases(s, 0);
	sim_free(s);
}

/* ---- life ---- */

static void test_rekeys_keep_addresses(void **state)
{
	struct sim *s = two(13, "%config4 %config6", "10.99.0.0/24 2001:db8:99::/64");

	(void)state;
	sim_run(s, WAIT);
	assert_int_equal(s->nodes[1].vips_told, 1);
	for (unsigned i = 0; i < 4; i++) {
		unsigned node = i % 2;
		const char *conn = node ? "to0-0" : "to1-0";

		sim_command(s, node, IKE_COMMAND_REKEY, conn, NULL);
		sim_run(s, WAIT);
		sim_command(s, node, IKE_COMMAND_REKEY, conn, "net");
		sim_run(s, 10 * MONO_S);
		assert_agreed(s, 1);
		assert_selectors(s, 1, "10.99.0.1/32 2001:db8:99::1/128");
	}
	/* both at once */
	sim_command(s, 0, IKE_COMMAND_REKEY, "to1-0", NULL);
	sim_command(s, 1, IKE_COMMAND_REKEY, "to0-0", NULL);
	sim_run(s, 10 * MONO_S);
	assert_agreed(s, 1);
	assert_int_equal(s->nodes[1].vips_told, 1);
	assert_int_equal(s->nodes[0].lease_queries, 1);
	assert_leases(s, 1);
	sim_command(s, 1, IKE_COMMAND_TERMINATE, "to0-0", NULL);
	sim_run(s, WAIT);
	assert_leases(s, 0);
	sim_free(s);
}

/* The initiator lost its memory and comes again before its peer knows: the same address, and
 * nobody else's. */
static void test_initiator_restarts(void **state)
{
	struct sim *s = two(14, "%config", "10.99.0.0/24");
	struct addr before;

	(void)state;
	add_second(s, "%config", "10.99.0.0/24");
	sim_run(s, WAIT);
	assert_int_equal(s->nodes[1].n_vips[1], 1);
	before = s->nodes[1].vips[1][0];
	for (unsigned i = 0; i < 3; i++) {
		sim_restart(s, 1);
		sim_load(s, 1, client(s, 1, "%config"), 1);
		sim_run(s, 20 * MONO_S);
		assert_int_equal(s->nodes[1].n_vips[1], 1);
		assert_true(addr_equal(&s->nodes[1].vips[1][0], &before));
		assert_leases(s, 2);
		assert_pool(s, 0, 2, 0);
	}
	sim_free(s);
}

/* Who gives restarts, and has forgotten: the initiator asks for what it had. */
static void test_responder_restarts(void **state)
{
	struct sim *s = two(16, "%config", "10.99.0.0/24");
	struct addr had[2];

	(void)state;
	add_second(s, "%config", "10.99.0.0/24");
	sim_run(s, WAIT);
	had[0] = s->nodes[1].vips[1][0];
	had[1] = s->nodes[2].vips[1][0];
	sim_restart(s, 0);
	sim_pool_forget(s, 0);
	for (unsigned i = 2; i > 0; i--) /* the other one first */
		sim_load(s, 0, server(s, i, "10.99.0.0/24"), i);
	sim_run(s, 120 * MONO_S);
	assert_holds(s);
	assert_true(addr_equal(&s->nodes[1].vips[1][0], &had[0]));
	assert_true(addr_equal(&s->nodes[2].vips[1][0], &had[1]));
	assert_leases(s, 2);
	sim_free(s);
}

/* The peer is dead: its address is kept for it, and it asks for the same one. */
static void test_link_cut(void **state)
{
	struct sim *s = two(15, "%config", "10.99.0.0/24");

	(void)state;
	sim_run(s, WAIT);
	s->links[0][1].cut = s->links[1][0].cut = true;
	sim_run(s, 60 * MONO_S);
	assert_vips(s, 1, "");
	assert_leases(s, 0);
	assert_pool(s, 0, 0, 1);
	s->links[0][1].cut = s->links[1][0].cut = false;
	sim_run(s, 100 * MONO_S);
	assert_vips(s, 1, "10.99.0.1");
	assert_leases(s, 1);
	sim_free(s);
}

/* Loss, late answers, commands at random; in the end all agree, and nothing is leaked. */
static void test_storm(void **state)
{
	(void)state;
	for (uint64_t seed = 100; seed < 160; seed++) {
		struct sim *s = two(seed, "%config4 %config6", "10.99.0.0/29 2001:db8:99::/64");
		struct sim_link bad = {.latency = 10 * MONO_MS,
				       .jitter = 50 * MONO_MS,
				       .loss = 200,
				       .duplicate = 50,
				       .reorder = 50};

		add_second(s, "%config4 %config6", "10.99.0.0/29 2001:db8:99::/64");
		sim_all_links(s, &bad);
		s->nodes[0].lease_delay = seed % 4 * 300 * MONO_MS;
		for (unsigned i = 0; i < 12; i++) {
			unsigned node = (unsigned)(seed + i) % 3;
			const char *conn = node ? "to0-0" : i % 2 ? "to1-0" : "to2-0";
			enum ike_command_kind kind = i % 3 == 0		  ? IKE_COMMAND_TERMINATE
						     : i % 3 == 1 && node ? IKE_COMMAND_INITIATE
									  : IKE_COMMAND_REKEY;
			struct ike_command c = {
				.kind = kind, .select = {.ike = conn}, .reset_retry = node != 0};
			const char *error;

			c.reauth = kind == IKE_COMMAND_REKEY && i % 2;
			ike_engine_command(s->nodes[node].engine, &c, &error, s->now);
			sim_run(s, 1500 * MONO_MS);
		}
		sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS});
		for (unsigned i = 1; i < 3; i++)
			sim_command(s, i, IKE_COMMAND_INITIATE, "to0-0", "net");
		sim_run(s, 200 * MONO_S);
		assert_holds(s);
		assert_int_equal(s->nodes[1].n_vips[1], 2);
		assert_int_equal(s->nodes[2].n_vips[1], 2);
		assert_leases(s, 2);
		assert_pool(s, 0, 2, 0);
		sim_command(s, 0, IKE_COMMAND_SHUTDOWN, NULL, NULL);
		sim_run(s, 10 * MONO_S);
		assert_leases(s, 0);
		sim_free(s);
	}
}

/* A reauthentication is another lease of the same address; the shell hears nothing. */
static void test_reauths_keep_addresses(void **state)
{
	struct sim *s = two(90, "%config4 %config6", "10.99.0.0/29 2001:db8:99::/64");
	unsigned told;

	(void)state;
	sim_run(s, WAIT);
	assert_vips(s, 1, "10.99.0.1 2001:db8:99::1");
	told = s->nodes[1].vips_told;
	sim_traffic(s, 2 * MONO_MS);
	s->nodes[2].traffic_every = 0;
	for (unsigned i = 0; i < 3; i++) {
		s->nodes[0].lease_delay = i * 200 * MONO_MS;
		sim_reauth(s, 1, "to0-0");
		sim_run(s, 8 * MONO_S);
		assert_vips(s, 1, "10.99.0.1 2001:db8:99::1");
		assert_int_equal(s->nodes[1].vips_told, told);
		assert_leases(s, 1);
	}
	assert_nothing_lost(s);
	/* Who gave the addresses can't: it would be the initiator, who asks and does not give. */
	sim_reauth(s, 0, "to1-0");
	sim_run(s, 8 * MONO_S);
	assert_vips(s, 1, "10.99.0.1 2001:db8:99::1");
	sim_free(s);
}

/* An IKE_AUTH that gets no address is a reauthentication that failed: the old IKE_SA stays, and it
 * is tried again before the hard end. */
static void test_reauth_without_address(void **state)
{
	struct sim *s = sim_new(91, 2, &crypto_null, NULL);
	struct conn *c = client(s, 1, "%config");

	(void)state;
	c->reauth = true;
	c->rekey_time = 100 * MONO_S;
	c->over_time = 60 * MONO_S;
	c->rand_time = 0;
	sim_load(s, 0, server(s, 1, "10.99.0.0/24"), 1);
	sim_load(s, 1, c, 1);
	sim_run(s, WAIT);
	sim_traffic(s, 20 * MONO_MS);
	s->nodes[0].no_leases = true;
	sim_run(s, 110 * MONO_S);
	assert_int_equal(s->nodes[1].last_reason, IKE_REASON_NO_ADDRESS);
	assert_vips(s, 1, "10.99.0.1");
	assert_agreed(s, 1);
	s->nodes[0].no_leases = false;
	sim_run(s, 60 * MONO_S);
	assert_nothing_lost(s);
	assert_agreed(s, 1);
	assert_vips(s, 1, "10.99.0.1");
	assert_leases(s, 1);
	sim_free(s);
}

/* All send within `wait`, and not much is asked for that. local: of the clients' second CHILD_SAs.
 */
static void peers_of_one_identity(const char *local, mono_time wait)
{
	struct sim *s = sim_new(92, 3, &crypto_null, NULL);
	struct conn *c = server(s, 1, "10.99.0.0/24");
	const struct sim_child *held;

	c->unique = UNIQUE_NEVER;
	c->remote[0] = (struct host){.kind = HOST_ANY};
	for (unsigned node = 0; node < 3; node++) {
		struct conn *one = node ? client(s, node, "%config") : c;
		struct child_config *more = conn_add_child(one, "more");

		set_ts(&more->local_ts, node ? local : "10.88.0.0/16", NULL);
		set_ts(&more->remote_ts, node ? "10.88.0.0/16" : local, NULL);
		set_ts(&one->children[0].local_ts, node ? "%dynamic" : "10.77.0.0/16", NULL);
		set_ts(&one->children[0].remote_ts, node ? "10.77.0.0/16" : "%dynamic", NULL);
		more->start_action = node ? ACTION_START : ACTION_NONE;
		one->unique = UNIQUE_NEVER;
		if (node)
			assert_true(id_parse("road", &one->local_id));
		else
			assert_true(id_parse("road", &one->remote_id));
		sim_load(s, node, one, 1);
		sim_run(s, WAIT);
	}
	sim_run(s, wait);
	assert_holds(s);
	assert_int_equal(sim_look(s, 0, NULL).children_installed, 4);
	DL_FOREACH (s->nodes[0].order, held)
		assert_true(held->sa.outbound);
	assert_true(s->nodes[0].requests[3] <= 12);
	sim_free(s);
}

/* unique=never: peers that share an identity are not one peer that comes again. Each gets its
 * CHILD_SAs, and they send at once; if they are for the same addresses, soon. */
static void test_peers_of_one_identity(void **state)
{
	(void)state;
	peers_of_one_identity("%dynamic", 0);
	peers_of_one_identity("10.55.0.0/16", 12 * MONO_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_address),
		cmocka_unit_test(test_both_families_in_one_child),
		cmocka_unit_test(test_half_of_what_is_wanted),
		cmocka_unit_test(test_given_address),
		cmocka_unit_test(test_views_and_dns),
		cmocka_unit_test(test_name_servers_alone),
		cmocka_unit_test(test_two_clients_one_pool),
		cmocka_unit_test(test_pool_exhausted),
		cmocka_unit_test(test_address_is_required),
		cmocka_unit_test(test_no_pool),
		cmocka_unit_test(test_late_answer),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_unloaded_while_waiting),
		cmocka_unit_test(test_rekeys_keep_addresses),
		cmocka_unit_test(test_reauths_keep_addresses),
		cmocka_unit_test(test_reauth_without_address),
		cmocka_unit_test(test_peers_of_one_identity),
		cmocka_unit_test(test_initiator_restarts),
		cmocka_unit_test(test_responder_restarts),
		cmocka_unit_test(test_link_cut),
		cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
