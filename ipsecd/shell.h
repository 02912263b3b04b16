/* The shell's inside, shared by daemon.c (the loop) and commands.c (what clients and
 * files ask for). No one else includes this. */
#ifndef DETOUR_SHELL_H
#define DETOUR_SHELL_H

#include "ipsecd/control/control.h"
#include "ipsecd/drain.h"
#include "ipsecd/early.h"
#include "ipsecd/effects.h"
#include "ipsecd/meters.h"
#include "ipsecd/offer.h"
#include "ipsecd/options.h"
#include "ipsecd/pools.h"
#include "ipsecd/reload.h"

#include <ev.h>

struct changes;
struct udp;
struct resolver;

struct daemon {
	const struct options *options;
	struct ev_loop *loop;
	const struct log_sink *log;
	struct ike_engine *engine;
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	char plane_why[512]; /* why this one */
	int guard;	     /* flush_guard(), of a plane that outlives us; 0: none */
	struct udp *udp;
	char bind_device[IF_NAMESIZE]; /* of its sockets; "": none */
	bool bind_failed;	       /* was said; they are bound to nowhere */
	struct resolver *resolver;
	struct changes *changes;
	struct tunnels *tunnels;
	struct drains *drains;
	struct control *control;
	struct reload *reload;
	struct offer offer;
	struct effects *effects;
	struct early *early;
	struct pools *pools;
	struct meters *meters;
	ev_timer deadline, tick, shutdown, settle;
	ev_signal term, interrupt, hangup;
	struct log_sink sink;  /* the process's own, and clients that listen */
	struct ike_output out; /* of pump */
	bool pumping, stopping, ending;
	bool running; /* the first configuration is in force */
	int status;   /* of the process, at its end */
	void (*tell_running)(void);
	char cause[96]; /* of the link changes of this round */
};

/* Puts a command into the engine and carries out what comes of it. */
bool shell_command(struct daemon *d, const struct ike_command *c, const char **error);
/* Carries out what the engine has, settles links, arms the timer: after every input. */
void shell_pump(struct daemon *d);

/* The first configuration was read: the daemon runs, or ends. */
void shell_started(struct daemon *d, bool ok);

/* network.c: opens sockets, resolver and monitors. false: why. */
bool network_open(struct daemon *d, char *why, size_t size);
/* The sockets are that device's, or that VRF's; "": of the default VRF. */
void network_bind(struct daemon *d, const char *device);

/* commands.c: fills in the callbacks of the modules that give us commands. */
struct control_host commands_control_host(struct daemon *d);
struct reload_host commands_reload_host(struct daemon *d);
struct drains_host commands_drains_host(struct daemon *d);
/* A tunnel's view as clients see it. */
void commands_describe(const struct tunnel_view *view, struct control_tunnel *out);

#endif
