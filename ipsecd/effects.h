/* What SAs bring about on this machine beside the data plane: scripts that run, virtual
 * addresses on devices, routes (install-routes). The daemon passes in what the engine and the
 * tunnels tell. */
#ifndef DETOUR_EFFECTS_H
#define DETOUR_EFFECTS_H

#include "ipsecd/ike/engine.h"
#include "ipsecd/model/settings.h"
#include "ipsecd/tunnel.h"
#include "ipsecd/updown.h"

struct effects;
struct ev_loop;
struct means;

struct effects_host {
	struct ev_loop *loop;
	const struct log_sink *log;
	const struct ike_engine *engine; /* looked at only */
	struct tunnels *tunnels;
	struct means *means;	 /* changes routes and addresses */
	struct netlink *netlink; /* reads them */
	bool persistent;	 /* devices outlive us: blackholes do, too */
	void (*idle)(void *ctx); /* the last script has ended */
	void *ctx;
	struct updown_keeper keeper;
	const struct script_runner *runner; /* of scripts; NULL: this process, which calls `idle` */
};

struct effects *effects_new(const struct effects_host *host);
void effects_free(struct effects *e); /* scripts that still run are killed */

/* Before the conns of the same configuration are loaded. */
void effects_settings(struct effects *e, const struct settings *settings);
void effects_event(struct effects *e, const struct ike_output *event);
/* After a restart: what scripts were told (takes what is in it), each CHILD_SA that a former
 * process announced, and that these were all. A script that missed its turn has it then. */
void effects_told(struct effects *e, struct updown_told *told);
void effects_child_resumed(struct effects *e, const struct ike_sa_info *ike,
			   const struct ike_child_info *child);
void effects_resumed(struct effects *e);
void effects_vips(struct effects *e, const struct ike_output *vips);

/* A conn that is loaded, or again with changes, before its first datagram is sent. */
void effects_conn(struct effects *e, const struct conn *conn, uint32_t tunnel);
void effects_conn_gone(struct effects *e, uint32_t tunnel);
/* A peer's name has this address. */
void effects_resolved(struct effects *e, const struct addr *a);
void effects_child_install(struct effects *e, const struct child_sa *child);
void effects_child_update(struct effects *e, const struct child_sa *child);
void effects_child_remove(struct effects *e, uint64_t child);
/* Before a link goes DORMANT, after it came UP. */
void effects_link(struct effects *e, const struct tunnel_view *view, bool up);
/* Somebody else set the tunnel's device up or down. */
void effects_device(struct effects *e, uint32_t tunnel);
/* An address or link (NULL) that is there by our own doing. */
bool effects_ours(const struct effects *e, int ifindex, const struct addr *a);
/* All conns are loaded: what is left of a former process goes. */
void effects_settled(struct effects *e);
/* The daemon ends. true: scripts are left to wait for, `idle` follows. */
bool effects_end(struct effects *e);

#endif
