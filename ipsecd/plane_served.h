/* plane_server.c and plane_served.c inside: which tunnels and CHILD_SAs ike has asked for, this one
 * or a former one. No one else includes this. */
#ifndef DETOUR_PLANE_SERVED_H
#define DETOUR_PLANE_SERVED_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/ipc/plane.h"
#include "lib/hash.h"

/* What one ike may have, whoever it is: behind them are policies and memory of the kernel. */
#define SERVED_TUNNELS_MAX  131072u
#define SERVED_CHILDREN_MAX 1048576u

struct served_child {
	uint64_t id;
	struct served_tunnel *tunnel;
	uint32_t spi_in, spi_out;
	bool claimed, outbound;
	bool soft, hard, used; /* told already: and again to whoever claims it */
	struct served_child *prev, *next;
	UT_hash_handle hh;
};

struct served_tunnel {
	uint32_t id;
	struct tunnel_config config;
	bool claimed;
	int ifindex;	      /* when last looked at */
	unsigned n_inherited; /* outbound CHILD_SAs that nobody has claimed */
	struct served_child *children;
	UT_hash_handle hh, hh_name;
};

struct served {
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	struct served_tunnel *tunnels, *tunnels_by_name;
	struct served_child *children;
	unsigned most_tunnels, most_children; /* 0: the limits above */
	/* The last unclaimed one of the tunnel that could send is gone, or claimed. */
	void (*inherited_gone)(void *ctx, uint32_t tunnel);
	void *ctx;
	bool settled;
};

struct served_tunnel *served_tunnel(const struct served *s, uint32_t id);
struct served_child *served_child(const struct served *s, uint64_t id);
/* Is the device a tunnel's? `served`: a struct served, for plane_routes.h. */
bool served_ifindex(const void *served, int ifindex);
/* A new ike: nothing is claimed. */
void served_unclaim(struct served *s);
void served_free(struct served *s);

/* Is it there already, or one that may be added? */
bool served_has_room(const struct served *s, const struct ipc_tunnel *wanted);
bool served_has_room_child(const struct served *s, uint64_t id);

/* The verbs, with adoption of what is there. The error is the plane's, last_error has words. */
enum dataplane_error served_begin(struct served *s, const struct ipc_tunnel *t);
enum dataplane_error served_finish(struct served *s, uint32_t id);
enum dataplane_error served_update(struct served *s, const struct ipc_tunnel *t);
enum dataplane_error served_remove(struct served *s, uint32_t id);
/* false: no such tunnel. */
bool served_info(struct served *s, uint32_t id, struct dataplane_tunnel_info *out);
/* As ike is told it; there: 0 without such a tunnel. */
struct ipc_info served_ipc_info(struct served *s, uint32_t tunnel);
void served_disinherit(struct served *s, uint32_t id);
enum dataplane_error served_install(struct served *s, const struct child_sa *c);
enum dataplane_error served_child_update(struct served *s, const struct child_sa *c);
enum dataplane_error served_child_remove(struct served *s, uint64_t id);
/* What nobody has claimed goes now. */
void served_settle(struct served *s);

#endif
