/* The bridge: tunnels on one side, zebra on the other, the route table in between. The
 * only module that knows all the others. */
#ifndef DETOUR_BRIDGE_H
#define DETOUR_BRIDGE_H

#include "lib/log.h"
#include "routed-bridge/config.h"

struct ev_loop;
struct bridge;

/* Takes the configuration and starts connecting. NULL and the reason; the configuration
 * is freed then, too. */
struct bridge *bridge_new(struct ev_loop *loop, const struct log_sink *log,
			  struct bridge_config *config, char *why, size_t size);
/* Takes another configuration; what is the same in both is not touched. */
void bridge_reload(struct bridge *b, struct bridge_config *config);
/* Its state in one line. */
void bridge_summary(struct bridge *b, char *out, size_t size);
/* Withdraws every route, waits until zebra was told, and closes everything. */
void bridge_free(struct bridge *b);

#endif
