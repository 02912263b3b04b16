/* kernel_policy.c over a kernel that is a list, and refuses when it is told to. */
#include "ipsecd/dataplane/kernel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <utlist.h>

#include <cmocka.h>

#define PAIRS 3 /* of selectors; each has a policy out, in and fwd */

/* ---- the kernel ---- */

static struct xfrm_policy there[32];
static unsigned n_there, calls, refuse_from, refuse_to; /* calls, the first is 1 */

static bool refused(void)
{
	calls++;
	return calls >= refuse_from && calls < refuse_to;
}

static struct xfrm_policy *find(const struct xfrm_policy *p)
{
	for (unsigned i = 0; i < n_there; i++) {
		if (there[i].dir == p->dir && xfrm_sel_equal(&there[i].sel, &p->sel))
			return &there[i];
	}
	return NULL;
}

int xfrm_policy_set(struct netlink *nl, const struct xfrm_policy *p)
{
	struct xfrm_policy *is = find(p);

	(void)nl;
	if (refused())
		return -ENOBUFS;
	if (!is)
		is = &there[n_there++];
	*is = *p;
	return 0;
}

int xfrm_policy_remove(struct netlink *nl, const struct xfrm_policy *p)
{
	struct xfrm_policy *is = find(p);

	(void)nl;
	if (refused())
		return -ENOBUFS;
	if (!is)
		return -ENOENT;
	*is = there[--n_there];
	return 0;
}

bool vti_is_vti(const struct netlink_device *d)
{
	(void)d;
	return false;
}

uint8_t vti_family(const struct netlink_device *d)
{
	(void)d;
	return AF_INET;
}

struct kernel_tunnel *kernel_tunnel_by_tag(const struct dataplane *d, const struct xfrm_tag *tag,
					   bool out)
{
	(void)d;
	(void)tag;
	(void)out;
	return NULL;
}

/* ---- a tunnel with one CHILD_SA ---- */

static struct dataplane plane;
static struct kernel_tunnel tunnel;
static struct kernel_child child;

static int setup(void **state)
{
	static const char *const local[PAIRS] = {"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"};

	(void)state;
	n_there = calls = refuse_from = refuse_to = 0;
	tunnel = (struct kernel_tunnel){.plane = &plane};
	child = (struct kernel_child){.tunnel = &tunnel, .priority = 100};
	child.sa.outbound = true;
	child.sa.local_ts.n = PAIRS;
	for (unsigned i = 0; i < PAIRS; i++)
		assert_true(ts_parse(local[i], &child.sa.local_ts.ts[i]));
	child.sa.remote_ts.n = 1;
	assert_true(ts_parse("10.9.0.0/16", &child.sa.remote_ts.ts[0]));
	DL_PREPEND(tunnel.newest, &child);
	return 0;
}

static void refuse(unsigned first, unsigned n)
{
	refuse_from = calls + first;
	refuse_to = refuse_from + n;
}

static int settle(bool is_there)
{
	tunnel.newest = is_there ? &child : NULL;
	return kernel_policy_settle(&tunnel, &child.sa);
}

/* ---- cases ---- */

static void what_is_behind_a_refused_removal_goes(void **state)
{
	(void)state;
	for (unsigned first = 1; first <= 3 * PAIRS; first++) {
		setup(state);
		assert_int_equal(settle(true), 0);
		assert_int_equal(n_there, 3 * PAIRS);
		refuse(first, 1);
		assert_int_equal(settle(false), -ENOBUFS);
		assert_int_equal(n_there, 1);
		/* That one goes with the tunnel. */
		kernel_policy_remove_all(&tunnel);
		assert_int_equal(n_there, 0);
	}
}

static void what_is_behind_a_refused_pair_is_there(void **state)
{
	(void)state;
	refuse(1, 1); /* inbound: nothing goes out where nothing may come back */
	assert_int_equal(settle(true), -ENOBUFS);
	assert_int_equal(n_there, 3 * (PAIRS - 1));
	assert_int_equal(settle(true), 0);
	assert_int_equal(n_there, 3 * PAIRS);
	kernel_policy_remove_all(&tunnel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_behind_a_refused_removal_goes, setup),
		cmocka_unit_test_setup(what_is_behind_a_refused_pair_is_there, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
