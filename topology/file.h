/* A topology file as it was written: strings, unchecked, as libcyaml loads them.
 * Missing values are NULL. */
#ifndef DETOUR_TOPOLOGY_FILE_H
#define DETOUR_TOPOLOGY_FILE_H

#include "topology/problem.h"

struct file_site {
	char *name;
	char *as;
	char *public;
	char *gateway;
	char *blackhole;
	char **lans;
	unsigned lans_count;
};

struct file_link {
	char **between;
	unsigned between_count;
	char *key;
	char *mtu;
};

struct file_bfd {
	char *interval;
	char *multiplier;
	char *dataplane;
};

struct file_images {
	char *site;
	char *host;
};

struct file_topology {
	char *name;
	char *tunnels;
	char *routers;
	char *ike;
	char *esp;
	char *mtu;
	char *blackhole;
	struct file_bfd *bfd;
	struct file_images *images;
	struct file_site *sites;
	unsigned sites_count;
	struct file_link *links;
	unsigned links_count;
};

/* NULL when it is not YAML, has an unknown key or a value of the wrong shape: then
 * `problems` says so. Fills `where` in any case. */
struct file_topology *file_load(struct span text, struct locations *where,
				struct problems *problems);
void file_free(struct file_topology *file);

#endif
