/* Graceful down: what an operator takes down loses no packet. The tunnel's link goes
 * DORMANT and routing is told while the SAs still pass; when routing has moved at both
 * ends (the drain time), the SAs are deleted. */
#ifndef DETOUR_DRAIN_H
#define DETOUR_DRAIN_H

#include "ipsecd/ike/engine.h"
#include "ipsecd/tunnel.h"

/* bgpd moves a prefix in 75 ms here; ten times that, for machines under load. */
#define DRAIN_TIME (750 * MONO_MS)

struct ev_loop;
struct drains;

struct drains_host {
	/* The drain is over: carry out the command it was started with. */
	void (*terminate)(void *ctx, const struct ike_command *command);
	/* It was called off by a new initiation. */
	void (*called_off)(void *ctx, uint64_t tag);
	void *ctx;
};

struct drains *drains_new(struct ev_loop *loop, const struct ike_engine *engine,
			  struct tunnels *tunnels, const struct drains_host *host);
void drains_free(struct drains *d);

/* Starts draining the tunnels that `command` (a TERMINATE) would empty. false: it
 * empties none, so the command is to be carried out at once. The command's strings
 * are copied. */
bool drains_start(struct drains *d, const struct ike_command *command);
/* Ends drains of this conn: someone wants it up. */
void drains_call_off(struct drains *d, const char *conn);

#endif
