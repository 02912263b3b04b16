/* Bodies of what ike and plane say to each other, looked at as if an enemy had written them: whole,
 * each field with a value that it may have, before anybody reads them as the structs of plane.h.
 * Pure. */
#ifndef DETOUR_IPC_CHECK_H
#define DETOUR_IPC_CHECK_H

#include "ipsecd/ipc/plane.h"

/* A request of ike's or a message of plane's. NULL: it is good, and has exactly the length of its
 * struct, what follows that where plane.h says so, or a whole number of elements; else what is
 * wrong with it (static). */
const char *ipc_check(uint32_t verb, struct span body);
/* Plane's answer to a request. */
const char *ipc_check_answer(uint32_t verb, struct span body);
/* Of a verb of plane.h, for log lines: "child-install"; "?" for others. */
const char *ipc_plane_verb_name(uint32_t verb);
/* Is told again as long as it is so. */
bool ipc_event_comes_again(enum dataplane_event_kind kind);
/* A request, good or not, in words without its keys: "route add 192.0.2.0/24 device 2, table 254,
 * protocol 4, kind 0". Writes into `text` and returns it. */
const char *ipc_describe(uint32_t verb, struct span body, char *text, size_t size);

#endif
