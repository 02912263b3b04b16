/* Shared by the files of plane_server.c. */
#ifndef DETOUR_PLANE_SERVER_PARTS_H
#define DETOUR_PLANE_SERVER_PARTS_H

#include "ipsecd/ipc/link.h"
#include "ipsecd/plane_routes.h"
#include "ipsecd/plane_served.h"
#include "ipsecd/plane_server.h"

#define BEGUN_MAX 64

/* A tunnel that is asked for, and not answered yet. */
struct begun {
	uint32_t tunnel, serial;
};

struct plane_server {
	struct plane_server_host host;
	struct served served;
	struct plane_routes routes;
	struct plane_addrs *addrs;
	struct dataplane *plane;
	struct udp *udp;
	struct ipc_link *link;
	struct log_limit refusals, failures;
	struct begun begun[BEGUN_MAX];
	unsigned n_begun;
};

/* Only where `m` wants one. */
void plane_answer(struct plane_server *s, const struct ipc_message *m, const void *body,
		  size_t len);
struct ipc_done plane_done(struct plane_server *s, enum dataplane_error e);
/* What may go wrong with an honest ike, too. */
void plane_note_failure(struct plane_server *s, const struct ipc_message *m,
			const struct ipc_done *d);
void plane_answer_done(struct plane_server *s, const struct ipc_message *m, enum dataplane_error e);
/* Says so in the log, and answers. */
void plane_refuse(struct plane_server *s, const struct ipc_message *m, int error, const char *why);

/* ---- plane_server_tunnel.c ---- */

void plane_finish_begun(void *server);
void plane_on_tunnel(struct plane_server *s, const struct ipc_message *m);
void plane_on_tunnel_remove(struct plane_server *s, const struct ipc_message *m);
void plane_on_tunnel_link(struct plane_server *s, const struct ipc_message *m);
void plane_on_tunnel_info(struct plane_server *s, const struct ipc_message *m);
void plane_on_tunnel_disinherit(struct plane_server *s, const struct ipc_message *m);

#endif
