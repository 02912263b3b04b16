/* Going to the background: one pipe between the two processes, a byte on it means that the
 * daemon runs, its end without a byte that it does not. Knows nothing of what is started. */
#include "ipsecd/background.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static int to_parent = -1;

static int status_of(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* _exit: what stdio holds is the child's to write. */
static _Noreturn void wait_for(pid_t child, int from_child)
{
	char running;
	ssize_t n;

	n = TEMP_FAILURE_RETRY(read(from_child, &running, 1));
	_exit(n == 1 ? 0 : status_of(child));
}

bool background_begin(void)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	child = fork();
	if (child < 0) {
		close(ends[0]);
		close(ends[1]);
		return false;
	}
	if (child > 0) {
		close(ends[1]);
		wait_for(child, ends[0]);
	}
	close(ends[0]);
	to_parent = ends[1];
	setsid();
	return true;
}

static void leave_streams(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

void background_running(void)
{
	ssize_t told;

	if (to_parent < 0)
		return;
	leave_streams();
	told = TEMP_FAILURE_RETRY(write(to_parent, "", 1));
	(void)told; /* a parent that was killed meanwhile need not know */
	close(to_parent);
	to_parent = -1;
}
