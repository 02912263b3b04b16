/* What follows from a topology: names, addresses and identities that nobody writes by
 * hand. Pure: the same topology gives the same plan. Numbers go by the order in the file,
 * so a site or link that is appended changes nothing that was there. */
#ifndef DETOUR_TOPOLOGY_PLAN_H
#define DETOUR_TOPOLOGY_PLAN_H

#include "topology/model.h"

#include <net/if.h>

#define LINK_NAME_MAX	 (2 * SITE_NAME_MAX + 1)
#define PLAN_BFD_SOCKET	 "/var/run/frr/bfd-dplane.sock"
#define PLAN_TAG	 500	     /* of routed-bridge's routes, for route-maps */
#define PLAN_BMP_ADDRESS "127.0.0.1" /* where routed-bridge waits for bgpd */
#define PLAN_BMP_PORT	 17900

/* One site's end of a link. */
struct plan_end {
	unsigned site;		     /* index into plan.sites */
	struct prefix address;	     /* inside the tunnel, a /31 (RFC 3021) */
	char interface[IF_NAMESIZE]; /* tun-PEER */
};

struct plan_link {
	char name[LINK_NAME_MAX + 1]; /* A-B; the connection's name on both sides */
	struct plan_end end[2];
	const char *key;
	uint16_t mtu; /* 0: ipsecd's choice */
};

struct plan_lan {
	struct prefix router, host;  /* addresses with the network's length */
	char interface[IF_NAMESIZE]; /* the router's, in the lab */
	char host_name[SITE_NAME_MAX + 16];
};

struct plan_site {
	const struct site *site;
	struct addr router;		 /* loopback address and BGP identifier */
	char id[SITE_NAME_MAX + 40];	 /* IKE identity, an FQDN */
	char outer[IF_NAMESIZE];	 /* the public interface, in the lab */
	char internet_side[IF_NAMESIZE]; /* its other end */
	unsigned n_lans;
	struct plan_lan *lans;
};

struct plan {
	const struct topology *topology;
	unsigned n_sites, n_links;
	struct plan_site *sites;
	struct plan_link *links;
};

/* NULL when out of memory. Borrows from the topology. */
struct plan *plan_new(const struct topology *t);
void plan_free(struct plan *p);

/* The end of `link` at `site`, 0 or 1; -1 when the link does not touch the site. */
int plan_end_at(const struct plan_link *link, unsigned site);

/* ---- what the mesh survives ---- */

/* Are all sites but `without_site` joined by the links but `without_link`? Pass the
 * number of sites or links for "none". */
bool plan_connected(const struct plan *p, unsigned without_site, unsigned without_link);

#endif
