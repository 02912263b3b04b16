/* Tells when this machine's addresses or links change: what was not reachable may be now. */
#ifndef DETOUR_CHANGES_H
#define DETOUR_CHANGES_H

#include "lib/addr.h"

struct changes;
struct ev_loop;

struct changes_host {
	/* Something changed a moment ago; at most every ten seconds. */
	void (*changed)(void *ctx);
	/* It is our own doing: a tunnel's device, a virtual address (NULL: the link itself). */
	bool (*ours)(void *ctx, int ifindex, const struct addr *a);
	void *ctx;
};

struct changes *changes_open(struct ev_loop *loop, const struct changes_host *host);
void changes_close(struct changes *c);

#endif
