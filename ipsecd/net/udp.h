/* The UDP sockets of IKE: port 500 and the NAT-T port 4500 (RFC 3948), both
 * families. Owns the descriptors and the framing that tells IKE from ESP on 4500:
 * four zero bytes (the non-ESP marker) stand before IKE, one byte 0xff is a
 * keepalive, everything else is ESP. Knows nothing of what is inside.
 *
 * Where ESP is this process's, also the raw sockets of bare ESP (IP protocol 50, RFC 4303), whose
 * packets have endpoints with port 0. A kernel with ESP of its own gets a copy of what they get;
 * one without sends no ICMP message (protocol unreachable) while they are open. One that
 * can't be opened is said and done without.
 *
 * Where ESP is this process's (esp_here) it comes and goes by the batch: equal datagrams of one
 * sender merged by the kernel (UDP_GRO), runs of equal ones cut by it (UDP_SEGMENT), several
 * messages a call. What the kernel or a route lacks is done without; udp_offloads says.
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
struct worker;

struct udp_host {
	/* A datagram without marker; `local.port` says which socket it came by. Valid during the
	 * call. */
	void (*ike)(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		    struct span datagram, mono_time now);
	/* ESP packets from the SPI on, one behind another, all of `size` bytes but the last, which
	 * may be shorter; `size` is `len` where it is one. `tos`: of the outer header (IPv6:
	 * traffic class), all eight bits. They may be changed in place, and stay until esp_end. */
	void (*esp)(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		    uint8_t tos, uint8_t *packets, size_t len, size_t size, mono_time now);
	/* What esp was given since the last one is about to be overwritten, or IKE comes next. May
	 * be NULL. */
	void (*esp_end)(void *ctx, mono_time now);
	/* The path to this address no longer holds what was sent: an ICMP message said so, with the
	 * MTU that it offers, or a send failed (0). May be NULL; called from sends, too. */
	void (*too_big)(void *ctx, const struct addr *to, uint32_t mtu);
	/* A socket of this kind that a former process opened, port 0: of bare ESP; the callee's
	 * from then on; -1: none. May be NULL. */
	int (*kept)(void *ctx, uint8_t family, uint16_t port);
	void *ctx;
	const struct log_sink *log;
	bool esp_here; /* ESP is not the kernel's */
};

struct udp_counters {
	uint64_t received, sent, send_failed; /* datagrams */
	uint64_t truncated;		      /* longer than any datagram may be: dropped */
	uint64_t runt;	     /* shorter than the non-ESP marker on the NAT-T port: dropped */
	uint64_t keepalives; /* received */
	uint64_t overflowed; /* dropped, because a socket's queue (the kernel) or the host had no
			      room */
	uint64_t too_big;    /* ICMP messages that say so */
};

/* ESP packets of one SA, one behind another. */
struct udp_run {
	const struct endpoint *from, *to;
	struct span datagrams;
	size_t size; /* of all but the last, which may be shorter */
	uint8_t tos; /* DSCP and ECN of the outer header */
	bool df;     /* IPv4: must not be fragmented, as far as the path is known to hold it */
	int error;   /* set by the send: errno of the last datagram that was lost; 0: all are out */
	unsigned lost; /* likewise: so many of them were */
};

/* NULL, errno and the reason in `why` when no socket could be bound. A missing family (no
 * IPv6 here) is not an error. */
struct udp *udp_open(struct ev_loop *loop, const struct udp_host *host, char *why, size_t size);
void udp_close(struct udp *u);
#define UDP_SPARE 2 /* of both families */

/* A socket beside each of the NAT-T port's, for a worker (lib/worker.h) that does ESP too: of all
 * ESP that comes it gets what has an SPI whose lowest byte, modulo the number of sockets there are
 * for a family, is its number: the first is 0. IKE and bare ESP come to the first one, but for a
 * moment in which sockets come or go. `spare`: descriptors of udp_spare, taken. The host's
 * functions are called by the worker. Not where they are bound to a device. It is closed with
 * `first`, or before it the last one first. NULL: errno and `why`. */
struct udp *udp_join(struct udp *first, struct worker *worker, const struct udp_host *host,
		     int spare[UDP_SPARE], char *why, size_t size);
/* Sockets that are not bound to anything yet: the kernel lets only sockets of one user share a
 * port, and who opens them now may be another one later. -1 where there is no such family. */
void udp_spare(int spare[UDP_SPARE]);
/* All packets go out of this device and come in by it, or by a device in it where it is a VRF;
 * "": by any of the default VRF. false: errno of a socket that refused; others may be bound. A
 * device that is made anew is another one. EBUSY: others have joined, and the kernel takes a socket
 * that is bound anew out of those that share a port. */
bool udp_bind(struct udp *u, const char *device);

/* Sends from local to remote; on the NAT-T port the marker is put before it. */
bool udp_send_ike(struct udp *u, const struct endpoint *local, const struct endpoint *remote,
		  struct span datagram);
bool udp_send_keepalive(struct udp *u, const struct endpoint *local, const struct endpoint *remote);
/* ESP, in this order. One run's failure costs no other. */
void udp_send_runs(struct udp *u, struct udp_run *runs, size_t n);
/* By the host, in the thread of `u`: a datagram that it was given found no room with it. It counts
 * as overflowed. */
void udp_lost(struct udp *u);
const struct udp_counters *udp_counters(struct udp *u); /* as of now, with those that joined */
/* What the kernel does for ESP here: "UDP_SEGMENT, UDP_GRO", one of them, or "". */
const char *udp_offloads(const struct udp *u);
/* The sockets themselves (port 0: of bare ESP), for whoever sets options on them. */
void udp_each_socket(const struct udp *u,
		     void (*cb)(void *ctx, int fd, uint8_t family, uint16_t port), void *ctx);

#endif
