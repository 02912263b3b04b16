/* The control socket: whoever connects gets one document and the end of the stream. There is
 * nothing to ask, so there is nothing to misunderstand. Root and the bridge's own user alone
 * may connect. */
#ifndef DETOUR_BRIDGE_CONTROL_H
#define DETOUR_BRIDGE_CONTROL_H

#include "lib/log.h"

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_SECONDS	    10 /* that a client has to read it */
#define CONTROL_BYTES_MAX   ((size_t)64 << 20)

struct control;
struct ev_loop;

struct control_host {
	char *(*document)(void *ctx); /* malloc'd; NULL: no memory */
	void *ctx;
	struct ev_loop *loop;
	const struct log_sink *log;
};

/* Binds `path`; a socket that a dead bridge left is replaced, one that answers is not. Where
 * it can't be bound, the log says why and it is tried again every few seconds. The host is
 * copied. NULL when out of memory. */
struct control *control_new(const struct control_host *host, const char *path);
void control_free(struct control *c); /* removes the socket; NULL allowed */
const char *control_path(const struct control *c);

#endif
