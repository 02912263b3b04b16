/* The supervisor's inside, shared by the supervise*.c files and nobody else. */
#ifndef DETOUR_SUPERVISE_PARTS_H
#define DETOUR_SUPERVISE_PARTS_H

#include "ipsecd/backoff.h"
#include "ipsecd/ipc/link.h"
#include "ipsecd/ipc/verbs.h"
#include "ipsecd/keep.h"
#include "ipsecd/options.h"

#include <ev.h>
#include <sys/types.h>

#define LAST_LINE_MAX 256

/* Owners in the table of what is kept: the roles, and the supervisor itself. */
#define OWNER_SELF IPC_ROLES

struct supervisor;
struct child;

/* One process. It is gone when it was waited for and its link has ended, both: what it said last
 * is read before its death is told. */
struct process {
	struct supervisor *supervisor;
	struct child *child;
	pid_t pid;
	struct ipc_link *link;
	ev_child exit;
	ev_io stderr_readable; /* in the background */
	int stderr_fd;
	mono_time started;
	int status; /* of wait */
	bool exited, closed;
	bool begun;	     /* IPC_START was sent */
	bool ready;	     /* it said IPC_READY */
	bool failed;	     /* it said IPC_FAILED: trying again is no use */
	bool stopping;	     /* it was sent IPC_STOP */
	bool hung;	     /* killed for not answering */
	unsigned unanswered; /* pings since the last answer */
	unsigned lost_lines;
	struct log_limit limit;
	char last[LAST_LINE_MAX]; /* its last log line */
	size_t stderr_len;
	char stderr_line[LAST_LINE_MAX];
};

/* A role: the process that has it, and perhaps one that waits to take it over. */
struct child {
	struct supervisor *supervisor;
	enum ipc_role role;
	struct process *now, *next;
	struct backoff backoff;
	ev_timer restart;
	uint32_t restarts;
	char last_death[64];
};

enum phase {
	PHASE_STARTING, /* not all have been ready yet: a failure ends us */
	PHASE_RUNNING,
	PHASE_STOPPING,
};

struct supervisor {
	const struct options *options;
	struct ev_loop *loop;
	const struct log_sink *log;
	void (*running)(void);
	struct child children[IPC_ROLES];
	struct keep *keep;
	int lock; /* of the vici socket */
	enum phase phase;
	bool keeping;	   /* this stop makes room for another process: devices and SAs stay */
	bool handing_over; /* what ends is not started again */
	bool hasty;	   /* a second signal */
	int status;	   /* to leave with */
	uint32_t upgrades;
	ev_signal term, interrupt, hangup;
	ev_timer limit; /* of stopping */
	ev_timer ping;
};

extern const char *const role_words[IPC_ROLES + 2]; /* "plane"..., "self", NULL */

/* ---- supervise.c ---- */

/* After any change of a process: all ready, all gone? */
void supervise_step(struct supervisor *s);
/* Ends all that runs, and then us, with this status. keep: another process takes over. */
void supervise_stop(struct supervisor *s, bool keep, int status);
void supervise_tell(struct supervisor *s); /* IPC_PROCESSES to ike */
void supervise_status(struct supervisor *s, const char *text);
/* The table of what is kept, and systemd's store with it. */
bool supervise_keep(struct supervisor *s, unsigned owner, const char *name, int fd);
void supervise_drop(struct supervisor *s, unsigned owner, const char *name);

/* ---- supervise_child.c ---- */

/* Starts a process for the role, which waits for IPC_START. NULL: the log has why. */
struct process *process_spawn(struct child *c);
/* The role is this process's from now on: links, what is kept, IPC_START. */
void process_begin(struct process *p);
void process_stop(struct process *p, bool keep);
void process_kill(struct process *p, int signal_number);
void process_free(struct process *p); /* of one that is gone, or whose end nobody waits for */
/* Starts a role, or tries again after a pause. */
void child_start(struct child *c);
void process_closed(struct process *p); /* its link has ended */

/* ---- supervise_messages.c ---- */

struct ipc_link *process_link(struct process *p, int fd);
void process_watch_stderr(struct process *p, int fd);
void process_drain_stderr(struct process *p);

#endif
