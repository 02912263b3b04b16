/* Tells when this machine's addresses or links change: what was not reachable may be now. */
#ifndef DETOUR_CHANGES_H
#define DETOUR_CHANGES_H

#include "lib/addr.h"

struct changes;
struct ev_loop;

struct changes_host {
	/* Something changed a moment ago; at most every ten seconds. */
	void (*changed)(void *ctx);
	/* At once, each time: a link is not running any more, or gone; an own address went. */
	void (*link_lost)(void *ctx, int ifindex);
	void (*addr_lost)(void *ctx, const struct addr *a);
	/* It is our own doing: a tunnel's device, a virtual address (NULL: the link itself). */
	bool (*ours)(void *ctx, int ifindex, const struct addr *a);
	void *ctx;
};

struct changes *changes_open(struct ev_loop *loop, const struct changes_host *host);
void changes_close(struct changes *c);
/* Whether addresses came or went since the last call, or may have: our own doing left out. Reads
 * what waits, and tells of it as ever. */
bool changes_moved(struct changes *c);

#endif
