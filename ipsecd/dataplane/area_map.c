/* Chunks of an area in a file: owns the mappings. */
#include "ipsecd/dataplane/area_map.h"
#include "lib/private_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool reserve(int fd, off_t size)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_size >= size || ftruncate(fd, size) == 0);
}

static void *chunk(void *ctx, unsigned n)
{
	struct area_map *m = ctx;
	void **more = realloc(m->chunks, (m->n + 1) * sizeof(*more)), *p;

	if (!more)
		return NULL;
	m->chunks = more;
	if (!reserve(m->fd, (off_t)(n + 1) * AREA_CHUNK))
		return NULL;
	p = mmap(NULL, AREA_CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd,
		 (off_t)n * AREA_CHUNK);
	if (p == MAP_FAILED)
		return NULL;
	private_memory_mark(p, AREA_CHUNK);
	m->chunks[m->n++] = p;
	return p;
}

bool area_map_open(struct area_map *m, int fd, char *why, size_t size)
{
	const struct area_host host = {.chunk = chunk, .ctx = m};

	*m = (struct area_map){.fd = fd};
	errno = 0;
	m->area = area_open(&host, why, size);
	if (m->area)
		return true;
	if (errno && size > strlen(why) + 2)
		snprintf(why + strlen(why), size - strlen(why), ": %s", strerror(errno));
	area_map_close(m);
	return false;
}

void area_map_close(struct area_map *m)
{
	area_close(m->area);
	for (unsigned i = 0; i < m->n; i++)
		munmap(m->chunks[i], AREA_CHUNK);
	free(m->chunks);
	*m = (struct area_map){.fd = -1};
}
