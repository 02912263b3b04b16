/* Shared by the files of routes.c. */
#ifndef DETOUR_ROUTES_PARTS_H
#define DETOUR_ROUTES_PARTS_H

#include "ipsecd/routes.h"
#include "lib/table.h"

enum claim_kind { CLAIM_THROW, CLAIM_VIA, CLAIM_BLACKHOLE };

struct claim {
	enum claim_kind kind;
	uint32_t tunnel;
	struct addr source;
	struct place *place;
	struct claim *prev, *next; /* of the place */
	struct claim *owner_next;  /* of who made it */
};

struct place_key {
	struct prefix dst;
	uint32_t metric;
};

/* What stands at a place; with its key it is a route. */
struct standing {
	struct addr source;
	bool blackhole, throws;
	int ifindex;
	uint32_t table;
};

struct place {
	struct place_key key;
	struct claim *claims;
	struct standing as;
	bool installed;
	bool sourceless; /* the kernel refused its source */
	struct table_link in_places;
};

/* Who makes claims: a conn (by its tunnel), a CHILD_SA. */
struct owner {
	uint64_t id;
	uint32_t tunnel;
	struct addr peer;
	struct claim *claims;
	struct owner *via_prev, *via_next; /* of the CHILD_SAs of its tunnel */
	struct table_link in_owners;
};

/* A tunnel that has a link up, or CHILD_SAs. */
struct via {
	uint32_t tunnel;
	int ifindex; /* 0: no link */
	struct owner *children;
	struct table_link in_vias;
};

struct routes {
	struct routes_host host;
	bool on;
	uint32_t table, priority;
	struct table places, conns, children, vias;
	struct owner outside;
	unsigned n_outside;
};

/* What decides about the place; NULL: nothing stands there. */
const struct claim *routes_best(const struct routes *r, const struct place *p);
/* Has stand there what should. */
void routes_settle_place(struct routes *r, struct place *p);

/* ---- routes_links.c ---- */

/* 0: it has no link. */
int routes_ifindex(const struct routes *r, uint32_t tunnel);
/* A CHILD_SA's, which its link is to settle. false: out of memory. */
bool routes_links_join(struct routes *r, struct owner *child);
void routes_links_leave(struct routes *r, struct owner *child);
/* All links are down; nothing is settled. */
void routes_links_down(struct routes *r);
void routes_links_free(struct routes *r);

#endif
