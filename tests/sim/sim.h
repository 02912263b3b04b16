/* IKE engines against each other in memory and virtual time: nodes with an engine and a
 * data plane that keeps books, links that lose, delay, duplicate, reorder and corrupt by
 * seed, NATs in front of nodes. After every input the invariants are checked:
 *	- the two ends of a CHILD_SA have mirrored keys, suites and selectors
 *	- every CHILD_SA is installed once, removed at most once, updated only in between
 *	- one request in flight per IKE_SA and side; retransmissions are the same bytes
 *	  (RFC 7296 2.1, 2.3)
 *	- every lease query has a number of its own and is released at most once
 *	- time goes on: no engine asks for an endless number of wake-ups at one instant
 * A broken one is kept in sim.violation. The same seed gives the same transcript. */
#ifndef DETOUR_SIM_H
#define DETOUR_SIM_H

#include "ipsecd/ike/engine.h"
#include "ipsecd/pool/memory.h"
#include "lib/hash.h"

#include <utlist.h>

#define SIM_NODES_MAX	12
#define SIM_TUNNELS_MAX 8
#define SIM_TAGS_MAX	64
#define SIM_UNANSWERED	"never.answered" /* a peer's name */
#define SIM_EVENTS	(IKE_EVENT_SHUTDOWN_DONE + 1)

/* One direction between two nodes; chances are per mille. */
struct sim_link {
	mono_time latency, jitter;
	unsigned loss, duplicate, reorder, corrupt;
	bool cut;
	bool spare_esp; /* only delays ESP */
	/* Drops the next n requests or responses of this exchange type. */
	uint8_t drop_exchange;
	bool drop_responses;
	unsigned drop_next;
};

/* What the plane of a node holds. */
struct sim_child {
	struct sim_child *prev, *next;
	UT_hash_handle hh; /* node's table, by id */
	UT_hash_handle hh_spi;
	uint32_t spis[2]; /* key of the sim's table: in, out */
	struct child_sa sa;
	unsigned node;
	mono_time installed;
	mono_time alive_at;	 /* the last ALIVE report */
	uint64_t bytes, skipped; /* sequence numbers that were passed over */
	bool used, soft_reported, hard_reported;
	bool claimed;	   /* by an engine that goes on with it */
	bool inherited;	   /* of an engine that is gone; nobody is told of it */
	mono_time gone_at; /* inherited: it lingers until then; 0: still needed */
};

struct sim_nat {
	bool on;
	mono_time timeout; /* a mapping unused this long is forgotten */
	struct addr public_addr;
	uint16_t next_port;
	struct sim_mapping *mappings;
};

/* Books on the windows of one IKE_SA as one node sends on it. */
struct sim_window {
	UT_hash_handle hh;
	struct {
		uint64_t spi_i, spi_r;
	} key;
	bool requested, answered, responded;
	uint32_t request_id, response_id;
	uint64_t request_hash, response_hash;
};

struct sim_record;

struct sim_tag {
	uint64_t tag;
	bool ok;
	enum ike_reason reason;
};

struct sim_node {
	struct sim *sim;
	unsigned index;
	struct ike_engine *engine;
	struct log_sink log;
	bool logs;
	uint64_t rng;
	struct sim_child *plane; /* uthash by id */
	struct sim_child *order; /* utlist, oldest first */
	uint64_t newest_id;	 /* of any CHILD_SA ever installed */
	struct sim_window *windows;
	struct sim_nat nat;
	struct pool_backend *pools; /* made with the first query */
	struct sim_lease *leases;   /* uthash by number */
	uint64_t asked;		    /* the last query for a name */
	mono_time lease_delay;	    /* MONO_NEVER: the pools do not answer */
	bool no_leases;		    /* they have no address for anybody */
	unsigned lease_queries, lease_releases;
	/* Our virtual addresses on each tunnel, as told; how often that changed. */
	struct addr vips[SIM_TUNNELS_MAX][IKE_TUNNEL_VIPS_MAX];
	unsigned n_vips[SIM_TUNNELS_MAX], vips_told;
	bool refuse_install;	    /* the plane answers the next install with INSTALL_FAILED */
	unsigned macs, refuse_macs; /* of held secrets: asked for; the next n are refused */
	unsigned not_ready;	    /* ... the next n times that it is asked whether it could be */

	mono_time traffic_every, traffic_at; /* one packet per tunnel; 0: none */
	uint64_t esp_sent, esp_received, esp_unknown, esp_no_sa;
	mono_time unknown_told; /* to the engine */
	mono_time received_at;	/* the last packet of ESP with a CHILD_SA */

	unsigned inherited; /* CHILD_SAs of former engines in the plane */
	unsigned events[SIM_EVENTS], installs, removes, keepalives;
	unsigned requests[4], responses[4]; /* datagrams sent, by exchange type - 34 */
	enum ike_reason last_reason;	    /* of the last DOWN or FAILED */
	char last_detail[160];
	mono_time last_event_at[SIM_EVENTS];
	struct sim_tag tags[SIM_TAGS_MAX];
	unsigned n_tags;

	/* sim_state.c */
	struct sim_record *records; /* what a shell would keep of the engine */
	bool refuses_lost; /* its records may be wrong; the plane refuses CHILD_SAs that another
			      engine had removed */
	bool lags, lags_silently; /* its IKE_SAs' records stay as they are, with marks or without */
	bool resuming;		  /* the outputs are those of ike_engine_resume */
	unsigned draining;	  /* depth of sim_drain */
	unsigned inputs;
	unsigned die_after;	  /* so many steps from now it is killed; 0: no plan */
	mono_time die_away;	  /* ... and is away for so long */
	mono_time back_at;	  /* killed; 0: it lives */
	unsigned deaths, refused; /* kills; records that were refused behind them */
};

struct sim {
	uint64_t seed, rng;
	const struct crypto_ops *crypto;
	struct ike_settings settings;
	mono_time now;
	unsigned n_nodes;
	struct sim_node nodes[SIM_NODES_MAX];
	struct sim_link links[SIM_NODES_MAX][SIM_NODES_MAX]; /* from, to */
	struct sim_packet **packets;			     /* heap by arrival */
	size_t n_packets, cap_packets;
	struct sim_child *by_spis;
	uint64_t next_packet, next_tag;
	/* Called for each IKE datagram that arrives; true: it is swallowed. */
	bool (*intercept)(struct sim *s, unsigned node, struct span datagram);
	/* What a killed process finds in place of `old` when it comes back; NULL: it is gone. */
	struct conn *(*reload)(struct sim *s, unsigned node, const struct conn *old);
	bool windows_unchecked; /* a test speaks for the nodes */
	bool quick_crash;	/* sim_quick_crash */
	unsigned idle;	     /* per mille: how often an engine gets ike_engine_idle behind a step */
	bool held_secrets;   /* those that are loaded from now on are not in the engines */
	uint64_t transcript; /* hash of everything the engines gave out */
	uint64_t shape;	     /* without what is inside datagrams, in any order at one instant */
	bool restores;	     /* every input is handled by an engine of its own */
	unsigned steps_now;  /* at the present instant */
	char violation[320]; /* the first broken invariant; "" while all hold */
};

/* log: level of what is printed to stderr (set SIM_LOG in the environment to see more). */
struct sim *sim_new(uint64_t seed, unsigned n_nodes, const struct crypto_ops *crypto,
		    const struct ike_settings *settings);
void sim_free(struct sim *s);

/* ---- building ---- */
struct addr sim_addr(unsigned node, unsigned n);  /* 10.node+1.n/256.n%256 */
struct addr sim_addr6(unsigned node, unsigned n); /* fd00:0:0:node+1::n */
/* Puts `node` behind a NAT with an address of its own. */
void sim_put_nat(struct sim *s, unsigned node, mono_time timeout);
/* The NAT forgets its mappings: the next packets come from other ports. */
void sim_nat_forget(struct sim *s, unsigned node);
void sim_all_links(struct sim *s, const struct sim_link *like);
/* A conn at node a towards b with one child "net"; the caller changes it before loading. n
 * tells apart several conns of one pair (addresses, identities, selectors, name). */
struct conn *sim_conn(struct sim *s, unsigned a, unsigned b, unsigned n);
/* Takes conn; loads the pre-shared key as well. */
void sim_load(struct sim *s, unsigned node, struct conn *conn, uint32_t tunnel);
/* Loads both ends with default conns; `start`: which of them has auto=start (bits 1, 2). */
void sim_pair(struct sim *s, unsigned start);

/* kill -9 and a new start: another engine with nothing loaded; the plane goes on with what it has
 * until CHILD_SAs of the new engine have sent for 5 s. */
void sim_restart(struct sim *s, unsigned node);
/* Of the whole machine: the plane is empty, too. Both keep their secret of RFC 6290. */
void sim_reboot(struct sim *s, unsigned node);
/* All nodes do quick crash detection from now on. */
void sim_quick_crash(struct sim *s);
/* Its pools forget all leases: what belongs to a restart of who gives addresses. */
void sim_pool_forget(struct sim *s, unsigned node);

/* kill -9 of the process that has the engine, after so many steps: writing what changed, and
 * carrying out one output, in turn. A new one goes on with the records after `away`. Datagrams that
 * come meanwhile are lost. Needs settings.publish. */
void sim_kill(struct sim *s, unsigned node, unsigned steps, mono_time away);
/* From the next sim_new on: after every input of every node its records are compared with a
 * complete export, its engine is thrown away, and another one is restored from them. Programs that
 * link restored.c begin so. */
void sim_restore_always(bool on);

/* How far it is from one of many seeds or moments to the next: 1, but under AddressSanitizer, where
 * a restored program takes a minute and more, each fifth does. */
unsigned sim_stride(void);

/* ---- running ---- */
void sim_run(struct sim *s, mono_time duration);
/* The node has nothing else to do. */
void sim_idle(struct sim *s, unsigned node);
/* Until there are no datagrams in flight, at most `limit`. */
void sim_settle(struct sim *s, mono_time limit);
typedef bool sim_condition(struct sim *s);
bool sim_run_until(struct sim *s, sim_condition *done, mono_time limit);
void sim_fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- commands; the tag that COMMAND_DONE will have ---- */
/* TERMINATE so that the peer can't bring it up either. */
uint64_t sim_hold(struct sim *s, unsigned node, const char *ike);
uint64_t sim_command(struct sim *s, unsigned node, enum ike_command_kind kind, const char *ike,
		     const char *child);
/* REKEY of the IKE_SA by a reauthentication. */
uint64_t sim_reauth(struct sim *s, unsigned node, const char *ike);
void sim_child_event(struct sim *s, unsigned node, uint64_t id, enum ike_child_event event);
/* NULL while the command runs. */
const struct sim_tag *sim_done(const struct sim *s, unsigned node, uint64_t tag);

/* ---- looking ---- */
struct sim_view {
	unsigned ike, ike_established, children, children_installed;
	uint64_t spi_i, spi_r; /* of the last established IKE_SA seen */
	uint32_t ike_id;
	bool ike_initiator;
	uint64_t child_id; /* of the last installed child seen */
	uint32_t child_unique, spi_in, spi_out;
	struct suite child_suite;
};

/* conn NULL: all. */
struct sim_view sim_look(const struct sim *s, unsigned node, const char *conn);
/* Both ends of the pair a, b have exactly one IKE_SA with exactly `children` CHILD_SAs, the
 * same ones, and the planes hold just these. Else false and the difference in why. */
bool sim_agree(const struct sim *s, unsigned a, unsigned b, unsigned children, char why[160]);
struct sim_child *sim_newest_child(const struct sim *s, unsigned node);

#endif
