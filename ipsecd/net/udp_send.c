/* What goes out by the UDP sockets. A run of ESP datagrams is one message that the kernel cuts
 * (UDP_SEGMENT), several runs are one call (sendmmsg). Where the route of a destination can't have
 * it, its datagrams go singly from then on, for a while. */
#include "ipsecd/net/udp_frame.h"
#include "ipsecd/net/udp_parts.h"

#include <errno.h>
#include <netinet/udp.h>

#define SEGMENTS_MOST 64 /* UDP_MAX_SEGMENTS of kernels before 6.4, which all take */
#define PAYLOAD_MOST                                                                 \
	65487 /* of a UDP datagram over IPv6 with its header in the length, and less \
		 than IPv4's */
#define REFUSED_FOR (60 * MONO_S)
#define FLAGS	    (MSG_DONTWAIT | MSG_NOSIGNAL)

/* ---- control messages ---- */

static void *put_cmsg(struct msghdr *m, int level, int type, size_t len)
{
	struct cmsghdr *c =
		(struct cmsghdr *)(void *)((uint8_t *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	m->msg_controllen += CMSG_SPACE(len);
	return CMSG_DATA(c);
}

static void put_source(struct msghdr *m, const struct addr *from)
{
	struct in6_pktinfo info6 = {0};
	struct in_pktinfo info4 = {0};

	if (addr_is_any(from))
		return;
	if (from->family == AF_INET6) {
		memcpy(&info6.ipi6_addr, from->bytes, 16);
		memcpy(put_cmsg(m, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(info6)), &info6,
		       sizeof(info6));
		return;
	}
	memcpy(&info4.ipi_spec_dst, from->bytes, 4);
	memcpy(put_cmsg(m, IPPROTO_IP, IP_PKTINFO, sizeof(info4)), &info4, sizeof(info4));
}

/* The socket's own is 0. */
static void put_tos(struct msghdr *m, uint8_t family, uint8_t tos)
{
	int n = tos;

	if (!tos)
		return;
	memcpy(family == AF_INET6 ? put_cmsg(m, IPPROTO_IPV6, IPV6_TCLASS, sizeof(n))
				  : put_cmsg(m, IPPROTO_IP, IP_TOS, sizeof(n)),
	       &n, sizeof(n));
}

static void put_segment(struct msghdr *m, uint16_t size)
{
	memcpy(put_cmsg(m, IPPROTO_UDP, UDP_SEGMENT, sizeof(size)), &size, sizeof(size));
}

/* ---- destinations that can't have it ---- */

static struct udp_refusal *refusal_of(struct udp *u, const struct addr *to)
{
	return &u->refused[addr_hash(to, sizeof(to->bytes), 0) % UDP_REFUSALS];
}

static bool refused(struct udp *u, const struct addr *to, size_t size)
{
	const struct udp_refusal *r = refusal_of(u, to);

	return addr_equal(&r->to, to) && size >= r->size && mono_now() < r->until;
}

void udp_refusal_forget(struct udp *u, const struct addr *to)
{
	struct udp_refusal *r = refusal_of(u, to);

	if (addr_equal(&r->to, to))
		r->until = 0;
}

/* EMSGSIZE, of older kernels EINVAL: a segment and its headers are more than the path holds; they
 * are fragments then. Else the device or the route: EIO without checksums in hardware or with
 * XFRM. */
static bool refuses_segments(int error)
{
	return error == EMSGSIZE || error == EINVAL || error == EIO || error == EOPNOTSUPP ||
	       error == ENOPROTOOPT;
}

static void note_refusal(struct udp *u, const struct udp_run *run, int error)
{
	struct udp_refusal *r = refusal_of(u, &run->to->addr);
	bool too_big = error == EMSGSIZE || error == EINVAL;
	char to[ADDR_TEXT];

	if ((!addr_equal(&r->to, &run->to->addr) || !r->until) &&
	    log_limit_pass(&u->refusal_log, mono_now()))
		log_to(u->host.log, LOG_LEVEL_INFO, "net", "",
		       "datagrams of %zu bytes for %s: %s: sent one by one%s", run->size,
		       addr_format(&run->to->addr, to),
		       too_big ? "longer than the path holds, as far as is known"
			       : "can't be cut by the kernel",
		       too_big ? ", in fragments" : "");
	*r = (struct udp_refusal){.to = run->to->addr,
				  .size = too_big ? run->size : 0,
				  .until = mono_now() + REFUSED_FOR};
	u->refusals++;
	if (too_big && u->host.too_big)
		u->host.too_big(u->host.ctx, &run->to->addr, 0);
}

/* ---- one message ---- */

static struct udp_socket *socket_for(struct udp *u, const struct endpoint *local)
{
	for (unsigned i = 0; i < u->n_sockets; i++) {
		if (u->sockets[i].family == local->addr.family && u->sockets[i].port == local->port)
			return &u->sockets[i];
	}
	return NULL;
}

/* An ICMP error for an earlier datagram, to whomever, is reported once, on the send after it: that
 * says nothing of this one. */
static bool send_message(const struct udp_socket *s, const struct msghdr *m)
{
	return sendmsg(s->fd, m, FLAGS) >= 0 || (errno != EAGAIN && sendmsg(s->fd, m, FLAGS) >= 0);
}

static bool count(struct udp *u, bool sent)
{
	if (sent)
		u->counters.sent++;
	else
		u->counters.send_failed++;
	return sent;
}

static bool send_parts(struct udp *u, const struct endpoint *local, const struct endpoint *remote,
		       struct span head, struct span body)
{
	struct udp_socket *s = socket_for(u, local);
	struct iovec iov[2] = {{(void *)(uintptr_t)head.ptr, head.len},
			       {(void *)(uintptr_t)body.ptr, body.len}};
	struct udp_control control;
	struct sockaddr_storage to;
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = control.bytes, .msg_name = &to};

	if (!s || !s->port) {
		errno = EAFNOSUPPORT;
		return count(u, false);
	}
	msg.msg_namelen = endpoint_to_sockaddr(remote, &to);
	put_source(&msg, &local->addr);
	udp_socket_discover(s, IP_PMTUDISC_DONT);
	return count(u, send_message(s, &msg));
}

bool udp_send_ike(struct udp *u, const struct endpoint *local, const struct endpoint *remote,
		  struct span datagram)
{
	static const uint8_t marker[UDP_MARKER_LEN];
	size_t n = local->port == UDP_PORT_NATT ? UDP_MARKER_LEN : 0;

	return send_parts(u, local, remote, span_of(marker, n), datagram);
}

bool udp_send_keepalive(struct udp *u, const struct endpoint *local, const struct endpoint *remote)
{
	static const uint8_t keepalive = 0xff;

	return send_parts(u, local, remote, (struct span){0}, span_of(&keepalive, 1));
}

/* ---- runs ---- */

/* Messages of one socket and one way with DF, for one call. */
struct outbox {
	struct udp_socket *s;
	int discover;
	unsigned n;
	struct mmsghdr messages[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	struct sockaddr_storage to[UDP_BATCH];
	struct udp_control control[UDP_BATCH];
	struct udp_run *runs[UDP_BATCH];
	unsigned datagrams[UDP_BATCH];
};

static void fail(struct udp *u, struct udp_run *run, int error)
{
	u->counters.send_failed++;
	run->error = error;
	run->lost++;
}

/* What is too big for the path goes in fragments until the device's MTU has followed, instead of
 * being lost. Without the cmsg that has it cut, which is the last. */
static void send_singly(struct outbox *o, unsigned at)
{
	struct msghdr m = o->messages[at].msg_hdr;
	struct udp_run *run = o->runs[at];
	struct iovec all = o->iov[at], one;
	struct udp *u = o->s->owner;

	if (o->discover == IP_PMTUDISC_DO)
		udp_socket_discover(o->s, IP_PMTUDISC_WANT);
	m.msg_iov = &one;
	if (o->datagrams[at] > 1)
		m.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
	for (size_t done = 0; done < all.iov_len; done += run->size) {
		one = (struct iovec){(uint8_t *)all.iov_base + done, all.iov_len - done};
		if (one.iov_len > run->size)
			one.iov_len = run->size;
		if (send_message(o->s, &m))
			u->counters.sent++;
		else
			fail(u, run, errno);
	}
}

static bool may_go_singly(const struct outbox *o, unsigned at, int error)
{
	if (o->datagrams[at] > 1)
		return refuses_segments(error);
	return error == EMSGSIZE && o->discover == IP_PMTUDISC_DO && o->s->family == AF_INET;
}

/* The message that a call ended at. */
static void send_again(struct outbox *o, unsigned at)
{
	const struct msghdr *m = &o->messages[at].msg_hdr;
	struct udp *u = o->s->owner;
	unsigned n = o->datagrams[at];
	int error = errno;

	if (error != EAGAIN && sendmsg(o->s->fd, m, FLAGS) >= 0) {
		u->counters.sent += n;
		return;
	}
	if (error != EAGAIN)
		error = errno;
	if (may_go_singly(o, at, error)) {
		note_refusal(u, o->runs[at], error);
		send_singly(o, at);
		return;
	}
	u->counters.send_failed += n - 1;
	o->runs[at]->lost += n - 1;
	fail(u, o->runs[at], error);
}

static void flush(struct outbox *o)
{
	unsigned done = 0;
	int n;

	while (done < o->n) {
		udp_socket_discover(o->s, o->discover);
		n = sendmmsg(o->s->fd, o->messages + done, o->n - done, FLAGS);
		if (n <= 0)
			send_again(o, done++);
		for (; n > 0; n--)
			o->s->owner->counters.sent += o->datagrams[done++];
	}
	o->n = 0;
}

static void add(struct outbox *o, struct udp_run *run, struct span part)
{
	unsigned i = o->n++;
	struct msghdr *m = &o->messages[i].msg_hdr;

	o->iov[i] = (struct iovec){(void *)(uintptr_t)part.ptr, part.len};
	o->runs[i] = run;
	o->datagrams[i] = (unsigned)((part.len + run->size - 1) / run->size);
	*m = (struct msghdr){.msg_name = &o->to[i],
			     .msg_namelen = endpoint_to_sockaddr(run->to, &o->to[i]),
			     .msg_iov = &o->iov[i],
			     .msg_iovlen = 1,
			     .msg_control = o->control[i].bytes};
	put_source(m, &run->from->addr);
	put_tos(m, run->to->addr.family, run->tos);
	if (o->datagrams[i] > 1)
		put_segment(m, (uint16_t)run->size);
}

/* So many datagrams are one message. */
static size_t at_a_time(struct udp_socket *s, const struct udp_run *run)
{
	size_t n = PAYLOAD_MOST / run->size;

	if (!s->segment || n < 2 || run->datagrams.len <= run->size)
		return 1;
	return n < SEGMENTS_MOST ? n : SEGMENTS_MOST;
}

static void add_run(struct outbox *o, struct udp_socket *s, struct udp_run *run)
{
	bool known = s->owner->refusals && refused(s->owner, &run->to->addr, run->size);
	size_t most = known ? run->size : at_a_time(s, run) * run->size, len = run->datagrams.len;
	int discover = !run->df ? IP_PMTUDISC_DONT : known ? IP_PMTUDISC_WANT : IP_PMTUDISC_DO;

	if (o->n && (o->s != s || o->discover != discover))
		flush(o);
	o->s = s;
	o->discover = discover;
	for (size_t done = 0; done < len; done += most) {
		size_t n = len - done < most ? len - done : most;

		if (o->n == UDP_BATCH)
			flush(o);
		add(o, run, span_of(run->datagrams.ptr + done, n));
	}
}

void udp_send_runs(struct udp *u, struct udp_run *runs, size_t n)
{
	struct outbox o;

	o.n = 0;
	for (size_t i = 0; i < n; i++) {
		struct udp_socket *s = socket_for(u, runs[i].from);

		runs[i].error = 0;
		runs[i].lost = 0;
		if (s && runs[i].size)
			add_run(&o, s, &runs[i]);
		else
			fail(u, &runs[i], s ? EINVAL : EAFNOSUPPORT);
	}
	flush(&o);
}
