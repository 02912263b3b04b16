/* A small vici client over a unix socket, for programs that may wait: one call at a
 * time, events handed to a callback as they come. Programs with a loop of their own use
 * vici_client_socket, vici_stream.h and vici_codec.h and leave the rest. */
#ifndef DETOUR_VICI_CLIENT_H
#define DETOUR_VICI_CLIENT_H

#include "lib/vici_codec.h"

#define VICI_WAIT_FOREVER (-1)

enum vici_client_error {
	VICI_CLIENT_OK,
	VICI_CLIENT_CLOSED,    /* the daemon closed the connection */
	VICI_CLIENT_SYSTEM,    /* errno tells */
	VICI_CLIENT_TIMEOUT,   /* the connection is out of step: close it */
	VICI_CLIENT_PROTOCOL,  /* a packet that vici does not allow here */
	VICI_CLIENT_UNKNOWN,   /* the daemon has no such command or event */
	VICI_CLIENT_TOO_LARGE, /* the request does not fit a packet */
	VICI_CLIENT_MEMORY,
};

const char *vici_client_strerror(enum vici_client_error e);

/* name and body are valid during the call; the body is checked. */
typedef void vici_event_cb(void *ctx, struct span name, struct span body);

struct vici_client;

/* A connected, non-blocking, close-on-exec socket. -1 and the reason, with the path, in
 * `why`; a full accept queue of the daemon is such a reason (EAGAIN), try later. */
int vici_client_socket(const char *path, char *why, size_t size);

struct vici_client *vici_client_connect(const char *path, vici_event_cb *event, void *ctx,
					char *why, size_t size);
void vici_client_close(struct vici_client *c); /* NULL allowed */

/* Sends a request whose elements are `body` and waits at most timeout_ms for the
 * response; events that arrive meanwhile go to the callback. *response stays valid until
 * the next call with this client. */
enum vici_client_error vici_client_call(struct vici_client *c, const char *command,
					struct span body, int timeout_ms, struct span *response);
enum vici_client_error vici_client_register(struct vici_client *c, const char *event,
					    int timeout_ms);
enum vici_client_error vici_client_unregister(struct vici_client *c, const char *event,
					      int timeout_ms);
/* Hands out events until timeout_ms passed (VICI_CLIENT_OK) or the connection ends. */
enum vici_client_error vici_client_wait(struct vici_client *c, int timeout_ms);

#endif
