/* Which FRR is this? Asks zebra over its vty socket, because the zserv protocol does not
 * say. One question at a time on a libev loop; nothing blocks. */
#ifndef DETOUR_FRR_VERSION_H
#define DETOUR_FRR_VERSION_H

#include "lib/span.h"

#include <ev.h>

struct frr_version {
	unsigned major, minor;
	bool unreleased; /* "10.2-dev", "10.2-rc1": numbers may be those of 10.1 or 10.2 */
	char text[24];	 /* as FRR writes it: "8.4.4", "10.2-dev" */
};

/* Reads "FRRouting 8.4.4 (host) ..."; false if that is not what stands there. Pure. */
bool frr_version_parse(struct span answer, struct frr_version *out);

/* Exactly one of version and why is not NULL. The query is over when this is called. */
typedef void frr_query_cb(void *ctx, const struct frr_version *version, const char *why);

struct frr_query {
	struct ev_loop *loop;
	ev_io io;
	ev_timer timer;
	int fd; /* -1: no query is under way */
	frr_query_cb *cb;
	void *ctx;
	size_t len;
	char answer[512]; /* its first line is enough */
	char path[112];
};

void frr_query_init(struct frr_query *q, struct ev_loop *loop, frr_query_cb *cb, void *ctx);
/* Asks DIR/zebra.vty. May call back before it returns. */
void frr_query_start(struct frr_query *q, const char *vty_dir);
void frr_query_stop(struct frr_query *q);
/* Does a daemon answer at DIR/NAME.vty? */
bool frr_daemon_runs(const char *vty_dir, const char *name);

#endif
