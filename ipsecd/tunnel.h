/* Tunnels: one device per configured conn, and whether it may carry traffic.
 *
 * The table stands between the engine's CHILD_SA outputs and the data plane. It
 * counts, per CHILD_SA object, which ones can send; the first brings the link up, the
 * end of the last makes it DORMANT. So a stale SA's end never takes a live tunnel
 * down, and a rekey is no event at all. A drain takes the link down first and leaves
 * the SAs passing, so that routing moves before the tunnel dies.
 *
 * Link changes are decided only in tunnels_settle, when all outputs of one input
 * have been carried out: what happens between two SAs of one exchange is not seen.
 *
 * A persistent plane may hand over a device whose SAs a former process left behind. They
 * count as one usable CHILD_SA, so that the link stays as it was, until a CHILD_SA of ours
 * sends, the plane says that they are gone, or the peer is known to be dead. */
#ifndef DETOUR_TUNNEL_H
#define DETOUR_TUNNEL_H

#include "ipsecd/dataplane/dataplane.h"

struct tunnels;

enum tunnel_state {
	TUNNEL_DOWN,	 /* no usable CHILD_SA: DORMANT */
	TUNNEL_UP,	 /* UP */
	TUNNEL_DRAINING, /* DORMANT, though packets still pass */
};

struct tunnel_view {
	uint32_t id;
	const char *conn;
	const struct tunnel_config *config;
	enum tunnel_state state;
	unsigned usable; /* CHILD_SAs that can send */
	bool shut;	 /* an operator set the device down */
	struct dataplane_tunnel_info info;
};

/* The device's name: the plane's where it took one over, else the configured one. */
const char *tunnel_view_device(const struct tunnel_view *v);

struct tunnels_host {
	/* Before the link goes DORMANT, after it came UP: tell whoever routes. */
	void (*link)(void *ctx, const struct tunnel_view *tunnel, bool up, const char *reason);
	/* An operator set the device down, or it is up again; not told of devices that a script
	 * makes. No call of ours from inside. */
	void (*shut)(void *ctx, const char *conn, bool shut);
	/* A CHILD_SA went with its device, unasked. No call of ours from inside. */
	void (*child_lost)(void *ctx, uint64_t child);
	void *ctx;
	const struct log_sink *log;
};

struct tunnels *tunnels_new(const struct dataplane_ops *ops, struct dataplane *plane,
			    const struct tunnels_host *host);
void tunnels_free(struct tunnels *t); /* devices go with the plane */

/* The device for a conn: created, changed where the configuration differs, or taken over
 * from a conn that is gone and whose CHILD_SAs are not yet; *id is what the engine puts
 * into child_sa.tunnel. false: the reason is in `why`, and nothing has changed. */
bool tunnels_ensure(struct tunnels *t, const struct conn *conn, uint32_t *id, char *why,
		    size_t size);
/* Beforehand, of conns that tunnels_ensure will come with in this order: where the plane can, it
 * begins with their devices. tunnels_prepared: those that nobody came with go. */
void tunnels_prepare(struct tunnels *t, const struct conn *conn);
void tunnels_prepared(struct tunnels *t);
/* The device of a loaded conn once more as it was configured, where somebody changed or removed it:
 * *done says whether. */
bool tunnels_mend(struct tunnels *t, const struct conn *conn, bool *done, char *why, size_t size);
/* Before and behind tunnels_mend of all conns. false: there is nothing to do for any, since the
 * last time that `all` of them were as they have to be. */
bool tunnels_mend_begin(struct tunnels *t);
void tunnels_mend_end(struct tunnels *t, bool all);
/* A new process goes on where another one ended: until tunnels_restored, devices that are there
 * keep the link that they have, and it is the CHILD_SAs' of the next tunnels_settle. */
void tunnels_restore(struct tunnels *t);
void tunnels_restored(struct tunnels *t);
/* Beforehand, of a conn that tunnels_ensure will come with: the id that its tunnel had, and the
 * virtual addresses that are on the device. false: out of memory. */
bool tunnels_expect(struct tunnels *t, const char *conn, uint32_t id, const struct addr *vips,
		    unsigned n);
/* DEVICE_CHANGED: somebody else made or removed the device, or set it up or down. */
void tunnels_device_changed(struct tunnels *t, const struct dataplane_event *event);
/* Virtual addresses that are on the device beside the configured ones, all that there are
 * now. Those that find no room or are refused are in the log. */
void tunnels_set_vips(struct tunnels *t, uint32_t id, const struct addr *vips, unsigned n);
/* INHERITED_GONE; and: the conn's peer is dead, what a former process left ends now. */
void tunnels_inherited_gone(struct tunnels *t, uint32_t id);
void tunnels_disinherit(struct tunnels *t, const char *conn);
/* All CHILD_SAs that a former process had are claimed: a link that is up for none of them, as a
 * plane kept it, goes down. */
void tunnels_settled(struct tunnels *t);
/* The conn is gone: its device goes with its last CHILD_SA. */
void tunnels_condemn(struct tunnels *t, const char *conn);

bool tunnels_child_install(struct tunnels *t, const struct child_sa *child);
void tunnels_child_update(struct tunnels *t, const struct child_sa *child);
void tunnels_child_remove(struct tunnels *t, uint64_t child);
/* Decides links after a round of outputs. `reason` is why, for the log and events. */
void tunnels_settle(struct tunnels *t, const char *reason);

/* Takes the link down while packets still pass. false: it was not up. */
bool tunnels_drain(struct tunnels *t, const char *conn, const char *reason);
/* The drain is called off: the count decides again. A drain that runs its course ends
 * with the last of the CHILD_SAs that were there when it began. */
void tunnels_drain_end(struct tunnels *t, const char *conn, const char *reason);

bool tunnels_view(const struct tunnels *t, const char *conn, struct tunnel_view *out);
/* Is it a tunnel's device? */
bool tunnels_have_device(const struct tunnels *t, int ifindex);
/* The other conn whose device has an address of this one's that only one can have, and which it is;
 * NULL: there is none. */
const char *tunnels_addr_owner(const struct tunnels *t, const struct conn *conn, struct addr *addr);
/* Conn name of a tunnel id, NULL if unknown. */
const char *tunnels_conn(const struct tunnels *t, uint32_t id);
bool tunnels_child_stats(const struct tunnels *t, uint64_t child,
			 struct dataplane_child_stats *out);
unsigned tunnels_up(const struct tunnels *t);
void tunnels_each(const struct tunnels *t, void (*cb)(void *ctx, const struct tunnel_view *tunnel),
		  void *ctx);

#endif
