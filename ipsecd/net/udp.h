/* The UDP sockets of IKE: port 500 and the NAT-T port 4500 (RFC 3948), both
 * families. Owns the descriptors and the framing that tells IKE from ESP on 4500:
 * four zero bytes (the non-ESP marker) stand before IKE, one byte 0xff is a
 * keepalive, everything else is ESP. Knows nothing of what is inside.
 *
 * Endpoints carry addresses in network order and ports as host integers. Sends
 * are non-blocking: a full socket buffer drops, as the network would. */
#ifndef DETOUR_UDP_H
#define DETOUR_UDP_H

#include "lib/addr.h"
#include "lib/log.h"
#include "lib/mono.h"

#define UDP_PORT_IKE  500
#define UDP_PORT_NATT 4500

struct ev_loop;
struct udp;

struct udp_host {
	/* A datagram without marker; `local.port` says which socket it came by. Valid during the
	 * call. */
	void (*ike)(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		    struct span datagram, mono_time now);
	/* An ESP packet from the SPI on; may be changed in place during the call. */
	void (*esp)(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		    uint8_t *packet, size_t len, mono_time now);
	/* A socket of this kind that a former process bound: the callee's from then on; -1: none.
	 * May be NULL. */
	int (*kept)(void *ctx, uint8_t family, uint16_t port);
	void *ctx;
	const struct log_sink *log;
};

struct udp_counters {
	uint64_t received, sent, send_failed;
	uint64_t truncated;  /* longer than any datagram may be: dropped */
	uint64_t runt;	     /* shorter than the non-ESP marker on the NAT-T port: dropped */
	uint64_t keepalives; /* received */
};

/* NULL, errno and the reason in `why` when no socket could be bound. A missing family (no
 * IPv6 here) is not an error. */
struct udp *udp_open(struct ev_loop *loop, const struct udp_host *host, char *why, size_t size);
void udp_close(struct udp *u);
/* All packets go out of this device and come in by it, or by a device in it where it is a VRF;
 * "": by any of the default VRF. false: errno of a socket that refused; others may be bound. A
 * device that is made anew is another one. */
bool udp_bind(struct udp *u, const char *device);

/* Sends from local to remote; on the NAT-T port the marker is put before it. */
bool udp_send_ike(struct udp *u, const struct endpoint *local, const struct endpoint *remote,
		  struct span datagram);
bool udp_send_esp(struct udp *u, const struct endpoint *local, const struct endpoint *remote,
		  struct span esp);
bool udp_send_keepalive(struct udp *u, const struct endpoint *local, const struct endpoint *remote);
const struct udp_counters *udp_counters(const struct udp *u);
/* The sockets themselves, for whoever sets options on them. */
void udp_each_socket(const struct udp *u,
		     void (*cb)(void *ctx, int fd, uint8_t family, uint16_t port), void *ctx);

#endif
