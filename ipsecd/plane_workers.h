/* Threads that carry packets beside plane's main one (workers= in config setup): each has a loop of
 * its own, its share of each device's queues, and sockets of its own on the NAT-T port. What is not
 * a packet of a tunnel they pass on to the main thread. */
#ifndef DETOUR_PLANE_WORKERS_H
#define DETOUR_PLANE_WORKERS_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/net/udp.h"

struct plane_workers;

/* All functions are called by the main thread. */
struct plane_workers_host {
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	struct udp *udp;
	struct ev_loop *loop;
	void (*ike)(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		    struct span datagram, mono_time now);
	void (*too_big)(void *ctx, const struct addr *to, uint32_t mtu);
	void (*send_failed)(void *ctx, const struct endpoint *from, const struct endpoint *to,
			    int error);
	void *ctx;
	const struct log_sink *log;
};

/* Before the process becomes another user: it opens the sockets that workers may need one day.
 * NULL: no memory, and there will be none. */
struct plane_workers *plane_workers_new(void);
void plane_workers_use(struct plane_workers *p, const struct plane_workers_host *host);
/* So many threads are to carry packets, the main one among them; 0: as many as there are
 * processors. How many there are now: 0 where the plane can have none. A number that runs stays
 * until the process ends. p NULL allowed. */
unsigned plane_workers_set(struct plane_workers *p, unsigned wanted);
/* How many there can be here. */
unsigned plane_workers_most(const struct plane_workers *p);
/* They stand still: the plane and the sockets may be closed. NULL allowed. */
void plane_workers_halt(struct plane_workers *p);
/* Once these are closed. */
void plane_workers_free(struct plane_workers *p);

#endif
