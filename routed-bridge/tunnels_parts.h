/* What the files of the tunnels share: tunnels.c (events and listings go in), tunnels_view.c
 * (changed tunnels come out). Included by tunnels*.c alone. */
#ifndef DETOUR_TUNNELS_PARTS_H
#define DETOUR_TUNNELS_PARTS_H

#include "routed-bridge/tunnels.h"

#include <uthash.h>

#define TUNNELS_PEER_MAX 96

enum link_state { LINK_UNKNOWN, LINK_UP, LINK_DOWN };

struct child {
	uint32_t id, ike; /* vici's uniqueid of the CHILD_SA and of its IKE_SA */
	uint32_t epoch;	  /* life of the daemon that the ids belong to */
	uint32_t listing; /* last listing or event that mentioned it */
	size_t n, n_vips;
	struct prefix *selectors; /* n of the CHILD_SA, behind them n_vips of its IKE_SA */
	struct child *prev, *next;
};

struct tunnel {
	char *conn;
	char interface[IF_NAMESIZE];
	char peer_host[TUNNELS_PEER_MAX], peer_id[TUNNELS_PEER_MAX];
	struct child *children;
	uint32_t listing; /* last one that mentioned it, or that an event came behind */
	enum link_state link;
	mono_time missed; /* since when listings have not had it; MONO_NEVER */
	bool suspected, suspected_told, changed;
	bool dropped;	    /* it is in the queue alone */
	char suspicion[64]; /* why */
	char cause[96];
	struct tunnel *prev, *next; /* in the queue of changed ones */
	size_t n_union, n_vips;
	struct prefix *selectors_union, *vips; /* in one piece */
	UT_hash_handle hh;
};

struct tunnels {
	struct tunnel *by_conn;
	struct tunnel *queue;
	struct tunnel *told;		   /* a dropped one, whose view was given last */
	uint32_t epoch, listing, complete; /* the last one that was begun, or that ended */
	bool any_listed;		   /* connections; in the last one that was begun */
};

/* Queues it for tunnels_changed. NULL: the cause is the one before. */
void tunnels_mark(struct tunnels *t, struct tunnel *tunnel, const char *cause);
struct tunnel *tunnels_find(const struct tunnels *t, struct span conn);
unsigned tunnels_count_children(const struct tunnel *tunnel);
void tunnels_free_one(struct tunnel *tunnel);

#endif
