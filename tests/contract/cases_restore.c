/* Contract: a plane that is killed, and the next one, which has nothing but the area and the
 * descriptors that were kept. */
#include "tests/contract/contract.h"
#include "tests/contract/keeper.h"

#include "ipsecd/dataplane/esp.h"
#include "lib/buf.h"

#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct keeper keeper;
static bool dies_making; /* as soon as a device is there */
static bool keeper_is_late;

/* ---- lives ---- */

static int kept_tun(void *ctx, const char *name)
{
	(void)ctx;
	return keeper_is_late ? -1 : keeper_kept(&keeper, name);
}

static void keep_tun(void *ctx, const char *name, int fd)
{
	(void)ctx;
	keeper_keep(&keeper, name, fd);
	if (dies_making)
		raise(SIGKILL);
}

static void drop_tun(void *ctx, const char *name)
{
	(void)ctx;
	keeper_drop(&keeper, name);
}

static void life_begin(struct world *w)
{
	w->now = contract->now();
	w->a.n_sent = w->a.n_events = 0;
	w->a.more = (struct dataplane_host){.area = keeper_area(&keeper),
					    .kept_tun = kept_tun,
					    .keep_tun = keep_tun,
					    .drop_tun = drop_tun};
	side_open(&w->a, "dp-a");
}

static void life_end(struct world *w)
{
	contract->ops->close(w->a.plane);
	area_close(w->a.more.area);
	keeper_collect(&keeper);
	w->a.plane = NULL;
}

/* A process whose plane does `what`, and is killed. */
static void live(struct world *w, void (*what)(struct world *w))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (contract->loop)
			ev_loop_fork(contract->loop);
		life_begin(w);
		what(w);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static int setup(void **state)
{
	struct world *w =
		mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (w == MAP_FAILED)
		return -1;
	keeper_open(&keeper);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (w->a.plane)
		life_end(w);
	keeper_close(&keeper);
	munmap(w, sizeof(*w));
	return 0;
}

/* ---- parts of lives ---- */

static struct dataplane_tunnel_info info_of(struct world *w, uint32_t tunnel)
{
	struct dataplane_tunnel_info info = {0};

	assert_true(contract->ops->tunnel_info(w->a.plane, tunnel, &info));
	return info;
}

static enum dataplane_error create(struct world *w, uint32_t tunnel)
{
	struct tunnel_config config = config_for(&w->a);

	return contract->ops->tunnel_create(w->a.plane, tunnel, &config);
}

static struct child_sa child_of(unsigned n)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};
	struct child_sa a, b;

	child_pair(n, &gcm, &a, &b);
	return a;
}

static void send_packets(struct world *w, unsigned n)
{
	uint8_t memory[PACKET_MAX];

	for (unsigned i = 0; i < n; i++)
		contract->transmit(&w->a, udp_packet(memory, AF_INET, i, 100, false), w->now);
}

static void come(struct world *w, const struct child_sa *child, uint64_t seq)
{
	uint8_t memory[PACKET_MAX];
	struct packet p =
		forge(child, seq, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, true));

	input(w, &w->a, &p);
}

static uint32_t number_of(const struct packet *p)
{
	return be32_get(p->data + 4);
}

static struct dataplane_child_stats stats_of(struct world *w, uint64_t id)
{
	struct dataplane_child_stats stats = {0};

	assert_true(contract->ops->child_stats(w->a.plane, id, &stats));
	return stats;
}

/* A tunnel that is UP, five packets out, three in. */
static void works(struct world *w)
{
	struct child_sa child = child_of(1);

	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	contract->watch(&w->a);
	install(&w->a, &child);
	assert_int_equal(contract->ops->tunnel_set_link(w->a.plane, TUNNEL, true), DATAPLANE_OK);
	send_packets(w, 5);
	for (unsigned i = 1; i <= 3; i++)
		come(w, &child, i);
	w->b.n_sent = (unsigned)info_of(w, TUNNEL).ifindex; /* a place that both see */
}

/* ---- cases ---- */

static void goes_on_where_it_was_killed(void **state)
{
	struct world *w = *state;
	struct child_sa child = child_of(1);

	live(w, works);
	assert_int_equal(number_of(&w->a.sent[4]), 5);
	life_begin(w);
	assert_int_equal(info_of(w, TUNNEL).ifindex, w->b.n_sent);
	assert_true(info_of(w, TUNNEL).link_up);
	assert_true(info_of(w, TUNNEL).admin_up);
	assert_int_equal(info_of(w, TUNNEL).mtu, 1438);
	assert_true(contract->oper_up(&w->a));
	assert_int_equal(stats_of(w, child.id).packets_out, 5);
	assert_int_equal(stats_of(w, child.id).packets_in, 3);
	/* Nobody has spoken to it yet. */
	contract->watch(&w->a);
	send_packets(w, 1);
	assert_int_equal(number_of(&w->a.sent[0]), 6);
	for (unsigned i = 1; i <= 4; i++)
		come(w, &child, i);
	assert_int_equal(dropped(&w->a, DROP_REPLAY), 3);
	assert_int_equal(stats_of(w, child.id).packets_in, 4);
	contract->unwatch(&w->a);
}

static void what_is_claimed_goes_on_as_it_is(void **state)
{
	struct world *w = *state;
	struct child_sa child = child_of(1), other = child;

	live(w, works);
	life_begin(w);
	other.out.encr[0]++;
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	assert_int_equal(contract->ops->child_install(w->a.plane, &other), DATAPLANE_EXISTS);
	assert_non_null(strstr(contract->ops->last_error(w->a.plane), "keys"));
	child.remote.port = 61000;
	child.resumed = true;
	assert_int_equal(contract->ops->child_install(w->a.plane, &child), DATAPLANE_OK);
	contract->ops->settled(w->a.plane);
	contract->watch(&w->a);
	send_packets(w, 1);
	assert_int_equal(number_of(&w->a.sent[0]), 6);
	assert_int_equal(w->a.sent[0].to.port, 61000);
	assert_int_equal(stats_of(w, child.id).packets_out, 6);
	assert_true(contract->oper_up(&w->a));
	assert_int_equal(info_of(w, TUNNEL).ifindex, w->b.n_sent);
	contract->unwatch(&w->a);
}

static void what_nobody_claims_goes(void **state)
{
	struct world *w = *state;
	struct dataplane_child_stats stats;
	struct dataplane_tunnel_info info;

	live(w, works);
	life_begin(w);
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	contract->ops->settled(w->a.plane);
	assert_false(contract->ops->child_stats(w->a.plane, 101, &stats));
	assert_int_equal(info_of(w, TUNNEL).ifindex, w->b.n_sent);
	assert_false(contract->oper_up(&w->a)); /* nothing is left that could carry */
	contract->ops->unsettle(w->a.plane);
	contract->ops->settled(w->a.plane);
	assert_false(contract->ops->tunnel_info(w->a.plane, TUNNEL, &info));
	assert_int_equal(area_tunnels(w->a.more.area) + area_children(w->a.more.area), 0);
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
}

static void moves_to_another_id(void **state)
{
	struct tunnel_config config = {.name = "dp-other", .named = true};
	struct world *w = *state;
	struct child_sa child = child_of(1);
	struct sa_area *next;

	live(w, works);
	life_begin(w);
	/* The configuration was changed meanwhile: ids are others'. */
	assert_int_equal(contract->ops->tunnel_create(w->a.plane, TUNNEL, &config), DATAPLANE_OK);
	assert_int_equal(create(w, TUNNEL + 1), DATAPLANE_OK);
	assert_int_equal(info_of(w, TUNNEL + 1).ifindex, w->b.n_sent);
	assert_int_not_equal(info_of(w, TUNNEL).ifindex, w->b.n_sent);
	assert_int_equal(contract->ops->child_install(w->a.plane, &child), DATAPLANE_EXISTS);
	child.tunnel = TUNNEL + 1;
	assert_int_equal(contract->ops->child_install(w->a.plane, &child), DATAPLANE_OK);
	contract->ops->settled(w->a.plane);
	assert_int_equal(stats_of(w, child.id).packets_out, 5);
	next = keeper_area(&keeper); /* as the next process would see it */
	assert_int_equal(area_children(next), 1);
	assert_int_equal(area_dropped(next), 0);
	area_close(next);
}

/* Told before the kill: not again. */
static void expires_softly(struct world *w)
{
	struct child_sa child = child_of(1);

	child.rekey_packets = 3;
	child.life_packets = 6;
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	contract->watch(&w->a);
	install(&w->a, &child);
	send_packets(w, 5);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_SOFT_EXPIRE, NULL), 1);
}

static void limits_hold_over_the_kill(void **state)
{
	struct world *w = *state;

	live(w, expires_softly);
	life_begin(w);
	contract->watch(&w->a);
	contract->ops->tick(w->a.plane, w->now);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_SOFT_EXPIRE, NULL), 0);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_HARD_EXPIRE, NULL), 0);
	send_packets(w, 3);
	assert_int_equal(w->a.n_sent, 1);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_SOFT_EXPIRE, NULL), 0);
	assert_int_equal(events(&w->a, DATAPLANE_CHILD_HARD_EXPIRE, NULL), 1);
	assert_int_equal(dropped(&w->a, DROP_EXPIRED), 2);
	contract->unwatch(&w->a);
}

static const struct suite_case suites[] = {
	{ENCR_AES_GCM_16, 256, 0, true},
	{ENCR_CHACHA20_POLY1305, 0, 0, false},
	{ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, true},
	{ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_512_256, false},
};

#define SUITES (sizeof(suites) / sizeof(*suites))

static void has_all_suites(struct world *w)
{
	struct child_sa a, b;

	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	for (unsigned i = 0; i < SUITES; i++) {
		child_pair(i, &suites[i], &a, &b);
		install(&w->a, &a);
	}
	contract->watch(&w->a);
	send_packets(w, 2);
}

/* And the newest sends, as before. */
static void every_suite_goes_on(void **state)
{
	struct world *w = *state;
	struct child_sa a, b;

	live(w, has_all_suites);
	life_begin(w);
	contract->watch(&w->a);
	for (unsigned i = SUITES; i-- > 0;) {
		child_pair(i, &suites[i], &a, &b);
		come(w, &a, 1);
		assert_int_equal(stats_of(w, a.id).packets_in, 1);
		w->a.n_sent = 0;
		send_packets(w, 1);
		assert_int_equal(be32_get(w->a.sent[0].data), a.spi_out);
		assert_int_equal(number_of(&w->a.sent[0]), i == SUITES - 1 ? 3 : 1);
		assert_int_equal(contract->ops->child_remove(w->a.plane, a.id), DATAPLANE_OK);
	}
	contract->unwatch(&w->a);
}

static void a_torn_slot_is_dropped(void **state)
{
	struct world *w = *state;
	struct child_sa child = child_of(1);
	struct dataplane_child_stats stats;
	uint8_t *keys;

	live(w, works);
	keys = memmem(keeper.memory, (size_t)KEEPER_CHUNKS * AREA_CHUNK, child.in.encr,
		      child.in.encr_len);
	assert_non_null(keys);
	keys[3]++;
	life_begin(w);
	assert_int_equal(area_dropped(w->a.more.area), 1);
	assert_false(contract->ops->child_stats(w->a.plane, child.id, &stats));
	assert_int_equal(info_of(w, TUNNEL).ifindex, w->b.n_sent);
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	install(&w->a, &child);
}

static void makes_half(struct world *w)
{
	dies_making = true;
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
}

/* It is down and has no address, which was nobody's will. */
static void a_device_made_by_half_is_finished(void **state)
{
	struct child_sa child = child_of(1);
	struct world *w = *state;

	live(w, makes_half);
	life_begin(w);
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	assert_true(info_of(w, TUNNEL).ifindex != 0);
	assert_true(info_of(w, TUNNEL).admin_up);
	assert_false(contract->oper_up(&w->a));
	contract->watch(&w->a);
	install(&w->a, &child);
	send_packets(w, 1);
	assert_int_equal(w->a.n_sent, 1);
	assert_int_equal(events(&w->a, DATAPLANE_DEVICE_CHANGED, NULL), 0);
	contract->unwatch(&w->a);
}

static void begins(struct world *w)
{
	struct tunnel_config config = config_for(&w->a);
	const struct dataplane_ops *ops = contract->ops;

	assert_int_equal((ops->tunnel_begin ? ops->tunnel_begin
					    : ops->tunnel_create)(w->a.plane, TUNNEL, &config),
			 DATAPLANE_OK);
}

/* What it asks of the kernel had waited for others, and nobody was told of it. */
static void a_device_that_was_begun_is_finished(void **state)
{
	struct world *w = *state;

	live(w, begins);
	life_begin(w);
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	assert_true(info_of(w, TUNNEL).ifindex != 0);
	assert_true(info_of(w, TUNNEL).admin_up);
	assert_true(info_of(w, TUNNEL).mtu != 0);
	assert_int_equal(events(&w->a, DATAPLANE_DEVICE_CHANGED, NULL), 0);
}

static void removes(struct world *w)
{
	works(w);
	assert_int_equal(contract->ops->tunnel_remove(w->a.plane, TUNNEL), DATAPLANE_OK);
}

static void what_was_removed_is_gone(void **state)
{
	struct dataplane_tunnel_info info;
	struct world *w = *state;

	live(w, removes);
	life_begin(w);
	assert_false(contract->ops->tunnel_info(w->a.plane, TUNNEL, &info));
	assert_int_equal(area_tunnels(w->a.more.area), 0);
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	assert_false(contract->oper_up(&w->a));
}

/* Whoever keeps a copy of its descriptor hears only later that the device goes. */
static void a_name_is_free_at_once(void **state)
{
	struct world *w = *state;
	int was;

	life_begin(w);
	assert_int_equal(create(w, TUNNEL), DATAPLANE_OK);
	was = info_of(w, TUNNEL).ifindex;
	assert_int_equal(contract->ops->tunnel_remove(w->a.plane, TUNNEL), DATAPLANE_OK);
	keeper_is_late = true;
	assert_int_equal(create(w, TUNNEL + 1), DATAPLANE_OK);
	keeper_is_late = false;
	assert_int_not_equal(info_of(w, TUNNEL + 1).ifindex, was);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int contract_restore_cases(const char *plane)
{
	const struct CMUnitTest restore_cases[] = {
		CASE(goes_on_where_it_was_killed),
		CASE(what_is_claimed_goes_on_as_it_is),
		CASE(what_nobody_claims_goes),
		CASE(moves_to_another_id),
		CASE(limits_hold_over_the_kill),
		CASE(every_suite_goes_on),
		CASE(a_torn_slot_is_dropped),
		CASE(what_was_removed_is_gone),
		CASE(a_name_is_free_at_once),
		CASE(a_device_made_by_half_is_finished),
		CASE(a_device_that_was_begun_is_finished),
	};

	printf("contract: %s, killed and begun again\n", plane);
	return cmocka_run_group_tests(restore_cases, NULL, NULL);
}
