/* Turns of the scheduler: nothing else of a thread changes, and threads that it makes have it, too.
 */
#include "lib/slice.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* As of Linux 3.14; glibc has none before 2.41, and the kernel's header does not go with glibc's.
 */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void *look(void *arg)
{
	return syscall(SYS_sched_getattr, 0, arg, sizeof(struct attr), 0) == 0 ? arg : NULL;
}

/* Where the kernel tells them: since 6.12. */
static void has_turns(const struct attr *a, int nice, uint64_t ns)
{
	assert_int_equal(a->policy, SCHED_OTHER);
	assert_int_equal(a->nice, nice);
	if (a->runtime)
		assert_int_equal(a->runtime, ns);
}

static void turns_are_short(void **state)
{
	int nice = getpriority(PRIO_PROCESS, 0) + 1;
	struct attr here = {0}, made = {0};
	pthread_t thread;
	void *got;

	(void)state;
	assert_int_equal(setpriority(PRIO_PROCESS, 0, nice), 0);
	assert_true(slice_set(200));
	assert_non_null(look(&here));
	has_turns(&here, nice, 200000);
	assert_int_equal(pthread_create(&thread, NULL, look, &made), 0);
	assert_int_equal(pthread_join(thread, &got), 0);
	assert_ptr_equal(got, &made);
	has_turns(&made, nice, 200000);
	assert_int_equal(made.runtime, here.runtime);
}

static void another_policy_stays(void **state)
{
	struct attr attr = {.size = sizeof(attr), .policy = SCHED_IDLE};

	(void)state;
	assert_int_equal(syscall(SYS_sched_setattr, 0, &attr, 0), 0);
	assert_true(slice_set(200));
	assert_non_null(look(&attr));
	assert_int_equal(attr.policy, SCHED_IDLE);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(turns_are_short),
		cmocka_unit_test(another_policy_stays),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
