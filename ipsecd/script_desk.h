/* The supervisor's part in scripts: runs what the helper approved (IPC_RUN), each job once however
 * often it is asked for, and says when it has ended (IPC_RAN), to whichever helper there is. */
#ifndef DETOUR_SCRIPT_DESK_H
#define DETOUR_SCRIPT_DESK_H

#include "ipsecd/ipc/link.h"

#include <stddef.h>

struct ev_loop;
struct script_desk;

struct script_desk_host {
	struct ev_loop *loop; /* the default one */
	const struct log_sink *log;
	/* To the helper; false: there is none now, which asks again. */
	bool (*send)(void *ctx, uint32_t verb, struct span body);
	void *ctx;
};

struct script_desk *script_desk_new(const struct script_desk_host *host);
void script_desk_free(struct script_desk *d); /* what runs is killed */
/* A message of the helper's; false: it is not for this desk. */
bool script_desk_message(struct script_desk *d, const struct ipc_message *m);
size_t script_desk_left(const struct script_desk *d); /* running and waiting */

#endif
