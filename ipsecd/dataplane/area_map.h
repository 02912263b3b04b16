/* An area in a file without a name (memfd_create) that somebody keeps for the processes that
 * map it one after the other. It grows by chunks, each mapped by itself, so that none moves. */
#ifndef DETOUR_AREA_MAP_H
#define DETOUR_AREA_MAP_H

#include "ipsecd/dataplane/area.h"

struct area_map {
	int fd; /* borrowed */
	unsigned n;
	void **chunks;
	struct sa_area *area;
};

/* false: `why`, and nothing is mapped. */
bool area_map_open(struct area_map *m, int fd, char *why, size_t size);
/* What is in it stays in the file. */
void area_map_close(struct area_map *m);

#endif
