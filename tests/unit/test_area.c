/* The memory that outlives a plane: what was put is there for the next one, torn and foreign
 * content is recognised, and, single-stepped, whatever instruction of a killed process was the
 * last one, what the next one finds is whole. */
#include "ipsecd/dataplane/area_map.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHUNKS	64
#define SECOND	((size_t)13 * AREA_CACHE_LINE) /* of the slots of CHILD_SAs, in its chunk */
#define MEMORY	((size_t)CHUNKS * AREA_CHUNK)
#define STEPPED 8192 /* what single-stepped work uses of each of the first two */

/* Shared with children of this process, and where copies of it are opened. */
static uint8_t *shared, *copy;

static void *give(void *ctx, unsigned n)
{
	return n < CHUNKS ? (uint8_t *)ctx + (size_t)n * AREA_CHUNK : NULL;
}

static struct sa_area *open_at(uint8_t *memory)
{
	const struct area_host host = {.chunk = give, .ctx = memory};
	char why[160];
	struct sa_area *a = area_open(&host, why, sizeof(why));

	if (!a)
		fail_msg("area_open: %s", why);
	return a;
}

static void expect_refused(uint8_t *memory, const char *word)
{
	const struct area_host host = {.chunk = give, .ctx = memory};
	char why[160] = "";

	assert_null(area_open(&host, why, sizeof(why)));
	if (!strstr(why, word))
		fail_msg("\"%s\" does not say \"%s\"", why, word);
}

static int setup(void **state)
{
	(void)state;
	memset(shared, 0, MEMORY);
	memset(copy, 0, MEMORY);
	return 0;
}

static struct area_tunnel tunnel(unsigned n)
{
	struct area_tunnel t = {
		.id = n, .ifindex = (int)n + 10, .link_up = n & 1, .admin_up = true};

	snprintf(t.config.name, sizeof(t.config.name), "t%u", n);
	t.config.n_addrs = 1;
	t.config.addrs[0] = (struct prefix){{AF_INET, {10, 0, (uint8_t)n, 1}}, 24};
	return t;
}

static struct child_sa child(unsigned n)
{
	struct child_sa c = {.id = n, .spi_in = 0x1000 + n, .spi_out = 0x2000 + n, .encr_id = 20};

	c.local = (struct endpoint){{AF_INET, {192, 0, 2, 1}}, 4500};
	c.remote = (struct endpoint){{AF_INET, {192, 0, 2, 2}}, 4500};
	c.in.encr_len = c.out.encr_len = 36;
	memset(c.in.encr, 'K', 36);
	memset(c.out.encr, 'L', 36);
	c.in.encr[0] = c.out.encr[0] = (uint8_t)n;
	return c;
}

struct found {
	unsigned n_tunnels, n_children;
	struct area_tunnel tunnels[128];
	struct child_sa children[2048];
	struct area_numbers numbers[2048];
	struct area_slot *slots[2048];
};

static struct found found;

static void see_tunnel(void *ctx, struct area_slot *s)
{
	(void)ctx;
	area_tunnel_get(s, &found.tunnels[found.n_tunnels++]);
}

static void see_child(void *ctx, struct area_slot *s)
{
	unsigned n = found.n_children++;

	(void)ctx;
	found.slots[n] = s;
	area_child_get(s, &found.children[n], &found.numbers[n]);
}

static void see(struct sa_area *a)
{
	found.n_tunnels = found.n_children = 0;
	assert_true(area_each_tunnel(a, see_tunnel, NULL));
	assert_true(area_each_child(a, see_child, NULL));
	assert_int_equal(found.n_tunnels, area_tunnels(a));
	assert_int_equal(found.n_children, area_children(a));
}

/* ---- what is kept ---- */

static void the_next_one_finds_all(void **state)
{
	struct area_numbers numbers = {3, 4};
	struct area_tunnel t = tunnel(7);
	struct sa_area *a = open_at(shared);
	struct child_sa c = child(1);
	struct area_slot *ts, *cs;

	(void)state;
	assert_int_equal(area_tunnels(a), 0);
	ts = area_tunnel_put(a, &t);
	cs = area_child_put(a, ts, &c, &numbers);
	area_child_live(cs)->seq_out = 99;
	assert_int_equal(sa_live_next(area_child_live(cs), UINT32_MAX), 100);
	c.outbound = true;
	c.remote.port = 61000;
	area_child_set(cs, &c);
	t.id = 8;
	t.link_up = false;
	area_tunnel_set(ts, &t);
	area_close(a);

	a = open_at(shared);
	see(a);
	assert_int_equal(area_dropped(a), 0);
	assert_int_equal(found.n_tunnels, 1);
	assert_int_equal(found.tunnels[0].id, 8);
	assert_false(found.tunnels[0].link_up);
	assert_string_equal(found.tunnels[0].config.name, "t7");
	assert_int_equal(found.n_children, 1);
	assert_int_equal(found.children[0].tunnel, 8);
	assert_int_equal(found.children[0].remote.port, 61000);
	assert_true(found.children[0].outbound);
	assert_int_equal(found.numbers[0].priority, 4);
	assert_true(area_child_is(found.slots[0], &c));
	assert_int_equal(area_child_live(found.slots[0])->seq_out, 100);
	c.out.encr[35]++;
	assert_false(area_child_is(found.slots[0], &c));
	area_close(a);
}

static void grows_and_nothing_moves(void **state)
{
	struct sa_area *a = open_at(shared);
	struct area_slot *ts[100];
	struct sa_live *live[1000];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct area_tunnel t = tunnel(i);

		ts[i] = area_tunnel_put(a, &t);
		assert_non_null(ts[i]);
	}
	for (unsigned i = 0; i < 1000; i++) {
		struct child_sa c = child(i);
		struct area_slot *s = area_child_put(a, ts[i % 100], &c, NULL);

		assert_non_null(s);
		live[i] = area_child_live(s);
		assert_int_equal((uintptr_t)live[i] % AREA_CACHE_LINE, 0);
		live[i]->seq_out = i;
	}
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(live[i]->seq_out, i);
	area_close(a);
	a = open_at(shared);
	see(a);
	assert_int_equal(found.n_children, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(found.children[i].id, i);
		assert_int_equal(found.children[i].tunnel, i % 100);
		assert_int_equal(area_child_live(found.slots[i])->seq_out, i);
	}
	area_close(a);
}

static void is_full_in_the_end(void **state)
{
	struct sa_area *a = open_at(shared);
	struct area_tunnel t = tunnel(1);
	struct area_slot *ts = area_tunnel_put(a, &t), *last = NULL, *s;
	unsigned n = 0;

	(void)state;
	for (;; n++) {
		struct child_sa c = child(n);

		s = area_child_put(a, ts, &c, NULL);
		if (!s)
			break;
		last = s;
	}
	assert_true(n > 1000);
	area_slot_free(last);
	assert_int_equal(area_children(a), n - 1);
	area_close(a);
	a = open_at(shared);
	assert_int_equal(area_children(a), n - 1);
	area_close(a);
}

static void freed_slots_are_cleansed(void **state)
{
	struct sa_area *a = open_at(shared);
	struct area_tunnel t = tunnel(1);
	struct area_slot *ts = area_tunnel_put(a, &t), *cs[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct child_sa c = child(i);

		cs[i] = area_child_put(a, ts, &c, NULL);
	}
	assert_non_null(memmem(shared, MEMORY, "KKKKKKKKKKKKKKKK", 16));
	for (unsigned i = 0; i < 3; i++)
		area_slot_free(cs[i]);
	area_slot_free(ts);
	assert_null(memmem(shared, MEMORY, "KKKKKKKKKKKKKKKK", 16));
	assert_null(memmem(shared, MEMORY, "LLLLLLLLLLLLLLLL", 16));
	assert_int_equal(area_children(a) + area_tunnels(a), 0);
	area_close(a);
}

static void a_child_goes_with_its_tunnel(void **state)
{
	struct sa_area *a = open_at(shared);
	struct area_tunnel t = tunnel(1);
	struct area_slot *ts = area_tunnel_put(a, &t);
	struct child_sa c = child(1);

	(void)state;
	assert_non_null(area_child_put(a, ts, &c, NULL));
	area_slot_free(ts);
	t = tunnel(2); /* in the same slot */
	assert_non_null(area_tunnel_put(a, &t));
	area_close(a);
	a = open_at(shared);
	see(a);
	assert_int_equal(found.n_tunnels, 1);
	assert_int_equal(found.n_children, 0);
	assert_int_equal(area_dropped(a), 1);
	assert_null(memmem(shared, MEMORY, "KKKKKKKKKKKKKKKK", 16));
	area_close(a);
}

static void memory_of_this_process_does_as_well(void **state)
{
	char why[64];
	struct sa_area *a = area_open(NULL, why, sizeof(why));
	struct area_tunnel t = tunnel(1);
	struct area_slot *ts;

	(void)state;
	assert_non_null(a);
	ts = area_tunnel_put(a, &t);
	for (unsigned i = 0; i < 100; i++) {
		struct child_sa c = child(i);

		assert_non_null(area_child_put(a, ts, &c, NULL));
	}
	area_close(a);
}

static void a_file_keeps_it(void **state)
{
	int fd = memfd_create("area", MFD_CLOEXEC);
	struct area_tunnel t = tunnel(1);
	struct area_map first, second;
	struct area_slot *ts;
	char why[160];

	(void)state;
	assert_true(area_map_open(&first, fd, why, sizeof(why)));
	ts = area_tunnel_put(first.area, &t);
	for (unsigned i = 0; i < 100; i++) {
		struct child_sa c = child(i);

		assert_non_null(area_child_put(first.area, ts, &c, NULL));
	}
	assert_true(first.n > 1);
	area_map_close(&first);
	assert_true(area_map_open(&second, fd, why, sizeof(why)));
	see(second.area);
	assert_int_equal(found.n_children, 100);
	area_map_close(&second);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_false(area_map_open(&second, fd, why, sizeof(why)));
	close(fd);
	assert_false(area_map_open(&second, -1, why, sizeof(why)));
	assert_non_null(strstr(why, "no memory"));
}

/* ---- what is not believed ---- */

static void foreign_memory_is_refused(void **state)
{
	char versions[64];

	(void)state;
	memset(shared, 'x', 64);
	expect_refused(shared, "no state of a data plane");
	assert_int_equal(shared[0], 'x');
	memset(shared, 0, 64);
	shared[5000] = 1;
	expect_refused(shared, "no state of a data plane");
	memset(shared, 0, MEMORY);
	area_close(open_at(shared));
	shared[8]++;
	snprintf(versions, sizeof(versions), "version %u, this program's is %u", AREA_VERSION + 1,
		 AREA_VERSION);
	expect_refused(shared, versions);
	shared[8]--;
	shared[12] ^= 64;
	expect_refused(shared, "another build");
	shared[12] ^= 64;
	shared[32] = 0;
	expect_refused(shared, "claims 0 chunks");
	shared[32] = 200;
	expect_refused(shared, "no memory for 200 chunks");
	assert_int_equal(shared[32], 200);
	shared[32] = 1;
	area_close(open_at(shared));
}

/* Any byte of what does not change by packets: its slot is dropped, or nobody looks at it. */
static unsigned damage(size_t from, size_t to, const struct area_tunnel *t,
		       const struct child_sa *c)
{
	unsigned dropped = 0;

	for (size_t at = from; at < to; at++) {
		struct sa_area *a;

		memcpy(copy, shared, (size_t)2 * AREA_CHUNK);
		copy[at] ^= 0x10;
		a = open_at(copy);
		see(a);
		dropped += area_dropped(a) != 0;
		for (unsigned i = 0; i < found.n_tunnels; i++)
			assert_memory_equal(&found.tunnels[i].config, &t->config,
					    sizeof(t->config));
		for (unsigned i = 0; i < found.n_children; i++)
			assert_true(area_child_is(found.slots[i], c));
		area_close(a);
	}
	return dropped;
}

static void damage_is_recognised(void **state)
{
	struct sa_area *a = open_at(shared);
	struct area_tunnel t = tunnel(1);
	struct area_slot *ts = area_tunnel_put(a, &t);
	struct child_sa c = child(1);

	(void)state;
	assert_non_null(area_child_put(a, ts, &c, NULL));
	area_close(a);
	assert_true(damage(AREA_CACHE_LINE, 2048, &t, &c) > 500);
	/* How long its slots are, and what of a slot is no window. */
	assert_true(damage(AREA_CHUNK + AREA_CACHE_LINE - 4, AREA_CHUNK + 2048, &t, &c) > 300);
}

/* ---- long and short ---- */

static struct child_sa long_child(unsigned n)
{
	struct child_sa c = child(n);

	c.replay_window = REPLAY_WINDOW_MAX;
	c.local_ts.n = c.remote_ts.n = TS_LIST_MAX;
	for (unsigned i = 0; i < TS_LIST_MAX; i++) {
		memset(&c.local_ts.ts[i], (int)(n + i), sizeof(struct ts));
		memset(&c.remote_ts.ts[i], (int)(n + i + 100), sizeof(struct ts));
	}
	c.in.encr_len = c.out.encr_len = sizeof(c.in.encr);
	c.in.integ_len = c.out.integ_len = sizeof(c.in.integ);
	memset(c.in.integ, 'I', sizeof(c.in.integ));
	memset(c.out.integ, 'O', sizeof(c.out.integ));
	return c;
}

static void same_span(struct span s, const uint8_t *bytes, size_t len)
{
	assert_int_equal(s.len, len);
	assert_memory_equal(s.ptr, bytes, len);
}

static void same_child(struct area_slot *s, const struct child_sa *c)
{
	const struct area_child_parts p = area_child_parts(s);
	struct child_sa got;

	area_child_get(s, &got, NULL);
	assert_true(area_child_is(s, c));
	assert_int_equal(got.id, c->id);
	assert_int_equal(got.replay_window, c->replay_window);
	assert_memory_equal(&got.local_ts, &c->local_ts, sizeof(got.local_ts));
	assert_memory_equal(&got.remote_ts, &c->remote_ts, sizeof(got.remote_ts));
	assert_memory_equal(&got.in, &c->in, c->in.encr_len);
	assert_int_equal(p.n_local_ts, c->local_ts.n);
	assert_int_equal(p.n_remote_ts, c->remote_ts.n);
	assert_memory_equal(p.remote_ts, c->remote_ts.ts, p.n_remote_ts * sizeof(struct ts));
	same_span(p.in.encr, c->in.encr, c->in.encr_len);
	same_span(p.in.integ, c->in.integ, c->in.integ_len);
	same_span(p.out.encr, c->out.encr, c->out.encr_len);
	same_span(p.out.integ, c->out.integ, c->out.integ_len);
}

/* A whole window, all of whose numbers were seen, and every number of selectors. */
static void each_has_the_room_that_it_needs(void **state)
{
	struct sa_area *a = open_at(shared);
	struct area_tunnel t = tunnel(1);
	struct area_slot *ts = area_tunnel_put(a, &t);
	struct child_sa cs[2 * TS_LIST_MAX];

	(void)state;
	for (unsigned i = 0; i < 2 * TS_LIST_MAX; i++) {
		struct replay *r;

		cs[i] = i % 2 ? long_child(i) : child(i);
		if (i % 2) {
			cs[i].local_ts.n = (uint8_t)(i / 2 + 1);
			memset(&cs[i].local_ts.ts[i / 2 + 1], 0,
			       (TS_LIST_MAX - i / 2 - 1) * sizeof(struct ts));
		}
		r = &area_child_live(area_child_put(a, ts, &cs[i], NULL))->replay;
		replay_init(r, cs[i].replay_window, false);
		for (uint64_t seq = 1; seq < 5000; seq++)
			replay_commit(r, seq);
	}
	area_close(a);
	a = open_at(shared);
	see(a);
	assert_int_equal(area_dropped(a), 0);
	assert_int_equal(found.n_children, 2 * TS_LIST_MAX);
	for (unsigned i = 0; i < found.n_children; i++) {
		same_child(found.slots[i], &cs[i]);
		area_slot_free(found.slots[i]);
	}
	assert_null(memmem(shared, MEMORY, "KKKKKKKKKKKKKKKK", 16));
	assert_null(memmem(shared, MEMORY, "OOOOOOOOOOOOOOOO", 16));
	area_close(a);
}

/* What most CHILD_SAs are has the least size: 85 of them in 64 KB. */
static void most_are_short(void **state)
{
	struct sa_area *a = open_at(shared);
	struct area_tunnel t = tunnel(1);
	struct area_slot *ts = area_tunnel_put(a, &t);

	(void)state;
	for (unsigned i = 0; i < 85; i++) {
		struct child_sa c = child(i);

		c.replay_window = 64;
		c.local_ts.n = c.remote_ts.n = 1;
		if (i % 2) {
			c.in.encr_len = c.out.encr_len = 32;
			c.in.integ_len = c.out.integ_len = 32;
		}
		assert_non_null(area_child_put(a, ts, &c, NULL));
	}
	area_close(a);
	assert_int_equal(shared[32], 2);
}

/* ---- killed at any instruction ---- */

static void take_copy(void)
{
	memcpy(copy, shared, STEPPED);
	memcpy(copy + AREA_CHUNK, shared + AREA_CHUNK, STEPPED);
}

static bool is_copy(void)
{
	return memcmp(copy, shared, STEPPED) == 0 &&
	       memcmp(copy + AREA_CHUNK, shared + AREA_CHUNK, STEPPED) == 0;
}

/* Steps a process that runs `work` through all of its instructions; after each that has changed
 * the shared memory, `check` sees it. */
static void step_through(void (*work)(void), void (*check)(void), unsigned at_least)
{
	unsigned changes = 0;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(2);
		raise(SIGSTOP);
		work();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	take_copy();
	while (WIFSTOPPED(status)) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (is_copy())
			continue;
		changes++;
		take_copy();
		check(); /* may change the copy */
		take_copy();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_in_range(changes, at_least, 1000000);
}

static struct sa_area *at_work;
static struct area_slot *tunnel_at_work, *child_at_work;

static void begin_work(void)
{
	struct area_tunnel t = tunnel(1);
	struct child_sa c = child(1);

	at_work = open_at(shared);
	tunnel_at_work = area_tunnel_put(at_work, &t);
	child_at_work = area_child_put(at_work, tunnel_at_work, &c, NULL);
}

static void put_another(void)
{
	struct child_sa c = child(2);

	if (!area_child_put(at_work, tunnel_at_work, &c, NULL))
		_exit(3);
}

/* The old one whole, the new one whole or not there. */
static void check_put(void)
{
	struct sa_area *a = open_at(copy);
	struct child_sa one = child(1), two = child(2);

	see(a);
	assert_int_equal(found.n_tunnels, 1);
	assert_in_range(found.n_children, 1, 2);
	assert_true(area_child_is(found.slots[0], &one));
	if (found.n_children == 2)
		assert_true(area_child_is(found.slots[1], &two));
	else
		assert_null(memmem(copy + AREA_CHUNK + SECOND, AREA_CHUNK - SECOND,
				   "KKKKKKKKKKKKKKKK", 16));
	area_close(a);
}

/* The chunk for CHILD_SAs is new. */
static void put_the_first(void)
{
	struct child_sa c = child(1);

	if (!area_child_put(at_work, tunnel_at_work, &c, NULL))
		_exit(3);
}

static void check_first(void)
{
	struct sa_area *a = open_at(copy);
	struct child_sa one = child(1);

	see(a);
	assert_int_equal(found.n_tunnels, 1);
	if (found.n_children == 1)
		assert_true(area_child_is(found.slots[0], &one));
	else
		assert_int_equal(found.n_children, 0);
	area_close(a);
}

static void killed_while_growing(void **state)
{
	struct area_tunnel t = tunnel(1);

	(void)state;
	at_work = open_at(shared);
	tunnel_at_work = area_tunnel_put(at_work, &t);
	step_through(put_the_first, check_first, 15);
	area_close(at_work);
}

static void killed_while_putting(void **state)
{
	(void)state;
	begin_work();
	step_through(put_another, check_put, 15);
	see(at_work);
	area_close(at_work);
}

static void change_both(void)
{
	struct area_tunnel t = tunnel(1);
	struct child_sa c = child(1);

	for (unsigned i = 0; i < 3; i++) {
		t.config.n_addrs = (uint8_t)(2 + i);
		area_tunnel_set(tunnel_at_work, &t);
		c.remote.port = c.local.port = (uint16_t)(1000 + i);
		c.outbound = !c.outbound;
		area_child_set(child_at_work, &c);
	}
}

/* What it was or what it will be, and never gone. */
static void check_change(void)
{
	struct sa_area *a = open_at(copy);
	const struct child_sa *c = &found.children[0];

	see(a);
	assert_int_equal(found.n_tunnels, 1);
	assert_int_equal(found.n_children, 1);
	assert_in_range(found.tunnels[0].config.n_addrs, 1, 4);
	assert_int_equal(c->local.port, c->remote.port);
	assert_int_equal(c->outbound, c->local.port == 1000 || c->local.port == 1002);
	area_close(a);
}

static void killed_while_changing(void **state)
{
	(void)state;
	begin_work();
	step_through(change_both, check_change, 15);
	area_close(at_work);
}

static void free_child(void)
{
	area_slot_free(child_at_work);
}

static void check_free(void)
{
	struct sa_area *a = open_at(copy);
	struct child_sa one = child(1);

	see(a);
	assert_int_equal(found.n_tunnels, 1);
	if (found.n_children == 1)
		assert_true(area_child_is(found.slots[0], &one));
	else
		assert_null(memmem(copy, (size_t)2 * AREA_CHUNK, "KKKKKKKKKKKKKKKK", 16));
	area_close(a);
}

static void killed_while_freeing(void **state)
{
	(void)state;
	begin_work();
	step_through(free_child, check_free, 5);
	area_close(at_work);
}

static void open_new(void)
{
	area_close(open_at(shared));
}

static void check_new(void)
{
	area_close(open_at(copy));
}

static void killed_while_opening(void **state)
{
	(void)state;
	step_through(open_new, check_new, 3);
}

/* ---- the window ---- */

struct window {
	unsigned committed;
	_Alignas(struct replay) uint8_t replay[REPLAY_BYTES_MAX];
};

static struct replay *replay_of(struct window *w)
{
	return (struct replay *)w->replay;
}

static const uint64_t numbers[] = {1,	2,   60,  64,  65,  63,	 127, 128, 129, 192, 130,
				   400, 399, 401, 448, 449, 500, 512, 640, 639, 1000};

#define NUMBERS (sizeof(numbers) / sizeof(*numbers))

static void commit_all(void)
{
	struct window *w = (struct window *)shared;

	for (unsigned i = 0; i < NUMBERS; i++) {
		replay_commit(replay_of(w), numbers[i]);
		__atomic_store_n(&w->committed, i + 1, __ATOMIC_RELEASE);
	}
}

/* What was committed is never accepted again, and what was not is as good as ever. */
static void check_window(void)
{
	struct window *w = (struct window *)copy, room;
	struct replay *model = replay_of(&room);
	bool begun;

	replay_resume(replay_of(w), 64, false);
	begun = w->committed < NUMBERS && !replay_check(replay_of(w), numbers[w->committed]);
	replay_init(model, 64, false);
	for (unsigned i = 0; i < w->committed + begun; i++)
		replay_commit(model, numbers[i]);
	for (uint64_t n = 1; n < 1100; n++)
		if (replay_check(replay_of(w), n) != replay_check(model, n))
			fail_msg("%llu of %u", (unsigned long long)n, w->committed);
}

static void killed_in_the_window(void **state)
{
	(void)state;
	replay_init(replay_of((struct window *)shared), 64, false);
	step_through(commit_all, check_window, 60);
}

#define CASE(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(the_next_one_finds_all),
		CASE(grows_and_nothing_moves),
		CASE(is_full_in_the_end),
		CASE(freed_slots_are_cleansed),
		CASE(a_child_goes_with_its_tunnel),
		CASE(memory_of_this_process_does_as_well),
		CASE(a_file_keeps_it),
		CASE(foreign_memory_is_refused),
		CASE(damage_is_recognised),
		CASE(each_has_the_room_that_it_needs),
		CASE(most_are_short),
		CASE(killed_while_growing),
		CASE(killed_while_putting),
		CASE(killed_while_changing),
		CASE(killed_while_freeing),
		CASE(killed_while_opening),
		CASE(killed_in_the_window),
	};

	shared = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	copy = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || copy == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(cases, NULL, NULL);
}
