/* The shell's inside, shared by daemon.c (the loop), commands.c (what clients and files ask for),
 * network.c and restore.c, and by those who give it a process: single.c and ike_role.c. No one else
 * includes this. */
#ifndef DETOUR_SHELL_H
#define DETOUR_SHELL_H

#include "ipsecd/control/control.h"
#include "ipsecd/drain.h"
#include "ipsecd/early.h"
#include "ipsecd/effects.h"
#include "ipsecd/helper_client.h"
#include "ipsecd/ipc/verbs.h"
#include "ipsecd/means.h"
#include "ipsecd/meters.h"
#include "ipsecd/offer.h"
#include "ipsecd/options.h"
#include "ipsecd/pools.h"
#include "ipsecd/publish.h"
#include "ipsecd/reload.h"
#include "ipsecd/send_errors.h"

#include <ev.h>

struct changes;
struct resolver;

/* What it is given by the process that it runs in. */
struct shell_setup {
	const struct options *options;
	struct ev_loop *loop;
	/* NULL: `why`. The host's functions may be called from then on. */
	struct means *(*open_means)(void *ctx, const struct means_host *host, char *why,
				    size_t size);
	int crash_secret; /* crash_secret.h: opened, the shell's from then on; -1: none */
	int vici;    /* where clients come in: listening, the shell's from then on; -1: it makes
			options->vici */
	int state;   /* the memfd of publish.h, the shell's from then on; -1: nothing outlives us */
	bool killed; /* others ended the process before us: it did not die of its state */
	/* Makes the shell's side of the process that reads files, keeps secrets, resolves names
	 * and approves scripts. NULL: the shell does all that itself. */
	struct helper_client *(*open_helper)(void *ctx, const struct helper_client_host *host);
	/* The first configuration is in force, or has errors and we end. */
	void (*started)(void *ctx, bool ok);
	void (*reloaded)(void *ctx); /* files were read again, whatever came of it; or NULL */
	/* `config setup` in force; or NULL. */
	void (*settings)(void *ctx, const struct settings *settings);
	void (*alive)(void *ctx); /* something long gets on; or NULL */
	void (*ended)(void *ctx); /* what shell_stop began is done; perhaps told from inside */
	void *ctx;
};

struct daemon {
	struct shell_setup setup;
	const struct options *options;
	struct ev_loop *loop;
	const struct log_sink *log;
	struct ike_engine *engine;
	struct means *means;
	const struct dataplane_ops *ops; /* of means */
	struct dataplane *plane;
	struct netlink *netlink;       /* to look at links, routes and addresses with */
	char bind_device[IF_NAMESIZE]; /* of the sockets; "": none */
	bool bind_told;		       /* sockets that were taken over may be bound to another */
	bool bind_failed;	       /* was said; they are bound to nowhere */
	struct helper_client *helper;  /* NULL: one process */
	struct resolver *resolver;     /* NULL: the helper's */
	struct changes *changes;
	bool moved; /* the machine's addresses are others than when the files were read */
	struct tunnels *tunnels;
	struct drains *drains;
	struct control *control;
	struct reload *reload;
	struct offer offer;
	struct effects *effects;
	struct early *early;
	struct pools *pools;
	struct meters *meters;
	struct publish *publish; /* NULL: nothing outlives us */
	ev_timer deadline, tick, shutdown, settle;
	ev_idle idle;	       /* while the engine has something for such a time */
	struct log_sink sink;  /* the process's own, and clients that listen */
	struct ike_output out; /* of pump */
	struct send_errors send_errors;
	bool pumping, stopping, ending;
	uint8_t crash_secret[IKE_QUICK_CRASH_SECRET];
	bool crash_secret_there;
	bool restoring; /* a former process's state is being read: nothing is carried out */
	bool running;	/* the first configuration is in force */
	const struct ipc_processes *processes; /* ours, where there are several; NULL */
	char cause[96];			       /* of the link changes of this round */
};

/* Opens all there is. false: the log has why, and shell_close is due. */
bool shell_open(struct daemon *d, const struct shell_setup *setup);
/* Goes on from what a former process left in the state's memory, or reads the configuration from
 * its files. */
void shell_start(struct daemon *d);
/* Drains, deletes the SAs, and then `ended`; the second call ends at once. */
void shell_stop(struct daemon *d);
void shell_close(struct daemon *d);

/* Puts a command into the engine and carries out what comes of it. */
bool shell_command(struct daemon *d, const struct ike_command *c, const char **error);
/* Something long gets on, amid which the loop does not turn. */
void shell_alive(const struct daemon *d);
/* Carries out what the engine has, settles links, arms the timer: after every input. */
void shell_pump(struct daemon *d);

/* restore.c: means_host.child. */
bool shell_child(void *ctx, uint64_t id, struct child_sa *out);

/* shell_time.c: calls the engine when its time has come, or when there is nothing else to do. _arm
 * behind every input. */
void shell_time_open(struct daemon *d);
void shell_time_arm(struct daemon *d);
void shell_time_close(struct daemon *d);

/* What changed is kept for a process after us; shell_pump does it first. */
void shell_publish(struct daemon *d);

/* The last script has ended. */
void shell_scripts_idle(void *ctx);
/* The first configuration was read: the daemon runs, or ends. */
void shell_started(struct daemon *d, bool ok);

/* network.c: opens sockets, resolver and monitors. false: why. */
bool network_open(struct daemon *d, char *why, size_t size);
/* What became of a name. */
void network_resolved(void *ctx, uint64_t query, unsigned n, const struct addr *addrs,
		      const char *why);
void network_send_failed(void *ctx, const struct endpoint *local, const struct endpoint *remote,
			 int error, bool esp);
/* errno of the last IKE datagram for there, 0: it went out. */
int network_send_error(void *ctx, const struct addr *to);
/* The sockets are that device's, or that VRF's; "": of the default VRF. */
void network_bind(struct daemon *d, const char *device);
void network_workers(struct daemon *d, unsigned wanted); /* 0: as many as there can be */

/* commands.c: fills in the callbacks of the modules that give us commands. */
struct control_host commands_control_host(struct daemon *d);
struct reload_host commands_reload_host(struct daemon *d);
struct helper_client_host commands_helper_host(struct daemon *d);
void commands_tick(struct daemon *d);
struct drains_host commands_drains_host(struct daemon *d);
/* commands_secrets.c, for them; secrets of files, which the helper has already, and of clients */
bool commands_load_secret(void *ctx, struct secret *secret, const char **error);
bool commands_unload_secret(void *ctx, const char *unique, const char **error);
bool commands_load_client_secret(void *ctx, struct secret *secret, const char **error);
bool commands_unload_client_secret(void *ctx, const char *unique, const char **error);
bool commands_holds_secrets(const struct daemon *d); /* some that the helper keeps */
/* commands_pools.c, for commands_control_host */
bool commands_pool(void *ctx, unsigned n, struct control_pool *out);
void commands_leases(void *ctx, unsigned n,
		     void (*cb)(void *cb_ctx, const struct control_lease *lease), void *cb_ctx);
bool commands_load_pool(void *ctx, const char *name, const char *addrs, const struct addr *dns,
			uint8_t n_dns, char *why, size_t size);
bool commands_unload_pool(void *ctx, const char *name, char *why, size_t size);
/* commands_reload.c, for commands_control_host and commands_reload_host */
void commands_reload(void *ctx, uint64_t tag);
const char *commands_reload_failure(void *ctx);
void commands_refused(void *ctx, void (*cb)(void *cb_ctx, const char *name, const char *why),
		      void *cb_ctx);
void commands_reloaded(void *ctx, uint64_t tag, enum reload_end end, const char *why);
/* A tunnel's view as clients see it. */
void commands_describe(const struct tunnel_view *view, struct control_tunnel *out);

#endif
