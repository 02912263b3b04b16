/* What is remembered of the bridge's life for those who look at it: --status and metrics.
 * Included by bridge_watch.c, bridge_status.c and bridge_metrics.c alone. */
#ifndef DETOUR_BRIDGE_WATCH_H
#define DETOUR_BRIDGE_WATCH_H

#include "lib/metrics_http.h"
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/control.h"

#include <uthash.h>

/* A connection: one that the IKE daemon has, or that the file names. */
struct watched_tunnel {
	char *conn;
	UT_hash_handle hh;
	bool up;
	mono_time since; /* it is up, or not */
	uint64_t ups, downs;
	char cause[96]; /* why it came up or went down; "": it never did */

	/* As of the last look (bridge_watch_look). */
	bool seen;   /* the connection is still there */
	bool loaded; /* in the IKE daemon */
	struct tunnel_view view;
	const struct bridge_section *section; /* NULL: gets no routes */
	const char *device;
	const struct interface *interface; /* NULL: zebra has none of that name */
	unsigned wanted, installed, shadowed, failed;
};

struct bridge_watch {
	struct bridge *b;
	struct control *control;   /* NULL: switched off */
	struct metrics_http *http; /* NULL: out of memory */
	mono_time started;
	uint64_t reloads;
	struct watched_tunnel *tunnels;
};

/* Fills the second half of every tunnel. Its texts are valid until the loop runs on. */
void bridge_watch_look(struct bridge_watch *w);
/* Calls back with each warning that is true now. */
void bridge_watch_warnings(const struct bridge_watch *w, void (*cb)(void *ctx, const char *text),
			   void *ctx);

/* bridge_status.c: the document; malloc'd, NULL when out of memory. */
char *bridge_status_document(void *watch);
/* bridge_metrics.c */
void bridge_metrics_write(void *watch, struct metrics *out);

#endif
