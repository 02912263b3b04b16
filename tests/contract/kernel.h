/* A network namespace of the test's own, and the kernel's side of a TUN device: packets
 * go in and come out through packet sockets, links are seen through rtnetlink. */
#ifndef DETOUR_CONTRACT_KERNEL_H
#define DETOUR_CONTRACT_KERNEL_H

#include "ipsecd/model/conn.h"
#include "lib/mono.h"
#include "lib/netlink.h"

/* Moves this process into a new namespace, loopback up, IPv6 silent on new devices;
 * ends the program with a clear message when it may not. */
void kernel_namespace(const char *program);
struct netlink *kernel_netlink(void);
/* A program with several namespaces says which one it is in. */
void kernel_netlink_use(struct netlink *nl);
bool kernel_has_vti(void);
enum device_kind kernel_device_kind(void); /* that DEVICE_KIND asks for */
/* Do new devices of this namespace speak IPv6? */
void kernel_ipv6(bool on);

int kernel_tap(const char *device); /* a packet socket on the device */
void kernel_inject(int tap, const char *device, struct span packet);
/* What the device gave to this host; 0: nothing. */
size_t kernel_received(int tap, uint8_t *out, size_t size);
struct netlink_link kernel_link(const char *device);

#endif
