/* Tunnels as the IKE daemon reports them over vici: which CHILD_SAs each connection has,
 * and what the daemon says about the link. Pure: events and listings go in, changed
 * tunnels come out.
 *
 * A tunnel is up while at least one usable CHILD_SA is there, counted by unique id, so
 * that rekeys, duplicates and the end of a stale SA change nothing; and while the daemon
 * has not said by link-updown that the link goes down (ipsecd does that before the device
 * goes DORMANT; strongSwan has no such event, then the count decides alone).
 *
 * Ids belong to one life of the daemon. A listing that is complete sweeps away what it
 * did not mention: whatever a lost connection made us miss is made good by the next. A connection
 * that a daemon has not listed for ten minutes is dropped by the next listing that has others. */
#ifndef DETOUR_TUNNELS_H
#define DETOUR_TUNNELS_H

#include "lib/addr.h"
#include "lib/mono.h"
#include "lib/span.h"

#include <net/if.h>

struct tunnels;

/* ipsecd's link-suspect: the peer may be out of reach, and is being asked. Told once each. */
enum suspicion_news { SUSPICION_SAME, SUSPICION_BEGUN, SUSPICION_OVER };

struct tunnel_view {
	const char *conn;
	const char *interface; /* "" unless the daemon named it */
	bool loaded;	       /* the last complete listing had it, or it was heard of since */
	bool dropped;	       /* said once, of one that is not there any more */
	bool up;
	unsigned children; /* usable CHILD_SAs */
	const char *cause; /* of the last change */
	enum suspicion_news suspicion;
	const char *suspicion_reason;
	const char *peer_host, *peer_id; /* "": not told yet */
	size_t n_selectors; /* remote traffic selectors of the usable CHILD_SAs, each once */
	const struct prefix *selectors;
	size_t n_vips; /* virtual IPs of the peers, each once */
	const struct prefix *vips;
};

struct tunnels *tunnels_new(void); /* NULL when out of memory */
void tunnels_free(struct tunnels *t);

/* A new connection to the daemon: ids start anew. What is known stays until a listing is
 * complete or tunnels_forget. */
void tunnels_connected(struct tunnels *t);
/* The connection is lost. */
void tunnels_disconnected(struct tunnels *t);
void tunnels_list_begin(struct tunnels *t);
void tunnels_list_end(struct tunnels *t, mono_time now);
/* Every CHILD_SA of lost connections is gone, as far as we know: not what one that was made since
 * has told. */
void tunnels_forget(struct tunnels *t, const char *cause);

/* One vici event (body checked by vici_body_check): list-sa, list-conn, child-updown,
 * child-rekey, ike-updown, ike-rekey, link-updown, link-suspect. false: not understood. */
bool tunnels_event(struct tunnels *t, struct span name, struct span body);

/* The next tunnel that is new, or changed since it was given last; false when there is none. The
 * view is valid until the next call. */
bool tunnels_changed(struct tunnels *t, struct tunnel_view *out);
/* Makes tunnels count as changed: all, or one. */
void tunnels_touch(struct tunnels *t, const char *cause);
void tunnels_touch_one(struct tunnels *t, const char *conn, const char *cause);
/* Calls back with each; nothing may be called from there. */
void tunnels_each_view(struct tunnels *t, void (*cb)(void *ctx, const struct tunnel_view *tunnel),
		       void *ctx);
/* Calls back for each, with the interface that the daemon named or ""; the callback may
 * touch tunnels. */
void tunnels_each(struct tunnels *t, void (*cb)(void *ctx, const char *conn, const char *interface),
		  void *ctx);

#endif
