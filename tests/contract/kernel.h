/* A network namespace of the test's own, and the kernel's side of a TUN device: packets
 * go in and come out through packet sockets, links are seen through rtnetlink. */
#ifndef DETOUR_CONTRACT_KERNEL_H
#define DETOUR_CONTRACT_KERNEL_H

#include "lib/mono.h"
#include "lib/netlink.h"

/* Moves this process into a new namespace, loopback up, IPv6 silent on new devices;
 * ends the program with a clear message when it may not. */
void kernel_namespace(const char *program);
struct netlink *kernel_netlink(void);

int kernel_tap(const char *device); /* a packet socket on the device */
void kernel_inject(int tap, const char *device, struct span packet);
/* What the device gave to this host; 0: nothing. */
size_t kernel_received(int tap, uint8_t *out, size_t size);
struct netlink_link kernel_link(const char *device);

#endif
