/* What comes in by the UDP sockets: taken by the batch (recvmmsg), several datagrams of a sender in
 * one buffer where the kernel merges them (UDP_GRO), and given on in their order. Also the ICMP
 * errors of the NAT-T port, of which one counts: too big. */
#include "ipsecd/net/udp_frame.h"
#include "ipsecd/net/udp_parts.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>

/* Before the loop gets its turn: 2 ms at 2 Gbit/s, and what waits for us in the other direction
 * waits no longer. */
#define BYTES_MOST (512u * 1024)
/* After a batch of large buffers: so many that they stay in the caches. */
#define FEW	      8
#define LARGE_MEAN    8192
#define ERRORS	      32 /* taken at a time */
#define TOLD_A_SECOND 100

void udp_inbox_init(struct udp_inbox *in)
{
	in->offer = UDP_BATCH;
	for (unsigned i = 0; i < UDP_BATCH; i++) {
		in->iov[i][0] = (struct iovec){in->small[i], UDP_SMALL};
		in->iov[i][1] = (struct iovec){in->large[i] + UDP_SMALL, UDP_DATAGRAM - UDP_SMALL};
		in->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &in->names[i],
			.msg_namelen = sizeof(in->names[i]),
			.msg_iov = in->iov[i],
			.msg_iovlen = 2,
			.msg_control = in->control[i].bytes,
			.msg_controllen = UDP_CONTROL_LEN,
		};
	}
}

/* ---- one buffer ---- */

/* What the kernel tells of it besides. */
struct about {
	struct endpoint local, remote;
	uint8_t tos;
	size_t size;
};

static void from_cmsg(const struct cmsghdr *c, struct about *out)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info4;
	int n;

	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		memcpy(&info4, CMSG_DATA(c), sizeof(info4));
		addr_from_bytes(span_of(&info4.ipi_addr, 4), &out->local.addr);
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info6, CMSG_DATA(c), sizeof(info6));
		addr_from_bytes(span_of(&info6.ipi6_addr, 16), &out->local.addr);
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
		out->tos = *CMSG_DATA(c);
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
		memcpy(&n, CMSG_DATA(c), sizeof(n));
		out->tos = (uint8_t)n;
	} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
		memcpy(&n, CMSG_DATA(c), sizeof(n));
		out->size = n > 0 ? (size_t)n : 0;
	}
}

static void end_esp(struct udp *u, mono_time now)
{
	if (u->esp_pending && u->host.esp_end)
		u->host.esp_end(u->host.ctx, now);
	u->esp_pending = false;
}

static void deliver(struct udp *u, const struct about *a, const struct udp_frame *f, mono_time now)
{
	u->counters.received += f->datagrams;
	switch (f->kind) {
	case UDP_FRAME_IKE:
		end_esp(u, now); /* IKE may take away what it belongs to */
		u->host.ike(u->host.ctx, &a->local, &a->remote, span_of(f->data, f->len), now);
		return;
	case UDP_FRAME_ESP:
		u->esp_pending = true;
		u->host.esp(u->host.ctx, &a->local, &a->remote, a->tos, f->data, f->len, f->size,
			    now);
		return;
	case UDP_FRAME_KEEPALIVE:
		u->counters.keepalives++;
		return;
	case UDP_FRAME_RUNT:
		u->counters.runt++;
		return;
	}
}

static void take_bare(struct udp *u, const struct about *a, uint8_t *data, size_t len,
		      mono_time now)
{
	uint8_t *packet = udp_bare_packet(a->remote.addr.family, data, &len);

	u->counters.received++;
	if (!packet) {
		u->counters.runt++;
		return;
	}
	u->esp_pending = true;
	u->host.esp(u->host.ctx, &a->local, &a->remote, a->tos, packet, len, len, now);
}

static void take(struct udp_socket *s, struct mmsghdr *m, uint8_t *data, mono_time now)
{
	struct msghdr *h = &m->msg_hdr;
	struct about a = {.local.port = s->port};
	struct udp *u = s->owner;
	struct udp_frames frames;
	struct udp_frame f;

	if (h->msg_flags & MSG_TRUNC) {
		u->counters.received++;
		u->counters.truncated++;
		return;
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		from_cmsg(c, &a);
	if (!a.local.addr.family || !endpoint_from_sockaddr(h->msg_name, &a.remote)) {
		u->counters.received++;
		return;
	}
	if (!s->port) {
		take_bare(u, &a, data, m->msg_len, now);
		return;
	}
	frames = udp_frames_of(data, m->msg_len, a.size, s->port == UDP_PORT_NATT);
	while (udp_frames_next(&frames, &f))
		deliver(u, &a, &f, now);
}

/* ---- batches ---- */

static int receive(struct udp_socket *s)
{
	struct udp_inbox *in = &s->owner->inbox;

	if (in->iov[0][0].iov_base != in->small[in->used]) {
		for (unsigned i = 0; i < UDP_BATCH; i++)
			in->iov[i][0].iov_base = in->small[in->used + i];
	}
	return recvmmsg(s->fd, in->messages, in->offer, MSG_DONTWAIT, NULL);
}

/* The whole of it in one piece. */
static uint8_t *bytes_of(struct udp_inbox *in, unsigned i)
{
	uint8_t *small = in->iov[i][0].iov_base;

	if (in->messages[i].msg_len <= UDP_SMALL)
		return small;
	return memcpy(in->large[i], small, UDP_SMALL);
}

/* All buffers are free behind it. */
static void end_all(struct udp *u, mono_time now)
{
	end_esp(u, now);
	u->inbox.used = 0;
}

/* Gives the length back; the headers are as new. */
static size_t take_batch(struct udp_socket *s, unsigned n, mono_time now)
{
	struct udp_inbox *in = &s->owner->inbox;
	bool large = false;
	size_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		struct mmsghdr *m = &in->messages[i];

		bytes += m->msg_len;
		large |= m->msg_len > UDP_SMALL;
		take(s, m, bytes_of(in, i), now);
		m->msg_hdr.msg_namelen = sizeof(in->names[i]);
		m->msg_hdr.msg_controllen = UDP_CONTROL_LEN;
		m->msg_hdr.msg_flags = 0;
	}
	in->used += n;
	if (large)
		end_all(s->owner, now);
	in->offer = bytes / n > LARGE_MEAN ? FEW : UDP_BATCH;
	return bytes;
}

/* ---- errors ---- */

/* Anybody can forge them, and each costs a look at the tunnels. Who misses one hears of the next:
 * it comes as long as packets are too big. */
static bool may_tell(struct udp *u, mono_time now)
{
	if (now - u->told_since >= MONO_S) {
		u->told_since = now;
		u->told = 0;
	}
	return u->told++ < TOLD_A_SECOND;
}

/* Says whether there was one. */
static bool take_error(struct udp_socket *s)
{
	struct sockaddr_storage name;
	struct udp_control control;
	struct sock_extended_err e;
	struct endpoint to;
	uint8_t quoted[64];
	struct iovec iov = {quoted, sizeof(quoted)};
	struct msghdr m = {.msg_name = &name,
			   .msg_namelen = sizeof(name),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.bytes,
			   .msg_controllen = sizeof(control.bytes)};

	if (recvmsg(s->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if ((c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR) &&
		    (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RECVERR))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		if (e.ee_errno != EMSGSIZE || e.ee_origin == SO_EE_ORIGIN_LOCAL ||
		    !endpoint_from_sockaddr((struct sockaddr *)&name, &to))
			continue;
		s->owner->counters.too_big++;
		udp_refusal_forget(s->owner, &to.addr);
		if (s->owner->host.too_big && may_tell(s->owner, mono_now()))
			s->owner->host.too_big(s->owner->host.ctx, &to.addr, e.ee_info);
	}
	return true;
}

/* Errors that ICMP messages report are in a queue, which keeps waking us until it is empty; the
 * first is the socket's own error, too, and the next read's if nobody asks for it. */
static void take_errors(struct udp_socket *s)
{
	socklen_t len = sizeof(int);
	int error;

	for (unsigned e = 0; e < ERRORS && take_error(s); e++)
		;
	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
}

void udp_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct udp_socket *s = w->data;
	struct udp_inbox *in = &s->owner->inbox;
	mono_time now = 0;
	size_t bytes = 0;

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < UDP_ROUNDS && bytes < BYTES_MOST; i++) {
		unsigned offered = in->offer;
		int n = receive(s);

		if (n <= 0) {
			bool error = n < 0 && errno != EAGAIN;

			take_errors(s);
			if (!error)
				break;
			continue; /* it was an ICMP message's, and hides what there is to read */
		}
		now = mono_now();
		bytes += take_batch(s, (unsigned)n, now);
		if ((unsigned)n < offered)
			break;
	}
	end_all(s->owner, now);
}
