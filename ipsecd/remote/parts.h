/* remote/ inside. No one else includes this. */
#ifndef DETOUR_REMOTE_PARTS_H
#define DETOUR_REMOTE_PARTS_H

#include "ipsecd/ipc/link.h"
#include "ipsecd/ipc/plane.h"
#include "ipsecd/remote/remote.h"
#include "lib/hash.h"
#include "lib/table.h"

#include <utlist.h>

/* `round`: the turn of the loop in which the plane was asked; what it said then holds for the whole
 * turn, so that a list of a thousand does not ask a thousand times. */
struct far_tunnel {
	uint32_t id;
	struct tunnel_config config;
	bool link_set, link_up; /* tunnel_set_link, as asked */
	uint32_t asked;		/* ahead of tunnel_create; 0: not, or answered */
	unsigned round;
	struct dataplane_tunnel_info info;
	UT_hash_handle hh;
};

/* What it is, the host knows. */
struct far_child {
	uint64_t id;
	uint32_t tunnel;
	bool resumed; /* as it was installed */
	/* A plane has had it, and may have used its numbers. One that was asked and died without an
	 * answer has not, unless it is in its area, where the next one finds it: the slot is
	 * there before the first packet is sealed. */
	bool answered;
	bool have_stats;
	unsigned round;
	uint64_t skip_out; /* not done by any plane yet */
	struct dataplane_child_stats stats;
	struct far_child *prev, *next; /* in order of installation */
	struct table_link in_ids;
};

struct far_addr {
	struct far_addr *prev, *next;
	char device[IF_NAMESIZE];
	struct prefix prefix;
};

/* A change of routes or rules that waits for a plane. */
struct far_change {
	struct far_change *prev, *next;
	uint32_t verb;
	union {
		struct ipc_route route;
		struct ipc_rule rule;
	} body;
};

struct far_suite {
	struct ipc_suite suite;
	bool ok;
};

#define FAR_SUITES_MAX	256
#define FAR_CHANGES_MAX 65536

/* The plane as struct dataplane_ops has it. */
struct dataplane {
	struct remote *remote;
};

struct remote {
	struct means means;
	struct means_host host;
	struct dataplane_ops ops; /* with the plane's name and flags */
	struct dataplane plane;
	struct ipc_plane hello;
	struct ipc_link *link;
	uint32_t links; /* counts them */
	int patience_ms;
	struct far_tunnel *tunnels;
	struct far_child *children; /* utlist */
	struct table children_by_id;
	struct far_addr *addrs;
	struct ipc_device bound;    /* of the sockets */
	bool bind_told;		    /* that: sockets that a plane takes over may have another one */
	struct ipc_workers workers; /* as asked */
	bool workers_set;
	struct far_change *changes;
	unsigned n_changes;
	bool settled;
	unsigned asked_round, asked; /* how often in this turn something was not known */
	struct ipc_counters counters;
	unsigned n_suites;
	struct far_suite suites[FAR_SUITES_MAX];
	char error[IPC_WORDS], words[IPC_WORDS];
	uint8_t datagram[UINT16_MAX];
};

/* call.c */
/* A request and its answer, which is checked: of `len` bytes, or (0) of any length. Its body is
 * valid until the next call. false: the plane is gone, or does not answer as it has to. */
bool far_call(struct remote *r, uint32_t verb, const void *body, size_t len, size_t answer_len,
	      struct span *answer);
/* The answer to what was asked under this number. */
bool far_await(struct remote *r, uint32_t verb, uint32_t serial, size_t answer_len,
	       struct span *answer);
/* The same for ipc_done; *error is 0 or plane's, its words in r->error. */
bool far_done(struct remote *r, uint32_t verb, const void *body, size_t len, int *error);
/* Takes a fresh view of a tunnel. */
void far_take_info(struct far_tunnel *t, const struct ipc_info *info, unsigned round);
unsigned far_round(const struct remote *r); /* never 0 */
/* How many more to ask for beside the one that is wanted now. */
size_t far_ahead(struct remote *r, size_t most);

/* remote.c */
void far_drop_link(struct remote *r); /* fine inside of its callbacks */

/* plane.c */
extern const struct dataplane_ops far_ops;
bool far_make(struct remote *r, uint32_t verb, const void *body, size_t len, struct far_tunnel *t,
	      int *error);
int far_install(struct remote *r, const struct child_sa *sa, bool *gone);
void far_free(struct remote *r);

/* net.c */
extern const struct means_act far_acts;
int far_bind(struct remote *r, bool *gone);
bool far_workers(struct remote *r);
/* Those that waited; the ones behind a plane's new death go on waiting. */
void far_changes(struct remote *r);
int far_address(struct remote *r, const char *device, const struct prefix *p, bool add, bool *gone);

#endif
