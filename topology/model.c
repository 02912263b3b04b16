/* From strings to values: every value is checked by itself and refused with its place,
 * what it is and what was expected. Relations between values: check.c. */
#include "topology/model.h"
#include "lib/buf.h"
#include "lib/words.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#define PATH	       64	   /* of a site or link */
#define AT	       (PATH + 32) /* of a value in it */

#define BFD_INTERVAL   50 /* ms; with multiplier 3 a silent cut is noticed in 150 ms */
#define BFD_MULTIPLIER 3

struct addr prefix_nth(const struct prefix *p, uint32_t n)
{
	struct addr a = prefix_mask(p).addr;

	be32_set(a.bytes, be32_get(a.bytes) + n);
	return a;
}

uint64_t prefix_size(const struct prefix *p)
{
	return 1ULL << (32 - p->len);
}

/* ---- single values ---- */

static bool name_ok(const char *name, size_t max)
{
	size_t n = strlen(name);

	if (!n || n > max || !isalpha((unsigned char)name[0]) || name[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '-')
			return false;
	return true;
}

static bool read_number(struct problems *p, const char *path, const char *what, const char *text,
			uint64_t min, uint64_t max, uint64_t *out)
{
	if (words_parse_number(text, max, out) && *out >= min)
		return true;
	problem_add(p, path, "%s '%s': expected a number from %llu to %llu", what, text,
		    (unsigned long long)min, (unsigned long long)max);
	return false;
}

/* An IPv4 prefix; `host_bits`: an address of the network stands before the slash. */
static bool read_prefix(struct problems *p, const char *path, const char *what, const char *text,
			bool host_bits, struct prefix *out)
{
	struct prefix masked;
	char shown[PREFIX_TEXT];

	if (!text) {
		problem_add(p, path, "%s is missing", what);
		return false;
	}
	if (!strchr(text, '/') || !prefix_parse(text, out) || out->addr.family != AF_INET) {
		problem_add(p, path, "%s '%s': expected an IPv4 %s such as %s", what, text,
			    host_bits ? "address with its network's length" : "network",
			    host_bits ? "192.0.2.2/24" : "10.1.0.0/24");
		return false;
	}
	masked = prefix_mask(out);
	if (host_bits == prefix_equal(&masked, out)) {
		problem_add(p, path,
			    host_bits ? "%s '%s' is the network's own address, a host's is needed"
				      : "%s '%s' has host bits set, the network is %s",
			    what, text, prefix_format(&masked, shown));
		return false;
	}
	return true;
}

static void read_switch(struct problems *p, const char *path, const char *what, const char *text,
			bool *out)
{
	if (text && !words_parse_bool(text, out))
		problem_add(p, path, "%s '%s': expected yes or no", what, text);
}

/* ---- sites ---- */

/* With its network's length; or alone, as hosters give it (/32), or with one other (/31, RFC
 * 3021), where no address is the network's. */
static bool read_public(struct problems *p, const char *path, const char *what, const char *text,
			struct prefix *out)
{
	bool alone = text && strchr(text, '/') && prefix_parse(text, out) &&
		     out->addr.family == AF_INET && out->len >= 31;

	if (!alone && !read_prefix(p, path, what, text, true, out))
		return false;
	if (!addr_is_any(&out->addr) && !addr_is_loopback(&out->addr) &&
	    !addr_is_multicast(&out->addr))
		return true;
	problem_add(p, path, "%s '%s' is none that a router can have", what, text);
	return false;
}

static struct addr first_gateway(const struct prefix *public)
{
	struct addr first = prefix_nth(public, 0);
	bool is_second = public->len == 31 && !addr_equal(&first, &public->addr);

	return is_second ? first : prefix_nth(public, 1);
}

static bool is_gateway(const struct site *s, const char *text, struct addr *out)
{
	return addr_parse(text, out) && out->family == AF_INET &&
	       (s->public.len == 32 || prefix_contains(&s->public, out));
}

static void read_gateway(struct problems *p, const char *path, const struct file_site *from,
			 struct site *to)
{
	char at[AT];

	snprintf(at, sizeof(at), "%s.gateway", path);
	if (!from->gateway && to->public.len == 32) {
		problem_add(p, path,
			    "site %s has a public address without a network around it (/32): "
			    "name the way out with 'gateway'",
			    to->name);
		return;
	}
	to->gateway = first_gateway(&to->public);
	if (from->gateway && !is_gateway(to, from->gateway, &to->gateway))
		problem_add(p, at, "gateway '%s' of site %s: expected an %s%s", from->gateway,
			    to->name,
			    to->public.len == 32 ? "IPv4 address" : "address in the network of ",
			    to->public.len == 32 ? "" : from->public);
	else if (addr_equal(&to->gateway, &to->public.addr))
		problem_add(p, path,
			    "site %s has its gateway's address; name another with 'gateway'",
			    to->name);
}

static void read_lans(struct problems *p, const char *path, const struct file_site *from,
		      struct site *to)
{
	char at[AT], what[PATH];

	if (!from->lans_count)
		problem_add(p, path, "site %s has no networks ('lans')", to->name);
	to->lans = calloc(from->lans_count + 1, sizeof(*to->lans));
	snprintf(what, sizeof(what), "network of site %s", to->name);
	for (unsigned i = 0; to->lans && i < from->lans_count; i++) {
		snprintf(at, sizeof(at), "%s.lans[%u]", path, i);
		if (!read_prefix(p, at, what, from->lans[i], false, &to->lans[i]))
			continue;
		if (to->lans[i].len > 30)
			problem_add(p, at, "%s '%s' has no room for a router and a host", what,
				    from->lans[i]);
		to->n_lans = i + 1;
	}
}

/* Nodes of the containerlab file that are no sites. */
static bool name_taken(const char *name)
{
	return strcasecmp(name, "internet") == 0 || strncasecmp(name, "host-", 5) == 0;
}

static void read_site(struct problems *p, unsigned n, const struct file_site *from, struct site *to)
{
	char path[PATH], at[AT], what[PATH];
	uint64_t as = 0;

	snprintf(path, sizeof(path), "sites[%u]", n);
	to->name = from->name ? from->name : "";
	snprintf(at, sizeof(at), "%s.name", path);
	if (!from->name)
		problem_add(p, path, "the site has no name");
	else if (strlen(from->name) > SITE_NAME_MAX)
		problem_add(p, at,
			    "site name '%s' has %zu characters; %d fit, as the tunnels' "
			    "interfaces are called tun-NAME",
			    from->name, strlen(from->name), SITE_NAME_MAX);
	else if (!name_ok(from->name, SITE_NAME_MAX))
		problem_add(p, at,
			    "site name '%s': expected letters, digits and '-', a letter first",
			    from->name);
	else if (name_taken(from->name))
		problem_add(p, at, "site name '%s' is taken: the lab has a node of that name",
			    from->name);
	snprintf(at, sizeof(at), "%s.as", path);
	if (!from->as)
		problem_add(p, path, "site %s has no AS number ('as')", to->name);
	else if (read_number(p, at, "AS number", from->as, 1, 4294967294, &as))
		to->as = (uint32_t)as;
	snprintf(at, sizeof(at), "%s.public", path);
	snprintf(what, sizeof(what), "public address of site %s", to->name);
	if (read_public(p, at, what, from->public, &to->public))
		read_gateway(p, path, from, to);
	snprintf(at, sizeof(at), "%s.blackhole", path);
	read_switch(p, at, "blackhole", from->blackhole, &to->blackhole);
	read_lans(p, path, from, to);
}

/* ---- links ---- */

static const char *nearest_site(const struct topology *t, const char *name)
{
	const char **names = calloc(t->n_sites + 1, sizeof(*names));
	const char *near = NULL;

	for (unsigned i = 0; names && i < t->n_sites; i++)
		names[i] = t->sites[i].name;
	if (names)
		near = words_nearest(name, names);
	free(names);
	return near;
}

static void read_end(struct problems *p, const struct topology *t, const char *path,
		     const char *name, unsigned *out)
{
	const char *near;

	for (unsigned i = 0; i < t->n_sites; i++) {
		if (strcmp(t->sites[i].name, name) == 0) {
			*out = i;
			return;
		}
	}
	near = nearest_site(t, name);
	problem_add(p, path,
		    near ? "no site is called '%s'; did you mean '%s'?" : "no site is called '%s'",
		    name, near);
}

static void read_key(struct problems *p, const char *path, const struct file_link *from)
{
	char at[AT];

	snprintf(at, sizeof(at), "%s.key", path);
	if (!from->key) {
		problem_add(p, path, "the link has no key");
		return;
	}
	/* The key itself is not shown. */
	if (strlen(from->key) < LINK_KEY_MIN)
		problem_add(p, at, "the key has %zu characters, at least %d are needed",
			    strlen(from->key), LINK_KEY_MIN);
	for (const char *c = from->key; *c; c++) {
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~' || *c == '"' || *c == '\\') {
			problem_add(p, at,
				    "character %zu of the key can't stand in ipsec.secrets: "
				    "expected printable ASCII without '\"' and '\\'",
				    (size_t)(c - from->key) + 1);
			break;
		}
	}
}

static void read_mtu(struct problems *p, const char *path, const char *text, uint16_t *out)
{
	uint64_t mtu;

	if (text && read_number(p, path, "MTU", text, 576, 9000, &mtu))
		*out = (uint16_t)mtu;
}

static void read_link(struct problems *p, const struct topology *t, unsigned n,
		      const struct file_link *from, struct link *to)
{
	char path[PATH], at[AT];

	snprintf(path, sizeof(path), "links[%u]", n);
	to->site[0] = to->site[1] = t->n_sites;
	for (unsigned i = 0; from->between_count == 2 && i < 2; i++) {
		snprintf(at, sizeof(at), "%s.between[%u]", path, i);
		read_end(p, t, at, from->between[i], &to->site[i]);
	}
	snprintf(at, sizeof(at), "%s.between", path);
	if (from->between_count != 2)
		problem_add(p, from->between ? at : path,
			    "a link is between two sites ('between: [A, B]'), this one names %u",
			    from->between_count);
	else if (to->site[0] == to->site[1] && to->site[0] < t->n_sites)
		problem_add(p, at, "a link between site %s and itself", from->between[0]);
	read_key(p, path, from);
	to->key = from->key;
	snprintf(at, sizeof(at), "%s.mtu", path);
	read_mtu(p, at, from->mtu, &to->mtu);
}

/* ---- all ---- */

static void read_bfd(struct problems *p, const struct file_bfd *from, struct topology *to)
{
	uint64_t n;

	to->bfd_interval = BFD_INTERVAL;
	to->bfd_multiplier = BFD_MULTIPLIER;
	if (from && from->interval &&
	    read_number(p, "bfd.interval", "BFD interval in milliseconds", from->interval, 10,
			4294967, &n))
		to->bfd_interval = (unsigned)n;
	if (from && from->multiplier &&
	    read_number(p, "bfd.multiplier", "BFD multiplier", from->multiplier, 2, 255, &n))
		to->bfd_multiplier = (unsigned)n;
	if (from)
		read_switch(p, "bfd.dataplane", "BFD data plane", from->dataplane,
			    &to->bfd_dataplane);
}

static void read_top(struct problems *p, const struct file_topology *from, struct topology *to)
{
	to->name = from->name ? from->name : "";
	if (!from->name)
		problem_add(p, "", "the topology has no name");
	else if (!name_ok(from->name, 32))
		problem_add(
			p, "name",
			"name '%s': expected at most 32 letters, digits and '-', a letter first",
			from->name);
	read_prefix(p, "tunnels", "the tunnels' pool ('tunnels')", from->tunnels, false,
		    &to->tunnels);
	read_prefix(p, "routers", "the routers' pool ('routers')", from->routers, false,
		    &to->routers);
	to->ike = from->ike;
	to->esp = from->esp;
	read_bfd(p, from->bfd, to);
	to->site_image = from->images && from->images->site ? from->images->site : "detour:latest";
	to->host_image = from->images && from->images->host ? from->images->host : "alpine:3";
	if (!from->sites_count)
		problem_add(p, "", "the topology has no sites");
}

struct topology *topology_new(const struct file_topology *file, struct problems *problems)
{
	struct topology *t = calloc(1, sizeof(*t));
	bool blackhole = true;
	uint16_t mtu = 0;

	if (!t)
		return NULL;
	read_top(problems, file, t);
	read_switch(problems, "blackhole", "blackhole", file->blackhole, &blackhole);
	read_mtu(problems, "mtu", file->mtu, &mtu);
	t->sites = calloc(file->sites_count + 1, sizeof(*t->sites));
	t->links = calloc(file->links_count + 1, sizeof(*t->links));
	for (unsigned i = 0; t->sites && i < file->sites_count; i++) {
		t->n_sites = i + 1;
		t->sites[i].blackhole = blackhole;
		read_site(problems, i, &file->sites[i], &t->sites[i]);
	}
	for (unsigned i = 0; t->links && i < file->links_count; i++) {
		t->n_links = i + 1;
		t->links[i].mtu = mtu;
		read_link(problems, t, i, &file->links[i], &t->links[i]);
	}
	if (problems->n)
		topology_check_names(t, problems);
	else
		topology_check(t, problems);
	if (!problems->n)
		return t;
	topology_free(t);
	return NULL;
}

void topology_free(struct topology *t)
{
	if (!t)
		return;
	for (unsigned i = 0; t->sites && i < t->n_sites; i++)
		free(t->sites[i].lans);
	free(t->sites);
	free(t->links);
	free(t);
}
