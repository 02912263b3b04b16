/* The connections to bfdd, which listens (`bfdd --dplaneaddr unix:PATH`): its sessions come in
 * and go to the table, states and counters go back.
 *
 * One connection is not enough for many sessions: bfdd gives a new connection all that have
 * none, but no more at once than its buffer of 8 KiB has room for, and forgets the rest. So
 * there is always one more connection that was not filled. */
#ifndef DETOUR_BFD_BFDD_H
#define DETOUR_BFD_BFDD_H

#include "lib/log.h"
#include "routed-bridge/bfd_loop.h"
#include "routed-bridge/bfd_table.h"

struct bfd_bfdd;

struct bfd_bfdd_host {
	void (*opened)(void *ctx, struct bfd_peer *p);	/* a session is new */
	void (*closing)(void *ctx, struct bfd_peer *p); /* and about to be removed */
	void *ctx;
	struct bfd_loop *loop;
	struct bfd_table *table;
	const struct log_sink *log;
};

/* The host must stay valid. NULL: out of memory. */
struct bfd_bfdd *bfd_bfdd_new(const struct bfd_bfdd_host *host, const char *path);
void bfd_bfdd_free(struct bfd_bfdd *b);
/* Connects, says what waits to be said; when it wants to be called again. */
mono_time bfd_bfdd_run(struct bfd_bfdd *b);
/* The session's state, to the connection that it came by. `down`: whatever it is, Down. */
void bfd_bfdd_tell(struct bfd_bfdd *b, const struct bfd_peer *p, bool down);

#endif
