/* ipsec.conf and ipsec.secrets of one site. */
#include "topology/emit.h"

static void emit_defaults(FILE *out, const struct plan *p, const struct plan_site *s)
{
	char text[ADDR_TEXT];

	fprintf(out, "conn %%default\n\tkeyexchange=ikev2\n\tauthby=secret\n");
	if (p->topology->ike)
		fprintf(out, "\tike=%s\n", p->topology->ike);
	if (p->topology->esp)
		fprintf(out, "\tesp=%s\n", p->topology->esp);
	fprintf(out, "\tleft=%s\n", addr_format(&s->site->public.addr, text));
	fprintf(out, "\tleftid=@%s\n", s->id);
	fprintf(out, "\tleftsubnet=0.0.0.0/0\n\trightsubnet=0.0.0.0/0\n");
	fprintf(out, "\tdpdaction=restart\n\tkeyingtries=%%forever\n\tauto=start\n");
}

static void emit_conn(FILE *out, const struct plan *p, const struct plan_link *link, int end)
{
	const struct plan_site *peer = &p->sites[link->end[1 - end].site];
	char text[PREFIX_TEXT];

	fprintf(out, "\n# to %s, AS %u\nconn %s\n", peer->site->name, peer->site->as, link->name);
	fprintf(out, "\tright=%s\n", addr_format(&peer->site->public.addr, text));
	fprintf(out, "\trightid=@%s\n", peer->id);
	fprintf(out, "\tinterface=%s\n", link->end[end].interface);
	fprintf(out, "\tinterface-ip=%s\n", prefix_format(&link->end[end].address, text));
	if (link->mtu)
		fprintf(out, "\tmtu=%u\n", link->mtu);
}

void emit_ipsec_conf(FILE *out, const struct plan *p, unsigned site)
{
	const struct plan_site *s = &p->sites[site];

	fprintf(out, "# ipsecd at site %s, made from the topology %s\n\n", s->site->name,
		p->topology->name);
	emit_defaults(out, p, s);
	for (unsigned i = 0; i < p->n_links; i++) {
		int end = plan_end_at(&p->links[i], site);

		if (end >= 0)
			emit_conn(out, p, &p->links[i], end);
	}
}

void emit_ipsec_secrets(FILE *out, const struct plan *p, unsigned site)
{
	fprintf(out, "# pre-shared keys of site %s, made from the topology %s\n",
		p->sites[site].site->name, p->topology->name);
	for (unsigned i = 0; i < p->n_links; i++) {
		int end = plan_end_at(&p->links[i], site);

		if (end < 0)
			continue;
		fprintf(out, "@%s @%s : PSK \"%s\"\n", p->sites[site].id,
			p->sites[p->links[i].end[1 - end].site].id, p->links[i].key);
	}
}
