/* IKE_SA and CHILD_SA records, their states and the single writers of those.
 *
 * Ownership: the engine owns IKE_SAs, an IKE_SA owns its CHILD_SAs, tasks and cached
 * messages. An SA that ended (ike_sa_end, child_end) is out of every table at once,
 * but its memory stays until the next input, so that handlers on the stack and queued
 * events may still read it; test `sa->state == IKE_SA_ENDED` after calls that may end it. */
#ifndef DETOUR_SA_H
#define DETOUR_SA_H

#include "ipsecd/ike/core.h"
#include "ipsecd/ike/kept.h"
#include "lib/hash.h"
#include "lib/table.h"

#include <utlist.h>

struct conn_version;
struct init_state;
struct task;

enum ike_sa_state {
	IKE_SA_CREATED,	  /* nothing sent or answered yet */
	IKE_SA_INIT_SENT, /* initiator: IKE_SA_INIT in flight */
	IKE_SA_HALF_OPEN, /* responder: IKE_SA_INIT answered, IKE_AUTH awaited */
	IKE_SA_AUTH_SENT, /* initiator: IKE_AUTH in flight */
	IKE_SA_ESTABLISHED,
	IKE_SA_REKEYING, /* our rekey of it is in flight; works as ESTABLISHED does */
	IKE_SA_REKEYED,	 /* replaced; waits for its delete, carries no new exchanges */
	IKE_SA_DELETING, /* our delete is queued or in flight */
	IKE_SA_ENDED,
	IKE_SA_STATES
};

enum child_state {
	CHILD_CREATED,
	CHILD_INSTALLED,
	CHILD_REKEYING, /* our rekey is in flight; still carries traffic */
	CHILD_REKEYED,	/* replaced; receives until its delete and the linger are over */
	CHILD_DELETING, /* our delete is in flight */
	CHILD_DELETED,	/* deleted at the peer, lingers for late packets */
	CHILD_ENDED,
	CHILD_STATES
};

#define IKE_INIT_KEY 27

struct message_copy {
	uint8_t *data;
	size_t len;
};

/* The initiator half of the window (RFC 7296 2.1, 2.3): one request in flight. */
struct window_tx {
	uint32_t next_id;
	unsigned sent;	   /* transmissions of this request so far */
	unsigned hastened; /* transmissions before intervals began anew (window_hasten) */
	bool in_flight;
	mono_time first_sent, last_sent;
	struct message_copy request;
	struct timer timer;
};

/* The responder half: the next id we accept and the last answer. */
struct window_rx {
	uint32_t next_id;
	struct message_copy response; /* answer to next_id - 1, empty: none yet */
	mono_time repeated_at;	      /* when the peer asked for it again last */
};

/* Virtual addresses (vips.h): ours, the peer's, and the name servers that it told us. */
struct sa_vips {
	uint8_t n_local, n_remote, n_dns;
	struct addr local[VIPS_MAX], remote[VIPS_MAX], dns[VIP_DNS_MAX];
};

/* That the peer can't be reached (suspect.h). */
struct sa_suspicion {
	enum ike_suspicion what; /* NOTHING: none */
	uint32_t proof;		 /* an answer to this message id or a later one ends it */
	mono_time since;
	mono_time pause, not_again; /* after false ones: until then no hints of others */
};

/* A responder's IKE_SA until it is established. */
struct half_open {
	struct ike_sa *sa;
	UT_hash_handle hh;
	uint8_t key[IKE_INIT_KEY]; /* the peer's SPI, address and port */
	unsigned slot;		   /* of its address */
};

/* Synchronisation of message IDs (sync.h). Nothing else is in flight then: it has the timer and
 * the counts of window_tx. */
struct sa_sync {
	bool ids : 1, counters : 1; /* negotiated: message IDs; replay counters */
	bool behind : 1;	    /* restored from a record older than what the peer has seen */
	bool may_ask : 1;	    /* restored, and not asked since */
	bool asking : 1;	    /* our request, which has message ID 0, waits for its answer */
	bool asked : 1;		    /* `send` is of a request that was sent some time */
	bool doubt : 1;		    /* SAs may have been made or deleted that are not known here */
	bool seen : 1;		    /* `peer_send` is of a request that came some time */
	uint32_t nonce, send, receive; /* of the last one that was sent */
	uint32_t peer_send;	       /* the highest that the peer's requests had */
};

struct ike_sa {
	struct ike_sa *prev, *next; /* engine's list */
	struct ike_sa *dead_next;   /* ended, not yet freed */
	struct table_link in_spis;
	struct half_open *half_open; /* in the table of those; also while a refused one lingers */
	uint32_t id;		     /* unique, small */
	enum ike_sa_state state;
	enum ike_reason end_reason; /* of a delete that is to come, queued or in flight */
	unsigned n_children;
	uint32_t last_id; /* of the newest IKE_SA when this one was established */
	/* Side by side: there are many of them, and many SAs. */
	bool initiator;	     /* original initiator of this IKE_SA: its SPI is spi_i */
	bool auth_initiator; /* we began its IKE_AUTH; stays so when it is rekeyed */
	bool nat_local, nat_remote, nat_faked;
	bool peer_authenticated;
	bool run_marked;
	bool redundant;	  /* not the one that stays */
	bool superseded;  /* ... because a later one takes its place (duplicates.c) */
	bool silent;	  /* ... and the peer has forgotten it: no DELETE */
	bool inherits;	  /* we have just been started, and the plane goes on */
	bool announced;	  /* people know it as up: its end is an event */
	bool touched;	  /* state.h */
	bool unpublished; /* there was no memory for its record: the one kept is marked as older */
	bool iv_ahead;	  /* restored: IVs go on beyond what a former process may have used */
	bool outdated;	  /* restored, and its conn is another one: to be deleted */
	uint64_t spi_i, spi_r;
	uint64_t own_spi;			/* hash key: the one of the two that is ours */
	struct ike_sa *entry_prev, *entry_next; /* in its list */
	struct conn_entry *entry;     /* counted reference; never NULL once the conn is chosen */
	const struct conn *conn;      /* the version it works by; NULL while unknown */
	struct conn_version *version; /* counted: keeps conn alive */
	struct ike_path path;
	struct id *local_id, *remote_id; /* kept.h; read by sa_local_id, sa_remote_id; */
	struct who_place who;		 /* ... and this is to be told: who_file */
	struct sa_vips *vips;		 /* NULL: none; read by sa_vips */
	uint64_t lease; /* query number of what the pools keep for the peer; 0: nothing */

	struct suite suite;
	struct kept_keys *keys; /* NULL: none yet */
	uint64_t iv_counter;	/* AEAD IVs (RFC 5282 3.1); own direction */
	uint8_t nonce_own[IKE_NONCE_LEN];
	struct message_copy nonce_peer; /* at most IKE_NONCE_MAX */

	struct window_tx tx;
	struct window_rx rx;
	struct sa_suspicion suspicion;
	struct sa_sync sync;
	struct message_copy crash_token; /* the peer's (quick_crash.h); empty: none */
	struct task *tasks;		 /* waiting, in order */
	struct task *running;		 /* whose request is in flight */
	struct ike_sa *run_next;	 /* engine's list of queues to be run */

	struct child *children;

	mono_time created, established, last_heard;
	mono_time rekey_at, expires_at;		/* 0: not planned */
	mono_time reauth_at, reauth_by;		/* with the other end's patience; 0: not planned */
	struct timer rekey_timer, expire_timer; /* expire: also half-open and REKEYED ends */
	struct timer dpd_timer;			/* informational.c */
	struct timer task_timer;		/* the next task that waits for its time */
	struct timer keepalive_timer;
	struct timer reauth_timer;

	uint64_t successor;	      /* REKEYED: own_spi of the IKE_SA that replaced it */
	uint64_t reauth_of;	      /* own_spi of the IKE_SA that this attempt is to replace */
	uint64_t tag;		      /* a command waits for its end; 0 */
	struct timer redundant_timer; /* duplicates.c */
	mono_time superseded_until;   /* patience with it, if not all of its work is taken over */

	struct init_state *init; /* IKE_SA_INIT and IKE_AUTH only: KE, messages, cookie; init.c */

	/* Simultaneous IKE rekey (collide.c): own_spi of the IKE_SA the peer made while ours
	 * was in flight, and the lowest nonce of the exchange that made this one. IKE_SAs are
	 * held by SPI and looked up (ike_sa_by_spi), never by pointer: they may be gone. */
	uint64_t collision;
	uint64_t predecessor; /* the reverse: own_spi of the IKE_SA whose collision this is */
	struct message_copy lowest_nonce;

	/* state.h */
	struct ike_sa *touched_prev, *touched_next;
	uint64_t attached; /* its place in entry->sas */
};

/* What the data plane is told, beside what a child itself has. */
struct child_told {
	uint16_t replay_window;
	uint64_t life_bytes, life_packets, rekey_bytes, rekey_packets;
	uint32_t life_seconds;
	struct child_flags flags;
};

struct child {
	struct child *prev, *next; /* of sa->children */
	struct child *dead_next;   /* ended, not yet freed */
	struct table_link in_ids, in_spis, in_spis_out;
	struct ike_sa *sa;
	uint64_t id;	 /* child_sa.id */
	uint32_t unique; /* for people */
	enum child_state state;
	enum ike_reason end_reason;
	uint32_t resource; /* resources.h; 0: the general one of its name */
	bool initiator;	   /* we sent the request that made it */
	bool udp_encap;
	bool resources_agreed; /* general: the peer makes CHILD_SAs for resources, too */
	bool resources_full;   /* general: it makes no more of them */
	bool no_tfc;	       /* the peer does not take padding (RFC 7296 1.3.1) */
	bool aggfrag;	       /* agreed (RFC 9347 5.1), */
	bool aggfrag_whole;    /* and the peer does not take packets in pieces */
	bool outbound;	       /* we send on it */
	bool in_plane;	       /* an install went out and no remove yet */
	bool redundant;	       /* lost a rekey collision */
	bool announced;	       /* people know it as up: its end is an event */
	bool tunnel_of_conn;   /* read from a record, while the conn is not known */
	bool resumed;	       /* its install was given anew to a plane that may lack it */
	bool outdated, rekeys; /* restored, and configured otherwise now */
	const struct child_config *config; /* inside version->conn */
	struct conn_version *version;	   /* counted */
	uint32_t spi_in, spi_out, reqid, tunnel;
	struct suite suite;
	/* Never NULL once it is negotiated; those of config where they are equal, else kept.h */
	const struct ts_list *local_ts, *remote_ts;
	struct endpoint local, remote;
	mono_time installed, rekey_at, expires_at;
	struct timer rekey_timer, expire_timer, linger_timer;
	uint64_t asked_by;    /* 1 + id of the peer's CREATE_CHILD_SA request for it; 0: none */
	uint64_t replaces;    /* handle of the CHILD_SA this one rekeys, 0: none */
	uint64_t replaced_by; /* handle, 0: none */
	uint64_t tag;	      /* a command waits for its end; 0 */

	struct message_copy lowest_nonce; /* simultaneous CHILD rekey (collide.c) */

	/* state.h */
	struct kept_child_keys *keys; /* for another install; NULL unless it is published */
	struct child_told *told;      /* not as config asks now; NULL: as that asks */
	uint64_t traffic, keying;     /* digests of config */
	/* Read from a record, while the conn is not known. */
	char *config_name;
};

/* ---- IKE_SA ---- */

/* To be called wherever something of sa changes that another process has to know: its record is
 * published behind this input. */
void sa_touch(struct ike_engine *e, struct ike_sa *sa);

/* In two steps: memory and timers alone, own_spi and id not set; then into list and table, by
 * own_spi. false: out of memory. */
struct ike_sa *ike_sa_alloc(struct ike_engine *e);
bool ike_sa_link(struct ike_engine *e, struct ike_sa *sa);
/* Out of both, and out of that of half-open ones, as far as it is in them. */
void ike_sa_unlink(struct ike_engine *e, struct ike_sa *sa);
/* Frees sa with all that it owns, whether linked or not, and tells nobody. */
void ike_sa_discard(struct ike_engine *e, struct ike_sa *sa);
/* Into the table of half-open ones by this key. */
void ike_sa_restore_half_open(struct ike_engine *e, struct ike_sa *sa,
			      const uint8_t key[IKE_INIT_KEY]);
#define IKE_SA_TIMERS 8
/* Its timers, in a fixed order. */
void ike_sa_timers(struct ike_sa *sa, struct timer *out[IKE_SA_TIMERS]);

/* A new IKE_SA in the list and, by its own fresh SPI, in the table. entry may be NULL for
 * a responder that does not know its conn yet. NULL when out of memory. */
struct ike_sa *ike_sa_new(struct ike_engine *e, struct conn_entry *entry, bool initiator,
			  const struct ike_path *path);
/* For an IKE rekey: a new IKE_SA with conn, path, identities and NAT view of `old`.
 * `initiator` is this exchange's. Its SPIs, suite, keys and nonces are the caller's to set
 * (spi_i or spi_r = own_spi is set already). Not established yet: ike_sa_establish. */
struct ike_sa *ike_sa_new_rekeyed(struct ike_engine *e, const struct ike_sa *old, bool initiator);
/* The only writer of sa->state; logs old -> new and the cause. */
void ike_sa_set_state(struct ike_engine *e, struct ike_sa *sa, enum ike_sa_state state,
		      const char *cause);
/* Takes a copy of s in place of the one before. false: out of memory, that one stays (window.c). */
bool message_copy_set(struct message_copy *c, struct span s);
void message_copy_clear(struct message_copy *c);
static inline struct span message_copy_span(const struct message_copy *m)
{
	return span_of(m->data, m->len);
}
/* ID_ANY where unknown, and zeroes where there are no virtual addresses; as long as sa is. */
const struct id *sa_local_id(const struct ike_sa *sa);
const struct id *sa_remote_id(const struct ike_sa *sa);
const struct sa_vips *sa_vips(const struct ike_sa *sa);
/* For writing; NULL: out of memory. */
struct sa_vips *sa_vips_edit(struct ike_sa *sa);
/* The cipher of SK payloads, out (`seal`) or in, for the caller to free with crypto->cipher_free:
 * it takes much more memory than its key, and SAs are idle most of the time. NULL: failed. */
struct crypto_cipher *ike_sa_cipher(const struct ike_engine *e, const struct ike_sa *sa, bool seal);
/* State ESTABLISHED, lifetimes planned, liveness armed. No event: the caller knows which. */
void ike_sa_establish(struct ike_engine *e, struct ike_sa *sa, const char *cause);
/* The event that people see: IKE_UP, or IKE_REKEYED when `old` is what it replaces; from then
 * on the end of sa (and no more that of old) is an IKE_DOWN. */
void ike_sa_announce(struct ike_engine *e, struct ike_sa *sa, struct ike_sa *old);
/* All CHILD_SAs of `from` become those of `to` (RFC 7296 2.18); waiting tasks too. */
void ike_sa_move_children(struct ike_engine *e, struct ike_sa *from, struct ike_sa *to);
/* Polite end: queues the INFORMATIONAL exchange with DELETE; ends on the answer. An initiator in
 * the middle of IKE_AUTH waits for that answer first: the peer may have the IKE_SA already. */
void ike_sa_delete(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason);
/* At once: CHILD_SAs are removed (events), IKE_DOWN when it was up, waiting commands are
 * told, the conn decides about a retry. detail may be NULL. */
void ike_sa_end(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason,
		const char *detail);
/* Frees all memory of an ended SA; cleanses. */
void ike_sa_free(struct ike_engine *e, struct ike_sa *sa);
/* The peer's NAT mapping changed (RFC 7296 2.23): CHILD_SAs and people are told. */
void ike_sa_move(struct ike_engine *e, struct ike_sa *sa, const struct ike_path *path);
struct ike_sa *ike_sa_by_spi(const struct ike_engine *e, uint64_t own_spi);
/* The half-open SA of this peer's SPI and address, for IKE_SA_INIT retransmissions. */
struct ike_sa *ike_sa_half_open(const struct ike_engine *e, uint64_t spi_i,
				const struct endpoint *remote);
/* No more of them are taken, all in all or from this address. */
bool ike_sa_half_open_full(const struct ike_engine *e, const struct addr *remote);
/* Somebody there is just beginning. */
bool ike_sa_half_open_from(const struct ike_engine *e, const struct addr *remote);
/* ESTABLISHED or REKEYING: may carry new exchanges. */
bool ike_sa_usable(const struct ike_sa *sa);
const char *ike_sa_state_name(enum ike_sa_state s);    /* our own, for logs */
const char *ike_sa_conn_name(const struct ike_sa *sa); /* "" when unknown */

/* ---- CHILD_SA (child.c) ---- */

/* As ike_sa_alloc and ike_sa_link; by id and spi_in. The caller has it in sa->children. */
struct child *child_alloc(struct ike_engine *e);
bool child_link(struct ike_engine *e, struct ike_sa *sa, struct child *c);
/* Out of both tables, as far as it is in them. */
void child_unlink(struct ike_engine *e, struct child *c);
#define CHILD_TIMERS 3
void child_timers(struct child *c, struct timer *out[CHILD_TIMERS]);
/* The config that c works by; its version is kept. It is for the same traffic as the one before. */
void child_set_config(struct child *c, struct conn_version *version,
		      const struct child_config *config);
/* What the data plane was told, or is to be. */
struct child_told child_told(const struct child *c);
/* Config will ask otherwise. Without memory a new plane is told what that asks. */
void child_remember_told(struct child *c);
/* What was told is not kept where it is what config asks. */
void child_forget_told(struct child *c);
/* CHILD_INSTALL of c once more, by another process. */
void child_install_again(struct ike_engine *e, struct child *c);

/* Links a record with a fresh handle and unique id to sa. NULL when out of memory.
 * spi_in must be set at once with child_set_spi_in. */
struct child *child_new(struct ike_engine *e, struct ike_sa *sa, const struct child_config *config);
/* Frees one that child_new has just made: out of all tables, and nobody is told. */
void child_forget(struct ike_engine *e, struct child *c);
/* Selectors and, for another process, keys of what was negotiated, before child_install. false:
 * out of memory. */
bool child_keep(const struct ike_engine *e, struct child *c, const struct child_sa *negotiated);
void child_set_spi_in(struct ike_engine *e, struct child *c, uint32_t spi);
/* Once. */
void child_set_spi_out(struct ike_engine *e, struct child *c, uint32_t spi);
void child_set_state(struct ike_engine *e, struct child *c, enum child_state state,
		     const char *cause);
/* Queues CHILD_INSTALL from c and `keys` (a child_sa of which only in, out, esn are read), plans
 * lifetimes, state INSTALLED. No event: the caller knows which (CHILD_UP, CHILD_REKEYED). */
void child_install(struct ike_engine *e, struct child *c, const struct child_sa *keys,
		   bool outbound, const char *cause);
/* CHILD_UPDATE with outbound on or off; nothing when it is so already. */
void child_set_outbound(struct ike_engine *e, struct child *c, bool outbound, const char *cause);
/* CHILD_UPDATE: its sequence numbers go on so far beyond (RFC 6311 5.2). */
void child_skip(struct ike_engine *e, struct child *c, uint64_t delta);
/* CHILD_UPDATE with the IKE_SA's path. */
void child_update_path(struct ike_engine *e, struct child *c);
/* Polite end: queues the delete; ends on the answer. */
void child_delete(struct ike_engine *e, struct child *c, enum ike_reason reason);
/* A replaced CHILD_SA whose delete is done: stays installed for receiving (state DELETED)
 * until settings.rekeyed_linger is over, then child_end(IKE_REASON_REPLACED). */
void child_linger(struct ike_engine *e, struct child *c);
/* The end of c as people see it; from now on it only receives, as one of `next`'s IKE_SA, until
 * the linger is over. */
void child_pass_on(struct ike_engine *e, struct child *c, const struct child *next);
/* CHILD_UP, or CHILD_REKEYED when `old` is what it replaces; as ike_sa_announce. Commands and
 * back-offs that waited for this child end with CHILD_UP. */
void child_announce(struct ike_engine *e, struct child *c, struct child *old);
/* At once: CHILD_REMOVE, CHILD_DOWN if it was announced, out of all tables. */
void child_end(struct ike_engine *e, struct child *c, enum ike_reason reason, const char *detail);
void child_free(struct ike_engine *e, struct child *c);
struct child *child_by_id(const struct ike_engine *e, uint64_t id);
struct child *child_by_spi_in(const struct ike_engine *e, uint32_t spi);
/* The child of sa whose outbound SPI is `spi`: what DELETE and REKEY_SA from the peer name
 * (RFC 7296 1.3.3, 1.4.1). */
struct child *child_by_spi_out(const struct ike_sa *sa, uint32_t spi);
/* Of any IKE_SA; peers choose these SPIs, each for itself: the next one behind `before`, NULL for
 * the first; NULL: no more. */
struct child *child_sending_on(const struct ike_engine *e, uint32_t spi,
			       const struct child *before);
/* CHILD_INSTALLED or CHILD_REKEYING. */
bool child_usable(const struct child *c);
/* A usable CHILD_SA of sa with this name that is to stay and is not for a resource alone; NULL if
 * there is none. */
struct child *child_usable_named(const struct ike_sa *sa, const char *name);
const char *child_state_name(enum child_state s);

#endif
