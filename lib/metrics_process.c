/* What /proc says of this process (proc(5)), as metrics. */
#include "lib/metrics.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 65536

struct process {
	unsigned long long user, system, started, virtual, resident; /* ticks, ticks, ticks, bytes,
									pages */
};

static int status = -1;

void metrics_process_begin(void)
{
	if (status < 0)
		status = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
}

/* The fields behind the program's name, which may have blanks and brackets in it. */
static bool read_stat(struct process *p)
{
	char text[1024];
	const char *rest;
	ssize_t n;

	metrics_process_begin();
	n = pread(status, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return false;
	text[n] = '\0';
	rest = strrchr(text, ')');
	return rest && sscanf(rest + 1,
			      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d "
			      "%*d %*d %*d %llu %llu %llu",
			      &p->user, &p->system, &p->started, &p->virtual, &p->resident) == 5;
}

/* To the second, which is as good as two clocks that are read one after the other. */
static uint64_t started_at(const struct process *p)
{
	struct timespec wall, boot;
	double since;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	since = (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9;
	return (uint64_t)(since + (double)p->started / (double)sysconf(_SC_CLK_TCK));
}

/* By asking for each: in a process without a file system there is no /proc. */
static unsigned open_files(rlim_t most)
{
	struct pollfd some[256];
	unsigned n = 0;

	for (rlim_t first = 0; first < most; first += 256) {
		nfds_t count = most - first < 256 ? (nfds_t)(most - first) : 256;

		for (nfds_t i = 0; i < count; i++)
			some[i] = (struct pollfd){.fd = (int)(first + i)};
		if (poll(some, count, 0) < 0)
			return 0;
		for (nfds_t i = 0; i < count; i++)
			n += !(some[i].revents & POLLNVAL);
	}
	return n;
}

static void put_files(struct metrics *m)
{
	struct rlimit limit;
	unsigned n;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	n = open_files(limit.rlim_cur < FILES_MAX ? limit.rlim_cur : FILES_MAX);
	if (!n)
		return;
	metrics_family(m, METRICS_GAUGE, "process_open_fds", "Open file descriptors.");
	metrics_uint(m, n, NULL);
	metrics_family(m, METRICS_GAUGE, "process_max_fds", "How many of them are allowed.");
	metrics_uint(m, limit.rlim_cur, NULL);
}

void metrics_process(struct metrics *m)
{
	struct process p;

	put_files(m);
	if (!read_stat(&p))
		return;
	metrics_family(m, METRICS_COUNTER, "process_cpu_seconds_total",
		       "Processor time used, user and system.");
	metrics_real(m, (double)(p.user + p.system) / (double)sysconf(_SC_CLK_TCK), NULL);
	metrics_family(m, METRICS_GAUGE, "process_resident_memory_bytes", "Resident memory.");
	metrics_uint(m, p.resident * (unsigned long)sysconf(_SC_PAGESIZE), NULL);
	metrics_family(m, METRICS_GAUGE, "process_virtual_memory_bytes", "Virtual memory.");
	metrics_uint(m, p.virtual, NULL);
	metrics_family(m, METRICS_GAUGE, "process_start_time_seconds",
		       "When the process began, in seconds since the epoch.");
	metrics_uint(m, started_at(&p), NULL);
}
