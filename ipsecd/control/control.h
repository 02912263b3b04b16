/* The vici server: strongSwan's control protocol on a unix socket, on libev. It shows
 * what the engine, the data plane and the tunnels have, turns requests into commands
 * for the shell (struct control_host) and hands events to whoever registered for them.
 * docs/vici.md lists commands, events and differences.
 *
 * Nothing here blocks. A client that does not read is dropped when CONTROL_BACKLOG_MAX
 * bytes wait for it; a malformed packet closes its sender's connection and no other. */
#ifndef DETOUR_CONTROL_H
#define DETOUR_CONTROL_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/ike/engine.h"

#define CONTROL_BACKLOG_MAX	 ((size_t)4 << 20) /* bytes queued for one client */
#define CONTROL_CLIENTS_MAX	 256
#define CONTROL_NET_COUNTERS_MAX 10

struct control;
struct ev_loop;

/* What is to be told of a conn's tunnel device. */
struct control_tunnel {
	char interface[IF_NAMESIZE];
	int ifindex; /* 0: no device */
	uint16_t mtu;
	bool up;       /* operstate UP, as asked of the data plane */
	bool draining; /* DORMANT already, packets still pass */
	bool admin_up;
	bool external;		       /* an updown script, or somebody else, makes the device */
	const char *kind;	       /* static: "tun", "vti"... */
	const char *offloads;	       /* static: "vnet-hdr, checksums, TSO, USO"...; "": none */
	struct mark mark_in, mark_out; /* in use; 0: none */
	uint32_t if_id_in, if_id_out;
};

/* A counter as get-counters shows it. */
struct control_counter {
	const char *name; /* static */
	uint64_t value;
};

/* An address pool, and who has or had what of it. */
struct control_pool {
	char name[256];
	struct addr base; /* as it was written */
	struct addr first, last;
	uint64_t size;
	unsigned online, offline;
};

struct control_lease {
	struct addr addr;
	const struct id *identity;
	bool online;
};

/* A process of the daemon's, when it has several. */
struct control_process {
	const char *role;    /* static */
	long pid;	     /* 0: it does not run now */
	unsigned restarts;   /* after it died */
	unsigned upgrades;   /* of the supervisor's: programs that took over */
	char last_death[64]; /* "": none */
};

/* What the shell lends. All callbacks run inside control_* calls or loop callbacks; the
 * shell may call control_event from inside them. `why` and *error say what went wrong. */
struct control_host {
	void *ctx;
	struct ev_loop *loop;
	const struct ike_engine *engine; /* looked at only; changed through the callbacks */
	const struct log_sink *log;
	const char *plane, *plane_why; /* the data plane's name, and why it is this one */
	const char *plane_offloads;    /* what the kernel does for its ESP; "": nothing */
	const unsigned *plane_workers; /* threads that carry packets; 0: none of ours */

	mono_time (*now)(void *ctx);
	bool (*tunnel)(void *ctx, const char *conn, struct control_tunnel *out);
	bool (*child_stats)(void *ctx, uint64_t child_sa, struct dataplane_child_stats *out);
	const uint64_t *(*plane_counters)(void *ctx); /* DATAPLANE_COUNTERS entries, or NULL */
	/* Those of the sockets; returns how many. Always the same, in the same order. */
	unsigned (*net_counters)(void *ctx, struct control_counter out[CONTROL_NET_COUNTERS_MAX]);
	/* errno of the last IKE datagram for there, 0: it went out. */
	int (*send_error)(void *ctx, const struct addr *to);
	/* The n-th, the supervisor first; false behind the last, and when there is only one. */
	bool (*process)(void *ctx, unsigned n, struct control_process *out);

	/* Each is followed by COMMAND_DONE with the tag when it returned true. `terminate` is
	 * the graceful down: link DORMANT first, SAs deleted after the drain; with `hold` the
	 * peer can't bring it up again either, until initiate. */
	bool (*initiate)(void *ctx, const struct ike_select *select, uint64_t tag,
			 const char **error);
	bool (*rekey)(void *ctx, const struct ike_select *select, bool reauth, uint64_t tag,
		      const char **error);
	bool (*terminate)(void *ctx, const struct ike_select *select, bool force, bool hold,
			  uint64_t tag, const char **error);
	/* conn and secret are taken in any case. */
	bool (*load_conn)(void *ctx, struct conn *conn, char *why, size_t size);
	bool (*unload_conn)(void *ctx, const char *name, const char **error);
	/* The other conn whose device has this one's address, which only one can have; or NULL. */
	const char *(*addr_owner)(void *ctx, const struct conn *conn, struct addr *addr);
	bool (*load_secret)(void *ctx, struct secret *secret, const char **error);
	bool (*unload_secret)(void *ctx, const char *unique, const char **error);
	/* control_reloaded follows. */
	void (*reload)(void *ctx, uint64_t tag);
	/* What went wrong with the last one, or with the reading at the start; "": nothing. */
	const char *(*reload_failure)(void *ctx);
	/* Connections of the files that are not in force as the files have them. */
	void (*refused)(void *ctx, void (*cb)(void *cb_ctx, const char *name, const char *why),
			void *cb_ctx);

	/* Address pools. The n-th; false behind the last. */
	bool (*pool)(void *ctx, unsigned n, struct control_pool *out);
	void (*leases)(void *ctx, unsigned n,
		       void (*cb)(void *cb_ctx, const struct control_lease *lease), void *cb_ctx);
	bool (*load_pool)(void *ctx, const char *name, const char *addrs, const struct addr *dns,
			  uint8_t n_dns, char *why, size_t size);
	bool (*unload_pool)(void *ctx, const char *name, char *why, size_t size);
};

/* Binds `path` (mode 0770) under a lock file beside it, so that a second daemon is
 * refused and a socket that a dead one left is replaced. NULL and the reason. */
struct control *control_open(const char *path, const struct control_host *host, char *why,
			     size_t size);
/* The same with a socket that control_listen made, perhaps in another process, which also has
 * the lock: neither is removed at the end. Takes fd in any case. */
struct control *control_serve(int fd, const char *path, const struct control_host *host, char *why,
			      size_t size);
void control_close(struct control *c); /* removes socket and lock file if control_open made them */
/* A listening socket at `path`, for who has the lock. -1: `why`. */
int control_listen(const char *path, char *why, size_t size);
/* The lock alone, for who must not run beside a daemon. -1: `why` names its holder. */
int control_lock(const char *path, char *why, size_t size);
void control_unlock(const char *path, int fd);
/* One that another process has taken and handed on: errors name this process from now on. */
bool control_lock_inherit(int fd);

/* An IKE_OUTPUT_EVENT of the engine, COMMAND_DONE included. c may be NULL here and in the
 * next three: the daemon has no control socket (yet). */
void control_event(struct control *c, const struct ike_output *event);
/* The end of a reload; failure NULL: all that the files have is in force. */
void control_reloaded(struct control *c, uint64_t tag, const char *failure);
/* Our own event link-updown, and sent at once as far as the socket takes it: the shell
 * calls it before a link goes DORMANT and after it came UP. */
void control_link(struct control *c, const char *conn, const struct control_tunnel *tunnel, bool up,
		  const char *reason);
/* A log line, for events log and control-log. */
void control_log(struct control *c, enum log_level level, const char *subsystem, const char *name,
		 const char *text);

struct control_counters {
	uint64_t clients, dropped_slow, dropped_malformed, commands, events;
};

const struct control_counters *control_counters(const struct control *c);

#endif
