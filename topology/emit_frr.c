/* frr.conf and FRR's list of daemons for one site: eBGP over every tunnel between the
 * two addresses of its /31, BFD beside it. The why of each line: docs/routed-bridge.md
 * and docs/labs.md. Written for FRR 8.4. */
#include "topology/emit.h"

#define HOLD_TIME      9 /* seconds; BFD and the tunnel's link state are far quicker */
#define KEEPALIVE_TIME 3
#define LAST_DISTANCE  254 /* behind everything that leads there (255: never used) */

static void emit_head(FILE *out, const struct plan *p, const struct plan_site *s)
{
	char text[ADDR_TEXT];

	fprintf(out, "! FRR at site %s, made from the topology %s\n", s->site->name,
		p->topology->name);
	fprintf(out, "frr defaults traditional\nhostname %s\n", s->site->name);
	fprintf(out, "! routes reach the kernel at once, not 10 ms later\n");
	fprintf(out, "zebra work-queue 0\n");
	fprintf(out, "! a default route must not hide that a peer is gone\n");
	fprintf(out, "no ip nht resolve-via-default\n!\n");
	fprintf(out, "interface lo\n ip address %s/32\nexit\n!\n", addr_format(&s->router, text));
}

/* Without a way to a site, what is for it would take the default route, in clear. */
static void emit_blackholes(FILE *out, const struct plan *p, unsigned site)
{
	char text[PREFIX_TEXT];
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_sites; i++) {
		const struct plan_site *s = &p->sites[i];

		if (i == site || !s->site->blackhole)
			continue;
		if (n++ == 0)
			fprintf(out, "! without a tunnel there, it is dropped and not sent in "
				     "clear\n");
		for (unsigned k = 0; k < s->n_lans; k++)
			fprintf(out, "ip route %s blackhole %d\n",
				prefix_format(&s->site->lans[k], text), LAST_DISTANCE);
		fprintf(out, "ip route %s/32 blackhole %d\n", addr_format(&s->router, text),
			LAST_DISTANCE);
	}
	if (n)
		fprintf(out, "!\n");
}

static void emit_neighbor(FILE *out, const struct plan *p, const struct plan_link *link, int end)
{
	const struct plan_site *peer = &p->sites[link->end[1 - end].site];
	char n[ADDR_TEXT];

	addr_format(&link->end[1 - end].address.addr, n);
	fprintf(out, " neighbor %s remote-as %u\n", n, peer->site->as);
	fprintf(out, " neighbor %s description %s over %s\n", n, peer->site->name,
		link->end[end].interface);
	fprintf(out, " neighbor %s bfd\n neighbor %s bfd profile tunnel\n", n, n);
	fprintf(out, " neighbor %s timers connect 1\n", n);
}

static void emit_family(FILE *out, const struct plan_site *s)
{
	char text[PREFIX_TEXT];

	fprintf(out, " !\n address-family ipv4 unicast\n");
	for (unsigned i = 0; i < s->n_lans; i++)
		fprintf(out, "  network %s\n", prefix_format(&s->site->lans[i], text));
	fprintf(out, "  network %s/32\n", addr_format(&s->router, text));
	fprintf(out,
		"  redistribute nhrp route-map tunnel-routes\n exit-address-family\nexit\n!\n");
}

/* What each peer has said goes to routed-bridge as it comes (RFC 7854), as our policy left it:
 * these are its ways around a dead tunnel. */
static void emit_bmp(FILE *out)
{
	fprintf(out, " !\n bmp targets routed-bridge\n");
	fprintf(out, "  bmp connect " PLAN_BMP_ADDRESS " port %d min-retry 100 max-retry 1000\n",
		PLAN_BMP_PORT);
	fprintf(out, "  bmp monitor ipv4 unicast post-policy\n"
		     "  bmp monitor ipv6 unicast post-policy\n exit\n");
}

/* What is redistributed has weight 32768 and counts as local, so that bgpd would prefer it
 * to what the peer itself says and never install the latter. */
static void emit_route_map(FILE *out)
{
	fprintf(out, "! routed-bridge's routes and nobody else's; what peers say is preferred\n");
	fprintf(out, "route-map tunnel-routes permit 10\n match tag %d\n", PLAN_TAG);
	fprintf(out, " set weight 0\n set local-preference 50\nexit\n!\n");
}

void emit_frr_conf(FILE *out, const struct plan *p, unsigned site)
{
	const struct plan_site *s = &p->sites[site];
	char text[ADDR_TEXT];

	emit_head(out, p, s);
	emit_blackholes(out, p, site);
	emit_route_map(out); /* first: vtysh complains of one that is not there yet */
	fprintf(out, "router bgp %u\n bgp router-id %s\n", s->site->as,
		addr_format(&s->router, text));
	fprintf(out, " bgp log-neighbor-changes\n no bgp ebgp-requires-policy\n timers bgp %d %d\n",
		KEEPALIVE_TIME, HOLD_TIME);
	for (unsigned i = 0; i < p->n_links; i++) {
		int end = plan_end_at(&p->links[i], site);

		if (end >= 0)
			emit_neighbor(out, p, &p->links[i], end);
	}
	emit_bmp(out);
	emit_family(out, s);
	fprintf(out,
		"bfd\n profile tunnel\n  detect-multiplier %u\n  transmit-interval %u\n"
		"  receive-interval %u\n exit\nexit\n!\nend\n",
		p->topology->bfd_multiplier, p->topology->bfd_interval, p->topology->bfd_interval);
}

void emit_frr_daemons(FILE *out, const struct plan *p, unsigned site)
{
	fprintf(out, "# FRR's daemons at site %s, made from the topology %s\n",
		p->sites[site].site->name, p->topology->name);
	fprintf(out, "bgpd=yes\nbfdd=yes\nstaticd=yes\nvtysh_enable=yes\n");
	fprintf(out, "zebra_options=\"-A 127.0.0.1 -s 90000000 --v6-rr-semantics\"\n");
	fprintf(out, "# bmp: what bgpd hears goes to routed-bridge, too\n");
	fprintf(out, "bgpd_options=\"-A 127.0.0.1 -M bmp\"\n");
	fprintf(out, "bfdd_options=\"-A 127.0.0.1%s\"\n",
		p->topology->bfd_dataplane ? " --dplaneaddr unix:" PLAN_BFD_SOCKET : "");
}
