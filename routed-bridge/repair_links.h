/* The devices as the repair planner sees them: is the device usable, who calls it dead,
 * which addresses are on it. Pure. Kept by name, because witnesses speak of names
 * that zebra may not have met yet; found by ifindex, too, as routes have it. A device that
 * was deleted keeps its ifindex until another one takes it, so that routes over it are
 * known to lead nowhere; and its addresses, so that a session over it is not looked for on
 * another device. */
#ifndef DETOUR_REPAIR_LINKS_H
#define DETOUR_REPAIR_LINKS_H

#include "routed-bridge/tunnel_state.h"
#include "routed-bridge/zapi.h"

#include <uthash.h>

struct repair_address {
	struct prefix own; /* our address, with the length of its network */
	struct addr peer;  /* the other end's; family 0: the network is own's */
	bool former;	   /* taken away, and none of its family has come since */
	struct repair_link *link;
	struct repair_local *local;
	struct repair_address *prev, *next;   /* of the link */
	struct repair_address *sprev, *snext; /* of the local address */
};

struct repair_link {
	char name[IF_NAMESIZE];
	uint32_t ifindex; /* 0: never seen */
	bool known;	  /* zebra has told of it in this session */
	bool gone;	  /* it has told that it was deleted */
	bool operative;	  /* UP and RUNNING */
	bool usable;	  /* as it was when the planner last looked */
	bool changed;	  /* the planner has to look */
	unsigned dead;	  /* a bit for each enum tunnel_witness; WITNESS_LINK is not used */
	char cause[64];	  /* what the last witness said */
	struct repair_address *addresses;
	struct repair_link *gprev, *gnext; /* while gone */
	struct repair_link *cprev, *cnext; /* while changed, of the planner's list */
	struct repair_seen *seen;	   /* the planner's: neighbours that were seen there */
	UT_hash_handle by_name, by_ifindex;
};

struct repair_links {
	struct repair_link *names, *indexes;
	struct repair_link *gone; /* the oldest first */
	unsigned n_gone;
	struct repair_local *locals; /* our addresses, each once */
};

void repair_links_clear(struct repair_links *t);
struct repair_link *repair_links_find(const struct repair_links *t, uint32_t ifindex);
struct repair_link *repair_links_named(const struct repair_links *t, const char *name);
/* The link of that name, new if need be; NULL: out of memory. */
struct repair_link *repair_links_add(struct repair_links *t, const char *name);
/* INTERFACE_*: returns the link; NULL: out of memory. */
struct repair_link *repair_links_report(struct repair_links *t, const struct zapi_interface *i,
					bool present);
/* INTERFACE_ADDRESS_*. */
void repair_links_address(struct repair_links *t, const struct zapi_address *a, bool present);
/* Zebra is gone: nothing that it told of the link is known. What witnesses said stays. */
void repair_links_forget(struct repair_links *t, struct repair_link *l);
void repair_links_drop(struct repair_links *t, struct repair_link *l);

/* The one link that has exactly this address of ours; NULL: none, or several. Where none has it any
 * more, the one that had. A link-local address may be on several by right: one that had it counts
 * like those that have it. */
struct repair_link *repair_links_of(struct repair_links *t, const struct addr *own);
/* Whether the address is in a network of the link, or is its other end. */
bool repair_link_reaches(const struct repair_link *l, const struct addr *to);
/* Nobody calls it dead. A link that zebra has not told of is believed. */
bool repair_link_usable(const struct repair_link *l);

#endif
