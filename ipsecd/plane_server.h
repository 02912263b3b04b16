/* The plane's side of its link to ike: requests are checked, refused or carried out, and what the
 * plane and the sockets tell is passed on. One ike at a time. Without one all goes on as it is;
 * the next one claims what it knows by creating and installing it again, and what it has not
 * claimed when it says so (settled) goes: until then it stands as the inheritance of dataplane.h.
 * Knows no processes. */
#ifndef DETOUR_PLANE_SERVER_H
#define DETOUR_PLANE_SERVER_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/net/udp.h"
#include "ipsecd/plane_addrs.h"

struct ev_loop;
struct netlink;
struct plane_server;

struct plane_server_host {
	const struct dataplane_ops *ops;
	const char *why;	    /* why this plane; static as long as the server is there */
	struct netlink *netlink;    /* for routes, rules and addresses */
	const struct memfd *memory; /* what they are that outlives us, taken (plane_addrs.h) */
	const struct log_sink *log;
	struct ev_loop *loop;
	unsigned most_tunnels, most_children; /* 0: as in plane_served.h */
	/* plane_workers_set, and _most; NULL: one thread does packets, or none. */
	unsigned (*workers)(void *ctx, unsigned wanted, unsigned *most);
	struct ipc_link *behind; /* of links to ike (ipc/link.h) */
	void *ctx;
};

struct plane_server *plane_server_new(const struct plane_server_host *host); /* NULL: no memory */
void plane_server_free(struct plane_server *s);
/* Before the first link. */
void plane_server_use(struct plane_server *s, struct dataplane *plane, struct udp *udp);
/* To a new ike; fd is taken. */
void plane_server_link(struct plane_server *s, int fd);

/* What the plane and the sockets tell; ctx is the server. */
void plane_server_event(void *ctx, const struct dataplane_event *event);
void plane_server_ike(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		      struct span datagram, mono_time now);
void plane_server_send_failed(struct plane_server *s, const struct endpoint *local,
			      const struct endpoint *remote, int error, bool esp);

#endif
