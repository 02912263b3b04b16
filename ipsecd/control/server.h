/* The inside of the vici server: what its files share. Not for anybody outside
 * ipsecd/control/. */
#ifndef DETOUR_CONTROL_SERVER_H
#define DETOUR_CONTROL_SERVER_H

#include "ipsecd/control/control.h"
#include "lib/queue.h"
#include "lib/vici_stream.h"

#include <ev.h>

#define CONTROL_NAME_MAX 256 /* names in requests, with the final NUL */

enum control_event_kind {
	EVENT_LIST_SA,
	EVENT_LIST_CONN,
	EVENT_LIST_CERT,
	EVENT_LIST_AUTHORITY,
	EVENT_LIST_POLICY,
	EVENT_LOG,
	EVENT_CONTROL_LOG,
	EVENT_IKE_UPDOWN,
	EVENT_IKE_REKEY,
	EVENT_IKE_UPDATE,
	EVENT_CHILD_UPDOWN,
	EVENT_CHILD_REKEY,
	EVENT_LINK_UPDOWN,
	EVENT_LINK_SUSPECT,
	EVENT_CHILD_STATE_INSTALLED,
	EVENT_CHILD_STATE_REKEYED,
	EVENT_CHILD_STATE_DESTROYING,
	EVENT_KINDS,
};

/* A command that waits for the engine's COMMAND_DONE. */
enum pending_kind {
	PENDING_NONE,
	PENDING_INITIATE,
	PENDING_TERMINATE,
	PENDING_REKEY,
	PENDING_RELOAD
};

/* What a request selects; "" and 0 where it does not. */
struct selection {
	char ike[CONTROL_NAME_MAX], child[CONTROL_NAME_MAX];
	uint32_t ike_id, child_id;
};

struct pending {
	enum pending_kind kind;
	uint64_t tag;
	int log_level;		     /* vici's, for control-log */
	int timeout_ms;		     /* 0: none */
	char conn[CONTROL_NAME_MAX]; /* whose log lines are wanted, "": all */
	struct selection selection;
	unsigned matches;
};

/* A list command that is being streamed, in pieces as the client reads. */
enum listing_kind { LISTING_NONE, LISTING_SAS, LISTING_CONNS, LISTING_POLICIES };

struct listing {
	enum listing_kind kind;
	struct selection filter;
	uint32_t after_id;		/* LISTING_SAS: SAs up to this id are told */
	uint32_t part_of, after_child;	/* of this one the CHILD_SAs up to this id; 0: no part */
	unsigned next_conn, next_child; /* LISTING_CONNS, LISTING_POLICIES */
};

struct client {
	struct client *next, *prev;
	struct control *control;
	int fd;
	ev_io readable, writable;
	ev_timer timeout; /* of the pending command */
	struct vici_stream in;
	struct queue out;
	uint32_t events; /* bits of enum control_event_kind */
	bool busy;	 /* a command without its response yet */
	bool corked;	 /* packets are collected, not sent one by one */
	bool dead;	 /* closed; freed before the loop sleeps */
	struct pending pending;
	struct listing listing;
};

struct control {
	struct control_host host;
	char *path;
	int fd, lock_fd;
	ev_io acceptable;
	ev_timer accept_pause;
	ev_prepare reaper;
	struct client *clients;
	uint8_t *scratch; /* one packet under construction */
	uint64_t next_tag;
	bool logging; /* inside control_log: lines that it causes are not events */
	mono_time opened;
	long long opened_wall;	    /* seconds since the epoch */
	struct ike_counters zeroed; /* at the last reset-counters */
	uint64_t plane_zeroed[DATAPLANE_COUNTERS], net_zeroed[CONTROL_NET_COUNTERS_MAX];
	struct control_counters counters;
};

/* ---- client.c: one connection ---- */

void client_accept(struct control *c, int fd);
/* Closes; the memory goes before the loop sleeps. `why` NULL: not worth a line. */
void client_drop(struct client *c, const char *why);
void client_free(struct client *c);
void client_send(struct client *c, struct span packet);
void client_flush(struct client *c);

static inline bool client_wants(const struct client *c, enum control_event_kind kind)
{
	return !c->dead && (c->events >> kind & 1);
}

/* Responses. Each ends the client's command, and the next one it sent is taken up when
 * the loop runs. */
struct buf client_response(struct client *c);
void client_respond(struct client *c, struct buf *response);
void client_succeed(struct client *c);
/* "errmsg", with a '?' for each byte for which libvici would give its client no text at all. */
void client_put_error(struct buf *b, const char *text);
void client_fail(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An answer that no packet holds; the log has it, too: stock swanctl does not look at errors of
 * what it takes for a list. */
void client_fail_large(struct client *c, const char *what, const char *hint);

/* An event under construction in the scratch memory; sent to one client or to all that
 * registered. Bodies that do not fit a packet are dropped with a log line. */
struct buf control_begin_event(struct control *c, enum control_event_kind kind);
void control_send_event(struct control *c, enum control_event_kind kind, struct buf *event);
void client_send_event(struct client *c, struct buf *event);
/* A CHILD_SA with its counters and its device's keys, as a section. */
void control_put_child(const struct control *c, struct buf *b, const char *section,
		       const struct ike_child_info *child);
bool control_wanted(const struct control *c, enum control_event_kind kind);
const char *control_event_name(enum control_event_kind kind);

/* ---- commands.c: the table ---- */

typedef void command_handler(struct client *c, struct span body);
/* NULL: unknown. */
command_handler *command_find(struct span name);

/* ---- lists.c, actions.c, conns.c, secrets.c, pools.c, reports.c: handlers ---- */

void command_list_sas(struct client *c, struct span body);
void command_list_conns(struct client *c, struct span body);
void command_list_policies(struct client *c, struct span body);
/* Streams on after the queue was drained. */
void listing_continue(struct client *c);

void command_initiate(struct client *c, struct span body);
void command_terminate(struct client *c, struct span body);
void command_rekey(struct client *c, struct span body);
/* Before the shell is asked; *p is kept. The tag of the COMMAND_DONE that is waited for. */
uint64_t pending_start(struct client *c, const struct pending *p);
void pending_done(struct client *c, const struct ike_output *done);
void pending_reloaded(struct client *c, const char *failure); /* NULL: none */
void pending_timeout(struct client *c);
void pending_clear(struct client *c);

void command_get_conns(struct client *c, struct span body);
void command_load_conn(struct client *c, struct span body);
void command_unload_conn(struct client *c, struct span body);
void command_reload_settings(struct client *c, struct span body);

void command_load_shared(struct client *c, struct span body);
void command_unload_shared(struct client *c, struct span body);
void command_get_shared(struct client *c, struct span body);
void command_clear_creds(struct client *c, struct span body);

void command_load_pool(struct client *c, struct span body);
void command_unload_pool(struct client *c, struct span body);
void command_get_pools(struct client *c, struct span body);

void command_version(struct client *c, struct span body);
void command_stats(struct client *c, struct span body);
void command_get_algorithms(struct client *c, struct span body);
void command_get_counters(struct client *c, struct span body);
void command_reset_counters(struct client *c, struct span body);

/* ---- names in errors ---- */

/* ", nearest is 'x'" or "" into text (of at least CONTROL_NAME_MAX + 16 bytes). */
const char *nearest_conn(const struct control *c, const char *name, char *text);
/* `ike`: only of that conn; empty: of all. */
const char *nearest_child(const struct control *c, const char *ike, const char *name, char *text);
/* ike, child, ike-id, child-id of a request. false: a client_fail was sent. */
bool selection_read(struct client *c, struct span body, struct selection *out);
bool selection_has(const struct selection *s, const struct ike_sa_info *ike,
		   const struct ike_child_info *child);

#endif
