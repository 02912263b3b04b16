/* memfds: make, map, grow, let go. */
#include "ipsecd/state/memfd.h"
#include "lib/private_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux 6.3; older headers lack it. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static size_t whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

static bool fail(char *why, size_t size, const char *what)
{
	snprintf(why, size, "%s: %s", what, strerror(errno));
	return false;
}

static bool map(struct memfd *m, size_t size, char *why, size_t why_size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);

	if (memory == MAP_FAILED)
		return fail(why, why_size, "mmap");
	private_memory_mark(memory, size);
	m->memory = memory;
	m->size = size;
	return true;
}

/* A kernel before 6.3 knows neither the flag nor the seal, and says EINVAL. */
static int create(const char *name)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

	return fd < 0 && errno == EINVAL ? memfd_create(name, flags) : fd;
}

bool memfd_make(struct memfd *m, const char *name, size_t size, char *why, size_t why_size)
{
	struct memfd made = {.fd = create(name)};
	bool ok;

	size = whole_pages(size);
	if (made.fd < 0)
		return fail(why, why_size, "memfd_create");
	ok = (ftruncate(made.fd, (off_t)size) == 0 &&
	      fcntl(made.fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0) ||
	     fail(why, why_size, "sizing a memfd");
	if (ok && map(&made, size, why, why_size)) {
		*m = made;
		return true;
	}
	close(made.fd);
	return false;
}

bool memfd_map(struct memfd *m, int fd, size_t size, char *why, size_t why_size)
{
	struct memfd found = {.fd = fd};
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0)
		return fail(why, why_size, "not a memfd");
	if (!(seals & F_SEAL_SHRINK) && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
		return fail(why, why_size, "sealing a memfd");
	if (fstat(fd, &st) != 0 ||
	    (st.st_size == 0 &&
	     (ftruncate(fd, (off_t)whole_pages(size)) != 0 || fstat(fd, &st) != 0)))
		return fail(why, why_size, "sizing a memfd");
	if (st.st_size <= 0 || (size_t)st.st_size != whole_pages((size_t)st.st_size)) {
		snprintf(why, why_size, "the memfd has %lld bytes, which are not whole pages",
			 (long long)st.st_size);
		return false;
	}
	if (!map(&found, (size_t)st.st_size, why, why_size))
		return false;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	*m = found;
	return true;
}

bool memfd_grow(struct memfd *m, size_t size)
{
	void *memory;

	size = whole_pages(size);
	if (size <= m->size)
		return true;
	if (ftruncate(m->fd, (off_t)size) != 0)
		return false;
	memory = mremap(m->memory, m->size, size, MREMAP_MAYMOVE);
	if (memory == MAP_FAILED && errno == EAGAIN) { /* locked, and more than may be */
		munlock(m->memory, m->size);
		memory = mremap(m->memory, m->size, size, MREMAP_MAYMOVE);
	}
	if (memory == MAP_FAILED)
		return false;
	private_memory_mark(memory, size);
	m->memory = memory;
	m->size = size;
	return true;
}

/* Where the kernel can't, they stay. */
void memfd_release(const struct memfd *m, size_t at, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t from = whole_pages(at), to = (at + n) / page * page;

	if (from < to)
		fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
			  (off_t)(to - from));
}

void memfd_close(struct memfd *m)
{
	if (m->memory)
		munmap(m->memory, m->size);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct memfd){.fd = -1};
}
