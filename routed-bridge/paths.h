/* The paths that bgpd holds: for each prefix one from each peer, as the peer's UPDATE and
 * our policy left them (adj-RIB-in, post-policy). Pure: whoever hears of paths (BMP, or the
 * answer to `show bgp json`) feeds it, whoever looks for an alternative asks it.
 *
 * Attributes are kept once for all prefixes that have them. A source that lost its place
 * marks everything stale, tells all it has anew, and sweeps what it did not tell again: in
 * between nothing is missing and nothing that stayed the same is reported. */
#ifndef DETOUR_PATHS_H
#define DETOUR_PATHS_H

#include "lib/addr.h"

#define PATHS_MAX	4000000 /* paths of all peers together */
#define PATHS_PEERS_MAX 4096
#define PATHS_AS_MAX	4096 /* numbers in one AS_PATH; a longer one is refused */

struct paths;

enum path_origin { PATH_ORIGIN_IGP, PATH_ORIGIN_EGP, PATH_ORIGIN_INCOMPLETE };

/* What a peer said about a prefix. Numbers in host order. */
struct path_attrs {
	const uint32_t *as_path;   /* n_as numbers, the neighbour's first; of every segment */
	struct addr nexthop;	   /* global; family 0: there is a link-local one alone */
	struct addr nexthop_local; /* link-local IPv6; family 0: none */
	uint32_t med, local_pref;  /* 0 where the two below are false */
	uint16_t n_as;
	uint16_t as_length; /* as BGP counts: an AS_SET is 1, a confederation nothing */
	uint8_t origin;	    /* enum path_origin */
	uint8_t has_med, has_local_pref;
};

/* Which session: two neighbours on two links may have the same link-local address, two
 * VRFs the same neighbour. */
struct path_peer_key {
	uint64_t distinguisher; /* of the VRF, as BMP has it; 0: default */
	uint32_t id;		/* the peer's BGP identifier, host order */
	struct addr addr;	/* of the peer */
};

struct path_peer {
	struct path_peer_key key;
	struct addr local; /* our end of the session: tells the interface; family 0: unknown */
	uint32_t as;	   /* the peer's */
	uint32_t local_as; /* ours in this session; 0: unknown */
	bool up;
	bool stale;	  /* not heard of since paths_resync_begin */
	uint32_t n_paths; /* while down 0 */
	char reason[96];  /* why it went down last; "" */
};

/* One path, to be read; valid until the next call that changes the table. */
struct path {
	const struct path_peer *peer;
	const struct path_attrs *attrs;
	struct path *next; /* of the same prefix, in no order */
};

/* eBGP: another AS than ours (a confederation's members count as external); false as long as
 * ours is unknown, for an iBGP neighbour's path may lead back through us. */
bool path_external(const struct path *path);
bool path_has_as(const struct path *path, uint32_t as);

struct paths *paths_new(void); /* NULL when out of memory */
void paths_free(struct paths *p);

/* ---- feeding; what is said is copied ---- */

/* The session is up, or still up: `peer` gives key, local, as and local_as. false: out of
 * memory or too many peers. */
bool paths_peer_up(struct paths *p, const struct path_peer *peer);
/* All its paths go. An unknown peer, or one that is down, is no error. Without an identifier
 * (bgpd knows none of a session that it has not had since it began) all that are stale and
 * have the address are meant. */
void paths_peer_down(struct paths *p, const struct path_peer_key *key, const char *reason);
/* Replaces the peer's path to the prefix (masked: no host bits). false: the peer is not up,
 * too many paths or numbers, out of memory: the peer's former path to it is gone then. */
bool paths_announce(struct paths *p, const struct path_peer_key *key, const struct prefix *prefix,
		    const struct path_attrs *attrs);
/* false: there was none. */
bool paths_withdraw(struct paths *p, const struct path_peer_key *key, const struct prefix *prefix);

/* Everything is stale until it is said again. */
void paths_resync_begin(struct paths *p);
/* The peer has said all it has of this family (End-of-RIB): its stale paths go. */
void paths_resync_family(struct paths *p, const struct path_peer_key *key, uint8_t family);
/* Peers that are stale still go down for this reason; then their paths are gone, too. */
void paths_resync_peers(struct paths *p, const char *reason);
/* All that is stale goes, peers and paths. */
void paths_resync_end(struct paths *p, const char *reason);

/* ---- asking ---- */

/* The first path to exactly this prefix, NULL: none. Stale ones are among them. */
const struct path *paths_of(const struct paths *p, const struct prefix *prefix);
const struct path_peer *paths_peer(const struct paths *p, const struct path_peer_key *key);
/* Peers in the order of their first coming up: NULL gives the first, the last gives NULL. */
const struct path_peer *paths_peer_next(const struct paths *p, const struct path_peer *after);
/* All prefixes that have a path, in no order. */
void paths_each_prefix(const struct paths *p,
		       void (*each)(void *ctx, const struct prefix *prefix,
				    const struct path *first),
		       void *ctx);

struct paths_count {
	size_t prefixes, paths, attrs; /* attrs: different sets of them */
	size_t peers, peers_up;
};

struct paths_count paths_count(const struct paths *p);
/* How many paths have come to be, ever: replaced ones do not count. */
uint64_t paths_added(const struct paths *p);

/* ---- changes ---- */

enum path_change_kind { PATH_CHANGE_PEER_DOWN, PATH_CHANGE_PEER_UP, PATH_CHANGE_PREFIX };

struct path_change {
	enum path_change_kind kind;
	const struct path_peer *peer; /* of the first two; its reason is said there */
	struct prefix prefix;	      /* of the third: ask paths_of */
};

/* The next thing that changed since it was last taken; false: nothing. Peers come before
 * prefixes, whatever the order they changed in; a change undone meanwhile may be among them. */
bool paths_change(struct paths *p, struct path_change *out);
/* For one who has no use for single changes: all are taken. */
void paths_changes_drop(struct paths *p);

#endif
