/* The BFD data plane: a process of its own, so that neither the bridge's work nor its end
 * keeps a packet back. `routed-bridge --bfd-only PATH` is this; the bridge starts one unless
 * it finds one. */
#ifndef DETOUR_BFD_PLANE_H
#define DETOUR_BFD_PLANE_H

#include "lib/log.h"

struct bfd_plane_options {
	const char *path; /* bfdd's socket */
	unsigned linger;  /* seconds without a bridge until it ends; 0: it stays */
};

/* Runs until SIGTERM, SIGINT, a bridge's word or the end of lingering. The process's exit
 * status: 0, or 1 when it could not start (the reason is logged), or 3 when there is one for
 * this path already. */
int bfd_plane_run(const struct bfd_plane_options *options, const struct log_sink *log);

#endif
