/* The inside of the meters, for ipsecd/meters*.c. */
#ifndef DETOUR_METERS_PARTS_H
#define DETOUR_METERS_PARTS_H

#include "ipsecd/meters.h"
#include "lib/metrics_http.h"
#include "lib/table.h"

#include <uthash.h>

enum { ROLE_OF_INITIATOR, ROLE_OF_RESPONDER, ROLES };

/* What CHILD_SAs have carried; of struct dataplane_child_stats what is added up. */
struct meter_traffic {
	uint64_t bytes_in, bytes_out, packets_in, packets_out;
	uint64_t drop_replay, drop_icv;
};

/* What a look at a tunnel found. There only while it is written: idle tunnels don't pay for it. */
struct meter_look {
	struct ike_conn_info info;
	char *peer; /* NULL: out of memory */
	struct control_tunnel tunnel;
	bool have_tunnel;
	unsigned ike_sas, child_sas;			       /* usable ones */
	mono_time ike_rekey_at, child_rekey_at, child_ends_at; /* the nearest; 0: none */
	struct meter_traffic live;
};

/* One of a conn, from its first event or the first look at it until the conn and its last
 * CHILD_SA are gone. */
struct meter {
	UT_hash_handle hh;
	unsigned n_children; /* in the plane */
	uint64_t rekeys_ike, rekeys_child, failures, link_up, link_down;
	mono_time link_changed;	    /* 0: never */
	struct meter_traffic ended; /* of CHILD_SAs that are gone */
	struct meter_traffic shown; /* the last sum: it never falls */
	struct meter_look *look;    /* NULL: nobody looks now, or the conn is gone */
	char conn[];		    /* its name */
};

/* A CHILD_SA in the plane. */
struct meter_child {
	uint64_t id;
	struct table_link in_ids;
	struct meter *meter;
	struct meter_traffic last; /* in case that the plane has forgotten it */
};

extern const struct table_shape meters_by_id;

struct meters {
	struct meters_host host;
	struct metrics_http *http;
	struct meter *tunnels;
	struct table children; /* meters_by_id */
	struct metrics_histogram handshake[ROLES];
	uint64_t failed[IKE_REASONS], ike_ended[IKE_REASONS], child_ended[IKE_REASONS];
};

/* meters.c: that of a conn; NULL for one that is not loaded, or when out of memory. */
struct meter *meters_of(struct meters *m, const char *conn);
void meters_forget(struct meters *m, struct meter *t);
/* A stat that is read, or remembered. */
void meters_child_read(struct meters *m, struct meter_child *c);
void meters_traffic_add(struct meter_traffic *sum, const struct meter_traffic *s);

/* meters_tunnels.c, meters_daemon.c: families. */
void meters_write_tunnels(struct meters *m, struct metrics *out, mono_time now);
void meters_write_daemon(const struct meters *m, struct metrics *out);

#endif
