/* What the bridge's files share, a part of this header for each of them: its state and what
 * the others call. bridge.c has life and reload. Included by bridge*.c alone. */
#ifndef DETOUR_BRIDGE_PARTS_H
#define DETOUR_BRIDGE_PARTS_H

#include "routed-bridge/bridge.h"
#include "routed-bridge/bmp_listener.h"
#include "routed-bridge/interfaces.h"
#include "routed-bridge/lock.h"
#include "routed-bridge/paths.h"
#include "routed-bridge/routes.h"
#include "routed-bridge/tunnel_state.h"
#include "routed-bridge/tunnels.h"
#include "routed-bridge/vici.h"
#include "routed-bridge/zebra.h"

#include <ev.h>

struct bridge {
	struct ev_loop *loop;
	const struct log_sink *log;
	struct bridge_config *config;
	struct lock lock;
	struct interfaces *interfaces;
	struct tunnels *tunnels;
	struct device_users *users; /* as the tunnels were looked at last */
	struct routes *routes;
	struct vici *vici;
	struct vici_host vici_host;
	struct zebra_host zebra_host;
	struct zebra *sessions[BRIDGE_SESSIONS_MAX]; /* the first one watches the interfaces */
	unsigned n_sessions;
	ev_timer retry;	    /* routes_deadline */
	ev_timer vici_hold; /* runs while the daemon is away */
	ev_timer sweep;	    /* leftovers of an earlier zebra */
	unsigned sweep_rounds;
	struct routes_count last_count;
	struct suspicion *suspicions; /* of connections (bridge_claims.c) */
	bool tunnels_known;	      /* a list was complete, or is waited for no longer */
	bool kernel_refused;	      /* was said */
	struct bridge_kernel *kernel; /* NULL: no route is in the kernel by us */
	struct netlink *netlink;      /* for aliases; NULL until one is set */
	bool describe_refused;
	bool ike_silent; /* the daemon has not told all: what counts as down need not be */
	struct paths *paths;
	struct bridge_repair *repair; /* NULL: switched off */
	struct verdict *verdicts;     /* of witnesses, by device (bridge_repair.c) */
	struct bridge_bfd *bfd;	      /* NULL: not configured */
	struct bridge_watch *watch;   /* NULL: out of memory */
	struct bridge_settings *settings;
	struct bridge_silent *silent; /* NULL: out of memory */
	struct bridge_fib *fib;	      /* NULL: out of memory */
	struct turn_device *turn_devices;
	struct turn_settings *turn_settings; /* NULL: none was needed yet */
	struct bridge_paths *paths_source;   /* BMP, or questions to bgpd */
	struct bridge_quality *quality;	     /* NULL: nothing was measured yet */
};

/* ---- bridge_claims.c ---- */

/* The device that a connection's tunnel is: the file's word, else the daemon's, else it is
 * named like the connection. */
const char *bridge_interface_of(const struct bridge_section *section, const char *conn,
				const char *named);
/* The table of a section's routes as claims have it: the VRF's own is 0, for it needs no mention,
 * and zebra's confirmations do not tell. */
uint32_t bridge_table_of(const struct bridge *b, const struct bridge_options *o, uint32_t vrf);
/* Looks at every tunnel that changed, then settles. */
void bridge_reconcile(struct bridge *b);
/* Tells zebra what the route table has to say. */
void bridge_settle(struct bridge *b);
/* Confirmations came: says so when the books balance, and plans the next retry. */
void bridge_confirmed(struct bridge *b);
void bridge_claims_init(struct bridge *b);
void bridge_claims_end(struct bridge *b);

/* ---- bridge_vici.c ---- */

void bridge_vici_init(struct bridge *b);
/* The daemon is away, or another one is asked from now on. */
void bridge_vici_lost(struct bridge *b);

/* ---- bridge_zebra.c ---- */

void bridge_zebra_init(struct bridge *b);
struct zebra *bridge_session(const struct bridge *b, enum zapi_route_type type, uint16_t instance);
/* Opens and closes sessions: one for every type that the configuration names. keep: those
 * that are open may stay. */
void bridge_fit_sessions(struct bridge *b, bool keep);

/* A device or a VRF (NULL: gone) as zebra or the kernel tells of it: what uses it is looked
 * at again. */
void bridge_interface_report(struct bridge *b, enum zapi_command command,
			     const struct zapi_interface *report);
void bridge_vrf_report(struct bridge *b, uint32_t id, const struct zapi_vrf *vrf);

/* ---- bridge_kernel.c ---- */

/* In the kernel there are no types: all claims have this one, which no session has. */
#define BRIDGE_KERNEL_TYPE ZAPI_TYPES_ALL

void bridge_kernel_init(struct bridge *b);
/* Routes go to the kernel, not to zebra. */
bool bridge_kernel_writes(const struct bridge *b);
void bridge_kernel_enter(struct bridge *b, enum log_level level, const char *cause);
/* zebra has them from now on; those in the kernel go when zebra's are there. */
void bridge_kernel_leave(struct bridge *b, const char *cause);
/* zebra is there: what an earlier bridge left in the kernel can go. */
void bridge_kernel_tidy(struct bridge *b);
void bridge_kernel_act(struct bridge *b, const struct route_action *a);
void bridge_kernel_end(struct bridge *b);

/* ---- bridge_describe.c ---- */

void bridge_describe(struct bridge *b, const struct tunnel_view *tunnel, const char *interface);
/* Another file: takes away those that are not of a connection's device any more. What the devices
 * are now is described as their tunnels are touched. */
void bridge_describe_fit(struct bridge *b, const struct bridge_config *before);
/* Takes the descriptions away. */
void bridge_describe_end(struct bridge *b);

/* ---- bridge_watch.c ---- */

/* The control socket and the metrics' port as the configuration has them now. */
void bridge_watch_fit(struct bridge *b);
void bridge_watch_end(struct bridge *b);
/* A tunnel may have come up or gone down. */
void bridge_watch_tunnel(struct bridge *b, const struct tunnel_view *tunnel);

/* ---- bridge_bfd.c ---- */

struct bfd_link_session;
struct bfd_stats;

/* BFD as the configuration has it now. */
void bridge_bfd_fit(struct bridge *b);
/* The bridge ends; BFD's process waits for the next one. */
void bridge_bfd_end(struct bridge *b);
/* What it counted, at most a second old; NULL: not configured. */
const struct bfd_stats *bridge_bfd_stats(const struct bridge *b);
void bridge_bfd_each(const struct bridge *b,
		     void (*call)(void *ctx, const struct bfd_link_session *s), void *ctx);

/* ---- bridge_turn.c ---- */

#define BRIDGE_TURN_TABLES 47470000 /* and the ifindex: a table's number in the kernel */

uint32_t bridge_turn_table(uint32_t ifindex);
/* zebra was told of a turn for packets that come in on the device. */
void bridge_turn_told(struct bridge *b, uint32_t ifindex, bool add);
void bridge_turns_end(struct bridge *b);
void bridge_turns_sweep(struct bridge *b);
/* At the start, whether there will be turns or not: sweeps what a bridge that was killed left. */
void bridge_turns_recover(struct bridge *b);

/* ---- bridge_quality.c, bridge_quality_list.c ---- */

/* A connection's tunnel changed, or what the file says of it (section NULL: nothing): measured
 * while it is up and its device (NULL: unknown) works. */
void bridge_quality_tunnel(struct bridge *b, const struct tunnel_view *tunnel,
			   const struct bridge_section *section, const struct interface *i);
/* What its routes are to be like now; *o is the section's. */
void bridge_quality_steer(const struct bridge *b, const char *conn, struct bridge_options *o);
/* The configuration is another one. */
void bridge_quality_fit(struct bridge *b);
void bridge_quality_end(struct bridge *b);

/* One measured tunnel, for status and metrics; the strings are valid during the call. */
struct quality_stats {
	const char *conn, *interface;
	const struct bridge_quality_options *options;
	struct addr target; /* family 0: not known */
	bool running, steered;
	struct quality_view view;
};

void bridge_quality_each(const struct bridge *b,
			 void (*call)(void *ctx, const struct quality_stats *s), void *ctx);

struct metrics;

/* bridge_metrics_quality.c */
void bridge_metrics_quality(const struct bridge *b, struct metrics *out);

/* The prefix lists of bgpd's are to have these peers and no others. */
struct quality_lists;
struct quality_lists *quality_lists_new(struct bridge *b);
void quality_lists_free(struct quality_lists *l);
/* Begins anew with what is wanted; quality_lists_put each; then quality_lists_sync. */
void quality_lists_begin(struct quality_lists *l);
void quality_lists_put(struct quality_lists *l, const char *name, const struct addr *peer);
void quality_lists_sync(struct quality_lists *l);

/* ---- bridge_silent.c ---- */

/* The vty socket as the configuration has it now. */
void bridge_silent_fit(struct bridge *b);
void bridge_silent_end(struct bridge *b);
/* What zebra was told more than once without an answer: does it have it? */
void bridge_silent_ask(struct bridge *b);

/* ---- bridge_fib.c ---- */

struct fib_check_count;

void bridge_fib_init(struct bridge *b);
void bridge_fib_end(struct bridge *b);
/* What zebra is told, and what it says of it. */
void bridge_fib_told(struct bridge *b, const struct route_action *a);
void bridge_fib_note(struct bridge *b, const struct zebra *z, const struct zapi_notify *notify);
void bridge_fib_session(struct bridge *b, enum zapi_route_type type, uint16_t instance);
struct fib_check_count bridge_fib_count(const struct bridge *b);

/* ---- bridge_settings.c ---- */

void bridge_settings_fit(struct bridge *b);
void bridge_settings_end(struct bridge *b);
/* zebra is there (again), or the configuration is another: look soon. */
void bridge_settings_look(struct bridge *b);
/* Calls back for each setting of FRR's that defeats failover, as it was found last. */
void bridge_settings_each(const struct bridge *b, void (*each)(void *ctx, const char *text),
			  void *ctx);

/* ---- bridge_repair.c ---- */

struct repair_stats;

/* Local repair as the configuration has it now; old: the one before, NULL at the start. */
void bridge_repair_fit(struct bridge *b, const struct bridge_config *old);
void bridge_repair_end(struct bridge *b);
void bridge_verdicts_forget(struct bridge *b);
/* A connection's tunnel, on that device ("": no longer on any), changed. */
void bridge_repair_tunnel(struct bridge *b, const struct tunnel_view *tunnel,
			  const char *interface);
/* Repairs what is to be repaired, and tells zebra. */
void bridge_repair_settle(struct bridge *b);
/* b->paths was fed: call it after each batch. Takes all changes. */
void bridge_paths_changed(struct bridge *b);
/* false: switched off. */
bool bridge_repair_stats(const struct bridge *b, struct repair_stats *out);
/* Whether BGP has no other way than the device. false: not known (repair_last_way). */
bool bridge_repair_last_way(const struct bridge *b, const char *interface, bool *last);
/* NULL: switched off. */
const struct zebra *bridge_repair_session(const struct bridge *b);

/* ---- bridge_paths.c ---- */

/* The sources of paths as the configuration has them now; old: the one before, NULL at the
 * start. */
void bridge_paths_fit(struct bridge *b, const struct bridge_config *old);
void bridge_paths_end(struct bridge *b);
/* Something happened that bgpd will act on: where there is no BMP, it is asked soon. */
void bridge_paths_hint(struct bridge *b);
/* A peer came up or went down, as the log shall say. */
void bridge_paths_peer(struct bridge *b, const struct path_change *change);

struct bridge_paths_state {
	const char *source; /* "bmp", "vty" or "none": nothing was heard so far */
	struct paths_count count;
	bool bmp_configured;
	struct bmp_listener_state bmp;
	uint64_t polls; /* complete rounds of questions over the vty */
};

struct bridge_paths_state bridge_paths_state(const struct bridge *b);

/* ---- bridge_repair.c, from the witnesses ---- */

/* The device passes nothing, as the witness tells: the backups of its routes are wanted at
 * once, and are with zebra when this returns. Link state and claims are not touched. */
void bridge_tunnel_dead(struct bridge *b, const char *interface, enum tunnel_witness who,
			const char *cause);
/* What the same witness said before is over. Harmless when it said nothing. */
void bridge_tunnel_alive(struct bridge *b, const char *interface, enum tunnel_witness who,
			 const char *cause);

#endif
