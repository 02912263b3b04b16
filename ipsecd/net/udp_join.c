/* Sockets of workers beside those of the NAT-T port: one port, several sockets (SO_REUSEPORT), of
 * which a program in the kernel picks one for each datagram. An SA's packets go to one of them, so
 * that one thread has them, in their order. */
#include "ipsecd/net/udp_parts.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const int families[] = {AF_INET, AF_INET6};

/* ---- steering ---- */

/* The first four bytes behind the UDP header: an SPI, or the non-ESP marker, of which the rest is 0
 * and so the first socket's. Shorter than that (keepalives): the first one's, too, for a load from
 * outside of the packet ends a program with 0. */
static bool steer(int fd, unsigned sockets)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, sockets),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog all = {.len = sizeof(program) / sizeof(program[0]), .filter = program};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &all, sizeof(all)) == 0;
}

/* ---- joining ---- */

static bool set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

void udp_spare(int spare[UDP_SPARE])
{
	for (unsigned i = 0; i < UDP_SPARE; i++)
		spare[i] = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static bool join(const struct udp_socket *s, int fd)
{
	return set(s->fd, SOL_SOCKET, SO_REUSEPORT, 1) && set(fd, SOL_SOCKET, SO_REUSEPORT, 1) &&
	       udp_socket_family(fd, s->family) &&
	       (s->family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
	       udp_bind_port(fd, s->family, s->port);
}

static bool share(struct udp *u, const struct udp_socket *s, int *fd)
{
	if (*fd < 0) {
		errno = EMFILE; /* of before the sandbox, where it was the first that had none */
		return false;
	}
	if (!join(s, *fd))
		return false;
	udp_socket_add(u, *fd, s->family, s->port);
	*fd = -1;
	return steer(s->fd, u->first->n_joined + 2);
}

/* Each raw socket has a copy of all bare ESP, from its first moment on: of this one nobody wants
 * it, it only sends. */
static bool hear_nothing(int fd)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog all = {.len = 1, .filter = &nothing};
	uint8_t byte;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof(all)) < 0)
		return false;
	while (recv(fd, &byte, sizeof(byte), 0) >= 0)
		;
	return true;
}

static void add_bare(struct udp *u, const struct udp_socket *s)
{
	int fd = socket(s->family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ESP);

	if (fd >= 0 && hear_nothing(fd) && udp_socket_family(fd, s->family)) {
		udp_socket_add(u, fd, s->family, s->port);
		/* ICMP errors come to the first one, too. */
		udp_socket_headers(&u->sockets[u->n_sockets - 1], false);
		return;
	}
	log_to(u->host.log, LOG_LEVEL_WARN, "net", "",
	       "raw socket for ESP of one more worker: %s; bare ESP of its flows is lost",
	       strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool join_all(struct udp *u, int spare[UDP_SPARE])
{
	const struct udp *first = u->first;

	if (!udp_socket_bound(first->sockets[0].fd, "")) {
		errno = EBUSY;
		return false;
	}
	for (unsigned i = 0; i < first->n_sockets; i++) {
		const struct udp_socket *s = &first->sockets[i];
		unsigned v6 = s->family == AF_INET6;

		if (s->port == UDP_PORT_NATT && !share(u, s, &spare[v6]))
			return false;
		if (s->port == 0)
			add_bare(u, s);
	}
	return true;
}

static void close_spare(int spare[UDP_SPARE])
{
	for (unsigned i = 0; i < UDP_SPARE; i++) {
		if (spare[i] >= 0)
			close(spare[i]);
		spare[i] = -1;
	}
}

struct udp *udp_join(struct udp *first, struct worker *worker, const struct udp_host *host,
		     int spare[UDP_SPARE], char *why, size_t size)
{
	struct udp *u = first->n_joined < WORKERS_MAX ? udp_new(worker_loop(worker), host) : NULL;
	bool ok;

	if (!u) {
		snprintf(why, size, "out of memory");
		close_spare(spare);
		return NULL;
	}
	u->worker = worker;
	u->first = first;
	worker_pause(worker);
	ok = join_all(u, spare);
	worker_resume(worker);
	first->joined[first->n_joined++] = u;
	if (!ok) {
		int error = errno;

		snprintf(why, size, "sharing UDP port %u: %s", UDP_PORT_NATT, strerror(error));
		udp_close(u);
		u = NULL;
		errno = error;
	}
	close_spare(spare);
	return u;
}

void udp_lost(struct udp *u)
{
	u->counters.overflowed++;
}

/* ---- with all that joined ---- */

void udp_part(struct udp *first)
{
	while (first->n_joined)
		udp_close(first->joined[first->n_joined - 1]);
}

void udp_left(struct udp *first)
{
	first->n_joined--;
	for (unsigned i = 0; i < first->n_sockets; i++)
		if (first->sockets[i].port == UDP_PORT_NATT)
			steer(first->sockets[i].fd, first->n_joined + 1);
}

static void add(struct udp_counters *sum, const struct udp_counters *c)
{
	sum->received += c->received;
	sum->sent += c->sent;
	sum->send_failed += c->send_failed;
	sum->truncated += c->truncated;
	sum->runt += c->runt;
	sum->keepalives += c->keepalives;
	sum->overflowed += c->overflowed;
	sum->too_big += c->too_big;
}

void udp_sum(struct udp *first)
{
	first->sum = first->counters;
	for (unsigned i = 0; i < first->n_joined; i++) {
		struct udp *u = first->joined[i];

		worker_pause(u->worker);
		add(&first->sum, &u->counters);
		worker_resume(u->worker);
		first->sum.overflowed += udp_overflowed(u);
	}
}
