/* A checked mesh of sites: what the planner and the emitters read. Strings are
 * borrowed from the file it was made of (struct file_topology), which must outlive it. */
#ifndef DETOUR_TOPOLOGY_MODEL_H
#define DETOUR_TOPOLOGY_MODEL_H

#include "lib/addr.h"
#include "topology/file.h"

#define SITE_NAME_MAX 11 /* "tun-" and the name make an interface's name of 15 bytes */
#define LINK_KEY_MIN  16 /* characters (RFC 7296 2.15: keys that can't be guessed) */

struct site {
	const char *name;
	uint32_t as;
	struct prefix public; /* the outer address with its network's length */
	struct addr gateway;  /* on the way to the others */
	bool blackhole; /* the others drop what is for its networks when no tunnel leads there */
	unsigned n_lans;
	struct prefix *lans;
};

struct link {
	unsigned site[2]; /* indexes into sites */
	const char *key;
	uint16_t mtu; /* 0: ipsecd's choice */
};

struct topology {
	const char *name;
	struct prefix tunnels, routers; /* pools */
	const char *ike, *esp;		/* proposals; NULL: ipsecd's defaults */
	unsigned bfd_interval;		/* milliseconds */
	unsigned bfd_multiplier;
	bool bfd_dataplane;		     /* routed-bridge runs bfdd's sessions */
	const char *site_image, *host_image; /* for containerlab */
	unsigned n_sites, n_links;
	struct site *sites;
	struct link *links;
};

/* Reads the values (model.c), then the relations between them (check.c). NULL and at
 * least one problem when something is wrong. */
struct topology *topology_new(const struct file_topology *file, struct problems *problems);
void topology_free(struct topology *t);

/* Overlaps, duplicates, pools that are too small, sites that nobody can reach. `file`
 * is for the places only. */
void topology_check(const struct topology *t, struct problems *problems);

/* The names alone, when other values can't be relied on. */
void topology_check_names(const struct topology *t, struct problems *problems);
/* What works and is hardly meant: a key of two links. */
void topology_warn(const struct topology *t, struct problems *warnings);

/* The address `n` behind the prefix's first. IPv4. */
struct addr prefix_nth(const struct prefix *p, uint32_t n);
/* How many addresses an IPv4 prefix has. */
uint64_t prefix_size(const struct prefix *p);

#endif
