/* ipsecctl's inside: one connection to the daemon, one file per group of commands.
 * ipsecctl(8) describes the commands and the exit statuses. */
#ifndef DETOUR_CTL_H
#define DETOUR_CTL_H

#include "lib/vici_client.h"

#include <jansson.h>

#define CTL_TIMEOUT_MS 10000 /* for answers that need no peer */
#define CTL_NAME_MAX   256

enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,	   /* the daemon refused, or it did not work */
	CTL_USAGE = 2,	   /* the command line, or a configuration with errors */
	CTL_NO_DAEMON = 3, /* nobody answers at the socket */
	CTL_DOWN = 4,	   /* status NAME: known and not up */
};

struct ctl {
	const char *socket;
	struct vici_client *client;
	const char *secrets;
	int timeout_s; /* for what needs the peer */
	bool json, verbose, ike_only, child_only, reauth, force;
	int argc; /* of the command, without its name */
	char **argv;
	/* Who gets the events; set for the time of a call. */
	vici_event_cb *on_event;
	void *event_ctx;
};

/* ---- session.c ---- */

/* Prints why and returns CTL_NO_DAEMON when nobody answers. */
int ctl_connect(struct ctl *c);
/* Calls and waits; prints a failure of the connection. The response stays valid until
 * the next call. */
int ctl_call(struct ctl *c, const char *command, struct span body, int timeout_ms,
	     struct span *response);
int ctl_register(struct ctl *c, const char *event);
/* A list command whose `event`s go to `on_event`. */
int ctl_stream(struct ctl *c, const char *command, struct span body, const char *event,
	       vici_event_cb *on_event, void *ctx);
/* CTL_OK for success=yes; else prints "ipsecctl: WHAT: errmsg". */
int ctl_success(struct span response, const char *what);
int ctl_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- json.c ---- */

/* A checked body as an object; what vici counts comes as numbers. NULL: no memory. */
json_t *json_from_vici(struct span body);
/* The string at key, "" if there is none; the number at key, `missing` if there is none. */
const char *json_text(const json_t *object, const char *key);
json_int_t json_number(const json_t *object, const char *key, json_int_t missing);

/* ---- model.c ---- */

/* What is loaded and what is up: [{"name", "state", "config": {...}, "sas": [...]}] in
 * the daemon's order; SAs without a conn have one too. *out is the caller's. */
int model_read(struct ctl *c, json_t **out);
/* What vici's stats say: of it "dataplane" {"name", "why"}, "configuration" {"last-reload",
 * "not-loaded": {name: why}} and, where the daemon has several processes, "processes" by role. *out
 * is the caller's. */
int model_read_stats(struct ctl *c, json_t **out);
/* The conn of that name, or NULL after an error: why it is not loaded, or the nearest name. */
json_t *model_find(struct ctl *c, json_t *conns, const char *name);
/* The IKE_SA is being deleted, with no CHILD_SA left: there until the peer has answered, and no use
 * any more. */
bool model_is_ending(const json_t *sa);
bool model_is_connecting(const json_t *sa); /* nobody has authenticated himself yet */

/* ---- commands ---- */

int command_status(struct ctl *c);
int command_up(struct ctl *c);
int command_down(struct ctl *c);
int command_rekey(struct ctl *c);
int command_reload(struct ctl *c);
int command_monitor(struct ctl *c);
int command_log(struct ctl *c);
int command_pools(struct ctl *c);
int command_check(struct ctl *c);
int command_upgrade(struct ctl *c);

#endif
