/* Relations between the values of a topology: what must differ, what must not overlap,
 * what must be large enough. Pure. */
#include "topology/model.h"

#include <stdlib.h>
#include <strings.h>

#define PATH 64
#define WHAT 64

/* A network of the file, with its place and what to call it. */
struct network {
	struct prefix prefix;
	char path[PATH], what[WHAT];
};

static void add_network(struct network *list, unsigned *n, const struct prefix *prefix,
			const char *path, const char *what)
{
	struct network *network = &list[(*n)++];

	network->prefix = *prefix;
	snprintf(network->path, sizeof(network->path), "%s", path);
	snprintf(network->what, sizeof(network->what), "%s", what);
}

static void add_site_networks(struct network *list, unsigned *n, const struct site *site,
			      unsigned index)
{
	char path[PATH], what[WHAT];

	snprintf(path, sizeof(path), "sites[%u].public", index);
	snprintf(what, sizeof(what), "the public network of site %s", site->name);
	add_network(list, n, &site->public, path, what);
	for (unsigned i = 0; i < site->n_lans; i++) {
		snprintf(path, sizeof(path), "sites[%u].lans[%u]", index, i);
		snprintf(what, sizeof(what), "a network of site %s", site->name);
		add_network(list, n, &site->lans[i], path, what);
	}
}

static void check_pair(struct problems *p, const struct network *a, const struct network *b)
{
	char x[PREFIX_TEXT], y[PREFIX_TEXT];

	if (prefix_overlaps(&a->prefix, &b->prefix))
		problem_add(p, b->path, "%s overlaps %s: %s, %s (line %u)", b->what, a->what,
			    prefix_format(&b->prefix, x), prefix_format(&a->prefix, y),
			    locations_find(p->where, a->path).line);
}

static void check_overlaps(const struct topology *t, struct problems *p)
{
	unsigned n = 0, max = 2;
	struct network *list;

	for (unsigned i = 0; i < t->n_sites; i++)
		max += 1 + t->sites[i].n_lans;
	list = calloc(max, sizeof(*list));
	if (!list)
		return;
	add_network(list, &n, &t->tunnels, "tunnels", "the tunnels' pool");
	add_network(list, &n, &t->routers, "routers", "the routers' pool");
	for (unsigned i = 0; i < t->n_sites; i++)
		add_site_networks(list, &n, &t->sites[i], i);
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = i + 1; j < n; j++)
			check_pair(p, &list[i], &list[j]);
	free(list);
}

static void check_same_name(const struct topology *t, unsigned a, unsigned b, struct problems *p)
{
	char path[PATH];

	snprintf(path, sizeof(path), "sites[%u].name", b);
	if (strcasecmp(t->sites[a].name, t->sites[b].name) == 0)
		problem_add(p, path, "a second site is called '%s'", t->sites[b].name);
}

static void check_same_site(const struct topology *t, unsigned a, unsigned b, struct problems *p)
{
	char path[PATH];

	check_same_name(t, a, b, p);
	snprintf(path, sizeof(path), "sites[%u].as", b);
	if (t->sites[a].as == t->sites[b].as)
		problem_add(p, path, "site %s has the AS number %u of site %s", t->sites[b].name,
			    t->sites[b].as, t->sites[a].name);
	/* Equal public addresses show as overlapping networks, too; this says it plainly. */
	snprintf(path, sizeof(path), "sites[%u].public", b);
	if (addr_equal(&t->sites[a].public.addr, &t->sites[b].public.addr))
		problem_add(p, path, "site %s has the public address of site %s", t->sites[b].name,
			    t->sites[a].name);
}

/* A gateway of an address alone may be anywhere, but not that of another site. */
static void check_gateway(const struct topology *t, unsigned a, unsigned b, struct problems *p)
{
	char path[PATH];

	snprintf(path, sizeof(path), "sites[%u].gateway", a);
	if (addr_equal(&t->sites[a].gateway, &t->sites[b].public.addr))
		problem_add(p, path, "the gateway of site %s is the public address of site %s",
			    t->sites[a].name, t->sites[b].name);
}

static bool same_ends(const struct link *a, const struct link *b)
{
	return (a->site[0] == b->site[0] && a->site[1] == b->site[1]) ||
	       (a->site[0] == b->site[1] && a->site[1] == b->site[0]);
}

static void check_links(const struct topology *t, struct problems *p)
{
	char path[PATH];

	for (unsigned b = 0; b < t->n_links; b++) {
		snprintf(path, sizeof(path), "links[%u]", b);
		for (unsigned a = 0; a < b; a++)
			if (same_ends(&t->links[a], &t->links[b]))
				problem_add(p, path, "a second link between %s and %s",
					    t->sites[t->links[b].site[0]].name,
					    t->sites[t->links[b].site[1]].name);
	}
	for (unsigned s = 0; s < t->n_sites; s++) {
		bool linked = t->n_sites == 1;

		for (unsigned i = 0; i < t->n_links; i++)
			linked |= t->links[i].site[0] == s || t->links[i].site[1] == s;
		snprintf(path, sizeof(path), "sites[%u]", s);
		if (!linked)
			problem_add(p, path, "site %s has no link", t->sites[s].name);
	}
}

static void check_pools(const struct topology *t, struct problems *p)
{
	char text[PREFIX_TEXT];

	if (prefix_size(&t->tunnels) < 2ULL * t->n_links)
		problem_add(p, "tunnels", "%s has room for %llu links, there are %u",
			    prefix_format(&t->tunnels, text),
			    (unsigned long long)prefix_size(&t->tunnels) / 2, t->n_links);
	/* The first and the last address are left out, as people expect of a network. */
	if (prefix_size(&t->routers) < t->n_sites + 2ULL)
		problem_add(p, "routers", "%s is too small for the routers of %u sites",
			    prefix_format(&t->routers, text), t->n_sites);
}

void topology_check_names(const struct topology *t, struct problems *problems)
{
	for (unsigned b = 0; b < t->n_sites; b++)
		for (unsigned a = 0; a < b; a++)
			if (t->sites[a].name[0])
				check_same_name(t, a, b, problems);
}

/* The first link before `b` with its key; `b`: there is none. */
static unsigned first_with_key_of(const struct topology *t, unsigned b)
{
	for (unsigned a = 0; a < b; a++) {
		if (strcmp(t->links[a].key, t->links[b].key) == 0)
			return a;
	}
	return b;
}

void topology_warn(const struct topology *t, struct problems *warnings)
{
	char path[PATH];

	for (unsigned b = 0; b < t->n_links; b++) {
		unsigned a = first_with_key_of(t, b), line;

		if (a == b)
			continue;
		snprintf(path, sizeof(path), "links[%u].key", a);
		line = locations_find(warnings->where, path).line;
		snprintf(path, sizeof(path), "links[%u].key", b);
		problem_add(warnings, path,
			    "warning: the key is that of another link, too (line %u): those who "
			    "have it can pose as each other",
			    line);
	}
}

void topology_check(const struct topology *t, struct problems *problems)
{
	for (unsigned b = 0; b < t->n_sites; b++)
		for (unsigned a = 0; a < b; a++)
			check_same_site(t, a, b, problems);
	for (unsigned a = 0; a < t->n_sites; a++)
		for (unsigned b = 0; b < t->n_sites; b++)
			if (a != b && t->sites[a].public.len == 32)
				check_gateway(t, a, b, problems);
	check_overlaps(t, problems);
	check_links(t, problems);
	check_pools(t, problems);
}
