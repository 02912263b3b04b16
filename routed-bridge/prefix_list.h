/* What bgpd says of a prefix list (show ip prefix-list NAME), and the commands that make it have
 * certain addresses and no others. Pure. */
#ifndef DETOUR_PREFIX_LIST_H
#define DETOUR_PREFIX_LIST_H

#include "lib/addr.h"
#include "lib/span.h"

#define PREFIX_LIST_ADDRS_MAX 1024
#define PREFIX_LIST_COMMAND   160

struct prefix_list_addrs {
	uint32_t n;
	struct addr list[PREFIX_LIST_ADDRS_MAX];
};

/* false: no room. One that is there already is not added. */
bool prefix_list_add(struct prefix_list_addrs *l, const struct addr *a);
/* The host addresses of the lines with `permit`; others are left alone. */
void prefix_list_read(struct span text, uint8_t family, struct prefix_list_addrs *out);
/* The next command that makes `is` more like `wanted`, and notes it in `is`; false: they are the
 * same in this family. */
bool prefix_list_command(const char *name, uint8_t family, struct prefix_list_addrs *is,
			 const struct prefix_list_addrs *wanted, char out[PREFIX_LIST_COMMAND]);

#endif
