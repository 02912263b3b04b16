/* struct virtio_net_hdr, which stands before each packet of a TUN device with IFF_VNET_HDR, with
 * what the C library's kernel headers may be too old for. Its fields are in the machine's byte
 * order (no TUNSETVNETLE or TUNSETVNETBE). */
#ifndef DETOUR_VNET_H
#define DETOUR_VNET_H

#include <linux/if_tun.h>
#include <linux/virtio_net.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* since 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#ifndef VIRTIO_NET_HDR_GSO_ACCECN /* since 6.17: CWR is part of a counter, each segment has it */
#define VIRTIO_NET_HDR_GSO_ACCECN 0x10
#endif
#ifndef TUN_F_USO4 /* since 6.2, both or none */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* What the kernel takes as one super-packet: bytes of the whole packet, datagrams of UDP
 * (UDP_MAX_SEGMENTS before 6.9). */
#define VNET_PACKET_MAX	  65535
#define VNET_SEGMENTS_MAX 64

#endif
