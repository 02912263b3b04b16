/* The engine's own state and the small services that every file of ike/ uses. Not
 * for anybody outside ike/. `now` is the time of the input being handled. */
#ifndef DETOUR_CORE_H
#define DETOUR_CORE_H

#include "ipsecd/ike/conn_index.h"
#include "ipsecd/ike/cookie.h"
#include "ipsecd/ike/engine.h"
#include "ipsecd/ike/pairs.h"
#include "ipsecd/ike/secrets.h"
#include "ipsecd/ike/timer.h"
#include "ipsecd/ike/who.h"
#include "lib/table.h"

struct ike_sa;
struct child;
struct conn_entry;
struct output;
struct task;
struct command_wait;
struct publisher;
struct behind_mark;

#define PORT_IKE	 500
#define PORT_NATT	 4500
#define IKE_NONCE_LEN	 32    /* ours; RFC 7296 2.10: at least half the PRF key, >= 16 */
#define IKE_NONCE_MAX	 256   /* the peer's, RFC 7296 3.9 */
#define IKE_COOKIE_MAX	 64    /* RFC 7296 2.6 */
#define IKE_TOKEN_MAX	 128   /* RFC 6290 5 */
#define IKE_MESSAGE_MAX	 16384 /* what we build: large proposal lists and selectors fit */
#define IKE_INIT_MAX	 8192  /* a peer's IKE_SA_INIT; RFC 7296 2 wants 3000 */
#define IKE_DETAIL	 160   /* of events and conns */
#define IKE_CHILDREN_MAX 256   /* of one IKE_SA, old ones that linger included */
#define IKE_REPLACED_MAX 16    /* IKE_SAs of one peer that were replaced and not deleted yet */
#define IKE_ADDR_SLOTS	 1024  /* counters of half-open SAs by the peer's address */
#define IKE_WORDS	 800   /* of log lines: both sides' wishes in full */

struct ike_engine {
	struct ike_env env;
	struct ike_settings settings; /* defaults filled in */
	mono_time now;
	struct timer_heap timers;
	struct ike_counters counters;
	struct cookie_jar cookies;
	struct pairs pairs;
	bool resources_told; /* that the plane has none */
	bool underived;	     /* a half-open IKE_SA may wait for ike_engine_idle to make its keys */

	struct table sas_by_spi;     /* in_spis: our own SPI */
	struct half_open *half_open; /* uthash: peer's SPI and address, before IKE_AUTH */
	uint16_t half_open_from[IKE_ADDR_SLOTS]; /* how many of them by address, hashed */
	struct ike_sa *sas;			 /* utlist, in order of creation */
	struct who who;				 /* by identities */
	struct table children;			 /* in_ids: child_sa.id */
	struct table children_spi;		 /* in_spis: spi_in */
	struct table children_spi_out;		 /* in_spis_out: spi_out */
	struct conn_entry *conns;		 /* utlist, in order of loading */
	struct conn_entry *conns_by_name;	 /* uthash hh */
	struct table conns_by_tunnel;		 /* in_tunnels: tunnel */
	struct conn_index conns_by_peer;
	struct conn_entry
		*looked;   /* the looked_n-th of conns, where ike_engine_conn was last; NULL: */
	unsigned looked_n; /* nowhere */
	struct secrets secrets;

	struct output *outputs;	      /* utlist queue */
	struct output *spare_outputs; /* utlist, for when memory is short */
	unsigned n_spare_outputs;
	struct output *current;	 /* handed out last, freed by the next call */
	struct ike_sa *dead_sas; /* freed when no output can point to them */
	struct child *dead_children;
	struct task *dead_tasks;
	struct ike_sa *run_first; /* task queues to be run at the end of this input */
	struct conn_entry *dead_conns;

	uint32_t next_sa_id, next_child_unique, next_reqid;
	uint64_t next_child_id, next_query;
	struct command_wait *waits; /* uthash by tag */
	uint8_t *scratch;	    /* WIRE_MESSAGE_MAX: datagrams are decrypted here */
	struct log_limit drop_log, refusal_log, answer_limit, loose_looks;
	uint64_t shutdown_tag;
	bool shutting_down, shutdown_told;
	bool no_hints; /* early detection is off */
	bool loading;  /* conns are */
	struct {
		bool on, makes; /* tokens: those of peers count; we give some */
		uint8_t secret[IKE_QUICK_CRASH_SECRET];
		struct log_limit tokens, esp; /* of what is said without protection */
	} crash;			      /* quick_crash.h */

	/* state.h */
	struct publisher *publisher;	    /* NULL: nothing is published */
	struct ike_sa *touched_sas;	    /* utlist by touched_next: to be published */
	struct conn_entry *touched_entries; /* likewise */
	uint64_t next_attached;		    /* orders the IKE_SAs of a conn */
	bool restoring;			    /* until ike_engine_resume nothing is published */
	bool refused;			    /* a record was */
	struct behind_mark *behind;	    /* IKE_RECORD_BEHIND that came, until it resumes */
};

/* One line: "conn" of sa or "" as the name, subsystem ike. sa may be NULL. */
void ike_log(const struct ike_engine *e, const struct ike_sa *sa, enum log_level level,
	     const char *format, ...) __attribute__((format(printf, 4, 5)));
void engine_random(struct ike_engine *e, void *dst, size_t n);
/* Even in 0..limit (0 for a limit of 0), from env's random. */
mono_time engine_random_below(struct ike_engine *e, mono_time limit);
/* The frame of every input: `now` counts from here on, and what ended is freed; then the task
 * queues that were marked run. */
void engine_input_begin(struct ike_engine *e, mono_time now);
void engine_input_end(struct ike_engine *e);
/* Fresh, not 0, not in use. */
uint64_t engine_new_ike_spi(struct ike_engine *e);
uint32_t engine_new_child_spi(struct ike_engine *e);
/* Of one for a resource: its last byte is the plane's lane, so that this one's packets come to it.
 */
uint32_t engine_new_resource_spi(struct ike_engine *e, uint32_t resource);
/* The same, of engine_new_child_spi, for who follows `old`: with its lowest byte, by which a plane
 * of several threads knows which one has its packets (net/udp.h): the flows of both keep their
 * order. */
uint32_t engine_successor_spi(const struct ike_engine *e, uint32_t spi, const struct child *old);

#endif
