/* Loaded conns and secrets, and what the engine wants of them: which ones should be
 * up, the attempt in flight, back-off between attempts, commands that wait. */
#ifndef DETOUR_CONNS_H
#define DETOUR_CONNS_H

#include "ipsecd/ike/sa.h"

/* A command that waits for a conn or a child of it to come up (or all SAs to go). */
struct waiter {
	struct waiter *prev, *next;
	uint64_t tag;
	char *child; /* NULL: the IKE_SA is enough */
};

/* What TERMINATE left behind, until INITIATE. */
enum hold {
	HOLD_NONE,
	HOLD_OWN,  /* we don't start it; when the peer brings it up, the hold is over */
	HOLD_PEER, /* the peer is not answered either */
};

struct held_child {
	struct held_child *next;
	enum hold hold;
	char *name;
};

/* What is known of a child as long as its conn is loaded. */
struct child_memory {
	struct child_memory *next;
	uint32_t reqid;	      /* of all its CHILD_SAs, if none is configured */
	bool sent;	      /* one of them has been sending */
	mono_time not_before; /* refused: traffic is no reason to ask for one until then */
	char *name;
};

/* A version of a conn; SAs keep the version they were made with alive. */
struct conn_version {
	struct conn *conn;
	unsigned refs;
	uint64_t digest, digest_ike; /* conn_digest */
};

struct conn_entry {
	struct conn_entry *prev, *next;
	UT_hash_handle hh;			/* by conn->name */
	struct conn_version *version;		/* the current one */
	struct conn_link links[CONN_ADDRS_MAX]; /* in conns_by_peer */
	char *name;
	uint32_t tunnel; /* 0: none */
	struct table_link in_tunnels;
	struct ike_sa *sas; /* utlist by entry_next: IKE_SAs that refer to it, ended ones too */
	bool unloaded;	    /* out of the tables; freed with its last SA */
	bool inherited;	    /* SAs of a former process send in its tunnel, until ours do */
	bool wanted;	    /* should be up: auto=start or INITIATE */
	bool acquired;	    /* traffic waits: all children that it starts are to come */
	bool refused_told;  /* that traffic can't start it */
	enum hold held;
	bool device_down;	      /* an operator's doing: as held, by both ends */
	bool was_up;		      /* ... and there was an IKE_SA */
	enum ike_suspicion suspected; /* what people were told of last */
	struct held_child *held_children;
	struct child_memory *memories;
	char *wanted_child;	/* first CHILD_SA of the next attempt; NULL: the first to start */
	struct ike_sa *attempt; /* our initiation in flight: at most one */
	uint64_t query;		/* the name is being resolved; 0: no */
	struct addr remote;	/* the one behind the name; family 0: not resolved yet */
	unsigned next_remote;	/* round robin over conn->remote */
	unsigned tries;
	mono_time back_off;
	uint8_t n_vips_had, n_vips_told; /* the last ones we got; what the shell knows */
	struct addr vips_had[VIPS_MAX], vips_told[IKE_TUNNEL_VIPS_MAX];
	bool short_lived; /* the last one was: that the next one came up ends no back-off */
	struct timer retry_timer;
	enum ike_reason reason; /* of the last failure */
	char detail[IKE_DETAIL];
	struct waiter *waiters;
	unsigned asked_from; /* next_remote before the query */

	/* state.h */
	struct conn_entry *touched_prev, *touched_next;
	bool touched;
	bool restoring;	       /* loaded so, not resumed yet */
	bool restored;	       /* ... and has its record */
	uint64_t number;       /* names its record */
	uint64_t digest;       /* of the record's conn */
	bool device_was_down;  /* in the record */
	mono_time retry_again; /* the record's timer */
};

/* ---- loading (conns.c) ---- */
struct conn_version *conn_version_ref(struct conn_version *v); /* NULL allowed */
void conn_version_unref(struct conn_version *v);
/* Puts sa under its conn, to work by that version of it, and takes it out again. */
void conns_attach(struct ike_engine *e, struct ike_sa *sa, struct conn_entry *entry,
		  struct conn_version *version);
/* As sa_touch, for an entry. */
void entry_touch(struct ike_engine *e, struct conn_entry *entry);
/* Takes conn, with one reference; NULL: out of memory, conn is freed. */
struct conn_version *conn_version_new(struct conn *conn);
/* An entry that is out of all tables, as after conns_unload: it goes with its last SA. */
struct conn_entry *conns_ghost(struct ike_engine *e, struct conn *conn);
void conns_detach(struct ike_engine *e, struct ike_sa *sa);
bool conns_starts(const struct conn *c); /* has a child with auto=start */
bool conns_load(struct ike_engine *e, const struct ike_command *command, const char **error);
/* The conn that its restored IKE_SAs now have may ask for other liveness checks than theirs. */
void conns_rearm_liveness(struct ike_engine *e, const struct conn_entry *entry);
/* It is to be up if the conn says so. */
void conns_loaded(struct ike_engine *e, struct conn_entry *entry);
bool conns_unload(struct ike_engine *e, const char *name, const char **error);
bool conns_load_secret(struct ike_engine *e, struct secret *secret, const char **error);
bool conns_unload_secret(struct ike_engine *e, const char *unique, const char **error);
void conns_free(struct ike_engine *e);
/* Frees unloaded ones when no output points to them; all: unpublished ones as well. */
void conns_reap(struct ike_engine *e, bool all);
struct conn_entry *conns_named(const struct ike_engine *e, const char *name);
uint32_t conns_reqid(struct ike_engine *e, struct conn_entry *entry,
		     const struct child_config *config);
/* A CHILD_SA of this child sends; does one of a former process, as far as we know? */
void conns_child_sends(struct ike_engine *e, struct conn_entry *entry, const char *child);
bool conns_child_inherited(const struct conn_entry *entry, const char *child);
/* It was refused: traffic alone does not ask for it until then (0: it does). May it now? */
void conns_child_not_before(struct ike_engine *e, struct conn_entry *entry, const char *child,
			    mono_time at);
bool conns_child_due(const struct ike_engine *e, const struct conn_entry *entry, const char *child);
/* What was refused was another configuration, or by an IKE_SA of before. The caller touches. */
void conns_all_due(struct conn_entry *entry);
struct conn_entry *conns_by_tunnel(const struct ike_engine *e, uint32_t tunnel);
/* The pre-shared key that serves sa's local identity and this remote one (ID_ANY: not known)
 * best, NULL if none does. */
const struct secret *conns_secret(const struct ike_engine *e, const struct ike_sa *sa,
				  const struct id *remote);

/* TERMINATE's mark and INITIATE's release (child NULL: the whole conn). */
void conns_hold(struct ike_engine *e, struct conn_entry *entry, enum hold hold);
void conns_hold_child(struct ike_engine *e, struct conn_entry *entry, const char *child,
		      enum hold hold);
void conns_release_hold(struct ike_engine *e, struct conn_entry *entry, const char *child);
enum hold conns_held(const struct conn_entry *entry); /* a device that is down counts, too */
enum hold conns_child_held(const struct conn_entry *entry, const char *child);
/* Commands that wait for `child` to come up (NULL: for the IKE_SA). */
bool conns_add_waiter(struct ike_engine *e, struct conn_entry *entry, uint64_t tag,
		      const char *child);
/* Ends those that wait for `child` (NULL: for the IKE_SA alone), or all of them. */
void conns_end_waiters(struct ike_engine *e, struct conn_entry *entry, const char *child, bool all,
		       bool ok, enum ike_reason reason, const char *detail);

#endif
