/* The single-instance lock: flock on a file beside the zserv socket. The file stays when
 * the lock is released (removing it would race with the next holder). */
#include "routed-bridge/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void lock_init(struct lock *l, const char *socket)
{
	l->fd = -1;
	snprintf(l->path, sizeof(l->path), "%s.routed-bridge.lock", socket);
}

/* Is what we hold still what the path names? */
static bool still_there(const struct lock *l)
{
	struct stat held, named;

	return l->fd >= 0 && fstat(l->fd, &held) == 0 && stat(l->path, &named) == 0 &&
	       held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static void say_holder(const struct lock *l, int fd, char *why, size_t size)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
	snprintf(why, size, "%s: another routed-bridge has it%s%s", l->path,
		 *pid ? ", process " : "", pid);
}

enum lock_result lock_acquire(struct lock *l, char *why, size_t size)
{
	char pid[16];
	int fd;

	if (still_there(l))
		return LOCK_HELD;
	lock_release(l);
	fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		snprintf(why, size, "%s: %s", l->path, strerror(errno));
		return LOCK_UNAVAILABLE;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		bool busy = errno == EWOULDBLOCK;

		say_holder(l, fd, why, size);
		close(fd);
		return busy ? LOCK_BUSY : LOCK_UNAVAILABLE;
	}
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, strlen(pid), 0) < 0) {
		/* The number is for people; the lock holds without it. */
	}
	l->fd = fd;
	return LOCK_HELD;
}

void lock_release(struct lock *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}
