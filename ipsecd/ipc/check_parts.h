/* check*.c inside. No one else includes this. */
#ifndef DETOUR_IPC_CHECK_PARTS_H
#define DETOUR_IPC_CHECK_PARTS_H

#include "ipsecd/ipc/plane.h"

bool check_flag(uint8_t byte);
bool check_name(const char *name, size_t size); /* it has an end */
bool check_addr(const struct addr *a);
bool check_addr_or_none(const struct addr *a);
bool check_prefix(const struct prefix *p);
bool check_own_addr(const struct addr *a);
const char *check_endpoints(const struct endpoint *local, const struct endpoint *remote);

/* Bodies of exactly these structs. */
const char *check_tunnel(struct span body);
const char *check_child(struct span body);

#endif
