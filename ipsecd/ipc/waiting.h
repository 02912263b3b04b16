/* Messages of a link (link.h) that wait: to be sent, or, come during a call, to be handed over.
 * Their descriptors are theirs. */
#ifndef DETOUR_IPC_WAITING_H
#define DETOUR_IPC_WAITING_H

#include "ipsecd/ipc/link.h"

struct ipc_header {
	uint32_t magic, verb, serial, len;
};

struct waiting {
	struct waiting *prev, *next;
	struct ipc_header header;
	int fds[IPC_FDS_MAX];
	unsigned n_fds;
	uint8_t body[];
};

/* What it costs here: an empty one is not for nothing. */
size_t waiting_cost(const struct ipc_header *h);
void waiting_close(const int *fds, unsigned n);
/* false: no memory, or no descriptor for a duplicate; nothing is taken then. */
bool waiting_add(struct waiting **list, const struct ipc_header *h, const struct span *parts,
		 unsigned n_parts, const int *fds, unsigned n_fds, bool duplicate);
void waiting_drop_all(struct waiting **list);

#endif
