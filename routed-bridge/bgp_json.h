/* bgpd's answers to `show bgp neighbors json` and `show bgp ipv4|ipv6 unicast json`, into the
 * table of paths: what BMP tells where it is switched on. Pure, but for the memory that the
 * JSON library takes. */
#ifndef DETOUR_BGP_JSON_H
#define DETOUR_BGP_JSON_H

#include "routed-bridge/paths.h"

/* The sessions that are established come up in the table; the others stay as they are (see
 * paths_resync_peers). false, and nothing done: it is no JSON object. */
bool bgp_json_neighbors(struct paths *p, struct span text);
/* The valid paths of peers that are up. false, and nothing done: no such answer. */
bool bgp_json_routes(struct paths *p, struct span text, uint8_t family);
/* "65003 65002 {1,2}" as bgpd writes an AS_PATH; false for anything else, or more numbers
 * than max. The list is the caller's, its pointer goes into `out`. */
bool bgp_json_as_path(const char *text, uint32_t *list, size_t max, struct path_attrs *out);

#endif
