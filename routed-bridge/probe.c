/* One raw socket a family for all tunnels: the device is named with each packet (IP_PKTINFO), in
 * both directions, so that a probe never takes another way and an answer by another one is none. */
#include "routed-bridge/probe.h"

#include <netinet/in.h> /* before the kernel's own, which hide what is ours */

#include <errno.h>
#include <ev.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH	64
#define CONTROL 128
#define OLD	(10 * MONO_S) /* somebody sets the clock */

struct probes {
	struct probes_host host;
	ev_io v4, v6;
	int fd4, fd6; /* -1: none */
};

static int came_by(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct in_pktinfo info;
		struct in6_pktinfo info6;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			return info.ipi_ifindex;
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			return (int)info6.ipi6_ifindex;
		}
	}
	return 0;
}

/* The kernel's stamp is of the clock of the day. */
static mono_time arrived(struct msghdr *msg)
{
	mono_time now = mono_now();

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct timespec stamp, day;
		int64_t age;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
		clock_gettime(CLOCK_REALTIME, &day);
		age = (int64_t)(day.tv_sec - stamp.tv_sec) * (int64_t)MONO_S + day.tv_nsec -
		      stamp.tv_nsec;
		if (age > 0 && age < (int64_t)OLD && (mono_time)age < now)
			return now - (mono_time)age;
	}
	return now;
}

static bool receive(struct probes *p, int fd, uint8_t family)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL];
	struct sockaddr_storage name;
	uint8_t packet[256];
	struct iovec iov = {packet, sizeof(packet)};
	struct msghdr msg = {.msg_name = &name,
			     .msg_namelen = sizeof(name),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
	struct endpoint from;
	struct probe_echo e;

	if (n < 0)
		return false;
	if (!(msg.msg_flags & MSG_TRUNC) && endpoint_from_sockaddr(msg.msg_name, &from) &&
	    probe_parse(family, span_of(packet, (size_t)n), &e))
		p->host.answer(p->host.ctx, came_by(&msg), &from.addr, &e, arrived(&msg));
	return true;
}

static void read_some(struct probes *p, int fd, uint8_t family)
{
	for (unsigned i = 0; fd >= 0 && i < BATCH; i++) {
		if (!receive(p, fd, family))
			break;
	}
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct probes *p = w->data;

	(void)loop;
	(void)revents;
	read_some(p, w->fd, w == &p->v6 ? AF_INET6 : AF_INET);
}

void probes_read(struct probes *p)
{
	read_some(p, p->fd4, AF_INET);
	read_some(p, p->fd6, AF_INET6);
}

static bool set_options(int fd, int family)
{
	struct icmp_filter v4 = {.data = ~(1U << ICMP_ECHOREPLY)};
	struct icmp6_filter v6;
	int on = 1, off = 0;

	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)); /* without it: ours */
	if (family == AF_INET)
		return !setsockopt(fd, SOL_RAW, ICMP_FILTER, &v4, sizeof(v4)) &&
		       !setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	ICMP6_FILTER_SETBLOCKALL(&v6);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &v6);
	return !setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &v6, sizeof(v6)) &&
	       !setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) &&
	       !setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &off, sizeof(off));
}

static bool open_one(struct probes *p, int family, int *out, ev_io *w)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	int error;

	if (fd < 0)
		return errno == EAFNOSUPPORT;
	if (!set_options(fd, family)) {
		error = errno;
		close(fd);
		errno = error;
		return false;
	}
	*out = fd;
	ev_io_init(w, on_readable, fd, EV_READ);
	w->data = p;
	ev_io_start(p->host.loop, w);
	return true;
}

struct probes *probes_open(const struct probes_host *host)
{
	struct probes *p = calloc(1, sizeof(*p));
	int error;

	if (!p)
		return NULL;
	p->host = *host;
	p->fd4 = p->fd6 = -1;
	if (open_one(p, AF_INET, &p->fd4, &p->v4) && open_one(p, AF_INET6, &p->fd6, &p->v6))
		return p;
	error = errno;
	probes_close(p);
	errno = error;
	return NULL;
}

void probes_close(struct probes *p)
{
	if (!p)
		return;
	if (p->fd4 >= 0) {
		ev_io_stop(p->host.loop, &p->v4);
		close(p->fd4);
	}
	if (p->fd6 >= 0) {
		ev_io_stop(p->host.loop, &p->v6);
		close(p->fd6);
	}
	free(p);
}

static size_t put_device(uint8_t *control, uint8_t family, int ifindex)
{
	struct cmsghdr *c = (struct cmsghdr *)control;
	struct in6_pktinfo info6 = {.ipi6_ifindex = (unsigned)ifindex};
	struct in_pktinfo info4 = {.ipi_ifindex = ifindex};

	if (family == AF_INET6) {
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info6));
		memcpy(CMSG_DATA(c), &info6, sizeof(info6));
		return CMSG_SPACE(sizeof(info6));
	}
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info4));
	memcpy(CMSG_DATA(c), &info4, sizeof(info4));
	return CMSG_SPACE(sizeof(info4));
}

bool probes_send(struct probes *p, int ifindex, const struct addr *to, const struct probe_echo *e)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL] = {0};
	const struct endpoint endpoint = {.addr = *to};
	struct sockaddr_storage name;
	uint8_t packet[PROBE_LEN];
	struct iovec iov = {packet, sizeof(packet)};
	struct msghdr msg = {
		.msg_name = &name, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
	int fd = to->family == AF_INET6 ? p->fd6 : p->fd4;

	probe_put(to->family, e, packet);
	msg.msg_namelen = endpoint_to_sockaddr(&endpoint, &name);
	msg.msg_controllen = put_device(control, to->family, ifindex);
	if (fd < 0) {
		errno = EAFNOSUPPORT;
		return false;
	}
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(packet);
}
