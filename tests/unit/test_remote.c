/* The two ends of the link between ike and plane, over the fake plane in a process of its own:
 * planes that die, ikes that die, and an ike that is somebody else's. */
#include "ipsecd/remote/remote.h"
#include "ipsecd/dataplane/fake.h"
#include "ipsecd/ipc/link.h"
#include "tests/support/ipc_samples.h"
#include "tests/support/plane_child.h"

#include <ev.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define EVENTS_MAX 64
#define TUNNEL	   7
#define MANY	   300
#define KNOWN_MAX  (MANY + 8)

struct fixture {
	struct ev_loop *loop;
	struct plane_child *child;
	struct remote *remote;
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	struct dataplane_event events[EVENTS_MAX];
	unsigned n_events;
	int area;			  /* what outlives a plane */
	struct child_sa known[KNOWN_MAX]; /* what the engine has in ike */
	unsigned n_known;
};

static struct dataplane_ops other_kind;

static bool send_nowhere(void *ctx, const struct endpoint *from, const struct endpoint *to,
			 struct span esp)
{
	(void)ctx;
	(void)from;
	(void)to;
	(void)esp;
	return true;
}

static void on_event(void *ctx, const struct dataplane_event *event)
{
	struct fixture *f = ctx;

	assert_true(f->n_events < EVENTS_MAX);
	f->events[f->n_events++] = *event;
}

static struct child_sa *known(struct fixture *f, uint64_t id)
{
	for (unsigned i = 0; i < f->n_known; i++) {
		if (f->known[i].id == id)
			return &f->known[i];
	}
	return NULL;
}

static bool on_child(void *ctx, uint64_t id, struct child_sa *out)
{
	const struct child_sa *c = known(ctx, id);

	if (c)
		*out = *c;
	return c != NULL;
}

static enum dataplane_error install_sa(struct fixture *f, const struct child_sa *sa)
{
	if (!known(f, sa->id) && f->n_known < KNOWN_MAX)
		f->known[f->n_known++].id = sa->id;
	if (known(f, sa->id))
		*known(f, sa->id) = *sa;
	return f->ops->child_install(f->plane, sa);
}

static enum dataplane_error update_sa(struct fixture *f, const struct child_sa *sa)
{
	struct child_sa *c = known(f, sa->id);

	assert_non_null(c);
	c->outbound = sa->outbound;
	c->udp_encap = sa->udp_encap;
	c->local = sa->local;
	c->remote = sa->remote;
	return f->ops->child_update(f->plane, sa);
}

static unsigned events(const struct fixture *f, enum dataplane_event_kind kind, uint64_t child)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_events; i++)
		n += f->events[i].kind == kind && (!child || f->events[i].child == child);
	return n;
}

static void new_plane(struct fixture *f, const struct dataplane_ops *ops)
{
	const struct plane_child_host host = {
		.ops = ops, .loop = f->loop, .send_esp = send_nowhere, .ctx = f, .area = f->area};

	f->child = plane_child_new(&host);
}

static bool connect_to(struct fixture *f, bool *other)
{
	char why[128] = "";
	bool ok = remote_link(f->remote, plane_child_link(f->child), other, why, sizeof(why));

	assert_true(ok || why[0]);
	return ok;
}

static void new_ike(struct fixture *f)
{
	const struct means_host host = {
		.event = on_event, .child = on_child, .ctx = f, .loop = f->loop};
	bool other;

	f->remote = remote_new(&host);
	assert_non_null(f->remote);
	assert_true(connect_to(f, &other));
	f->ops = remote_means(f->remote)->ops;
	f->plane = remote_means(f->remote)->plane;
}

static void end_ike(struct fixture *f)
{
	struct means *m = remote_means(f->remote);

	m->act->close(m);
	plane_child_sync(f->child);
	f->n_events = 0;
}

/* Until the remote has seen it. */
static void kill_plane(struct fixture *f)
{
	struct dataplane_child_stats stats;

	plane_child_kill(f->child);
	for (unsigned i = 0; i < 10; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
	f->ops->child_stats(f->plane, 1, &stats);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->loop = ev_loop_new(0);
	f->area = memfd_create("area", MFD_CLOEXEC);
	assert_true(f->area > 0);
	new_plane(f, &dataplane_fake);
	new_ike(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	remote_means(f->remote)->act->close(remote_means(f->remote));
	plane_child_close(f->child);
	ev_loop_destroy(f->loop);
	close(f->area);
	free(f);
	return 0;
}

/* ---- what the shell does ---- */

static void create(struct fixture *f, uint32_t id)
{
	struct tunnel_config config = {.named = true};

	snprintf(config.name, sizeof(config.name), "t%u", id);
	if (f->ops->tunnel_create(f->plane, id, &config) != DATAPLANE_OK)
		fail_msg("tunnel_create: %s", f->ops->last_error(f->plane));
}

static struct child_sa child(uint64_t id, uint32_t tunnel)
{
	struct child_sa c = sample_child();

	c.id = id;
	c.tunnel = tunnel;
	c.spi_in = 0x1000 + (uint32_t)id;
	c.spi_out = 0x2000 + (uint32_t)id;
	return c;
}

static void install(struct fixture *f, uint64_t id, uint32_t tunnel)
{
	const struct child_sa c = child(id, tunnel);

	if (install_sa(f, &c) != DATAPLANE_OK)
		fail_msg("child_install: %s", f->ops->last_error(f->plane));
}

static bool there(struct fixture *f, uint64_t id)
{
	struct dataplane_child_stats stats;

	ev_run(f->loop, EVRUN_NOWAIT); /* another turn: what was said before does not hold */
	return f->ops->child_stats(f->plane, id, &stats);
}

static struct dataplane_tunnel_info info(struct fixture *f, uint32_t id)
{
	struct dataplane_tunnel_info i;

	ev_run(f->loop, EVRUN_NOWAIT);
	assert_true(f->ops->tunnel_info(f->plane, id, &i));
	return i;
}

/* ---- planes that die ---- */

static void a_new_plane_gets_everything(void **state)
{
	struct fixture *f = *state;
	bool other;

	create(f, TUNNEL);
	install(f, 1, TUNNEL);
	install(f, 2, TUNNEL);
	assert_int_equal(f->ops->tunnel_set_link(f->plane, TUNNEL, true), DATAPLANE_OK);
	f->ops->settled(f->plane);
	kill_plane(f);
	new_plane(f, &dataplane_fake);
	assert_true(connect_to(f, &other));
	assert_true(there(f, 1) && there(f, 2));
	assert_true(info(f, TUNNEL).link_up);
	assert_true(info(f, TUNNEL).ifindex > 0);
	assert_int_equal(f->n_events, 0); /* nobody has to know */
}

static void what_is_asked_meanwhile_is_done_then(void **state)
{
	struct fixture *f = *state;
	struct child_sa moved = child(1, TUNNEL);
	bool other;

	create(f, TUNNEL);
	create(f, TUNNEL + 1);
	install(f, 1, TUNNEL);
	install(f, 2, TUNNEL);
	kill_plane(f);
	install(f, 3, TUNNEL);
	assert_int_equal(f->ops->child_remove(f->plane, 2), DATAPLANE_OK);
	assert_int_equal(f->ops->child_remove(f->plane, 2), DATAPLANE_NOT_FOUND);
	moved.outbound = false;
	assert_int_equal(update_sa(f, &moved), DATAPLANE_OK);
	assert_int_equal(f->ops->tunnel_remove(f->plane, TUNNEL + 1), DATAPLANE_OK);
	create(f, TUNNEL + 2);
	assert_int_equal(info(f, TUNNEL + 2).ifindex, 0);
	assert_int_equal(f->ops->tunnel_set_link(f->plane, TUNNEL, true), DATAPLANE_OK);
	new_plane(f, &dataplane_fake);
	assert_true(connect_to(f, &other));
	assert_true(there(f, 1) && !there(f, 2) && there(f, 3));
	assert_true(info(f, TUNNEL).link_up);
	assert_true(info(f, TUNNEL + 2).ifindex > 0);
	/* The device that came later is told. */
	assert_int_equal(f->n_events, 1);
	assert_int_equal(f->events[0].kind, DATAPLANE_DEVICE_CHANGED);
	assert_int_equal(f->events[0].tunnel, TUNNEL + 2);
	assert_true(f->events[0].present);
}

static void what_the_new_plane_refuses_is_an_event(void **state)
{
	struct child_sa same = child(2, TUNNEL);
	struct fixture *f = *state;
	bool other;

	create(f, TUNNEL);
	install(f, 1, TUNNEL);
	kill_plane(f);
	same.spi_in = 0x1001;
	assert_int_equal(install_sa(f, &same), DATAPLANE_OK);
	new_plane(f, &dataplane_fake);
	assert_true(connect_to(f, &other));
	assert_int_equal(f->n_events, 1);
	assert_int_equal(events(f, DATAPLANE_CHILD_HARD_EXPIRE, 2), 1);
	assert_true(there(f, 1));
}

/* Numbers that the peer has seen are passed over by the next plane, once. */
static void what_is_to_be_skipped_meanwhile_is_skipped_then(void **state)
{
	struct child_sa some = child(1, TUNNEL), all = child(2, TUNNEL);
	struct fixture *f = *state;
	bool other;

	create(f, TUNNEL);
	install(f, 1, TUNNEL);
	install(f, 2, TUNNEL);
	kill_plane(f);
	some.skip_out = UINT32_MAX / 4;
	assert_int_equal(update_sa(f, &some), DATAPLANE_OK);
	assert_int_equal(update_sa(f, &some), DATAPLANE_OK);
	all.skip_out = UINT64_MAX - 5;
	assert_int_equal(update_sa(f, &all), DATAPLANE_OK);
	assert_int_equal(update_sa(f, &all), DATAPLANE_OK);
	for (unsigned i = 0; i < 3; i++) { /* a half of 2^32 and not three */
		new_plane(f, &dataplane_fake);
		assert_true(connect_to(f, &other));
		plane_child_tick(f->child, mono_now());
		assert_int_equal(events(f, DATAPLANE_CHILD_HARD_EXPIRE, 1), 0);
		assert_int_equal(events(f, DATAPLANE_CHILD_SOFT_EXPIRE, 1), 0);
		assert_int_equal(events(f, DATAPLANE_CHILD_HARD_EXPIRE, 2), 1);
		kill_plane(f);
	}
	some.skip_out = UINT32_MAX / 2;
	assert_int_equal(update_sa(f, &some), DATAPLANE_OK);
	new_plane(f, &dataplane_fake);
	assert_true(connect_to(f, &other));
	plane_child_tick(f->child, mono_now());
	assert_int_equal(events(f, DATAPLANE_CHILD_SOFT_EXPIRE, 1), 1);
}

/* Its keys must not be used with the first numbers again. */
static void what_the_new_plane_lost_is_an_event(void **state)
{
	struct fixture *f = *state;
	bool other;

	create(f, TUNNEL);
	install(f, 1, TUNNEL);
	kill_plane(f);
	install(f, 2, TUNNEL); /* no plane has seen this one */
	assert_int_equal(ftruncate(f->area, 0), 0);
	new_plane(f, &dataplane_fake);
	assert_true(connect_to(f, &other));
	assert_int_equal(events(f, DATAPLANE_CHILD_HARD_EXPIRE, 1), 1);
	assert_int_equal(events(f, DATAPLANE_CHILD_HARD_EXPIRE, 2), 0);
	assert_true(!there(f, 1) && there(f, 2));
}

/* What counts as done has to be done, and what was refused has to be told. */
static void one_that_does_not_answer_gets_a_new_link(void **state)
{
	struct fixture *f = *state;
	struct child_sa same = child(3, TUNNEL);
	bool other;

	create(f, TUNNEL);
	install(f, 1, TUNNEL);
	remote_set_patience(f->remote, 50);
	plane_child_stand_still(f->child, true);
	same.spi_in = 0x1001;
	assert_int_equal(install_sa(f, &same), DATAPLANE_OK);
	install(f, 2, TUNNEL);
	assert_false(remote_linked(f->remote));
	remote_set_patience(f->remote, REMOTE_TIMEOUT_MS);
	plane_child_stand_still(f->child, false);
	assert_true(connect_to(f, &other));
	assert_true(there(f, 1) && there(f, 2) && !there(f, 3));
	assert_int_equal(events(f, DATAPLANE_CHILD_HARD_EXPIRE, 3), 1);
	assert_int_equal(events(f, DATAPLANE_CHILD_HARD_EXPIRE, 0), 1);
}

static void dies_again_and_again(void **state)
{
	struct fixture *f = *state;
	bool other;

	for (uint32_t id = 1; id <= 20; id++) {
		create(f, id);
		install(f, id, id);
	}
	for (unsigned i = 0; i < 5; i++) {
		kill_plane(f);
		new_plane(f, &dataplane_fake);
		assert_true(connect_to(f, &other));
	}
	for (uint32_t id = 1; id <= 20; id++)
		assert_true(there(f, id));
	assert_int_equal(f->n_events, 0);
}

static void one_of_another_kind_is_refused(void **state)
{
	struct fixture *f = *state;
	bool other;

	other_kind = dataplane_fake;
	other_kind.name = "other";
	kill_plane(f);
	new_plane(f, &other_kind);
	assert_false(connect_to(f, &other));
	assert_true(other);
}

/* ---- devices that are asked for ahead ---- */

static struct tunnel_config config_named(const char *name)
{
	struct tunnel_config config = {.named = true};

	snprintf(config.name, sizeof(config.name), "%s", name);
	return config;
}

static void asked_for_ahead(void **state)
{
	struct tunnel_config a = config_named("a"), b = config_named("b");
	struct fixture *f = *state;

	f->ops->tunnel_prepare(f->plane, TUNNEL, &a);
	f->ops->tunnel_prepare(f->plane, TUNNEL + 1, &b);
	assert_int_equal(f->ops->tunnel_create(f->plane, TUNNEL + 1, &b), DATAPLANE_OK);
	assert_int_equal(f->ops->tunnel_create(f->plane, TUNNEL, &a), DATAPLANE_OK);
	assert_true(info(f, TUNNEL).ifindex > 0);
	assert_int_equal(info(f, TUNNEL + 1).ifindex, info(f, TUNNEL).ifindex + 1);
}

/* Its name is free by the time that it is wanted. */
static void refused_ahead_is_asked_for_again(void **state)
{
	struct tunnel_config same = config_named("t7");
	struct fixture *f = *state;
	int ifindex;

	create(f, TUNNEL);
	ifindex = info(f, TUNNEL).ifindex;
	f->ops->tunnel_prepare(f->plane, TUNNEL + 1, &same);
	f->ops->tunnel_prepare(f->plane, TUNNEL + 2, &same);
	assert_int_equal(f->ops->tunnel_create(f->plane, TUNNEL + 1, &same), DATAPLANE_EXISTS);
	assert_int_equal(f->ops->tunnel_remove(f->plane, TUNNEL), DATAPLANE_OK);
	assert_int_equal(f->ops->tunnel_create(f->plane, TUNNEL + 2, &same), DATAPLANE_OK);
	assert_true(info(f, TUNNEL + 2).ifindex > ifindex);
}

static void asked_for_ahead_and_not_wanted(void **state)
{
	struct tunnel_config a = config_named("a");
	struct fixture *f = *state;

	f->ops->tunnel_prepare(f->plane, TUNNEL, &a);
	assert_int_equal(f->ops->tunnel_remove(f->plane, TUNNEL), DATAPLANE_OK);
	assert_int_equal(f->ops->tunnel_create(f->plane, TUNNEL + 1, &a), DATAPLANE_OK);
	assert_true(info(f, TUNNEL + 1).ifindex > 0);
}

/* The next one makes it, and it is told that it is there. */
static void the_plane_dies_before_it_is_wanted(void **state)
{
	struct tunnel_config a = config_named("a");
	struct fixture *f = *state;
	bool other;

	plane_child_stand_still(f->child, true);
	f->ops->tunnel_prepare(f->plane, TUNNEL, &a);
	plane_child_kill(f->child);
	assert_int_equal(f->ops->tunnel_create(f->plane, TUNNEL, &a), DATAPLANE_OK);
	new_plane(f, &dataplane_fake);
	assert_true(connect_to(f, &other));
	assert_true(info(f, TUNNEL).ifindex > 0);
	assert_int_equal(events(f, DATAPLANE_DEVICE_CHANGED, 0), 1);
}

/* ---- ikes that die ---- */

static void a_new_ike_claims_what_it_knows(void **state)
{
	struct fixture *f = *state;
	int ifindex;

	create(f, TUNNEL);
	create(f, TUNNEL + 1);
	install(f, 1, TUNNEL);
	install(f, 2, TUNNEL);
	f->ops->tunnel_set_link(f->plane, TUNNEL, true);
	ifindex = info(f, TUNNEL).ifindex;
	end_ike(f);
	new_ike(f);
	create(f, TUNNEL);
	assert_int_equal(info(f, TUNNEL).ifindex, ifindex);
	assert_true(info(f, TUNNEL).link_up);
	assert_int_equal(info(f, TUNNEL).inherited, 2);
	install(f, 1, TUNNEL);
	assert_int_equal(info(f, TUNNEL).inherited, 1);
	assert_int_equal(events(f, DATAPLANE_INHERITED_GONE, 0), 0);
	f->ops->settled(f->plane);
	assert_true(there(f, 1)); /* behind it by the same link */
	ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(events(f, DATAPLANE_INHERITED_GONE, 0), 1);
	assert_int_equal(info(f, TUNNEL).inherited, 0);
	assert_true(there(f, 1));
	/* What nobody claimed is free for others. */
	install(f, 2, TUNNEL);
	create(f, TUNNEL + 1);
	assert_false(info(f, TUNNEL + 1).link_up);
}

static void other_numbers_for_the_same_device(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config config = {.named = true, .name = "t7"};
	int ifindex;

	create(f, TUNNEL);
	create(f, TUNNEL + 1);
	ifindex = info(f, TUNNEL).ifindex;
	end_ike(f);
	new_ike(f);
	assert_int_equal(f->ops->tunnel_create(f->plane, TUNNEL + 1, &config), DATAPLANE_OK);
	assert_int_equal(info(f, TUNNEL + 1).ifindex, ifindex);
}

static void the_same_number_for_another_sa(void **state)
{
	struct fixture *f = *state;
	struct child_sa c = child(1, TUNNEL);

	create(f, TUNNEL);
	install(f, 1, TUNNEL);
	end_ike(f);
	new_ike(f);
	create(f, TUNNEL);
	c.spi_in++;
	c.spi_out++;
	assert_int_equal(install_sa(f, &c), DATAPLANE_OK);
	assert_int_equal(info(f, TUNNEL).inherited, 0);
	assert_true(there(f, 1));
}

static void a_dead_peers_sas_go(void **state)
{
	struct fixture *f = *state;

	create(f, TUNNEL);
	install(f, 1, TUNNEL);
	end_ike(f);
	new_ike(f);
	create(f, TUNNEL);
	assert_int_equal(info(f, TUNNEL).inherited, 1);
	f->ops->tunnel_disinherit(f->plane, TUNNEL);
	assert_int_equal(info(f, TUNNEL).inherited, 0);
}

/* It does not send yet. */
static void receive(struct fixture *f, uint64_t id)
{
	struct child_sa c = child(id, TUNNEL);

	c.outbound = false;
	assert_int_equal(install_sa(f, &c), DATAPLANE_OK);
}

static void what_was_told_is_told_to_the_next_one_too(void **state)
{
	struct fixture *f = *state;
	const struct dataplane_event soft = {.kind = DATAPLANE_CHILD_SOFT_EXPIRE, .child = 1};
	const struct dataplane_event used = {.kind = DATAPLANE_CHILD_USED_NEW, .child = 1};
	const struct dataplane_event alive = {.kind = DATAPLANE_CHILD_ALIVE, .child = 1};

	create(f, TUNNEL);
	receive(f, 1);
	plane_child_event(f->child, &used);
	plane_child_event(f->child, &soft);
	assert_int_equal(events(f, DATAPLANE_CHILD_SOFT_EXPIRE, 1), 1);
	end_ike(f);
	plane_child_event(f->child, &alive); /* nobody is there: gone */
	new_ike(f);
	plane_child_event(f->child, &alive); /* nobody knows it: gone, too */
	create(f, TUNNEL);
	assert_int_equal(f->n_events, 0);
	receive(f, 1);
	plane_child_sync(f->child);
	assert_int_equal(events(f, DATAPLANE_CHILD_SOFT_EXPIRE, 1), 1);
	assert_int_equal(events(f, DATAPLANE_CHILD_USED_NEW, 1), 1);
	assert_int_equal(events(f, DATAPLANE_CHILD_ALIVE, 1), 0);
}

/* What is told again and again waits for a busy ike, and does not cost it the link. */
static void events_for_one_that_does_not_read(void **state)
{
	struct dataplane_event event = {.kind = DATAPLANE_CHILD_ALIVE, .child = 77};
	struct fixture *f = *state;
	static uint8_t message[IPC_BODY_MAX];
	int fd = plane_child_link(f->child);
	unsigned n = 0;
	ssize_t len;

	for (unsigned i = 0; i < 80000; i++)
		plane_child_event(f->child, &event);
	event.kind = DATAPLANE_CHILD_HARD_EXPIRE;
	plane_child_event(f->child, &event);
	do {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		assert_int_equal(poll(&p, 1, 10000), 1);
		len = recv(fd, message, sizeof(message), MSG_DONTWAIT);
		assert_true(len > (ssize_t)sizeof(event)); /* not the link's end */
		memcpy(&event, message + len - sizeof(event), sizeof(event));
		n++;
	} while (event.kind != DATAPLANE_CHILD_HARD_EXPIRE);
	assert_true(n > 1000 && n < 80000);
	close(fd);
}

/* ---- lists ---- */

static void a_list_is_one_turn(void **state)
{
	struct fixture *f = *state;
	struct dataplane_child_stats stats;
	struct dataplane_tunnel_info i;

	for (uint32_t id = 1; id <= MANY; id++) {
		create(f, id);
		install(f, id, id);
	}
	ev_run(f->loop, EVRUN_NOWAIT);
	for (uint32_t id = MANY; id > 0; id--) {
		assert_true(f->ops->child_stats(f->plane, id, &stats));
		assert_true(f->ops->tunnel_info(f->plane, id, &i));
	}
	assert_int_equal(i.ifindex, info(f, 1).ifindex);
}

/* ---- whether others changed a device ---- */

static uint64_t three_changes(struct dataplane *d)
{
	(void)d;
	return 3;
}

static void a_number_of_changes_is_one_plane_s(void **state)
{
	struct dataplane_ops counts = dataplane_fake;
	struct fixture *f = *state;
	uint64_t first;
	bool other;

	assert_int_equal(f->ops->changes(f->plane), 0); /* the fake does not count them */
	kill_plane(f);
	assert_int_equal(f->ops->changes(f->plane), 0);
	counts.changes = three_changes;
	new_plane(f, &counts);
	assert_true(connect_to(f, &other));
	first = f->ops->changes(f->plane);
	assert_true(first != 0);
	assert_true(f->ops->changes(f->plane) == first);
	kill_plane(f);
	new_plane(f, &counts);
	assert_true(connect_to(f, &other));
	assert_true(f->ops->changes(f->plane) != 0 && f->ops->changes(f->plane) != first);
}

/* ---- an ike that is somebody else's ---- */

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	(void)ctx;
	(void)link;
	(void)m;
}

static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	(void)link;
	(void)why;
	*(bool *)ctx = true;
}

static struct ipc_link *raw_link(struct fixture *f, bool *closed)
{
	const struct ipc_host host = {.message = on_message, .closed = on_closed, .ctx = closed};
	struct ipc_link *l = ipc_link_new(f->loop, plane_child_link(f->child), &host);

	assert_non_null(l);
	return l;
}

static int32_t ask(struct ipc_link *l, uint32_t verb, const void *body, size_t len)
{
	struct span part = span_of(body, len);
	struct ipc_message m;
	struct ipc_done done;

	assert_true(ipc_call(l, verb, &part, 1, NULL, 0, 10000, &m));
	assert_true(m.body.len >= sizeof(done));
	memcpy(&done, m.body.ptr, sizeof(done));
	if (done.error)
		assert_string_not_equal(done.words, "");
	return done.error;
}

static void is_refused(void **state)
{
	struct fixture *f = *state;
	struct ipc_tunnel t = sample_tunnel();
	struct ipc_route route = {.add = 1, .protocol = IPC_OUR_ROUTES, .ifindex = 1, .table = 220};
	struct ipc_address address = {.device = "lo"};
	struct child_sa c = sample_child();
	bool closed = false;
	struct ipc_link *l = raw_link(f, &closed);

	assert_int_equal(ask(l, IPC_TUNNEL_CREATE, &t, sizeof(t)), DATAPLANE_OK);
	assert_int_equal(ask(l, IPC_TUNNEL_CREATE, &t, sizeof(t) - 1), DATAPLANE_UNSUPPORTED);
	assert_int_equal(ask(l, IPC_PLANE_END, NULL, 0), DATAPLANE_UNSUPPORTED);
	assert_int_equal(ask(l, IPC_EVENT, NULL, 0), DATAPLANE_UNSUPPORTED);
	assert_int_equal(ask(l, UINT32_MAX, NULL, 0), DATAPLANE_UNSUPPORTED);
	c.in.encr_len = 16;
	assert_int_equal(ask(l, IPC_CHILD_INSTALL, &c, sizeof(c)), DATAPLANE_UNSUPPORTED);
	assert_true(prefix_parse("10.0.0.0/8", &route.dst));
	assert_int_equal(ask(l, IPC_ROUTE, &route, sizeof(route)), -1); /* lo is no tunnel's */
	route.protocol = 4;
	assert_int_equal(ask(l, IPC_ROUTE, &route, sizeof(route)), DATAPLANE_UNSUPPORTED);
	assert_true(prefix_parse("10.77.77.77/32", &address.prefix));
	assert_int_equal(ask(l, IPC_ADDRESS, &address, sizeof(address)), -1); /* never added */
	assert_false(closed);
	ipc_link_free(l);
}

/* As many as there may be, and not one more; those that are there may be asked for again. */
static void asks_for_too_many(void **state)
{
	struct fixture *f = *state;
	struct ipc_tunnel t = sample_tunnel();
	bool closed = false;
	struct ipc_link *l;
	struct child_sa c;

	plane_child_close(f->child);
	f->child = plane_child_new(&(struct plane_child_host){.ops = &dataplane_fake,
							      .loop = f->loop,
							      .send_esp = send_nowhere,
							      .ctx = f,
							      .most_tunnels = 2,
							      .most_children = 3});
	l = raw_link(f, &closed);
	for (t.tunnel = 1; t.tunnel <= 3; t.tunnel++) {
		snprintf(t.config.name, sizeof(t.config.name), "t%u", t.tunnel);
		assert_int_equal(ask(l, IPC_TUNNEL_CREATE, &t, sizeof(t)),
				 t.tunnel <= 2 ? DATAPLANE_OK : DATAPLANE_NO_MEMORY);
	}
	t.tunnel = 2;
	snprintf(t.config.name, sizeof(t.config.name), "t2");
	assert_int_equal(ask(l, IPC_TUNNEL_CREATE, &t, sizeof(t)), DATAPLANE_OK);
	for (uint64_t id = 1; id <= 4; id++) {
		c = child(id, 1 + id % 2);
		assert_int_equal(ask(l, IPC_CHILD_INSTALL, &c, sizeof(c)),
				 id <= 3 ? DATAPLANE_OK : DATAPLANE_NO_MEMORY);
	}
	assert_int_equal(ask(l, IPC_CHILD_REMOVE, &(uint64_t){1}, 8), DATAPLANE_OK);
	assert_int_equal(ask(l, IPC_CHILD_INSTALL, &c, sizeof(c)), DATAPLANE_OK);
	assert_int_equal(ask(l, IPC_TUNNEL_REMOVE, &(uint32_t){1}, 4), DATAPLANE_OK);
	t.tunnel = 3;
	snprintf(t.config.name, sizeof(t.config.name), "t3");
	assert_int_equal(ask(l, IPC_TUNNEL_CREATE, &t, sizeof(t)), DATAPLANE_OK);
	assert_false(closed);
	ipc_link_free(l);
}

/* An ike is killed, and the next one is there before the plane has read all: what was asked for
 * last is done, in its order, before the next one's. */
static void what_a_killed_ike_asked_last(void **state)
{
	struct fixture *f = *state;
	struct ipc_tunnel t = sample_tunnel();
	struct span part = span_of(&t, sizeof(t));
	bool closed = false;
	struct ipc_link *l = raw_link(f, &closed);

	plane_child_sync(f->child);
	plane_child_stand_still(f->child, true);
	for (t.tunnel = 1; t.tunnel <= MANY; t.tunnel++) {
		snprintf(t.config.name, sizeof(t.config.name), "t%u", t.tunnel);
		assert_true(ipc_send(l, IPC_TUNNEL_CREATE, 0, &part, 1, NULL, 0));
	}
	assert_true(ipc_flush(l, 0));
	ipc_link_free(l);
	plane_child_stand_still(f->child, false);
	l = raw_link(f, &closed);
	assert_int_equal(ask(l, IPC_TUNNEL_REMOVE, &(uint32_t){MANY}, 4), DATAPLANE_OK);
	ipc_link_free(l);
}

static void sends_garbage(void **state)
{
	struct fixture *f = *state;
	int fd = plane_child_link(f->child);
	bool closed = false;
	struct ipc_link *l;

	assert_int_equal(write(fd, "garbage", 7), 7);
	plane_child_sync(f->child);
	close(fd);
	l = raw_link(f, &closed); /* the plane lives and takes the next one */
	assert_int_equal(ask(l, IPC_TUNNEL_REMOVE, &(uint32_t){99}, 4), DATAPLANE_NOT_FOUND);
	ipc_link_free(l);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_new_plane_gets_everything),
		CASE(what_is_asked_meanwhile_is_done_then),
		CASE(what_the_new_plane_refuses_is_an_event),
		CASE(what_is_to_be_skipped_meanwhile_is_skipped_then),
		CASE(what_the_new_plane_lost_is_an_event),
		CASE(one_that_does_not_answer_gets_a_new_link),
		CASE(dies_again_and_again),
		CASE(one_of_another_kind_is_refused),
		CASE(asked_for_ahead),
		CASE(refused_ahead_is_asked_for_again),
		CASE(asked_for_ahead_and_not_wanted),
		CASE(the_plane_dies_before_it_is_wanted),
		CASE(a_new_ike_claims_what_it_knows),
		CASE(other_numbers_for_the_same_device),
		CASE(the_same_number_for_another_sa),
		CASE(a_dead_peers_sas_go),
		CASE(what_was_told_is_told_to_the_next_one_too),
		CASE(events_for_one_that_does_not_read),
		CASE(a_list_is_one_turn),
		CASE(a_number_of_changes_is_one_plane_s),
		CASE(is_refused),
		CASE(asks_for_too_many),
		CASE(what_a_killed_ike_asked_last),
		CASE(sends_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
