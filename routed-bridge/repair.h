/* Local repair, planned: when a tunnel dies, each prefix whose best route used it gets the
 * loop-free alternative among the paths that bgpd holds, and loses it again when zebra has
 * a usable route of another's in its place. Pure: what zebra, bgpd, witnesses and the clock
 * say goes in; routes to add and remove, and questions to zebra, come out.
 *
 * The alternative is a path of eBGP (RFC 4271): what neighbour C announced is C's own best
 * path, and our AS is not in its AS_PATH, so that C does not send it through us. It has to
 * lead over a device that nobody calls dead.
 *
 * While our route is in, zebra selects it and redistributes nothing of the others: whether
 * BGP has moved is asked for, prefix by prefix and paced (`show ip route P json`). Ours is
 * taken out only then, so that there is no gap. */
#ifndef DETOUR_REPAIR_H
#define DETOUR_REPAIR_H

#include "lib/log.h"
#include "lib/mono.h"
#include "routed-bridge/paths.h"
#include "routed-bridge/tunnel_state.h"
#include "routed-bridge/zapi.h"

#define REPAIR_ASKING_MAX 20 /* questions that are out at one time */

struct repair;

/* The paths and the sink outlive the planner. NULL when out of memory. */
struct repair *repair_new(const struct paths *paths, const struct log_sink *log);
void repair_free(struct repair *r);

/* ---- devices ---- */

/* INTERFACE_*; present: not _DELETE. */
void repair_interface(struct repair *r, const struct zapi_interface *i, bool present);
/* INTERFACE_ADDRESS_*: tells which device a neighbour is on. */
void repair_address(struct repair *r, const struct zapi_address *a, bool present);
/* A witness calls the device dead, or takes it back. The name need not be known to zebra. */
void repair_tunnel(struct repair *r, const char *interface, enum tunnel_witness who, bool dead,
		   const char *cause);

/* Whether what BGP has over the device has no other way: none of its prefixes has a path of a
 * peer elsewhere. false: not known, for BGP has nothing there, or the paths are not told. */
bool repair_last_way(struct repair *r, const char *interface, bool *last);

/* U-turns (repair_turn.c): for networks, all of whose sites do them. Off at first. */
void repair_turns(struct repair *r, bool on);
/* A session of BGP came up, or went. */
void repair_peers(struct repair *r);

/* ---- routes and paths ---- */

struct repair_hops {
	uint8_t n;
	struct zapi_nexthop hop[ZAPI_NEXTHOPS_MAX];
};

/* REDISTRIBUTE_ROUTE_ADD, _DEL: what zebra selected, of BGP or of the bridge's own types;
 * never of the repairs' own. */
void repair_best(struct repair *r, const struct zapi_route *route, mono_time now);
void repair_best_gone(struct repair *r, const struct zapi_route *route, mono_time now);
/* A session of BGP came up, or went (struct path_change): BGP's routes over it are dead. */
void repair_peer(struct repair *r, const struct path_peer *peer, mono_time now);
/* The paths to the prefix changed (struct path_change). A best route of BGP whose path is
 * withdrawn is dead, too, before bgpd has decided what to do. */
void repair_path(struct repair *r, const struct prefix *prefix, mono_time now);

/* ---- zebra ---- */

/* The session of the repairs came up, or went: zebra has removed them all then. */
void repair_session(struct repair *r, bool up, mono_time now);
/* ROUTE_NOTIFY_OWNER of that session. */
void repair_notify(struct repair *r, const struct zapi_notify *notify, mono_time now);

/* What zebra has for a prefix besides our route: the best of it. */
struct repair_answer {
	bool valid;		 /* false: it could not be asked, or the answer makes no sense */
	uint8_t distance;	 /* of the entry */
	struct repair_hops hops; /* active ones; none: no entry, or a blackhole */
};

/* The next question that is due now; false: none. Each one is answered once, in any order,
 * by repair_answer. Retries are made due for repair_next: ask first. */
bool repair_question(struct repair *r, struct prefix *out, mono_time now);
void repair_answer(struct repair *r, const struct prefix *prefix,
		   const struct repair_answer *answer, mono_time now);

/* ---- output ---- */

struct repair_action {
	bool add; /* else remove */
	struct prefix prefix;
	uint32_t from;		 /* 0, or a U-turn: for packets that come in on this device alone */
	bool again;		 /* a U-turn that takes the place of the one before */
	struct repair_hops hops; /* none: such packets are dropped */
};

/* The next thing to tell zebra; false: nothing. Whatever came in since is looked at first,
 * together: a device that dies is no way around for one that died just before. */
bool repair_next(struct repair *r, struct repair_action *out, mono_time now);
/* When repair_question or repair_next has something to do by itself; MONO_NEVER. */
mono_time repair_deadline(const struct repair *r);
/* Takes every repair out: it is switched off. */
void repair_end(struct repair *r, const char *cause);

/* Calls back for each prefix that is repaired now. */
void repair_each(const struct repair *r, void (*each)(void *ctx, const struct prefix *prefix),
		 void *ctx);

/* ---- figures ---- */

/* Why a repair was made: a witness (enum tunnel_witness), or */
enum { REPAIR_BY_PATH = TUNNEL_WITNESSES /* its path was withdrawn */, REPAIR_CAUSES };

enum repair_end_reason {
	REPAIR_END_CONVERGED,	   /* zebra has another usable route */
	REPAIR_END_NOTHING,	   /* BGP has nothing more */
	REPAIR_END_NO_ALTERNATIVE, /* the alternative went, and there is no other */
	REPAIR_END_ZEBRA,	   /* the session with zebra ended */
	REPAIR_END_OFF,		   /* switched off */
	REPAIR_ENDS,
};

const char *repair_cause_name(unsigned cause);
const char *repair_end_name(enum repair_end_reason reason);

#define REPAIR_BUCKETS 12

struct repair_histogram {
	uint64_t count, sum_ns;
	uint64_t bucket[REPAIR_BUCKETS]; /* not cumulative; the last one: longer */
};

extern const mono_time repair_bucket_limits[REPAIR_BUCKETS - 1]; /* upper, inclusive */

struct repair_stats {
	unsigned active;    /* repairs that are in, or on the way */
	unsigned installed; /* of these, confirmed by zebra */
	unsigned known;	    /* best routes that are watched */
	unsigned devices;   /* that are known, or were */
	unsigned turns;	    /* U-turns that are in */
	unsigned helpless;  /* of these, dead and without an alternative */
	uint64_t begun[REPAIR_CAUSES];
	uint64_t ended[REPAIR_ENDS];
	uint64_t refused; /* FAIL_INSTALL */
	uint64_t questions;
	struct repair_histogram install; /* from the trigger to zebra's confirmation */
	struct repair_histogram lasted;	 /* from the trigger to the end */
};

struct repair_stats repair_stats(const struct repair *r);

#endif
