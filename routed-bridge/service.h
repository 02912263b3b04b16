/* What the service manager is told of a bridge, where there is one. */
#ifndef DETOUR_SERVICE_H
#define DETOUR_SERVICE_H

#include <ev.h>

struct bridge;

struct service {
	struct bridge *bridge;
	ev_timer look, alive;
	char told[256]; /* the status that it has */
};

/* The bridge works: from now on its status is told when it changes, and that the loop turns, as
 * often as the manager wants. */
void service_start(struct service *s, struct ev_loop *loop, struct bridge *bridge);
void service_reloading(void);
void service_reloaded(void); /* or not, when the file had errors */
void service_stop(struct service *s, struct ev_loop *loop);

#endif
