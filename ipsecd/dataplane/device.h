/* What every plane with devices of the kernel does to them: addresses, operstate and the
 * settings under /proc/sys. Knows no tunnel and no SA; errors are negative errno values, with
 * the kernel's words in netlink_strerror. */
#ifndef DETOUR_DEVICE_H
#define DETOUR_DEVICE_H

#include "ipsecd/model/conn.h"
#include "lib/mono.h"

struct log_sink;
struct netlink;
struct netlink_addr;
struct tun;

#define DEVICE_PATH_MTU 1500
/* What most have with their first SA (AES-GCM in UDP over IPv4): for each change of an MTU
 * the kernel walks over all IPv6 routes that there are. */
#define DEVICE_MTU_NO_SA      1438
#define DEVICE_MTU_MIN	      1280 /* RFC 8200 5: below it there is no IPv6 */
#define DEVICE_MTU_PERIOD     (15 * MONO_S)
#define DEVICE_ANNOUNCE_TICKS 2
#define DEVICE_ANNOUNCE_MOST  1000 /* devices a tick: some 10 ms of the one thread */

/* Makes the addresses of the device those of `to`, where those of `from` are what this
 * function put there before: what an operator added stays. On failure nothing has
 * changed, and *at is the address that the kernel refused. */
int device_set_addrs(struct netlink *nl, int ifindex, const struct tunnel_config *from,
		     const struct tunnel_config *to, const struct prefix **at);
/* Sets all addresses that the device has anew, in one call, which may be held (netlink_hold). */
int device_tell_addrs(struct netlink *nl, int ifindex, const struct tunnel_config *config);
/* What rtnetlink tells of an address of the tunnel's device: one of the configuration that is
 * not there any more, though the device is up, was taken away by somebody. Said in the log; an
 * update brings it back. true: so it is. */
bool device_addr_changed(struct netlink *nl, const struct tunnel_config *config,
			 const struct netlink_addr *addr, const struct log_sink *log);
/* The MTU of the path between two outer addresses as the routing table knows it, with what ICMP
 * told of it (the kernel forgets that after 10 minutes, RFC 1191 6.3); 0: there is no route. */
uint16_t device_path_mtu(struct netlink *nl, const struct addr *local, const struct addr *remote,
			 int ifindex);
/* linkmode DORMANT, and operstate UP or DORMANT. */
int device_set_link(struct netlink *nl, int ifindex, bool up);
struct device_refused {
	const struct prefix *addr; /* NULL: none of them, but the rest */
	int qdisc;		   /* -errno; it works without, but slower */
	int first;		   /* -errno; so it will be of each device, unless `plain` */
};

/* Gives a new TUN device its settings, then, with one call into the kernel, the link of a tunnel
 * without SAs, its addresses, a qdisc and the length of its rings if it was made just now, and its
 * MTU, and sets it up. `plain`: with a file for each setting, and rings as the kernel has them. */
int device_fill(struct netlink *nl, const struct tun *tun, const struct tunnel_config *config,
		uint16_t mtu, bool plain, struct device_refused *refused);

/* One value under /proc/sys/net/FAMILY/conf/DEVICE. A kernel without this knob, or /proc/sys
 * read-only in a container, is no reason to go without the device: false, and no more. */
bool device_sysctl_set(const char *family, const char *device, const char *knob, const char *value);
bool device_sysctl_get(const char *family, const char *device, const char *knob, char *value,
		       size_t size);

/* What a tunnel device needs, of whatever kind. */
struct device_setting {
	const char *family, *knob, *value;
};

extern const struct device_setting device_settings[];
extern const unsigned device_n_settings;

void device_set_settings(const char *device);

#endif
