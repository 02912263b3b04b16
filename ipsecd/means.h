/* What the shell works with on this machine: a data plane, the UDP sockets, and the few changes
 * beside the plane (routes, rules, addresses). In one process these are calls (means_local.c);
 * where the plane is a process of its own they are messages (remote/). The shell knows no
 * difference. */
#ifndef DETOUR_MEANS_H
#define DETOUR_MEANS_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/net/udp.h"
#include "lib/netlink_route.h"

struct means;

struct means_host {
	/* From the loop, or from amid a call of the plane. */
	void (*event)(void *ctx, const struct dataplane_event *event);
	/* An IKE datagram, valid during the call; from the loop. */
	void (*ike)(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		    struct span datagram, mono_time now);
	/* errno of a datagram that did not leave, of IKE or of ESP. Perhaps from inside of the
	 * send, perhaps later. */
	void (*send_failed)(void *ctx, const struct endpoint *local, const struct endpoint *remote,
			    int error, bool esp);
	/* An installed CHILD_SA as it is now, for a new plane; its keys are cleansed by who asks.
	 * false: it is not known. */
	bool (*child)(void *ctx, uint64_t id, struct child_sa *out);
	/* Between two of many calls in a row; or NULL. */
	void (*alive)(void *ctx);
	void *ctx;
	const struct log_sink *log;
	struct ev_loop *loop;
};

struct means_act {
	void (*send_ike)(struct means *m, const struct endpoint *local,
			 const struct endpoint *remote, struct span datagram);
	void (*send_keepalive)(struct means *m, const struct endpoint *local,
			       const struct endpoint *remote);
	void (*net_counters)(struct means *m, struct udp_counters *out);
	/* The sockets, to a device or VRF (udp_bind): 0 or -errno. */
	int (*bind)(struct means *m, const char *device);
	/* So many threads are to carry packets (0: as many as there can be): sets means.workers
	 * to how many there are. false: not known, whoever has them is away; the next one gets it.
	 */
	bool (*workers)(struct means *m, unsigned wanted);
	/* 0 or -errno, as netlink_route_add and the others. A route's nexthops, MTU and
	 * `exclusive` are not looked at. */
	int (*route)(struct means *m, const struct netlink_route *r, bool add);
	int (*rule)(struct means *m, const struct netlink_rule *r, bool add);
	/* An address of the device of this name, a single one. */
	int (*address)(struct means *m, const char *device, const struct prefix *p, bool add);
	const char *(*words)(const struct means *m, int error); /* of the last of these three */
	void (*close)(struct means *m);				/* with the plane */
};

struct means {
	const struct means_act *act;
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	char why[512];	       /* why this plane */
	char offloads[128];    /* what the kernel does for its ESP; "": nothing */
	unsigned workers;      /* threads that carry packets; 0: none of ours does */
	unsigned workers_most; /* that there can be */
};

/* Opens the plane and the sockets. `plane`: auto, kernel or userspace. NULL: `why`, and what
 * failed is in the log. */
struct means *means_local_open(const struct means_host *host, const char *plane, char *why,
			       size_t size);

#endif
