/* Memory with a descriptor (memfd_create(2)): it lives as long as somebody keeps the descriptor,
 * may be handed to another process, and never touches a disk. It grows and does not shrink
 * (sealed, so that no process can take it from under another), is not executable where the
 * kernel can say so, is left out of core dumps, and stays out of swap as far as RLIMIT_MEMLOCK
 * allows. */
#ifndef DETOUR_MEMFD_H
#define DETOUR_MEMFD_H

#include <stdbool.h>
#include <stddef.h>

struct memfd {
	int fd; /* close on exec */
	void *memory;
	size_t size; /* of file and mapping; a multiple of the page size */
};

/* A new one, zeros, of at least `size` bytes. The name is for /proc: "ipsecd-engine". false:
 * `why`, nothing is left behind. */
bool memfd_make(struct memfd *m, const char *name, size_t size, char *why, size_t why_size);
/* One that somebody else made, whole; takes the descriptor unless it fails. An empty one gets
 * `size` bytes, and one that may shrink is sealed. Refuses what is no memfd or can't be sealed. */
bool memfd_map(struct memfd *m, int fd, size_t size, char *why, size_t why_size);
/* At least `size` bytes; the content stays, m->memory may change. false: errno, and m is as it
 * was. */
bool memfd_grow(struct memfd *m, size_t size);
/* The whole pages among these n bytes, which are zeros and stay so, need no memory any more. */
void memfd_release(const struct memfd *m, size_t at, size_t n);
/* Unmaps it and closes this process's descriptor. */
void memfd_close(struct memfd *m);

#endif
