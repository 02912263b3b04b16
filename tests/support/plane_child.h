/* A plane in a process of its own, for tests: ipsecd's server for it (plane_server.h), without the
 * network, and a second link by which the test does what a network would. */
#ifndef DETOUR_TEST_PLANE_CHILD_H
#define DETOUR_TEST_PLANE_CHILD_H

#include "ipsecd/dataplane/dataplane.h"

#include <sys/types.h>

struct plane_child;

struct plane_child_host {
	const struct dataplane_ops *ops;
	struct ev_loop *loop; /* the test's */
	/* ESP that the plane sent; from the loop. */
	bool (*send_esp)(void *ctx, const struct endpoint *from, const struct endpoint *to,
			 struct span esp);
	void *ctx;
	int area;			      /* descriptor of the plane's area; 0: none */
	unsigned most_tunnels, most_children; /* plane_server.h; 0: as many as ipsecd lets be */
};

/* Ends the program when it can't. */
struct plane_child *plane_child_new(const struct plane_child_host *host);
/* A new link to its server, as a new ike has it: the test's end. */
int plane_child_link(struct plane_child *p);
/* Each is done on return, and what came of it has been told. */
void plane_child_input(struct plane_child *p, const struct endpoint *local,
		       const struct endpoint *remote, struct span packet, mono_time now);
void plane_child_tick(struct plane_child *p, mono_time now);
void plane_child_refuse(struct plane_child *p, bool refuse); /* to send */
void plane_child_event(struct plane_child *p, const struct dataplane_event *event);
void plane_child_sync(struct plane_child *p);
void plane_child_stand_still(struct plane_child *p, bool still); /* as by kill -STOP */
void plane_child_close(struct plane_child *p); /* the plane is closed, the process has ended */
void plane_child_kill(struct plane_child *p);  /* as by kill -9 */

#endif
