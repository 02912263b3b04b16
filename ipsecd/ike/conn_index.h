/* Loaded conns by the address of their peer, so that the choice for an IKE_SA_INIT does
 * not look at every conn. Conns with a peer that is not a plain address (%any, a
 * prefix, a name) are loose: candidates for every address. */
#ifndef DETOUR_CONN_INDEX_H
#define DETOUR_CONN_INDEX_H

#include "ipsecd/model/conn.h"
#include "lib/hash.h"

struct conn_entry;

struct conn_link {
	struct conn_link *prev, *next;
	struct conn_entry *entry;
	struct conn_slot *slot; /* NULL: in the loose list */
	bool linked;
};

/* All conns of one address. */
struct conn_slot {
	UT_hash_handle hh;
	struct addr addr;
	struct conn_link *links; /* utlist */
};

struct conn_index {
	struct conn_slot *slots; /* uthash by addr */
	struct conn_link *loose; /* utlist */
};

/* Links entry under conn's peers; links has CONN_ADDRS_MAX places. Without memory for a slot the
 * conn is loose. */
void conn_index_add(struct conn_index *index, struct conn_entry *entry, const struct conn *conn,
		    struct conn_link *links);
void conn_index_remove(struct conn_index *index, struct conn_link *links);

/* The candidates for a peer's address, each once, in order of loading. */
struct conn_cursor {
	const struct conn_link *exact, *loose;
};

struct conn_cursor conn_index_at(const struct conn_index *index, const struct addr *peer);
struct conn_entry *conn_cursor_next(struct conn_cursor *c); /* NULL behind the last */

#endif
