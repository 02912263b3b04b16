/* One client session with zebra: one route type (with its instance) over one zserv
 * socket. zebra keeps a client's routes as long as its socket is open and removes them
 * all when it closes, so each type needs a session of its own.
 *
 * The session asks for FRR's version on the vty socket first, at every connect (FRR may
 * have been upgraded meanwhile), and goes no further with one that is not known. It
 * reconnects by itself, with back-off, for as long as it lives. */
#ifndef DETOUR_ZEBRA_H
#define DETOUR_ZEBRA_H

#include "lib/log.h"
#include "lib/mono.h"
#include "routed-bridge/zapi.h"

struct ev_loop;
struct zebra;

struct zebra_host {
	/* May a connection be made now? Called before each attempt; on false `why` says why
	 * not, and it is tried again later. */
	bool (*may_connect)(void *ctx, char *why, size_t size);
	void (*ready)(void *ctx, struct zebra *z);
	void (*lost)(void *ctx, struct zebra *z); /* after ready only */
	/* This FRR's protocol is not known; said at every attempt. NULL: of no interest. */
	void (*unknown)(void *ctx, const char *version);
	void (*interface)(void *ctx, enum zapi_command command,
			  const struct zapi_interface *interface);
	/* A session that subscribed was told of all devices that zebra has. NULL: of no interest.
	 */
	void (*listed)(void *ctx, struct zebra *z);
	/* Every session is told; vrf NULL: gone. The callback NULL: of no interest. */
	void (*vrf)(void *ctx, uint32_t id, const struct zapi_vrf *vrf);
	void (*notify)(void *ctx, struct zebra *z, const struct zapi_notify *notify);
	/* Of a session that subscribed; NULL: of no interest. */
	void (*address)(void *ctx, const struct zapi_address *address, bool present);
	/* Of a session that asked by zebra_listen; NULL: of no interest. */
	void (*route)(void *ctx, const struct zapi_route *route, bool present);
	void *ctx;
	const struct log_sink *log;
	struct ev_loop *loop;
};

struct zebra_config {
	const char *socket, *vty_dir; /* copied, as is the name */
	const char *name;	      /* of the type, for the log */
	enum zapi_route_type type;
	uint16_t instance;
};

/* Starts connecting. The host outlives the session. NULL when out of memory. */
struct zebra *zebra_new(const struct zebra_host *host, const struct zebra_config *config);
/* Closes the socket; zebra removes the routes. Calls nothing back. */
void zebra_free(struct zebra *z);
bool zebra_is(const struct zebra *z, enum zapi_route_type type, uint16_t instance);
bool zebra_ready(const struct zebra *z);
/* Ready, and `listed` was called since. */
bool zebra_listed(const struct zebra *z);
void zebra_type(const struct zebra *z, enum zapi_route_type *type, uint16_t *instance);
/* For people and metrics; texts are valid until the loop runs on. */
struct zebra_status {
	const char *name; /* of the type */
	bool ready;
	const char *frr;       /* the version that zebra's vty told, "": not known */
	const char *complaint; /* why it is not ready, "": nothing to complain of */
	mono_time since;       /* it is ready, or not */
	uint64_t connects;     /* how often it became ready */
	uint64_t ignored;      /* messages that made no sense */
};

struct zebra_status zebra_status(const struct zebra *z);
/* Asks for interface messages of all VRFs, now if ready and after every connect. */
void zebra_subscribe(struct zebra *z);
/* Asks for others' selected routes of a type, of both families. For this connection only:
 * call it when the session is ready. */
void zebra_listen(struct zebra *z, enum zapi_route_type type, uint16_t instance);

/* Queue a message; nothing while not ready. */
void zebra_route_add(struct zebra *z, const struct zapi_route *route);
void zebra_route_delete(struct zebra *z, const struct zapi_route *route);
/* Writes what is queued, as far as the socket takes it; the rest follows by itself. */
void zebra_push(struct zebra *z);
/* Waits until all is written, at most timeout_ms. For the program's end. */
bool zebra_drain(struct zebra *z, int timeout_ms);

#endif
