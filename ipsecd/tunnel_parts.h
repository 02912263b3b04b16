/* tunnel.c and tunnel_device.c inside: who has which CHILD_SAs, and what the plane is told of
 * the device. No one else includes this. */
#ifndef DETOUR_TUNNEL_PARTS_H
#define DETOUR_TUNNEL_PARTS_H

#include "ipsecd/tunnel.h"
#include "lib/table.h"

#include <uthash.h>
#include <utlist.h>

struct tunnel {
	uint32_t id;
	char *conn; /* NULL once condemned: the name may be taken by a new tunnel */
	struct tunnel_config config; /* as configured */
	struct tunnel_addr *addrs;   /* of config: those in tunnels.addrs */
	uint8_t n_vips;
	struct addr vips[TUNNEL_ADDRS_MAX];
	enum tunnel_state state;
	struct tunnel_child *children;
	unsigned usable;
	bool inherited;	   /* counted in `usable`: SAs of a former process still send */
	int ifindex;	   /* when last looked at */
	bool shut;	   /* as told to host.shut */
	unsigned draining; /* CHILD_SAs that were there when the drain began */
	bool touched;	   /* stands in tunnels.touched until the next settle */
	struct tunnel *next_touched;
	struct tunnel *prev, *next; /* among the condemned */
	UT_hash_handle hh, hh_conn, hh_ifindex;
};

struct tunnel_child {
	uint64_t id;
	struct tunnel *tunnel;
	bool outbound, draining;
	struct tunnel_child *prev, *next; /* of the tunnel */
	struct table_link in_ids;
};

/* What a former process had for a conn. */
struct tunnel_expected {
	char *conn;
	uint32_t id;
	uint8_t n_vips;
	struct addr vips[TUNNEL_ADDRS_MAX];
	UT_hash_handle hh;
};

struct tunnels {
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	struct tunnels_host host;
	struct tunnel *by_ifindex;
	struct tunnel *by_id, *by_conn; /* condemned tunnels are in the first only */
	struct tunnel *touched, *condemned;
	struct table children;		  /* by id */
	struct table addrs;		  /* struct tunnel_addr, by address */
	struct tunnel_expected *expected; /* by conn */
	uint32_t last_id;
	bool restoring;
	uint64_t looking, as_made; /* dataplane_ops.changes: when a look at all devices began, and
				      when the last began that left all as configured; 0: none */
};

/* tunnel.c */
struct tunnel *tunnel_by_id(const struct tunnels *t, uint32_t id);
void tunnel_view_of(const struct tunnels *t, const struct tunnel *tunnel, struct tunnel_view *out);
/* The only writer of a tunnel's state and of its link. */
void tunnel_set_state(struct tunnels *t, struct tunnel *tunnel, enum tunnel_state state,
		      const char *reason);
void tunnel_set_ifindex(struct tunnels *t, struct tunnel *tunnel, int ifindex); /* 0: none */
/* *counted is a CHILD_SA's or the inheritance's part in `usable`. */
void tunnel_count(struct tunnels *t, struct tunnel *tunnel, bool *counted, bool usable);

/* tunnel_device.c: false: `why`, and nothing has changed. */
bool tunnel_make_device(struct tunnels *t, struct tunnel *tunnel,
			const struct tunnel_config *config, char *why, size_t size);
bool tunnel_is_as_made(const struct tunnels *t, const struct tunnel *tunnel,
		       const struct tunnel_config *config);
bool tunnel_change_device(struct tunnels *t, struct tunnel *tunnel,
			  const struct tunnel_config *config, char *why, size_t size);
/* Takes the device away, with the CHILD_SAs in it; and has it again, without them. */
void tunnel_take_device(struct tunnels *t, struct tunnel *tunnel);
void tunnel_return_device(struct tunnels *t, struct tunnel *tunnel);
/* After the first make: SAs of a former process. */
void tunnel_inherit(struct tunnels *t, struct tunnel *tunnel);
/* Whoever routes is told of a device that came after the link was UP. */
void tunnel_note_device(struct tunnels *t, struct tunnel *tunnel);

/* tunnel_addrs.c: when another configuration is in force; and before it is freed. */
void tunnel_addrs_note(struct tunnels *t, struct tunnel *tunnel);
void tunnel_addrs_forget(struct tunnels *t, struct tunnel *tunnel);

#endif
