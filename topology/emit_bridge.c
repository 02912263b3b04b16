/* routed-bridge.conf of one site: each peer's loopback address goes through its tunnel,
 * so that the peer's router can be reached while BGP is down. The distance is worse than
 * eBGP's 20: when the tunnel dies silently, BGP's way around wins. */
#include "topology/emit.h"

#define BRIDGE_DISTANCE 30

/* A tunnel between each two sites: there is a way around next door. */
static bool is_mesh(const struct plan *p)
{
	return p->n_links == p->n_sites * (p->n_sites - 1) / 2;
}

void emit_bridge_conf(FILE *out, const struct plan *p, unsigned site)
{
	char text[ADDR_TEXT];

	fprintf(out, "# routed-bridge at site %s, made from the topology %s\n",
		p->sites[site].site->name, p->topology->name);
	fprintf(out, "# around a dead tunnel at once, by what bgpd's peers have said\n");
	fprintf(out, "repair yes\n%sbmp " PLAN_BMP_ADDRESS ":%d\n",
		is_mesh(p) ? "" : "repair-uturn yes\n", PLAN_BMP_PORT);
	fprintf(out, "type nhrp\ntag %d\ndistance %d\n", PLAN_TAG, BRIDGE_DISTANCE);
	if (p->topology->bfd_dataplane)
		fprintf(out, "# instead of bfdd, which waits for it there\nbfd-dplane %s\n",
			PLAN_BFD_SOCKET);
	for (unsigned i = 0; i < p->n_links; i++) {
		const struct plan_link *link = &p->links[i];
		int end = plan_end_at(link, site);

		if (end < 0)
			continue;
		fprintf(out, "\nconn %s\n\tinterface %s\n\tprefix %s/32\n", link->name,
			link->end[end].interface,
			addr_format(&p->sites[link->end[1 - end].site].router, text));
	}
}
