/* What the repair planner's files share: repair.c (decisions), repair_table.c (best routes,
 * sets of nexthops, active repairs), repair_seen.c (devices of link-local neighbours),
 * repair_choose.c (alternatives), repair_ask.c (questions, retries, confirmations). Included by
 * repair*.c alone. */
#ifndef DETOUR_REPAIR_PARTS_H
#define DETOUR_REPAIR_PARTS_H

#include "routed-bridge/repair.h"
#include "routed-bridge/repair_links.h"

#define REPAIR_LEVELS	      7 /* of waiting: at once, 100 ms, then twice as long each time */
#define REPAIR_TURNS_PAUSE    (500 * MONO_MS) /* changes of neighbours are looked at together */
#define REPAIR_NEIGHBOURS_MAX 4096
#define REPAIR_GONE_MAX	      1024	   /* devices that were deleted: names come and go */
#define REPAIR_LOST_KEPT      (3 * MONO_S) /* how long a path for a route that went is waited for */

struct repair_best;
struct repair_down;
struct repair_gateway;
struct repair_seen;

/* A set of nexthops is among those that lead over a device. */
struct repair_use {
	struct repair_group *group;
	uint32_t ifindex;
	struct repair_use *prev, *next; /* of the device */
};

/* The sets that lead over a device; over 0: by nexthops that have a way of their own. */
struct repair_uses {
	uint32_t ifindex;
	struct repair_use *first; /* never none */
	UT_hash_handle hh;
};

/* A set of nexthops that best routes have in common. A dead device concerns sets, and by
 * them the prefixes: nobody walks through all prefixes. */
struct repair_group {
	struct repair_hops hops; /* the hash's key: padding is zero */
	struct repair_best *bests;
	struct repair_use *uses; /* one for each device */
	unsigned n_uses;
	/* Who announced what leads over the first one; as 0: not known. */
	struct path_peer_key peer;
	uint32_t as;
	UT_hash_handle hh;
};

struct repair_route;

/* What packets from a neighbour take instead of going back to it. */
struct repair_turn {
	uint32_t from;		/* ifindex of the device they come in on */
	struct repair_hops via; /* none: they are dropped */
	bool keep, fresh;	/* marks of a look */
	struct repair_turn *next;
};

struct repair_turn_change {
	struct repair_action action;
	struct repair_turn_change *prev, *next;
};

struct repair_neighbour {
	uint32_t as, ifindex;
};

struct repair_best {
	struct prefix prefix;
	uint8_t type;	/* enum zapi_route_type */
	bool path_seen; /* of BGP: each nexthop had a path */
	bool path_gone; /* and one has none any more */
	bool helpless;	/* dead, without an alternative */
	bool hopeful;	/* helpless or lost, and somebody has a path or may have */
	bool lost;	/* zebra has none any more; remembered, for a path may come */
	mono_time lost_at;
	uint64_t
		transit; /* ASes on its path between the neighbour and the origin: as_bit of each */
	struct repair_group *group;
	struct repair_route *route; /* its repair; NULL: none */
	struct repair_turn *turns;
	struct repair_best *prev, *next;   /* of the group */
	struct repair_best *lprev, *lnext; /* while lost, the oldest first */
	struct repair_best *hprev, *hnext; /* while hopeful */
	UT_hash_handle hh;
};

enum repair_state { REPAIR_SENT, REPAIR_INSTALLED, REPAIR_FAILED };

struct repair_route {
	struct prefix prefix;
	struct repair_best *best; /* NULL: it is on its way out */
	struct repair_hops via;
	enum repair_state state;
	unsigned cause;
	mono_time since;
	bool queued;  /* for repair_next */
	bool asking;  /* a question is out */
	bool waiting; /* in a list of repair.wait */
	unsigned level;
	mono_time due;
	mono_time nothing_since;	    /* zebra has nothing else; 0: it has */
	struct repair_route *prev, *next;   /* active ones */
	struct repair_route *qprev, *qnext; /* in the queue */
	struct repair_route *wprev, *wnext; /* of the level */
};

struct repair {
	const struct paths *paths;
	const struct log_sink *log;
	struct repair_links links;
	struct repair_group *groups;
	struct repair_uses *uses;
	struct repair_best *bests;
	struct repair_best *hopeful;
	struct repair_best *lost;
	struct repair_route *active;
	struct repair_route *queue;
	struct repair_route *wait[REPAIR_LEVELS];
	struct repair_gateway *gateways;
	struct repair_seen *seen;
	struct repair_down *down;
	unsigned asking;
	bool up;
	struct repair_link *links_changed;
	bool turning, turns_stale;
	mono_time turns_due; /* look at all of them again; MONO_NEVER */
	struct repair_turn_change *turn_changes;
	struct repair_neighbour neighbours[REPAIR_NEIGHBOURS_MAX]; /* by AS */
	unsigned n_neighbours;
	struct repair_stats stats;
};

/* ---- repair_table.c ---- */

struct repair_best *repair_find(const struct repair *r, const struct prefix *prefix);
/* The record of the prefix has these nexthops from now on; made if need be. NULL: out of
 * memory, and there is no record. */
struct repair_best *repair_put(struct repair *r, const struct zapi_route *route);
/* Not while it is repaired. */
void repair_drop(struct repair *r, struct repair_best *b);
void repair_lose(struct repair *r, struct repair_best *b, mono_time now);
void repair_found(struct repair *r, struct repair_best *b);
void repair_clear(struct repair *r);
void repair_set_helpless(struct repair *r, struct repair_best *b, bool helpless);
/* The sets that lead over the device; `next` of each gives the next one. */
struct repair_use *repair_uses_of(const struct repair *r, uint32_t ifindex);
/* The parts of a hop that count, padding zeroed. */
void repair_copy_hops(struct repair_hops *to, const struct zapi_nexthop *hops, unsigned n);

/* ---- repair_seen.c ---- */

void repair_seen_remember(struct repair *r, const struct zapi_nexthop *hop);
/* The device is another one from now on. */
void repair_seen_forget(struct repair *r, struct repair_link *l);
void repair_seen_clear(struct repair *r);
/* The one device that the link-local address was seen on; NULL: none, or several. */
struct repair_link *repair_seen_link(const struct repair *r, const struct addr *gateway);
/* The device that the session goes over, or went over when it was there (`gone`): by our address,
 * or by the neighbour's, where that is a link-local one. NULL: not known. */
struct repair_link *repair_session_link(struct repair *r, const struct path_peer *peer,
					const struct addr *neighbour);

/* ---- repair_choose.c ---- */

/* A session of the default VRF: other VRFs have other routes under the same prefixes. */
static inline bool repair_peer_counts(const struct path_peer *peer)
{
	return peer->key.distinguisher == 0;
}

/* The link of a nexthop; NULL: not known. */
struct repair_link *repair_hop_link(struct repair *r, const struct zapi_nexthop *hop);
bool repair_hops_equal(const struct repair_hops *a, const struct repair_hops *b);
/* Whether every nexthop of the set leads over a usable device. */
bool repair_hops_usable(struct repair *r, const struct repair_hops *hops);
/* Compares the paths with the best route: sets path_seen, path_gone. */
void repair_look_at_paths(struct repair *r, struct repair_best *b);
/* false: no nexthop of the best route passes packets, or not all of them. */
bool repair_alive(struct repair *r, const struct repair_best *b);
/* The way around for a best route that is not alive; false: there is none. */
bool repair_choose(struct repair *r, const struct repair_best *b, struct repair_hops *out);

/* The path that is this nexthop of the best route; NULL: none. */
const struct path *repair_find_path(struct repair *r, const struct repair_best *b,
				    const struct zapi_nexthop *hop);
/* The best path that is not the neighbour's and does not lead through its AS. */
bool repair_choose_without(struct repair *r, const struct repair_best *b,
			   const struct repair_neighbour *n, struct repair_hops *out);

/* ---- repair_turn.c ---- */

/* The best route, or the paths to it, changed. */
void repair_turn_look(struct repair *r, struct repair_best *b);
/* The record goes. */
void repair_turn_forget(struct repair *r, struct repair_best *b);
void repair_turns_refresh(struct repair *r, mono_time now);
bool repair_turn_next(struct repair *r, struct repair_action *out);
void repair_turns_clear(struct repair *r);
/* A neighbour that will turn the packets; false: none. */
bool repair_choose_turn(struct repair *r, const struct repair_best *b, struct repair_hops *out);

/* ---- repair_peer.c ---- */

/* Whether bgpd has lost the neighbour that the nexthop is. */
bool repair_hop_lost(const struct repair *r, const struct zapi_nexthop *hop);
void repair_peers_forget(struct repair *r);

/* ---- repair_ask.c ---- */

/* Looks at the repair again after the level's time; it is taken from where it waited. */
void repair_wait(struct repair *r, struct repair_route *e, unsigned level, mono_time now);
void repair_wait_no_more(struct repair *r, struct repair_route *e);
void repair_count_time(struct repair_histogram *h, mono_time took);

/* ---- repair.c ---- */

void repair_tell(struct repair *r, struct repair_route *e);
void repair_remove(struct repair *r, struct repair_best *b, enum repair_end_reason why,
		   mono_time now);
void repair_evaluate(struct repair *r, struct repair_best *b, unsigned cause, mono_time now);

#endif
