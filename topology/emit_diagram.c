/* Two views for people: the mesh as a Mermaid diagram, and which failures it survives. */
#include "topology/emit.h"

void emit_diagram(FILE *out, const struct plan *p)
{
	char text[PREFIX_TEXT];

	fprintf(out, "%%%% made from the topology %s\ngraph LR\n", p->topology->name);
	for (unsigned i = 0; i < p->n_sites; i++) {
		const struct plan_site *s = &p->sites[i];

		fprintf(out, "  s%u[\"%s<br/>AS %u<br/>%s", i, s->site->name, s->site->as,
			addr_format(&s->site->public.addr, text));
		for (unsigned n = 0; n < s->n_lans; n++)
			fprintf(out, "<br/>%s", prefix_format(&s->site->lans[n], text));
		fprintf(out, "\"]\n");
	}
	for (unsigned i = 0; i < p->n_links; i++)
		fprintf(out, "  s%u ---|\"%s %s\"| s%u\n", p->links[i].end[0].site,
			p->links[i].name, prefix_format(&p->links[i].end[0].address, text),
			p->links[i].end[1].site);
}

static void emit_verdict(FILE *out, const char *what, unsigned failures)
{
	if (failures)
		fprintf(out, "%s: not survived, see above\n", what);
	else
		fprintf(out, "%s: survived, every site still reaches every other\n", what);
}

/* What becomes of traffic for a site that no tunnel leads to. */
static void emit_stranded(FILE *out, const struct plan *p)
{
	unsigned clear = 0;

	for (unsigned i = 0; i < p->n_sites; i++) {
		if (p->sites[i].site->blackhole)
			continue;
		fprintf(out,
			"without a way to site %s: sent in clear where a default route leads\n",
			p->sites[i].site->name);
		clear++;
	}
	if (clear < p->n_sites)
		fprintf(out, "without a way to %s site: dropped, not sent in clear\n",
			clear ? "any other" : "a");
}

void emit_survival(FILE *out, const struct plan *p)
{
	unsigned links = 0, sites = 0;

	for (unsigned i = 0; i < p->n_links; i++) {
		if (plan_connected(p, p->n_sites, i))
			continue;
		fprintf(out, "loss of link %s parts the mesh\n", p->links[i].name);
		links++;
	}
	for (unsigned i = 0; i < p->n_sites && p->n_sites > 2; i++) {
		if (plan_connected(p, i, p->n_links))
			continue;
		fprintf(out, "loss of site %s parts the others\n", p->sites[i].site->name);
		sites++;
	}
	emit_verdict(out, "loss of any one link", links);
	emit_verdict(out, "loss of any one site", sites);
	emit_stranded(out, p);
}
