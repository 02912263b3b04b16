#include "routed-bridge/bfd_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TOS_CS6	   0xc0
#define READ_ROUND 4096 /* datagrams of one socket before the others have their turn */

struct receiver {
	struct bfd_sockets *sockets;
	char ifname[IF_NAMESIZE];
	uint8_t family;
	bool multihop;
	int fd; /* -1: not open */
	uint32_t ifindex;
	unsigned users;
	bool complained;
	struct bfd_watch watch;
	struct receiver *next;
};

struct outlet {
	int fd; /* -1: not open */
	struct receiver *receiver;
	uint32_t ifindex;
	bool complained;
	bool point_to_point;
	struct sockaddr_storage to;
	socklen_t to_len;
};

struct bfd_sockets {
	struct bfd_loop *loop;
	struct bfd_table *table;
	const struct log_sink *log;
	struct receiver *receivers;
	uint32_t last_port;
};

struct bfd_sockets *bfd_sockets_new(struct bfd_loop *loop, struct bfd_table *table,
				    const struct log_sink *log)
{
	struct bfd_sockets *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->table = table;
	s->log = log;
	/* Another process's ports are not the first ones that this one tries. */
	s->last_port = (uint32_t)(mono_now() / 1000) % (BFD_SOURCE_MAX - BFD_SOURCE_MIN);
	return s;
}

void bfd_sockets_free(struct bfd_sockets *s)
{
	free(s);
}

/* ---- sockets ---- */

static bool set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool bind_device(int fd, const char *ifname)
{
	return ifname[0] == '\0' ||
	       setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname)) == 0;
}

static int new_socket(uint8_t family)
{
	return socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
}

/* -1 with errno; the descriptor is closed then. */
static int check(int fd, bool good)
{
	int error = errno;

	if (good || fd < 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

static bool set_receiving(int fd, const struct receiver *r)
{
	struct endpoint any = {.addr.family = r->family,
			       .port = r->multihop ? BFD_PORT_MULTI : BFD_PORT};
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&any, &sa);

	if (r->family == AF_INET) {
		if (!set_int(fd, IPPROTO_IP, IP_RECVTTL, 1) ||
		    !set_int(fd, IPPROTO_IP, IP_PKTINFO, 1))
			return false;
	} else if (!set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) ||
		   !set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) ||
		   !set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)) {
		return false;
	}
	/* Beside sockets for other devices. */
	return set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) && bind_device(fd, r->ifname) &&
	       bind(fd, (struct sockaddr *)&sa, len) == 0;
}

static bool set_sending(int fd, uint8_t family)
{
	/* The address may come later than the session. */
	if (family == AF_INET)
		return set_int(fd, IPPROTO_IP, IP_TTL, BFD_TTL) && /* RFC 5881 5 */
		       set_int(fd, IPPROTO_IP, IP_TOS, TOS_CS6) &&
		       set_int(fd, IPPROTO_IP, IP_FREEBIND, 1);
	return set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, BFD_TTL) &&
	       set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, TOS_CS6) &&
	       set_int(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
}

/* RFC 5881 4: a source port of 49152..65535, the same as long as the session lives, and of
 * this session alone. */
static bool bind_source(struct bfd_sockets *s, int fd, const struct addr *local, uint32_t ifindex)
{
	for (unsigned i = 0; i <= BFD_SOURCE_MAX - BFD_SOURCE_MIN; i++) {
		struct endpoint from = {.addr = *local};
		struct sockaddr_storage sa;
		socklen_t len;

		s->last_port = (s->last_port + 1) % (BFD_SOURCE_MAX - BFD_SOURCE_MIN + 1);
		from.port = (uint16_t)(BFD_SOURCE_MIN + s->last_port);
		len = endpoint_to_sockaddr(&from, &sa);
		if (local->family == AF_INET6)
			((struct sockaddr_in6 *)&sa)->sin6_scope_id = ifindex;
		if (bind(fd, (struct sockaddr *)&sa, len) == 0)
			return true;
		if (errno != EADDRINUSE)
			return false;
	}
	return false;
}

/* ---- receiving ---- */

struct ancillary {
	int ttl;
	uint32_t ifindex;
	struct addr to;
};

static void read_ancillary(struct msghdr *m, struct ancillary *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
			memcpy(&out->ttl, CMSG_DATA(c), sizeof(out->ttl));
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			out->ifindex = (uint32_t)info.ipi_ifindex;
			addr_from_bytes(span_of(&info.ipi_addr, 4), &out->to);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			out->ifindex = info.ipi6_ifindex;
			addr_from_bytes(span_of(&info.ipi6_addr, 16), &out->to);
		}
	}
}

/* false: nothing more. */
static bool receive_one(struct receiver *r)
{
	uint8_t payload[256], control[256];
	struct sockaddr_storage sa;
	struct iovec piece = {.iov_base = payload, .iov_len = sizeof(payload)};
	struct msghdr m = {.msg_name = &sa,
			   .msg_namelen = sizeof(sa),
			   .msg_iov = &piece,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(r->fd, &m, MSG_DONTWAIT);
	struct ancillary extra = {0};
	struct endpoint from;
	struct bfd_arrival a;

	if (n < 0)
		return errno != EAGAIN && errno != EWOULDBLOCK;
	if (!endpoint_from_sockaddr((struct sockaddr *)&sa, &from))
		return true;
	read_ancillary(&m, &extra);
	a = (struct bfd_arrival){
		.ifname = r->ifname,
		.ifindex = extra.ifindex,
		.from = from.addr,
		.to = extra.to,
		.multihop = r->multihop,
		.ttl = (uint8_t)extra.ttl,
		.payload = span_of(payload, (size_t)n),
	};
	bfd_table_receive(r->sockets->table, &a, r->sockets->loop->now);
	return true;
}

static void on_readable(void *ctx, uint32_t events)
{
	struct receiver *r = ctx;

	(void)events;
	/* Level-triggered: what a flood leaves is read in the next round. */
	for (unsigned i = 0; i < READ_ROUND && r->fd >= 0 && receive_one(r); i++)
		;
}

static void complain(const struct bfd_sockets *s, bool *complained, const char *ifname,
		     const char *what)
{
	if (!*complained)
		log_to(s->log, LOG_LEVEL_WARN, "bfd", ifname, "%s: %s; tried again", what,
		       strerror(errno));
	*complained = true;
}

static void open_receiver(struct bfd_sockets *s, struct receiver *r)
{
	int fd = new_socket(r->family);

	fd = check(fd, fd >= 0 && set_receiving(fd, r));
	fd = check(fd, fd >= 0 && bfd_loop_add(s->loop, fd, &r->watch, EPOLLIN));
	r->fd = fd;
	r->ifindex = r->ifname[0] ? if_nametoindex(r->ifname) : 0;
	if (fd < 0)
		complain(s, &r->complained, r->ifname, "no socket to receive with");
	else
		r->complained = false;
}

static void close_receiver(struct bfd_sockets *s, struct receiver *r)
{
	bfd_loop_forget(s->loop, &r->watch);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

static struct receiver *use_receiver(struct bfd_sockets *s, const struct bfd_key *key)
{
	struct receiver *r;

	for (r = s->receivers; r; r = r->next) {
		if (r->family == key->peer.family && r->multihop == (key->multihop != 0) &&
		    strcmp(r->ifname, key->ifname) == 0) {
			r->users++;
			return r;
		}
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	*r = (struct receiver){.sockets = s,
			       .family = key->peer.family,
			       .multihop = key->multihop != 0,
			       .users = 1,
			       .watch = {on_readable, r},
			       .next = s->receivers};
	memcpy(r->ifname, key->ifname, sizeof(r->ifname));
	s->receivers = r;
	open_receiver(s, r);
	return r;
}

static void release_receiver(struct bfd_sockets *s, struct receiver *r)
{
	struct receiver **at = &s->receivers;

	if (--r->users)
		return;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	close_receiver(s, r);
	free(r);
}

/* ---- sending ---- */

static bool is_point_to_point(int fd, const char *ifname)
{
	struct ifreq r = {0};

	memcpy(r.ifr_name, ifname, strnlen(ifname, sizeof(r.ifr_name) - 1));
	return ifname[0] && ioctl(fd, SIOCGIFFLAGS, &r) == 0 && r.ifr_flags & IFF_POINTOPOINT;
}

/* The one device that has the address; 0: none, or several. */
static uint32_t device_of(const struct addr *local)
{
	struct ifaddrs *list, *i;
	struct endpoint has;
	uint32_t found = 0;
	unsigned n = 0;

	if (local->family != AF_INET6 || getifaddrs(&list) != 0)
		return 0;
	for (i = list; i; i = i->ifa_next) {
		if (i->ifa_addr && endpoint_from_sockaddr(i->ifa_addr, &has) &&
		    addr_equal(&has.addr, local)) {
			found = if_nametoindex(i->ifa_name);
			n++;
		}
	}
	freeifaddrs(list);
	return n == 1 ? found : 0;
}

/* bfdd 10.3 names no interface of a session that it had before it had this data plane. A
 * link-local peer needs one: where its packets come from, or whose our address is. */
static uint32_t outgoing(const struct bfd_peer *p)
{
	char name[IF_NAMESIZE];

	if (p->key.ifname[0])
		return if_nametoindex(p->key.ifname);
	if (!addr_is_link_local(&p->key.peer))
		return 0;
	return if_indextoname(p->ifindex, name) ? p->ifindex : device_of(&p->key.local);
}

static void open_outlet(struct bfd_sockets *s, const struct bfd_peer *p, struct outlet *o)
{
	struct endpoint to = {.addr = p->key.peer,
			      .port = p->key.multihop ? BFD_PORT_MULTI : BFD_PORT};
	struct addr local = p->key.local;
	int fd = new_socket(to.addr.family);

	o->ifindex = outgoing(p);
	o->to_len = endpoint_to_sockaddr(&to, &o->to);
	if (to.addr.family == AF_INET6)
		((struct sockaddr_in6 *)&o->to)->sin6_scope_id = o->ifindex;
	local.family = to.addr.family;
	fd = check(fd, fd >= 0 && set_sending(fd, to.addr.family) &&
			       bind_device(fd, p->key.ifname) &&
			       bind_source(s, fd, &local, o->ifindex));
	o->fd = fd;
	o->point_to_point = fd >= 0 && is_point_to_point(fd, p->key.ifname);
	if (fd < 0)
		complain(s, &o->complained, p->key.ifname, "no socket to send from");
	else
		o->complained = false;
}

static void close_outlet(struct outlet *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}

void bfd_sockets_open(struct bfd_sockets *s, struct bfd_peer *p)
{
	struct outlet *o = calloc(1, sizeof(*o));

	if (o)
		o->receiver = use_receiver(s, &p->key);
	if (!o || !o->receiver) {
		log_to(s->log, LOG_LEVEL_ERROR, "bfd", p->key.ifname, "out of memory");
		free(o);
		return;
	}
	open_outlet(s, p, o);
	p->io = o;
}

void bfd_sockets_close(struct bfd_sockets *s, struct bfd_peer *p)
{
	struct outlet *o = p->io;

	if (!o)
		return;
	close_outlet(o);
	release_receiver(s, o->receiver);
	free(o);
	p->io = NULL;
}

void bfd_sockets_send(struct bfd_sockets *s, struct bfd_peer *p, struct span packet)
{
	struct outlet *o = p->io;

	if (o && o->fd >= 0 &&
	    sendto(o->fd, packet.ptr, packet.len, MSG_DONTWAIT | MSG_NOSIGNAL,
		   (struct sockaddr *)&o->to, o->to_len) >= 0)
		return;
	bfd_table_stats(s->table)->send_errors++;
	/* The device was removed: maybe there is another one. */
	if (o && o->fd >= 0 && (errno == ENODEV || errno == ENXIO))
		close_outlet(o);
}

/* A number in /sys: without any lock that changes of devices hold, as netlink has. */
static bool read_number(const char *ifname, const char *what, uint64_t *out)
{
	char path[96], text[24];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", ifname, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	*out = strtoull(text, NULL, 10);
	return n > 0;
}

bool bfd_sockets_witness(void *s, const struct bfd_peer *p, struct bfd_witness *out)
{
	const struct outlet *o = p->io;
	uint64_t ifindex;

	(void)s;
	/* /sys may be that of another network namespace, with a device of the same name. */
	return o && o->point_to_point && read_number(p->key.ifname, "ifindex", &ifindex) &&
	       ifindex == o->ifindex &&
	       read_number(p->key.ifname, "statistics/rx_packets", &out->in) &&
	       read_number(p->key.ifname, "statistics/tx_packets", &out->out);
}

void bfd_sockets_tick(struct bfd_sockets *s)
{
	for (struct receiver *r = s->receivers; r; r = r->next) {
		if (r->fd >= 0 && r->ifname[0] && if_nametoindex(r->ifname) != r->ifindex)
			close_receiver(s, r);
		if (r->fd < 0)
			open_receiver(s, r);
	}
	for (struct bfd_peer *p = bfd_table_first(s->table); p; p = bfd_table_next(p)) {
		struct outlet *o = p->io;

		if (!o) {
			bfd_sockets_open(s, p);
			continue;
		}
		if (o->fd >= 0 && p->key.ifname[0] && o->ifindex != o->receiver->ifindex)
			close_outlet(o);
		if (o->fd < 0)
			open_outlet(s, p, o);
	}
}
