/* The UDP sockets of IKE and of ESP in UDP: ports 500 and 4500, both families.
 *
 * Owns descriptors, local addresses of datagrams (IP_PKTINFO, so that answers leave
 * from where the question came to) and the framing of RFC 3948 2. Datagrams are
 * taken in batches. Knows nothing of what IKE or ESP packets contain. */
#include "ipsecd/net/udp.h"

#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH	    32
#define ROUNDS	    8 /* batches before the loop gets its turn */
#define CONTROL_LEN 64
#define DATAGRAM    65536
#define MARKER_LEN  4 /* RFC 3948 2.2: the non-ESP marker */

static const uint16_t ports[] = {UDP_PORT_IKE, UDP_PORT_NATT};
static const int families[] = {AF_INET, AF_INET6};

struct udp_socket {
	struct udp *owner;
	int fd;
	int family;
	uint16_t port;
	ev_io watcher;
};

struct udp {
	struct ev_loop *loop;
	struct udp_host host;
	struct udp_counters counters;
	struct udp_socket sockets[4];
	unsigned n_sockets;
	/* The odd end keeps the heads of a batch apart in the caches: at powers of two all
	 * would share the same few sets. */
	uint8_t data[BATCH][DATAGRAM + 2112];
};

/* ---- receiving ---- */

/* RFC 3948 2.2: on the NAT-T port the first four bytes decide. */
static void deliver(struct udp *u, const struct endpoint *local, const struct endpoint *remote,
		    uint8_t *data, size_t len, mono_time now)
{
	static const uint8_t marker[MARKER_LEN];

	if (local->port != UDP_PORT_NATT) {
		u->host.ike(u->host.ctx, local, remote, span_of(data, len), now);
		return;
	}
	if (len == 1 && data[0] == 0xff) { /* RFC 3948 2.3 */
		u->counters.keepalives++;
		return;
	}
	if (len < MARKER_LEN) {
		u->counters.runt++;
		return;
	}
	if (memcmp(data, marker, MARKER_LEN) == 0)
		u->host.ike(u->host.ctx, local, remote,
			    span_of(data + MARKER_LEN, len - MARKER_LEN), now);
	else
		u->host.esp(u->host.ctx, local, remote, data, len, now);
}

static bool local_address(struct msghdr *msg, struct addr *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			return addr_from_bytes(span_of(&info.ipi_addr, 4), out);
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			return addr_from_bytes(span_of(&info.ipi6_addr, 16), out);
		}
	}
	return false;
}

static void take(struct udp_socket *s, struct mmsghdr *m, mono_time now)
{
	struct endpoint local = {.port = s->port}, remote;
	struct udp *u = s->owner;

	u->counters.received++;
	if (m->msg_hdr.msg_flags & MSG_TRUNC) {
		u->counters.truncated++;
		return;
	}
	if (!endpoint_from_sockaddr(m->msg_hdr.msg_name, &remote) ||
	    !local_address(&m->msg_hdr, &local.addr))
		return;
	deliver(u, &local, &remote, m->msg_hdr.msg_iov->iov_base, m->msg_len, now);
}

static int receive_batch(struct udp_socket *s)
{
	struct sockaddr_storage names[BATCH];
	struct mmsghdr messages[BATCH] = {0};
	_Alignas(struct cmsghdr) uint8_t control[BATCH][CONTROL_LEN];
	struct iovec iov[BATCH];
	mono_time now;
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){s->owner->data[i], DATAGRAM};
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &names[i],
			.msg_namelen = sizeof(names[i]),
			.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_control = control[i],
			.msg_controllen = CONTROL_LEN,
		};
	}
	n = recvmmsg(s->fd, messages, BATCH, MSG_DONTWAIT, NULL);
	now = mono_now();
	for (int i = 0; i < n; i++)
		take(s, &messages[i], now);
	return n;
}

static void readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct udp_socket *s = w->data;

	(void)loop;
	(void)revents;
	for (int i = 0; i < ROUNDS; i++) {
		int n = receive_batch(s);

		/* An error is an ICMP report for an earlier send (the engine's timers find out
		 * by themselves) or an empty queue. */
		if (n < BATCH)
			break;
	}
}

/* ---- sending ---- */

static struct udp_socket *socket_for(struct udp *u, const struct endpoint *local)
{
	for (unsigned i = 0; i < u->n_sockets; i++) {
		if (u->sockets[i].family == local->addr.family && u->sockets[i].port == local->port)
			return &u->sockets[i];
	}
	return NULL;
}

static size_t put_source(struct msghdr *msg, uint8_t *control, const struct addr *from)
{
	struct cmsghdr *c = (struct cmsghdr *)control;
	struct in6_pktinfo info6 = {0};
	struct in_pktinfo info4 = {0};

	if (addr_is_any(from))
		return 0;
	msg->msg_control = control;
	if (from->family == AF_INET6) {
		memcpy(&info6.ipi6_addr, from->bytes, 16);
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info6));
		memcpy(CMSG_DATA(c), &info6, sizeof(info6));
		return CMSG_SPACE(sizeof(info6));
	}
	memcpy(&info4.ipi_spec_dst, from->bytes, 4);
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info4));
	memcpy(CMSG_DATA(c), &info4, sizeof(info4));
	return CMSG_SPACE(sizeof(info4));
}

static bool send_parts(struct udp *u, const struct endpoint *local, const struct endpoint *remote,
		       struct span head, struct span body)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_LEN] = {0};
	struct udp_socket *s = socket_for(u, local);
	struct iovec iov[2] = {{(void *)(uintptr_t)head.ptr, head.len},
			       {(void *)(uintptr_t)body.ptr, body.len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct sockaddr_storage to;

	msg.msg_name = &to;
	msg.msg_namelen = endpoint_to_sockaddr(remote, &to);
	msg.msg_controllen = put_source(&msg, control, &local->addr);
	if (!s || sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		/* A pending ICMP error is reported once, on the send after it: try again. */
		if (!s || errno != ECONNREFUSED || sendmsg(s->fd, &msg, MSG_DONTWAIT) < 0) {
			u->counters.send_failed++;
			return false;
		}
	}
	u->counters.sent++;
	return true;
}

bool udp_send_ike(struct udp *u, const struct endpoint *local, const struct endpoint *remote,
		  struct span datagram)
{
	static const uint8_t marker[MARKER_LEN];
	size_t n = local->port == UDP_PORT_NATT ? MARKER_LEN : 0;

	return send_parts(u, local, remote, span_of(marker, n), datagram);
}

bool udp_send_esp(struct udp *u, const struct endpoint *local, const struct endpoint *remote,
		  struct span esp)
{
	return send_parts(u, local, remote, (struct span){0}, esp);
}

bool udp_send_keepalive(struct udp *u, const struct endpoint *local, const struct endpoint *remote)
{
	static const uint8_t keepalive = 0xff;

	return send_parts(u, local, remote, (struct span){0}, span_of(&keepalive, 1));
}

/* ---- life ---- */

static bool set_options(int fd, int family)
{
	int on = 1, off = IP_PMTUDISC_DONT, off6 = IPV6_PMTUDISC_DONT, buffer = 4 << 20;

	/* Bigger queues where allowed; the default is no error. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	/* Outer packets may be fragmented on a path that is narrower than the tunnel's MTU
	 * supposes: losing them silently would be worse. */
	if (family == AF_INET)
		return !setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) &&
		       !setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &off, sizeof(off));
	return !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) &&
	       !setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) &&
	       !setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &off6, sizeof(off6));
}

static bool bind_socket(int fd, int family, uint16_t port)
{
	struct endpoint any = {.addr.family = (uint8_t)family, .port = port};
	struct sockaddr_storage name;
	socklen_t len = endpoint_to_sockaddr(&any, &name);

	return bind(fd, (struct sockaddr *)&name, len) == 0;
}

static void socket_add(struct udp *u, int fd, int family, uint16_t port)
{
	struct udp_socket *s = &u->sockets[u->n_sockets++];

	*s = (struct udp_socket){.owner = u, .fd = fd, .family = family, .port = port};
	ev_io_init(&s->watcher, readable, fd, EV_READ);
	s->watcher.data = s;
	ev_io_start(u->loop, &s->watcher);
}

static bool socket_open(struct udp *u, int family, uint16_t port, char *why, size_t size)
{
	int fd = u->host.kept ? u->host.kept(u->host.ctx, (uint8_t)family, port) : -1;

	if (fd >= 0) {
		socket_add(u, fd, family, port);
		return true;
	}
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 && errno == EAFNOSUPPORT)
		return true;
	if (fd < 0 || !set_options(fd, family) || !bind_socket(fd, family, port)) {
		int error = errno;

		snprintf(why, size, "UDP port %u (%s): %s%s", port,
			 family == AF_INET ? "IPv4" : "IPv6", strerror(errno),
			 errno == EADDRINUSE ? "; is another IKE daemon running?"
			 : errno == EACCES   ? "; ipsecd has to be started as root or by its unit"
					     : "");
		if (fd >= 0)
			close(fd);
		errno = error;
		return false;
	}
	socket_add(u, fd, family, port);
	return true;
}

struct udp *udp_open(struct ev_loop *loop, const struct udp_host *host, char *why, size_t size)
{
	struct udp *u = calloc(1, sizeof(*u));

	if (!u) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	u->loop = loop;
	u->host = *host;
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
	return u;
}

bool udp_bind(struct udp *u, const char *device)
{
	bool ok = true;
	int error = 0;

	for (unsigned i = 0; i < u->n_sockets; i++) {
		if (setsockopt(u->sockets[i].fd, SOL_SOCKET, SO_BINDTODEVICE, device,
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
	for (unsigned i = 0; i < u->n_sockets; i++) {
		ev_io_stop(u->loop, &u->sockets[i].watcher);
		close(u->sockets[i].fd);
	}
	free(u);
	errno = error;
}

const struct udp_counters *udp_counters(const struct udp *u)
{
	return &u->counters;
}

void udp_each_socket(const struct udp *u,
		     void (*cb)(void *ctx, int fd, uint8_t family, uint16_t port), void *ctx)
{
	for (unsigned i = 0; i < u->n_sockets; i++)
		cb(ctx, u->sockets[i].fd, (uint8_t)u->sockets[i].family, u->sockets[i].port);
}
