/* The plan of a mesh (see plan.h). Pure. */
#include "topology/plan.h"

#include <stdlib.h>

static void plan_lans(const struct plan_site *s)
{
	for (unsigned i = 0; i < s->n_lans; i++) {
		const struct prefix *lan = &s->site->lans[i];
		struct plan_lan *to = &s->lans[i];

		to->router = (struct prefix){prefix_nth(lan, 1), lan->len};
		to->host = (struct prefix){prefix_nth(lan, 2), lan->len};
		snprintf(to->interface, sizeof(to->interface), "eth%u", i + 2);
		if (i == 0)
			snprintf(to->host_name, sizeof(to->host_name), "host-%s", s->site->name);
		else
			snprintf(to->host_name, sizeof(to->host_name), "host-%s-%u", s->site->name,
				 i + 1);
	}
}

static bool plan_site(const struct topology *t, unsigned n, struct plan_site *to)
{
	to->site = &t->sites[n];
	to->router = prefix_nth(&t->routers, n + 1);
	snprintf(to->id, sizeof(to->id), "%s.%s", to->site->name, t->name);
	snprintf(to->outer, sizeof(to->outer), "eth1");
	snprintf(to->internet_side, sizeof(to->internet_side), "eth%u", n + 1);
	to->n_lans = to->site->n_lans;
	to->lans = calloc(to->n_lans + 1, sizeof(*to->lans));
	if (to->lans)
		plan_lans(to);
	return to->lans != NULL;
}

static void plan_link(const struct topology *t, unsigned n, struct plan_link *to)
{
	const struct link *from = &t->links[n];

	to->key = from->key;
	to->mtu = from->mtu;
	snprintf(to->name, sizeof(to->name), "%s-%s", t->sites[from->site[0]].name,
		 t->sites[from->site[1]].name);
	for (unsigned i = 0; i < 2; i++) {
		to->end[i].site = from->site[i];
		to->end[i].address = (struct prefix){prefix_nth(&t->tunnels, 2 * n + i), 31};
		snprintf(to->end[i].interface, sizeof(to->end[i].interface), "tun-%.*s",
			 SITE_NAME_MAX, t->sites[from->site[1 - i]].name);
	}
}

struct plan *plan_new(const struct topology *t)
{
	struct plan *p = calloc(1, sizeof(*p));
	bool ok;

	if (!p)
		return NULL;
	p->topology = t;
	p->n_sites = t->n_sites;
	p->n_links = t->n_links;
	p->sites = calloc(t->n_sites + 1, sizeof(*p->sites));
	p->links = calloc(t->n_links + 1, sizeof(*p->links));
	ok = p->sites && p->links;
	for (unsigned i = 0; ok && i < t->n_sites; i++)
		ok = plan_site(t, i, &p->sites[i]);
	for (unsigned i = 0; ok && i < t->n_links; i++)
		plan_link(t, i, &p->links[i]);
	if (ok)
		return p;
	plan_free(p);
	return NULL;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (unsigned i = 0; p->sites && i < p->n_sites; i++)
		free(p->sites[i].lans);
	free(p->sites);
	free(p->links);
	free(p);
}

int plan_end_at(const struct plan_link *link, unsigned site)
{
	if (link->end[0].site == site)
		return 0;
	return link->end[1].site == site ? 1 : -1;
}

/* Spreads from each reached site over the links until nothing new is reached. */
static unsigned spread(const struct plan *p, bool *reached, unsigned without_site,
		       unsigned without_link)
{
	unsigned added = 0;

	for (unsigned i = 0; i < p->n_links; i++) {
		unsigned a = p->links[i].end[0].site, b = p->links[i].end[1].site;

		if (i == without_link || a == without_site || b == without_site ||
		    reached[a] == reached[b])
			continue;
		reached[a] = reached[b] = true;
		added++;
	}
	return added;
}

bool plan_connected(const struct plan *p, unsigned without_site, unsigned without_link)
{
	bool *reached = calloc(p->n_sites + 1, sizeof(*reached));
	unsigned start = without_site == 0 ? 1 : 0;
	unsigned wanted = p->n_sites - (without_site < p->n_sites), count = 1, added;

	if (!reached)
		return false;
	reached[start] = true;
	while ((added = spread(p, reached, without_site, without_link)))
		count += added;
	free(reached);
	return count >= wanted;
}
