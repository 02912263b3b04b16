/* Virtual addresses that peers gave us, on a device of this machine: the tunnel's, or the
 * one that install-virtual-ip-on names. Where install-virtual-ip is off they are only
 * remembered: scripts and routes want to know them. */
#ifndef DETOUR_VIPS_H
#define DETOUR_VIPS_H

#include "ipsecd/model/settings.h"
#include "ipsecd/tunnel.h"

struct means;
struct vips;

struct vips *vips_new(struct means *means, struct tunnels *tunnels, const struct log_sink *log);
void vips_free(struct vips *v); /* off the named device; the tunnels' are the tunnels' */

void vips_configure(struct vips *v, const struct settings *settings);
/* All that the tunnel has now. */
void vips_set(struct vips *v, uint32_t tunnel, const struct addr *addrs, unsigned n);
/* The first of the family, NULL if there is none. */
const struct addr *vips_of(const struct vips *v, uint32_t tunnel, uint8_t family);
bool vips_have(const struct vips *v, const struct addr *a);

#endif
