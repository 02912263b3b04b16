/* What the main function of a process of ours (plane, ike, helper) is given: the supervisor's link
 * and what came by it. `ipsecd --role=R` with the supervisor's end as descriptor 3. */
#ifndef DETOUR_ROLE_H
#define DETOUR_ROLE_H

#include "ipsecd/ipc/link.h"
#include "ipsecd/ipc/verbs.h"
#include "ipsecd/options.h"

/* In the environment of a process whose predecessor was ended by others (SIGKILL). */
#define ROLE_KILLED "IPSECD_KILLED"

/* Exit status of one that can't work without another process, which is gone or does not answer. */
#define ROLE_ALONE 75

struct role;

struct role_host {
	/* IPC_START came: descriptors are there. Returns false: `why`; IPC_FAILED is sent. */
	bool (*start)(void *ctx, char *why, size_t size);
	/* A link to another process, or a new one because that process is new or the link broke;
	 * the callee makes an ipc_link of fd (it is the callee's). Before start: those that are
	 * there by then. */
	void (*link)(void *ctx, const char *peer, int fd);
	void (*reload)(void *ctx);
	void (*stop)(void *ctx, bool keep);
	/* How we all are, once after the start and after each change; ike only. May be NULL, as
	 * may be reload. */
	void (*processes)(void *ctx, const struct ipc_processes *processes);
	/* What the supervisor sends beyond these. May be NULL. */
	void (*message)(void *ctx, struct ipc_link *supervisor, struct ipc_message *m);
	void *ctx;
};

/* Reads from descriptor 3 until IPC_START, on the given loop. Logging goes to the supervisor from
 * now on (log_default()). NULL: it is not there (somebody called --role by hand). */
struct role *role_begin(const struct options *options, struct ev_loop *loop);
/* Runs the loop; the exit status. If the supervisor is gone the process ends at once, without
 * cleaning (as by kill -9). */
int role_run(struct role *r, const struct role_host *host);

/* The descriptor that came under this name (the caller's from then on), -1: none. */
int role_take(struct role *r, const char *name);
/* Calls back for each name that begins with `prefix` and has not been taken. */
void role_each(struct role *r, const char *prefix, void (*cb)(void *ctx, const char *name, int fd),
	       void *ctx);
void role_keep(struct role *r, const char *name, int fd); /* a duplicate is kept */
/* The same by ipc_send_later. */
void role_keep_later(struct role *r, const char *name, int fd);
void role_drop(struct role *r, const char *name);
/* It works; and, once more, each reload is done. */
void role_ready(struct role *r);
/* Something long goes on and gets on, though the loop does not turn: who calls this as often as it
 * gets on is not taken for hung. Cheap. */
void role_alive(struct role *r);
/* ike has no link to this one: it is given another one, if that process runs. */
void role_unlinked(struct role *r, const char *peer);
void role_status(struct role *r, const char *text);
/* After stop: leaves the loop with this exit status, telling IPC_ENDED. Before role_ready and not
 * asked to stop: nobody works any more, and a status that is not 0 becomes ipsecd's (2: errors in
 * the configuration, which the log has). */
void role_end(struct role *r, int status);
struct ipc_link *role_supervisor(struct role *r);

/* The mains, ended by role_end. */
int plane_run(const struct options *options);
int ike_run(const struct options *options);
int helper_run(const struct options *options);

#endif
