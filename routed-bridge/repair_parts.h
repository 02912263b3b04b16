/* What the repair planner's files share: repair.c (decisions), repair_table.c (best routes,
 * sets of nexthops, active repairs), repair_choose.c (alternatives), repair_ask.c (questions,
 * retries, confirmations). Included by repair*.c alone. */
#ifndef DETOUR_REPAIR_PARTS_H
#define DETOUR_REPAIR_PARTS_H

#include "routed-bridge/repair.h"
#include "routed-bridge/repair_links.h"

#define REPAIR_LEVELS	 7 /* of waiting: at once, 100 ms, then twice as long each time */
#define REPAIR_LOST_KEPT (3 * MONO_S) /* how long a path for a route that went is waited for */

struct repair_best;

/* A set of nexthops that best routes have in common. A dead device concerns sets, and by
 * them the prefixes: nobody walks through all prefixes. */
struct repair_group {
	struct repair_hops hops; /* the hash's key: padding is zero */
	struct repair_best *bests;
	/* Who announced what leads over the first one; as 0: not known. */
	struct path_peer_key peer;
	uint32_t as;
	UT_hash_handle hh;
};

struct repair_route;

struct repair_best {
	struct prefix prefix;
	uint8_t type;	/* enum zapi_route_type */
	bool path_seen; /* of BGP: each nexthop had a path */
	bool path_gone; /* and one has none any more */
	bool helpless;	/* dead, without an alternative */
	bool lost;	/* zebra has none any more; remembered, for a path may come */
	mono_time lost_at;
	uint64_t
		transit; /* ASes on its path between the neighbour and the origin: as_bit of each */
	struct repair_group *group;
	struct repair_route *route;	   /* its repair; NULL: none */
	struct repair_best *prev, *next;   /* of the group */
	struct repair_best *lprev, *lnext; /* while lost, the oldest first */
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

/* Where a link-local nexthop was last seen. */
struct repair_seen {
	struct addr gateway;
	uint32_t ifindex; /* 0: on several devices */
	UT_hash_handle hh;
};

struct repair {
	const struct paths *paths;
	const struct log_sink *log;
	struct repair_links links;
	struct repair_group *groups;
	struct repair_best *bests;
	struct repair_best *lost;
	struct repair_route *active;
	struct repair_route *queue;
	struct repair_route *wait[REPAIR_LEVELS];
	struct repair_seen *seen;
	unsigned asking;
	bool up;
	bool links_changed;
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
/* The parts of a hop that count, padding zeroed. */
void repair_copy_hops(struct repair_hops *to, const struct zapi_nexthop *hops, unsigned n);

/* ---- repair_choose.c ---- */

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
