/* The IKEv2 engine (RFC 7296), sans-I/O. Datagrams, commands, events of the data
 * plane and the time go in; datagrams, CHILD_SA installs and removals, queries and
 * events come out, pulled in order. There is no clock, socket, random source, file
 * or log inside: env passes them in. The same inputs give the same outputs, byte
 * for byte. Nothing blocks and nothing calls back, except log and random.
 *
 * The shell's duty: after every input drain ike_engine_next until it returns false,
 * carry the outputs out in that order (an install must be done before the datagram
 * that follows it is sent), then arm one timer at ike_engine_deadline. docs/engine.md
 * tells the whole contract. */
#ifndef DETOUR_ENGINE_H
#define DETOUR_ENGINE_H

#include "ipsecd/crypto/crypto.h"
#include "ipsecd/model/child.h"
#include "ipsecd/model/conn.h"
#include "ipsecd/model/secret.h"
#include "lib/log.h"

#define IKE_TUNNEL_VIPS_MAX 16 /* all that we have on one tunnel */

struct ike_engine;

struct ike_env {
	const struct crypto_ops *crypto;
	void (*random)(void *ctx, void *dst, size_t n);
	void *random_ctx;
	const struct log_sink *log; /* may be NULL */
	/* AUTH by a secret that another process holds (secret.held): keymat_psk_mac over these n
	 * octets. false: not now; the exchange is left as it is, and its next message asks
	 * again. NULL: there are none such. */
	bool (*psk_mac)(void *ctx, const struct secret *secret, uint16_t prf_id,
			const struct span *octets, size_t n, uint8_t *out);
	/* Would it answer now? NULL: always. */
	bool (*psk_ready)(void *ctx);
	void *psk_ctx;
};

struct ike_settings {
	bool encap_default; /* ENCAP_AUTO is ENCAP_YES: the data plane does ESP better in UDP */
	unsigned
		cookie_threshold; /* half-open responder SAs above which COOKIEs are asked; 0: 32 */
	unsigned half_open_max;	  /* beyond it, or a 32nd of it from one address, IKE_SA_INIT is
				     dropped; 0: 4096 */
	uint32_t half_open_seed; /* random: which addresses are counted as one is not to be known */
	mono_time half_open_timeout;	/* a responder's SA without IKE_AUTH; 0: 30 s */
	mono_time keepalive_interval;	/* NAT keepalives (RFC 3948 2.3); 0: 20 s */
	mono_time retry_min, retry_max; /* back-off of lost or refused peers; 0: 1 s, 60 s */
	mono_time rekeyed_linger;	/* how long a replaced CHILD_SA still receives; 0: 5 s */
	mono_time take_over_wait;	/* a peer that answers, but gives no sign that it has a new
					   CHILD_SA, has it this long behind our answer; 0: 3 s */
	bool skips_numbers;		/* the data plane does child_sa.skip_out */
	bool resources_none;		/* CHILD_SAs can't be for one resource alone */
	unsigned resources;		/* CHILD_RESOURCES_AUTO is so many; 0: none */
	bool aggfrag;			/* it does child_sa.flags.aggfrag */
	bool publish;			/* ike_engine_publish is called after each input */
};

/* The outer addresses of a datagram. local.port is 500 or 4500: on 4500 the shell
 * adds and strips the non-ESP marker. */
struct ike_path {
	struct endpoint local, remote;
};

/* ---- inputs ---- */

enum ike_command_kind {
	IKE_COMMAND_LOAD_CONN,	 /* takes `conn`; a conn of the same name is replaced by difference:
				    SAs stay when conn_compare allows it */
	IKE_COMMAND_UNLOAD_CONN, /* name; its SAs are deleted */
	IKE_COMMAND_LOAD_SECRET, /* takes `secret`; same unique replaces */
	IKE_COMMAND_UNLOAD_SECRET, /* name = unique */
	IKE_COMMAND_INITIATE, /* select: conn and/or child. With an SA there already: no second one
			       */
	IKE_COMMAND_TERMINATE,
	IKE_COMMAND_REKEY,
	IKE_COMMAND_RETRY_NOW, /* addresses or links changed: end all back-offs */
	IKE_COMMAND_DEVICE,    /* name, down: an operator set the tunnel's device down or up */
	IKE_COMMAND_SHUTDOWN,  /* delete all SAs, telling peers; SHUTDOWN_DONE when finished */
};

struct ike_select {
	const char *ike;   /* conn name, NULL: any */
	const char *child; /* child name, NULL: whole IKE_SA */
	uint32_t ike_id;   /* 0: any */
	uint32_t child_id; /* unique id of a CHILD_SA, 0: any */
};

struct ike_command {
	enum ike_command_kind kind;
	struct conn *conn;     /* LOAD_CONN */
	struct secret *secret; /* LOAD_SECRET */
	const char *name;      /* UNLOAD_*, DEVICE */
	struct ike_select select;
	uint64_t tag;	  /* not 0: a COMMAND_DONE event with this tag follows */
	uint32_t tunnel;  /* LOAD_CONN: the tunnel that children of this conn serve */
	bool inherited;	  /* LOAD_CONN: CHILD_SAs of a former process still send in the tunnel */
	bool restoring;	  /* LOAD_CONN: no attempt begins before ike_engine_resume */
	bool down;	  /* LOAD_CONN, DEVICE: the device is down: the SAs are deleted, and nobody
			     brings them up until it is up again; then we do, if they were up */
	bool reauth;	  /* REKEY of IKE_SAs: by a new IKE_SA with a new authentication */
	bool force;	  /* TERMINATE: without waiting for the peer's answer */
	bool reset_retry; /* TERMINATE: false = we don't start the conn again, even with auto=start,
			     until INITIATE or the peer brings it up; true = it is started again
			     as after a loss */
	bool successors;  /* TERMINATE with child_id: also what replaced that CHILD_SA */
	bool hold;	  /* TERMINATE: the peer may not bring it up either, until INITIATE */
};

enum ike_child_event {
	IKE_CHILD_INSTALL_FAILED, /* the data plane refused the install; reported before the
				     outputs behind it are carried out */
	IKE_CHILD_ALIVE,    /* authenticated packets came in since the last report: puts DPD off */
	IKE_CHILD_USED_NEW, /* first packet on a new inbound SA: the peer sends on it */
	IKE_CHILD_SOFT_EXPIRE, /* byte, packet or sequence-number limit near: rekey */
	IKE_CHILD_HARD_EXPIRE, /* limit reached: the SA is unusable */
	IKE_CHILD_ACQUIRE,     /* traffic wants a child: `id` is the tunnel, not a child */
	IKE_CHILD_PEER_MOVED,  /* packets come from a new NAT mapping: `path.remote` */
};

/* Resolved addresses of a QUERY_RESOLVE; n == 0: the name does not resolve. */
struct ike_answer {
	unsigned n;
	struct addr addrs[8];
	struct addr own[8]; /* the source address towards each of them, or none */
	const char *why;    /* there are none; or NULL */
};

/* What a peer's IKE_AUTH asks the pools for, all of it at once. Answered by ike_engine_lease;
 * each query is followed by exactly one IKE_OUTPUT_LEASE_RELEASE with its number, when the
 * address is not in use any more (also when there was none), which may be before the answer. */
struct ike_lease_query {
	struct id identity;
	bool sole; /* the peer has one IKE_SA, this one: a second one gets the
		      same addresses */
	uint8_t n;
	struct addr wanted[VIPS_MAX]; /* any of a family, or a given one if that is possible */
	uint8_t n_pools;
	const struct pool_ref *pools;
};

/* The answer: addrs[i] is for wanted[i], family 0 where there is none. dns: name servers that
 * belong to the pools, in addition to those of the conn. */
struct ike_lease {
	struct addr addrs[VIPS_MAX];
	uint8_t n_dns;
	struct addr dns[VIP_DNS_MAX];
};

/* Why a peer may be out of reach. Nothing of this is authenticated (but the underlay is our own):
 * it is a suspicion, which a check of liveness ends. */
enum ike_suspicion {
	IKE_SUSPECT_NOTHING,
	IKE_SUSPECT_ICMP_NET, /* ICMP unreachable for a packet of ours */
	IKE_SUSPECT_ICMP_HOST,
	IKE_SUSPECT_ICMP_PORT, /* or protocol: nobody listens at the peer */
	IKE_SUSPECT_ICMP_PROHIBITED,
	IKE_SUSPECT_CARRIER, /* of the underlay: its device is down, or gone */
	IKE_SUSPECT_ADDRESS, /* our own outer address went */
	IKE_SUSPECT_NO_ROUTE,
	IKE_SUSPECT_INVALID_SPI,     /* the peer does not know the CHILD_SA (RFC 7296 1.5) */
	IKE_SUSPECT_INVALID_IKE_SPI, /* ... the IKE_SA (RFC 7296 2.21.4) */
	IKE_SUSPICIONS
};

/* What was seen. Fields that are empty mean any; what an ICMP message quotes has an SPI. */
struct ike_hint {
	enum ike_suspicion what;
	struct ike_path path; /* of what was sent; ports 0: any */
	uint32_t esp_spi;     /* our outbound SPI */
	uint64_t spi_i, spi_r;
	uint32_t ike_id;
};

struct ike_engine *ike_engine_new(const struct ike_env *env, const struct ike_settings *settings);
void ike_engine_free(struct ike_engine *e); /* cleanses; sends nothing */

void ike_engine_datagram(struct ike_engine *e, const struct ike_path *path, struct span datagram,
			 mono_time now);
void ike_engine_expire(struct ike_engine *e, mono_time now);
/* Returns false and the reason in *error (static text) for a command that can't be
 * started; COMMAND_DONE follows only after true. */
bool ike_engine_command(struct ike_engine *e, const struct ike_command *command, const char **error,
			mono_time now);
void ike_engine_child_event(struct ike_engine *e, uint64_t id, enum ike_child_event event,
			    const struct ike_path *path, mono_time now);
void ike_engine_answer(struct ike_engine *e, uint64_t query, const struct ike_answer *answer,
		       mono_time now);

void ike_engine_lease(struct ike_engine *e, uint64_t query, const struct ike_lease *lease,
		      mono_time now);
/* There is nothing else to do: one thing that a later input would wait for, a key pair or the keys
 * of a peer that is half way in, is done now, in the time of one public-key operation. An input as
 * the others are, but one that may come or not. */
void ike_engine_idle(struct ike_engine *e, mono_time now);
/* Would it do something? */
bool ike_engine_has_idle_work(const struct ike_engine *e);
/* Early detection, on at the start: a hint makes IKE_EVENT_SUSPECT and a check of liveness at
 * once, whose answer makes another one with ok. It never ends an SA (RFC 7296 2.4). Off: hints
 * are ignored, also those of peers. */
void ike_engine_hint(struct ike_engine *e, const struct ike_hint *hint, mono_time now);
void ike_engine_early_detection(struct ike_engine *e, bool on);
/* Off at the start. On: not all conns are loaded yet, so that an IKE_SA_INIT for which there is
 * none, or none that accepts its proposals, gets no answer, and the peer repeats it: peers give up
 * for good when they are refused. */
void ike_engine_loading(struct ike_engine *e, bool on);

/* Quick crash detection (RFC 6290), off at the start. On: tokens of peers are kept, and who shows
 * one has lost the SA, which ends at once. `secret` makes ours; the same one after a restart is
 * what they are good for. It may be nobody else's. NULL: we make none. Copied. */
#define IKE_QUICK_CRASH_SECRET 32
void ike_engine_quick_crash(struct ike_engine *e, bool on,
			    const uint8_t secret[IKE_QUICK_CRASH_SECRET]);
/* An ESP packet came by `path` (ports 0 if it was not in UDP) with an SPI that nobody has: a peer
 * that we have forgotten is told so (RFC 7296 1.5), in time and number as is good for it. */
void ike_engine_esp_unknown(struct ike_engine *e, const struct ike_path *path, uint32_t spi,
			    mono_time now);

/* ---- outputs ---- */

enum ike_output_kind {
	IKE_OUTPUT_SEND,	  /* path, datagram */
	IKE_OUTPUT_KEEPALIVE,	  /* path: one byte 0xff (RFC 3948 2.3) */
	IKE_OUTPUT_CHILD_INSTALL, /* child: both directions */
	IKE_OUTPUT_CHILD_UPDATE,  /* child id: outbound on/off, new endpoints */
	IKE_OUTPUT_CHILD_REMOVE,  /* child id */
	IKE_OUTPUT_QUERY_RESOLVE, /* query, name, family; answered by ike_engine_answer */
	IKE_OUTPUT_QUERY_LEASE,	  /* query, conn, lease_query; answered by ike_engine_lease */
	IKE_OUTPUT_LEASE_RELEASE, /* query */
	IKE_OUTPUT_VIPS, /* tunnel, n_vips, vips: all virtual addresses that we have there now.
			    Before the installs that need them, behind the removals */
	IKE_OUTPUT_EVENT,
};

enum ike_event_kind {
	IKE_EVENT_IKE_UP,
	IKE_EVENT_IKE_DOWN,
	IKE_EVENT_IKE_REKEYED,
	IKE_EVENT_IKE_MOVED,
	IKE_EVENT_CHILD_UP,
	IKE_EVENT_CHILD_DOWN,
	IKE_EVENT_CHILD_REKEYED,
	IKE_EVENT_SUSPECT,	/* conn; suspicion; ok: it is over, the peer answered */
	IKE_EVENT_FAILED,	/* an attempt failed: reason */
	IKE_EVENT_COMMAND_DONE, /* tag, ok, reason */
	IKE_EVENT_SHUTDOWN_DONE,
};

/* Why an SA went or an attempt failed; ike_reason_text gives words. */
enum ike_reason {
	IKE_REASON_NONE,
	IKE_REASON_PEER_DELETED,
	IKE_REASON_COMMAND,
	IKE_REASON_PEER_DEAD,
	IKE_REASON_REPLACED,
	IKE_REASON_EXPIRED,
	IKE_REASON_CONFIG,
	IKE_REASON_SHUTDOWN,
	IKE_REASON_INSTALL_FAILED,
	IKE_REASON_AUTH_FAILED,
	IKE_REASON_NO_PROPOSAL,
	IKE_REASON_TS_UNACCEPTABLE,
	IKE_REASON_INVALID_SYNTAX,
	IKE_REASON_NO_SECRET,
	IKE_REASON_NO_ANSWER,
	IKE_REASON_RESOLVE_FAILED,
	IKE_REASON_PEER_REFUSED,
	IKE_REASON_INTERNAL,
	IKE_REASON_NOT_POSSIBLE,   /* no peer's or own address to begin with */
	IKE_REASON_NO_ADDRESS,	   /* no virtual address could be given, or none was asked for */
	IKE_REASON_DEVICE,	   /* an operator set the device down */
	IKE_REASON_PEER_RESTARTED, /* it has proved that it lost the SA (RFC 6290) */
	IKE_REASONS,
};

/* One SA's view for events and list-sas: plain data, spans and strings valid until
 * the next input. Times are mono_time points, 0 where none is planned. */
struct ike_sa_info {
	const char *conn;
	uint32_t id;
	uint64_t spi_i, spi_r;
	bool initiator;
	const char *state; /* CREATED CONNECTING ESTABLISHED REKEYING REKEYED DELETING, as
			      strongSwan's */
	struct ike_path path;
	struct id local_id, remote_id; /* ID_ANY where unknown */
	struct suite suite;
	bool nat_local, nat_remote, nat_faked;
	bool syncs_ids, syncs_counters;			     /* negotiated (RFC 6311) */
	mono_time created, established, rekey_at, reauth_at; /* created: of the first message */
	unsigned tasks_queued;
	/* Virtual addresses: ours from the peer, and the peer's from us. dns: what the peer
	 * told us to use. */
	uint8_t n_local_vips, n_remote_vips, n_dns;
	struct addr local_vips[VIPS_MAX], remote_vips[VIPS_MAX], dns[VIP_DNS_MAX];
};

struct ike_child_info {
	const char *conn, *name;
	uint32_t id;	   /* unique, small, as vici's uniqueid */
	uint64_t child_sa; /* handle: child_sa.id */
	uint64_t replaces; /* handle of what it was rekeyed from, which may be gone; 0: none */
	uint32_t tunnel, reqid;
	const char *state; /* CREATED INSTALLING INSTALLED REKEYING REKEYED DELETING DELETED */
	bool udp_encap;
	uint32_t resource; /* 0: not for one alone (RFC 9611) */
	uint32_t spi_in, spi_out;
	struct suite suite;
	const struct ts_list *local_ts, *remote_ts;
	mono_time installed, rekey_at, expires_at;
	bool announced;		       /* CHILD_UP was told, CHILD_DOWN not yet */
	struct aggfrag_params aggfrag; /* as agreed */
};

struct ike_output {
	enum ike_output_kind kind;
	struct ike_path path;
	struct span datagram;
	struct child_sa child; /* INSTALL: whole; UPDATE: id, outbound, skip_out, udp_encap, local,
				  remote; REMOVE: id */
	bool resumed; /* INSTALL, VIPS: of a former process: the plane has it, but for what may
			 have changed meanwhile. A CHILD_SA that it lost it refuses
			 (child_sa.resumed) */
	uint64_t query;
	const char *name; /* QUERY_RESOLVE */
	struct ike_lease_query lease_query;
	uint32_t tunnel; /* VIPS */
	uint8_t n_vips;
	struct addr vips[IKE_TUNNEL_VIPS_MAX];
	/* EVENT */
	enum ike_event_kind event;
	enum ike_reason reason;
	enum ike_suspicion suspicion;
	char reason_detail[160]; /* which side wanted what, for people; "" if nothing to add */
	uint64_t tag;
	bool ok;
	bool have_ike, have_child;
	struct ike_sa_info ike, ike_old; /* ike_old: *_REKEYED */
	struct ike_child_info sa, sa_old;
	const char *conn; /* for events without an SA */
};

/* The next output; false when there is none. What it points to is valid until the
 * next call into the engine. */
bool ike_engine_next(struct ike_engine *e, struct ike_output *out);
mono_time ike_engine_deadline(const struct ike_engine *e); /* MONO_NEVER if none */

/* ---- a new process goes on ---- */

/* With settings.publish an engine can die at any instant and another one goes on with its SAs:
 * the shell keeps the engine's records, written after every input and before the outputs are
 * carried out, in one step that is done whole or not at all. docs/engine.md, "State for a new
 * process". Records hold keys: whoever copies them cleanses. */
enum ike_record_kind {
	IKE_RECORD_ENGINE = 1, /* one */
	IKE_RECORD_CONN,       /* of each loaded conn */
	IKE_RECORD_SA,	       /* of each IKE_SA with its CHILD_SAs */
	IKE_RECORD_BEHIND,     /* of an IKE_SA whose record there was no memory for: the one kept,
				  if any, is older than what the peer has seen (RFC 6311) */
};

struct ike_record {
	uint32_t kind;	  /* enum ike_record_kind */
	uint64_t id;	  /* names it together with kind */
	struct span data; /* valid until the next call; empty: it is gone */
};

/* The next record that changed; false: no more. Drain it after every input. */
bool ike_engine_publish(struct ike_engine *e, struct ike_record *out);
/* All of them come again: for a store that has none yet. */
void ike_engine_publish_all(struct ike_engine *e);
/* Takes a record of a former engine, in any order, into a new one whose secrets and conns are
 * loaded, those with command.restoring. false: why says what was wrong and where; the SA does not
 * go on, and the record's removal is published. Its data is not trusted. */
bool ike_engine_restore(struct ike_engine *e, const struct ike_record *record, char *why,
			size_t size);
/* All are restored: it goes on. The outputs are IKE_OUTPUT_VIPS, a CHILD_INSTALL with `resumed` for
 * each CHILD_SA that the plane has to have (any other one of a former engine is to go), requests
 * in flight, and queries without an answer again. No event repeats what was told. An install that
 * the plane refuses is reported as always. */
void ike_engine_resume(struct ike_engine *e, mono_time now);

/* The addresses that peers have from the pools, n of them, by the number of their query: for pools
 * that are new, before ike_engine_resume. */
struct ike_lease_info {
	uint64_t query;
	const struct conn *conn;
	const struct id *identity;
	uint8_t n;
	const struct addr *addrs;
};

void ike_engine_each_lease(const struct ike_engine *e,
			   void (*cb)(void *ctx, const struct ike_lease_info *lease), void *ctx);

/* ---- what is there ---- */

/* Calls back for each SA and its children (ike, then its children; child NULL for
 * the IKE_SA itself). The callback must not call into the engine. */
void ike_engine_each_sa(const struct ike_engine *e,
			void (*cb)(void *ctx, const struct ike_sa_info *ike,
				   const struct ike_child_info *child),
			void *ctx);
/* A CHILD_SA of the data plane's, as a new plane has to be told of it. Its keys are for the caller
 * to cleanse. false: there is none, or its keys are not kept (ike_settings.publish). */
bool ike_engine_child(const struct ike_engine *e, uint64_t id, struct child_sa *out);
/* Loaded conns in order of loading; NULL behind the last. */
const struct conn *ike_engine_conn(const struct ike_engine *e, unsigned n);
const struct conn *ike_engine_conn_named(const struct ike_engine *e, const char *name);
const struct secret *ike_engine_secret(const struct ike_engine *e, unsigned n);
const struct secret *ike_engine_secret_named(const struct ike_engine *e, const char *unique);
/* Why conn is not up and when the next attempt comes (0: none planned). */
enum ike_reason ike_engine_conn_status(const struct ike_engine *e, const char *conn,
				       mono_time *next_attempt, char detail[160]);

/* A conn as far as it concerns who watches; strings are valid until the next input. */
struct ike_conn_info {
	const struct conn *conn;
	bool expected; /* auto=start, or initiated, or traffic wants it; and no command took it
			  down */
	bool held;     /* a command took it down */
	enum ike_reason reason; /* as ike_engine_conn_status */
	mono_time next_attempt; /* 0: none planned */
};

void ike_engine_each_conn(const struct ike_engine *e,
			  void (*cb)(void *ctx, const struct ike_conn_info *conn), void *ctx);

/* Counters: X-macro, so that names reach vici's get-counters and metrics unchanged. */
/* clang-format off */
#define IKE_COUNTERS(X) \
	X(ike_rekey_init, "ike-rekey-init") \
	X(ike_rekey_resp, "ike-rekey-resp") \
	X(child_rekey, "child-rekey") \
	X(invalid, "invalid") \
	X(invalid_spi, "invalid-spi") \
	X(ike_init_in_req, "ike-init-in-req") \
	X(ike_init_in_resp, "ike-init-in-resp") \
	X(ike_init_out_req, "ike-init-out-req") \
	X(ike_init_out_resp, "ike-init-out-resp") \
	X(ike_auth_in_req, "ike-auth-in-req") \
	X(ike_auth_in_resp, "ike-auth-in-resp") \
	X(ike_auth_out_req, "ike-auth-out-req") \
	X(ike_auth_out_resp, "ike-auth-out-resp") \
	X(create_child_in_req, "create-child-in-req") \
	X(create_child_in_resp, "create-child-in-resp") \
	X(create_child_out_req, "create-child-out-req") \
	X(create_child_out_resp, "create-child-out-resp") \
	X(info_in_req, "info-in-req") \
	X(info_in_resp, "info-in-resp") \
	X(info_out_req, "info-out-req") \
	X(info_out_resp, "info-out-resp") \
	X(drop_malformed, "drop-malformed") \
	X(drop_unknown_spi, "drop-unknown-spi") \
	X(drop_version, "drop-version") \
	X(drop_window, "drop-window") \
	X(drop_auth, "drop-integrity") \
	X(drop_state, "drop-state") \
	X(drop_cookie, "drop-cookie") \
	X(drop_half_open, "drop-half-open") \
	X(drop_critical, "drop-critical") \
	X(retransmits_sent, "retransmits-sent") \
	X(retransmits_seen, "retransmits-seen") \
	X(peers_dead, "peers-dead") \
	X(auth_failed, "auth-failed") \
	X(suspect_icmp_net, "suspect-icmp-net") \
	X(suspect_icmp_host, "suspect-icmp-host") \
	X(suspect_icmp_port, "suspect-icmp-port") \
	X(suspect_icmp_prohibited, "suspect-icmp-prohibited") \
	X(suspect_carrier, "suspect-carrier") \
	X(suspect_address, "suspect-address") \
	X(suspect_no_route, "suspect-no-route") \
	X(suspect_invalid_spi, "suspect-invalid-spi") \
	X(suspect_invalid_ike_spi, "suspect-invalid-ike-spi") \
	X(suspect_foreign, "suspect-foreign") \
	X(suspect_too_often, "suspect-too-often") \
	X(suspect_cleared, "suspect-cleared") \
	X(invalid_spi_told, "invalid-spi-told") \
	X(crash_token_given, "crash-token-given") \
	X(crash_token_proved, "crash-token-proved") \
	X(crash_token_wrong, "crash-token-wrong") \
	X(drop_sync, "drop-sync") \
	X(sync_asked, "sync-asked") \
	X(sync_done, "sync-done") \
	X(sync_answered, "sync-answered") \
	X(sync_skipped, "sync-skipped") \
	X(aggfrag_refused, "aggfrag-refused")
/* clang-format on */

#define IKE_NOTIFIES 49 /* error notifies have small numbers (RFC 7296 3.10.1) */

struct ike_counters {
#define IKE_COUNTER_FIELD(field, name) uint64_t field;
	IKE_COUNTERS(IKE_COUNTER_FIELD)
#undef IKE_COUNTER_FIELD
	unsigned ike_sas, half_open, child_sas; /* gauges */
	/* Error notifies by type, those of unknown and larger types at 0: told by peers (also by
	 * who only claims to be one, in IKE_SA_INIT), and told to them. */
	uint64_t notify_in[IKE_NOTIFIES], notify_out[IKE_NOTIFIES];
};

const struct ike_counters *ike_engine_counters(const struct ike_engine *e);
const char *ike_reason_text(enum ike_reason r);
const char *ike_suspicion_text(enum ike_suspicion s);

#endif
