/* What zebra answers to `show ip route PREFIX json` (`show ipv6 route ...`). Pure. `ours` is our
 * type, as bridge_type_format has it. */
#ifndef DETOUR_REPAIR_JSON_H
#define DETOUR_REPAIR_JSON_H

#include "routed-bridge/repair.h"

/* The entry that zebra would select if ours were not there: the active
 * one with the best distance. out->valid is false for what is no such answer. Entries of
 * blackholes count as none. */
void repair_json_read(struct span text, const char *ours, struct repair_answer *out);
/* Whether zebra has our entry, and has selected another one. */
bool repair_json_shadowed(struct span text, const char *ours);

#endif
