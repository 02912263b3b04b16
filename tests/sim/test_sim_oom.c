/* Memory runs out inside the engine: every single allocation of a tunnel's life fails once,
 * and then several in a row. Nothing crashes, no invariant breaks, nothing leaks (ASan sees),
 * and when there is memory again the tunnel comes up.
 *
 * The linker's --wrap puts the functions below between the simulation, the engine and the
 * allocator (tests/sim/tests.mk). */
#include "tests/sim/sim_test.h"
#include "tests/sim/sim_parts.h"

#include <stdlib.h>

static struct {
	bool armed, inside; /* inside: an engine runs, not the simulation */
	unsigned count, fail_at, in_a_row;
} memory;

static bool addresses; /* virtual ones are part of that life */

static bool fails(void)
{
	if (!memory.armed || !memory.inside || sim_replacing)
		return false;
	memory.count++;
	return memory.count >= memory.fail_at && memory.count < memory.fail_at + memory.in_a_row;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

#define ENTER(name, params, args)              \
	void __real_ike_engine_##name params;  \
	void __wrap_ike_engine_##name params;  \
	void __wrap_ike_engine_##name params   \
	{                                      \
		memory.inside = true;          \
		__real_ike_engine_##name args; \
		memory.inside = false;         \
	}

ENTER(datagram,
      (struct ike_engine * e, const struct ike_path *path, struct span datagram, mono_time now),
      (e, path, datagram, now))
ENTER(expire, (struct ike_engine * e, mono_time now), (e, now))
ENTER(child_event,
      (struct ike_engine * e, uint64_t id, enum ike_child_event event, const struct ike_path *path,
       mono_time now),
      (e, id, event, path, now))

ENTER(lease, (struct ike_engine * e, uint64_t query, const struct ike_lease *lease, mono_time now),
      (e, query, lease, now))

bool __real_ike_engine_command(struct ike_engine *e, const struct ike_command *c,
			       const char **error, mono_time now);
bool __wrap_ike_engine_command(struct ike_engine *e, const struct ike_command *c,
			       const char **error, mono_time now);

bool __wrap_ike_engine_command(struct ike_engine *e, const struct ike_command *c,
			       const char **error, mono_time now)
{
	bool ok;

	memory.inside = true;
	ok = __real_ike_engine_command(e, c, error, now);
	memory.inside = false;
	return ok;
}

/* A command that may fail, and time for it. */
static void give(struct sim *s, unsigned node, struct ike_command *c)
{
	const char *error;

	c->tag = ++s->next_tag;
	c->select.ike = node ? "to0-0" : "to1-0";
	ike_engine_command(s->nodes[node].engine, c, &error, s->now);
	sim_drain(s, node);
	sim_run(s, 3 * MONO_S);
}

static void order(struct sim *s, unsigned node, enum ike_command_kind kind, const char *child)
{
	give(s, node, &(struct ike_command){.kind = kind, .select.child = child});
}

static void order_reauth(struct sim *s, unsigned node)
{
	give(s, node, &(struct ike_command){.kind = IKE_COMMAND_REKEY, .reauth = true});
}

static void live(struct sim *s)
{
	order(s, 0, IKE_COMMAND_INITIATE, NULL);
	order(s, 0, IKE_COMMAND_REKEY, "net");
	order(s, 1, IKE_COMMAND_REKEY, "net");
	order(s, 1, IKE_COMMAND_REKEY, NULL);
	order(s, 0, IKE_COMMAND_REKEY, NULL);
	order_reauth(s, 0);
	order_reauth(s, addresses ? 0 : 1);
	order(s, 1, IKE_COMMAND_TERMINATE, "net");
	order(s, 0, IKE_COMMAND_INITIATE, "net");
	order(s, 0, IKE_COMMAND_TERMINATE, NULL);
}

/* Node 0 asks node 1 for virtual addresses of both families. */
static void pair_with_addresses(struct sim *s)
{
	struct conn *ask = sim_conn(s, 0, 1, 0), *give = sim_conn(s, 1, 0, 0);

	if (!vip_parse("%config4", &ask->vips[ask->n_vips++]) ||
	    !vip_parse("%config6", &ask->vips[ask->n_vips++]) ||
	    !pool_ref_parse("10.99.0.0/29", &give->pools[give->n_pools++]) ||
	    !pool_ref_parse("2001:db8:99::/64", &give->pools[give->n_pools++]) ||
	    !ts_parse("%dynamic", &ask->children[0].local_ts.ts[0]) ||
	    !ts_parse("%dynamic", &give->children[0].remote_ts.ts[0]))
		abort();
	sim_load(s, 0, ask, 1);
	sim_load(s, 1, give, 1);
}

/* How many allocations there were. */
static unsigned life_without(unsigned fail_at, unsigned in_a_row)
{
	struct sim *s = sim_new(1, 2, &crypto_null, NULL);
	char why[160];

	if (addresses)
		pair_with_addresses(s);
	else
		sim_pair(s, 0);
	memory.count = 0;
	memory.fail_at = fail_at;
	memory.in_a_row = in_a_row;
	memory.armed = true;
	live(s);
	memory.armed = false;
	sim_run(s, 60 * MONO_S); /* what was lost is given up */
	if (!addresses)		 /* only who asks for addresses gets them */
		order(s, 1, IKE_COMMAND_INITIATE, NULL);
	order(s, 0, IKE_COMMAND_INITIATE, "net");
	for (unsigned i = 0; i < 60 && !sim_agree(s, 0, 1, 1, why); i++)
		sim_run(s, 2 * MONO_S);
	if (s->violation[0] || !sim_agree(s, 0, 1, 1, why))
		fail_msg("allocations %u to %u fail: %s", fail_at, fail_at + in_a_row - 1,
			 s->violation[0] ? s->violation : why);
	if (addresses && s->nodes[1].lease_queries - s->nodes[1].lease_releases != 1)
		fail_msg("allocations %u to %u fail: %u queries, %u releases", fail_at,
			 fail_at + in_a_row - 1, s->nodes[1].lease_queries,
			 s->nodes[1].lease_releases);
	sim_free(s);
	return memory.count;
}

static void each_fails(unsigned in_a_row)
{
	unsigned n = life_without(UINT32_MAX - in_a_row, in_a_row);

	assert_true(n > 100);
	for (unsigned i = 1; i <= n; i += sim_stride())
		life_without(i, in_a_row);
}

static void test_one_fails(void **state)
{
	(void)state;
	each_fails(1);
}

static void test_some_fail(void **state)
{
	(void)state;
	each_fails(3);
	each_fails(12);
	each_fails(400);
}

static void test_one_fails_with_addresses(void **state)
{
	(void)state;
	addresses = true;
	each_fails(1);
	each_fails(4);
	each_fails(40);
	addresses = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_fails),
		cmocka_unit_test(test_some_fail),
		cmocka_unit_test(test_one_fails_with_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
