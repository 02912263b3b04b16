/* Inside net/udp: what its files share.
 *
 *	udp.c           the sockets: opened or taken over, their options, closed
 *	udp_bare.c      likewise the raw ones of bare ESP, and what these receive
 *	udp_join.c      sockets of workers beside them
 *	udp_receive.c   datagrams by the batch, merged ones cut (udp_frame.c), ICMP errors
 *	udp_send.c      single datagrams, and runs of ESP by UDP_SEGMENT and sendmmsg */
#ifndef DETOUR_UDP_PARTS_H
#define DETOUR_UDP_PARTS_H

#include "ipsecd/net/udp.h"

#include "lib/worker.h"

#include <ev.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define UDP_BATCH    32
#define UDP_ROUNDS   8 /* batches before the loop gets its turn */
#define UDP_DATAGRAM 65536
/* What one that nobody merged has room in on most paths. The odd number of cache lines keeps the
 * heads of a batch apart in the caches: at powers of two all would share the same few sets. */
#define UDP_SMALL	2112
#define UDP_CONTROL_LEN 128
#define UDP_REFUSALS	64

/* Room for the cmsgs of one message. */
struct udp_control {
	_Alignas(struct cmsghdr) uint8_t bytes[UDP_CONTROL_LEN];
};

struct udp_socket {
	struct udp *owner;
	int fd;
	int family;
	uint16_t port; /* 0: raw, of bare ESP */
	int discover;  /* IPv4: IP_MTU_DISCOVER as it is set; a new socket has DONT */
	bool segment;  /* the kernel cuts what is sent (UDP_SEGMENT) */
	bool merge;    /* and merges what comes (UDP_GRO) */
	ev_io watcher;
};

/* Where what is received goes. The headers are made once: a batch writes those alone that it
 * used. A datagram begins in a small buffer, of which there is one for each of a wakeup, so that
 * whoever has them may join them until its end; what does not fit is one of few, and goes to the
 * large buffer that its place in the batch has. */
struct udp_inbox {
	struct mmsghdr messages[UDP_BATCH];
	struct iovec iov[UDP_BATCH][2]; /* small; large, behind its room for that */
	struct sockaddr_storage names[UDP_BATCH];
	struct udp_control control[UDP_BATCH];
	unsigned offer; /* buffers of the next batch */
	unsigned used;	/* small ones, since esp_end */
	uint8_t small[UDP_BATCH * UDP_ROUNDS][UDP_SMALL];
	uint8_t large[UDP_BATCH][UDP_DATAGRAM + UDP_SMALL];
};

/* A destination whose route can't have datagrams cut by the kernel. */
struct udp_refusal {
	struct addr to;
	size_t size; /* from this length of a datagram on; 0: of any */
	mono_time until;
};

struct udp {
	struct ev_loop *loop;
	struct udp_host host;
	struct udp_counters counters;
	struct udp_socket sockets[6];
	unsigned n_sockets;
	struct worker *worker; /* whose loop it is; NULL: it is the first */
	struct udp *first;     /* that it has joined; NULL: none */
	struct udp *joined[WORKERS_MAX];
	unsigned n_joined;
	struct udp_counters sum; /* with those that joined */
	bool esp_pending;	 /* since esp_end */
	unsigned refusals;	 /* so many were noted */
	struct log_limit refusal_log;
	mono_time told_since; /* of ICMP messages to the host: so many since then */
	unsigned told;
	struct udp_refusal refused[UDP_REFUSALS];
	struct udp_inbox inbox;
};

/* ---- udp.c ---- */

/* Without sockets. NULL: out of memory. */
struct udp *udp_new(struct ev_loop *loop, const struct udp_host *host);
bool udp_bind_port(int fd, int family, uint16_t port);
uint64_t udp_overflowed(const struct udp *u);
/* To this device itself, not to one that had its name before; "": to none. */
bool udp_socket_bound(int fd, const char *device);
/* Of what the socket sends from now on (IPv4): DONT, no DF; DO, DF, and refused where the path is
 * known not to hold it; WANT, in fragments there. WANT alone would not do: the kernel then sets DF
 * on messages that are whole no longer than the path, not on a run that it cuts. */
void udp_socket_discover(struct udp_socket *s, int how);

/* As large as that is allowed; the default is no error. */
void udp_socket_queues(int fd, int in);
/* Own addresses of what comes, fragments. */
bool udp_socket_family(int fd, int family);
/* The next one: takes the descriptor, whose datagrams are read from now on. */
void udp_socket_add(struct udp *u, int fd, int family, uint16_t port);
/* DSCP and ECN of what comes, and ICMP errors. */
void udp_socket_headers(const struct udp_socket *s, bool on);

/* ---- udp_bare.c ---- */

/* Sockets of the families that there are. What can't be opened is said and done without. */
void udp_bare_open(struct udp *u);
void udp_bare_options(struct udp_socket *s);
/* The ESP packet in what such a socket received; NULL: there is none. */
uint8_t *udp_bare_packet(int family, uint8_t *data, size_t *len);

/* ---- udp_join.c ---- */

void udp_part(struct udp *first); /* closes what joined */
void udp_left(struct udp *first); /* the last one that joined is closed */
void udp_sum(struct udp *first);  /* the counters, into first->sum */

/* ---- udp_receive.c ---- */

void udp_inbox_init(struct udp_inbox *in);
void udp_readable(struct ev_loop *loop, ev_io *w, int revents);

/* ---- udp_send.c ---- */

/* What was known of the way to it is forgotten: the path has changed. */
void udp_refusal_forget(struct udp *u, const struct addr *to);

#endif
