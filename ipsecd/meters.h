/* What is measured of the running daemon, for Prometheus: `metrics=` of config setup,
 * docs/metrics.md.
 *
 * Most numbers are there already, in the engine, the data plane and the sockets, and are read
 * when somebody asks. Here is what has to be remembered in between: traffic of CHILD_SAs that
 * were replaced, and events by tunnel and by reason. The daemon tells what happens; every call
 * takes a NULL. */
#ifndef DETOUR_METERS_H
#define DETOUR_METERS_H

#include "ipsecd/control/control.h"
#include "ipsecd/model/settings.h"
#include "ipsecd/reload.h"

#define METERS_TUNNELS_MAX 5000 /* in detail; sums have all */

struct meters;

struct meters_host {
	/* The views and callbacks that vici clients get, too. */
	struct control_host control;
	const struct control_counters *clients;
	const struct reload *reload;
};

/* NULL when out of memory. Serves nothing before meters_settings. */
struct meters *meters_new(const struct meters_host *host);
void meters_free(struct meters *m);
void meters_settings(struct meters *m, const struct settings *settings);

/* An IKE_OUTPUT_EVENT of the engine. */
void meters_event(struct meters *m, const struct ike_output *event);
void meters_link(struct meters *m, const char *conn, bool up);
/* A CHILD_SA is in the plane; and, while it still is: it goes. */
void meters_child_installed(struct meters *m, uint64_t child, const char *conn);
void meters_child_removed(struct meters *m, uint64_t child);
/* The conn is unloaded: forgotten with its last CHILD_SA. */
void meters_conn_gone(struct meters *m, const char *conn);

#endif
