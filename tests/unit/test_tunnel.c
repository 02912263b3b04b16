/* tunnel.c over the fake data plane: links are counted per CHILD_SA object. */
#include "ipsecd/dataplane/fake.h"
#include "ipsecd/tunnel.h"
#include "tests/support/crypto_null.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
	struct dataplane *plane;
	struct tunnels *tunnels;
	uint32_t id;
	unsigned ups, downs;
	unsigned lost;
	bool told_before_dormant;
	char told[IF_NAMESIZE]; /* device of the last link event */
	struct conn *conn;
	unsigned shuts;
	bool shut;
};

/* What a persistent plane finds, laid over what the fake says. */
static struct {
	unsigned inherited, disinherited;
	bool link_up;
	int ifindex; /* 0: the fake's; -1: no device */
	const char *name;
} found;

static struct dataplane_ops ops;

static bool found_info(struct dataplane *d, uint32_t id, struct dataplane_tunnel_info *out)
{
	if (!dataplane_fake.tunnel_info(d, id, out))
		return false;
	out->inherited = found.inherited;
	out->link_up |= found.link_up;
	if (found.ifindex)
		out->ifindex = found.ifindex < 0 ? 0 : found.ifindex;
	if (found.name)
		snprintf(out->name, sizeof(out->name), "%s", found.name);
	return true;
}

static void found_disinherit(struct dataplane *d, uint32_t id)
{
	(void)d;
	(void)id;
	found.disinherited++;
}

static void plane_event(void *ctx, const struct dataplane_event *event)
{
	(void)ctx;
	(void)event;
}

static void send_nowhere(void *ctx, struct esp_run *runs, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++)
		runs[i].sent = true;
}

static void zeros(void *ctx, void *dst, size_t n)
{
	(void)ctx;
	memset(dst, 0, n);
}

static void on_link(void *ctx, const struct tunnel_view *view, bool up, const char *reason)
{
	struct fixture *f = ctx;

	(void)reason;
	memcpy(f->told, tunnel_view_device(view), sizeof(f->told));
	if (up)
		f->ups++;
	else
		f->downs++;
	/* The view is taken before the plane is told of a loss. */
	if (!up)
		f->told_before_dormant = view->info.link_up;
}

static void on_child_lost(void *ctx, uint64_t id)
{
	struct fixture *f = ctx;

	(void)id;
	f->lost++;
}

static void on_shut(void *ctx, const char *conn, bool shut)
{
	struct fixture *f = ctx;

	assert_string_equal(conn, "a-b");
	f->shuts++;
	f->shut = shut;
}

static struct child_sa child(struct fixture *f, uint64_t id, bool outbound)
{
	struct child_sa sa = {
		.id = id,
		.tunnel = f->id,
		.spi_in = (uint32_t)(0x1000 + id),
		.spi_out = (uint32_t)(0x2000 + id),
		.encr_id = ENCR_AES_GCM_16,
		.encr_key_bits = 128,
		.udp_encap = true,
		.outbound = outbound,
		.local = {.addr = {.family = AF_INET, .bytes = {192, 0, 2, 1}}, .port = 4500},
		.remote = {.addr = {.family = AF_INET, .bytes = {192, 0, 2, 2}}, .port = 4500},
	};

	sa.in.encr_len = sa.out.encr_len = 20;
	assert_true(ts_parse("0.0.0.0/0", &sa.local_ts.ts[0]));
	sa.remote_ts.ts[0] = sa.local_ts.ts[0];
	sa.local_ts.n = sa.remote_ts.n = 1;
	return sa;
}

static void install(struct fixture *f, uint64_t id, bool outbound)
{
	struct child_sa sa = child(f, id, outbound);

	assert_true(tunnels_child_install(f->tunnels, &sa));
}

static void update(struct fixture *f, uint64_t id, bool outbound)
{
	struct child_sa sa = child(f, id, outbound);

	tunnels_child_update(f->tunnels, &sa);
}

static enum tunnel_state state(struct fixture *f)
{
	struct tunnel_view view;

	tunnels_settle(f->tunnels, "test");
	assert_true(tunnels_view(f->tunnels, "a-b", &view));
	if (!found.inherited)
		assert_int_equal(view.info.link_up, view.state == TUNNEL_UP);
	return view.state;
}

static int setup(void **ctx)
{
	struct dataplane_host host = {.send_esp = send_nowhere,
				      .event = plane_event,
				      .crypto = &crypto_null,
				      .random = zeros};
	struct fixture *f = calloc(1, sizeof(*f));
	struct tunnels_host tunnels_host = {
		.link = on_link, .shut = on_shut, .child_lost = on_child_lost, .ctx = f};
	char why[128];

	memset(&found, 0, sizeof(found));
	ops = dataplane_fake;
	ops.tunnel_info = found_info;
	ops.tunnel_disinherit = found_disinherit;
	f->plane = dataplane_fake.open(&host);
	f->tunnels = tunnels_new(&ops, f->plane, &tunnels_host);
	f->conn = conn_new("a-b");
	conn_default_tunnel_name(f->conn);
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, why, sizeof(why)));
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	tunnels_free(f->tunnels);
	dataplane_fake.close(f->plane);
	conn_free(f->conn);
	free(f);
	return 0;
}

static void first_sa_up_last_sa_down(void **ctx)
{
	struct fixture *f = *ctx;

	assert_int_equal(state(f), TUNNEL_DOWN);
	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	tunnels_child_remove(f->tunnels, 1);
	assert_int_equal(state(f), TUNNEL_DOWN);
	assert_int_equal(f->ups, 1);
	assert_int_equal(f->downs, 1);
	assert_true(f->told_before_dormant);
}

static void stale_sa_end_keeps_link(void **ctx)
{
	struct fixture *f = *ctx;

	install(f, 1, true);
	install(f, 2, true);
	assert_int_equal(state(f), TUNNEL_UP);
	tunnels_child_remove(f->tunnels, 1);
	assert_int_equal(state(f), TUNNEL_UP);
	tunnels_child_remove(f->tunnels, 1); /* twice: no effect */
	assert_int_equal(state(f), TUNNEL_UP);
	assert_int_equal(f->downs, 0);
}

static void rekey_is_no_event(void **ctx)
{
	struct fixture *f = *ctx;

	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	install(f, 2, false); /* responder: not sent on yet */
	assert_int_equal(state(f), TUNNEL_UP);
	update(f, 1, false); /* in this order within one round: still no event */
	update(f, 2, true);
	assert_int_equal(state(f), TUNNEL_UP);
	tunnels_child_remove(f->tunnels, 1);
	assert_int_equal(state(f), TUNNEL_UP);
	assert_int_equal(f->ups, 1);
	assert_int_equal(f->downs, 0);
}

static void receive_only_sa_is_not_up(void **ctx)
{
	struct fixture *f = *ctx;

	install(f, 1, false);
	assert_int_equal(state(f), TUNNEL_DOWN);
	update(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
}

static void drain_runs_its_course(void **ctx)
{
	struct fixture *f = *ctx;

	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	assert_true(tunnels_drain(f->tunnels, "a-b", "test"));
	assert_int_equal(state(f), TUNNEL_DRAINING);
	assert_false(tunnels_drain(f->tunnels, "a-b", "test"));
	install(f, 2, true); /* the peer starts a new one meanwhile */
	assert_int_equal(state(f), TUNNEL_DRAINING);
	tunnels_child_remove(f->tunnels, 1);
	assert_int_equal(state(f), TUNNEL_UP);
	tunnels_child_remove(f->tunnels, 2);
	assert_int_equal(state(f), TUNNEL_DOWN);
}

static void drain_called_off(void **ctx)
{
	struct fixture *f = *ctx;

	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	assert_true(tunnels_drain(f->tunnels, "a-b", "test"));
	tunnels_drain_end(f->tunnels, "a-b", "test");
	assert_int_equal(state(f), TUNNEL_UP);
	tunnels_child_remove(f->tunnels, 1);
	assert_int_equal(state(f), TUNNEL_DOWN);
}

static void device_lives_until_last_sa(void **ctx)
{
	struct fixture *f = *ctx;
	struct dataplane_tunnel_info info;

	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	tunnels_condemn(f->tunnels, "a-b");
	tunnels_settle(f->tunnels, "test");
	assert_int_equal(f->downs, 1);
	assert_true(dataplane_fake.tunnel_info(f->plane, f->id, &info));
	assert_null(tunnels_conn(f->tunnels, f->id));
	tunnels_child_remove(f->tunnels, 1);
	tunnels_settle(f->tunnels, "test");
	assert_false(dataplane_fake.tunnel_info(f->plane, f->id, &info));
}

static void same_conn_keeps_its_device(void **ctx)
{
	struct fixture *f = *ctx;
	uint32_t again = 0;
	char why[128];

	assert_true(tunnels_ensure(f->tunnels, f->conn, &again, why, sizeof(why)));
	assert_int_equal(again, f->id);
}

static void rename_device(struct conn *conn, const char *name)
{
	snprintf(conn->tunnel.name, sizeof(conn->tunnel.name), "%s", name);
}

/* Another device name: the old device goes when the new one is there, and only then. */
static void refused_new_device_keeps_the_old(void **ctx)
{
	struct fixture *f = *ctx;
	struct tunnel_view view;
	uint32_t id = f->id;
	char why[128];

	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	rename_device(f->conn, "other");
	fake_refuse(f->plane, FAKE_TUNNEL_CREATE, DATAPLANE_EXISTS);
	assert_false(tunnels_ensure(f->tunnels, f->conn, &id, why, sizeof(why)));
	assert_int_equal(state(f), TUNNEL_UP);
	assert_true(tunnels_view(f->tunnels, "a-b", &view));
	assert_int_equal(view.id, f->id);
	assert_true(tunnels_ensure(f->tunnels, f->conn, &id, why, sizeof(why)));
	assert_int_not_equal(id, f->id);
	assert_int_equal(state(f), TUNNEL_DOWN);
	assert_null(tunnels_conn(f->tunnels, f->id)); /* its SA is still there */
	tunnels_child_remove(f->tunnels, 1);
	tunnels_settle(f->tunnels, "test");
	assert_true(tunnels_view(f->tunnels, "a-b", &view));
	assert_int_equal(view.id, id);
}

/* The device of a conn that is gone may be what the new one is refused for (a vti's endpoints):
 * it goes at once then, and its SA, which is still being deleted, is nobody's. */
static void refused_new_device_ends_a_condemned_one(void **ctx)
{
	struct conn *other = conn_new("b-a");
	struct dataplane_tunnel_info info;
	struct fixture *f = *ctx;
	uint32_t id = 0;
	char why[128];

	install(f, 1, true);
	tunnels_condemn(f->tunnels, "a-b");
	rename_device(other, "other");
	fake_refuse(f->plane, FAKE_TUNNEL_CREATE, DATAPLANE_EXISTS);
	assert_true(tunnels_ensure(f->tunnels, other, &id, why, sizeof(why)));
	assert_int_not_equal(id, f->id);
	assert_false(dataplane_fake.tunnel_info(f->plane, f->id, &info));
	tunnels_child_remove(f->tunnels, 1);
	tunnels_settle(f->tunnels, "test");
	assert_true(dataplane_fake.tunnel_info(f->plane, id, &info));
	conn_free(other);
}

/* A conn that is unloaded and loaded again, or renamed, finds its device while the SAs of
 * before are still being deleted; they do not make it UP. */
static void device_is_taken_over(void **ctx)
{
	struct conn *renamed = conn_new("b-a");
	struct fixture *f = *ctx;
	struct tunnel_view view;
	uint32_t id = 0;
	char why[128];

	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	tunnels_condemn(f->tunnels, "a-b");
	rename_device(renamed, f->conn->tunnel.name);
	assert_true(tunnels_ensure(f->tunnels, renamed, &id, why, sizeof(why)));
	assert_int_equal(id, f->id);
	assert_string_equal(tunnels_conn(f->tunnels, id), "b-a");
	install(f, 2, true);
	tunnels_settle(f->tunnels, "test");
	assert_true(tunnels_view(f->tunnels, "b-a", &view));
	assert_int_equal(view.state, TUNNEL_DRAINING);
	tunnels_child_remove(f->tunnels, 1);
	tunnels_settle(f->tunnels, "test");
	assert_true(tunnels_view(f->tunnels, "b-a", &view));
	assert_int_equal(view.state, TUNNEL_UP);
	conn_free(renamed);
}

static void refused_install_is_not_counted(void **ctx)
{
	struct fixture *f = *ctx;
	struct child_sa sa = child(f, 1, true);

	fake_refuse(f->plane, FAKE_CHILD_INSTALL, DATAPLANE_SYSTEM);
	assert_false(tunnels_child_install(f->tunnels, &sa));
	assert_int_equal(state(f), TUNNEL_DOWN);
	sa.tunnel = 99;
	assert_false(tunnels_child_install(f->tunnels, &sa));
}

/* ---- virtual addresses ---- */

static struct tunnel_config given;

static enum dataplane_error note_update(struct dataplane *d, uint32_t id,
					const struct tunnel_config *config)
{
	given = *config;
	return dataplane_fake.tunnel_update(d, id, config);
}

/* They stand behind the configured ones, as host prefixes, and survive a reload. */
static void virtual_addresses(void **ctx)
{
	struct addr vips[2] = {{.family = AF_INET, .bytes = {10, 3, 0, 1}},
			       {.family = AF_INET6, .bytes = {0xfd, 0, [15] = 1}}};
	struct fixture *f = *ctx;
	char why[128], text[PREFIX_TEXT];

	ops.tunnel_update = note_update;
	f->conn->tunnel.n_addrs = 1;
	assert_true(prefix_parse("10.1.1.1/24", &f->conn->tunnel.addrs[0]));
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, why, sizeof(why)));
	tunnels_set_vips(f->tunnels, f->id, vips, 2);
	assert_int_equal(given.n_addrs, 3);
	assert_string_equal(prefix_format(&given.addrs[1], text), "10.3.0.1/32");
	assert_string_equal(prefix_format(&given.addrs[2], text), "fd00::1/128");
	assert_true(prefix_parse("10.3.0.1/24", &f->conn->tunnel.addrs[0])); /* configured, too */
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, why, sizeof(why)));
	assert_int_equal(given.n_addrs, 2);
	assert_string_equal(prefix_format(&given.addrs[0], text), "10.3.0.1/24");
	tunnels_set_vips(f->tunnels, f->id, vips, 0);
	assert_int_equal(given.n_addrs, 1);
	tunnels_set_vips(f->tunnels, 99, vips, 2);
}

/* ---- what does not change, and what is begun beforehand ---- */

static unsigned updates, removed, prepared, created_id;

static bool as_made_info(struct dataplane *d, uint32_t id, struct dataplane_tunnel_info *out)
{
	bool there = dataplane_fake.tunnel_info(d, id, out);

	out->as_made = true;
	return there;
}

static enum dataplane_error count_update(struct dataplane *d, uint32_t id,
					 const struct tunnel_config *config)
{
	updates++;
	return dataplane_fake.tunnel_update(d, id, config);
}

/* Another keyword of its conn is no reason to touch a device, and nobody is told of it. */
static void unchanged_device_is_left_alone(void **ctx)
{
	struct fixture *f = *ctx;
	char why[128];

	updates = 0;
	ops.tunnel_update = count_update;
	f->conn->dpd_delay++;
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, why, sizeof(why)));
	assert_int_equal(updates, 1); /* somebody changed something: as_made is not set */
	ops.tunnel_info = as_made_info;
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, why, sizeof(why)));
	assert_int_equal(updates, 1);
	f->conn->tunnel.mtu = 1300;
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, why, sizeof(why)));
	assert_int_equal(updates, 2);
}

static uint64_t number;

static uint64_t number_of_changes(struct dataplane *d)
{
	(void)d;
	return number;
}

/* One look at all of them is enough until somebody changes something: others, or we. */
static void devices_are_looked_at_once(void **ctx)
{
	struct addr vip = {.family = AF_INET, .bytes = {10, 3, 0, 1}};
	struct fixture *f = *ctx;

	assert_true(tunnels_mend_begin(f->tunnels)); /* a plane that does not know */
	tunnels_mend_end(f->tunnels, true);
	assert_true(tunnels_mend_begin(f->tunnels));
	ops.changes = number_of_changes;
	number = 7;
	assert_true(tunnels_mend_begin(f->tunnels));
	tunnels_mend_end(f->tunnels, false); /* one could not be mended */
	assert_true(tunnels_mend_begin(f->tunnels));
	tunnels_mend_end(f->tunnels, true);
	assert_false(tunnels_mend_begin(f->tunnels));
	number++;
	assert_true(tunnels_mend_begin(f->tunnels));
	number++; /* amid of it */
	tunnels_mend_end(f->tunnels, true);
	assert_true(tunnels_mend_begin(f->tunnels));
	tunnels_mend_end(f->tunnels, true);
	assert_false(tunnels_mend_begin(f->tunnels));
	tunnels_set_vips(f->tunnels, f->id, &vip, 1);
	assert_true(tunnels_mend_begin(f->tunnels));
	tunnels_mend_end(f->tunnels, true);
	number = 0;
	assert_true(tunnels_mend_begin(f->tunnels));
}

static void note_prepare(struct dataplane *d, uint32_t id, const struct tunnel_config *config)
{
	(void)d;
	(void)config;
	assert_true(id > 0);
	prepared++;
}

static enum dataplane_error note_create(struct dataplane *d, uint32_t id,
					const struct tunnel_config *config)
{
	created_id = id;
	return dataplane_fake.tunnel_create(d, id, config);
}

static enum dataplane_error count_remove(struct dataplane *d, uint32_t id)
{
	removed++;
	return dataplane_fake.tunnel_remove(d, id);
}

static void begun_beforehand(void **ctx)
{
	struct conn *b = conn_new("b-c"), *c = conn_new("c-d");
	struct fixture *f = *ctx;
	char why[128];
	uint32_t id;

	prepared = removed = 0;
	ops.tunnel_prepare = note_prepare;
	ops.tunnel_create = note_create;
	ops.tunnel_remove = count_remove;
	tunnels_prepare(f->tunnels, f->conn); /* it is there */
	assert_int_equal(prepared, 0);
	tunnels_prepare(f->tunnels, b);
	tunnels_prepare(f->tunnels, b);
	tunnels_prepare(f->tunnels, c);
	assert_int_equal(prepared, 2);
	assert_true(tunnels_ensure(f->tunnels, b, &id, why, sizeof(why)));
	assert_int_equal(id, created_id);
	assert_int_equal(id, f->id + 1);
	tunnels_prepared(f->tunnels); /* c was refused meanwhile */
	assert_int_equal(removed, 1);
	assert_true(tunnels_ensure(f->tunnels, c, &id, why, sizeof(why)));
	assert_int_equal(id, f->id + 3);
	conn_free(b);
	conn_free(c);
}

/* ---- what a former process left ---- */

static struct conn *inheriting(struct fixture *f, bool link_up)
{
	struct conn *conn = conn_new("b-c");
	char why[128];

	found.inherited = 1;
	found.link_up = link_up;
	assert_true(tunnels_ensure(f->tunnels, conn, &f->id, why, sizeof(why)));
	found.link_up = false;
	return conn;
}

static enum tunnel_state state_of(struct fixture *f, const char *conn)
{
	struct tunnel_view view;

	tunnels_settle(f->tunnels, "test");
	assert_true(tunnels_view(f->tunnels, conn, &view));
	return view.state;
}

/* UP before and after, without a moment of DORMANT between the inheritance and ours. */
static void inherited_link_stays_up(void **ctx)
{
	struct fixture *f = *ctx;
	struct conn *conn = inheriting(f, true);

	assert_int_equal(state_of(f, "b-c"), TUNNEL_UP);
	install(f, 1, false);
	assert_int_equal(state_of(f, "b-c"), TUNNEL_UP);
	update(f, 1, true);
	tunnels_inherited_gone(f->tunnels, f->id);
	assert_int_equal(state_of(f, "b-c"), TUNNEL_UP);
	assert_int_equal(f->ups, 1);
	assert_int_equal(f->downs, 0);
	tunnels_child_remove(f->tunnels, 1);
	assert_int_equal(state_of(f, "b-c"), TUNNEL_DOWN);
	conn_free(conn);
}

static void inherited_dormant_stays_dormant(void **ctx)
{
	struct fixture *f = *ctx;
	struct conn *conn = inheriting(f, false);

	assert_int_equal(state_of(f, "b-c"), TUNNEL_DOWN);
	tunnels_inherited_gone(f->tunnels, f->id);
	assert_int_equal(state_of(f, "b-c"), TUNNEL_DOWN);
	conn_free(conn);
}

static void inherited_ends(void **ctx)
{
	struct fixture *f = *ctx;
	struct conn *conn = inheriting(f, true);

	tunnels_disinherit(f->tunnels, "b-c");
	tunnels_disinherit(f->tunnels, "b-c");
	assert_int_equal(found.disinherited, 1);
	assert_int_equal(state_of(f, "b-c"), TUNNEL_DOWN);
	tunnels_inherited_gone(f->tunnels, f->id); /* the plane's word for it, later */
	assert_int_equal(state_of(f, "b-c"), TUNNEL_DOWN);
	conn_free(conn);
}

/* What lingers of a former process keeps no link up once ours is deleted. */
static void ours_takes_the_place_of_inherited(void **ctx)
{
	struct fixture *f = *ctx;
	struct conn *conn = inheriting(f, true);

	install(f, 1, true);
	assert_int_equal(state_of(f, "b-c"), TUNNEL_UP);
	tunnels_child_remove(f->tunnels, 1);
	assert_int_equal(state_of(f, "b-c"), TUNNEL_DOWN);
	conn_free(conn);
}

/* ---- devices that others make ---- */

static void external_device_appears(void **ctx)
{
	struct dataplane_event event = {
		.kind = DATAPLANE_DEVICE_CHANGED, .present = true, .admin_up = true};
	struct fixture *f = *ctx;
	struct tunnel_view view;

	found.ifindex = -1;
	f->conn->tunnel.external = true;
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, (char[128]){0}, 128));
	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	assert_int_equal(f->ups, 1);
	found.ifindex = 77;
	found.name = "vti2";
	event.tunnel = f->id;
	tunnels_device_changed(f->tunnels, &event);
	assert_int_equal(f->ups, 2); /* with its name and index */
	assert_string_equal(f->told, "vti2");
	tunnels_device_changed(f->tunnels, &event);
	assert_int_equal(f->ups, 2);
	assert_true(tunnels_view(f->tunnels, "a-b", &view));
	assert_string_equal(tunnel_view_device(&view), "vti2");
	assert_true(tunnels_have_device(f->tunnels, 77));
	found.ifindex = -1;
	event.present = false;
	tunnels_device_changed(f->tunnels, &event);
	assert_false(tunnels_have_device(f->tunnels, 77));
}

/* Other keys under the same name: the device is made anew, its CHILD_SAs go. */
static void other_device_of_same_name(void **ctx)
{
	struct fixture *f = *ctx;
	uint32_t id = 0;
	char why[128];

	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	f->conn->tunnel.mark_in = (struct mark){12, UINT32_MAX};
	assert_true(tunnels_ensure(f->tunnels, f->conn, &id, why, sizeof(why)));
	assert_int_equal(id, f->id);
	assert_int_equal(state(f), TUNNEL_DOWN);
	update(f, 1, true); /* the engine does not know yet */
	assert_int_equal(state(f), TUNNEL_DOWN);
	tunnels_child_remove(f->tunnels, 1);
	install(f, 2, true);
	assert_int_equal(state(f), TUNNEL_UP);
	assert_int_equal(f->lost, 0);
}

static void refused_other_device(void **ctx)
{
	struct fixture *f = *ctx;
	uint32_t id = 0;
	char why[128];

	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	f->conn->tunnel.mark_in = (struct mark){12, UINT32_MAX};
	fake_refuse(f->plane, FAKE_TUNNEL_CREATE, DATAPLANE_EXISTS);
	assert_false(tunnels_ensure(f->tunnels, f->conn, &id, why, sizeof(why)));
	assert_int_equal(state(f), TUNNEL_DOWN);
	assert_int_equal(f->lost, 1);
	tunnels_child_remove(f->tunnels, 1);
	install(f, 2, true);
	assert_int_equal(state(f), TUNNEL_UP); /* the old device is there again */
}

/* The operator's word is passed on once each time; a script's device is the script's. */
static void operator_shuts_a_device(void **ctx)
{
	struct fixture *f = *ctx;
	struct dataplane_event event = {
		.kind = DATAPLANE_DEVICE_CHANGED, .tunnel = f->id, .present = true};
	struct tunnel_view view;

	fake_set_admin(f->plane, f->id, false);
	tunnels_device_changed(f->tunnels, &event);
	tunnels_device_changed(f->tunnels, &event);
	assert_int_equal(f->shuts, 1);
	assert_true(f->shut);
	assert_true(tunnels_view(f->tunnels, "a-b", &view) && view.shut);
	fake_set_admin(f->plane, f->id, true);
	tunnels_device_changed(f->tunnels, &event);
	assert_int_equal(f->shuts, 2);
	assert_false(f->shut);
	f->conn->tunnel.external = true;
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, (char[128]){0}, 128));
	fake_set_admin(f->plane, f->id, false);
	tunnels_device_changed(f->tunnels, &event);
	assert_int_equal(f->shuts, 2);
}

/* ---- after a restart ---- */

static struct conn *restored(struct fixture *f, bool link_up)
{
	struct conn *conn = conn_new("b-c");
	struct addr vip = {.family = AF_INET, .bytes = {10, 3, 0, 1}};
	char why[128];

	tunnels_restore(f->tunnels);
	assert_true(tunnels_expect(f->tunnels, "b-c", 77, &vip, 1));
	found.link_up = link_up;
	assert_true(tunnels_ensure(f->tunnels, conn, &f->id, why, sizeof(why)));
	assert_int_equal(f->id, 77);
	f->ups = 0;
	return conn;
}

static void restored_link_stays_up(void **ctx)
{
	struct fixture *f = *ctx;
	struct conn *conn = restored(f, true), *later = conn_new("later");
	struct tunnel_view view;
	char why[128];
	uint32_t id;

	install(f, 1, true);
	tunnels_settle(f->tunnels, "test");
	tunnels_restored(f->tunnels);
	assert_true(tunnels_view(f->tunnels, "b-c", &view));
	assert_int_equal(view.state, TUNNEL_UP);
	assert_int_equal(f->ups, 0);
	assert_int_equal(f->downs, 0);
	assert_true(tunnels_ensure(f->tunnels, later, &id, why, sizeof(why)));
	assert_int_equal(id, 78); /* not one that was in use */
	tunnels_child_remove(f->tunnels, 1);
	tunnels_settle(f->tunnels, "test");
	assert_int_equal(f->downs, 1);
	conn_free(later);
	conn_free(conn);
}

static void restored_link_without_sas_goes_down(void **ctx)
{
	struct fixture *f = *ctx;
	struct conn *conn = restored(f, true);
	struct tunnel_view view;

	tunnels_settle(f->tunnels, "test");
	assert_true(tunnels_view(f->tunnels, "b-c", &view));
	assert_int_equal(view.state, TUNNEL_DOWN);
	assert_int_equal(f->downs, 1);
	conn_free(conn);
}

static void restored_device_made_anew_comes_up(void **ctx)
{
	struct fixture *f = *ctx;
	struct conn *conn = restored(f, false);

	tunnels_settle(f->tunnels, "test");
	assert_int_equal(f->ups, 0);
	install(f, 1, true);
	tunnels_settle(f->tunnels, "test");
	assert_int_equal(f->ups, 1);
	conn_free(conn);
}

static void a_link_that_nothing_keeps_up_goes_down(void **ctx)
{
	struct fixture *f = *ctx;
	struct dataplane_tunnel_info info;

	ops.tunnel_set_link(f->plane, f->id, true); /* as a plane kept it */
	tunnels_settled(f->tunnels);
	assert_true(ops.tunnel_info(f->plane, f->id, &info));
	assert_false(info.link_up);
	install(f, 1, true);
	assert_int_equal(state(f), TUNNEL_UP);
	tunnels_settled(f->tunnels);
	assert_true(ops.tunnel_info(f->plane, f->id, &info));
	assert_true(info.link_up);
	assert_int_equal(f->downs, 0);
}

static void give_addr(struct conn *conn, const char *text)
{
	conn->tunnel.n_addrs = 1;
	assert_true(prefix_parse(text, &conn->tunnel.addrs[0]));
}

/* Whether a conn of this name may have the address, and who has it. */
static void expect_owner(const struct fixture *f, const char *name, const char *addr,
			 const char *owner)
{
	struct conn *conn = conn_new(name);
	const char *other;
	struct addr which;

	give_addr(conn, addr);
	other = tunnels_addr_owner(f->tunnels, conn, &which);
	if (!owner) {
		assert_null(other);
	} else {
		assert_string_equal(other, owner);
		assert_true(addr_equal(&which, &conn->tunnel.addrs[0].addr));
	}
	conn_free(conn);
}

static void an_address_is_one_tunnels(void **ctx)
{
	struct fixture *f = *ctx;
	char why[128];

	expect_owner(f, "c-d", "10.0.0.1/30", NULL);
	give_addr(f->conn, "10.0.0.1/30");
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, why, sizeof(why)));
	expect_owner(f, "c-d", "10.0.0.1/30", "a-b");
	expect_owner(f, "c-d", "10.0.0.1/24", "a-b");
	expect_owner(f, "c-d", "10.0.0.2/30", NULL);
	expect_owner(f, "a-b", "10.0.0.1/30", NULL); /* loaded again */
	give_addr(f->conn, "10.0.0.1/32");
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, why, sizeof(why)));
	expect_owner(f, "c-d", "10.0.0.1/32", NULL); /* those devices may share */
	give_addr(f->conn, "fd00::1/64");
	assert_true(tunnels_ensure(f->tunnels, f->conn, &f->id, why, sizeof(why)));
	expect_owner(f, "c-d", "fd00::1/64", "a-b");
	expect_owner(f, "c-d", "10.0.0.1/30", NULL);
	install(f, 1, true);
	tunnels_condemn(f->tunnels, "a-b");
	expect_owner(f, "c-d", "fd00::1/64", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_sa_up_last_sa_down, setup, teardown),
		cmocka_unit_test_setup_teardown(stale_sa_end_keeps_link, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_is_one_tunnels, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_that_nothing_keeps_up_goes_down, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rekey_is_no_event, setup, teardown),
		cmocka_unit_test_setup_teardown(receive_only_sa_is_not_up, setup, teardown),
		cmocka_unit_test_setup_teardown(drain_runs_its_course, setup, teardown),
		cmocka_unit_test_setup_teardown(drain_called_off, setup, teardown),
		cmocka_unit_test_setup_teardown(device_lives_until_last_sa, setup, teardown),
		cmocka_unit_test_setup_teardown(same_conn_keeps_its_device, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_new_device_keeps_the_old, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_new_device_ends_a_condemned_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(device_is_taken_over, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_install_is_not_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(virtual_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(inherited_link_stays_up, setup, teardown),
		cmocka_unit_test_setup_teardown(unchanged_device_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(devices_are_looked_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(begun_beforehand, setup, teardown),
		cmocka_unit_test_setup_teardown(inherited_dormant_stays_dormant, setup, teardown),
		cmocka_unit_test_setup_teardown(inherited_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(ours_takes_the_place_of_inherited, setup, teardown),
		cmocka_unit_test_setup_teardown(operator_shuts_a_device, setup, teardown),
		cmocka_unit_test_setup_teardown(external_device_appears, setup, teardown),
		cmocka_unit_test_setup_teardown(other_device_of_same_name, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_other_device, setup, teardown),
		cmocka_unit_test_setup_teardown(restored_link_stays_up, setup, teardown),
		cmocka_unit_test_setup_teardown(restored_link_without_sas_goes_down, setup,
						teardown),
		cmocka_unit_test_setup_teardown(restored_device_made_anew_comes_up, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
