/* Probes on the wire: echo requests by raw sockets, out by a given device, and their replies.
 * Without the right to have such sockets (CAP_NET_RAW) there are none. */
#ifndef DETOUR_PROBE_H
#define DETOUR_PROBE_H

#include "lib/addr.h"
#include "lib/mono.h"
#include "routed-bridge/probe_message.h"

struct ev_loop;
struct probes;

struct probes_host {
	/* A reply came by this device from this address, at that time: the kernel's, so that a busy
	 * process does not make a path slow. */
	void (*answer)(void *ctx, int ifindex, const struct addr *from, const struct probe_echo *e,
		       mono_time at);
	void *ctx;
	struct ev_loop *loop;
};

/* NULL: errno. A missing family is no error. */
struct probes *probes_open(const struct probes_host *host);
void probes_close(struct probes *p);
/* Takes the answers that are there already: before somebody is judged for not having answered. */
void probes_read(struct probes *p);
/* false: errno. A multicast address is that of all who listen at the link's other end. */
bool probes_send(struct probes *p, int ifindex, const struct addr *to, const struct probe_echo *e);

#endif
