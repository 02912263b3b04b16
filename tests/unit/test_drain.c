/* drain.c over the fake data plane, with a list of SAs that stands for the engine's. */
#include "ipsecd/dataplane/fake.h"
#include "ipsecd/drain.h"
#include "tests/support/crypto_null.h"

#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CHILD 7 /* its handle */

struct ike_engine {
	struct ike_sa_info ike;
	struct ike_child_info child, next; /* next: what replaces child; id 0: nothing does */
};

struct fixture {
	struct ev_loop *loop;
	struct dataplane *plane;
	struct tunnels *tunnels;
	struct drains *drains;
	struct conn *conn;
	struct ike_engine engine;
	struct ike_select meant; /* of the TERMINATE that came */
	bool successors;
	bool unwilling; /* nothing is hit */
	unsigned terminated;
};

void ike_engine_each_sa(const struct ike_engine *e,
			void (*cb)(void *ctx, const struct ike_sa_info *ike,
				   const struct ike_child_info *child),
			void *ctx)
{
	cb(ctx, &e->ike, NULL);
	cb(ctx, &e->ike, &e->child);
	if (e->next.id)
		cb(ctx, &e->ike, &e->next);
}

/* ---- hosts ---- */

static void plane_event(void *ctx, const struct dataplane_event *event)
{
	(void)ctx;
	(void)event;
}

static void send_nowhere(void *ctx, struct esp_run *runs, size_t n)
{
	(void)ctx;
	(void)runs;
	(void)n;
}

static void zeros(void *ctx, void *dst, size_t n)
{
	(void)ctx;
	memset(dst, 0, n);
}

static void on_link(void *ctx, const struct tunnel_view *view, bool up, const char *reason)
{
	(void)ctx;
	(void)view;
	(void)up;
	(void)reason;
}

/* As the engine: it hits the SAs of that id. */
static void terminate(void *ctx, const struct ike_command *command)
{
	struct fixture *f = ctx;
	struct ike_engine *e = &f->engine;
	uint32_t id = command->select.child_id;

	f->terminated++;
	f->meant = command->select;
	f->successors = command->successors;
	if (f->unwilling)
		return;
	if (command->select.ike_id == e->ike.id)
		e->ike.state = "DELETING";
	if (id && (id == e->next.id || (command->successors && id == e->child.id)))
		e->next.state = "DELETING";
	if (id && id == e->child.id)
		e->child.state = "DELETING";
}

static void called_off(void *ctx, uint64_t tag)
{
	(void)ctx;
	(void)tag;
}

/* ---- one tunnel that is up ---- */

static void install(struct fixture *f, uint32_t tunnel)
{
	struct child_sa sa = {
		.id = CHILD,
		.tunnel = tunnel,
		.spi_in = 0x1000,
		.spi_out = 0x2000,
		.encr_id = ENCR_AES_GCM_16,
		.encr_key_bits = 128,
		.outbound = true,
		.local = {.addr = {.family = AF_INET, .bytes = {192, 0, 2, 1}}, .port = 4500},
		.remote = {.addr = {.family = AF_INET, .bytes = {192, 0, 2, 2}}, .port = 4500},
	};

	sa.in.encr_len = sa.out.encr_len = 20;
	sa.local_ts.n = sa.remote_ts.n = 1;
	assert_true(ts_parse("0.0.0.0/0", &sa.local_ts.ts[0]));
	sa.remote_ts.ts[0] = sa.local_ts.ts[0];
	assert_true(tunnels_child_install(f->tunnels, &sa));
	tunnels_settle(f->tunnels, "test");
	f->engine.ike = (struct ike_sa_info){.conn = "a-b", .id = 1, .state = "ESTABLISHED"};
	f->engine.child = (struct ike_child_info){
		.conn = "a-b", .name = "net", .id = 1, .child_sa = CHILD, .state = "INSTALLED"};
}

static int setup(void **ctx)
{
	struct dataplane_host plane_host = {.send_esp = send_nowhere,
					    .event = plane_event,
					    .crypto = &crypto_null,
					    .random = zeros};
	struct fixture *f = calloc(1, sizeof(*f));
	struct tunnels_host tunnels_host = {.link = on_link, .ctx = f};
	struct drains_host host = {.terminate = terminate, .called_off = called_off, .ctx = f};
	uint32_t id;
	char why[128];

	f->loop = ev_loop_new(EVFLAG_AUTO);
	f->plane = dataplane_fake.open(&plane_host);
	f->tunnels = tunnels_new(&dataplane_fake, f->plane, &tunnels_host);
	f->drains = drains_new(f->loop, &f->engine, f->tunnels, &host);
	f->conn = conn_new("a-b");
	conn_default_tunnel_name(f->conn);
	assert_true(tunnels_ensure(f->tunnels, f->conn, &id, why, sizeof(why)));
	install(f, id);
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	drains_free(f->drains);
	tunnels_free(f->tunnels);
	dataplane_fake.close(f->plane);
	ev_loop_destroy(f->loop);
	conn_free(f->conn);
	free(f);
	return 0;
}

static enum tunnel_state link_state(const struct fixture *f)
{
	struct tunnel_view view;

	assert_true(tunnels_view(f->tunnels, "a-b", &view));
	return view.state;
}

static void begin(struct fixture *f)
{
	struct ike_command c = {.kind = IKE_COMMAND_TERMINATE, .select = {.ike_id = 1}};

	assert_int_equal(link_state(f), TUNNEL_UP);
	assert_true(drains_start(f->drains, &c));
	assert_int_equal(link_state(f), TUNNEL_DRAINING);
}

/* Nothing but the drain's timer keeps the loop. */
static void pass(struct fixture *f)
{
	ev_run(f->loop, 0);
	assert_int_equal(f->terminated, 1);
}

/* ---- cases ---- */

static void the_link_stays_down_until_the_sas_are_gone(void **ctx)
{
	struct fixture *f = *ctx;

	begin(f);
	pass(f);
	assert_int_equal(f->meant.ike_id, 1);
	assert_int_equal(link_state(f), TUNNEL_DRAINING);
	tunnels_child_remove(f->tunnels, CHILD);
	tunnels_settle(f->tunnels, "test");
	assert_int_equal(link_state(f), TUNNEL_DOWN);
}

static void an_ike_sa_that_is_rekeyed_meanwhile_is_still_meant(void **ctx)
{
	struct fixture *f = *ctx;

	begin(f);
	f->engine.ike.id = 2;
	pass(f);
	assert_int_equal(f->meant.ike_id, 2);
	assert_int_equal(link_state(f), TUNNEL_DRAINING);
}

static void begin_by_child(struct fixture *f)
{
	struct ike_command c = {.kind = IKE_COMMAND_TERMINATE,
				.select = {.child_id = f->engine.child.id}};

	assert_true(drains_start(f->drains, &c));
	assert_int_equal(link_state(f), TUNNEL_DRAINING);
}

static void rekey_child(struct fixture *f, const char *old_state)
{
	f->engine.next = f->engine.child;
	f->engine.next.id++;
	f->engine.next.child_sa++;
	f->engine.next.replaces = f->engine.child.child_sa;
	f->engine.child.state = old_state;
}

/* By the peer: it has not deleted the old one yet. Then ours: late packets still come by the old
 * one. */
static void a_child_sa_that_is_rekeyed_meanwhile_is_still_meant(void **ctx)
{
	static const char *const states[] = {"REKEYED", "DELETED"};
	struct fixture *f = *ctx;

	for (unsigned i = 0; i < 2; i++) {
		begin_by_child(f);
		rekey_child(f, states[i]);
		f->terminated = 0;
		pass(f);
		assert_int_equal(f->meant.child_id, i ? f->engine.next.id : f->engine.child.id);
		assert_true(f->successors);
		assert_int_equal(link_state(f), TUNNEL_DRAINING);
		tunnels_drain_end(f->tunnels, "a-b", "test");
		f->engine.child = f->engine.next;
		f->engine.child.state = "INSTALLED";
		f->engine.next.id = 0;
	}
}

/* Both, and the IKE_SA is what was meant. */
static void an_ike_sa_that_is_rekeyed_with_its_child_sa_is_still_meant(void **ctx)
{
	struct fixture *f = *ctx;

	begin(f);
	rekey_child(f, "DELETED");
	f->engine.ike.id = 2;
	pass(f);
	assert_int_equal(f->meant.ike_id, 2);
	assert_int_equal(link_state(f), TUNNEL_DRAINING);
}

/* Whatever the reason that the command hits nothing. */
static void what_stays_is_up_again(void **ctx)
{
	struct fixture *f = *ctx;

	begin_by_child(f);
	f->unwilling = true;
	pass(f);
	assert_int_equal(link_state(f), TUNNEL_UP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_link_stays_down_until_the_sas_are_gone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_ike_sa_that_is_rekeyed_meanwhile_is_still_meant,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_sa_that_is_rekeyed_meanwhile_is_still_meant,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_ike_sa_that_is_rekeyed_with_its_child_sa_is_still_meant, setup,
			teardown),
		cmocka_unit_test_setup_teardown(what_stays_is_up_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
