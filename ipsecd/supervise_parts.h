/* The supervisor's inside, shared by the supervise*.c files and nobody else. */
#ifndef DETOUR_SUPERVISE_PARTS_H
#define DETOUR_SUPERVISE_PARTS_H

#include "ipsecd/backoff.h"
#include "ipsecd/ipc/link.h"
#include "ipsecd/ipc/verbs.h"
#include "ipsecd/keep.h"
#include "ipsecd/options.h"
#include "ipsecd/script_desk.h"

#include <ev.h>
#include <sys/types.h>

#define LAST_LINE_MAX 256

/* Owners in the table of what is kept: the roles, and the supervisor itself. */
#define OWNER_SELF    IPC_ROLES

#define TAKEOVER_WORD "takeover 1"
#define SUPERVISE_ENV "IPSECD_HANDOVER" /* number of the descriptor, over an exec */

struct supervisor;
struct child;
struct asker;
struct former;
struct upgrade;

/* One process. It is gone when it was waited for and its link has ended, both: what it said last
 * is read before its death is told. */
struct process {
	struct supervisor *supervisor;
	struct child *child;
	pid_t pid;
	struct ipc_link *link;
	ev_child exit;
	ev_timer leftover; /* of one that is dead, but whose link somebody holds open */
	ev_io stderr_readable;
	int stderr_fd;
	mono_time started;
	int status;	     /* of wait */
	unsigned generation; /* the supervisor's when it was started */
	bool exited, closed;
	bool begun;			/* IPC_START was sent */
	bool ready;			/* it said IPC_READY */
	bool failed;			/* it said IPC_FAILED: trying again is no use */
	bool stopping;			/* it was sent IPC_STOP */
	bool hung;			/* killed for not answering */
	unsigned unanswered;		/* pings since the last answer */
	unsigned lost_lines, lost_says; /* of IPC_LOG, of its standard error: not written */
	struct log_limit limit, notices, refusals, says; /* its own: nobody hides another's */
	char last[LAST_LINE_MAX];			 /* its last log line */
	size_t stderr_len;
	char stderr_line[LAST_LINE_MAX];
};

/* A role: the process that has it, and perhaps one that waits to take it over. */
struct child {
	struct supervisor *supervisor;
	enum ipc_role role;
	struct process *now, *next;
	struct backoff backoff;
	bool elsewhere;	    /* the supervisor that we take over from has it still */
	bool asked_to_stop; /* that one was */
	ev_timer restart;
	mono_time relinked; /* to ike, when its link had broken; 0: never */
	uint32_t restarts;
	bool killed; /* the last one's death was no fault of its own */
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
	struct script_desk *scripts;
	int lock;     /* of the vici socket */
	char *binary; /* the path we were started from, whatever is there by now */
	unsigned generation;
	bool replacing;	    /* those of former generations, one after the other */
	bool reload_due;    /* who took over reads the files once it works: they may have changed */
	int former_program; /* until the new one's processes all work; -1: there is none */
	bool came_back;	    /* for the next program did not work */
	bool announced;	    /* all were ready once */
	bool left; /* another supervisor has taken over: nothing of ours is left to clean */
	mono_time replacing_since;
	struct asker *askers;	 /* who is connected to our own socket */
	struct asker *asker;	 /* who waits for the end of the replacing */
	struct asker *heir;	 /* who takes over */
	struct former *former;	 /* whom we take over from */
	struct upgrade *upgrade; /* a check of a new binary under way */
	enum phase phase;
	bool keeping;	       /* this stop makes room for another process: devices and SAs stay */
	bool handing_over;     /* what ends is not started again */
	bool hasty;	       /* a second signal */
	uint32_t keep_seconds; /* keep-on-stop=, as ike said last; 0: not */
	int status;	       /* to leave with */
	uint32_t upgrades;
	ev_signal term, interrupt, hangup;
	ev_timer limit; /* of stopping */
	ev_timer ping;
	ev_timer watchdog;
	ev_io knock; /* our own socket */
	ev_timer knock_pause;
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

/* Then who was told to stop is killed. */
void supervise_arm_limit(struct supervisor *s, double seconds);
#define GIVE_WAY_SECONDS 5. /* for one that another one follows */

/* ---- supervise_child.c ---- */

/* Starts a process for the role, which waits for IPC_START. NULL: the log has why. */
struct process *process_spawn(struct child *c);
/* The role is this process's from now on: links, what is kept, IPC_START. */
void process_begin(struct process *p);
void process_watch(struct process *p, pid_t pid);
void process_stop(struct process *p, bool keep);
void process_kill(struct process *p, int signal_number);
void process_free(struct process *p); /* of one that is gone, or whose end nobody waits for */
/* Starts a role, or tries again after a pause. */
void child_start(struct child *c);
void process_closed(struct process *p); /* its link has ended */
/* ike has lost its link to this one. */
void child_relink(struct child *c);

/* ---- supervise_messages.c ---- */

struct ipc_link *process_link(struct process *p, int fd);
void process_watch_stderr(struct process *p, int fd);
void process_drain_stderr(struct process *p);

/* ---- supervise_replace.c: all processes become new ones, and nobody notices ---- */

/* Those that run belong to another generation from now on, and go. */
void replace_begin(struct supervisor *s);
void replace_step(struct supervisor *s);
void replace_gone(struct child *c); /* one of a former generation is gone */

/* ---- supervise_handover.c: what the next program in this process is told ---- */

/* A memfd that lists all descriptors, none of which is closed by an exec any more. program: ours,
 * to come back to; -1: it has come back itself. -1: errno. */
int handover_write(struct supervisor *s, int asker, int program);
/* After an exec that failed; closes `fd`. */
void handover_undo(struct supervisor *s, int asker, int fd);
/* Takes everything over. *asker: who waits for the end of the upgrade, -1: nobody. */
bool handover_read(struct supervisor *s, int fd, int *asker, char *why, size_t size);

/* ---- supervise_socket.c: our own socket, for ipsecctl and for who takes over ---- */

void socket_open(struct supervisor *s);
void socket_watch(struct supervisor *s); /* it is in the table already */
void socket_close(struct supervisor *s);
/* Adopts the connection of who asked for an upgrade, across the exec. NULL: no memory. */
struct asker *asker_new(struct supervisor *s, int fd);
/* One line; fd -1: none. NULL is nobody. false: it is gone. */
bool asker_say(struct asker *a, int fd, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void asker_free(struct asker *a);
int asker_fd(const struct asker *a);

/* ---- supervise_systemd.c ---- */

void systemd_kept(unsigned owner, const char *name, int fd); /* -1: dropped */
void systemd_take(struct supervisor *s); /* what was kept while none of us lived */
void systemd_watch(struct supervisor *s);

/* ---- supervise_upgrade.c ---- */

/* Answers the asker now or later. */
void upgrade_begin(struct supervisor *s, struct asker *a, const char *path, bool force);
/* The program that took over does not work: the one before does it again. Returns if that can't be
 * executed. */
void upgrade_go_back(struct supervisor *s);
void upgrade_stays(struct supervisor *s); /* there is no way back any more */
void upgrade_asker_gone(struct supervisor *s, const struct asker *a);
void upgrade_free(struct supervisor *s);
char *upgrade_own_path(void); /* malloc'ed; NULL: not known */

/* ---- supervise_takeover.c ---- */

/* The old side. */
void takeover_ask(struct supervisor *s, struct asker *a);
void takeover_command(struct supervisor *s, struct asker *a, const char *line);
void takeover_gone(struct child *c); /* a process that was stopped for the heir */
void takeover_kept(struct supervisor *s, unsigned owner, const char *name,
		   int fd); /* -1: dropped */
void takeover_heir_gone(struct supervisor *s);
/* The new side. false: `why`. */
bool takeover_begin(struct supervisor *s, char *why, size_t size);
void takeover_stop(struct child *c); /* it is elsewhere */
void takeover_done(struct supervisor *s);
/* Nothing, or not all, of it works: the other one goes on, and this one ends with the status. */
void takeover_give_up(struct supervisor *s, int status);

/* ---- supervise_scripts.c ---- */

bool supervise_open_scripts(struct supervisor *s); /* false: no memory */
/* A message of the helper's about scripts; false: it is none. */
bool supervise_run_script(struct process *p, const struct ipc_message *m);

#endif
