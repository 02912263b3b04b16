/* One bridge per zserv socket: zebra takes two clients of the same type for one, and the
 * end of one removes the routes of both. */
#ifndef DETOUR_LOCK_H
#define DETOUR_LOCK_H

#include <stdbool.h>
#include <stddef.h>

enum lock_result {
	LOCK_HELD,
	LOCK_BUSY,	  /* another process has it */
	LOCK_UNAVAILABLE, /* no such folder yet, no permission...: try again later */
};

struct lock {
	int fd; /* -1: not held */
	char path[160];
};

/* The lock of a socket is a file beside it. */
void lock_init(struct lock *l, const char *socket);
/* Takes the lock, or makes sure that it is still there: a lock file that was removed with
 * its folder is made anew. `why` says what went wrong. */
enum lock_result lock_acquire(struct lock *l, char *why, size_t size);
void lock_release(struct lock *l);

#endif
