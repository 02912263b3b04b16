/* The host behind the TUN devices of planes that read them by themselves: what a driver of the
 * contract needs of it. Both devices are in the namespace of the caller. */
#ifndef DETOUR_CONTRACT_TUN_HOST_H
#define DETOUR_CONTRACT_TUN_HOST_H

#include "tests/contract/contract.h"

/* For struct contract_driver. */
void tun_watch(struct side *s);
void tun_unwatch(struct side *s);
void tun_transmit(struct side *s, struct span packet, mono_time now);
size_t tun_received(struct side *s, uint8_t *out, size_t size);
bool tun_oper_up(struct side *s);
void tun_set_admin(struct side *s, bool up);

#endif
