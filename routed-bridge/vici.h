/* The vici connection to the IKE daemon, on a libev loop: registers for events, lists
 * what is there, hands everything on, reconnects with back-off. Asks nothing of the
 * daemon that strongSwan's vici does not have; an event that the daemon does not know
 * (link-updown on strongSwan) is done without. */
#ifndef DETOUR_BRIDGE_VICI_H
#define DETOUR_BRIDGE_VICI_H

#include "lib/log.h"
#include "lib/mono.h"
#include "lib/span.h"

struct ev_loop;
struct vici;

struct vici_host {
	void (*connected)(void *ctx);
	void (*list_begin)(void *ctx);
	/* An event, those of a listing included; its body is well-formed. */
	void (*event)(void *ctx, struct span name, struct span body);
	void (*list_end)(void *ctx);
	void (*batch_end)(void *ctx); /* all that was received is handed on */
	void (*lost)(void *ctx);      /* after connected only */
	void *ctx;
	const struct log_sink *log;
	struct ev_loop *loop;
};

/* Starts connecting. The host outlives it. NULL when out of memory. */
struct vici *vici_new(const struct vici_host *host, const char *socket);
void vici_free(struct vici *v); /* calls nothing back */
/* Lists again, soon and not more often than every few seconds: a check of what the events
 * made of it. */
void vici_relist(struct vici *v);

/* For people and metrics; texts are valid until the loop runs on. */
struct vici_status {
	const char *socket;
	bool listed;	       /* connected, and everything was listed */
	const char *complaint; /* why not, "": nothing to complain of */
	mono_time since;       /* it is listed, or not */
	uint64_t connects;     /* how often everything was listed behind a connect */
	uint64_t malformed;    /* packets that ended a connection */
};

struct vici_status vici_status(const struct vici *v);

#endif
