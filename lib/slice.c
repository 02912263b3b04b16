/* Custom slices of the fair scheduler. glibc has neither these calls nor, before 2.41, the struct.
 */
#include "lib/slice.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As of Linux 3.14; glibc has none before 2.41, and the kernel's header does not go with glibc's.
 */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

bool slice_set(unsigned microseconds)
{
	struct attr attr = {0};

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) != 0)
		return false;
	if (attr.policy != SCHED_OTHER)
		return true;
	attr.runtime = (uint64_t)microseconds * 1000;
	return syscall(SYS_sched_setattr, 0, &attr, 0) == 0;
}
