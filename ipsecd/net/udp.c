/* The UDP sockets of IKE and of ESP in UDP: ports 500 and 4500, both families.
 *
 * Owns descriptors and their options, among them the local addresses of datagrams (IP_PKTINFO, so
 * that answers leave from where the question came to). Knows nothing of what IKE or ESP packets
 * contain. */
#include "ipsecd/net/udp_parts.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const uint16_t ports[] = {UDP_PORT_IKE, UDP_PORT_NATT};
static const int families[] = {AF_INET, AF_INET6};

/* ---- options ---- */

/* Handshakes come in bursts, and wait better than they are sent again. */
#define QUEUE_IKE (4 << 20)
/* What is queued here is the latency of all that comes after it, while the plane is slower than
 * its peers; but a merged buffer that finds no room costs a TCP 45 segments. The kernel counts
 * twice this, in bytes of its memory: some 100 merged buffers, what one fast sender gives while
 * this process waits 20 ms for a core. With a quarter of it, on a busy machine, a stream had half
 * the throughput. */
#define QUEUE_ESP (4 << 20)

static bool set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

void udp_socket_queues(int fd, int in)
{
	if (!set(fd, SOL_SOCKET, SO_RCVBUFFORCE, in))
		set(fd, SOL_SOCKET, SO_RCVBUF, in);
	if (!set(fd, SOL_SOCKET, SO_SNDBUFFORCE, QUEUE_IKE))
		set(fd, SOL_SOCKET, SO_SNDBUF, QUEUE_IKE);
}

void udp_socket_discover(struct udp_socket *s, int how)
{
	if (s->family == AF_INET && s->discover != how &&
	    set(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, how))
		s->discover = how;
}

bool udp_socket_family(int fd, int family)
{
	/* IKE and what need not stay whole may be fragmented on a path that is narrower than the
	 * tunnel's MTU supposes: losing it silently would be worse. */
	if (family == AF_INET)
		return set(fd, IPPROTO_IP, IP_PKTINFO, 1) &&
		       set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	return set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
	       set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT);
}

/* Of a former process, whose plane was the kernel's. The kernel then never merges what comes by
 * this socket, encapsulation off or not. */
static bool was_encap(int fd)
{
	socklen_t len = sizeof(int);
	int kind = 0;

	if (getsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &kind, &len) < 0 || kind == 0)
		return false;
	return set(fd, IPPROTO_UDP, UDP_ENCAP, 0);
}

void udp_socket_headers(const struct udp_socket *s, bool on)
{
	bool v6 = s->family == AF_INET6;

	set(s->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVTCLASS : IP_RECVTOS, on);
	set(s->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, on);
}

/* What makes ESP fast and its headers right. A kernel without one of them still works. One that
 * takes ESP from the socket by itself must not be given merged datagrams. All are set either way:
 * the socket may be a former process's, which had another plane. */
static void set_esp_options(struct udp_socket *s)
{
	bool here = s->owner->host.esp_here && s->port == UDP_PORT_NATT;

	udp_socket_queues(s->fd, here ? QUEUE_ESP : QUEUE_IKE);
	udp_socket_headers(s, here);
	s->merge = here && !was_encap(s->fd);
	s->merge &= set(s->fd, IPPROTO_UDP, UDP_GRO, s->merge);
	/* A kernel without it would send a run as one datagram. */
	s->segment = here && set(s->fd, IPPROTO_UDP, UDP_SEGMENT, 0);
}

/* ---- life ---- */

bool udp_bind_port(int fd, int family, uint16_t port)
{
	struct endpoint any = {.addr.family = (uint8_t)family, .port = port};
	struct sockaddr_storage name;
	socklen_t len = endpoint_to_sockaddr(&any, &name);

	return bind(fd, (struct sockaddr *)&name, len) == 0;
}

void udp_socket_add(struct udp *u, int fd, int family, uint16_t port)
{
	struct udp_socket *s = &u->sockets[u->n_sockets++];

	*s = (struct udp_socket){.owner = u, .fd = fd, .family = family, .port = port};
	if (port)
		set_esp_options(s);
	else
		udp_bare_options(s);
	ev_io_init(&s->watcher, udp_readable, fd, EV_READ);
	s->watcher.data = s;
	ev_io_start(u->loop, &s->watcher);
}

static bool socket_open(struct udp *u, int family, uint16_t port, char *why, size_t size)
{
	int fd = u->host.kept ? u->host.kept(u->host.ctx, (uint8_t)family, port) : -1;

	if (fd >= 0) {
		udp_socket_family(fd, family);
		udp_socket_add(u, fd, family, port);
		return true;
	}
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 && errno == EAFNOSUPPORT)
		return true;
	if (fd < 0 || !udp_socket_family(fd, family) ||
	    (family == AF_INET6 && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) ||
	    !udp_bind_port(fd, family, port)) {
		int error = errno;

		snprintf(why, size, "UDP port %u (%s): %s%s", port,
			 family == AF_INET ? "IPv4" : "IPv6", strerror(errno),
			 errno == EADDRINUSE ? "; is another IKE daemon running? `ss -lnup` "
					       "tells; stop it first"
			 : errno == EACCES   ? "; ipsecd has to be started as root or by its unit"
					     : "");
		if (fd >= 0)
			close(fd);
		errno = error;
		return false;
	}
	udp_socket_add(u, fd, family, port);
	return true;
}

struct udp *udp_new(struct ev_loop *loop, const struct udp_host *host)
{
	struct udp *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->loop = loop;
	u->refusal_log.burst = 5;
	u->host = *host;
	udp_inbox_init(&u->inbox);
	return u;
}

struct udp *udp_open(struct ev_loop *loop, const struct udp_host *host, char *why, size_t size)
{
	struct udp *u = udp_new(loop, host);

	if (!u) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	for (size_t f = 0; f < 2; f++) {
		for (size_t p = 0; p < 2; p++) {
			if (!socket_open(u, families[f], ports[p], why, size)) {
				udp_close(u);
				return NULL;
			}
		}
	}
	if (u->n_sockets == 0) {
		snprintf(why, size, "this machine has neither IPv4 nor IPv6");
		errno = EAFNOSUPPORT;
		udp_close(u);
		return NULL;
	}
	if (host->esp_here)
		udp_bare_open(u);
	return u;
}

bool udp_socket_bound(int fd, const char *device)
{
	char now[IF_NAMESIZE] = "";
	socklen_t len = sizeof(now);

	return getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, now, &len) == 0 &&
	       strncmp(now, device, sizeof(now)) == 0;
}

bool udp_bind(struct udp *u, const char *device)
{
	bool ok = true;
	int error = 0;

	if (u->n_joined && !udp_socket_bound(u->sockets[0].fd, device)) {
		errno = EBUSY;
		return false;
	}
	for (unsigned i = 0; i < u->n_sockets; i++) {
		if (udp_socket_bound(u->sockets[i].fd, device) ||
		    setsockopt(u->sockets[i].fd, SOL_SOCKET, SO_BINDTODEVICE, device,
			       (socklen_t)strlen(device)) == 0)
			continue;
		ok = false;
		error = errno;
	}
	errno = error;
	return ok;
}

void udp_close(struct udp *u)
{
	int error = errno; /* of the open that failed */

	if (!u)
		return;
	udp_part(u);
	if (u->worker)
		worker_pause(u->worker);
	for (unsigned i = 0; i < u->n_sockets; i++) {
		ev_io_stop(u->loop, &u->sockets[i].watcher);
		close(u->sockets[i].fd);
	}
	if (u->worker)
		worker_resume(u->worker);
	if (u->first)
		udp_left(u->first);
	free(u);
	errno = error;
}

/* What the kernel dropped because a queue was full. */
uint64_t udp_overflowed(const struct udp *u)
{
	uint32_t about[SK_MEMINFO_VARS];
	uint64_t n = 0;

	for (unsigned i = 0; i < u->n_sockets; i++) {
		socklen_t len = sizeof(about);

		memset(about, 0, sizeof(about));
		if (getsockopt(u->sockets[i].fd, SOL_SOCKET, SO_MEMINFO, about, &len) == 0)
			n += about[SK_MEMINFO_DROPS];
	}
	return n;
}

const struct udp_counters *udp_counters(struct udp *u)
{
	u->counters.overflowed = udp_overflowed(u);
	udp_sum(u);
	return &u->sum;
}

const char *udp_offloads(const struct udp *u)
{
	bool segment = false, merge = false;

	for (unsigned i = 0; i < u->n_sockets; i++) {
		segment |= u->sockets[i].segment;
		merge |= u->sockets[i].merge;
	}
	return segment ? (merge ? "UDP_SEGMENT, UDP_GRO" : "UDP_SEGMENT") : merge ? "UDP_GRO" : "";
}

void udp_each_socket(const struct udp *u,
		     void (*cb)(void *ctx, int fd, uint8_t family, uint16_t port), void *ctx)
{
	for (unsigned i = 0; i < u->n_sockets; i++)
		cb(ctx, u->sockets[i].fd, (uint8_t)u->sockets[i].family, u->sockets[i].port);
}
