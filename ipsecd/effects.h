/* What SAs bring about on this machine beside the data plane: scripts that run, virtual
 * addresses on devices. The daemon passes in what the engine and the tunnels tell. */
#ifndef DETOUR_EFFECTS_H
#define DETOUR_EFFECTS_H

#include "ipsecd/ike/engine.h"
#include "ipsecd/model/settings.h"
#include "ipsecd/tunnel.h"

struct effects;
struct ev_loop;

struct effects_host {
	struct ev_loop *loop;
	const struct log_sink *log;
	const struct ike_engine *engine; /* looked at only */
	struct tunnels *tunnels;
	void (*idle)(void *ctx); /* the last script has ended */
	void *ctx;
};

struct effects *effects_new(const struct effects_host *host);
void effects_free(struct effects *e); /* scripts that still run are killed */

/* Before the conns of the same configuration are loaded. */
void effects_settings(struct effects *e, const struct settings *settings);
void effects_event(struct effects *e, const struct ike_output *event);
void effects_vips(struct effects *e, const struct ike_output *vips);
/* The daemon ends. true: scripts are left to wait for, `idle` follows. */
bool effects_end(struct effects *e);

#endif
