/* What this machine's own addresses are, and which one it would use towards a peer. */
#ifndef DETOUR_SOURCE_H
#define DETOUR_SOURCE_H

#include "lib/addr.h"

/* The addresses of all interfaces of this machine (or network namespace) at the moment of
 * reading: one question to the kernel, however many addresses are looked up in it. */
struct source_addrs;
struct netlink;

struct source_addrs *source_addrs_read(void); /* NULL: errno says why */
/* The same, by a socket that is open already. */
struct source_addrs *source_addrs_read_by(struct netlink *nl);
void source_addrs_free(struct source_addrs *s);
bool source_addrs_has(const struct source_addrs *s, const struct addr *a); /* NULL: false */
/* The first one that `match` takes. */
bool source_addrs_find(const struct source_addrs *s, bool (*match)(void *ctx, const struct addr *a),
		       void *ctx, struct addr *out);
/* The source address that the kernel's routes give towards `remote`, out of the device or by the
 * VRF that it is ("": by the default VRF); false: no route. */
bool source_towards(struct netlink *nl, const struct addr *remote, const char *device,
		    struct addr *out);

#endif
