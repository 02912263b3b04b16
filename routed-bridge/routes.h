/* The route table: what tunnels want, what zebra was told, what zebra confirmed. Pure:
 * claims, confirmations and the time go in; ADDs and DELETEs come out, withdrawals first.
 *
 * Each owner (a tunnel, by its connection's name) has a set of claims. Several owners may
 * claim one prefix under one type: zebra gets the claim with the lowest distance, then metric;
 * when several are equal in both it gets one route with a nexthop of each, and tag and MTU of
 * the owner whose name comes first. Nothing is sent for a session (type and
 * instance) that is down; when it comes up everything is sent anew, because zebra forgets
 * a client's routes with its socket. */
#ifndef DETOUR_ROUTES_H
#define DETOUR_ROUTES_H

#include "lib/log.h"
#include "lib/mono.h"
#include "routed-bridge/zapi.h"

struct routes;

struct route_claim {
	struct zapi_route route; /* with one nexthop */
	char interface[IF_NAMESIZE];
	uint32_t generation; /* of the interface: another one is another device */
};

enum route_action_kind { ROUTE_ACTION_ADD, ROUTE_ACTION_DELETE };

struct route_action {
	enum route_action_kind kind;
	struct zapi_route route;
};

struct routes_count {
	unsigned wanted;    /* prefixes that someone claims */
	unsigned installed; /* confirmed by zebra */
	unsigned shadowed;  /* known to zebra, which prefers another protocol's */
	unsigned failed;    /* zebra could not install them; tried again */
};

struct routes *routes_new(const struct log_sink *log); /* NULL when out of memory */
void routes_free(struct routes *r);

/* The owner's claims are these and no others; what did not change is not touched. `cause`
 * goes to the log beside each change. false: out of memory, some claims are missing. */
bool routes_set(struct routes *r, const char *owner, const struct route_claim *claims, size_t n,
		const char *cause);
/* A session came up or went. */
void routes_session(struct routes *r, enum zapi_route_type type, uint16_t instance, bool up);
/* The notify's table is 0 for the VRF's own. */
void routes_notify(struct routes *r, enum zapi_route_type type, uint16_t instance,
		   const struct zapi_notify *notify, mono_time now);
/* zebra says, when it is asked, that it has the route and has selected another protocol's. It
 * does not say so by itself where its choice did not change: a route that comes late. */
void routes_shadowed(struct routes *r, const struct zapi_route *route);
/* zebra has confirmed the route, and the kernel lacks a nexthop of it: it is told again, as this
 * renewal (zapi_route_renew). */
void routes_renew(struct routes *r, const struct zapi_route *route, unsigned renewal);
/* Makes failed and unanswered routes due again. */
void routes_expire(struct routes *r, mono_time now);
mono_time routes_deadline(const struct routes *r); /* MONO_NEVER if none */
/* The next thing to tell zebra; false when there is none. */
bool routes_next(struct routes *r, struct route_action *out, mono_time now);
/* Whether any owner claims the route's prefix under its type, instance, VRF and table. */
bool routes_claimed(const struct routes *r, const struct zapi_route *route);
struct routes_count routes_count(const struct routes *r);

/* One for each prefix, type and instance that somebody claims. */
struct route_view {
	const struct zapi_route *route; /* the best claim's */
	const char *conn, *interface;	/* whose claim it is; its device */
	const char *state;		/* absent, sent, installed, shadowed, failed */
	unsigned claims;		/* how many tunnels want it */
	unsigned attempts;		/* since zebra last had it as it should be */
};

void routes_each(const struct routes *r, void (*cb)(void *ctx, const struct route_view *route),
		 void *ctx);

#endif
