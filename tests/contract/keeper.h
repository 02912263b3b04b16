/* What outlives a plane in tests: the memory of its area, shared with the processes that this one
 * forks, and the descriptors of TUN devices, which they pass up. */
#ifndef DETOUR_CONTRACT_KEEPER_H
#define DETOUR_CONTRACT_KEEPER_H

#include "ipsecd/dataplane/area.h"

#define KEEPER_CHUNKS 64
#define KEEPER_TUNS   8

struct keeper {
	uint8_t *memory;
	int pair[2]; /* descriptors go into the second, and come out of the first */
	struct {
		char name[IF_NAMESIZE];
		int fd; /* -1: none */
	} tuns[KEEPER_TUNS];
};

void keeper_open(struct keeper *k);
void keeper_close(struct keeper *k);
/* The area as it is in the memory now; the caller closes it. */
struct sa_area *keeper_area(struct keeper *k);
/* Takes in what killed processes have passed up. */
void keeper_collect(struct keeper *k);
/* For dataplane_host, with a keeper as context `k`: in any process that has it. */
int keeper_kept(struct keeper *k, const char *name);
void keeper_keep(struct keeper *k, const char *name, int fd);
void keeper_drop(struct keeper *k, const char *name);

#endif
