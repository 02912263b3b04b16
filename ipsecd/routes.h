/* install-routes: routes to the remote selectors in a table of their own, with a rule that
 * leads into it.
 *
 *  - while a tunnel's link is up: each remote selector of its CHILD_SAs, through its device;
 *  - while a conn is configured: the same selectors as blackholes of a higher metric, so that
 *    nothing leaves in clear when the tunnel is down;
 *  - exceptions (RTN_THROW: the next table is asked) for what must not go that way: the
 *    peers' outer addresses, and our own networks inside a wider remote selector.
 *
 * Counted per CHILD_SA: a rekey changes no route. Knows the kernel only by its host's calls. */
#ifndef DETOUR_ROUTES_H
#define DETOUR_ROUTES_H

#include "ipsecd/model/conn.h"
#include "ipsecd/model/settings.h"
#include "lib/log.h"
#include "lib/netlink_route.h"

#define ROUTES_PROTOCOL		68 /* RTPROT_*: ours are told from others' by it */
#define ROUTES_METRIC		1024
#define ROUTES_METRIC_BLACKHOLE 65000

struct routes;

struct routes_host {
	/* 0 or -errno, as netlink_route_add and the others. */
	int (*route)(void *ctx, const struct netlink_route *r, bool add);
	int (*rule)(void *ctx, const struct netlink_rule *r, bool add);
	void *ctx;
	const struct log_sink *log;
};

struct routes *routes_new(const struct routes_host *host);
/* Takes all away, or (keep) only the routes: blackholes, exceptions and rules stay, so that
 * nothing leaves in clear until the next process is there. */
void routes_free(struct routes *r, bool keep);

void routes_configure(struct routes *r, const struct settings *settings);
bool routes_on(const struct routes *r);

/* A configured conn; again: changed. Where it has no fixed outer address of the peer, a
 * selector of all addresses gets no blackhole: it would hold the way to the peer, too. */
void routes_conn(struct routes *r, uint32_t tunnel, const struct conn *conn);
void routes_conn_gone(struct routes *r, uint32_t tunnel);

/* A CHILD_SA; `source` by family (0: IPv4, 1: IPv6), family 0: the kernel's choice. */
void routes_child(struct routes *r, uint64_t child, uint32_t tunnel, const struct ts_list *remote,
		  const struct addr *peer, const struct addr source[2]);
void routes_child_moved(struct routes *r, uint64_t child, const struct addr *peer);
void routes_child_gone(struct routes *r, uint64_t child);
/* The tunnel's device while its link is up, else 0. */
void routes_link(struct routes *r, uint32_t tunnel, int ifindex);
/* The device lost its routes (removed, set down): they are made again. */
void routes_restore(struct routes *r, uint32_t tunnel);
/* Another peer that must be reached outside of all tunnels. */
void routes_outside(struct routes *r, const struct addr *a);
/* Is it one that we made and have now? For those of a former process. */
bool routes_has(const struct routes *r, const struct netlink_route *route);
bool routes_has_rule(const struct routes *r, const struct netlink_rule *rule);
/* Those of a former process are gone: they may have taken the place of ours. */
void routes_restore_rules(struct routes *r);
/* Those that could not be set when they were to be. */
void routes_settle(struct routes *r);

#endif
